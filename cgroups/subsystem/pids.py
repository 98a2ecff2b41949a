"""Pids: how many processes and threads there may be.  Source: cgroup-v1/pids.rst, cgroup-v2.rst (PID)."""

from __future__ import annotations

from typing import ClassVar, final

from ..values import Stat
from .binding import File
from .codecs import LimitCodec, count, stat_of
from .parameter import keyed, read_write, readable

PIDS_MAX = 1 << 22
_max = LimitCodec(0, PIDS_MAX)


class PidsEvents(Stat[int]):
    """pids.events: how often a fork failed for the limit (from Linux 6.12 on v2, for this cgroup's own)."""

    __slots__ = ()
    max: int | None


_events = stat_of(PidsEvents)


@final
class Pids:
    """Pids: how many processes and threads there may be."""

    CONTROLLER: ClassVar = "pids"

    max = read_write(File("pids.max", _max), File("pids.max", _max), "count", "the limit, up to 4194304, or MAX")
    current = readable(File("pids.current", count), File("pids.current", count), "count", "how many there are")
    peak = readable(
        File("pids.peak", count),
        File("pids.peak", count),
        "count",
        "the most that there ever were, a refused fork included",
    )
    events = keyed(
        File("pids.events", _events),
        File("pids.events", _events),
        "count",
        "how often a fork was refused, descendants included",
        counter=True,
    )
    events_local = keyed(
        File("pids.events.local", _events),
        File("pids.events.local", _events),
        "count",
        "the same of this cgroup alone (from Linux 6.12)",
        counter=True,
    )
