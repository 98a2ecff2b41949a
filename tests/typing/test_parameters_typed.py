"""Every parameter in right and in wrong uses, generated, and what mypy --strict and pyright say to each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cgroups import Subsystem
from cgroups.parameters.kinds import Readable, Resettable, Writable

Faults = "dict[str, dict[int, str]]"


class Kind(NamedTuple):
    """The type that a parameter reads as, and values that it accepts and refuses; as Python text."""

    reads: str | None
    takes: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()
    resets: bool = False


DEVICE = "Device(8, 0)"
NO_INT = ('"5"', "5.0", "None", "[5]", "MAX")
NO_LIMIT = ('"max"', "5.0", "None", "[5]")
NO_BOOL = ('"1"', "1", "None", "MAX")
NO_TABLE = ("5", "None", f"[{DEVICE}]", '{"8:0": 5}')

# Written by hand from the documented types, so that a table that loses a type is noticed.
KINDS: dict[str, tuple[Kind, str]] = {
    "counts": (
        Kind("int"),
        "memory: usage_in_bytes memsw_usage_in_bytes kmem_usage_in_bytes kmem_tcp_usage_in_bytes current peak"
        " swap_current swap_peak zswap_current; cpuacct: usage_user usage_sys; cpuset: memory_pressure;"
        " pids: current peak; net_prio: prioidx; hugetlb: usage_in_bytes current rsvd_usage_in_bytes rsvd_current",
    ),
    "counters": (
        Kind("int", resets=True),
        "memory: max_usage_in_bytes memsw_max_usage_in_bytes failcnt memsw_failcnt kmem_max_usage_in_bytes kmem_failcnt"
        " kmem_tcp_max_usage_in_bytes kmem_tcp_failcnt; cpuacct: usage;"
        " hugetlb: max_usage_in_bytes failcnt rsvd_max_usage_in_bytes rsvd_failcnt",
    ),
    "limits": (
        Kind("int | Max", ("5", "MAX", "1 << 40"), NO_LIMIT),
        "memory: limit_in_bytes memsw_limit_in_bytes soft_limit_in_bytes kmem_limit_in_bytes kmem_tcp_limit_in_bytes"
        " max min low high swap_high swap_max zswap_max; cpu: cfs_quota_us; pids: max;"
        " cgroup: max_depth max_descendants;"
        " hugetlb: limit_in_bytes max rsvd_limit_in_bytes rsvd_max",
    ),
    "numbers": (
        Kind("int", ("5", "-1"), NO_INT),
        "memory: swappiness move_charge_at_immigrate; cpu: shares cfs_period_us cfs_burst_us rt_period_us rt_runtime_us"
        " weight weight_nice max_burst; cpuset: sched_relax_domain_level; blkio: weight; net_cls: classid",
    ),
    "flags": (
        Kind("bool", ("True", "False"), NO_BOOL),
        "memory: use_hierarchy oom_group zswap_writeback; cpu: idle; cpuset: memory_migrate cpu_exclusive mem_exclusive"
        " mem_hardwall memory_spread_page memory_spread_slab sched_load_balance memory_pressure_enabled;"
        " cgroup: freeze pressure clone_children; : notify_on_release",
    ),
    "facts": (Kind("bool"), "freezer: self_freezing parent_freezing; cgroup: sane_behavior"),
    "resets": (Kind(None, resets=True), "memory: force_empty; blkio: reset_stats"),
    "nothing": (Kind(None), "memory: pressure_level; cgroup: event_control"),
    "amounts": (Kind(None, ("5",), NO_INT), "memory: reclaim"),
    "orders": (Kind(None, ("True",), NO_BOOL), "cgroup: kill"),
    "rules": (
        Kind(None, ('"c 1:3 rwm"', 'DeviceRule("c", 1, None, "r")'), ("5", "None", '("c", 1, 3, "r")', "[]")),
        "devices: allow deny",
    ),
    "rule lists": (Kind("list[DeviceRule]"), "devices: list"),
    "oom": (Kind("OomControl", ("True",), ("OomControl(True, True, 0)", '"1"', "None")), "memory: oom_control"),
    "percents": (Kind("float | Max", ("12.5", "5", "MAX"), ('"5"', "None", "[5.0]")), "cpu: uclamp_min uclamp_max"),
    "quotas": (Kind("CpuMax", ("CpuMax(MAX)", "CpuMax(5000, 10000)"), ("5000", '"max"', "None")), "cpu: max"),
    "memory stats": (Kind("MemoryStat"), "memory: stat"),
    "memory events": (Kind("MemoryEvents"), "memory: events events_local swap_events"),
    "cpu stats": (Kind("CpuStat"), "cpu: stat stat_local"),
    "cpuacct stats": (Kind("CpuacctStat"), "cpuacct: stat"),
    "core events": (Kind("CgroupEvents"), "cgroup: events"),
    "core stats": (Kind("CgroupStat"), "cgroup: stat stat_local"),
    "pids events": (Kind("PidsEvents"), "pids: events events_local"),
    "huge events": (Kind("HugetlbEvents"), "hugetlb: events events_local"),
    "numa": (Kind("NumaStat"), "memory: numa_stat; hugetlb: numa_stat"),
    "pressures": (Kind("Pressure"), "memory: pressure; cpu: pressure; io: pressure; cgroup: irq_pressure"),
    "texts": (Kind("str"), "memory: kmem_slabinfo"),
    "agents": (Kind("str", ('"/sbin/agent"', '""'), ("5", "None", 'b"/sbin/agent"')), ": release_agent"),
    "partitions": (Kind("str", ('"member"', '"root"', '"isolated"'), ("5", "True", "None")), "cpuset: cpus_partition"),
    "priorities": (Kind("str", ('"idle"', '"no-change"'), ("5", "True", "None")), "io: prio_class"),
    "types": (Kind("str", ('"threaded"',), ('"domain"', "5", "None")), "cgroup: type"),
    "states": (
        Kind(
            'Literal["THAWED", "FREEZING", "FROZEN"]', ('"FROZEN"', '"THAWED"'), ('"FREEZING"', '"frozen"', "True", "1")
        ),
        "freezer: state",
    ),
    "lists": (
        Kind("list[int]"),
        "cpuacct: usage_percpu usage_percpu_user usage_percpu_sys; cpuset: effective_cpus effective_mems cpus_effective"
        " mems_effective cpus_exclusive_effective cpus_isolated; cgroup: procs threads",
    ),
    "ranges": (
        Kind(
            "list[int]", ("[0, 1]", "range(4)", "{5}", "(i for i in (1, 2))"), ("5", '"0-3"', "[0.5]", '["0"]', "None")
        ),
        "cpuset: cpus mems cpus_exclusive",
    ),
    "words": (Kind("tuple[str, ...]"), "cgroup: controllers"),
    "word sets": (
        Kind("tuple[str, ...]", ('["memory"]', '("cpu", "io")', "set[str]()"), ("5", "[5]", "None", 'b"memory"')),
        "cgroup: subtree_control",
    ),
    "cpu usages": (Kind("dict[int, CpuacctUsage]"), "cpuacct: usage_all"),
    "weights by device": (
        Kind(
            "DeviceTable[int]",
            (f"{{{DEVICE}: 5}}", "DeviceTable[int]()"),
            (*NO_TABLE, f"{{{DEVICE}: 5.0}}", f"{{{DEVICE}: MAX}}"),
        ),
        "blkio: weight_device; io: weight bfq_weight",
    ),
    "throttles": (
        Kind("DeviceTable[int | Max]", (f"{{{DEVICE}: 5}}", f"{{{DEVICE}: MAX}}"), (*NO_TABLE, f'{{{DEVICE}: "5"}}')),
        "blkio: throttle_read_bps_device throttle_read_iops_device"
        " throttle_write_bps_device throttle_write_iops_device",
    ),
    "operations": (
        Kind("DeviceTable[dict[str, int]]"),
        "blkio: throttle_io_service_bytes throttle_io_serviced throttle_io_service_bytes_recursive"
        " throttle_io_serviced_recursive io_serviced io_service_bytes io_service_time io_merged io_queued wait_time"
        " io_serviced_recursive io_service_bytes_recursive io_service_time_recursive io_wait_time_recursive"
        " io_merged_recursive io_queued_recursive",
    ),
    "numbers by device": (
        Kind("DeviceTable[int]"),
        "blkio: time sectors avg_queue_size group_wait_time empty_time idle_time dequeue"
        " time_recursive sectors_recursive",
    ),
    "io stats": (Kind("DeviceTable[dict[str, Any]]"), "io: stat"),
    "io limits": (
        Kind(
            "DeviceTable[dict[str, int | Max]]",
            (f'{{{DEVICE}: {{"rbps": 5, "wbps": MAX}}}}',),
            (*NO_TABLE, f'{{{DEVICE}: {{"rbps": "5"}}}}', f"{{{DEVICE}: {{5: 5}}}}"),
        ),
        "io: max latency",
    ),
    "io costs": (
        Kind(
            "DeviceTable[dict[str, Any]]",
            (f'{{{DEVICE}: {{"rpct": 95.0, "ctrl": "user"}}}}',),
            (*NO_TABLE, f"{{{DEVICE}: {{5: 5}}}}"),
        ),
        "io: cost_qos cost_model",
    ),
    "interfaces": (
        Kind("Mapping[str, int]", ('{"eth0": 5}',), ("5", '{"eth0": "5"}', "{5: 5}", '{"eth0": MAX}', "None")),
        "net_prio: ifpriomap",
    ),
    "handles": (
        Kind(
            "dict[str, dict[str, int | Max]]",
            ('{"mlx4_0": {"hca_handle": 5, "hca_object": MAX}}',),
            ("5", '{"mlx4_0": 5}', '{"mlx4_0": {"hca_handle": "5"}}', "None"),
        ),
        "rdma: max",
    ),
    "handle counts": (Kind("dict[str, dict[str, int | Max]]"), "rdma: current"),
    "resources": (
        Kind("dict[str, int | Max]", ('{"sev": 5, "sev_es": MAX}',), ("5", '{"sev": "5"}', "{5: 5}", "None")),
        "misc: max; dmem: max min low",
    ),
    "resource counts": (
        Kind("dict[str, int | Max]"),
        "misc: current peak capacity events events_local; dmem: current capacity",
    ),
}

HEADER = """\
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from typing_extensions import assert_type

