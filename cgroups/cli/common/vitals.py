"""Vitals: the few figures of a cgroup that people ask for, each with one unit.  This module prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ...core import diagnosis
from ...core.interface import Version
from ...hierarchy import Cgroup, Hierarchy
from ...jobs.disks import Disks
from ...observe.frames import Frame
from ...observe.rates import USAGE_PARAMETERS, Rate, rates
from ...observe.sampler import Sampler
from ...parameters import Memory, Pids
from ...parameters.kinds import Readable
from .rows import Row

__all__ = ["RAW", "SOURCES", "VITALS", "WITH_KERNEL", "Lost", "Vital", "Vitals", "is_v1_root", "now", "parameters_on"]

RAW: Final[tuple[Readable[Any], ...]] = (*USAGE_PARAMETERS, Memory.limit_in_bytes, Pids.current)
"""The parameters behind the figures of ``watch``."""
SOURCES: Final[tuple[Readable[Any], ...]] = (*RAW, Memory.swap_current, Memory.events, Memory.oom_control)
"""The parameters behind all vitals."""

_TWICE: Final = {Version.V2: Memory.oom_control}
"""Parameters to omit on a version: Memory.events has the same number, descendants included."""


class Vital(NamedTuple):
    """One figure of a cgroup.

    Attributes:
        title: its column in a file.
        heading: its name in a chart.
        controller: the controller that counts the figure; '' is the unified hierarchy.
        unit: its only unit.
        digits: the decimals that a file keeps; None if it keeps whole numbers.
        of: returns the figure of a rate: None if it is unknown, MAX for no limit.
    """

    title: str
    heading: str
    controller: str
    unit: str
    digits: int | None
    of: Callable[[Rate], Any]

    @property
    def is_whole(self) -> bool:
        """Whether a file keeps whole numbers."""
        return self.digits is None

    def rounded(self, figure: Any) -> Any:
        """Return a figure with the digits of a file."""
        return round(figure, self.digits) if isinstance(figure, float) else figure


def now(rate: Rate, parameter: Readable[Any]) -> Any:
    """Return the present value of a parameter; None if the parameter was not sampled."""
    try:
        return rate.now(parameter)
    except KeyError:
        return None


EVERYWHERE: Final = ("cpuacct", "")
"""Controllers whose vitals each cgroup of v2 has, even if v1 has the controller."""

SHARE: Final = "share of time, 0 to 1"
DIGITS: Final = 4
"""Decimals of CPUs and shares: enough for people, and no number needs an exponent."""

VITALS: Final = {
    one.title: one
    for one in (
        Vital("cpu", "CPU usage", "cpuacct", "CPUs", DIGITS, lambda rate: rate.cpu),
        Vital("throttled", "throttled", "cpu", "share of periods, 0 to 1", DIGITS, lambda rate: rate.throttled),
        Vital("memory", "memory", "memory", "bytes", None, lambda rate: rate.memory),
        Vital("working_set", "working set", "memory", "bytes", None, lambda rate: rate.working_set),
        Vital("swap", "swap", "memory", "bytes", None, lambda rate: rate.swap),
        Vital("limit", "memory limit", "memory", "bytes", None, lambda rate: now(rate, Memory.limit_in_bytes)),
        Vital("oom_kills", "OOM kills", "memory", "processes", None, lambda rate: rate.oom_kills),
        Vital("read_bytes", "read", "blkio", "bytes per second", None, lambda rate: rate.read_bytes),
        Vital("write_bytes", "written", "blkio", "bytes per second", None, lambda rate: rate.write_bytes),
        Vital("reads", "read operations", "blkio", "per second", 3, lambda rate: rate.reads),
        Vital("writes", "write operations", "blkio", "per second", 3, lambda rate: rate.writes),
        Vital("pids", "pids", "pids", "processes and threads", None, lambda rate: now(rate, Pids.current)),
        Vital("cpu_pressure", "CPU pressure", "", SHARE, DIGITS, lambda rate: rate.pressure_of("cpu")),
        Vital("memory_pressure", "memory pressure", "", SHARE, DIGITS, lambda rate: rate.pressure_of("memory")),
        Vital("io_pressure", "IO pressure", "", SHARE, DIGITS, lambda rate: rate.pressure_of("io")),
    )
}
"""By title, all vitals, in the order of a file's columns.  The unified hierarchy can have every one of them."""


