"""Host over trees of plain directories: finding, walking, refusing to write, and tables of all kinds."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cgroups
from cgroups import (
    AccessDenied,
    Cgroup,
    CgroupNotFound,
    CgroupOSError,
    Cpu,
    Cpuset,
    Freezer,
    Hierarchy,
    Host,
    InvalidValue,
    Io,
    Memory,
    Parameters,
    ProcessNotFound,
    Subsystem,
)
from cgroups.core.node import PID_MAX

INNER = "/cgroups-capture/inner"


# ---- find, scan, walk ------------------------------------------------------------------------


def test_find_on_the_captured_hybrid_host(v1: Host, v1_root: Path) -> None:
    cgroup = v1.find_exn(f"memory:{INNER}")
    assert cgroup == v1.find(f"memory:{INNER}")
    assert cgroup.path == f"{v1_root}/sys/fs/cgroup/memory{INNER}"
    assert (cgroup.name, cgroup.location, cgroup.version, cgroup.is_root) == ("inner", INNER, 1, False)
    assert cgroup.subsystems == ("memory",)
    assert str(cgroup) == f"memory:{INNER}"
    assert v1.find_exn(str(cgroup)) == cgroup
    assert cgroup.inode == os.stat(cgroup.path).st_ino
    assert cgroup.exists
    parent = cgroup.parent
    assert parent is not None
    assert (parent.location, parent.parent, parent.is_root) == ("/cgroups-capture", cgroup.hierarchy.root(), False)
    assert cgroup.hierarchy.root().parent is None
    assert cgroup.hierarchy.root().name == ""


def test_specs_of_the_captured_hybrid_host(v1: Host) -> None:
    assert v1.find_exn("memory").is_root
    assert v1.find_exn("memory:").is_root
    assert v1.find_exn("memory:/") == v1.find_exn("memory")
    assert v1.find_exn(f"name=systemd:{INNER}").hierarchy.label == "systemd"
    assert v1.find_exn(f":{INNER}").version == 2
    # blkio and io are one controller; cpuacct is mounted, so it is not the unified hierarchy's.
    assert v1.find_exn(f"io:{INNER}") == v1.find_exn(f"blkio:{INNER}")
    assert v1.find_exn(f"cpuacct:{INNER}").version == 1
    # Not mounted on v1, and always there on v2.
    assert v1.find_exn(f"perf_event:{INNER}").version == 2


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("memory:/absent", "does not exist"),
        ("memory:/cgroups-capture/inner/absent/deep", "does not exist"),
        ("nothing:/a", "nothing"),
        ("hugetlb:/cgroups-capture", "hugetlb"),
        ("name=other:/", "name=other"),
        ("cpu,memory:/", "cpu"),
        ("memory:/cgroups-capture/tasks", "does not exist"),  # a control file is no cgroup
    ],
)
def test_find_missing_controller_has_a_reason(v1: Host, spec: str, reason: str) -> None:
    assert v1.find(spec) is None
    with pytest.raises(CgroupNotFound) as caught:
        v1.find_exn(spec)
    assert repr(spec) in str(caught.value)
    assert reason in (caught.value.hint or "")
    assert caught.value.hint in str(caught.value)


def test_find_on_the_captured_unified_host(v2: Host) -> None:
    job = v2.find_exn("memory:/job/a")
    assert job == v2.find_exn(":/job/a") == v2.find_exn("blkio:/job/a") == v2.find_exn("cpuacct:/job/a")
    assert job == v2.find_exn("cpu,cpuacct:/job/a") == v2.find_exn("memory,io,freezer:/job//a/")
    assert job.version == 2
    assert job.subsystems == ("cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc")
    assert str(job) == ":/job/a"
    assert v2.find("devices:/job/a") is None
    assert v2.find("name=systemd:/job") is None


def test_scan_lists_the_hierarchies(v1: Host, v2: Host) -> None:
    names = ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"]
    scanned = v1.scan()
    assert [one.subsystems for one in scanned[:8]] == [(name,) for name in names]
    assert [(one.version, one.label) for one in scanned[8:]] == [(1, "systemd"), (2, None)]
    assert scanned[3].mount_point == f"{v1.root}/sys/fs/cgroup/memory"
    assert [one.subsystems for one in v1.scan(["memory", "pids", "nothing"])] == [("memory",), ("pids",)]
    assert v1.scan(["io"]) == [scanned[6]]
    assert v1.scan([]) == []
    [unified] = v2.scan()
    assert unified.subsystems == ("cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc")
    assert v2.scan(["memory"]) == [unified] == v2.scan(["cpuacct"])
    with pytest.raises(InvalidValue):
        v1.scan("memory")
    assert scanned[3].equal(v1.scan(["memory"])[0])
    assert hash(scanned[3]) == hash(v1.scan(["memory"])[0])
    assert scanned[3] != scanned[4]
    assert unified != scanned[9]  # another host's


def test_children_and_walk_list_the_cgroups(v1: Host, v2: Host, v1_root: Path) -> None:
    for name in ("b", "a", "c"):
        (v1_root / "sys/fs/cgroup/memory/cgroups-capture" / name).mkdir()
    (v1_root / "sys/fs/cgroup/memory/cgroups-capture/b/below").mkdir()
    capture = v1.find_exn("memory:/cgroups-capture")
    assert [child.name for child in capture.children()] == ["a", "b", "c", "inner"]
    expected = ["/cgroups-capture", *(f"/cgroups-capture/{name}" for name in ("a", "b", "b/below", "c", "inner"))]
    assert [one.location for one in capture.walk()] == expected
    assert capture.descendants() == list(capture.walk())[1:]
    assert [one.location for one in v2.find_exn(":/").walk()] == ["/", "/job", "/job/a"]
    assert v2.find_exn(":/job/a").children() == []


def test_processes_of_a_captured_cgroup(v1_cgroup: Callable[[str], Cgroup], job: Cgroup) -> None:
    assert v1_cgroup("memory").processes() == [5447, 5490] == v1_cgroup("memory").threads()
    assert job.processes() == [252] == job.threads()
    parent = job.parent
    assert parent is not None
    assert parent.processes() == []


# ---- /proc/PID/cgroup -----------------------------------------------------------------------------


def test_process_info_of_the_captured_processes(
    v1: Host, v2: Host, v1_cgroup: Callable[[str], Cgroup], job: Cgroup
) -> None:
    names = ["name=systemd", "pids", "blkio", "freezer", "devices", "memory", "cpuset", "cpuacct", "cpu", ""]
    info = v1.process_info(5447)
    assert info == [v1_cgroup(name) for name in names]
    assert all(one.exists for one in info)
    assert v2.process_info(252) == [job]


def test_process_info_of_names_with_colons(v1: Host, v1_root: Path, write_cgroup: Any) -> None:
    (v1_root / "sys/fs/cgroup/memory/a:b::c").mkdir()
    (v1_root / "sys/fs/cgroup/unified/0::").mkdir()
    memory, unified = write_cgroup(v1, 9, "4:memory:/a:b::c\n0::/0::\n")
    assert (memory.location, unified.location) == ("/a:b::c", "/0::")
    assert memory.exists
    assert unified.exists
    assert memory == v1.find_exn("memory:/a:b::c")
    assert unified == v1.find_exn(":/0::")


def test_process_info_of_a_removed_cgroup(v1: Host, v1_root: Path, write_cgroup: Any) -> None:
    """A zombie's cgroup may be removed: the kernel marks it with a suffix, which a real name may also have."""
    [gone] = write_cgroup(v1, 9, "4:memory:/job (deleted)\n")
    assert gone.location == "/job"
    assert not gone.exists
    with pytest.raises(cgroups.CgroupGone):
        gone.processes()
    (v1_root / "sys/fs/cgroup/memory/job (deleted)").mkdir()
    [real] = write_cgroup(v1, 9, "4:memory:/job (deleted)\n")
    assert real.location == "/job (deleted)"
    assert real.exists


