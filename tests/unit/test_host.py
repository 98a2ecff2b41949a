"""Host over trees of plain directories: finding, walking, refusing to write, and tables of all kinds."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cgroups
from cgroups import AccessDenied, Cgroup, CgroupNotFound, CgroupOSError, Host, InvalidValue, ParseError, ProcessNotFound
from cgroups import Cpu, Cpuset, Freezer, Io, Memory, Parameters, Pids, SubsystemNotAvailable
from cgroups.hierarchy import PID_MAX

INNER = "/cgroups-capture/inner"


def make_host(root: Path, *mounts: str, directories: tuple[str, ...] = ()) -> Host:
    """A tree with this mount table (``POINT ROOT TYPE OPTIONS`` each) and these directories."""
    (root / "proc/self").mkdir(parents=True)
    lines = []
    for number, mount in enumerate(mounts):
        point, part, kind, options = mount.split(" ")
        lines.append(f"{40 + number} 31 0:{40 + number} {part} {point} rw,nosuid - {kind} src {options}\n")
        (root / point.lstrip("/")).mkdir(parents=True, exist_ok=True)
    (root / "proc/self/mountinfo").write_text("".join(lines))
    for directory in directories:
        (root / directory.lstrip("/")).mkdir(parents=True)
    return Host(str(root))


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
        ("memory:/absent", "there is no directory"),
        ("memory:/cgroups-capture/inner/absent/deep", "there is no directory"),
        ("nothing:/a", "nothing"),
        ("hugetlb:/cgroups-capture", "hugetlb"),
        ("name=other:/", "name=other"),
        ("cpu,memory:/", "cpu"),
        ("memory:/cgroups-capture/tasks", "there is no directory"),  # a control file is no cgroup
    ],
)
def test_absence_has_a_reason(v1: Host, spec: str, reason: str) -> None:
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


def test_scan(v1: Host, v2: Host) -> None:
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


def test_children_and_walk(v1: Host, v2: Host, v1_root: Path) -> None:
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


def write_cgroup(host: Host, pid: int, text: str) -> list[Cgroup]:
    path = Path(host.root) / f"proc/{pid}"
    path.mkdir(exist_ok=True)
    (path / "cgroup").write_bytes(text.encode("utf-8", "surrogateescape"))
    return host.process_info(pid)


def test_process_info_of_the_captured_processes(
    v1: Host, v2: Host, v1_cgroup: Callable[[str], Cgroup], job: Cgroup
) -> None:
    names = ["name=systemd", "pids", "blkio", "freezer", "devices", "memory", "cpuset", "cpuacct", "cpu", ""]
    info = v1.process_info(5447)
    assert info == [v1_cgroup(name) for name in names]
    assert all(one.exists for one in info)
    assert v2.process_info(252) == [job]


def test_process_info_of_names_with_colons(v1: Host, v1_root: Path) -> None:
    (v1_root / "sys/fs/cgroup/memory/a:b::c").mkdir()
    (v1_root / "sys/fs/cgroup/unified/0::").mkdir()
    memory, unified = write_cgroup(v1, 9, "4:memory:/a:b::c\n0::/0::\n")
    assert (memory.location, unified.location) == ("/a:b::c", "/0::")
    assert memory.exists
    assert unified.exists
    assert memory == v1.find_exn("memory:/a:b::c")
    assert unified == v1.find_exn(":/0::")


def test_process_info_of_a_removed_cgroup(v1: Host, v1_root: Path) -> None:
    """A zombie's cgroup may be gone: the kernel says so, and it is no part of the name, unless it is."""
    [gone] = write_cgroup(v1, 9, "4:memory:/job (deleted)\n")
    assert gone.location == "/job"
    assert not gone.exists
    with pytest.raises(cgroups.CgroupGone):
        gone.processes()
    (v1_root / "sys/fs/cgroup/memory/job (deleted)").mkdir()
    [real] = write_cgroup(v1, 9, "4:memory:/job (deleted)\n")
    assert real.location == "/job (deleted)"
    assert real.exists


def test_process_info_outside_the_cgroup_namespace(v1: Host) -> None:
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


def test_process_info_of_what_is_not_mounted(v1: Host) -> None:
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


def test_process_info_of_broken_text(v1: Host) -> None:
    assert write_cgroup(v1, 9, "") == []
    assert [one.location for one in write_cgroup(v1, 9, "junk\n4:memory\n\n4:memory:/\udcff")] == ["/\udcff"]


def test_process_info_of_no_process(v1: Host) -> None:
    with pytest.raises(ProcessNotFound) as caught:
        v1.process_info(77)
    assert "process 77" in str(caught.value)
    assert "ENOENT" in str(caught.value)


@pytest.mark.parametrize("pid", [0, -1, PID_MAX + 1, 1 << 70, True, "1", 1.0, None])
def test_process_info_of_what_is_no_pid(v1: Host, pid: Any) -> None:
    with pytest.raises(InvalidValue):
        v1.process_info(pid)


# ---- read-only --------------------------------------------------------------------------------------------


