"""Every readable parameter over the captured files, against what the files say when read by hand."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cgroups import MAX, Cgroup, CpuMax, Device, DeviceRule, Host, Hugetlb, OomControl, Parameters, Subsystem
from cgroups.parameters.kinds import Parameter, Readable

CAPTURES = Path(__file__).parents[1] / "fixtures"
INNER = "/cgroups-capture/inner"
TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
DISK = Device(254, 0)


def keyed(text: str) -> dict[str, int]:
    """``key number`` lines, with the tools of the trade."""
    return {key: int(value) for key, value in (line.split() for line in text.splitlines())}


def named(pairs: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in pairs.split())


def numa_v1(text: str) -> dict[str, Any]:
    lines = [named(line) for line in text.splitlines()]
    return {next(iter(line)): {0: int(line["N0"]) * mmap.PAGESIZE} for line in lines}


def numa_v2(text: str) -> dict[str, Any]:
    return {name: {0: int(named(rest)["N0"])} for name, _, rest in (line.partition(" ") for line in text.splitlines())}


def pressure(text: str) -> dict[str, Any]:
    lines = [line.partition(" ") for line in text.splitlines()]
    return {name: {key: float(value) for key, value in named(rest).items()} for name, _, rest in lines}


def operations(text: str) -> tuple[Any, ...]:
    rows = [line.split() for line in text.splitlines()]
    return {DISK: {row[1]: int(row[2]) for row in rows[:-1]}} if len(rows) > 1 else {}, int(rows[-1][1])


def memory_stat_v2(text: str) -> dict[str, int]:
    stat = keyed(text)
    v1_names = {
        **{"rss": "anon", "cache": "file", "mapped_file": "file_mapped"},
        **{"rss_huge": "anon_thp", "dirty": "file_dirty", "writeback": "file_writeback"},
    }
    same = [
        *("shmem", "pgfault", "pgmajfault", "inactive_anon", "active_anon", "inactive_file", "active_file"),
        *("unevictable", "swapcached", "workingset_refault_anon", "workingset_refault_file"),
    ]
    for name, key in v1_names.items():
        stat[name] = stat[f"total_{name}"] = stat[key]
    return {**stat, **{f"total_{name}": stat[name] for name in same}}


def cpu_stat_v2(text: str) -> dict[str, int]:
    stat = keyed(text)
    return {**stat, "throttled_time": stat["throttled_usec"] * 1000, "burst_time": stat["burst_usec"] * 1000}


def v1_value(text: str) -> Any:
    """A file of one value: a number, or v1's words for no limit."""
    word = text.rstrip("\n")
    unlimited = str((1 << 63) // mmap.PAGESIZE * mmap.PAGESIZE - mmap.PAGESIZE)
    return MAX if word in ("max", unlimited) else int(word)


def v2_value(text: str) -> Any:
    word = text.rstrip("\n")
    return MAX if word == "max" else int(word)


def largest_shares(weight: int) -> int:
    """Return the largest shares to which the container runtimes' formula gives this weight."""

    def to_weight(shares: int) -> int:
        log = math.log2(shares)
        return math.ceil(10 ** ((log**2 + 125 * log) / 612 - 7 / 34))

    return max(shares for shares in range(1025, 262144) if to_weight(shares) == weight)


def flag(text: str) -> bool:
    return {"0\n": False, "1\n": True}[text]


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


CPU_LISTS = {"0-1\n": [0, 1], "0\n": [0], "\n": []}

# What is not one number; the functions are given the text of the parameter's first file that is there.
V1: dict[str, Callable[[str], Any]] = {
    "memory.stat": keyed,
    "memory.use_hierarchy": flag,
    "memory.oom_control": lambda _: OomControl(oom_kill_disable=False, under_oom=False, oom_kill=0),
    "memory.numa_stat": numa_v1,
    "memory.kmem_slabinfo": str,
    "cpu.stat": keyed,
    "cpu.stat_local": keyed,
    "cpu.max": lambda _: CpuMax(20000, 100000),
    "cpu.idle": flag,
    "cpuacct.stat": lambda _: {"user": 48 * TICK, "system": 7 * TICK},
    "cpuacct.usage_percpu": numbers,
    "cpuacct.usage_percpu_user": numbers,
    "cpuacct.usage_percpu_sys": numbers,
    "cpuacct.usage_all": lambda _: {0: (8000000, 12000000), 1: (512000000, 64000000)},
    **{f"cpuset.{name}": CPU_LISTS.__getitem__ for name in ("cpus", "mems", "effective_cpus", "effective_mems")},
    **{f"cpuset.{name}": CPU_LISTS.__getitem__ for name in ("cpus_effective", "mems_effective")},
    **{f"cpuset.{name}": flag for name in ("memory_migrate", "cpu_exclusive", "mem_exclusive", "mem_hardwall")},
    **{f"cpuset.{name}": flag for name in ("memory_spread_page", "memory_spread_slab", "sched_load_balance")},
    "blkio.weight_device": lambda _: {},
    "blkio.throttle_read_bps_device": lambda _: {DISK: 1048576},
    **{f"blkio.throttle_{name}_device": lambda _: {} for name in ("read_iops", "write_bps", "write_iops")},
    "pids.events": keyed,
    "freezer.state": str.strip,
    "freezer.self_freezing": flag,
    "freezer.parent_freezing": flag,
    "devices.list": lambda _: [DeviceRule("a", None, None, "rwm")],
    "cgroup.procs": numbers,
    "cgroup.threads": numbers,
    "cgroup.clone_children": flag,
    "notify_on_release": flag,
}

V2: dict[str, Callable[[str], Any]] = {
    "memory.stat": memory_stat_v2,
    "memory.memsw_usage_in_bytes": lambda _: 237568 + 0,
    "memory.memsw_limit_in_bytes": lambda _: MAX,
    "memory.failcnt": lambda text: keyed(text)["max"],
    "memory.memsw_failcnt": lambda text: keyed(text)["max"],
    "memory.soft_limit_in_bytes": lambda _: MAX,  # memory.low is 0: nothing asked for
    "memory.use_hierarchy": lambda _: True,
    "memory.oom_control": lambda _: OomControl(None, None, 0),
    "memory.numa_stat": numa_v2,
    "memory.oom_group": flag,
    **{f"memory.{name}": keyed for name in ("events", "events_local", "swap_events")},
    **{f"{name}.pressure": pressure for name in ("memory", "cpu", "io")},
    "cpu.shares": lambda text: largest_shares(int(text)),
    "cpu.cfs_quota_us": lambda text: numbers(text)[0],
    "cpu.cfs_period_us": lambda text: numbers(text)[1],
    "cpu.stat": cpu_stat_v2,
    "cpu.max": lambda _: CpuMax(20000, 100000),
    "cpu.idle": flag,
    "cpuacct.stat": lambda text: {
        **keyed(text),
        "user": keyed(text)["user_usec"] * 1000,
        "system": keyed(text)["system_usec"] * 1000,
    },
    "cpuacct.usage": lambda text: keyed(text)["usage_usec"] * 1000,
    "cpuacct.usage_user": lambda text: keyed(text)["user_usec"] * 1000,
    "cpuacct.usage_sys": lambda text: keyed(text)["system_usec"] * 1000,
    **{f"cpuset.{name}": CPU_LISTS.__getitem__ for name in ("cpus", "mems", "effective_cpus", "effective_mems")},
    **{f"cpuset.{name}": CPU_LISTS.__getitem__ for name in ("cpus_effective", "mems_effective")},
    "cpuset.memory_migrate": lambda _: True,
    "cpuset.cpu_exclusive": lambda _: False,
    "cpuset.cpus_partition": str.strip,
    "blkio.weight": lambda _: 20,  # 10 + ceil(99 · 990 / 9999)
    "blkio.weight_device": lambda _: {},
    **{f"blkio.throttle_{a}_{b}_device": lambda _: {} for a in ("read", "write") for b in ("bps", "iops")},
    "io.weight": lambda _: {},
    **{name: lambda _: {} for name in ("io.stat", "io.max", "rdma.max", "rdma.current")},
    **{name: lambda _: {} for name in ("misc.max", "misc.current", "misc.events")},
    "pids.events": keyed,
    "freezer.state": lambda _: "THAWED",
    "freezer.self_freezing": flag,
    "cgroup.type": str.strip,
    "cgroup.procs": numbers,
    "cgroup.threads": numbers,
    "cgroup.controllers": words,
    "cgroup.subtree_control": words,
    "cgroup.events": keyed,
    "cgroup.stat": keyed,
    "cgroup.freeze": flag,
    "cgroup.pressure": flag,
}

READABLE = [one for one in Subsystem.parameters() if isinstance(one, Readable) and one.controller != "hugetlb"]


@pytest.fixture
def v1(shared_v1: Host) -> Host:
    return shared_v1


@pytest.fixture
def job(shared_v2: Host) -> Cgroup:
    return shared_v2.find_exn(":/job/a")


def check(parameter: Parameter, cgroup: Cgroup, expected: Any) -> None:
    value = Parameters.get(parameter, cgroup)  # type: ignore[arg-type]
    if isinstance(expected, tuple) and expected and isinstance(expected[0], dict):
        assert (dict(value), value.total) == expected
    else:
        assert value == expected
        assert type(value) is type(expected) or isinstance(expected, (dict, int))
    # Once more: the second read goes another way, with a known layout and a kept file.
    assert Parameters.get(parameter, cgroup) == value  # type: ignore[arg-type]


def text_of(parameter: Parameter, version: int, directory: Path) -> str | None:
    paths = [directory / name for name in parameter.files(version)]
    return next((path.read_text() for path in paths if path.exists()), None)


def controller_v1(parameter: Parameter) -> str:
    """Return the controller in whose captured v1 cgroup a parameter is read."""
    return {"cgroup": "memory", "": "memory", "io": "blkio"}.get(parameter.controller, parameter.controller)


def is_captured_v1(parameter: Parameter) -> bool:
    directory = CAPTURES / "linux-6.18-v1" / f"{controller_v1(parameter)}{INNER}"
    return text_of(parameter, 1, directory) is not None


def is_captured_v2(parameter: Parameter) -> bool:
    if not parameter.files(2):
        return str(parameter) in V2
    return text_of(parameter, 2, CAPTURES / "linux-6.1-v2/job/a") is not None


@pytest.mark.parametrize("parameter", list(filter(is_captured_v1, READABLE)), ids=str)
def test_get_captured_v1_file_is_its_text(parameter: Parameter, v1: Host) -> None:
    cgroup = v1.find_exn(f"{controller_v1(parameter)}:{INNER}")
    text = text_of(parameter, 1, Path(cgroup.path or ""))
    assert text is not None
    single = operations if "io_service" in str(parameter) else v1_value
    check(parameter, cgroup, V1.get(str(parameter), single)(text))


@pytest.mark.parametrize("parameter", list(filter(is_captured_v2, READABLE)), ids=str)
def test_get_captured_v2_file_is_its_text(parameter: Parameter, job: Cgroup) -> None:
    text = text_of(parameter, 2, Path(job.path or ""))
    if "io_service" in str(parameter):
        check(parameter, job, ({}, 0))
        return
    check(parameter, job, V2.get(str(parameter), v2_value)(text or ""))


def test_captured_files_are_all_covered(v1: Host, job: Cgroup) -> None:
    """So that the two tests above cannot pass by reading nothing."""
    for version, table in ((1, V1), (2, V2)):
        names = {str(parameter) for parameter in READABLE if parameter.files(version)}
        constants = {"memory.use_hierarchy", "cpuset.memory_migrate"} if version == 2 else set()
        assert set(table) - constants <= names
    read = {name for parameter in READABLE for name in parameter.files(2)}
    unread = {path.name for path in Path(job.path or "").iterdir() if path.is_file()} - read
    unread = {name for name in unread if not name.startswith("hugetlb.")}
    assert unread == {"cgroup.kill", "memory.reclaim"}
    read = {name for parameter in READABLE for name in parameter.files(1)}
    directories = [Path(h.mount_point + INNER) for h in v1.scan() if h.version == 1]
    unread = {path.name for directory in directories for path in directory.iterdir() if path.is_file()} - read
    assert unread == {
        *("devices.allow", "devices.deny", "blkio.reset_stats", "memory.force_empty"),
        *("memory.pressure_level", "cgroup.event_control"),
        "memory.shown_ram_in_bytes",  # only one vendor's kernel has it
    }


def test_get_hugetlb_of_any_size_reads_the_capture(job: Cgroup) -> None:
    """Both sizes of the capture are read, whichever this machine has."""
    for size in ("2MB", "1GB"):
        huge = Hugetlb(size)
        limits = (huge.limit_in_bytes, huge.max, huge.rsvd_limit_in_bytes, huge.rsvd_max)
        assert [Parameters.get(parameter, job) for parameter in limits] == [MAX] * 4
        counts = (huge.usage_in_bytes, huge.current, huge.failcnt, huge.rsvd_usage_in_bytes, huge.rsvd_current)
        assert [Parameters.get(parameter, job) for parameter in counts] == [0] * 5
        assert Parameters.get(huge.events, job) == {"max": 0} == Parameters.get(huge.events_local, job)
        numa = Parameters.get(huge.numa_stat, job)
        assert numa["total"] == {0: 0}
        assert numa.totals == {"total": 0}


def test_get_numa_stat_has_totals(v1: Host) -> None:
    """v1's own sums are kept, in bytes as well."""
    cgroup = v1.find_exn(f"memory:{INNER}")
    text = Path(f"{cgroup.path}/memory.numa_stat").read_text()
    lines = [named(line) for line in text.splitlines()]
    expected = {name: int(value) * mmap.PAGESIZE for line in lines for name, value in line.items() if name != "N0"}
    assert Parameters.get(Subsystem.Memory.numa_stat, cgroup).totals == expected


def test_get_weight_table_has_its_default(v1: Host, job: Cgroup) -> None:
    cgroup = v1.find_exn(f"blkio:{INNER}")
    assert Parameters.get(Subsystem.Blkio.weight_device, cgroup).default == 100
    assert Parameters.get(Subsystem.Io.weight, job).default == 100
    assert Parameters.get(Subsystem.Blkio.weight_device, job).default == 20


def test_get_root_files_are_read(shared_v2: Host) -> None:
    root = shared_v2.find_exn(":/")
    assert Parameters.get(Subsystem.Io.stat, root) == {Device(11, 0): {}}
    assert Parameters.get(Subsystem.Blkio.throttle_io_serviced, root) == {}
    assert Parameters.get(Subsystem.Misc.capacity, root) == {}
    assert Parameters.get(Subsystem.Cpuacct.usage, root) == 27372000 * 1000