def test_process_info_outside_the_cgroup_namespace(v1: Host, write_cgroup: Any) -> None:
    [outside] = write_cgroup(v1, 9, "4:memory:/../../other\n")
    assert outside.path is None
    assert not outside.exists
    assert outside != v1.find_exn("memory")
    for use in (
        outside.processes,
        outside.children,
        lambda: outside.inode,
        lambda: Parameters.get(Memory.usage_in_bytes, outside),
        lambda: Parameters.set(Memory.limit_in_bytes, outside, 1 << 20),
        lambda: outside.add_process(1),
        lambda: outside.make_sub("a"),
        outside.remove,
    ):
        with pytest.raises(CgroupNotFound) as caught:
            use()
        assert "no mount of this namespace shows it" in str(caught.value)


def test_process_info_of_an_unmounted_hierarchy(v1: Host, write_cgroup: Any) -> None:
    infos = write_cgroup(v1, 9, "11:future:/a\n10:name=elogind:/1\n9:net_cls,net_prio:/b\n4:memory:/cgroups-capture\n")
    assert [str(one) for one in infos] == [
        "future:/a",
        "name=elogind:/1",
        "net_cls,net_prio:/b",
        "memory:/cgroups-capture",
    ]
    assert [one.path is None for one in infos] == [True, True, True, False]
    assert infos[2].hierarchy.subsystems == ("net_cls", "net_prio")
    assert infos[1].hierarchy.label == "elogind"


