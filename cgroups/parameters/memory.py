"""Memory: usage and limits.

Sources: Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst (Memory).
"""

from __future__ import annotations

import errno
import mmap
from typing import TYPE_CHECKING, ClassVar, final

from ..core.errors import Advice, CgroupOSError, InvalidValue
from ..core.interface import Cells, Numbers, Shape
from ..core.values import EVENTS, FLAG, MAX, Limit, MemoryEvents, MemoryStat, OomControl, Quantity
from .bindings import Constant, Custom, File, Key, Named, Sum, read_file
from .formats import Converter, Reader, boolean, bounded_int, count, no_value, numa_stat, pressure, raw_text, stat_of
from .kinds import Parameter, PressureParameter, keyed, read_reset, read_write, readable, resettable, writable
from .limit_formats import PAGE_LIMIT, limit, limit_v1, protection

if TYPE_CHECKING:
    from ..core.node import Node

# v1's names to v2's keys; also for v1's total_*, since v2 always counts descendants.
_V1_NAMES = {
    "rss": "anon",
    "cache": "file",
    "mapped_file": "file_mapped",
    "rss_huge": "anon_thp",
    "dirty": "file_dirty",
    "writeback": "file_writeback",
}
_SAME_NAMES = (
    "shmem pgfault pgmajfault inactive_anon active_anon inactive_file active_file unevictable "
    "swapcached workingset_refault_anon workingset_refault_file"
).split()
_ALIASES = {
    **_V1_NAMES,
    **{f"total_{name}": key for name, key in _V1_NAMES.items()},
    **{f"total_{name}": name for name in _SAME_NAMES},
}


def _read_memsw_limit(cgroup: Node, parameter: str) -> Limit:
    memory = read_file(cgroup, "memory.max", limit, parameter)
    swap = read_file(cgroup, "memory.swap.max", limit, parameter)
    return MAX if memory is MAX or swap is MAX else memory + swap


def _write_memsw_limit(cgroup: Node, parameter: str, value: Limit) -> None:
    text = limit.encode(value)
    memory = read_file(cgroup, "memory.max", limit, parameter)
    if value is not MAX:
        if memory is MAX:
            message = f"limit on memory and swap must be MAX while memory.max is MAX, got {value}"
            raise InvalidValue(message, hint="set Memory.limit_in_bytes first")
        if value < memory:
            message = f"limit on memory and swap must be at least memory.max, {memory}, got {value}"
            raise InvalidValue(message, hint="lower Memory.limit_in_bytes first")
        text = str(value - memory)
    cgroup.write_text("memory.swap.max", text, parameter, value)


def _read_soft_limit(cgroup: Node, parameter: str) -> Limit:
    low = read_file(cgroup, "memory.low", limit, parameter)
    if low is MAX:
        return PAGE_LIMIT  # everything is protected; MAX would mean no protection
    return low or MAX


def _write_soft_limit(cgroup: Node, parameter: str, value: Limit) -> None:
    if value == 0:
        message = "value must be MAX or at least 1, got 0: on v2 no protection is MAX"
        raise InvalidValue(message, hint=Advice("set MAX for no soft limit", "set max for no soft limit"))
    cgroup.write_text("memory.low", "0" if value is MAX else limit.encode(value), parameter, value)


def _reclaim_all(cgroup: Node, parameter: str) -> None:
    used = read_file(cgroup, "memory.current", count, parameter)
    try:
        if used:
            cgroup.write_text("memory.reclaim", str(used), parameter)
    except CgroupOSError as error:
        if error.errno != errno.EAGAIN:  # partial reclaim is fine, as with force_empty
            raise


def _decode_oom_control(cells: Cells) -> OomControl:
    values = dict(cells)
    flags = [values.get(key) for key in ("oom_kill_disable", "under_oom")]
    if None in flags or not all(isinstance(value, int) for value in values.values()):
        message = "the keys oom_kill_disable and under_oom must have numbers"
        raise ValueError(message)
    return OomControl(flags[0] == 1, flags[1] == 1, values.get("oom_kill"))


