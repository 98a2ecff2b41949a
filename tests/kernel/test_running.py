"""run: a command in fresh cgroups.  What it reports is held against the kernel's other counters, getrusage's."""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from common import MIB, SLOW, Need, needs

import cgroups
from cgroups import (
    Cgroup,
    CgroupNotFound,
    Cpuacct,
    InvalidValue,
    Memory,
    ParameterNotSupported,
    Pids,
    Report,
    Stall,
    Subsystem,
    SubsystemNotAvailable,
)
from cgroups.jobs import measure

PYTHON = sys.executable
TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

Run = Callable[..., Report]


@pytest.fixture
def run(parents: list[Cgroup]) -> Iterator[Run]:
    """``cgroups.run`` below parents of this test's own; none of its cgroups may be left there."""

    def start(*args: str, **keywords: Any) -> Report:
        return cgroups.run(args, **{"parent": parents, **keywords})

    yield start
    assert [str(child) for parent in parents for child in parent.children()] == []


def _alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children_ns() -> int:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((used.ru_utime + used.ru_stime) * 1e9)


BURN = "import time, sys\nend = time.process_time() + float(sys.argv[1])\nwhile time.process_time() < end: pass\n"


# ---- where it runs -----------------------------------------------------------------------


def test_run_starts_in_its_cgroups(run: Run, parents: list[Cgroup]) -> None:
    told = run("cat", "/proc/self/cgroup", capture_output=True)
    assert (told.returncode, told.stderr, told.killed) == (0, b"", 0)
    lines = (told.stdout or b"").decode().splitlines()
    locations = [line.split(":", 2)[2] for line in lines]
    for parent in parents:
        [inside] = [one for one in locations if one.startswith(f"{parent.location}/cgroups-run-{os.getpid()}-")]
        assert inside.count("/") == parent.location.count("/") + 1


def test_run_default_parent_is_the_own_cgroup(run_script: Any, parents: list[Cgroup]) -> None:
    # A script that first moves itself: this process's own cgroups are not the tests'.
    run_script(
        """
        own = [Hierarchy.find_exn(spec) for spec in sys.argv[1:]]
        for one in own:
            one.add_process(os.getpid())
        report = run(["cat", "/proc/self/cgroup"], capture_output=True)
        assert report.returncode == 0 and report.cpu_ns > 0
        measured = {Hierarchy.own(name).hierarchy for name in ("memory", "cpuacct", "blkio", "freezer")
                    if Subsystem.find(name).hierarchy}
        text = report.stdout.decode()
        for one in own:
            if one.hierarchy in measured or one.version == 2:
                assert f"{one.location}/cgroups-run-{os.getpid()}-" in text, (str(one), text)
            # On v2 this process is the only one, and makes room for controllers.
            assert [child.name for child in one.children()] in ([], ["cgroups-caller"])
        assert report.memory_peak > 0
        assert run(["true"], limits={Memory.limit_in_bytes: 2**30}).returncode == 0
        """,
        *map(str, parents),
    )


def test_run_without_rights_measures_and_refuses_limits(run_script: Any, tmp_path: Path) -> None:
    # Where somebody who is not root could write, if it came to that.
    tmp_path.chmod(0o777)
    for above in list(tmp_path.parents)[:2]:
        above.chmod(0o755)
    printed = run_script(
        """
        run(["true"], cpus=1)  # what it imports nobody may not read
        run(["true"], place="none")
        mark = sys.argv[1]
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        error = raises(AccessDenied, lambda: run(["touch", mark], cpus=1))
        assert isinstance(error, PermissionError) and "is owned by" in str(error), str(error)
        assert not os.path.exists(mark)
        report = run(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"])
        assert report.returncode == 0 and report.place == "no cgroup", report
        assert set(report.refused) == {"own", "systemd"}, report.refused
        assert {"cpu_ns", "memory_peak", "read_bytes"} <= set(report.estimated) and report.memory_sampled
        assert report.cpu_ns > 0 and report.memory_peak > 0 and report.page_faults > 0, report
        assert report.cpu_stall is None and "pressure" in report.missing
        print(error.path)
        """,
        str(tmp_path / "mark"),
    )
    assert Path(printed.strip()).is_dir()


