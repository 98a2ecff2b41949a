"""Pids: the number of processes and threads.  Source: cgroup-v1/pids.rst, cgroup-v2.rst (PID)."""

from __future__ import annotations

from typing import ClassVar, final

from ..core.values import Stat
from .bindings import File
from .formats import count, stat_of
from .kinds import keyed, read_write, readable
from .limit_formats import LimitCodec

PIDS_MAX = 1 << 22
_max = LimitCodec(0, PIDS_MAX)


class PidsEvents(Stat[int]):
    """pids.events: forks refused by the limit (from Linux 6.12, on v2, only by this cgroup's own limit)."""

    __slots__ = ()
    max: int | None


_events = stat_of(PidsEvents)


@final
class Pids:
    """Pids: the number of processes and threads."""

    CONTROLLER: ClassVar = "pids"

    max = read_write(
        File("pids.max", _max), File("pids.max", _max), "count", "the limit, up to 4194304, or MAX", holds_below=True
    )
    current = readable(
        File("pids.current", count), File("pids.current", count), "count", "number of processes and threads"
    )
    peak = readable(
        File("pids.peak", count),
        File("pids.peak", count),
        "count",
        "the peak of current, including a refused fork",
    )
    events = keyed(
        File("pids.events", _events),
        File("pids.events", _events),
        "count",
        "number of refused forks, descendants included",
        counter=True,
    )
    events_local = keyed(
        File("pids.events.local", _events),
        File("pids.events.local", _events),
        "count",
        "number of refused forks, descendants excluded (from Linux 6.12)",
        counter=True,
    )
