"""Mount tables: both parsers, on tables as kernels write them and on broken ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgroups.core.interface import Failure, Status

Both = tuple[ModuleType, ModuleType]

PARSING_SHARE = 0.3
JUDGED = 200


def escape(path: bytes) -> bytes:
    """As the kernel does (fs/proc_namespace.c, mangle): space, tab, newline and backslash."""
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in path)


def decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


# A path has no NUL; else any byte is allowed in one.
component = (
    st.binary(min_size=1, max_size=8).map(lambda text: text.replace(b"\0", b"").replace(b"/", b"") or b"a")
    | st.text("ab \t\n\\01234567#é", min_size=1, max_size=6).map(str.encode)
    | st.sampled_from([b"..", b"cgroup", b"memory", b"a b", b"\\040", b"-", b"user.slice"])
)
path = st.lists(component, max_size=4).map(lambda parts: b"/" + b"/".join(parts))
u32 = st.integers(0, 300) | st.integers(0, (1 << 32) - 1) | st.just((1 << 32) - 1)
flags = st.sampled_from([b"rw", b"ro", b"rw,nosuid,nodev,noexec,relatime", b"rw,relatime,idmapped"])
optional = st.lists(
    st.sampled_from([b"shared:1", b"master:12", b"propagate_from:2", b"unbindable", b"future"]), max_size=3
)
source = st.sampled_from([b"cgroup", b"cgroup2", b"", b"none", b"systemd", b"-", b"a\\040b"]) | path.map(escape)
options = st.sampled_from(
    [
        *(b"rw", b"rw,memory", b"rw,cpu,cpuacct", b"rw,xattr,name=systemd", b"rw,nsdelegate,memory_recursiveprot"),
        *(b"rw,name=a\\040b", b'rw,seclabel,context="u:r:t:s0:c1,c2",cpu', b"rw,release_agent=/x/y,name=z"),
    ]
)
kind = st.sampled_from([b"cgroup", b"cgroup", b"cgroup2", b"ext4", b"proc", b"cgroupfs", b"fuse.cgroup"])


@st.composite
def mount(draw: st.DrawFn) -> tuple[bytes, tuple[Any, ...] | None]:
    """A line, and the row that it is."""
    major, minor, root, point = draw(u32), draw(u32), draw(path), draw(path)
    per_mount, super_block, system = draw(flags), draw(options), draw(kind)
    fields = [b"%d" % draw(u32), b"%d" % draw(u32), b"%d:%d" % (major, minor), escape(root), escape(point), per_mount]
    fields += [*draw(optional), b"-", system, draw(source), super_block]
    version = {b"cgroup": 1, b"cgroup2": 2}.get(system)
    strings = (decode(root), decode(point), decode(per_mount), decode(super_block))
    return b" ".join(fields), None if version is None else (version, major, minor, *strings)


@st.composite
def table(draw: st.DrawFn) -> tuple[bytes, list[tuple[Any, ...]]]:
    mounts = draw(st.lists(mount(), max_size=8))
    text = b"".join(line + draw(st.sampled_from([b"\n", b"\n", b"\n\n"])) for line, _ in mounts)
    if draw(st.booleans()):
        text = text.rstrip(b"\n")
    return text, [row for _, row in mounts if row is not None]


def outcome(module: ModuleType, text: bytes) -> Any:
    try:
        return module.parse_mountinfo(text)
    except Failure as failure:
        return failure.status, failure.offset, failure.excerpt, failure.errno


@given(table())
def test_table_has_its_mounts(both: Both, example: tuple[bytes, list[Any]]) -> None:
    text, rows = example
    for module in both:
        assert outcome(module, text) == rows, module.NAME


@given(root=path, point=path)
def test_octal_escapes_round_trip(both: Both, root: bytes, point: bytes) -> None:
    line = b"1 2 0:3 %b %b rw - cgroup cgroup rw,memory\n" % (escape(root), escape(point))
    for module in both:
        [row] = module.parse_mountinfo(line)
        assert (row[3], row[4]) == (decode(root), decode(point))


@given(st.text("\\01234567 89a", min_size=1, max_size=12).map(lambda text: text.replace(" ", "")).filter(bool))
def test_other_escapes_are_decoded_alike(both: Both, root: str) -> None:
    native, python = both
    line = f"1 2 0:3 /{root} / rw - cgroup cgroup rw\n".encode()
    assert outcome(native, line) == outcome(python, line)


@pytest.mark.slow
def test_mutated_table_parses_alike(both: Both, mutate: Callable[..., Any], fixtures: Path) -> None:
    native, python = both
    captured = (fixtures / "linux-6.18-v1" / "proc_self_mountinfo").read_bytes()
    count: Counter[str] = Counter()

    @settings(max_examples=8 * settings().max_examples)
    @given(mutate(table().map(lambda one: one[0]) | st.just(captured)))
    def agrees(text: bytes) -> None:
        result = outcome(native, text)
        assert result == outcome(python, text)
        count["parsed" if isinstance(result, list) else "refused"] += 1

    agrees()
    assert count.total() < JUDGED or count["parsed"] >= PARSING_SHARE * count.total(), count


@given(st.binary(max_size=80) | st.text("0123456789 -:/\\\ncgroup2", max_size=60).map(str.encode))
def test_random_bytes_parse_alike(both: Both, text: bytes) -> None:
    native, python = both
    assert outcome(native, text) == outcome(python, text)


BROKEN = {
    "no fields": b"x",
    "no separator": b"36 35 98:0 / /mnt rw shared:1 cgroup cgroup rw",
    "nothing after the separator": b"36 35 98:0 / /mnt rw -",
    "no options": b"36 35 98:0 / /mnt rw - cgroup cgroup",
    "torn": b"36 35 98:0 /mn",
    "no colon": b"36 35 980 / /mnt rw - cgroup cgroup rw",
    "a letter in a number": b"36 35 98:x / /mnt rw - cgroup cgroup rw",
    "a number of 33 bits": b"36 35 98:4294967296 / /mnt rw - cgroup cgroup rw",
    "a negative number": b"-1 35 98:0 / /mnt rw - cgroup cgroup rw",
    "of another file system": b"36 35 98 / /mnt rw - ext4 /dev/sda rw",
    "blank": b"  ",
}


@pytest.mark.parametrize("line", BROKEN.values(), ids=BROKEN.keys())
@given(before=table(), after=table())
def test_broken_line_is_refused_where_it_starts(
    both: Both, line: bytes, before: tuple[bytes, Any], after: tuple[bytes, Any]
) -> None:
    head = before[0].rstrip(b"\n") + b"\n"
    text = head + line + b"\n" + after[0]
    for module in both:
        assert outcome(module, text) == (Status.SYNTAX, len(head), text[len(head) :][:40], 0), module.NAME


def test_numbers_with_thousands_of_zeros(both: Both) -> None:
    line = b"1 2 %b7:3 / /mnt rw - cgroup none rw" % (b"0" * 5000)
    for module in both:
        assert outcome(module, line) == [(1, 7, 3, "/", "/mnt", "rw", "rw")], module.NAME


@pytest.mark.slow
def test_table_of_over_a_mebibyte(both: Both) -> None:
    line = b"%d 1 0:5 /a\\040b /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
    text = b"".join(line % i for i in range(20_000))
    assert len(text) > 1 << 20
    native, python = both
    rows = native.parse_mountinfo(text)
    assert len(rows) == 20_000
    assert rows == python.parse_mountinfo(text)
