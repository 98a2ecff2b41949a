"""The control files that are not written with a value and read back: what each of them does instead.

The reasons are in written.py, which names the test of each file.
"""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from common import DISK, MIB, OWN_HOST, MakeCgroup, Need, Spawn, files_of, path_of, says, text_of, users_of

from cgroups import (
    MAX,
    Blkio,
    Cgroup,
    CgroupOSError,
    Converter,
    Core,
    Cpuacct,
    Cpuset,
    Device,
    DeviceTable,
    Hugetlb,
    InvalidValue,
    Io,
    Memory,
    Misc,
    ParameterNotSupported,
    Parameters,
    Rdma,
    Subsystem,
)

ABSENT = Device(511, 1048575)

# A file that only one vendor's kernel has.
VENDOR_FILE = "memory.shown_ram_in_bytes"


@pytest.fixture
def memory(need: Need) -> int:
    """The version that the memory controller is on."""
    need("memory")
    return int(Subsystem.find("memory").version or 0)


def inside(spawn: Spawn, cgroup: Cgroup, program: str) -> subprocess.Popen[bytes]:
    """A child in a cgroup, that runs a program when it is told to."""
    start = "import sys\nprint('ready', flush=True)\nsys.stdin.readline()\n"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child = spawn(sys.executable, "-c", start + program, **pipes)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    cgroup.add_process(child.pid)
    return child


def run_inside(spawn: Spawn, cgroup: Cgroup, program: str) -> str:
    child = inside(spawn, cgroup, program)
    output, errors = child.communicate(b"\n", timeout=120)
    assert child.returncode == 0, errors.decode()
    return output.decode().strip()


def test_event_control_is_no_value(memory: int, make_cgroup: MakeCgroup) -> None:
    if memory == 2:
        assert not path_of(make_cgroup("memory"), "cgroup.event_control").exists()
        return
    cgroup, parameter = make_cgroup("memory"), Core.event_control
    assert parameter.files(1) == ("cgroup.event_control",)
    for call in (Parameters.get, Parameters.reset, lambda *words: Parameters.set(*words, "1 2")):
        with pytest.raises(TypeError):
            call(parameter, cgroup)  # type: ignore[operator]


CACHE = """
import os
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.write(fd, bytes(8 << 20))
os.fsync(fd)
"""


def test_reclaiming(memory: int, make_ready: MakeCgroup, spawn: Spawn, tmp_path: Path) -> None:
    """Clean pages of a file: force_empty gives back all of them, memory.reclaim what it was asked for."""

    def filled() -> Cgroup:
        cgroup = make_ready("memory")
        run_inside(spawn, cgroup, CACHE.replace("sys.argv[1]", repr(str(tmp_path / cgroup.name))))
        if Parameters.get(Memory.usage_in_bytes, cgroup) < 8 * MIB:
            pytest.skip("the temporary directory is not on a disk")
        return cgroup

    cgroup = filled()
    Parameters.reset(Memory.force_empty, cgroup)
    assert Parameters.get(Memory.usage_in_bytes, cgroup) < 4 * MIB
    for value in (0, 1, True):
        with pytest.raises(TypeError):
            Parameters.set(Memory.force_empty, cgroup, value)  # type: ignore[arg-type]
    if memory == 2:
        cgroup = filled()
        before = Parameters.get(Memory.current, cgroup)
        Parameters.set(Memory.reclaim, cgroup, 2 * MIB)
        # Less than what was reclaimed: the kernel charges in batches.
        assert before - Parameters.get(Memory.current, cgroup) >= MIB
        with pytest.raises(InvalidValue):
            Parameters.set(Memory.reclaim, cgroup, 0)


