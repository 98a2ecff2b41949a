"""Hypothesis profiles, and what the property tests share: texts as control files have them, and broken ones.

``HYPOTHESIS_PROFILE`` chooses: ``default`` takes seconds, ``ci`` a minute or
so, ``soak`` until it is interrupted.  A failing example is printed as a
blob, and replays from ``.hypothesis``.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import cgroups.parameters
from cgroups import Hugetlb, Subsystem
from cgroups.converter import Reader
from cgroups.core import reference
from cgroups.core.interface import ROW, Failure, Shape
from cgroups.core.values import MAX

try:
    from cgroups.core import native
except ModuleNotFoundError:
    native = None

for _name, _examples in {"dev": 10, "default": 25, "ci": 130, "soak": 50_000}.items():
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

Cells = list[tuple[str, Any]]
Text = tuple[bytes, Cells]
"""A text, and the cells that it has by the definition of its shape."""

# ---- atoms ---------------------------------------------------------------------


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


_EDGES = [edge + step for edge in (0, 1 << 31, 1 << 32, 1 << 53, 1 << 63, (1 << 64) - 3) for step in (-1, 0, 1, 2)]
integers = st.sampled_from([*_EDGES, -(1 << 63), -1]) | st.integers(0, 10**6) | st.integers(-(1 << 63), (1 << 64) - 1)
numbers = st.just((b"max", MAX)) | st.builds(
    lambda value, zeros: (str(value).encode() if value < 0 else b"0" * zeros + str(value).encode(), value),
    integers,
    st.sampled_from([0, 0, 0, 1, 30]),
)

_NUMBER = re.compile(rb"(max|-?[0-9]+)\Z")
_CENTI = re.compile(rb"[0-9]+\.[0-9]{2}\Z")
_NO_WORD = bytes([*range(0x21), 0x3D])
_FOUND = [
    *(
        b"anon",
        b"file",
        b"8:0",
        b"252:16",
        b"(unknown)",
        b"Total",
        b"Read",
        b"Async",
        b"some",
        b"N0",
        b"avg10",
        b"default",
    ),
    *(
        b"total_pgfault",
        b"hugetlb",
        b"mlx5_0",
        b"rwm",
        b"*:*",
        b"a",
        b"\xff\xfe",
        "é".encode(),
        b"x" * 300,
        b"-",
        b"m\x7f",
    ),
]
# No blank, no control character, no equals sign, and no number.
names = (
    st.sampled_from(_FOUND) | st.binary(min_size=1, max_size=6).map(lambda text: text.translate(None, _NO_WORD) or b"k")
).filter(lambda text: not _NUMBER.match(text))
strings = names.filter(lambda text: not _CENTI.match(text))
hundredths = st.integers(0, 10**15 - 1).map(lambda value: (b"%d.%02d" % divmod(value, 100), value / 100))


# ---- how fields and lines are put together ----------------------------------------

_blanks = st.sampled_from([b" ", b" ", b" ", b" ", b"  ", b"\t", b" \t "])
_margins = st.sampled_from([b"", b"", b"", b"", b" ", b"\t"])
_newlines = st.sampled_from([b"\n", b"\n", b"\n", b"\n", b"\n\n", b"\n \n", b" \n", b"\t\n"])


@st.composite
def _line(draw: st.DrawFn, fields: list[bytes]) -> bytes:
    line = draw(_margins)
    for i, field in enumerate(fields):
        line += (draw(_blanks) if i else b"") + field
    return line


@st.composite
def _lines(draw: st.DrawFn, lines: list[list[bytes]]) -> bytes:
    text = draw(st.sampled_from([b"", b"", b"", b"\n"]))
    for fields in lines:
        text += draw(_line(fields)) + draw(_newlines)
    if lines and draw(st.sampled_from([False, False, True])):
        text = text.rstrip(b"\n")
    return text


# ---- one strategy a shape -----------------------------------------------------------


@st.composite
def _value(draw: st.DrawFn) -> Text:
    text, value = draw(numbers)
    return draw(_lines([[text]])), [("", value)]


@st.composite
def _values(draw: st.DrawFn) -> Text:
    lines = draw(st.lists(st.lists(numbers, min_size=1, max_size=4), max_size=6))
    text = draw(_lines([[field for field, _ in line] for line in lines]))
    return text, [("", value) for line in lines for _, value in line]


@st.composite
def _keyed(draw: st.DrawFn) -> Text:
    extras = st.lists(names, max_size=2) | st.just([])
    lines, cells = [], []
    for key, number, further in draw(st.lists(st.tuples(names, st.none() | numbers | numbers, extras), max_size=12)):
        if number is None:
            lines.append([key])
            cells.append((_decode(key), None))
        else:
            lines.append([key, number[0], *further])
            cells.append((_decode(key), number[1]))
    return draw(_lines(lines)), cells


_settings = (numbers | hundredths | st.just((b"", "")) | strings.map(lambda text: (text, _decode(text)))) | strings.map(
    lambda text: (b"a=" + text, "a=" + _decode(text))
)


@st.composite
def _nested(draw: st.DrawFn) -> Text:
    row = st.tuples(names, st.lists(st.tuples(names, _settings), max_size=4))
    lines, cells = [], []
    # Several devices on one line, with and without counters, as torn io.stat files have them.
    for nameless, rows in draw(st.lists(st.tuples(st.booleans(), st.lists(row, min_size=1, max_size=3)), max_size=5)):
        line: list[bytes] = []
        for i, (name, items) in enumerate(rows):
            if i or not nameless:
                line.append(name)
                cells.append((_decode(name), ROW))
            elif items:
                cells.append(("", ROW))
            line += [key + b"=" + text for key, (text, _) in items]
            cells += [(_decode(key), value) for key, (_, value) in items]
        if line:
            lines.append(line)
    return draw(_lines(lines)), cells


@st.composite
def _triples(draw: st.DrawFn) -> Text:
    few = st.sampled_from([b"8:0", b"8:16", b"(unknown)"]) | names
    lines: list[list[bytes]] = []
    cells: Cells = []
    before: object = object()
    for kind, name, key, (number, value) in draw(
        st.lists(st.tuples(st.sampled_from([1, 2, 3, 3, 3, 4]), few, names, numbers), max_size=12)
    ):
        row = b"" if kind == 2 else name
        if kind == 1 or row != before:
            cells.append((_decode(row), ROW))
        before = row
        if kind == 1:
            lines.append([name])
            continue
        lines.append([[key, number], [name, key, number], [name, key, number, b"further"]][kind - 2])
        cells.append((_decode(key), value))
    return draw(_lines(lines)), cells


@st.composite
def _table(draw: st.DrawFn) -> Text:
    field = numbers | strings.map(lambda text: (text, _decode(text))) | st.just((b"1.50", "1.50"))
    lines = draw(st.lists(st.tuples(names | numbers.map(lambda one: one[0]), st.lists(field, max_size=4)), max_size=8))
    cells: Cells = []
    for name, fields in lines:
        cells.append((_decode(name), ROW))
        cells += [("", value) for _, value in fields]
    return draw(_lines([[name, *(text for text, _ in fields)] for name, fields in lines])), cells


@st.composite
def _ranges(draw: st.DrawFn) -> Text:
    node = st.integers(0, 70) | st.integers(0, 65535) | st.just(65535)
    bounds = [sorted(pair) for pair in draw(st.lists(st.tuples(node, node) | node.map(lambda n: (n, n)), max_size=8))]
    items = [
        str(low) if low == high and draw(st.booleans()) else f"{'0' * draw(st.integers(0, 1))}{low}-{high}"
        for low, high in bounds
    ]
    cells = [("", bound) for pair in bounds for bound in pair]
    return draw(_lines([[",".join(items).encode()]] if items else [])), cells


@st.composite
def _words(draw: st.DrawFn) -> Text:
    lines = draw(st.lists(st.lists(names, min_size=1, max_size=5), max_size=4))
    return draw(_lines(lines)), [("", _decode(word)) for line in lines for word in line]


def _of_text(text: bytes) -> Text:
    return text, [("", _decode(text[:-1] if text.endswith(b"\n") else text))]


_VALID: dict[Shape, st.SearchStrategy[Text]] = {
    Shape.VALUE: _value(),
    Shape.VALUES: _values(),
    Shape.KEYED: _keyed(),
    Shape.NESTED: _nested(),
    Shape.TRIPLES: _triples(),
    Shape.TABLE: _table(),
    Shape.RANGES: _ranges(),
    Shape.WORDS: _words(),
    Shape.TEXT: (st.binary(max_size=40) | st.sampled_from([b"domain threaded\n", b"\n", b"\n\n"])).map(_of_text),
}

# Captured files to start from, by name: what a kernel wrote.
_CAPTURED = {
    Shape.VALUE: ("memory.max", "memory.limit_in_bytes", "cpu.weight", "cpu.shares", "pids.max", "cpuacct.usage"),
    Shape.VALUES: ("cpu.max", "cpuacct.usage_percpu", "cgroup.procs", "tasks"),
    Shape.KEYED: ("memory.stat", "cpu.stat", "memory.events", "cgroup.events", "memory.oom_control", "io.weight"),
    Shape.NESTED: ("io.stat", "io.max", "*.pressure", "memory.numa_stat", "rdma.max"),
    Shape.TRIPLES: ("blkio.*",),
    Shape.TABLE: ("devices.list", "cpuacct.usage_all"),
    Shape.RANGES: ("cpuset.cpus", "cpuset.cpus.effective", "cpuset.mems", "cpuset.mems.effective"),
    Shape.WORDS: ("cgroup.controllers", "cgroup.subtree_control"),
    Shape.TEXT: ("cgroup.type", "freezer.state", "cpuset.cpus.partition"),
}


# ---- broken texts ------------------------------------------------------------------

# Mostly bytes that such a file may have there, or hardly any changed text would parse.
_digit = st.sampled_from([b"%d" % digit for digit in range(10)])
_common = st.sampled_from([bytes([byte]) for byte in b"      \t\n\n\n\n\n\n=-,.:maxN"])
_byte = st.one_of(*[_digit] * 5, *[_common] * 2, st.binary(min_size=1, max_size=1))
_operations = st.sampled_from(
    ["insert", "insert", "replace", "replace", "delete", "duplicate", "truncate", "digit", "blank"]
)
_DIGITS = re.compile(rb"[0-9]")
_EDGE = re.compile(rb"(?<![^ \t\n])|(?![^ \t\n])")


def _change(text: bytes, operation: str, where: int, length: int, byte: bytes) -> bytes:
    places = {"digit": _DIGITS, "blank": _EDGE}.get(operation)
    candidates = [found.start() for found in places.finditer(text)] if places else range(len(text) + 1)
    if not candidates:
        return text + byte
    at = candidates[where % len(candidates)]
    if operation == "insert":
        return text[:at] + byte + text[at:]
    if operation == "delete":
        return text[:at] + text[at + length :]
    if operation == "replace":
        return text[:at] + byte + text[at + 1 :]
    if operation == "duplicate":
        return text[: at + length] + text[at:]
    if operation == "digit":
        return text[:at] + b"%d" % (where % 10) + text[at + 1 :]
    if operation == "blank":
        return text[:at] + b" \t\n"[where % 3 :][:1] + text[at:]
    return text[:at]


_changes = st.tuples(_operations, st.integers(0, 1 << 16), st.sampled_from([1, 1, 2, 8]), _byte)


@st.composite
def _mutated(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    text = draw(originals)
    for _ in range(draw(st.sampled_from([1] * 6 + [2, 3]))):
        text = _change(text, *draw(_changes))
    return text


# ---- fixtures ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def both() -> tuple[ModuleType, ModuleType]:
    """The native backend and the Python one, to be held against each other."""
    if native is None:
        pytest.skip("the extension was not built")
    return native, reference


@pytest.fixture(scope="session")
def valid_texts() -> Callable[[Shape], st.SearchStrategy[Text]]:
    """Texts of a shape, each with the cells it has."""
    return _VALID.__getitem__


@pytest.fixture(scope="session")
def captured_texts(fixtures: Path) -> Callable[[Shape], list[bytes]]:
    """Texts of a shape that kernels wrote."""

    def captured(shape: Shape) -> list[bytes]:
        paths = [path for pattern in _CAPTURED[shape] for path in fixtures.rglob(pattern) if path.is_file()]
        return sorted({path.read_bytes() for path in paths})

    return captured


@pytest.fixture(scope="session")
def mutated_texts(captured_texts: Callable[[Shape], list[bytes]]) -> Callable[[Shape], st.SearchStrategy[bytes]]:
    """Valid and captured texts of a shape with a few bytes changed."""

    def mutated(shape: Shape) -> st.SearchStrategy[bytes]:
        assert captured_texts(shape)
        return _mutated(st.sampled_from(captured_texts(shape)) | _VALID[shape].map(lambda one: one[0]))

    return mutated


@pytest.fixture(scope="session")
def mutate() -> Callable[[st.SearchStrategy[bytes]], st.SearchStrategy[bytes]]:
    """The same for texts of the caller's."""
    return _mutated


