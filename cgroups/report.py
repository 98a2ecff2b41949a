"""Report: what a command used, with all the processes that came of it; read from its cgroups before they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from .disks import DIRECTIONS, Disks
from .errors import CgroupGone, ParameterNotSupported, SubsystemNotAttached
from .subsystem import Blkio, Cpu, Cpuacct, Io, Memory, Parameters

if TYPE_CHECKING:
    from .events.events import Event
    from .hierarchy import Cgroup
    from .job import Job
    from .sampling.sampler import Frame
    from .subsystem.parameter import PressureParameter, Readable

__all__ = ["Report", "Stall", "Usage", "measure"]

R = TypeVar("R")


class Stall(NamedTuple):
    """How long, in nanoseconds, some of the processes, or all of them at once, waited for a resource.

    ``full_ns`` is None where the kernel does not say (of CPU before Linux 5.13).
    """

    some_ns: int | None
    full_ns: int | None


class Usage(NamedTuple):
    """What the cgroups counted; None for what is not counted here.  :class:`Report` says what each is."""

    cpu_ns: int | None = None
    user_ns: int | None = None
    system_ns: int | None = None
    memory_peak: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    reads: int | None = None
    writes: int | None = None
    cpu_stall: Stall | None = None
    memory_stall: Stall | None = None
    io_stall: Stall | None = None
    oom_kills: int | None = None


class Report(NamedTuple):
    """What :func:`cgroups.run` tells of a command and all the processes that came of it.

    What cannot be measured here is None, never 0; ``missing`` says why.

    Attributes:
        args: the command.
        returncode: its exit status; of a signal that ended it, the negative number.
        timed_out: whether it was ended for the time.
        killed: how many processes were ended because they outlived the command, or the time.
        wall_ns: from its start to its end, in nanoseconds.
        cpu_ns: CPU time; ``user_ns`` and ``system_ns`` are its parts, where there is no cgroup of v2 in steps of a
            clock tick.  Where v1 and v2 both count it, the greater number.
        memory_peak: the most memory used at once, in bytes; page cache and kernel memory are in it.
        memory_sampled: whether that is the greatest of the samples, since the kernel keeps no peak.
        read_bytes: read from block devices, and so ``written_bytes``; what the page cache has costs nothing.  A device
            on top of another, as of LVM, counts beside it.
        reads: how many requests to read there were; ``writes``, to write.
        cpu_stall: time waited for a CPU; ``memory_stall`` for memory, ``io_stall`` for block devices (v2).  The
            kernel estimates it for a command of a few milliseconds, and it may then exceed ``wall_ns``.
        oom_kills: processes that the OOM killer ended.
        stdout: what it printed, and ``stderr``, where they were pipes.
        samples: frames of its life, where they were asked for.
        fired: of each guard that acted, the event for which it did.
        missing: by controller, and ``pressure``, why something of it was not measured.
        abandoned: specs of the cgroups that runs whose runner was killed have left beside its own.
    """

    args: tuple[str, ...]
    returncode: int
    timed_out: bool
    killed: int
    wall_ns: int
    cpu_ns: int | None
    user_ns: int | None
    system_ns: int | None
    memory_peak: int | None
    memory_sampled: bool
    read_bytes: int | None
    written_bytes: int | None
    reads: int | None
    writes: int | None
    cpu_stall: Stall | None
    memory_stall: Stall | None
    io_stall: Stall | None
    oom_kills: int | None
    stdout: bytes | None
    stderr: bytes | None
    samples: tuple[Frame, ...]
    fired: tuple[Event, ...]
    missing: Mapping[str, str]
    abandoned: tuple[str, ...] = ()

    @property
    def signal(self) -> int | None:
        """The signal that ended it."""
        return -self.returncode if self.returncode < 0 else None

    @property
    def exit_code(self) -> int:
        """What a shell gives for it: 128 and the number of a signal that ended it."""
        return 128 - self.returncode if self.returncode < 0 else self.returncode


# ---- reading -----------------------------------------------------------------------------


def _cpu(cgroup: Cgroup) -> dict[str, Any]:
    return {"cpu_ns": _get(Cpuacct.usage, cgroup), **_cpu_parts(cgroup)}


def _cpu_parts(cgroup: Cgroup) -> dict[str, Any]:
    stat = _get(Cpuacct.stat, cgroup)
    return {} if stat is None or stat.user is None else {"user_ns": stat.user, "system_ns": stat.system}


def _with_greater_cpu(before: Mapping[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Keep the greater whole of v1, in nanoseconds, and v2, whose parts would else be greater than the whole."""
    wholes = [one["cpu_ns"] for one in (before, now) if one.get("cpu_ns") is not None]
    return {**now, "cpu_ns": max(wholes, default=None)}


