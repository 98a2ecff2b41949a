"""The values that test_every_file.py writes to each control file, legal and illegal, and the excepted files.

This is a file and not a fixture for the unit tier.  That tier compares it with
the files of the kernels of all modes (seen.txt), and with the package's tables.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from common import DISK, MIB

from cgroups import MAX, AccessDenied, CgroupError, CpuMax, Device, DeviceTable, InvalidValue

HERE = Path(__file__).parent


class Row(NamedTuple):
    """One control file.

    ``legal``: a value, and what the file then says, which is all of its text
    or one line of it.  ``illegal``: a value, and the error; the file says what
    it said.  ``first``: what is set before, in a cgroup made for this row.
    """

    parameter: str
    legal: list[tuple[Any, str]]
    illegal: list[tuple[Any, type[CgroupError]]]
    first: list[tuple[str, Any]] = []


class Excepted(NamedTuple):
    """Why a file is not written with a value and read back, and the test of what it does instead."""

    reason: str
    test: str


ABSENT = Device(511, 1048575)


def _refused(*values: Any, error: type[CgroupError] = InvalidValue) -> list[tuple[Any, type[CgroupError]]]:
    return [(value, error) for value in values]


def _unlimited(unit: int) -> str:
    """Return the number by which v1 shows no limit: 2^63 - 1, rounded down."""
    return str(((1 << 63) - 1) // unit * unit)


def _bytes(parameter: str, unlimited: str = "max") -> Row:
    legal = [(64 * MIB, str(64 * MIB)), (MAX, unlimited), (0, "0")]
    return Row(parameter, legal, _refused(-1, 1 << 64, "64M"))


def _flag(parameter: str, *values: bool) -> Row:
    return Row(parameter, [(value, str(int(value))) for value in values or (True, False)], _refused(2, "1", None))


def _rate(name: str, limit: int) -> Row:
    legal = [({DISK: MIB}, f"{DISK} {MIB}"), ({}, "")] if DISK else []
    bad = [{DISK or ABSENT: limit}, {DISK or ABSENT: -1}, {ABSENT: MIB}]
    return Row(f"blkio.throttle_{name}", legal, _refused(*bad))


V1: dict[str, Row] = {
    "memory.limit_in_bytes": _bytes("memory.limit_in_bytes", _unlimited(mmap.PAGESIZE)),
    "memory.memsw.limit_in_bytes": Row(
        "memory.memsw_limit_in_bytes",
        [(96 * MIB, str(96 * MIB)), (MAX, _unlimited(mmap.PAGESIZE))],
        _refused(32 * MIB, -1),  # less than the limit on memory is what the kernel refuses
        [("memory.limit_in_bytes", 64 * MIB)],
    ),
    "memory.soft_limit_in_bytes": _bytes("memory.soft_limit_in_bytes", _unlimited(mmap.PAGESIZE)),
    "memory.kmem.tcp.limit_in_bytes": _bytes("memory.kmem_tcp_limit_in_bytes", _unlimited(mmap.PAGESIZE)),
    "memory.swappiness": Row("memory.swappiness", [(30, "30"), (0, "0"), (100, "100")], _refused(201, -1, MAX)),
    "memory.oom_control": Row(
        "memory.oom_control", [(True, "oom_kill_disable 1"), (False, "oom_kill_disable 0")], _refused(2, None)
    ),
    "cpu.shares": Row("cpu.shares", [(512, "512"), (2, "2"), (262144, "262144")], _refused(1, 262145, MAX)),
    "cpu.cfs_quota_us": Row(
        "cpu.cfs_quota_us", [(50_000, "50000"), (MAX, "-1"), (1000, "1000")], _refused(999, 0, -1, 1 << 62)
    ),
    "cpu.cfs_period_us": Row(
        "cpu.cfs_period_us", [(200_000, "200000"), (1000, "1000"), (1_000_000, "1000000")], _refused(999, 1_000_001)
    ),
    "cpu.cfs_burst_us": Row(
        "cpu.cfs_burst_us", [(1000, "1000"), (0, "0")], _refused(-1, 1 << 62, 60_000), [("cpu.cfs_quota_us", 50_000)]
    ),
    "cpu.rt_period_us": Row("cpu.rt_period_us", [(500_000, "500000")], _refused(0, MAX)),
    "cpu.rt_runtime_us": Row("cpu.rt_runtime_us", [(1000, "1000"), (0, "0")], _refused(-2, 2_000_000)),
    "cpuset.cpus": Row("cpuset.cpus", [([0], "0"), ([], "")], _refused([4000], [-1], "0")),
    "cpuset.mems": Row("cpuset.mems", [([0], "0"), ([], "")], _refused([1000], [-1], "0")),
    **{
        f"cpuset.{name}": _flag(f"cpuset.{name}")
        for name in (
            *("memory_migrate", "cpu_exclusive", "mem_exclusive", "mem_hardwall", "memory_spread_page"),
            *("memory_spread_slab", "memory_pressure_enabled"),
        )
    },
    "cpuset.sched_load_balance": _flag("cpuset.sched_load_balance", False, True),
    "cpuset.sched_relax_domain_level": Row(
        "cpuset.sched_relax_domain_level", [(0, "0"), (-1, "-1")], _refused(-2, 10, 11)
    ),
    "blkio.throttle.read_bps_device": _rate("read_bps_device", 1 << 64),
    "blkio.throttle.write_bps_device": _rate("write_bps_device", 1 << 64),
    "blkio.throttle.read_iops_device": _rate("read_iops_device", 1 << 32),
    "blkio.throttle.write_iops_device": _rate("write_iops_device", 1 << 32),
    "blkio.weight": Row("blkio.weight", [(200, "200")], _refused(9, 1001, MAX)),
    "blkio.bfq.weight": Row("blkio.weight", [(200, "200"), (1, "1"), (1000, "1000")], _refused(0, 1001, MAX)),
    "pids.max": Row("pids.max", [(100, "100"), (0, "0"), (MAX, "max")], _refused(-1, (1 << 22) + 1)),
    "freezer.state": Row("freezer.state", [("FROZEN", "FROZEN"), ("THAWED", "THAWED")], _refused("FREEZING", True)),
    "net_cls.classid": Row("net_cls.classid", [(0x10001, "65537"), (0, "0")], _refused(1 << 32, -1)),
    "net_prio.ifpriomap": Row(
        "net_prio.ifpriomap", [({"lo": 5}, "lo 5"), ({}, "lo 0")], _refused({"nonesuch9": 1}, {"lo": 1 << 32}, {"": 1})
    ),
    "notify_on_release": _flag("notify_on_release"),
    "release_agent": Row(
        "release_agent", [("/bin/true", "/bin/true"), ("", "")], _refused("/bin/true\n/bin/false", "a" * 4096)
    ),
    "cgroup.clone_children": _flag("cgroup.clone_children"),
    "cpu.idle": _flag("cpu.idle"),
}

V2: dict[str, Row] = {
    **{
        f"memory.{name}": _bytes(f"memory.{name.replace('.', '_')}")
        for name in ("max", "min", "low", "high", "swap.high", "swap.max", "zswap.max")
    },
    "memory.oom.group": _flag("memory.oom_group"),
    "memory.zswap.writeback": _flag("memory.zswap_writeback", False, True),
    "cpu.weight": Row("cpu.weight", [(500, "500"), (1, "1"), (10000, "10000")], _refused(0, 10001, MAX)),
    "cpu.weight.nice": Row("cpu.weight_nice", [(5, "5"), (-20, "-20"), (19, "19")], _refused(-21, 20, MAX)),
    "cpu.max": Row(
        "cpu.max",
        [(CpuMax(50_000, 200_000), "50000 200000"), (CpuMax(20_000), "20000 200000"), (CpuMax(MAX), "max 200000")],
        # The last is 2^64 ns and 50 ms: the kernel multiplies without looking, and would take it for the 50 ms.
        _refused(CpuMax(999), CpuMax(50_000, 999), CpuMax(MAX, 1_000_001), CpuMax((1 << 64) // 1000 + 50_001)),
    ),
    "cpu.max.burst": Row(
        "cpu.max_burst", [(1000, "1000"), (0, "0")], _refused(-1, 1 << 62, 60_000), [("cpu.max", CpuMax(50_000))]
    ),
    "cpu.idle": _flag("cpu.idle"),
    "cpuset.cpus": Row("cpuset.cpus", [([0], "0"), ([], "")], _refused([4000], [-1], "0")),
    "cpuset.mems": Row("cpuset.mems", [([0], "0"), ([], "")], _refused([1000], [-1], "0")),
    "cpuset.cpus.exclusive": Row("cpuset.cpus_exclusive", [([0], "0"), ([], "")], _refused([4000], [-1])),
    "io.max": Row(
        "io.max",
        [({DISK: {"rbps": MIB, "wiops": 9}}, f"{DISK} rbps={MIB} wbps=max riops=max wiops=9"), ({}, "")]
        if DISK
        else [],
        _refused({ABSENT: {"rbps": MIB}}, {DISK or ABSENT: {"rbps": -1}}, {DISK or ABSENT: {"nonesuch": 1}}),
    ),
    "io.weight": Row(
        "io.weight",
        [(DeviceTable({}, default=200), "default 200"), (DeviceTable({}, default=10000), "default 10000")],
        _refused(DeviceTable({}, default=10001), DeviceTable({}, default=0), {ABSENT: 100}),
    ),
    "io.bfq.weight": Row(
        "io.bfq_weight",
        [(DeviceTable({}, default=200), "default 200")],
        _refused(DeviceTable({}, default=1001), DeviceTable({}, default=0), {ABSENT: 100}),
    ),
    "pids.max": V1["pids.max"],
    "cgroup.type": Row("cgroup.type", [("threaded", "threaded")], _refused("domain", "junk", True)),
    "cgroup.max.depth": Row("cgroup.max_depth", [(5, "5"), (0, "0"), (MAX, "max")], _refused(-1, 1 << 31)),
    "cgroup.max.descendants": Row("cgroup.max_descendants", [(5, "5"), (0, "0"), (MAX, "max")], _refused(-1, 1 << 31)),
    "cgroup.freeze": _flag("cgroup.freeze"),
    "cgroup.pressure": _flag("cgroup.pressure", False, True),
}


def page_of(size: str) -> int:
    """The bytes of ``2MB``."""
    return int(size[:-2]) << {"KB": 10, "MB": 20, "GB": 30}[size[-2:]]


def _huge(size: str, name: str, unlimited: str) -> Row:
    page = page_of(size)
    legal = [(2 * page, str(2 * page)), (0, "0"), (MAX, unlimited)]
    return Row(f"hugetlb.{size}.{name}", legal, _refused(-1, 1 << 64))


def row_of(version: int, file: str) -> Row | None:
    """Return the texts to write to a file, if any."""
    if match := re.fullmatch(r"hugetlb\.(\w+)\.(rsvd\.)?(limit_in_bytes|max)", file):
        size, reserved, name = match[1], match[2] or "", match[3]
        if (name == "max") == (version == 2):
            unlimited = "max" if version == 2 else _unlimited(page_of(size))
            return _huge(size, reserved.replace(".", "_") + name, unlimited)
    return (V1 if version == 1 else V2).get(file)


# ---- what is not written and read back -------------------------------------------------

_LIST = Excepted("a list, where a write moves a process", "test_processes.py::test_add_process_on_every_hierarchy")
_THREADS = Excepted("a list, where a write moves a thread", "test_processes.py::test_add_thread")
_COUNTER = Excepted("a counter, that any write restarts", "test_excepted_files.py::test_counters_start_again")
_TRIGGER = Excepted(
    "a write asks for notifications of the open file",
    "test_excepted_files.py::test_pressure_file_takes_only_triggers",
)
_PEAK = Excepted(
    "from 6.12 a write restarts it for only one open file, before it is refused",
    "test_excepted_files.py::test_peak_v2_does_not_restart",
)
_NONE_HERE = Excepted(
    "no machine of the tests has such a resource", "test_excepted_files.py::test_limits_of_resources_that_are_not_here"
)

EXCEPTED: dict[int, dict[str, Excepted]] = {
    1: {
        "cgroup.procs": _LIST,
        "tasks": _THREADS,
        "cgroup.event_control": Excepted(
            "write-only, and no value", "test_excepted_files.py::test_event_control_is_no_value"
        ),
        "memory.force_empty": Excepted("write-only", "test_excepted_files.py::test_reclaiming"),
        "memory.kmem.limit_in_bytes": Excepted(
            "ignored since 5.16", "test_excepted_files.py::test_kmem_limit_is_ignored"
        ),
        "memory.use_hierarchy": Excepted(
            "False is refused since 5.11", "test_excepted_files.py::test_use_hierarchy_cannot_be_switched_off"
        ),
        "memory.move_charge_at_immigrate": Excepted(
            "all but 0 is refused since 6.13", "test_excepted_files.py::test_moving_charges_is_kept_or_refused"
        ),
        "memory.shown_ram_in_bytes": Excepted(
            "one vendor's", "test_excepted_files.py::test_vendor_file_is_read_by_name"
        ),
        **{
            f"memory.{kind}{name}": _COUNTER
            for kind in ("", "memsw.", "kmem.", "kmem.tcp.")
            for name in ("failcnt", "max_usage_in_bytes")
        },
        **{
            f"hugetlb.SIZE.{kind}{name}": _COUNTER
            for kind in ("", "rsvd.")
            for name in ("failcnt", "max_usage_in_bytes")
        },
        "cpuacct.usage": _COUNTER,
        "devices.allow": Excepted("write-only", "test_writing.py::test_device_rules"),
        "devices.deny": Excepted("write-only", "test_writing.py::test_device_rules"),
        "blkio.reset_stats": Excepted(
            "write-only", "test_excepted_files.py::test_reset_stats_leaves_the_throttles_counters"
        ),
        "blkio.bfq.weight_device": Excepted(
            "refused where the disk has another scheduler", "test_excepted_files.py::test_weight_on_one_disk"
        ),
        "misc.max": _NONE_HERE,
        "rdma.max": _NONE_HERE,
    },
    2: {
        "cgroup.procs": _LIST,
        "cgroup.threads": _THREADS,
        "cgroup.kill": Excepted("write-only", "test_v2.py::test_kill_ends_all_below"),
        "cgroup.subtree_control": Excepted(
            "what can be enabled depends on the parent", "test_v2.py::test_subtree_control_replaces_and_is_undone"
        ),
        "cpuset.cpus.partition": Excepted(
            "takes CPUs from every other cgroup", "test_excepted_files.py::test_partition_is_made_or_refused"
        ),
        "memory.reclaim": Excepted("write-only", "test_excepted_files.py::test_reclaiming"),
        "memory.peak": _PEAK,
        "memory.swap.peak": _PEAK,
        **{f"{name}.pressure": _TRIGGER for name in ("memory", "cpu", "io", "irq")},
        "io.cost.qos": Excepted("of a disk, for good", "test_excepted_files.py::test_cost_controller_of_a_disk"),
        "io.cost.model": Excepted("of a disk, for good", "test_excepted_files.py::test_cost_controller_of_a_disk"),
        "misc.max": _NONE_HERE,
        "rdma.max": _NONE_HERE,
    },
}


def excepted(version: int, file: str) -> Excepted | None:
    """Why a file is not written with a value and read back, if it is not."""
    return EXCEPTED[version].get(re.sub(r"^hugetlb\.\w+\.", "hugetlb.SIZE.", file))


# ---- roots ------------------------------------------------------------------------------------

REFUSED_AT_ROOT: dict[int, dict[str, type[CgroupError]]] = {
    1: {
        "memory.limit_in_bytes": InvalidValue,
        "memory.memsw.limit_in_bytes": InvalidValue,
        "memory.kmem.tcp.limit_in_bytes": InvalidValue,
        "memory.oom_control": InvalidValue,
        "memory.force_empty": InvalidValue,
        "cpu.shares": InvalidValue,
        "cpu.idle": InvalidValue,
        "cpu.cfs_quota_us": InvalidValue,
        "cpu.cfs_period_us": InvalidValue,
        "cpu.cfs_burst_us": InvalidValue,
        "cpuset.cpus": AccessDenied,
        "cpuset.mems": AccessDenied,
        "hugetlb.SIZE.limit_in_bytes": InvalidValue,
        "hugetlb.SIZE.rsvd.limit_in_bytes": InvalidValue,
    },
    2: {},
}
"""Files that the kernel refuses in a root cgroup, whatever the value."""


def refused_at_root(version: int, file: str) -> type[CgroupError] | None:
    return REFUSED_AT_ROOT[version].get(re.sub(r"^hugetlb\.\w+\.", "hugetlb.SIZE.", file))


# ---- the kernel's own answer to an invalid word -------------------------------------------------

TAKES_ANY_TEXT = re.compile(
    r"memory\.(force_empty|(swap\.)?peak)|(memory|hugetlb)\..*(failcnt|max_usage_in_bytes)|release_agent"
)


# ---- what there is -----------------------------------------------------------------------------


def seen() -> dict[tuple[int, str], set[str]]:
    """Each writable control file that was seen, by version and name, and the modes of the tests that have it."""
    found: dict[tuple[int, str], set[str]] = {}
    for line in (HERE / "seen.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            version, file, *modes = line.split()
            found[int(version), file] = set(modes)
    return found


NOT_SEEN: dict[tuple[int, str], str] = {
    (1, "blkio.weight"): "gone from Linux 5.0",
    (2, "io.bfq.weight"): "the BFQ scheduler is a module, which no guest loads",
    (2, "irq.pressure"): "Debian's kernels do not account the time of interrupts",
}
"""Lines of the tables for other hosts than those of the tests."""


def is_known(version: int, file: str) -> bool:
    """Return whether a file was seen, with any page size, or is expected on another host."""
    line = version, re.sub(r"^hugetlb\.\w+\.", "hugetlb.2MB.", file)
    return line in seen() or line in NOT_SEEN


def all_lines(sizes: Iterable[str] = ("2MB", "1GB")) -> set[tuple[int, str]]:
    """Every file that the tables above name."""
    lines = {(1, file) for file in V1} | {(2, file) for file in V2}
    for version, names in ((1, ("limit_in_bytes", "rsvd.limit_in_bytes")), (2, ("max", "rsvd.max"))):
        lines |= {(version, f"hugetlb.{size}.{name}") for size in sizes for name in names}
    for table in (EXCEPTED, REFUSED_AT_ROOT):
        for version, files in table.items():
            lines |= {(version, file.replace("SIZE", size)) for file in files for size in sizes}
    return lines
