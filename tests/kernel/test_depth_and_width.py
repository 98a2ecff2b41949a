"""Subtrees that another user has made very deep, very wide, or makes larger all the time."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from common import SLOW, MakeCgroup, Spawn

from cgroups import Cgroup, CgroupBusy, CgroupError, CgroupTimeout, Hierarchy
from cgroups.control import kill
from cgroups.core import descent

NAME = "n" * 250
LEVELS = 40
"""Over 8,000 bytes of path."""


def nest(top: Cgroup, levels: int, name: str = NAME) -> int:
    """Make cgroups each in the other; the descriptor of the lowest."""
    fd = os.open(str(top.path), os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    return fd


def put(fd: int, pid: int) -> None:
    procs = os.open("cgroup.procs", os.O_WRONLY, dir_fd=fd)
    os.write(procs, str(pid).encode())
    os.close(procs)


@pytest.fixture
def deep(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> tuple[Cgroup, "subprocess.Popen[bytes]"]:
    """A cgroup, and a process in the lowest of those below it."""
    top = make_cgroup(head)
    child = spawn("sleep", "1000")
    fd = nest(top, LEVELS)
    put(fd, child.pid)
    os.close(fd)
    return top, child


Deep = tuple[Cgroup, "subprocess.Popen[bytes]"]


def test_walk_past_path_max_reaches_the_bottom(deep: Deep) -> None:
    top, child = deep
    found = list(top.walk())
    assert [len(one.location) - len(top.location) for one in found] == [251 * level for level in range(LEVELS + 1)]
    assert top.descendants() == found[1:]
    bottom = found[-1]
    assert bottom.exists
    assert bottom.processes() == [child.pid]
    assert bottom.parent == found[-2]
    assert bottom.children() == []


@pytest.mark.usefixtures("way")
def test_kill_past_path_max_ends_the_process(deep: Deep) -> None:
    top, child = deep
    assert top.kill(30) == 1
    assert child.wait(30) == -signal.SIGKILL
    top.wait_empty(30)
    top.remove(recursive=True, timeout=30)
    assert not top.exists


def test_signal_and_wait_empty_past_path_max_see_the_process(deep: Deep) -> None:
    top, child = deep
    with pytest.raises(CgroupTimeout):
        top.wait_empty(0.1)
    assert top.signal(signal.SIGTERM) == 1
    assert child.wait(30) == -signal.SIGTERM
    top.wait_empty(30)


def test_remove_past_path_max_kills_and_removes_all(deep: Deep) -> None:
    top, child = deep
    with pytest.raises(CgroupError, match="processes in "):
        top.remove(recursive=True)
    top.remove(recursive=True, kill=True, timeout=30)
    assert child.wait(30) == -signal.SIGKILL
    assert not top.exists


def test_move_all_past_path_max_moves_there_and_back(deep: Deep) -> None:
    top, child = deep
    bottom = top.descendants()[-1]
    assert bottom.move_all(top) == 1
    assert top.processes() == [child.pid]
    assert top.move_all(bottom) == 1
    assert bottom.processes() == [child.pid]


def test_freeze_past_path_max_stops_the_process(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    top = make_cgroup("freezer")
    child = spawn("sleep", "1000")
    fd = nest(top, LEVELS)
    put(fd, child.pid)
    os.close(fd)
    top.freeze(30)
    bottom = top.descendants()[-1]
    bottom.parent.freeze(30)  # what is frozen by itself is no obstacle to its end
    top.thaw(30)
    assert top.kill(30) == 1
    assert child.wait(30) == -signal.SIGKILL


def test_descend_deeper_than_any_stack_keeps_few_descriptors(
    make_cgroup: MakeCgroup, head: str, open_descriptors: Callable[[], int]
) -> None:
    levels = 1500 if SLOW == 1 else 300
    top = make_cgroup(head)
    os.close(nest(top, levels, "d"))
    before = open_descriptors()
    most = 0
    for number, _ in enumerate(top.walk()):
        if number % 100 == 0:
            most = max(most, len(os.listdir("/proc/self/fd")))
    assert number == levels
    assert most <= before + descent.MAX_OPEN + 3
    assert open_descriptors() == before
    top.remove(recursive=True, timeout=60)
    assert not top.exists
    assert open_descriptors() <= before + 1  # v2's cgroup.events of the top is kept open


def test_walk_with_few_descriptors_visits_all(deep: Deep, run_script: Callable[..., str]) -> None:
    top, child = deep
    run_script(
        """
        import resource, signal
        from cgroups.control import kill
        top = Hierarchy.find_exn(sys.argv[1])
        assert len(top.descendants()) == 40
        top.signal(signal.SIGCONT)
        left = len(os.listdir("/proc/self/fd")) + 5
        resource.setrlimit(resource.RLIMIT_NOFILE, (left, left))
        assert len(top.descendants()) == 40
        kill.kill_at_once = lambda _: False
        assert top.kill(20) == 1
        top.remove(recursive=True, timeout=20)
        assert not top.exists
        """,
        str(top),
    )
    assert child.wait(30) == -signal.SIGKILL


def test_walk_rename_meanwhile_stays_inside(make_cgroup: MakeCgroup) -> None:
    """v1 renames a cgroup within the one above it: what is below is still reached, and nothing else."""
    v1 = [one.spec_head for one in Hierarchy.scan() if one.version == 1 and one.subsystems]
    if not v1:
        pytest.skip("no hierarchy of v1 is mounted")
    top = make_cgroup(v1[0])
    os.close(nest(top, 30, "d"))
    walk = top.walk()
    first = [next(walk) for _ in range(20)]
    above = str(first[5].path)
    os.rename(above, above + "x")  # its directory is closed by now
    assert len(first) + len(list(walk)) == 31
    assert all(one.location.startswith(top.location) for one in first)
    top.remove(recursive=True)


# ---- width -------------------------------------------------------------------------------------


@pytest.fixture
def wide(make_cgroup: MakeCgroup, head: str) -> Iterator[Cgroup]:
    top = make_cgroup(head)
    fd = os.open(str(top.path), os.O_RDONLY)
    for number in range(10_000 if SLOW == 1 else 1000):
        os.mkdir(str(number), dir_fd=fd)
    yield top
    for name in os.listdir(fd):
        if name.isdigit():
            os.rmdir(name, dir_fd=fd)
    os.close(fd)


Act = Callable[[Cgroup, float], object]

ACTS: dict[str, Act] = {
    "kill": lambda top, timeout: top.kill(timeout),
    "signal": lambda top, timeout: top.signal(signal.SIGCONT, timeout=timeout),
    "wait_empty": lambda top, timeout: top.wait_empty(timeout),
    "remove": lambda top, timeout: top.remove(recursive=True, timeout=timeout),
    "remove and kill": lambda top, timeout: top.remove(recursive=True, kill=True, timeout=timeout),
}


@pytest.mark.usefixtures("way")
def test_bounded_calls_of_ten_thousand_cgroups_keep_their_time(wide: Cgroup, spawn: Spawn) -> None:
    child = spawn("sleep", "1000")
    wide.child("9").add_process(child.pid)
    for name, act in ACTS.items():
        began = time.monotonic()
        # Only a removal may see the process before its time is over.
        with suppress(CgroupBusy if name == "remove" else CgroupTimeout, CgroupTimeout):
            act(wide, 0.1)
        assert time.monotonic() - began < 1.1 * SLOW, name
    wide.kill(60 * SLOW)
    assert child.wait(30) == -signal.SIGKILL


def test_listing_of_one_wide_directory_keeps_the_deadline(wide: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first cgroup below is visited; the error is of the call, not of the directory."""
    looks: list[None] = []

    def check() -> None:
        looks.append(None)
        if len(looks) > 2:
            raise CgroupTimeout("the call")

    monkeypatch.setattr(descent, "LISTED_AT_ONCE", 1)
    with pytest.raises(CgroupTimeout, match="^the call$"):
        list(descent.descend(wide, check))


