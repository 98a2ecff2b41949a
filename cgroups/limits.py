"""How much a process may use: the tightest of the limits above it, and what the machine has.

For programs that size themselves: heaps, pools, caches.  A limit of a cgroup
holds for all below it, so what counts is the tightest up the tree.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, Union

from . import converter, diagnosis
from .errors import (
    AccessDenied,
    CgroupGone,
    CgroupOSError,
    InvalidValue,
    ParameterNotSupported,
    ProcessNotFound,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    from_errno,
    shown,
)
from .host import LOCAL, Host
from .subsystem import Cpu, Cpuset, Memory, Parameters, Pids
from .subsystem.parameter import Readable
from .values import MAX, CpuMax, Limit

if TYPE_CHECKING:
    from .hierarchy import Cgroup, Hierarchy
    from .subsystem.parameter import Parameter

__all__ = ["Capacity", "Effective", "Source", "capacity", "effective"]

L = TypeVar("L", bound=Union[Limit, CpuMax])

# Limits whose tightest binds.  Of limits by device or by resource each is one of its own; those on the
# shape of the tree count from where they stand.
_LIMITS: Final = frozenset(
    {
        *(Memory.limit_in_bytes, Memory.max, Memory.high, Memory.memsw_limit_in_bytes, Memory.kmem_limit_in_bytes),
        *(Memory.kmem_tcp_limit_in_bytes, Memory.swap_max, Memory.swap_high, Memory.zswap_max, Pids.max, Cpu.max),
    }
)
_HUGE_LIMITS: Final = ("limit_in_bytes", "max", "rsvd_limit_in_bytes", "rsvd_max")
_ABSENT: Final = (ParameterNotSupported, SubsystemNotAttached, SubsystemNotAvailable)


# ---- up the tree ------------------------------------------------------------------


class Effective(Generic[L]):
    """The tightest of a limit's values, from a cgroup up to the root that is visible.

    Attributes:
        value: the tightest value; MAX where none limits, of ``Cpu.max`` CpuMax(MAX, None).
        cgroup: the cgroup that has it, the lowest where several do; None for MAX.
        hidden: whether there are cgroups above that this process does not see, as in a container: the
            limit is then at most ``value``.
    """

    __slots__ = ("cgroup", "hidden", "value")

    def __init__(self, value: L, cgroup: Cgroup | None, *, hidden: bool) -> None:
        self.value: Final = value
        self.cgroup: Final = cgroup
        self.hidden: Final = hidden

    def __repr__(self) -> str:
        return f"Effective(value={self.value!r}, cgroup={self.cgroup!r}, hidden={self.hidden})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Effective) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def _facts(self) -> tuple[Any, ...]:
        return self.value, self.cgroup, self.hidden


def effective(cgroup: Cgroup, parameter: Readable[L]) -> Effective[L]:
    """What :meth:`Cgroup.effective` gives."""
    _check(cgroup, parameter)
    if parameter is Memory.memsw_limit_in_bytes and cgroup.version == 2:  # noqa: PLR2004 - the version
        return _both(effective(cgroup, Memory.max), effective(cgroup, Memory.swap_max))  # type: ignore[return-value]
    return _tightest(cgroup, parameter, strict=True)


def _tightest(cgroup: Cgroup, parameter: Readable[L], *, strict: bool) -> Effective[L]:
    """The tightest that may be read; with ``strict``, AccessDenied where the cgroup's own may not."""
    parameter.binding(cgroup.version)  # raises where this version has no such limit
    levels = [*cgroup.upwards()]
    partial = diagnosis.is_below_top(levels[-1])
    binding = [*_binding(levels, parameter)]
    hidden = partial and len(binding) == len(levels)
    denied = False
    found: list[tuple[L, Cgroup]] = []
    for one in binding:
        try:
            found.append((Parameters.get(parameter, one), one))
        except _ABSENT:
            continue  # a root, or on v2 a cgroup for which the controller is not enabled
        except AccessDenied:
            if strict and one is cgroup:
                raise
            hidden = denied = True
    if not found and not denied:
        _check_support(cgroup, levels if partial else levels[:-1], parameter)
    value, tightest = min(found, key=lambda pair: _amount(pair[0]), default=(_no_limit(parameter), None))
    if _amount(value) == _amount(MAX):
        return Effective(_no_limit(parameter), None, hidden=hidden)
    return Effective(value, tightest, hidden=hidden)


_INSTEAD: Final = {Cpu.cfs_quota_us: "Cpu.max", Cpu.cfs_period_us: "Cpu.max"}


def _check(cgroup: Cgroup, parameter: Any) -> None:
    if not isinstance(parameter, Readable):
        message = f"{shown(parameter)} is not a parameter such as Memory.max"
        raise InvalidValue(message)
    if parameter.controller == "hugetlb":
        known = parameter.name.rpartition(".")[2] in _HUGE_LIMITS
    else:
        known = parameter in _LIMITS
    if not known:
        message = f"the values of {parameter} up the tree of {cgroup} are not one limit"
        instead = _INSTEAD.get(parameter, "Memory.max, Cpu.max or Pids.max")
        raise InvalidValue(message, parameter=str(parameter), hint=f"effective() takes limits such as {instead}")


