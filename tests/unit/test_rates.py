"""Rates between frames of files that a test writes."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cgroups
from cgroups import (
    USAGE_PARAMETERS,
    Blkio,
    Cgroup,
    Core,
    Cpu,
    Cpuacct,
    Frame,
    Host,
    InvalidValue,
    Io,
    Memory,
    Pids,
    Rate,
    Sampler,
    rates,
)

Change = Callable[..., Rate]


def write(cgroup: Cgroup, name: str, text: str) -> None:
    Path(str(cgroup.path), name).write_text(text)


@pytest.fixture
def job(v2: Host) -> Cgroup:
    return v2.find_exn(":/job/a")


@pytest.fixture
def inner(v1: Host) -> Callable[[str], Cgroup]:
    return lambda controller: v1.find_exn(f"{controller}:/cgroups-capture/inner")


def seconds(rate: Rate) -> float:
    assert rate.seconds is not None
    return rate.seconds


def later(sampler: Sampler, then: Frame) -> Frame:
    """A frame of a time that is not the one before's."""
    while (frame := sampler.sample()).timestamp_ns <= then.timestamp_ns:
        time.sleep(0.000_001)
    return frame


@pytest.fixture
def keep_no_files() -> Iterator[None]:
    """A plain file that is gone, and was kept open, would still answer."""
    cgroups.set_fd_budget(0)
    yield
    cgroups.set_fd_budget(1024)


@pytest.fixture
def change() -> Change:
    """``change(cgroup, parameters, name, before, after)``: the rate while a file changes."""

    def changed(cgroup: Cgroup, parameters: list[Any], files: dict[str, tuple[str, str]]) -> Rate:
        for name, (before, _) in files.items():
            write(cgroup, name, before)
        with Sampler([cgroup], parameters) as sampler:
            then = sampler.sample()
            for name, (_, after) in files.items():
                write(cgroup, name, after)
            return rates(then, later(sampler, then))[cgroup]

    return changed


def stat(**changed: int) -> str:
    keys = dict.fromkeys(("usage_usec", "user_usec", "system_usec", "nr_periods", "nr_throttled", "throttled_usec"), 0)
    return "".join(f"{key} {value}\n" for key, value in {**keys, **changed}.items())


# ---- figures -------------------------------------------------------------------------------------


def test_rates_cpu_is_in_cpus(job: Cgroup, change: Change) -> None:
    rate = change(job, [Cpuacct.usage], {"cpu.stat": (stat(usage_usec=5), stat(usage_usec=1_000_005))})
    assert rate.cpu is not None
    assert rate.cpu * rate._elapsed == pytest.approx(1e9)
    assert rate.delta(Cpuacct.usage) == 10**9
    assert rate[Cpuacct.usage] * seconds(rate) == pytest.approx(10**9)


def test_rates_cpu_from_only_cpu_stat(job: Cgroup, change: Change) -> None:
    rate = change(job, [Cpu.stat], {"cpu.stat": (stat(usage_usec=5), stat(usage_usec=7))})
    assert rate.cpu is not None
    assert rate.cpu * rate._elapsed == pytest.approx(2000)


def test_rates_throttled_is_a_share_of_periods(job: Cgroup, change: Change) -> None:
    before, after = stat(nr_periods=10, nr_throttled=9), stat(nr_periods=20, nr_throttled=14)
    assert change(job, [Cpu.stat], {"cpu.stat": (before, after)}).throttled == 0.5
    assert change(job, [Cpu.stat], {"cpu.stat": (before, before)}).throttled is None


def test_rates_working_set_is_usage_without_inactive_files(job: Cgroup, change: Change) -> None:
    files = {"memory.current": ("900\n", "1000\n"), "memory.stat": ("inactive_file 1\n", "inactive_file 300\n")}
    rate = change(job, [Memory.usage_in_bytes, Memory.stat], files)
    assert (rate.memory, rate.working_set) == (1000, 700)
    assert change(job, [Memory.current], files).memory == 1000
    assert change(job, [Memory.current], files).working_set is None
    files["memory.stat"] = ("inactive_file 1\n", "inactive_file 2000\n")
    assert change(job, [Memory.current, Memory.stat], files).working_set == 0


def test_rates_working_set_on_v1_counts_all_below(inner: Callable[[str], Cgroup], change: Change) -> None:
    lines = "inactive_file 1\ntotal_inactive_file 300\n"
    files = {"memory.usage_in_bytes": ("1000\n", "1000\n"), "memory.stat": (lines, lines)}
    assert change(inner("memory"), [Memory.usage_in_bytes, Memory.stat], files).working_set == 700


