"""Popen: the child starts inside its cgroups, and everything else is the same as in subprocess."""

from __future__ import annotations

import errno
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from common import MakeCgroup, Need, needs, path_of, sub

from cgroups import (
    Cgroup,
    CgroupBusy,
    CgroupError,
    CgroupGone,
    Group,
    Hierarchy,
    InvalidValue,
    Parameters,
    Pids,
    Popen,
    Subsystem,
)
from cgroups.control import start_errors
from cgroups.core.interface import Spawned, Step

PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL
SCALE = float(os.environ.get("CGROUPS_TESTS_SCALE", "1"))


@pytest.fixture
def everywhere(make_ready: MakeCgroup) -> list[Cgroup]:
    """A fresh cgroup of each hierarchy."""
    return [make_ready(one.spec_head) for one in Hierarchy.scan()]


def locations(text: bytes) -> list[str]:
    return [line.split(":", 2)[2] for line in text.decode().splitlines()]


def is_inside(text: bytes, where: list[Cgroup]) -> bool:
    """Return whether each line of /proc/self/cgroup of one of these hierarchies names the cgroup."""
    seen = locations(text)
    return all(seen.count(cgroup.location) == 1 for cgroup in where)


# ---- where it starts --------------------------------------------------------------------------


def test_popen_child_starts_in_each_cgroup(everywhere: list[Cgroup]) -> None:
    for where in (
        everywhere,
        everywhere[:1],
        everywhere[-1],
        Group.of(everywhere),
        [Group.of(everywhere)],
        iter(everywhere),
    ):
        with Popen(["cat", "/proc/self/cgroup"], cgroup=where, stdout=PIPE) as process:
            assert process.stdout is not None
            assert is_inside(process.stdout.read(), list(process.cgroups))
        assert process.returncode == 0


def test_its_early_children_are_too(everywhere: list[Cgroup]) -> None:
    script = "(cat /proc/self/cgroup; (cat /proc/self/cgroup) ); cat /proc/self/cgroup"
    with Popen(["sh", "-c", script], cgroup=everywhere, stdout=PIPE) as process:
        assert process.stdout is not None
        seen = locations(process.stdout.read())
    assert [seen.count(cgroup.location) for cgroup in everywhere] == [3] * len(everywhere)


def test_when_it_began(everywhere: list[Cgroup]) -> None:
    before = time.monotonic_ns()
    with Popen(["true"], cgroup=everywhere) as process:
        assert before < process.started_ns < time.monotonic_ns()


def test_popen_invalid_cgroups_are_refused(make_cgroup: MakeCgroup, head: str) -> None:
    one, other = make_cgroup(head), make_cgroup(head)
    for wrong in ([one, other], [Group.of([one]), other]):
        with pytest.raises(InvalidValue, match="at most one cgroup per hierarchy"):
            Popen(["true"], cgroup=wrong)
    for wrong in (None, [], [None], str(one), [str(one)], 7):
        with pytest.raises(InvalidValue, match="cgroup"):
            Popen(["true"], cgroup=wrong)  # type: ignore[arg-type]
    with Popen(["true"], cgroup=[one, Group.of([one])]) as process:
        assert process.cgroups == (one,)


def test_after_all_was_killed(everywhere: list[Cgroup]) -> None:
    """Linux 6.18 ends what is born in a cgroup that was killed once, or is below one that was."""
    # A cpuset of v1 would have to be filled first.
    below = [sub(cgroup, "below") for cgroup in everywhere if cgroup.version == 2 or "cpuset" not in cgroup.subsystems]
    for places in (everywhere, below):
        for _ in range(3):
            with Popen(["sleep", "1000"], cgroup=places) as process:
                assert Group.of(everywhere).kill() == 1
            assert process.returncode == -signal.SIGKILL
            with Popen(["cat", "/proc/self/cgroup"], cgroup=places, stdout=PIPE) as process:
                text, _ = process.communicate()
            assert process.returncode == 0
            assert is_inside(text, places)
            assert process.started_ns > 0


