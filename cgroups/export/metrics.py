"""The metrics of Prometheus, in two spellings: the project's own, and cadvisor's.

The own names are cadvisor's stems, repaired to the naming conventions of Prometheus: base
units, ``_total`` for counters, no sample without a number.  The source of cadvisor's names is
its page "Monitoring cAdvisor with Prometheus".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from .numbers import COST, EVENTS

__all__ = ["SPELLINGS", "Metric", "Spelling"]


class Metric(NamedTuple):
    """A metric.

    Attributes:
        name: the name without the prefix.  A counter ends in ``_total``; the text before ends in the unit, if any.
        help: the description.
        numbers: the numbers that are its series, each with its labels.
    """

    name: str
    help: str
    numbers: Mapping[str, Mapping[str, str]]

    @property
    def kind(self) -> str:
        """The type: ``counter``, ``gauge``, or ``unknown`` for a counter without the suffix of one."""
        return "counter" if self.name.endswith("_total") else "unknown" if self.name.endswith("failcnt") else "gauge"


class Spelling(NamedTuple):
    """A set of names.

    Attributes:
        prefix: the first part of each name.
        label: the label that has the cgroup's path.
        constant: labels of every sample besides.
        container: the label that has the id of the container; '' if no label has it.
        device: the text before the name of a device.
        metrics: the metrics.
    """

    prefix: str
    label: str
    constant: Mapping[str, str]
    container: str
    device: str
    metrics: tuple[Metric, ...]


def _one(name: str, text: str, number: str, **labels: str) -> Metric:
    return Metric(name, text, {number: labels})


def _by(name: str, text: str, label: str, numbers: Mapping[str, str]) -> Metric:
    """Return a metric with one value of a label for each number."""
    return Metric(name, text, {number: {label: value} for number, value in numbers.items()})


_RESOURCES: Final = ("cpu", "memory", "io", "irq")
_STALLS: Final = {"waiting": "some task waited", "stalled": "all tasks waited"}

# The same names in both spellings.
_PRESSURES: Final = tuple(
    _one(
        f"pressure_{resource}_{kind}_seconds_total",
        f"Time in which {who} for {resource}",
        f"pressure.{resource}.{kind}",
    )
    for resource in _RESOURCES
    for kind, who in _STALLS.items()
)
_COSTS: Final = tuple(_one(f"fs_io_cost_{name}_seconds_total", f"iocost: {name} time", f"cost.{name}") for name in COST)

_OWN: Final = (
    _one("cpu_usage_seconds_total", "CPU time used", "cpu.usage"),
    _one("cpu_user_seconds_total", "CPU time used in user mode", "cpu.user"),
    _one("cpu_system_seconds_total", "CPU time used in the kernel", "cpu.system"),
    _one("cpu_cfs_periods_total", "Periods of the CPU limit", "cpu.periods"),
    _one("cpu_cfs_throttled_periods_total", "Periods in which the cgroup was throttled", "cpu.throttled_periods"),
    _one("cpu_cfs_throttled_seconds_total", "Time that CPUs were throttled", "cpu.throttled"),
    _one("cpu_cfs_burst_periods_total", "Periods with a burst beyond the quota", "cpu.bursts"),
    _one("cpu_cfs_burst_seconds_total", "CPU time used beyond the quota", "cpu.burst"),
    _one("cpu_limit_cores", "Limit of the CPU time, in CPUs", "cpu.limit"),
    _one("cpu_weight", "Weight of the CPU time, from 1 to 10000 (version 2)", "cpu.weight"),
    _one("cpu_shares", "Shares of the CPU time, from 2 to 262144 (version 1)", "cpu.shares"),
    _one("memory_usage_bytes", "Memory used, including caches", "memory.usage"),
    _one("memory_working_set_bytes", "Memory used without inactive file pages", "memory.working_set"),
    _one("memory_rss_bytes", "Anonymous memory", "memory.rss"),
    _one("memory_cache_bytes", "Page cache", "memory.cache"),
    _one("memory_kernel_bytes", "Kernel memory", "memory.kernel"),
    _one("memory_shmem_bytes", "Shared memory and tmpfs", "memory.shmem"),
    _one("memory_slab_bytes", "Slab memory", "memory.slab"),
    _one("memory_sock_bytes", "Network buffers", "memory.sock"),
    _one("memory_mapped_file_bytes", "Mapped file pages", "memory.mapped_file"),
    _one("memory_file_dirty_bytes", "File pages not yet written back", "memory.file_dirty"),
    _one("memory_file_writeback_bytes", "File pages under writeback", "memory.file_writeback"),
    _one("memory_swap_bytes", "Swap used", "memory.swap"),
    _one("memory_max_usage_bytes", "Highest memory usage", "memory.peak"),
    _one("memory_limit_bytes", "Limit of the memory; no sample without a limit", "memory.limit"),
    _one("memory_effective_limit_bytes", "Lowest memory limit up the tree", "memory.effective_limit"),
    _one("memory_high_bytes", "Memory usage from which the cgroup is throttled", "memory.high"),
    _one("memory_low_bytes", "Memory protected by preference", "memory.low"),
    _one("memory_min_bytes", "Memory never reclaimed", "memory.min"),
    _one("memory_swap_limit_bytes", "Limit of the swap", "memory.swap_limit"),
    _by(
        "memory_events_total",
        "Memory events; of descendants too, but on version 1 of the cgroup only",
        "event",
        {f"memory.events.{event}": event for event in EVENTS},
    ),
    _by("memory_faults_total", "Page faults", "type", {"memory.minor_faults": "minor", "memory.major_faults": "major"}),
    _one("memory_pgscan_total", "Pages scanned by reclaim", "memory.pgscan"),
    _one("memory_pgsteal_total", "Pages reclaimed", "memory.pgsteal"),
    _one("memory_workingset_refault_anon_total", "Refaults of anonymous pages", "memory.refault_anon"),
    _one("memory_workingset_refault_file_total", "Refaults of file pages", "memory.refault_file"),
    *_PRESSURES,
    _one("fs_reads_bytes_total", "Bytes read from block devices", "io.read_bytes"),
    _one("fs_writes_bytes_total", "Bytes written to block devices", "io.write_bytes"),
    _one("fs_discards_bytes_total", "Bytes discarded on block devices", "io.discard_bytes"),
    _one("fs_reads_total", "Read operations of block devices", "io.reads"),
    _one("fs_writes_total", "Write operations of block devices", "io.writes"),
    _one("fs_discards_total", "Discard operations of block devices", "io.discards"),
    *_COSTS,
    _one("pids", "Processes and threads", "pids.current"),
    _one("pids_limit", "Limit of processes and threads", "pids.limit"),
    _by("pids_events_total", "Forks that the limit refused", "event", {"pids.max_events": "max"}),
    _one("processes", "Processes in the cgroup itself", "tree.processes"),
    _one("hugetlb_usage_bytes", "Huge pages used", "hugetlb.usage"),
    _one("hugetlb_max_usage_bytes", "Highest usage of huge pages", "hugetlb.peak"),
    _one("hugetlb_failures_total", "Allocations of huge pages that the limit refused", "hugetlb.failures"),
    _one("descendants", "Descendant cgroups", "tree.descendants"),
    _one("dying_descendants", "Removed descendants that the kernel still keeps", "tree.dying"),
    _one("frozen", "Whether the cgroup is frozen", "tree.frozen"),
    _one("frozen_seconds_total", "Time that the cgroup was frozen", "tree.frozen_time"),
    _one("cpuset_cpus", "CPUs that the cgroup may use", "cpuset.cpus"),
    _one("start_time_seconds", "Creation of the cgroup, in Unix time", "start_time"),
    _one("info", "Identity of the cgroup, always 1", "info"),
)

_CADVISOR: Final = (
    _one("cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", "cpu.usage", cpu="total"),
    _one("cpu_user_seconds_total", "Cumulative user cpu time consumed in seconds.", "cpu.user"),
    _one("cpu_system_seconds_total", "Cumulative system cpu time consumed in seconds.", "cpu.system"),
    _one("cpu_cfs_periods_total", "Number of elapsed enforcement period intervals.", "cpu.periods"),
    _one("cpu_cfs_throttled_periods_total", "Number of throttled period intervals.", "cpu.throttled_periods"),
    _one("cpu_cfs_throttled_seconds_total", "Total time duration the container has been throttled.", "cpu.throttled"),
    _one("cpu_cfs_burst_periods_total", "Number of periods with a burst.", "cpu.bursts"),
    _one("cpu_cfs_burst_seconds_total", "Total time duration of bursts.", "cpu.burst"),
    _one("spec_cpu_quota", "CPU quota of the container.", "cpu.quota_us"),
    _one("spec_cpu_period", "CPU period of the container.", "cpu.period_us"),
    _one("spec_cpu_shares", "CPU share of the container.", "cpu.shares"),
    _one("memory_usage_bytes", "Current memory usage in bytes, including all memory.", "memory.usage"),
    _one("memory_working_set_bytes", "Current working set in bytes.", "memory.working_set"),
    _one("memory_rss", "Size of RSS in bytes.", "memory.rss"),
    _one("memory_cache", "Number of bytes of page cache memory.", "memory.cache"),
    _one("memory_kernel_usage", "Size of kernel memory allocated in bytes.", "memory.kernel"),
    _one("memory_mapped_file", "Size of memory mapped files in bytes.", "memory.mapped_file"),
    _one("memory_file_dirty_bytes", "Size of file pages not yet written back.", "memory.file_dirty"),
    _one("memory_file_writeback_bytes", "Size of file pages under writeback.", "memory.file_writeback"),
    _one("memory_swap", "Container swap usage in bytes.", "memory.swap"),
    _one("memory_max_usage_bytes", "Maximum memory usage recorded in bytes.", "memory.peak"),
    _one("memory_failcnt", "Number of memory usage hits limits.", "memory.events.max"),
    _one("spec_memory_limit_bytes", "Memory limit for the container.", "memory.limit"),
    _one("spec_memory_reservation_limit_bytes", "Memory reservation limit for the container.", "memory.low"),
    _one("spec_memory_swap_limit_bytes", "Memory swap limit for the container.", "memory.swap_limit"),
    *(_one(f"memory_events_{one}_total", f"Count of {one} events.", f"memory.events.{one}") for one in EVENTS),
    _one("oom_events_total", "Count of out of memory events observed.", "memory.events.oom_kill"),
    Metric(
        "memory_failures_total",
        "Cumulative count of memory allocation failures.",
        {
            "memory.page_faults": {"failure_type": "pgfault", "scope": "hierarchy"},
            "memory.major_faults": {"failure_type": "pgmajfault", "scope": "hierarchy"},
            "memory.own_page_faults": {"failure_type": "pgfault", "scope": "container"},
            "memory.own_major_faults": {"failure_type": "pgmajfault", "scope": "container"},
        },
    ),
    *_PRESSURES,
    _one("fs_reads_bytes_total", "Cumulative count of bytes read.", "io.read_bytes"),
    _one("fs_writes_bytes_total", "Cumulative count of bytes written.", "io.write_bytes"),
    _one("fs_reads_total", "Cumulative count of reads completed.", "io.reads"),
    _one("fs_writes_total", "Cumulative count of writes completed.", "io.writes"),
    *_COSTS,
    _one("threads", "Number of threads running inside the container.", "pids.current"),
    _one("threads_max", "Maximum number of threads allowed inside the container.", "pids.limit"),
    _one("processes", "Number of processes running inside the container.", "tree.processes"),
    _one("hugetlb_usage_bytes", "Current hugepage usage in bytes.", "hugetlb.usage"),
    _one("hugetlb_max_usage_bytes", "Maximum hugepage usage recorded in bytes.", "hugetlb.peak"),
    _one("hugetlb_failcnt", "Number of hugepage usage hits limits.", "hugetlb.failures"),
    _one("start_time_seconds", "Start time of the container since unix epoch in seconds.", "start_time"),
)

SPELLINGS: Final[Mapping[str, Spelling]] = {
    "default": Spelling("cgroup_", "cgroup", {}, "", "", _OWN),
    "cadvisor": Spelling("container_", "id", {"image": ""}, "name", "/dev/", _CADVISOR),
}
"""By the value of ``names``, the spelling."""
