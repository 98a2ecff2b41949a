"""Compute the vitals of a recording of raw numbers, as if the vitals had been recorded."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from errno import ENOENT
from typing import Any

from ...core.errors import InvalidValue
from ...core.interface import Cell, FrameLayout
from ...core.seconds import NS_PER_S
from ...observe.columns import Column
from ...observe.frames import Frame, Index, joined
from ...observe.rates import rates
from .rows import Table
from .values import named
from .vitals import VITALS

__all__ = ["vitals_of"]

MOST = 2**63
"""The numbers of a frame are less."""


def vitals_of(table: Table) -> Table:
    """Return the vitals of each row of a recording of raw numbers; those of missing columns are None.

    Such a file has no inodes: a cgroup that was created again is known by its counters, which fell.
    """
    columns = {at: column for at, title in enumerate(table.titles) if (column := _column(title)) is not None}
    index = Index((), tuple({one.parameter: None for one in columns.values()}), tuple(columns.values()), frozenset)
    series: dict[str, tuple[Index, Frame]] = {}
    rows: list[tuple[float, str, list[float | None]]] = []
    for time, cgroup, numbers in table.rows:
        own, before = series.get(cgroup, (None, None))
        label: Any = cgroup  # it stands for the cgroup, which may be gone
        own = own or index.of((label,))
        frame = _frame(time, cgroup, [numbers[at] for at in columns], tuple(columns.values()), own)
        if before is None or before.timestamp_ns < frame.timestamp_ns:
            series[cgroup] = own, frame
        if before is not None and before.timestamp_ns < frame.timestamp_ns:
            (rate,) = rates(before, frame).values()
            rows.append((time, cgroup, [vital.of(rate) for vital in VITALS.values()]))
    return Table(list(VITALS), rows, table.missing)


def _column(title: str) -> Column | None:
    """Return the column of a title of a file; None if this version has no such parameter."""
    try:
        name = named(title)
    except InvalidValue:
        return None
    parameter: Any = name.parameter
    key = name.keys if len(name.keys) > 1 else next(iter(name.keys), None)
    return Column(parameter, key, name.quantity.unit, 1, name.quantity.counter)


def _frame(
    time: float, cgroup: Any, numbers: Sequence[float | None], columns: tuple[Column, ...], index: Index
) -> Frame:
    """Return a frame of one row.  A missing number is that of a missing file: no figure may take it as 0."""
    taken = round(time * NS_PER_S)
    known = [number is not None and abs(number) < MOST for number in numbers]
    memory = joined(
        taken,
        0,
        values=array("q", (int(one or 0) if is_known else 0 for one, is_known in zip(numbers, known))).tobytes(),
        inodes=bytes(8),
        times=array("q", [taken]).tobytes(),
        errors=array("i", (0 if is_known else ENOENT for is_known in known)).tobytes(),
        statuses=bytes(Cell.OK if is_known else Cell.ABSENT for is_known in known),
    )
    return Frame(memory, FrameLayout(1, len(columns)), (cgroup,), columns, index)
