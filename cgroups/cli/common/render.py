"""Print tables, trees and JSON.

On a terminal rich draws the output.  In a pipe the output is plain lines for
other programs, never cut, wrapped or coloured.  Control characters in text
from the system are escaped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ...core.errors import printable, visible
from ...core.range_codecs import compact
from ...core.seconds import NS_PER_S
from ...hierarchy import Cgroup
from ...parameters.kinds import Parameter
from .facts import Node
from .values import Data, Name, access

__all__ = [
    "aligned",
    "as_json",
    "duration",
    "in_words",
    "on_terminal",
    "parameters",
    "printable",
    "show",
    "size",
    "table",
    "tree",
    "values",
    "values_of_several",
]

UNCUT = 1 << 20
"""A width that no line reaches."""


def on_terminal() -> bool:
    """Return whether the output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def show(text: str) -> None:
    """Print lines.  All output of the commands goes through this function."""
    print(text, end="" if text.endswith("\n") or not text else "\n")


def _drawn(what: RenderableType, *, plain: bool = False, at_least: int = 0) -> str:
    """Return rich's drawing as text.  If rich itself printed, a broken pipe would exit with rich's own exit code."""
    uncut: dict[str, Any] = {"width": UNCUT, "color_system": None, "force_terminal": False} if plain else {}
    console = Console(file=sys.stdout, highlight=False, emoji=False, markup=False, **uncut)
    console.width = max(console.width, at_least)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


NARROW = 12
"""The smallest width of a column that wraps.  If the terminal has less room, whole lines may wrap."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with a header.  On a terminal all columns but the first wrap; in a pipe no column wraps."""
    lines = [[column.upper() for column in columns], *([printable(cell) for cell in row] for row in rows)]
    if not on_terminal():
        return aligned(lines)
    first, *others = [max(map(len, column)) for column in zip(*lines)]
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(lines[0]):
        drawn.add_column(title, overflow="fold", no_wrap=number == 0, min_width=first if number == 0 else None)
    for row in lines[1:]:
        drawn.add_row(*map(Text, row))
    return _drawn(drawn, at_least=first + sum(2 + min(width, NARROW) for width in others))


def aligned(lines: Sequence[Sequence[str]], *, numbers: int = 0) -> str:
    """Return aligned columns.  The first ``numbers`` columns are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    sides = [str.rjust if number < numbers else str.ljust for number in range(len(widths))]
    return "".join(
        "  ".join(side(cell, width) for side, cell, width in zip(sides, line, widths)).rstrip() + "\n" for line in lines
    )


def as_json(data: Any, indent: int | None = 2) -> str:
    """Return JSON, on one line if ``indent`` is None.  Integers are exact; a byte that is not UTF-8 is ``\\xff``."""
    return json.dumps(_visible(data), indent=indent)


def _visible(data: Any) -> Any:
    # JSON has no lone surrogates, which are Python's form of bytes that are not UTF-8.
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
    """Return trees, in the order of the nodes.  The usage comes before the name, which may be long."""
    lines: list[Sequence[str]] = [_COLUMNS]
    tops: list[Tree] = []
    # The branch from the top to the last node.
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
    return aligned([_COLUMNS, *((*line[:-1], name) for line, name in zip(lines[1:], drawn))], numbers=4)


def _top(cgroup: Cgroup) -> str:
    return f"{cgroup}  v{cgroup.version}, {cgroup.hierarchy.mount_point}"


def _or_dash(number: int | None, shown: Callable[[int], str]) -> str:
    return "-" if number is None else shown(number)


# ---- values ----------------------------------------------------------------------------


class _Line(NamedTuple):
    """One value: its name, text and unit, and a readable form of the number if this form differs."""

    name: str
    text: str
    unit: str
    human: str


def values(found: Iterable[tuple[Name, Data]], *, short: bool = False) -> str:
    """Return parameters and their values, one value per line, with names that ``get`` accepts.

    Args:
        found: the parameters and their data.
        short: whether to shorten a list of processes on a terminal to its length and the first few.
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


def values_of_several(found: Mapping[str, Iterable[tuple[Name, Data]]], *, short: bool = False) -> str:
    """Return the values of several cgroups, with SPECs as the first words of lines in a pipe, or as headings."""
    parts: list[str] = []
    for label, of_one in found.items():
        text = values(of_one, short=short)
        if on_terminal():
            parts.append(f"{printable(label)}\n{text}\n")
        else:
            parts += (f"{printable(label)} {line}\n" for line in text.splitlines())
    return "".join(parts)


def in_words(name: Name, data: Data) -> str:
    """Return the value of a parameter as a part of a sentence: ``64.0 MiB``, or ``quota 50000, period 100000``."""
    lines = [*_lines(name, data)]
    if not isinstance(data, dict):
        return ", ".join(line.human or line.text for line in lines) or "empty"
    return ", ".join(f"{line.name.rpartition('[')[2].rstrip(']')} {line.human or line.text}" for line in lines)


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
"""Units whose lists have the form of ranges."""


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
    return duration(nanoseconds) if nanoseconds >= NS_PER_S else ""


KIB = 1024
NANOSECONDS = {"ns": 1, "us": 1000}


def size(number: int) -> str:
    """Return bytes in a readable form, such as ``512 B`` or ``1.5 GiB``."""
    power = min((abs(number).bit_length() - 1) // 10, 6) if number else 0
    return f"{number / (1 << 10 * power):.1f} {'KMGTPE'[power - 1]}iB" if power > 0 else f"{number} B"


def duration(nanoseconds: int) -> str:
    """Return a time in a readable form, such as ``0.12s``, ``3m05s``, ``7h00m`` or ``2d13h``."""
    hundredths = nanoseconds // (NS_PER_S // 100)
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
    """Return the description of parameters: one line per parameter in a pipe, one paragraph on a terminal."""
    rows = [
        (str(one), ",".join(access(one)) or "-", one.unit or "-", _files(one, 1), _files(one, 2), one.doc)
        for one in found
    ]
    if not on_terminal():
        return table(("parameter", "access", "unit", "v1", "v2", "description"), rows)
    return _drawn(Group(*(part for row in rows for part in _paragraph(*row))))


def _files(parameter: Parameter, version: int) -> str:
    return ",".join(parameter.files(version)) or "-"


def _paragraph(name: str, ways: str, unit: str, v1: str, v2: str, doc: str) -> tuple[RenderableType, ...]:
    head = Text.assemble((name, "bold"), f"  {ways}  {unit}")
    return head, Padding(Text(f"{doc}\nv1 {v1}  v2 {v2}"), (0, 0, 0, 4))