def test_remove_timed_out_goes_on_when_called_again(wide: Cgroup) -> None:
    """Removing may take longer than looking whether all are empty: a part is then gone, and the next call has less."""
    for _ in range(100):
        try:
            wide.remove(recursive=True, timeout=1 * SLOW)
        except CgroupTimeout as error:
            assert f"timed out after {SLOW} s" in str(error)
            continue
        break
    assert not wide.exists
    os.mkdir(str(wide.path))


MAKER = """
import os, sys, time
os.chdir(sys.argv[1]); end = time.time() + 20; n = 0
print("ready", flush=True)
while time.time() < end and n < 20000: os.mkdir(str(n)); n += 1
"""


@pytest.mark.usefixtures("way")
def test_kill_ends_in_time_while_cgroups_are_made(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    top = make_cgroup(head)
    below = top.make_sub("zz")
    child = spawn("sleep", "1000")
    top.make_sub("a").add_process(child.pid)
    maker = spawn(sys.executable, "-c", MAKER, str(below.path), stdout=subprocess.PIPE)
    assert maker.stdout is not None
    maker.stdout.readline()
    time.sleep(0.2)
    began = time.monotonic()
    with suppress(CgroupTimeout):
        top.kill(0.5)
    took = time.monotonic() - began
    maker.kill()
    maker.wait()
    assert took < 1.5 * SLOW
    assert child.wait(30) == -signal.SIGKILL


# ---- errors that pass --------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_remove_after_a_passing_error_is_tried_again(
    make_cgroup: MakeCgroup, head: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    top = make_cgroup(head)
    top.make_sub("below")
    rmdir, failures = os.rmdir, [number, number]

    def fail(*words: object, **keywords: object) -> None:
        if failures:
            reason = failures.pop()
            raise OSError(reason, os.strerror(reason))
        rmdir(*words, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rmdir", fail)
    top.remove(recursive=True)
    assert failures == []
    assert not top.exists


def test_remove_with_a_lasting_error_tells_the_first(
    make_cgroup: MakeCgroup, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = make_cgroup(head)
    numbers = [errno.EIO, *[errno.EMFILE] * 10]

    def fail(*_: object, **__: object) -> None:
        number = numbers.pop(0)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rmdir", fail)
    with pytest.raises(CgroupError) as raised:
        top.remove()
    assert raised.value.errno == errno.EIO
    assert len(numbers) == 6
    monkeypatch.undo()


# ---- processes that read as 0 ------------------------------------------------------------------


def test_processes_that_read_as_0_for_a_moment_are_looked_for_again(
    make_cgroup: MakeCgroup, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is exiting: not one of another pid namespace."""
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted")
    from cgroups.control import processes

    top, other = make_cgroup(""), make_cgroup("")
    child = spawn("sleep", "1000")
    top.add_process(child.pid)
    read, zeros = descent.Visit.read, [b"0\n"] * 3

    def dying(self: descent.Visit, name: str) -> bytes:
        return (zeros.pop() if zeros and name == "cgroup.procs" else b"") + read(self, name)

    monkeypatch.setattr(processes, "INITIAL_PID_NAMESPACE", 0)
    monkeypatch.setattr(kill, "kill_at_once", lambda _: False)
    monkeypatch.setattr(descent.Visit, "read", dying)
    assert top.signal(signal.SIGCONT) == 1
    assert not zeros
    zeros[:] = [b"0\n"] * 3
    assert top.move_all(other) == 1
    zeros[:] = [b"0\n"] * 3
    assert other.kill(30) == 1
    assert child.wait(30) == -signal.SIGKILL


def test_process_that_is_counted_but_not_listed_keeps_its_cgroup_busy(
    make_cgroup: MakeCgroup, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux 6.19 leaves a process that is exiting out of cgroup.procs, and still counts it in cgroup.events."""
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted")
    top = make_cgroup("")
    child = spawn("sleep", "1000")
    top.add_process(child.pid)
    read = descent.Visit.read
    monkeypatch.setattr(descent.Visit, "read", lambda self, name: b"" if name == "cgroup.procs" else read(self, name))
    with pytest.raises(CgroupTimeout):
        top.wait_empty(0.1)
    with pytest.raises(CgroupError) as raised:
        top.remove(recursive=True, timeout=0.1)
    assert raised.value.errno == errno.EBUSY
    child.kill()
    child.wait()
    top.remove(recursive=True, timeout=30)
    assert not top.exists


# ---- many processes in one cgroup ---------------------------------------------------------------


def test_calls_of_one_crowded_cgroup_keep_their_time(
    make_cgroup: MakeCgroup, head: str, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline is looked at for each process too: here each takes as long as hundreds."""
    from cgroups.control import processes

    top, other = make_cgroup(head), make_cgroup(head)
    children = [spawn("sleep", "1000") for _ in range(60)]
    for child in children:
        top.add_process(child.pid)
    send, add = processes.send_signal, Cgroup.add_process

    def slowly(act: Callable[..., None]) -> Callable[..., None]:
        def slow(*words: object) -> None:
            time.sleep(0.1)
            act(*words)

        return slow

    monkeypatch.setattr(kill, "kill_at_once", lambda _: False)
    monkeypatch.setattr(processes, "send_signal", slowly(send))
    monkeypatch.setattr(Cgroup, "add_process", slowly(add))
    for act in (
        lambda: top.signal(signal.SIGCONT, timeout=0.2),
        lambda: top.move_all(other, 0.2),
        lambda: top.kill(0.2),
    ):
        began = time.monotonic()
        with pytest.raises(CgroupTimeout):
            act()
        assert time.monotonic() - began < 1.2 * SLOW


# ---- numbers that go to another process ---------------------------------------------------------


@pytest.mark.parametrize("name", ["signal", "kill", "move_all"])
def test_process_that_was_given_the_number_of_another_is_left_alone(
    make_cgroup: MakeCgroup, head: str, run_script: Callable[..., str], name: str
) -> None:
    """Between the listing and the pidfd a process ends, and one outside gets its number: in a new pid namespace."""
    if not os.path.exists("/proc/sys/kernel/ns_last_pid"):
        pytest.skip("this kernel does not let a test choose the next process id")
    top, other = make_cgroup(head), make_cgroup(head)
    run_script(
        """
        import signal, subprocess
        from cgroups.control import kill
        top, other = map(Hierarchy.find_exn, sys.argv[1:3])
        start = lambda: subprocess.Popen(["sleep", "1000"])
        victim, outside, hold = start(), [], os.pidfd_open
        top.add_process(victim.pid)

        def late(pid, *words):
            if pid == victim.pid and not outside:
                victim.kill()
                victim.wait()
                with open("/proc/sys/kernel/ns_last_pid", "w") as file:
                    file.write(str(pid - 1))
                outside.append(start())
            return hold(pid, *words)

        os.pidfd_open = late
        kill.kill_at_once = lambda _: False
        acts = {
            "signal": lambda: top.signal(signal.SIGTERM),
            "kill": top.kill,
            "move_all": lambda: top.move_all(other),
        }
        acts[sys.argv[3]]()
        [child] = outside
        assert child.pid == victim.pid
        time.sleep(0.1)
        assert child.poll() is None
        assert other.processes() == []
        child.kill()
        """,
        *(str(top), str(other), name),
        prefix=("unshare", "--pid", "--fork", "--mount-proc"),
    )
