"""Feeds: the open files, eventfds and timers that notify one :class:`Events`.

Each feed serves one source for one cgroup: a descriptor that the kernel makes
ready, or a time at which to poll, and the file whose changes it reports.
sources.py chooses the feeds for each source.
"""

from __future__ import annotations

import os
import select
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Union

from ..control.verbs import C_co
from ..core import diagnosis
from ..core.backend import backend
from ..core.errors import from_failure
from ..core.interface import ABSENT, Failure
from ..core.values import Limit, Max

if TYPE_CHECKING:
    from ..control.verbs import BaseCgroup

__all__ = [
    "ENDED",
    "REMOVED",
    "Event",
    "Feed",
    "Number",
    "Origin",
    "SourceGone",
    "grid",
    "open_file",
    "parse",
    "read_text",
]

REMOVED: Final = "removed"
ENDED: Final = "ended"

Origin = Literal["kernel", "sampled"]
Number = Union[Limit, float]


@dataclass(frozen=True, slots=True)
class Event(Generic[C_co]):
    """One changed number, or one occurrence.

    Attributes:
        cgroup: the cgroup of the event; None for the whole system.
        what: the kernel's own key, such as ``populated``, ``oom_kill`` or ``max``; for a threshold ``above``,
            ``below``, ``rate_above`` or ``rate_below``; ``removed`` for the last event of a removed cgroup; ``ended``
            if a file has disappeared while its cgroup exists, because its controller was disabled.
        source: ``kernel`` if the kernel notified of the event, ``sampled`` if polling found the event.
        file: the control file, or the parameter of a threshold; '' for the directory.
        before: the number at the last read; None without a counter or an earlier read.  A rate is per second.
        after: the number now, or None, like ``before``.
        timestamp_ns: CLOCK_MONOTONIC time of the read, in nanoseconds.
    """

    cgroup: C_co | None
    what: str
    source: Origin
    file: str
    before: Number | None
    after: Number | None
    timestamp_ns: int

    @property
    def count(self) -> int | float | None:
        """The increase of the number: for a counter, the number of occurrences."""
        if self.before is None or self.after is None or isinstance(self.before, Max) or isinstance(self.after, Max):
            return None
        return self.after - self.before


class SourceGone(Exception):
    """The exception if the file of a feed is gone, with its cgroup or without."""


class Feed:
    """One source of events: a descriptor to poll, or a value to check on a timer.

    Attributes:
        cgroup: the cgroup; None for the whole system.
        fd: the descriptor that becomes ready, with ``mask``; -1 without one.
        due: CLOCK_MONOTONIC time, in nanoseconds, of the next check; None for never.
        origin: whether the kernel notifies of events, or polling finds them.
        edge_lost_on_poll: whether a poll clears the kernel's readiness state.
    """

    mask: int = select.EPOLLPRI
    origin: Origin = "kernel"
    edge_lost_on_poll = False

    def __init__(self, cgroup: BaseCgroup | None, file: str) -> None:
        self.cgroup = cgroup
        self.file = file
        self.fd = -1
        self.due: int | None = None
        self.files = ExitStack()

    def begin(self, now: int) -> list[Event]:  # noqa: ARG002 - used by feeds with a timer
        """Return the events that hold already.  The caller registers the descriptor first, so no event is lost."""
        return []

    def woken(self, mask: int, now: int) -> list[Event]:  # noqa: ARG002
        """Return the events of a ready descriptor."""
        return []

    def look(self, now: int) -> list[Event]:  # noqa: ARG002
        """Return the events found by a check on the timer."""
        return []

    def final_events(self) -> list[Event]:
        """Return the events that the removal of the cgroup implies, since its files can no longer be read."""
        return []

    def event(self, what: str, before: Number | None = None, after: Number | None = None) -> Event:
        return Event(self.cgroup, what, self.origin, self.file, before, after, monotonic_ns())

    def own(self, fd: int) -> int:
        """Register a descriptor to be closed with the feed."""
        self.files.callback(os.close, fd)
        return fd

    def close(self) -> None:
        self.fd, self.due = -1, None
        self.files.close()


def open_file(cgroup: BaseCgroup, name: str, flags: int = os.O_RDONLY, verb: str = "watch") -> int:
    """Open a control file of this incarnation of the cgroup, and return the descriptor."""
    directory, below = cgroup.locate_for_writing(f"{verb} {name} of {cgroup}")
    try:
        return directory.open(f"{below}/{name}" if below else name, flags | os.O_CLOEXEC)
    except Failure as failure:
        raise diagnosis.explain(failure, cgroup, name, verb) from None


def read_text(fd: int) -> bytes:
    """Return the text of an open file with one read, which also re-arms its notification."""
    try:
        return os.pread(fd, 1 << 16, 0)
    except OSError as error:
        if error.errno in ABSENT:
            raise SourceGone from None
        raise


def parse(shape: int, text: bytes, cgroup: BaseCgroup | None, file: str) -> list[tuple[str, Any]]:
    try:
        cells = backend.parse(shape, text)
    except Failure as failure:
        raise from_failure(failure, f"cannot read {file} of {cgroup or 'the system'}", path=file) from None
    return cells


def grid(now: int, interval: int) -> int:
    """Return the next multiple of an interval, so that feeds of one interval are polled together."""
    return (now // interval + 1) * interval
