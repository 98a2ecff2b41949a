"""What the users of other libraries of control groups suffer, a test for each, and each mistake of the seed's own.

The names say what went wrong elsewhere; these tests fail on it.
"""

from __future__ import annotations

import errno
import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cgroups
from cgroups import (
    MAX,
    Blkio,
    Cgroup,
    CgroupBusy,
    CgroupError,
    CgroupGone,
    Core,
    Cpu,
    Cpuacct,
    Cpuset,
    Device,
    Host,
    InvalidValue,
    Io,
    Memory,
    ParameterNotSupported,
    Parameters,
    Pids,
    Subsystem,
    diagnosis,
    mounts,
)
from cgroups._backend import backend
from cgroups._interface import Failure, Status
from cgroups.mounts import Mount

INNER = "/cgroups-capture/inner"
DISK = Device(8, 0)


@pytest.fixture
def memory(v1_cgroup: Callable[[str], Cgroup]) -> Cgroup:
    return v1_cgroup("memory")


def put(cgroup: Cgroup, name: str, text: str) -> None:
    (Path(cgroup.path or "") / name).write_text(text)


def tree(root: Path, table: str, *directories: str) -> Host:
    """A host with this mount table and these directories."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text(table)
    for directory in directories:
        (root / directory.lstrip("/")).mkdir(parents=True)
    return Host(str(root))


def open_fds() -> int:
    """Counted when nothing waits for the collector: a host and its hierarchies refer to each other."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


# ---- what users of the other libraries suffer ------------------------------------------------------


