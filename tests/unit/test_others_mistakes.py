"""Each mistake of the seed's own library, and of others, and a test that fails on it."""

from __future__ import annotations

import errno
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
    CgroupGone,
    Cpu,
    Cpuset,
    Device,
    Host,
    InvalidValue,
    Memory,
    Parameters,
    Pids,
    Subsystem,
)
from cgroups.core.backend import backend
from cgroups.core.interface import Failure
from cgroups.core.mounts import Mount

INNER = "/cgroups-capture/inner"
DISK = Device(8, 0)


def put(cgroup: Cgroup, name: str, text: str) -> None:
    (Path(cgroup.path or "") / name).write_text(text)


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


def test_open_truncates_nothing(writable: Any, tmp_path: Path) -> None:
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


def test_upstream_errors_leak_descriptors(writable: Any, memory: Cgroup, open_fds: Any) -> None:
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


def test_upstream_the_mount_source_must_be_the_word_cgroup(tmp_path: Path, tree: Any) -> None:
    table = (
        "40 31 0:40 / /a rw - cgroup none rw,memory\n"
        "41 31 0:41 / /b rw - cgroup  rw,pids\n"
        "42 31 0:42 / /c rw - cgroup cgroup2 rw,cpu\n"
    )
    host = tree(tmp_path, table, "/a", "/b", "/c")
    assert [one.subsystems for one in host.scan()] == [("memory",), ("pids",), ("cpu",)]
    assert {one.version for one in host.scan()} == {1}


def test_upstream_no_octal_decoding(tmp_path: Path, tree: Any) -> None:
    host = tree(tmp_path, "40 31 0:40 / /my\\040mounts/m rw - cgroup cgroup rw,memory\n", "/my mounts/m/job")
    assert host.find_exn("memory:/job").path == f"{tmp_path}/my mounts/m/job"


def test_upstream_a_controller_mounted_twice(tmp_path: Path, tree: Any) -> None:
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


def test_upstream_co_mounted_controllers_are_dropped(tmp_path: Path, tree: Any) -> None:
    host = tree(tmp_path, "40 31 0:40 / /cg rw - cgroup cgroup rw,cpu,cpuacct\n", "/cg/job")
    assert host.find_exn("cpu:/job") == host.find_exn("cpuacct:/job")
    assert host.find_exn("cpu:/job").subsystems == ("cpu", "cpuacct")


def test_upstream_subsystems_are_frozen_at_start_up(v1: Host, v2: Host, v1_root: Path) -> None:
    """Asked again, after the machine has changed."""
    found = Subsystem.find("memory", host=v1)
    assert (found.available, found.version, found.enabled) == (True, 1, True)
    assert not Subsystem.find("rdma", host=v1).available
    assert Subsystem.find("no_such_thing", host=v1) == (0, "no_such_thing", False, False, None, None)
    assert Subsystem.find("memory", host=v2).version == 2
    assert {"memory", "io", "rdma"} <= {one.name for one in Subsystem.find_all(host=v2) if one.available}
    v1_root.joinpath("sys/fs/cgroup/unified/cgroup.controllers").write_text("rdma\n")
    assert (Subsystem.find("rdma", host=v1).available, Subsystem.find("rdma", host=v1).version) == (True, 2)
    v1_root.joinpath("proc/cgroups").write_text("no_such_thing 7 1 1\n")
    assert Subsystem.find("no_such_thing", host=v1) == (7, "no_such_thing", True, False, None, None)


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
    from cgroups.core.interface import MountRow

    mount = Mount(MountRow((1, 0, 5, "/foo", "/m", "rw", "rw,memory")), "/nowhere")
    assert mount.relative("/foobar") is None
    assert mount.relative("/foo/bar") == "bar"


def test_get_one_cgroup_in_many_threads_is_consistent(memory: Cgroup) -> None:
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
