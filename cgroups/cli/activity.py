"""What the cgroups of a host use, each once, whichever hierarchies it is on: looked up here, printed elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import diagnosis
from ..core.advice import advise
from ..disks import Disks
from ..errors import CgroupError, CgroupNotFound
from ..hierarchy import Cgroup, Hierarchy
from ..host import Host
from ..sampling.rates import VITALS, Rate, Rates, rates
from ..sampling.sampler import Sampler
from ..sampling.table import Frame
from ..subsystem import Memory, Parameters, Pids
from ..subsystem.parameter import Readable
from ..values import Limit
from .names import name_of

__all__ = ["SORTS", "Activity", "Usage", "parameters_on"]

PARAMETERS: tuple[Readable[Any], ...] = (*VITALS, Memory.limit_in_bytes, Pids.current)


class Usage(NamedTuple):
    """A cgroup and what it uses; a figure that it has not is None.

    ``time`` is when it was read, in Unix seconds, and ``elapsed`` the seconds since the reading before.
    """

    time: float
    elapsed: float | None
    location: str
    name: str
    cpu: float | None = None
    throttled: float | None = None
    memory: int | None = None
    working_set: int | None = None
    limit: Limit | None = None
    read_bytes: float | None = None
    write_bytes: float | None = None
    reads: float | None = None
    writes: float | None = None
    pids: int | None = None
    cpu_pressure: float | None = None
    memory_pressure: float | None = None
    io_pressure: float | None = None


FIGURES = Usage._fields[4:]

# A controller, and the figures that are its own.
_OF_CONTROLLER: dict[str, tuple[str, ...]] = {
    "cpuacct": ("cpu",),
    "cpu": ("throttled",),
    "memory": ("memory", "working_set", "limit"),
    "blkio": ("read_bytes", "write_bytes", "reads", "writes"),
    "pids": ("pids",),
    "": FIGURES,  # of the unified hierarchy, all that no other has
}


_WITH_KERNEL = ("memory", "working_set")


def _sum(*figures: float | None) -> float:
    return sum(figure or 0 for figure in figures)


SORTS: dict[str, Callable[[Usage], Any]] = {
    "cpu": lambda one: -_sum(one.cpu),
    "memory": lambda one: -_sum(one.memory),
    "io": lambda one: -_sum(one.read_bytes, one.write_bytes),
    "pids": lambda one: -_sum(one.pids),
    "pressure": lambda one: -_sum(one.cpu_pressure, one.memory_pressure, one.io_pressure),
    "name": lambda one: one.location,
}
"""By what rows are sorted: the busiest first."""


def parameters_on(hierarchy: Hierarchy) -> list[Readable[Any]]:
    """What a hierarchy has of the parameters that the figures are made of; v2 has pressure without controllers."""
    return [
        parameter
        for parameter in PARAMETERS
        if parameter.files(hierarchy.version) and (hierarchy.version == 2 or hierarchy.has(parameter.controller))  # noqa: PLR2004 - the version
    ]


class Activity:
    """The cgroups below a place, on all hierarchies that count something."""

    def __init__(self, host: Host, top: Cgroup | None, depth: int | None) -> None:
        self._followed: list[_Followed] = []
        found: dict[Hierarchy, set[str]] = {}
        for controller, figures in _OF_CONTROLLER.items():
            hierarchy = host.hierarchy_of(controller)
            if hierarchy is not None:
                found.setdefault(hierarchy, set()).update(figures)
        for hierarchy, names in found.items():
            root = hierarchy.root() if top is None else Cgroup(hierarchy, top.location)
            if root.path is not None:
                self._followed.append(_Followed(root, names, depth))
        if not self._followed:
            message = "no hierarchy that counts anything is mounted"
            raise CgroupNotFound(message, hint=advise("mounted"))

    def step(self) -> list[Usage]:
        """What each has used since last asked; nothing yet at the first time."""
        since = time.time_ns() - time.monotonic_ns()
        usages: dict[str, dict[str, Any]] = {}
        cgroups: dict[str, Cgroup] = {}
        for one in self._followed:
            for rate in one.step():
                figures = {name: value for name in one.figures if (value := one.figure(rate, name)) is not None}
                if figures:
                    below = rate.cgroup.location[len(one.root.location.rstrip("/")) :]
                    cgroups.setdefault(below, rate.cgroup)
                    times = {"time": (since + rate.timestamp_ns) / 1e9, "elapsed": rate.seconds}
                    usages[below] = {**times, **figures, **usages.get(below, {})}
        return [
            Usage(location=cgroup.location, name=name_of(cgroup), **usages[below]) for below, cgroup in cgroups.items()
        ]

    def close(self) -> None:
        for one in self._followed:
            one.sampler.close()


_IO = {"Read": ("read_bytes", "reads"), "Write": ("write_bytes", "writes")}
"""The figures of a direction."""


class _Followed:
    """One hierarchy, and the figures that are taken from it."""

    def __init__(self, root: Cgroup, figures: set[str], depth: int | None) -> None:
        self.root = root
        self.figures = figures
        self._depth = depth
        self._previous: Frame | None = None
        self._blkio = root.hierarchy.root() if "read_bytes" in figures else None
        self._disks = Disks(self._blkio)
        self._lost: set[str] = set()
        # Only the root of a hierarchy of v1 has the file release_agent.
        self._is_v1_root = root.version == 1 and diagnosis.has_file(root, "release_agent")
        self.sampler = self._start()

    def _start(self) -> Sampler:
        parameters = parameters_on(self.root.hierarchy)
        return Sampler.follow(self.root, parameters, depth=self._depth)

    def figure(self, rate: Rate, name: str) -> Any:
        """Return one of the figures; None if the cgroup does not have it.

        The memory of v1's root leaves kernel memory out, which that of every other cgroup includes: without it the
        root would have less than its children.
        """
        value = _figure(rate, name)
        if name in self._lost and not value:
            return None  # v1 counts only where a throttle is: it may have been on a device without
        if value is not None and name in _WITH_KERNEL and self._is_v1_root and rate.cgroup == self.root:
            value += _kernel_memory(self.root)
        return value

    def step(self) -> list[Rate]:
        previous, self._previous = self._previous, self.sampler.sample()
        self._lost = {name for direction, devices in self._disks.lost().items() if devices for name in _IO[direction]}
        self._disks = Disks(self._blkio)
        found: Rates | None = None
        if previous is not None and previous.columns is self._previous.columns:
            found = rates(previous, self._previous)
        if self.sampler.new_keys:
            # A device was used for the first time: it has a column from now on.
            self.sampler.close()
            self.sampler = self._start()
            self._previous = self.sampler.sample()
        return [] if found is None else found.values()


def _figure(rate: Rate, name: str) -> Any:
    if name.endswith("_pressure"):
        return rate.pressure.get((name.removesuffix("_pressure"), "some"))
    parameter = {"limit": Memory.limit_in_bytes, "pids": Pids.current}.get(name)
    if parameter is None:
        return getattr(rate, name)
    return rate.now(parameter)


def _kernel_memory(cgroup: Cgroup) -> int:
    """Return the kernel memory that a cgroup of v1 counts apart, 0 if the kernel does not count it."""
    try:
        return Parameters.get(Memory.kmem_usage_in_bytes, cgroup)
    except CgroupError:
        return 0
