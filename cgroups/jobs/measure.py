"""Read the counters of a job's cgroups before the removal of the cgroups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from ..core.errors import CgroupGone, ParameterNotSupported, SubsystemNotAttached
from ..core.interface import Version
from ..observe.rates import without_doubles
from ..parameters import Blkio, Cpu, Cpuacct, Io, Memory, Parameters, Pids
from .disks import DIRECTIONS, Disks
from .report import Stall, Usage

if TYPE_CHECKING:
    from resource import struct_rusage

    from ..hierarchy import Cgroup
    from ..parameters.kinds import PressureParameter, Readable
    from .job import Job
    from .tree_usage import TreeUsage

__all__ = ["BLOCK", "TREE", "Measured", "R", "measure", "oom_kills"]

R = TypeVar("R")


def _cpu(cgroup: Cgroup) -> dict[str, Any]:
    return {"cpu_ns": _get(Cpuacct.usage, cgroup), **_cpu_parts(cgroup)}


def _cpu_parts(cgroup: Cgroup) -> dict[str, Any]:
    stat = _get(Cpuacct.stat, cgroup)
    return {} if stat is None or stat.user is None else {"user_ns": stat.user, "system_ns": stat.system}


def _with_greater_cpu(before: Mapping[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Keep the greater total of v1, in nanoseconds, and v2: the parts of v2 could exceed the total of v1."""
    wholes = [one["cpu_ns"] for one in (before, now) if one.get("cpu_ns") is not None]
    return {**now, "cpu_ns": max(wholes, default=None)}


def _memory(cgroup: Cgroup) -> dict[str, Any]:
    stat: Mapping[str, int] = _get(Memory.stat, cgroup) or {}
    faults = [next((stat[key] for key in keys if key in stat), None) for keys in _FAULTS]
    return {
        "memory_peak": _get(Memory.peak, cgroup),
        "oom_kills": oom_kills(cgroup),
        "swap_peak": _get(Memory.swap_peak, cgroup),
        "page_faults": faults[0],
        "major_faults": faults[1],
    }


_FAULTS: Final = (("total_pgfault", "pgfault"), ("total_pgmajfault", "pgmajfault"))
"""The keys of memory.stat: those of v1 that include descendants, and those of v2."""


def oom_kills(cgroup: Cgroup) -> int | None:
    if cgroup.version == Version.V2:
        events = _get(Memory.events, cgroup)
        if events is None or events.oom_kill is None:
            return None
        return without_doubles(events.oom_kill, events.oom_group_kill)
    # v1 counts a kill only in the process's own cgroup.
    found = [_get(Memory.oom_control, one) for one in cgroup.walk()]
    kills = [control.oom_kill for control in found if control is not None and control.oom_kill is not None]
    return sum(kills) if kills else None


def _io(cgroup: Cgroup) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for names, parameter in _IO:
        table = _get(parameter, cgroup)
        if table is not None:
            rows = [*table.values(), *table.others.values()]
            found.update({name: sum(row.get(key, 0) for row in rows) for key, name in names.items()})
    return found


_IO: Final[tuple[tuple[dict[str, str], Readable[Any]], ...]] = (
    ({"Read": "read_bytes", "Write": "written_bytes"}, Blkio.throttle_io_service_bytes_recursive),
    ({"Read": "reads", "Write": "writes"}, Blkio.throttle_io_serviced_recursive),
)


def _without_uncounted(found: dict[str, Any], uncounted: Mapping[str, list[str]]) -> str | None:
    """Remove the numbers of a direction with an uncounted device; return the reason, or None if all are counted."""
    for direction, devices in uncounted.items():
        for names, _ in _IO:
            if devices:
                found[names[direction]] = None
    parts = [f"{DIRECTIONS[direction]} of {', '.join(devices)}" for direction, devices in uncounted.items() if devices]
    if not parts:
        return None
    return f"{' and '.join(parts)} may be uncounted: version 1 counts only under a throttle"


def _unified(cgroup: Cgroup) -> dict[str, Any]:
    # Each cgroup of v2 has cpu.stat, in us, even if v1 has the controllers.  cpuacct.stat counts clock ticks.
    stat: Mapping[str, int] = _get(Cpu.stat, cgroup) or {}
    return {**{name: stat[key] * scale for name, (key, scale) in _CPU.items() if key in stat}, **_pressure(cgroup)}


_CPU: Final = {
    "cpu_ns": ("usage_usec", 1000),
    "user_ns": ("user_usec", 1000),
    "system_ns": ("system_usec", 1000),
    "throttled_ns": ("throttled_time", 1),
}
"""The figures of v2's cpu.stat: the key, and the factor to nanoseconds."""


def _pressure(cgroup: Cgroup) -> dict[str, Any]:
    parameters = {"cpu_stall": Cpu.pressure, "memory_stall": Memory.pressure, "io_stall": Io.pressure}
    return {name: _stall(parameter, cgroup) for name, parameter in parameters.items()}


