"""One test for each shape of control file: what is good, what is missing, what is malformed and where."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cgroups import MAX
from cgroups.core.interface import ROW, Failure, Shape, Status

U64 = (1 << 64) - 1


def good(implementation: ModuleType, shape: Shape, text: bytes, cells: list[tuple[str, Any]]) -> None:
    assert implementation.parse(shape, text) == cells


def bad(implementation: ModuleType, shape: Shape, text: bytes, status: Status, offset: int) -> None:
    with pytest.raises(Failure) as caught:
        implementation.parse(shape, text)
    failure = caught.value
    assert (failure.status, failure.offset) == (status, offset)
    assert failure.errno == 0
    assert failure.excerpt == text[offset : offset + 40]


@pytest.fixture
def captured(fixtures: Path) -> Any:
    return lambda name: (fixtures / name).read_bytes()


V1, V2 = "linux-6.18-v1", "linux-6.1-v2/job/a"


# ---- one value -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"9223372036854771712\n", 9223372036854771712),
        (b"0\n", 0),
        (b"max\n", MAX),
        (b"-1\n", -1),
        (b"20", 20),
        (b"\t 20 \t\n\n", 20),
        (b"18446744073709551615\n", U64),
        (b"-9223372036854775808\n", -(1 << 63)),
        (b"0000000000000000000000007\n", 7),
    ],
)
def test_parse_value(implementation: ModuleType, text: bytes, value: Any) -> None:
    good(implementation, Shape.VALUE, text, [("", value)])


@pytest.mark.parametrize(
    ("text", "status", "offset"),
    [
        (b"", Status.EMPTY, 0),
        (b"\n", Status.EMPTY, 1),
        (b" \t\n \n", Status.EMPTY, 5),
        (b"5 6\n", Status.SYNTAX, 2),
        (b"5\n  6\n", Status.SYNTAX, 4),
        (b" five\n", Status.SYNTAX, 1),
        (b"5x\n", Status.SYNTAX, 0),
        (b"+5\n", Status.SYNTAX, 0),
        (b"-\n", Status.SYNTAX, 0),
        (b"--5\n", Status.SYNTAX, 0),
        (b"maximum\n", Status.SYNTAX, 0),
        (b"MAX\n", Status.SYNTAX, 0),
        (b"-max\n", Status.SYNTAX, 0),
        (b"1.50\n", Status.SYNTAX, 0),
        (b"0x10\n", Status.SYNTAX, 0),
        (b" 18446744073709551616\n", Status.RANGE, 1),
        (b"-9223372036854775809\n", Status.RANGE, 0),
        (b"9" * 5000, Status.RANGE, 0),
        (b"-" + b"9" * 5000, Status.RANGE, 0),
        (b"\xff\xfe", Status.SYNTAX, 0),
        ("٣\n".encode(), Status.SYNTAX, 0),  # a digit to str.isdigit, and none to the kernel
    ],
)
def test_parse_value_malformed_is_an_error(
    implementation: ModuleType, text: bytes, status: Status, offset: int
) -> None:
    bad(implementation, Shape.VALUE, text, status, offset)


# ---- several values ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (f"{V1}/cpuacct/cgroups-capture/inner/cpuacct.usage_percpu", [30156352, 524141535]),  # ends in a blank
        (f"{V2}/cpu.max", [20000, 100000]),
        (f"{V1}/cpu/cgroups-capture/inner/cgroup.procs", [5447, 5490]),
        ("linux-6.1-v2/job/cgroup.procs", []),
    ],
)
def test_parse_values(implementation: ModuleType, captured: Any, name: str, values: list[int]) -> None:
    good(implementation, Shape.VALUES, captured(name), [("", value) for value in values])


def test_parse_values_hand_written(implementation: ModuleType) -> None:
    good(implementation, Shape.VALUES, b"max 100000\n", [("", MAX), ("", 100000)])
    good(implementation, Shape.VALUES, b"\n\n1\n\n 2\n", [("", 1), ("", 2)])
    bad(implementation, Shape.VALUES, b"1 2 x", Status.SYNTAX, 4)
    bad(implementation, Shape.VALUES, b"1\n99999999999999999999", Status.RANGE, 2)


# ---- flat keyed ---------------------------------------------------------------------------


def test_parse_keyed(implementation: ModuleType, captured: Any) -> None:
    good(
        implementation,
        Shape.KEYED,
        captured(f"{V1}/memory/cgroups-capture/inner/memory.oom_control"),
        [("oom_kill_disable", 0), ("under_oom", 0), ("oom_kill", 0)],
    )


@pytest.mark.parametrize(
    "name", [f"{V2}/memory.stat", f"{V1}/memory/cgroups-capture/inner/memory.stat", f"{V2}/cpu.stat"]
)
def test_parse_keyed_equals_splitting(implementation: ModuleType, captured: Any, name: str) -> None:
    text = captured(name)
    expected = [(key, int(value)) for key, value in (line.split() for line in text.decode().splitlines())]
    assert len(expected) > 5
    good(implementation, Shape.KEYED, text, expected)


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        (b"", []),
        (b"max 0\n", [("max", 0)]),
        (b"default 100\n254:0 50\n", [("default", 100), ("254:0", 50)]),
        (b"key\n", [("key", None)]),  # a torn line
        (b"a 1\n252:0 \nb 2", [("a", 1), ("252:0", None), ("b", 2)]),
        (b"a 1 2 three\n", [("a", 1)]),  # what a newer kernel adds
        (b"a max\nb -1\n", [("a", MAX), ("b", -1)]),
        (b"\n\n  a\t1  \n\n", [("a", 1)]),
        (b"a 1\na 2\n", [("a", 1), ("a", 2)]),
        (b"\xc3\xa9 1\n\xff 2\n", [("é", 1), ("\udcff", 2)]),
    ],
)
def test_parse_keyed_hand_written(implementation: ModuleType, text: bytes, cells: list[tuple[str, Any]]) -> None:
    good(implementation, Shape.KEYED, text, cells)


@pytest.mark.parametrize(
    ("text", "status", "offset"),
    [
        (b"a 1\nb two\n", Status.SYNTAX, 6),
        (b"a 1\nb 18446744073709551616\n", Status.RANGE, 6),
        (b"a 1.5\n", Status.SYNTAX, 2),
        (b"a 1\n\0\0\0\0", Status.SYNTAX, 4),
    ],
)
def test_parse_keyed_malformed_is_an_error(
    implementation: ModuleType, text: bytes, status: Status, offset: int
) -> None:
    bad(implementation, Shape.KEYED, text, status, offset)


# ---- nested keyed ----------------------------------------------------------------------------


def test_parse_nested(implementation: ModuleType, captured: Any) -> None:
    good(
        implementation,
        Shape.NESTED,
        captured(f"{V2}/cpu.pressure"),
        [
            ("some", ROW),
            *(("avg10", 0.12), ("avg60", 7.66), ("avg300", 4.64), ("total", 17775991)),
            ("full", ROW),
            *(("avg10", 0.12), ("avg60", 7.66), ("avg300", 4.64), ("total", 17773228)),
        ],
    )
    # A device without counters, as the root's io.stat has it.
    good(implementation, Shape.NESTED, captured("linux-6.1-v2/io.stat"), [("11:0", ROW)])
    # v1's numa_stat has no names of rows.
    text = captured(f"{V1}/memory/cgroups-capture/inner/memory.numa_stat")
    assert implementation.parse(Shape.NESTED, text)[:6] == [
        *(("", ROW), ("total", 904), ("N0", 904)),
        *(("", ROW), ("file", 599), ("N0", 599)),
    ]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        (b"", []),
        (b"254:0 rbytes=5 wios=0\n", [("254:0", ROW), ("rbytes", 5), ("wios", 0)]),
        (b"7:0 7:1 254:0 rbytes=5\n", [("7:0", ROW), ("7:1", ROW), ("254:0", ROW), ("rbytes", 5)]),
        (b"(unknown) rbytes=1\n", [("(unknown)", ROW), ("rbytes", 1)]),
        (b"254:0 rbps=max wbps=1048576\n", [("254:0", ROW), ("rbps", MAX), ("wbps", 1048576)]),
        (b"254:0 cost.vrate=100.00\n", [("254:0", ROW), ("cost.vrate", 100.0)]),
        (b"254:0 ctrl=auto model=\n", [("254:0", ROW), ("ctrl", "auto"), ("model", "")]),
        (b"a x=1=2\n", [("a", ROW), ("x", "1=2")]),
        (b"a x=1.5 y=1.234 z=.50\n", [("a", ROW), ("x", "1.5"), ("y", "1.234"), ("z", ".50")]),
    ],
)
def test_parse_nested_hand_written(implementation: ModuleType, text: bytes, cells: list[tuple[str, Any]]) -> None:
    good(implementation, Shape.NESTED, text, cells)


def test_parse_nested_malformed_is_an_error(implementation: ModuleType) -> None:
    bad(implementation, Shape.NESTED, b"some avg10=0.00 =5\n", Status.SYNTAX, 16)
    bad(implementation, Shape.NESTED, b"254:0 a=99999999999999999999\n", Status.RANGE, 6)
    bad(implementation, Shape.NESTED, b"254:0 a=1\x01\n", Status.SYNTAX, 6)


# ---- v1's device, operation, number ------------------------------------------------------------


def test_parse_triples(implementation: ModuleType, captured: Any) -> None:
    text = captured(f"{V1}/blkio/cgroups-capture/inner/blkio.throttle.io_serviced")
    operations = [("Read", 436), ("Write", 0), ("Sync", 436), ("Async", 0), ("Discard", 0), ("Total", 436)]
    good(implementation, Shape.TRIPLES, text, [("254:0", ROW), *operations, ("", ROW), ("Total", 436)])
    text = captured(f"{V1}/blkio/cgroups-capture/inner/blkio.bfq.io_serviced")
    good(implementation, Shape.TRIPLES, text, [("", ROW), ("Total", 0)])


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        (b"", []),
        (
            b"8:0 Read 1\n8:0 Write 2\n8:16 Read 3\n",
            [("8:0", ROW), ("Read", 1), ("Write", 2), ("8:16", ROW), ("Read", 3)],
        ),
        (b"8:0\n", [("8:0", ROW)]),  # a torn line
        (b"8:0 Read 1 2 more\n", [("8:0", ROW), ("Read", 1)]),
        (b"Total 5\nTotal 6\n", [("", ROW), ("Total", 5), ("Total", 6)]),
    ],
)
def test_parse_triples_hand_written(implementation: ModuleType, text: bytes, cells: list[tuple[str, Any]]) -> None:
    good(implementation, Shape.TRIPLES, text, cells)


def test_parse_triples_malformed_is_an_error(implementation: ModuleType) -> None:
    bad(implementation, Shape.TRIPLES, b"8:0 Read one\n", Status.SYNTAX, 9)
    bad(implementation, Shape.TRIPLES, b"8:0 Read\n", Status.SYNTAX, 4)
    bad(implementation, Shape.TRIPLES, b"Total -99999999999999999999\n", Status.RANGE, 6)


# ---- tables -----------------------------------------------------------------------------------------


def test_parse_table(implementation: ModuleType, captured: Any) -> None:
    good(
        implementation,
        Shape.TABLE,
        captured(f"{V1}/cpuacct/cgroups-capture/inner/cpuacct.usage_all"),
        [
            *(("cpu", ROW), ("", "user"), ("", "system")),
            *(("0", ROW), ("", 8000000), ("", 12000000)),
            *(("1", ROW), ("", 512000000), ("", 64000000)),
        ],
    )
    text = captured(f"{V1}/devices/cgroups-capture/inner/devices.list")
    good(implementation, Shape.TABLE, text, [("a", ROW), ("", "*:*"), ("", "rwm")])
    good(implementation, Shape.TABLE, b"", [])
    good(implementation, Shape.TABLE, b"row\n x 1.50\n", [("row", ROW), ("x", ROW), ("", "1.50")])
    bad(implementation, Shape.TABLE, b"a 1\x7f\nb \x1f", Status.SYNTAX, 7)
    bad(implementation, Shape.TABLE, b"a 18446744073709551616", Status.RANGE, 2)


# ---- ranges ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        (b"0-1\n", [0, 1]),
        (b"0-3,8\n", [0, 3, 8, 8]),
        (b"\n", []),
        (b"", []),
        (b" 0 \n", [0, 0]),
        (b"5,1-2,1\n", [5, 5, 1, 2, 1, 1]),
        (b"65535\n", [65535, 65535]),
        (b"007-008", [7, 8]),
    ],
)
def test_parse_ranges(implementation: ModuleType, text: bytes, bounds: list[int]) -> None:
    good(implementation, Shape.RANGES, text, [("", bound) for bound in bounds])


@pytest.mark.parametrize(
    ("text", "status", "offset"),
    [
        (b"0-3,\n", Status.SYNTAX, 4),
        (b",0\n", Status.SYNTAX, 0),
        (b"0,,1\n", Status.SYNTAX, 2),
        (b"3-1\n", Status.SYNTAX, 0),
        (b"0,1-\n", Status.SYNTAX, 2),
        (b"-1\n", Status.SYNTAX, 0),
        (b"1-2-3\n", Status.SYNTAX, 0),
        (b"0-3 5\n", Status.SYNTAX, 4),
        (b"max\n", Status.SYNTAX, 0),
        (b"0,65536\n", Status.RANGE, 2),
        (b"0-4294967295\n", Status.RANGE, 0),
        (b"0,99999999999999999999999\n", Status.RANGE, 2),
    ],
)
def test_parse_ranges_malformed_is_an_error(
    implementation: ModuleType, text: bytes, status: Status, offset: int
) -> None:
    bad(implementation, Shape.RANGES, text, status, offset)


# ---- words and text ------------------------------------------------------------------------------------------


def test_parse_words(implementation: ModuleType, captured: Any) -> None:
    names = "cpuset cpu io memory hugetlb pids rdma misc".split()
    good(implementation, Shape.WORDS, captured(f"{V2}/cgroup.controllers"), [("", name) for name in names])
    good(implementation, Shape.WORDS, captured(f"{V2}/cgroup.subtree_control"), [])
    good(implementation, Shape.WORDS, b"5 max \xff", [("", "5"), ("", "max"), ("", "\udcff")])
    bad(implementation, Shape.WORDS, b"cpu io\0", Status.SYNTAX, 4)


def test_parse_text(implementation: ModuleType, captured: Any) -> None:
    good(implementation, Shape.TEXT, captured(f"{V2}/cgroup.type"), [("", "domain")])
    good(implementation, Shape.TEXT, b"", [("", "")])
    good(implementation, Shape.TEXT, b"/bin/agent -x \n\n", [("", "/bin/agent -x \n")])
    good(implementation, Shape.TEXT, b"\0\x01\xff\n", [("", "\0\x01\udcff")])


# ---- all of them ---------------------------------------------------------------------------------------------------

PARSED = [shape for shape in Shape if shape is not Shape.TEXT]


@pytest.mark.parametrize("shape", PARSED, ids=lambda shape: shape.name)
@pytest.mark.parametrize("control", [*range(9), *range(11, 32)], ids=lambda control: f"{control:02x}")
def test_parse_control_character_is_an_error(implementation: ModuleType, shape: Shape, control: int) -> None:
    text = b"\n " + bytes([control]) + b"\n"
    bad(implementation, shape, text, Status.SYNTAX, 2)


@pytest.mark.slow
@pytest.mark.parametrize("shape", PARSED, ids=lambda shape: shape.name)
def test_parse_empty_binary_or_long_text(implementation: ModuleType, shape: Shape) -> None:
    if shape is Shape.VALUE:
        bad(implementation, shape, b"", Status.EMPTY, 0)
    else:
        good(implementation, shape, b"", [])
    bad(implementation, shape, bytes(range(256)), Status.SYNTAX, 0)
    line = {Shape.NESTED: b"8:0 key=1\n", Shape.KEYED: b"key 1\n", Shape.TRIPLES: b"8:0 key 1\n"}.get(shape, b"12345\n")
    text = line * ((1 << 20) // len(line))
    if shape in (Shape.VALUE, Shape.RANGES):
        bad(implementation, shape, text, Status.SYNTAX, len(line))
        return
    cells = implementation.parse(shape, text)
    opened = shape in (Shape.NESTED, Shape.TABLE)
    assert sum(value is ROW for _, value in cells) == (text.count(b"\n") if opened else shape is Shape.TRIPLES)
    assert sum(value is not ROW for _, value in cells) == (0 if shape is Shape.TABLE else text.count(b"\n"))


def test_parse_text_cut_anywhere_keeps_whole_lines(implementation: ModuleType, captured: Any) -> None:
    """Cut anywhere, a text gives its whole lines, and of the last line what is there; or an error within that line."""
    text = captured(f"{V2}/memory.stat")[:200]
    for end in range(len(text)):
        torn = text[:end]
        whole = torn.count(b"\n")
        cells = implementation.parse(Shape.KEYED, torn)
        assert cells[:whole] == implementation.parse(Shape.KEYED, text)[:whole]
        assert len(cells) <= whole + 1