def test_run_one_parent_measures_only_its_controllers(parents: list[Cgroup]) -> None:
    for parent in parents:
        told = cgroups.run(["true"], parent=parent)
        assert told.returncode == 0
        assert (told.cpu_ns is None) == (not parent.hierarchy.has("cpuacct"))
        assert ("cpuacct" in told.missing) == (not parent.hierarchy.has("cpuacct"))
        assert (told.memory_peak is None) == (told.oom_kills is None) == ("memory" in told.missing)
        assert (told.cpu_stall is None) == (parent.version == 1) == ("pressure" in told.missing)
        assert parent.children() == []
        # A spec names it too.
        assert cgroups.run(["true"], parent=str(parent)).missing == told.missing


def test_wrong_parents(parents: list[Cgroup]) -> None:
    with pytest.raises(InvalidValue, match="must have one cgroup per hierarchy"):
        cgroups.run(["true"], parent=[parents[0], parents[0]])
    with pytest.raises(InvalidValue, match="must have one cgroup per hierarchy"):
        cgroups.run(["true"], parent=[])
    with pytest.raises(CgroupNotFound):
        cgroups.run(["true"], parent=f"{parents[0]}/nowhere")


# ---- what it used ------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 3])
def test_cpu_time_is_that_of_getrusage(run: Run, processes: int) -> None:
    # What `times` says of an inner shell was all used inside; getrusage also counts what the command used from its
    # birth until it had joined, which where all is emulated is tens of milliseconds.
    burners = "".join(f"{PYTHON} -S -c '{BURN}' 0.2 & " for _ in range(processes))
    before = _children_ns()
    told = run("sh", "-c", 'sh -c "$1"; times', "sh", f"{burners} wait", capture_output=True)
    used = _children_ns() - before
    assert told.returncode == 0
    within = _seconds_ns((told.stdout or b"").decode().splitlines()[1])
    assert processes * 200_000_000 < within + 2 * TICK
    assert within - 2 * TICK <= (told.cpu_ns or 0) <= used + TICK
    assert (told.user_ns or 0) + (told.system_ns or 0) == pytest.approx(told.cpu_ns, abs=3 * TICK)
    assert told.wall_ns * (os.cpu_count() or 1) >= (told.cpu_ns or 0) * 0.95


def _seconds_ns(times: str) -> int:
    """`times` of a shell: "0m0.200000s 0m0.010000s"."""
    return sum(
        int((int(m) * 60 + float(s.rstrip("s"))) * 1e9) for m, _, s in (one.partition("m") for one in times.split())
    )


def test_run_wall_time_is_that_of_the_command(run: Run) -> None:
    before = time.monotonic_ns()
    told = run("sleep", "0.3")
    around = time.monotonic_ns() - before
    assert 300_000_000 <= told.wall_ns <= around
    assert 0 < (told.cpu_ns or 0) < told.wall_ns / 2


BUSY = """
import threading
spec, seconds = sys.argv[1:]

def turn():
    while True:
        pass

for _ in range(16):
    threading.Thread(target=turn, daemon=True).start()
keywords = {} if seconds == "" else {"timeout": float(seconds)}
print(min(run(["sleep", "0.1"], parent=spec, **keywords).wall_ns for _ in range(2)),
      run(["true"], parent=spec, **keywords).wall_ns, flush=True)
os._exit(0)
"""


