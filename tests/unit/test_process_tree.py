"""Process trees without cgroups: real processes, and a /proc of files for what real processes rarely show."""

from __future__ import annotations

import errno
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cgroups import AccessDenied, CgroupOSError, CgroupTimeout
from cgroups.core import procfs
from cgroups.jobs import process_tree
from cgroups.jobs.process_tree import ProcessTree

TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


# ---- real processes ---------------------------------------------------------------------


class Root(subprocess.Popen[bytes]):
    """A program of Python in a session of its own; the test exchanges lines with the program."""

    def __init__(self, code: str) -> None:
        command = [sys.executable, "-ISc", f"import os, sys, time\n{code}"]
        pipe = subprocess.PIPE
        super().__init__(command, stdin=pipe, stdout=pipe, bufsize=0, start_new_session=True)

    def hear(self) -> str:
        assert self.stdout is not None
        # Unbuffered: select(2) sees all that is not read.
        assert select.select([self.stdout], [], [], 60)[0], "the program says nothing"
        line = self.stdout.readline().decode().strip()
        assert line
        return line

    def tell(self) -> None:
        assert self.stdin is not None
        self.stdin.write(b"\n")

    def reap(self) -> resource.struct_rusage:
        _, self.returncode, rusage = os.wait4(self.pid, 0)
        return rusage


def _live_in_session(session: int) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in (b"Z", b"X"):
            found.append(int(name))
    return found


