"""OOM kills, hits of a memory limit and refused forks, found by comparing the counters of two looks."""

from __future__ import annotations

from typing import Final, NamedTuple

from .history import Look

__all__ = ["KINDS", "Incident", "Incidents"]

KINDS: Final = {
    "oom_kills_total": "OOM kill",
    "limit_hits_total": "memory limit hit",
    "refused_forks_total": "fork refused",
}
"""Counters of a usage, and what a rise means; the most severe first."""

MOST: Final = 1000
"""Number of incidents to keep."""


class Incident(NamedTuple):
    """A rise of one counter of one cgroup, from the first time to the last time that it was seen."""

    first: float
    last: float
    location: str
    kind: str
    times: int

    @property
    def what(self) -> str:
        times = f" ({self.times} times)" if self.times > 1 else ""
        return f"{KINDS[self.kind]} in {self.location}{times}"


class Incidents:
    """The incidents so far.  Rises of one counter in consecutive looks are one incident."""

    def __init__(self) -> None:
        self._all: list[Incident] = []
        self._before: Look | None = None

    def add(self, look: Look) -> None:
        """Add the incidents since the previous look.  The first look only gives the counters to compare with."""
        before, self._before = self._before, look
        if before is None:
            return
        going_on = {(one.location, one.kind): at for at, one in enumerate(self._all) if one.last == before.time}
        for location, usage in look.usages.items():
            old = before.usages.get(location)
            if usage is old:
                continue
            is_new = usage.elapsed is None  # created since the previous look: its counters began at 0
            for kind in KINDS:
                count = getattr(usage, kind)
                then = 0 if is_new else None if old is None else getattr(old, kind)
                rise = 0 if count is None or then is None else count - then
                if rise > 0:
                    self._put(going_on.get((location, kind)), Incident(look.time, look.time, location, kind, rise))
        del self._all[:-MOST]

    def _put(self, at: int | None, new: Incident) -> None:
        if at is None:
            self._all.append(new)
        else:
            one = self._all[at]
            self._all[at] = one._replace(last=new.last, times=one.times + new.times)

    def until(self, time: float, location: str | None = None) -> list[Incident]:
        """Return the incidents up to a time, of one cgroup or of all, the oldest first."""
        return [one for one in self._all if one.first <= time and location in (None, one.location)]

    def latest(self, time: float) -> list[Incident]:
        """Return the last incident of each kind up to a time, the most severe kind first."""
        last = {one.kind: one for one in self.until(time)}
        return [last[kind] for kind in KINDS if kind in last]
