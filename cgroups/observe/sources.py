"""Sources: the kinds of events that :class:`Events` can report, and the feeds for each source on each version."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..core import diagnosis
from ..core.errors import Advice, CgroupError, CgroupGone, InvalidValue, ParameterNotSupported, shown
from ..core.interface import Failure, Version
from ..parameters import Memory, parameter_named
from ..parameters.bindings import KeyOf
from ..parameters.kinds import Parameter
from .counter_feeds import CounterFeed, LevelFeed, OomFeed
from .feeds import Feed
from .pressure_feeds import TriggerFeed
from .recorder import nanoseconds

if TYPE_CHECKING:
    from ..control.verbs import BaseCgroup

__all__ = [
    "INTERVAL",
    "Counters",
    "EventSource",
    "Everything",
    "Oom",
    "PressureLevel",
    "PressureTrigger",
    "has",
    "of_a_cgroup",
    "tells",
]

INTERVAL: Final = 0.1


class EventSource(ABC):
    """A source of events that a caller can ask for."""

    @abstractmethod
    def fits(self, cgroup: BaseCgroup) -> bool:
        """Return whether the source can be watched on this cgroup's hierarchy, to choose among several."""

    @abstractmethod
    def open(self, cgroup: BaseCgroup | None, target: Any) -> Iterator[Feed]:
        """Yield the feeds for one cgroup, None for the whole system.  ``target`` is the argument of the caller."""


def of_a_cgroup(cgroup: BaseCgroup | None, source: object) -> BaseCgroup:
    if cgroup is None:
        message = f"{source!r} needs a cgroup, but the target is None (the whole system)"
        raise InvalidValue(message, hint="for the whole system use PressureTrigger, or Threshold with a function")
    return cgroup


def tells(cgroup: BaseCgroup, file: str) -> bool:
    """Return whether the kernel notifies of changes to a file.

    Linux 6.11 and later notify through pids.events.local instead of pids.events: on v1, and on v2 if
    the mount has the option pids_localevents.
    """
    if not file.endswith((".events", ".events.local")):
        return False
    local = any("pids_localevents" in mount.options for mount in cgroup.hierarchy.mounts)
    return file != "pids.events" or (cgroup.version == Version.V2 and not local)


class Counters(EventSource):
    """The counters of an events file: ``Counters(Memory.events)``, or one of them, ``Memory.events["oom_kill"]``.

    Args:
        parameter: a file that the kernel notifies of: cgroup.events, memory.events, memory.swap.events, pids.events,
            hugetlb.SIZE.events, misc.events, or one of those that end in ``.local``.
        interval: seconds between two polls if the kernel does not notify: for v1's pids.events since Linux 6.11.
    """

    def __init__(self, parameter: Parameter | str, *, interval: float = INTERVAL) -> None:
        self.parameter = parameter_named(parameter) if isinstance(parameter, str) else parameter
        if not isinstance(self.parameter, Parameter):
            message = f"source must be a source of events or a parameter, got {shown(parameter)}"
            raise InvalidValue(message, hint="such as Memory.events or Threshold(Memory.usage_in_bytes, above=…)")
        self.interval = nanoseconds(interval)

    def fits(self, cgroup: BaseCgroup) -> bool:
        return has(self.parameter, cgroup)

    def open(self, cgroup: BaseCgroup | None, target: Any) -> Iterator[Feed]:  # noqa: ARG002
        cgroup = of_a_cgroup(cgroup, self)
        binding = self.parameter.binding(cgroup.version)
        [file, *others] = binding.files or ("",)
        if others or not file.endswith((".events", ".events.local")):
            message = f"cannot watch {self.parameter} of {cgroup}: the kernel does not notify of changes to it"
            raise InvalidValue(message, parameter=str(self.parameter), hint="use Threshold, which polls it")
        keys = frozenset({str(binding.key)}) if isinstance(binding, KeyOf) else None
        yield CounterFeed(cgroup, file, keys, 0 if tells(cgroup, file) else self.interval)

    def __repr__(self) -> str:
        return f"Counters({self.parameter})"


def has(parameter: Parameter, cgroup: BaseCgroup) -> bool:
    controller = parameter.controller
    return bool(parameter.files(cgroup.version)) and (controller in ("", "cgroup") or cgroup.hierarchy.has(controller))


class Oom(EventSource):
    """Out of memory: ``oom``, and ``oom_kill`` for each killed process, on both versions.

    v1 counts a killed process only in its own cgroup, and reports ``oom`` without a count.  v2 includes
    descendants.
    """

    def fits(self, cgroup: BaseCgroup) -> bool:
        return cgroup.hierarchy.has("memory")

    def open(self, cgroup: BaseCgroup | None, target: Any) -> Iterator[Feed]:  # noqa: ARG002
        cgroup = of_a_cgroup(cgroup, self)
        if cgroup.version == Version.V1:
            yield OomFeed(cgroup)
        else:
            yield CounterFeed(cgroup, "memory.events", frozenset({"oom", "oom_kill", "oom_group_kill"}))

    def __repr__(self) -> str:
        return "Oom()"