def test_a_captured_tree_is_never_written_to(
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


def test_links_are_not_followed(v1: Host, v1_root: Path, tmp_path: Path) -> None:
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


def test_a_mount_point_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
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


# ---- tables ---------------------------------------------------------------------------------------------------


def test_a_bind_mounted_subtree(tmp_path: Path) -> None:
    """The root field says which part of the hierarchy a mount shows."""
    host = make_host(tmp_path / "root", "/cg /docker/1234 cgroup rw,memory", directories=("/cg/inner",))
    root = host.find_exn("memory")
    assert (root.location, root.path, root.is_root, root.parent) == ("/docker/1234", f"{host.root}/cg", True, None)
    inner = host.find_exn("memory:/docker/1234/inner")
    assert inner.path == f"{host.root}/cg/inner"
    assert inner.parent == root
    assert root.children() == [inner]
    with pytest.raises(CgroupNotFound) as caught:
        host.find_exn("memory:/docker/12345")
    assert "shows /docker/1234" in str(caught.value)
    assert host.find("memory:/inner") is None
    mine, other = write_cgroup(host, 9, "4:memory:/docker/1234/inner\n4:memory:/user\n")
    assert (mine, mine.path) == (inner, inner.path)
    assert other.path is None


def test_the_mount_that_shows_its_root_wins(tmp_path: Path) -> None:
    mounts = ("/bind /job cgroup rw,memory", "/cg / cgroup rw,memory", "/again / cgroup rw,memory")
    host = make_host(tmp_path / "root", *mounts, directories=("/cg/job", "/again/job", "/cg/b"))
    [memory] = host.scan()
    assert memory.mount_point == f"{host.root}/cg"
    assert [mount.path for mount in memory.mounts] == [f"{host.root}{point}" for point in ("/cg", "/again", "/bind")]
    assert host.find_exn("memory:/job").path == f"{host.root}/cg/job"


def test_several_mounts_of_parts(tmp_path: Path) -> None:
    """Without a mount of the root, each location is opened by a mount that shows it."""
    host = make_host(
        tmp_path / "root", "/one /a cgroup rw,memory", "/two /b cgroup rw,memory", directories=("/one/x", "/two/y")
    )
    assert host.find_exn("memory:/a/x").path == f"{host.root}/one/x"
    assert host.find_exn("memory:/b/y").path == f"{host.root}/two/y"
    assert host.find_exn("memory:/b").path == f"{host.root}/two"
    assert host.find("memory:/c") is None


def test_a_root_above_the_cgroup_namespace(tmp_path: Path) -> None:
    """``/../..``: the mount shows what is above this namespace's root."""
    host = make_host(tmp_path / "root", "/cg /../.. cgroup2 rw", directories=("/cg/user/me",))
    cgroup, inside = write_cgroup(host, 9, "0::/../../user/me\n0::/mine\n")
    assert cgroup.path == f"{host.root}/cg/user/me"
    assert cgroup.exists
    assert host.find_exn(":/user/me") == cgroup
    assert inside.path is None


def test_co_mounted_controllers(tmp_path: Path) -> None:
    host = make_host(tmp_path / "root", "/cg / cgroup rw,cpu,cpuacct", directories=("/cg/a",))
    [both] = host.scan()
    assert both.subsystems == ("cpu", "cpuacct")
    specs = ("cpu:/a", "cpuacct:/a", "cpu,cpuacct:/a", "cpuacct,cpu:/a")
    assert {host.find_exn(spec) for spec in specs} == {Cgroup(both, "/a")}
    assert str(host.find_exn("cpuacct:/a")) == "cpu,cpuacct:/a"
    assert write_cgroup(host, 9, "4:cpu,cpuacct:/a\n") == [host.find_exn("cpu:/a")]
    assert write_cgroup(host, 9, "4:cpuacct,cpu:/a\n") == [host.find_exn("cpu:/a")]


def test_a_named_hierarchy(tmp_path: Path) -> None:
    mount = "/cg / cgroup rw,xattr,release_agent=/sbin/agent,name=systemd"
    host = make_host(tmp_path / "root", mount, directories=("/cg/a",))
    [named] = host.scan()
    assert (named.version, named.label, named.subsystems) == (1, "systemd", ())
    assert host.find_exn("name=systemd:/a").path == f"{host.root}/cg/a"
    assert host.find("systemd:/a") is None
    assert host.find("rw:/") is None
    assert host.find("xattr:/") is None


def test_a_directory_that_is_missing_hides_its_mount(tmp_path: Path) -> None:
    host = make_host(tmp_path / "root", "/gone / cgroup rw,memory", "/cg / cgroup rw,memory")
    (tmp_path / "root/gone").rmdir()
    [memory] = host.scan()
    assert memory.mount_point == f"{host.root}/cg"


def test_names_with_blanks_and_bytes(tmp_path: Path) -> None:
    directories = ("/c g/a b", "/c g/\udcff")
    host = make_host(tmp_path / "root", r"/c\040g / cgroup rw,memory", directories=directories)
    (tmp_path / r"root/c\040g").rmdir()
    assert [child.name for child in host.find_exn("memory").children()] == ["a b", "\udcff"]
    assert host.find_exn("memory:/\udcff").exists
    assert host.find_exn("memory:/a b").path == f"{host.root}/c g/a b"


def test_a_capture_of_a_unified_hierarchy_without_its_root_s_files(v1: Host, v1_root: Path) -> None:
    """A capture may be of some cgroups only: a controller that nothing names is absent, and that is no error."""
    (v1_root / "sys/fs/cgroup/unified/cgroup.controllers").unlink()
    assert v1.find("hugetlb:/cgroups-capture") is None
    assert v1.find_exn(f":{INNER}").exists


# ---- the table that cannot be read -------------------------------------------------------------------------------


def test_a_missing_table_is_said(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    with pytest.raises(CgroupOSError) as caught:
        Host(str(tmp_path)).find("memory:/a")
    assert caught.value.path == f"{tmp_path}/proc/self/mountinfo"
    assert "cannot read the mount table" in str(caught.value)
    assert "ENOENT" in str(caught.value)


def test_a_broken_table_is_said(tmp_path: Path) -> None:
    host = make_host(tmp_path, "/cg / cgroup rw,memory")
    table = tmp_path / "proc/self/mountinfo"
    first = table.read_text()
    table.write_text(first + "torn line\n")
    for use in (lambda: host.find("memory:/"), host.scan, lambda: write_cgroup(host, 9, "1:memory:/\n")):
        with pytest.raises(ParseError) as caught:
            use()
        assert caught.value.path == str(table)
        assert f"offset {len(first)}" in str(caught.value)
        assert "torn line" in str(caught.value)


def test_an_unreadable_table_is_said(tmp_path: Path) -> None:
    """A directory in its place stands for what cannot be read, for root too."""
    (tmp_path / "proc/self/mountinfo").mkdir(parents=True)
    with pytest.raises(cgroups.CgroupError) as caught:
        Host(str(tmp_path)).scan()
    assert "cannot read the mount table" in str(caught.value)
    assert "EISDIR" in str(caught.value)


def test_an_empty_table_has_no_hierarchies(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    assert host.scan() == []
    assert host.find("memory:/") is None
    with pytest.raises(CgroupNotFound):
        host.find_exn(":/a")
    with pytest.raises(SubsystemNotAvailable):
        host.find_or_create("memory:/a")


def test_the_table_of_process_1_where_there_is_one(tmp_path: Path) -> None:
    """On a real procfs ``self`` would be the reader."""
    make_host(tmp_path, "/cg / cgroup rw,memory", directories=("/cg/a",))
    (tmp_path / "proc/1").mkdir()
    shutil.copy(tmp_path / "proc/self/mountinfo", tmp_path / "proc/1/mountinfo")
    (tmp_path / "proc/self/mountinfo").write_text("")
    assert Host(str(tmp_path)).find_exn("memory:/a").exists


# ---- the object ----------------------------------------------------------------------------------------------------


def test_hosts_by_their_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Host("a") == Host(str(tmp_path / "a")) == Host(f"{tmp_path}/a/") == Host(f"{tmp_path}/b/../a")
    assert hash(Host("a")) == hash(Host(f"{tmp_path}/a/"))
    assert Host("a") != Host("/")
    assert Host(tmp_path / "a") == Host("a")  # type: ignore[arg-type]
    assert "a" in repr(Host("a"))


@pytest.mark.parametrize("root", ["", "a\0b", b"/bytes", None, 5])
def test_roots_that_cannot_be(root: Any) -> None:
    with pytest.raises((InvalidValue, TypeError)):
        Host(root)


def test_a_cgroup_of_another_host_is_another(v1_root: Path) -> None:
    one, same = Host(str(v1_root)), Host(str(v1_root))
    assert one.find_exn("memory:/cgroups-capture") == same.find_exn("memory:/cgroups-capture")
    assert one.find_exn("memory:/cgroups-capture") != one.find_exn("pids:/cgroups-capture")
    assert one.find_exn("memory:/") != Cgroup(same.scan(["pids"])[0], "/")


def test_a_cgroup_removed_and_made_again(v1: Host, v1_root: Path) -> None:
    cgroup = v1.find_exn(f"pids:{INNER}")
    directory = v1_root / f"sys/fs/cgroup/pids{INNER}"
    assert Parameters.get(Pids.current, cgroup) == 2
    inode = cgroup.inode
    directory.rename(directory.parent / "kept")
    assert not cgroup.exists
    with pytest.raises(cgroups.CgroupGone):
        _ = cgroup.inode
    directory.mkdir()
    (directory / "pids.current").write_text("7\n")
    assert cgroup.inode != inode


def test_errors_of_a_cgroup_pickle(v1: Host) -> None:
    with pytest.raises(CgroupNotFound) as caught:
        v1.find_exn("memory:/absent")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.hint) == (str(caught.value), caught.value.hint)
