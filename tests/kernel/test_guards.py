"""Guards: a signal, or a call, when a cgroup exceeds an amount, on whichever version its controller is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from common import MIB, OWN_HOST, MakeCgroup, Spawn
from conftest import usable
from test_delegation import OWNER, USER
from test_events import SOON, UNIFIED, inside, python_inside, where

from cgroups import (
    Blkio,
    Cgroup,
    CgroupGone,
    Core,
    Cpu,
    Cpuacct,
    Device,
    Event,
    Group,
    Guard,
    Hierarchy,
    InvalidValue,
    Io,
    Memory,
    Parameters,
    Pids,
    SubsystemNotAttached,
)

BUSY = "while :; do :; done"


def ended_by(child: subprocess.Popen[bytes]) -> int:
    return -child.wait(SOON)


# ---- what is exceeded --------------------------------------------------------------------------


@where(usable("memory"))
def test_memory(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("memory")
    with Guard(cgroup, Memory.usage_in_bytes, above=24 * MIB) as guard:
        assert guard.source == ("kernel" if cgroup.version == 1 else "sampled")
        assert guard.fired is None
        child = spawn(*python_inside(cgroup, f"memory = bytearray({48 * MIB})\nimport time\ntime.sleep(1000)"))
        assert ended_by(child) == signal.SIGTERM
        fired = guard.wait(SOON)
        assert fired is not None
        assert fired == guard.fired
        assert (fired.what, fired.cgroup, fired.source) == ("above", cgroup, guard.source)
        assert fired.after > 24 * MIB


@where(usable("memory"))
def test_memory_that_is_not_exceeded(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("memory")
    child = spawn("sleep", "1000")
    cgroup.add_process(child.pid)
    with Guard(cgroup, Memory.usage_in_bytes, above=1 << 40, interval=0.01) as guard:
        assert guard.wait(0.5) is None
    assert guard.fired is None
    assert child.poll() is None


@pytest.mark.parametrize("limit", [{"above": 300_000_000}, {"rate_above": 300_000_000}], ids=["time", "rate"])
def test_cpu_time(limit: dict[str, float], make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("cpuacct")
    with Guard(cgroup, Cpuacct.usage, **limit, interval=0.2) as guard:
        assert guard.source == "sampled"
        child = spawn(*inside(cgroup, BUSY))
        assert ended_by(child) == signal.SIGTERM
        assert guard.fired is not None
        assert guard.fired.what == next(iter(limit))


BUSY_THREADS = """
import sys, threading, time
from cgroups import Cpuacct, Events, Hierarchy, Threshold

def spin():
    while True:
        pass

for _ in range(16):
    threading.Thread(target=spin, daemon=True).start()
cgroup = Hierarchy.find_exn(sys.argv[1])
threshold = Threshold(Cpuacct.usage, rate_above=300_000_000, interval=0.1)
with Events(cgroup, threshold, timeout=20) as events:
    print([event.after for event in events])
"""

LOAD = """
import time
while True:
    end = time.process_time() + 0.0015
    while time.process_time() < end:
        pass
    time.sleep(0.0085)
