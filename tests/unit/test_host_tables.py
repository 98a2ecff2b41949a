"""Host over mount tables of all kinds: parts of hierarchies, several mounts, broken tables."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

import cgroups
from cgroups import (
    Cgroup,
    CgroupNotFound,
    CgroupOSError,
    Host,
    InvalidValue,
    Parameters,
    ParseError,
    Pids,
    SubsystemNotAvailable,
)

INNER = "/cgroups-capture/inner"


# ---- tables ---------------------------------------------------------------------------------------------------


def test_mounts_bind_mounted_subtree_is_found(tmp_path: Path, make_host: Any, write_cgroup: Any) -> None:
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
    assert "shows only /docker/1234" in str(caught.value)
    assert host.find("memory:/inner") is None
    mine, other = write_cgroup(host, 9, "4:memory:/docker/1234/inner\n4:memory:/user\n")
    assert (mine, mine.path) == (inner, inner.path)
    assert other.path is None


def test_mounts_mount_that_shows_the_root_wins(tmp_path: Path, make_host: Any) -> None:
    mounts = ("/bind /job cgroup rw,memory", "/cg / cgroup rw,memory", "/again / cgroup rw,memory")
    host = make_host(tmp_path / "root", *mounts, directories=("/cg/job", "/again/job", "/cg/b"))
    [memory] = host.scan()
    assert memory.mount_point == f"{host.root}/cg"
    assert [mount.path for mount in memory.mounts] == [f"{host.root}{point}" for point in ("/cg", "/again", "/bind")]
    assert host.find_exn("memory:/job").path == f"{host.root}/cg/job"


def test_mounts_several_partial_mounts_are_all_used(tmp_path: Path, make_host: Any) -> None:
    """Without a mount of the root, each location is opened by a mount that shows it."""
    host = make_host(
        tmp_path / "root", "/one /a cgroup rw,memory", "/two /b cgroup rw,memory", directories=("/one/x", "/two/y")
    )
    assert host.find_exn("memory:/a/x").path == f"{host.root}/one/x"
    assert host.find_exn("memory:/b/y").path == f"{host.root}/two/y"
    assert host.find_exn("memory:/b").path == f"{host.root}/two"
    assert host.find("memory:/c") is None


def test_mounts_root_above_the_cgroup_namespace_is_found(tmp_path: Path, make_host: Any, write_cgroup: Any) -> None:
    """``/../..``: the mount shows what is above this namespace's root."""
    host = make_host(tmp_path / "root", "/cg /../.. cgroup2 rw", directories=("/cg/user/me",))
    cgroup, inside = write_cgroup(host, 9, "0::/../../user/me\n0::/mine\n")
    assert cgroup.path == f"{host.root}/cg/user/me"
    assert cgroup.exists
    assert host.find_exn(":/user/me") == cgroup
    assert inside.path is None


def test_mounts_co_mounted_controllers_are_one_hierarchy(tmp_path: Path, make_host: Any, write_cgroup: Any) -> None:
    host = make_host(tmp_path / "root", "/cg / cgroup rw,cpu,cpuacct", directories=("/cg/a",))
    [both] = host.scan()
    assert both.subsystems == ("cpu", "cpuacct")
    specs = ("cpu:/a", "cpuacct:/a", "cpu,cpuacct:/a", "cpuacct,cpu:/a")
    assert {host.find_exn(spec) for spec in specs} == {Cgroup(both, "/a")}
    assert str(host.find_exn("cpuacct:/a")) == "cpu,cpuacct:/a"
    assert write_cgroup(host, 9, "4:cpu,cpuacct:/a\n") == [host.find_exn("cpu:/a")]
    assert write_cgroup(host, 9, "4:cpuacct,cpu:/a\n") == [host.find_exn("cpu:/a")]


def test_mounts_named_hierarchy_has_its_label(tmp_path: Path, make_host: Any) -> None:
    mount = "/cg / cgroup rw,xattr,release_agent=/sbin/agent,name=systemd"
    host = make_host(tmp_path / "root", mount, directories=("/cg/a",))
    [named] = host.scan()
    assert (named.version, named.label, named.subsystems) == (1, "systemd", ())
    assert host.find_exn("name=systemd:/a").path == f"{host.root}/cg/a"
    assert host.find("systemd:/a") is None
    assert host.find("rw:/") is None
    assert host.find("xattr:/") is None


def test_mounts_missing_directory_hides_its_mount(tmp_path: Path, make_host: Any) -> None:
    host = make_host(tmp_path / "root", "/gone / cgroup rw,memory", "/cg / cgroup rw,memory")
    (tmp_path / "root/gone").rmdir()
    [memory] = host.scan()
    assert memory.mount_point == f"{host.root}/cg"


