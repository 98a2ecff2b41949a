"""Recording on the real kernel: ticks that are kept, whatever the interpreter does, and how it ends."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from common import MakeCgroup, needs

from cgroups import Cell, Cpuacct, InvalidValue, NativeRequired, Recorder, Sampler, rates

TICK = 0.02
NATIVE = needs("native")
THREADS = Path("/proc/self/task")


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def threads() -> int:
    return len(list(THREADS.iterdir()))


@pytest.fixture
def sampler(make_cgroup: MakeCgroup) -> Sampler:
    top = make_cgroup("cpuacct")
    return Sampler([top.make_sub(str(number)) for number in range(3)], [Cpuacct.usage])


# ---- ticks ---------------------------------------------------------------------------------------


@NATIVE
def test_recorder_blocked_interpreter_loses_no_tick(sampler: Sampler) -> None:
    """Three times at most: a machine that stands still itself loses some now and then, and the lock would each time."""
    for last in (False, False, True):
        try:
            stand_still(sampler)
        except AssertionError:
            if last:
                raise
        else:
            return


def stand_still(sampler: Sampler) -> None:
    with sampler.record(TICK, capacity=1000) as recorder:
        until(lambda: recorder.ticks)
        before = recorder.ticks
        ctypes.PyDLL(None).usleep(1_000_000)  # a call of C that keeps the interpreter's lock
        assert recorder.ticks - before >= 1 / TICK - 1
        assert (recorder.missed, recorder.overruns) == (0, 0)
        times = recorder.read().times.tolist()
    for tick, began in enumerate(times):
        assert 0 <= began - (recorder.start_ns + tick * recorder.interval_ns) < recorder.interval_ns


@NATIVE
def test_each_frame_is_read_once(sampler: Sampler) -> None:
    times: list[int] = []
    with sampler.record(0.001, capacity=50) as recorder:
        while len(times) < 200:
            times += recorder.read().times.tolist()
            time.sleep(0.005)
    block = recorder.read()
    times += block.times.tolist()
    assert len(times) == recorder.ticks
    assert times == sorted(set(times))
    assert set(block.status.cast("B")) <= {Cell.OK}
    assert len(recorder.read()) == 0


@NATIVE
def test_recorder_full_ring_counts_lost_ticks(sampler: Sampler) -> None:
    with sampler.record(0.001, capacity=5) as recorder:
        until(lambda: recorder.overruns > 10)
        first = recorder.read().times.tolist()
        until(lambda: recorder.ticks > 7)
    assert len(first) == 5
    # One after another, but for what a busy machine missed: not those of ten ticks later.
    assert first[-1] - first[0] < (recorder.overruns + recorder.missed) * recorder.interval_ns
    assert recorder.read().times[0] > first[-1]


@NATIVE
def test_ticks_that_come_too_fast_are_counted(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("cpuacct")
    sampler = Sampler([top.make_sub(str(number)) for number in range(100)], [Cpuacct.usage])
    with sampler.record(0.000_01, capacity=100_000) as recorder:
        until(lambda: recorder.missed > 10)
    stopped = time.monotonic_ns()
    counted = recorder.ticks + recorder.missed + recorder.overruns
    last = recorder.read().times[-1]
    assert (last - recorder.start_ns) // recorder.interval_ns <= counted
    assert counted <= (stopped - recorder.start_ns) // recorder.interval_ns + 1
    assert recorder.late > 0


@NATIVE
def test_a_frame_of_a_block(sampler: Sampler) -> None:
    """It is one as any other, whose rates can be told."""
    with sampler.record(0.001) as recorder:
        until(lambda: recorder.ticks > 3)
    block = recorder.read()
    now, then = block.frame(-1), block.frame(0)
    live = sampler.sample()
    assert now.inodes.tolist() == block.inodes.tolist()[-1] == live.inodes.tolist()
    assert [rate.cpu for rate in rates(then, now).values()] == [0, 0, 0]
    assert rates(now, live).seconds > 0
    assert now[sampler.cgroups[1], Cpuacct.usage] == 0
    with pytest.raises(IndexError):
        block.frame(len(block))


@NATIVE
def test_numpy_has_no_copy(sampler: Sampler) -> None:
    numpy = pytest.importorskip("numpy")
    with sampler.record(0.001) as recorder:
        until(lambda: recorder.ticks > 3)
    block = recorder.read()
    array = numpy.asarray(block)
    assert array.shape == (len(block), 3, 1)
    assert array.dtype == numpy.int64
    assert not array.flags.writeable
    assert array.tolist() == block.values.tolist()
    del block
    assert array.sum() == 0


# ---- ends ------------------------------------------------------------------------------------------


@NATIVE
def test_recorder_ends_when_every_cgroup_is_removed(sampler: Sampler) -> None:
    with sampler.record(0.001) as recorder:
        until(lambda: recorder.ticks)
        sampler.cgroups[0].remove()
        before = recorder.ticks
        until(lambda: recorder.ticks > before + 3)
        assert recorder.running
        for cgroup in sampler.cgroups[1:]:
            cgroup.remove()
        until(lambda: not recorder.running)
        status = recorder.read().status.tolist()
    assert status[0][1] == [Cell.OK]
    assert status[-1] == [[Cell.GONE]] * 3


@NATIVE
def test_stop_ends_its_thread(sampler: Sampler) -> None:
    before = threads()
    recorder = sampler.record(3600)
    assert threads() == before + 1
    started = time.monotonic()
    recorder.stop()
    recorder.stop()
    assert time.monotonic() - started < 60
    until(lambda: threads() == before)  # a thread that was waited for may be seen for a moment
    assert not recorder.running
    assert len(recorder.read()) == recorder.ticks == 0
    recorder = sampler.record(3600)
    del recorder  # nobody can read it any more
    until(lambda: threads() == before)  # a thread that was waited for may be seen for a moment


@NATIVE
def test_recorder_stopped_by_two_threads(sampler: Sampler) -> None:
    before = threads()
    for _ in range(50):
        recorder = sampler.record(0.001)
        others = [threading.Thread(target=recorder.stop) for _ in range(3)]
        for other in others:
            other.start()
        for other in others:
            other.join()
        assert not recorder.running
    until(lambda: threads() == before)


@NATIVE
def test_recorder_thread_takes_no_signals(sampler: Sampler) -> None:
    before = set(THREADS.iterdir())
    with sampler.record(3600):
        (thread,) = set(THREADS.iterdir()) - before
        blocked = next(line for line in (thread / "status").read_text().splitlines() if line.startswith("SigBlk"))
    # All but KILL, STOP, and the two that the C library keeps for itself.
    assert int(blocked.split()[1], 16) | 0x0000_0001_8004_0100 == 0xFFFF_FFFF_FFFF_FFFF


@NATIVE
def test_recorder_closed_sampler_is_still_recorded(sampler: Sampler) -> None:
    with sampler.record(0.001) as recorder:
        sampler.close()
        before = recorder.ticks
        until(lambda: recorder.ticks > before + 3)
    with pytest.raises(ValueError, match="closed"):
        sampler.record(0.001)


def in_child(what: Callable[[], bool]) -> None:
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if what() else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@NATIVE
def test_recorder_forked_child_reads_what_was_recorded(sampler: Sampler) -> None:
    with sampler.record(0.001, capacity=100) as recorder:
        for _ in range(20):
            until(lambda: recorder.ticks)

            def look(recorder: Recorder = recorder) -> bool:
                block = recorder.read()
                time.sleep(0.005)
                recorder.stop()
                return not recorder.running and len(recorder.read()) == 0 and set(block.status.cast("B")) <= {Cell.OK}

            in_child(look)
        recorder.read()
        before = recorder.ticks
        until(lambda: recorder.ticks > before + 3)
        assert recorder.running


SAME_PID = """
import ctypes
from cgroups import Cpuacct, Sampler
sampler = Sampler([Hierarchy.find_exn(sys.argv[1])], [Cpuacct.usage])
recorder = sampler.record(0.0001, capacity=1000)
while recorder.ticks < 10:
    pass