def _stall(parameter: PressureParameter, cgroup: Cgroup) -> Stall | None:
    pressure = _get(parameter, cgroup)
    if pressure is None:
        return None
    lines = (pressure.some, pressure.full)
    return Stall(*(None if line is None or line.total is None else line.total * 1000 for line in lines))


def _throttling(cgroup: Cgroup) -> dict[str, Any]:
    stat = _get(Cpu.stat, cgroup)
    return {} if stat is None else {"throttled_ns": stat.throttled_time}


def _refused(cgroup: Cgroup) -> dict[str, Any]:
    events = _get(Pids.events, cgroup)
    return {} if events is None else {"forks_refused": events.max}


_MEASURES: Final[dict[str, Callable[[Cgroup], dict[str, Any]]]] = {
    "cpuacct": _cpu,
    "memory": _memory,
    "blkio": _io,
    "": _unified,
    "cpu": _throttling,
    "pids": _refused,
}

_OF_V1: Final = frozenset({"cpuacct", "cpu"})
"""Controllers whose counters v2 has in cpu.stat of the unified hierarchy."""


def _get(parameter: Readable[R], cgroup: Cgroup) -> R | None:
    """Return a value; None if this cgroup or this kernel lacks the parameter."""
    try:
        return Parameters.get(parameter, cgroup)
    except (ParameterNotSupported, SubsystemNotAttached, CgroupGone):
        return None


# By controller: a number that may be missing although the controller exists, and the reason.
_LACKING: Final = {
    "memory": ("memory_peak", "this kernel has no memory peak; use samples"),
    "blkio": ("read_bytes", "this kernel has no such counters"),
    "pressure": ("cpu_stall", "this kernel does not account pressure, or psi is disabled"),
}


class Measured(NamedTuple):
    """Figures of a job; see :class:`Report`."""

    usage: Usage
    missing: dict[str, str]
    estimated: tuple[str, ...]


def measure(job: Job, disks: Disks, rusage: struct_rusage | None) -> Measured:
    """Return the counters of a job's cgroups, and by controller the reason why some counters are missing.

    Args:
        job: the job, with no process left in its cgroups.
        disks: the IO of the block devices, counted from a moment before the start of the job.
        rusage: the resource usage of its command.
    """
    if job.tree is not None:
        return _with_blocks(job, *_measure_tree(job, job.tree.usage(rusage)), rusage, TREE)
    found: dict[str, Any] = {}
    if rusage is not None:
        found.update(voluntary_switches=rusage.ru_nvcsw, involuntary_switches=rusage.ru_nivcsw)
    for controller, look in _MEASURES.items():
        cgroup = job.cgroup_of(controller)
        if cgroup is not None and (cgroup.version == Version.V1 or controller not in _OF_V1):
            found.update(_with_greater_cpu(found, look(cgroup)))
    uncounted = _without_uncounted(found, disks.uncounted())
    usage = Usage(**found)
    lacking = {name: why for name, (number, why) in _LACKING.items() if getattr(usage, number) is None}
    if uncounted is not None:
        lacking["blkio"] = uncounted
    return _with_blocks(job, usage, {**lacking, **job.missing}, rusage, ())


TREE: Final = (
    *("cpu_ns", "user_ns", "system_ns", "memory_peak", "swap_peak"),
    *("page_faults", "major_faults", "voluntary_switches", "involuntary_switches"),
)
"""The figures of a job without cgroups, estimated from samples and rusage."""

BLOCK: Final = 512
"""Bytes of a block in rusage."""


def _with_blocks(
    job: Job, usage: Usage, missing: dict[str, str], rusage: struct_rusage | None, estimated: tuple[str, ...]
) -> Measured:
    """Take bytes read and written from rusage if no cgroup counts them."""
    is_counted = bool(job.cgroups) and "blkio" not in job.missing
    if rusage is None or is_counted:
        return Measured(usage, missing, estimated)
    read, written = rusage.ru_inblock * BLOCK, rusage.ru_oublock * BLOCK
    usage = usage._replace(read_bytes=read, written_bytes=written)
    return Measured(usage, missing, (*estimated, "read_bytes", "written_bytes"))


def _measure_tree(job: Job, tree: TreeUsage) -> tuple[Usage, dict[str, str]]:
    """Return the figures of a job without cgroups."""
    faults = None if tree.minor_faults is None or tree.major_faults is None else tree.minor_faults + tree.major_faults
    usage = Usage(
        cpu_ns=tree.cpu_ns,
        user_ns=tree.user_ns,
        system_ns=tree.system_ns,
        memory_peak=tree.memory_peak,
        swap_peak=tree.swap_peak,
        page_faults=faults,
        major_faults=tree.major_faults,
        voluntary_switches=tree.voluntary_switches,
        involuntary_switches=tree.involuntary_switches,
    )
    why = "no cgroup: " + "; ".join(f"{name}: {error}" for name, error in job.placement.refused.items())
    return usage, dict.fromkeys(("blkio", "pressure"), why.removesuffix(": "))
