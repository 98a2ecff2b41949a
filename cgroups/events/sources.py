"""Sources: what :class:`Events` can be asked for, and by which feeds the kernel tells of it on each version."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Union

from .. import diagnosis
from .._interface import Failure
from ..core.advice import advise
from ..errors import Advice, CgroupError, CgroupGone, InvalidValue, ParameterNotSupported, shown
from ..sampling.recording import nanoseconds
from ..sampling.sampler import Sampler
from ..subsystem import Memory, Parameters, parameter_named
from ..subsystem.binding import KeyOf
from ..subsystem.parameter import Parameter, Readable
from ..values import Max
from .feeds import (
    CounterFeed,
    Feed,
    Level,
    LevelFeed,
    NotifiedFeed,
    Number,
    OomFeed,
    RateFeed,
    Reading,
    SampledFeed,
    TriggerFeed,
    UsageFeed,
    timed,
)

if TYPE_CHECKING:
    from ..hierarchy import Cgroup

__all__ = ["Counters", "Everything", "Oom", "PressureLevel", "PressureTrigger", "Source", "Threshold", "Watched"]

INTERVAL: Final = 0.1

PAGE: Final = os.sysconf("SC_PAGESIZE")

USAGE: Final = frozenset({"memory.usage_in_bytes", "memory.memsw.usage_in_bytes"})
"""The files of v1 that have thresholds."""


class Source(ABC):
    """Something that can be asked for."""

    @abstractmethod
    def fits(self, cgroup: Cgroup) -> bool:
        """Whether it is of this cgroup's hierarchy, when there are several to choose from."""

    @abstractmethod
    def open(self, cgroup: Cgroup | None, target: Any) -> Iterator[Feed]:
        """Its feeds of one cgroup, None for the whole system; target is what was given, with others, to watch."""


def _of_a_cgroup(cgroup: Cgroup | None, source: object) -> Cgroup:
    if cgroup is None:
        message = f"{source!r} is of a cgroup, and the whole system was asked for"
        raise InvalidValue(message, hint="of the system there are PressureTrigger and Threshold of a function")
    return cgroup


def _tells(cgroup: Cgroup, file: str) -> bool:
    """Whether the kernel tells when a file changes.

    Of v1's pids.events, and of v2's when its counters are mounted as local
    ones, Linux 6.11 and later wake who waits for pids.events.local instead.
    """
    if not file.endswith((".events", ".events.local")):
        return False
    local = any("pids_localevents" in mount.options for mount in cgroup.hierarchy.mounts)
    return file != "pids.events" or (cgroup.version == 2 and not local)  # noqa: PLR2004 - the version


class Counters(Source):
    """The counters of a file of events: ``Counters(Memory.events)``, or one of them, ``Memory.events["oom_kill"]``.

    Args:
        parameter: a file that the kernel tells of: cgroup.events, memory.events, memory.swap.events, pids.events,
            hugetlb.SIZE.events and misc.events, and those that end in ``.local``.
        interval: seconds between two looks where the kernel does not tell: v1's pids.events on new kernels.
    """

    def __init__(self, parameter: Parameter | str, *, interval: float = INTERVAL) -> None:
        self.parameter = parameter_named(parameter) if isinstance(parameter, str) else parameter
        if not isinstance(self.parameter, Parameter):
            message = f"{shown(parameter)} is neither a source of events nor a parameter"
            raise InvalidValue(message, hint="Memory.events is one, and Threshold(Memory.usage_in_bytes, above=…)")
        self.interval = nanoseconds(interval)

    def fits(self, cgroup: Cgroup) -> bool:
        return _has(self.parameter, cgroup)

    def open(self, cgroup: Cgroup | None, target: Any) -> Iterator[Feed]:  # noqa: ARG002
        cgroup = _of_a_cgroup(cgroup, self)
        binding = self.parameter.binding(cgroup.version)
        [file, *others] = binding.files or ("",)
        if others or not file.endswith((".events", ".events.local")):
            message = f"the kernel does not tell when {self.parameter} of {cgroup} changes"
            raise InvalidValue(message, parameter=str(self.parameter), hint="Threshold looks at it")
        keys = frozenset({str(binding.key)}) if isinstance(binding, KeyOf) else None
        yield CounterFeed(cgroup, file, keys, 0 if _tells(cgroup, file) else self.interval)

    def __repr__(self) -> str:
        return f"Counters({self.parameter})"


