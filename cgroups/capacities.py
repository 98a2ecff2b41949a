"""Capacity: the resources that a process may use, from the tightest limits and the machine's resources.

The capacity is for programs that size their heaps, pools and caches.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .control.verbs import BaseCgroup
from .core import codecs, diagnosis, range_codecs
from .core.errors import AccessDenied, CgroupGone, CgroupOSError, ProcessNotFound, from_errno
from .core.interface import Version
from .core.values import MAX
from .hierarchy import LOCAL, Cgroup, Hierarchy, Host
from .observe.effective import ABSENT, Effective, L, amount, no_limit, tightest
from .parameters import Cpu, Cpuset, Memory, Parameters

if TYPE_CHECKING:
    from .parameters.kinds import Parameter, Readable

__all__ = ["Capacity", "LimitSource", "capacity"]


class LimitSource(NamedTuple):
    """The origin of a number of :class:`Capacity`.

    ``cgroup`` is None if the number comes from the machine, or from the process's
    own affinity.  ``hidden`` is as in :class:`Effective`.
    """

    what: str
    cgroup: Cgroup | None
    hidden: bool

    def __str__(self) -> str:
        where = f"{self.what} of {self.cgroup}" if self.cgroup is not None else self.what
        return f"{where}; hidden ancestors may allow less" if self.hidden else where


class Capacity(NamedTuple):
    """The resources that a process may use.

    Attributes:
        memory: memory in bytes, without swap: the tightest hard limit, or all memory of the machine.
            ``Memory.high`` does not count, since v2 only throttles above it: see ``Cgroup.effective(Memory.high)``.
        cpus: CPU time in CPUs, such as 1.5: the tightest quota, or the number of CPUs in ``cpuset``.
        cpuset: the CPUs that the process may run on, ascending.
        sources: the origin of each of ``memory``, ``cpus`` and ``cpuset``.
    """

    memory: int
    cpus: float
    cpuset: tuple[int, ...]
    sources: dict[str, LimitSource]


def capacity(pid: int | None = None, *, host: Host = LOCAL) -> Capacity:
    """Return the memory and the CPUs that a process may use.

    The function works on any host: v1, v2, hybrid, in a container, or without control groups.

    If no mount shows a cgroup of the process, for example in some nested
    containers, its limits are unknown.  The root of the mount then stands in for the
    cgroup, and the source is ``hidden``.

    Args:
        pid: the process; by default this one.
        host: the machine.

    Raises:
        ProcessNotFound: the process does not exist.
        CgroupGone: the cgroup of a zombie was removed (on v2; on v1 a zombie is in the root).
    """
    places: list[Cgroup] = []
    for _ in range(_MOVES):
        # The process may be moved meanwhile, its old cgroup removed, and a new one of the same name created.
        before, places = places, host.cgroups_of(pid)
        with suppress(CgroupGone):
            return _capacity(host, places, pid)
        if places == before:
            break
    if host.is_removed(pid):
        return _capacity(host, places, pid)
    lost = frozenset(place for place in places if place.path is not None and not place.exists)
    stand_ins = [place.hierarchy.root() if place in lost else place for place in places]
    return _capacity(host, stand_ins, pid, frozenset(place.hierarchy for place in lost))


_MOVES: Final = 10


def _capacity(host: Host, places: list[Cgroup], pid: int | None, lost: frozenset[Hierarchy] = frozenset()) -> Capacity:
    """Return the capacity of a process in these cgroups.  ``lost`` has the hierarchies whose root is a stand-in."""
    memory = _memory(host, places, lost)
    cpuset = _cpuset(host, places, pid)
    cpus = _cpus(places, cpuset, lost)
    found = {"memory": memory, "cpus": cpus, "cpuset": cpuset}
    return Capacity(memory[0], cpus[0], cpuset[0], {name: source for name, (_, source) in found.items()})


def _memory(host: Host, places: Iterable[Cgroup], lost: frozenset[Hierarchy]) -> tuple[int, LimitSource]:
    total, what = _total(host)
    limit = _limit(places, "memory", Memory.limit_in_bytes, lost)
    if limit.value is MAX or limit.value >= total:
        return total, LimitSource(what, None, limit.hidden)
    return limit.value, _source(Memory.limit_in_bytes, limit)


def _total(host: Host) -> tuple[int, str]:
    """Return the machine's memory in bytes, and its source.  /proc with ``subset=pid`` does not show the memory."""
    try:
        return int(_field(host, "proc/meminfo", "MemTotal:").split()[0]) * 1024, "MemTotal of /proc/meminfo"
    except (AccessDenied, CgroupOSError):
        if host.root != "/":
            raise
    return os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE, "the physical memory of sysinfo(2)"