def io(**lines: tuple[int, int, int, int]) -> str:
    """``sda=(rbytes, wbytes, rios, wios)``, and so on."""
    keys = ("rbytes", "wbytes", "rios", "wios")
    return "".join(
        f"{device} {' '.join(f'{key}={value}' for key, value in zip(keys, values))} dbytes=0 dios=0\n"
        for device, values in zip(("8:0", "8:16"), lines.values())
    )


IO_BEFORE = io(sda=(100, 10, 1, 2), sdb=(1000, 0, 5, 0))
IO_AFTER = io(sda=(400, 60, 2, 2), sdb=(1001, 0, 5, 7))


@pytest.mark.parametrize(
    "parameters",
    [[Io.stat], [Blkio.throttle_io_service_bytes, Blkio.throttle_io_serviced], list(USAGE_PARAMETERS)],
    ids=["io", "blkio", "vitals"],
)
def test_rates_io_is_the_sum_over_devices(job: Cgroup, change: Change, parameters: list[Any]) -> None:
    rate = change(job, parameters, {"io.stat": (IO_BEFORE, IO_AFTER)})
    figures = [rate.read_bytes, rate.write_bytes, rate.reads, rate.writes]
    assert [one * seconds(rate) for one in figures if one is not None] == pytest.approx([301, 50, 1, 7])


def test_rates_io_on_v1(inner: Callable[[str], Cgroup], change: Change) -> None:
    def text(read: int, write: int) -> str:
        operations = {"Read": read, "Write": write, "Sync": 9, "Async": 9, "Total": read + write}
        return "".join(f"8:0 {name} {number}\n" for name, number in operations.items()) + f"Total {read + write}\n"

    files = {"blkio.throttle.io_service_bytes": (text(1, 2), text(11, 22))}
    rate = change(inner("blkio"), [Blkio.throttle_io_service_bytes], files)
    assert rate.read_bytes is not None
    assert rate.read_bytes * seconds(rate) == pytest.approx(10)
    assert rate.reads is None


def test_rates_device_used_for_the_first_time(v2: Host) -> None:
    one, other = v2.find_exn(":/job"), v2.find_exn(":/job/a")
    write(one, "io.stat", IO_BEFORE)
    write(other, "io.stat", "")
    with Sampler([one, other], [Io.stat]) as sampler:
        then = sampler.sample()
        write(other, "io.stat", io(sda=(512, 0, 1, 0)))
        now = later(sampler, then)
        found = rates(then, now)
        assert found[one].read_bytes == 0
        assert found[other].delta(Io.stat)["8:0", "rbytes"] == 512
        read = found[other].read_bytes
        assert read is not None
        assert read * seconds(found[other]) == pytest.approx(512)
        assert rates(now, later(sampler, now))[other].reads == 0


def test_rates_device_without_a_column_makes_figures_none(v2: Host) -> None:
    """A device that was first used after the sampler was made is in no column: what there is is not all."""
    one, other = v2.find_exn(":/job"), v2.find_exn(":/job/a")
    write(one, "io.stat", IO_BEFORE.splitlines(keepends=True)[0])
    write(other, "io.stat", IO_BEFORE.splitlines(keepends=True)[0])
    with Sampler([one, other], [Io.stat, Memory.current]) as sampler:
        then = sampler.sample()
        assert then.uncounted == frozenset()
        write(other, "io.stat", IO_AFTER)
        now = later(sampler, then)
        assert now.uncounted == {(other, "io.stat")}
        found = rates(then, now)
        assert (found[other].read_bytes, found[other].write_bytes, found[other].reads) == (None, None, None)
        assert found[other].memory is not None
        assert found[one].read_bytes == 0
        assert rates(now, later(sampler, now))[other].read_bytes is None
        with Sampler([one, other], [Io.stat]) as anew:
            first = anew.sample()
            assert rates(first, later(anew, first))[other].read_bytes == 0
        late = later(sampler, now)
    assert rates(now, late)[one].read_bytes is None  # it is no longer known of whom


def test_rates_first_device_of_all_makes_figures_none(job: Cgroup, change: Change) -> None:
    rate = change(job, [Io.stat], {"io.stat": ("", IO_AFTER)})
    assert (rate.read_bytes, rate.writes) == (None, None)


# ---- times -----------------------------------------------------------------------------------------


def with_times(frame: Frame, times: list[int]) -> Frame:
    """The same frame, its rows read at other times."""
    memory, places = bytearray(frame._memory), frame._layout
    for row, one in enumerate(times):
        at = places.times + 8 * row
        memory[at : at + 8] = one.to_bytes(8, sys.byteorder)
    return Frame(memoryview(memory), places, frame.cgroups, frame.columns, frame._at)