def parameters_on(hierarchy: Hierarchy, parameters: Sequence[Readable[Any]] = RAW) -> list[Readable[Any]]:
    """Return the parameters behind the figures that a hierarchy has.  v2 has pressure without controllers."""
    return [
        parameter
        for parameter in parameters
        if parameter.files(hierarchy.version)
        and (hierarchy.version == Version.V2 or hierarchy.has(parameter.controller))
        and parameter is not _TWICE.get(hierarchy.version)
    ]


def is_v1_root(cgroup: Cgroup) -> bool:
    """Return whether a cgroup is the root of a hierarchy of v1: only this root has the file release_agent."""
    return cgroup.version == Version.V1 and diagnosis.has_file(cgroup, "release_agent")


# ---- IO that v1 does not count -------------------------------------------------------------

WITH_KERNEL: Final = ("memory", "working_set")
"""The memory of v1's root excludes kernel memory, unlike that of every other cgroup, so kernel memory is added."""

_IO: Final = {"Read": ("read_bytes", "reads"), "Write": ("write_bytes", "writes")}
"""The figures of each direction of IO."""


class Lost:
    """The figures of IO that v1 may not have counted since the last look: their 0 means nothing.

    v1 counts IO only on devices with a throttle.
    """

    def __init__(self, hierarchy: Hierarchy | None) -> None:
        self._disks = Disks(None if hierarchy is None else hierarchy.root())

    def look(self) -> frozenset[str]:
        """Return the figures that lack IO since the last look."""
        found = self._disks.lost_since_last()
        return frozenset(name for direction, devices in found.items() if devices for name in _IO[direction])


# ---- rows ------------------------------------------------------------------------------------


class Vitals:
    """The vitals of some cgroups, one row for each, even if its controllers are on several hierarchies.

    Args:
        cgroups: by the label of a row, its cgroups: at most one on each hierarchy.
    """

    def __init__(self, cgroups: Mapping[str, Sequence[Cgroup]]) -> None:
        self._cgroups = list(dict.fromkeys(one for several in cgroups.values() for one in several))
        self._hierarchies = list(dict.fromkeys(one.hierarchy for one in self._cgroups))
        self._lost = Lost(next((one for one in self._hierarchies if one.has("blkio")), None))
        self._v1_roots = {one for one in self._cgroups if is_v1_root(one)}
        at = {cgroup: place for place, cgroup in enumerate(self._cgroups)}
        self._rows = [
            (label, at[several[0]], {one.title: [at[each] for each in _sources(one, several)] for one in self.columns})
            for label, several in cgroups.items()
        ]
        self._previous: Frame

    columns: Final = tuple(VITALS.values())
    """The columns of a file."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def sampler(self) -> Sampler:
        """Return a sampler of all that the vitals need.  It knows the devices of the whole machine."""
        wanted = (parameter for one in self._hierarchies for parameter in parameters_on(one, SOURCES))
        parameters = list(dict.fromkeys(wanted))
        if self._v1_roots and Memory.usage_in_bytes in parameters:
            parameters.append(Memory.kmem_usage_in_bytes)
        roots = [root for one in self._hierarchies if (root := one.root()).path is not None]
        return Sampler(self._cgroups, parameters, keys_of=roots)

    def start(self, frame: Frame) -> None:
        """Take the frame with which the first row is compared."""
        self._previous = frame

    def rows(self, frames: Iterable[Frame]) -> Iterator[Row]:
        """Yield the rows of the next frames of the sampler, each compared with the frame before."""
        since = time.time_ns() - time.monotonic_ns()
        lost = self._lost.look()
        for frame in frames:
            found = rates(self._previous, frame).values()
            self._previous = frame
            for label, first, sources in self._rows:
                taken = found[first].timestamp_ns
                figures = (
                    self._figure(vital, [found[at] for at in sources[vital.title]], lost) for vital in self.columns
                )
                yield (since + taken, taken, label, *figures)

    def _figure(self, vital: Vital, found: Iterable[Rate], lost: frozenset[str]) -> Any:
        for rate in found:
            figure = vital.of(rate)
            if figure is None:
                continue
            if vital.title in WITH_KERNEL and rate.cgroup in self._v1_roots:
                figure += now(rate, Memory.kmem_usage_in_bytes) or 0
            return None if vital.title in lost and not figure else vital.rounded(figure)
        return None


def _sources(vital: Vital, cgroups: Sequence[Cgroup]) -> list[Cgroup]:
    """Return the cgroups that have a vital: those on the hierarchy of its controller, or those that need none."""
    own = [one for one in cgroups if one.hierarchy == one.hierarchy.host.hierarchy_of(vital.controller)]
    return own or [one for one in cgroups if one.version == Version.V2 and vital.controller in EVERYWHERE]