def _cpus(
    places: Iterable[Cgroup], cpuset: tuple[tuple[int, ...], LimitSource], lost: frozenset[Hierarchy]
) -> tuple[float, LimitSource]:
    limit = _limit(places, "cpu", Cpu.max, lost)
    share, count = amount(limit.value), len(cpuset[0])
    if share >= count:
        what, cgroup, hidden = cpuset[1]
        return float(count), LimitSource(what, cgroup, hidden or limit.hidden)
    return share, _source(Cpu.max, limit)


def _cpuset(host: Host, places: Iterable[Cgroup], pid: int | None) -> tuple[tuple[int, ...], LimitSource]:
    """Return the usable CPUs and their source, which is the last restriction that has an effect."""
    allowed = _numbers(_field(host, f"proc/{host.name_in_proc(pid)}/status", "Cpus_allowed_list:"))
    place, inside = _effective_cpus(places)
    # A process may be allowed CPUs that are not online; the process can use at least one.
    cpus, what, cgroup = _online(host), "the CPUs online", None
    for narrower, file, where in (
        (inside, _files(Cpuset.effective_cpus, place), place),
        (allowed, "Cpus_allowed_list of the process", None),
    ):
        both = cpus & narrower if cpus else narrower
        if both and both != cpus:
            cpus, what, cgroup = both, file, where
    return tuple(sorted(cpus)), LimitSource(what, cgroup, hidden=False)


def _effective_cpus(places: Iterable[Cgroup]) -> tuple[Cgroup | None, set[int]]:
    """Return the nearest cgroup with effective CPUs, and these CPUs.  Unreadable files restrict nothing."""
    place = _place(places, "cpuset")
    if place is None or place.path is None:
        return None, set()
    try:
        for one in place.upwards():
            if any(diagnosis.has_file(one, name) for name in _EFFECTIVE_CPUS):
                return one, {*Parameters.get(Cpuset.effective_cpus, one)}
    except AccessDenied:
        pass
    return None, set()


_EFFECTIVE_CPUS: Final = tuple(name for version in Version for name in Cpuset.effective_cpus.files(version))


def _online(host: Host) -> set[int]:
    path = host.system_path("sys/devices/system/cpu/online")
    try:
        with open(path, encoding="ascii") as file:
            return _numbers(file.read())
    except (FileNotFoundError, PermissionError):
        return set()
    except OSError as error:
        raise from_errno(error.errno or 0, "cannot determine which CPUs are online", path=path) from None


# ---- lookup ----------------------------------------------------------------------------


def _place(places: Iterable[Cgroup], controller: str) -> Cgroup | None:
    """Return the process's cgroup for a controller.  A v1 hierarchy lists its controllers even if not mounted."""
    on_v2 = None
    for place in places:
        if controller in place.hierarchy.subsystems and place.version == Version.V1:
            return place
        if place.version == Version.V2:
            on_v2 = place
    return on_v2


def _limit(
    places: Iterable[Cgroup], controller: str, parameter: Readable[L], lost: frozenset[Hierarchy]
) -> Effective[L, Cgroup]:
    place = _place(places, controller)
    if place is None:
        return Effective(no_limit(parameter), None, hidden=False)
    found = _limit_at(place, parameter)
    return Effective(found.value, found.cgroup, hidden=True) if place.hierarchy in lost else found


def _limit_at(place: Cgroup, parameter: Readable[L]) -> Effective[L, Cgroup]:
    if place.path is None:
        return Effective(no_limit(parameter), None, hidden=True)
    try:
        return tightest(place, parameter, strict=False)
    except ABSENT:
        return Effective(no_limit(parameter), None, hidden=diagnosis.is_below_top([*place.upwards()][-1]))
    except AccessDenied:
        return Effective(no_limit(parameter), None, hidden=True)


def _source(parameter: Parameter, limit: Effective[Any, Cgroup]) -> LimitSource:
    return LimitSource(_files(parameter, limit.cgroup), limit.cgroup, limit.hidden)


def _files(parameter: Parameter, cgroup: BaseCgroup | None) -> str:
    """Return the names of the files that were read."""
    return " and ".join(parameter.files(cgroup.version)) if cgroup is not None else str(parameter)


def _field(host: Host, path: str, key: str) -> str:
    """Return the text after a key in a file of /proc."""
    path = host.system_path(path)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return next(line[len(key) :].strip() for line in file if line.startswith(key))
    except StopIteration:
        message = f"cannot determine the capacity: {path} has no line {key}"
        raise CgroupOSError(message, path=path) from None
    except OSError as error:
        gone = isinstance(error, (FileNotFoundError, ProcessLookupError)) and path.endswith("status")
        kind = ProcessNotFound if gone else CgroupOSError if isinstance(error, FileNotFoundError) else None
        raise from_errno(error.errno or 0, "cannot determine the capacity", path=path, kind=kind) from None


def _numbers(text: str) -> set[int]:
    return {*codecs.read(range_codecs.ranges, text)}
