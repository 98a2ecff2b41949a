"""Hugetlb: huge pages by size.  Sources: cgroup-v1/hugetlb.rst, cgroup-v2.rst (HugeTLB)."""

from __future__ import annotations

import re
from typing import Any, ClassVar, final

from ..core.errors import InvalidValue, shown
from ..core.values import Limit, NumaStat, Stat
from .bindings import File, Key
from .formats import count, numa_stat, stat_of
from .kinds import Keyed, Parameter, Readable, ReadReset, ReadWrite, keyed, read_reset, read_write, readable
from .limit_formats import huge_limit_v1, huge_limit_v2


class HugetlbEvents(Stat[int]):
    """hugetlb.SIZE.events: allocations that the limit refused."""

    __slots__ = ()
    max: int | None


def is_size(size: object) -> bool:
    """Return whether a text is a size in the kernel's form."""
    return isinstance(size, str) and re.fullmatch(r"[1-9][0-9]*(KB|MB|GB)", size) is not None


def size_name(size: int) -> str:
    """Return the kernel's form of a size in bytes: ``64KB``, ``2MB``, ``1GB``."""
    for shift, unit in ((30, "GB"), (20, "MB")):
        if size >= 1 << shift:
            return f"{size >> shift}{unit}"
    return f"{size >> 10}KB"


def size_in_bytes(size: str) -> int:
    """Return the bytes of a size in the kernel's form."""
    return int(size[:-2]) << {"KB": 10, "MB": 20, "GB": 30}[size[-2:]]


def _meant(size: Any) -> str | None:
    """Return the kernel's form of a size in another form: ``64kB``, ``2M``, ``2 MiB``, ``2097152``."""
    text = size.strip().lower() if isinstance(size, str) else ""
    match = re.fullmatch(r"([0-9]{1,18})\s*([kmg]?)(?:i?b)?", text, re.ASCII)
    if match is None:
        return None
    pages = int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2]]
    return size_name(pages) if pages >= 1 << 12 and pages & (pages - 1) == 0 else None


_NO_PEAK = "v2 does not record a peak of huge pages"
_NO_RSVD = "v2 does not count refused reservations"
_NO_EVENTS = "Hugetlb(size).failcnt"


@final
class Hugetlb:
    """Huge pages of one size: ``Hugetlb("2MB")``.  One instance per size: ``Hugetlb("2MB") is Hugetlb("2MB")``."""

    CONTROLLER: ClassVar = "hugetlb"
    _instances: ClassVar[dict[str, Hugetlb]] = {}

    size: str
    limit_in_bytes: ReadWrite[Limit, Limit]
    max: ReadWrite[Limit, Limit]
    usage_in_bytes: Readable[int]
    current: Readable[int]
    max_usage_in_bytes: ReadReset[int]
    failcnt: ReadReset[int]
    rsvd_limit_in_bytes: ReadWrite[Limit, Limit]
    rsvd_max: ReadWrite[Limit, Limit]
    rsvd_usage_in_bytes: Readable[int]
    rsvd_current: Readable[int]
    rsvd_max_usage_in_bytes: ReadReset[int]
    rsvd_failcnt: ReadReset[int]
    events: Keyed[HugetlbEvents]
    events_local: Keyed[HugetlbEvents]
    numa_stat: Readable[NumaStat]

    def __new__(cls, size: str) -> Hugetlb:
        if not is_size(size):
            message = f"huge page size must have the kernel's form, such as 2MB or 1GB, got {shown(size)}"
            meant = _meant(size)
            raise InvalidValue(message, hint=f"did you mean {meant}?" if meant else None)
        known = cls._instances.get(size)
        if known is None:
            known = cls._instances.setdefault(size, _make(super().__new__(cls), size))
        return known

    def __repr__(self) -> str:
        return f"Hugetlb({self.size!r})"

    def __reduce__(self) -> tuple[type[Hugetlb], tuple[str]]:
        return Hugetlb, (self.size,)


def _make(huge: Hugetlb, size: str) -> Hugetlb:
    """Fill the table for one size."""
    at = f"hugetlb.{size}"

    def limits(v1: str, v2: str, of: str) -> ReadWrite[Limit, Limit]:
        return read_write(
            File(v1, huge_limit_v1), File(v2, huge_limit_v2), "bytes", f"the limit on {of}", holds_below=True
        )

    def used(v1: str, v2: str, of: str) -> Readable[int]:
        return readable(File(v1, count), File(v2, count), "bytes", f"{of} in use")

    def peak(v1: str, of: str) -> ReadReset[int]:
        return read_reset(File(v1, count, reset="0"), None, "bytes", f"the peak of {of}", no_v2=_NO_PEAK)

    def refused(v1: str, v2: Key | None, of: str) -> ReadReset[int]:
        return read_reset(
            File(v1, count, reset="0"),
            v2,
            "count",
            f"number of times that the limit on {of} was hit",
            no_v2=_NO_RSVD,
            counter=True,
        )

    def events(v2: str) -> Keyed[HugetlbEvents]:
        kind = stat_of(HugetlbEvents)
        return keyed(
            None, File(v2, kind), "count", "number of times that a limit was hit", no_v1=_NO_EVENTS, counter=True
        )

    refusals = Key(f"{at}.events.local", "max", hint="its counters cannot be reset")
    nodes = File(f"{at}.numa_stat", numa_stat(1))
    pages, reserved = "huge pages", "reserved huge pages"
    table: dict[str, Parameter] = {
        "limit_in_bytes": limits(f"{at}.limit_in_bytes", f"{at}.max", pages),
        "max": limits(f"{at}.limit_in_bytes", f"{at}.max", pages),
        "usage_in_bytes": used(f"{at}.usage_in_bytes", f"{at}.current", pages),
        "current": used(f"{at}.usage_in_bytes", f"{at}.current", pages),
        "max_usage_in_bytes": peak(f"{at}.max_usage_in_bytes", pages),
        "failcnt": refused(f"{at}.failcnt", refusals, pages),
        "rsvd_limit_in_bytes": limits(f"{at}.rsvd.limit_in_bytes", f"{at}.rsvd.max", reserved),
        "rsvd_max": limits(f"{at}.rsvd.limit_in_bytes", f"{at}.rsvd.max", reserved),
        "rsvd_usage_in_bytes": used(f"{at}.rsvd.usage_in_bytes", f"{at}.rsvd.current", reserved),
        "rsvd_current": used(f"{at}.rsvd.usage_in_bytes", f"{at}.rsvd.current", reserved),
        "rsvd_max_usage_in_bytes": peak(f"{at}.rsvd.max_usage_in_bytes", reserved),
        "rsvd_failcnt": refused(f"{at}.rsvd.failcnt", None, reserved),
        "events": events(f"{at}.events"),
        "events_local": events(f"{at}.events.local"),
        "numa_stat": readable(nodes, nodes, "bytes", "huge pages by node"),
    }
    huge.size = size
    for name, parameter in table.items():
        setattr(huge, name, parameter.named("hugetlb", f"{size}.{name}", (huge, name)))
    return huge
