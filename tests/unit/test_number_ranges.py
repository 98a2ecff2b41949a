"""Numbers are held to their range: a negative one is an error where the kernel never shows one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cgroups import (
    MAX,
    Blkio,
    Cgroup,
    Core,
    Cpu,
    Cpuacct,
    CpuMax,
    Cpuset,
    Host,
    Io,
    Memory,
    Misc,
    Parameters,
    ParseError,
    Pids,
    Rdma,
    Sampler,
    capacity,
)
from cgroups.core.interface import Flag, Shape, Target
from cgroups.observe.sampler import Cell

V2 = [
    ("cpu.max", "-1 888", Cpu.max),
    ("cpu.max", "99 -1", Cpu.max),
    ("cpu.max", "-1 888", Cpu.cfs_quota_us),
    ("cpu.max", "99 -1", Cpu.cfs_quota_us),
    ("cpu.max", "99 -1", Cpu.cfs_period_us),
    ("cpu.stat", "usage_usec -100", Cpuacct.usage),
    ("cpu.stat", "usage_usec -100", Cpu.stat),
    ("io.max", "8:0 rbps=-1 wbps=max", Io.max),
    ("io.max", "8:0 rbps=-1 wbps=max", Blkio.throttle_read_bps_device),
    ("io.stat", "8:0 rbytes=-1", Io.stat),
    ("io.stat", "8:0 rbytes=-1", Blkio.throttle_io_service_bytes),
    ("io.weight", "default 100\n8:0 -1", Io.weight),
    ("memory.events", "low -1", Memory.events),
    ("memory.max", "-1", Memory.max),
    ("memory.current", "-1", Memory.current),
    ("memory.numa_stat", "anon N0=-1", Memory.numa_stat),
    ("memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=-1", Memory.pressure),
    ("memory.swap.max", "-1", Memory.swap_max),
    ("misc.max", "res_a -1", Misc.max),
    ("pids.max", "-1", Pids.max),
    ("rdma.max", "mlx4_0 hca_handle=-1 hca_object=max", Rdma.max),
    ("cgroup.stat", "nr_descendants -1", Core.stat),
]


@pytest.mark.parametrize(("file", "text", "parameter"), V2, ids=[f"{p}-{t}" for _, t, p in V2])
def test_get_negative_number_raises_parse_error(job: Cgroup, file: str, text: str, parameter: Any) -> None:
    Path(str(job.path), file).write_text(f"{text}\n")
    for _ in range(2):  # the second read has what the first one learned
        with pytest.raises(ParseError):
            Parameters.get(parameter, job)


def test_get_keyed_number_turns_negative_raises_parse_error(job: Cgroup) -> None:
    """The layout of the file is known by then, and its numbers are read by the short way."""
    file = Path(str(job.path), "memory.events")
    for value in (5, 6):
        file.write_text(f"low {value}\n")
        assert Parameters.get(Memory.events, job).low == value
    for text in ("low -1\n", "low -6\n"):
        file.write_text(text)
        with pytest.raises(ParseError):
            Parameters.get(Memory.events, job)
    file.write_text("low 7\n")
    assert Parameters.get(Memory.events, job).low == 7


V1 = [
    ("memory", "memory.limit_in_bytes", "-1", Memory.limit_in_bytes, MAX),
    ("cpu", "cpu.cfs_quota_us", "-1", Cpu.cfs_quota_us, MAX),
    ("cpu", "cpu.rt_runtime_us", "-1", Cpu.rt_runtime_us, -1),
    ("cpuset", "cpuset.sched_relax_domain_level", "-1", Cpuset.sched_relax_domain_level, -1),
]


@pytest.mark.parametrize(("controller", "file", "text", "parameter", "value"), V1, ids=[one[1] for one in V1])
def test_get_v1_minus_one_where_legal_is_kept(
    v1_cgroup: Callable[[str], Cgroup], controller: str, file: str, text: str, parameter: Any, value: object
) -> None:
    cgroup = v1_cgroup(controller)
    path = Path(str(cgroup.path), file)
    path.write_text(f"{text}\n")
    assert Parameters.get(parameter, cgroup) == value
    with Sampler([cgroup], [parameter]) as sampler:
        frame = sampler.sample()
        assert frame[cgroup, parameter] == value
    path.write_text("-7\n")
    with pytest.raises(ParseError):
        Parameters.get(parameter, cgroup)


def test_sampler_negative_number_is_an_error_cell(job: Cgroup) -> None:
    """Also with a layout learned from the same file, and never as a number with status OK."""
    events, current, quota = (Path(str(job.path), name) for name in ("memory.events", "memory.current", "cpu.max"))
    events.write_text("low 5\n")
    current.write_text("5\n")
    quota.write_text("5000 100000\n")
    with Sampler([job], [Memory.events, Memory.current, Cpu.max]) as sampler:
        assert set(sampler.sample().status[0, at] for at in range(4)) == {Cell.OK}
        events.write_text("low -5\n")
        current.write_text("-5\n")
        quota.write_text("-1 -1\n")
        frame = sampler.sample()
        assert [frame.status[0, at] for at in range(4)] == [Cell.ERROR] * 4
        assert frame.row(0) == [None] * 4


def test_sampler_cell_is_negative_only_where_signed(implementation: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/nice").write_text("-5\n")
    sampler = implementation.Sampler(2)
    targets = [Target("", "", 0, 0, 0, 1, 0), Target("", "", 0, 1, Flag.SIGNED | Flag.SHARED_NUMBER, 1, 0)]
    program = implementation.Program(Shape.VALUE, targets)
    sampler.add(implementation.open_directory(str(tmp_path), 0), "a", [("nice", program)])
    memory, places = sampler.sample(1)
    assert list(memory[places.values : places.inodes].cast("q")) == [0, -5]
    assert list(memory[places.statuses : places.size]) == [Cell.ERROR, Cell.OK]


# ---- CPU schedulers without a quota --------------------------------------------------------------


def _machine(root: Path) -> None:
    for name, text in {
        "proc/meminfo": "MemTotal: 1048576 kB\n",
        "sys/devices/system/cpu/online": "0-3\n",
        "proc/252/status": "Cpus_allowed_list:\t0-3\n",
        "proc/5447/status": "Cpus_allowed_list:\t0-3\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in ("cpuset.cpus.effective", "cpuset.effective_cpus"):
        for file in (root / "sys/fs/cgroup").rglob(name):
            file.write_text("0-3\n")


def test_capacity_empty_cpu_max_is_no_limit(v2: Host, v2_root: Path, job: Cgroup) -> None:
    """Another CPU scheduler has the file, and nothing in it."""
    _machine(v2_root)
    Path(str(job.path), "cpu.max").write_text("")
    Path(str(job.path), "../cpu.max").write_text("")
    assert Parameters.get(Cpu.max, job) == CpuMax(MAX, None)
    assert job.effective(Cpu.max).value == CpuMax(MAX, None)
    assert capacity(252, host=v2).cpus == 4
    Path(str(job.path), "../cpu.max").write_text("150000 100000\n")
    assert capacity(252, host=v2).cpus == 1.5


@pytest.mark.parametrize(("quota", "period", "value"), [("-1", "0", MAX), ("50000", "0", 50000), ("-1", "5", MAX)])
def test_capacity_v1_period_out_of_range_is_no_limit(
    v1: Host, v1_root: Path, quota: str, period: str, value: object
) -> None:
    _machine(v1_root)
    for directory in (v1_root / "sys/fs/cgroup/cpu").rglob("cpu.cfs_quota_us"):
        directory.write_text(f"{quota}\n")
        (directory.parent / "cpu.cfs_period_us").write_text(f"{period}\n")
    cgroup = v1.find_exn("cpu:/cgroups-capture/inner")
    assert Parameters.get(Cpu.max, cgroup) == CpuMax(value, int(period))  # type: ignore[arg-type]
    assert cgroup.effective(Cpu.max).value == CpuMax(MAX, None)
    assert capacity(5447, host=v1).cpus == 4
