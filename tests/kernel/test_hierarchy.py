"""Finding, creation, walking and removing cgroups, on every hierarchy that this host has."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from common import MakeCgroup

from cgroups import (
    Cgroup,
    CgroupExists,
    CgroupGone,
    CgroupNotFound,
    Core,
    Hierarchy,
    InvalidValue,
    Parameters,
    SubsystemNotAvailable,
)


def spec(head: str, cgroup: Cgroup, below: str = "") -> str:
    return f"{head}:{cgroup.location}{below}"


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


# ---- finding -----------------------------------------------------------------------


def test_find_and_what_a_cgroup_says(every_head: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(every_head)
    for found in (Hierarchy.find(spec(every_head, cgroup)), Hierarchy.find_exn(spec(every_head, cgroup))):
        assert found == cgroup
    assert cgroup.name == Hierarchy.name(cgroup) == Path(cgroup.location).name
    assert cgroup.path is not None
    assert Hierarchy.path(cgroup) == cgroup.path
    assert Path(cgroup.path).is_dir()
    assert cgroup.inode == os.stat(cgroup.path).st_ino
    assert cgroup.exists
    assert not cgroup.is_root
    assert not Hierarchy.is_root(cgroup)
    assert cgroup.parent == cgroup.hierarchy.root()
    assert cgroup.version == (2 if every_head == "" else 1)
    assert cgroup.subsystems == Hierarchy.subsys(cgroup)
    if cgroup.version == 2:
        assert list(cgroup.subsystems) == (Path(cgroup.path) / "cgroup.controllers").read_text().split()


def test_root(every_head: str) -> None:
    root = Hierarchy.find_exn(every_head or ":/")
    assert root == root.hierarchy.root() == Hierarchy.root(root.hierarchy)
    assert root.is_root
    assert root.parent is None
    assert root.path == root.hierarchy.mount_point
    assert root.hierarchy in Hierarchy.scan()
    assert Hierarchy.equal(root.hierarchy, Hierarchy.find_exn(every_head or ":/").hierarchy)
    with pytest.raises(InvalidValue, match="root"):
        root.remove()


def test_scan_by_subsystem(controller_here: str) -> None:
    if not controller_here:
        assert any(hierarchy.version == 2 for hierarchy in Hierarchy.scan())
        return
    [hierarchy] = Hierarchy.scan([controller_here])
    assert hierarchy == Hierarchy.find_exn(controller_here).hierarchy
    assert hierarchy.has(controller_here)


def test_scan_of_an_unknown_subsystem_is_empty() -> None:
    assert Hierarchy.scan(["nonesuch"]) == []
    assert len(Hierarchy.scan()) == len(set(Hierarchy.scan()))


def test_absence_is_none_or_an_error_with_the_reason(head: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(head)
    missing = spec(head, cgroup, "/missing")
    assert Hierarchy.find(missing) is None
    with pytest.raises(CgroupNotFound) as caught:
        Hierarchy.find_exn(missing)
    assert isinstance(caught.value, ValueError)
    assert f"{cgroup.path}/missing" in str(caught.value.hint)
    assert Hierarchy.find("nonesuch:/") is None
    with pytest.raises(CgroupNotFound, match="nonesuch"):
        Hierarchy.find_exn("nonesuch:/")
    with pytest.raises(SubsystemNotAvailable, match="nonesuch"):
        Hierarchy.find_or_create("nonesuch:/cgroups-test-never")
    # A control file is no cgroup.
    assert Hierarchy.find(spec(head, cgroup, "/cgroup.procs")) is None


def test_equality_hash_and_round_trip_through_str(every_head: str, make_cgroup: MakeCgroup) -> None:
    cgroup, other = make_cgroup(every_head), make_cgroup(every_head)
    again = Hierarchy.find_exn(str(cgroup))
    assert again == cgroup
    assert Hierarchy.cgroup_equal(again, cgroup)
    assert hash(again) == hash(cgroup)
    assert str(again) == str(cgroup)
    assert {cgroup: 1}[again] == 1
    assert cgroup != other
    assert cgroup.hierarchy == other.hierarchy
    for one in Hierarchy.scan():
        assert (one == cgroup.hierarchy) == (one.mount_point == cgroup.hierarchy.mount_point)


# ---- names ---------------------------------------------------------------------------

NAMES = {
    "colon": "a:b:c",
    "spaces": " a b ",
    "tab": "a\tb",
    "backslash": "a\\040b\\",
    "not-utf-8": os.fsdecode(b"a\xff\xfeb"),
    "non-ascii": "größe-尺寸",
    "deleted": "a (deleted)",
    "option-like": "-rf",
    "comma": "a,b=c",
    "long": "n" * 255,
    "long-bytes": "é" * 127,
    "dots": "...",
    "percent": "a%sb{}",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names(head: str, name: str, make_cgroup: MakeCgroup, spawn: Callable[..., object]) -> None:
    parent = make_cgroup(head)
    made = parent.make_sub(name)
    assert made.name == name
    assert os.path.isdir(os.fsencode(str(parent.path)) + b"/" + os.fsencode(name))
    assert parent.children() == [made]
    assert Hierarchy.find_exn(str(made)) == made
    assert Hierarchy.find_exn(f"{head}:{made.location}/") == made
    child = spawn("sleep", "60")
    made.add_process(child.pid)  # type: ignore[attr-defined]
    assert made.processes() == [child.pid]  # type: ignore[attr-defined]
    assert made in Hierarchy.process_info(child.pid)  # type: ignore[attr-defined]
    child.kill()  # type: ignore[attr-defined]
    child.wait()  # type: ignore[attr-defined]
    made.remove()
    assert not made.exists
    assert parent.children() == []


BAD_NAMES = ["", ".", "..", "a/b", "a\nb", "a\0b", "n" * 256, "é" * 128, "\ud800", None, 5, b"bytes"]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name)[:12])
def test_bad_names_make_nothing(head: str, name: object, make_cgroup: MakeCgroup) -> None:
    parent = make_cgroup(head)
    with pytest.raises(InvalidValue):
        parent.make_sub(name)  # type: ignore[arg-type]
    assert parent.children() == []


@pytest.mark.parametrize("path", ["/..", "/a/../b", "/./a", "/a\nb", "/a\0b", "/" + "n" * 256, "/a" * 2048])
def test_bad_specs_make_nothing(head: str, path: str, make_cgroup: MakeCgroup) -> None:
    parent = make_cgroup(head)
    for function in (Hierarchy.find, Hierarchy.find_exn, Hierarchy.find_or_create):
        with pytest.raises(InvalidValue):
            function(spec(head, parent, path))
    assert parent.children() == []


def test_the_name_of_a_control_file_is_taken(head: str, make_cgroup: MakeCgroup) -> None:
    parent = make_cgroup(head)
    with pytest.raises(CgroupExists, match="cgroup.procs"):
        parent.make_sub("cgroup.procs")


def test_find_symbolic_link_is_not_followed(head: str, make_cgroup: MakeCgroup, tmp_path: Path) -> None:
    # There can be none in a cgroup file system; but a mount point may be reached by one.
    cgroup = make_cgroup(head, "/inner")
    (tmp_path / "link").symlink_to(str(cgroup.path))
    assert Hierarchy.find(f"{head}:{tmp_path}/link") is None


# ---- making ----------------------------------------------------------------------------


def test_find_or_create_makes_what_is_missing_and_finds_what_is_there(every_head: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(every_head)
    made = Hierarchy.find_or_create(spec(every_head, top, "/a//b/c/"))
    assert made.location == f"{top.location}/a/b/c"
    inodes = [one.inode for one in top.walk()]
    assert Hierarchy.find_or_create(spec(every_head, top, "/a/b/c")) == made
    assert [one.inode for one in top.walk()] == inodes


def test_make_and_make_sub(head: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(head)
    assert Hierarchy.make_sub(top, "b").location == f"{top.location}/b"
    assert Hierarchy.make(top, "a/x/y").location == f"{top.location}/a/x/y"
    assert Hierarchy.make(top, "/a/x/z").parent == Hierarchy.find(spec(head, top, "/a/x"))
    for call in (lambda: top.make_sub("b"), lambda: top.make("a/x/y"), lambda: top.make("b/")):
        with pytest.raises(CgroupExists):
            call()
    for path in ("", "/", "a/../b"):
        with pytest.raises(InvalidValue):
            top.make(path)


def test_modes_are_as_given_whatever_the_umask(head: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(head)
    before = os.umask(0o077)
    try:
        plain = Hierarchy.find_or_create(spec(head, top, "/plain"))
        shared = Hierarchy.find_or_create(
            spec(head, top, "/way/shared"), perm=0o775, owner=(12345, 23456), file_perm=0o640, tasks_perm=0o660
        )
    finally:
        os.umask(before)
    assert mode(str(plain.path)) == 0o755
    for cgroup in (shared, shared.parent):
        assert cgroup is not None
        assert mode(str(cgroup.path)) == 0o775
        assert (os.stat(str(cgroup.path)).st_uid, os.stat(str(cgroup.path)).st_gid) == (12345, 23456)
        tasks = {"tasks", "cgroup.procs", "cgroup.threads"}
        for entry in Path(str(cgroup.path)).iterdir():
            if entry.is_file():
                assert mode(str(entry)) == (0o660 if entry.name in tasks else 0o640), entry
                assert (entry.stat().st_uid, entry.stat().st_gid) == (12345, 23456)
    # What was there before keeps its own.
    assert os.stat(str(top.path)).st_uid == 0
    assert mode(str(top.path)) == 0o755


def test_owner_by_name_and_errors_in_it(head: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(head)
    assert os.stat(str(top.make_sub("a", owner="root:0").path)).st_uid == 0
    assert os.stat(str(top.make_sub("b", owner="77:88").path)).st_gid == 88
    for owner in ("no-such-user", "root:no-such-group", (1,), (1, "x"), 5, (-5, 0), (1 << 32, 0)):
        with pytest.raises(InvalidValue):
            top.make_sub("c", owner=owner)  # type: ignore[arg-type]
    for keyword in ("perm", "file_perm", "tasks_perm"):
        for bad in (-1, 0o10000, "755", 7.5):
            with pytest.raises(InvalidValue):
                top.make_sub("c", **{keyword: bad})
    assert [child.name for child in top.children()] == ["a", "b"]


def test_concurrent_creators_of_one_path(head: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(head)
    barrier = threading.Barrier(8)
    found: list[Cgroup] = []
    errors: list[BaseException] = []

    def create() -> None:
        try:
            for turn in range(20):
                barrier.wait()
                found.append(Hierarchy.find_or_create(spec(head, top, f"/{turn}/a/b")))
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(found) == 160
    assert len({one.inode for one in found}) == 20


def test_concurrent_makers_and_removers_of_different_ones(head: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(head)
    errors: list[BaseException] = []

    def cycle(number: int) -> None:
        try:
            for _ in range(50):
                made = top.make(f"{number}/inner")
                assert made.parent is not None
                assert made.processes() == []
                made.parent.remove(recursive=True)
                assert not made.exists
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=cycle, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert top.children() == []


# ---- the tree ------------------------------------------------------------------------------


def test_children_walk_and_descendants(every_head: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(every_head)
    for path in ("b", "a/y", "a/x", "c/z/deep"):
        Hierarchy.find_or_create(spec(every_head, top, f"/{path}"))
    assert [child.name for child in Hierarchy.children(top)] == ["a", "b", "c"]
    below = [one.location.removeprefix(top.location) for one in Hierarchy.walk(top)]
    assert below == ["", "/a", "/a/x", "/a/y", "/b", "/c", "/c/z", "/c/z/deep"]
    assert Hierarchy.descendants(top) == list(top.walk())[1:]


def test_remove(every_head: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(every_head)
    inner = Hierarchy.find_or_create(spec(every_head, top, "/a/b"))
    middle = inner.parent
    assert middle is not None
    with pytest.raises(OSError, match="cgroups below: 1"):
        Hierarchy.remove(middle)
    assert inner.exists
    Hierarchy.remove(inner)
    with pytest.raises(CgroupGone):
        inner.remove()
    Hierarchy.find_or_create(spec(every_head, top, "/a/c/d"))
    Hierarchy.find_or_create(spec(every_head, top, "/a/e"))
    Hierarchy.remove(middle, recursive=True)
    assert not middle.exists
    assert top.children() == []


def test_get_removed_cgroup_is_gone(head: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(head)
    cgroup = top.make_sub("a")
    assert Parameters.get(Core.procs, cgroup) == []
    cgroup.remove()
    assert not cgroup.exists
    assert Hierarchy.find(str(cgroup)) is None
    assert cgroup.descendants() == []
    calls: list[Callable[[], object]] = [
        lambda: cgroup.inode,
        cgroup.children,
        cgroup.processes,
        cgroup.threads,
        cgroup.remove,
        lambda: cgroup.add_process(os.getpid()),
        lambda: cgroup.make_sub("b"),
        lambda: Parameters.get(Core.procs, cgroup),
    ]
    for call in calls:
        with pytest.raises(CgroupGone) as caught:
            call()
        assert isinstance(caught.value, FileNotFoundError)
        assert cgroup.name in str(caught.value)


def test_cgroup_created_again_has_another_inode(every_head: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(every_head)
    cgroup = Hierarchy.find_or_create(spec(every_head, top, "/a"))
    parameter, value = (Core.max_depth, 3) if cgroup.version == 2 else (Parameters.notify_on_release, True)
    default = Parameters.get(parameter, cgroup)  # kept open from now on
    for _ in range(5):
        before = cgroup.inode
        Parameters.set(parameter, cgroup, value)
        assert Parameters.get(parameter, cgroup) == value
        cgroup.remove()
        with pytest.raises(CgroupGone):
            Parameters.get(parameter, cgroup)
        Hierarchy.find_or_create(spec(every_head, top, "/a"))
        assert cgroup.exists
        assert cgroup.inode != before
        assert Parameters.get(parameter, cgroup) == default
