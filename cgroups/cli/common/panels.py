"""The panels of a chart: what to draw of a recording, in readable units.  This module draws nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import chain, islice, pairwise
from typing import Final, NamedTuple, Union

from ...core.errors import InvalidValue
from .replay import vitals_of
from .rows import Table
from .scales import Scale, is_counter, scale_of
from .values import named
from .vitals import VITALS

__all__ = ["Line", "Panel", "busiest", "lines_of", "panels_of", "thinned"]

MOST: Final = 6
"""Number of raw columns that are drawn if none is named."""
FEW: Final = 12
"""A file of more raw columns is drawn as vitals: nobody has chosen the columns."""

PARTS: Final = 600
"""Parts of a long line, each about two pixels wide."""
FEW_POINTS: Final = 3
"""Points of a part that are drawn as they are."""

Line = list[tuple[float, Union[float, None]]]
"""Points: a time in seconds and a number, None for a gap."""

MEMORY: Final = ("memory", "memory.usage_in_bytes", "memory.current")
"""Columns whose panels show the limit and the OOM kills."""
BESIDE: Final = ("limit", "oom_kills")
"""Vitals that the panel of the memory shows."""


class Panel(NamedTuple):
    """One panel of a chart.

    Attributes:
        title: the column.
        heading: its name, and the unit of the numbers.
        lines: the points of each cgroup, in that unit.
        limits: the points of each cgroup's limit.
        kills: for each cgroup the points at which the OOM killer killed.
        is_plain: whether the numbers have no unit of their own, and may need a prefix such as k.
    """

    title: str
    heading: str
    lines: dict[str, Line]
    limits: dict[str, Line]
    kills: dict[str, Line]
    is_plain: bool


def panels_of(table: Table, names: Sequence[str] = ()) -> list[Panel]:
    """Return the panels of a recording.

    Args:
        table: the content of a file.
        names: the columns to draw: vitals, columns of the file, or parameters.  By default all vitals that are not
            always 0; of a file with few raw columns, the first of them that change.

    Raises:
        InvalidValue: the file has no such column.
    """
    source = _Source(table)
    if names:
        return [source.panel(title) for name in names for title in source.named(name)]
    if source.is_raw and len(table.titles) <= FEW:
        return [source.panel(title) for title in _changing(table)]
    panels = [source.panel(title) for title in source.vitals if title not in BESIDE]
    busy = [one for one in panels if any(_numbers(one.lines))]
    if busy or not source.is_raw:
        return busy or [one for one in panels if [*_numbers(one.lines)]] or panels[:1]
    return [source.panel(title) for title in _changing(table)]


def _changing(table: Table) -> list[str]:
    moving = (title for title in table.titles if any(map(_moves, lines_of(table, title).values())))
    return [*islice(moving, MOST)] or table.titles[:MOST]


class _Source:
    """The columns of a file, and its vitals, which are computed if the file has raw numbers."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.is_raw = not any(title in VITALS for title in table.titles)

    @cached_property
    def _vitals(self) -> Table:
        return vitals_of(self._table) if self.is_raw else self._table

    @property
    def vitals(self) -> list[str]:
        """The vitals of the file, in their order: a .jsonl file lacks those that no line has."""
        return [title for title in VITALS if title in self._vitals.titles]

    def named(self, name: str) -> list[str]:
        """Return the columns of a name; raise InvalidValue for an unknown name."""
        if name in self._table.titles or name in self._known():
            return [name]
        found = _of_parameter(self._table.titles, name)
        if not found:
            message = f"unknown column {name!r}"
            columns = dict.fromkeys((*self._known(), *self._table.titles))
            raise InvalidValue(message, hint=f"the file has {', '.join(columns)}")
        return found

    def _known(self) -> list[str]:
        """Return the vitals that have a number."""
        columns = zip(*(numbers for _, _, numbers in self._vitals.rows))
        found = zip(self._vitals.titles, columns)
        return [title for title, numbers in found if title in VITALS and any(one is not None for one in numbers)]

    def panel(self, title: str) -> Panel:
        """Return the panel of a column."""
        lines = lines_of(self._vitals if title in VITALS else self._table, title)
        limits: dict[str, Line] = {}
        kills: dict[str, Line] = {}
        if title in MEMORY:
            every = self._beside("limit")
            limits = {cgroup: line for cgroup, line in every.items() if any(y is not None for _, y in line)}
            kills = _kills(self._beside("oom_kills"), lines)
        scale = scale_of(title, max(map(abs, chain(_numbers(lines), _numbers(limits))), default=0))
        name = VITALS[title].heading if title in VITALS else title
        return Panel(
            title,
            f"{name} ({scale.unit})" if scale.unit else name,
            _scaled(lines, scale),
            _scaled(limits, scale),
            _scaled(kills, scale),
            scale.is_plain,
        )

    def _beside(self, title: str) -> dict[str, Line]:
        return lines_of(self._vitals, title) if title in self._vitals.titles else {}


