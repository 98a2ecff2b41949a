"""Sampler over captured trees: columns, cells, frames that do not change, and what is refused."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import cgroups
from cgroups import (
    MAX,
    Cell,
    Cgroup,
    Core,
    Cpu,
    Cpuacct,
    Cpuset,
    Device,
    DeviceTable,
    Frame,
    Freezer,
    Host,
    InvalidValue,
    Io,
    Memory,
    Parameters,
    Pids,
    Sampler,
    Subsystem,
)

INNER = "/cgroups-capture/inner"


def write(cgroup: Cgroup | None, name: str, text: str) -> None:
    assert cgroup is not None
    Path(str(cgroup.path), name).write_text(text)


def without_kept_files(sampler: Sampler) -> Frame:
    """A plain file that is gone, and was kept open, would still answer."""
    cgroups.set_fd_budget(0)
    try:
        return sampler.sample()
    finally:
        cgroups.set_fd_budget(1024)


@pytest.fixture
def job(v2: Host) -> Cgroup:
    return v2.find_exn(":/job/a")


# ---- columns and cells ---------------------------------------------------------------------------


def flat(value: Any) -> dict[Any, Any]:
    """A parameter's value by the keys of its columns; those that are no numbers are left out."""
    if isinstance(value, (bool, int, float)) or value is MAX:
        return {None: value}
    if isinstance(value, list):
        return dict(enumerate(value))
    if hasattr(value, "_asdict"):
        value = value._asdict()
    found: dict[Any, Any] = {"Total": value.total} if isinstance(value, DeviceTable) else {}
    for key, one in dict(value).items():
        name = str(key) if isinstance(key, Device) or not isinstance(key, (int, tuple)) else key
        inner = one._asdict() if hasattr(one, "_asdict") else one
        if isinstance(inner, Mapping):
            # A memory node is a number in what get gives, and N0 in the file.
            found |= {(name, f"N{last}" if isinstance(last, int) else last): one for last, one in inner.items()}
            found |= {f"N{last}": one for last, one in inner.items() if name == "total"}  # of huge pages
        else:
            found[name] = inner
    return found


def sampled(cgroup: Cgroup) -> list[Any]:
    """Every parameter of numbers that this cgroup has."""
    found = []
    for parameter in Subsystem.parameters():
        if isinstance(parameter, Parameters.Readable):
            try:
                Parameters.get(parameter, cgroup)
                Sampler([cgroup], [parameter])
            except cgroups.CgroupError:
                continue
            found.append(parameter)
    return found


def check_all(cgroup: Cgroup, least: int) -> None:
    """All in one frame: each number is what ``get`` gives, in whatever company."""
    parameters = sampled(cgroup)
    assert len(parameters) >= least
    frame = Sampler([cgroup], parameters).sample()
    for parameter in parameters:
        wanted, got = flat(Parameters.get(parameter, cgroup)), flat(frame[cgroup, parameter])
        if parameter is Memory.oom_control and None in got:
            got = {"oom_kill": got[None]}  # all that v2 counts of it
        shared = {key: got[key] for key in got if key in wanted}
        assert shared == {key: wanted[key] for key in shared}, parameter
        assert shared or not got, (parameter, got, wanted)


LEAST = [("memory", 15), ("cpu", 3), ("blkio", 5), ("pids", 2), ("cpuset", 5)]


@pytest.mark.parametrize(("controller", "least"), LEAST)
def test_sampler_v1_numbers_equal_get(v1: Host, controller: str, least: int) -> None:
    check_all(v1.find_exn(f"{controller}:{INNER}"), least)


def test_sampler_v2_numbers_equal_get(job: Cgroup) -> None:
    check_all(job, 40)


def test_sampler_units_are_those_of_the_parameters(job: Cgroup) -> None:
    write(job, "cpu.stat", "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_throttled 1\nthrottled_usec 7\n")
    write(job, "memory.pressure", "some avg10=1.25 avg60=0.00 avg300=0.00 total=9\n")
    sampler = Sampler([job], [Cpuacct.usage, Cpu.stat, Memory.pressure, Memory.current])
    frame = sampler.sample()
    by_key = {(str(one.parameter), one.key): (one.unit, one.scale) for one in sampler.columns}
    assert by_key["cpuacct.usage", None] == ("ns", 1)
    assert by_key["cpu.stat", "throttled_usec"] == ("us", 1)
    assert by_key["cpu.stat", "throttled_time"] == ("ns", 1)
    assert by_key["cpu.stat", "nr_throttled"] == ("count", 1)
    assert by_key["memory.pressure", ("some", "avg10")] == ("percent", 100)
    assert by_key["memory.current", None] == ("bytes", 1)
    assert frame[job, Cpuacct.usage] == 5000
    assert frame[job, Cpu.stat]["throttled_time"] == 7000
    assert frame[job, Memory.pressure]["some", "avg10"] == 1.25
    at = [(one.parameter, one.key) for one in sampler.columns].index((Memory.pressure, ("some", "avg10")))
    assert frame.values[0, at] == 125


