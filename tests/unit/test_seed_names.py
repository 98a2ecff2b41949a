"""The seed's names and those of v2's files: which file is behind each, written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from cgroups import Hugetlb, InvalidValue, Parameters, Subsystem
from cgroups.parameters.kinds import Parameter, Readable, Resettable, Writable

# ---- the seed's names, and the files behind them, written by hand ---------------------------------
#
# name: access, the file of v1 without its prefix, the files of v2; an empty v2 is "the kernel lacks it".

MEMORY = """
stat                     R   stat                       memory.stat
usage_in_bytes           R   usage_in_bytes             memory.current
memsw_usage_in_bytes     R   memsw.usage_in_bytes       memory.current memory.swap.current
max_usage_in_bytes       RX  max_usage_in_bytes         memory.peak
memsw_max_usage_in_bytes RX  memsw.max_usage_in_bytes
limit_in_bytes           RW  limit_in_bytes             memory.max
memsw_limit_in_bytes     RW  memsw.limit_in_bytes       memory.max memory.swap.max
failcnt                  RX  failcnt                    memory.events.local
memsw_failcnt            RX  memsw.failcnt              memory.swap.events
soft_limit_in_bytes      RW  soft_limit_in_bytes        memory.low
force_empty              X   force_empty                memory.current memory.reclaim
swappiness               RW  swappiness
move_charge_at_immigrate RW  move_charge_at_immigrate
oom_control              RW  oom_control                memory.events.local
numa_stat                R   numa_stat                  memory.numa_stat
kmem_usage_in_bytes      R   kmem.usage_in_bytes
kmem_limit_in_bytes      RW  kmem.limit_in_bytes
kmem_max_usage_in_bytes  RX  kmem.max_usage_in_bytes
kmem_failcnt             RX  kmem.failcnt
kmem_tcp_usage_in_bytes  R   kmem.tcp.usage_in_bytes
kmem_tcp_limit_in_bytes  RW  kmem.tcp.limit_in_bytes
kmem_tcp_failcnt         RX  kmem.tcp.failcnt
kmem_tcp_max_usage_in_bytes RX kmem.tcp.max_usage_in_bytes
pressure_level           -   pressure_level
"""

CPU = """
shares        RW  shares         cpu.weight
cfs_quota_us  RW  cfs_quota_us   cpu.max
cfs_period_us RW  cfs_period_us  cpu.max
cfs_burst_us  RW  cfs_burst_us   cpu.max.burst
idle          RW  idle           cpu.idle
stat          R   stat           cpu.stat
stat_local    R   stat.local     cpu.stat.local
rt_period_us  RW  rt_period_us
rt_runtime_us RW  rt_runtime_us
"""

CPUACCT = """
stat              R   stat              cpu.stat
usage             RX  usage             cpu.stat
usage_percpu      R   usage_percpu
usage_user        R   usage_user        cpu.stat
usage_sys         R   usage_sys         cpu.stat
usage_all         R   usage_all
usage_percpu_user R   usage_percpu_user
usage_percpu_sys  R   usage_percpu_sys
"""

CPUSET = """
cpus                     RW  cpus                     cpuset.cpus
mems                     RW  mems                     cpuset.mems
cpu_exclusive            RW  cpu_exclusive            cpuset.cpus.partition
mem_exclusive            RW  mem_exclusive
mem_hardwall             RW  mem_hardwall
memory_spread_page       RW  memory_spread_page
memory_spread_slab       RW  memory_spread_slab
sched_load_balance       RW  sched_load_balance
memory_pressure          R   memory_pressure
memory_pressure_enabled  RW  memory_pressure_enabled
sched_relax_domain_level RW  sched_relax_domain_level
effective_cpus           R   effective_cpus           cpuset.cpus.effective
effective_mems           R   effective_mems           cpuset.mems.effective
"""

# A second v1 file, after a comma, is where the first is gone from newer kernels.
BLKIO = """
weight                     RW  weight,bfq.weight                     io.bfq.weight io.weight
weight_device              RW  weight_device,bfq.weight_device       io.bfq.weight io.weight
throttle_read_bps_device   RW  throttle.read_bps_device              io.max
throttle_read_iops_device  RW  throttle.read_iops_device             io.max
throttle_write_bps_device  RW  throttle.write_bps_device             io.max
throttle_write_iops_device RW  throttle.write_iops_device            io.max
throttle_io_service_bytes  R   throttle.io_service_bytes             io.stat
throttle_io_serviced       R   throttle.io_serviced                  io.stat
reset_stats                X   reset_stats
time                       R   time,bfq.time
sectors                    R   sectors,bfq.sectors
avg_queue_size             R   avg_queue_size,bfq.avg_queue_size
group_wait_time            R   group_wait_time,bfq.group_wait_time
empty_time                 R   empty_time,bfq.empty_time
idle_time                  R   idle_time,bfq.idle_time
io_serviced                R   io_serviced,bfq.io_serviced           io.stat
io_service_bytes           R   io_service_bytes,bfq.io_service_bytes io.stat
io_service_time            R   io_service_time,bfq.io_service_time
io_merged                  R   io_merged,bfq.io_merged
io_queued                  R   io_queued,bfq.io_queued
wait_time                  R   io_wait_time,bfq.io_wait_time
"""

FEW = """
pids.max                RW  max             pids.max
pids.current            R   current         pids.current
pids.peak               R   peak            pids.peak
pids.events             R   events          pids.events
pids.events_local       R   events.local    pids.events.local
freezer.state           RW  state           cgroup.freeze cgroup.events
freezer.self_freezing   R   self_freezing   cgroup.freeze
freezer.parent_freezing R   parent_freezing
devices.allow           W   allow
devices.deny            W   deny
devices.list            R   list
net_cls.classid         RW  classid
net_prio.ifpriomap      RW  ifpriomap
net_prio.prioidx        R   prioidx
rdma.max                RW  max             rdma.max
rdma.current            R   current         rdma.current
misc.max                RW  max             misc.max
misc.current            R   current         misc.current
misc.events             R   events          misc.events
misc.capacity           R   capacity        misc.capacity
"""

# Native files of v2: the parameter has the file's name.  Where v1 has the same, it is named.
NATIVE = """
memory.current R memory.usage_in_bytes
memory.min RW
memory.low RW
memory.high RW
memory.max RW memory.limit_in_bytes
memory.peak R memory.max_usage_in_bytes
memory.reclaim W
memory.oom.group RW
memory.events R
memory.events.local R
memory.swap.current R
memory.swap.high RW
memory.swap.max RW
memory.swap.peak R
memory.swap.events R
memory.zswap.current R
memory.zswap.max RW
memory.zswap.writeback RW
memory.pressure R
cpu.weight RW
cpu.weight.nice RW
cpu.max RW cpu.cfs_quota_us cpu.cfs_period_us
cpu.max.burst RW cpu.cfs_burst_us
cpu.uclamp.min RW cpu.uclamp.min
cpu.uclamp.max RW cpu.uclamp.max
cpu.pressure R
io.stat R
io.max RW
io.weight RW
io.bfq.weight RW
io.latency RW
io.cost.qos RW
io.cost.model RW
io.pressure R
cpuset.cpus.effective R cpuset.effective_cpus
cpuset.mems.effective R cpuset.effective_mems
cpuset.cpus.exclusive RW
cpuset.cpus.exclusive.effective R
cpuset.cpus.partition RW
cpuset.cpus.isolated R
cgroup.type RW
cgroup.procs R cgroup.procs
cgroup.threads R tasks
cgroup.controllers R
cgroup.subtree_control RW
cgroup.events R
cgroup.stat R
cgroup.max.depth RW
cgroup.max.descendants RW
cgroup.freeze RW
cgroup.kill W
cgroup.pressure RW
"""


def _table(text: str, controller: str) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    rows = []
    for line in text.strip().splitlines():
        name, access, v1, *v2 = line.split()
        owner = name.partition(".")[0] if not controller else controller
        full = f"{controller}.{name}" if controller else name
        rows.append((full, access, tuple(f"{owner}.{file}" for file in v1.split(",")), tuple(v2)))
    return rows


def _native(text: str) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    rows = []
    for line in text.strip().splitlines():
        file, access, *v1 = line.split()
        controller, _, rest = file.partition(".")
        rows.append((f"{controller}.{rest.replace('.', '_')}", access, tuple(v1), (file,)))
    return rows


HUGETLB = [
    ("limit_in_bytes", "RW", "limit_in_bytes", "max"),
    ("usage_in_bytes", "R", "usage_in_bytes", "current"),
    ("failcnt", "RX", "failcnt", "events.local"),
    ("max_usage_in_bytes", "RX", "max_usage_in_bytes", None),
    ("rsvd_limit_in_bytes", "RW", "rsvd.limit_in_bytes", "rsvd.max"),
    ("rsvd_usage_in_bytes", "R", "rsvd.usage_in_bytes", "rsvd.current"),
    ("rsvd_failcnt", "RX", "rsvd.failcnt", None),
    ("rsvd_max_usage_in_bytes", "RX", "rsvd.max_usage_in_bytes", None),
    ("events", "R", None, "events"),
    ("events_local", "R", None, "events.local"),
    ("numa_stat", "R", "numa_stat", "numa_stat"),
]

ROWS = [
    *_table(MEMORY, "memory"),
    *_table(CPU, "cpu"),
    *_table(CPUACCT, "cpuacct"),
    *_table(CPUSET, "cpuset"),
    *_table(BLKIO, "blkio"),
    *_table(FEW, ""),
    *_native(NATIVE),
    ("memory.use_hierarchy", "RW", ("memory.use_hierarchy",), ()),
    ("cpuset.memory_migrate", "RW", ("cpuset.memory_migrate",), ()),
    ("release_agent", "RW", ("release_agent",), ()),
    ("notify_on_release", "RW", ("notify_on_release",), ()),
    ("cgroup.clone_children", "RW", ("cgroup.clone_children",), ()),
    *(
        (f"hugetlb.2MB.{name}", access, *(() if one is None else (f"hugetlb.2MB.{one}",) for one in (v1, v2)))
        for name, access, v1, v2 in HUGETLB
    ),
]

ALWAYS_TRUE = {"memory.use_hierarchy", "cpuset.memory_migrate"}
"""Parameters that v2 always has on: no file, and no error."""


def named(name: str) -> Any:
    """The parameter as a program would write it: an attribute of its controller's class."""
    if name.startswith("hugetlb.2MB."):
        return getattr(Hugetlb("2MB"), name.removeprefix("hugetlb.2MB."))
    controller, dot, attribute = name.partition(".")
    if not dot:
        return getattr(Parameters, name)
    owner = {"cgroup": "Core", "net_cls": "NetCls", "net_prio": "NetPrio"}.get(controller, controller.capitalize())
    return getattr(getattr(Subsystem, owner), attribute)