def test_01_monitoring_costs_no_mount_table(v1: Host, memory: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading does not parse the mount table, nor ask whether it changed; finding asks, and parses it once."""
    scans, checks = [], []
    scan, check = backend.scan_mounts, mounts.mounts_state
    monkeypatch.setattr(backend, "scan_mounts", lambda fd: scans.append(fd) or scan(fd))
    monkeypatch.setattr(mounts, "mounts_state", lambda *facts: checks.append(facts) or check(*facts))
    for _ in range(20):
        Parameters.get(Memory.usage_in_bytes, memory)
        Parameters.get(Memory.stat, memory)
        memory.processes()
        memory.children()
    assert (len(scans), len(checks)) == (0, 0)
    for _ in range(20):
        v1.find_exn(f"memory:{INNER}")
    assert (len(scans), len(checks)) == (0, 20)


def test_01_only_what_was_asked_is_read(memory: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every other file gone, the one asked for reads as before."""
    for path in Path(memory.path or "").iterdir():
        if path.name != "memory.usage_in_bytes":
            path.unlink()
    assert Parameters.get(Memory.usage_in_bytes, memory) == 4128768


def test_02_keys_that_are_new_missing_or_elsewhere(memory: Cgroup, job: Cgroup) -> None:
    text = (Path(job.path or "") / "memory.stat").read_text()
    lines = text.splitlines()
    for changed in (lines[::-1], ["brand_new 7", *lines], [line for line in lines if not line.startswith("anon ")]):
        put(job, "memory.stat", "\n".join(changed) + "\n")
        for _ in range(2):
            stat = Parameters.get(Memory.stat, job)
            expected = {key: int(value) for key, value in (line.split() for line in changed)}
            assert {key: stat[key] for key in expected} == expected
            assert stat.anon == expected.get("anon")
            assert stat.rss == expected.get("anon")
            assert stat.get("brand_new") == expected.get("brand_new")
    put(memory, "memory.oom_control", "under_oom 1\nnew_flag 5\noom_kill_disable 0\n")
    assert Parameters.get(Memory.oom_control, memory) == (False, True, None)


def test_02_a_layout_that_changes_between_two_reads(job: Cgroup) -> None:
    """A key that comes or goes must not shift the others' numbers."""
    key = Memory.events["oom_kill"]
    for text, value in (("low 1\noom_kill 2\n", 2), ("oom_kill 3\nlow 1\n", 3), ("low 1\nnew 9\noom_kill 4\n", 4)):
        put(job, "memory.events", text)
        assert Parameters.get(key, job) == value
        assert Parameters.get(Memory.events, job).oom_kill == value
        put(job, "cpu.stat", text.replace("oom_kill", "usage_usec"))
        assert Parameters.get(Cpuacct.usage, job) == value * 1000
    put(job, "memory.events", "low 1\n")
    with pytest.raises(ParameterNotSupported):
        Parameters.get(key, job)
    assert Parameters.get(Memory.events, job).oom_kill is None


def test_03_one_odd_device_line(job: Cgroup, v1_cgroup: Callable[[str], Cgroup]) -> None:
    odd = (
        "(unknown) rbytes=5 wbytes=0\n"
        "7:0 7:1 8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n"
        "252:0 \n"
        "254:0 rbytes=9 wbytes=0 rios=1 wios=0 dbytes=0 dios=0 cost.vrate=100.00\n"
    )
    put(job, "io.stat", odd)
    stat = Parameters.get(Io.stat, job)
    assert stat[DISK] == {"rbytes": 1, "wbytes": 2, "rios": 3, "wios": 4, "dbytes": 5, "dios": 6}
    assert stat[Device(254, 0)]["cost.vrate"] == 100.0
    assert [stat[Device(*numbers)] for numbers in ((7, 0), (7, 1), (252, 0))] == [{}, {}, {}]
    assert stat.others == {"(unknown)": {"rbytes": 5, "wbytes": 0}}
    table = Parameters.get(Blkio.throttle_io_serviced, job)
    assert table[DISK] == {"Read": 3, "Write": 4, "Discard": 6, "Total": 13}
    blkio = v1_cgroup("blkio")
    put(blkio, "blkio.throttle.io_serviced", "8:0 Read 1\n252:0\n(unknown) Read 3\n254:0 Read 2\nTotal 3\n")
    table = Parameters.get(Blkio.throttle_io_serviced, blkio)
    assert dict(table) == {DISK: {"Read": 1}, Device(252, 0): {}, Device(254, 0): {"Read": 2}}
    assert (table.total, table.others) == (3, {"(unknown)": {"Read": 3}})


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENODEV])
def test_04_a_cgroup_that_vanishes_is_one_error(v1: Host, v1_root: Path, number: int) -> None:
    """ENOENT of an open and ENODEV of a kept file are the same news."""
    directory = v1_root / "sys/fs/cgroup/pids/gone"
    directory.mkdir()
    (directory / "pids.current").write_text("1\n")
    cgroup = v1.find_exn("pids:/gone")
    assert Parameters.get(Pids.current, cgroup) == 1
    (directory / "pids.current").unlink()
    directory.rmdir()
    assert type(diagnosis.explain(Failure(Status.OS, number), cgroup, "pids.current", "read")) is CgroupGone
    assert list(cgroup.walk()) == []
    assert not cgroup.exists
    with pytest.raises(CgroupGone):
        cgroup.processes()


def test_05_unlimited_is_one_value_on_both_versions(
    memory: Cgroup, job: Cgroup, v1_cgroup: Callable[[str], Cgroup]
) -> None:
    put(job, "memory.max", "max\n")
    put(job, "cpu.max", "max 100000\n")
    put(v1_cgroup("cpu"), "cpu.cfs_quota_us", "-1\n")
    limits = [
        Parameters.get(Memory.limit_in_bytes, memory),
        Parameters.get(Memory.limit_in_bytes, job),
        Parameters.get(Cpu.cfs_quota_us, job),
        Parameters.get(Cpu.cfs_quota_us, v1_cgroup("cpu")),
        Parameters.get(Cpu.max, v1_cgroup("cpu")).quota,
        Parameters.get(Pids.max, v1_cgroup("pids")),
    ]
    assert all(limit is MAX for limit in limits)


