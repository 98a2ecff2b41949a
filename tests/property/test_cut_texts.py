"""A control file's text without its end was cut, and so may be its last number: it is refused."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from cgroups.core import reference
from cgroups.core.interface import Failure, Shape, Status

WHOLE = {
    Shape.VALUE: b"1234\n",
    Shape.VALUES: b"max 1234\n",
    Shape.KEYED: b"anon 1\nfile 1234\n",
    Shape.NESTED: b"some avg10=0.00 total=1234\n",
    Shape.TRIPLES: b"8:0 Read 1\nTotal 1234\n",
    Shape.TABLE: b"cpu user\n0 1234\n",
    Shape.RANGES: b"0-3,12\n",
    Shape.WORDS: b"cpu memory\n",
}


@pytest.mark.parametrize("listing", [False, True])
@pytest.mark.parametrize("shape", WHOLE)
def test_read_of_a_cut_text_is_refused(shape: Shape, listing: bool, implementation: ModuleType, tmp_path: Path) -> None:
    whole = WHOLE[shape]
    (tmp_path / "file").write_bytes(whole)
    file = implementation.open_directory(str(tmp_path), 0).file("file", listing=listing)
    assert file.read(shape)
    for cut in (whole[:-1], whole[:-2]):
        (tmp_path / "file").write_bytes(cut)
        with pytest.raises(Failure) as caught:
            file.read(shape)
        assert (caught.value.status, caught.value.offset) == (Status.SYNTAX, len(cut))
        call, argument = file.int_call()
        assert call(argument) < -1


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (Shape.TEXT, b"domain"),
        (Shape.NESTED, b"8:0 rbytes=12 wbytes=0\n8:16 "),  # kernels of 2021: a device without counters
        (Shape.KEYED, b""),
        (Shape.NESTED, b""),
        (Shape.VALUES, b""),
        (Shape.WORDS, b""),
    ],
)
def test_read_of_a_text_that_the_kernel_ends_so_is_taken(
    shape: Shape, text: bytes, implementation: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(text)
    cells = implementation.open_directory(str(tmp_path), 0).file("file").read(shape)
    assert cells == implementation.parse(shape, text)


def test_read_of_a_text_cut_once_reads_it_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Python backend is tested here; tests/native has the same for C."""
    texts = [b"12", b"1234\n"]
    monkeypatch.setattr(reference.files, "read_all", lambda _: texts.pop(0))
    (tmp_path / "file").write_bytes(b"")
    assert reference.open_directory(str(tmp_path), 0).file("file").read(Shape.VALUE) == [("", 1234)]
    assert not texts
