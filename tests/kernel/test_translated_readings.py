"""The same program means the same on both versions: what is read, what holds, and what one of them does not have.

That limits on memory, CPU time, processes, CPUs and devices are enforced, by
the same programs on both, is in test_enforcement.py.
"""

from __future__ import annotations

import errno
import mmap
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from common import MIB, MakeCgroup, Need, Spawn

from cgroups import Cgroup, Cpu, Cpuset, Hugetlb, Memory, ParameterNotSupported, Parameters, Subsystem


def inside(spawn: Spawn, cgroup: Cgroup, program: str) -> subprocess.Popen[bytes]:
    """A child in a cgroup, that runs a program once it is told to."""
    start = "import mmap, os, sys, time\nprint('ready', flush=True)\ntold = sys.stdin.readline()\n"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child = spawn(sys.executable, "-c", start + program, **pipes)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    cgroup.add_process(child.pid)
    return child


def tell(child: subprocess.Popen[bytes], word: object = "") -> None:
    assert child.stdin is not None
    child.stdin.write(f"{word}\n".encode())
    child.stdin.flush()


def answer(child: subprocess.Popen[bytes]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().decode().strip()


LOAD = """
data = bytearray(48 << 20)
data[::4096] = b"x" * (len(data) // 4096)
path = FILE
with open(path, "wb") as file:
    file.write(bytes(16 << 20))
    file.flush()
    os.fsync(file.fileno())
mapped = mmap.mmap(os.open(path, os.O_RDONLY), 16 << 20, prot=mmap.PROT_READ)
sum(mapped[::4096])
print("loaded", flush=True)
sys.stdin.readline()
"""


def test_a_known_load_reads_the_same(need: Need, make_ready: MakeCgroup, spawn: Spawn, tmp_path: Path) -> None:
    """48 MiB of its own and 16 MiB of a file, mapped: by the same names, in bytes, also where the kernel says pages."""
    need("memory")
    cgroup = make_ready("memory")
    child = inside(spawn, cgroup, LOAD.replace("FILE", repr(str(tmp_path / "data"))))
    tell(child)
    assert answer(child) == "loaded"
    anonymous, cached = range(48 * MIB, 64 * MIB), range(16 * MIB, 24 * MIB)
    # While the kernel flushes the counts of its CPUs for another reader, memory.stat may show those of before.
    deadline = time.monotonic() + 3
    while (stat := Parameters.get(Memory.stat, cgroup))["rss"] not in anonymous and time.monotonic() < deadline:
        time.sleep(0.05)
    assert stat["rss"] in anonymous
    assert stat["total_rss"] in anonymous
    # The kernel counts mapped pages in batches.
    assert stat["cache"] in range(15 * MIB, 24 * MIB)
    assert stat["mapped_file"] in range(15 * MIB, 24 * MIB)
    assert stat["pgfault"] >= 48 * MIB // mmap.PAGESIZE // 512
    numa = Parameters.get(Memory.numa_stat, cgroup)
    own = "anon" if "anon" in numa else "rss"
    assert sum(numa[own].values()) in range(40 * MIB, 64 * MIB)
    assert sum(numa["file"].values()) in range(15 * MIB, 24 * MIB)
    used = Parameters.get(Memory.usage_in_bytes, cgroup)
    assert anonymous.start + cached.start - MIB < used < 96 * MIB
    assert Parameters.get(Memory.current, cgroup) == pytest.approx(used, abs=4 * MIB)
    assert Parameters.get(Memory.memsw_usage_in_bytes, cgroup) >= used - 4 * MIB
    assert Parameters.get(Memory.max_usage_in_bytes, cgroup) >= used - 4 * MIB
    tell(child)
    assert child.wait(60) == 0


SHARE = """
start = float(told)
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
time.sleep(max(0, start - time.monotonic()))
before = time.process_time()
while time.monotonic() < start + 1:
    pass
print(time.process_time() - before, flush=True)
"""


@pytest.mark.parametrize(
    ("parameter", "much", "little"), [(Cpu.shares, 16384, 64), (Cpu.idle, False, True)], ids=["shares", "idle"]
)
def test_who_has_more_gets_more(
    parameter: Any, much: Any, little: Any, need: Need, make_ready: MakeCgroup, spawn: Spawn
) -> None:
    """Two processes compete for one CPU for a second."""
    need("cpu")
    cgroups = [make_ready("cpu"), make_ready("cpu")]
    children = []
    for cgroup, value in zip(cgroups, (much, little)):
        Parameters.set(parameter, cgroup, value)
        children.append(inside(spawn, cgroup, SHARE))
    start = time.monotonic() + 0.5
    for child in children:
        tell(child, start)
    more, less = (float(answer(child)) for child in children)
    assert more > 3 * less


HUGE = """
try:
    mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
except OSError as error:
    print(error.errno, flush=True)
"""


def test_rsvd_limit_v2_no_page_beyond_it_is_reserved(need: Need, make_ready: MakeCgroup, spawn: Spawn) -> None:
    need("hugetlb")
    cgroup = make_ready("hugetlb")
    Parameters.set(Hugetlb("2MB").rsvd_limit_in_bytes, cgroup, 0)
    child = inside(spawn, cgroup, HUGE)
    tell(child)
    assert answer(child) == str(errno.ENOMEM)
    assert Parameters.get(Hugetlb("2MB").rsvd_usage_in_bytes, cgroup) == 0


# ---- parameters of only one version -------------------------------------------------------------------------

HINTS = {
    "memory.memsw_max_usage_in_bytes": "Memory.peak",
    "memory.swappiness": "vm.swappiness",
    "memory.move_charge_at_immigrate": "never move",
    "cpu.rt_period_us": "real-time",
    "cpu.rt_runtime_us": "real-time",
    "cpuacct.usage_percpu": "per CPU",
    "cpuset.mem_exclusive": "exclusive",
    "cpuset.mem_hardwall": "hardwall",
    "cpuset.memory_spread_page": "mbind",
    "cpuset.memory_spread_slab": "slab",
    "cpuset.sched_load_balance": "Cpuset.cpus_partition",
    "cpuset.memory_pressure": "Memory.pressure",
    "cpuset.memory_pressure_enabled": "Memory.pressure",
    "cpuset.sched_relax_domain_level": "domain level",
    "blkio.reset_stats": "io.stat",
    **{
        f"blkio.{name}": "Io.stat"
        for name in (
            *("time", "sectors", "avg_queue_size", "group_wait_time", "empty_time", "idle_time"),
            *("io_service_time", "io_merged", "io_queued", "wait_time"),
        )
    },
    "release_agent": "Core.events",
    "notify_on_release": "Core.events",
    "cgroup.clone_children": "inherit",
    "devices.allow": "BPF",
    "devices.deny": "BPF",
    "devices.list": "BPF",
    "net_cls.classid": "BPF",
    "net_prio.ifpriomap": "BPF",
    "net_prio.prioidx": "BPF",
    "memory.high": "throttling",
    "memory.low": "Memory.soft_limit_in_bytes",
    "memory.swap_max": "Memory.memsw_limit_in_bytes",
    "memory.reclaim": "Memory.force_empty",
    "memory.pressure": "/proc/pressure/memory",
    "cpu.weight": "Cpu.shares",
    "io.max": "Blkio.throttle_",
    "io.stat": "Blkio.throttle_io_service",
    "io.weight": "Blkio.weight",
    "cgroup.freeze": "Freezer.state",
    "cpuset.cpus_partition": "Cpuset.cpu_exclusive",
}
"""The words that a hint must contain, by parameter."""


def lacks(parameter: Any, version: int) -> bool:
    try:
        parameter.binding(version)
    except ParameterNotSupported:
        return True
    return False


def calls_of(parameter: Any, cgroup: Cgroup) -> list[Callable[[], object]]:
    calls: list[Callable[[], object]] = []
    if isinstance(parameter, Parameters.Readable):
        calls.append(lambda: Parameters.get(parameter, cgroup))
    if isinstance(parameter, Parameters.Writable):
        calls.append(lambda: Parameters.set(parameter, cgroup, 1))
    if isinstance(parameter, Parameters.Resettable):
        calls.append(lambda: Parameters.reset(parameter, cgroup))
    return calls


def test_get_parameter_of_the_other_version_names_the_nearest(head: str, make_cgroup: MakeCgroup) -> None:
    """Every parameter is covered, for each operation, with and without its controller in the cgroup."""
    cgroup = make_cgroup(head)
    lacking = [one for one in Subsystem.parameters() if lacks(one, cgroup.version)]
    assert len(lacking) > 30
    problems: dict[str, object] = {}
    for parameter in lacking:
        for call in calls_of(parameter, cgroup):
            try:
                problems[str(parameter)] = call()
            except ParameterNotSupported as error:
                words = (str(parameter), f"version {cgroup.version}", HINTS.get(str(parameter), ""))
                if not error.hint or any(word not in str(error) for word in words):
                    problems[str(parameter)] = error
    assert not problems


@pytest.mark.parametrize(
    ("parameter", "value", "hint"),
    [(Memory.oom_control, True, "Memory.oom_group"), (Cpuset.cpu_exclusive, True, "Cpuset.cpus_partition")],
    ids=str,
)
def test_set_v2_read_only_translation_raises(
    parameter: Any, value: Any, hint: str, need: Need, make_cgroup: MakeCgroup
) -> None:
    need(parameter.controller)
    cgroup = make_cgroup(parameter.controller)
    before = Parameters.get(parameter, cgroup)
    if cgroup.version == 1:
        Parameters.set(parameter, cgroup, value)
        assert Parameters.get(parameter, cgroup) != before
        return
    with pytest.raises(ParameterNotSupported, match="version 2") as caught:
        Parameters.set(parameter, cgroup, value)
    assert hint in (caught.value.hint or "")
    assert Parameters.get(parameter, cgroup) == before
