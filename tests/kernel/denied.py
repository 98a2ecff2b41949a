"""A program under a seccomp filter that denies one system call from before its first call of the package.

``python denied.py NUMBER ERRNO SPECS``: each scenario is run in a child, and prints its outcome as a line of JSON.
SPECS is a JSON object of what each scenario is given: a fresh cgroup of each controller.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import platform
import select
import signal
import struct
import sys
import threading
import time
import traceback
from subprocess import PIPE

MOST = (1 << 64) - 1

CLONE3 = 435


def libc_code() -> tuple[int, int]:
    """Return the first and last address of the C library's code."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        lines = [line.split() for line in maps]
    names = ("libc.", "libc-", "ld-musl")
    [found] = [line[0] for line in lines if line[1] == "r-xp" and os.path.basename(line[-1]).startswith(names)]
    start, end = (int(number, 16) for number in found.split("-"))
    return start, end


def deny(number: int, error: int) -> None:
    """Have a system call give this errno from here on, in this process and its children.

    Of clone3 the C library's own use is spared: glibc 2.34 and later start no thread where it gives EPERM, so that
    such a filter is only found beside an older one.
    """
    load, equal, at_least, end, allow, fail = 0x20, 0x15, 0x35, 0x06, 0x7FFF0000, 0x00050000
    architecture = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[platform.machine()]
    start, stop = libc_code() if number == CLONE3 else (0, 0)
    low = (1 << 32) - 1
    program = [
        (load, 0, 0, 4),
        (equal, 1, 0, architecture),
        (end, 0, 0, allow),
        (load, 0, 0, 0),
        (equal, 1, 0, number),
        (end, 0, 0, allow),
        (load, 0, 0, 12),  # the instruction pointer's upper half
        (equal, 0, 3, start >> 32),
        (load, 0, 0, 8),  # and its lower half
        (at_least, 0, 1, start & low),
        (at_least, 0, 1, stop & low),
        (end, 0, 0, fail | error),
        (end, 0, 0, allow),
    ]
    text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    head = ctypes.create_string_buffer(struct.pack("H6xP", len(program), ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    long = ctypes.c_ulong
    assert libc.prctl(38, long(1), long(0), long(0), long(0)) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, long(2), head, long(0), long(0)) == 0  # PR_SET_SECCOMP
    if number != CLONE3:
        # With arguments that no system call takes: what it gives is the filter's answer.
        assert libc.syscall(long(number), *[long(MOST)] * 6) == -1
        assert ctypes.get_errno() == error


if __name__ == "__main__":
    deny(int(sys.argv[1]), int(sys.argv[2]))

import cgroups
from cgroups import (
    CgroupError,
    Events,
    Guard,
    Hierarchy,
    Memory,
    Oom,
    Pids,
    Popen,
    PressureTrigger,
    Sampler,
    Subsystem,
    Threshold,
    aio,
    run,
)

DEFAULT_TIMEOUT_S, LONGEST = 20, 60
"""Seconds for one event, and for a scenario."""

LIMIT = 60000
"""Bytes of an outcome, which fit into a pipe."""


def seed(specs):
    memory, cpuacct = Hierarchy.find_exn(specs["memory"]), Hierarchy.find_exn(specs["cpuacct"])
    pid = os.getpid()
    Hierarchy.add_process(memory, pid)
    Hierarchy.add_process(cpuacct, pid)
    assert Subsystem.Parameters.get(Subsystem.Cpuacct.usage, cpuacct) >= 0
    assert 0 <= Subsystem.Parameters.get(Subsystem.Memory.usage_in_bytes, memory) < 1_000_000_000
    Subsystem.Parameters.set(Subsystem.Memory.limit_in_bytes, memory, 1_000_000_000)
    assert Subsystem.Parameters.get(Subsystem.Memory.limit_in_bytes, memory) == 999_997_440
    for cgroup in (memory, cpuacct):
        with open(f"{cgroup.path}/cgroup.procs") as file:
            assert str(pid) in file.read().split()
    assert memory in Hierarchy.process_info(pid)


def spawn(specs):
    group = [Hierarchy.find_exn(spec) for spec in specs.values()]
    unwanted = os.open("/", os.O_RDONLY)
    os.set_inheritable(unwanted, True)
    program = "import os, sys; sys.stdin.read(); print(*os.listdir('/proc/self/fd'))"
    with Popen([sys.executable, "-c", program], cgroup=group, stdin=PIPE, stdout=PIPE, text=True) as child:
        for cgroup in group:
            with open(f"{cgroup.path}/cgroup.procs") as file:
                assert str(child.pid) in file.read().split(), cgroup
        printed, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert str(unwanted) not in printed.split(), printed  # close_fds
    assert printed.split()[:3] == ["0", "1", "2"]


def run_a_command(specs):
    parents = list(specs.values())
    report = run(["sh", "-c", "echo printed; exit 3"], capture_output=True, timeout=60, parent=parents)
    assert (report.returncode, report.stdout, report.timed_out) == (3, b"printed\n", False), report
    assert report.cpu_ns > 0
    report = run(["sh", "-c", "sleep 1000 & sleep 1000"], timeout=0.3, sample=0.1, parent=parents)
    assert report.timed_out and report.killed, report
    assert len(report.samples) >= 2


def asyncio_popen(specs):
    async def main():
        async with aio.Popen(["sh", "-c", "exit 4"], cgroup=Hierarchy.find_exn(specs["pids"])) as process:
            assert await asyncio.wait_for(process.wait(), 60) == 4

    asyncio.run(main())


def sampler(specs):
    cgroup = Hierarchy.find_exn(specs["memory"])
    with Sampler([cgroup], [Memory.usage_in_bytes]) as few:
        frame = few.sample()
        assert frame[cgroup, Memory.usage_in_bytes] >= 0
        if cgroups.backend == "native":
            with few.record(0.01) as recorder:
                time.sleep(0.1)
            assert len(recorder.read()) > 2
    with Sampler.follow(cgroup, [Memory.usage_in_bytes]) as all_of_it:
        assert [one.name for one in all_of_it.sample().cgroups] == [cgroup.name]
        os.mkdir(f"{cgroup.path}/new")
        try:
            deadline = time.monotonic() + DEFAULT_TIMEOUT_S
            while len(all_of_it.sample().cgroups) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            os.rmdir(f"{cgroup.path}/new")
        while len(all_of_it.sample().cgroups) > 1:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def told(events, what):
    """The first event that is called so, which has to come."""
    found = next((event for event in events if event.what == what), None)
    assert found is not None, f"no {what}"
    return found


def events(specs):
    cgroup = Hierarchy.find_exn(specs["pids"])
    os.mkdir(f"{cgroup.path}/watched")
    watched = cgroup.child("watched")
    high = Threshold(Pids.current, above=0, interval=0.05)
    with Events(watched, high, timeout=DEFAULT_TIMEOUT_S) as several:
        child = os.fork()
        if child == 0:
            watched.add_process(os.getpid())
            time.sleep(1000)
        told(several, "above")
        os.kill(child, 9)
        os.waitpid(child, 0)
        told(several, "below")
        # By its descriptor, in a loop of the program.
        poll = select.poll()
        poll.register(several.fileno(), select.POLLIN)
        os.rmdir(watched.path)
        found = []
        deadline = time.monotonic() + DEFAULT_TIMEOUT_S
        while not any(event.what == "removed" for event in found):
            assert time.monotonic() < deadline
            poll.poll(1000)
            found += several.poll()

    # Events read by a thread, which closing wakes.
    seen = []
    several = Events(cgroup, Threshold(lambda _: 1, above=0), timeout=60)
    several.start(seen.append)
    deadline = time.monotonic() + DEFAULT_TIMEOUT_S
    while not seen:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    several.close()

    async def main():
        async with Events(
            cgroup, Threshold(lambda _: time.monotonic() % 0.4, above=0.2), timeout=DEFAULT_TIMEOUT_S
        ) as several:
            names = []
            async for event in several:
                names.append(event.what)
                if len(names) > 3:
                    break

    asyncio.run(main())


def memory_events(specs):
    """v1 reports thresholds by eventfds, which can be sampled instead, and v2 by its files."""
    cgroup = Hierarchy.find_exn(specs["memory"])
    os.mkdir(f"{cgroup.path}/watched")
    watched = cgroup.child("watched")
    try:
        with Events(
            watched, Threshold(Memory.usage_in_bytes, above=-1, below=-2), timeout=DEFAULT_TIMEOUT_S
        ) as several:
            told(several, "above")
    finally:
        os.rmdir(watched.path)


def out_of_memory(specs):
    with Events(Hierarchy.find_exn(specs["memory"]), Oom(), timeout=0.1) as several:
        assert not list(several)


def pressure(specs):
    """A trigger of the whole system, by a descriptor: with a relay."""
    with Events(None, PressureTrigger("cpu", "some", 100_000, 2_000_000)) as several:
        poll = select.poll()
        poll.register(several.fileno(), select.POLLIN)
        poll.poll(500)
        several.poll()


def kill(specs):
    for spec in {specs["pids"], specs.get("v2", specs["pids"])}:
        cgroup = Hierarchy.find_exn(spec)
        children = [Popen(["sleep", "1000"], cgroup=cgroup) for _ in range(3)]
        assert cgroup.signal(10) == 3
        assert [child.wait(60) for child in children] == [-10] * 3
        children = [Popen(["sleep", "1000"], cgroup=cgroup) for _ in range(3)]
        # Reaped by somebody else meanwhile, as elsewhere.
        reaper = threading.Thread(target=lambda: [child.wait(60) for child in children])
        reaper.start()
        assert cgroup.kill(60) >= 3
        cgroup.wait_empty(60)
        reaper.join()
        assert [child.returncode for child in children] == [-9] * 3


def guard(specs):
    cgroup = Hierarchy.find_exn(specs["pids"])
    with Guard(cgroup, Pids.current, above=1, interval=0.05, action=9) as armed:
        children = [Popen(["sleep", "1000"], cgroup=cgroup) for _ in range(2)]
        fired = armed.wait(DEFAULT_TIMEOUT_S)
        assert [child.wait(60) for child in children] == [-9] * 2
    assert fired is not None and fired.what == "above"


SCENARIOS = {
    one.__name__: one
    for one in (
        *(seed, spawn, run_a_command, asyncio_popen, sampler),
        *(events, memory_events, out_of_memory, pressure, kill, guard),
    )
}


def outcome(name, specs):
    try:
        SCENARIOS[name](specs)
    except CgroupError as error:
        return f"{type(error).__name__}: {error}"
    except BaseException:
        return traceback.format_exc()
    return "works"


def main(given):
    for name, specs in given.items():
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(LONGEST)
            os.write(writing, outcome(name, specs).encode()[:LIMIT])
            os._exit(0)
        # First its end: what it may have left behind holds the pipe too.
        _, status = os.waitpid(child, 0)
        text = os.read(reading, LIMIT).decode() if status == 0 else f"ended with status {status}"
        os.close(reading)
        os.close(writing)
        print(json.dumps([name, text]), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[3]))