def test_mounts_names_with_blanks_and_bytes_are_kept(tmp_path: Path, make_host: Any) -> None:
    directories = ("/c g/a b", "/c g/\udcff")
    host = make_host(tmp_path / "root", r"/c\040g / cgroup rw,memory", directories=directories)
    (tmp_path / r"root/c\040g").rmdir()
    assert [child.name for child in host.find_exn("memory").children()] == ["a b", "\udcff"]
    assert host.find_exn("memory:/\udcff").exists
    assert host.find_exn("memory:/a b").path == f"{host.root}/c g/a b"


def test_mounts_capture_without_root_files_is_found(v1: Host, v1_root: Path) -> None:
    """A capture may be of some cgroups only: an unnamed controller is absent, without an error."""
    (v1_root / "sys/fs/cgroup/unified/cgroup.controllers").unlink()
    assert v1.find("hugetlb:/cgroups-capture") is None
    assert v1.find_exn(f":{INNER}").exists


# ---- the table that cannot be read -------------------------------------------------------------------------------


def test_mount_table_missing_raises(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    with pytest.raises(CgroupOSError) as caught:
        Host(str(tmp_path)).find("memory:/a")
    assert caught.value.path == f"{tmp_path}/proc/self/mountinfo"
    assert "cannot read the mount table" in str(caught.value)
    assert "ENOENT" in str(caught.value)


def test_mount_table_broken_raises(tmp_path: Path, make_host: Any, write_cgroup: Any) -> None:
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


def test_mount_table_unreadable_raises(tmp_path: Path) -> None:
    """A directory in its place stands for what cannot be read, for root too."""
    (tmp_path / "proc/self/mountinfo").mkdir(parents=True)
    with pytest.raises(cgroups.CgroupError) as caught:
        Host(str(tmp_path)).scan()
    assert "cannot read the mount table" in str(caught.value)
    assert "EISDIR" in str(caught.value)


def test_mount_table_empty_has_no_hierarchies(tmp_path: Path, make_host: Any) -> None:
    host = make_host(tmp_path)
    assert host.scan() == []
    assert host.find("memory:/") is None
    with pytest.raises(CgroupNotFound):
        host.find_exn(":/a")
    with pytest.raises(SubsystemNotAvailable):
        host.find_or_create("memory:/a")


def test_mount_table_of_process_1_is_preferred(tmp_path: Path, make_host: Any) -> None:
    """On a real procfs ``self`` would be the reader."""
    make_host(tmp_path, "/cg / cgroup rw,memory", directories=("/cg/a",))
    (tmp_path / "proc/1").mkdir()
    shutil.copy(tmp_path / "proc/self/mountinfo", tmp_path / "proc/1/mountinfo")
    (tmp_path / "proc/self/mountinfo").write_text("")
    assert Host(str(tmp_path)).find_exn("memory:/a").exists


# ---- the object ----------------------------------------------------------------------------------------------------


def test_host_equality_is_by_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Host("a") == Host(str(tmp_path / "a")) == Host(f"{tmp_path}/a/") == Host(f"{tmp_path}/b/../a")
    assert hash(Host("a")) == hash(Host(f"{tmp_path}/a/"))
    assert Host("a") != Host("/")
    assert Host(tmp_path / "a") == Host("a")  # type: ignore[arg-type]
    assert "a" in repr(Host("a"))


@pytest.mark.parametrize("root", ["", "a\0b", b"/bytes", None, 5])
def test_host_invalid_root_is_refused(root: Any) -> None:
    with pytest.raises((InvalidValue, TypeError)):
        Host(root)


def test_cgroup_of_another_host_is_not_equal(v1_root: Path) -> None:
    one, same = Host(str(v1_root)), Host(str(v1_root))
    assert one.find_exn("memory:/cgroups-capture") == same.find_exn("memory:/cgroups-capture")
    assert one.find_exn("memory:/cgroups-capture") != one.find_exn("pids:/cgroups-capture")
    assert one.find_exn("memory:/") != Cgroup(same.scan(["pids"])[0], "/")


def test_cgroup_removed_and_created_again_is_not_equal(v1: Host, v1_root: Path) -> None:
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


def test_errors_of_a_cgroup_can_be_pickled(v1: Host) -> None:
    with pytest.raises(CgroupNotFound) as caught:
        v1.find_exn("memory:/absent")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.hint) == (str(caught.value), caught.value.hint)