def test_process_info_of_broken_text(v1: Host, write_cgroup: Any) -> None:
    assert write_cgroup(v1, 9, "") == []
    assert [one.location for one in write_cgroup(v1, 9, "junk\n4:memory\n\n4:memory:/\udcff")] == ["/\udcff"]


def test_process_info_of_a_missing_process(v1: Host) -> None:
    with pytest.raises(ProcessNotFound) as caught:
        v1.process_info(77)
    assert "process 77" in str(caught.value)
    assert "ENOENT" in str(caught.value)


@pytest.mark.parametrize("pid", [0, -1, PID_MAX + 1, 1 << 70, True, "1", 1.0, None])
def test_process_info_of_an_invalid_pid(v1: Host, pid: Any) -> None:
    with pytest.raises(InvalidValue):
        v1.process_info(pid)


# ---- read-only --------------------------------------------------------------------------------------------


def test_changes_of_a_captured_tree_are_refused(
    v1: Host, v2: Host, job: Cgroup, tmp_path: Path, tree_of: Callable[[Path], dict[str, Any]]
) -> None:
    inner = v1.find_exn(f"memory:{INNER}")
    hybrid = v1.find_exn(f":{INNER}")
    before = tree_of(tmp_path)
    attempts: list[Callable[[], object]] = [
        lambda: v1.find_or_create(f"memory:{INNER}/new"),
        lambda: v2.find_or_create("memory:/job/new"),
        lambda: v2.find_or_create("memory,pids:/job/a/new/deep"),
        lambda: Parameters.set(Memory.limit_in_bytes, inner, 1 << 20),
        lambda: Parameters.set(Cpu.max, job, cgroups.CpuMax(10000)),
        lambda: Parameters.set(Io.max, job, {}),
        lambda: Parameters.set(Cpuset.cpus, job, []),
        lambda: Parameters.set(Freezer.state, hybrid, "FROZEN"),
        lambda: Parameters.set(cgroups.Core.kill, hybrid, True),
        lambda: Parameters.set(cgroups.Core.subtree_control, job, ["memory"]),
        lambda: Parameters.reset(Memory.max_usage_in_bytes, inner),
        lambda: Parameters.reset(Memory.force_empty, job),
    ]
    for cgroup in (inner, job, hybrid):
        attempts += [
            lambda cgroup=cgroup: cgroup.add_process(os.getpid()),
            lambda cgroup=cgroup: cgroup.add_thread(os.getpid()),
            lambda cgroup=cgroup: cgroup.make_sub("new"),
            lambda cgroup=cgroup: cgroup.make("new/deep"),
            cgroup.remove,
            lambda cgroup=cgroup: cgroup.remove(recursive=True),
        ]
    for attempt in attempts:
        with pytest.raises(AccessDenied) as caught:
            attempt()
        assert "read-only" in str(caught.value)
    assert tree_of(tmp_path) == before


