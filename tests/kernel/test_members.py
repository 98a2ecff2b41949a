"""Killing and waiting on v1 where a visit of the subtree misses processes, as it may while cgroups are renamed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from common import SLOW, MakeCgroup, Spawn, path_of
from conftest import usable

from cgroups import CgroupTimeout, Subsystem
from cgroups.control import members, processes
from cgroups.core.descent import descend


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
    assert members.members([top], "cannot list", None).pids == {child.pid}
    child.kill()
    while members.members([top], "cannot list", None).pids:
        pass
    assert child.returncode is None  # not reaped: a zombie


# A process whose first thread has exited reads as being in the root, and as a zombie.
LEADERLESS = """
import ctypes, threading, time
input()
threading.Thread(target=time.sleep, args=[600]).start()
print("ready", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""

THREADED = """
import sys, threading, time
def move():
    with open(sys.argv[1], "w") as file: file.write(str(threading.get_native_id()))
    print("ready", flush=True)
    time.sleep(600)
threading.Thread(target=move).start()
"""


@of_v1
def test_members_whose_first_thread_has_exited_are_found(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    top = make_cgroup("pids")
    child = spawn(sys.executable, "-c", LEADERLESS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    top.make_sub("a").add_process(child.pid)
    tell(child)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    while "State:\tZ" not in Path(f"/proc/{child.pid}/status").read_text():
        time.sleep(0.01)
    assert members.members([top], "cannot list", None).pids == {child.pid}
    with pytest.raises(CgroupTimeout):
        top.wait_empty(0)
    assert top.kill() == 1
    assert child.wait(10) == -signal.SIGKILL


@of_v1
@pytest.mark.usefixtures("blind")
def test_members_with_a_thread_inside_are_found_and_killed(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    top = make_cgroup("pids")
    child = spawn(sys.executable, "-c", THREADED, str(path_of(top, "tasks")), stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    assert members.members([top], "cannot list", None).pids == {child.pid}
    assert top.kill() == 1
    assert child.wait(10) == -signal.SIGKILL


@of_v1
def test_members_while_a_process_exits_are_not_whole(make_cgroup: MakeCgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    top = make_cgroup("pids")
    listing = os.listdir

    def with_one_more(path: str) -> list[str]:
        return [*listing(path), *(["4194304"] if path == "/proc" else [])]

    monkeypatch.setattr(os, "listdir", with_one_more)
    assert members.members([top], "cannot list", None) == (set(), False)


@of_v1
def test_descend_visits_what_is_renamed_before_it_is_opened(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("pids")
    for name in ("a", "b", "c", "d"):
        top.make_sub(name)
    path = str(top.path)
    inodes = [os.stat(f"{path}/{name}").st_ino for name in ("a", "b", "c", "d")]
    visited = []
    for node in descend(top):
        if node.name == "b":
            os.rename(f"{path}/c", f"{path}/0")  # the names before are behind
            os.rename(f"{path}/d", f"{path}/c")
        visited.append(os.fstat(node.fd).st_ino)
    assert sorted(visited[1:]) == sorted(inodes)


FORKS = """
import os
input()
for _ in range(10**6):
    if os.fork(): os._exit(0)
"""


@of_v1
@pytest.mark.parametrize("which", [head for head in ("freezer", "pids") if Subsystem.find(head).version == 1])
def test_kill_of_what_forks_and_exits_while_its_cgroup_is_renamed(
    which: str, make_cgroup: MakeCgroup, spawn: Spawn
) -> None:
    """A visit misses it for its cgroup, and a look at /proc for its number."""
    top = make_cgroup(which)
    path = str(top.path)
    over = threading.Event()

    def rename() -> None:
        while not over.is_set():
            for names in (("a", "x"), ("x", "a")):
                with suppress(OSError):
                    os.rename(*(f"{path}/{name}" for name in names))

    first = spawn(sys.executable, "-c", FORKS, stdin=subprocess.PIPE)
    top.make_sub("a").add_process(first.pid)
    thread = threading.Thread(target=rename)
    thread.start()
    try:
        tell(first)
        time.sleep(0.1)
        top.kill(60 * SLOW)
    finally:
        over.set()
        thread.join()
    assert [one.processes() for one in top.walk()] == [[], []]


def tell(child: "subprocess.Popen[bytes]") -> None:
    """Let a program that waits for a line continue."""
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.flush()
