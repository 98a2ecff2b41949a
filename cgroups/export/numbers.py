"""The numbers that can be exported: what each is read from, on both versions.

metrics.py and conventions.py name these numbers; reader.py reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from ..parameters import Blkio, Core, Cpu, Cpuacct, Cpuset, Freezer, Hugetlb, Io, Memory, Pids
from ..parameters.kinds import Readable

__all__ = ["COST", "DEFAULT", "EVENTS", "FAMILIES", "NUMBERS", "READ", "Number", "Source", "Term", "huge_pages"]

Term = tuple[Readable[Any], Any]
"""A parameter, and the key of its number: None if the parameter has one number."""


class Source(NamedTuple):
    """One way to read a number.

    Attributes:
        terms: the parameters and keys.
        combine: the name of a function of evaluate.py, or of :data:`READ` for a value that is not a number.
    """

    terms: tuple[Term, ...]
    combine: str = ""


class Number(NamedTuple):
    """A number of a cgroup.

    Attributes:
        family: the family that the user turns on or off.
        sources: the ways to read the number, in order of preference; a host uses the first that its version has.
        factor: the exported unit in units of :attr:`Column.unit`; times are always seconds.
    """

    family: str
    sources: tuple[Source, ...]
    factor: float = 1.0


def _number(family: str, *terms: tuple[Any, ...], factor: float = 1.0) -> Number:
    """Return a number with one term for each source."""
    return Number(family, tuple(Source(((one[0], one[1] if len(one) > 1 else None),)) for one in terms), factor)


def _devices(key: str, operation: str, *tables: Readable[Any]) -> Number:
    terms = [(Io.stat, key), *((table, operation) for table in tables)]
    return Number("io", tuple(Source((term,), "device") for term in terms))


def _pressures() -> dict[str, Number]:
    parameters = {"cpu": Cpu.pressure, "memory": Memory.pressure, "io": Io.pressure, "irq": Core.irq_pressure}
    return {
        f"pressure.{resource}.{kind}": _number("pressure", (parameter, (share, "total")))
        for resource, parameter in parameters.items()
        for share, kind in (("some", "waiting"), ("full", "stalled"))
    }


_BYTES: Final = (Blkio.throttle_io_service_bytes_recursive, Blkio.throttle_io_service_bytes)
_OPERATIONS: Final = (Blkio.throttle_io_serviced_recursive, Blkio.throttle_io_serviced)
_USAGE: Final[Term] = (Memory.usage_in_bytes, None)

# On v1 the key with total_ counts descendants, like every number of v2.  v1 has the other key too, so it is second.
_STAT: Final[Mapping[str, tuple[str, ...]]] = {
    "rss": ("total_rss", "anon"),
    "cache": ("total_cache", "file"),
    "kernel": ("kernel",),
    "shmem": ("total_shmem", "shmem"),
    "slab": ("slab",),
    "sock": ("sock",),
    "mapped_file": ("total_mapped_file", "file_mapped"),
    "file_dirty": ("total_dirty", "file_dirty"),
    "file_writeback": ("total_writeback", "file_writeback"),
    "page_faults": ("total_pgfault", "pgfault"),
    "major_faults": ("total_pgmajfault", "pgmajfault"),
    "pgscan": ("pgscan",),
    "pgsteal": ("pgsteal",),
    "refault_anon": ("total_workingset_refault_anon", "workingset_refault_anon"),
    "refault_file": ("total_workingset_refault_file", "workingset_refault_file"),
}
COST: Final = ("usage", "wait", "indebt", "indelay")
EVENTS: Final = ("low", "high", "max", "oom", "oom_kill", "oom_group_kill", "sock_throttled")


def _less(family: str, whole: Term, *parts: Term) -> Number:
    return Number(family, tuple(Source((whole, part), "-") for part in parts))


NUMBERS: Final[Mapping[str, Number]] = {
    "cpu.usage": _number("cpu", (Cpuacct.usage,), (Cpu.stat, "usage_usec")),
    "cpu.user": _number("cpu", (Cpuacct.stat, "user")),
    "cpu.system": _number("cpu", (Cpuacct.stat, "system")),
    "cpu.periods": _number("cpu", (Cpu.stat, "nr_periods")),
    "cpu.throttled_periods": _number("cpu", (Cpu.stat, "nr_throttled")),
    "cpu.throttled": _number("cpu", (Cpu.stat, "throttled_time")),
    "cpu.bursts": _number("cpu", (Cpu.stat, "nr_bursts")),
    "cpu.burst": _number("cpu", (Cpu.stat, "burst_time")),
    "cpu.limit": Number(
        "cpu",
        (
            Source(((Cpu.max, "quota"), (Cpu.max, "period")), "/"),
            Source(((Cpu.cfs_quota_us, None), (Cpu.cfs_period_us, None)), "/"),
        ),
    ),
    "cpu.quota_us": _number("cpu", (Cpu.max, "quota"), (Cpu.cfs_quota_us,), factor=1e6),
    "cpu.period_us": _number("cpu", (Cpu.max, "period"), (Cpu.cfs_period_us,), factor=1e6),
    "cpu.weight": _number("cpu", (Cpu.weight,)),
    "cpu.shares": _number("cpu", (Cpu.shares,)),
    "memory.usage": _number("memory", (Memory.usage_in_bytes,)),
    "memory.working_set": _less("memory", _USAGE, (Memory.stat, "total_inactive_file"), (Memory.stat, "inactive_file")),
    **{f"memory.{name}": _number("memory", *((Memory.stat, key) for key in keys)) for name, keys in _STAT.items()},
    # v2 has no counts without descendants; cadvisor exports those with descendants for them.
    "memory.own_page_faults": _number("memory", (Memory.stat, "pgfault")),
    "memory.own_major_faults": _number("memory", (Memory.stat, "pgmajfault")),
    "memory.minor_faults": Number(
        "memory",
        tuple(
            Source(((Memory.stat, faults), (Memory.stat, major)), "-")
            for faults, major in zip(_STAT["page_faults"], _STAT["major_faults"])
        ),
    ),
    "memory.swap": _number("memory", (Memory.swap_current,), (Memory.stat, "total_swap")),
    "memory.peak": _number("memory", (Memory.max_usage_in_bytes,)),
    "memory.limit": _number("memory", (Memory.limit_in_bytes,)),
    "memory.effective_limit": Number(
        "memory",
        (
            Source(((Memory.stat, "hierarchical_memory_limit"),), "limit"),
            Source(((Memory.limit_in_bytes, None),), "up the tree"),
        ),
    ),
    "memory.high": _number("memory", (Memory.high,)),
    "memory.low": _number("memory", (Memory.low,), (Memory.soft_limit_in_bytes,)),
    "memory.min": _number("memory", (Memory.min,)),
    "memory.swap_limit": _number("memory", (Memory.swap_max,)),
    **{f"memory.events.{event}": _number("memory", (Memory.events, event)) for event in EVENTS},
    "memory.events.max": _number("memory", (Memory.events, "max"), (Memory.failcnt,)),
    "memory.events.oom_kill": _number("memory", (Memory.events, "oom_kill"), (Memory.oom_control, "oom_kill")),
    **_pressures(),
    "io.read_bytes": _devices("rbytes", "Read", *_BYTES),
    "io.write_bytes": _devices("wbytes", "Write", *_BYTES),
    "io.discard_bytes": _devices("dbytes", "Discard", *_BYTES),
    "io.reads": _devices("rios", "Read", *_OPERATIONS),
    "io.writes": _devices("wios", "Write", *_OPERATIONS),
    "io.discards": _devices("dios", "Discard", *_OPERATIONS),
    **{f"cost.{name}": Number("cost", (Source(((Io.stat, f"cost.{name}"),), "device"),)) for name in COST},
    "pids.current": _number("pids", (Pids.current,)),
    "pids.limit": _number("pids", (Pids.max,)),
    "pids.max_events": _number("pids", (Pids.events, "max")),
    "tree.descendants": _number("tree", (Core.stat, "nr_descendants")),
    "tree.dying": _number("tree", (Core.stat, "nr_dying_descendants")),
    "tree.frozen": Number("tree", (Source(((Core.events, "frozen"),)), Source(((Freezer.state, None),), "is frozen"))),
    "tree.frozen_time": _number("tree", (Core.stat_local, "frozen_usec")),
    "tree.processes": Number("processes", (Source(((Core.procs, None),), "count"),)),
    "cpuset.cpus": Number("cpuset", (Source(((Cpuset.effective_cpus, None),), "count"),)),
}

READ: Final[Mapping[str, Callable[[Any], float]]] = {"count": len, "is frozen": lambda state: int(state == "FROZEN")}
"""By :attr:`Source.combine`, the number of a value that is read cgroup by cgroup."""

# v1 has no event counters; its failcnt, like v2's events.local, excludes descendants.
_SIZES: Final[Mapping[str, tuple[tuple[str, Any], ...]]] = {
    "hugetlb.usage": (("usage_in_bytes", None),),
    "hugetlb.peak": (("max_usage_in_bytes", None),),
    "hugetlb.failures": (("events", "max"), ("failcnt", None)),
}


def huge_pages(sizes: Iterable[str]) -> dict[str, Number]:
    """Return the numbers of huge pages of some sizes, such as ``2MB``."""
    tables = [Hugetlb(size) for size in sizes]
    return {
        name: Number(
            "hugetlb",
            tuple(Source(tuple((getattr(table, one), key) for table in tables), "size") for one, key in attributes),
        )
        for name, attributes in _SIZES.items()
        if tables
    }


FAMILIES: Final = tuple(dict.fromkeys([*(number.family for number in NUMBERS.values()), "hugetlb"]))
"""The families of numbers, each on or off as a whole."""

DEFAULT: Final = ("cpu", "memory", "io", "pids", "pressure")
"""The families that are on by default."""
