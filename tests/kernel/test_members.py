"""Killing and waiting on v1 where a visit of the subtree misses processes, as it may while cgroups are renamed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from common import MakeCgroup, Spawn
from conftest import usable

from cgroups import CgroupTimeout, Subsystem
from cgroups.control import members, processes


def of_v1(test: Callable[..., None]) -> Any:
    """A test that exists only where pids is on v1."""
    return test if usable("pids") and Subsystem.find("pids").version == 1 else None


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A visit that finds nothing."""

    def descend(*_: Any, **__: Any) -> Iterator[Any]:
        return iter(())

    monkeypatch.setattr(processes, "descend", descend)


@of_v1
@pytest.mark.usefixtures("blind")
def test_kill_of_v1_kills_what_a_visit_misses(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    top, beside = make_cgroup("pids"), make_cgroup("pids")
    inside, outside = spawn("sleep", "600"), spawn("sleep", "600")
    top.make_sub("a").add_process(inside.pid)
    beside.add_process(outside.pid)
    assert top.kill() == 1
    assert inside.wait(10) == -signal.SIGKILL
    assert outside.poll() is None


@of_v1
@pytest.mark.usefixtures("blind")
def test_wait_empty_of_v1_sees_what_a_visit_misses(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    top = make_cgroup("pids")
    child = spawn("sleep", "600")
    top.add_process(child.pid)
    with pytest.raises(CgroupTimeout):
        top.wait_empty(0.2)
    child.kill()
    child.wait()
    top.wait_empty(10)


@of_v1
def test_members_are_no_zombies_and_not_the_caller(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    top = make_cgroup("pids")
    child = spawn("sleep", "600")
    top.make_sub("a").add_process(child.pid)
    assert list(members.members([top], "cannot list", None)) == [child.pid]
    child.kill()
    while child.pid in members.members([top], "cannot list", None):
        pass
    assert child.returncode is None  # not reaped: a zombie