# ---- many, and beside busy threads -----------------------------------------------------------------


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Eight threads that compute, allocate, open and close files, and take locks; they take turns often."""
    over = threading.Event()
    lock = threading.Lock()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(interval / 20)

    def work() -> None:
        # Busy, and yet in nobody's way where there is one processor, and that emulated.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while not over.is_set():
            with lock, open("/dev/null", "rb"):
                [bytearray(size) for size in range(0, 100_000, 10_000)]
            sum(range(1000))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)


# A static program, where there is one: an emulated processor takes most of its time for the dynamic linker's.
CAT = ["busybox", "cat"] if shutil.which("busybox") else ["cat"]


@pytest.mark.anywhere
@pytest.mark.usefixtures("busy_threads")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_popen_thousand_starts_beside_busy_threads(
    everywhere: list[Cgroup], open_descriptors: Callable[[], int]
) -> None:
    """None is seen outside, by itself nor by its parent, and none is lost."""
    own = [cgroup.hierarchy.host.process_info(os.getpid()) for cgroup in everywhere[:1]][0]
    before = open_descriptors()
    wrong = []
    for _ in range(1000):
        process = Popen([*CAT, "/proc/self/cgroup"], cgroup=everywhere, stdout=PIPE)
        assert process.stdout is not None
        text = process.stdout.read()
        if not is_inside(text, everywhere):
            wrong.append(text)
        process.stdout.close()
        assert process.wait() == 0
    assert wrong == []
    assert open_descriptors() <= before + 2  # a thread may have one open
    # The parent stays where it is, and sees all of those that wait inside.
    assert own == everywhere[0].hierarchy.host.process_info(os.getpid())
    waiting = [Popen(["sleep", "1000"], cgroup=everywhere) for _ in range(20)]
    for cgroup in everywhere:
        assert cgroup.processes() == sorted(process.pid for process in waiting)
    Group.of(everywhere).kill()
    assert [process.wait() for process in waiting] == [-signal.SIGKILL] * 20


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_popen_several_threads_start_at_once(everywhere: list[Cgroup]) -> None:
    results: list[int] = []

    def start() -> None:
        for number in range(20):
            with Popen(["sh", "-c", f"exit {number}"], cgroup=everywhere) as process:
                results.append(process.wait() - number)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0] * 120


def test_popen_thread_with_the_smallest_stack(
    make_cgroup: MakeCgroup, head: str, run_script: Callable[..., str]
) -> None:
    run_script(
        """
        cgroup = Hierarchy.find_exn(sys.argv[1])
        codes = []
        Popen(["true"], cgroup=cgroup).wait()
        threading.stack_size(32 << 10)
        thread = threading.Thread(target=lambda: codes.append(Popen(["true"], cgroup=cgroup).wait()))
        thread.start()
        thread.join()
        assert codes == [0]
        """,
        str(make_cgroup(head)),
    )


def test_popen_after_a_fork_works(make_cgroup: MakeCgroup, head: str) -> None:
    cgroup = make_cgroup(head)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with Popen(["true"], cgroup=cgroup) as process:
                status = process.wait()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# ---- the same as in subprocess ------------------------------------------------------------------------

Start = Callable[..., "subprocess.Popen[Any]"]


@pytest.fixture
def both(make_cgroup: MakeCgroup, head: str) -> tuple[Start, Start]:
    """subprocess.Popen, and the one that starts in a cgroup."""
    cgroup = make_cgroup(head)
    return subprocess.Popen, lambda *args, **keywords: Popen(*args, cgroup=cgroup, **keywords)


SHOW = """
pwd; echo "$COLOUR $# $*"; umask; ls /proc/self/fd
grep -E "^(Uid|Gid|Groups|SigIgn)" /proc/self/status
read pid name state parent group session rest < /proc/self/stat
[ $pid = $$ ] && [ $group = $pid ] && echo leads a group
[ $session = $pid ] && echo leads a session
true
"""

SETTINGS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "cwd": {"cwd": "/usr"},
    "cwd as bytes": {"cwd": b"/usr"},
    "env": {"env": {"COLOUR": "red", "PATH": os.environ["PATH"]}},
    "empty env": {"env": {}},
    "umask": {"umask": 0o27},
    "session": {"start_new_session": True},
    "user": {"user": 65534, "group": 65534, "extra_groups": [1, 2]},
    "no groups": {"extra_groups": []},
    "user by name": {"user": "nobody"},
    "open files": {"close_fds": False},
    "signals stay": {"restore_signals": False},
    **({"process group": {"process_group": 0}} if sys.version_info >= (3, 11) else {}),
}


@pytest.mark.anywhere
@pytest.mark.parametrize("name", SETTINGS)
def test_what_the_child_is(name: str, both: tuple[Start, Start]) -> None:
    seen = []
    for start in both:
        with start(["/bin/sh", "-c", SHOW, "sh", "a", "b c", ""], stdout=PIPE, **SETTINGS[name]) as process:
            # posix_spawn of the C library leaves its own two signals ignored.
            seen.append(re.sub(rb"(SigIgn:\s+0{7})180", rb"\g<1>000", process.communicate()[0]))
        assert process.returncode == 0
    assert seen[0] == seen[1]


def test_descriptors_that_are_passed(both: tuple[Start, Start]) -> None:
    reading, writing = os.pipe()
    others = [os.dup(reading) for _ in range(5)]
    kept = (writing, others[1], others[3])
    try:
        seen = []
        for start in both:
            with start(["/bin/sh", "-c", SHOW], stdout=PIPE, pass_fds=kept) as process:
                seen.append(process.communicate()[0])
        assert seen[0] == seen[1]
        assert all(f"{fd}".encode() in seen[1] for fd in kept)
        assert not os.get_inheritable(writing)
    finally:
        for fd in (reading, writing, *others):
            os.close(fd)


@pytest.mark.anywhere
def test_streams_in_every_order(run_script: Callable[..., str], make_cgroup: MakeCgroup, head: str) -> None:
    """Whichever of 0, 1 and 2 are closed, or are what the child gets, it gets the right ones."""
    cgroup = make_cgroup(head)
    run_script(
        """
        import itertools, subprocess, tempfile
        cgroup = Hierarchy.find_exn(sys.argv[1])
        saved = os.dup(2)
        os.set_inheritable(saved, False)
        files = [tempfile.TemporaryFile() for _ in range(4)]
        def outcome(start, order, closed):
            for at, file in enumerate(files):
                file.seek(0); file.truncate(); file.write(b"line of %d\\n" % at); file.flush(); file.seek(0)
            kept = [os.dup(fd) for fd in (0, 1, 2)]
            for fd in kept: os.set_inheritable(fd, False)
            try:
                for at in range(3): os.dup2(files[at].fileno(), at)
                names = [files[3] if name == 3 else name for name in order]
                for fd in closed: os.close(fd)
                script = "read line; echo got $line; echo said >&2; grep -q cgroups-test /proc/$$/cgroup; exit $?"
                child = start(["sh", "-c", script], stdin=names[0], stdout=names[1], stderr=names[2])
                result = child.wait()
            finally:
                for fd, at in zip(kept, range(3)): os.dup2(fd, at); os.close(fd)
            texts = []
            for file in files:
                file.seek(0); texts.append(file.read())
            return result, texts
        count = 0
        for order in itertools.product([None, 0, 1, 2, 3], repeat=3):
            for closed in ((), (0,), (1,), (2,), (0, 1), (0, 1, 2)):
                if any(fd in closed for fd in order):
                    continue
                one = outcome(subprocess.Popen, order, closed)
                other = outcome(lambda *a, **k: Popen(*a, cgroup=cgroup, **k), order, closed)
                assert (one[0], other[0]) == (1, 0), (order, closed, one, other)  # outside, and inside
                assert one[1] == other[1], (order, closed, one, other)
                count += 1
        assert count > 100
        """,
        str(cgroup),
    )


@pytest.mark.anywhere
@pytest.mark.parametrize(
    ("args", "keywords"),
    [
        (["no-such-program"], {}),
        (["/no/such/program"], {}),
        (["/etc/passwd"], {}),
        (["/usr"], {}),
        (["passwd/x"], {"cwd": "/etc"}),
        (["true"], {"cwd": "/no/such/directory"}),
        (["true"], {"cwd": "/etc/passwd"}),
        (["true"], {"executable": "/no/such"}),
        (["true"], {"env": {"PATH": "/no/such"}}),
        (["true"], {"env": {"PATH": ""}}),
        (["tru\0e"], {}),
        (["true", "\0"], {}),
        (["true"], {"cwd": "a\0b"}),
        (["true"], {"env": {"a\0": "b"}}),
        (["true"], {"env": {"a=b": "c"}}),
        (["true", 7], {}),
        ([], {}),
        (["true"], {"pass_fds": [-1]}),
        (["true"], {"pass_fds": [1 << 20]}),
        (["true"], {"pass_fds": [1 << 40]}),
        (["true"], {"user": 1 << 32}),
        (["true"], {"user": 1 << 64}),
        (["true"], {"group": 1 << 32}),
        (["true"], {"extra_groups": [1 << 32]}),
        (["true"], {"extra_groups": [-1]}),
        (["true"], {"umask": 1 << 40}),
        (["true"], {"user": -7}),
        (["true"], {"user": "no-such-user"}),
        (Path("/no/such"), {"shell": True}),
    ],
    ids=str,
)
def test_what_cannot_be_started_is_said_alike(args: Any, keywords: dict[str, Any], both: tuple[Start, Start]) -> None:
    said = []
    before = len(os.listdir("/proc/self/fd"))
    for start in both:
        with pytest.raises(Exception) as raised:
            start(args, stdin=PIPE, stdout=PIPE, **keywords)
        error = raised.value
        said.append((type(error), getattr(error, "errno", None), getattr(error, "filename", None)))
        del raised, error
    assert said[0] == said[1]
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the hierarchy's directory stays open
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.anywhere
def test_a_program_that_is_found_and_cannot_be_run(both: tuple[Start, Start], tmp_path: Path) -> None:
    """The first directory's refusal is told, unless another has the program."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "prog").write_text("no program")
    (tmp_path / "plain").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "plain").chmod(0o644)
    env = {"PATH": f"{tmp_path}/none:{tmp_path}/one:{tmp_path}/two:{'x' * 5000}"}
    for start in both:
        with pytest.raises(PermissionError):
            start(["prog"], env=env)
    (tmp_path / "two" / "prog").write_text("#!/bin/sh\nexit 4\n")
    (tmp_path / "two" / "prog").chmod(0o755)
    for start in both:
        with start(["prog"], env=env) as process:
            assert process.wait() == 4
    (tmp_path / "two" / "prog").write_text("no magic at all")
    for start in both:
        with pytest.raises(OSError, match="Exec format error|Permission denied"):
            start(["prog"], env=env)
    # An empty directory in PATH is where the child is.
    (tmp_path / "plain").chmod(0o755)
    for start in both:
        with start(["plain"], env={"PATH": ":/usr/bin"}, cwd=tmp_path) as process:
            assert process.wait() == 3


