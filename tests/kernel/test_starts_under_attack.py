"""Popen in a cgroup that another user may write to: bounded and harmless for the caller, whatever that user does."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from common import SLOW, MakeCgroup, Need, Spawn, needs, path_of

from cgroups import Cgroup, CgroupBusy, CgroupTimeout, Group, Hierarchy, InvalidValue, Popen, Subsystem, aio
from cgroups.core import children

USER = 65534
PROMPT_S = 5 * SLOW
"""Seconds that a start may take beyond its timeout on a busy machine."""

# A child that looks for its program for long enough that somebody can act before it executes.
LONG_ENV = {"PATH": "/no:" * (30_000 if SLOW == 1 else 2_000) + os.environ["PATH"]}

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


FREEZERS = ["freezer"] * (Subsystem.find("freezer").version == 1) + [""] * (Hierarchy.find(":/") is not None)


@pytest.fixture(params=FREEZERS, ids=[name or "unified" for name in FREEZERS])
def theirs(request: pytest.FixtureRequest, make_cgroup: MakeCgroup) -> Iterator[Cgroup]:
    """A cgroup with a freezer, that another user owns; thawed at the end, and without a child."""
    top = make_cgroup(request.param)
    cgroup = Hierarchy.find_or_create(f"{top}/theirs", owner=(USER, USER))
    yield cgroup
    brake(cgroup, "0")
    deadline = time.monotonic() + 10 * SLOW
    while cgroup.processes() and time.monotonic() < deadline:
        time.sleep(0.01)
    children.reap()
    assert cgroup.processes() == []
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def brake(cgroup: Cgroup, digit: str) -> None:
    if cgroup.version == 2:
        path_of(cgroup, "cgroup.freeze").write_text(digit)
    elif "freezer" in cgroup.subsystems:
        path_of(cgroup, "freezer.state").write_text("FROZEN" if digit == "1" else "THAWED")


@contextmanager
def attack(cgroup: Cgroup, act: Callable[[int], None]) -> Iterator[None]:
    """Run the attack of a user as soon as a process is in the cgroup."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if inside := cgroup.processes():
                act(inside[0])
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def freeze(cgroup: Cgroup) -> Callable[[int], None]:
    return lambda _: brake(cgroup, "1")


WAYS: dict[str, dict[str, Any]] = {"native": {}, "fork": {"preexec_fn": lambda: time.sleep(0.2)}}
TIMEOUT_S = 2 if SLOW == 1 else 4
"""The timeout of an attacked start, long enough for the attack to come first."""


def start_attacked(cgroup: Cgroup, act: Callable[[int], None], **keywords: Any) -> float:
    """Start a program until the attack comes before it executes, which raises; the seconds that this start took."""
    for _ in range(50):
        began = time.monotonic()
        try:
            with attack(cgroup, act):
                process = Popen(["true"], cgroup=cgroup, env=LONG_ENV, **keywords)
        except BaseException as error:
            error.took = time.monotonic() - began  # type: ignore[attr-defined]
            raise
        signal.setitimer(signal.ITIMER_REAL, 0)
        brake(cgroup, "0")
        process.kill()  # it may be stopped, or frozen where it was moved
        process.wait()
    return pytest.fail("no attack came in time")


@pytest.mark.parametrize("way", WAYS)
def test_start_frozen_meanwhile_raises_busy_in_time(way: str, theirs: Cgroup) -> None:
    """The check for a frozen cgroup comes before its user freezes it."""
    with pytest.raises(CgroupBusy, match="frozen") as raised:
        start_attacked(theirs, freeze(theirs), start_timeout=TIMEOUT_S, **WAYS[way])
    assert TIMEOUT_S <= raised.value.took < TIMEOUT_S + PROMPT_S  # type: ignore[attr-defined]


# A signal that another thread gets does not interrupt the wait, and so does one that comes while the child is made.
SIGNALS: dict[str, Callable[[], None]] = {
    "waiting": lambda: signal.setitimer(signal.ITIMER_REAL, 0.3),  # type: ignore[func-returns-value]
    "another thread": lambda: signal.pthread_kill(threading.get_ident(), signal.SIGALRM),
}


