"""How much a process may use: the tightest of the limits above it, and what the machine has.

For programs that size themselves: heaps, pools, caches.  A limit of a cgroup
holds for all below it, so what counts is the tightest up the tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, Union

from . import converter, diagnosis
from .errors import (
    AccessDenied,
    CgroupOSError,
    InvalidValue,
    ParameterNotSupported,
    ProcessNotFound,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    from_errno,
)
from .host import LOCAL, Host
from .subsystem import Cpu, Cpuset, Memory, Parameters, Pids
from .values import MAX, CpuMax, Limit

if TYPE_CHECKING:
    from .hierarchy import Cgroup
    from .subsystem.parameter import Parameter, Readable

__all__ = ["Capacity", "Effective", "Source", "capacity", "effective"]

L = TypeVar("L", bound=Union[Limit, CpuMax])

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
        value: the tightest value; MAX where none limits.
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
    if not _is_limit(parameter):
        message = f"{parameter} of {cgroup} is no limit that holds for all cgroups below"
        raise InvalidValue(message, parameter=str(parameter), hint="such are memory.max, cpu.max and pids.max")
    if parameter is Memory.memsw_limit_in_bytes and cgroup.version == 2:  # noqa: PLR2004 - the version
        return _both(effective(cgroup, Memory.max), effective(cgroup, Memory.swap_max))  # type: ignore[return-value]
    parameter.binding(cgroup.version)  # raises where this version has no such limit
    hidden = _is_below_top(cgroup.hierarchy.root())
    found = [(value, one) for one in _upwards(cgroup) if (value := _read(parameter, one)) is not None]
    if not found:
        if _should_have(cgroup, parameter.controller):
            Parameters.get(parameter, cgroup)  # raises: it says what is missing
        return Effective(_no_limit(parameter), None, hidden=hidden)
    value, tightest = min(found, key=lambda pair: _amount(pair[0]))
    return Effective(value, None if _amount(value) == _amount(MAX) else tightest, hidden=hidden)


def _is_limit(parameter: Parameter) -> bool:
    if parameter.controller == "hugetlb":
        return parameter.name.rpartition(".")[2] in _HUGE_LIMITS
    return parameter in _LIMITS


def _upwards(cgroup: Cgroup | None) -> Iterator[Cgroup]:
    while cgroup is not None:
        yield cgroup
        cgroup = cgroup.parent


def _should_have(cgroup: Cgroup, controller: str) -> bool:
    """Whether the files of a controller have to be there: on v2 it may be enabled nowhere, and the root has none."""
    if cgroup.version == 1 or not cgroup.hierarchy.has(controller):
        return True
    return not cgroup.is_root and controller in cgroup.subsystems


def _read(parameter: Readable[L], cgroup: Cgroup) -> L | None:
    """None where the cgroup does not have the file: the root, and on v2 where the controller is not enabled."""
    try:
        return Parameters.get(parameter, cgroup)
    except _ABSENT:
        return None


def _amount(value: Limit | CpuMax) -> float:
    """What two values of a limit are compared by; of CpuMax, the CPUs."""
    if isinstance(value, CpuMax):
        return float(value.quota) / (value.period or 1)
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


def _is_below_top(root: Cgroup) -> bool:
    """Whether the root that is visible has cgroups above it: only the true one lacks, or has, these files."""
    if root.version == 1:
        return not diagnosis.has_file(root, "release_agent")
    return diagnosis.has_file(root, "cgroup.type")


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
        memory: bytes, without swap: the tightest hard limit, or all that the machine has.
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

    Raises:
        ProcessNotFound: there is no such process.
        CgroupGone: its cgroup was removed meanwhile, which happens to zombies alone.
    """
    places = host.cgroups_of(pid)
    memory = _memory(host, places)
    cpuset = _cpuset(host, places, pid)
    cpus = _cpus(places, cpuset)
    found = {"memory": memory, "cpus": cpus, "cpuset": cpuset}
    sources = {name: source for name, (_, source) in found.items()}
    return Capacity(memory[0], cpus[0], cpuset[0], sources)


def _memory(host: Host, places: Iterable[Cgroup]) -> tuple[int, Source]:
    total = int(_field(host, "proc/meminfo", "MemTotal:").split()[0]) * 1024
    limit = _limit(places, "memory", Memory.limit_in_bytes)
    if limit.value is MAX or limit.value >= total:
        return total, Source("MemTotal of /proc/meminfo", None, limit.hidden)
    return limit.value, _source(Memory.limit_in_bytes, limit)


def _cpus(places: Iterable[Cgroup], cpuset: tuple[tuple[int, ...], Source]) -> tuple[float, Source]:
    limit = _limit(places, "cpu", Cpu.max)
    share, count = _amount(limit.value), len(cpuset[0])
    if share >= count:
        what, cgroup, hidden = cpuset[1]
        return float(count), Source(what, cgroup, hidden or limit.hidden)
    return share, _source(Cpu.max, limit)


def _cpuset(host: Host, places: Iterable[Cgroup], pid: int | None) -> tuple[tuple[int, ...], Source]:
    """From the widest to the narrowest; what does not narrow is no source."""
    status = f"proc/{'thread-self' if pid is None else pid}/status"
    allowed = _numbers(_field(host, status, "Cpus_allowed_list:"))
    # A process may be allowed CPUs that the machine could have, and does not.
    cpus = _online(host) or allowed
    source = Source("the CPUs online", None, hidden=False)
    for cgroup in _effective_cpus(places):
        inside = cpus & {*Parameters.get(Cpuset.effective_cpus, cgroup)}
        if inside < cpus:
            cpus, source = inside, Source(str(Cpuset.effective_cpus), cgroup, hidden=False)
    if cpus & allowed < cpus:
        cpus, source = cpus & allowed, Source("the CPU affinity of the process", None, hidden=False)
    return tuple(sorted(cpus)), source


def _effective_cpus(places: Iterable[Cgroup]) -> list[Cgroup]:
    """The nearest cgroup that says which CPUs there are in it, if any."""
    place = _place(places, "cpuset")
    if place is None or place.path is None:
        return []
    levels = (one for one in _upwards(place) if any(diagnosis.has_file(one, name) for name in _EFFECTIVE_CPUS))
    return [*islice(levels, 1)]


_EFFECTIVE_CPUS: Final = tuple(name for version in (1, 2) for name in Cpuset.effective_cpus.files(version))


def _online(host: Host) -> set[int]:
    path = _below(host, "sys/devices/system/cpu/online")
    try:
        with open(path, encoding="ascii") as file:
            return _numbers(file.read())
    except FileNotFoundError:
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


def _limit(places: Iterable[Cgroup], controller: str, parameter: Readable[L]) -> Effective[L]:
    place = _place(places, controller)
    if place is None:
        return Effective(_no_limit(parameter), None, hidden=False)
    if place.path is None:
        return Effective(_no_limit(parameter), None, hidden=True)
    try:
        return effective(place, parameter)
    except _ABSENT:
        return Effective(_no_limit(parameter), None, hidden=_is_below_top(place.hierarchy.root()))
    except AccessDenied:
        return Effective(_no_limit(parameter), None, hidden=True)


def _source(parameter: Parameter, limit: Effective[Any]) -> Source:
    return Source(str(parameter), limit.cgroup, limit.hidden)


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
        kind = ProcessNotFound if gone else None
        raise from_errno(error.errno or 0, "cannot tell the capacity", path=path, kind=kind) from None


def _numbers(text: str) -> set[int]:
    return {*converter.read(converter.range, text)}
