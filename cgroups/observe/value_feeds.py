"""Feeds that report when a number crosses a threshold."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, NamedTuple

from ..core.errors import CgroupGone, ParameterNotSupported, SubsystemNotAttached
from ..core.seconds import NS_PER_S
from ..core.values import Max
from .counter_feeds import EventfdFeed
from .feeds import Event, Feed, Number, SourceGone, grid, open_file, read_text

if TYPE_CHECKING:
    from ..control.verbs import BaseCgroup

__all__ = ["Level", "NotifiedFeed", "RateFeed", "Reading", "SampledFeed", "UsageFeed", "ValueFeed", "timed"]


class Level:
    """An edge detector, which reports each crossing once."""

    def __init__(self, above: float | None, below: float | None, prefix: str = "") -> None:
        self._above, self._below = above, below
        self._names = f"{prefix}above", f"{prefix}below"
        self._is: str | None = None
        self._last: Number | None = None

    def judge(self, value: Number) -> list[tuple[str, Number | None, Number]]:
        """Return the crossings caused by a new value, with the previous and current value."""
        before, self._last = self._last, value
        known, self._is = self._is, self._place(value)
        # The first value reports only a condition that was asked for.
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
    """A number that is compared to its thresholds at each notification or poll."""

    def __init__(self, cgroup: BaseCgroup | None, name: str, read: Callable[[], Number], level: Level) -> None:
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
            raise SourceGone from None


class NotifiedFeed(ValueFeed):
    """A number in a file that notifies through POLLPRI."""

    def __init__(self, cgroup: BaseCgroup, file: str, name: str, read: Callable[[], Number], level: Level) -> None:
        super().__init__(cgroup, name, read, level)
        self.fd = self.own(open_file(cgroup, file))

    def woken(self, mask: int, now: int) -> list[Event]:  # noqa: ARG002
        return self.look(now)

    def look(self, now: int) -> list[Event]:
        read_text(self.fd)
        return super().look(now)


class UsageFeed(EventfdFeed):
    """A memory usage threshold of v1: the kernel signals a crossing in either direction, and the value is read."""

    def __init__(self, cgroup: BaseCgroup, file: str, name: str, threshold: int, level: Level) -> None:
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
    """A number without notifications from the kernel, polled every ``interval`` nanoseconds."""

    origin = "sampled"

    def __init__(
        self, cgroup: BaseCgroup | None, name: str, read: Callable[[], Number], level: Level, interval: int
    ) -> None:
        super().__init__(cgroup, name, read, level)
        self._interval = interval

    def look(self, now: int) -> list[Event]:
        self.due = grid(now, self._interval)
        return super().look(now)


class Reading(NamedTuple):
    """A number, and the CLOCK_MONOTONIC times, in nanoseconds, before and after its read."""

    started_ns: int
    ended_ns: int
    value: Number


def timed(read: Callable[[], Number]) -> Callable[[], Reading]:
    """Return a function that reads a number between two reads of the clock."""

    def read_timed() -> Reading:
        began = monotonic_ns()
        value = read()
        return Reading(began, monotonic_ns(), value)

    return read_timed


class RateFeed(Feed):
    """The rise of a number per second, checked every ``interval`` nanoseconds.

    Other threads may hold the interpreter's lock between a read of the number
    and a read of the clock.  So a rate is the lower bound that two readings prove:
    the rise over the time from before the first to after the second.

    Args:
        read: reads the number with its time.  A sampler reads number and time in C, without the lock.
    """

    origin = "sampled"

    def __init__(
        self, cgroup: BaseCgroup | None, name: str, read: Callable[[], Reading], level: Level, interval: int
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
            raise SourceGone from None
        return [
            Event(self.cgroup, what, self.origin, self.file, before, after, reading.ended_ns)
            for rate in self._rate(reading)
            for what, before, after in self._level.judge(rate)
        ]

    def _rate(self, reading: Reading) -> list[float]:
        """Return the rate since the last reading, or an empty list if the rate is unknown."""
        if isinstance(reading.value, Max):
            self._last = None
            return []
        last = self._last
        if last is None or isinstance(last.value, Max) or reading.value < last.value:
            self._last = reading  # a counter that was reset has no rate
            return []
        if reading.started_ns - last.started_ns < self._interval // 2:
            return []  # too soon after the last reading: a short burst is no rate
        self._last = reading
        if reading.ended_ns <= last.started_ns:
            return []
        return [(reading.value - last.value) * NS_PER_S / (reading.ended_ns - last.started_ns)]
