"""Files read through a backend: layouts that the next text does not fit, and texts larger than any buffer."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroups.core import reference
from cgroups.core.interface import Failure, Shape, Status
from cgroups.core.values import MAX

Both = tuple[ModuleType, ModuleType]

# ---- layouts ------------------------------------------------------------------------

keys = st.lists(st.sampled_from(["anon", "file", "anon_thp", "a", "é", "\udcff", "k\x7f"]), min_size=1, max_size=5)
plain = (
    st.integers(0, 99) | st.integers(0, (1 << 64) - 1) | st.sampled_from([10**18, 10**19 - 1, 10**19, (1 << 64) - 1])
)
odd = st.sampled_from(["max", "-1", "x", "", str(1 << 64), "007", "0" * 25 + "7", "5 further", "1.50", "5\t"])


@st.composite
def histories(draw: st.DrawFn) -> list[bytes]:
    """Return the texts of one file at consecutive reads."""
    names = draw(keys)
    texts = []
    for _ in range(draw(st.integers(2, 6))):
        step = draw(st.sampled_from(["same", "same", "same", "keys", "odd", "order", "torn", "blank"]))
        if step == "keys":
            names = draw(keys)
        if step == "order":
            names = draw(st.permutations(names))
        values: list[object] = [draw(plain) for _ in names]
        if step == "odd":
            values[draw(st.integers(0, len(values) - 1))] = draw(odd)
        text = "".join(f"{name} {value}\n" for name, value in zip(names, values)).encode("utf-8", "surrogateescape")
        if step == "torn":
            text = text[: draw(st.integers(0, len(text)))]
        if step == "blank":
            text = draw(st.sampled_from([text + b"\n", b"\n" + text, text.replace(b" ", b"\t"), text.rstrip(b"\n")]))
        texts.append(text)
    return texts


def _full(text: bytes) -> Any:
    try:
        cells = reference.parse(Shape.KEYED, text)
    except Failure as failure:
        return failure.status, failure.offset, failure.excerpt
    if text and not text.endswith(b"\n"):  # cut, and so may be its last number
        return Status.SYNTAX, len(text), b""
    return tuple(key for key, _ in cells), [value for _, value in cells]


def _by_layout(file: Any, layout: Any) -> tuple[Any, Any]:
    try:
        layout, values = file.read_keyed(layout)
    except Failure as failure:
        return layout, (failure.status, failure.offset, failure.excerpt)
    return layout, (layout.keys, values)


def test_layout_reads_as_a_full_read(implementation: ModuleType, tmp_path: Path) -> None:
    directory = implementation.open_directory(str(tmp_path), 0)

    @given(histories())
    def agrees(texts: list[bytes]) -> None:
        file = directory.file("memory.stat")
        layout = None
        for text in texts:
            (tmp_path / "memory.stat").write_bytes(text)
            layout, result = _by_layout(file, layout)
            assert result == _full(text)
        file.close()

    agrees()


def test_layout_is_kept_while_it_fits(implementation: ModuleType, tmp_path: Path) -> None:
    file = implementation.open_directory(str(tmp_path), 0).file("memory.stat")
    (tmp_path / "memory.stat").write_bytes(b"anon 1\nfile 2\n")
    layout, values = file.read_keyed(None)
    assert (layout.keys, values) == (("anon", "file"), [1, 2])
    (tmp_path / "memory.stat").write_bytes(b"anon 18446744073709551615\nfile 7\n\n")
    again, values = file.read_keyed(layout)
    assert again is layout
    assert values == [(1 << 64) - 1, 7]
    # Whoever keeps a layout has checked its values once; so one with other values is another.
    (tmp_path / "memory.stat").write_bytes(b"anon 5\nfile max\n")
    other, values = file.read_keyed(layout)
    assert other is not layout
    assert values == [5, MAX]
    (tmp_path / "memory.stat").write_bytes(b"anon 3\n")
    other, values = file.read_keyed(layout)
    assert (other.keys, values) == (("anon",), [3])


# ---- links -----------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_PATH, os.O_PATH | os.O_DIRECTORY])
@pytest.mark.parametrize("path", ["link", "to_file", "link/file"])
def test_no_symbolic_link_is_opened(implementation: ModuleType, tmp_path: Path, path: str, flags: int) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"5\n")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "to_file").symlink_to("real/file")
    with pytest.raises(Failure):
        os.close(implementation.open_directory(str(tmp_path), 0).open(path, flags))


# ---- size ------------------------------------------------------------------------------

MEBIBYTE = 1 << 20
_ONE = {
    Shape.VALUES: b"%d\n",
    Shape.KEYED: b"key%d 5\n",
    Shape.NESTED: b"8:%d rbytes=4096 avg10=1.50 s=x\n",
    Shape.TRIPLES: b"8:%d Read 5\n",
    Shape.TABLE: b"c 1:%d rwm\n",
    Shape.WORDS: b"word%d ",
    Shape.TEXT: b"line %d\n",
}


def _text(shape: Shape, size: int) -> bytes:
    """A valid text of at least this size."""
    if shape is Shape.VALUE:
        return b"0" * size + b"7\n"
    if shape is Shape.RANGES:
        return b",".join(b"%d-%d" % (i % 60_000, i % 60_000 + 3) for i in range(size // 6)) + b"\n"
    one = _ONE[shape]
    text = b"".join(one % i for i in range(size // len(one % 0) + 1))
    return text if text.endswith(b"\n") else text + b"\n"


@pytest.mark.slow
@pytest.mark.parametrize("shape", Shape, ids=lambda shape: shape.name.lower())
def test_mebibyte_reads_alike(shape: Shape, both: Both, tmp_path: Path) -> None:
    text = _text(shape, MEBIBYTE)
    assert len(text) >= MEBIBYTE
    (tmp_path / "file").write_bytes(text)
    native, python = both
    native.arena._arenas.clear()  # so that the buffers have to grow from their smallest
    cells = native.open_directory(str(tmp_path), 0).file("file").read(shape)
    assert cells
    assert cells == python.open_directory(str(tmp_path), 0).file("file").read(shape)


@pytest.mark.parametrize("listing", [False, True], ids=["kept", "list"])
@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 8191, 8192, 8193, 16383, 16384, 16385, 65536])
def test_text_as_long_as_the_buffer(size: int, listing: bool, both: Both, tmp_path: Path) -> None:
    text = (b"word " * (size // 5 + 1))[: size - 1] + b"\n"
    (tmp_path / "file").write_bytes(text)
    for module in both:
        if hasattr(module, "_arenas"):
            module._arenas.clear()
        file = module.open_directory(str(tmp_path), 0).file("file", listing=listing)
        assert file.read(Shape.TEXT) == [("", text.decode().removesuffix("\n"))]
        assert file.read(Shape.WORDS) == [("", word) for word in text.decode().split()]


@pytest.mark.parametrize("count", [127, 128, 129, 255, 256, 257, 5000])
def test_as_many_cells_as_there_are_columns(count: int, both: Both, tmp_path: Path) -> None:
    text = b"".join(b"%d\n" % i for i in range(count))
    (tmp_path / "file").write_bytes(text)
    for module in both:
        for read in (
            lambda: module.open_directory(str(tmp_path), 0).file("file").read(Shape.VALUES),  # noqa: B023
            lambda: module.parse(Shape.VALUES, text),  # noqa: B023
        ):
            if hasattr(module, "_arenas"):
                module._arenas.clear()
            assert read() == [("", i) for i in range(count)]


def test_many_keys_with_a_layout(both: Both, tmp_path: Path) -> None:
    for module in both:
        file = module.open_directory(str(tmp_path), 0).file("file")
        layout = None
        for step in range(3):
            (tmp_path / "file").write_bytes(b"".join(b"key%d %d\n" % (i, i + step) for i in range(3000)))
            if hasattr(module, "_arenas"):
                module._arenas.clear()
            layout, values = file.read_keyed(layout)
            assert values == [i + step for i in range(3000)]
