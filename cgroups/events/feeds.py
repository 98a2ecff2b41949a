"""Feeds: the open files, eventfds and times by which one :class:`Events` learns what happens.

Each is one line of a source for one cgroup: a descriptor that the kernel
makes ready, or a time at which to look, and what is then read to tell what
has changed.  Which there are for what is asked for is sources.py's.
"""

from __future__ import annotations

import errno
import os
import select
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Union

from .. import _inotify, diagnosis
from .._backend import backend
from .._interface import Failure, Shape, Status
from ..core.eventfd import create_eventfd, read_eventfd
from ..core.pidfd import DENIED
from ..errors import (
    CgroupError,
    CgroupGone,
    CgroupOSError,
    ParameterNotSupported,
    SubsystemNotAttached,
    from_errno,
    from_failure,
)
from ..subsystem.codecs import pressure
from ..values import Limit, Max

if TYPE_CHECKING:
    from ..hierarchy import Cgroup

__all__ = ["Event"]

SECOND: Final = 1_000_000_000

REMOVED: Final = "removed"
ENDED: Final = "ended"

Origin = Literal["kernel", "sampled"]
Number = Union[Limit, float]


@dataclass(frozen=True, slots=True)
class Event:
    """One number that changed, or one thing that happened.

    Attributes:
        cgroup: whose it is; None of the whole system.
        what: the kernel's own key, as ``populated``, ``oom_kill`` or ``max``; of a threshold ``above``, ``below``,
            ``rate_above`` and ``rate_below``; ``removed`` once the cgroup is gone, which is its last event; ``ended``
            when a file is seen to be gone and the cgroup is not, as its controller was disabled.
        source: ``kernel`` when the kernel told of it, ``sampled`` when it was seen in looking at intervals.
        file: the control file, or the parameter of a threshold; '' of the directory.
        before: the number when it was last read, and ``after`` the number now; None where nothing counts, or was
            read before.  Of a rate they are per second.
        timestamp_ns: CLOCK_MONOTONIC when it was read.
    """

    cgroup: Cgroup | None
    what: str
    source: Origin
    file: str
    before: Number | None
    after: Number | None
    timestamp_ns: int

    @property
    def count(self) -> int | float | None:
        """By how much the number rose: how often it happened, of a counter."""
        if self.before is None or self.after is None or isinstance(self.before, Max) or isinstance(self.after, Max):
            return None
        return self.after - self.before


class Lost(Exception):
    """What a feed reads is gone: the cgroup, or the file alone."""


class Feed:
    """What is told by one descriptor, or looked for at times.

    Attributes:
        cgroup: whose it is; None of the whole system.
        fd: what becomes ready, with ``mask``; -1 where nothing does.
        due: CLOCK_MONOTONIC when to look, None for never.
        origin: whether what it tells is the kernel's own, or found in looking.
        forgetful: whether any poll makes the kernel forget that it is ready.
    """

    mask: int = select.EPOLLPRI
    origin: Origin = "kernel"
    forgetful = False

    def __init__(self, cgroup: Cgroup | None, file: str) -> None:
        self.cgroup = cgroup
        self.file = file
        self.fd = -1
        self.due: int | None = None
        self.files = ExitStack()

    def begin(self, now: int) -> list[Event]:  # noqa: ARG002 - of those that look at times
        """What is so already.  It is called when the descriptor is waited for, so that nothing is lost between."""
        return []

    def woken(self, mask: int, now: int) -> list[Event]:  # noqa: ARG002
        """The descriptor is ready."""
        return []

    def look(self, now: int) -> list[Event]:  # noqa: ARG002
        """The time has come."""
        return []

    def implied(self) -> list[Event]:
        """What must have happened when the cgroup is gone, and can be read no more."""
        return []

    def event(self, what: str, before: Number | None = None, after: Number | None = None) -> Event:
        return Event(self.cgroup, what, self.origin, self.file, before, after, monotonic_ns())

    def own(self, fd: int) -> int:
        """Closes a descriptor with this."""
        self.files.callback(os.close, fd)
        return fd

    def close(self) -> None:
        self.fd, self.due = -1, None
        self.files.close()


