"""Limits are enforced, and counters rise: children under limits, and under known loads."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from common import MIB, MakeCgroup, Need, Spawn

from cgroups import (
    MAX,
    Blkio,
    Cgroup,
    Cpu,
    Cpuacct,
    Cpuset,
    Device,
    Devices,
    Freezer,
    Hierarchy,
    Memory,
    Parameters,
    Pids,
)

# Says ready, waits to be moved, then does what it is there for.
START = """
import errno, json, os, sys, time
print("ready", flush=True)
sys.stdin.readline()
"""
BURN = """
start = time.process_time()
while time.process_time() < start + float(sys.argv[1]):
    pass
"""


def inside(spawn: Spawn, cgroups: list[Cgroup], program: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A child that is in the cgroups before it starts with its program."""
    pipe = subprocess.PIPE
    child = spawn(sys.executable, "-c", START + program, *arguments, stdin=pipe, stdout=pipe, stderr=pipe)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    for cgroup in cgroups:
        cgroup.add_process(child.pid)
    return child


def outcome(child: subprocess.Popen[bytes]) -> str:
    output, errors = child.communicate(b"\n", timeout=60)
    assert child.returncode == 0, errors.decode()
    return output.decode()


def cpu_time(pid: int) -> int:
    """Ticks that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# ---- memory -----------------------------------------------------------------------------


def test_memory_limit_child_over_it_is_killed_or_fails(need: Need, make_ready: MakeCgroup, spawn: Spawn) -> None:
    need("memory")
    cgroup = make_ready("memory")
    Parameters.set(Memory.limit_in_bytes, cgroup, 32 * MIB)
    try:
        Parameters.set(Memory.memsw_limit_in_bytes, cgroup, 64 * MIB)  # where there is swap, it fills too
    except LookupError:
        pass  # no accounting of swap here
    child = inside(spawn, [cgroup], "data = bytearray(256 << 20)\ndata[::4096] = b'x' * (len(data) // 4096)\n")
    child.communicate(b"\n", timeout=60)
    assert child.returncode != 0
    assert Parameters.get(Memory.failcnt, cgroup) > 0
    assert Parameters.get(Memory.usage_in_bytes, cgroup) <= 32 * MIB
    assert 16 * MIB < Parameters.get(Memory.max_usage_in_bytes, cgroup) <= 32 * MIB
    kills = Parameters.get(Memory.oom_control, cgroup).oom_kill
    assert kills is None or kills >= 1  # None: older kernels do not count them
    # The counters start again where they can.
    if cgroup.version == 1:
        for parameter in (Memory.failcnt, Memory.max_usage_in_bytes):
            Parameters.reset(parameter, cgroup)
        assert Parameters.get(Memory.failcnt, cgroup) == 0
        assert Parameters.get(Memory.max_usage_in_bytes, cgroup) < 16 * MIB


def test_memory_limit_child_below_it_is_counted(need: Need, make_ready: MakeCgroup, spawn: Spawn) -> None:
    need("memory")
    cgroup = make_ready("memory")
    Parameters.set(Memory.limit_in_bytes, cgroup, 256 * MIB)
    program = "print('before', flush=True)\nsys.stdin.readline()\ndata = bytearray(48 << 20)\n"
    program += "data[::4096] = b'x' * (len(data) // 4096)\nprint('after', flush=True)\nsys.stdin.readline()\n"
    child = inside(spawn, [cgroup], program)
    assert child.stdin is not None
    assert child.stdout is not None

    def step(expected: bytes) -> tuple[int, int]:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == expected
        stat = Parameters.get(Memory.stat, cgroup)
        assert stat.rss is not None
        return Parameters.get(Memory.usage_in_bytes, cgroup), stat.rss

    (used, rss), (used_after, rss_after) = step(b"before\n"), step(b"after\n")
    # The kernel charges in batches, and counts its own tables in.
    assert 44 * MIB < used_after - used < 60 * MIB
    assert 40 * MIB < rss_after - rss < 60 * MIB
    assert Parameters.get(Memory.max_usage_in_bytes, cgroup) >= used_after
    assert outcome(child) == ""
    Parameters.reset(Memory.force_empty, cgroup)
    until(lambda: Parameters.get(Memory.usage_in_bytes, cgroup) < 16 * MIB)


# ---- cpu ----------------------------------------------------------------------------------


def test_cpuset_child_runs_on_its_cpus(need: Need, make_ready: MakeCgroup, spawn: Spawn) -> None:
    need("cpuset")
    cgroup = make_ready("cpuset")
    everything = Parameters.get(Cpuset.effective_cpus, Hierarchy.find_exn("cpuset"))
    for cpus in ([everything[-1]], [everything[0]], everything):
        Parameters.set(Cpuset.cpus, cgroup, cpus)
        child = inside(spawn, [cgroup], "print(json.dumps(sorted(os.sched_getaffinity(0))))\n")
        assert json.loads(outcome(child)) == cpus == Parameters.get(Cpuset.effective_cpus, cgroup)


def test_cpu_quota_throttles(need: Need, make_ready: MakeCgroup, spawn: Spawn) -> None:
    need("cpu")
    cgroup = make_ready("cpu")
    Parameters.set(Cpu.max, cgroup, (20_000, 100_000))  # type: ignore[arg-type]
    before = Parameters.get(Cpu.stat, cgroup)
    start = time.monotonic()
    outcome(inside(spawn, [cgroup], BURN, "0.1"))
    took = time.monotonic() - start
    after = Parameters.get(Cpu.stat, cgroup)
    # 100 ms of CPU time at a fifth of a CPU are five periods: at least 300 ms of them throttled.
    assert took > 0.3
    assert after["nr_throttled"] - before["nr_throttled"] >= 3
    assert after["nr_periods"] >= after["nr_throttled"]
    assert 0.15e9 < after["throttled_time"] - before["throttled_time"] < took * 1e9 * (os.cpu_count() or 1)
    assert Parameters.get(Cpu.stat["nr_throttled"], cgroup) == after["nr_throttled"]


def test_cpu_time_of_a_known_load(need: Need, make_ready: MakeCgroup, spawn: Spawn) -> None:
    need("cpuacct")
    cgroup = make_ready("cpuacct")
    before = Parameters.get(Cpuacct.usage, cgroup)
    outcome(inside(spawn, [cgroup], BURN, "0.3"))
    used = Parameters.get(Cpuacct.usage, cgroup) - before
    assert 0.15e9 < used < 0.45e9
    split = Parameters.get(Cpuacct.usage_user, cgroup) + Parameters.get(Cpuacct.usage_sys, cgroup)
    assert 0.15e9 < split < 0.5e9
    stat = Parameters.get(Cpuacct.stat, cgroup)
    assert 0.15e9 < stat["user"] + stat["system"] < 0.5e9
    assert stat["user"] > 0
    if cgroup.version == 1:
        assert sum(Parameters.get(Cpuacct.usage_percpu, cgroup)) == Parameters.get(Cpuacct.usage, cgroup)
        Parameters.reset(Cpuacct.usage, cgroup)
        assert Parameters.get(Cpuacct.usage, cgroup) == 0


# ---- pids ------------------------------------------------------------------------------------


def test_pids_max_fork_beyond_it_fails(need: Need, make_ready: MakeCgroup, spawn: Spawn) -> None:
    need("pids")
    cgroup = make_ready("pids")
    Parameters.set(Pids.max, cgroup, 3)
    program = """
