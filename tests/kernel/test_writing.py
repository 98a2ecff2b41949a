"""Every writable parameter whose file a fresh cgroup has: set, read back, reset; and what cannot be is refused."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from common import DISK, MIB, MakeCgroup

from cgroups import (
    MAX,
    Blkio,
    Cgroup,
    CgroupOSError,
    Core,
    Cpu,
    CpuMax,
    Cpuset,
    Device,
    DeviceRule,
    ExpectedRoot,
    Hierarchy,
    Hugetlb,
    InvalidValue,
    Memory,
    ParameterNotSupported,
    Parameters,
    Subsystem,
    SubsystemNotAttached,
    SubsystemNotAvailable,
)

JUNK: list[Any] = ["junk", None, 1.5, object(), [], b"1"]
NO_NUMBERS: list[Any] = [*JUNK, True, False, "1", 1 << 64, 1 << 80]
NO_COUNTS: list[Any] = [*NO_NUMBERS, -1, -(1 << 64)]
NO_FLAGS: list[Any] = [*JUNK, 0, 1, 2, -1, "0", 1 << 64]
NO_CPUS: list[Any] = [None, 1.5, "0", b"0", 0, [-1], [True], ["0"], [1.0], [65536], [1 << 64], [0, -1], [4000]]
NO_WORDS: list[Any] = ["junk", "", None, 1, True, b"FROZEN", "frozen", "THAWED\n"]


def scheduler(device: Device) -> str:
    """The IO scheduler of a disk: weights of one device are those of BFQ, and refused where another is in use."""
    text = Path(f"/sys/dev/block/{device}/queue/scheduler").read_text()
    return text.partition("[")[2].partition("]")[0]


ABSENT = Device(511, 1048575)
NO_TABLES: list[Any] = [
    *(None, 5, True, "8:0 1", [(8, 0)], {"sda": 1}, {(8, 0): -1}, {(8, 0): True}, {(8, 0): "1"}, {(8, 0): None}),
    *({(8, 0): 1 << 64}, {(8, 0): 1.5}, {(-1, 0): 1}, {(8,): 1}, {ABSENT: 100}),
]


class Case(NamedTuple):
    """``back`` is what is read afterwards, where that is not ``value``; ``first`` is set before."""

    value: Any
    illegal: list[Any]
    back: Any = ...
    first: tuple[Any, Any] | None = None


def table(value: Any, illegal: list[Any] = NO_TABLES) -> Case:
    return Case({DISK: value} if DISK else {}, illegal)


def limit(value: int = 64 * MIB) -> Case:
    return Case(value, NO_COUNTS)


def flag(value: bool, back: Any = ...) -> Case:  # noqa: FBT001
    return Case(value, NO_FLAGS, back)


HUGE_PAGE = {size: {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[size[-2:]] * int(size[:-2]) for size in ("2MB", "1GB")}

CASES: dict[str, Case] = {
    "memory.limit_in_bytes": limit(),
    "memory.memsw_limit_in_bytes": Case(96 * MIB, [*NO_COUNTS, 4096], first=(Memory.limit_in_bytes, 64 * MIB)),
    "memory.soft_limit_in_bytes": limit(),
    "memory.swappiness": Case(30, [*NO_COUNTS, 201, -1]),
    "memory.move_charge_at_immigrate": Case(0, [*NO_COUNTS, 4]),
    "memory.use_hierarchy": flag(True),
    "memory.oom_control": flag(True),
    "memory.kmem_limit_in_bytes": Case(MAX, NO_COUNTS),
    "memory.kmem_tcp_limit_in_bytes": limit(),
    **{f"memory.{name}": limit() for name in ("max", "min", "low", "high", "swap_high", "swap_max", "zswap_max")},
    "memory.oom_group": flag(True),
    "memory.zswap_writeback": flag(False),
    "cpu.shares": Case(262144, [*NO_COUNTS, 0, 1, 262145]),
    "cpu.cfs_quota_us": Case(50_000, [*NO_COUNTS, 0, 999]),
    "cpu.cfs_period_us": Case(200_000, [*NO_COUNTS, 0, 999, 1_000_001, MAX]),
    "cpu.cfs_burst_us": Case(1000, [*NO_COUNTS, MAX], first=(Cpu.cfs_quota_us, 50_000)),
    "cpu.max_burst": Case(1000, [*NO_COUNTS, MAX], first=(Cpu.cfs_quota_us, 50_000)),
    "cpu.rt_period_us": Case(500_000, [*NO_COUNTS, 0, MAX]),
    "cpu.rt_runtime_us": Case(0, [*NO_NUMBERS, -2, MAX]),
    "cpu.idle": flag(True),
    "cpu.weight": Case(500, [*NO_COUNTS, 0, 10001, MAX]),
    "cpu.weight_nice": Case(5, [*NO_NUMBERS, -21, 20, MAX]),
    "cpu.max": Case(
        CpuMax(50_000, 200_000),
        [*JUNK, 5, MAX, (), (999,), (True,), (50_000, 999), (50_000, 1_000_001), (50_000, True), (1, 2, 3)],
    ),
    "cpu.uclamp_min": Case(10.0, ["junk", None, True, -1, 100.5, float("nan"), [], 1 << 64]),
    "cpu.uclamp_max": Case(50.0, ["junk", None, True, -1, 100.5, float("nan"), [], 1 << 64]),
    "cpuset.cpus": Case({0}, NO_CPUS, [0]),
    "cpuset.mems": Case((0,), NO_CPUS, [0]),
    "cpuset.cpus_exclusive": Case([0], NO_CPUS),
    "cpuset.cpus_partition": Case("member", ["junk", "", None, 1, "root invalid", "root\n"]),
    "cpuset.memory_migrate": flag(True),
    "cpuset.cpu_exclusive": flag(True),
    "cpuset.mem_exclusive": flag(True),
    "cpuset.mem_hardwall": flag(True),
    "cpuset.memory_spread_page": flag(True),
    "cpuset.memory_spread_slab": flag(True),
    "cpuset.sched_load_balance": flag(False),
    "cpuset.sched_relax_domain_level": Case(0, [*NO_NUMBERS, -2, 11]),
    "blkio.weight": Case(200, [*NO_COUNTS, 0, 1001, MAX]),
    "blkio.weight_device": table(200, [*NO_TABLES, {DISK: 0}, {DISK: 1001}]),
    "blkio.throttle_read_bps_device": table(MIB),
    "blkio.throttle_write_bps_device": table(MIB),
    "blkio.throttle_read_iops_device": table(100, [*NO_TABLES, {DISK: 1 << 32}]),
    "blkio.throttle_write_iops_device": table(100, [*NO_TABLES, {DISK: 1 << 32}]),
    "io.max": table(
        {"rbps": MIB, "wbps": MAX, "riops": MAX, "wiops": 100},
        [*NO_TABLES, {DISK: {"rbps": -1}}, {DISK: {"nonesuch": 1}}, {DISK: {"rbps": True}}, {ABSENT: {"rbps": 1}}],
    ),
    "io.weight": table(200, [*NO_TABLES, {DISK: 0}, {DISK: 10001}]),
    "io.bfq_weight": table(200, [*NO_TABLES, {DISK: 0}, {DISK: 1001}]),
    "io.latency": table({"target": 1000}, [*NO_TABLES, {DISK: {"target": -1}}, {DISK: {"nonesuch": 1}}]),
    "pids.max": Case(100, [*NO_COUNTS, (1 << 22) + 1]),
    "freezer.state": Case("FROZEN", [*NO_WORDS, "FREEZING"]),
    "cgroup.type": Case("threaded", [*NO_WORDS, "domain"]),
    "cgroup.subtree_control": Case((), ["memory", None, 5, ["+memory"], ["memory\n"], [5], [""]]),
    "cgroup.max_depth": Case(5, [*NO_COUNTS, 1 << 31]),
    "cgroup.max_descendants": Case(5, [*NO_COUNTS, 1 << 31]),
    "cgroup.freeze": flag(True),
    "cgroup.pressure": flag(False),
    "cgroup.clone_children": flag(True),
    "notify_on_release": flag(True),
    "net_cls.classid": Case(0x10001, [*NO_COUNTS, 1 << 32, MAX]),
    "net_prio.ifpriomap": Case({"lo": 5}, [None, 5, "lo 5", {"lo": -1}, {"lo": 1 << 32}, {"a b": 1}, {"nonesuch9": 1}]),
    "rdma.max": Case({}, [None, 5, "x", {"a b": {}}, {"nonesuch": {"hca_handle": 1}}, {"x": {"y": 1}}, {"x": 1}]),
    "misc.max": Case({}, [None, 5, "x", {"a b": 1}, {"nonesuch": 1}, {"x": -1}, {"x": 1 << 64}]),
    "dmem.max": Case({}, [None, 5, "x", {"a b": 1}, {"nonesuch": 1}, {"x": -1}, {"x": 1 << 64}]),
    "dmem.min": Case({}, [None, 5, "x", {"a b": 1}, {"nonesuch": 1}, {"x": -1}, {"x": 1 << 64}]),
    "dmem.low": Case({}, [None, 5, "x", {"a b": 1}, {"nonesuch": 1}, {"x": -1}, {"x": 1 << 64}]),
    **{
        f"hugetlb.{size}.{name}": Case(2 * page, NO_COUNTS)
        for size, page in HUGE_PAGE.items()
        for name in ("limit_in_bytes", "max", "rsvd_limit_in_bytes", "rsvd_max")
    },
}

# What is only written has no value to read back: below, one by one.
WRITE_ONLY = {"memory.reclaim", "devices.allow", "devices.deny", "cgroup.kill"}

PER_DEVICE = {"blkio.weight_device", "io.bfq_weight"}

# Readable but not writable on v2: PARAMETERS with an equivalent only for reading.
READ_ONLY_ON_V2 = {"memory.oom_control", "cpuset.cpu_exclusive"}


def files(parameter: Any, cgroup: Cgroup) -> list[Path]:
    paths = [Path(str(cgroup.path)) / name for name in parameter.files(cgroup.version)]
    return [path for path in paths if path.exists()]


def texts(parameter: Any, cgroup: Cgroup) -> list[str]:
    return [path.read_text() for path in files(parameter, cgroup) if path.stat().st_mode & 0o444]


def is_here(parameter: Any, cgroup: Cgroup) -> bool:
    wanted = parameter.files(cgroup.version)
    there = files(parameter, cgroup)
    return bool(there) and (len(there) == len(wanted) or parameter.controller == "blkio")


def here(kind: Any, cgroup: Cgroup) -> list[Any]:
    return [one for one in Subsystem.parameters() if isinstance(one, kind) and is_here(one, cgroup)]


def equal(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return {key: value for key, value in dict(got).items() if value} == wanted
    return bool(got == wanted)


def set_and_check(parameter: Any, case: Case, cgroup: Cgroup) -> str | None:
    """Return the error of a call, if it raised one."""
    if cgroup.version == 2 and str(parameter) in READ_ONLY_ON_V2:
        before = texts(parameter, cgroup)
        with pytest.raises(ParameterNotSupported) as caught:
            Parameters.set(parameter, cgroup, case.value)
        return None if caught.value.hint and texts(parameter, cgroup) == before else "no hint, or it was set"
    if "bfq" in files(parameter, cgroup)[0].name and str(parameter) in PER_DEVICE and DISK and scheduler(DISK) != "bfq":
        with pytest.raises(CgroupOSError) as refused:
            Parameters.set(parameter, cgroup, case.value)
        return None if refused.value.errno == errno.EOPNOTSUPP else repr(refused.value)
    Parameters.set(parameter, cgroup, case.value)
    got = Parameters.get(parameter, cgroup)
    wanted = case.value if case.back is ... else case.back
    if str(parameter) == "memory.oom_control":
        got = got.oom_kill_disable
    return None if equal(got, wanted) else f"{wanted!r} was set, and {got!r} is read"


def test_each_writable_parameter_is_set_and_read_back(controller_here: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(controller_here)
    problems = {}
    for parameter in here(Parameters.Writable, cgroup):
        name = str(parameter)
        if name in WRITE_ONLY:
            continue
        fresh = make_cgroup(controller_here)
        case = CASES[name]  # a parameter without a case fails here
        try:
            if case.first is not None:
                Parameters.set(case.first[0], fresh, case.first[1])
            if problem := set_and_check(parameter, case, fresh):
                problems[name] = problem
        except Exception as error:  # noqa: BLE001 - all of them are shown
            problems[name] = repr(error)
        fresh.remove()  # what it has for itself another one cannot have
    assert not problems


def test_illegal_values_are_refused_and_nothing_is_written(controller_here: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(controller_here)
    problems = {}
    for parameter in here(Parameters.Writable, cgroup):
        name = str(parameter)
        if name in WRITE_ONLY or (cgroup.version == 2 and name in READ_ONLY_ON_V2):
            continue
        before = texts(parameter, cgroup)
        for value in CASES[name].illegal:
            try:
                Parameters.set(parameter, cgroup, value)
            except (InvalidValue, TypeError):
                pass
            except ParameterNotSupported as error:
                if name not in ("cpuset.memory_migrate", "memory.use_hierarchy") or cgroup.version == 1:
                    problems[name, repr(value)] = repr(error)
            except Exception as error:  # noqa: BLE001
                problems[name, repr(value)] = repr(error)
            else:
                problems[name, repr(value)] = f"was accepted, and {Parameters.get(parameter, cgroup)!r} is read"
            if texts(parameter, cgroup) != before:
                problems[name, repr(value)] = f"{before} has become {texts(parameter, cgroup)}"
                before = texts(parameter, cgroup)
    assert not problems


def test_unlimited_both_ways(controller_here: str, make_cgroup: MakeCgroup) -> None:
    """A limit that is set and then lifted reads MAX again, as in the beginning."""
    cgroup = make_cgroup(controller_here)
    problems = {}
    for parameter in here(Parameters.ReadWrite, cgroup):
        if Parameters.get(parameter, cgroup) is not MAX or str(parameter) == "memory.kmem_limit_in_bytes":
            continue
        fresh, case = make_cgroup(controller_here), CASES[str(parameter)]
        if case.first is not None:
            Parameters.set(case.first[0], fresh, case.first[1])
        unlimited = texts(parameter, fresh)
        Parameters.set(parameter, fresh, case.value)
        limited = texts(parameter, fresh)
        Parameters.set(parameter, fresh, MAX)
        if Parameters.get(parameter, fresh) is not MAX and case.first is None:
            problems[str(parameter)] = Parameters.get(parameter, fresh)
        # Some kernels write the limit of a fresh cgroup as a number, and max once that was set.
        if limited == unlimited or texts(parameter, fresh) not in (unlimited, ["max\n"]):
            problems[str(parameter)] = (unlimited, limited, texts(parameter, fresh))
    assert not problems


def test_each_resettable_parameter_is_reset(controller_here: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(controller_here)
    for parameter in here(Parameters.Resettable, cgroup):
        if not isinstance(parameter, Parameters.Readable):
            Parameters.reset(parameter, cgroup)
            continue
        before = Parameters.get(parameter, cgroup)
        try:
            Parameters.reset(parameter, cgroup)
        except ParameterNotSupported as error:
            # v2 has counters that never restart; a reset then raises.
            assert cgroup.version == 2, parameter
            assert error.hint, parameter
        else:
            assert Parameters.get(parameter, cgroup) <= before, parameter


def test_get_and_set_wrong_kind_is_a_type_error(controller_here: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(controller_here)
    for parameter in here(Parameters.Parameter, cgroup):
        calls = [
            (Parameters.Readable, lambda one: Parameters.get(one, cgroup)),
            (Parameters.Writable, lambda one: Parameters.set(one, cgroup, 1)),
            (Parameters.Resettable, lambda one: Parameters.reset(one, cgroup)),
        ]
        for kind, call in calls:
            if not isinstance(parameter, kind):
                before = texts(parameter, cgroup) if "procs" in str(parameter) else None
                with pytest.raises(TypeError, match=str(parameter).replace("[", r"\[")):
                    call(parameter)
                assert before is None or texts(parameter, cgroup) == before


# ---- one by one ------------------------------------------------------------------------------


def test_set_limit_is_rounded_to_pages(need: Callable[[str], None], make_cgroup: MakeCgroup) -> None:
    need("memory")
    cgroup = make_cgroup("memory")
    Parameters.set(Memory.limit_in_bytes, cgroup, 64 * MIB + 1)
    assert Parameters.get(Memory.limit_in_bytes, cgroup) == 64 * MIB // mmap.PAGESIZE * mmap.PAGESIZE


def test_set_period_and_quota_are_independent(need: Callable[[str], None], make_cgroup: MakeCgroup) -> None:
    need("cpu")
    cgroup = make_cgroup("cpu")
    Parameters.set(Cpu.cfs_period_us, cgroup, 50_000)
    Parameters.set(Cpu.cfs_quota_us, cgroup, 20_000)
    assert Parameters.get(Cpu.max, cgroup) == CpuMax(20_000, 50_000)
    Parameters.set(Cpu.max, cgroup, CpuMax(MAX))
    assert Parameters.get(Cpu.max, cgroup) == (MAX, 50_000)
    Parameters.set(Cpu.cfs_period_us, cgroup, 100_000)
    assert Parameters.get(Cpu.max, cgroup) == (MAX, 100_000)


def test_cpus_are_emptied_by_an_empty_list(need: Callable[[str], None], make_cgroup: MakeCgroup) -> None:
    need("cpuset")
    cgroup = make_cgroup("cpuset")
    everything = Parameters.get(Cpuset.effective_cpus, Hierarchy.find_exn("cpuset"))
    Parameters.set(Cpuset.cpus, cgroup, iter([*reversed(everything), *everything]))
    assert Parameters.get(Cpuset.cpus, cgroup) == everything
    Parameters.set(Cpuset.cpus, cgroup, [])
    assert Parameters.get(Cpuset.cpus, cgroup) == []


def test_device_rules(need: Callable[[str], None], make_cgroup: MakeCgroup) -> None:
    need("devices")
    cgroup = make_cgroup("devices")
    devices = Subsystem.Devices
    assert Parameters.get(devices.list, cgroup) == [DeviceRule("a", None, None, "rwm")]
    Parameters.set(devices.deny, cgroup, "a")
    assert Parameters.get(devices.list, cgroup) == []
    Parameters.set(devices.allow, cgroup, DeviceRule("c", 1, 3, "rw"))
    Parameters.set(devices.allow, cgroup, "b 8:* r")
    rules = [DeviceRule("c", 1, 3, "rw"), DeviceRule("b", 8, None, "r")]
    assert Parameters.get(devices.list, cgroup) == rules
    for bad in (
        "c 1:3",
        "c 1:3 rwx",
        "d 1:3 r",
        "c 1:3 r\nc 1:5 r",
        "",
        None,
        5,
        DeviceRule("c", -1, 3, "r"),
        "c 1:3 ",
    ):
        for parameter in (devices.allow, devices.deny):
            with pytest.raises((InvalidValue, TypeError)):
                Parameters.set(parameter, cgroup, bad)  # type: ignore[arg-type]
    assert Parameters.get(devices.list, cgroup) == rules


@pytest.mark.skipif(DISK is None, reason="no disk is here")
def test_set_replaces_and_is_undone_when_refused(need: Callable[[str], None], make_cgroup: MakeCgroup) -> None:
    need("blkio")
    cgroup = make_cgroup("blkio")
    parameter = Blkio.throttle_read_bps_device
    [path] = files(parameter, cgroup)
    Parameters.set(parameter, cgroup, {DISK: 5 * MIB})
    kept = path.read_text()
    assert str(5 * MIB) in kept
    # The absent device comes last: what was written before it is put back.
    with pytest.raises(InvalidValue, match=r"511:1048575.*no such device"):
        Parameters.set(parameter, cgroup, {DISK: 7 * MIB, ABSENT: MIB})
    assert path.read_text() == kept
    with pytest.raises(InvalidValue):
        Parameters.set(parameter, cgroup, {ABSENT: MIB})
    assert path.read_text() == kept  # and what was removed
    Parameters.set(parameter, cgroup, {DISK: MAX})
    assert dict(Parameters.get(parameter, cgroup)) == {}
    Parameters.set(parameter, cgroup, {DISK: MIB})
    Parameters.set(parameter, cgroup, {})
    assert dict(Parameters.get(parameter, cgroup)) == {}
    assert path.read_text() == ""


def test_reclaim_of_nothing_is_said(need: Callable[[str], None], make_cgroup: MakeCgroup) -> None:
    need("memory")
    cgroup = make_cgroup("memory")
    if cgroup.version == 1:
        for value in (4096, "junk"):
            with pytest.raises(ParameterNotSupported, match="version 1"):
                Parameters.set(Memory.reclaim, cgroup, value)  # type: ignore[arg-type]
        return
    for bad in (*NO_COUNTS, 0, MAX):
        with pytest.raises(InvalidValue):
            Parameters.set(Memory.reclaim, cgroup, bad)
    with pytest.raises(CgroupOSError) as caught:
        Parameters.set(Memory.reclaim, cgroup, 64 * MIB)
    assert caught.value.errno == errno.EAGAIN


def test_kill_takes_true_alone(make_cgroup: MakeCgroup) -> None:
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted here")
    cgroup = make_cgroup("")
    for bad in (*NO_FLAGS, False):
        with pytest.raises(InvalidValue):
            Parameters.set(Core.kill, cgroup, bad)


def test_release_agent_is_of_the_root(head: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(head)
    wanted = ExpectedRoot if cgroup.version == 1 else ParameterNotSupported
    with pytest.raises(wanted):
        Parameters.get(Parameters.release_agent, cgroup)
    with pytest.raises(wanted):
        Parameters.set(Parameters.release_agent, cgroup, "/bin/true")
    if cgroup.version == 1:
        assert isinstance(Parameters.get(Parameters.release_agent, cgroup.hierarchy.root()), str)


def test_get_missing_controller_raises(head: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(head)
    if "hugetlb" in cgroup.subsystems:
        with pytest.raises(ParameterNotSupported):
            Parameters.get(Hugetlb("3MB").usage_in_bytes, cgroup)
        return
    with pytest.raises((SubsystemNotAttached, SubsystemNotAvailable)) as caught:
        Parameters.get(Hugetlb("2MB").usage_in_bytes, cgroup)
    assert isinstance(caught.value, LookupError)
    assert "hugetlb" in str(caught.value)
    with pytest.raises((SubsystemNotAttached, SubsystemNotAvailable)):
        Parameters.set(Hugetlb("2MB").limit_in_bytes, cgroup, 1 << 21)