@pytest.mark.parametrize("getting", SIGNALS)
@pytest.mark.parametrize("way", WAYS)
def test_start_signal_handler_that_raises_ends_it(way: str, getting: str, theirs: Cgroup) -> None:
    """Handlers run while a start is held."""

    def freeze_and_interrupt(_: int) -> None:
        brake(theirs, "1")
        SIGNALS[getting]()

    def interrupt(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(InterruptedError) as raised:
            start_attacked(theirs, freeze_and_interrupt, start_timeout=60, **WAYS[way])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert raised.value.took < 0.3 + PROMPT_S  # type: ignore[attr-defined]


@pytest.mark.anywhere
def test_start_where_a_user_may_move_the_child_into_a_frozen_cgroup_is_bounded(
    make_ready: MakeCgroup, spawn: Spawn
) -> None:
    """v2 asks who may write cgroup.procs above both: not for the directory, nor for the process."""
    if Hierarchy.find(":/") is None:
        pytest.skip("no hierarchy of v2 is mounted")
    above = make_ready("")
    ours = above.make_sub("ours")
    theirs = Hierarchy.find_or_create(f"{above}/theirs", owner=(USER, USER))
    os.chown(path_of(above, "cgroup.procs"), USER, USER)
    brake(theirs, "1")

    words = ["sh", "-c", f"while read pid; do echo $pid > {path_of(theirs, 'cgroup.procs')}; done"]
    user = spawn(*words, user=USER, group=USER, extra_groups=[], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def move(pid: int) -> None:
        assert user.stdin is not None
        user.stdin.write(b"%d\n" % pid)
        user.stdin.flush()

    thaw = threading.Timer(TIMEOUT_S + PROMPT_S, brake, (theirs, "0"))  # or a failure would hang
    thaw.start()
    try:
        with pytest.raises(CgroupTimeout) as raised:
            start_attacked(ours, move, start_timeout=TIMEOUT_S)
    finally:
        thaw.cancel()
    assert raised.value.took < TIMEOUT_S + PROMPT_S  # type: ignore[attr-defined]
    assert theirs.wait_empty(5 * SLOW) is None


DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG, of <linux/prctl.h>


def test_start_whose_program_is_to_die_with_its_parent_lives(theirs: Cgroup) -> None:
    """To the kernel the parent is the thread that forked."""
    prctl = ctypes.CDLL(None).prctl
    words = ["sleep", "0.3"]
    with Popen(words, cgroup=theirs, preexec_fn=lambda: prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)) as process:
        assert process.wait() == 0


SLOW_FORK = """
import os, time
os.register_at_fork(before=lambda: time.sleep(1))
theirs, mark = Hierarchy.find_exn(sys.argv[1]), sys.argv[2]
try:
    Popen(["touch", mark], cgroup=theirs, preexec_fn=lambda: time.sleep(1), stdin=-1, stdout=-1, start_timeout=0.1)
except CgroupTimeout:
    print("late")
mine = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]  # whose numbers were those of the pipes
time.sleep(3)
for fd in mine:
    os.fstat(fd)
print(os.path.exists(mark), theirs.processes())
"""


def test_start_whose_fork_outlasts_its_timeout_leaves_nothing(
    theirs: Cgroup, run_script: Callable[..., str], tmp_path: Path
) -> None:
    assert run_script(SLOW_FORK, str(theirs), str(tmp_path / "ran")) == "late\nFalse []\n"


def test_aio_start_frozen_meanwhile_raises_busy_in_time(theirs: Cgroup) -> None:
    async def start() -> None:
        process = await aio.Popen(["true"], cgroup=theirs, env=LONG_ENV, start_timeout=TIMEOUT_S)
        process.kill()  # executed, and maybe frozen

    for _ in range(50):
        began = time.monotonic()
        with attack(theirs, freeze(theirs)):
            try:
                asyncio.run(start())
            except CgroupBusy as error:
                assert "frozen" in str(error)
                assert time.monotonic() - began < TIMEOUT_S + PROMPT_S
                return
        brake(theirs, "0")
    pytest.fail("no attack came in time")


def test_start_signal_handler_that_returns_does_not_end_it(theirs: Cgroup) -> None:
    handled: list[int] = []

    def freeze_for_a_while(_: int) -> None:
        brake(theirs, "1")
        threading.Timer(0.3, brake, (theirs, "0")).start()

    before = signal.signal(signal.SIGALRM, lambda number, _: handled.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        with attack(theirs, freeze_for_a_while):
            with Popen(["true"], cgroup=theirs, env=LONG_ENV, start_timeout=60) as process:
                assert process.wait() == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(handled) > 1


@pytest.mark.parametrize("way", WAYS)
def test_start_stopped_by_the_new_user_raises_timeout(way: str, make_ready: MakeCgroup, head: str) -> None:
    """A child is its new user's before it executes, and nobody can block SIGSTOP."""
    cgroup = make_ready(head)
    with pytest.raises(CgroupTimeout, match=f"within {TIMEOUT_S} s") as raised:
        start_attacked(
            cgroup, lambda pid: os.kill(pid, signal.SIGSTOP), start_timeout=TIMEOUT_S, user=USER, **WAYS[way]
        )
    assert raised.value.took < TIMEOUT_S + PROMPT_S  # type: ignore[attr-defined]
    assert cgroup.processes() == []


@needs("native")
def test_start_new_user_cannot_read_the_copy_of_the_memory(make_ready: MakeCgroup, head: str) -> None:
    """Between the change of its user and its exec, the child cannot be traced."""
    cgroup = make_ready(head)
    seen: list[tuple[str, int]] = []

    def look(pid: int) -> None:
        try:
            while f"Uid:\t{USER}" not in Path(f"/proc/{pid}/status").read_text():
                pass
            os.kill(pid, signal.SIGSTOP)
            seen.append((os.readlink(f"/proc/{pid}/exe"), os.stat(f"/proc/{pid}/mem").st_uid))
        except OSError:
            return  # it has ended

    with pytest.raises(CgroupTimeout):
        start_attacked(cgroup, look, start_timeout=TIMEOUT_S, user=USER)
    assert seen[-1] == (os.readlink("/proc/self/exe"), 0)


def test_start_killed_before_it_executes_is_an_error(make_ready: MakeCgroup, head: str) -> None:
    """Only the copied child is killed; the caller continues."""
    cgroup = Hierarchy.find_or_create(f"{make_ready(head)}/theirs", owner=(USER, USER))
    for _ in range(3):
        with attack(cgroup, lambda pid: os.kill(pid, signal.SIGKILL)):
            try:
                with Popen(["sleep", "1000"], cgroup=cgroup, env=LONG_ENV, start_timeout=30) as process:
                    process.kill()
            except OSError as error:
                assert "killed before it executed" in str(error)
        assert cgroup.processes() == []
    with Popen(["true"], cgroup=cgroup) as process:
        assert process.wait() == 0


@pytest.mark.parametrize("timeout", [-1, "1", float("nan")])
def test_start_timeout_that_is_none_raises_invalid_value(timeout: Any, make_cgroup: MakeCgroup, head: str) -> None:
    with pytest.raises(InvalidValue, match="timeout"):
        Popen(["true"], cgroup=make_cgroup(head), start_timeout=timeout)


def test_start_timeout_none_waits(theirs: Cgroup) -> None:
    with Popen(["true"], cgroup=theirs, start_timeout=None) as process:
        assert process.wait() == 0


@pytest.mark.parametrize("ids", [{"user": 2**32 - 1}, {"group": 2**32 - 1}, {"extra_groups": [1, 2**32 - 1]}], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_start_highest_id_is_refused(way: str, ids: dict[str, Any], make_cgroup: MakeCgroup, head: str) -> None:
    """The kernel takes it for "no change": the program would run as root."""
    cgroup = make_cgroup(head)
    with pytest.raises(InvalidValue, match="4294967295"):
        Popen(["true"], cgroup=cgroup, stdin=subprocess.PIPE, **ids, **WAYS[way])
    assert cgroup.processes() == []


DAEMON = """
import signal
theirs, seconds = Hierarchy.find_exn(sys.argv[1]), float(sys.argv[2])
end, started, failed = time.monotonic() + seconds, 0, 0
# On a slow machine one start, or one who runs out of memory, may take longer.
while started + failed == 0 or time.monotonic() < end or not Parameters.get(Memory.events, theirs).oom_kill:
    try:
        Popen(["true"], cgroup=theirs).wait()
        started += 1
    except (CgroupError, OSError):
        failed += 1
print(started, failed)
"""


# Waits for a word, then waits in memory for the end of a line.
HOG = ["sh", "-c", "read -r _ && exec tail -n 1 /dev/zero"]


def test_start_oom_of_the_whole_group_spares_the_caller(
    make_cgroup: MakeCgroup, need: Need, run_script: Callable[..., str]
) -> None:
    """A user sets memory.oom.group when it suits, and is out of memory all the time."""
    if Subsystem.find("memory").version != 2:
        pytest.skip("memory is not on v2")
    need("memory")
    theirs = Hierarchy.find_or_create(f"memory:{make_cgroup('memory').location}/theirs", owner=(USER, USER))
    theirs.write_text("memory.max", str(12 << 20))
    if path_of(theirs, "memory.swap.max").exists():
        theirs.write_text("memory.swap.max", "0")
    over = threading.Event()

    def toggle() -> None:
        with open(path_of(theirs, "memory.oom.group"), "wb", buffering=0) as file:
            while not over.is_set():
                for digit in (b"1", b"0"):
                    file.write(digit)
                    time.sleep(0.0003 * SLOW)

    def hog() -> None:
        while not over.is_set():
            try:
                with subprocess.Popen(
                    HOG, stdin=subprocess.PIPE, user=USER, group=USER, extra_groups=[], bufsize=0
                ) as process:
                    assert process.stdin is not None
                    theirs.add_process(process.pid)
                    process.stdin.write(b"\n")
                    while process.poll() is None and not over.wait(0.001):
                        pass
                    process.kill()
            except OSError:
                continue  # it ended before it was moved

    threads = [threading.Thread(target=one) for one in (toggle, hog)]
    for thread in threads:
        thread.start()
    try:
        counts = run_script(DAEMON, str(theirs), str(8 if SLOW == 1 else 20), timeout=60 * SLOW)
    finally:
        over.set()
        for thread in threads:
            thread.join()
        Group.of([theirs]).kill()
    started, failed = map(int, counts.split())
    assert started + failed > 0
    kills = dict(line.split() for line in path_of(theirs, "memory.events").read_text().splitlines())
    assert int(kills["oom_kill"]) > 0


def test_start_in_a_cgroup_made_again_never_enters_another(make_ready: MakeCgroup, head: str) -> None:
    """Its user removes it and makes it again, all the time: the child is in one of them, or it is an error."""
    above = Hierarchy.find_or_create(f"{make_ready(head)}/theirs", owner=(USER, USER))
    path = Path(str(above.path)) / "job"
    over = threading.Event()

    def replace() -> None:
        while not over.is_set():
            for act in (path.mkdir, path.rmdir):
                try:
                    act()
                except OSError:
                    continue

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        for _ in range(100):
            try:
                with Popen(["cat", "/proc/self/cgroup"], cgroup=above.child("job"), stdout=subprocess.PIPE) as process:
                    text, _ = process.communicate()
            except (OSError, ValueError):
                continue
            assert f":{above.location}/job" in text.decode()
    finally:
        over.set()
        thread.join()
        if path.exists():
            path.rmdir()