@pytest.mark.anywhere
def test_pipes_text_and_timeouts(both: tuple[Start, Start]) -> None:
    for start in both:
        with start(["cat"], stdin=PIPE, stdout=PIPE, text=True) as process:
            assert process.communicate("é\n") == ("é\n", None)
        with start("echo one; echo two >&2", shell=True, stdout=PIPE, stderr=STDOUT) as process:
            assert process.communicate()[0] == b"one\ntwo\n"
        with start(["sleep", "100"]) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.05)
            process.terminate()
            assert process.wait() == -signal.SIGTERM
        assert process.poll() == -signal.SIGTERM
        with start(b"true", executable=Path("/bin/sh"), stdin=DEVNULL) as process:
            assert process.wait() == 0


def test_popen_handler_of_the_parent_never_runs_in_the_child(make_cgroup: MakeCgroup, head: str) -> None:
    """Signals come all the time while children start; what is handled here is the default there."""
    cgroup = make_cgroup(head)
    handled = []
    before = signal.signal(signal.SIGUSR1, lambda *_: handled.append(os.getpid()))
    over = threading.Event()

    def disturb() -> None:
        while not over.is_set():
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.0002)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(max(20, round(200 * SCALE))):
            with Popen(["true"], cgroup=cgroup) as process:
                assert process.wait() == 0
        with Popen(["sh", "-c", "kill -USR1 $$; sleep 100"], cgroup=cgroup) as process:
            assert process.wait() == -signal.SIGUSR1
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert set(handled) == {os.getpid()}


