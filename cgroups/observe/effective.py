"""Effective: the tightest value of a limit among a cgroup and its ancestors, all of which apply."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, Union

from ..control.verbs import C_co
from ..core import diagnosis
from ..core.errors import (
    AccessDenied,
    InvalidValue,
    ParameterNotSupported,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    shown,
)
from ..core.interface import Version
from ..core.values import MAX, CpuMax, Limit
from ..parameters import Cpu, Memory, Parameters
from ..parameters.kinds import Readable

if TYPE_CHECKING:
    from ..control.verbs import BaseCgroup
    from ..parameters.kinds import Parameter

__all__ = ["ABSENT", "Effective", "L", "amount", "effective", "no_limit", "tightest"]

L = TypeVar("L", bound=Union[Limit, CpuMax])
C = TypeVar("C", bound="BaseCgroup")

# Limits of which the tightest applies.  Limits per device or per resource are each independent; limits on
# the shape of the tree count from their own cgroup.
ABSENT: Final = (ParameterNotSupported, SubsystemNotAttached, SubsystemNotAvailable)


# ---- up the tree ------------------------------------------------------------------


class Effective(Generic[L, C_co]):
    """The tightest value of a limit, from a cgroup up to the topmost visible ancestor.

    Attributes:
        value: the tightest value; MAX without a limit, CpuMax(MAX, None) for ``Cpu.max``.
        cgroup: the cgroup with this value, the lowest if several have it; None for MAX.
        hidden: whether some ancestors are invisible to this process, for example in a container.  The
            limit is then at most ``value``.
    """

    __slots__ = ("cgroup", "hidden", "value")

    def __init__(self, value: L, cgroup: C_co | None, *, hidden: bool) -> None:
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


def effective(cgroup: C, parameter: Readable[L]) -> Effective[L, C]:
    """Return the effective limit: see :meth:`Cgroup.effective`."""
    _check(cgroup, parameter)
    if parameter is Memory.memsw_limit_in_bytes and cgroup.version == Version.V2:
        return _both(effective(cgroup, Memory.max), effective(cgroup, Memory.swap_max))  # type: ignore[return-value]
    return tightest(cgroup, parameter, strict=True)


def tightest(cgroup: C, parameter: Readable[L], *, strict: bool) -> Effective[L, C]:
    """Return the tightest readable value; with ``strict``, raise AccessDenied if the cgroup's own is unreadable."""
    parameter.binding(cgroup.version)  # raises if this version has no such limit
    levels = [*cgroup.upwards()]
    partial = diagnosis.is_below_top(levels[-1])
    binding = [*_binding(levels, parameter)]
    hidden = partial and len(binding) == len(levels)
    denied = False
    found: list[tuple[L, C]] = []
    for one in binding:
        try:
            found.append((Parameters.get(parameter, one), one))
        except ABSENT:
            continue  # a root, or on v2 a cgroup without the controller
        except AccessDenied:
            if strict and one is cgroup:
                raise
            hidden = denied = True
    if not found and not denied:
        _check_support(cgroup, levels if partial else levels[:-1], parameter)
    value, tightest = min(found, key=lambda pair: amount(pair[0]), default=(no_limit(parameter), None))
    if amount(value) == amount(MAX):
        return Effective(no_limit(parameter), None, hidden=hidden)
    return Effective(value, tightest, hidden=hidden)


_INSTEAD: Final = {Cpu.cfs_quota_us: "Cpu.max", Cpu.cfs_period_us: "Cpu.max"}


def _check(cgroup: BaseCgroup, parameter: Any) -> None:
    if not isinstance(parameter, Readable):
        message = f"parameter must be a limit such as Memory.max, got {shown(parameter)}"
        raise InvalidValue(message)
    if not parameter.holds_below:
        message = f"cannot combine the values of {parameter} in the ancestors of {cgroup} into one limit"
        instead = _INSTEAD.get(parameter, "Memory.max, Cpu.max or Pids.max")
        raise InvalidValue(message, parameter=str(parameter), hint=f"effective() takes limits such as {instead}")


def _binding(levels: Iterable[C], parameter: Parameter) -> Iterator[C]:
    """Yield the cgroups whose limits apply: before Linux 5.11 v1 charged an ancestor only with use_hierarchy."""
    for depth, one in enumerate(levels):
        if depth > 0 and one.version == Version.V1 and parameter.controller == "memory" and not _uses_hierarchy(one):
            return
        yield one


def _uses_hierarchy(cgroup: BaseCgroup) -> bool:
    try:
        return Parameters.get(Memory.use_hierarchy, cgroup)
    except (*ABSENT, AccessDenied):
        return True


def _check_support(cgroup: BaseCgroup, levels: Iterable[BaseCgroup], parameter: Readable[Any]) -> None:
    """Raise an error if a cgroup below the true root has the controller but not the file of the limit."""
    if not cgroup.hierarchy.has(parameter.controller):
        Parameters.get(parameter, cgroup)
    for one in levels:
        if parameter.controller in one.subsystems:
            Parameters.get(parameter, one)


def amount(value: Limit | CpuMax) -> float:
    """Return the number by which values of a limit are compared; for CpuMax, the number of CPUs.

    A period of 0, which some CPU schedulers report, is no limit.
    """
    if isinstance(value, CpuMax):
        return float(value.quota) / value.period if value.period else float(MAX)
    return float(value)


def no_limit(parameter: Readable[L]) -> Any:
    return CpuMax(MAX, None) if parameter is Cpu.max else MAX


def _both(memory: Effective[Limit, C], swap: Effective[Limit, C]) -> Effective[Limit, C]:
    """Return the limit of memory plus swap, which v2 limits separately.

    The limit's cgroup is the lower one of the cgroups that limit memory and swap.
    """
    hidden = memory.hidden or swap.hidden
    if memory.value is MAX or swap.value is MAX:
        return Effective(MAX, None, hidden=hidden)
    lower = max((memory.cgroup, swap.cgroup), key=lambda one: len(one.location) if one else 0)
    return Effective(memory.value + swap.value, lower, hidden=hidden)
