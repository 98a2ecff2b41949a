"""Effective limits and capacity where something is in the way: permissions, mounts of parts, old kernels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cgroups import (
    MAX,
    AccessDenied,
    Cgroup,
    CgroupGone,
    CgroupOSError,
    Cpu,
    CpuMax,
    Cpuset,
    Effective,
    Host,
    Memory,
    ParameterNotSupported,
    Parameters,
    Pids,
    ProcessNotFound,
    capacities,
    capacity,
)
from cgroups.observe import effective

MIB = 1 << 20
INNER = "/cgroups-capture/inner"


def put(root: Path, files: dict[str, object]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


@pytest.fixture
def job(v2: Host, v2_root: Path) -> Cgroup:
    """Two levels that limit memory; the machine has 1 GiB and 4 CPUs, and process 252 is in it."""
    put(v2_root / "sys/fs/cgroup/job", {"memory.max": 100 * MIB, "a/memory.max": 200 * MIB})
    put(v2_root, {"proc/meminfo": "MemTotal:        1048576 kB", "sys/devices/system/cpu/online": "0-3"})
    put(v2_root, {"proc/252/status": "Cpus_allowed_list:\t0-7"})
    return v2.find_exn(":/job/a")


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, Cgroup], None]:
    """``deny(parameter, cgroup)``: root may read everything; the kernel's own refusals are in the kernel's tests."""
    real = Parameters.get

    def of(denied: Any, where: Cgroup) -> None:
        def get(parameter: Any, cgroup: Cgroup) -> Any:
            if (parameter, cgroup) == (denied, where):
                message = f"cannot read {parameter} of {cgroup}"
                raise AccessDenied(message)
            return real(parameter, cgroup)

        monkeypatch.setattr(effective.Parameters, "get", get)

    return of


# ---- old kernels -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top", "inner", "value", "hidden"),
    [(1, 1, 4096, False), (0, 1, 8192, False), (0, 0, 8192, False), (1, 0, 4096, False)],
)
def test_effective_v1_ancestor_counts_with_use_hierarchy(
    v1: Host, v1_root: Path, top: int, inner: int, value: int, hidden: bool
) -> None:
    """Its own memory.use_hierarchy, before Linux 5.11."""
    tree = v1_root / "sys/fs/cgroup/memory"
    put(tree, {"release_agent": "", "memory.use_hierarchy": top, "cgroups-capture/memory.use_hierarchy": top})
    put(tree, {"cgroups-capture/memory.limit_in_bytes": 4096, f"{INNER[1:]}/memory.limit_in_bytes": 8192})
    put(tree, {f"{INNER[1:]}/memory.use_hierarchy": inner})
    found = v1.find_exn(f"memory:{INNER}").effective(Memory.limit_in_bytes)
    assert (found.value, found.hidden) == (value, hidden)


def test_effective_ancestors_above_an_unbound_level_are_not_hidden(v1: Host, v1_root: Path) -> None:
    tree = v1_root / "sys/fs/cgroup/memory"
    put(tree, {f"{INNER[1:]}/memory.limit_in_bytes": 8192, "cgroups-capture/memory.use_hierarchy": 0})
    assert not v1.find_exn(f"memory:{INNER}").effective(Memory.max).hidden


def test_effective_v1_root_has_no_limit(v1: Host, v1_root: Path) -> None:
    root = v1_root / "sys/fs/cgroup/pids"
    put(root, {"release_agent": ""})
    (root / "pids.max").unlink(missing_ok=True)
    assert v1.find_exn("pids").effective(Pids.max) == Effective(MAX, None, hidden=False)


def test_effective_file_missing_in_this_kernel_raises_at_any_level(v2_root: Path, job: Cgroup) -> None:
    """Also where the lowest does not have the controller."""
    for level in (job, job.parent):
        assert level is not None
        Path(str(level.path), "memory.zswap.max").unlink()
    put(Path(str(job.path)), {"cgroup.controllers": "pids"})
    for name in ("memory.max", "memory.swap.max"):
        Path(str(job.path), name).unlink()
    with pytest.raises(ParameterNotSupported, match=r"memory\.zswap\.max"):
        job.effective(Memory.zswap_max)
    assert job.effective(Memory.max).value == 100 * MIB


def test_effective_no_quota_is_one_value(v2_root: Path, job: Cgroup) -> None:
    put(Path(str(job.path)), {"cpu.max": "max 100000", "../cpu.max": "max 50000"})
    assert job.effective(Cpu.max) == Effective(CpuMax(MAX, None), None, hidden=False)


def test_capacity_kernel_without_cgroups_is_the_machine(v2: Host, v2_root: Path) -> None:
    """It has no /proc/PID/cgroup; and without /proc/PID there is no process."""
    put(v2_root, {"proc/9/status": "Cpus_allowed_list:\t1", "proc/meminfo": "MemTotal: 1024 kB"})
    assert v2.process_info(9) == []
    assert capacity(9, host=v2)[:3] == (MIB, 1.0, (1,))
    with pytest.raises(ProcessNotFound):
        v2.process_info(10)


# ---- permissions -----------------------------------------------------------------------------


def test_effective_unreadable_ancestor_is_reported(deny: Any, v2: Host, job: Cgroup) -> None:
    deny(Memory.max, job.parent)
    assert job.effective(Memory.max) == Effective(200 * MIB, job, hidden=True)
    deny(Memory.limit_in_bytes, job.parent)
    found = capacity(252, host=v2)
    assert (found.memory, found.sources["memory"].hidden) == (200 * MIB, True)
    deny(Memory.max, job)
    with pytest.raises(AccessDenied):
        job.effective(Memory.max)
    # The one above is a limit all the same.
    deny(Memory.limit_in_bytes, job)
    found = capacity(252, host=v2)
    assert (found.memory, found.sources["memory"].hidden) == (100 * MIB, True)


def test_capacity_unreadable_cpuset_narrows_nothing(deny: Any, v2: Host, job: Cgroup) -> None:
    put(Path(str(job.path)), {"cpuset.cpus.effective": "0-1"})
    assert capacity(252, host=v2).cpuset == (0, 1)
    deny(Cpuset.effective_cpus, job)
    assert capacity(252, host=v2).cpuset == (0, 1, 2, 3)


def test_capacity_empty_cpuset_narrows_nothing(v2: Host, v2_root: Path, job: Cgroup) -> None:
    put(Path(str(job.path)), {"cpuset.cpus.effective": ""})
    assert capacity(252, host=v2).cpuset == (0, 1, 2, 3)


# ---- mounts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("roots", [("/job/a", "/job"), ("/job", "/job/a"), ("/other", "/job")])
def test_effective_several_partial_mounts_are_used(
    v2_root: Path, job: Cgroup, tree: Any, tmp_path: Path, roots: tuple[str, ...]
) -> None:
    """The limit of whatever is visible through any of them counts."""
    (v2_root / "sys/fs/cgroup/other").mkdir()
    lines = [f"{30 + at} 20 0:27 {root} /mnt{at} rw - cgroup2 cgroup2 rw\n" for at, root in enumerate(roots)]
    host = tree(tmp_path / "parts", "".join(lines))
    for at, root in enumerate(roots):
        shutil.copytree(v2_root / f"sys/fs/cgroup{root}", tmp_path / f"parts/mnt{at}")
    cgroup, above = host.find_exn(":/job/a"), host.find_exn(":/job")
    assert (cgroup.is_root, cgroup.parent, above.is_root, above.parent) == (False, above, True, None)
    put(Path(above.path), {"cgroup.events": "populated 1"})
    assert cgroup.effective(Memory.max) == Effective(100 * MIB, above, hidden=True)


@pytest.mark.parametrize("roots", [("/job/a", "/job"), ("/other", "/job"), ("/other/deep", "/job")])
def test_create_partial_mount_that_shows_the_parent_is_used(tree: Any, tmp_path: Path, roots: tuple[str, ...]) -> None:
    lines = [f"{30 + at} 20 0:27 {root} /mnt{at} rw - cgroup2 cgroup2 rw\n" for at, root in enumerate(roots)]
    host = tree(tmp_path, "".join(lines), *(f"/mnt{at}" for at in range(len(roots))))
    with pytest.raises(AccessDenied, match="read-only") as caught:
        host.find_or_create(":/job/new")
    assert f"{tmp_path}/mnt1 is not on" in str(caught.value)
    [hierarchy] = host.scan()
    assert hierarchy.root().is_root


# ---- processes that move, and a bare /proc -------------------------------------------------------


def test_capacity_process_moved_meanwhile_is_read_again(
    monkeypatch: pytest.MonkeyPatch, v2: Host, v2_root: Path, job: Cgroup
) -> None:
    """Looked at again where it is now; one that stays in a cgroup that is gone is a zombie."""
    real, places = capacities._capacity, []

    def moving(host: Host, found: list[Cgroup], pid: int | None) -> object:
        places.append([str(one) for one in found])
        if len(places) == 1:
            put(v2_root, {"proc/252/cgroup": "0::/job"})
            message = "it was removed"
            raise CgroupGone(message)
        return real(host, found, pid)

    monkeypatch.setattr(capacities, "_capacity", moving)
    assert capacity(252, host=v2).memory == 100 * MIB
    assert places == [[":/job/a"], [":/job"]]
    places.clear()
    put(v2_root, {"proc/252/cgroup": "0::/job"})
    # Away and back, into a new cgroup of the same name.
    assert capacity(252, host=v2).memory == 100 * MIB
    assert places == [[":/job"], [":/job"]]
    put(v2_root, {"proc/252/cgroup": "0::/gone (deleted)"})
    with pytest.raises(CgroupGone):
        capacity(252, host=v2)


def test_capacity_proc_without_meminfo_knows_only_this_machine(
    monkeypatch: pytest.MonkeyPatch, v2: Host, v2_root: Path, job: Cgroup
) -> None:
    """As systemd's ProcSubset=pid mounts it: of this machine the size is known all the same, of another it is not."""
    (v2_root / "proc/meminfo").unlink()
    with pytest.raises(CgroupOSError, match="MemTotal|meminfo|capacity") as caught:
        capacity(252, host=v2)
    assert type(caught.value) is CgroupOSError
    real = capacities._field
    monkeypatch.setattr(capacities, "_field", lambda host, path, key: real(host, path.replace("meminfo", "none"), key))
    found = capacity()
    assert 0 < found.memory <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_capacity_capture_with_only_its_own_process_is_read(v2: Host, v2_root: Path, job: Cgroup) -> None:
    """``self`` and no ``thread-self``."""
    put(v2_root / "sys/fs/cgroup", {"cpuset.cpus.effective": "0-3", "job/a/cpuset.cpus.effective": "0-3"})
    put(v2_root, {"proc/self/cgroup": "0::/job/a", "proc/self/status": "Cpus_allowed_list:\t2"})
    assert capacity(host=v2)[::2] == (100 * MIB, (2,))
    put(v2_root, {"proc/thread-self/cgroup": "0::/", "proc/thread-self/status": "Cpus_allowed_list:\t3"})
    assert capacity(host=v2)[::2] == (1 << 30, (3,))


