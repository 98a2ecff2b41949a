"""Looks: observations of a running job that complement the kernel's counters."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..core.errors import CgroupError
from ..core.interface import Version
from ..parameters import Memory, Parameters

if TYPE_CHECKING:
    from .job import Job

__all__ = ["Looks"]

SHORTEST_NS: Final = 10_000_000
LONGEST_NS: Final = 100_000_000
PART: Final = 10
"""Divisor of the time so far, for the pause between two looks.  A short command gets no look."""

_ANON: Final = ("anon", "total_rss")
_SHMEM: Final = ("shmem", "total_shmem")
"""The keys of memory.stat, of v2 and of v1, for memory that cannot be reclaimed without swap."""


class Looks:
    """Periodic reads of a job's memory cgroup.

    Attributes:
        anon_peak: the greatest observed sum of anonymous memory and shmem, in bytes; None before the first look.
    """

    def __init__(self, job: Job, *, is_group: bool, now_ns: int) -> None:
        self._cgroup = job.cgroup_of("memory")
        self._ends_all = is_group and self._cgroup is not None and self._cgroup.version == Version.V1
        self._began_ns = now_ns
        self.due_ns: int | None = None if self._cgroup is None else now_ns + SHORTEST_NS
        self.anon_peak: int | None = None

    def look(self, now_ns: int) -> bool:
        """Read the cgroup; return whether an OOM kill requires the whole job to be killed.

        The kill replaces memory.oom.group on version 1, which lacks this file.
        """
        self.due_ns = now_ns + min(max((now_ns - self._began_ns) // PART, SHORTEST_NS), LONGEST_NS)
        with suppress(CgroupError):
            self._note()
            return self._ends_all and self._has_oom_kill()
        return False

    def _note(self) -> None:
        assert self._cgroup is not None
        stat = Parameters.get(Memory.stat, self._cgroup)
        parts = [next((stat[key] for key in keys if key in stat), 0) for keys in (_ANON, _SHMEM)]
        self.anon_peak = max(self.anon_peak or 0, sum(parts))

    def _has_oom_kill(self) -> bool:
        assert self._cgroup is not None
        return bool(Parameters.get(Memory.oom_control, self._cgroup).oom_kill)
