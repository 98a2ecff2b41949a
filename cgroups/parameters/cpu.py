"""Cpu: shares of the processors, and quotas.

Sources: Documentation/scheduler/sched-bwc.rst, cgroup-v2.rst (CPU).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, final

from ..core import quantities
from ..core.codecs import Converter
from ..core.errors import InvalidValue, shown
from ..core.interface import Cells, Numbers, Shape
from ..core.rollback import Rollback
from ..core.values import MAX, CpuMax, CpuStat, Limit, Max
from .bindings import Custom, Field, File, read_file
from .formats import boolean, bounded_int, count, pressure, stat_of
from .kinds import PressureParameter, ReadWrite, keyed, read_write
from .limit_formats import quota_v1, quota_v2

if TYPE_CHECKING:
    from ..core.node import Node

SHARES_MIN, SHARES_DEFAULT, SHARES_MAX = 2, 1024, 262144
WEIGHT_MIN, WEIGHT_DEFAULT, WEIGHT_MAX = 1, 100, 10000

# The minimum, the default and the maximum map to each other.
_PINNED = {SHARES_MIN: WEIGHT_MIN, SHARES_DEFAULT: WEIGHT_DEFAULT, SHARES_MAX: WEIGHT_MAX}
_PINNED_BACK = {weight: shares for shares, weight in _PINNED.items()}


def shares_to_weight(shares: int) -> int:
    """Convert shares (2 … 262144) to a weight (1 … 10000) by the curve that container runtimes use since 2025."""
    if shares in _PINNED:
        return _PINNED[shares]
    log = math.log2(shares)
    return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))


def weight_to_shares(weight: int) -> int:
    """Return the largest shares with this weight, so that the round trip from weight is exact."""
    if weight in _PINNED_BACK:
        return _PINNED_BACK[weight]
    low, high = SHARES_MIN, SHARES_MAX
    while low < high:
        middle = (low + high + 1) // 2
        if shares_to_weight(middle) <= weight:
            low = middle
        else:
            high = middle - 1
    return low


shares_codec = bounded_int(min=SHARES_MIN, max=SHARES_MAX)
# Linux 6.1 shows a weight of 0 while cpu.idle is 1.
weight_codec = bounded_int(min=WEIGHT_MIN, max=WEIGHT_MAX)
period_codec = bounded_int(min=1000, max=1_000_000)
_any_weight = bounded_int(min=0, max=WEIGHT_MAX)


def _read_shares(cgroup: Node, parameter: str) -> int:
    return weight_to_shares(max(read_file(cgroup, "cpu.weight", _any_weight, parameter), WEIGHT_MIN))


def _write_shares(cgroup: Node, parameter: str, value: int) -> None:
    weight = shares_to_weight(int(shares_codec.encode(value)))
    cgroup.write_text("cpu.weight", str(weight), parameter, value)


# ---- cpu.max: `QUOTA PERIOD` ------------------------------------------------------------


def _decode_max(cells: Cells) -> CpuMax:
    if not cells:
        # With another CPU scheduler (CONFIG_SCHED_ALT) the file exists but is empty.
        return CpuMax(MAX, None)
    values = [value for _, value in cells]
    if len(values) < 2 or not isinstance(values[1], int):  # noqa: PLR2004 - quota and period
        message = f"value must be a quota and a period, got {shown(values)}"
        raise ValueError(message)
    return CpuMax(values[0], values[1])


def _check_max(value: Any) -> CpuMax:
    if not isinstance(value, tuple) or not 1 <= len(value) <= 2:  # noqa: PLR2004
        message = f"value must be a CpuMax(quota, period), got {shown(value)}"
        raise InvalidValue(message)
    wanted = CpuMax(*value)
    quota_v2.encode(wanted.quota)
    if wanted.period is not None:
        period_codec.encode(wanted.period)
    return wanted


def _encode_max(value: CpuMax) -> str:
    quota, period = _check_max(value)
    return quota_v2.encode(quota) if period is None else f"{quota_v2.encode(quota)} {period}"


PERIOD_US = 100_000
"""The kernel's default period, used for a number of CPUs."""


