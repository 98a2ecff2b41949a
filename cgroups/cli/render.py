"""What is printed: tables, trees and JSON.

On a terminal rich draws it.  In a pipe it is plain lines that are never cut,
wrapped or coloured, for other programs to read.  Whatever comes from the
system is printed with its control characters escaped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ..converter import compact
from ..errors import printable, visible
from ..hierarchy import Cgroup
from ..subsystem.parameter import Parameter
from ..values import MAX
from .activity import Usage
from .facts import Node
from .values import Data, Name, access, plain

__all__ = [
    "as_json",
    "duration",
    "on_terminal",
    "parameters",
    "printable",
    "show",
    "size",
    "table",
    "tree",
    "usages",
    "usages_as_json",
    "usages_as_text",
    "values",
]

UNCUT = 1 << 20
"""A width that no line reaches."""


def on_terminal() -> bool:
    """Whether a person reads it."""
    return sys.stdout is not None and sys.stdout.isatty()


def show(text: str) -> None:
    """Prints lines.  All output goes through here."""
    print(text, end="" if text.endswith("\n") or not text else "\n")


def _drawn(what: RenderableType, *, plain: bool = False, at_least: int = 0) -> str:
    """What rich draws, as text: captured, since at a broken pipe rich ends the program with a code of its own."""
    uncut: dict[str, Any] = {"width": UNCUT, "color_system": None, "force_terminal": False} if plain else {}
    console = Console(file=sys.stdout, highlight=False, emoji=False, markup=False, **uncut)
    console.width = max(console.width, at_least)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


NARROW = 12
"""A column that wraps is not made narrower: below that the terminal may wrap the whole line."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a heading.  On a terminal all but the first column wrap; in a pipe the last is as long as it is."""
    lines = [[column.upper() for column in columns], *([printable(cell) for cell in row] for row in rows)]
    if not on_terminal():
        return _aligned(lines)
    first, *others = [max(map(len, column)) for column in zip(*lines)]
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(lines[0]):
        drawn.add_column(title, overflow="fold", no_wrap=number == 0, min_width=first if number == 0 else None)
    for row in lines[1:]:
        drawn.add_row(*map(Text, row))
    return _drawn(drawn, at_least=first + sum(2 + min(width, NARROW) for width in others))