@needs("native")
@pytest.mark.anywhere
@pytest.mark.parametrize("timeout", ["", "60"])
def test_wall_time_beside_busy_threads_is_the_command_s(run_script: Any, parents: list[Cgroup], timeout: str) -> None:
    # The threads hold the interpreter's lock for 5 ms each in turn.
    slept, short = map(int, run_script(BUSY, str(parents[0]), timeout).split())
    assert 100_000_000 <= slept < 150_000_000 * SLOW
    assert short < 70_000_000 * SLOW


def test_user_and_system_time_are_exact_where_there_is_a_cgroup_of_v2(run: Run, parents: list[Cgroup]) -> None:
    told = run(PYTHON, "-S", "-c", BURN, "0.05")
    assert told.user_ns is not None
    assert told.system_ns is not None
    if any(parent.version == 2 for parent in parents):
        assert told.user_ns + told.system_ns == pytest.approx(told.cpu_ns, abs=2_000_000)
        assert (told.user_ns % TICK, told.system_ns % TICK) != (0, 0)


def test_memory_of_the_whole_tree(run: Run, need: Need) -> None:
    need("memory")
    hold = f"{PYTHON} -S -c 'x = bytearray({40 * MIB}); import time; time.sleep(0.4)' & "
    small = run("sh", "-c", "true")
    told = run("sh", "-c", f"{hold} {hold} wait")
    assert told.memory_sampled is False
    assert 80 * MIB <= (told.memory_peak or 0) <= 120 * MIB
    assert 0 < (small.memory_peak or 0) < 8 * MIB
    assert told.oom_kills == 0


def test_what_the_oom_killer_does(run: Run, need: Need) -> None:
    need("memory")
    args = [PYTHON, "-S", "-c", f"x = bytearray({256 * MIB})"]
    told = run(*args, limits={Memory.limit_in_bytes: 48 * MIB, Memory.memsw_limit_in_bytes: 48 * MIB})
    assert (told.returncode, told.signal, told.exit_code) == (-9, 9, 137)
    assert told.oom_kills == 1
    assert 40 * MIB < (told.memory_peak or 0) <= 48 * MIB
    # One of several, whose parent continues.
    told = run("sh", "-c", f"{PYTHON} -S -c 'x = bytearray({256 * MIB})'; echo $?", limits={"memory.max": 48 * MIB},
               capture_output=True)  # fmt: skip
    assert (told.returncode, told.stdout, told.oom_kills) == (0, b"137\n", 1)


