"""freeze, thaw, signal, kill, wait_empty, move_all and remove, on whatever hierarchies there are."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from common import BOMB, SLOW, MakeCgroup, Need, Spawn, codes, fill, needs, path_of, sub

from cgroups import (
    AccessDenied,
    Cgroup,
    CgroupBusy,
    CgroupError,
    CgroupGone,
    CgroupTimeout,
    Freezer,
    Group,
    Hierarchy,
    InvalidValue,
    Parameters,
    Pids,
    Popen,
    Subsystem,
    SubsystemNotAttached,
)
from cgroups.control import freeze, kill

IGNORING = ["sh", "-c", "trap '' TERM INT HUP; echo ready; while true; do sleep 1000; done"]


@pytest.fixture
def freezable(make_cgroup: MakeCgroup, spawn: Spawn) -> Iterator[Cgroup]:
    """One that is thawed before its processes are waited for."""
    cgroup = make_cgroup("freezer" if Subsystem.find("freezer").version == 1 else "")
    yield cgroup
    for one in cgroup.walk():
        with suppress(CgroupError):
            one.thaw()


# ---- freeze and thaw -------------------------------------------------------------------------


def ticks(pid: int) -> int:
    """The CPU time of a process."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_freeze_stops_processes_and_thaw_resumes_them(freezable: Cgroup, spawn: Spawn) -> None:
    child = spawn("sh", "-c", "while true; do :; done")
    below = sub(freezable, "below")
    below.add_process(child.pid)
    for _ in range(3):
        freezable.freeze()
        assert Parameters.get(Freezer.state, freezable) == Parameters.get(Freezer.state, below) == "FROZEN"
        before = ticks(child.pid)
        time.sleep(0.05 * SLOW)
        assert ticks(child.pid) == before
        freezable.freeze()  # as it is
        freezable.thaw()
        assert Parameters.get(Freezer.state, below) == "THAWED"
        freezable.thaw()
    deadline = time.monotonic() + 10 * SLOW
    while ticks(child.pid) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ticks(child.pid) > before


def test_freeze_empty_cgroup_stops_new_processes(freezable: Cgroup, spawn: Spawn) -> None:
    freezable.freeze()
    child = spawn("sh", "-c", "while true; do :; done")
    freezable.add_process(child.pid)
    freezable.freeze()
    before = ticks(child.pid)
    time.sleep(0.05 * SLOW)
    assert ticks(child.pid) == before
    freezable.thaw()


def test_freeze_forking_process_stops_with_its_children(freezable: Cgroup) -> None:
    with Popen(["sh", "-c", "while true; do (true); done"], cgroup=freezable) as process:
        for _ in range(10):
            freezable.freeze(30 * SLOW)
            assert freezable.processes() == freezable.processes()
            freezable.thaw(30 * SLOW)
        freezable.kill(30 * SLOW)
    assert process.returncode == -signal.SIGKILL


def test_thawed_below_a_frozen_one(freezable: Cgroup, spawn: Spawn) -> None:
    below = sub(freezable, "below")
    fill(below, spawn)
    freezable.freeze()
    with pytest.raises(CgroupBusy, match="is frozen") as raised:
        below.thaw()
    assert raised.value.hint == f"thaw {freezable} first: Cgroup.thaw"
    below.freeze()
    freezable.thaw()
    assert Parameters.get(Freezer.state, below) == "FROZEN"
    below.thaw()


