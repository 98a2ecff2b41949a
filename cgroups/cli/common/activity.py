"""The usage of the cgroups of a host, each once for all its hierarchies.  This module prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...control.verbs import BaseCgroup
from ...core.advice import advise
from ...core.errors import CgroupError, CgroupNotFound
from ...core.name_matches import name_of
from ...core.values import MAX, Limit, Max
from ...hierarchy import Cgroup, Hierarchy, Host
from ...observe.frames import Frame
from ...observe.rates import Rate, Rates, rates
from ...observe.sampler import Sampler
from ...parameters import Cpu, Memory, Parameters, Pids
from ...parameters.kinds import Readable
from .vitals import RAW, VITALS, WITH_KERNEL, Lost, is_v1_root, now, parameters_on

__all__ = ["SORTS", "Activity", "CgroupUsage", "add_growth", "nearest_above", "tightest_limits"]

DETAILS: tuple[Readable[Any], ...] = (
    *(Cpu.cfs_quota_us, Cpu.cfs_period_us, Pids.max, Pids.events),
    *(Memory.swap_current, Memory.events_local, Memory.oom_control, Memory.failcnt),
)
"""Parameters that only detailed usage needs."""


class CgroupUsage(NamedTuple):
    """The usage of a cgroup.  A missing figure is None.

    ``time`` is the time of the reading in Unix seconds, and ``elapsed`` the seconds since the previous reading.
    The figures from ``swap`` on are details.  ``effective_limit`` is the tightest memory limit up the tree, and
    ``limited_by`` the location of the cgroup that has it.  ``memory_growth`` is in bytes per second.  Figures that
    end in ``_total`` are counts since the creation of the cgroup.
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
    cpu_full_pressure: float | None = None
    memory_full_pressure: float | None = None
    io_full_pressure: float | None = None
    swap: int | None = None
    cpu_limit: float | Max | None = None
    pids_limit: Limit | None = None
    effective_limit: Limit | None = None
    limited_by: str | None = None
    memory_growth: float | None = None
    oom_kills_total: int | None = None
    limit_hits_total: int | None = None
    refused_forks_total: int | None = None


FIGURES = CgroupUsage._fields[4:]
_DETAILS = frozenset(FIGURES[FIGURES.index("cpu_full_pressure") :])
_COMPUTED = frozenset({"effective_limit", "limited_by", "memory_growth"})

_OF_CONTROLLER: dict[str, set[str]] = {
    "cpuacct": set(),
    "cpu": {"cpu_limit"},
    "memory": {"swap", "oom_kills_total", "limit_hits_total"},
    "blkio": set(),
    "pids": {"pids_limit", "refused_forks_total"},
    "": {*FIGURES},
}
"""By controller, its figures.  The unified hierarchy has all figures that no other has."""
for _name in {*FIGURES} & {*VITALS}:
    _OF_CONTROLLER[VITALS[_name].controller].add(_name)


def _sum(*figures: float | None) -> float:
    return sum(figure or 0 for figure in figures)


SORTS: dict[str, Callable[[CgroupUsage], Any]] = {
    "cpu": lambda one: -_sum(one.cpu),
    "memory": lambda one: -_sum(one.memory),
    "io": lambda one: -_sum(one.read_bytes, one.write_bytes),
    "pids": lambda one: -_sum(one.pids),
    "pressure": lambda one: -_sum(one.cpu_pressure, one.memory_pressure, one.io_pressure),
    "name": lambda one: one.location,
}
"""Sort keys of rows, which put the busiest first."""