def test_06_busy_says_what_is_inside(recorded_v2: Any) -> None:
    error = diagnosis.explain_remove(errno.EBUSY, recorded_v2.cgroup)
    assert type(error) is CgroupBusy
    assert "1 processes are inside and 0 cgroups below" in str(error)
    parent = recorded_v2.cgroup.parent
    with pytest.raises(CgroupBusy) as caught:
        parent.remove(recursive=True)
    assert ":/job/a" in str(caught.value)
    assert parent.exists
    assert recorded_v2.cgroup.exists  # nothing was removed half way


def test_07_paths_in_containers(tmp_path: Path) -> None:
    """A bind mount shows part of a hierarchy; the root field says which."""
    table = "40 31 0:40 /docker/12 /cg ro - cgroup cgroup rw,memory\n"
    host = tree(tmp_path, table, "/cg/sub", "/proc/9")
    (tmp_path / "proc/9/cgroup").write_text("4:memory:/docker/12/sub\n")
    [cgroup] = host.process_info(9)
    assert cgroup.path == f"{tmp_path}/cg/sub"
    (tmp_path / "proc/9/cgroup").write_text("4:memory:/../other\n4:memory:/docker/12/gone (deleted)\n")
    outside, deleted = host.process_info(9)
    assert outside.path is None
    assert (deleted.name, deleted.exists) == ("gone", False)


def test_08_colons_in_names(v1: Host, v1_root: Path) -> None:
    name = "kubepods-burstable.slice:cri-containerd:0:a"
    (v1_root / f"sys/fs/cgroup/memory/{name}").mkdir()
    (v1_root / "proc/9").mkdir()
    (v1_root / "proc/9/cgroup").write_text(f"4:memory:/{name}\n")
    [cgroup] = v1.process_info(9)
    assert cgroup == v1.find_exn(f"memory:/{name}") == v1.find_exn(str(cgroup))
    assert cgroup.name == name


def test_09_hybrid_is_per_controller(v1: Host, tmp_path: Path) -> None:
    assert [v1.find_exn(spec).version for spec in ("memory", "io", ":/", "perf_event")] == [1, 1, 2, 2]
    table = "40 31 0:40 / /memory rw - cgroup cgroup rw,memory\n41 31 0:41 / /unified rw - cgroup2 cgroup2 rw\n"
    host = tree(tmp_path / "other", table, "/memory/a", "/unified/a")
    (tmp_path / "other/unified/cgroup.controllers").write_text("cpu pids\n")
    assert [host.find_exn(f"{name}:/a").version for name in ("memory", "cpu", "pids", "cpuacct")] == [1, 2, 2, 2]
    assert host.find("cpuset:/a") is None


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EBUSY, CgroupBusy, ["no internal processes", ":/job/a", "move them"]),
        (errno.ENOENT, cgroups.SubsystemNotAttached, ["io", ":/job/a"]),
        (errno.EOPNOTSUPP, cgroups.CgroupOSError, ["io", "domain"]),
        (errno.EACCES, cgroups.AccessDenied, ["owned by"]),
    ],
)
def test_10_subtree_control_names_rule_place_and_fix(
    recorded_v2: Any, number: int, kind: type[CgroupError], words: list[str]
) -> None:
    recorded_v2.refuse("cgroup.subtree_control", "+io", number)
    with pytest.raises(CgroupError) as caught:
        Parameters.set(Core.subtree_control, recorded_v2.cgroup, ["io"])
    assert type(caught.value) is kind, str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_10_no_internal_processes_before_the_kernel_makes_it_threaded(recorded_v2: Any) -> None:
    """For cpu, cpuset and pids the kernel would say yes, and turn the cgroup into a threaded domain."""
    with pytest.raises(CgroupBusy) as caught:
        recorded_v2.cgroup.hierarchy.host.find_or_create("pids:/job/a/new")
    for word in ("no internal processes", ":/job/a has processes of its own", "move them into a child"):
        assert word in str(caught.value)
    assert recorded_v2.writes == []
    assert not (recorded_v2.directory / "new").exists()


