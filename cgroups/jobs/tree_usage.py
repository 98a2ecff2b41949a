"""TreeUsage: the resources that a process tree used, measured without cgroups."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from resource import struct_rusage

__all__ = ["Peaks", "TreeUsage", "combine"]


class Peaks(NamedTuple):
    """The greatest sums over the tree in one sample: bytes of memory and swap, and processes."""

    memory: int
    swap: int
    processes: int


class TreeUsage(NamedTuple):
    """The resources that a process tree used; None for an unknown figure.

    CPU time, page faults and context switches are sums of two parts: the root's rusage, which includes each descendant
    that was waited for, and the last sample of each other process.

    Attributes:
        cpu_ns: CPU time in nanoseconds; ``user_ns`` and ``system_ns`` are its parts.  Samples count clock ticks,
            usually 10 ms.
        memory_peak: most memory in one sample, in bytes: RssAnon + RssShmem of /proc/PID/status, summed over the
            tree.  A shared page counts in each of its processes.  File pages and kernel memory do not count.
        swap_peak: most swap in one sample, in bytes: VmSwap, summed over the tree.
        processes_peak: most processes in one sample, without zombies.
        minor_faults: page faults without I/O; ``major_faults``, with I/O.
        voluntary_switches: context switches of waiting threads; ``involuntary_switches``, of preempted threads.
            A sample counts only the main thread of a process.
        samples: number of samples.
        is_partial: whether a sample was cut at a limit, or a process was unreadable (hidepid): figures may be too low.
    """

    cpu_ns: int | None
    user_ns: int | None
    system_ns: int | None
    memory_peak: int | None
    swap_peak: int | None
    processes_peak: int | None
    minor_faults: int | None
    major_faults: int | None
    voluntary_switches: int | None
    involuntary_switches: int | None
    samples: int
    is_partial: bool


def combine(
    sums: Sequence[int] | None, rusage: struct_rusage | None, peaks: Peaks | None, *, samples: int, is_partial: bool
) -> TreeUsage:
    """Return the usage of a tree.

    Args:
        sums: sums over the processes outside ``rusage``: user and system clock ticks, minor and major faults,
            voluntary and involuntary switches; None if unknown.
        rusage: the rusage of the root; None if unknown.
        peaks: the peaks of the samples; None if unknown.
        samples: number of samples.
        is_partial: see :class:`TreeUsage`.
    """
    tick_ns = 10**9 // os.sysconf("SC_CLK_TCK")
    sampled = [0] * 6 if sums is None else [sums[0] * tick_ns, sums[1] * tick_ns, *sums[2:]]
    waited = [0] * 6
    if rusage is not None:
        cpu = (round(rusage.ru_utime * 1e9), round(rusage.ru_stime * 1e9))
        waited = [*cpu, rusage.ru_minflt, rusage.ru_majflt, rusage.ru_nvcsw, rusage.ru_nivcsw]
    is_known = sums is not None or rusage is not None
    user, system, minor, major, voluntary, involuntary = map(int.__add__, waited, sampled)
    return TreeUsage(
        cpu_ns=user + system if is_known else None,
        user_ns=user if is_known else None,
        system_ns=system if is_known else None,
        memory_peak=None if peaks is None else peaks.memory,
        swap_peak=None if peaks is None else peaks.swap,
        processes_peak=None if peaks is None else peaks.processes,
        minor_faults=minor if is_known else None,
        major_faults=major if is_known else None,
        voluntary_switches=voluntary if is_known else None,
        involuntary_switches=involuntary if is_known else None,
        samples=samples,
        is_partial=is_partial,
    )