def _read_oom_kills(cgroup: Node, parameter: str) -> OomControl:
    events = read_file(cgroup, "memory.events.local", stat_of(MemoryEvents), parameter)
    return OomControl(None, None, events.oom_kill)


# The only key of memory.events.local that v1's memory.oom_control also has.
_oom_kills = Reader(dict, Shape.KEYED, Numbers(name=lambda _row, key, _ordinal: key if key == "oom_kill" else None))
_oom_control = Converter(_decode_oom_control, boolean.encode, Shape.KEYED, boolean.literal)
_oom_control.numbers = Numbers()


# The sums over nodes and the hierarchical_* kinds exist only in v1's numa_stat.
_NUMA_V1 = dict.fromkeys(
    ("total", *(f"hierarchical_{kind}" for kind in ("total", "file", "anon", "unevictable"))), Quantity("bytes")
)

# Shared by the v1 name and the v2 name of the same parameter.
_CURRENT = File("memory.usage_in_bytes", count), File("memory.current", count)
_MAX = (
    File("memory.limit_in_bytes", limit_v1),
    File("memory.max", limit),
)
_PEAK = (
    File("memory.max_usage_in_bytes", count, reset="0"),
    File("memory.peak", count, hint="v2 resets it for one open file (Linux 6.12), or not at all"),
)