def test_11_processes_are_not_threads(recorded_v1: Callable[[str], Any], recorded_v2: Any) -> None:
    for recorded, threads in ((recorded_v1("memory"), "tasks"), (recorded_v2, "cgroup.threads")):
        recorded.put("cgroup.procs", "10\n")
        recorded.put(threads, "10\n11\n12\n")
        assert recorded.cgroup.processes() == [10] == Parameters.get(Core.procs, recorded.cgroup)
        assert recorded.cgroup.threads() == [10, 11, 12] == Parameters.get(Core.threads, recorded.cgroup)
        recorded.cgroup.add_process(10)
        recorded.cgroup.add_thread(11)
        assert recorded.writes == [("cgroup.procs", "10"), (threads, "11")]


def test_11_foreign_processes_and_repetitions_are_left_out(job: Cgroup) -> None:
    """v2 shows a process of another pid namespace as 0, and nobody may signal pid 0."""
    put(job, "cgroup.procs", "0\n7\n5\n0\n7\n")
    assert job.processes() == [5, 7]


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EOPNOTSUPP])
def test_12_pressure_that_is_off_is_one_clear_error(job: Cgroup, number: int) -> None:
    error = diagnosis.explain(Failure(Status.OS, number), job, "memory.pressure", "read", "memory.pressure")
    assert type(error) is ParameterNotSupported
    assert "pressure stall information is off" in str(error)
    assert "psi=1" in str(error)


def test_12_pressure_of_a_removed_cgroup_is_not_off(v2: Host, v2_root: Path) -> None:
    cgroup = v2.find_exn(":/job").child("never")
    with pytest.raises(CgroupGone):
        Parameters.get(Memory.pressure, cgroup)


def test_13_descriptors_have_an_owner(v1_root: Path) -> None:
    """Also after errors; what is kept goes with the objects."""

    def work() -> None:
        host = Host(str(v1_root))
        for _ in range(30):
            cgroup = host.find_exn(f"memory:{INNER}")
            Parameters.get(Memory.stat, cgroup)
            cgroup.processes()
            list(host.find_exn("memory").walk())
            for parameter in (Pids.current, Memory.high, Memory.stat["nothing"]):
                with pytest.raises(CgroupError):
                    Parameters.get(parameter, cgroup)
            with pytest.raises(CgroupError):
                Parameters.set(Memory.limit_in_bytes, cgroup, 5)
            with pytest.raises(CgroupError):
                host.find_exn("memory:/none").processes()

    work()
    before = open_fds()
    work()
    assert open_fds() <= before


def test_15_a_missing_file_is_not_zero(memory: Cgroup, job: Cgroup) -> None:
    for cgroup, parameter in ((memory, Memory.usage_in_bytes), (job, Memory.current), (job, Memory.stat)):
        for name in parameter.files(cgroup.version):
            (Path(cgroup.path or "") / name).unlink()
        with pytest.raises(ParameterNotSupported):
            Parameters.get(parameter, cgroup)  # type: ignore[arg-type]
    put(job, "memory.max", "")
    with pytest.raises(cgroups.ParseError):
        Parameters.get(Memory.max, job)


def test_15_nothing_is_cut(job: Cgroup, memory: Cgroup) -> None:
    """Not at 99 characters, not at 4095 bytes, not at a page, and not at 64 KiB."""
    stat = {f"a_key_of_some_length_{i}": (1 << 63) + i for i in range(4000)}
    put(job, "memory.stat", "".join(f"{key} {value}\n" for key, value in stat.items()))
    for _ in range(2):
        assert Parameters.get(Memory.stat, job) == stat
    pids = list(range(1, 60000, 3))
    put(job, "cgroup.procs", "".join(f"{pid}\n" for pid in pids))
    assert job.processes() == pids
    agent = "/sbin/" + "x" * 5000
    root = memory.hierarchy.root()
    put(root, "release_agent", agent + "\n")
    assert Parameters.get(Parameters.release_agent, root) == agent


