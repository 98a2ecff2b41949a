"""Find the processes of a cgroup of v1 by what /proc says of each process.

A visit of a subtree misses a process if the owner of the subtree renames cgroups,
or moves processes to where the visit has been.  /proc/PID/cgroup names the cgroup that
a process is in now, whatever its cgroup was called before.  v2 needs no such look: its
cgroups cannot be renamed, and the kernel counts who is inside.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from .._interface import encode_name
from ..core.pidfd import send_signal
from ..errors import CgroupError
from .processes import Tops, held

if TYPE_CHECKING:
    from ..deadline import Deadline
    from ..hierarchy import Cgroup

__all__ = ["kill_members", "members"]

SIGKILL: Final = 9


def members(tops: Tops, tried: str, deadline: Deadline | None) -> Iterator[int]:
    """Yield the processes inside cgroups of v1, the caller left out, as /proc tells; no zombies.

    Nothing if /proc is of another pid namespace, where the numbers are those of other processes.

    Raises:
        CgroupTimeout: the deadline is over.
    """
    tops = [top for top in tops if top.version == 1]
    if not tops or not _is_own_proc():
        return
    for entry in os.listdir("/proc"):
        if not entry.isdecimal() or int(entry) == os.getpid():
            continue
        if deadline is not None:
            deadline.check_round(tried, tops)
        if any(_is_inside(int(entry), top) for top in tops):
            yield int(entry)


def kill_members(tops: Tops, tried: str, deadline: Deadline) -> set[int]:
    """Kill what :func:`members` finds; return the processes."""
    found = set()
    for pid in members(tops, tried, deadline):
        with held([pid]) as fds:
            # Looked at again: the number may have gone to another process before it was held.
            if pid in fds and any(_is_inside(pid, top) for top in tops):
                found.add(pid)
                with suppress(ProcessLookupError, PermissionError):  # what is left in the end is named
                    send_signal(pid, fds[pid], SIGKILL)
    return found


def _is_own_proc() -> bool:
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def _is_inside(pid: int, top: Cgroup) -> bool:
    if top.version != 1:
        return False
    try:
        with open(f"/proc/{pid}/cgroup", "rb") as file:
            # Most are told apart without making their cgroups.
            if encode_name(top.name) not in file.read():
                return False
        cgroups = top.hierarchy.host.process_info(pid)
    except (OSError, CgroupError):  # it has exited, or has a path that is too long for /proc
        return False
    location = top.location.rstrip("/")
    inside = any(
        one.hierarchy == top.hierarchy and (one.location == top.location or one.location.startswith(f"{location}/"))
        for one in cgroups
    )
    return inside and not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):
        return True