def _memory(cgroup: Cgroup) -> dict[str, Any]:
    return {"memory_peak": _get(Memory.peak, cgroup), "oom_kills": _oom_kills(cgroup)}


def _oom_kills(cgroup: Cgroup) -> int | None:
    if cgroup.version == 2:  # noqa: PLR2004 - the version
        events = _get(Memory.events, cgroup)
        return None if events is None else events.oom_kill
    # v1 counts in the cgroup of the process alone.
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
    """Forget the numbers of a direction in which a device was not counted; return why, None if there is none."""
    for direction, devices in uncounted.items():
        for names, _ in _IO:
            if devices:
                found[names[direction]] = None
    parts = [f"{DIRECTIONS[direction]} of {', '.join(devices)}" for direction, devices in uncounted.items() if devices]
    if not parts:
        return None
    return f"{' and '.join(parts)} may be uncounted: version 1 counts only where a throttle is"


def _unified(cgroup: Cgroup) -> dict[str, Any]:
    # Each cgroup of v2 has cpu.stat, in us, also where v1 has the controllers: cpuacct.stat counts clock ticks.
    return {**_cpu(cgroup), **_pressure(cgroup)}


def _pressure(cgroup: Cgroup) -> dict[str, Any]:
    parameters = {"cpu_stall": Cpu.pressure, "memory_stall": Memory.pressure, "io_stall": Io.pressure}
    return {name: _stall(parameter, cgroup) for name, parameter in parameters.items()}


def _stall(parameter: PressureParameter, cgroup: Cgroup) -> Stall | None:
    pressure = _get(parameter, cgroup)
    if pressure is None:
        return None
    lines = (pressure.some, pressure.full)
    return Stall(*(None if line is None or line.total is None else line.total * 1000 for line in lines))


_MEASURES: Final[dict[str, Callable[[Cgroup], dict[str, Any]]]] = {
    "cpuacct": _cpu,
    "memory": _memory,
    "blkio": _io,
    "": _unified,
}


def _get(parameter: Readable[R], cgroup: Cgroup) -> R | None:
    """A value; None where this cgroup, or this kernel, has none."""
    try:
        return Parameters.get(parameter, cgroup)
    except (ParameterNotSupported, SubsystemNotAttached, CgroupGone):
        return None


# Of a controller that is there, the number that it may not have all the same, and why.
_LACKING: Final = {
    "memory": ("memory_peak", "this kernel keeps no peak of memory; samples have one"),
    "blkio": ("read_bytes", "this kernel has no such counters"),
    "pressure": ("cpu_stall", "this kernel does not account pressure, or was told not to"),
}


def measure(job: Job, disks: Disks) -> tuple[Usage, dict[str, str]]:
    """Return what the cgroups of a job have counted, and by controller why something was not.

    Args:
        job: its cgroups, with nothing in them any more.
        disks: looked at since before the job began.
    """
    found: dict[str, Any] = {}
    for controller, look in _MEASURES.items():
        cgroup = job.cgroup_of(controller)
        if cgroup is not None:
            found.update(_with_greater_cpu(found, look(cgroup)))
    uncounted = _without_uncounted(found, disks.uncounted())
    usage = Usage(**found)
    lacking = {name: why for name, (number, why) in _LACKING.items() if getattr(usage, number) is None}
    if uncounted is not None:
        lacking["blkio"] = uncounted
    return usage, {**lacking, **job.missing}
