"""Events: the notifications of the kernel, on the version that each controller has here."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import guide_pages
import pytest
from common import MIB, MakeCgroup, Spawn, text_of
from conftest import usable

from cgroups import (
    AccessDenied,
    Cgroup,
    CgroupGone,
    Core,
    Counters,
    Cpu,
    Cpuacct,
    Event,
    Events,
    Group,
    Hierarchy,
    Host,
    InvalidValue,
    Memory,
    Oom,
    ParameterNotSupported,
    Parameters,
    Pids,
    PressureLevel,
    PressureTrigger,
    Subsystem,
    SubsystemNotAttached,
    Threshold,
)
from cgroups.core import inotify

SCALE = float(os.environ.get("CGROUPS_TESTS_SCALE", "1"))

# Seconds for what comes at once, on a machine that is slow, or busy.
SOON = 30

UNIFIED = Hierarchy.find(":/") is not None


def has(controller: str, version: int) -> bool:
    return usable(controller) and Subsystem.find(controller).version == version


def where(condition: bool) -> Callable[[Callable[..., None]], Any]:
    """A test that is not there where there is nothing to ask."""
    return lambda test: test if condition else None


def inside(cgroup: Cgroup, program: str) -> list[str]:
    """A shell program that begins in a cgroup."""
    return ["/bin/sh", "-c", f"echo 0 > {cgroup.path}/cgroup.procs || exit 99; {program}"]


def python_inside(cgroup: Cgroup, program: str) -> list[str]:
    return [sys.executable, "-c", f"open('{cgroup.path}/cgroup.procs', 'w').write('0')\n{program}"]


def until(events: Events, what: str, seconds: float = SOON) -> list[Event]:
    """The events up to the first of a kind."""
    found: list[Event] = []
    events._timeout, before = seconds, events._timeout
    try:
        for event in events:
            found.append(event)
            if event.what == what:
                return found
    finally:
        events._timeout = before
    raise AssertionError(f"no {what} after {found}")


def keys(cgroup: Cgroup, file: str) -> dict[str, int]:
    return {line.split()[0]: int(line.split()[1]) for line in text_of(cgroup, file).splitlines()}


# ---- populated, frozen, removed ------------------------------------------------------------------


@where(UNIFIED)
def test_events_populated_and_empty_are_reported(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_cgroup("")
    with cgroup.events(timeout=SOON) as events:
        assert events.source == "kernel"
        before = time.monotonic_ns()
        child = spawn("sleep", "100")
        cgroup.add_process(child.pid)
        [filled] = until(events, "populated")
        assert (filled.before, filled.after, filled.count) == (0, 1, 1)
        assert (filled.cgroup, filled.file, filled.source) == (cgroup, "cgroup.events", "kernel")
        assert before < filled.timestamp_ns < time.monotonic_ns()
        cgroup.freeze()
        [frozen] = until(events, "frozen")
        assert frozen.after == 1
        cgroup.thaw()
        [thawed] = until(events, "frozen")
        assert (thawed.before, thawed.after) == (1, 0)
        child.kill()
        child.wait()
        [emptied] = until(events, "populated")
        assert (emptied.before, emptied.after, emptied.count) == (1, 0, -1)


def test_its_removal_is_its_last_event(head: str, make_cgroup: MakeCgroup) -> None:
    one, other = make_cgroup(head), make_cgroup(head)
    with Events([one, other]) as events:
        one.remove()
        [gone] = until(events, "removed")
        assert (gone.cgroup, gone.count, gone.source) == (one, None, "kernel")
        # The other is there, and what is made under the name is another.
        made = Hierarchy.find_or_create(str(one))
        made.remove()
        other.remove()
        assert [(event.cgroup, event.what) for event in events] == [(other, "removed")]
        assert list(events) == []


@where(UNIFIED)
def test_events_removed_cgroup_was_empty(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    """The last events report it, even if nobody read in between."""
    cgroup = make_cgroup("")
    child = spawn("sleep", "100")
    cgroup.add_process(child.pid)
    with cgroup.events() as events:
        child.kill()
        child.wait()
        cgroup.wait_empty(SOON)
        cgroup.remove()
        assert [(event.what, event.before, event.after) for event in events] == [
            ("populated", 1, 0),
            ("removed", None, None),
        ]


def test_events_without_inotify_are_polled_each_second(
    head: str, make_cgroup: MakeCgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(inotify, "Watcher", none_left)
    cgroup = make_cgroup(head)
    with cgroup.events() as events:
        assert events.source == "sampled"
        assert events_for(events, 0) == []
        cgroup.remove()
        assert [(event.what, event.source) for event in events] == [("removed", "sampled")]


def test_events_missing_cgroup_raises(head: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(head).child("nonesuch")
    with pytest.raises(CgroupGone):
        cgroup.events()
    with pytest.raises(CgroupGone):
        cgroup.events(Threshold(Cpuacct.usage, above=1))


# ---- out of memory --------------------------------------------------------------------------------


def small(make_ready: MakeCgroup) -> Cgroup:
    """A cgroup with 16 MiB and no swap."""
    cgroup = make_ready("memory")
    Parameters.set(Memory.limit_in_bytes, cgroup, 16 * MIB)
    swap = "memory.memsw.limit_in_bytes" if cgroup.version == 1 else "memory.swap.max"
    if os.path.exists(f"{cgroup.path}/{swap}"):
        with open(f"{cgroup.path}/{swap}", "w") as file:
            file.write(str(16 * MIB) if cgroup.version == 1 else "0")
    return cgroup


def kills(cgroup: Cgroup) -> int:
    return keys(cgroup, "memory.oom_control" if cgroup.version == 1 else "memory.events")["oom_kill"]


@where(usable("memory"))
@pytest.mark.parametrize("sources", [(), (Oom(),)], ids=["all", "Oom"])
def test_events_oom_kill_of_one_child_is_one_event(
    sources: tuple[Any, ...], make_ready: MakeCgroup, spawn: Spawn
) -> None:
    cgroup = small(make_ready)
    with cgroup.events(*sources) as events:
        before = kills(cgroup)
        child = spawn(*python_inside(cgroup, f"bytearray({64 * MIB})"))
        found = until(events, "oom_kill")
        assert child.wait() == -signal.SIGKILL
        # Nothing more of it comes within two seconds.
        found += [event for event in events_for(events, 2) if event.what in ("oom", "oom_kill")]
        assert kills(cgroup) == before + 1
    killed = [event for event in found if event.what == "oom_kill"]
    assert [(event.before, event.after, event.count) for event in killed] == [(before, before + 1, 1)]
    assert killed[0].file == ("memory.oom_control" if cgroup.version == 1 else "memory.events")
    assert "oom" in [event.what for event in found]


def events_for(events: Events, seconds: float) -> list[Event]:
    found: list[Event] = []
    events.run(found.append, timeout=seconds)
    return found


@where(usable("memory"))
def test_each_kill_is_counted_once(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = small(make_ready)
    count = 5
    with cgroup.events(Oom()) as events:
        before = kills(cgroup)
        for _ in range(count):
            child = spawn(*python_inside(cgroup, f"bytearray({64 * MIB})"))
            assert child.wait() == -signal.SIGKILL
        found = [event for event in events_for(events, 3) if event.what == "oom_kill"]
        assert kills(cgroup) == before + count
    assert sum(event.count or 0 for event in found) == count
    assert found[-1].after == before + count


@where(has("memory", 1))
def test_v1_out_of_memory_without_a_kill_is_told_once(make_ready: MakeCgroup, spawn: Spawn) -> None:
    """With the OOM killer off the process waits: ``oom``, and the watch is quiet after about a second."""
    cgroup = small(make_ready)
    Parameters.set(Memory.oom_control, cgroup, True)
    with cgroup.events(Oom()) as events:
        child = spawn(*python_inside(cgroup, f"bytearray({64 * MIB})"))
        assert [event.what for event in until(events, "oom")] == ["oom"]
        assert [event.what for event in events_for(events, 3)] in ([], ["oom"])
        assert Parameters.get(Memory.oom_control, cgroup).under_oom
        child.kill()
        assert child.wait() == -signal.SIGKILL


# ---- counters --------------------------------------------------------------------------------------

FORKS = """
import os, sys, time
refused, began = 0, time.monotonic()
while refused < int(sys.argv[1]):
    try:
        pid = os.fork()
    except OSError:
        refused += 1
    else:
        if pid == 0: os._exit(0)
        os.waitpid(pid, 0)