class Activity:
    """The usage of the cgroups below a top, on all hierarchies that have figures.

    Args:
        host: the host of the cgroups.
        top: the top cgroup; None for all cgroups.
        depth: number of levels below the top; None for all.
        is_wanted: returns whether to include the cgroup at a location; default: include all.
        is_detailed: whether to add the details, which need more control files.
    """

    def __init__(
        self,
        host: Host,
        top: Cgroup | None,
        depth: int | None,
        is_wanted: Callable[[str], bool] | None = None,
        *,
        is_detailed: bool = False,
    ) -> None:
        self._followed: list[_Followed] = []
        self._is_wanted = is_wanted
        self._is_detailed = is_detailed
        self._memory: dict[str, int] = {}
        found: dict[Hierarchy, set[str]] = {}
        for controller, its in _OF_CONTROLLER.items():
            hierarchy = host.hierarchy_of(controller)
            if hierarchy is not None:
                found.setdefault(hierarchy, set()).update(its)
        for hierarchy, names in found.items():
            root = hierarchy.root() if top is None else Cgroup(hierarchy, top.location)
            if root.path is not None:
                figures = names - (_COMPUTED if is_detailed else _DETAILS)
                self._followed.append(_Followed(root, figures, depth, DETAILS if is_detailed else ()))
        if not self._followed:
            message = "no hierarchy that counts anything is mounted"
            raise CgroupNotFound(message, hint=advise("mounted"))

    def step(self) -> list[CgroupUsage]:
        """Return the usage of each cgroup since the previous call; an empty list at the first call."""
        since = time.time_ns() - time.monotonic_ns()
        usages: dict[str, dict[str, Any]] = {}
        cgroups: dict[str, BaseCgroup] = {}
        limits: dict[str, tuple[Limit, str]] = {}
        for one in self._followed:
            rates_now = one.step()
            if self._is_detailed and "limit" in one.figures:
                limits.update(_limits(one.root, rates_now))
            for rate in rates_now:
                if self._is_wanted is not None and not self._is_wanted(rate.cgroup.location):
                    continue
                figures = {name: value for name in one.figures if (value := one.figure(rate, name)) is not None}
                if figures:
                    below = _below(one.root, rate.cgroup)
                    cgroups.setdefault(below, rate.cgroup)
                    times = {"time": (since + rate.timestamp_ns) / 1e9, "elapsed": rate.seconds}
                    usages[below] = {**times, **figures, **usages.get(below, {})}
        for below, (limit, by) in limits.items():
            if below in usages:
                usages[below]["effective_limit"] = limit
                usages[below]["limited_by"] = by or None
        if self._is_detailed:
            add_growth(usages, self._memory)
            self._memory = {below: one["memory"] for below, one in usages.items() if "memory" in one}
        return [
            CgroupUsage(location=cgroup.location, name=name_of(cgroup), **usages[below])
            for below, cgroup in cgroups.items()
        ]

    def close(self) -> None:
        for one in self._followed:
            one.close()


def add_growth(usages: Mapping[str, dict[str, Any]], before: Mapping[str, int]) -> None:
    """Add the growth of memory to figures.

    Args:
        usages: the figures of each cgroup.
        before: the memory of each cgroup at the previous reading.
    """
    for place, one in usages.items():
        if place in before and "memory" in one and one["elapsed"]:
            one["memory_growth"] = (one["memory"] - before[place]) / one["elapsed"]


def _below(root: Cgroup, cgroup: BaseCgroup) -> str:
    """Return the part of a location that a cgroup has on every hierarchy: the names below the top."""
    return cgroup.location[len(root.location.rstrip("/")) :]


def _limits(root: Cgroup, found: Iterable[Rate]) -> dict[str, tuple[Limit, str]]:
    """Return the tightest memory limit up the tree, and the location of its cgroup, of each cgroup by its names.

    A cgroup without a limit file is missing: it has no memory controller, or is on another hierarchy.
    """
    own = {rate.cgroup.location: (_below(root, rate.cgroup), rate.now(Memory.limit_in_bytes)) for rate in found}
    tightest = tightest_limits({place: limit for place, (_, limit) in own.items()}, _limit_above(root))
    return {below: tightest[place] for place, (below, limit) in own.items() if limit is not None}


def tightest_limits(
    own: Mapping[str, Limit | None], above: tuple[Limit, str] = (MAX, "")
) -> dict[str, tuple[Limit, str]]:
    """Return the tightest of the limits of each cgroup and its ancestors, and the location of the cgroup that has it.

    Args:
        own: the limit of each cgroup by location; None if it is unknown.
        above: the tightest limit of the ancestors that ``own`` lacks, and its location.
    """
    found: dict[str, tuple[Limit, str]] = {}
    for location in sorted(own):  # an ancestor precedes its descendants
        parent = nearest_above(location, found)
        inherited = above if parent is None else found[parent]
        limit = own[location]
        # The lowest cgroup if several have the same limit, like Cgroup.effective.
        is_tighter = limit is not None and limit is not MAX and limit <= inherited[0]
        found[location] = (limit, location) if is_tighter and limit is not None else inherited
    return found


