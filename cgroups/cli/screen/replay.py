"""Looks from a file that ``cgroups record`` wrote, with vitals or with raw numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from ...core.errors import InvalidValue
from ...core.name_matches import name_at
from ..common import tables
from ..common.activity import CgroupUsage, add_growth, tightest_limits
from ..common.replay import vitals_of
from ..common.rows import Table
from ..common.vitals import VITALS
from .history import Look, look_of

__all__ = ["Recording", "read"]


class Recording(NamedTuple):
    """A recording.

    Attributes:
        looks: the looks, at times in seconds since the first row.
        interval: the typical time between two looks, in seconds.
        missing: the lost parts of the file; None if it is complete.
    """

    looks: list[Look]
    interval: float
    missing: str | None


def read(path: str) -> Recording:
    """Return the recording in a file.

    Raises:
        InvalidValue: the file has no figure of a cgroup.
    """
    table = tables.read(path)
    # Vitals have rates from the first row on; of raw numbers, a cgroup's first row is only compared with the second.
    before: dict[str, float] = {}
    start = table.rows[0][0] if table.rows else 0.0
    if not {*table.titles} & {*VITALS}:
        before = {label: seconds for seconds, label, _ in reversed(table.rows)}
        table = vitals_of(table)
    looks = [*_looks(table, start, before)]
    if not looks:
        message = f"cannot replay {path}: it has no cgroup with two readings of usage"
        raise InvalidValue(message, path=path, hint="record without -p, or with cpuacct.usage or memory.usage_in_bytes")
    steps = [after.time - before.time for before, after in pairwise(looks)]
    return Recording(looks, median(steps) if steps else 1.0, table.missing)


def _looks(table: Table, start: float, last: dict[str, float]) -> Iterator[Look]:
    """Yield the looks.  A look ends before a cgroup's next row.

    Args:
        table: rows of vitals.
        start: the time of the first row of the file.
        last: the time of each cgroup's row before the first one of the table.
    """
    places = {name: at for at, name in enumerate(table.titles) if name in CgroupUsage._fields}
    kills_at = table.titles.index("oom_kills") if "oom_kills" in table.titles else None
    kills: Counter[str] = Counter()
    memory: dict[str, int] = {}
    read: set[str] = set()
    found: dict[str, dict[str, Any]] = {}
    time = 0.0
    for seconds, label, numbers in table.rows:
        if label in read:
            if found:
                yield look_of(time, _usages(found, memory))
            read, found = set(), {}
        read.add(label)
        time = seconds - start
        figures = {name: _whole(name, value) for name, at in places.items() if (value := numbers[at]) is not None}
        if kills_at is not None and numbers[kills_at] is not None:
            kills[label] += int(numbers[kills_at] or 0)
            figures["oom_kills_total"] = kills[label]
        if figures:
            # A row of raw numbers is that of one hierarchy.
            location = label if label.startswith("/") else label.partition(":")[2]
            elapsed = seconds - last[label] if label in last else None
            found[location] = {**figures, **found.get(location, {}), "time": time, "elapsed": elapsed}
        last[label] = seconds
    if found:
        yield look_of(time, _usages(found, memory))


def _whole(name: str, value: float) -> float:
    return int(value) if VITALS[name].is_whole else value


def _usages(found: dict[str, dict[str, Any]], memory: dict[str, int]) -> Iterator[CgroupUsage]:
    """Yield the usages of a look.

    Args:
        found: the recorded figures by location.
        memory: the memory by location in the previous look; it becomes that of this look.
    """
    add_growth(found, memory)
    memory.clear()
    memory.update({location: figures["memory"] for location, figures in found.items() if "memory" in figures})
    _add_limits(found)
    for location, figures in found.items():
        yield CgroupUsage(location=location, name=name_at(location), **figures)


def _add_limits(found: dict[str, dict[str, Any]]) -> None:
    """Add the tightest limit among each cgroup and its ancestors in the recording."""
    tightest = tightest_limits({location: figures.get("limit") for location, figures in found.items()})
    for location, (limit, holder) in tightest.items():
        if holder:
            found[location] |= {"effective_limit": limit, "limited_by": holder}