def test_io_is_counted(run: Run, need: Need, tmp_path: Path) -> None:
    need("blkio")
    device = os.stat(tmp_path).st_dev
    if not os.path.exists(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"):
        pytest.skip("the temporary files are on no disk")
    script = "dd if=/dev/zero of=f bs=1M count=4 oflag=direct && dd if=f of=/dev/null bs=1M iflag=direct"
    told = run("sh", "-c", script, cwd=tmp_path, stderr=subprocess.DEVNULL)
    assert told.returncode == 0
    none = run("true")
    if told.read_bytes is None:
        # v1 counts only where there is a throttle, and else nothing is said.
        assert Subsystem.find("blkio").version == 1
        assert (told.written_bytes, told.reads, told.writes) == (None, None, None)
        assert "throttle" in told.missing["blkio"]
        return
    for moved, requests in ((told.read_bytes, told.reads), (told.written_bytes, told.writes)):
        assert 4 * MIB <= (moved or 0) < 6 * MIB
        assert 4 <= (requests or 0) < 4000
    # On v1 the device may have done more meanwhile than was counted: for others, as far as anybody can tell.
    assert (none.written_bytes, none.writes) in [(0, 0)] + [(None, None)] * ("blkio" in none.missing)


def test_io_that_v1_does_not_count_is_unknown(run: Run, parents: list[Cgroup], need: Need) -> None:
    need("blkio")
    places = [place for place in ("/var/tmp", "/tmp", "/root") if _is_on_disk(place)]
    if not places:
        pytest.skip("no place for files is on a disk")
    [parent] = [one for one in parents if one.hierarchy == Subsystem.find("blkio").hierarchy]
    with tempfile.NamedTemporaryFile(dir=places[0], prefix="cgroups-test-") as file:
        file.write(bytes(16 * MIB))
        file.flush()
        os.fsync(file.fileno())
        told = run("dd", f"if={file.name}", "of=/dev/null", "bs=1M", "iflag=direct", stderr=subprocess.DEVNULL)
    assert told.returncode == 0
    # A throttle of somebody else's on another device does not make this one counted.
    if told.read_bytes is None:
        assert parent.version == 1
        assert told.reads is None
        assert "reads of " in told.missing["blkio"]
        assert "throttle" in told.missing["blkio"]
    else:
        assert 16 * MIB <= told.read_bytes < 32 * MIB
        assert (told.reads or 0) >= 16


def _is_on_disk(place: str) -> bool:
    device = os.stat(place).st_dev
    return os.path.exists(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")


def test_pressure_is_in_time_waited(run: Run, parents: list[Cgroup]) -> None:
    unified = [one for one in parents if one.version == 2]
    if not unified or not (Path(unified[0].path or "") / "cpu.pressure").exists():
        told = run("true")
        assert (told.cpu_stall, told.memory_stall, told.io_stall) == (None, None, None)
        return
    busy = (os.cpu_count() or 1) + 2
    told = run("sh", "-c", "".join(f"{PYTHON} -S -c '{BURN}' 0.2 & " for _ in range(busy)) + " wait")
    assert isinstance(told.cpu_stall, Stall)
    assert 10_000_000 < (told.cpu_stall.some_ns or 0) < told.wall_ns * 1.1
    assert (told.cpu_stall.full_ns or 0) <= (told.cpu_stall.some_ns or 0) + 10_000_000
    assert told.memory_stall is not None
    assert told.io_stall is not None


# ---- how it ends -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "returncode", "number", "exit_code"),
    [
        ("exit 0", 0, None, 0),
        ("exit 7", 7, None, 7),
        ("kill -TERM $$", -15, signal.SIGTERM, 143),
        ("kill -KILL $$", -9, 9, 137),
    ],
)
def test_the_status(run: Run, script: str, returncode: int, number: int | None, exit_code: int) -> None:
    told = run("sh", "-c", script)
    assert (told.returncode, told.signal, told.exit_code) == (returncode, number, exit_code)
    assert (told.timed_out, told.killed, told.args) == (False, 0, ("sh", "-c", script))


def test_run_processes_left_behind_are_killed(run: Run) -> None:
    # Of sessions of their own, and deaf to what is polite.
    script = "trap '' TERM HUP INT; setsid sleep 100 & echo $!; (setsid sleep 100 & echo $!); exit 3"
    told = run("sh", "-c", script, capture_output=True)
    pids = [int(word) for word in (told.stdout or b"").split()]
    assert (told.returncode, told.killed, len(pids)) == (3, 2, 2)
    assert told.wall_ns < 5_000_000_000
    assert not any(map(_alive, pids))


def test_run_endless_forks_are_killed(run: Run) -> None:
    # Each process makes the next one and ends: whoever reads a list of them and then kills is too late.
    chain = "import os\nwhile True:\n    if os.fork(): os._exit(0)\n"
    before = time.monotonic()
    told = run("sh", "-c", f"{PYTHON} -S -c '{chain}'; sleep 0.2; exit 5")
    assert told.returncode == 5
    assert told.killed >= 1
    assert time.monotonic() - before < 8


def test_cgroups_that_the_command_makes_go_too(run: Run, parents: list[Cgroup]) -> None:
    # A cpuset of v1 takes nobody in before it has CPUs.
    own = [parent for parent in parents if "cpuset" not in parent.subsystems or parent.version == 2]
    script = "for p; do d=$(echo $p/cgroups-run-*)/a/b; mkdir -p $d; sleep 100 & echo $! > $d/cgroup.procs; done"
    told = run("sh", "-ec", script, "sh", *(parent.path or "" for parent in own), parent=own)
    assert (told.returncode, told.killed) == (0, len(own))


def test_run_frozen_process_is_killed(run: Run, parents: list[Cgroup], need: Need) -> None:
    need("freezer")
    [parent] = [one for one in parents if one.hierarchy == Subsystem.find("freezer").hierarchy]
    file, text = ("freezer.state", "FROZEN") if parent.version == 1 else ("cgroup.freeze", "1")
    script = "d=$(echo $1/cgroups-run-*)/a; mkdir $d; sleep 100 & echo $! > $d/cgroup.procs; echo $2 > $d/$3"
    told = run("sh", "-ec", script, "sh", parent.path or "", text, file)
    assert (told.returncode, told.killed) == (0, 1)


def test_run_timeout_kills_all(run: Run) -> None:
    told = run("sh", "-c", "sleep 100 & sleep 100", timeout=0.3)
    assert (told.timed_out, told.returncode, told.killed) == (True, -9, 3)
    assert 300_000_000 <= told.wall_ns < 1_000_000_000
    told = run("sh", "-c", "exit 4", timeout=60)
    assert (told.timed_out, told.returncode) == (False, 4)


def test_run_timeout_without_pidfd_kills_all(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, flags: int = 0) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert run("sleep", "100", timeout=0.2).timed_out
    assert run("sh", "-c", "exit 4", timeout=60).returncode == 4


def test_interrupts(script: Any, spawn: Any, parents: list[Cgroup]) -> None:
    text = """
    def ready():
        # Once the program runs, and run waits for it.
        inside = lambda: [pid for one in Hierarchy.find_exn(sys.argv[1]).children() for pid in one.processes()]
        while not any(open(f"/proc/{pid}/comm").read().strip() == "sleep" for pid in inside()):
            time.sleep(0.01)
        time.sleep(0.2)
        print("ready", flush=True)
    threading.Thread(target=ready).start()
    try:
        run(["sleep", "100"], parent=sys.argv[1:])
    except KeyboardInterrupt:
        left = [str(one) for spec in sys.argv[1:] for one in Hierarchy.find_exn(spec).children()]
        print("interrupted", left, flush=True)
    """
    child = spawn(*script(text, *map(str, parents)), stdout=subprocess.PIPE, cwd="/")
    assert child.stdout.readline() == b"ready\n"
    # Only to this process: the command does not get the signal, and continues.
    child.send_signal(signal.SIGINT)
    time.sleep(0.6)
    assert child.poll() is None
    assert all(parent.children() for parent in parents)
    child.send_signal(signal.SIGINT)
    assert child.stdout.readline() == b"interrupted []\n"
    assert child.wait(10) == 0


# ---- what is not started -----------------------------------------------------------------

REFUSED: list[tuple[dict[Any, Any], type[Exception], str]] = [
    ({"memory.colour": 1}, InvalidValue, "unknown parameter"),
    ({Memory.usage_in_bytes: 1}, InvalidValue, "parameter must be one that can be set"),
    ({7: 1}, InvalidValue, "parameter must be one that can be set"),
    ({cgroups.Parameters.notify_on_release: True}, InvalidValue, "no controller"),
    ({Memory.limit_in_bytes: "much"}, InvalidValue, "memory.limit_in_bytes"),
    ({Memory.limit_in_bytes: -5}, InvalidValue, "memory.limit_in_bytes"),
]


@pytest.mark.parametrize(("limits", "kind", "words"), REFUSED)
def test_run_invalid_limit_starts_nothing(
    run: Run, tmp_path: Path, need: Need, limits: Any, kind: type[Exception], words: str
) -> None:
    need("memory")
    with pytest.raises(kind, match=words):
        run("touch", str(tmp_path / "mark"), limits=limits)
    assert not (tmp_path / "mark").exists()


def test_run_valid_limit_before_an_invalid_one_is_undone(run: Run, tmp_path: Path, need: Need) -> None:
    need("memory")
    mark = str(tmp_path / "mark")
    with pytest.raises(InvalidValue):
        run("touch", mark, limits={"memory.limit_in_bytes": 64 * MIB, "memory.max": "much"})
    assert not os.path.exists(mark)


def test_a_limit_of_the_other_version(run: Run, tmp_path: Path, need: Need) -> None:
    need("memory")
    other = Memory.swappiness if Subsystem.find("memory").version == 2 else Memory.high
    with pytest.raises(ParameterNotSupported):
        run("touch", str(tmp_path / "mark"), limits={other: 10})
    assert not (tmp_path / "mark").exists()


def test_a_limit_whose_hierarchy_is_not_among_the_parents(parents: list[Cgroup], tmp_path: Path) -> None:
    for parent in parents:
        if not parent.hierarchy.has("memory"):
            with pytest.raises(SubsystemNotAvailable, match="memory"):
                cgroups.run(["touch", str(tmp_path / "mark")], parent=parent, limits={Memory.limit_in_bytes: MIB})
            assert parent.children() == []
    assert not (tmp_path / "mark").exists()


def test_plain_limits_are_set_before_the_command_starts(run: Run, need: Need) -> None:
    for controller in ("memory", "cpu", "pids"):
        need(controller)
    script = """
from cgroups import *
import json
own = {one: Hierarchy.own(one) for one in ("memory", "cpu", "pids")}
quota = Parameters.get(Cpu.max, own["cpu"])
print(json.dumps([Parameters.get(Memory.limit_in_bytes, own["memory"]), quota.quota / quota.period,
                  Parameters.get(Pids.max, own["pids"])]))
"""
    told = run(PYTHON, "-c", script, memory="256M", cpus="150%", pids=77.0, capture_output=True, text=True, cwd="/")
    assert told.returncode == 0, told
    assert isinstance(told.stdout, str)
    assert json.loads(told.stdout) == [256 * MIB, 1.5, 77]


def test_memory_limit_ends_the_whole_job_when_the_kernel_ends_one_process(run: Run, need: Need) -> None:
    need("memory")
    script = f"sleep 1000 & {PYTHON} -S -c 'x = bytearray({256 * MIB})'; sleep 1000"
    told = run("sh", "-c", script, memory=48 * MIB, timeout=60)
    assert (told.returncode, told.ended_by, told.timed_out) == (-9, "oom", False), told
    assert told.oom_kills


def test_run_output_is_text_if_asked_for(run: Run) -> None:
    told = run("sh", "-c", "echo ä; echo b >&2", text=True, capture_output=True)
    assert (told.stdout, told.stderr) == ("ä\n", "b\n")


@pytest.mark.parametrize("given", ["text", b"bytes", "x" * (1 << 20), ""], ids=["text", "bytes", "long", "empty"])
def test_run_input_is_what_the_command_reads(run: Run, given: str | bytes) -> None:
    told = run("cat", input=given, stdout=subprocess.PIPE)
    assert told.stdout == (given.encode() if isinstance(given, str) else given)
    assert run("true", input=given).returncode == 0  # which reads nothing of it
    with pytest.raises(InvalidValue, match="stdin"):
        run("cat", input=given, stdin=subprocess.DEVNULL)


def test_run_check_raises_with_the_report(run: Run) -> None:
    with pytest.raises(subprocess.CalledProcessError) as raised:
        run("sh", "-c", "echo out; exit 3", check=True, capture_output=True)
    error = raised.value
    assert isinstance(error, cgroups.CommandFailed)
    assert (error.returncode, error.stdout, error.report.returncode) == (3, b"out\n", 3)
    assert pickle.loads(pickle.dumps(error)).report == error.report
    assert run("true", check=True).returncode == 0


def test_run_tells_what_ended_the_command(run: Run) -> None:
    assert run("sleep", "1000", timeout=0.2).ended_by == "timeout"
    assert run("sh", "-c", "kill -TERM $$").ended_by == "signal"
    assert run("sh", "-c", "exit 3").ended_by is None


def test_limits_hold(run: Run, need: Need) -> None:
    need("pids")
    script = "(true) && (true)"
    assert run("sh", "-c", script, limits={Pids.max: 5}).returncode == 0
    assert run("sh", "-c", script, limits={"pids.max": 1}, stderr=subprocess.DEVNULL).returncode != 0


def test_a_cpuset(run: Run, parents: list[Cgroup], need: Need) -> None:
    need("cpuset")
    last = max(os.sched_getaffinity(0))
    told = run("grep", "Cpus_allowed_list", "/proc/self/status", limits={"cpuset.cpus": [last]}, capture_output=True)
    assert (told.stdout or b"").split() == [b"Cpus_allowed_list:", str(last).encode()]


def test_run_program_that_cannot_be_executed_raises(
    run: Run, tmp_path: Path, open_descriptors: Callable[[], int]
) -> None:
    run("true")  # the directories of the hierarchies stay open
    before = open_descriptors()
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        run("no-such-program")
    with pytest.raises(PermissionError):
        run(str(tmp_path))
    (tmp_path / "odd").write_text("\x7fELF")
    (tmp_path / "odd").chmod(0o755)
    with pytest.raises(OSError, match="format"):
        run(str(tmp_path / "odd"))
    with pytest.raises(NotADirectoryError):
        run("true", cwd=str(tmp_path / "odd"))
    assert open_descriptors() == before


def test_a_cgroup_that_takes_nobody_in(run: Run, tmp_path: Path, need: Need) -> None:
    """The move is refused after the fork: the program is not started, and the error is the move's own."""
    need("cpuset")
    if Subsystem.find("cpuset").version == 2:
        pytest.skip("cpusets of v2 take everybody in")
    with pytest.raises(cgroups.CgroupOSError, match=r"cpuset\.cpus or cpuset\.mems is empty"):
        run("touch", str(tmp_path / "mark"), limits={"cpuset.cpus": []})
    assert not (tmp_path / "mark").exists()


# ---- samples -----------------------------------------------------------------------------


def test_samples(run: Run, need: Need) -> None:
    need("memory")
    hold = f"import time\nx = bytearray({48 * MIB})\ntime.sleep(0.4)"
    told = run(PYTHON, "-S", "-c", hold, sample=0.02)
    frames = told.samples
    assert 10 <= len(frames) <= told.wall_ns / 20_000_000 + 2
    times = [frame.timestamp_ns for frame in frames]
    assert times == sorted(times)
    # All but the last are at multiples of the interval, or late.
    steps = [one - other for one, other in zip(times[1:-1], times)]
    assert sorted(steps)[len(steps) // 2] == pytest.approx(20_000_000, rel=0.1)
    row = {one.hierarchy: one for one in frames[0].cgroups}
    memory, cpu = (row[Subsystem.find(name).hierarchy] for name in ("memory", "cpuacct"))  # type: ignore[index]
    used = [frame[memory, Memory.usage_in_bytes] for frame in frames]
    assert 48 * MIB <= max(used) <= (told.memory_peak or 0)
    spent = [frame[cpu, Cpuacct.usage] for frame in frames]
    assert spent == sorted(spent)
    assert 0 < spent[-1] <= (told.cpu_ns or 0)


def test_report_sampled_peak_is_marked(run: Run, need: Need, monkeypatch: pytest.MonkeyPatch) -> None:
    need("memory")
    # A kernel without the counter, as v2 before Linux 5.19.
    monkeypatch.setitem(measure._MEASURES, "memory", lambda cgroup: {})
    hold = f"import time\nx = bytearray({48 * MIB})\ntime.sleep(0.3)"
    told = run(PYTHON, "-S", "-c", hold, sample=0.01)
    assert told.memory_sampled is True
    assert 48 * MIB <= (told.memory_peak or 0) <= 80 * MIB
    told = run("true")
    assert (told.memory_peak, told.memory_sampled) == (None, False)
    assert "no memory peak" in told.missing["memory"]


def test_run_short_command_has_a_sample(run: Run) -> None:
    assert len(run("true", sample=10).samples) == 2


# ---- what it takes -----------------------------------------------------------------------


def test_streams_directory_and_environment(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("given\n")
    with open(tmp_path / "in", "rb") as given, open(tmp_path / "out", "wb") as out:
        told = run("sh", "-c", "cat; pwd; echo $X; echo no >&2", stdin=given, stdout=out, stderr=subprocess.PIPE,
                   cwd=tmp_path, env={"X": "y", "PATH": os.environ["PATH"]})  # fmt: skip
    assert (told.stdout, told.stderr) == (None, b"no\n")
    assert (tmp_path / "out").read_text() == f"given\n{tmp_path}\ny\n"


def test_much_output(run: Run) -> None:
    told = run("sh", "-c", "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2", capture_output=True)
    assert (len(told.stdout or b""), len(told.stderr or b"")) == (3_000_000, 2_000_000)


def test_run_several_at_once(run: Run) -> None:
    told: list[Report] = []

    def go(code: int) -> None:
        told.append(run("sh", "-c", f"sleep 0.1; exit {code}"))

    threads = [threading.Thread(target=go, args=(code,)) for code in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.returncode for one in told) == list(range(6))


def test_run_leaves_no_descriptor_or_thread(run: Run, open_descriptors: Callable[[], int]) -> None:
    run("true", sample=0.01, capture_output=True)
    threads, files = threading.active_count(), open_descriptors()
    for _ in range(5):
        run("true", sample=0.01, capture_output=True, timeout=5)
    assert threading.active_count() == threads
    assert open_descriptors() == files


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_run_command_is_reaped(run: Run, monkeypatch: pytest.MonkeyPatch, timeout: float | None) -> None:
    """An interrupt between its end and waitpid's answer would lose its exit status."""
    states = []
    wait4 = os.wait4

    def look(pid: int, flags: int) -> Any:
        states.append(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0])
        return wait4(pid, flags)

    monkeypatch.setattr(os, "wait4", look)
    assert run("sh", "-c", "sleep 0.1; exit 5", timeout=timeout).returncode == 5
    assert set(states) == {"Z"}


def test_run_grace_lets_the_command_end(run: Run) -> None:
    script = "trap 'echo ended; exit 3' TERM; echo begun; while true; do sleep 0.05; done"
    told = run("sh", "-c", script, timeout=0.5, grace=20, capture_output=True)
    assert (told.timed_out, told.returncode, told.stdout) == (True, 3, b"begun\nended\n")
    assert told.wall_ns >= 500_000_000


def test_run_grace_that_passes_kills(run: Run) -> None:
    began = time.monotonic()
    told = run("sh", "-c", "trap '' TERM; while true; do sleep 0.05; done", timeout=0.2, grace=0.3)
    assert (told.timed_out, told.returncode) == (True, -signal.SIGKILL)
    assert 0.5 <= time.monotonic() - began < 30


@pytest.mark.anywhere
@pytest.mark.parametrize("timeout", ["None", "60"])
def test_where_children_are_not_waited_for(timeout: str, parents: list[Cgroup], run_script: Callable[..., str]) -> None:
    """SIGCHLD ignored, which is inherited: how it ended is not known, which is no success."""
    run_script(
        """
        import signal
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        import warnings
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            report = run(["sleep", "0.1"], parent=sys.argv[2:], timeout=eval(sys.argv[1]))
        assert any("exit status" in str(one.message) for one in seen), seen
        assert (report.returncode, report.timed_out) == (255, False), report
        assert report.wall_ns >= 1e8, report
        """,
        timeout,
        *map(str, parents),
    )