print(refused, time.monotonic() - began)
"""


@where(usable("pids"))
def test_refused_forks_are_all_counted(make_ready: MakeCgroup, spawn: Spawn) -> None:
    """As fast as they come: far more than a thousand a second, where the processor is a real one."""
    cgroup = make_ready("pids")
    Parameters.set(Pids.max, cgroup, 1)
    count = max(200, int(20_000 * SCALE))
    with cgroup.events(Counters(Pids.events)) as events:
        before = Parameters.get(Pids.events["max"], cgroup)
        child = spawn(*python_inside(cgroup, FORKS), str(count), stdout=subprocess.PIPE)
        found: list[Event] = []
        thread = threading.Thread(target=events.run, args=(found.append,))
        thread.start()
        printed, _ = child.communicate(timeout=300)
        refused, seconds = printed.split()
        assert int(refused) == count
        assert SCALE < 1 or count / float(seconds) > 1000
        after = Parameters.get(Pids.events["max"], cgroup)
        # Within the least interval between two notifications, or looks.
        deadline = time.monotonic() + SOON
        while sum(event.count or 0 for event in found) < after - before and time.monotonic() < deadline:
            time.sleep(0.05)
        events.close()
        thread.join()
    assert after - before >= count
    assert sum(event.count or 0 for event in found) == after - before
    assert [event.before for event in found] == [before, *(event.after for event in found[:-1])]
    assert {event.what for event in found} == {"max"}
    told = {"kernel", "sampled"} if cgroup.version == 1 else {"kernel"}
    assert {event.source for event in found} <= told


@where(has("memory", 2))
def test_limits_that_are_hit_are_all_counted(make_ready: MakeCgroup, spawn: Spawn, tmp_path: Any) -> None:
    """A file larger than the limit is read again and again: ``max`` rises by the thousand."""
    cgroup = make_ready("memory")
    Parameters.set(Memory.max, cgroup, 8 * MIB)
    Parameters.set(Memory.high, cgroup, 7 * MIB)
    file = tmp_path / "large"
    with cgroup.events(Memory.events) as events:
        before = keys(cgroup, "memory.events")
        child = spawn(*inside(cgroup, f"dd if=/dev/zero of={file} bs=64k count=512 status=none"))
        found: list[Event] = []
        thread = threading.Thread(target=events.run, args=(found.append,))
        thread.start()
        assert child.wait(300) == 0
        file.unlink()
        cgroup.wait_empty(SOON)
        time.sleep(1)
        after = keys(cgroup, "memory.events")
        events.close()
        thread.join()
    assert after["high"] + after["max"] > 10
    for key in after:
        assert sum(event.count or 0 for event in found if event.what == key) == after[key] - before[key], key


@where(UNIFIED)
def test_flips_are_all_in_order(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    """Flips within the least interval of a notification are no events; the others come in order."""
    cgroup = make_cgroup("")
    count = max(10, int(300 * SCALE))
    with cgroup.events(Core.events) as events:
        found: list[Event] = []
        events.start(found.append)
        for _ in range(count):
            with cgroup_process(cgroup):
                pass
        cgroup.wait_empty(SOON)
        with cgroup_process(cgroup):
            deadline = time.monotonic() + SOON
            while not (found and found[-1].after == 1) and time.monotonic() < deadline:
                time.sleep(0.01)
        deadline = time.monotonic() + SOON
        while found[-1].after != 0 and time.monotonic() < deadline:
            time.sleep(0.01)
    flips = [(event.before, event.after) for event in found]
    assert flips == [(0, 1), (1, 0)] * (len(flips) // 2)
    assert flips


class cgroup_process:
    """A process that is in a cgroup for a moment."""

    def __init__(self, cgroup: Cgroup) -> None:
        self.cgroup = cgroup

    def __enter__(self) -> None:
        self.child = subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE)
        self.cgroup.add_process(self.child.pid)

    def __exit__(self, *_: object) -> None:
        self.child.communicate(b"\n")


# ---- pressure ----------------------------------------------------------------------------------------


def may_trigger() -> bool:
    """Before Linux 6.5 a trigger needs a capability, which root may lack."""
    try:
        Events(None, PressureTrigger("cpu", "some", 1_000_000, 2_000_000)).close()
    except (AccessDenied, ParameterNotSupported):
        return False
    return True


TRIGGERS = may_trigger()


def busy(cgroup: Cgroup, spawn: Spawn) -> list[Any]:
    """More busy processes than there are CPUs."""
    program = inside(cgroup, "while :; do :; done")
    return [spawn(*program) for _ in range(2 * (os.cpu_count() or 1) + 1)]


def end(children: list[Any]) -> None:
    for child in children:
        child.kill()
        child.wait()


@where(UNIFIED and TRIGGERS)
def test_pressure_trigger_fires_only_under_pressure(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    cgroup, calm = make_cgroup(""), make_cgroup("")
    sleeper = spawn("sleep", "1000")
    calm.add_process(sleeper.pid)
    with Events([cgroup, calm], PressureTrigger("cpu", "some", 100_000, 2_000_000)) as events:
        assert events.source == "kernel"
        assert events_for(events, 3) == []
        children = busy(cgroup, spawn)
        found = until(events, "some")
        again = until(events, "some")
        end(children)
    for event in found + again:
        assert (event.cgroup, event.file, event.source) == (cgroup, "cpu.pressure", "kernel")
        assert event.count is not None
        assert event.count >= 50_000, "microseconds of stall since the last"


@where(has("memory", 2) and TRIGGERS)
def test_pressure_trigger_fires_under_memory_pressure(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("memory")
    with cgroup.events(PressureTrigger("memory", "some", 50_000, 2_000_000)) as events:
        assert events_for(events, 3) == []
        Parameters.set(Memory.high, cgroup, 4 * MIB)
        child = spawn(*python_inside(cgroup, "kept = []\nwhile True: kept.append(bytearray(1 << 16))"))
        [event] = until(events, "some", 120)
        assert (event.cgroup, event.file) == (cgroup, "memory.pressure")
        child.kill()
        child.wait()


@where(TRIGGERS)
def test_pressure_trigger_of_the_whole_system(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_cgroup("" if UNIFIED else "cpuacct")
    with Events(None, PressureTrigger("cpu", "some", 100_000, 2_000_000)) as events:
        children = busy(cgroup, spawn)
        [event, *_] = until(events, "some")
        end(children)
        assert (event.cgroup, event.file) == (None, "/proc/pressure/cpu")


@where(UNIFIED and TRIGGERS)
def test_pressure_trigger_in_a_loop_of_the_program(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    """Whoever polls a trigger makes the kernel forget it: through select, and asyncio, none is lost all the same."""
    cgroup = make_cgroup("")
    with cgroup.events(PressureTrigger("cpu", "some", 100_000, 2_000_000)) as events:
        children = busy(cgroup, spawn)
        for _ in range(2):
            found: list[Event] = []
            while not found:  # the removal of another cgroup beside this one is looked at too
                assert select.select([events], [], [], SOON)[0]
                found = events.poll()
            assert [event.what for event in found] == ["some"]
        assert [event.what for event in asyncio.run(first_of(events, 2))] == ["some", "some"]
        assert [event.what for event in [next(events)]] == ["some"]
        end(children)
    assert not [thread for thread in threading.enumerate() if thread.name == "cgroups-relay"]


async def first_of(events: Events, count: int) -> list[Event]:
    found: list[Event] = []
    async for event in events:
        found.append(event)
        if len(found) == count:
            break
    return found


@where(UNIFIED and TRIGGERS and os.path.exists(f"{Hierarchy.find_exn(':/').path}/cgroup.pressure"))
def test_pressure_trigger_file_that_vanishes_is_reported(make_cgroup: MakeCgroup) -> None:
    """cgroup.pressure = 0 takes the files away, and the cgroup stays."""
    cgroup = make_cgroup("")
    trigger = PressureTrigger("cpu", "some", 1_000_000, 2_000_000)
    with cgroup.events(trigger, Threshold(Cpu.pressure["some", "avg10"], above=99.9, interval=0.05)) as events:
        Parameters.set(Core.pressure, cgroup, False)
        ended = until(events, "ended") + until(events, "ended")
        assert {event.file for event in ended} == {"cpu.pressure", "cpu.pressure[some, avg10]"}
        assert {(event.cgroup, event.count) for event in ended} == {(cgroup, None)}
        with pytest.raises(ParameterNotSupported, match="pressure stall information is off"):
            cgroup.events(trigger)
        cgroup.remove()
        assert [event.what for event in events] == ["removed"]


@where(UNIFIED and TRIGGERS)
def test_pressure_trigger_refused_by_the_kernel_raises(make_cgroup: MakeCgroup) -> None:
    source = PressureTrigger("cpu", "some", 500_000, 700_000)
    try:
        make_cgroup("").events(source).close()
    except InvalidValue as error:
        assert "must be a multiple of 2 s" in str(error.hint)
        assert "some 500000 700000" in str(error)
        assert str(error.path).endswith("cpu.pressure")


@where(has("memory", 1))
def test_pressure_level_v1_is_reported(make_ready: MakeCgroup, spawn: Spawn, tmp_path: Any) -> None:
    cgroup = make_ready("memory")
    with cgroup.events(PressureLevel("low")) as events:
        assert events_for(events, 0.5) == []
        Parameters.set(Memory.limit_in_bytes, cgroup, 8 * MIB)
        file = tmp_path / "large"
        child = spawn(*inside(cgroup, f"dd if=/dev/zero of={file} bs=64k count=1024 status=none"))
        [event] = until(events, "low")
        assert (event.file, event.source, event.before) == ("memory.pressure_level", "kernel", 0)
        assert event.count
        child.kill()
        child.wait()


# ---- thresholds ----------------------------------------------------------------------------------------


@where(has("memory", 1))
def test_threshold_memory_is_reported_in_both_directions(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("memory")
    grow = f"import mmap\nmemory = mmap.mmap(-1, {32 * MIB})\nmemory.write(bytes({32 * MIB}))"
    shrink = "input()\nmemory.close()\ninput()"
    with cgroup.events(Threshold(Memory.usage_in_bytes, above=24 * MIB)) as events:
        assert events.source == "kernel"
        child = spawn(*python_inside(cgroup, f"{grow}\n{shrink}"), stdin=subprocess.PIPE)
        [above] = until(events, "above")
        assert above.after > 24 * MIB >= above.before
        assert (above.file, above.source, above.cgroup) == ("memory.usage_in_bytes", "kernel", cgroup)
        child.stdin.write(b"\n")
        child.stdin.flush()
        [below] = until(events, "below")
        assert below.after <= 24 * MIB < below.before
        child.communicate(b"\n")
    with cgroup.events(Threshold(Memory.usage_in_bytes, below=1 << 40)) as events:
        # What was asked for is so at the start.
        assert [event.what for event in events_for(events, 0)] == ["below"]


@where(usable("pids"))
def test_threshold_polled_number_is_reported(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("pids")
    with cgroup.events(Threshold(Pids.current, above=1, interval=0.02)) as events:
        assert events.source == "sampled"
        first = spawn("sleep", "100")
        cgroup.add_process(first.pid)
        assert events_for(events, 0.5) == []
        second = spawn("sleep", "100")
        cgroup.add_process(second.pid)
        [above] = until(events, "above")
        assert (above.before, above.after, above.source) == (1, 2, "sampled")
        assert above.file == "pids.current"
        end([second])
        [below] = until(events, "below")
        assert (below.before, below.after) == (2, 1)
        end([first])
        cgroup.wait_empty(SOON)
        cgroup.remove()
        assert [event.what for event in events] == ["removed"]


def test_threshold_rate_is_reported(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("cpuacct")
    with cgroup.events(Threshold(Cpuacct.usage, rate_above=100_000_000, interval=0.2)) as events:
        assert events_for(events, 1) == []
        child = spawn(*inside(cgroup, "while :; do :; done"))
        [fast] = until(events, "rate_above")
        assert fast.after > 100_000_000
        assert fast.source == "sampled"
        end([child])
        [slow] = until(events, "rate_below")
        assert slow.after <= 100_000_000


@where(has("pids", 2))
def test_threshold_counter_is_reported_by_the_kernel(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_ready("pids")
    Parameters.set(Pids.max, cgroup, 1)
    with cgroup.events(Threshold(Pids.events["max"], above=2)) as events:
        assert events.source == "kernel"
        child = spawn(*python_inside(cgroup, FORKS), "10", stdout=subprocess.DEVNULL)
        [event] = until(events, "above")
        assert event.source == "kernel"
        assert event.after > 2
        child.wait()


def test_threshold_function_of_the_target(head: str, make_ready: MakeCgroup) -> None:
    cgroup = make_ready(head)
    seen: list[Any] = []

    def number(target: Any) -> float:
        seen.append(target)
        return len(seen) / 10

    with Events(Group.of([cgroup]), Threshold(number, above=0.45, interval=0.01)) as events:
        [event] = until(events, "above")
        assert (event.before, event.after, event.file) == (0.4, 0.5, "number")
        assert all(isinstance(target, Group) for target in seen)


# ---- what is asked for -------------------------------------------------------------------------------


def test_events_group_has_the_cgroup_of_a_source(make_ready: MakeCgroup, spawn: Spawn) -> None:
    members = {make_ready(name) for name in ("memory", "pids", "cpuacct") if usable(name)}
    group = Group.of({cgroup.hierarchy: cgroup for cgroup in members}.values())
    sources = [Threshold(Cpuacct.usage, above=1)]
    sources += [Threshold(Pids.current, above=0)] if usable("pids") else []
    with group.events(*sources) as events:
        child = spawn("/bin/sh", "-c", "while :; do :; done")
        group.add_process(child.pid)
        found = [event.cgroup for _, event in zip(sources, events)]
        end([child])
    assert set(found) == {group.cgroup_of("cpuacct"), *([group.cgroup_of("pids")] if usable("pids") else [])}


def test_what_cannot_be_had_is_an_error_when_named_alone(head: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(head)
    with cgroup.events() as events:
        assert events.source == "kernel"
    kinds = (ParameterNotSupported, SubsystemNotAttached)
    if cgroup.version == 1:
        for source in (Core.events, Counters(Memory.events), PressureTrigger("cpu", "some", 1000, 2_000_000)):
            with pytest.raises(kinds):
                cgroup.events(source)
    else:
        with pytest.raises(ParameterNotSupported, match="memory.pressure_level"):
            cgroup.events(PressureLevel())
        with pytest.raises(ParameterNotSupported):
            cgroup.hierarchy.root().events(Core.events)
    if head != "memory" and not cgroup.hierarchy.has("memory"):
        with pytest.raises(SubsystemNotAttached, match="memory"):
            cgroup.events(Threshold(Memory.usage_in_bytes, above=1))
    with pytest.raises(InvalidValue, match="does not notify"):
        cgroup.events(Cpuacct.usage if cgroup.version == 1 else Core.stat)
    with pytest.raises(InvalidValue, match="whole system"):
        Events(None)


def test_events_captured_tree_is_refused(tmp_path: Any) -> None:
    place = tmp_path / "sys/fs/cgroup/a"
    place.mkdir(parents=True)
    (place / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    cgroup = Host(str(tmp_path)).find_exn(":/a")
    with pytest.raises(AccessDenied, match="captured"):
        cgroup.events()


# ---- waiting ---------------------------------------------------------------------------------------------


def test_events_timeout_ends_the_iteration(head: str, make_cgroup: MakeCgroup) -> None:
    with make_cgroup(head).events(timeout=0.3) as events:
        for _ in range(2):
            before = time.monotonic()
            assert list(events) == []
            assert 0.3 <= time.monotonic() - before < SOON
        before = time.monotonic()
        events.run(lambda _: None, timeout=0.1)
        assert 0.1 <= time.monotonic() - before < SOON


def test_events_closed_by_another_thread_end(
    head: str, make_cgroup: MakeCgroup, open_descriptors: Callable[[], int]
) -> None:
    cgroup = make_cgroup(head)
    cgroup.inode  # what is opened once is open
    before = open_descriptors()
    for ending in ("iteration", "thread"):
        events = cgroup.events()
        if ending == "iteration":
            timer = threading.Timer(0.2, events.close)
            timer.start()
            assert list(events) == []
            timer.join()
        else:
            events.start(lambda _: None)
            time.sleep(0.1)
            events.close()
        events.close()
        assert list(events) == []
        assert events.poll() == []
        with pytest.raises(ValueError, match="closed"):
            events.fileno()
        assert open_descriptors() == before


def test_events_closed_by_a_signal_handler_end(head: str, make_cgroup: MakeCgroup) -> None:
    events = make_cgroup(head).events()
    before = signal.signal(signal.SIGALRM, lambda *_: events.close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        assert list(events) == []
    finally:
        signal.signal(signal.SIGALRM, before)


@where(UNIFIED)
def test_events_closed_by_a_callback_end(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_cgroup("")
    events = cgroup.events()
    found: list[Event] = []

    def callback(event: Event) -> None:
        found.append(event)
        events.close()

    events.start(callback)
    child = spawn("sleep", "100")
    cgroup.add_process(child.pid)
    deadline = time.monotonic() + SOON
    while not found and time.monotonic() < deadline:
        time.sleep(0.01)
    events.close()
    assert [event.what for event in found] == ["populated"]


@where(UNIFIED)
def test_events_callback_that_raises_raises_at_the_end(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_cgroup("")
    events = cgroup.events()
    came = threading.Event()

    def callback(_: Event) -> None:
        came.set()
        raise ZeroDivisionError

    events.start(callback)
    child = spawn("sleep", "100")
    cgroup.add_process(child.pid)
    assert came.wait(SOON)
    with pytest.raises(ZeroDivisionError):
        events.close()
    events.close()
    with pytest.raises(ZeroDivisionError), cgroup.events() as others:
        others.start(callback)
        came.clear()
        end([child])
        assert came.wait(SOON)


@where(usable("memory"))
def test_guide_block_of_asyncio_tells_and_ends(tmp_path: Path) -> None:
    """Report, once the output ends, what happened while it was read; the block ends then."""
    [block] = [one.text for one in guide_pages.blocks("python") if "asyncio.run(main())" in one.text]
    program = block.replace('"job"', '"cgroups-test-job"')
    program, replaced = re.subn(r"aio\.Popen\(\[.*?\]", 'aio.Popen(["make"]', program)
    assert replaced
    make = tmp_path / "make"
    make.write_text(f"#!{sys.executable}\nimport time\nmemory = bytearray({20 * MIB})\ntime.sleep(1)\nprint('made')\n")
    make.chmod(0o755)
    variables = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, timeout=SOON, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "made" in done.stdout
    assert "\nabove " in done.stdout


@where(UNIFIED)
def test_events_in_an_asyncio_loop(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_cgroup("")
    child = spawn("sleep", "100")

    async def main() -> list[str]:
        async with cgroup.events() as events:
            asyncio.get_running_loop().call_later(0.1, cgroup.add_process, child.pid)
            return [event.what for event in await first_of(events, 1)]

    async def too_long() -> list[Event]:
        return await first_of(cgroup.events(timeout=0.2), 1)

    async def closed(by: Callable[[Any], None]) -> list[Event]:
        events = cgroup.events()
        by(events.close)
        found = await first_of(events, 1)
        assert events._released
        return found

    assert asyncio.run(main()) == ["populated"]
    assert asyncio.run(too_long()) == []
    assert asyncio.run(closed(lambda close: asyncio.get_running_loop().call_later(0.2, close))) == []
    assert asyncio.run(closed(lambda close: threading.Timer(0.2, close).start())) == []

    async def cancelled() -> None:
        with cgroup.events() as events:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(first_of(events, 1), 0.2)
            end([child])
            assert [event.what for event in await first_of(events, 1)] == ["populated"]

    asyncio.run(cancelled())


# ---- nothing is left, and nothing is done for nothing ----------------------------------------------------


def watchable(make_ready: MakeCgroup) -> list[Cgroup]:
    """A cgroup of each hierarchy of which the kernel tells something; beside them nobody makes and removes others."""
    made = {make_ready(name, "/alone") for name in ("memory", "pids") if usable(name)}
    return [*made, *([make_ready("", "/alone")] if UNIFIED else [])]


def test_ten_thousand_watchers_leave_nothing(make_ready: MakeCgroup, open_descriptors: Callable[[], int]) -> None:
    cgroups = watchable(make_ready)
    for cgroup in cgroups:
        cgroup.events().close()
    threads = len(os.listdir("/proc/self/task"))
    before, watches = open_descriptors(), inotify_watches()

    def watch(number: int) -> None:
        events = cgroups[number % len(cgroups)].events()
        if number % 100 == 0:
            events.start(lambda _: None)
            events.close()
        elif number % 2:
            assert events.poll() == []
            events.close()
        # The others are dropped as they are.

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(watch, range(max(300, int(10_000 * SCALE))))).count(None) >= 300
    assert open_descriptors() == before
    assert inotify_watches() == watches
    assert len(os.listdir("/proc/self/task")) == threads


def inotify_watches() -> int:
    found = 0
    for fd in os.listdir("/proc/self/fdinfo"):
        try:
            with open(f"/proc/self/fdinfo/{fd}") as file:
                found += sum(line.startswith("inotify ") for line in file)
        except FileNotFoundError:
            continue
    return found


def switches(tid: int) -> int:
    with open(f"/proc/self/task/{tid}/status") as file:
        return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)


@pytest.mark.anywhere
def test_events_idle_watcher_does_nothing(make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroups = watchable(make_ready)
    for cgroup in cgroups:
        cgroup.add_process(spawn("sleep", "1000").pid)
    sources: list[Any] = [[cgroup.events()] for cgroup in cgroups]
    if has("memory", 1):
        [memory] = [cgroup for cgroup in cgroups if "memory" in cgroup.subsystems]
        more = Threshold(Memory.usage_in_bytes, above=1 << 40), PressureLevel("critical"), Oom()
        sources.append([memory.events(*more)])
    if UNIFIED and TRIGGERS:
        calm = cgroups[-1]
        sources.append([calm.events(PressureTrigger("cpu", "some", 1_900_000, 2_000_000))])
    watchers = [one for [one] in sources]
    for events in watchers:
        events.start(lambda _: None)
    time.sleep(1)
    tids = [events._thread.native_id for events in watchers]
    before = {tid: switches(tid) for tid in tids}
    time.sleep(10)
    after = {tid: switches(tid) for tid in tids}
    for events in watchers:
        events.close()
    assert after == before


def test_events_forked_child_closes_only_its_own(run_script: Callable[..., str], make_ready: MakeCgroup) -> None:
    cgroup = make_ready("" if UNIFIED else "pids")
    run_script(
        """
        cgroup = Hierarchy.find_exn(sys.argv[1])
        triggers = [PressureTrigger("cpu", "some", 1_900_000, 2_000_000)] if sys.argv[2] == "1" else []
        events = Events(cgroup)
        started, relayed = Events(cgroup), Events(cgroup, *triggers)
        told = []
        started.start(told.append)
        relayed.fileno()
        pid = os.fork()
        if pid == 0:
            raises(ValueError, next, events)
            for one in (events, started, relayed):
                one.close()
            kinds = [os.readlink(f"/proc/self/fd/{fd}") for fd in range(100) if os.path.lexists(f"/proc/self/fd/{fd}")]
            assert not [kind for kind in kinds if "anon_inode" in kind or "pressure" in kind], kinds
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        time.sleep(0.2)
        assert events.poll() == [] and told == []
        cgroup.remove()
        assert [event.what for event in events] == ["removed"]
        deadline = time.monotonic() + 30
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [event.what for event in told] == ["removed"]
        started.close()
        relayed.close()
        """,
        *(str(cgroup), str(int(UNIFIED and TRIGGERS))),
    )


def test_events_without_descriptors_raise(run_script: Callable[..., str], make_ready: MakeCgroup) -> None:
    cgroup = make_ready("" if UNIFIED else "pids")
    run_script(
        """
        import resource
        cgroup = Hierarchy.find_exn(sys.argv[1])
        Events(cgroup).close()
        open_now = len(os.listdir("/proc/self/fd/"))
        failed = 0
        for room in range(0, 12):
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + room, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            try:
                Events(cgroup).close()
            except CgroupOSError as error:
                assert error.errno == errno.EMFILE, error
                failed += 1
            assert len(os.listdir("/proc/self/fd/")) <= open_now + 1
        assert failed
        """,
        str(cgroup),
    )


# ---- without root ------------------------------------------------------------------------------------------


def test_events_owner_of_a_subtree_gets_them(head: str, make_ready: MakeCgroup, run_script: Callable[..., str]) -> None:
    from test_delegation import OWNER, USER

    cgroup = make_ready(head)
    run_script(
        OWNER
        + """