def test_popen_handler_that_raises_leaves_no_process(make_cgroup: MakeCgroup, head: str) -> None:
    """As Ctrl-C does, while the child looks for its program in thirty thousand directories."""
    cgroup = make_cgroup(head)
    env = {"PATH": "/no:" * 30_000 + os.environ["PATH"]}

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.005)
                Popen(["sleep", "1000"], cgroup=cgroup, env=env, stdin=PIPE)
            nothing_left(cgroup)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("action", ["ignored", "reaped"])
def test_children_that_another_waits_for(action: str, everywhere: list[Cgroup], run_script: Callable[..., str]) -> None:
    """Whoever takes the exit status, the start is not kept, and its errors are told."""
    run_script(
        """
        import signal, subprocess
        def reap(*_):
            try:
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass
            except ChildProcessError:
                pass
        signal.signal(signal.SIGCHLD, signal.SIG_IGN if sys.argv[1] == "ignored" else reap)
        where = [Hierarchy.find_exn(spec) for spec in sys.argv[2:]]
        for _ in range(10):
            with Popen(["cat", "/proc/self/cgroup"], cgroup=where, stdout=subprocess.PIPE, text=True) as process:
                text = process.stdout.read()
            assert all(f":{cgroup.location}\\n" in text for cgroup in where), text
            raises(FileNotFoundError, lambda: Popen(["/no/such"], cgroup=where))
            raises(CgroupGone, lambda: Popen(["true"], cgroup=[*where[1:], where[0].child("gone")]))
        raises(ChildProcessError, lambda: os.waitpid(-1, os.WNOHANG))
        """,
        action,
        *map(str, everywhere),
    )