def _has(parameter: Parameter, cgroup: Cgroup) -> bool:
    controller = parameter.controller
    return bool(parameter.files(cgroup.version)) and (controller in ("", "cgroup") or cgroup.hierarchy.has(controller))


class Oom(Source):
    """Out of memory: ``oom``, and ``oom_kill`` of each process killed, on both versions.

    v1 counts what was killed by the cgroup of the process alone, and says ``oom`` without a count; v2 counts
    descendants.
    """

    def fits(self, cgroup: Cgroup) -> bool:
        return cgroup.hierarchy.has("memory")

    def open(self, cgroup: Cgroup | None, target: Any) -> Iterator[Feed]:  # noqa: ARG002
        cgroup = _of_a_cgroup(cgroup, self)
        if cgroup.version == 1:
            yield OomFeed(cgroup)
        else:
            yield CounterFeed(cgroup, "memory.events", frozenset({"oom", "oom_kill", "oom_group_kill"}))

    def __repr__(self) -> str:
        return "Oom()"


class PressureLevel(Source):
    """v1's memory pressure: ``low``, ``medium`` or ``critical``, and harder (cgroup-v1/memory.rst, 11).

    Args:
        level: from which on it tells.
        mode: ``default``: when no cgroup below was told; ``hierarchy``: always; ``local``: of its own alone.
    """

    def __init__(self, level: str = "low", mode: str = "default") -> None:
        _check_word("level", level, ("low", "medium", "critical"))
        _check_word("mode", mode, ("default", "hierarchy", "local"))
        self.level, self.mode = level, mode

    def fits(self, cgroup: Cgroup) -> bool:
        return cgroup.hierarchy.has("memory")

    def open(self, cgroup: Cgroup | None, target: Any) -> Iterator[Feed]:  # noqa: ARG002
        cgroup = _of_a_cgroup(cgroup, self)
        if cgroup.version != 1:
            message = f"{cgroup} has no memory.pressure_level, which is v1's"
            raise ParameterNotSupported(message, path=cgroup.path, hint="PressureTrigger('memory', 'some', …)")
        yield LevelFeed(cgroup, self.level, self.mode)

    def __repr__(self) -> str:
        return f"PressureLevel({self.level!r}, {self.mode!r})"


def _check_word(name: str, value: Any, words: tuple[str, ...]) -> None:
    if value not in words:
        message = f"{name} {shown(value)}: one of {', '.join(words)} is expected"
        raise InvalidValue(message)


class PressureTrigger(Source):
    """A PSI trigger: processes waited for a resource, ``stall_us`` microseconds within ``window_us``, or longer.

    It tells at most once a window.  Of a cgroup of v2, and of the whole system: ``Events(None, PressureTrigger(…))``.
    Without CAP_SYS_RESOURCE the window has to be a multiple of 2 s, and before Linux 6.5 there is none.

    Args:
        resource: ``cpu``, ``memory``, ``io`` or ``irq``.
        state: ``some`` of the processes waited, or ``full``: all of them at once.
        stall_us: how long, in microseconds.
        window_us: within what time, from 500,000 to 10,000,000.
    """

    SHORTEST: Final = 500_000
    LONGEST: Final = 10_000_000

    def __init__(self, resource: str, state: str, stall_us: int, window_us: int) -> None:
        _check_word("resource", resource, ("cpu", "memory", "io", "irq"))
        _check_word("state", state, ("some", "full"))
        _check_count("window_us", window_us, self.SHORTEST, self.LONGEST)
        _check_count("stall_us", stall_us, 1, window_us)
        self.resource, self.state, self.stall_us, self.window_us = resource, state, stall_us, window_us

    def fits(self, cgroup: Cgroup) -> bool:
        return cgroup.version == 2  # noqa: PLR2004 - the version

    def open(self, cgroup: Cgroup | None, target: Any) -> Iterator[Feed]:  # noqa: ARG002
        if cgroup is not None and not self.fits(cgroup):
            message = f"{cgroup} has no pressure files, which are v2's"
            hint = Advice("v1 has PressureLevel; None is the whole system", "name a cgroup of v2, such as :/job")
            raise ParameterNotSupported(message, path=cgroup.path, hint=hint)
        yield TriggerFeed(cgroup, self.resource, self.state, f"{self.state} {self.stall_us} {self.window_us}")

    def __repr__(self) -> str:
        return f"PressureTrigger({self.resource!r}, {self.state!r}, {self.stall_us}, {self.window_us})"


