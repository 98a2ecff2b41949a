"""Plain limits of memory, CPUs and processes, the same on v1 and v2."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final, NamedTuple, Union

from ..core import quantities
from ..core.errors import Advice, InvalidValue, shown
from ..core.interface import Version
from ..core.trees import Trees
from ..core.values import MAX, CpuMax, DeviceTable, Limit
from ..parameters import Blkio, Cpu, Io, Memory, Pids

__all__ = ["Amount", "PlainLimits", "translated"]

Amount = Union[int, float, str]
"""A number, or text with a suffix, such as ``"2G"`` of memory or ``"50%"`` of CPUs."""

PERIOD_US: Final = 100_000
"""Period of a CPU limit in microseconds, the kernel's default."""

SHORTEST_US: Final = 1000
"""The smallest quota that the kernel accepts, in microseconds."""


class PlainLimits(NamedTuple):
    """Limits for :func:`translated`; None is no limit.

    Attributes:
        memory: memory in bytes.  Without ``swap``, swapping is disabled.
        cpus: CPU time in CPUs: 1.5, ``"150%"``, or ``"1500m"``.
        pids: number of processes and threads.
        swap: swap in bytes, in addition to the memory.
        io_weight: share of IO among siblings, from 1 to 10000; the default of every cgroup is 100.
    """

    memory: Amount | None = None
    cpus: Amount | None = None
    pids: Amount | None = None
    swap: Amount | None = None
    io_weight: Amount | None = None


class Translated(NamedTuple):
    """Limits by parameter.

    Attributes:
        limits: the requested limits.
        defaults: limits that accompany the requested ones, if the kernel has such limits.
        is_group: whether the kernel should kill all processes if it kills one for lack of memory.
    """

    limits: dict[Any, Any]
    defaults: dict[Any, Any]
    is_group: bool


def translated(plain: PlainLimits, host: Trees[Any, Any]) -> Translated:
    """Return the parameters and values for plain limits.

    A memory limit sets memory.max, memory.swap.max to 0 and memory.oom.group to 1.  On v1 a memory
    limit applies to the sum of memory and swap.

    Raises:
        InvalidValue: a limit is not a valid amount, or ``swap`` is given without ``memory`` on v1.
    """
    found: dict[Any, Any] = {}
    defaults: dict[Any, Any] = {}
    memory = _number("memory", plain.memory, "bytes")
    swap = _number("swap", plain.swap, "bytes")
    if memory is not None:
        found[Memory.limit_in_bytes] = memory
    if memory is not None or swap is not None:
        _add_swap(host, memory, swap, found, defaults)
    if plain.cpus is not None:
        found[Cpu.max] = _cpu_max(plain.cpus)
    pids = _number("pids", plain.pids, "count")
    if pids is not None:
        found[Pids.max] = pids
    if plain.io_weight is not None:
        found.update(_io_weight(host, _number("io_weight", plain.io_weight, "count")))
    if memory is not None and _version(host, "memory") == Version.V2:
        defaults[Memory.oom_group] = True
    return Translated(found, defaults, memory is not None)


def _version(host: Trees[Any, Any], controller: str) -> int:
    hierarchy = host.hierarchy_of(controller)
    return Version.V2 if hierarchy is None else hierarchy.version


def _add_swap(
    host: Trees[Any, Any], memory: Limit | None, swap: Limit | None, found: dict[Any, Any], defaults: dict[Any, Any]
) -> None:
    where = defaults if swap is None else found
    if _version(host, "memory") == Version.V2:
        where[Memory.swap_max] = 0 if swap is None else swap
        return
    # v1 counts memory and swap together, in whole pages.
    if memory is None:
        message = "cannot limit swap without memory: version 1 limits their sum"
        raise InvalidValue(message, hint=Advice("give memory too", "give --memory too"))
    both = MAX if memory is MAX or swap is MAX else _pages(memory) + _pages(0 if swap is None else swap)
    where[Memory.memsw_limit_in_bytes] = both


def _pages(amount: Limit) -> int:
    assert amount is not MAX
    size = os.sysconf("SC_PAGESIZE")
    return amount // size * size


def _io_weight(host: Trees[Any, Any], weight: Limit | None) -> Mapping[Any, Any]:
    if weight is None or weight is MAX:
        message = "io_weight must be a whole number from 1 to 10000, got no limit"
        raise InvalidValue(message)
    if _version(host, "blkio") == Version.V2:
        return {Io.weight: DeviceTable({}, default=weight)}
    return {Blkio.weight: weight}


def _number(name: str, value: Amount | None, unit: str) -> Limit | None:
    """Return an amount in a unit, or MAX.  A float must be a whole number."""
    if value is None:
        return None
    try:
        found = quantities.limit(value, unit) if isinstance(value, str) else _whole(value)
    except InvalidValue as error:
        message = f"{name} {error.message.removeprefix('value ')}"
        raise InvalidValue(message, hint=error.hint) from None
    if found < 0:
        message = f"{name} must not be negative, got {shown(value)}"
        raise InvalidValue(message)
    return found


def _whole(value: float) -> int:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value != int(value):
        message = f"must be a whole number, or text such as '2G', got {shown(value)}"
        raise InvalidValue(message)
    return int(value)


def _cpu_max(value: Amount) -> CpuMax:
    """Return the quota for a number of CPUs, such as 1.5, ``"150%"`` or ``"2"``."""
    if isinstance(value, str) and value.strip().lower() in quantities.NO_LIMIT:
        return CpuMax(MAX, PERIOD_US)
    try:
        count = _cpus(value)
    except (ValueError, OverflowError, TypeError):
        count = Fraction(0)
    quota = math.floor(count * PERIOD_US)
    if quota < SHORTEST_US:
        message = f"cpus must be at least {SHORTEST_US / PERIOD_US}, such as 1.5 or '150%', got {shown(value)}"
        raise InvalidValue(message)
    return CpuMax(quota, PERIOD_US)


def _cpus(value: Amount) -> Fraction:
    if isinstance(value, str):
        return quantities.cpus(value) or Fraction(value.strip())
    return Fraction(0) if isinstance(value, bool) else Fraction(value)
