"""Wait until cgroups have no processes."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from .. import diagnosis
from .._interface import Failure, Shape
from ..deadline import Deadline
from ..errors import CgroupGone, ParameterNotSupported
from .members import members
from .processes import Tops, held, names, refuse_captured, room, some_pids

if TYPE_CHECKING:
    from ..hierarchy import Cgroup

LOOK_AGAIN: Final = 1.0
"""Seconds after which the processes of v1 are listed again: one of them may have been moved away."""

CALM_LOOKS: Final = 3
"""How often nothing is to be found while processes of the machine come and go."""

POLLIN, POLLPRI = 1, 2


def is_populated(tops: Tops, tried: str, deadline: Deadline | None) -> bool:
    """Return whether a process is inside; of v2 also one that has no number here, or is exiting."""
    return any(is_live(top) if top.version == 2 else bool(some_inside([top], tried, deadline, 1)) for top in tops)  # noqa: PLR2004


def some_inside(tops: Tops, tried: str, deadline: Deadline | None, most: int) -> list[int]:
    """Return some of the processes of v1.

    A visit misses what is moved meanwhile, and a look at /proc what forks and exits meanwhile: only
    where neither has found anything, and several times where /proc was in motion, there is nothing.
    """
    for _ in range(CALM_LOOKS):
        if found := some_pids(tops, tried, deadline, most):
            return found
        look = members(tops, tried, deadline)
        if look.pids or look.is_whole:
            return sorted(look.pids)[:most]
    return []


def is_live(top: Cgroup) -> bool:
    """Return whether the kernel counts a process in a cgroup of v2 or below it.

    Not its list: a process that is exiting may not be in the list, or be 0 there, and still keeps
    the cgroup from being removed.
    """
    try:
        return dict(top.read_cells("cgroup.events", Shape.KEYED)).get("populated") == 1
    except CgroupGone:
        return False
    except ParameterNotSupported:  # the root, which has no such file
        return bool(top.read_cells("cgroup.procs", Shape.VALUES, listing=True)) or any(map(is_live, top.children()))


def wait_empty(tops: Tops, timeout: float | None = None) -> None:
    """Wait until no process is inside."""
    deadline = Deadline(timeout)
    tried = f"cannot wait until {names(tops)} is empty"
    refuse_captured(tops, tried)
    while is_populated(tops, tried, deadline):
        deadline.check(f"{names(tops)} did not become empty", tops, "signal or kill what is inside")
        wait_some(tops, tried, deadline)


def wait_some(tops: Tops, tried: str, deadline: Deadline) -> None:
    """Wait until something has exited, or it is time to look again."""
    for top in tops:
        if top.version == 2:  # noqa: PLR2004 - the version
            _wait_unpopulated(top, deadline)
        else:
            wait_exits(some_inside([top], tried, deadline, room()), deadline)


def _wait_unpopulated(top: Cgroup, deadline: Deadline) -> None:
    """Wait until cgroup.events says that v2 has no process in it or below."""
    try:
        with events_of(top) as (fd, poll):
            # Read after it is watched, or the last change might be one that nobody was told of.
            while b"populated 1" in os.pread(fd, 4096, 0):
                poll.poll(deadline.milliseconds)
                if deadline.is_over:  # also after an event: whoever freezes and thaws it makes them all the time
                    return
    except ParameterNotSupported:  # the root, which has no such file
        deadline.pause()
    except (CgroupGone, OSError) as error:
        if not isinstance(error, CgroupGone) and error.errno != errno.ENODEV:
            raise


@contextmanager
def events_of(cgroup: Cgroup) -> Iterator[tuple[int, select.poll]]:
    """Open cgroup.events of v2, with a poll that tells when it changes."""
    directory, below = cgroup.place()
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
    """Wait until processes have exited; no longer than one of them may take to be moved away."""
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
