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
from .processes import Inside, Tops, held, listed, names, refuse_captured, room

if TYPE_CHECKING:
    from ..hierarchy import Cgroup


LOOK_AGAIN: Final = 1.0
"""Seconds after which the processes of v1 are listed again: one of them may have been moved away."""


POLLIN, POLLPRI = 1, 2


def is_populated(tops: Tops) -> bool:
    """Whether something is inside; of v2 also what has no number here."""
    return any(is_live(top) if top.version == 2 else bool(Inside(top.walk()).pids) for top in tops)  # noqa: PLR2004


def is_live(top: Cgroup) -> bool:
    try:
        return dict(top.read_cells("cgroup.events", Shape.KEYED)).get("populated") == 1
    except CgroupGone:
        return False
    except ParameterNotSupported:  # the root, which has no such file
        return bool(listed(top)) or any(map(is_live, top.children()))


def wait_empty(tops: Tops, timeout: float | None = None) -> None:
    """Waits until no process is inside."""
    deadline = Deadline(timeout)
    refuse_captured(tops, f"cannot wait until {names(tops)} is empty")
    while is_populated(tops):
        deadline.check(f"{names(tops)} did not become empty", tops, "signal or kill what is inside")
        wait_some(tops, deadline)


def wait_some(tops: Tops, deadline: Deadline) -> None:
    """Waits until something has ended, or it is time to look again."""
    for top in tops:
        if top.version == 2:  # noqa: PLR2004 - the version
            _wait_unpopulated(top, deadline)
        else:
            _wait_processes(top, deadline)


def _wait_unpopulated(top: Cgroup, deadline: Deadline) -> None:
    """Until cgroup.events says that v2 has no process in it or below."""
    try:
        with events_of(top) as (fd, poll):
            # Read after it is watched, or the last change might be one that nobody was told of.
            while b"populated 1" in os.pread(fd, 4096, 0):
                if not poll.poll(deadline.milliseconds) and deadline.is_over:
                    return
    except ParameterNotSupported:  # the root, which has no such file
        deadline.pause()
    except (CgroupGone, OSError) as error:
        if not isinstance(error, CgroupGone) and error.errno != errno.ENODEV:
            raise


@contextmanager
def events_of(cgroup: Cgroup) -> Iterator[tuple[int, select.poll]]:
    """cgroup.events of v2, open, and a poll that tells when it changes."""
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


def _wait_processes(top: Cgroup, deadline: Deadline) -> None:
    """Until some processes of v1 have ended; no longer than one of them may take to be moved away."""
    again = Deadline(deadline.left(LOOK_AGAIN))
    with held(Inside(top.walk()).pids[: room()]) as fds:
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
