"""The exact texts that set and reset write, to which files and in which order, on both versions."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from cgroups import (
    MAX,
    Blkio,
    CgroupBusy,
    CgroupError,
    Core,
    Cpu,
    Cpuacct,
    CpuMax,
    Cpuset,
    Device,
    DeviceRule,
    DeviceTable,
    Devices,
    Freezer,
    Hugetlb,
    InvalidValue,
    Io,
    Memory,
    Misc,
    NetCls,
    NetPrio,
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
        (Cpuset.cpus, iter([0, 2]), [("cpuset.cpus", "0,2")]),
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
def test_v2(recorded_v2: Any, parameter: Any, value: Any, writes: Writes) -> None:
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
def test_v1(recorded_v1: Callable[[str], Any], controller: str, parameter: Any, value: Any, writes: Writes) -> None:
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
def test_resets_of_v1(recorded_v1: Callable[[str], Any], controller: str, parameter: Any, write: Any) -> None:
    recorded = recorded_v1(controller)
    Parameters.reset(parameter, recorded.cgroup)
    assert recorded.writes == [write]


@pytest.mark.parametrize(
    "parameter", [Memory.failcnt, Memory.max_usage_in_bytes, Cpuacct.usage, Blkio.reset_stats, HUGE.failcnt], ids=str
)
def test_what_v2_cannot_reset(recorded_v2: Any, parameter: Any) -> None:
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
def test_v1_refuses(recorded_v1: Callable[[str], Any], controller: str, parameter: Any, values: list[Any]) -> None:
    _refuses(recorded_v1(controller), parameter, values)


@pytest.mark.parametrize(("parameter", "values"), V2_REFUSED, ids=lambda value: str(value)[:30])
def test_v2_refuses(recorded_v2: Any, parameter: Any, values: list[Any]) -> None:
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


def test_memory_and_swap_need_a_limit_on_memory_first(recorded_v2: Any) -> None:
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
def test_what_v2_does_not_have(recorded_v2: Any, parameter: Any, value: Any) -> None:
    with pytest.raises(ParameterNotSupported) as caught:
        Parameters.set(parameter, recorded_v2.cgroup, value)
    assert caught.value.hint
    assert recorded_v2.writes == []


# ---- set replaces ---------------------------------------------------------------------------------


def test_a_throttle_is_replaced_on_v1(recorded_v1: Callable[[str], Any]) -> None:
    """Removals first, then one write for each device."""
    recorded = recorded_v1("blkio")
    name = "blkio.throttle.read_bps_device"
    recorded.put(name, "8:0 1000\n8:16 2000\n")
    Parameters.set(Blkio.throttle_read_bps_device, recorded.cgroup, {OTHER: 3000, THIRD: 4000})
    assert recorded.writes == [(name, "8:0 0"), (name, "8:16 3000"), (name, "254:0 4000")]
    Parameters.set(Blkio.throttle_read_bps_device, recorded.cgroup, {DISK: MAX, OTHER: 0})
    assert recorded.writes == [(name, "8:0 0"), (name, "8:16 0")]
    Parameters.set(Blkio.throttle_read_bps_device, recorded.cgroup, {})
    assert recorded.writes == [(name, "8:0 0"), (name, "8:16 0")]
    recorded.put(name, "")
    Parameters.set(Blkio.throttle_read_bps_device, recorded.cgroup, {(8, 0): 5})  # type: ignore[dict-item]
    assert recorded.writes == [(name, "8:0 5")]


def test_a_throttle_is_replaced_on_v2(recorded_v2: Any) -> None:
    """Only its own key of io.max: what the other throttles have said stays."""
    recorded_v2.put("io.max", "8:0 rbps=1000 wbps=max riops=max wiops=7\n8:16 rbps=max wbps=5 riops=max wiops=max\n")
    cgroup = recorded_v2.cgroup
    assert Parameters.get(Blkio.throttle_read_bps_device, cgroup) == {DISK: 1000}
    assert Parameters.get(Blkio.throttle_write_bps_device, cgroup) == {OTHER: 5}
    assert Parameters.get(Blkio.throttle_write_iops_device, cgroup) == {DISK: 7}
    Parameters.set(Blkio.throttle_read_bps_device, cgroup, {OTHER: 3000})
    assert recorded_v2.writes == [("io.max", "8:0 rbps=max"), ("io.max", "8:16 rbps=3000")]
    Parameters.set(Blkio.throttle_write_iops_device, cgroup, {DISK: (1 << 32) - 1})
    assert recorded_v2.writes == [("io.max", "8:0 wiops=4294967295")]


def test_a_refused_line_restores_those_before_it(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("blkio")
    name = "blkio.throttle.write_bps_device"
    recorded.put(name, "8:0 1000\n8:16 2000\n")
    recorded.refuse(name, "254:0 4000", errno.ENODEV)
    with pytest.raises(InvalidValue) as caught:
        Parameters.set(Blkio.throttle_write_bps_device, recorded.cgroup, {OTHER: 3000, THIRD: 4000})
    assert "254:0 4000" in str(caught.value)
    assert "no such device" in str(caught.value)
    assert recorded.writes == [
        *((name, "8:0 0"), (name, "8:16 3000"), (name, "254:0 4000")),
        *((name, "8:16 2000"), (name, "8:0 1000")),
    ]


def test_a_refused_new_line_restores_to_none(recorded_v2: Any) -> None:
    recorded_v2.put("io.max", "")
    recorded_v2.refuse("io.max", "8:16 rbps=5", errno.ENODEV)
    with pytest.raises(InvalidValue):
        Parameters.set(Blkio.throttle_read_bps_device, recorded_v2.cgroup, {DISK: 4, OTHER: 5})
    assert recorded_v2.writes == [("io.max", "8:0 rbps=4"), ("io.max", "8:16 rbps=5"), ("io.max", "8:0 rbps=max")]


def test_io_max_is_replaced(recorded_v2: Any) -> None:
    recorded_v2.put("io.max", "8:0 rbps=1 wbps=max riops=max wiops=max\n")
    Parameters.set(Io.max, recorded_v2.cgroup, {OTHER: {"rbps": 5, "wiops": 6}})
    assert recorded_v2.writes == [
        ("io.max", "8:0 rbps=max wbps=max riops=max wiops=max"),
        ("io.max", "8:16 rbps=5 wbps=max riops=max wiops=6"),
    ]
    # What was read can be written back.
    value = Parameters.get(Io.max, recorded_v2.cgroup)
    Parameters.set(Io.max, recorded_v2.cgroup, value)
    assert recorded_v2.writes == [("io.max", "8:0 rbps=1 wbps=max riops=max wiops=max")]


def test_weights_by_device(recorded_v1: Callable[[str], Any], recorded_v2: Any) -> None:
    v1 = recorded_v1("blkio")
    v1.put("blkio.bfq.weight_device", "default 100\n8:0 50\n")
    assert Parameters.get(Blkio.weight_device, v1.cgroup) == {DISK: 50}
    Parameters.set(Blkio.weight_device, v1.cgroup, {OTHER: 60})
    assert v1.writes == [("blkio.bfq.weight_device", "8:0 default"), ("blkio.bfq.weight_device", "8:16 60")]
    recorded_v2.put("io.weight", "default 100\n8:0 10000\n")
    assert Parameters.get(Blkio.weight_device, recorded_v2.cgroup) == {DISK: 1000}
    Parameters.set(Blkio.weight_device, recorded_v2.cgroup, {OTHER: 10})
    assert recorded_v2.writes == [("io.weight", "8:0 default"), ("io.weight", "8:16 1")]
    Parameters.set(Io.weight, recorded_v2.cgroup, DeviceTable({OTHER: 77}, default=200))
    assert sorted(recorded_v2.writes) == [
        ("io.weight", "8:0 default"),
        ("io.weight", "8:16 77"),
        ("io.weight", "default 200"),
    ]


def test_bfq_s_weight_goes_first_and_unscaled(recorded_v2: Any) -> None:
    recorded_v2.put("io.bfq.weight", "default 100\n")
    assert Parameters.get(Blkio.weight, recorded_v2.cgroup) == 100
    Parameters.set(Blkio.weight, recorded_v2.cgroup, 1)
    assert recorded_v2.writes == [("io.bfq.weight", "default 1")]


def test_old_kernels_have_blkio_weight(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("blkio")
    recorded.put("blkio.weight", "500\n")
    recorded.put("blkio.weight_device", "8:0 300\n")
    assert Parameters.get(Blkio.weight, recorded.cgroup) == 500
    Parameters.set(Blkio.weight, recorded.cgroup, 10)
    Parameters.set(Blkio.weight_device, recorded.cgroup, {})
    assert recorded.writes == [("blkio.weight", "10"), ("blkio.weight_device", "8:0 0")]
    _refuses(recorded, Blkio.weight, [9, 1001])


def test_other_tables(recorded_v2: Any, recorded_v1: Callable[[str], Any]) -> None:
    recorded_v2.put("io.latency", "8:0 target=100\n")
    Parameters.set(Io.latency, recorded_v2.cgroup, {OTHER: {"target": 5000}})
    assert recorded_v2.writes == [("io.latency", "8:0 target=max"), ("io.latency", "8:16 target=5000")]
    recorded_v2.put("misc.max", "sev 5\nsev_es max\n")
    Parameters.set(Misc.max, recorded_v2.cgroup, {"sev_es": 3})
    assert recorded_v2.writes == [("misc.max", "sev max"), ("misc.max", "sev_es 3")]
    recorded_v2.put("rdma.max", "mlx4_0 hca_handle=2 hca_object=2000 \nocrdma1 hca_handle=3 hca_object=max \n")
    Parameters.set(Rdma.max, recorded_v2.cgroup, {"mlx4_0": {"hca_handle": 5}})
    assert recorded_v2.writes == [
        ("rdma.max", "ocrdma1 hca_handle=max hca_object=max"),
        ("rdma.max", "mlx4_0 hca_handle=5 hca_object=max"),
    ]
    recorded_v2.put("io.cost.qos", "")
    Parameters.set(Io.cost_qos, recorded_v2.cgroup, {DISK: {"enable": 1, "rpct": 95.0, "ctrl": "user"}})
    assert recorded_v2.writes == [("io.cost.qos", "8:0 enable=1 rpct=95.00 ctrl=user")]
    v1 = recorded_v1("memory")
    v1.put("net_prio.ifpriomap", "lo 0\neth0 5\n")
    Parameters.set(NetPrio.ifpriomap, v1.cgroup, {"lo": 7})
    assert v1.writes == [("net_prio.ifpriomap", "eth0 0"), ("net_prio.ifpriomap", "lo 7")]


# ---- rules of their own --------------------------------------------------------------------------------


def test_subtree_control_writes_the_difference(recorded_v2: Any) -> None:
    recorded_v2.put("cgroup.subtree_control", "cpu memory\n")
    name = "cgroup.subtree_control"
    Parameters.set(Core.subtree_control, recorded_v2.cgroup, ["memory", "pids", "io", "pids"])
    assert recorded_v2.writes == [(name, "-cpu"), (name, "+pids"), (name, "+io")]
    Parameters.set(Core.subtree_control, recorded_v2.cgroup, ("cpu", "memory"))
    assert recorded_v2.writes == []
    Parameters.set(Core.subtree_control, recorded_v2.cgroup, [])
    assert recorded_v2.writes == [(name, "-cpu"), (name, "-memory")]


def test_a_refused_controller_undoes_the_others(recorded_v2: Any) -> None:
    name = "cgroup.subtree_control"
    recorded_v2.put(name, "cpu memory\n")
    recorded_v2.refuse(name, "+io", errno.EBUSY)
    with pytest.raises(CgroupBusy):
        Parameters.set(Core.subtree_control, recorded_v2.cgroup, ["memory", "pids", "io"])
    assert recorded_v2.writes == [(name, "-cpu"), (name, "+pids"), (name, "+io"), (name, "-pids"), (name, "+cpu")]


def test_an_undo_that_is_refused_does_not_hide_the_error(recorded_v2: Any) -> None:
    name = "cgroup.subtree_control"
    recorded_v2.put(name, "cpu memory\n")
    recorded_v2.refuse(name, "+io", errno.EBUSY)
    recorded_v2.refuse(name, "+cpu", errno.ENOENT)
    with pytest.raises(CgroupBusy):
        Parameters.set(Core.subtree_control, recorded_v2.cgroup, ["memory", "io"])


def test_a_partition_is_read_back(recorded_v2: Any) -> None:
    """The kernel takes what cannot be, and says so only when asked."""
    name = "cpuset.cpus.partition"
    recorded_v2.when(
        name, "root", lambda: recorded_v2.put(name, "root invalid (Cpu list in cpuset.cpus not exclusive)\n")
    )
    with pytest.raises(InvalidValue) as caught:
        Parameters.set(Cpuset.cpus_partition, recorded_v2.cgroup, "root")
    assert "Cpu list in cpuset.cpus not exclusive" in str(caught.value)
    assert recorded_v2.writes == [(name, "root"), (name, "member")]
    recorded_v2.when(name, "isolated", lambda: recorded_v2.put(name, "isolated\n"))
    Parameters.set(Cpuset.cpus_partition, recorded_v2.cgroup, "isolated")
    assert recorded_v2.writes == [(name, "isolated")]
    assert Parameters.get(Cpuset.cpus_partition, recorded_v2.cgroup) == "isolated"


def test_a_refused_quota_of_v1_puts_the_period_back(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("cpu")
    recorded.refuse("cpu.cfs_quota_us", "90000", errno.EINVAL)
    with pytest.raises(InvalidValue):
        Parameters.set(Cpu.max, recorded.cgroup, CpuMax(90000, 50000))
    quota, period = "cpu.cfs_quota_us", "cpu.cfs_period_us"
    assert recorded.writes[-2:] == [(period, "100000"), (quota, "20000")]
    Parameters.set(Cpu.max, recorded.cgroup, CpuMax(30000))
    assert (quota, "30000") in recorded.writes


def test_the_period_alone_keeps_no_quota(recorded_v2: Any) -> None:
    recorded_v2.put("cpu.max", "max 100000\n")
    Parameters.set(Cpu.cfs_period_us, recorded_v2.cgroup, 5000)
    assert recorded_v2.writes == [("cpu.max", "max 5000")]


# ---- the scales, there and back ----------------------------------------------------------------------------


def test_every_weight_comes_back(recorded_v2: Any) -> None:
    from cgroups.subsystem.block import to_blkio_weight, to_io_weight
    from cgroups.subsystem.cpu import shares_to_weight, weight_to_shares

    for weight in range(1, 10001):
        assert shares_to_weight(weight_to_shares(weight)) == weight
    steps = [shares_to_weight(shares) for shares in range(2, 262145, 7)]
    assert steps == sorted(steps)
    assert (steps[0], max(steps)) == (1, 10000)
    for weight in range(10, 1001):
        assert to_blkio_weight(to_io_weight(weight)) == weight
    assert (to_io_weight(10), to_io_weight(1000)) == (1, 10000)
    for shares in (2, 3, 512, 1024, 1025, 262144):
        Parameters.set(Cpu.shares, recorded_v2.cgroup, shares)
        [(_, text)] = recorded_v2.writes
        recorded_v2.put("cpu.weight", text + "\n")
        assert shares_to_weight(Parameters.get(Cpu.shares, recorded_v2.cgroup)) == int(text)


def test_idle_cgroups_have_no_weight(recorded_v2: Any) -> None:
    """While cpu.idle is 1, cpu.weight reads 0 on Linux 6.1."""
    recorded_v2.put("cpu.weight", "0\n")
    assert Parameters.get(Cpu.shares, recorded_v2.cgroup) == 2
