"""Numbers that OpenTelemetry expects, and that follow from others: from two numbers, or from two scrapes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ..core.seconds import NS_PER_S
from .reader import Readings
from .subtrees import Points

__all__ = ["DERIVED", "NEEDS"]


def _values(readings: Readings | None, number: str) -> Mapping[str, float]:
    points = () if readings is None else readings.points.get(number, ())
    return {cgroup: value for one in points for cgroup, value in zip(one.cgroups, one.values)}


def _points(found: Iterator[tuple[str, float]]) -> Points:
    values = dict(found)
    return Points({}, [*values], [*values.values()])


def _busy_cpus(now: Readings, before: Readings | None) -> Points:
    """Return the CPUs that each cgroup kept busy since the last scrape; none if its counter was reset."""
    if before is None:
        return Points({}, [], [])
    seconds = (now.time_ns - before.time_ns) / NS_PER_S
    earlier, born = _values(before, "cpu.usage"), _values(before, "start_time")
    is_same = {cgroup for cgroup, start in _values(now, "start_time").items() if born.get(cgroup) == start}
    return _points(
        (cgroup, (value - earlier[cgroup]) / seconds)
        for cgroup, value in _values(now, "cpu.usage").items()
        if cgroup in is_same and value >= earlier.get(cgroup, value + 1)
    )


def _available(now: Readings, _: Readings | None) -> Points:
    """Return the memory that each cgroup may still use; none without a limit."""
    used = _values(now, "memory.working_set")
    limits = _values(now, "memory.effective_limit").items()
    return _points((cgroup, max(limit - used[cgroup], 0)) for cgroup, limit in limits if cgroup in used)


def _uptime(now: Readings, _: Readings | None) -> Points:
    """Return the age of each cgroup in seconds."""
    clock = time.time()
    return _points((cgroup, max(clock - start, 0)) for cgroup, start in _values(now, "start_time").items())


DERIVED: Final[Mapping[str, Callable[[Readings, Readings | None], Points]]] = {
    "derived.busy_cpus": _busy_cpus,
    "derived.available": _available,
    "derived.uptime": _uptime,
}
"""By number, the function of the current readings and of those before."""

NEEDS: Final = ("cpu.usage", "memory.working_set", "memory.effective_limit")
"""The numbers that these functions use."""