import subprocess
made = top.make_sub("made")
with made.events() as events:
    assert events.source == "kernel"
    child = subprocess.Popen(["sleep", "100"])
    made.add_process(child.pid)
    child.kill(); child.wait()
    made.wait_empty(30)
    made.remove()
    found = [event.what for event in events]
    assert found[-1] == "removed", found
if above.version == 2:
    for place, mine in ((top, True), (elsewhere, False)):
        try:
            place.events(PressureTrigger("cpu", "some", 1_000_000, 2_000_000)).close()
            assert mine
        except AccessDenied as error:
            # Before Linux 6.5 nobody without the capability may.
            assert not mine or "CAP_SYS_RESOURCE" in error.hint, error
            assert error.path == place.path + "/cpu.pressure", error
            assert mine or "is owned by 0:0 with mode 0" in error.hint, error.hint
        except ParameterNotSupported as error:
            assert "psi=1" in error.hint, error
""",
        *(cgroup.hierarchy.spec_head if head else "", cgroup.location, str(USER)),
    )


@where(usable("memory"))
def test_events_owner_gets_those_of_memory(make_ready: MakeCgroup, run_script: Callable[..., str]) -> None:
    from test_delegation import OWNER, USER

    cgroup = make_ready("memory")
    controllers = "memory"
    run_script(
        OWNER
        + f"""
import subprocess
made = top.make_sub("made")
if made.version == 2 and "memory" not in made.subsystems:
    made = top  # which enables nothing for those below
Parameters.set(Memory.limit_in_bytes, made, {16 * MIB})
if "memory.memsw.limit_in_bytes" in os.listdir(made.path):
    Parameters.set(Memory.memsw_limit_in_bytes, made, {16 * MIB})
elif "memory.swap.max" in os.listdir(made.path):
    Parameters.set(Memory.swap_max, made, 0)
def grow():
    import signal
    pid = os.fork()
    if pid == 0:
        try:
            made.add_process(os.getpid())
            bytearray({64 * MIB})
        finally:
            os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
with made.events(Oom(), Threshold(Memory.usage_in_bytes, above={8 * MIB}, interval=0.01)) as events:
    assert events.source == ("kernel" if made.version == 1 else "sampled")
    assert grow() == -9
    found = []
    for event in events:
        found.append(event.what)
        if "oom_kill" in found:
            break
    assert "oom" in found, found
""",
        *(controllers if cgroup.version == 2 else cgroup.hierarchy.spec_head, cgroup.location, str(USER)),
    )