def test_popen_lost_status_is_no_success(make_cgroup: MakeCgroup, head: str, run_script: Callable[..., str]) -> None:
    """If SIGCHLD is ignored, the kernel reaps children, and their exit statuses are lost."""
    run_script(
        """
        import asyncio, signal, warnings
        from cgroups import aio
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        cgroup = Hierarchy.find_exn(sys.argv[1])
        async def start():
            process = await aio.Popen(["true"], cgroup=cgroup)
            return await process.wait()
        def poll():
            process = Popen(["true"], cgroup=cgroup)
            while process.poll() is None:
                time.sleep(0.001)
            return process.returncode
        for way in (lambda: Popen(["true"], cgroup=cgroup).wait(), poll, lambda: asyncio.run(start())):
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                assert way() == 255
            assert any(w.category is RuntimeWarning and "exit status" in str(w.message) for w in seen), seen
        """,
        str(make_cgroup(head)),
    )


def test_blocked_signals_are_blocked_in_the_child(both: tuple[Start, Start]) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        for start in both:
            with start(["grep", "SigBlk", "/proc/self/status"], stdout=PIPE) as process:
                assert int(process.communicate()[0].split()[1], 16) == 1 << (signal.SIGUSR2 - 1)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])


@pytest.mark.anywhere
def test_the_environment_as_it_is_now(make_cgroup: MakeCgroup, head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cgroup = make_cgroup(head)
    for colour in ("red", "green", "blue"):
        monkeypatch.setenv("COLOUR", colour)
        with Popen(["sh", "-c", "echo $COLOUR"], cgroup=cgroup, stdout=PIPE, text=True) as process:
            assert process.communicate()[0] == f"{colour}\n"
    monkeypatch.delenv("COLOUR")
    with Popen(["sh", "-c", "echo $COLOUR"], cgroup=cgroup, stdout=PIPE, text=True) as process:
        assert process.communicate()[0] == "\n"


@needs("native")
def test_a_dict_in_place_of_the_environment(
    make_cgroup: MakeCgroup, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"COLOUR": "grey", "PATH": os.environ["PATH"]})
    with Popen(["sh", "-c", "echo $COLOUR"], cgroup=make_cgroup(head), stdout=PIPE, text=True) as process:
        assert process.communicate()[0] == "grey\n"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_function_that_runs_before(everywhere: list[Cgroup], tmp_path: Path) -> None:
    """preexec_fn runs in the cgroups."""
    mark = tmp_path / "mark"

    def look() -> None:
        mark.write_bytes(Path("/proc/self/cgroup").read_bytes())

    with Popen(["true"], cgroup=everywhere, preexec_fn=look) as process:
        assert process.wait() == 0
    assert is_inside(mark.read_bytes(), everywhere)
    with pytest.raises(subprocess.SubprocessError):
        Popen(["true"], cgroup=everywhere, preexec_fn=lambda: 1 / 0)