class PressureLevel(EventSource):
    """Memory pressure of v1 at a level: ``low``, ``medium`` or ``critical`` (cgroup-v1/memory.rst, 11).

    Args:
        level: the lowest level to report.
        mode: ``default``: unless a descendant was notified; ``hierarchy``: always; ``local``: for its own use only.
    """

    def __init__(self, level: str = "low", mode: str = "default") -> None:
        _check_word("level", level, ("low", "medium", "critical"))
        _check_word("mode", mode, ("default", "hierarchy", "local"))
        self.level, self.mode = level, mode

    def fits(self, cgroup: BaseCgroup) -> bool:
        return cgroup.hierarchy.has("memory")

    def open(self, cgroup: BaseCgroup | None, target: Any) -> Iterator[Feed]:  # noqa: ARG002
        cgroup = of_a_cgroup(cgroup, self)
        if cgroup.version != Version.V1:
            message = f"cannot watch memory.pressure_level of {cgroup}: only v1 has it"
            raise ParameterNotSupported(message, path=cgroup.path, hint="PressureTrigger('memory', 'some', …)")
        yield LevelFeed(cgroup, self.level, self.mode)

    def __repr__(self) -> str:
        return f"PressureLevel({self.level!r}, {self.mode!r})"


def _check_word(name: str, value: Any, words: tuple[str, ...]) -> None:
    if value not in words:
        message = f"{name} must be one of {', '.join(words)}, got {shown(value)}"
        raise InvalidValue(message)


class PressureTrigger(EventSource):
    """A PSI trigger: processes stalled on a resource for ``stall_us`` microseconds or more within ``window_us``.

    The kernel reports at most one event per window, for a v2 cgroup or, with ``Events(None, PressureTrigger(…))``,
    for the whole system.  Without CAP_SYS_RESOURCE the window must be a multiple of 2 s, and Linux 6.5 is required.

    Args:
        resource: ``cpu``, ``memory``, ``io`` or ``irq``.
        state: ``some``: at least one process stalled; ``full``: all of them at once.
        stall_us: stall time, in microseconds.
        window_us: length of the window, in microseconds, from 500,000 to 10,000,000.
    """

    SHORTEST: Final = 500_000
    LONGEST: Final = 10_000_000

    def __init__(self, resource: str, state: str, stall_us: int, window_us: int) -> None:
        _check_word("resource", resource, ("cpu", "memory", "io", "irq"))
        _check_word("state", state, ("some", "full"))
        _check_count("window_us", window_us, self.SHORTEST, self.LONGEST)
        _check_count("stall_us", stall_us, 1, window_us)
        self.resource, self.state, self.stall_us, self.window_us = resource, state, stall_us, window_us

    def fits(self, cgroup: BaseCgroup) -> bool:
        return cgroup.version == Version.V2

    def open(self, cgroup: BaseCgroup | None, target: Any) -> Iterator[Feed]:  # noqa: ARG002
        if cgroup is not None and not self.fits(cgroup):
            message = f"cannot watch the pressure of {cgroup}: only v2 has pressure files"
            hint = Advice("use PressureLevel on v1; None is the whole system", "name a cgroup of v2, such as :/job")
            raise ParameterNotSupported(message, path=cgroup.path, hint=hint)
        yield TriggerFeed(cgroup, self.resource, self.state, f"{self.state} {self.stall_us} {self.window_us}")

    def __repr__(self) -> str:
        return f"PressureTrigger({self.resource!r}, {self.state!r}, {self.stall_us}, {self.window_us})"


def _check_count(name: str, value: Any, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        message = f"{name} must be microseconds from {least} to {most}, got {shown(value)}"
        raise InvalidValue(message)


# ---- default source ----------------------------------------------------------------------------


class Everything(EventSource):
    """All notifications of the kernel for a cgroup, except those that this user may not watch."""

    def fits(self, cgroup: BaseCgroup) -> bool:  # noqa: ARG002
        return True

    def open(self, cgroup: BaseCgroup | None, target: Any) -> Iterator[Feed]:  # noqa: ARG002
        cgroup = of_a_cgroup(cgroup, self)
        makers: list[Callable[[], Feed]] = [
            partial(CounterFeed, cgroup, file) for file in _files(cgroup) if tells(cgroup, file)
        ]
        if cgroup.version == Version.V1 and Memory.CONTROLLER in cgroup.subsystems:
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


def _files(cgroup: BaseCgroup) -> list[str]:
    """Return the names of the event files, except the .local ones, whose events the others include."""
    directory, below = cgroup.locate_for_writing(f"watch {cgroup}")
    try:
        fd = directory.open(below, os.O_RDONLY | os.O_DIRECTORY)
    except Failure as failure:
        raise diagnosis.explain(failure, cgroup, "", "watch") from None
    try:
        return sorted(name for name in os.listdir(fd) if name.endswith(".events"))
    finally:
        os.close(fd)