@pytest.fixture
def start() -> Iterator[Callable[[str], Root]]:
    """Starts programs; all that is left in their sessions is killed after the test."""
    started: list[Root] = []

    def begin(code: str) -> Root:
        started.append(Root(code))
        return started[-1]

    yield begin
    for one in started:
        # The root is a zombie at most: its number is still that of its session.
        while one.returncode is None and (left := _live_in_session(one.pid)):
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.001)
        if one.returncode is None:
            one.reap()
        for pipe in (one.stdin, one.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture(params=["children", "scan"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernel's lists of children, and without."""
    if request.param == "scan":
        monkeypatch.setattr(procfs.Procfs, "has_children_files", lambda *_: False)


BURN = "def burn():\n    until = time.process_time() + 0.15\n    while time.process_time() < until: pass\n"

WAITED = f"""{BURN}
if os.fork() == 0:
    if os.fork() == 0:
        burn(); os._exit(0)
    os.wait(); os._exit(0)
os.wait()
"""

ORPHAN = f"""{BURN}
if os.fork() == 0:
    if os.fork() == 0:
        burn(); print(os.getpid(), flush=True); time.sleep(1000)
    sys.stdin.readline(); os._exit(0)
os.wait()
print("waited", flush=True)
"""


@pytest.mark.usefixtures("_way")
def test_usage_of_waited_descendants_counts_their_cpu_once(start: Callable[[str], Root]) -> None:
    root = start(WAITED)
    with ProcessTree(root.pid) as tree:
        os.waitid(os.P_PID, root.pid, os.WEXITED | os.WNOWAIT)
        assert tree.kill() == 0
    rusage = root.reap()
    usage = tree.usage(rusage)
    assert usage.user_ns == round(rusage.ru_utime * 1e9)
    assert usage.system_ns == round(rusage.ru_stime * 1e9)
    assert usage.cpu_ns is not None
    assert usage.cpu_ns >= 150_000_000
    assert usage.minor_faults == rusage.ru_minflt
    assert usage.voluntary_switches == rusage.ru_nvcsw
    assert not usage.is_partial


@pytest.mark.usefixtures("_way")
def test_kill_orphan_seen_before_is_killed_and_measured(start: Callable[[str], Root]) -> None:
    root = start(ORPHAN)
    tree = ProcessTree(root.pid)
    orphan = int(root.hear())
    tree.sample()
    assert len(tree.pids) == 3
    root.tell()
    assert root.hear() == "waited"
    os.waitid(os.P_PID, root.pid, os.WEXITED | os.WNOWAIT)
    tree.sample()
    assert tree.pids == [orphan]
    assert tree.kill() == 1
    assert orphan not in _live_in_session(root.pid)
    rusage = root.reap()
    usage = tree.usage(rusage)
    assert usage.cpu_ns is not None
    # The clock of burn() and clock ticks differ by a tick each.
    assert usage.cpu_ns - (rusage.ru_utime + rusage.ru_stime) * 1e9 >= 150_000_000 - 3 * TICK_NS
    assert usage.processes_peak == 3
    assert tree.kill() == 0


@pytest.mark.usefixtures("_way")
def test_memory_peak_of_freed_memory_is_kept(start: Callable[[str], Root]) -> None:
    code = "if os.fork():\n    os.wait()\nelse:\n"
    code += "    block = bytearray(50 << 20); print('full', flush=True); sys.stdin.readline()\n"
    code += "    del block; print('empty', flush=True); sys.stdin.readline()"
    root = start(code)
    tree = ProcessTree(root.pid)
    assert root.hear() == "full"
    tree.sample()
    root.tell()
    assert root.hear() == "empty"
    tree.sample()
    usage = tree.usage(None)
    assert usage.memory_peak is not None
    assert 50 << 20 <= usage.memory_peak < 100 << 20
    assert tree._tree is not None
    # The sanitizer of addresses keeps what is freed.
    now = sum(process.memory for process in tree._tree.known.values())
    assert now < 50 << 20 or "asan" in os.environ.get("LD_PRELOAD", "")
    assert (usage.swap_peak is not None, usage.samples) == (True, 2)


@pytest.mark.usefixtures("_way")
def test_kill_fork_chain_leaves_no_process(start: Callable[[str], Root]) -> None:
    code = "print('go', flush=True)\nfor _ in range(1000):\n    if os.fork(): time.sleep(1000)\n    time.sleep(0.003)\n"
    root = start(code + "time.sleep(1000)")
    with ProcessTree(root.pid) as tree:
        root.hear()
        while len(tree.pids) < 4:
            time.sleep(0.001)
        assert tree.kill() >= 4
        assert _live_in_session(root.pid) == []


def test_kill_orphan_of_a_subreaper_root_is_killed(start: Callable[[str], Root]) -> None:
    code = "import ctypes; ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER\n"
    code += "if os.fork() == 0:\n    if os.fork() == 0: time.sleep(1000)\n    os._exit(0)\n"
    root = start(code + "os.wait()\nprint('go', flush=True)\nsys.stdin.readline()")
    root.hear()
    tree = ProcessTree(root.pid)
    assert tree.kill() == 2
    assert _live_in_session(root.pid) == []


def test_signal_reaches_each_live_process_once(start: Callable[[str], Root]) -> None:
    code = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\nos.fork()\n"
    code += "while True: signal.sigwait([signal.SIGUSR1]); print(os.getpid(), flush=True)"
    root = start(code)
    with ProcessTree(root.pid) as tree:
        # The signals are blocked, and so wait for a process that has just been forked.
        while len(tree.pids) < 2:
            time.sleep(0.001)
        assert tree.signal(signal.SIGUSR1) == 2
        assert {int(root.hear()), int(root.hear())} == set(tree.pids)
        assert tree.kill() == 2


@pytest.mark.usefixtures("_way")
def test_sample_name_with_parentheses_and_newline_is_read(start: Callable[[str], Root]) -> None:
    name = ") R 1 (\\n) 2"
    root = start(f"open('/proc/self/comm', 'w').write('{name}')\nos.fork()\nprint('go', flush=True)\ntime.sleep(1000)")
    root.hear()
    root.hear()
    tree = ProcessTree(root.pid)
    tree.sample()
    assert len(tree.pids) == 2
    assert tree.kill() == 2


def test_signal_pid_reused_after_the_sample_is_spared(
    start: Callable[[str], Root], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = start("print('go', flush=True)\ntime.sleep(1000)")
    root.hear()
    tree = ProcessTree(root.pid)
    opened, read = [], procfs.Procfs.stat

    def open_process(pid: int) -> int:
        opened.append(pid)
        return os.pidfd_open(pid)

    def stat(self: procfs.Procfs, pid: int) -> procfs.Stat | None:
        found = read(self, pid)
        return found._replace(start=found.start + 1) if found and opened else found

    def send_signal(*_: Any) -> None:
        raise AssertionError("a signal was sent")

    monkeypatch.setattr(process_tree, "open_process", open_process)
    monkeypatch.setattr(procfs.Procfs, "stat", stat)
    monkeypatch.setattr(process_tree, "send_signal", send_signal)
    assert tree.signal(signal.SIGKILL) == 0
    assert opened == [root.pid]
    assert tree.kill() == 0
    assert root.poll() is None


def test_kill_process_that_stays_raises_timeout(start: Callable[[str], Root], monkeypatch: pytest.MonkeyPatch) -> None:
    root = start("time.sleep(1000)")
    tree = ProcessTree(root.pid)
    monkeypatch.setattr(process_tree, "send_signal", lambda *_: None)
    with pytest.raises(CgroupTimeout, match=rf"\[{root.pid}\] are left: timed out after 0\.05 s"):
        tree.kill(0.05)


def test_kill_process_of_another_user_raises_access_denied(
    start: Callable[[str], Root], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = start("time.sleep(1000)")
    tree = ProcessTree(root.pid)

    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(process_tree, "send_signal", refuse)
    for act in (tree.kill, lambda: tree.signal(signal.SIGTERM)):
        with pytest.raises(AccessDenied, match=rf"not permitted for \[{root.pid}\]"):
            act()


def test_kill_without_pidfds_kills_by_pid(start: Callable[[str], Root], monkeypatch: pytest.MonkeyPatch) -> None:
    root = start("os.fork(); print('go', flush=True); time.sleep(1000)")
    root.hear()
    root.hear()
    monkeypatch.setattr(process_tree, "open_process", lambda _: -1)
    assert ProcessTree(root.pid).kill() == 2
    assert _live_in_session(root.pid) == []


@pytest.mark.parametrize("kind", ["missing", "foreign"])
def test_tree_without_usable_proc_has_rusage_and_kills_the_root(
    start: Callable[[str], Root], kind: str, tmp_path: Path
) -> None:
    if kind == "foreign":  # of another pid namespace
        (tmp_path / "self").symlink_to("1")
    root = start("time.sleep(1000)")
    with ProcessTree(root.pid, str(tmp_path)) as tree:
        assert tree.pids == [root.pid]
        assert tree.usage(None) == (*(None,) * 10, 0, True)
        assert tree.kill() == 1
    rusage = root.reap()
    assert tree.pids == []
    assert tree.kill() == 0
    usage = tree.usage(rusage)
    assert usage.user_ns == round(rusage.ru_utime * 1e9)
    assert usage.major_faults == rusage.ru_majflt
    assert (usage.memory_peak, usage.swap_peak, usage.processes_peak, usage.is_partial) == (None, None, None, True)


def test_close_twice_ends_the_thread(start: Callable[[str], Root]) -> None:
    root = start("time.sleep(1000)")
    tree = ProcessTree(root.pid)
    tree.close()
    tree.start()
    assert tree._thread is not None
    tree.close()
    tree.close()
    assert not tree._thread.is_alive()


# ---- a /proc of files -------------------------------------------------------------------


class FakeProc:
    """Files in the form of proc(5); the root of the tree is process 10."""

    def __init__(self, path: Path, *, with_children_files: bool) -> None:
        self.path = path
        self._with_children_files = with_children_files
        path.mkdir()
        (path / "self").symlink_to(str(os.getpid()))
        self.put(10, os.getpid())

    def put(
        self, pid: int, parent: int, *, name: bytes = b"sh", state: str = "S", threads: int = 1, start: int = 100,
        counts: tuple[int, ...] = (0,) * 8, status: str = "",
    ) -> None:  # fmt: skip
        """``counts``: minor, their children's, major, their children's, then user, system, and both of children."""
        directory = self.path / str(pid)
        (directory / f"task/{pid}").mkdir(parents=True, exist_ok=True)
        head = b"%d (%s) %s %d 1 1 0 -1 4194560 " % (pid, name, state.encode(), parent)
        tail = f"{' '.join(map(str, counts))} 20 0 {threads} 0 {start + pid} 1000 10 18446744073709551615\n"
        (directory / "stat").write_bytes(head + tail.encode())
        (directory / "status").write_text(f"Name:\tsh\n{status}")
        if self._with_children_files:
            (directory / f"task/{pid}/children").touch()
            siblings = self.path / f"{parent}/task/{parent}/children"
            if siblings.exists():
                siblings.write_text(f"{siblings.read_text()}{pid} ")

    def remove(self, pid: int) -> None:
        """Remove a process; the lists of children still name it, as when it has exited since."""
        shutil.rmtree(self.path / str(pid))

    def tree(self) -> ProcessTree:
        return ProcessTree(10, str(self.path))


@pytest.fixture(params=[True, False], ids=["children", "scan"])
def fake(request: pytest.FixtureRequest, tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc", with_children_files=request.param)


@pytest.mark.parametrize("name", [b"", b")", b"((", b") R 1 2 3 4 (", b"a\nb) Z 1\n", b"\xff\x00"])
def test_sample_odd_name_finds_its_children(fake: FakeProc, name: bytes) -> None:
    fake.put(11, 10, name=name)
    fake.put(12, 11, name=name)
    fake.put(13, 1)
    tree = fake.tree()
    tree.sample()
    assert tree.pids == [10, 11, 12]


@pytest.mark.parametrize("text", [b"", b"11", b"11 (sh) S", b"11 (sh) S ten 1 1", b"\n"])
def test_sample_odd_stat_is_left_out(fake: FakeProc, text: bytes) -> None:
    fake.put(11, 10)
    (fake.path / "11/stat").write_bytes(text)
    tree = fake.tree()
    tree.sample()
    assert tree.pids == [10]


STATUS = (
    "VmRSS:\t900 kB\nRssAnon:\t100 kB\nRssFile:\t700 kB\nRssShmem:\t20 kB\nVmSwap:\t3 kB\nSigIgn:\t0000000000000000\n"
)
STATUS += "voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t6\n"


def test_usage_sums_the_fields_of_live_processes(fake: FakeProc) -> None:
    fake.put(11, 10, status=STATUS, counts=(1, 2, 3, 4, 50, 60, 7, 8))
    fake.put(12, 11, status="VmRSS:\t40 kB\n")  # the form of gVisor
    fake.put(13, 10, state="Z", counts=(0, 0, 0, 0, 1, 0, 0, 0))
    tree = fake.tree()
    tree.sample()
    assert tree.pids == [10, 11, 12]
    usage = tree.usage(None)
    assert (usage.user_ns, usage.system_ns) == (58 * TICK_NS, 68 * TICK_NS)
    assert (usage.minor_faults, usage.major_faults) == (3, 7)
    assert (usage.voluntary_switches, usage.involuntary_switches) == (5, 6)
    assert (usage.memory_peak, usage.swap_peak, usage.processes_peak) == (160 << 10, 3 << 10, 3)


@pytest.mark.parametrize(
    ("parent", "status", "ticks"),
    [
        (10, STATUS, 0),  # the root, whose rusage has the time
        (1, STATUS, 100),  # an orphan
        (10, STATUS.replace("SigIgn:\t0000000000000000", "SigIgn:\t0000000000010000"), 100),  # SIGCHLD is ignored
    ],
)
def test_usage_exited_process_counts_unless_waited_for(fake: FakeProc, parent: int, status: str, ticks: int) -> None:
    fake.put(11, 10, counts=(0, 0, 0, 0, 60, 40, 0, 0))
    tree = fake.tree()
    tree.sample()
    fake.put(10, os.getpid(), status=status)
    fake.put(11, parent, counts=(0, 0, 0, 0, 60, 40, 0, 0))
    tree.sample()
    fake.remove(11)
    tree.sample()
    rusage = resource.struct_rusage((0,) * 16)
    assert tree.usage(rusage).cpu_ns == ticks * TICK_NS


def test_usage_branch_that_exits_as_a_whole_is_waited_for(fake: FakeProc) -> None:
    fake.put(11, 10, counts=(0, 0, 0, 0, 60, 40, 0, 0))
    fake.put(12, 11, counts=(0, 0, 0, 0, 60, 40, 0, 0))
    tree = fake.tree()
    tree.sample()
    fake.remove(11)
    fake.remove(12)
    tree.sample()
    assert tree.usage(resource.struct_rusage((0,) * 16)).cpu_ns == 0


@pytest.mark.parametrize("missing", ["stat", "status", "task"])
def test_sample_files_that_vanish_raise_nothing(fake: FakeProc, missing: str) -> None:
    fake.put(11, 10)
    fake.put(12, 11)
    tree = fake.tree()
    path = fake.path / "11" / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    tree.sample()
    tree.sample()
    assert 10 in tree.pids
    fake.remove(10)
    fake.remove(12)
    tree.sample()
    assert 10 not in tree.pids


def test_sample_unreadable_process_is_partial(fake: FakeProc) -> None:
    fake.put(11, 10)
    tree = fake.tree()
    tree.sample()
    assert not tree.usage(None).is_partial
    (fake.path / "11/stat").unlink()  # as hidepid hides it; the directory is there
    tree.sample()
    assert tree.usage(None).is_partial


def test_sample_reused_pid_is_another_process(fake: FakeProc) -> None:
    fake.put(11, 10)
    tree = fake.tree()
    tree.sample()
    fake.remove(11)
    fake.put(11, 1, start=500)
    fake.put(12, 11)
    tree.sample()
    assert tree.pids == [10]


def test_sample_main_thread_that_exited_first_is_live(fake: FakeProc) -> None:
    fake.put(11, 10, state="Z", threads=2)
    tree = fake.tree()
    tree.sample()
    assert tree.pids == [10, 11]


def test_sample_many_processes_is_cut_and_goes_on(fake: FakeProc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_tree, "MOST_FILES", 20)
    for pid in range(11, 41):
        fake.put(pid, 10 if pid < 30 else 29, status=STATUS)
    tree = fake.tree()
    reads: list[int] = []
    read = procfs.Procfs.status
    monkeypatch.setattr(procfs.Procfs, "status", lambda self, pid: reads.append(pid) or read(self, pid))
    tree.sample()
    assert len(reads) <= 10
    for _ in range(30):
        tree.sample()
    usage = tree.usage(None)
    assert usage.is_partial
    assert usage.processes_peak == 31
    assert usage.memory_peak == 30 * 120 << 10


def test_scan_parent_missed_once_is_found_by_the_next(tmp_path: Path) -> None:
    fake = FakeProc(tmp_path / "proc", with_children_files=False)
    fake.put(12, 11)
    tree = fake.tree()
    tree.sample()
    fake.put(11, 10)
    tree.sample()
    assert tree.pids == [10, 11, 12]


def test_scan_strangers_are_read_twice_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeProc(tmp_path / "proc", with_children_files=False)
    for pid in range(20, 30):
        fake.put(pid, 1)
    tree = fake.tree()
    tree.sample()
    tree.sample()
    reads: list[int] = []
    read = procfs.Procfs.stat
    monkeypatch.setattr(procfs.Procfs, "stat", lambda self, pid: reads.append(pid) or read(self, pid))
    tree.sample()
    assert reads == [10]


def test_sample_without_descriptors_raises_and_keeps_the_tree(fake: FakeProc, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.put(11, 10)
    tree = fake.tree()
    tree.sample()

    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(errno.EMFILE, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(CgroupOSError):
            tree.sample()
    tree.sample()
    assert tree.pids == [10, 11]
