"""Find the processes of a v1 cgroup through the /proc entry of each process.

A visit of a subtree misses a process if the owner of the subtree renames cgroups, or
moves the process to a cgroup already visited.  /proc/PID/cgroup names the current
cgroup of a process, even after a rename.  v2 needs no such scan: its cgroups cannot be
renamed, and the kernel counts the processes inside.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from ..core.errors import CgroupError
from ..core.interface import Version, encode_name
from ..core.pidfd import send_signal
from .processes import Tops, held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.deadline import Deadline
    from ..core.node import Node

__all__ = ["Look", "kill_members", "members"]

SIGKILL: Final = 9

OWN_LINKS: Final = 2
"""Number of links of the directory /proc/PID/task that do not belong to threads."""

EXITED: Final = (FileNotFoundError, ProcessLookupError)


class Look(NamedTuple):
    """The result of a scan of all processes of the machine.

    Attributes:
        pids: the processes inside.
        is_whole: whether no process exited between the listing of /proc and its inspection.  A process that
            forks and exits all the time has another pid in each scan.
    """

    pids: set[int]
    is_whole: bool


def members(tops: Tops, tried: str, deadline: Deadline | None) -> Look:
    """Return the processes inside v1 cgroups according to /proc, without the caller and without zombies.

    The result is empty if /proc belongs to another pid namespace, whose pids mean other processes.

    Raises:
        CgroupTimeout: the deadline has passed.
    """
    tops = [top for top in tops if top.version == Version.V1]
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
    """Kill the processes that :func:`members` finds."""
    look = members(tops, tried, deadline)
    for pid in look.pids:
        with held([pid]) as fds, suppress(*EXITED, PermissionError):  # the caller reports the processes that remain
            # Checked again: the pid may have been reused before the pidfd was opened.
            if pid in fds and _is_inside(pid, tops):
                send_signal(pid, fds[pid], SIGKILL)
    return look


def _is_own_proc() -> bool:
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def _is_inside(pid: int, tops: Sequence[Node]) -> bool:
    """Return whether any thread of a process is inside.  The main thread may be elsewhere, or have exited first.

    Raises:
        FileNotFoundError: the process has exited.
        ProcessLookupError: the process has exited.
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


def _is_thread_inside(tid: int, tops: Sequence[Node]) -> bool:
    with open(f"/proc/{tid}/cgroup", "rb") as file:
        text = file.read()
    # A cheap test first: it rules out most threads without building their cgroups.
    return any(encode_name(top.name) in text and _is_below(tid, top) for top in tops) and not _is_zombie(tid)


def _is_below(tid: int, top: Node) -> bool:
    try:
        cgroups = top.hierarchy.host.process_info(tid)
    except (OSError, CgroupError):  # the thread has exited, or its path is too long for /proc
        return False
    location = top.location.rstrip("/")
    return any(
        one.hierarchy == top.hierarchy and (one.location == top.location or one.location.startswith(f"{location}/"))
        for one in cgroups
    )


def _is_zombie(tid: int) -> bool:
    with open(f"/proc/{tid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"], [])