@pytest.mark.parametrize(("name", "access", "v1", "v2"), ROWS, ids=[row[0] for row in ROWS])
def test_parameter_named_seed_names_keep_kinds_and_files(
    name: str, access: str, v1: tuple[str, ...], v2: tuple[str, ...]
) -> None:
    parameter = named(name)
    assert isinstance(parameter, Parameter)
    assert str(parameter) == name
    assert (parameter.files(1), parameter.files(2)) == (v1, v2)
    kinds = {"R": Readable, "W": Writable, "X": Resettable}
    assert {letter for letter, kind in kinds.items() if isinstance(parameter, kind)} == set(access) - {"-"}
    assert Subsystem.parameter_named(name) is parameter


def test_parameters_list_has_each_once() -> None:
    names = [str(parameter) for parameter in Subsystem.parameters()]
    assert len(names) == len(set(names))
    assert {row[0] for row in ROWS if not row[0].startswith("hugetlb.")} <= set(names)
    assert len(names) > 200
    for controller in ("memory", "cpu", "cgroup", "pids"):
        found = Subsystem.parameters(controller)
        assert found == [one for one in Subsystem.parameters() if one.controller == controller]
    assert {one.controller for one in Subsystem.parameters("io")} == {"io", "blkio"}
    assert Subsystem.parameters("nothing") == []


def test_files_of_an_unknown_version_raises() -> None:
    for version in (0, 3, "v1", None):
        with pytest.raises(InvalidValue, match="1 or 2"):
            Subsystem.Memory.stat.files(version)  # type: ignore[arg-type]


def test_dir_of_parameters_lists_the_public_names() -> None:
    assert {"get", "set", "reset", "mk_get"} <= set(dir(Parameters)) <= set(Parameters.__all__)