children, error = [], None
while error is None and len(children) < 10:
    try:
        child = os.fork()
    except OSError as failure:
        error = failure.errno
        break
    if child == 0:
        sys.stdin.readline()
        os._exit(0)
    children.append(child)
print(json.dumps([len(children), error]), flush=True)
sys.stdin.readline()
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""
    child = inside(spawn, [cgroup], program)
    assert child.stdin is not None
    assert child.stdout is not None
    assert Parameters.get(Pids.current, cgroup) == 1
    child.stdin.write(b"\n")
    child.stdin.flush()
    assert json.loads(child.stdout.readline()) == [2, errno.EAGAIN]
    assert Parameters.get(Pids.current, cgroup) == 3
    assert len(cgroup.processes()) == 3
    if (Path(str(cgroup.path)) / "pids.events").exists():
        assert Parameters.get(Pids.events["max"], cgroup) >= 1
    outcome(child)
    until(lambda: Parameters.get(Pids.current, cgroup) == 0)


# ---- freezer ---------------------------------------------------------------------------------


def test_freeze_child_stops(need: Need, make_ready: MakeCgroup, spawn: Spawn) -> None:
    need("freezer")
    cgroup = make_ready("freezer")
    child = inside(spawn, [cgroup], BURN, "3600")
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.flush()
    start = cpu_time(child.pid)
    until(lambda: cpu_time(child.pid) > start + 2)
    Parameters.set(Freezer.state, cgroup, "FROZEN")
    until(lambda: Parameters.get(Freezer.state, cgroup) == "FROZEN")
    assert Parameters.get(Freezer.self_freezing, cgroup) is True
    frozen = cpu_time(child.pid)
    time.sleep(0.2)
    assert cpu_time(child.pid) == frozen
    Parameters.set(Freezer.state, cgroup, "THAWED")
    assert Parameters.get(Freezer.state, cgroup) == "THAWED"
    until(lambda: cpu_time(child.pid) > frozen + 2)