def _check_count(name: str, value: Any, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        message = f"{name} {shown(value)}: microseconds are expected, from {least} to {most}"
        raise InvalidValue(message)


# ---- thresholds ------------------------------------------------------------------------------

Watched = Union[Readable[int], Readable[float], "Readable[int | Max]", Callable[[Any], Number]]
"""A parameter that is one number, or a function of what is watched that gives one."""


class Threshold(Source):
    """A number that gets above, or below, or rises faster: told of once each time that it does, and when it is over.

    ``above`` says so when the number is greater, and ``below`` once it is not any more; with ``below=`` too it has to
    be less than that.  ``rate_above`` and ``rate_below`` tell the same of its rise a second, between two looks.
    What is so at the start is told at once, where it is what was asked for.

    The kernel tells of v1's memory (which it looks at each 128 pages, on each CPU) and of the counters of files of
    events; all else is looked at each ``interval``, and ``event.source`` says which it was.  What is over and back
    between two looks is not seen.

    Args:
        what: a parameter of one number, ``Memory.pressure["some", "avg10"]``, or a function of the cgroup, or group.
        above: a number of its unit.
        below: a number, not greater than ``above``.
        rate_above: a number of its unit a second; of Cpuacct.usage 500_000_000 is half a CPU.
        interval: seconds between two looks.
    """

    def __init__(
        self,
        what: Watched,
        *,
        above: float | None = None,
        below: float | None = None,
        rate_above: float | None = None,
        interval: float = INTERVAL,
    ) -> None:
        if not isinstance(what, Readable) and (isinstance(what, type) or not callable(what)):
            message = f"{shown(what)} is neither a parameter that can be read nor a function of a cgroup"
            raise InvalidValue(message)
        if hasattr(what, "__getitem__"):
            message = f"{what} is several numbers, and one is to be watched"
            raise InvalidValue(message, parameter=str(what), hint=advise("key", what=what))
        given = {"above": above, "below": below, "rate_above": rate_above}
        for name, value in given.items():
            _check_number(name, value)
        if set(given.values()) == {None}:
            message = f"{what}: give at least one of above, below and rate_above"
            raise InvalidValue(message)
        if above is not None and below is not None and below > above:
            message = f"below {below} is greater than above {above}: there would be no number between"
            raise InvalidValue(message)
        self.what = what
        self.above, self.below, self.rate_above = above, below, rate_above
        self.interval = nanoseconds(interval)

    @property
    def name(self) -> str:
        """What its events have as ``file``."""
        return str(self.what) if isinstance(self.what, Readable) else getattr(self.what, "__name__", "a function")

    def fits(self, cgroup: Cgroup) -> bool:
        return _has(self.what, cgroup) if isinstance(self.what, Readable) else False

    def open(self, cgroup: Cgroup | None, target: Any) -> Iterator[Feed]:
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

    def _sampler(self, cgroup: Cgroup | None) -> Sampler | None:
        """Return a sampler of the one number, which reads it and the clock together; None where it cannot."""
        if cgroup is None or not isinstance(self.what, Readable):
            return None
        try:
            sampler = Sampler([cgroup], [self.what])
        except CgroupError:
            return None  # a number that is made of more than the files have
        return sampler if len(sampler.columns) == 1 else None

    def _reader(self, cgroup: Cgroup | None, target: Any) -> Callable[[], Number]:
        what = self.what
        if not isinstance(what, Readable):
            function: Callable[[Any], Number] = what
            return lambda: _number(function(target), self.name)
        parameter: Readable[Any] = what
        watched = _of_a_cgroup(cgroup, self)

        def read() -> Number:
            return _number(Parameters.get(parameter, watched), self.name)

        read()  # its errors are of the call that asks for it
        return read

    def _levels(self, cgroup: Cgroup | None, read: Callable[[], Number]) -> Iterator[Feed]:
        level = Level(self.above, self.below)
        told = list(self._told(cgroup, read, level)) if cgroup is not None else []
        yield from told or [SampledFeed(cgroup, self.name, read, level, self.interval)]

    def _told(self, cgroup: Cgroup, read: Callable[[], Number], level: Level) -> Iterator[Feed]:
        """What the kernel tells by itself; nothing where it does not."""
        files = self.what.files(cgroup.version) if isinstance(self.what, Readable) else ()
        if len(files) != 1:
            return
        if cgroup.version == 1 and files[0] in USAGE:
            yield from self._usage(cgroup, files[0], level)
        elif _tells(cgroup, files[0]):
            yield NotifiedFeed(cgroup, files[0], self.name, read, level)

    def _usage(self, cgroup: Cgroup, file: str, level: Level) -> list[Feed]:
        feeds: list[Feed] = []
        try:
            for threshold in _pages(self.above, self.below):
                feeds += [UsageFeed(cgroup, file, self.name, threshold, level)]
        except CgroupGone:
            raise
        except CgroupError:
            # A real-time kernel has none, and who may read may not write everywhere: it can still be looked at.
            for feed in feeds:
                feed.close()
            return []
        return feeds

    def __repr__(self) -> str:
        given = {"above": self.above, "below": self.below, "rate_above": self.rate_above}
        return f"Threshold({self.name}, {', '.join(f'{k}={v}' for k, v in given.items() if v is not None)})"


def _sampled(sampler: Sampler, read: Callable[[], Number]) -> Callable[[], Reading]:
    """Return a function that samples a number with its time; where a frame has none, ``read`` says why."""
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
    """Where the kernel signals: use is in pages, and above is from a threshold on, below is until one."""
    if above is not None and above >= 0:
        yield (math.floor(above) // PAGE + 1) * PAGE
    if below is not None and below > 0:
        yield math.ceil(below / PAGE) * PAGE


def _check_number(name: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (number and math.isfinite(value)):
        message = f"{name} {shown(value)}: a number is expected"
        raise InvalidValue(message)


def _number(value: Any, name: str) -> Number:
    if isinstance(value, bool) or not isinstance(value, (int, float, Max)):
        message = f"{name} is {shown(value)}, and not one number"
        raise InvalidValue(message, parameter=name, hint=advise("key", what=name))
    return value


# ---- without being asked -----------------------------------------------------------------------


class Everything(Source):
    """All that the kernel tells of a cgroup by itself; what it does not, or not to this user, is left out."""

    def fits(self, cgroup: Cgroup) -> bool:  # noqa: ARG002
        return True

    def open(self, cgroup: Cgroup | None, target: Any) -> Iterator[Feed]:  # noqa: ARG002
        cgroup = _of_a_cgroup(cgroup, self)
        makers: list[Callable[[], Feed]] = [
            partial(CounterFeed, cgroup, file) for file in _files(cgroup) if _tells(cgroup, file)
        ]
        if cgroup.version == 1 and Memory.CONTROLLER in cgroup.subsystems:
            makers.append(partial(OomFeed, cgroup))
        for make in makers:
            try:
                feed = make()
            except CgroupGone:
                raise
            except CgroupError:
                continue
            yield feed

    def __repr__(self) -> str:
        return "everything"


def _files(cgroup: Cgroup) -> list[str]:
    """The files of events, those of descendants too: of the .local ones the others tell already."""
    directory, below = cgroup.place_for_writing(f"watch {cgroup}")
    try:
        fd = directory.open(below, os.O_RDONLY | os.O_DIRECTORY)
    except Failure as failure:
        raise diagnosis.explain(failure, cgroup, "", "watch") from None
    try:
        return sorted(name for name in os.listdir(fd) if name.endswith(".events"))
    finally:
        os.close(fd)
