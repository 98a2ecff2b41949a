"""The same program means the same on both versions: what is set, in which file and unit, what is read, what holds.

The hosts of the tests have each controller on v1 or on v2; a program here
never asks which.  The tables say what the files have to be on each.  That
limits are enforced, by the same programs on both, is in test_enforcement.py;
what is read, and what one version lacks, in test_translated_readings.py.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from common import DISK, MIB, MakeCgroup, Need

from cgroups import (
    MAX,
    Blkio,
    Cgroup,
    Cpu,
    CpuMax,
    Cpuset,
    Freezer,
    Hugetlb,
    InvalidValue,
    Memory,
    ParameterNotSupported,
    Parameters,
    Pids,
    Subsystem,
)

PAGES_2MB, PAGES_1GB = Hugetlb("2MB"), Hugetlb("1GB")
LIMIT_64M, QUOTA_50MS = (Memory.limit_in_bytes, 64 * MIB), (Cpu.cfs_quota_us, 50_000)


def unlimited(unit: int = mmap.PAGESIZE) -> str:
    """Return the number by which v1 shows no limit."""
    return str(((1 << 63) - 1) // unit * unit)


def file_of(cgroup: Cgroup, name: str) -> Path:
    return Path(str(cgroup.path)) / name


# ---- what is set ------------------------------------------------------------------------------------


class Program(NamedTuple):
    """A value to set, the texts of the files on v1 and v2, and the value read if it differs."""

    parameter: Any
    value: Any
    v1: dict[str, str]
    v2: dict[str, str]
    first: tuple[tuple[Any, Any], ...] = ()
    back: dict[int, Any] = {}  # noqa: RUF012 - never written to


def both(name: str, text: str) -> tuple[dict[str, str], dict[str, str]]:
    return {name: text}, {name: text}


def rate(name: str, key: str) -> list[Program]:
    parameter, file = getattr(Blkio, f"throttle_{name}_device"), f"blkio.throttle.{name}_device"
    row = " ".join(f"{one}={100 if one == key else 'max'}" for one in ("rbps", "wbps", "riops", "wiops"))
    limited = Program(parameter, {DISK: 100}, {file: f"{DISK} 100"}, {"io.max": f"{DISK} {row}"})
    nothing = {file: ""}, {"io.max": ""}
    lifted = [Program(parameter, value, *nothing, ((parameter, {DISK: 9}),)) for value in ({}, {DISK: MAX}, {DISK: 0})]
    return [limited, *(one._replace(back={1: {}, 2: {}}) for one in lifted)] if DISK else []


def huge(pages: Hugetlb, unit: int) -> list[Program]:
    at = f"hugetlb.{pages.size}"
    names = {"limit_in_bytes": "max", "max": "max", "rsvd_limit_in_bytes": "rsvd.max", "rsvd_max": "rsvd.max"}
    programs = []
    for name, v2 in names.items():
        parameter, v1 = getattr(pages, name), f"{at}.{v2.replace('max', 'limit_in_bytes')}"
        text = str(3 * unit)
        programs.append(Program(parameter, 3 * unit, {v1: text}, {f"{at}.{v2}": text}))
        lifted = {v1: unlimited(unit)}, {f"{at}.{v2}": "max"}
        programs.append(Program(parameter, MAX, *lifted, ((parameter, unit),)))
    return programs


PROGRAMS = [
    *(
        Program(parameter, value, {"memory.limit_in_bytes": v1}, {"memory.max": v2}, (LIMIT_64M,), back)
        for parameter in (Memory.limit_in_bytes, Memory.max)
        for value, v1, v2, back in (
            (96 * MIB, str(96 * MIB), str(96 * MIB), {}),
            (96 * MIB + 1, str(96 * MIB), str(96 * MIB), {1: 96 * MIB, 2: 96 * MIB}),  # whole pages
            (MAX, unlimited(), "max", {}),
            (0, "0", "0", {}),
        )
    ),
    *(
        Program(Memory.memsw_limit_in_bytes, value, {"memory.memsw.limit_in_bytes": v1}, v2, (LIMIT_64M,))
        for value, v1, v2 in (
            (96 * MIB, str(96 * MIB), {"memory.max": str(64 * MIB), "memory.swap.max": str(32 * MIB)}),
            (64 * MIB, str(64 * MIB), {"memory.max": str(64 * MIB), "memory.swap.max": "0"}),
            (MAX, unlimited(), {"memory.max": str(64 * MIB), "memory.swap.max": "max"}),
        )
    ),
    Program(Memory.soft_limit_in_bytes, MIB, {"memory.soft_limit_in_bytes": str(MIB)}, {"memory.low": str(MIB)}),
    Program(
        Memory.soft_limit_in_bytes,
        MAX,
        {"memory.soft_limit_in_bytes": unlimited()},
        {"memory.low": "0"},
        ((Memory.soft_limit_in_bytes, MIB),),
    ),
    Program(Memory.use_hierarchy, True, {"memory.use_hierarchy": "1"}, {}),
    *(
        Program(Cpu.shares, shares, {"cpu.shares": str(shares)}, {"cpu.weight": weight}, back=back)
        for shares, weight, back in (
            (2, "1", {}),
            (1024, "100", {}),
            (262144, "10000", {}),
            (512, "59", {2: 521}),  # the largest that has this weight
        )
    ),
    Program(Cpu.cfs_quota_us, 50_000, {"cpu.cfs_quota_us": "50000"}, {"cpu.max": "50000 100000"}),
    Program(Cpu.cfs_quota_us, MAX, {"cpu.cfs_quota_us": "-1"}, {"cpu.max": "max 100000"}, (QUOTA_50MS,)),
    Program(Cpu.cfs_period_us, 200_000, {"cpu.cfs_period_us": "200000"}, {"cpu.max": "max 200000"}),
    Program(
        Cpu.cfs_period_us,
        200_000,
        {"cpu.cfs_period_us": "200000", "cpu.cfs_quota_us": "50000"},
        {"cpu.max": "50000 200000"},
        (QUOTA_50MS,),
    ),
    Program(
        Cpu.max,
        CpuMax(50_000, 200_000),
        {"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "200000"},
        {"cpu.max": "50000 200000"},
    ),
    Program(
        Cpu.max,
        CpuMax(MAX),
        {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "200000"},
        {"cpu.max": "max 200000"},
        ((Cpu.max, CpuMax(50_000, 200_000)),),
        {1: CpuMax(MAX, 200_000), 2: CpuMax(MAX, 200_000)},
    ),
    *(
        Program(parameter, 1000, {"cpu.cfs_burst_us": "1000"}, {"cpu.max.burst": "1000"}, (QUOTA_50MS,))
        for parameter in (Cpu.cfs_burst_us, Cpu.max_burst)
    ),
    Program(Cpu.idle, True, *both("cpu.idle", "1")),
    Program(Cpuset.cpus, [0], *both("cpuset.cpus", "0")),
    Program(Cpuset.cpus, [], *both("cpuset.cpus", ""), ((Cpuset.cpus, [0]),)),
    Program(Cpuset.mems, [0], *both("cpuset.mems", "0")),
    Program(Cpuset.mems, [], *both("cpuset.mems", ""), ((Cpuset.mems, [0]),)),
    Program(Cpuset.memory_migrate, True, {"cpuset.memory_migrate": "1"}, {}),
    *rate("read_bps", "rbps"),
    *rate("write_bps", "wbps"),
    *rate("read_iops", "riops"),
    *rate("write_iops", "wiops"),
    Program(Pids.max, 100, *both("pids.max", "100")),
    Program(Pids.max, MAX, *both("pids.max", "max"), ((Pids.max, 100),)),
    Program(Freezer.state, "FROZEN", {"freezer.state": "FROZEN"}, {"cgroup.freeze": "1"}),
    Program(
        Freezer.state,
        "THAWED",
        {"freezer.state": "THAWED"},
        {"cgroup.freeze": "0"},
        ((Freezer.state, "FROZEN"),),
    ),
    *huge(PAGES_2MB, 2 << 20),
    *huge(PAGES_1GB, 1 << 30),
]

# One of them each: with the programs above, all that can be set on both versions.
ELSEWHERE = {
    "blkio.weight": "test_weight_is_scaled",
    "blkio.weight_device": "of one disk, where its scheduler or the cost controller takes it: test_excepted_files.py",
    "cpu.uclamp_min": "no kernel of the tests has it; the same file on both",
    "cpu.uclamp_max": "no kernel of the tests has it; the same file on both",
    "io.prio_class": "no kernel of the tests has it; the same words on both",
    "misc.max": "no machine of the tests has such a resource; the same file on both: test_excepted_files.py",
    "rdma.max": "no machine of the tests has such a resource; the same file on both: test_excepted_files.py",
    "memory.oom_control": "test_set_v2_read_only_translation_raises",
    "cpuset.cpu_exclusive": "test_set_v2_read_only_translation_raises",
}


def test_programs_have_every_parameter_of_both_versions() -> None:
    on_both = {str(one) for one in Subsystem.parameters() if isinstance(one, Parameters.Writable) and is_on_both(one)}
    programs = {str(program.parameter) for program in PROGRAMS}
    of_other_page_sizes = {name for name in on_both if name.startswith("hugetlb.") and name.split(".")[1] != "2MB"}
    throttles = {name for name in on_both if "throttle" in name} if DISK is None else set()
    assert on_both - programs - set(ELSEWHERE) - of_other_page_sizes - throttles == set()
    assert programs & set(ELSEWHERE) == set()


def is_on_both(parameter: Any) -> bool:
    try:
        return bool(parameter.binding(1) and parameter.binding(2))
    except ParameterNotSupported:
        return False


def run(program: Program, cgroup: Cgroup) -> list[object]:
    for parameter, value in program.first:
        Parameters.set(parameter, cgroup, value)
    Parameters.set(program.parameter, cgroup, program.value)
    files = program.v1 if cgroup.version == 1 else program.v2
    texts = {name: file_of(cgroup, name).read_text().removesuffix("\n") for name in files}
    got, wanted = Parameters.get(program.parameter, cgroup), program.back.get(cgroup.version, program.value)
    right = texts == files and got == wanted and (got is MAX) == (wanted is MAX)
    return [] if right else [texts, got, wanted]


@pytest.mark.parametrize("controller", list(dict.fromkeys(program.parameter.controller for program in PROGRAMS)))
def test_program_sets_the_same_on_both_versions(controller: str, need: Need, make_cgroup: MakeCgroup) -> None:
    need(controller)
    problems = []
    for program in PROGRAMS:
        if program.parameter.controller != controller:
            continue
        cgroup = make_cgroup(controller)
        size = getattr(program.parameter, "name", "").partition(".")[0]
        if controller == "hugetlb" and not file_of(cgroup, f"hugetlb.{size}.numa_stat").exists():
            continue  # this machine has no pages of this size
        if found := run(program, cgroup):
            problems.append((str(program.parameter), program.value, found))
    assert not problems


def test_throttles_are_independent(need: Need, make_cgroup: MakeCgroup) -> None:
    """On v2 they are keys of one file."""
    need("blkio")
    if DISK is None:
        pytest.skip("no disk is here")
    cgroup = make_cgroup("blkio")
    names = ("read_bps", "write_bps", "read_iops", "write_iops")
    throttles: list[Any] = [getattr(Blkio, f"throttle_{name}_device") for name in names]
    for number, throttle in enumerate(throttles, 1):
        Parameters.set(throttle, cgroup, {DISK: number * 100})
    assert [Parameters.get(throttle, cgroup)[DISK] for throttle in throttles] == [100, 200, 300, 400]
    Parameters.set(throttles[1], cgroup, {})
    assert [dict(Parameters.get(throttle, cgroup)) for throttle in throttles] == [
        *({DISK: 100}, {}, {DISK: 300}, {DISK: 400})
    ]


def test_weight_is_scaled(need: Need, make_cgroup: MakeCgroup) -> None:
    need("blkio")
    cgroup = make_cgroup("blkio")
    lines = {"blkio.weight": "{}", "blkio.bfq.weight": "{}", "io.bfq.weight": "default {}", "io.weight": "default {}"}
    files = [name for name in lines if file_of(cgroup, name).exists()]
    if not files:
        with pytest.raises(ParameterNotSupported) as caught:
            Parameters.set(Blkio.weight, cgroup, 200)
        assert caught.value.hint
        return
    file = files[0]
    for value, scaled in ((10, 1), (100, 910), (200, 1920), (500, 4950), (1000, 10000)):
        Parameters.set(Blkio.weight, cgroup, value)
        text = lines[file].format(scaled if file == "io.weight" else value)
        assert file_of(cgroup, file).read_text() == f"{text}\n"
        assert Parameters.get(Blkio.weight, cgroup) == value
    before = file_of(cgroup, file).read_text()
    for value in (0, 1001, MAX):
        with pytest.raises(InvalidValue):
            Parameters.set(Blkio.weight, cgroup, value)  # type: ignore[arg-type]
    assert file_of(cgroup, file).read_text() == before


REFUSED = [
    ((LIMIT_64M,), Memory.memsw_limit_in_bytes, 32 * MIB),
    ((), Memory.memsw_limit_in_bytes, 32 * MIB),  # the limit on memory is MAX
    ((), Memory.limit_in_bytes, -1),
    ((), Cpu.shares, 1),
    ((), Cpu.cfs_quota_us, 999),
    ((), Cpu.cfs_quota_us, (1 << 64) // 1000 + 50_001),  # 2^64 ns and 50 ms
    ((), Cpu.cfs_period_us, 1_000_001),
    ((QUOTA_50MS,), Cpu.cfs_burst_us, 60_000),
    ((), Cpuset.cpus, [4000]),
    ((), Cpuset.mems, [1000]),
    ((), Pids.max, (1 << 22) + 1),
    ((), Freezer.state, "FREEZING"),
    ((), Blkio.throttle_read_iops_device, {(8, 0): 1 << 32}),
    ((), Blkio.throttle_read_bps_device, {(511, 1048575): 1}),
]


@pytest.mark.parametrize(
    ("first", "parameter", "value"), REFUSED, ids=lambda value: str(value) if hasattr(value, "files") else ""
)
def test_program_is_refused_on_both_versions(
    first: Any, parameter: Any, value: Any, need: Need, make_cgroup: MakeCgroup
) -> None:
    """The error is the same whether the package or the kernel refuses, and nothing has changed."""
    need(parameter.controller)
    cgroup = make_cgroup(parameter.controller)
    for one, given in first:
        Parameters.set(one, cgroup, given)
    before = Parameters.get(parameter, cgroup)
    with pytest.raises(InvalidValue, match=str(parameter)):
        Parameters.set(parameter, cgroup, value)
    assert Parameters.get(parameter, cgroup) == before