def test_sampler_one_key_is_one_column(v1: Host, job: Cgroup) -> None:
    """Under any name that the parameter has for it, on either version."""
    for cgroup, names in ((job, ("anon", "rss")), (v1.find_exn(f"memory:{INNER}"), ("rss",))):
        for name in names:
            sampler = Sampler([cgroup], [Memory.stat[name]])
            assert [(str(one.parameter), one.key) for one in sampler.columns] == [(f"memory.stat[{name}]", None)]
            assert sampler.sample()[cgroup, Memory.stat[name]] == Parameters.get(Memory.stat[name], cgroup)
    avg = Memory.pressure["some", "avg10"]
    write(job, "memory.pressure", "some avg10=1.25 avg60=0.00 avg300=0.00 total=9\n")
    assert Sampler([job], [avg]).sample()[job, avg] == 1.25


def test_sampler_two_versions_are_one_frame(v1: Host, job: Cgroup) -> None:
    """A column of one name for both where v2 has the number under its own."""
    old = v1.find_exn(f"memory:{INNER}")
    write(old, "memory.stat", "cache 1\nrss 2\npgpgin 3\n")
    write(job, "memory.stat", "anon 4\nfile 5\nkernel 6\n")
    sampler = Sampler([old, job], [Memory.stat, Memory.usage_in_bytes, Pids.current])
    frame = sampler.sample()
    assert frame[old, Memory.stat]["rss"] == 2
    assert frame[job, Memory.stat]["rss"] == frame[job, Memory.stat]["anon"] == 4
    assert frame[job, Memory.stat]["cache"] == 5
    assert frame[old, Memory.stat]["kernel"] is None
    assert frame[job, Memory.stat]["pgpgin"] is None
    assert frame[old, Pids.current] is None
    for cgroup in (old, job):
        assert frame[cgroup, Memory.usage_in_bytes] == Parameters.get(Memory.usage_in_bytes, cgroup)


def test_sampler_sum_of_two_files_is_one_number(job: Cgroup) -> None:
    write(job, "memory.current", "40\n")
    write(job, "memory.swap.current", "2\n")
    parameters = [Memory.memsw_usage_in_bytes, Memory.swap_current, Memory.memsw_limit_in_bytes]
    sampler = Sampler([job], parameters)
    write(job, "memory.max", "100\n")
    write(job, "memory.swap.max", "max\n")
    assert sampler.sample().row(0) == [42, 2, MAX]
    write(job, "memory.swap.max", "1\n")
    assert sampler.sample().row(0) == [42, 2, 101]
    Path(str(job.path), "memory.swap.current").unlink()
    frame = without_kept_files(sampler)
    assert frame.row(0) == [None, None, 101]
    assert list(frame.status.cast("B"))[:2] == [Cell.ABSENT, Cell.ABSENT]
    assert sampler.sample().row(0) == [None, None, 101]  # and so in each frame after


def test_sampler_other_text_has_a_status(job: Cgroup) -> None:
    write(job, "memory.current", "what\n")
    write(job, "pids.max", "max\n")
    write(job, "pids.current", "18446744073709551615\n")
    frame = Sampler([job], [Memory.current, Pids.max, Pids.current]).sample()
    assert frame.status.tolist() == [[Cell.ERROR, Cell.MAX, Cell.RANGE]]
    assert frame.values.tolist() == [[0, (1 << 63) - 1, -1]]
    assert frame.errno.tolist()[0][0] != 0
    assert frame.row(0) == [None, MAX, (1 << 64) - 1]