assert ctypes.CDLL(None, use_errno=True).unshare(0x20000000) == 0  # CLONE_NEWPID: of the next child
child = os.fork()
if child == 0:
    try:
        assert os.getpid() == 1
        assert not recorder.running
        recorder.stop()
        assert len(recorder.read()) > 0
        os._exit(0)
    finally:
        os._exit(1)
assert os.getpid() == 1
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert recorder.running
recorder.stop()
"""


@needs("native", "unshare")
def test_recorder_forked_child_with_the_pid_of_its_parent_has_no_thread(make_cgroup: MakeCgroup, script: Any) -> None:
    """Both are the first process of their pid namespace."""
    command = ["unshare", "--pid", "--fork", "--kill-child", *script(SAME_PID, str(make_cgroup("cpuacct")))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


EXITS = """
import ctypes, threading
from cgroups import Cpuacct, Sampler
cgroup = Hierarchy.find_exn(sys.argv[1])
recorder = Sampler([cgroup], [Cpuacct.usage]).record(0.0001, capacity=1_000_000)
while recorder.ticks < 10:
    pass
{end}
"""
ENDS = {
    "end": "",
    "exit": "sys.exit(0)",
    "_exit": "os._exit(0)",
    "c": "ctypes.CDLL(None).exit(0)",
    "thread": "threading.Thread(target=ctypes.CDLL(None).exit, args=(0,)).start()",
    "global": "import builtins; builtins.kept = recorder",
}


@NATIVE
@pytest.mark.parametrize("end", ENDS)
def test_recorder_ends_with_the_interpreter(make_cgroup: MakeCgroup, script: Any, end: str) -> None:
    command = script(EXITS.format(end=ENDS[end]), str(make_cgroup("cpuacct")))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ---- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [0, -1, 1e-6, float("nan"), float("inf"), "1", None, True])
def test_recorder_invalid_interval_is_refused(sampler: Sampler, interval: Any) -> None:
    with pytest.raises(InvalidValue, match="interval must be seconds"):
        sampler.record(interval)


@pytest.mark.parametrize("capacity", [0, -1, 1.5, None, True, 1 << 60])
def test_recorder_invalid_capacity_is_refused(sampler: Sampler, capacity: Any) -> None:
    with pytest.raises(InvalidValue, match="must be a number of frames"):
        sampler.record(1, capacity=capacity)


@NATIVE
def test_recorder_capacity_beyond_memory_raises(sampler: Sampler) -> None:
    with pytest.raises(MemoryError):
        sampler.record(1, capacity=1 << 39)


@needs("python")
def test_recorder_python_backend_raises(sampler: Sampler) -> None:
    with pytest.raises(NativeRequired, match=r"recording needs the native backend.*call sample\(\) in a loop"):
        sampler.record(1)


@NATIVE
def test_no_cgroups_are_all_gone() -> None:
    with Sampler([], [Cpuacct.usage]).record(0.001) as recorder:
        until(lambda: not recorder.running)
    assert len(recorder.read()) == recorder.ticks == 1