def _aligned(lines: Sequence[Sequence[str]], *, numbers: int = 0) -> str:
    """Columns, of which the first few are numbers, to the right."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    sides = [str.rjust if number < numbers else str.ljust for number in range(len(widths))]
    return "".join(
        "  ".join(side(cell, width) for side, cell, width in zip(sides, line, widths)).rstrip() + "\n" for line in lines
    )


def as_json(data: Any, indent: int | None = 2) -> str:
    """Return JSON, on one line without an indent.  Integers are exact; bytes that are not UTF-8 are ``\\xff``."""
    return json.dumps(_visible(data), indent=indent)


def _visible(data: Any) -> Any:
    # JSON has no lone surrogates, which is how Python has such bytes.
    match data:
        case str():
            return visible(data)
        case dict():
            return {visible(key): _visible(value) for key, value in data.items()}
        case list() | tuple():
            return [_visible(value) for value in data]
        case _:
            return data


# ---- trees ---------------------------------------------------------------------------


_COLUMNS = ("PROCS", "MEMORY", "CPU", "PIDS", "CGROUP")


def tree(nodes: Iterable[Node]) -> str:
    """Trees, as the nodes come; what each uses stands before it, where no name is too long for it."""
    lines: list[Sequence[str]] = [_COLUMNS]
    tops: list[Tree] = []
    # From the top to the last node.
    way: list[Tree] = []
    for node in nodes:
        del way[node.depth :]
        label = Text(printable(node.cgroup.name if way else _top(node.cgroup)))
        way.append(way[-1].add(label) if way else Tree(label))
        if node.depth == 0:
            tops += way
        counts = [_or_dash(node.processes, str), _or_dash(node.memory, size), _or_dash(node.cpu_ns, duration)]
        lines.append((*counts, _or_dash(node.pids, str), ""))
        if node.denied:
            way[-1].add("(permission denied)")
            lines.append(("", "", "", "", ""))
    drawn = [line for top in tops for line in _drawn(top, plain=True).splitlines()]
    return _aligned([_COLUMNS, *((*line[:-1], name) for line, name in zip(lines[1:], drawn))], numbers=4)


def _top(cgroup: Cgroup) -> str:
    return f"{cgroup}  v{cgroup.version}, {cgroup.hierarchy.mount_point}"


def _or_dash(number: int | None, shown: Callable[[int], str]) -> str:
    return "-" if number is None else shown(number)


# ---- values ----------------------------------------------------------------------------


class _Line(NamedTuple):
    """One value: its name, its text, its unit, and the number as people say it, where that is another."""

    name: str
    text: str
    unit: str
    human: str


def values(found: Iterable[tuple[Name, Data]], *, short: bool = False) -> str:
    """Parameters and what they read, one value a line, each under the name that ``get`` takes.

    ``short``: on a terminal, of a list of processes how many there are, and the first few.
    """
    lines = [line for name, data in found for line in _lines(name, data)]
    if not on_terminal():
        return "".join(f"{line.name} {line.text}".rstrip() + "\n" for line in lines)
    if short:
        lines = [line._replace(text=_few(line.text)) if line.unit in _TASKS else line for line in lines]
    return table(
        ("parameter", "value", "unit"),
        [(line.name, f"{line.text} ({line.human})" if line.human else line.text, line.unit) for line in lines],
    )


_TASKS = ("process ids", "thread ids")
FEW = 5


def _few(text: str) -> str:
    words = text.split()
    return f"{len(words)}: {' '.join(words[:FEW])} …" if len(words) > FEW else text


def _lines(name: Name, data: Data) -> Iterator[_Line]:
    if isinstance(data, dict) and data:
        for key, one in data.items():
            yield from _lines(name.at(key), one)
    elif data is not None:
        unit = name.quantity.unit
        yield _Line(printable(str(name)), printable(_text(data, unit)), unit, _human(data, unit))


_RANGES = ("cpus", "nodes")
"""Units whose lists are written as ranges."""


def _text(data: Data, unit: str) -> str:
    match data:
        case bool():
            return str(data).lower()
        case list() if unit in _RANGES:
            return compact(data)
        case list():
            words = [str(one) for one in data]
            return (", " if any(" " in word for word in words) else " ").join(words)
        case dict():
            return ""
        case _:
            return str(data)


def _human(data: Data, unit: str) -> str:
    if isinstance(data, bool) or not isinstance(data, int):
        return ""
    if unit == "bytes" and abs(data) >= KIB:
        return size(data)
    nanoseconds = data * NANOSECONDS.get(unit, 0)
    return duration(nanoseconds) if nanoseconds >= SECOND else ""


KIB = 1024
SECOND = 1_000_000_000
NANOSECONDS = {"ns": 1, "us": 1000}


def size(number: int) -> str:
    """Bytes as people say them: ``512 B``, ``1.5 GiB``."""
    power = min((abs(number).bit_length() - 1) // 10, 6) if number else 0
    return f"{number / (1 << 10 * power):.1f} {'KMGTPE'[power - 1]}iB" if power > 0 else f"{number} B"


def duration(nanoseconds: int) -> str:
    """A time as people say it: ``0.12s``, ``3m05s``, ``7h00m``, ``2d13h``."""
    hundredths = nanoseconds // (SECOND // 100)
    minutes, seconds = divmod(hundredths // 100, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}.{hundredths % 100:02}s"


# ---- parameters ------------------------------------------------------------------------


def parameters(found: Iterable[Parameter]) -> str:
    """What there is to know of parameters: in a pipe a line each, on a terminal a paragraph each."""
    rows = [
        (str(one), ",".join(access(one)) or "-", one.unit or "-", _files(one, 1), _files(one, 2), one.doc)
        for one in found
    ]
    if not on_terminal():
        return table(("parameter", "access", "unit", "v1", "v2", "what it is"), rows)
    return _drawn(Group(*(part for row in rows for part in _paragraph(*row))))


def _files(parameter: Parameter, version: int) -> str:
    return ",".join(parameter.files(version)) or "-"


def _paragraph(name: str, ways: str, unit: str, v1: str, v2: str, doc: str) -> tuple[RenderableType, ...]:
    head = Text.assemble((name, "bold"), f"  {ways}  {unit}")
    return head, Padding(Text(f"{doc}\nv1 {v1}  v2 {v2}"), (0, 0, 0, 4))


# ---- what cgroups use ------------------------------------------------------------------------


_USAGE: tuple[tuple[str, Callable[[Usage], str]], ...] = (
    ("CPU", lambda one: _figure(one.cpu, "{:.2f}".format)),
    ("THROTTLED", lambda one: _figure(one.throttled, "{:.0%}".format)),
    ("MEMORY", lambda one: _figure(one.memory, size)),
    ("WORKING", lambda one: _figure(one.working_set, size)),
    ("LIMIT", lambda one: "max" if one.limit is MAX else _figure(one.limit, size)),
    ("READ/S", lambda one: _figure(one.read_bytes, _rate)),
    ("WRITE/S", lambda one: _figure(one.write_bytes, _rate)),
    ("PIDS", lambda one: _figure(one.pids, str)),
    ("CPU PSI", lambda one: _figure(one.cpu_pressure, "{:.0%}".format)),
    ("MEM PSI", lambda one: _figure(one.memory_pressure, "{:.0%}".format)),
    ("IO PSI", lambda one: _figure(one.io_pressure, "{:.0%}".format)),
    ("CGROUP", lambda one: printable(one.name)),
)


def _figure(number: Any, shown: Callable[[Any], str]) -> str:
    return "-" if number is None else shown(number)


def _rate(number: float) -> str:
    return size(round(number))


_DISPENSABLE = ("WORKING", "THROTTLED", "IO PSI", "CPU PSI", "LIMIT", "MEM PSI", "PIDS", "WRITE/S", "READ/S")
"""Columns that a narrow terminal does without, in this order."""
NAME = 24
"""How wide the name is at least."""


def usages(found: Sequence[Usage], width: int, height: int) -> RenderableType:
    """A table of what cgroups use, as wide and as high as a terminal."""
    lines = [[cell(one) for _, cell in _USAGE] for one in found[: max(height - 2, 1)]]
    columns = {title: [title, *(line[at] for line in lines)] for at, (title, _) in enumerate(_USAGE)}
    name = columns.pop(_USAGE[-1][0])
    for title in _DISPENSABLE:
        if sum(2 + max(map(len, column)) for column in columns.values()) + NAME > width:
            del columns[title]
    drawn = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for title in columns:
        drawn.add_column(title, justify="right", no_wrap=True)
    drawn.add_column(name[0], no_wrap=True, overflow="ellipsis", ratio=1)
    for row in list(zip(*columns.values(), name))[1:]:
        drawn.add_row(*map(Text, row))
    return drawn


def usages_as_text(found: Iterable[Usage]) -> str:
    """The same as plain lines."""
    titles = [title.replace(" ", "-") for title, _ in _USAGE]
    return _aligned([titles, *([cell(one) for _, cell in _USAGE] for one in found)], numbers=len(_USAGE) - 1)


def usages_as_json(found: Iterable[Usage], look: int) -> str:
    """A line of JSON for each, with the number of the look."""
    lines = ({"look": look, **one._asdict(), "limit": plain(one.limit)} for one in found)
    return "".join(as_json(line, indent=None) + "\n" for line in lines)
