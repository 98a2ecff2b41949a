"""Rollback: the undo of earlier steps when a later one fails or a signal arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cgroups import AccessDenied, Blkio, CgroupError, Core, Cpu, CpuMax, Device, Parameters
from cgroups.core.rollback import Rollback

DISK, OTHER = Device(8, 0), Device(8, 16)


def test_rollback_raises_undoes_last_first() -> None:
    calls: list[int] = []
    with pytest.raises(KeyboardInterrupt), Rollback() as rollback:
        rollback.add(calls.append, 1)
        rollback.add(calls.append, 2)
        raise KeyboardInterrupt
    assert calls == [2, 1]


def test_rollback_without_error_undoes_nothing() -> None:
    calls: list[int] = []
    with Rollback() as rollback:
        rollback.add(calls.append, 1)
    assert calls == []


def test_rollback_drop_forgets_the_refused_step() -> None:
    calls: list[int] = []
    with pytest.raises(ValueError, match="refused"), Rollback() as rollback:
        rollback.add(calls.append, 1)
        rollback.add(calls.append, 2)
        rollback.drop()
        raise ValueError("refused")  # noqa: EM101, TRY003
    assert calls == [1]


def test_rollback_error_of_undo_is_ignored() -> None:
    calls: list[int] = []

    def fails() -> None:
        raise CgroupError("gone")  # noqa: EM101, TRY003

    with pytest.raises(ValueError, match="refused"), Rollback() as rollback:
        rollback.add(calls.append, 1)
        rollback.add(fails)
        raise ValueError("refused")  # noqa: EM101, TRY003
    assert calls == [1]


def interrupt() -> None:
    raise KeyboardInterrupt


def test_set_subtree_control_interrupted_restores_the_controllers(recorded_v2: Any) -> None:
    recorded_v2.put("cgroup.subtree_control", "memory pids\n")
    recorded_v2.when("cgroup.subtree_control", "+cpu", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Parameters.set(Core.subtree_control, recorded_v2.cgroup, ["memory", "cpu"])
    steps = ["-pids", "+cpu", "-cpu", "+pids"]
    assert recorded_v2.writes == [("cgroup.subtree_control", step) for step in steps]


def test_set_subtree_control_refused_restores_the_controllers(recorded_v2: Any) -> None:
    recorded_v2.put("cgroup.subtree_control", "memory pids\n")
    recorded_v2.refuse("cgroup.subtree_control", "+cpu", 13)
    with pytest.raises(AccessDenied):
        Parameters.set(Core.subtree_control, recorded_v2.cgroup, ["memory", "cpu"])
    assert [text for _, text in recorded_v2.writes if text != "+cpu"] == ["-pids", "+pids"]


def test_set_cpu_max_v1_interrupted_restores_quota_and_period(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("cpu")
    recorded.put("cpu.cfs_quota_us", "20000\n")
    recorded.put("cpu.cfs_period_us", "100000\n")
    recorded.when("cpu.cfs_period_us", "200000", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Parameters.set(Cpu.max, recorded.cgroup, CpuMax(50000, 200000))
    assert recorded.writes == [
        ("cpu.cfs_quota_us", "-1"),
        ("cpu.cfs_period_us", "200000"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "20000"),
    ]


def test_set_device_table_interrupted_restores_each_row(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("blkio")
    name = "blkio.throttle.read_bps_device"
    recorded.put(name, "8:0 1000\n")
    recorded.when(name, "8:16 3000", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Parameters.set(Blkio.throttle_read_bps_device, recorded.cgroup, {OTHER: 3000})
    assert recorded.writes == [(name, "8:0 0"), (name, "8:16 3000"), (name, "8:16 0"), (name, "8:0 1000")]