def nearest_above(location: str, known: Container[str]) -> str | None:
    """Return the location of the nearest ancestor that is known."""
    while location not in ("", "/"):
        location = location.rpartition("/")[0] or "/"
        if location in known:
            return location
    return None


def _limit_above(top: Cgroup) -> tuple[Limit, str]:
    """Return the tightest memory limit of the ancestors of a top."""
    parent = top.parent
    if parent is not None:
        try:
            found = parent.effective(Memory.limit_in_bytes)
        except CgroupError:
            return MAX, ""
        if found.cgroup is not None:
            return found.value, found.cgroup.location
    return MAX, ""


class _Followed:
    """One hierarchy, and the figures that come from it."""

    def __init__(self, root: Cgroup, figures: set[str], depth: int | None, details: Sequence[Readable[Any]]) -> None:
        self.root = root
        self.figures = figures
        self._depth = depth
        self._details = details
        self._previous: Frame | None = None
        self._io = Lost(root.hierarchy if "read_bytes" in figures else None)
        self._lost: frozenset[str] = frozenset()
        self._is_v1_root = is_v1_root(root)
        # Started at the first step: to find all cgroups takes time, in which the screen is drawn already.
        self._sampler: Sampler | None = None

    def _start(self) -> Sampler:
        parameters = parameters_on(self.root.hierarchy, (*RAW, *self._details))
        return Sampler.follow(self.root, parameters, depth=self._depth)

    def figure(self, rate: Rate, name: str) -> Any:
        """Return one of the figures; None if the cgroup does not have it.

        The memory of v1's root excludes kernel memory, unlike that of every other cgroup.  Kernel memory is added
        here, or the root would have less memory than its children.
        """
        value = _figure(rate, name)
        if name in self._lost and not value:
            return None  # v1 counts IO only on devices with a throttle: other IO may exist
        if value is not None and name in WITH_KERNEL and self._is_v1_root and rate.cgroup == self.root:
            value += _kernel_memory(self.root)
        return value

    def step(self) -> list[Rate]:
        if self._sampler is None:
            self._sampler = self._start()
        previous, self._previous = self._previous, self._sampler.sample()
        self._lost = self._io.look()
        found: Rates | None = None
        if previous is not None and previous.columns is self._previous.columns:
            found = rates(previous, self._previous)
        if self._sampler.new_keys:
            # A device was used for the first time: the new sampler has a column for it.
            self._sampler.close()
            self._sampler = self._start()
            self._previous = self._sampler.sample()
        return [] if found is None else found.values()

    def close(self) -> None:
        if self._sampler is not None:
            self._sampler.close()


_NOW: dict[str, tuple[tuple[Readable[Any], str | None], ...]] = {
    "pids_limit": ((Pids.max, None),),
    "oom_kills_total": ((Memory.events_local, "oom_kill"), (Memory.oom_control, "oom_kill")),
    "limit_hits_total": ((Memory.failcnt, None),),
    "refused_forks_total": ((Pids.events, "max"),),
}
"""Figures that are the current value of the first of some parameters, or of one of its keys, that a cgroup has."""


def _figure(rate: Rate, name: str) -> Any:
    if name in VITALS:
        return VITALS[name].of(rate)
    if name.endswith("_full_pressure"):
        return rate.pressure_of(name.removesuffix("_full_pressure"), "full")
    if name == "cpu_limit":
        return _cpus(rate)
    for parameter, key in _NOW[name]:
        value = now(rate, parameter)
        if isinstance(value, dict):
            value = value.get(key)
        if value is not None:
            return value
    return None


def _cpus(rate: Rate) -> float | Max | None:
    """Return the CPU limit in CPUs."""
    quota, period = now(rate, Cpu.cfs_quota_us), now(rate, Cpu.cfs_period_us)
    return MAX if quota is MAX else quota / period if quota is not None and period else None


def _kernel_memory(cgroup: Cgroup) -> int:
    """Return the kernel memory that a cgroup of v1 counts separately, 0 if the kernel does not count it."""
    try:
        return Parameters.get(Memory.kmem_usage_in_bytes, cgroup)
    except CgroupError:
        return 0
