"""Find the processes of a cgroup of v1 by what /proc says of each process.

A visit of a subtree misses a process if the owner of the subtree renames cgroups,
or moves processes to where the visit has been.  /proc/PID/cgroup names the cgroup that
a process is in now, whatever its cgroup was called before.  v2 needs no such look: its
cgroups cannot be renamed, and the kernel counts who is inside.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from .._interface import encode_name
from ..core.pidfd import send_signal
from ..errors import CgroupError
from .processes import Tops, held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..deadline import Deadline
    from ..hierarchy import Cgroup

__all__ = ["Look", "kill_members", "members"]

SIGKILL: Final = 9

OWN_LINKS: Final = 2
"""Links of a process's directory task besides those of its threads."""

EXITED: Final = (FileNotFoundError, ProcessLookupError)


class Look(NamedTuple):
    """The result of a look at every process of the machine.

    Attributes:
        pids: the processes inside.
        is_whole: no process exited between the listing of /proc and the look at it.  A process that forks
            and exits all the time has another number at each look.
    """

    pids: set[int]
    is_whole: bool


def members(tops: Tops, tried: str, deadline: Deadline | None) -> Look:
    """Find the processes inside cgroups of v1, the caller left out, as /proc tells; no zombies.

    None are found if /proc is of another pid namespace, where the numbers are those of other processes.

    Raises:
        CgroupTimeout: the deadline is over.
    """
    tops = [top for top in tops if top.version == 1]
    found: set[int] = set()
    if not tops or not _is_own_proc():
        return Look(found, is_whole=True)
    is_whole = True
    for entry in os.listdir("/proc"):
        if not entry.isdecimal() or int(entry) == os.getpid():
            continue
        if deadline is not None:
            deadline.check_round(tried, tops)
        try:
            if _is_inside(int(entry), tops):
                found.add(int(entry))
        except EXITED:
            is_whole = False
    return Look(found, is_whole)


def kill_members(tops: Tops, tried: str, deadline: Deadline) -> Look:
    """Kill what :func:`members` finds."""
    look = members(tops, tried, deadline)
    for pid in look.pids:
        with held([pid]) as fds, suppress(*EXITED, PermissionError):  # what is left in the end is named
            # Looked at again: the number may have gone to another process before it was held.
            if pid in fds and _is_inside(pid, tops):
                send_signal(pid, fds[pid], SIGKILL)
    return look


def _is_own_proc() -> bool:
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def _is_inside(pid: int, tops: Sequence[Cgroup]) -> bool:
    """Return whether one of its threads is inside.  The first may be elsewhere, or have exited before the others.

    Raises:
        FileNotFoundError: the process has exited; or ProcessLookupError.
    """
    if _is_thread_inside(pid, tops):
        return True
    tasks = f"/proc/{pid}/task"
    if os.stat(tasks).st_nlink <= OWN_LINKS + 1:
        return False
    for entry in os.listdir(tasks):
        with suppress(*EXITED):
            if int(entry) != pid and _is_thread_inside(int(entry), tops):
                return True
    return False


def _is_thread_inside(tid: int, tops: Sequence[Cgroup]) -> bool:
    with open(f"/proc/{tid}/cgroup", "rb") as file:
        text = file.read()
    # Most are told apart without making their cgroups.
    return any(encode_name(top.name) in text and _is_below(tid, top) for top in tops) and not _is_zombie(tid)


def _is_below(tid: int, top: Cgroup) -> bool:
    try:
        cgroups = top.hierarchy.host.process_info(tid)
    except (OSError, CgroupError):  # it has exited, or has a path that is too long for /proc
        return False
    location = top.location.rstrip("/")
    return any(
        one.hierarchy == top.hierarchy and (one.location == top.location or one.location.startswith(f"{location}/"))
        for one in cgroups
    )


def _is_zombie(tid: int) -> bool:
    with open(f"/proc/{tid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"], [])
