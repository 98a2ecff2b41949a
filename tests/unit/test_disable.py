"""Controllers that are taken back when a cgroup is removed: which, when, and what another program does meanwhile."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cgroups import Cgroup
from cgroups.control import create, enabling
from cgroups.control.disable import take_back


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> dict[int, frozenset[str]]:
    """The attributes of directories, by inode: file systems of captured trees need not have any."""
    kept: dict[int, frozenset[str]] = {}
    monkeypatch.setattr(enabling, "_read", lambda fd: kept.get(os.fstat(fd).st_ino, frozenset()))
    monkeypatch.setattr(enabling, "_write", lambda fd, names: kept.update({os.fstat(fd).st_ino: frozenset(names)}))
    return kept


class Above:
    """The captured /job/a as the cgroup above a removed one."""

    def __init__(self, recorded: Any, enabled: str) -> None:
        self.recorded = recorded
        self.removed = recorded.cgroup.child("gone")
        recorded.put("cgroup.subtree_control", f"{enabled}\n")
        self.directory = Path(recorded.directory)

    def take_back(self) -> list[tuple[str, str]]:
        take_back([self.removed])
        return [text for name, text in self.recorded.writes if name == "cgroup.subtree_control"]


@pytest.fixture
def above(recorded_v2: Any, notes: Any) -> Callable[[str], Above]:
    return lambda enabled: Above(recorded_v2, enabled)


def test_take_back_disables_only_what_this_package_enabled(above: Callable[[str], Above], notes: Any) -> None:
    one = above("cpu memory pids")
    enabling.remember(one.recorded.cgroup, "memory")
    enabling.remember(one.recorded.cgroup, "pids")
    enabling.remember(one.recorded.cgroup, "io")  # somebody has disabled it since
    assert enabling.remembered(one.recorded.cgroup) == {"io", "memory", "pids"}
    assert one.take_back() == ["-memory", "-pids"]
    assert enabling.remembered(one.recorded.cgroup) == frozenset()


def test_take_back_without_notes_disables_nothing(above: Callable[[str], Above]) -> None:
    assert above("cpu memory").take_back() == []


def test_take_back_leaves_a_cgroup_that_has_children(above: Callable[[str], Above]) -> None:
    one = above("memory")
    enabling.remember(one.recorded.cgroup, "memory")
    (one.directory / "child").mkdir()
    try:
        assert one.take_back() == []
        assert enabling.remembered(one.recorded.cgroup) == {"memory"}
    finally:
        (one.directory / "child").rmdir()


def test_take_back_enables_again_for_a_child_that_came_meanwhile(above: Callable[[str], Above]) -> None:
    one = above("memory")
    enabling.remember(one.recorded.cgroup, "memory")
    one.recorded.when("cgroup.subtree_control", "-memory", (one.directory / "child").mkdir)
    try:
        assert one.take_back() == ["-memory", "+memory"]
        assert enabling.remembered(one.recorded.cgroup) == {"memory"}
    finally:
        (one.directory / "child").rmdir()


def test_take_back_refused_by_the_kernel_is_no_error(above: Callable[[str], Above]) -> None:
    one = above("memory")
    enabling.remember(one.recorded.cgroup, "memory")
    one.recorded.refuse("cgroup.subtree_control", "-memory", errno.EBUSY)
    assert one.take_back() == ["-memory"]
    assert enabling.remembered(one.recorded.cgroup) == {"memory"}


def test_take_back_on_v1_does_nothing(recorded_v1: Any, notes: Any) -> None:
    recorded = recorded_v1("memory")
    take_back([recorded.cgroup.child("gone")])
    assert recorded.writes == []


def test_enable_is_noted_and_undone(recorded_v2: Any, notes: Any) -> None:
    recorded_v2.put("cgroup.subtree_control", "\n")
    recorded_v2.put("cgroup.procs", "")
    cgroup: Cgroup = recorded_v2.cgroup
    enabled: list[tuple[Cgroup, str]] = []
    create.enable(cgroup, "pids", cgroup.child("x"), enabled)
    assert enabling.remembered(cgroup) == {"pids"}
    create._undo((), enabled)
    assert enabling.remembered(cgroup) == frozenset()
    assert [text for _, text in recorded_v2.writes] == ["+pids", "-pids"]


def test_create_enables_again_what_was_taken_back_before_the_directory_was_made(
    recorded_v2: Any, notes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded_v2.put("cgroup.subtree_control", "pids\n")
    recorded_v2.put("cgroup.procs", "")
    made = create._make_directory

    def make(cgroup: Cgroup, perm: int, done: list[None]) -> bool:
        recorded_v2.put("cgroup.subtree_control", "\n")
        return made(cgroup, perm, done)

    monkeypatch.setattr(create, "_make_directory", make)
    try:
        create.create(recorded_v2.cgroup, ["new"], ["pids"], create.permissions_of({}), exist_ok=False)
        assert ("cgroup.subtree_control", "+pids") in recorded_v2.writes
    finally:
        (recorded_v2.directory / "new").rmdir()


def test_notes_are_an_attribute_of_the_directory(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        try:
            os.setxattr(fd, enabling.ATTRIBUTE, b"memory ../x pids")
        except OSError:
            pytest.skip("this file system has no user attributes")
        assert enabling._read(fd) == {"memory", "pids"}
        enabling._write(fd, {"io", "cpu"})
        assert os.getxattr(fd, enabling.ATTRIBUTE) == b"cpu io"
        enabling._write(fd, ())
        assert enabling.ATTRIBUTE not in os.listxattr(fd)
        os.setxattr(fd, enabling.ATTRIBUTE, b"x" * 2000)
        assert enabling._read(fd) == frozenset()
    finally:
        os.close(fd)
