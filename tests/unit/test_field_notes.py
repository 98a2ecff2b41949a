"""Troubles of the users of other libraries of control groups, and the seed's own mistakes, a test for each.

The names say what went wrong elsewhere; these tests fail on it.
"""

from __future__ import annotations

import errno
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
    Device,
    Host,
    Io,
    Memory,
    ParameterNotSupported,
    Parameters,
    Pids,
)
from cgroups.core import diagnosis, mounts, refusals
from cgroups.core.backend import backend
from cgroups.core.interface import Failure, Status

INNER = "/cgroups-capture/inner"
DISK = Device(8, 0)


def put(cgroup: Cgroup, name: str, text: str) -> None:
    (Path(cgroup.path or "") / name).write_text(text)


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
    error = refusals.explain_remove(errno.EBUSY, recorded_v2.cgroup)
    assert type(error) is CgroupBusy
    assert "processes inside: 1; cgroups below: 0" in str(error)
    parent = recorded_v2.cgroup.parent
    with pytest.raises(CgroupBusy) as caught:
        parent.remove(recursive=True)
    assert ":/job/a" in str(caught.value)
    assert parent.exists
    assert recorded_v2.cgroup.exists  # nothing was removed half way


def test_07_paths_in_containers(tmp_path: Path, tree: Any) -> None:
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


def test_09_hybrid_is_per_controller(v1: Host, tmp_path: Path, tree: Any) -> None:
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
        (errno.EROFS, cgroups.AccessDenied, ["io", ":/job/a", "mounted read-only"]),
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
    for word in ("no internal processes", ":/job/a has processes", "move them down first"):
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


def test_13_descriptors_have_an_owner(v1_root: Path, open_fds: Any) -> None:
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