def test_get_symbolic_links_are_not_followed(v1: Host, v1_root: Path, tmp_path: Path) -> None:
    """Whoever may write to the tree cannot make a reader look elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "memory.usage_in_bytes").write_text("666\n")
    (outside / "tasks").write_text("666\n")
    memory = v1_root / f"sys/fs/cgroup/memory{INNER}"
    (memory / "memory.usage_in_bytes").unlink()
    (memory / "memory.usage_in_bytes").symlink_to(outside / "memory.usage_in_bytes")
    (memory / "memory.limit_in_bytes").unlink()
    (memory / "memory.limit_in_bytes").symlink_to("memory.failcnt")
    (memory.parent / "link").symlink_to(outside)
    inner = v1.find_exn(f"memory:{INNER}")
    for parameter in (Memory.usage_in_bytes, Memory.limit_in_bytes):
        with pytest.raises(CgroupOSError) as caught:
            Parameters.get(parameter, inner)  # type: ignore[arg-type]
        assert "ELOOP" in str(caught.value)
    assert [child.name for child in v1.find_exn("memory:/cgroups-capture").children()] == ["inner"]
    for spec in ("memory:/cgroups-capture/link", "memory:/cgroups-capture/link/below"):
        with pytest.raises((CgroupNotFound, CgroupOSError)):
            v1.find_exn(spec)


def test_scan_mount_point_that_is_a_link_is_not_followed(tmp_path: Path, make_host: Any) -> None:
    """A mount point is resolved below the root, so a link in it must not lead out of it."""
    (tmp_path / "outside/a").mkdir(parents=True)
    host = make_host(tmp_path / "root", "/sys/fs/cgroup/memory / cgroup rw,memory")
    (tmp_path / "root/sys/fs/cgroup/memory").rmdir()
    (tmp_path / "root/sys/fs/cgroup/memory").symlink_to(tmp_path / "outside")
    try:
        found = host.find("memory:/a")
    except CgroupOSError:
        found = None
    assert found is None


# ---- copies -------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [lambda one: pickle.loads(pickle.dumps(one)), copy.copy, copy.deepcopy])
def test_host_and_cgroup_copied_to_another_process_are_equal(shared_v1: Host, duplicate: Callable[[Any], Any]) -> None:
    """Only the name is copied: the copy reads for itself, and its cgroup need not exist."""
    cgroup = shared_v1.find_exn(f"memory:{INNER}")
    hidden = [one for one in shared_v1.process_info(5447) if one.path is None]
    for one in (shared_v1, cgroup.hierarchy, cgroup, cgroup.child("gone"), *hidden):
        copied = duplicate(one)
        assert copied == one
        assert hash(copied) == hash(one)
    assert Parameters.get(Memory.usage_in_bytes, duplicate(cgroup)) == Parameters.get(Memory.usage_in_bytes, cgroup)
    assert duplicate(Hierarchy.scan()) == Hierarchy.scan()


def test_subsystem_find_on_another_host_is_its_own(shared_v1: Host, shared_v2: Host) -> None:
    assert Subsystem.find("memory", host=shared_v1).version == 1
    assert Subsystem.find("memory", host=shared_v2).version == 2
    assert not Subsystem.find("memory", host=shared_v2).hierarchy == Subsystem.find("memory", host=shared_v1).hierarchy
    assert {one.name for one in Subsystem.find_all(host=shared_v1) if one.version == 1} >= {"memory", "cpu", "pids"}
    assert {one.version for one in Subsystem.find_all(host=shared_v2) if one.available} == {2}