def test_freeze_timeout_thaws_again(freezable: Cgroup, spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    [child] = fill(freezable, spawn)
    monkeypatch.setattr(freeze, "freezes", lambda _: False)
    began = time.monotonic()
    with pytest.raises(CgroupTimeout, match=r"timed out after 0\.2 s"):
        freezable.freeze(0.2)
    assert 0.2 <= time.monotonic() - began < 5 * SLOW
    assert Parameters.get(Freezer.state, freezable) == "THAWED"
    monkeypatch.undo()
    # One that was frozen before stays so.
    freezable.freeze()
    monkeypatch.setattr(freeze, "freezes", lambda _: False)
    with pytest.raises(CgroupTimeout):
        freezable.freeze(0)
    monkeypatch.undo()
    assert Parameters.get(Freezer.state, freezable) == "FROZEN"
    assert child.poll() is None


def test_freeze_hierarchy_without_the_freezer_raises(make_cgroup: MakeCgroup) -> None:
    heads = [one.spec_head for one in Hierarchy.scan() if one.version == 1 and not one.has("freezer")]
    if not heads:
        pytest.skip("no hierarchy of v1 without the freezer is mounted here")
    cgroup = make_cgroup(heads[0])
    for act in (cgroup.freeze, cgroup.thaw):
        with pytest.raises(SubsystemNotAttached) as raised:
            act()
        assert f"freezer:{cgroup.location}" in str(raised.value.hint)


def test_freeze_and_kill_root_and_own_are_refused(freezable: Cgroup, run_script: Callable[..., str]) -> None:
    root = freezable.hierarchy.root()
    for act in (root.freeze, root.thaw, root.kill):
        with pytest.raises(InvalidValue):
            act()
    run_script(
        """
        import signal
        cgroup = Hierarchy.find_exn(sys.argv[1])
        below = cgroup.make_sub("below")
        below.add_process(os.getpid())
        for one in (cgroup, below):
            for act in (one.freeze, one.kill, lambda one=one: one.remove(kill=True, recursive=True)):
                error = raises(InvalidValue, act)
                assert f"this process is in {below}" in str(error), error
        assert Parameters.get(Freezer.state, cgroup) == "THAWED"
        """,
        str(freezable),
    )


# ---- signal ------------------------------------------------------------------------------------


def test_signal_reaches_each_process_once(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    cgroup = make_cgroup(head)
    below = sub(cgroup, "below")
    above, under = fill(cgroup, spawn, 2), fill(below, spawn, 2)
    assert cgroup.signal(signal.SIGUSR1, recursive=False) == 2
    assert codes(above) == [-signal.SIGUSR1] * 2
    assert [child.poll() for child in under] == [None, None]
    assert cgroup.signal(signal.SIGUSR2) == 2
    assert codes(under) == [-signal.SIGUSR2] * 2
    assert cgroup.signal(signal.SIGTERM) == 0
    below.remove(timeout=5)
    assert below.signal(signal.SIGTERM) == 0  # gone: nobody is there


@pytest.mark.anywhere
@pytest.mark.parametrize("number", [0, -1, 65, 2.0, "TERM", None, True])
def test_signal_invalid_number_is_refused(make_cgroup: MakeCgroup, head: str, spawn: Spawn, number: Any) -> None:
    cgroup = make_cgroup(head)
    [child] = fill(cgroup, spawn)
    with pytest.raises(InvalidValue, match="signal"):
        cgroup.signal(number)
    assert child.poll() is None


@pytest.mark.anywhere
def test_many_processes(make_cgroup: MakeCgroup, head: str, open_descriptors: Callable[[], int]) -> None:
    cgroup = make_cgroup(head)
    count = 600 if SLOW == 1 else 300
    with Popen(["sh", "-c", f"for i in $(seq {count}); do sleep 1000 & done; wait"], cgroup=cgroup) as process:
        while len(cgroup.processes()) < count + 1:
            time.sleep(0.01)
        before = open_descriptors()
        assert cgroup.signal(signal.SIGCONT) == count + 1
        assert cgroup.kill(60) == count + 1
        assert open_descriptors() <= before + 1  # cgroup.events stays open
    assert process.returncode == -signal.SIGKILL


def test_a_number_is_never_another_process_s(
    make_cgroup: MakeCgroup, head: str, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that left the cgroup between the listing and the signal is not signalled."""
    cgroup = make_cgroup(head)
    stays, leaves = fill(cgroup, spawn, 2)
    held = os.pidfd_open

    def leave_first(pid: int) -> int:
        if leaves.pid in cgroup.processes():
            cgroup.parent.add_process(leaves.pid)  # type: ignore[union-attr]
        return held(pid)

    monkeypatch.setattr(os, "pidfd_open", leave_first)
    assert cgroup.signal(signal.SIGTERM) == 1
    assert stays.wait(30) == -signal.SIGTERM
    assert leaves.poll() is None


# ---- kill -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("way")
def test_kill_ends_all(make_cgroup: MakeCgroup, every_head: str, make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready(every_head)
    assert cgroup.kill() == 0
    children = fill(cgroup, spawn, 3)
    assert cgroup.kill() == 3
    assert codes(children) == [-signal.SIGKILL] * 3
    assert cgroup.processes() == []
    assert cgroup.kill() == 0
    assert cgroup.exists


def test_kill_timeout_0_makes_one_round(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    cgroup, other = make_cgroup(head), make_cgroup(head)
    [child] = fill(cgroup, spawn)
    with suppress(CgroupTimeout):
        cgroup.kill(0)
    assert child.wait(30) == -signal.SIGKILL
    fill(cgroup, spawn, 2)
    assert cgroup.move_all(other, 0) == 2
    threading.Timer(0.2, other.kill).start()
    other.wait_empty(1e9)  # more milliseconds than poll(2) takes


@pytest.mark.usefixtures("way")
def test_kill_stubborn_processes_are_ended(make_cgroup: MakeCgroup, head: str) -> None:
    """Processes that ignore signals, have stopped, are traced, or are orphans."""
    cgroup = make_cgroup(head)
    ignoring = Popen(IGNORING, cgroup=cgroup, stdout=subprocess.PIPE)
    stopped = Popen(["sh", "-c", "kill -STOP $$; sleep 1000"], cgroup=cgroup)
    orphan = Popen(["sh", "-c", "sleep 1000 & exit"], cgroup=cgroup)
    with ignoring, stopped, orphan:
        assert ignoring.stdout is not None
        ignoring.stdout.readline()
        orphan.wait()
        os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
        assert cgroup.kill(30 * SLOW) in (3, 4)  # one of them has a sleeper of its own
        assert cgroup.processes() == []


@pytest.mark.usefixtures("way")
def test_kill_frozen_processes_are_ended(freezable: Cgroup, spawn: Spawn) -> None:
    below = sub(freezable, "below")
    children = fill(freezable, spawn) + fill(below, spawn)
    below.freeze()
    freezable.freeze()
    assert freezable.kill(30 * SLOW) == 2
    assert codes(children) == [-signal.SIGKILL] * 2


def test_kill_below_a_frozen_v1_cgroup_names_it(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    if Subsystem.find("freezer").version != 1:
        pytest.skip("the freezer is not on v1")
    above = make_cgroup("freezer")
    below = sub(above, "below")
    [child] = fill(below, spawn)
    above.freeze()
    with pytest.raises(CgroupTimeout, match="is frozen: thaw it") as raised:
        below.kill(0.3)
    assert str(above) in str(raised.value)
    above.thaw()
    assert child.wait(30) == -signal.SIGKILL


@pytest.mark.usefixtures("way")
def test_kill_deep_tree_is_ended(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    cgroup = make_cgroup(head)
    children = []
    at = cgroup
    for number in range(20):
        at = sub(at, f"level{number}")
        children += fill(at, spawn)
    assert cgroup.kill(30 * SLOW) == 20
    assert codes(children) == [-signal.SIGKILL] * 20
    cgroup.remove(recursive=True, timeout=5)
    assert not cgroup.exists


@pytest.mark.usefixtures("way")
def test_kill_removed_cgroup_is_0(make_cgroup: MakeCgroup, every_head: str) -> None:
    cgroup = make_cgroup(every_head).make_sub("gone")
    cgroup.remove()
    assert cgroup.kill() == 0
    cgroup.wait_empty(0)
    cgroup.remove(kill=True)
    with pytest.raises(CgroupGone):
        cgroup.remove()


@pytest.mark.usefixtures("way")
def test_kill_threaded_cgroup_ends_its_processes(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    """The processes that have a thread there are ended, by themselves or with the domain."""
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted here")
    domain = make_cgroup("")
    inner, other = sub(domain, "inner"), sub(domain, "other")
    for one in (inner, other):
        path_of(one, "cgroup.type").write_text("threaded")
    children = fill(domain, spawn, 3)
    inner.add_thread(children[0].pid)
    other.add_thread(children[1].pid)
    assert inner.signal(signal.SIGCONT) == 1
    assert inner.kill(30 * SLOW) == 1
    assert children[0].wait(30) == -signal.SIGKILL
    assert [child.poll() for child in children[1:]] == [None, None]
    assert domain.kill(30 * SLOW) == 2
    assert codes(children[1:]) == [-signal.SIGKILL] * 2


@pytest.fixture
def churn() -> Iterator[Callable[[Cgroup], None]]:
    """Cgroups that come and go below one, with processes in them."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def work(cgroup: Cgroup) -> None:
        number = 0
        while not over.is_set():
            number += 1
            with suppress(CgroupError, OSError):
                one = sub(cgroup, f"n{number % 5}")
                with Popen(["true"], cgroup=one):
                    pass
            with suppress(CgroupError):
                cgroup.child(f"n{(number + 2) % 5}").remove()

    def start(cgroup: Cgroup) -> None:
        threads.append(threading.Thread(target=work, args=(cgroup,)))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("way")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_cgroups_that_come_and_go_meanwhile(
    make_cgroup: MakeCgroup, head: str, churn: Callable[[Cgroup], None], spawn: Spawn
) -> None:
    cgroup = make_cgroup(head)
    churn(cgroup)
    for _ in range(20 if SLOW == 1 else 4):
        [child] = fill(cgroup, spawn)
        cgroup.signal(signal.SIGCONT)
        with suppress(CgroupTimeout):  # the churn puts new ones in all the time
            cgroup.kill(0.5 * SLOW)
        assert child.wait(30) == -signal.SIGKILL


def has(controller: str) -> bool:
    return Subsystem.find(controller).available


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("others", [["freezer"], []], ids=["freezer", "no freezer"])
def test_kill_fork_bomb_is_ended(need: Need, others: list[str], make_cgroup: MakeCgroup) -> None:
    """Under pids.max it is ended, and its cgroup removed, with at most two seconds of the caller's CPU time.

    A bomb takes most of the processors, so the elapsed time depends on what else runs on the machine.
    """
    need("pids")
    cgroups = [make_cgroup(name) for name in ("pids", *others)]
    group = Group.of(dict.fromkeys(cgroups if len({one.hierarchy for one in cgroups}) > 1 else cgroups[:1]))
    Parameters.set(Pids.max, group.cgroup_of("pids"), 200 if SLOW == 1 else 40)
    with group.spawn([sys.executable, "-S", "-E", "-c", BOMB], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 20 * SLOW
        wanted = Parameters.get(Pids.max, group.cgroup_of("pids"))
        while group.get(Pids.current) < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        began = time.process_time()
        group.remove(kill=True, timeout=30 * SLOW)
        took = time.process_time() - began
    assert process.returncode == -signal.SIGKILL
    assert not any(one.exists for one in group)
    assert took < 2 * SLOW


def test_processes_that_have_no_number_here(
    make_cgroup: MakeCgroup, run_script: Callable[..., str], spawn: Spawn
) -> None:
    """Processes of another pid namespace: v2 lists them as 0, and pid 0 is never signalled."""
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted here")
    cgroup = make_cgroup("")
    [child] = fill(cgroup, spawn)
    text = """
    import signal
    from cgroups.control import kill
    cgroup = Hierarchy.find_exn(sys.argv[1])
    assert cgroup.processes() == [], cgroup.processes()
    sent = []
    os.kill = signal.pidfd_send_signal = lambda *what: sent.append(what)
    error = raises(AccessDenied, cgroup.signal, 15)
    assert "outside this pid namespace" in str(error), error
    own, kill.kill_at_once = kill.kill_at_once, lambda _: False
    error = raises(AccessDenied, cgroup.kill, 1)
    assert "outside this pid namespace" in str(error), error
    raises(CgroupTimeout, cgroup.wait_empty, 0.1)
    assert sent == [], sent
    kill.kill_at_once = own
    if os.path.exists(f"{cgroup.path}/cgroup.kill"):
        cgroup.kill(30)
    assert sent == [], sent
    """
    run_script(text, str(cgroup), prefix=("unshare", "--pid", "--fork", "--mount-proc"))
    if os.path.exists(path_of(cgroup, "cgroup.kill")):
        assert child.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_kill_without_pidfds_ends_all(
    make_cgroup: MakeCgroup, head: str, spawn: Spawn, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    monkeypatch.setattr(kill, "kill_at_once", lambda _: False)
    cgroup = make_cgroup(head)
    children = fill(cgroup, spawn, 2)
    assert cgroup.signal(signal.SIGUSR1) == 2
    assert codes(children) == [-signal.SIGUSR1] * 2
    children = fill(cgroup, spawn, 2)
    assert cgroup.kill() == 2
    assert codes(children) == [-signal.SIGKILL] * 2
    [child] = fill(cgroup, spawn)
    threading.Timer(0.2, child.kill).start()
    cgroup.wait_empty(30)
    assert child.wait() == -signal.SIGKILL


# ---- wait_empty --------------------------------------------------------------------------------------


def test_wait_empty_waits_for_the_last(
    make_cgroup: MakeCgroup, every_head: str, make_ready: MakeCgroup, spawn: Spawn
) -> None:
    cgroup = make_ready(every_head)
    cgroup.wait_empty(0)
    first, last = fill(cgroup, spawn, 2)
    with pytest.raises(CgroupTimeout, match="did not become empty"):
        cgroup.wait_empty(0.1)
    first.kill()
    timer = threading.Timer(0.3, last.kill)
    timer.start()
    began = time.monotonic()
    cgroup.wait_empty(30)
    assert 0.1 < time.monotonic() - began < 20
    assert last.wait(30) == -signal.SIGKILL
    timer.join()


def test_wait_empty_moved_process_is_not_waited_for(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    cgroup = make_cgroup(head)
    other = make_cgroup(head)
    [child] = fill(cgroup, spawn)
    timer = threading.Timer(0.2, other.add_process, [child.pid])
    timer.start()
    cgroup.wait_empty(30)
    timer.join()
    assert other.processes() == [child.pid]


def test_wait_empty_sleeps(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    """The wait is by an event, or by the exits of processes, without polling."""
    cgroup = make_cgroup(head)
    [child] = fill(cgroup, spawn)
    switches: list[int] = []

    def wait() -> None:
        def count() -> int:
            with open("/proc/thread-self/status") as file:
                return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)

        before = count()
        cgroup.wait_empty(60)
        switches.append(count() - before)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(2.5)
    child.kill()
    child.wait()
    thread.join(30)
    # v1 looks once a second, since what is moved away does not end.
    assert switches
    assert switches[0] <= 60 * SLOW


@pytest.mark.anywhere
@pytest.mark.parametrize("timeout", [-1, "1", float("nan"), True])
def test_wait_empty_invalid_timeout_is_refused(make_cgroup: MakeCgroup, head: str, timeout: Any) -> None:
    cgroup = make_cgroup(head)
    for act in (cgroup.kill, cgroup.wait_empty, lambda timeout: cgroup.remove(timeout=timeout)):
        with pytest.raises(InvalidValue, match="timeout"):
            act(timeout)
    assert cgroup.exists


# ---- remove ---------------------------------------------------------------------------------------------


def test_remove_busy_cgroup_removes_nothing(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    cgroup = make_cgroup(head)
    below = sub(cgroup, "below")
    empty = sub(cgroup, "empty")
    [child] = fill(below, spawn)
    for keywords in ({"recursive": True}, {"recursive": True, "timeout": 0.1}, {}, {"timeout": 0.1}):
        with pytest.raises(CgroupBusy):
            cgroup.remove(**keywords)
    assert empty.exists
    assert child.poll() is None


def test_remove_timeout_waits_until_empty(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    cgroup = make_cgroup(head)
    children = fill(sub(cgroup, "below"), spawn, 2)
    timers = [threading.Timer(0.1 * number, child.kill) for number, child in enumerate(children, 1)]
    for timer in timers:
        timer.start()
    cgroup.remove(recursive=True, timeout=30)
    assert not cgroup.exists
    for timer in timers:
        timer.join()


@pytest.mark.usefixtures("way")
def test_ended_and_removed(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    cgroup = make_cgroup(head)
    children = fill(cgroup, spawn) + fill(sub(cgroup, "below"), spawn)
    with pytest.raises(CgroupBusy, match="cgroups below: 1"):
        cgroup.remove(kill=True)
    assert [child.poll() for child in children] == [None, None]
    cgroup.remove(recursive=True, kill=True)
    assert codes(children) == [-signal.SIGKILL] * 2
    assert not cgroup.exists


# ---- move_all ---------------------------------------------------------------------------------------------


def test_move_all_moves_all(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    cgroup, other = make_cgroup(head), make_cgroup(head)
    children = fill(cgroup, spawn, 3)
    below = sub(cgroup, "below")
    [stays] = fill(below, spawn)
    assert cgroup.move_all(cgroup) == 0
    assert cgroup.move_all(other) == 3
    assert other.processes() == sorted(child.pid for child in children)
    assert below.processes() == [stays.pid]
    assert cgroup.move_all(other) == 0
    with pytest.raises(CgroupGone):
        cgroup.child("gone").move_all(other)
    with pytest.raises(CgroupGone):
        other.move_all(cgroup.child("gone"))
    assert len(other.processes()) == 3


def test_move_all_new_processes_are_moved_too(make_cgroup: MakeCgroup, head: str) -> None:
    cgroup, other = make_cgroup(head), make_cgroup(head)
    with Popen(["sh", "-c", "while true; do (true); done"], cgroup=cgroup) as process:
        for _ in range(10):
            assert cgroup.move_all(other, 30 * SLOW) >= 1
            assert cgroup.processes() == []
            assert other.move_all(cgroup, 30 * SLOW) >= 1
        process.kill()


def test_move_all_to_another_hierarchy_is_refused(make_cgroup: MakeCgroup) -> None:
    heads = [one.spec_head for one in Hierarchy.scan()]
    if len(heads) < 2:
        pytest.skip("only one hierarchy is mounted here")
    one, other = make_cgroup(heads[0]), make_cgroup(heads[1])
    with pytest.raises(InvalidValue, match="two hierarchies"):
        one.move_all(other)


# ---- elsewhere -----------------------------------------------------------------------------------------------


@pytest.mark.anywhere
def test_lifecycle_captured_tree_is_refused(fixtures: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Its numbers are of processes of another machine."""
    from cgroups import Host

    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "cg" / "job").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("30 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n")
    for name in ("cgroup.procs", "cgroup.kill", "cgroup.freeze"):
        (tmp_path / "cg/job" / name).write_text(f"{os.getpid()}\n" if name == "cgroup.procs" else "0\n")
    (tmp_path / "cg/job/cgroup.events").write_text("populated 1\nfrozen 0\n")
    (tmp_path / "cg/cgroup.controllers").write_text("\n")
    cgroup = Host(str(tmp_path)).find_exn(":/job")
    acts = (cgroup.kill, cgroup.freeze, cgroup.thaw, cgroup.wait_empty, cgroup.remove)
    for act in (*acts, lambda: cgroup.signal(15), lambda: cgroup.move_all(cgroup)):
        with pytest.raises(AccessDenied, match="not on a cgroup file system"):
            act()
    assert (tmp_path / "cg/job/cgroup.kill").read_text() == "0\n"


@needs("native", "strace")
def test_wait_empty_v2_event_takes_one_call(make_cgroup: MakeCgroup, spawn: Spawn, script: Any) -> None:
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted here")
    cgroup = make_cgroup("")
    [child] = fill(cgroup, spawn)
    text = """
    cgroup = Hierarchy.find_exn(sys.argv[1])
    print("ready", flush=True)
    os.getppid()
    cgroup.wait_empty()
    os.getppid()
    """
    command = ["strace", "-f", "-e", "trace=poll,ppoll,pread64,nanosleep,clock_nanosleep,getppid"]
    waiting = spawn(*command, *script(text, str(cgroup)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert waiting.stdout is not None
    waiting.stdout.readline()
    time.sleep(1)
    child.kill()
    _, traced = waiting.communicate(timeout=60)
    between = traced.decode().split("getppid()")[1]
    assert "sleep" not in between
    assert between.count("poll(") == 1, between


def test_the_seed_s_names(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    cgroup, other = make_cgroup(head), make_cgroup(head)
    [child] = fill(cgroup, spawn)
    assert Hierarchy.move_all(cgroup, other) == 1
    assert Hierarchy.signal(other, signal.SIGCONT) == 1
    if other.version == 2:
        Hierarchy.freeze(other)
        Hierarchy.thaw(other)
    assert Hierarchy.kill(other) == 1
    Hierarchy.wait_empty(other, 10)
    assert child.wait(30) == -signal.SIGKILL
    Hierarchy.remove(other, recursive=True, kill=True, timeout=5)
    assert not other.exists