# ---- what the seed's own library gets wrong ---------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "right", "wrong"),
    [
        (Cpu.shares, "cpu.shares", "cpu.share"),
        (Cpuset.mem_exclusive, "cpuset.mem_exclusive", "cpuset.memory_exclusive"),
        (Blkio.wait_time, "blkio.io_wait_time", "blkio.wait_time"),
    ],
    ids=str,
)
def test_upstream_wrong_file_names(parameter: Any, right: str, wrong: str) -> None:
    assert parameter.files(1)[0] == right
    assert wrong not in parameter.files(1)


@pytest.mark.parametrize(
    "text",
    [
        "throttled_time 3\nnr_periods 1\nnr_throttled 2\n",
        "nr_periods 1\nnr_throttled 2\n",
        "nr_throttled 2\nnr_bursts 4\nburst_time 5\nwait_sum 6\nnr_periods 1\nthrottled_time 3\n",
    ],
)
def test_upstream_cpu_stat_of_exactly_three_lines(v1_cgroup: Callable[[str], Cgroup], text: str) -> None:
    cgroup = v1_cgroup("cpu")
    put(cgroup, "cpu.stat", text)
    stat = Parameters.get(Cpu.stat, cgroup)
    assert (stat.nr_periods, stat.nr_throttled) == (1, 2)
    assert stat.throttled_time == (3 if "throttled_time" in text else None)


def test_upstream_memory_stat_never_worked(memory: Cgroup) -> None:
    """The true name of the key is hierarchical_memsw_limit."""
    stat = Parameters.get(Memory.stat, memory)
    assert stat.rss == 1249280
    text = (Path(memory.path or "") / "memory.stat").read_text()
    assert f"hierarchical_memsw_limit {stat.hierarchical_memsw_limit}\n" in text