@final
class Memory:
    """Memory: usage and limits, in bytes; MAX is no limit."""

    CONTROLLER: ClassVar = "memory"

    stat = keyed(
        File("memory.stat", stat_of(MemoryStat)),
        File("memory.stat", stat_of(MemoryStat, aliases=_ALIASES)),
        "bytes",
        "memory by kind, in bytes, and counts of events; v2 also has v1's names if it has the number",
        keys=(MemoryStat,),
    )
    usage_in_bytes = readable(
        *_CURRENT,
        "bytes",
        "memory used, descendants included",
    )
    memsw_usage_in_bytes = readable(
        File("memory.memsw.usage_in_bytes", count),
        Sum("memory.current", "memory.swap.current", codec=count),
        "bytes",
        "memory and swap used; v2: the sum of two files",
    )
    max_usage_in_bytes = read_reset(
        *_PEAK,
        "bytes",
        "peak memory usage; v2 from Linux 5.19",
    )
    memsw_max_usage_in_bytes = read_reset(
        File("memory.memsw.max_usage_in_bytes", count, reset="0"),
        None,
        "bytes",
        "peak usage of memory and swap",
        no_v2="Memory.peak and Memory.swap_peak reach their peaks at different moments",
    )
    limit_in_bytes = read_write(
        *_MAX,
        "bytes",
        "the limit on memory, rounded down to a page; if too little can be reclaimed, v1 fails with EBUSY, v2 kills",
        holds_below=True,
        at_most=("memsw_limit_in_bytes",),
    )
    memsw_limit_in_bytes = read_write(
        File("memory.memsw.limit_in_bytes", limit_v1),
        Custom(
            *("memory.max", "memory.swap.max"),
            read=_read_memsw_limit,
            write=_write_memsw_limit,
            sampled=Sum("memory.max", "memory.swap.max", codec=limit),
        ),
        "bytes",
        "the limit on memory and swap together, not below limit_in_bytes; v2 sets memory.swap.max to the difference",
        holds_below=True,
    )
    failcnt = read_reset(
        File("memory.failcnt", count, reset="0"),
        Key("memory.events.local", "max", hint="the counters of memory.events cannot be reset"),
        "count",
        "number of times that this cgroup hit the limit, descendants excluded",
        counter=True,
    )
    memsw_failcnt = read_reset(
        File("memory.memsw.failcnt", count, reset="0"),
        Key("memory.swap.events", "max", hint="the counters of memory.swap.events cannot be reset"),
        "count",
        "number of times that the limit on memory and swap was hit; v2: refused swap, the closest equivalent",
        counter=True,
    )
    soft_limit_in_bytes = read_write(
        File("memory.soft_limit_in_bytes", limit_v1),
        Custom("memory.low", read=_read_soft_limit, write=_write_soft_limit),
        "bytes",
        "memory to leave to the cgroup under global memory pressure; MAX is no protection.  v2: memory.low, as in the "
        "container runtimes, since both protect under pressure; memory.high throttles even without pressure",
    )
    force_empty = resettable(
        File("memory.force_empty", no_value, reset="0"),
        Custom("memory.current", "memory.reclaim", reset=_reclaim_all),
        "",
        "reclaims as much memory as possible; write-only",
    )
    swappiness = read_write(
        File("memory.swappiness", bounded_int(min=0, max=200)),
        None,
        "0-200",
        "the tendency to swap anonymous memory; inherited by later children",
        no_v2="v2 has vm.swappiness of the system, and an argument of memory.reclaim",
    )
    move_charge_at_immigrate = read_write(
        File("memory.move_charge_at_immigrate", bounded_int(min=0, max=3)),
        None,
        "bit mask",
        "whether charges move with a process: 1 anonymous, 2 file; newer kernels accept only 0",
        no_v2="on v2 charges never move",
    )
    use_hierarchy = read_write(
        File("memory.use_hierarchy", boolean),
        Constant(True, hint="v2 always counts descendants"),
        "bool",
        "whether descendants are counted; new kernels also refuse False on v1",
    )
    oom_control = read_write(
        File("memory.oom_control", _oom_control),
        Custom[OomControl, bool](
            "memory.events.local",
            read=_read_oom_kills,
            sampled=File("memory.events.local", _oom_kills),
            hint="v2 cannot disable the OOM killer; Memory.oom_group makes it kill the cgroup",
        ),
        "OomControl",
        "reads an OomControl, takes a bool: True pauses processes at the limit instead of killing; EINVAL in the root",
        keys=({"oom_kill_disable": FLAG, "under_oom": FLAG, "oom_kill": EVENTS},),
    )
    numa_stat = readable(
        File("memory.numa_stat", numa_stat(mmap.PAGESIZE)),
        File("memory.numa_stat", numa_stat(1)),
        "bytes",
        "memory by kind and node (v1's file counts pages)",
        keys=(MemoryStat, _NUMA_V1),
    )

    kmem_usage_in_bytes = readable(
        File("memory.kmem.usage_in_bytes", count),
        None,
        "bytes",
        "kernel memory used",
        no_v2="the key kernel of Memory.stat",
    )
    kmem_max_usage_in_bytes = read_reset(
        File("memory.kmem.max_usage_in_bytes", count, reset="0"),
        None,
        "bytes",
        "peak usage of kernel memory",
        no_v2="v2 counts it in Memory.peak",
    )
    kmem_limit_in_bytes = read_write(
        File("memory.kmem.limit_in_bytes", limit_v1),
        None,
        "bytes",
        "the limit on kernel memory; new kernels accept and ignore it",
        no_v2="v2 counts kernel memory in Memory.max",
        holds_below=True,
    )
    kmem_failcnt = read_reset(
        File("memory.kmem.failcnt", count, reset="0"),
        None,
        "count",
        "number of times that the limit on kernel memory was hit",
        counter=True,
        no_v2="Memory.failcnt",
    )
    kmem_slabinfo = readable(
        File("memory.kmem.slabinfo", raw_text), None, "text", "slab caches; empty on new kernels", no_v2="Memory.stat"
    )
    kmem_tcp_usage_in_bytes = readable(
        File("memory.kmem.tcp.usage_in_bytes", count),
        None,
        "bytes",
        "memory used by TCP buffers",
        no_v2="the key sock of Memory.stat",
    )
    kmem_tcp_max_usage_in_bytes = read_reset(
        File("memory.kmem.tcp.max_usage_in_bytes", count, reset="0"),
        None,
        "bytes",
        "peak memory usage of TCP buffers",
        no_v2="the key sock of Memory.stat is the current usage",
    )
    kmem_tcp_limit_in_bytes = read_write(
        File("memory.kmem.tcp.limit_in_bytes", limit_v1),
        None,
        "bytes",
        "the limit on TCP buffers",
        no_v2="v2 counts them in Memory.max",
        holds_below=True,
    )
    kmem_tcp_failcnt = read_reset(
        File("memory.kmem.tcp.failcnt", count, reset="0"),
        None,
        "count",
        "number of times that the limit on TCP buffers was hit",
        counter=True,
        no_v2="Memory.failcnt",
    )
    pressure_level = Parameter(
        Named("memory.pressure_level"), None, "", "registers notifications; has no value", no_v2="Memory.pressure"
    )

    current = readable(
        *_CURRENT,
        "bytes",
        "memory used, descendants included",
    )
    peak = readable(
        *_PEAK,
        "bytes",
        "peak memory usage; v2 from Linux 5.19",
    )
    max = read_write(*_MAX, "bytes", "the hard limit on memory", holds_below=True, at_most=("memsw_limit_in_bytes",))
    min = read_write(
        None,
        File("memory.min", protection),
        "bytes",
        "memory that is never reclaimed; MAX for all",
        no_v1="v1 has no hard protection",
    )
    low = read_write(
        None,
        File("memory.low", protection),
        "bytes",
        "memory that is reclaimed only if no other is left; MAX for all",
        no_v1="Memory.soft_limit_in_bytes is the closest equivalent",
    )
    high = read_write(
        None,
        File("memory.high", limit),
        "bytes",
        "the usage above which the cgroup is throttled and reclaimed from, never killed",
        no_v1="v1 has no throttling limit",
        holds_below=True,
    )
    reclaim = writable(
        None,
        File("memory.reclaim", bounded_int(min=1)),
        "bytes",
        "reclaims this many bytes; CgroupOSError with EAGAIN if fewer were reclaimed (from Linux 5.19)",
        no_v1="Memory.force_empty reclaims all",
    )
    oom_group = read_write(
        None,
        File("memory.oom.group", boolean),
        "bool",
        "whether the OOM killer kills the whole cgroup",
        no_v1="v1 kills one process",
    )
    events = keyed(
        None,
        File("memory.events", stat_of(MemoryEvents)),
        "count",
        "counts of limits hit and processes killed, descendants included",
        counter=True,
        no_v1="Memory.failcnt and Memory.oom_control",
    )
    events_local = keyed(
        None,
        File("memory.events.local", stat_of(MemoryEvents)),
        "count",
        "counts of limits hit and processes killed, descendants excluded",
        counter=True,
        no_v1="Memory.failcnt and Memory.oom_control",
    )
    swap_current = readable(
        None, File("memory.swap.current", count), "bytes", "swap used", no_v1="the key swap of Memory.stat"
    )
    swap_high = read_write(
        None,
        File("memory.swap.high", limit),
        "bytes",
        "the swap usage above which allocations are throttled",
        no_v1="Memory.memsw_limit_in_bytes",
        holds_below=True,
    )
    swap_max = read_write(
        None,
        File("memory.swap.max", limit),
        "bytes",
        "the limit on swap only",
        no_v1="Memory.memsw_limit_in_bytes",
        holds_below=True,
    )
    swap_peak = readable(
        None,
        File("memory.swap.peak", count),
        "bytes",
        "peak swap usage (from Linux 6.5)",
        no_v1="Memory.memsw_max_usage_in_bytes",
    )
    swap_events = keyed(
        None,
        File("memory.swap.events", stat_of(MemoryEvents)),
        "count",
        "number of times that swap limits were hit",
        counter=True,
        no_v1="Memory.memsw_failcnt",
    )
    zswap_current = readable(
        None,
        File("memory.zswap.current", count),
        "bytes",
        "memory used by zswap, compressed",
        no_v1="v1 does not count zswap",
    )
    zswap_max = read_write(
        None,
        File("memory.zswap.max", limit),
        "bytes",
        "the limit on memory used by zswap",
        no_v1="v1 does not limit zswap",
        holds_below=True,
    )
    zswap_writeback = read_write(
        None,
        File("memory.zswap.writeback", boolean),
        "bool",
        "whether zswap may write to the swap device (from Linux 6.8)",
        no_v1="v1 does not control zswap",
    )
    pressure = PressureParameter(
        None,
        File("memory.pressure", pressure),
        "percent",
        "memory stalls",
        no_v1="/proc/pressure/memory is the whole system's",
    )
