"""The exact texts that set and reset write, to which files and in which order, on both versions."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from cgroups import (
    MAX,
    Blkio,
    CgroupError,
    Core,
    Cpu,
    Cpuacct,
    CpuMax,
    Cpuset,
    Device,
    DeviceRule,
    Devices,
    DeviceTable,
    Freezer,
    Hugetlb,
    InvalidValue,
    Io,
    Memory,
    Misc,
    NetCls,
    ParameterNotSupported,
    Parameters,
    Pids,
    Rdma,
)

DISK, OTHER, THIRD = Device(8, 0), Device(8, 16), Device(254, 0)
Writes = "list[tuple[str, str]]"
HUGE = Hugetlb("2MB")

# What the captured v2 cgroup says: memory.max 209715200, cpu.max "20000 100000", cpu.weight 250.


@pytest.mark.parametrize(
    ("parameter", "value", "writes"),
    [
        (Memory.limit_in_bytes, 1_000_000_000, [("memory.max", "1000000000")]),
        (Memory.limit_in_bytes, MAX, [("memory.max", "max")]),
        (Memory.limit_in_bytes, 0, [("memory.max", "0")]),
        (Memory.limit_in_bytes, (1 << 64) - 1, [("memory.max", "18446744073709551615")]),
        (Memory.max, 4096, [("memory.max", "4096")]),
        (Memory.memsw_limit_in_bytes, 2_000_000_000, [("memory.swap.max", "1790284800")]),
        (Memory.memsw_limit_in_bytes, 209715200, [("memory.swap.max", "0")]),
        (Memory.memsw_limit_in_bytes, MAX, [("memory.swap.max", "max")]),
        (Memory.soft_limit_in_bytes, 4096, [("memory.low", "4096")]),
        (Memory.soft_limit_in_bytes, MAX, [("memory.low", "0")]),
        (Memory.use_hierarchy, True, []),
        (Memory.min, MAX, [("memory.min", "max")]),
        (Memory.low, 0, [("memory.low", "0")]),
        (Memory.high, 1 << 30, [("memory.high", "1073741824")]),
        (Memory.reclaim, 1 << 20, [("memory.reclaim", "1048576")]),
        (Memory.oom_group, True, [("memory.oom.group", "1")]),
        (Memory.swap_max, 0, [("memory.swap.max", "0")]),
        (Memory.swap_high, MAX, [("memory.swap.high", "max")]),
        (Memory.zswap_max, 5, [("memory.zswap.max", "5")]),
        (Memory.zswap_writeback, False, [("memory.zswap.writeback", "0")]),
        (Cpu.shares, 2, [("cpu.weight", "1")]),
        (Cpu.shares, 1024, [("cpu.weight", "100")]),
        (Cpu.shares, 262144, [("cpu.weight", "10000")]),
        (Cpu.shares, 512, [("cpu.weight", "59")]),  # 10^((81 + 125 * 9) / 612 - 7 / 34) is 58.1
        (Cpu.cfs_quota_us, 50000, [("cpu.max", "50000")]),  # the kernel keeps the period
        (Cpu.cfs_quota_us, MAX, [("cpu.max", "max")]),
        (Cpu.cfs_period_us, 50000, [("cpu.max", "20000 50000")]),
        (Cpu.cfs_burst_us, 10, [("cpu.max.burst", "10")]),
        (Cpu.max, CpuMax(MAX, 200000), [("cpu.max", "max 200000")]),
        (Cpu.max, CpuMax(1000), [("cpu.max", "1000")]),
        (Cpu.weight, 10000, [("cpu.weight", "10000")]),
        (Cpu.weight_nice, -20, [("cpu.weight.nice", "-20")]),
        (Cpu.idle, True, [("cpu.idle", "1")]),
        (Cpu.uclamp_min, 12.5, [("cpu.uclamp.min", "12.50")]),
        (Cpu.uclamp_max, MAX, [("cpu.uclamp.max", "max")]),
        (Cpuset.cpus, [3, 1, 0, 2, 8, 1], [("cpuset.cpus", "0-3,8")]),
        (Cpuset.cpus, range(4), [("cpuset.cpus", "0-3")]),
        (Cpuset.cpus, {5}, [("cpuset.cpus", "5")]),
        (Cpuset.cpus, range(0, 3, 2), [("cpuset.cpus", "0,2")]),
        (Cpuset.cpus, [], [("cpuset.cpus", "\n")]),  # a write of nothing would do nothing
        (Cpuset.mems, (0,), [("cpuset.mems", "0")]),
        (Cpuset.memory_migrate, True, []),
        (Cpuset.cpus_exclusive, [0], [("cpuset.cpus.exclusive", "0")]),
        (Blkio.weight, 10, [("io.weight", "default 1")]),
        (Blkio.weight, 1000, [("io.weight", "default 10000")]),
        (Blkio.weight, 100, [("io.weight", "default 910")]),
        (Pids.max, 0, [("pids.max", "0")]),
        (Pids.max, 4194304, [("pids.max", "4194304")]),
        (Pids.max, MAX, [("pids.max", "max")]),
        (Freezer.state, "FROZEN", [("cgroup.freeze", "1")]),
        (Freezer.state, "THAWED", [("cgroup.freeze", "0")]),
        (HUGE.limit_in_bytes, MAX, [("hugetlb.2MB.max", "max")]),
        (HUGE.rsvd_limit_in_bytes, 2 << 20, [("hugetlb.2MB.rsvd.max", "2097152")]),
        (Core.freeze, True, [("cgroup.freeze", "1")]),
        (Core.kill, True, [("cgroup.kill", "1")]),
        (Core.type, "threaded", [("cgroup.type", "threaded")]),
        (Core.max_depth, 0, [("cgroup.max.depth", "0")]),
        (Core.max_descendants, MAX, [("cgroup.max.descendants", "max")]),
        (Core.pressure, False, [("cgroup.pressure", "0")]),
        (Cpuset.cpus_partition, "root", [("cpuset.cpus.partition", "root")]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_set_v2_writes_the_text(recorded_v2: Any, parameter: Any, value: Any, writes: Writes) -> None:
    Parameters.set(parameter, recorded_v2.cgroup, value)
    assert recorded_v2.writes == writes


V1_WRITES = [
    ("memory", Memory.limit_in_bytes, 1 << 20, [("memory.limit_in_bytes", "1048576")]),
    ("memory", Memory.limit_in_bytes, MAX, [("memory.limit_in_bytes", "-1")]),
    ("memory", Memory.max, MAX, [("memory.limit_in_bytes", "-1")]),
    ("memory", Memory.memsw_limit_in_bytes, 2 << 20, [("memory.memsw.limit_in_bytes", "2097152")]),
    ("memory", Memory.soft_limit_in_bytes, 0, [("memory.soft_limit_in_bytes", "0")]),
    ("memory", Memory.swappiness, 200, [("memory.swappiness", "200")]),
    ("memory", Memory.move_charge_at_immigrate, 3, [("memory.move_charge_at_immigrate", "3")]),
    ("memory", Memory.use_hierarchy, False, [("memory.use_hierarchy", "0")]),
    ("memory", Memory.oom_control, True, [("memory.oom_control", "1")]),
    ("memory", Memory.kmem_limit_in_bytes, MAX, [("memory.kmem.limit_in_bytes", "-1")]),
    ("memory", Parameters.notify_on_release, True, [("notify_on_release", "1")]),
    ("memory", Parameters.release_agent, "/sbin/agent -x", [("release_agent", "/sbin/agent -x")]),
    ("memory", Parameters.release_agent, "", [("release_agent", "\n")]),
    ("memory", Core.clone_children, True, [("cgroup.clone_children", "1")]),
    ("cpu", Cpu.shares, 512, [("cpu.shares", "512")]),
    ("cpu", Cpu.cfs_quota_us, MAX, [("cpu.cfs_quota_us", "-1")]),
    ("cpu", Cpu.cfs_quota_us, 1000, [("cpu.cfs_quota_us", "1000")]),
    ("cpu", Cpu.cfs_period_us, 1000000, [("cpu.cfs_period_us", "1000000")]),
    ("cpu", Cpu.rt_runtime_us, -1, [("cpu.rt_runtime_us", "-1")]),
    ("cpu", Cpu.max_burst, 5, [("cpu.cfs_burst_us", "5")]),
    # The quota gives way while the period changes: no quota in between is refused for its period.
    *(
        (
            "cpu",
            Cpu.max,
            value,
            [("cpu.cfs_quota_us", quota) if name == "q" else ("cpu.cfs_period_us", quota) for name, quota in steps],
        )
        for value, steps in (
            (CpuMax(50000, 200000), [("q", "-1"), ("p", "200000"), ("q", "50000")]),
            (CpuMax(MAX, 200000), [("q", "-1"), ("p", "200000"), ("q", "-1")]),
        )
    ),
    ("cpuset", Cpuset.cpus, [1, 0], [("cpuset.cpus", "0-1")]),
    ("cpuset", Cpuset.mems, [], [("cpuset.mems", "\n")]),
    ("cpuset", Cpuset.cpu_exclusive, True, [("cpuset.cpu_exclusive", "1")]),
    ("cpuset", Cpuset.sched_relax_domain_level, -1, [("cpuset.sched_relax_domain_level", "-1")]),
    ("blkio", Blkio.weight, 1, [("blkio.bfq.weight", "1")]),
    ("pids", Pids.max, MAX, [("pids.max", "max")]),
    ("freezer", Freezer.state, "FROZEN", [("freezer.state", "FROZEN")]),
    ("devices", Devices.allow, "c 1:3 rwm", [("devices.allow", "c 1:3 rwm")]),
    ("devices", Devices.allow, DeviceRule("b", 8, None, "r"), [("devices.allow", "b 8:* r")]),
    ("devices", Devices.deny, "a", [("devices.deny", "a *:* rwm")]),
    ("memory", NetCls.classid, 0x100001, [("net_cls.classid", "1048577")]),
    ("memory", HUGE.limit_in_bytes, MAX, [("hugetlb.2MB.limit_in_bytes", "-1")]),
]


@pytest.mark.parametrize(("controller", "parameter", "value", "writes"), V1_WRITES, ids=lambda value: str(value)[:30])
def test_set_v1_writes_the_text(
    recorded_v1: Callable[[str], Any], controller: str, parameter: Any, value: Any, writes: Writes
) -> None:
    recorded = recorded_v1(controller)
    Parameters.set(parameter, recorded.cgroup, value)
    assert recorded.writes == writes


@pytest.mark.parametrize(
    ("controller", "parameter", "write"),
    [
        ("memory", Memory.max_usage_in_bytes, ("memory.max_usage_in_bytes", "0")),
        ("memory", Memory.memsw_max_usage_in_bytes, ("memory.memsw.max_usage_in_bytes", "0")),
        ("memory", Memory.failcnt, ("memory.failcnt", "0")),
        ("memory", Memory.memsw_failcnt, ("memory.memsw.failcnt", "0")),
        ("memory", Memory.force_empty, ("memory.force_empty", "0")),
        ("cpuacct", Cpuacct.usage, ("cpuacct.usage", "0")),
        ("blkio", Blkio.reset_stats, ("blkio.reset_stats", "1")),
        ("memory", HUGE.max_usage_in_bytes, ("hugetlb.2MB.max_usage_in_bytes", "0")),
    ],
    ids=str,
)
def test_reset_v1_writes_the_text(
    recorded_v1: Callable[[str], Any], controller: str, parameter: Any, write: Any
) -> None:
    recorded = recorded_v1(controller)
    Parameters.reset(parameter, recorded.cgroup)
    assert recorded.writes == [write]


@pytest.mark.parametrize(
    "parameter", [Memory.failcnt, Memory.max_usage_in_bytes, Cpuacct.usage, Blkio.reset_stats, HUGE.failcnt], ids=str
)
def test_reset_v2_without_a_way_raises(recorded_v2: Any, parameter: Any) -> None:
    with pytest.raises(ParameterNotSupported) as caught:
        Parameters.reset(parameter, recorded_v2.cgroup)
    assert caught.value.hint
    assert recorded_v2.writes == []


def test_force_empty_on_v2_reclaims_what_is_used(recorded_v2: Any) -> None:
    Parameters.reset(Memory.force_empty, recorded_v2.cgroup)
    assert recorded_v2.writes == [("memory.reclaim", "237568")]
    recorded_v2.refuse("memory.reclaim", "237568", errno.EAGAIN)  # reclaimed less: no error
    Parameters.reset(Memory.force_empty, recorded_v2.cgroup)
    recorded_v2.refuse("memory.reclaim", "237568", errno.EIO)
    with pytest.raises(CgroupError):
        Parameters.reset(Memory.force_empty, recorded_v2.cgroup)


# ---- refused before anything is written ------------------------------------------------------------


BAD_INTS: list[Any] = ["5", 5.0, None, True, [5], b"5"]
REFUSED: list[tuple[str, Any, list[Any]]] = [
    ("memory", Memory.limit_in_bytes, [-1, 1 << 64, "max", *BAD_INTS]),
    ("memory", Memory.soft_limit_in_bytes, [-1, 1 << 64, *BAD_INTS]),
    ("memory", Memory.swappiness, [-1, 201, MAX, *BAD_INTS]),
    ("memory", Memory.use_hierarchy, [0, 1, 2, "1", None, MAX]),
    ("memory", Memory.oom_control, [0, 1, "1", None]),
    ("memory", Memory.move_charge_at_immigrate, [4, -1]),
    ("memory", Parameters.release_agent, ["a\nb", "a\0", "\ud800", 5, None, b"/sbin/x"]),
    ("cpu", Cpu.shares, [0, 1, 262145, -5, MAX, *BAD_INTS]),
    ("cpu", Cpu.cfs_quota_us, [0, 999, -1, 1 << 64, *BAD_INTS]),
    ("cpu", Cpu.cfs_period_us, [999, 1000001, MAX, *BAD_INTS]),
    ("cpu", Cpu.max, [5, "5", (), (1, 2, 3), (999,), CpuMax(5000, 1), CpuMax(5000, MAX), [5000]]),  # type: ignore[arg-type]
    ("cpuset", Cpuset.cpus, [[-1], [65536], ["0"], [0.5], [True], [None], "0-3", b"0", 5, None]),
    (
        "blkio",
        Blkio.throttle_read_bps_device,
        [{DISK: -1}, {DISK: "5"}, {DISK: 1 << 64}, {"8:0": 5}, {(8,): 5}, {(8, -1): 5}, 5, None, [DISK]],
    ),
    ("blkio", Blkio.throttle_read_iops_device, [{DISK: 1 << 32}, {(8, 1 << 32): 5}]),
    ("blkio", Blkio.weight, [0, 1001, *BAD_INTS]),
    ("blkio", Blkio.weight_device, [{DISK: 0}, {DISK: 1001}, {DISK: MAX}, 5]),
    ("pids", Pids.max, [-1, 4194305, *BAD_INTS]),
    ("freezer", Freezer.state, ["FREEZING", "frozen", "", True, 1, None]),
    ("devices", Devices.allow, ["", "c", "c 1:3", "x 1:3 r", "c 1:x r", "c 1:3 z", "c 1:3 r\nc 1:4 r", 5, None]),
    (
        "devices",
        Devices.allow,
        [DeviceRule("c", -1, 0, "r"), DeviceRule("c", 1, 1 << 32, "r"), DeviceRule("x", 1, 1, "r")],
    ),
    ("devices", Devices.deny, [DeviceRule("c", 1, 1, ""), ("c", 1, 3, "r")]),
    ("memory", NetCls.classid, [-1, 1 << 32, *BAD_INTS]),
]
V2_REFUSED: list[tuple[Any, list[Any]]] = [
    (Memory.limit_in_bytes, [-1, 1 << 64, *BAD_INTS]),
    (Memory.memsw_limit_in_bytes, [209715199, -1, 1 << 64, *BAD_INTS]),
    (Memory.soft_limit_in_bytes, [0, -1, *BAD_INTS]),
    (Memory.reclaim, [0, -1, MAX, *BAD_INTS]),
    (Memory.oom_group, [0, 1, None, "1"]),
    (Cpu.shares, [1, 262145, MAX, *BAD_INTS]),
    (Cpu.cfs_quota_us, [999, -1, *BAD_INTS]),
    (Cpu.cfs_period_us, [999, 1000001, MAX, *BAD_INTS]),
    (Cpu.weight, [0, 10001, *BAD_INTS]),
    (Cpu.weight_nice, [-21, 20, *BAD_INTS]),
    (Cpu.max, [5000, (999,), CpuMax(5000, 999)]),
    (Cpu.uclamp_min, [-0.01, 100.01, True, "5", float("nan"), float("inf")]),
    (Io.max, [{DISK: 5}, {DISK: {"rbps": -1}}, {DISK: {"bps": 5}}, {DISK: {"rbps": True}}, {"8:0": {}}, 5]),
    (Io.weight, [{DISK: 0}, {DISK: 10001}, DeviceTable({}, default=0), 5]),
    (Io.bfq_weight, [{DISK: 1001}, DeviceTable({}, default=1001)]),
    (Io.latency, [{DISK: {"target": 0}}, {DISK: {}}, {DISK: {"target": 5, "x": 1}}, {DISK: 5}]),
    (Io.cost_qos, [{DISK: {}}, {DISK: {"a b": 1}}, {DISK: {"a": "b c"}}, {DISK: {"a": None}}, {DISK: 5}]),
    (Blkio.weight, [9, 1001]),
    (Pids.max, [-1, 4194305]),
    (Freezer.state, ["FREEZING", True]),
    (Cpuset.cpus_partition, ["leaf", "root invalid", "", True]),
    (Core.kill, [False, 1, "1", None]),
    (Core.type, ["domain", "", True]),
    (Core.max_depth, [-1, 1 << 31]),
    (Core.subtree_control, ["memory", [5], ["+memory"], ["memory cpu"], [""], ["a\n"], 5, None]),
    (
        Rdma.max,
        [{"mlx": 5}, {"mlx": {"x": 1}}, {"a b": {}}, {"mlx": {"hca_handle": 1 << 31}}, {"mlx": {"hca_handle": True}}],
    ),
    (Misc.max, [{"a b": 5}, {"": 5}, {"sev": -1}, {"sev": "max"}, {"a=b": 1}, 5]),
]


@pytest.mark.parametrize(("controller", "parameter", "values"), REFUSED, ids=lambda value: str(value)[:30])
def test_set_v1_invalid_value_is_refused(
    recorded_v1: Callable[[str], Any], controller: str, parameter: Any, values: list[Any]
) -> None:
    _refuses(recorded_v1(controller), parameter, values)


@pytest.mark.parametrize(("parameter", "values"), V2_REFUSED, ids=lambda value: str(value)[:30])
def test_set_v2_invalid_value_is_refused(recorded_v2: Any, parameter: Any, values: list[Any]) -> None:
    _refuses(recorded_v2, parameter, values)


def _refuses(recorded: Any, parameter: Any, values: Iterable[Any]) -> None:
    accepted = []
    for value in values:
        try:
            Parameters.set(parameter, recorded.cgroup, value)
        except InvalidValue as error:
            assert str(parameter) in str(error)
            assert repr(value) in str(error)
            assert error.parameter == str(parameter)
        else:
            accepted.append(value)
        assert recorded.writes == [], f"{value!r} was written"
    assert accepted == []


def test_set_memsw_without_a_memory_limit_is_refused(recorded_v2: Any) -> None:
    recorded_v2.put("memory.max", "max\n")
    with pytest.raises(InvalidValue) as caught:
        Parameters.set(Memory.memsw_limit_in_bytes, recorded_v2.cgroup, 1 << 30)
    assert "Memory.limit_in_bytes first" in str(caught.value)
    assert recorded_v2.writes == []


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (Memory.use_hierarchy, False),
        (Memory.oom_control, True),
        (Memory.swappiness, 5),
        (Cpuset.cpu_exclusive, True),
        (Cpuset.mem_exclusive, True),
    ],
    ids=str,
)
def test_set_v2_missing_parameter_raises(recorded_v2: Any, parameter: Any, value: Any) -> None:
    with pytest.raises(ParameterNotSupported) as caught:
        Parameters.set(parameter, recorded_v2.cgroup, value)
    assert caught.value.hint
    assert recorded_v2.writes == []
