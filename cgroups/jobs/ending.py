"""Determine the cause of a command's end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .measure import oom_kills

if TYPE_CHECKING:
    from ..core.node import Node
    from ..guard import Guard
    from .job import Job

__all__ = ["GUARD", "OOM", "OOMD", "SIGKILL", "SIGNAL", "TIMEOUT", "ended_by"]

OOM, OOMD, TIMEOUT, GUARD, SIGNAL = "oom", "systemd-oomd", "timeout", "guard", "signal"
"""Causes of a command's end, other than its own exit."""


def ended_by(job: Job, returncode: int, *, timed_out: bool, guards: Sequence[Guard]) -> str | None:
    """Return the cause of a command's end; None for its own exit.  An OOM kill takes precedence over its signal."""
    if timed_out:
        return TIMEOUT
    if returncode >= 0:
        return None
    memory = job.cgroup_of("memory")
    if -returncode == SIGKILL and memory is not None and oom_kills(memory):
        return OOM
    if any(guard.fired is not None and -returncode in guard.signals for guard in guards):
        return GUARD
    # Only a parent that is the job's own scope counts: the mark of another parent may be older than the job.
    marked = [*job.cgroups, *(job.placement.parents if job.placement.keeper is not None else ())]
    if -returncode == SIGKILL and any(map(_is_oomd_killed, marked)):
        return OOMD
    return SIGNAL


SIGKILL: Final = 9


def _is_oomd_killed(cgroup: Node) -> bool:
    """Return whether systemd-oomd has killed the processes of a cgroup.  An attribute records such a kill."""
    try:
        return int(os.getxattr(cgroup.path or "", "user.oomd_kill")) > 0
    except (OSError, ValueError):
        return False