def _max_literal(word: str, unit: str) -> CpuMax:
    """Parse CPUs (``0.5``, ``50%``, ``500m``), or a quota with an optional period (``50000/100000``, ``max 100ms``)."""
    number = quantities.cpus(word)
    if number is not None:
        return CpuMax(round(number * PERIOD_US), PERIOD_US)
    quota, _, period = word.strip().replace("/", " ").partition(" ")
    found = CpuMax(quantities.limit(quota, unit), quantities.whole(period, unit) if period else None)
    if found.period is None and found.quota in range(1, quota_v2.minimum):
        message = f"value must be a number of CPUs or a quota of at least {quota_v2.minimum} us, got {shown(word)}"
        raise InvalidValue(message, hint=f"{found.quota}.0 or {found.quota}00% is {found.quota} CPUs")
    return found


_max_codec = Converter(_decode_max, _encode_max, Shape.VALUES, _max_literal)
_max_codec.numbers = Numbers(name=lambda _row, _key, ordinal: {0: "quota", 1: "period"}.get(ordinal))


def _write_quota(cgroup: Node, parameter: str, value: Limit) -> None:
    # The kernel keeps the period if only the quota is written.
    cgroup.write_text("cpu.max", quota_v2.encode(value), parameter, value)


def _write_period(cgroup: Node, parameter: str, value: int) -> None:
    text = period_codec.encode(value)
    quota = read_file(cgroup, "cpu.max", _max_codec, parameter).quota
    cgroup.write_text("cpu.max", f"{quota} {text}", parameter, value)


def _read_max_v1(cgroup: Node, parameter: str) -> CpuMax:
    quota = read_file(cgroup, "cpu.cfs_quota_us", quota_v1, parameter)
    return CpuMax(quota, read_file(cgroup, "cpu.cfs_period_us", count, parameter))


def _write_max_v1(cgroup: Node, parameter: str, value: CpuMax) -> None:
    quota, period = _check_max(value)
    before = _read_max_v1(cgroup, parameter)
    period = before.period if period is None else period
    # The kernel refuses a period that the quota does not fit, so remove the quota first.
    steps = [("cpu.cfs_quota_us", quota_v1.encode(MAX))] if period != before.period else []
    steps += [("cpu.cfs_period_us", str(period)), ("cpu.cfs_quota_us", quota_v1.encode(quota))]
    with Rollback() as rollback:
        # In reverse order: the old quota may not fit the new period.
        rollback.add(cgroup.write_text, "cpu.cfs_quota_us", quota_v1.encode(before.quota), parameter, value)
        rollback.add(cgroup.write_text, "cpu.cfs_period_us", str(before.period), parameter, value)
        for name, text in steps:
            cgroup.write_text(name, text, parameter, value)


# ---- cpu.uclamp: a percentage with two decimals, or max ----------------------------------


def _decode_percent(cells: Cells) -> float | Max:
    text = cells[0][1]
    if text == "max":
        return MAX
    value = float(text)
    if not 0 <= value <= 100:  # noqa: PLR2004 - also refuses nan
        message = f"value must be a percentage from 0 to 100, got {text}"
        raise ValueError(message)
    return value


def _encode_percent(value: float | Max) -> str:
    if value is MAX:
        return "max"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:  # noqa: PLR2004
        message = f"value must be MAX or a percentage from 0 to 100, got {shown(value)}"
        raise InvalidValue(message)
    return f"{value:.2f}"


def _percent_literal(word: str, unit: str) -> Any:
    return MAX if word == "max" else float(quantities.number(word, unit))


_percent: Converter[float | Max, float | Max] = Converter(
    _decode_percent, _encode_percent, Shape.TEXT, _percent_literal
)

_TIMES = {"throttled_time": ("throttled_usec", 1000), "burst_time": ("burst_usec", 1000)}
_REAL_TIME = "v2 has no real-time budget; its cpu controller refuses real-time processes"