def open_file(cgroup: Cgroup, name: str, flags: int = os.O_RDONLY, verb: str = "watch") -> int:
    """A descriptor of a control file, of this life of the cgroup."""
    directory, below = cgroup.place_for_writing(f"{verb} {name} of {cgroup}")
    try:
        return directory.open(f"{below}/{name}" if below else name, flags | os.O_CLOEXEC)
    except Failure as failure:
        raise diagnosis.explain(failure, cgroup, name, verb) from None


def read_text(fd: int) -> bytes:
    """The text of a kept file: one read, which is also what makes it notify again."""
    try:
        return os.pread(fd, 1 << 16, 0)
    except OSError as error:
        if error.errno in diagnosis.ABSENT:
            raise Lost from None
        raise


def parse(shape: int, text: bytes, cgroup: Cgroup | None, file: str) -> list[tuple[str, Any]]:
    try:
        cells: list[tuple[str, Any]] = backend.parse(shape, text)
    except Failure as failure:
        raise from_failure(failure, f"cannot read {file} of {cgroup or 'the system'}", path=file) from None
    return cells


def grid(now: int, interval: int) -> int:
    """The next multiple of an interval: feeds of one interval are looked at together."""
    return (now // interval + 1) * interval


# ---- counters: files that tell by POLLPRI -------------------------------------------------


class CounterFeed(Feed):
    """The counters of a file as memory.events: an event for each that has changed.

    Of a file of which the kernel does not tell it looks each ``interval``
    nanoseconds, and is woken all the same where some kernel does.
    """

    def __init__(self, cgroup: Cgroup, file: str, keys: frozenset[str] | None = None, interval: int = 0) -> None:
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

    def implied(self) -> list[Event]:
        # What was removed was empty.
        return [self.event("populated", 1, 0)] if self._last.get("populated") else []

    def _read(self) -> dict[str, int]:
        cells = parse(Shape.KEYED, read_text(self.fd), self.cgroup, self.file)
        return {key: value for key, value in cells if self._keys is None or key in self._keys}


# ---- v1: eventfds, by cgroup.event_control -------------------------------------------------


class EventfdFeed(Feed, ABC):
    """What v1 tells by an eventfd: Documentation/admin-guide/cgroup-v1/memory.rst, 9 to 11."""

    mask = select.EPOLLIN

    def __init__(self, cgroup: Cgroup, file: str, arguments: str = "") -> None:
        super().__init__(cgroup, file)
        try:
            self.control = self.own(open_file(cgroup, file))
            self.fd = self.own(self._open_eventfd(cgroup))
            self._register(cgroup, arguments)
        except BaseException:
            self.close()
            raise

    def _open_eventfd(self, cgroup: Cgroup) -> int:
        try:
            return create_eventfd()
        except OSError as error:
            if error.errno not in DENIED:
                raise
            hint = "a seccomp filter denies eventfd2(2), the only way in which v1 notifies"
            tried = f"cannot watch {self.file} of {cgroup}"
            raise from_errno(error.errno or 0, tried, hint=hint, kind=CgroupOSError) from None

    def _register(self, cgroup: Cgroup, arguments: str) -> None:
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
            read_text(self.control)  # Lost: the kernel signals a removal too
        except OSError as error:
            if error.errno != errno.EINVAL:  # of a file that is there, and has nothing to read
                raise
        return self.signalled(signals, now) if signals else []

    @abstractmethod
    def signalled(self, signals: int, now: int) -> list[Event]:
        """The events of so many signals."""


class OomFeed(EventfdFeed):
    """v1's out of memory: ``oom`` when the kernel tells, and ``oom_kill`` when it has killed, which is after that.

    One shortage is told of a hundred times: that is one event.
    """

    FIRST: Final = 1_000_000
    LONGEST: Final = 100_000_000
    PATIENCE: Final = SECOND

    def __init__(self, cgroup: Cgroup) -> None:
        super().__init__(cgroup, "memory.oom_control")
        self._kills = 0
        self._told = self._pause = 0
        self._killed = False

    def begin(self, now: int) -> list[Event]:  # noqa: ARG002
        self._kills, _ = self._read()
        return []

    def signalled(self, signals: int, now: int) -> list[Event]:  # noqa: ARG002 - a hundred are one
        self._told = now
        begun = [] if self.due is not None else [self.event("oom")]
        if begun:
            self._killed = False
        self._pause = self.FIRST
        return begun + self.look(now)

    def look(self, now: int) -> list[Event]:
        """Looks again after pauses that grow, until it has killed and there has been quiet, or at most a second."""
        kills, under_oom = self._read()
        found = [self.event("oom_kill", self._kills, kills)] if kills != self._kills else []
        self._kills = kills
        self._killed |= bool(found)
        settled = self._killed and not under_oom and self._pause > self.LONGEST // 4
        over = settled or now - self._told > self.PATIENCE
        self.due = None if over else now + self._pause
        self._pause = min(2 * self._pause, self.LONGEST)
        return found

    def _read(self) -> tuple[int, bool]:
        values = dict(parse(Shape.KEYED, read_text(self.control), self.cgroup, self.file))
        # Before Linux 4.13 it did not count.
        return values.get("oom_kill", 0), values.get("under_oom") == 1


class LevelFeed(EventfdFeed):
    """v1's memory.pressure_level: how often it was told of, since the start."""

    def __init__(self, cgroup: Cgroup, level: str, mode: str) -> None:
        self._level = level
        self._signals = 0
        super().__init__(cgroup, "memory.pressure_level", f"{level},{mode}" if mode != "default" else level)

    def signalled(self, signals: int, now: int) -> list[Event]:  # noqa: ARG002
        before, self._signals = self._signals, self._signals + signals
        return [self.event(self._level, before, self._signals)]


# ---- pressure stall information ------------------------------------------------------------


SYSTEM_PRESSURE: Final = "/proc/pressure"


class TriggerFeed(Feed):
    """A PSI trigger (Documentation/accounting/psi.rst): the total before and after, in microseconds."""

    forgetful = True

    def __init__(self, cgroup: Cgroup | None, resource: str, state: str, spec: str) -> None:
        super().__init__(cgroup, f"{resource}.pressure" if cgroup is not None else f"{SYSTEM_PRESSURE}/{resource}")
        self._state = state
        self._total = 0
        self.fd = self.own(self._open())
        try:
            os.write(self.fd, f"{spec}\0".encode())
        except OSError as error:
            self.close()
            raise self._refused(error.errno or errno.EIO, spec) from None

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_NONBLOCK
        try:
            if self.cgroup is not None:
                return open_file(self.cgroup, self.file, flags)
            return os.open(self.file, flags | os.O_CLOEXEC)
        except OSError as error:
            if isinstance(error, CgroupError) and error.errno != errno.EPERM:
                raise  # it has said why
            raise self._refused(error.errno or errno.EIO, "a trigger") from None

    def _refused(self, error: int, spec: str) -> CgroupError:
        where = self.cgroup or "the system"
        path = self.file if self.cgroup is None else f"{self.cgroup.path}/{self.file}"
        return refused_trigger(error, f"cannot watch {self.file} of {where} for {spec!r} ({path})", path)

    def begin(self, now: int) -> list[Event]:  # noqa: ARG002
        self._total = self._read()
        return []

    def woken(self, mask: int, now: int) -> list[Event]:  # noqa: ARG002
        if mask & select.EPOLLERR:
            raise Lost
        before, self._total = self._total, self._read()
        return [self.event(self._state, before, self._total)]

    def _read(self) -> int:
        text = read_text(self.fd)
        return int(pressure.decode(parse(pressure.shape, text, self.cgroup, self.file))[self._state]["total"])


def refused_trigger(error: int, tried: str, path: str) -> CgroupError:
    """Why the kernel took no trigger."""
    hints = {
        errno.EINVAL: "without CAP_SYS_RESOURCE the window has to be a multiple of 2 s",
        errno.EPERM: "before Linux 6.5 a trigger needs CAP_SYS_RESOURCE",
        errno.EOPNOTSUPP: "pressure stall information is off: boot with psi=1",
        errno.ENOENT: "this kernel has no such pressure file",
    }
    kind = ParameterNotSupported if error in (errno.EOPNOTSUPP, errno.ENOENT) else None
    return from_errno(error, tried, path=path, hint=hints.get(error), kind=kind)


# ---- numbers that are judged ----------------------------------------------------------------


class Level:
    """Whether a number is above or below: told of once, until it is otherwise."""

    def __init__(self, above: float | None, below: float | None, prefix: str = "") -> None:
        self._above, self._below = above, below
        self._names = f"{prefix}above", f"{prefix}below"
        self._is: str | None = None
        self._last: Number | None = None

    def judge(self, value: Number) -> list[tuple[str, Number | None, Number]]:
        """What there is to tell of a number, with the last and this one."""
        before, self._last = self._last, value
        known, self._is = self._is, self._place(value)
        # At the start it is told of what was asked for alone.
        asked = {self._names[0]: self._above, self._names[1]: self._below}
        if self._is is None or self._is == known or (known is None and asked[self._is] is None):
            return []
        return [(self._is, before, value)]

    def _place(self, value: Number) -> str | None:
        above, below = self._names
        if self._above is not None and value > self._above:
            return above
        if self._below is not None and value < self._below:
            return below
        if self._above is None:
            return above
        return below if self._below is None else self._is


class ValueFeed(Feed):
    """A number that is judged whenever there is a reason to look."""

    def __init__(self, cgroup: Cgroup | None, name: str, read: Callable[[], Number], level: Level) -> None:
        super().__init__(cgroup, name)
        self._value = read
        self._level = level

    def begin(self, now: int) -> list[Event]:
        return self.look(now)

    def look(self, now: int) -> list[Event]:  # noqa: ARG002
        return self.judged(self.value())

    def judged(self, value: Number) -> list[Event]:
        return [self.event(*told) for told in self._level.judge(value)]

    def value(self) -> Number:
        try:
            return self._value()
        except (CgroupGone, SubsystemNotAttached, ParameterNotSupported):
            raise Lost from None


class NotifiedFeed(ValueFeed):
    """A number of a file that tells by POLLPRI."""

    def __init__(self, cgroup: Cgroup, file: str, name: str, read: Callable[[], Number], level: Level) -> None:
        super().__init__(cgroup, name, read, level)
        self.fd = self.own(open_file(cgroup, file))

    def woken(self, mask: int, now: int) -> list[Event]:  # noqa: ARG002
        return self.look(now)

    def look(self, now: int) -> list[Event]:
        read_text(self.fd)
        return super().look(now)


class UsageFeed(EventfdFeed):
    """v1's thresholds of memory used: signalled when it is crossed, in either direction; what it is now is read."""

    def __init__(self, cgroup: Cgroup, file: str, name: str, threshold: int, level: Level) -> None:
        super().__init__(cgroup, file, str(threshold))
        self._name = name
        self._level = level

    def begin(self, now: int) -> list[Event]:
        return self.signalled(0, now)

    def signalled(self, signals: int, now: int) -> list[Event]:  # noqa: ARG002
        return [
            Event(self.cgroup, what, self.origin, self._name, before, after, monotonic_ns())
            for what, before, after in self._level.judge(int(read_text(self.control)))
        ]


class SampledFeed(ValueFeed):
    """A number of which the kernel does not tell, looked at each ``interval`` nanoseconds."""

    origin = "sampled"

    def __init__(
        self, cgroup: Cgroup | None, name: str, read: Callable[[], Number], level: Level, interval: int
    ) -> None:
        super().__init__(cgroup, name, read, level)
        self._interval = interval

    def look(self, now: int) -> list[Event]:
        self.due = grid(now, self._interval)
        return super().look(now)


class Reading(NamedTuple):
    """A number, and CLOCK_MONOTONIC before and after it was read."""

    began_ns: int
    ended_ns: int
    value: Number


def timed(read: Callable[[], Number]) -> Callable[[], Reading]:
    """Return a function that reads a number between two looks at the clock."""

    def read_timed() -> Reading:
        began = monotonic_ns()
        value = read()
        return Reading(began, monotonic_ns(), value)

    return read_timed


class RateFeed(Feed):
    """The rise of a number per second, checked each ``interval`` nanoseconds.

    Other threads may hold the interpreter's lock between a read of the number
    and a look at the clock.  So a rate is the least that two readings prove:
    the rise over the time from before the first to after the second.

    Args:
        read: reads the number with its time; the sampler does both in C, without the lock.
    """

    origin = "sampled"

    def __init__(
        self, cgroup: Cgroup | None, name: str, read: Callable[[], Reading], level: Level, interval: int
    ) -> None:
        super().__init__(cgroup, name)
        self._read = read
        self._level = level
        self._interval = interval
        self._last: Reading | None = None

    def begin(self, now: int) -> list[Event]:
        return self.look(now)

    def look(self, now: int) -> list[Event]:
        self.due = grid(now, self._interval)
        try:
            reading = self._read()
        except (CgroupGone, SubsystemNotAttached, ParameterNotSupported):
            raise Lost from None
        return [
            Event(self.cgroup, what, self.origin, self.file, before, after, reading.ended_ns)
            for rate in self._rate(reading)
            for what, before, after in self._level.judge(rate)
        ]

    def _rate(self, reading: Reading) -> list[float]:
        """Return the rate since the last reading, or nothing where there is none."""
        if isinstance(reading.value, Max):
            self._last = None
            return []
        last = self._last
        if last is None or isinstance(last.value, Max) or reading.value < last.value:
            self._last = reading  # a counter that began again has no rate
            return []
        if reading.began_ns - last.began_ns < self._interval // 2:
            return []  # the first look may come at once, and a burst of a moment is no rate
        self._last = reading
        if reading.ended_ns <= last.began_ns:
            return []
        return [(reading.value - last.value) * SECOND / (reading.ended_ns - last.began_ns)]


# ---- removal ---------------------------------------------------------------------------------


class RemovalFeed(Feed):
    """Tells which cgroups are gone, by inotify(7) on the directories above them.

    No file of a v2 cgroup makes a poll return when it is removed, nor does a
    watch of the directory itself while a file in it is open.
    """

    mask = select.EPOLLIN

    def __init__(self) -> None:
        super().__init__(None, "")
        self._watcher = _inotify.Watcher()
        self.files.callback(self._watcher.close)
        self.fd = self._watcher.fileno()
        self._watched: dict[tuple[int, str], tuple[Cgroup, int]] = {}

    def add(self, cgroup: Cgroup, above: Cgroup, inode: int) -> None:
        """OSError when the directory above cannot be watched."""
        watch = self._watcher.watch(str(above.path), _inotify.REMOVALS)
        self._watched[watch, cgroup.name] = cgroup, inode

    def woken(self, mask: int, now: int) -> list[Event]:  # noqa: ARG002
        events = self._watcher.events()
        keys = {(event.watch, event.name) for event in events} & self._watched.keys()
        if any(event.mask & _inotify.OVERFLOW for event in events):
            keys |= {key for key, watched in self._watched.items() if not is_alive(*watched)}
        return [removed(self._watched.pop(key)[0], self.origin) for key in keys]


class ExistenceFeed(Feed):
    """Looks whether a cgroup is still there, where the kernel cannot be asked to tell."""

    origin: Origin = "sampled"

    def __init__(self, cgroup: Cgroup, inode: int) -> None:
        super().__init__(cgroup, "")
        self._inode = inode

    def begin(self, now: int) -> list[Event]:
        self.due = grid(now, SECOND)
        return []

    def look(self, now: int) -> list[Event]:
        assert self.cgroup is not None
        if is_alive(self.cgroup, self._inode):
            return self.begin(now)
        return [removed(self.cgroup, self.origin)]


class DoubtFeed(ExistenceFeed):
    """A file is gone.  A removal takes the files before the directory: a moment later it is known which it was."""

    origin = "kernel"
    MOMENT: Final = 50_000_000

    def __init__(self, cgroup: Cgroup, inode: int, file: str) -> None:
        super().__init__(cgroup, inode)
        self.file = file

    def begin(self, now: int) -> list[Event]:
        self.due = now + self.MOMENT
        return []

    def look(self, now: int) -> list[Event]:
        gone = super().look(now)
        self.due = None
        return gone or [self.event(ENDED)]


def removed(cgroup: Cgroup, origin: Origin) -> Event:
    return Event(cgroup, REMOVED, origin, "", None, None, monotonic_ns())


def is_alive(cgroup: Cgroup, inode: int) -> bool:
    """Whether it is there, in the life that has this inode."""
    try:
        return cgroup.inode == inode
    except CgroupGone:
        return False
