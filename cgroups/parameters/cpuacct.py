"""Cpuacct: CPU time used.  On v2 every cgroup has this time in cpu.stat, without enabling a controller.

Source: Documentation/admin-guide/cgroup-v1/cpuacct.rst.
"""

from __future__ import annotations

import os
from typing import ClassVar, final

from ..core.interface import Cells, Shape
from ..core.values import CpuacctStat, CpuacctUsage, CpuStat
from .bindings import File, Key
from .formats import Reader, count, int_list, rows_of, stat_of
from .kinds import keyed, read_reset, readable

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

_NO_PERCPU = "v2 does not count CPU time per CPU"
_NO_RESET = "the counters of cpu.stat cannot be reset"


def _decode_usage_all(cells: Cells) -> dict[int, CpuacctUsage]:
    if not cells:
        message = "the header line is missing"
        raise ValueError(message)
    (_, header), *rows = rows_of(cells)
    names = [value for _, value in header]
    usage: dict[int, CpuacctUsage] = {}
    for cpu, items in rows:
        line = dict(zip(names, (value for _, value in items)))
        if not cpu.isdigit() or not {"user", "system"} <= line.keys():
            message = f"the line of CPU {cpu!r} has no user and system time"
            raise ValueError(message)
        usage[int(cpu)] = CpuacctUsage(line["user"], line["system"])
    return usage


@final
class Cpuacct:
    """Cpuacct: CPU time used, in nanoseconds, descendants included."""

    CONTROLLER: ClassVar = "cpuacct"

    stat = keyed(
        File("cpuacct.stat", stat_of(CpuacctStat, scaled={"user": ("user", TICK_NS), "system": ("system", TICK_NS)})),
        File("cpu.stat", stat_of(CpuacctStat, scaled={"user": ("user_usec", 1000), "system": ("system_usec", 1000)})),
        "ns",
        "user and system time, in ns (v1's file counts ticks)",
        keys=(CpuacctStat, CpuStat),  # v2 reads cpu.stat and keeps its keys
    )
    usage = read_reset(
        File("cpuacct.usage", count, reset="0"),
        Key("cpu.stat", "usage_usec", 1000, hint=_NO_RESET),
        "ns",
        "CPU time used; a reset also resets the other usages, but not stat",
        counter=True,
    )
    usage_user = readable(
        File("cpuacct.usage_user", count),
        Key("cpu.stat", "user_usec", 1000),
        "ns",
        "CPU time used in user mode",
        counter=True,
    )
    usage_sys = readable(
        File("cpuacct.usage_sys", count),
        Key("cpu.stat", "system_usec", 1000),
        "ns",
        "CPU time used in the kernel",
        counter=True,
    )
    usage_percpu = readable(
        File("cpuacct.usage_percpu", int_list), None, "ns", "CPU time by CPU", no_v2=_NO_PERCPU, counter=True
    )
    usage_percpu_user = readable(
        File("cpuacct.usage_percpu_user", int_list),
        None,
        "ns",
        "CPU time in user mode by CPU",
        no_v2=_NO_PERCPU,
        counter=True,
    )
    usage_percpu_sys = readable(
        File("cpuacct.usage_percpu_sys", int_list),
        None,
        "ns",
        "CPU time in the kernel by CPU",
        no_v2=_NO_PERCPU,
        counter=True,
    )
    usage_all = readable(
        File("cpuacct.usage_all", Reader(_decode_usage_all, Shape.TABLE)),
        None,
        "ns",
        "user and system time by CPU",
        counter=True,
        no_v2=_NO_PERCPU,
    )