@pytest.fixture(scope="session")
def outcome() -> Callable[..., Any]:
    """Return the result of a parse for a comparison: cells with their types, since 1 == 1.0, or the failure."""

    def of(function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            result = function(*arguments)
        except Failure as failure:
            return failure.status, failure.offset, failure.excerpt, failure.errno
        return [(key, type(value), value) for key, value in result]

    return of


def _readers() -> Iterator[tuple[str, Reader[Any]]]:
    """Every codec that the parameters, and the rules of the subsystem modules, read with."""
    tables = [
        *Subsystem.parameters(),
        *(value for value in vars(Hugetlb("2MB")).values() if hasattr(value, "_bindings")),
    ]
    pending: list[tuple[str, Any]] = [
        (f"{parameter} v{version}", binding) for parameter in tables for version, binding in parameter._bindings.items()
    ]
    for found in pkgutil.iter_modules(cgroups.parameters.__path__, "cgroups.parameters."):
        pending += [
            (f"{found.name}.{name}", value) for name, value in vars(importlib.import_module(found.name)).items()
        ]
    while pending:
        name, one = pending.pop()
        if isinstance(one, Reader):
            yield name, one
        else:
            inner = (
                vars(one) if hasattr(one, "files") and hasattr(one, "__dict__") and not isinstance(one, type) else {}
            )
            pending += [(name, inner[key]) for key in ("codec", "_file", "whole") if key in inner]
            pending += [(name, binding) for binding in inner.get("bindings", ())]


READERS = {reader: name for name, reader in _readers()}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``reader`` runs once for each codec that reads."""
    if "reader" in metafunc.fixturenames:
        metafunc.parametrize("reader", READERS, ids=[name.replace(" ", "-") for name in READERS.values()])