def _of_parameter(titles: Iterable[str], name: str) -> list[str]:
    """Return the columns of a parameter such as ``memory.pressure``, or of some of its keys."""
    try:
        parameter, _, keys = named(name)
    except InvalidValue:
        return []
    found = []
    for title in titles:
        with suppress(InvalidValue):
            one = named(title)
            if one.parameter == parameter and one.keys[: len(keys)] == keys:
                found.append(title)
    return found


# ---- lines -------------------------------------------------------------------------------


def lines_of(table: Table, title: str) -> dict[str, Line]:
    """Return the points of each cgroup; for a counter, its rise per second."""
    at = table.titles.index(title)
    lines: dict[str, Line] = {}
    for time, cgroup, numbers in table.rows:
        lines.setdefault(cgroup, []).append((time, numbers[at]))
    return {cgroup: _rates(line) for cgroup, line in lines.items()} if is_counter(title) else lines


def _rates(line: Line) -> Line:
    """Return the rise per second; a gap if the counter fell: it was reset, or is another cgroup's."""
    return [
        (then, (y - x) / (then - before) if x is not None and y is not None and y >= x else None)
        for (before, x), (then, y) in pairwise(line)
        if then > before
    ]


def _kills(counts: dict[str, Line], memory: dict[str, Line]) -> dict[str, Line]:
    """Return the points at which processes were killed, at the height that the memory had reached."""
    found: dict[str, Line] = {}
    for cgroup, line in counts.items():
        used = memory.get(cgroup, [])
        heights = {x: max(before or 0, y or 0) for (_, before), (x, y) in pairwise([*used[:1], *used])}
        points: Line = [(x, heights.get(x, 0)) for x, count in line if count]
        if points:
            found[cgroup] = points
    return found


def _moves(line: Line) -> bool:
    return len({y for _, y in line if y is not None}) > 1


def _numbers(lines: dict[str, Line]) -> Iterator[float]:
    return (y for line in lines.values() for _, y in line if y is not None)


def _scaled(lines: dict[str, Line], scale: Scale) -> dict[str, Line]:
    factor = scale.factor
    return {cgroup: [(x, None if y is None else y * factor) for x, y in line] for cgroup, line in lines.items()}


def thinned(line: Line) -> Line:
    """Return at most a few points for each part of a long line: its extremes, and a gap if it has one."""
    size = -(-len(line) // PARTS)
    if size <= FEW_POINTS:
        return line
    found: Line = []
    for part in (line[at : at + size] for at in range(0, len(line), size)):
        known = [(y, x) for x, y in part if y is not None]
        kept = {(x, y) for y, x in (min(known), max(known))} if known else set()
        gaps = [(x, y) for x, y in part if y is None][:1]
        found += sorted((*kept, *gaps), key=lambda point: point[0])
    return found


def busiest(panels: Sequence[Panel], most: int) -> list[str]:
    """Return the cgroups to name, in the order of the file: the busiest if they are more than ``most``.

    A cgroup is as busy as in the panel where its mean has the greatest share of the panel's highest mean.
    """
    busyness: dict[str, float] = {}
    for panel in panels:
        means = {cgroup: _mean(line) for cgroup, line in panel.lines.items()}
        highest = max(means.values(), default=0) or 1
        for cgroup, mean in means.items():
            busyness[cgroup] = max(busyness.get(cgroup, 0), mean / highest)
    named = set(sorted(busyness, key=lambda one: -busyness[one])[:most])
    return [cgroup for cgroup in busyness if cgroup in named]


def _mean(line: Line) -> float:
    numbers = [y for _, y in line if y is not None]
    return sum(numbers) / len(numbers) if numbers else 0