"""


@pytest.mark.anywhere
def test_rate_beside_busy_threads_is_never_too_high(make_ready: MakeCgroup, spawn: Spawn) -> None:
    """A load of 0.15 CPUs, watched by a program whose threads all want the interpreter's lock."""
    cgroup = make_ready("cpuacct")
    spawn(*python_inside(cgroup, LOAD))
    done = subprocess.run(
        [sys.executable, "-c", BUSY_THREADS, str(cgroup)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), (done.stdout, done.stderr)


@where(usable("pids"))
def test_processes_below_too(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("pids")
    below = Hierarchy.find_or_create(f"pids:{cgroup.location}/below")
    with Guard(cgroup, Pids.current, above=2, action=signal.SIGKILL, interval=0.02):
        children = [spawn("sleep", "1000") for _ in range(3)]
        for child in children:
            below.add_process(child.pid)
        assert [ended_by(child) for child in children] == [signal.SIGKILL] * 3


@where(UNIFIED)
def test_pressure(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_cgroup("")
    with Guard(cgroup, Cpu.pressure["some", "avg10"], above=1.0) as guard:
        children = [spawn(*inside(cgroup, BUSY)) for _ in range(2 * (os.cpu_count() or 1) + 1)]
        assert {ended_by(child) for child in children} == {signal.SIGTERM}
        assert guard.fired is not None
        assert guard.fired.source == "sampled"


@where(OWN_HOST and usable("blkio"))
def test_bytes_written(make_ready: MakeCgroup, spawn: Spawn, tmp_path: Any) -> None:
    """A number that a function makes of what can be read: here of all devices together."""
    cgroup = make_ready("blkio")
    if cgroup.version == 1:
        # Linux 6.1 counts on v1 only while there is a throttle.
        device = Device(os.major(tmp_path.stat().st_dev), os.minor(tmp_path.stat().st_dev))
        Parameters.set(Blkio.throttle_write_bps_device, cgroup, {device: 1 << 40})

    def written(target: Cgroup) -> int:
        table: Any = Parameters.get(Blkio.throttle_io_service_bytes if target.version == 1 else Io.stat, target)
        return sum(row["Write" if target.version == 1 else "wbytes"] for row in table.values() if row)

    with Guard(cgroup, written, above=MIB) as guard:
        file = tmp_path / "written"
        child = spawn(*inside(cgroup, f"while dd if=/dev/zero of={file} bs=1M count=1 oflag=direct; do :; done"))
        assert ended_by(child) == signal.SIGTERM
        assert guard.fired is not None
        assert guard.fired.after > MIB
        assert (guard.fired.file, guard.fired.source) == ("written", "sampled")


@where(usable("pids"))
def test_what_is_below(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("pids")
    child = spawn("sleep", "1000")
    cgroup.add_process(child.pid)
    with Guard(cgroup, Pids.current, below=1, action=lambda _: None, interval=0.02) as guard:
        assert guard.wait(0.3) is None
        child.kill()
        child.wait()
        fired = guard.wait(SOON)
        assert fired is not None
        assert (fired.what, fired.after) == ("below", 0)


# ---- what follows -------------------------------------------------------------------------------


@where(usable("pids"))
def test_guard_kills_after_the_grace(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("pids")
    child = spawn("/bin/sh", "-c", "trap : TERM; echo; while :; do sleep 0.05; done", stdout=subprocess.PIPE)
    assert child.stdout.readline()
    cgroup.add_process(child.pid)
    before = time.monotonic()
    with Guard(cgroup, Pids.current, above=0, grace=0.5):
        assert ended_by(child) == signal.SIGKILL
    assert time.monotonic() - before >= 0.5


@where(usable("pids"))
def test_guard_process_that_ends_within_the_grace_is_not_killed(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("pids")
    program = "trap 'exit 7' TERM; echo; while :; do sleep 0.05; done"
    child = spawn("/bin/sh", "-c", program, stdout=subprocess.PIPE)
    assert child.stdout.readline()
    cgroup.add_process(child.pid)
    guard = Guard(cgroup, Pids.current, above=0, grace=600).start()
    assert child.wait(SOON) == 7
    # Its thread does not wait for the rest of the grace.
    guard._thread.join(SOON)
    assert not guard._thread.is_alive()
    guard.close()


@where(usable("pids"))
def test_guard_closed_kills_no_more(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("pids")
    child = spawn("/bin/sh", "-c", "trap : TERM; echo; while :; do sleep 0.05; done", stdout=subprocess.PIPE)
    assert child.stdout.readline()
    cgroup.add_process(child.pid)
    with Guard(cgroup, Pids.current, above=0, grace=1) as guard:
        assert guard.wait(SOON) is not None
    time.sleep(1.5)
    assert child.poll() is None


@where(usable("pids"))
def test_guard_function_is_called_once(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("pids")
    seen: list[Event] = []
    with Guard(cgroup, Pids.current, above=0, action=seen.append, interval=0.01) as guard:
        for _ in range(2):
            child = spawn("sleep", "1000")
            cgroup.add_process(child.pid)
            assert guard.wait(SOON) is not None
            time.sleep(0.1)
            child.kill()
            child.wait()
            time.sleep(0.1)
    assert seen == [guard.fired]


@where(usable("pids"))
def test_guard_function_that_raises_raises(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("pids")
    child = spawn("sleep", "1000")
    cgroup.add_process(child.pid)

    def fail(_: Event) -> None:
        raise ZeroDivisionError

    guard = Guard(cgroup, Pids.current, above=0, action=fail)
    with pytest.raises(ZeroDivisionError), guard:
        assert guard.wait(SOON) is not None
    assert isinstance(guard.error, ZeroDivisionError)
    guard.close()
    # That of the block is the one that is seen.
    with pytest.raises(KeyError), Guard(cgroup, Pids.current, above=0, action=fail) as other:
        assert other.wait(SOON) is not None
        raise KeyError
    assert isinstance(other.error, ZeroDivisionError) or other.error is None


# ---- of what ----------------------------------------------------------------------------------------


@where(usable("pids"))
def test_a_group(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroups = {cgroup.hierarchy: cgroup for cgroup in (make_ready("pids"), make_ready("cpuacct"))}
    group = Group.of(cgroups.values())
    child = spawn("/bin/sh", "-c", BUSY)
    group.add_process(child.pid)
    with Guard(group, Cpuacct.usage, above=100_000_000) as guard:
        assert ended_by(child) == signal.SIGTERM
        assert guard.fired is not None
        assert guard.fired.cgroup == group.cgroup_of("cpuacct")


def test_a_target_that_goes(head: str, make_ready: MakeCgroup) -> None:
    cgroup = make_ready(head)
    with Guard(cgroup, lambda _: 0.0, above=1) as guard:
        cgroup.remove()
        # It cannot fire any more: nobody waits without a limit.
        assert guard.wait(SOON) is None
        guard._thread.join(SOON)
        assert not guard._thread.is_alive()


def test_guard_invalid_target_is_refused(head: str, make_ready: MakeCgroup) -> None:
    cgroup = make_ready(head)
    if not cgroup.hierarchy.has("memory"):
        with pytest.raises(SubsystemNotAttached), Guard(cgroup, Memory.usage_in_bytes, above=1):
            pass
    with pytest.raises(CgroupGone), Guard(cgroup.child("nonesuch"), Cpuacct.usage, above=1):
        pass
    with pytest.raises(InvalidValue, match="must be one number"), Guard(cgroup, Core.procs, above=1):
        pass
    guard = Guard(cgroup, lambda _: 0, above=1)
    assert guard.source is None
    with guard, pytest.raises(ValueError, match=r"start\(\) was already called"):
        guard.start()


def test_nothing_is_left(head: str, make_ready: MakeCgroup, open_descriptors: Callable[[], int]) -> None:
    cgroup = make_ready(head)
    for _ in range(2):
        before, threads = open_descriptors(), threading.active_count()
        with Guard(cgroup, lambda _: 0.0, above=1):
            assert threading.active_count() == threads + 1
    assert open_descriptors() == before
    assert threading.active_count() == threads


# ---- without root -------------------------------------------------------------------------------------


def test_guard_of_an_owner_signals_its_processes(
    head: str, make_ready: MakeCgroup, run_script: Callable[..., str]
) -> None:
    cgroup = make_ready(head)
    run_script(
        OWNER
        + """
import signal, subprocess
made = top.make_sub("made")
child = subprocess.Popen(["sleep", "1000"])
made.add_process(child.pid)
with Guard(made, lambda target: len(target.processes()), above=0, interval=0.05) as guard:
    assert child.wait(60) == -signal.SIGTERM
made.wait_empty(30)
made.remove()
""",
        *(cgroup.hierarchy.spec_head if head else "", cgroup.location, str(USER)),
    )


def test_guard_of_an_owner_signals_no_others(
    head: str, make_ready: MakeCgroup, run_script: Callable[..., str], spawn: Spawn
) -> None:
    """The guard raises when it is closed; the process of another user continues."""
    cgroup = make_ready(head)
    child = spawn("sleep", "1000")
    cgroup.add_process(child.pid)
    run_script(
        """
        os.setgroups([])
        os.setgid(int(sys.argv[2]))
        os.setuid(int(sys.argv[2]))
        cgroup = Hierarchy.find_exn(sys.argv[1])
        guard = Guard(cgroup, lambda target: len(target.processes()), above=0).start()
        assert guard.wait(60) is not None
        deadline = time.monotonic() + 60
        while guard.error is None and time.monotonic() < deadline:
            time.sleep(0.01)
        error = raises(AccessDenied, guard.close)
        assert error is guard.error and error.errno == errno.EPERM, error
        """,
        *(str(cgroup), str(USER)),
    )
    assert child.poll() is None
