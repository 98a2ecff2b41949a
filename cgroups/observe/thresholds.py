"""Threshold: an event when a number crosses a value."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Union

from ..core.advice import advise
from ..core.errors import CgroupError, CgroupGone, InvalidValue, shown
from ..core.interface import Version
from ..core.values import Max
from ..parameters import Parameters
from ..parameters.kinds import Readable
from .feeds import Feed, Number
from .recorder import nanoseconds
from .sampler import Sampler
from .sources import INTERVAL, EventSource, has, of_a_cgroup, tells
from .value_feeds import Level, NotifiedFeed, RateFeed, Reading, SampledFeed, UsageFeed, timed

if TYPE_CHECKING:
    from ..control.verbs import BaseCgroup

__all__ = ["PAGE", "USAGE", "Measure", "Threshold"]


PAGE: Final = os.sysconf("SC_PAGESIZE")

USAGE: Final = frozenset({"memory.usage_in_bytes", "memory.memsw.usage_in_bytes"})
"""The v1 files that support thresholds."""


Measure = Union[Readable[int], Readable[float], "Readable[int | Max]", Callable[[Any], Number]]
"""A parameter with one number, or a function that returns a number for the target."""


class Threshold(EventSource):
    """A source of reports that a value crosses a threshold: once on crossing, once on returning.

    ``above`` is reported when the number is greater than the threshold.  ``below`` is reported when the number is no
    longer greater or, if ``below=`` is given, when it is less than that bound.  ``rate_above`` and
    ``rate_below`` do the same for the number's rise per second.
    A requested condition that already holds when watching starts is reported immediately.

    The kernel notifies of the memory usage of v1 (checked every 128 pages, on each CPU) and of the counters of event
    files.  Every other number is polled at the interval; ``event.source`` shows which case applies.  A crossing that is
    reversed between two polls is not detected.

    Args:
        what: a parameter with one number such as ``Memory.pressure["some", "avg10"]``, or a function of the target.
        above: a number in the parameter's unit.
        below: a number in the parameter's unit, not greater than ``above``.
        rate_above: the rise per second; for Cpuacct.usage, 500_000_000 is half a CPU.
        interval: seconds between two polls.
    """

    def __init__(
        self,
        what: Measure,
        *,
        above: float | None = None,
        below: float | None = None,
        rate_above: float | None = None,
        interval: float = INTERVAL,
    ) -> None:
        if not isinstance(what, Readable) and (isinstance(what, type) or not callable(what)):
            message = f"what must be a parameter that can be read or a function of a cgroup, got {shown(what)}"
            raise InvalidValue(message)
        if hasattr(what, "__getitem__"):
            message = f"what must be one number, got {what}, which has several"
            raise InvalidValue(message, parameter=str(what), hint=advise("key", what=what))
        given = {"above": above, "below": below, "rate_above": rate_above}
        for name, value in given.items():
            _check_number(name, value)
        if set(given.values()) == {None}:
            message = f"Threshold({what}): give at least one of above, below, rate_above"
            raise InvalidValue(message)
        if above is not None and below is not None and below > above:
            message = f"below must not be greater than above ({above}), got {below}"
            raise InvalidValue(message)
        self.what = what
        self.above, self.below, self.rate_above = above, below, rate_above
        self.interval = nanoseconds(interval)

    @property
    def name(self) -> str:
        """The ``file`` of its events."""
        return str(self.what) if isinstance(self.what, Readable) else getattr(self.what, "__name__", "a function")

    def fits(self, cgroup: BaseCgroup) -> bool:
        return has(self.what, cgroup) if isinstance(self.what, Readable) else False

    def open(self, cgroup: BaseCgroup | None, target: Any) -> Iterator[Feed]:
        read = self._reader(cgroup, target)
        if self.above is not None or self.below is not None:
            yield from self._levels(cgroup, read)
        if self.rate_above is not None:
            rise = Level(self.rate_above, None, "rate_")
            sampler = self._sampler(cgroup)
            feed = RateFeed(cgroup, self.name, _sampled(sampler, read) if sampler else timed(read), rise, self.interval)
            if sampler is not None:
                feed.files.callback(sampler.close)
            yield feed

    def _sampler(self, cgroup: BaseCgroup | None) -> Sampler | None:
        """Return a sampler that reads the one number together with the clock; None if the number has no cell."""
        if cgroup is None or not isinstance(self.what, Readable):
            return None
        try:
            sampler = Sampler([cgroup], [self.what])
        except CgroupError:
            return None  # the number is computed from several files
        return sampler if len(sampler.columns) == 1 else None

    def _reader(self, cgroup: BaseCgroup | None, target: Any) -> Callable[[], Number]:
        what = self.what
        if not isinstance(what, Readable):
            function: Callable[[Any], Number] = what
            return lambda: _number(function(target), self.name)
        parameter: Readable[Any] = what
        watched = of_a_cgroup(cgroup, self)

        def read() -> Number:
            return _number(Parameters.get(parameter, watched), self.name)

        read()  # raises errors in the call that adds the source
        return read

    def _levels(self, cgroup: BaseCgroup | None, read: Callable[[], Number]) -> Iterator[Feed]:
        level = Level(self.above, self.below)
        told = list(self._told(cgroup, read, level)) if cgroup is not None else []
        yield from told or [SampledFeed(cgroup, self.name, read, level, self.interval)]

    def _told(self, cgroup: BaseCgroup, read: Callable[[], Number], level: Level) -> Iterator[Feed]:
        """Yield the feeds for which the kernel notifies, if any."""
        files = self.what.files(cgroup.version) if isinstance(self.what, Readable) else ()
        if len(files) != 1:
            return
        if cgroup.version == Version.V1 and files[0] in USAGE:
            yield from self._usage(cgroup, files[0], level)
        elif tells(cgroup, files[0]):
            yield NotifiedFeed(cgroup, files[0], self.name, read, level)

    def _usage(self, cgroup: BaseCgroup, file: str, level: Level) -> list[Feed]:
        feeds: list[Feed] = []
        try:
            for threshold in _pages(self.above, self.below):
                feeds += [UsageFeed(cgroup, file, self.name, threshold, level)]
        except CgroupGone:
            raise
        except CgroupError:
            # A real-time kernel has no thresholds, and a reader may lack write access.  Polling still works.
            for feed in feeds:
                feed.close()
            return []
        return feeds

    def __repr__(self) -> str:
        given = {"above": self.above, "below": self.below, "rate_above": self.rate_above}
        return f"Threshold({self.name}, {', '.join(f'{k}={v}' for k, v in given.items() if v is not None)})"


def _sampled(sampler: Sampler, read: Callable[[], Number]) -> Callable[[], Reading]:
    """Return a function that samples a number with its time.  If a frame has no number, ``read`` raises the reason."""
    slow = timed(read)

    def sample() -> Reading:
        frame = sampler.sample()
        [value] = frame.row(0)
        if value is None:
            return slow()
        began = frame.timestamp_ns
        return Reading(began, began + frame.duration_ns, value)

    return sample


def _pages(above: float | None, below: float | None) -> Iterator[int]:
    """Yield the thresholds to register: usage is in whole pages, and the kernel signals from a threshold on."""
    if above is not None and above >= 0:
        yield (math.floor(above) // PAGE + 1) * PAGE
    if below is not None and below > 0:
        yield math.ceil(below / PAGE) * PAGE


def _check_number(name: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (number and math.isfinite(value)):
        message = f"{name} must be a finite number, got {shown(value)}"
        raise InvalidValue(message)


def _number(value: Any, name: str) -> Number:
    if isinstance(value, bool) or not isinstance(value, (int, float, Max)):
        message = f"{name} must be one number, got {shown(value)}"
        raise InvalidValue(message, parameter=name, hint=advise("key", what=name))
    return value
