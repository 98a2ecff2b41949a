"""Feeds of counter files, and of the notifications of v1: eventfd(2) and cgroup.event_control."""

from __future__ import annotations

import errno
import os
import select
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from ..core import diagnosis
from ..core.errors import CgroupOSError, from_errno
from ..core.eventfd import create_eventfd, read_eventfd
from ..core.interface import Failure, Shape, Status
from ..core.pidfd import DENIED
from ..core.seconds import NS_PER_S
from .feeds import Event, Feed, grid, open_file, parse, read_text

if TYPE_CHECKING:
    from ..control.verbs import BaseCgroup

__all__ = ["CounterFeed", "EventfdFeed", "LevelFeed", "OomFeed"]


class CounterFeed(Feed):
    """The counters of a file such as memory.events: one event for each counter that has changed.

    If the kernel does not notify of changes to a file, the feed polls the file every ``interval``
    nanoseconds.  A notification from a newer kernel still wakes the feed.
    """

    def __init__(self, cgroup: BaseCgroup, file: str, keys: frozenset[str] | None = None, interval: int = 0) -> None:
        super().__init__(cgroup, file)
        self._keys = keys
        self._interval = interval
        if interval:
            self.origin = "sampled"
        self._last: dict[str, int] = {}
        self.fd = self.own(open_file(cgroup, file))

    def begin(self, now: int) -> list[Event]:
        self._last = self._read()
        if self._interval:
            self.due = grid(now, self._interval)
        return []

    def woken(self, mask: int, now: int) -> list[Event]:  # noqa: ARG002
        now_counted, before = self._read(), self._last
        self._last = now_counted
        return [
            self.event(key, before.get(key, 0), value)
            for key, value in now_counted.items()
            if value != before.get(key, 0)
        ]

    def look(self, now: int) -> list[Event]:
        self.due = grid(now, self._interval)
        return self.woken(0, now)

    def final_events(self) -> list[Event]:
        # A cgroup can only be removed when it is empty, so "populated 0" is implied.
        return [self.event("populated", 1, 0)] if self._last.get("populated") else []

    def _read(self) -> dict[str, int]:
        cells = parse(Shape.KEYED, read_text(self.fd), self.cgroup, self.file)
        return {key: value for key, value in cells if self._keys is None or key in self._keys}


class EventfdFeed(Feed, ABC):
    """A notification of v1 through an eventfd: Documentation/admin-guide/cgroup-v1/memory.rst, 9 to 11."""

    mask = select.EPOLLIN

    def __init__(self, cgroup: BaseCgroup, file: str, arguments: str = "") -> None:
        super().__init__(cgroup, file)
        try:
            self.control = self.own(open_file(cgroup, file))
            self.fd = self.own(self._open_eventfd(cgroup))
            self._register(cgroup, arguments)
        except BaseException:
            self.close()
            raise

    def _open_eventfd(self, cgroup: BaseCgroup) -> int:
        try:
            return create_eventfd()
        except OSError as error:
            if error.errno not in DENIED:
                raise
            hint = "a seccomp filter denies eventfd2(2), which v1 needs to notify"
            tried = f"cannot watch {self.file} of {cgroup}"
            raise from_errno(error.errno or 0, tried, hint=hint, kind=CgroupOSError) from None

    def _register(self, cgroup: BaseCgroup, arguments: str) -> None:
        text = f"{self.fd} {self.control} {arguments}".encode()
        control = open_file(cgroup, "cgroup.event_control", os.O_WRONLY)
        try:
            os.write(control, text)
        except OSError as error:
            failure = Failure(Status.OS, error.errno or errno.EIO)
            raise diagnosis.explain(failure, cgroup, self.file, "watch") from None
        finally:
            os.close(control)

    def woken(self, mask: int, now: int) -> list[Event]:  # noqa: ARG002
        signals = read_eventfd(self.fd)
        try:
            read_text(self.control)  # raises SourceGone if the cgroup was removed, which the kernel signals too
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: the file exists, but cannot be read
                raise
        return self.signalled(signals, now) if signals else []

    @abstractmethod
    def signalled(self, signals: int, now: int) -> list[Event]:
        """Return the events for a number of signals."""


class OomFeed(EventfdFeed):
    """Out of memory on v1: ``oom`` when the kernel signals it, and later ``oom_kill`` when it has killed a process.

    The kernel signals the same OOM many times; the feed reports the OOM once.
    """

    FIRST: Final = 1_000_000
    LONGEST: Final = 100_000_000
    SETTLE: Final = NS_PER_S

    def __init__(self, cgroup: BaseCgroup) -> None:
        super().__init__(cgroup, "memory.oom_control")
        self._kills = 0
        self._told = self._pause = 0
        self._killed = False

    def begin(self, now: int) -> list[Event]:  # noqa: ARG002
        self._kills, _ = self._read()
        return []

    def signalled(self, signals: int, now: int) -> list[Event]:  # noqa: ARG002 - many signals are one OOM
        self._told = now
        begun = [] if self.due is not None else [self.event("oom")]
        if begun:
            self._killed = False
        self._pause = self.FIRST
        return begun + self.look(now)

    def look(self, now: int) -> list[Event]:
        """Poll with exponential back-off until a kill is seen and the signals stop, for at most one second."""
        kills, under_oom = self._read()
        found = [self.event("oom_kill", self._kills, kills)] if kills != self._kills else []
        self._kills = kills
        self._killed |= bool(found)
        settled = self._killed and not under_oom and self._pause > self.LONGEST // 4
        over = settled or now - self._told > self.SETTLE
        self.due = None if over else now + self._pause
        self._pause = min(2 * self._pause, self.LONGEST)
        return found

    def _read(self) -> tuple[int, bool]:
        values = dict(parse(Shape.KEYED, read_text(self.control), self.cgroup, self.file))
        # The oom_kill counter exists since Linux 4.13.
        return values.get("oom_kill", 0), values.get("under_oom") == 1


class LevelFeed(EventfdFeed):
    """The memory.pressure_level of v1: the number of notifications since the start."""

    def __init__(self, cgroup: BaseCgroup, level: str, mode: str) -> None:
        self._level = level
        self._signals = 0
        super().__init__(cgroup, "memory.pressure_level", f"{level},{mode}" if mode != "default" else level)

    def signalled(self, signals: int, now: int) -> list[Event]:  # noqa: ARG002
        before, self._signals = self._signals, self._signals + signals
        return [self.event(self._level, before, self._signals)]
