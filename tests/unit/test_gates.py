"""A forked child that waits until it was moved: let go, refused, or left by a parent that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from cgroups import Host, SystemdError
from cgroups.control import placement
from cgroups.control.gate import Gate
from cgroups.control.placement import Wish


class Mover:
    """Moves nothing, and may fail."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.pids: list[int] = []
        self.error = error

    def __call__(self, pid: int) -> None:
        self.pids.append(pid)
        if self.error is not None:
            raise self.error


def child_of(gate: Gate) -> int:
    """Fork a child that waits at a gate; it exits with 0 if it is let go, else with 1."""
    pid = os.fork()
    if pid == 0:
        try:
            gate.wait()
            os._exit(0)
        except OSError:
            os._exit(1)
    return pid


def test_gate_lets_the_child_go_once_it_was_moved() -> None:
    mover = Mover()
    with Gate(mover) as gate:  # type: ignore[arg-type]
        pid = child_of(gate)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert mover.pids == [pid]
    assert gate.failed == []


def test_gate_refuses_the_child_that_could_not_be_moved() -> None:
    error = PermissionError("no")
    with Gate(Mover(error)) as gate:  # type: ignore[arg-type]
        pid = child_of(gate)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert gate.failed == [error]


def test_gate_without_a_child_leaves_no_thread_and_no_descriptor() -> None:
    with Gate(Mover()) as gate:  # type: ignore[arg-type]
        files = {fd: os.fstat(fd).st_ino for fd in (gate._pid, gate._pid_of_child, gate._open, gate._opener)}
    assert not gate._thread.is_alive()
    for fd, inode in files.items():
        try:
            assert os.fstat(fd).st_ino != inode
        except OSError:
            continue  # closed


PARENT = """
import os, sys, time
from cgroups.control.gate import Gate
gates = [Gate(lambda pid: time.sleep(1000)).__enter__() for _ in range(2)]
for gate in gates:
    pid = os.fork()
    if pid == 0:
        try:
            gate.wait()
        finally:
            os._exit(1)
    print(pid, flush=True)
time.sleep(1000)
"""


def test_gate_ends_children_whose_parent_is_killed() -> None:
    """Each has the other's end of the pipe."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd="/")
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while any(map(_is_running, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def no_manager(**_: Any) -> None:
    message = "no bus"
    raise SystemdError(message)


@pytest.mark.parametrize(
    ("manager", "marked", "only_one", "asked", "may"),
    [
        (False, False, True, False, True),  # no systemd: a container
        (True, True, True, False, True),  # Delegate=yes
        (True, False, True, False, False),  # any other unit, also one that the user owns
        (False, False, False, False, False),
        (True, True, False, False, False),
        (True, False, False, True, True),  # asked for
    ],
)
def test_room_is_made_only_where_the_cgroup_is_the_caller_s(
    manager: bool, marked: bool, only_one: bool, asked: bool, may: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own:
        path = location = "/own"
        name = "own"

        def processes(self) -> list[int]:
            return [os.getpid()] if only_one else [1, os.getpid()]

    monkeypatch.setattr("cgroups.core.systemd.is_manager", lambda: manager)
    monkeypatch.setattr("cgroups.core.systemd.is_delegated", lambda _: marked)
    monkeypatch.setattr("cgroups.control.placement.Manager", no_manager)
    own: Any = Own()
    assert placement._may_make_room(own, Wish(Host(), move_self=asked)) is may