@final
class Cpu:
    """Cpu: shares of the processors, and quotas."""

    CONTROLLER: ClassVar = "cpu"

    shares = read_write(
        File("cpu.shares", shares_codec),
        Custom("cpu.weight", read=_read_shares, write=_write_shares),
        "2-262144",
        "the share of CPU time among siblings, default 1024; v2: cpu.weight, by the curve of the container runtimes",
    )
    cfs_quota_us: ReadWrite[Limit, Limit] = read_write(
        File("cpu.cfs_quota_us", quota_v1),
        Field("cpu.max", _max_codec, 0, write=_write_quota),
        "us",
        "the quota of CPU time in each period, at least 1000, or MAX",
    )
    cfs_period_us: ReadWrite[int, int] = read_write(
        File("cpu.cfs_period_us", period_codec),
        Field("cpu.max", _max_codec, 1, write=_write_period),
        "us",
        "the period of the quota, 1000 to 1000000",
    )
    cfs_burst_us = read_write(
        File("cpu.cfs_burst_us", bounded_int(min=0)),
        File("cpu.max.burst", bounded_int(min=0)),
        "us",
        "unused quota that may accumulate",
        at_most=("cfs_quota_us", "max"),
    )
    stat = keyed(
        File("cpu.stat", stat_of(CpuStat)),
        File("cpu.stat", stat_of(CpuStat, scaled=_TIMES)),
        "ns",
        "periods, throttling (times in ns), and on v2 the CPU time used",
        keys=(CpuStat,),
    )
    stat_local = keyed(
        File("cpu.stat.local", stat_of(CpuStat)),
        File("cpu.stat.local", stat_of(CpuStat, scaled=_TIMES)),
        "ns",
        "throttling of this cgroup, descendants excluded",
        keys=(CpuStat,),
    )
    rt_period_us = read_write(
        File("cpu.rt_period_us", bounded_int(min=1)),
        None,
        "us",
        "the period of real-time processes",
        no_v2=_REAL_TIME,
    )
    rt_runtime_us = read_write(
        File("cpu.rt_runtime_us", bounded_int(min=-1)),
        None,
        "us",
        "CPU time of real-time processes in each period; -1 for all",
        no_v2=_REAL_TIME,
        at_most=("rt_period_us",),
    )
    weight = read_write(
        None,
        File("cpu.weight", weight_codec),
        "1-10000",
        "the share of CPU time among siblings, default 100",
        no_v1="Cpu.shares",
    )
    weight_nice = read_write(
        None,
        File("cpu.weight.nice", bounded_int(min=-20, max=19)),
        "-20-19",
        "the weight as a nice value",
        no_v1="Cpu.shares",
    )
    max = read_write(
        Custom("cpu.cfs_quota_us", "cpu.cfs_period_us", read=_read_max_v1, write=_write_max_v1),
        File("cpu.max", _max_codec),
        "us",
        "CpuMax(quota, period); a period of None leaves it unchanged",
        holds_below=True,
    )
    max_burst = read_write(
        File("cpu.cfs_burst_us", bounded_int(min=0)),
        File("cpu.max.burst", bounded_int(min=0)),
        "us",
        "unused quota that may accumulate",
        at_most=("cfs_quota_us", "max"),
    )
    idle = read_write(
        File("cpu.idle", boolean),
        File("cpu.idle", boolean),
        "bool",
        "whether the cgroup runs only when no sibling does",
    )
    uclamp_min: ReadWrite[float | Max, float | Max] = read_write(
        File("cpu.uclamp.min", _percent),
        File("cpu.uclamp.min", _percent),
        "percent",
        "the minimum frequency to request",
    )
    uclamp_max: ReadWrite[float | Max, float | Max] = read_write(
        File("cpu.uclamp.max", _percent),
        File("cpu.uclamp.max", _percent),
        "percent",
        "the maximum frequency to request, or MAX",
    )
    pressure = PressureParameter(
        None, File("cpu.pressure", pressure), "percent", "CPU stalls", no_v1="/proc/pressure/cpu is the whole system's"
    )