def _binding(levels: Iterable[Cgroup], parameter: Parameter) -> Iterator[Cgroup]:
    """The levels whose limits hold: before Linux 5.11 v1 counted memory for an ancestor only where it said so."""
    for depth, one in enumerate(levels):
        if depth > 0 and one.version == 1 and parameter.controller == "memory" and not _uses_hierarchy(one):
            return
        yield one


def _uses_hierarchy(cgroup: Cgroup) -> bool:
    try:
        return Parameters.get(Memory.use_hierarchy, cgroup)
    except (*_ABSENT, AccessDenied):
        return True


def _check_support(cgroup: Cgroup, levels: Iterable[Cgroup], parameter: Readable[Any]) -> None:
    """Raises, saying what is missing, where a level but the true root has the controller and yet no such file."""
    if not cgroup.hierarchy.has(parameter.controller):
        Parameters.get(parameter, cgroup)
    for one in levels:
        if parameter.controller in one.subsystems:
            Parameters.get(parameter, one)


def _amount(value: Limit | CpuMax) -> float:
    """Return what two values of a limit are compared by; of CpuMax, the CPUs.

    A period of 0, as another CPU scheduler leaves it, is no limit.
    """
    if isinstance(value, CpuMax):
        return float(value.quota) / value.period if value.period else float(MAX)
    return float(value)


def _no_limit(parameter: Readable[L]) -> Any:
    return CpuMax(MAX, None) if parameter is Cpu.max else MAX


def _both(memory: Effective[Limit], swap: Effective[Limit]) -> Effective[Limit]:
    """Memory and swap are limited apart on v2, maybe by two cgroups; the lower one of them is below both."""
    hidden = memory.hidden or swap.hidden
    if memory.value is MAX or swap.value is MAX:
        return Effective(MAX, None, hidden=hidden)
    lower = max((memory.cgroup, swap.cgroup), key=lambda one: len(one.location) if one else 0)
    return Effective(memory.value + swap.value, lower, hidden=hidden)


# ---- what a process may use ----------------------------------------------------------


class Source(NamedTuple):
    """Where a number of :class:`Capacity` is from.

    ``cgroup`` is None where it is the machine that limits, or the process's
    own affinity; ``hidden`` is as in :class:`Effective`.
    """

    what: str
    cgroup: Cgroup | None
    hidden: bool

    def __str__(self) -> str:
        where = f"{self.what} of {self.cgroup}" if self.cgroup is not None else self.what
        return f"{where}; cgroups above are hidden, and may allow less" if self.hidden else where


class Capacity(NamedTuple):
    """How much a process may use.

    Attributes:
        memory: bytes, without swap: the tightest hard limit, or all that the machine has.  Above
            ``Memory.high`` v2 throttles, which is no limit: ask ``Cgroup.effective(Memory.high)`` for it.
        cpus: how many CPUs' worth of time, as 1.5: the tightest quota, or the number of CPUs in ``cpuset``.
        cpuset: the CPUs that it may run on, ascending.
        sources: what each of ``memory``, ``cpus`` and ``cpuset`` was derived from.
    """

    memory: int
    cpus: float
    cpuset: tuple[int, ...]
    sources: dict[str, Source]


def capacity(pid: int | None = None, *, host: Host = LOCAL) -> Capacity:
    """How much memory and how many CPUs a process, by default this one, may use.

    On any host: v1, v2, hybrid, in a container, or without control groups.

    If the mounts do not show a cgroup of the process, as in some nested
    containers, its limits are unknown: what counts is then the root of the mount,
    and the source is ``hidden``.

    Raises:
        ProcessNotFound: there is no such process.
        CgroupGone: its cgroup was removed, which happens to zombies only; on v1 a zombie is in the root.
    """
    places: list[Cgroup] = []
    for _ in range(_MOVES):
        # It may be moved, and its old cgroup removed, while one looks; and be back in a new one of that name.
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
    """Return what a process in these cgroups may use; in ``lost`` are the hierarchies whose root stands in for one."""
    memory = _memory(host, places, lost)
    cpuset = _cpuset(host, places, pid)
    cpus = _cpus(places, cpuset, lost)
    found = {"memory": memory, "cpus": cpus, "cpuset": cpuset}
    return Capacity(memory[0], cpus[0], cpuset[0], {name: source for name, (_, source) in found.items()})


def _memory(host: Host, places: Iterable[Cgroup], lost: frozenset[Hierarchy]) -> tuple[int, Source]:
    total, what = _total(host)
    limit = _limit(places, "memory", Memory.limit_in_bytes, lost)
    if limit.value is MAX or limit.value >= total:
        return total, Source(what, None, limit.hidden)
    return limit.value, _source(Memory.limit_in_bytes, limit)