@pytest.mark.parametrize(
    ("text", "value", "status"),
    [
        (f"{(1 << 63) - 1}", (1 << 63) - 1, Cell.OK),
        (f"{1 << 63}", 1 << 63, Cell.RANGE),
        (f"{(1 << 64) - 1}", (1 << 64) - 1, Cell.RANGE),
        (f"{1 << 64}", None, Cell.ERROR),
    ],
)
def test_sampler_number_beyond_int64_equals_get(job: Cgroup, text: str, value: int | None, status: Cell) -> None:
    """The cell is exact or an error, like get; never 2**63 - 1 instead."""
    sampler = Sampler([job], [Pids.current, Cpu.stat])
    write(job, "pids.current", f"{text}\n")
    write(job, "cpu.stat", f"usage_usec {text}\n")
    frame = sampler.sample()
    assert (frame[job, Pids.current], frame.status[0, 0]) == (value, status)
    assert frame[job, Cpu.stat]["usage_usec"] == value
    if value is None:
        with pytest.raises(cgroups.ParseError):
            Parameters.get(Pids.current, job)
    else:
        assert Parameters.get(Pids.current, job) == value


def test_sampler_sum_beyond_int64_is_exact_or_an_error(job: Cgroup) -> None:
    parameters = [Memory.memsw_usage_in_bytes, Cpuacct.usage]
    sampler = Sampler([job], parameters)
    for current, swap, usec in ((1 << 62, 1 << 62, 1 << 54), ((1 << 63) + 1, 1 << 62, 1), ((1 << 64) - 1, 1, 1 << 63)):
        write(job, "memory.current", f"{current}\n")
        write(job, "memory.swap.current", f"{swap}\n")
        write(job, "cpu.stat", f"usage_usec {usec}\n")
        wanted = [number if number < 1 << 64 else None for number in (current + swap, usec * 1000)]
        assert sampler.sample().row(0) == wanted


def test_sampler_cgroup_removed_and_created_again_is_read(v2: Host, job: Cgroup, tmp_path: Path) -> None:
    other = v2.find_exn(":/job")
    sampler = Sampler([job, other], [Memory.current])
    before = sampler.sample()
    Path(str(job.path)).rename(tmp_path / "away")
    frame = without_kept_files(sampler)
    assert frame.status.tolist() == [[Cell.GONE], [Cell.OK]]
    assert frame[job, Memory.current] is None
    assert frame.inodes[1] == before.inodes[1] == other.inode
    (tmp_path / "away").rename(str(job.path))
    assert sampler.sample().status.tolist() == [[Cell.OK], [Cell.OK]]


@pytest.mark.slow
def test_sampler_row_of_a_renamed_cgroup_follows_its_name(job: Cgroup, tmp_path: Path) -> None:
    """Version 1 can rename a cgroup, whose files stay open: another may be made under the old name."""
    write(job, "memory.current", "1\n")
    sampler = Sampler([job], [Memory.current])
    assert sampler.sample()[job, Memory.current] == 1
    old = job.inode
    Path(str(job.path)).rename(tmp_path / "away")
    Path(str(job.path)).mkdir()
    write(job, "memory.current", "2\n")
    assert job.inode != old
    deadline = time.monotonic() + 15
    while (frame := sampler.sample())[job, Memory.current] != 2:
        # Until it is seen, the numbers and the inode are those of the one that was renamed.
        assert frame.inodes[0] == old
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert frame.inodes[0] == job.inode


def test_sampler_new_key_is_reported_and_shifts_nothing(job: Cgroup) -> None:
    write(job, "memory.stat", "anon 1\nfile 2\n")
    sampler = Sampler([job], [Memory.stat])
    assert [one.key for one in sampler.columns] == ["anon", "file"]
    assert sampler.sample().row(0) == [1, 2]
    assert sampler.new_keys == {}
    write(job, "memory.stat", "fresh 9\nanon 3\nother 8\nfile 4\n")
    assert sampler.sample().row(0) == [3, 4]
    assert sampler.new_keys == {"memory.stat": ("fresh", "other")}
    assert [one.key for one in Sampler([job], [Memory.stat]).columns] == ["fresh", "anon", "other", "file"]


def test_sampler_devices_of_any_cgroup_are_columns(v2: Host, job: Cgroup) -> None:
    above = v2.find_exn(":/job")
    write(job, "io.stat", "8:0 rbytes=1 wbytes=2\n")
    write(above, "io.stat", "8:0 rbytes=3 wbytes=4\n8:16 rbytes=5\n")
    frame = Sampler([job, above], [Io.stat]).sample()
    assert [one.key for one in frame.columns] == [("8:0", "rbytes"), ("8:0", "wbytes"), ("8:16", "rbytes")]
    assert frame.values.tolist() == [[1, 2, 0], [3, 4, 5]]
    assert frame.status.tolist()[0][2] == Cell.ABSENT