@pytest.mark.anywhere
def test_popen_is_audited_like_subprocess(run_script: Callable[..., str], make_cgroup: MakeCgroup, head: str) -> None:
    cgroup = make_cgroup(head)
    told = run_script(
        """
        seen = []
        sys.addaudithook(lambda name, args: seen.append(args) if name == "subprocess.Popen" else None)
        Popen(["true", "x"], cgroup=Hierarchy.find_exn(sys.argv[1]), cwd="/", env={"PATH": "/bin:/usr/bin"}).wait()
        print(seen)
        """,
        str(cgroup),
    )
    assert told == "[('true', ['true', 'x'], '/', {'PATH': '/bin:/usr/bin'})]\n"


# ---- what cannot be --------------------------------------------------------------------------------------


def nothing_left(cgroup: Cgroup) -> None:
    assert not cgroup.exists or cgroup.processes() == []
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_popen_removed_cgroup_raises(make_ready: MakeCgroup, every_head: str) -> None:
    cgroup = make_ready(every_head, "/gone")
    with Popen(["true"], cgroup=cgroup) as process:
        process.wait()
    cgroup.remove(timeout=5)
    with pytest.raises(CgroupGone) as raised:
        Popen(["true"], cgroup=cgroup)
    assert str(cgroup) in str(raised.value)
    assert "'true'" in str(raised.value)
    nothing_left(cgroup)


def test_popen_one_of_several_cgroups_removed_raises(everywhere: list[Cgroup]) -> None:
    for at in range(len(everywhere)):
        where = [one.child("gone") if at == number else one for number, one in enumerate(everywhere)]
        with pytest.raises(CgroupGone, match="gone"):
            Popen(["true"], cgroup=where, stdin=PIPE)
        for cgroup in everywhere:
            nothing_left(cgroup)