from cgroups import MAX, Cgroup, CpuMax, Device, DeviceRule, DeviceTable, Hugetlb, Max, OomControl
from cgroups import Parameters, Subsystem
from cgroups.parameters.hugetlb import HugetlbEvents
from cgroups.parameters.pids import PidsEvents
from cgroups.core.values import (
    CgroupEvents, CgroupStat, CpuacctStat, CpuacctUsage, CpuStat, MemoryEvents, MemoryStat, NumaStat, Pressure
)

get, set_, reset = Parameters.get, Parameters.set, Parameters.reset
used: list[Any] = [Any, Mapping, Literal, assert_type, MAX, CpuMax, Device, DeviceRule, DeviceTable, Hugetlb]
used += [Max, OomControl, HugetlbEvents, PidsEvents, CgroupEvents, CgroupStat, CpuacctStat, CpuacctUsage, CpuStat]
used += [MemoryEvents, MemoryStat, NumaStat, Pressure, Subsystem]
"""
"""The first lines of the generated programs, which use every import, so that no checker objects."""


def _members() -> Iterator[tuple[str, str, Kind]]:
    """Controller, name and kind of each parameter in the table above."""
    for kind, text in KINDS.values():
        for group in text.split(";"):
            controller, _, names = group.partition(":")
            for name in names.split():
                yield controller.strip(), name, kind


def _expression(controller: str, name: str) -> str:
    if controller == "hugetlb":
        return f'Hugetlb("2MB").{name}'
    if not controller:
        return f"Parameters.{name}"
    classes = {"cgroup": "Core", "net_cls": "NetCls", "net_prio": "NetPrio"}
    return f"Subsystem.{classes.get(controller, controller.capitalize())}.{name}"


def test_the_table_is_complete() -> None:
    """Every parameter there is stands in it once, and its access at run time is that of its type."""
    members = {f"{controller}.{name}" if controller else name: kind for controller, name, kind in _members()}
    assert len(members) == len(list(_members()))
    names = {str(one) for one in Subsystem.parameters() if one.controller != "hugetlb"}
    assert {name for name in members if not name.startswith("hugetlb.")} == names
    huge = {name for name in vars(Subsystem.Hugetlb("2MB")) if name != "size"}
    assert {name.removeprefix("hugetlb.") for name in members if name.startswith("hugetlb.")} == huge
    for name, kind in members.items():
        parameter = Subsystem.parameter_named(name.replace("hugetlb.", "hugetlb.2MB."))
        access = (isinstance(parameter, Readable), isinstance(parameter, Writable), isinstance(parameter, Resettable))
        assert access == (kind.reads is not None, bool(kind.takes), kind.resets), name


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = ["", "", "def right(cgroup: Cgroup) -> None:"]
    for controller, name, kind in _members():
        parameter = _expression(controller, name)
        if kind.reads is not None:
            # Exactly this type: a parameter that reads as Any would pass an assignment.
            lines.append(f"    assert_type(get({parameter}, cgroup), {kind.reads})")
        lines += [f"    set_({parameter}, cgroup, {value})" for value in kind.takes]
        lines += [f"    reset({parameter}, cgroup)"] * kind.resets
    path = tmp_path_factory.mktemp("generated") / "right.py"
    path.write_text(HEADER + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = ["", "", "def wrong(cgroup: Cgroup) -> None:"]
    for number, (controller, name, kind) in enumerate(_members()):
        parameter = _expression(controller, name)
        if kind.reads is None:
            lines.append(f"    get({parameter}, cgroup)  # E: cannot be read")
        else:
            lines.append(f"    value{number}: bytes = get({parameter}, cgroup)  # E: reads as {kind.reads}")
            lines.append(f"    used.append(value{number})")
        if not kind.takes:
            lines.append(f"    set_({parameter}, cgroup, 5)  # E: cannot be set")
        lines += [f"    set_({parameter}, cgroup, {value})  # E: takes no {value}" for value in kind.refuses]
        if not kind.resets:
            lines.append(f"    reset({parameter}, cgroup)  # E: cannot be reset")
        lines.append(f"    used.append({parameter} < {parameter})  # E: has no order")
        lines.append(f'    get({parameter}, "memory:/a")  # E: no cgroup')
    path = tmp_path_factory.mktemp("generated") / "wrong.py"
    path.write_text(HEADER + "\n".join(lines) + "\n")
    return path


def _explain(path: Path, faults: dict[int, str]) -> list[str]:
    source = path.read_text().splitlines()
    return [f"{source[number - 1].strip()}: {message}" for number, message in faults.items()]


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_right_uses_are_accepted(checker: str, right: Path, request: pytest.FixtureRequest) -> None:
    check: Callable[[Any], Any] = request.getfixturevalue(checker)
    assert len(right.read_text().splitlines()) > 350
    assert _explain(right, check([right])["right.py"]) == []


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_wrong_uses_are_rejected(
    checker: str, wrong: Path, marked: Callable[[Path], set[int]], request: pytest.FixtureRequest
) -> None:
    check: Callable[[Any], Any] = request.getfixturevalue(checker)
    faults, expected = check([wrong])["wrong.py"], marked(wrong)
    source = wrong.read_text().splitlines()
    assert len(expected) > 1000
    assert [source[number - 1].strip() for number in sorted(expected - set(faults))] == []
    assert _explain(wrong, {number: faults[number] for number in set(faults) - expected}) == []
