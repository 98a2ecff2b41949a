"""Set replaces: what is removed, written and restored, and the rules of single parameters."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from cgroups import (
    MAX,
    Blkio,
    CgroupBusy,
    Core,
    Cpu,
    CpuMax,
    Cpuset,
    Device,
    DeviceTable,
    Dmem,
    InvalidValue,
    Io,
    Misc,
    NetPrio,
    Parameters,
    Rdma,
)

DISK, OTHER, THIRD = Device(8, 0), Device(8, 16), Device(254, 0)


# ---- set replaces ---------------------------------------------------------------------------------


def test_set_v1_throttle_replaces_the_table(recorded_v1: Callable[[str], Any]) -> None:
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


def test_set_v2_throttle_replaces_the_table(recorded_v2: Any) -> None:
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


def test_set_refused_line_restores_those_before_it(recorded_v1: Callable[[str], Any]) -> None:
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


def test_set_refused_new_line_removes_it(recorded_v2: Any) -> None:
    recorded_v2.put("io.max", "")
    recorded_v2.refuse("io.max", "8:16 rbps=5", errno.ENODEV)
    with pytest.raises(InvalidValue):
        Parameters.set(Blkio.throttle_read_bps_device, recorded_v2.cgroup, {DISK: 4, OTHER: 5})
    assert recorded_v2.writes == [("io.max", "8:0 rbps=4"), ("io.max", "8:16 rbps=5"), ("io.max", "8:0 rbps=max")]


def test_set_io_max_replaces_the_table(recorded_v2: Any) -> None:
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


def test_set_weights_by_device(recorded_v1: Callable[[str], Any], recorded_v2: Any) -> None:
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


def test_set_bfq_weight_comes_first_and_unscaled(recorded_v2: Any) -> None:
    recorded_v2.put("io.bfq.weight", "default 100\n")
    assert Parameters.get(Blkio.weight, recorded_v2.cgroup) == 100
    Parameters.set(Blkio.weight, recorded_v2.cgroup, 1)
    assert recorded_v2.writes == [("io.bfq.weight", "default 1")]


def test_set_weight_on_an_old_kernel_uses_blkio_weight(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("blkio")
    recorded.put("blkio.weight", "500\n")
    recorded.put("blkio.weight_device", "8:0 300\n")
    assert Parameters.get(Blkio.weight, recorded.cgroup) == 500
    Parameters.set(Blkio.weight, recorded.cgroup, 10)
    Parameters.set(Blkio.weight_device, recorded.cgroup, {})
    assert recorded.writes == [("blkio.weight", "10"), ("blkio.weight_device", "8:0 0")]
    for weight in (9, 1001):
        with pytest.raises(InvalidValue):
            Parameters.set(Blkio.weight, recorded.cgroup, weight)


def test_set_other_tables_replaces_them(recorded_v2: Any, recorded_v1: Callable[[str], Any]) -> None:
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


def test_set_subtree_control_writes_the_difference(recorded_v2: Any) -> None:
    recorded_v2.put("cgroup.subtree_control", "cpu memory\n")
    name = "cgroup.subtree_control"
    Parameters.set(Core.subtree_control, recorded_v2.cgroup, ["memory", "pids", "io", "pids"])
    assert recorded_v2.writes == [(name, "-cpu"), (name, "+pids"), (name, "+io")]
    Parameters.set(Core.subtree_control, recorded_v2.cgroup, ("cpu", "memory"))
    assert recorded_v2.writes == []
    Parameters.set(Core.subtree_control, recorded_v2.cgroup, [])
    assert recorded_v2.writes == [(name, "-cpu"), (name, "-memory")]


def test_set_subtree_control_refused_controller_undoes_the_others(recorded_v2: Any) -> None:
    name = "cgroup.subtree_control"
    recorded_v2.put(name, "cpu memory\n")
    recorded_v2.refuse(name, "+io", errno.EBUSY)
    with pytest.raises(CgroupBusy):
        Parameters.set(Core.subtree_control, recorded_v2.cgroup, ["memory", "pids", "io"])
    assert recorded_v2.writes == [(name, "-cpu"), (name, "+pids"), (name, "+io"), (name, "-pids"), (name, "+cpu")]


def test_set_refused_undo_does_not_hide_the_error(recorded_v2: Any) -> None:
    name = "cgroup.subtree_control"
    recorded_v2.put(name, "cpu memory\n")
    recorded_v2.refuse(name, "+io", errno.EBUSY)
    recorded_v2.refuse(name, "+cpu", errno.ENOENT)
    with pytest.raises(CgroupBusy):
        Parameters.set(Core.subtree_control, recorded_v2.cgroup, ["memory", "io"])


def test_set_partition_is_read_back(recorded_v2: Any) -> None:
    """The kernel accepts an impossible partition, and reports the fault only in a read."""
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


def test_set_v1_refused_quota_restores_the_period(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("cpu")
    recorded.refuse("cpu.cfs_quota_us", "90000", errno.EINVAL)
    with pytest.raises(InvalidValue):
        Parameters.set(Cpu.max, recorded.cgroup, CpuMax(90000, 50000))
    quota, period = "cpu.cfs_quota_us", "cpu.cfs_period_us"
    assert recorded.writes[-2:] == [(period, "100000"), (quota, "20000")]
    Parameters.set(Cpu.max, recorded.cgroup, CpuMax(30000))
    assert (quota, "30000") in recorded.writes


def test_set_cfs_period_without_a_quota_keeps_max(recorded_v2: Any) -> None:
    recorded_v2.put("cpu.max", "max 100000\n")
    Parameters.set(Cpu.cfs_period_us, recorded_v2.cgroup, 5000)
    assert recorded_v2.writes == [("cpu.max", "max 5000")]


# ---- the scales, there and back ----------------------------------------------------------------------------


def test_weight_to_shares_and_back_is_the_same(recorded_v2: Any) -> None:
    from cgroups.parameters.block import to_blkio_weight, to_io_weight
    from cgroups.parameters.cpu import shares_to_weight, weight_to_shares

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


def test_get_shares_of_an_idle_cgroup_is_the_minimum(recorded_v2: Any) -> None:
    """While cpu.idle is 1, cpu.weight reads 0 on Linux 6.1."""
    recorded_v2.put("cpu.weight", "0\n")
    assert Parameters.get(Cpu.shares, recorded_v2.cgroup) == 2


def test_set_protection_without_a_row_is_reset_to_0(recorded_v2: Any) -> None:
    """0 means no protection, like max means no limit."""
    recorded_v2.put("dmem.min", "drm/0 4096\ndrm/1 0\n")
    Parameters.set(Dmem.min, recorded_v2.cgroup, {"drm/1": 8192})
    assert recorded_v2.writes == [("dmem.min", "drm/0 0"), ("dmem.min", "drm/1 8192")]
    Parameters.set(Dmem.min, recorded_v2.cgroup, {"drm/0": MAX, "drm/1": 0})
    assert recorded_v2.writes == [("dmem.min", "drm/0 max")]
    recorded_v2.put("dmem.max", "drm/0 4096\n")
    Parameters.set(Dmem.max, recorded_v2.cgroup, {"drm/1": 0})
    assert recorded_v2.writes == [("dmem.max", "drm/0 max"), ("dmem.max", "drm/1 0")]