def test_rates_are_over_the_time_between_the_readings_of_a_row(v2: Host) -> None:
    """Under load the rows of a frame are read seconds apart, and not as far apart in each frame."""
    one, other = v2.find_exn(":/job"), v2.find_exn(":/job/a")
    for cgroup in (one, other):
        write(cgroup, "cpu.stat", stat(usage_usec=0))
        write(cgroup, "cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
    with Sampler([one, other], [Cpuacct.usage, Cpu.pressure]) as sampler:
        then = sampler.sample()
        for cgroup in (one, other):
            write(cgroup, "cpu.stat", stat(usage_usec=1_000_000))
            write(cgroup, "cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n")
        now = later(sampler, then)
    begin = then.timestamp_ns
    found = rates(with_times(then, [begin, begin + 10**9]), with_times(now, [begin + 2 * 10**9, begin + 5 * 10**9]))
    assert [(rate.cpu, rate.seconds) for rate in found.values()] == [(0.5, 2.0), (0.25, 4.0)]
    assert [rate[Cpuacct.usage] for rate in found.values()] == [0.5e9, 0.25e9]
    assert [rate.pressure["cpu", "some"] for rate in found.values()] == [0.25, 0.125]
    assert [rate.timestamp_ns - begin for rate in found.values()] == [2 * 10**9, 5 * 10**9]


def test_frame_row_times_are_of_the_reading(v2: Host) -> None:
    rows = [v2.find_exn(":/job"), v2.find_exn(":/job/a"), v2.find_exn(":/")]
    with Sampler(rows, [Cpuacct.usage, Memory.stat, Memory.current, Io.stat]) as sampler:
        for _ in range(3):
            frame = sampler.sample()
            times = frame.row_times.tolist()
            assert times == sorted(times)
            assert frame.timestamp_ns <= times[0] <= times[-1] <= frame.timestamp_ns + frame.duration_ns
            assert (frame.row_times.readonly, frame.row_times.format) == (True, "q")


def test_rates_pressure_is_a_share_of_the_time(job: Cgroup, change: Change) -> None:
    def text(some: int, full: int) -> str:
        averages = "avg10=1.50 avg60=0.00 avg300=0.00"
        return f"some {averages} total={some}\nfull {averages} total={full}\n"

    rate = change(job, [Memory.pressure], {"memory.pressure": (text(10, 5), text(1010, 5))})
    assert rate.pressure["memory", "some"] == pytest.approx(1_000_000 / rate._elapsed)
    assert rate.pressure["memory", "full"] == 0
    assert rate.delta(Memory.pressure)["some", "avg10"] == 0


# ---- what is not known -----------------------------------------------------------------------------


def test_rates_counter_that_fell_is_none(job: Cgroup, change: Change) -> None:
    rate = change(job, [Cpuacct.usage, Cpu.stat], {"cpu.stat": (stat(usage_usec=9), stat(usage_usec=8))})
    assert rate.cpu is None
    assert rate[Cpuacct.usage] is None
    assert rate.delta(Cpu.stat)["usage_usec"] is None
    assert rate.delta(Cpu.stat)["user_usec"] == 0


def test_rates_gauge_may_fall(job: Cgroup, change: Change) -> None:
    rate = change(job, [Pids.current, Memory.current], {"memory.current": ("4096\n", "0\n")})
    assert rate.delta(Memory.current) == -4096


def test_rates_limit_that_is_max_has_no_rate(job: Cgroup, change: Change) -> None:
    assert change(job, [Memory.max], {"memory.max": ("max\n", "4096\n")})[Memory.max] is None


def test_rates_missing_parameter_is_none(v2: Host) -> None:
    root = v2.find_exn(":/")
    with Sampler([root, v2.find_exn(":/job")], [Memory.current, Io.stat]) as sampler:
        then = sampler.sample()
        rate = rates(then, later(sampler, then))[root]
        assert (rate.memory, rate.working_set, rate.cpu, rate.throttled) == (None, None, None, None)
        assert rate.pressure == {}


def test_rates_table_without_lines_is_none(job: Cgroup, change: Change) -> None:
    """A keyed file that is empty when the sampler is made gives no columns, and a frame no cells."""
    rate = change(job, [Io.stat], {"io.stat": ("", "")})
    assert (rate.read_bytes, rate.writes, rate.cpu, rate.memory, rate.pressure) == (None, None, None, None, {})
    assert rate[Io.stat] == rate.delta(Io.stat) == rate.now(Io.stat) == {}


def test_rates_cgroup_created_again_has_no_past(job: Cgroup, keep_no_files: None) -> None:
    write(job, "cpu.stat", stat(usage_usec=5))
    with Sampler([job], [Cpuacct.usage, Memory.current]) as sampler:
        then = sampler.sample()
        path = str(job.path)
        os.rename(path, f"{path}.old")
        shutil.copytree(f"{path}.old", path)
        write(job, "cpu.stat", stat(usage_usec=500))
        gone = sampler.sample()
        now = later(sampler, gone)
        rate = rates(then, now)[job]
        assert now.inodes[0] != then.inodes[0]
        assert rate.inode == now.inodes[0]
        assert rate.cpu is None
        assert rate[Cpuacct.usage] is None
        assert rate.memory is not None


def test_rates_new_cgroup_with_an_empty_table_is_none(v2: Host) -> None:
    """Its row number may be beyond the rows of the earlier frame."""
    job = v2.find_exn(":/job")
    write(job, "io.stat", "8:0 rbytes=1 wbytes=1 rios=1 wios=1 dbytes=0 dios=0\n")
    with Sampler.follow(job, [Io.stat, Cpuacct.usage]) as sampler:
        then = sampler.sample()
        shutil.copytree(str(job.path), str(Path(str(job.path), "b")), ignore=shutil.ignore_patterns("a"))
        new = v2.find_exn(":/job/b")
        write(new, "io.stat", "")
        now = later(sampler, then)
        rate = rates(then, now)[new]
    assert (rate.read_bytes, rate.writes, rate.cpu, rate.seconds) == (None, None, None, None)


@pytest.mark.parametrize(
    ("text", "swap"), [("total_swap 7\nswap 3\n", 7), ("swap 3\n", 3), ("rss 1\n", None)], ids=["total", "own", "none"]
)
def test_rates_swap_on_v1_is_in_memory_stat(
    text: str, swap: int | None, inner: Callable[[str], Cgroup], change: Change
) -> None:
    assert change(inner("memory"), [Memory.stat], {"memory.stat": (text, text)}).swap == swap


def test_rates_swap_on_v2_is_a_file(job: Cgroup, change: Change) -> None:
    assert change(job, [Memory.swap_current], {"memory.swap.current": ("1\n", "4096\n")}).swap == 4096


def test_rates_are_a_mapping(v2: Host) -> None:
    cgroups = [v2.find_exn(":/job"), v2.find_exn(":/job/a")]
    with Sampler(cgroups, [Cpuacct.usage]) as sampler:
        then = sampler.sample()
        now = later(sampler, then)
    found = rates(then, now)
    assert list(found) == cgroups
    assert len(found) == 2
    assert [rate.cgroup for rate in found.values()] == cgroups
    assert [rate.cpu for rate in found.values()] == [0, 0]
    assert {cgroup: rate.cpu for cgroup, rate in found.items()} == dict.fromkeys(cgroups, 0)
    assert found.seconds == (now.timestamp_ns - then.timestamp_ns) / 1e9
    with pytest.raises(KeyError, match="is not sampled"):
        found[v2.find_exn(":/")]
    with pytest.raises(KeyError, match="is not sampled"):
        found[cgroups[0]][Memory.current]


def test_rates_invalid_frames_are_refused(job: Cgroup) -> None:
    with Sampler([job], [Cpuacct.usage]) as sampler, Sampler([job], [Memory.current]) as other:
        then = sampler.sample()
        now = later(sampler, then)
        for previous, current, message in (
            (now, then, "not earlier"),
            (then, then, "not earlier"),
            (then, later(other, then), "different columns"),
            (then, None, "must be a Frame"),
        ):
            with pytest.raises(InvalidValue, match=message):
                rates(previous, current)


def test_rates_of_no_cgroups_are_empty() -> None:
    with Sampler([], [Cpuacct.usage]) as sampler:
        then = sampler.sample()
        found = rates(then, later(sampler, then))
        assert list(found.values()) == []


COUNTERS = {
    "cpuacct.usage": {None},
    "cpu.stat": {"usage_usec", "user_usec", "nr_periods", "throttled_usec"},
    "memory.stat": {"pgfault", "pgmajfault", "workingset_refault_anon", "thp_fault_alloc"},
    "memory.events": {"low", "high", "max", "oom", "oom_kill"},
}
GAUGES = {
    "memory.usage_in_bytes": {None},
    "memory.stat": {"anon", "file", "inactive_file", "anon_thp", "slab"},
    "cgroup.events": {"populated", "frozen"},
    "cgroup.stat": {"nr_descendants"},
    "memory.pressure": {("some", "avg10")},
}


def test_quantity_counters_are_marked(v2: Host) -> None:
    parameters = [
        Cpuacct.usage,
        Cpu.stat,
        Memory.stat,
        Memory.events,
        Memory.usage_in_bytes,
        Core.events,
        Core.stat,
        Memory.pressure,
    ]
    with Sampler([v2.find_exn(":/job")], parameters) as sampler:
        found = {(str(column.parameter), column.key): column.counter for column in sampler.columns}
    for expected, names in ((True, COUNTERS), (False, GAUGES)):
        for parameter, keys in names.items():
            for key in keys:
                assert found[parameter, key] is expected, (parameter, key)
    assert found["memory.pressure", ("some", "total")]