def test_kmem_limit_is_ignored(memory: int, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup("memory")
    if memory == 2:
        with pytest.raises(ParameterNotSupported, match="version 2"):
            Parameters.set(Memory.kmem_limit_in_bytes, cgroup, 64 * MIB)
        return
    unlimited = text_of(cgroup, "memory.kmem.limit_in_bytes")
    Parameters.set(Memory.kmem_limit_in_bytes, cgroup, 64 * MIB)
    # Kernels before 5.16 keep it.
    assert text_of(cgroup, "memory.kmem.limit_in_bytes") in (unlimited, str(64 * MIB))
    Parameters.set(Memory.kmem_limit_in_bytes, cgroup, MAX)
    assert text_of(cgroup, "memory.kmem.limit_in_bytes") == unlimited
    with pytest.raises(InvalidValue):
        Parameters.set(Memory.kmem_limit_in_bytes, cgroup, -1)
    assert Parameters.get(Memory.kmem_limit_in_bytes, cgroup) is MAX


def test_use_hierarchy_cannot_be_switched_off(memory: int, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup("memory")
    Parameters.set(Memory.use_hierarchy, cgroup, True)
    with pytest.raises(InvalidValue if memory == 1 else ParameterNotSupported):
        Parameters.set(Memory.use_hierarchy, cgroup, False)
    assert Parameters.get(Memory.use_hierarchy, cgroup) is True
    assert memory == 2 or text_of(cgroup, "memory.use_hierarchy") == "1"


def test_moving_charges_is_kept_or_refused(memory: int, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup("memory")
    if memory == 2:
        with pytest.raises(ParameterNotSupported, match="version 2"):
            Parameters.set(Memory.move_charge_at_immigrate, cgroup, 0)
        return
    Parameters.set(Memory.move_charge_at_immigrate, cgroup, 0)
    for value in (1, 2, 3, 4, -1):
        try:
            Parameters.set(Memory.move_charge_at_immigrate, cgroup, value)
            taken = True
        except InvalidValue:
            taken = False
        assert value in (1, 2, 3) or not taken
        assert text_of(cgroup, "memory.move_charge_at_immigrate") == (str(value) if taken else "0")
        Parameters.set(Memory.move_charge_at_immigrate, cgroup, 0)


def test_vendor_file_is_read_by_name(make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup("memory")
    file = VENDOR_FILE
    if not path_of(cgroup, file).exists():
        pytest.skip(f"there is no {file}")
    owner, _, name = file.partition(".")
    own = Parameters.mk_set(owner, name, Converter.int)
    assert Parameters.get(own, cgroup) == int(text_of(cgroup, file))
    assert users_of(file, cgroup.version, Parameters.Parameter) == []


HOG = "data = bytearray(64 << 20)\ndata[::4096] = b'x' * (len(data) // 4096)\n"
HUGE = """
import mmap
try:
    mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
except OSError as error:
    print(error.errno)
"""


def make_count(controller: str, cgroup: Cgroup, spawn: Spawn) -> list[Any]:
    """Lets something happen in a cgroup, and gives the parameters that have counted it."""
    if controller == "cpuacct":
        run_inside(spawn, cgroup, "sum(range(300000))")
        return [Cpuacct.usage]
    if controller == "memory":
        Parameters.set(Memory.limit_in_bytes, cgroup, 32 * MIB)
        child = inside(spawn, cgroup, HOG)
        child.communicate(b"\n", timeout=120)  # killed, or where there is swap not even that
        return [Memory.failcnt, Memory.max_usage_in_bytes]
    page = Hugetlb("2MB")
    Parameters.set(page.rsvd_limit_in_bytes, cgroup, 0)
    assert run_inside(spawn, cgroup, HUGE) == str(errno.ENOMEM)
    return [page.rsvd_failcnt]


@pytest.mark.parametrize("controller", ["cpuacct", "memory", "hugetlb"])
def test_counters_start_again(controller: str, need: Need, make_ready: MakeCgroup, spawn: Spawn) -> None:
    need(controller)
    cgroup = make_ready(controller)
    counted = make_count(controller, cgroup, spawn) if cgroup.version == 1 else []
    for parameter in counted:
        assert Parameters.get(parameter, cgroup) > 0, parameter
    for parameter in Subsystem.parameters():
        files = parameter.files(cgroup.version)
        here = files and all(path_of(cgroup, file).exists() for file in files)
        if not here or not isinstance(parameter, Parameters.ReadReset):
            continue
        before = Parameters.get(parameter, cgroup)
        with pytest.raises(TypeError):
            Parameters.set(parameter, cgroup, 0)  # type: ignore[arg-type]
        if cgroup.version == 2:
            with pytest.raises(ParameterNotSupported) as caught:
                Parameters.reset(parameter, cgroup)
            assert caught.value.hint
            assert Parameters.get(parameter, cgroup) >= before
            continue
        Parameters.reset(parameter, cgroup)
        after = int(text_of(cgroup, files[0]))
        assert after < before if parameter in counted else after <= before, parameter
        assert after == 0 or "max_usage" in files[0], parameter  # which starts at what is used now


def test_reset_stats_leaves_the_throttles_counters(need: Need, make_cgroup: MakeCgroup) -> None:
    need("blkio")
    cgroup = make_cgroup("blkio")
    if cgroup.version == 2:
        with pytest.raises(ParameterNotSupported, match="version 2"):
            Parameters.reset(Blkio.reset_stats, cgroup)
        return
    counters = [file for file in files_of(cgroup, 0o444) if ".throttle.io_" in file]
    before = {file: text_of(cgroup, file) for file in counters}
    Parameters.reset(Blkio.reset_stats, cgroup)
    assert counters
    assert {file: text_of(cgroup, file) for file in counters} == before


@pytest.mark.skipif(DISK is None, reason="no disk is here")
def test_weight_on_one_disk(need: Need, make_cgroup: MakeCgroup) -> None:
    """BFQ's is taken of a disk that has this scheduler, and refused of another."""
    need("blkio")
    assert DISK is not None
    cgroup = make_cgroup("blkio")
    files = [file for file in ("blkio.bfq.weight_device", "io.bfq.weight") if path_of(cgroup, file).exists()]
    if not files:
        pytest.skip("the BFQ scheduler is not here")
    before = text_of(cgroup, files[0])
    if "[bfq]" in Path(f"/sys/dev/block/{DISK}/queue/scheduler").read_text():
        Parameters.set(Blkio.weight_device, cgroup, {DISK: 200})
        assert says(cgroup, files[0], f"{DISK} 200")
        Parameters.set(Blkio.weight_device, cgroup, {})
    else:
        with pytest.raises(CgroupOSError) as caught:
            Parameters.set(Blkio.weight_device, cgroup, {DISK: 200})
        assert caught.value.errno == errno.EOPNOTSUPP
    assert text_of(cgroup, files[0]) == before
    for bad in ({DISK: 1001}, {DISK: 0}, {DISK: MAX}):
        with pytest.raises(InvalidValue):
            Parameters.set(Blkio.weight_device, cgroup, bad)  # type: ignore[arg-type]
    assert text_of(cgroup, files[0]) == before


@pytest.mark.parametrize("parameter", [Misc.max, Rdma.max], ids=str)
def test_limits_of_resources_that_are_not_here(parameter: Any, need: Need, make_cgroup: MakeCgroup) -> None:
    need(parameter.controller)
    cgroup = make_cgroup(parameter.controller)
    [file] = parameter.files(cgroup.version)
    before = text_of(cgroup, file)
    Parameters.set(parameter, cgroup, {})
    for value in ({"nonesuch": 1}, {"nonesuch": {"hca_handle": 1}}, {"a b": 1}, 5):
        with pytest.raises(InvalidValue):
            Parameters.set(parameter, cgroup, value)
    assert text_of(cgroup, file) == before


def test_peak_v2_does_not_restart(memory: int, make_ready: MakeCgroup, spawn: Spawn) -> None:
    """A write that the kernel takes is of no use: what everybody reads stays."""
    cgroup = make_ready("memory")
    if memory == 1:
        assert not path_of(cgroup, "memory.peak").exists()
        return
    run_inside(spawn, cgroup, "")
    before = text_of(cgroup, "memory.peak")
    assert int(before) > 0
    with pytest.raises(ParameterNotSupported, match="reset") as caught:
        Parameters.reset(Memory.max_usage_in_bytes, cgroup)
    assert caught.value.hint
    for parameter in (Memory.peak, Memory.swap_peak):
        with pytest.raises(TypeError):
            Parameters.reset(parameter, cgroup)  # type: ignore[arg-type]
    assert text_of(cgroup, "memory.peak") == before
    if "memory.peak" in files_of(cgroup, 0o222):
        path_of(cgroup, "memory.peak").write_text("0")
        assert text_of(cgroup, "memory.peak") == before


def test_pressure_file_takes_only_triggers(every_head: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(every_head)
    files = [file for file in files_of(cgroup, 0o222) if file.endswith(".pressure") and file != "cgroup.pressure"]
    assert bool(files) == (cgroup.version == 2)
    for file in files:
        [parameter] = users_of(file, 2, Parameters.PressureParameter)
        assert users_of(file, 2, (Parameters.Writable, Parameters.Resettable)) == []
        with pytest.raises(TypeError):
            Parameters.set(parameter, cgroup, "some 150000 2000000")
        # With a window of 2 s anybody may ask; the text is of the pressure as before.
        with open(path_of(cgroup, file), "r+b", buffering=0) as open_file:
            open_file.write(b"some 150000 2000000\0")
            assert Parameters.get(parameter, cgroup)["some"]["total"] >= 0
        assert text_of(cgroup, file).startswith("some avg10=")


def test_partition_is_made_or_refused(need: Need, make_cgroup: MakeCgroup) -> None:
    """Made only where no other cgroup is robbed of the CPU: on a host of the tests' own."""
    need("cpuset")
    cgroup = make_cgroup("cpuset")
    if cgroup.version == 1:
        with pytest.raises(ParameterNotSupported, match="version 1"):
            Parameters.set(Cpuset.cpus_partition, cgroup, "root")
        return
    file = "cpuset.cpus.partition"
    if OWN_HOST:
        with pytest.raises(InvalidValue):  # which the kernel takes, and calls invalid: it has no CPUs
            Parameters.set(Cpuset.cpus_partition, cgroup, "root")
        assert text_of(cgroup, file) == "member"
        *others, last = Parameters.get(Cpuset.cpus_effective, cgroup)
        Parameters.set(Cpuset.cpus, cgroup, [last])
        for word in ("root", "isolated", "member") if others else ():
            Parameters.set(Cpuset.cpus_partition, cgroup, word)
            assert text_of(cgroup, file) == word
            assert Parameters.get(Cpuset.cpu_exclusive, cgroup) is (word != "member")
    Parameters.set(Cpuset.cpus_partition, cgroup, "member")
    for word in ("root invalid", "junk", "", None):
        with pytest.raises(InvalidValue):
            Parameters.set(Cpuset.cpus_partition, cgroup, word)  # type: ignore[arg-type]
    assert text_of(cgroup, file) == "member"


def test_cost_controller_of_a_disk(make_cgroup: MakeCgroup) -> None:
    """Once it is on for a disk, weights of one disk are taken too."""
    hierarchy = Subsystem.find("io").hierarchy
    if not OWN_HOST or DISK is None or hierarchy is None or not path_of(hierarchy.root(), "io.cost.qos").exists():
        pytest.skip("no root cgroup of the tests' own has the io controller of v2")
    root = hierarchy.root()
    model = {"ctrl": "user", "model": "linear", "rbps": 2 << 30, "rseqiops": 200_000, "rrandiops": 100_000}
    model |= {"wbps": 1 << 30, "wseqiops": 150_000, "wrandiops": 75_000}
    Parameters.set(Io.cost_model, root, {DISK: model})
    assert Parameters.get(Io.cost_model, root)[DISK] == model
    Parameters.set(Io.cost_qos, root, {DISK: {"enable": 1, "ctrl": "user", "rpct": 95.0, "rlat": 5000}})
    try:
        row = Parameters.get(Io.cost_qos, root)[DISK]
        assert (row["enable"], row["ctrl"], row["rpct"], row["rlat"]) == (1, "user", 95.0, 5000)
        cgroup = make_cgroup("blkio")
        Parameters.set(Io.weight, cgroup, {DISK: 300})
        assert says(cgroup, "io.weight", f"{DISK} 300")
        Parameters.set(Io.weight, cgroup, DeviceTable({}, default=50))
        assert text_of(cgroup, "io.weight") == "default 50"
        before = text_of(root, "io.cost.qos"), text_of(root, "io.cost.model")
        for parameter in (Io.cost_qos, Io.cost_model):
            for value in ({DISK: {"nonesuch": 1}}, {ABSENT: {"enable": 1}}, {DISK: {}}, {DISK: 5}, 5):
                with pytest.raises(InvalidValue):
                    Parameters.set(parameter, root, value)  # type: ignore[arg-type]
        assert (text_of(root, "io.cost.qos"), text_of(root, "io.cost.model")) == before
    finally:
        Parameters.set(Io.cost_qos, root, {DISK: {"enable": 0, "ctrl": "auto"}})
        Parameters.set(Io.cost_model, root, {DISK: {"ctrl": "auto"}})