# ---- frames ----------------------------------------------------------------------------------------


def test_frame_that_is_kept_does_not_change(job: Cgroup) -> None:
    sampler = Sampler([job], [Pids.current])
    held: list[Any] = []
    for number in range(50):
        write(job, "pids.current", f"{number}\n")
        frame = sampler.sample()
        held.append([frame, frame.values, memoryview(frame.values)][number % 3])  # the frame, or only a view
        del frame
    gc.collect()
    assert [one.values[0, 0] if isinstance(one, Frame) else one[0, 0] for one in held] == list(range(50))


def test_frame_views_are_read_only(job: Cgroup) -> None:
    frame = Sampler([job], [Pids.current, Pids.max]).sample()
    for view, shape, code in (
        *((frame.values, (1, 2), "q"), (frame.status, (1, 2), "B")),
        *((frame.errno, (1, 2), "i"), (frame.inodes, (1,), "Q")),
    ):
        assert (view.readonly, view.shape, view.format) == (True, shape, code)


def test_frame_numpy_array_is_no_copy(job: Cgroup) -> None:
    numpy = pytest.importorskip("numpy")
    write(job, "pids.current", "7\n")
    sampler = Sampler([job], [Pids.current])
    array = numpy.asarray(sampler.sample())
    assert (array.dtype, array.shape, array.flags.owndata, array.flags.writeable) == ("int64", (1, 1), False, False)
    write(job, "pids.current", "8\n")
    for _ in range(5):
        sampler.sample()
        gc.collect()
    assert array[0, 0] == 7  # the memory is its own while it lives


def test_sampler_of_no_cgroup_has_no_rows() -> None:
    sampler = Sampler([], [Memory.current])
    frame = sampler.sample()
    assert (len(frame), list(frame.values), list(frame.inodes), frame.cgroups) == (0, [], [], ())
    assert "0 cgroups" in repr(frame)


def test_frame_has_the_time_of_its_reading(job: Cgroup) -> None:
    sampler = Sampler([job], [Pids.current])
    first, second = sampler.sample(), sampler.sample()
    assert 0 < first.timestamp_ns <= first.timestamp_ns + first.duration_ns <= second.timestamp_ns


def test_frame_rows_and_parameters_are_found_by_name(v2: Host, job: Cgroup) -> None:
    frame = Sampler([job], [Pids.current]).sample()
    assert frame.row(-1) == frame.row(0) == [frame[job, Pids.current]]
    with pytest.raises(IndexError):
        frame.row(1)
    for wrong in ((v2.find_exn(":/job"), Pids.current), (job, Pids.max), (None, Pids.max)):
        with pytest.raises(KeyError, match="not sampled"):
            frame[wrong]  # type: ignore[index]


# ---- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameter", [Core.procs, Core.type, Cpuset.cpus, Freezer.state, Cpu.shares, Core.controllers, "memory.max", None]
)
def test_sampler_parameter_without_numbers_is_refused(job: Cgroup, parameter: Any) -> None:
    with pytest.raises(InvalidValue, match="numbers|must be one that can be read"):
        Sampler([job], [parameter])


def test_sampler_parameter_of_the_other_version_names_the_alternative(job: Cgroup) -> None:
    with pytest.raises(InvalidValue) as caught:
        Sampler([job], [Cpuacct.usage_percpu])
    assert "v2 does not count CPU time per CPU" in str(caught.value.hint)


def test_sampler_duplicates_are_refused(job: Cgroup) -> None:
    with pytest.raises(InvalidValue, match=r"memory\.current is given twice"):
        Sampler([job], [Memory.current, Memory.current])
    with pytest.raises(InvalidValue, match="job/a is given twice"):
        Sampler([job, job], [Memory.current])
    with pytest.raises(InvalidValue, match="must be a Cgroup"):
        Sampler([":/job"], [Memory.current])  # type: ignore[list-item]


def test_sampler_closed_raises(job: Cgroup) -> None:
    with Sampler([job], [Memory.current]) as sampler:
        frame = sampler.sample()
    with pytest.raises(ValueError, match="closed"):
        sampler.sample()
    sampler.close()
    assert frame[job, Memory.current] is not None