def test_capacity_without_online_cpus_uses_the_process_mask(v2: Host, v2_root: Path, job: Cgroup) -> None:
    (v2_root / "sys/devices/system/cpu/online").unlink()
    for name in ("job/a/cpuset.cpus.effective", "job/cpuset.cpus.effective"):
        (v2_root / "sys/fs/cgroup" / name).unlink(missing_ok=True)
    put(v2_root, {"proc/252/status": "Cpus_allowed_list:\t1"})
    assert str(capacity(252, host=v2).sources["cpuset"]) == "Cpus_allowed_list of the process"


def test_capacity_own_path_not_below_the_mount_is_what_its_root_says(v2: Host, v2_root: Path, job: Cgroup) -> None:
    """As in a nested container, whose /proc tells a path of the outer one: the process's own limit is unknown."""
    put(v2_root, {"proc/252/cgroup": "0::/docker/1f2e/inner"})
    found = capacity(252, host=v2)
    assert (found.memory, found.cpus, found.cpuset) == (1 << 30, 2, (0, 1))
    assert found.sources["memory"].hidden
    assert found.sources["cpus"].hidden
    put(v2_root / "sys/fs/cgroup", {"memory.max": 64 * MIB, "cpu.max": "150000 100000"})
    found = capacity(252, host=v2)
    assert (found.memory, found.cpus) == (64 * MIB, 1.5)
    assert found.sources["memory"] == capacities.LimitSource("memory.max", v2.find_exn(":/"), hidden=True)


def test_capacity_of_a_removed_cgroup_is_not_its_roots(v2: Host, v2_root: Path, job: Cgroup) -> None:
    put(v2_root, {"proc/252/cgroup": "0::/docker (deleted)"})
    with pytest.raises(CgroupGone):
        capacity(252, host=v2)
