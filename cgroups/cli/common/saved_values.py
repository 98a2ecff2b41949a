"""The table of parameters that ``save`` and ``load`` handle, with the value that a new cgroup has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Union

from ...core import diagnosis
from ...core.errors import ExpectedRoot, ParameterNotSupported, SubsystemNotAttached, SubsystemNotAvailable
from ...core.interface import Version
from ...hierarchy import Cgroup
from ...parameters import Memory, Parameters
from .values import Data

__all__ = [
    "ALIASES",
    "FORMAT",
    "FROZEN",
    "HUGE",
    "NATIVE",
    "NEVER",
    "OF_EACH_V1",
    "SAVED",
    "TOP",
    "UNSUPPORTED",
    "Default",
]

FORMAT: Final = 1
"""The version of the file format."""

TOP: Final = "."
"""The name of the top of the subtree in a file.  All other names are paths below the top."""


def _weight_of(cgroup: Cgroup) -> Data:
    """Return the blkio.weight of a new cgroup."""
    if cgroup.version == Version.V1:
        return 500 if diagnosis.has_file(cgroup, "blkio.weight") else 100
    return 100 if diagnosis.has_file(cgroup, "io.bfq.weight") else 20  # io.weight is 100, which is 20 of blkio


def _swappiness_of(cgroup: Cgroup) -> Data:
    """Return the memory.swappiness of a new cgroup below the root."""
    value: Data = Parameters.get(Memory.swappiness, cgroup.hierarchy.root(), None)
    return value


Default = Union[Data, Callable[[Cgroup], Data]]

SAVED: Final[Mapping[str, Default]] = {
    "memory.limit_in_bytes": "max",
    "memory.memsw_limit_in_bytes": "max",
    "memory.swap_max": "max",
    "memory.soft_limit_in_bytes": "max",
    "memory.swappiness": _swappiness_of,
    "memory.move_charge_at_immigrate": 0,
    "memory.use_hierarchy": True,
    "memory.oom_control": False,
    "memory.kmem_limit_in_bytes": "max",
    "memory.kmem_tcp_limit_in_bytes": "max",
    "memory.min": 0,
    "memory.high": "max",
    "memory.oom_group": False,
    "memory.swap_high": "max",
    "memory.zswap_max": "max",
    "memory.zswap_writeback": True,
    "cpu.idle": False,
    "cpu.shares": 1024,
    "cpu.max": {"quota": "max", "period": 100_000},
    "cpu.max_burst": 0,
    "cpu.rt_period_us": 1_000_000,
    "cpu.rt_runtime_us": 0,
    "cpu.uclamp_min": 0.0,
    "cpu.uclamp_max": "max",
    "cpuset.cpus": [],
    "cpuset.mems": [],
    "cpuset.memory_migrate": False,
    "cpuset.cpu_exclusive": False,
    "cpuset.mem_exclusive": False,
    "cpuset.mem_hardwall": False,
    "cpuset.memory_spread_page": False,
    "cpuset.memory_spread_slab": False,
    "cpuset.sched_load_balance": True,
    "cpuset.sched_relax_domain_level": -1,
    "cpuset.cpus_exclusive": [],
    "cpuset.cpus_partition": "member",
    "io.weight": {"default": 100},
    "io.bfq_weight": {"default": 100},
    "blkio.weight": _weight_of,
    "blkio.weight_device": {},
    "blkio.throttle_read_bps_device": {},
    "blkio.throttle_read_iops_device": {},
    "blkio.throttle_write_bps_device": {},
    "blkio.throttle_write_iops_device": {},
    "io.latency": {},
    "io.prio_class": "no-change",
    "pids.max": "max",
    "net_cls.classid": 0,
    "net_prio.ifpriomap": {},
    "rdma.max": {},
    "misc.max": {},
    "dmem.max": {},
    "dmem.min": {},
    "dmem.low": {},
    "cgroup.max_depth": "max",
    "cgroup.max_descendants": "max",
    "cgroup.pressure": True,
    "cgroup.clone_children": False,
    "notify_on_release": False,
}
"""The saved parameters, with the value of a new cgroup.  A parameter of both versions has the name for both."""

HUGE: Final = ("limit_in_bytes", "rsvd_limit_in_bytes")
"""The saved parameters of hugetlb, for each page size.  A new cgroup has no limit."""

FROZEN: Final = frozenset({"freezer.state", "cgroup.freeze"})
"""The parameters that are saved and loaded with ``--frozen`` only."""

NEVER: Final[Mapping[str, str]] = {
    "cgroup.kill": "it kills processes",
    "cgroup.type": "it cannot be undone",
    "cgroup.subtree_control": "--create enables the controllers",
    "memory.reclaim": "it acts once",
    "memory.force_empty": "it acts once",
    "devices.allow": "it cannot be read",
    "devices.deny": "it cannot be read",
}
"""The parameters that are never saved or loaded, with the reason."""

ALIASES: Final = frozenset(
    "memory.max memory.low cpu.cfs_quota_us cpu.cfs_period_us cpu.cfs_burst_us cpu.weight cpu.weight_nice "
    "io.max".split()
)
"""Other names of saved parameters, which a file may have."""

NATIVE: Final[Mapping[str, tuple[str, ...]]] = {
    "memory.swap_max": ("memory.memsw_limit_in_bytes",),
    "io.weight": ("blkio.weight", "blkio.weight_device"),
    "io.bfq_weight": ("blkio.weight", "blkio.weight_device"),
}
"""The parameters of v2 without an exact translation, and their names on v1.  A file has both parameters."""

OF_EACH_V1: Final = frozenset({"cgroup.clone_children", "notify_on_release"})
"""The files that each hierarchy of v1 has.  A file is unambiguous only if the SPEC names the hierarchy."""

UNSUPPORTED = (ParameterNotSupported, SubsystemNotAttached, SubsystemNotAvailable, ExpectedRoot)


def names(path: str) -> list[str]:
    return [] if path == TOP else path.split("/")