def _total(host: Host) -> tuple[int, str]:
    """What the machine has; a /proc of processes alone (``subset=pid``) does not say it."""
    try:
        return int(_field(host, "proc/meminfo", "MemTotal:").split()[0]) * 1024, "MemTotal of /proc/meminfo"
    except (AccessDenied, CgroupOSError):
        if host.root != "/":
            raise
    return os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE, "the physical memory of sysinfo(2)"


def _cpus(
    places: Iterable[Cgroup], cpuset: tuple[tuple[int, ...], Source], lost: frozenset[Hierarchy]
) -> tuple[float, Source]:
    limit = _limit(places, "cpu", Cpu.max, lost)
    share, count = _amount(limit.value), len(cpuset[0])
    if share >= count:
        what, cgroup, hidden = cpuset[1]
        return float(count), Source(what, cgroup, hidden or limit.hidden)
    return share, _source(Cpu.max, limit)


def _cpuset(host: Host, places: Iterable[Cgroup], pid: int | None) -> tuple[tuple[int, ...], Source]:
    """From the widest to the narrowest; what does not narrow is no source."""
    allowed = _numbers(_field(host, f"proc/{host.name_in_proc(pid)}/status", "Cpus_allowed_list:"))
    place, inside = _effective_cpus(places)
    # A process may be allowed CPUs that the machine could have, and does not; and it has one at least.
    cpus, what, cgroup = _online(host), "the CPUs online", None
    for narrower, file, where in (
        (inside, _files(Cpuset.effective_cpus, place), place),
        (allowed, "Cpus_allowed_list of the process", None),
    ):
        both = cpus & narrower if cpus else narrower
        if both and both != cpus:
            cpus, what, cgroup = both, file, where
    return tuple(sorted(cpus)), Source(what, cgroup, hidden=False)


def _effective_cpus(places: Iterable[Cgroup]) -> tuple[Cgroup | None, set[int]]:
    """The nearest cgroup that says which CPUs there are in it, and which; what may not be read narrows nothing here."""
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


_EFFECTIVE_CPUS: Final = tuple(name for version in (1, 2) for name in Cpuset.effective_cpus.files(version))


def _online(host: Host) -> set[int]:
    path = _below(host, "sys/devices/system/cpu/online")
    try:
        with open(path, encoding="ascii") as file:
            return _numbers(file.read())
    except (FileNotFoundError, PermissionError):
        return set()
    except OSError as error:
        raise from_errno(error.errno or 0, "cannot tell which CPUs are online", path=path) from None


# ---- looking ---------------------------------------------------------------------------


def _place(places: Iterable[Cgroup], controller: str) -> Cgroup | None:
    """Which of a process's cgroups is the controller's; mounted or not, a v1 hierarchy says what it has."""
    on_v2 = None
    for place in places:
        if controller in place.hierarchy.subsystems and place.version == 1:
            return place
        if place.version == 2:  # noqa: PLR2004 - the version
            on_v2 = place
    return on_v2


def _limit(
    places: Iterable[Cgroup], controller: str, parameter: Readable[L], lost: frozenset[Hierarchy]
) -> Effective[L]:
    place = _place(places, controller)
    if place is None:
        return Effective(_no_limit(parameter), None, hidden=False)
    found = _limit_at(place, parameter)
    return Effective(found.value, found.cgroup, hidden=True) if place.hierarchy in lost else found


def _limit_at(place: Cgroup, parameter: Readable[L]) -> Effective[L]:
    if place.path is None:
        return Effective(_no_limit(parameter), None, hidden=True)
    try:
        return _tightest(place, parameter, strict=False)
    except _ABSENT:
        return Effective(_no_limit(parameter), None, hidden=diagnosis.is_below_top([*place.upwards()][-1]))
    except AccessDenied:
        return Effective(_no_limit(parameter), None, hidden=True)


def _source(parameter: Parameter, limit: Effective[Any]) -> Source:
    return Source(_files(parameter, limit.cgroup), limit.cgroup, limit.hidden)


def _files(parameter: Parameter, cgroup: Cgroup | None) -> str:
    """What was read, as it is called there."""
    return " and ".join(parameter.files(cgroup.version)) if cgroup is not None else str(parameter)


def _below(host: Host, path: str) -> str:
    return f"{host.root.rstrip('/')}/{path}"


def _field(host: Host, path: str, key: str) -> str:
    """What a file of /proc says after a word."""
    path = _below(host, path)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return next(line[len(key) :].strip() for line in file if line.startswith(key))
    except StopIteration:
        message = f"cannot tell the capacity: {path} has no line {key}"
        raise CgroupOSError(message, path=path) from None
    except OSError as error:
        gone = isinstance(error, (FileNotFoundError, ProcessLookupError)) and path.endswith("status")
        kind = ProcessNotFound if gone else CgroupOSError if isinstance(error, FileNotFoundError) else None
        raise from_errno(error.errno or 0, "cannot tell the capacity", path=path, kind=kind) from None


def _numbers(text: str) -> set[int]:
    return {*converter.read(converter.range, text)}