def test_a_frozen_cgroup(make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup("freezer" if Subsystem.find("freezer").version == 1 else "")
    below = sub(cgroup, "below")
    cgroup.freeze()
    for one in (cgroup, below):
        with pytest.raises(CgroupBusy, match="frozen") as raised:
            Popen(["true"], cgroup=one)
        assert raised.value.path == one.path
    cgroup.thaw()
    with Popen(["true"], cgroup=below) as process:
        assert process.wait() == 0


def test_no_more_processes(make_cgroup: MakeCgroup, need: Need) -> None:
    need("pids")
    cgroup = make_cgroup("pids")
    Parameters.set(Pids.max, cgroup, 0)
    if cgroup.version == 1:
        with Popen(["true"], cgroup=cgroup) as process:  # it moves there, which pids.max does not refuse
            assert process.wait() == 0
    else:
        with pytest.raises(CgroupError, match=r"pids\.max") as raised:
            Popen(["true"], cgroup=cgroup)
        assert raised.value.errno == 11
        nothing_left(cgroup)


def test_popen_v1_cpuset_without_cpus_raises(make_cgroup: MakeCgroup) -> None:
    if Subsystem.find("cpuset").version != 1:
        pytest.skip("cpuset is not on v1")
    cgroup = make_cgroup("cpuset")
    path_of(cgroup, "cpuset.cpus").write_text("\n")
    with pytest.raises(CgroupError, match=r"cpuset\.cpus") as raised:
        Popen(["true"], cgroup=cgroup)
    assert raised.value.errno == 28
    nothing_left(cgroup)


def test_popen_v2_rules_are_explained(make_cgroup: MakeCgroup, need: Need) -> None:
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted here")
    cgroup = make_cgroup("")
    inner = sub(cgroup, "inner")
    path_of(inner, "cgroup.type").write_text("threaded")
    with Popen(["cat", "/proc/self/cgroup"], cgroup=inner, stdout=PIPE) as process:
        assert is_inside(process.communicate()[0], [inner])
    invalid = sub(cgroup, "invalid")
    with pytest.raises(CgroupError, match="invalid"):
        Popen(["true"], cgroup=invalid)
    nothing_left(invalid)
    if Subsystem.find("memory").version == 2:
        need("memory")
        domain = make_cgroup("memory")
        domain.make_sub("below")
        with pytest.raises(CgroupBusy, match="no internal processes"):
            Popen(["true"], cgroup=domain)
        nothing_left(domain)


@pytest.mark.parametrize("number", ["ENOSYS", "EPERM"])
def test_popen_without_clone3_child_moves_itself(
    number: str, run_script: Callable[..., str], make_cgroup: MakeCgroup, head: str
) -> None:
    """If a filter does not know or denies clone3, the child moves itself."""
    cgroup = make_cgroup(head)
    run_script(
        """
        import errno, struct, subprocess
        # Of architecture and call: clone3 is 435 everywhere.
        number = getattr(errno, sys.argv[2])
        steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 435), (0x06, 0, 0, 0x00050000 | number), (0x06, 0, 0, 0x7FFF0000)]
        code = b"".join(struct.pack("HBBI", *step) for step in steps)
        buffer = ctypes.create_string_buffer(code)
        program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(buffer))
        assert _libc.prctl(38, 1, 0, 0, 0) == 0
        assert _libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
        cgroup = Hierarchy.find_exn(sys.argv[1])
        with Popen(["cat", "/proc/self/cgroup"], cgroup=cgroup, stdout=subprocess.PIPE, text=True) as process:
            assert f":{cgroup.location}\\n" in process.stdout.read()
        assert process.returncode == 0
        error = raises(CgroupGone, lambda: Popen(["true"], cgroup=cgroup.child("gone")))
        """,
        *(str(cgroup), number),
    )


@needs("native")
def test_without_proc_and_close_range(run_unshared: Callable[..., str], make_cgroup: MakeCgroup, head: str) -> None:
    """Descriptors are closed one by one."""
    cgroup = make_cgroup(head)
    run_unshared(
        """
        import struct, subprocess
        steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 436), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)]
        code = b"".join(struct.pack("HBBI", *step) for step in steps)
        buffer = ctypes.create_string_buffer(code)
        program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(buffer))
        assert _libc.prctl(38, 1, 0, 0, 0) == 0
        assert _libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        cgroup = Hierarchy.find_exn(sys.argv[2])
        low, high, kept = (os.dup(0) for _ in range(3))
        os.dup2(0, 200)
        os.set_inheritable(low, True)
        test = "import os, sys\\nfor fd in map(int, sys.argv[1:]):\\n try: os.fstat(fd); print(fd)\\n except OSError: 0"
        fds = [str(fd) for fd in (1, low, high, kept, 200)]
        for _ in range(2):
            words = {"stdout": subprocess.PIPE, "text": True, "pass_fds": [kept]}
            with Popen([sys.executable, "-S", "-c", test, *fds], cgroup=cgroup, **words) as process:
                told = process.stdout.read().split()
                assert told == ["1", str(kept)], told
            if os.path.exists("/proc/self/fd"):
                bind(sys.argv[1], "/proc")
        """,
        str(cgroup),
    )


def test_a_user_of_a_delegated_cgroup(make_ready: MakeCgroup, head: str, run_script: Callable[..., str]) -> None:
    cgroup = make_ready(head)
    run_script(
        """
        import subprocess
        above, user = Hierarchy.find_exn(sys.argv[1]), 65534
        theirs = Hierarchy.find_or_create(f"{sys.argv[1]}/theirs", owner=(user, user))
        inside, ours = theirs.make_sub("inside", owner=(user, user)), above.make_sub("ours")
        inside.add_process(os.getpid())
        os.setgroups([]); os.setgid(user); os.setuid(user)
        job = theirs.make_sub("job")
        with Popen(["cat", "/proc/self/cgroup"], cgroup=job, stdout=subprocess.PIPE, text=True) as process:
            assert f":{job.location}\\n" in process.stdout.read()
        error = raises(AccessDenied, lambda: Popen(["true"], cgroup=ours))
        assert "cannot start 'true' in" in str(error) and "is owned by 0:0" in error.hint, error
        """,
        str(cgroup),
    )


def test_nobody(make_cgroup: MakeCgroup, head: str) -> None:
    """As of another user the child starts where its parent may, and is then the user's."""
    cgroup = make_cgroup(head)
    with Popen(["sleep", "100"], cgroup=cgroup, user=65534, group=65534, extra_groups=[]) as process:
        assert cgroup.processes() == [process.pid]
        assert os.stat(f"/proc/{process.pid}").st_uid == 65534
        process.kill()
    # A parent whose child was another user's can still be looked at: it shares nothing with it.
    assert os.stat("/proc/self").st_uid == os.getuid()


def test_popen_oom_of_the_whole_group_spares_the_parent(
    run_script: Callable[..., str], make_cgroup: MakeCgroup, need: Need
) -> None:
    """With memory.oom.group the kernel also ends whoever shares its memory with one of the group."""
    if Subsystem.find("memory").version != 2:
        pytest.skip("memory is not on v2")
    need("memory")
    cgroup = make_cgroup("memory")
    run_script(
        """
        import signal, subprocess
        cgroup, below = (Hierarchy.find_or_create(sys.argv[1] + name) for name in ("", "/below"))
        fill = "import time\\nx = bytearray(b'x') * (24 << 20)\\nprint(1, flush=True)\\ntime.sleep(1000)"
        Parameters.set(Memory.swap_max, cgroup, 0)
        for of in (below, cgroup):
            for one in (below, cgroup):
                Parameters.set(Memory.oom_group, one, one == of)
            Parameters.set(Memory.limit_in_bytes, cgroup, MAX)
            full = Popen([sys.executable, "-S", "-c", fill], cgroup=below, stdout=subprocess.PIPE)
            assert full.stdout.readline() == b"1\\n"
            Parameters.set(Memory.limit_in_bytes, cgroup, Parameters.get(Memory.usage_in_bytes, cgroup) + (128 << 10))
            for _ in range(20):
                # Its words are more than there is room for.
                Popen(["true", *["x" * 100_000] * 18], cgroup=below).wait()
                if full.poll() is not None:
                    break
            assert full.wait() == -signal.SIGKILL
        """,
        f"memory{cgroup}",
    )


def test_start_without_memory_to_execute_names_the_limit(make_cgroup: MakeCgroup, head: str) -> None:
    cgroup = make_cgroup(head)
    said = Spawned(0, 0, Step.EXECUTE, 0, errno.ENOMEM)
    error = start_errors.explain_start(said, [cgroup], "ls", None)
    assert isinstance(error, CgroupError)
    assert "a memory limit of the cgroup or an ancestor is too small to execute it" in str(error)