def test_upstream_oom_kill_is_a_count(memory: Cgroup) -> None:
    put(memory, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert Parameters.get(Memory.oom_control, memory) == (False, False, 2)


def test_upstream_total_lines(v1_cgroup: Callable[[str], Cgroup]) -> None:
    blkio = v1_cgroup("blkio")
    table = Parameters.get(Blkio.throttle_io_serviced, blkio)
    assert (table.total, table[Device(254, 0)]["Total"]) == (436, 436)
    assert Parameters.get(Blkio.io_serviced, blkio).total == 0
    put(blkio, "blkio.throttle.io_serviced", "")
    assert Parameters.get(Blkio.throttle_io_serviced, blkio).total is None


def test_upstream_63_bits(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("memory")
    assert Parameters.get(Memory.limit_in_bytes, recorded.cgroup) is MAX
    recorded.put("memory.max_usage_in_bytes", f"{(1 << 64) - 1}\n")
    assert Parameters.get(Memory.max_usage_in_bytes, recorded.cgroup) == (1 << 64) - 1
    Parameters.set(Memory.limit_in_bytes, recorded.cgroup, (1 << 62) + 1)
    assert recorded.writes == [("memory.limit_in_bytes", str((1 << 62) + 1))]


def test_upstream_empty_list_writes_nothing(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("cpuset")
    Parameters.set(Cpuset.cpus, recorded.cgroup, [])
    assert recorded.writes == [("cpuset.cpus", "\n")]


def test_upstream_several_devices_in_one_write(recorded_v1: Callable[[str], Any]) -> None:
    """The kernel takes the first line of a write and drops the rest."""
    recorded = recorded_v1("blkio")
    recorded.put("blkio.throttle.write_bps_device", "")
    Parameters.set(Blkio.throttle_write_bps_device, recorded.cgroup, {DISK: 1, Device(8, 16): 2})
    assert [text for _, text in recorded.writes] == ["8:0 1", "8:16 2"]


def test_upstream_ranges_descending(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("cpuset")
    recorded.put("cpuset.cpus", "8,0-2,1\n")
    assert Parameters.get(Cpuset.cpus, recorded.cgroup) == [0, 1, 2, 8]
    Parameters.set(Cpuset.cpus, recorded.cgroup, [8, 2, 1, 0])
    assert recorded.writes == [("cpuset.cpus", "0-2,8")]


@pytest.fixture
def writable(tmp_path: Path) -> Any:
    """A backend's directory on a plain file system, where a wrong open would leave a trace."""
    (tmp_path / "file").write_text("0123456789\n")
    return backend.open_directory(str(tmp_path), 0)


def test_upstream_open_creates_files(writable: Any, tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        writable.write("absent", b"5")
    assert caught.value.errno == errno.ENOENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_opening_truncates_nothing(writable: Any, tmp_path: Path) -> None:
    writable.write("file", b"ab")
    assert (tmp_path / "file").read_text() == "ab23456789\n"
    with pytest.raises(Failure):
        writable.open("file", os.O_WRONLY | os.O_TRUNC)
    with pytest.raises(Failure):
        writable.open("new", os.O_WRONLY | os.O_CREAT)
    assert (tmp_path / "file").read_text() == "ab23456789\n"
    assert not (tmp_path / "new").exists()


def test_upstream_a_failed_write_is_written_again(recorded_v2: Any) -> None:
    recorded_v2.refuse("pids.max", "5", errno.EINVAL)
    with pytest.raises(InvalidValue):
        Parameters.set(Pids.max, recorded_v2.cgroup, 5)
    assert recorded_v2.writes == [("pids.max", "5")]


def test_upstream_errors_leak_descriptors(writable: Any, memory: Cgroup) -> None:
    """A device that takes no data stands for the kernel's refusal, in the layer below."""
    full = backend.open_directory("/dev", 0)
    put(memory, "memory.usage_in_bytes", "junk\n")

    def fail() -> None:
        with pytest.raises(Failure) as caught:
            full.write("full", b"5")
        assert caught.value.errno == errno.ENOSPC
        with pytest.raises(cgroups.ParseError):
            Parameters.get(Memory.usage_in_bytes, memory)

    fail()
    before = open_fds()
    for _ in range(100):
        fail()
    assert open_fds() == before


def test_upstream_the_mount_source_must_be_the_word_cgroup(tmp_path: Path) -> None:
    table = "40 31 0:40 / /a rw - cgroup none rw,memory\n41 31 0:41 / /b rw - cgroup  rw,pids\n42 31 0:42 / /c rw - cgroup cgroup2 rw,cpu\n"
    host = tree(tmp_path, table, "/a", "/b", "/c")
    assert [one.subsystems for one in host.scan()] == [("memory",), ("pids",), ("cpu",)]
    assert {one.version for one in host.scan()} == {1}


def test_upstream_no_octal_decoding(tmp_path: Path) -> None:
    host = tree(tmp_path, "40 31 0:40 / /my\\040mounts/m rw - cgroup cgroup rw,memory\n", "/my mounts/m/job")
    assert host.find_exn("memory:/job").path == f"{tmp_path}/my mounts/m/job"


def test_upstream_a_controller_mounted_twice(tmp_path: Path) -> None:
    table = "40 31 0:40 / /one rw - cgroup cgroup rw,memory\n41 31 0:40 / /two rw - cgroup cgroup rw,memory\n"
    host = tree(tmp_path, table, "/one/job", "/two/job")
    assert host.find_exn("memory:/job").path == f"{tmp_path}/one/job"
    [hierarchy] = host.scan()
    assert len(hierarchy.mounts) == 2


def test_upstream_find_of_options_and_labels(v1: Host) -> None:
    assert v1.find("rw:/") is None
    assert v1.find("relatime:/") is None
    assert v1.find_exn("name=systemd:/").hierarchy.label == "systemd"


def test_upstream_colon_in_a_path(v1: Host, v1_root: Path) -> None:
    (v1_root / "sys/fs/cgroup/memory/a:b").mkdir()
    assert v1.find_exn("memory:/a:b").name == "a:b"


def test_upstream_co_mounted_controllers_are_dropped(tmp_path: Path) -> None:
    host = tree(tmp_path, "40 31 0:40 / /cg rw - cgroup cgroup rw,cpu,cpuacct\n", "/cg/job")
    assert host.find_exn("cpu:/job") == host.find_exn("cpuacct:/job")
    assert host.find_exn("cpu:/job").subsystems == ("cpu", "cpuacct")


def test_upstream_subsystems_are_frozen_at_start_up(monkeypatch: pytest.MonkeyPatch, v1: Host, v2: Host) -> None:
    """Asked again, after the machine has changed."""
    from cgroups import Hierarchy

    monkeypatch.setattr(Hierarchy, "_local", v1)
    found = Subsystem.find("memory")
    assert (found.available, found.version, found.enabled) == (True, 1, True)
    assert not Subsystem.find("rdma").available
    assert Subsystem.find("no_such_thing") == (0, "no_such_thing", False, False, None, None)
    monkeypatch.setattr(Hierarchy, "_local", v2)
    assert Subsystem.find("memory").version == 2
    assert Subsystem.find("rdma").available
    assert {"memory", "io", "rdma"} <= {one.name for one in Subsystem.find_all() if one.available}


def test_upstream_make_sub_escapes_the_tree(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("memory")
    before = sorted(recorded.directory.parent.parent.rglob("*"))
    for name in ("../x", "..", "a/../../x", "/x"):
        with pytest.raises(InvalidValue):
            recorded.cgroup.make_sub(name)
    for path in ("../x", "a/../../../x"):
        with pytest.raises(InvalidValue):
            recorded.cgroup.make(path)
    assert sorted(recorded.directory.parent.parent.rglob("*")) == before


def test_upstream_has_no_delete(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("pids")
    made = recorded.cgroup.make("new/deep")
    assert made.exists
    with pytest.raises(CgroupBusy):
        recorded.cgroup.child("new").remove()
    made.remove()
    assert not made.exists
    with pytest.raises(CgroupGone):
        made.remove()
    recorded.cgroup.child("new").remove()
    assert not (recorded.directory / "new").exists()


# ---- what the other libraries get wrong -----------------------------------------------------------------


def test_others_parse_the_mounts_at_each_write(recorded_v2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scans: list[int] = []
    scan = backend.scan_mounts
    monkeypatch.setattr(backend, "scan_mounts", lambda fd: scans.append(fd) or scan(fd))
    for number in range(1, 20):
        Parameters.set(Pids.max, recorded_v2.cgroup, number)
    assert scans == []


def test_others_have_blanks_in_file_names() -> None:
    for parameter in Subsystem.parameters():
        for name in (*parameter.files(1), *parameter.files(2)):
            assert name == name.strip()
            assert " " not in name


def test_others_are_ascii_only(v1: Host, v1_root: Path) -> None:
    directory = v1_root / "sys/fs/cgroup/pids"
    for name in (b"caf\xc3\xa9", b"\xff\xfe"):
        os.mkdir(os.fsencode(directory) + b"/" + name)
        (Path(os.fsdecode(os.fsencode(directory) + b"/" + name)) / "pids.current").write_text("3\n")
        cgroup = v1.find_exn("pids:/" + os.fsdecode(name))
        assert Parameters.get(Pids.current, cgroup) == 3
        assert os.fsencode(cgroup.name) == name


def test_others_take_foo_for_the_parent_of_foobar() -> None:
    from cgroups._interface import MountRow

    mount = Mount(MountRow((1, 0, 5, "/foo", "/m", "rw", "rw,memory")), "/nowhere")
    assert mount.relative("/foobar") is None
    assert mount.relative("/foo/bar") == "bar"


def test_readers_of_one_cgroup_in_many_threads(memory: Cgroup) -> None:
    """One object, many threads: each reads its own parameter's number."""
    expected = {Memory.usage_in_bytes: 4128768, Memory.max_usage_in_bytes: 104857600, Memory.swappiness: 60}
    wrong: list[Any] = []

    def read(parameter: Any) -> None:
        for _ in range(300):
            value = Parameters.get(parameter, memory)
            if value != expected[parameter]:
                wrong.append((parameter, value))

    threads = [threading.Thread(target=read, args=(parameter,)) for parameter in expected for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