def test_freeze_cgroup_below_is_frozen(need: Need, make_ready: MakeCgroup, spawn: Spawn) -> None:
    need("freezer")
    inner = make_ready("freezer", "/inner")
    child = inside(spawn, [inner], BURN, "3600")
    assert inner.parent is not None
    Parameters.set(Freezer.state, inner.parent, "FROZEN")
    until(lambda: Parameters.get(Freezer.state, inner) == "FROZEN")
    assert Parameters.get(Freezer.self_freezing, inner) is False
    if inner.version == 1:
        assert Parameters.get(Freezer.parent_freezing, inner) is True
    Parameters.set(Freezer.state, inner.parent, "THAWED")
    assert Parameters.get(Freezer.state, inner) == "THAWED"
    assert child.poll() is None


# ---- devices -----------------------------------------------------------------------------------


def test_devices_deny_device_cannot_be_opened(need: Need, make_ready: MakeCgroup, spawn: Spawn) -> None:
    need("devices")
    cgroup = make_ready("devices")
    program = """
def attempt():
    try:
        os.close(os.open("/dev/null", os.O_RDWR))
    except OSError as error:
        return error.errno
    return 0
for line in sys.stdin:
    print(attempt(), flush=True)
print("end", flush=True)
"""
    child = inside(spawn, [cgroup], program)

    def attempt() -> int:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
        return int(child.stdout.readline())

    assert child.stdin is not None
    child.stdin.write(b"\n")
    assert attempt() == 0
    Parameters.set(Devices.deny, cgroup, "c 1:3 rwm")
    assert attempt() in (errno.EPERM, errno.EACCES)
    Parameters.set(Devices.allow, cgroup, "c 1:3 rwm")
    assert attempt() == 0


# ---- block devices ---------------------------------------------------------------------------------


def test_throttle_slows_reads(need: Need, make_ready: MakeCgroup, spawn: Spawn, tmp_path: Path) -> None:
    need("blkio")
    device = Device(os.major(tmp_path.stat().st_dev), os.minor(tmp_path.stat().st_dev))
    if not Path(f"/sys/dev/block/{device}/queue").exists():
        pytest.skip("the temporary directory is not on a whole disk")
    file = tmp_path / "data"
    with file.open("wb") as data:
        data.write(os.urandom(MIB))
        data.flush()
        os.fsync(data.fileno())
    try:
        os.close(os.open(file, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        pytest.skip("the file system cannot read past the page cache")
    cgroup = make_ready("blkio")
    program = """
import mmap
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
start = time.monotonic()
with mmap.mmap(-1, 1 << 20) as pages:
    while os.readv(fd, [pages]):
        pass
print(time.monotonic() - start)
"""
    unlimited = float(outcome(inside(spawn, [cgroup], program, str(file))))
    Parameters.set(Blkio.throttle_read_bps_device, cgroup, {device: 2 * MIB})
    limited = float(outcome(inside(spawn, [cgroup], program, str(file))))
    assert limited > 0.25  # 1 MiB at 2 MiB/s is half a second
    assert limited > unlimited
    # Linux 6.1 counts on v1 only while there is a throttle.
    served = Parameters.get(Blkio.throttle_io_service_bytes, cgroup)
    assert served[device]["Read"] >= MIB // 2
    requests = Parameters.get(Blkio.throttle_io_serviced, cgroup)
    assert requests[device]["Total"] >= requests[device]["Read"] >= 1
    assert served.total is not None
    assert served.total >= served[device]["Total"]
    assert Parameters.get(Blkio.throttle_read_bps_device, cgroup)[device] == 2 * MIB
    Parameters.set(Blkio.throttle_read_bps_device, cgroup, {device: MAX})
    assert device not in Parameters.get(Blkio.throttle_read_bps_device, cgroup)
