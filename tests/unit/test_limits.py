"""Effective limits and capacity, over captured trees whose numbers the test sets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cgroups import (
    MAX,
    Capacity,
    CgroupNotFound,
    Core,
    Cpu,
    CpuMax,
    Devices,
    Effective,
    Host,
    Hugetlb,
    InvalidValue,
    Memory,
    ParameterNotSupported,
    Parameters,
    Pids,
    ProcessNotFound,
    SubsystemNotAttached,
    capacity,
)

MIB = 1 << 20
INNER = "/cgroups-capture/inner"
V1_MAX = (1 << 63) - 4096


def put(root: Path, files: dict[str, object]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


# ---- the tightest up the tree ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("outer", "inner", "value", "where"),
    [
        ("max", "max", MAX, None),
        (300 * MIB, "max", 300 * MIB, ":/job"),
        ("max", 200 * MIB, 200 * MIB, ":/job/a"),
        (300 * MIB, 200 * MIB, 200 * MIB, ":/job/a"),
        (100 * MIB, 200 * MIB, 100 * MIB, ":/job"),
        (200 * MIB, 200 * MIB, 200 * MIB, ":/job/a"),
        (0, "max", 0, ":/job"),
    ],
)
def test_effective_memory_on_v2(
    v2: Host, v2_root: Path, outer: object, inner: object, value: object, where: str | None
) -> None:
    put(v2_root / "sys/fs/cgroup/job", {"memory.max": outer, "a/memory.max": inner})
    found = v2.find_exn(":/job/a").effective(Memory.limit_in_bytes)
    assert (found.value, found.cgroup and str(found.cgroup), found.hidden) == (value, where, False)
    assert v2.find_exn(":/job/a").effective(Memory.max) == found
    assert v2.find_exn(":/job").effective(Memory.max).value == (MAX if outer == "max" else outer)


@pytest.mark.parametrize(
    ("top", "inner", "value", "where"),
    [
        (V1_MAX, V1_MAX, MAX, None),
        (4096, V1_MAX, 4096, "memory:/cgroups-capture"),
        (8192, 4096, 4096, f"memory:{INNER}"),
    ],
)
def test_effective_memory_on_v1(
    v1: Host, v1_root: Path, top: int, inner: int, value: object, where: str | None
) -> None:
    files = {"memory.limit_in_bytes": V1_MAX, "release_agent": ""}
    files |= {"cgroups-capture/memory.limit_in_bytes": top, f"{INNER[1:]}/memory.limit_in_bytes": inner}
    put(v1_root / "sys/fs/cgroup/memory", files)
    found = v1.find_exn(f"memory:{INNER}").effective(Memory.max)
    assert (found.value, found.cgroup and str(found.cgroup), found.hidden) == (value, where, False)


def test_effective_cpu_is_compared_by_cpus_not_by_quota(v2: Host, v2_root: Path) -> None:
    cgroup = v2.find_exn(":/job/a")
    put(v2_root / "sys/fs/cgroup/job", {"cpu.max": "150000 100000", "a/cpu.max": "100000 50000"})
    assert cgroup.effective(Cpu.max) == Effective(CpuMax(150000, 100000), v2.find(":/job"), hidden=False)
    put(v2_root / "sys/fs/cgroup/job", {"cpu.max": "max 100000", "a/cpu.max": "max 50000"})
    found = cgroup.effective(Cpu.max)
    assert (found.value.quota, found.cgroup) == (MAX, None)


def test_effective_memory_and_swap_on_v2_are_two_limits(v2: Host, v2_root: Path) -> None:
    """Each has its own tightest: the least of the sums would be 6."""
    cgroup = v2.find_exn(":/job/a")
    put(v2_root / "sys/fs/cgroup/job", {"memory.max": 1 << 30, "memory.swap.max": 5 << 30})
    put(v2_root / "sys/fs/cgroup/job/a", {"memory.max": 5 << 30, "memory.swap.max": 1 << 30})
    found = cgroup.effective(Memory.memsw_limit_in_bytes)
    assert (found.value, found.cgroup) == (2 << 30, cgroup)
    put(v2_root / "sys/fs/cgroup/job/a", {"memory.swap.max": "max"})
    assert cgroup.effective(Memory.memsw_limit_in_bytes).value == 6 << 30
    put(v2_root / "sys/fs/cgroup/job", {"memory.swap.max": "max"})
    assert cgroup.effective(Memory.memsw_limit_in_bytes) == Effective(MAX, None, hidden=False)


def test_effective_levels_without_the_controller_do_not_limit(v2: Host, v2_root: Path) -> None:
    job = v2_root / "sys/fs/cgroup/job"
    for name in ("a/pids.max", "a/cgroup.controllers"):
        (job / name).unlink()
    put(job, {"a/cgroup.controllers": "memory", "pids.max": 40})
    assert v2.find_exn(":/job/a").effective(Pids.max) == Effective(40, v2.find(":/job"), hidden=False)
    (job / "pids.max").unlink()
    put(job, {"cgroup.controllers": "memory"})
    assert v2.find_exn(":/job/a").effective(Pids.max) == Effective(MAX, None, hidden=False)
    assert v2.find_exn(":/").effective(Pids.max) == Effective(MAX, None, hidden=False)


def test_effective_hidden_ancestors_are_reported(v1: Host, v2: Host, v2_root: Path) -> None:
    """The true root lacks cgroup.events, and has release_agent: what a container sees as the root is another cgroup."""
    assert v1.find_exn(f"memory:{INNER}").effective(Memory.max).hidden
    put(v2_root / "sys/fs/cgroup", {"cgroup.events": "populated 1", "memory.max": 4096})
    assert v2.find_exn(":/job/a").effective(Memory.max) == Effective(4096, v2.find(":/"), hidden=True)


def test_effective_huge_pages_are_by_size(v2: Host, v2_root: Path) -> None:
    put(v2_root / "sys/fs/cgroup/job", {"hugetlb.2MB.max": 4 * MIB})
    for parameter in (Hugetlb("2MB").max, Hugetlb("2MB").limit_in_bytes):
        assert v2.find_exn(":/job/a").effective(parameter).value == 4 * MIB


@pytest.mark.parametrize(
    "parameter",
    [
        *(Memory.usage_in_bytes, Memory.low, Cpu.weight, Memory.stat, Core.max_depth, Hugetlb("2MB").current),
        *("memory.max", None, Memory, Devices.allow),
    ],
)
def test_effective_parameter_without_one_limit_is_refused(job: Any, parameter: Any) -> None:
    with pytest.raises(InvalidValue, match="cannot combine the values|must be a limit such as"):
        job.effective(parameter)


def test_effective_half_of_a_quota_names_the_whole(job: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        job.effective(Cpu.cfs_quota_us)
    assert "Cpu.max" in str(caught.value.hint)


def test_effective_parameter_missing_here_raises(v1: Host, job: Any) -> None:
    with pytest.raises(SubsystemNotAttached):
        v1.find_exn(f"pids:{INNER}").effective(Memory.max)
    with pytest.raises(ParameterNotSupported):
        v1.find_exn(f"memory:{INNER}").effective(Memory.high)
    with pytest.raises(ParameterNotSupported):
        job.effective(Memory.kmem_limit_in_bytes)
    for level in (job, job.parent):
        Path(level.path, "memory.zswap.max").unlink()
    with pytest.raises(ParameterNotSupported, match=r"memory\.zswap\.max"):
        job.effective(Memory.zswap_max)


# ---- how much a process may use -----------------------------------------------------------------


@pytest.fixture
def machine() -> Callable[..., None]:
    """``machine(root, pid, …)``: 8 CPUs, 4 of which are online, and 1 GiB."""

    def make(root: Path, pid: int, allowed: str = "0-7") -> None:
        put(root, {"proc/meminfo": "MemTotal:        1048576 kB", "sys/devices/system/cpu/online": "0-3"})
        put(
            root,
            {f"proc/{pid}/status": f"Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t{allowed}\nMems_allowed:\t1"},
        )

    return make


def _texts(found: Capacity) -> dict[str, str]:
    return {name: str(source) for name, source in found.sources.items()}


def test_capacity_of_a_machine_without_limits(v2: Host, v2_root: Path, machine: Callable[..., None]) -> None:
    machine(v2_root, 252)
    put(v2_root / "sys/fs/cgroup/job/a", {"memory.max": "max", "cpu.max": "max 100000", "cpuset.cpus.effective": "0-3"})
    found = capacity(252, host=v2)
    assert (found.memory, found.cpus, found.cpuset) == (1 << 30, 4.0, (0, 1, 2, 3))
    assert _texts(found) == {
        "memory": "MemTotal of /proc/meminfo",
        "cpus": "the CPUs online",
        "cpuset": "the CPUs online",
    }


def test_capacity_on_v2(v2: Host, v2_root: Path, machine: Callable[..., None]) -> None:
    machine(v2_root, 252, "1-7")
    put(v2_root / "sys/fs/cgroup/job", {"memory.max": 100 * MIB, "cpu.max": "150000 100000"})
    put(v2_root / "sys/fs/cgroup/job/a", {"memory.max": 200 * MIB, "cpu.max": "max 100000"})
    put(v2_root / "sys/fs/cgroup/job/a", {"cpuset.cpus.effective": "0-2"})
    found = capacity(252, host=v2)
    assert (found.memory, found.cpus, found.cpuset) == (100 * MIB, 1.5, (1, 2))
    assert _texts(found) == {
        "memory": "memory.max of :/job",
        "cpus": "cpu.max of :/job",
        "cpuset": "Cpus_allowed_list of the process",
    }
    put(v2_root / "sys/fs/cgroup/job", {"cpu.max": "max 100000"})
    machine(v2_root, 252)
    found = capacity(252, host=v2)
    assert (found.cpus, found.cpuset) == (3.0, (0, 1, 2))
    assert _texts(found)["cpus"] == _texts(found)["cpuset"] == "cpuset.cpus.effective of :/job/a"


def test_capacity_on_v1(v1: Host, v1_root: Path, machine: Callable[..., None]) -> None:
    machine(v1_root, 5447)
    tree = v1_root / "sys/fs/cgroup"
    put(tree, {f"memory{INNER}/memory.limit_in_bytes": 100 * MIB, "memory/release_agent": ""})
    put(tree, {f"cpu{INNER}/cpu.cfs_quota_us": 50000, f"cpu{INNER}/cpu.cfs_period_us": 100000, "cpu/release_agent": ""})
    put(tree, {f"cpuset{INNER}/cpuset.effective_cpus": "2-5"})
    found = capacity(5447, host=v1)
    assert (found.memory, found.cpus, found.cpuset) == (100 * MIB, 0.5, (2, 3))
    assert _texts(found) == {
        "memory": f"memory.limit_in_bytes of memory:{INNER}",
        "cpus": f"cpu.cfs_quota_us and cpu.cfs_period_us of cpu:{INNER}",
        "cpuset": f"cpuset.effective_cpus of cpuset:{INNER}",
    }


def test_capacity_limit_above_the_machine_is_the_machine(v2: Host, v2_root: Path, machine: Callable[..., None]) -> None:
    machine(v2_root, 252)
    put(v2_root / "sys/fs/cgroup/job/a", {"memory.max": 1 << 40, "cpu.max": "900000 100000"})
    found = capacity(252, host=v2)
    assert found.memory == 1 << 30
    assert found.cpus == len(found.cpuset)


def test_capacity_hidden_ancestors_are_reported(v2: Host, v2_root: Path, machine: Callable[..., None]) -> None:
    machine(v2_root, 252)
    put(v2_root / "sys/fs/cgroup", {"cgroup.events": "populated 1"})
    found = capacity(252, host=v2)
    assert found.sources["memory"].hidden
    assert "hidden ancestors may allow less" in str(found.sources["memory"])
    # A cgroup that no mount shows: it may be limited, and nobody here can tell.
    (v2_root / "proc/252/cgroup").write_text("0::/../elsewhere\n")
    found = capacity(252, host=v2)
    assert found.memory == 1 << 30
    assert found.sources["memory"].hidden


def test_capacity_without_control_groups(
    tmp_path: Path, tree: Callable[..., Host], machine: Callable[..., None]
) -> None:
    host = tree(tmp_path, "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n", "/proc/7")
    machine(tmp_path, 7, "2")
    assert not (tmp_path / "proc/7/cgroup").exists()
    found = capacity(7, host=host)
    assert (found.memory, found.cpus, found.cpuset) == (1 << 30, 1.0, (2,))
    assert not any(source.hidden for source in found.sources.values())
    # A unified hierarchy that is mounted nowhere: there may be limits, and nobody here can tell.
    put(tmp_path, {"proc/7/cgroup": "0::/job"})
    assert capacity(7, host=host).sources["memory"].hidden
    assert host.process_info(7)[0].hierarchy.subsystems == ()
    (tmp_path / "sys/devices/system/cpu/online").unlink()
    assert capacity(7, host=host).cpuset == (2,)


def test_capacity_of_this_process() -> None:
    found = capacity()
    assert found.cpuset == tuple(sorted(os.sched_getaffinity(0)))
    assert 0 < found.cpus <= len(found.cpuset)
    assert 0 < found.memory <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_capacity_invalid_or_missing_process_raises(v2: Host, v2_root: Path) -> None:
    for pid in (0, -1, True, 1 << 40):
        with pytest.raises(InvalidValue):
            capacity(pid, host=v2)
    with pytest.raises(ProcessNotFound):
        capacity(253, host=v2)


def test_effective_cgroup_outside_all_mounts_raises(v2: Host, v2_root: Path) -> None:
    (v2_root / "proc/252/cgroup").write_text("0::/../elsewhere\n")
    [hidden] = v2.process_info(252)
    with pytest.raises(CgroupNotFound):
        hidden.effective(Memory.max)
    assert Parameters.get(Memory.max, v2.find_exn(":/job/a"))
