"""What is printed: tables, trees and JSON.

On a terminal rich draws it.  In a pipe it is plain lines that are never cut,
wrapped or coloured, for other programs to read.  Whatever comes from the
system is printed with its control characters escaped.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ..converter import compact
from ..errors import AccessDenied, CgroupGone
from ..hierarchy import Cgroup
from .values import Data, Name

__all__ = ["as_json", "iec", "on_terminal", "printable", "show", "table", "tree", "values"]

UNCUT = 1 << 20
"""A width that no line reaches."""


def on_terminal() -> bool:
    """Whether a person reads it."""
    return sys.stdout is not None and sys.stdout.isatty()


def printable(text: str) -> str:
    """A text without control characters, nor bytes that are not UTF-8: these as ``\\n`` and ``\\xff``."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def show(what: str | RenderableType) -> None:
    """Prints lines, or what rich draws.  All output goes through here."""
    if not isinstance(what, str):
        what = _drawn(what)
    print(what, end="" if what.endswith("\n") or not what else "\n")


def _drawn(what: RenderableType) -> str:
    """What rich draws, as text: captured, since at a broken pipe rich ends the program with a code of its own."""
    plain: dict[str, Any] = {} if on_terminal() else {"width": UNCUT, "color_system": None, "force_terminal": False}
    console = Console(file=sys.stdout, highlight=False, emoji=False, markup=False, **plain)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str | RenderableType:
    """A table with a heading; in a pipe its columns are aligned, and the last is as long as it is."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if on_terminal():
        drawn = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            drawn.add_column(column, overflow="fold")
        for row in cells:
            drawn.add_row(*map(Text, row))
        return drawn
    lines = [[column.upper() for column in columns], *cells]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "".join("  ".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in lines)


def as_json(data: Any) -> str:
    """JSON, indented.  Integers are exact, whatever their size."""
    return json.dumps(data, indent=2)


# ---- trees ---------------------------------------------------------------------------


def tree(root: Cgroup, label: str, depth: int | None) -> Tree:
    """The cgroups below one, ``depth`` levels of them; what vanishes meanwhile is left out."""
    top = Tree(Text(printable(label), style="bold"))
    # A loop: a tree of cgroups may be deeper than Python recurses.
    waiting = [(root, top, 0)]
    while waiting:
        cgroup, branch, level = waiting.pop()
        if depth is not None and level >= depth:
            continue
        try:
            children = cgroup.children()
        except CgroupGone:
            continue
        except AccessDenied:
            if cgroup is root:
                raise
            branch.add(Text("(permission denied)", style="dim"))
            continue
        waiting += [(child, branch.add(Text(printable(child.name))), level + 1) for child in children]
    return top


# ---- values ----------------------------------------------------------------------------


class _Line(NamedTuple):
    """One value: its name, its text, its unit, and its size where it is one of bytes."""

    name: str
    text: str
    unit: str
    size: str


def values(found: Iterable[tuple[Name, Data]]) -> str | RenderableType:
    """Parameters and what they read, one value a line, each under the name that ``get`` takes."""
    lines = [line for name, data in found for line in _lines(name, data)]
    if not on_terminal():
        return "".join(f"{line.name} {line.text}".rstrip() + "\n" for line in lines)
    return table(
        ("parameter", "value", "unit"),
        [(line.name, f"{line.text} ({line.size})" if line.size else line.text, line.unit) for line in lines],
    )


def _lines(name: Name, data: Data) -> Iterator[_Line]:
    if isinstance(data, dict) and data:
        for key, one in data.items():
            yield from _lines(name.at(key), one)
    elif data is not None:
        unit = _unit(name)
        whole = isinstance(data, int) and not isinstance(data, bool)
        size = iec(int(str(data))) if whole and unit.startswith("bytes") else ""
        yield _Line(printable(str(name)), printable(_text(data, unit)), unit, size)


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


# The unit of one key where it is another than the parameter's: of `UNIT KEY`, the first that matches.
_UNITS_OF_KEYS: tuple[tuple[str, str], ...] = (
    (r"bytes (total_)?(pg|thp_|workingset_|zswp|swpin|swpout|numa_)", "count"),
    (r"\S+ nr_", "count"),
    (r"\S+ \w+_usec$", "us"),
    (r"percent total$", "us"),
    (r"device table \w+_bytes$|device table [rwd]bytes$", "bytes"),
    (r"device table [rw]bps$", "bytes/s"),
    (r"device table [rwd]ios$", "count"),
    (r"device table [rw]iops$", "1/s"),
    (r"device table ", ""),
)


def _unit(name: Name) -> str:
    unit = name.parameter.unit
    if name.keys:
        for pattern, other in _UNITS_OF_KEYS:
            if re.match(pattern, f"{unit} {name.keys[-1]}"):
                return other
    return unit


def iec(size: int) -> str:
    """``1.5 GiB``; nothing where the bytes say it as well."""
    power = min((abs(size).bit_length() - 1) // 10, 6) if size else 0
    return f"{size / (1 << 10 * power):.1f} {'KMGTPE'[power - 1]}iB" if power > 0 else ""
