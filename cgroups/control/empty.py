"""Wait until cgroups have no processes."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ..core import diagnosis
from ..core.deadline import Deadline
from ..core.errors import CgroupGone, ParameterNotSupported
from ..core.interface import Failure, Shape, Version
from .members import members
from .processes import Tops, held, names, refuse_captured, room, some_pids

if TYPE_CHECKING:
    from ..core.node import Node

LOOK_AGAIN: Final = 1.0
"""Seconds after which the processes of v1 are listed again: a process may have been moved away."""

CALM_LOOKS: Final = 3
"""Times that a scan must find nothing while processes of the machine fork and exit."""

POLLIN, POLLPRI = 1, 2


def is_populated(tops: Tops, tried: str, deadline: Deadline | None) -> bool:
    """Return whether a process is inside.  On v2 exiting processes and processes without a pid here count."""
    return any(
        is_live(top) if top.version == Version.V2 else bool(some_inside([top], tried, deadline, 1)) for top in tops
    )


def some_inside(tops: Tops, tried: str, deadline: Deadline | None, most: int) -> list[int]:
    """Return up to ``most`` processes of v1.

    A visit of the subtree misses processes that are moved meanwhile; a scan of /proc misses those
    that fork or exit meanwhile.  So the result is empty only if visit and scan find nothing.
    If /proc changed during the scan, visit and scan are repeated.
    """
    for _ in range(CALM_LOOKS):
        if found := some_pids(tops, tried, deadline, most):
            return found
        look = members(tops, tried, deadline)
        if look.pids or look.is_whole:
            return sorted(look.pids)[:most]
    return []


def is_live(top: Node) -> bool:
    """Return whether the kernel counts a process in a cgroup of v2 or below it.

    The list of processes is not enough: an exiting process may be missing there, or appear as 0,
    and still keeps the cgroup from being removed.
    """
    try:
        return dict(top.read_cells("cgroup.events", Shape.KEYED)).get("populated") == 1
    except CgroupGone:
        return False
    except ParameterNotSupported:  # the root has no cgroup.events
        return bool(top.read_cells("cgroup.procs", Shape.VALUES, listing=True)) or any(map(is_live, top.children()))


def wait_empty(tops: Tops, timeout: float | None = None) -> None:
    """Wait until no process is inside."""
    deadline = Deadline(timeout)
    tried = f"cannot wait until {names(tops)} is empty"
    refuse_captured(tops, tried)
    while is_populated(tops, tried, deadline):
        deadline.check(f"{names(tops)} did not become empty", tops, "signal or kill the processes in it")
        wait_some(tops, tried, deadline)


def wait_some(tops: Tops, tried: str, deadline: Deadline) -> None:
    """Wait until a process has exited, or until it is time to list the processes again."""
    for top in tops:
        if top.version == Version.V2:
            _wait_unpopulated(top, deadline)
        else:
            wait_exits(some_inside([top], tried, deadline, room()), deadline)


def _wait_unpopulated(top: Node, deadline: Deadline) -> None:
    """Wait until cgroup.events reports that no process is in a v2 cgroup or below it."""
    try:
        with events_of(top) as (fd, poll):
            # Read after poll() is armed; otherwise the last change could go unnoticed.
            while b"populated 1" in os.pread(fd, 4096, 0):
                poll.poll(deadline.milliseconds)
                if deadline.is_over:  # also after an event, since freezing and thawing cause many
                    return
    except ParameterNotSupported:  # the root has no cgroup.events
        deadline.pause()
    except (CgroupGone, OSError) as error:
        if not isinstance(error, CgroupGone) and error.errno != errno.ENODEV:
            raise


@contextmanager
def events_of(cgroup: Node) -> Iterator[tuple[int, select.poll]]:
    """Open cgroup.events of a v2 cgroup, with a poll object that wakes when the file changes."""
    directory, below = cgroup.locate()
    try:
        fd = directory.open(f"{below}/cgroup.events" if below else "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    except Failure as failure:
        raise diagnosis.explain(failure, cgroup, "cgroup.events", "read") from None
    try:
        poll = _poll([fd], POLLPRI)
        yield fd, poll
    finally:
        os.close(fd)


def wait_exits(pids: Iterable[int], deadline: Deadline) -> None:
    """Wait until the processes have exited, at most LOOK_AGAIN seconds: a process may be moved away."""
    again = Deadline(deadline.left(LOOK_AGAIN))
    with held(pids, all_of_them=False) as fds:
        left = set(fds.values())
        if -1 in left:
            deadline.pause()
            return
        poll = _poll(left, POLLIN)
        while left and not again.is_over:
            for fd, _ in poll.poll(again.milliseconds):
                poll.unregister(fd)
                left.discard(fd)


def _poll(fds: Iterable[int], what: int) -> select.poll:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, what)
    return poll
