"""The unit and the kind, counter or gauge, of each number of each captured tree.

The expectations are written from the kernel's documents, and not from the tables of the package:
cgroup-v2.rst, cgroup-v1/memory.rst, blkio-controller.rst, cpuacct.rst, cpusets.rst, hugetlb.rst, pids.rst,
scheduler/sched-bwc.rst and accounting/psi.rst.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cgroups import Blkio, Cgroup, CgroupError, Host, Io, Memory, Parameters, Sampler, Subsystem
from cgroups.cli.common import render
from cgroups.cli.common.scales import quantity
from cgroups.cli.common.values import named
from cgroups.core.values import UNKNOWN, CpuStat, MemoryStat, PressureLine, quantities
from cgroups.observe.columns import Column

GAUGE, COUNTER = False, True

# ---- keyed files, by key -------------------------------------------------------------------------

# memory.rst, 5.2 "stat file".
V1_BYTES = """cache rss rss_huge shmem mapped_file swap swapcached dirty writeback inactive_anon active_anon
    inactive_file active_file unevictable"""
V1_EVENTS = "pgpgin pgpgout pgfault pgmajfault"
V1_PAGES = "workingset_refault_anon workingset_refault_file"

# cgroup-v2.rst, "Memory Interface Files", memory.stat: "All memory amounts are in bytes"; the rest are counts of
# pages ("Amount of scanned pages", "Number of pages swapped into memory") or of happenings.
V2_BYTES = """anon file kernel kernel_stack pagetables sec_pagetables percpu sock vmalloc shmem zswap zswapped
    file_mapped file_dirty file_writeback swapcached anon_thp file_thp shmem_thp inactive_anon active_anon
    inactive_file active_file unevictable slab_reclaimable slab_unreclaimable slab hugetlb"""
V2_PAGES = """workingset_refault_anon workingset_refault_file workingset_activate_anon workingset_activate_file
    workingset_restore_anon workingset_restore_file pswpin pswpout pgscan pgsteal pgscan_kswapd pgscan_direct
    pgscan_khugepaged pgscan_proactive pgsteal_kswapd pgsteal_direct pgsteal_khugepaged pgsteal_proactive pgrefill
    pgactivate pgdeactivate pglazyfree pglazyfreed swpin_zero swpout_zero zswpin zswpout zswpwb numa_pages_migrated
    pgdemote_kswapd pgdemote_direct pgdemote_khugepaged pgdemote_proactive pgpromote_success"""
V2_EVENTS = """pgfault pgmajfault workingset_nodereclaim thp_fault_alloc thp_collapse_alloc thp_swpout
    thp_swpout_fallback numa_pte_updates numa_hint_faults"""


def keys(text: str, unit: str, kind: bool) -> dict[str, tuple[str, bool]]:  # noqa: FBT001 - of a table
    return dict.fromkeys(text.split(), (unit, kind))


MEMORY_STAT = {
    **keys(V1_BYTES, "bytes", GAUGE),
    **keys(V1_EVENTS, "count", COUNTER),
    **keys(V1_PAGES, "pages", COUNTER),
    **keys("hierarchical_memory_limit hierarchical_memsw_limit", "bytes", GAUGE),
    **keys(V2_BYTES, "bytes", GAUGE),
    **keys(V2_PAGES, "pages", COUNTER),
    **keys(V2_EVENTS, "count", COUNTER),
}
# "total_<counter>: # hierarchical version of <counter>".
MEMORY_STAT |= {f"total_{key}": MEMORY_STAT[key] for text in (V1_BYTES, V1_EVENTS, V1_PAGES) for key in text.split()}
CPU_STAT = {
    **keys("nr_periods nr_throttled nr_bursts", "count", COUNTER),
    **keys("throttled_time burst_time", "ns", COUNTER),
    **keys("usage_usec user_usec system_usec nice_usec throttled_usec burst_usec", "us", COUNTER),
}
PRESSURE = {**keys("avg10 avg60 avg300", "percent", GAUGE), "total": ("us", COUNTER)}
OOM_CONTROL = {**keys("oom_kill_disable under_oom", "bool", GAUGE), "oom_kill": ("count", COUNTER)}
IO_STAT = {
    **keys("rbytes wbytes dbytes", "bytes", COUNTER),
    **keys("rios wios dios", "count", COUNTER),
    **keys("depth", "count", GAUGE),
    **keys("avg_lat", "us", GAUGE),
    **keys("win", "ms", GAUGE),
}
IO_MAX = {**keys("rbps wbps", "bytes/s", GAUGE), **keys("riops wiops", "1/s", GAUGE)}
BYTES, EVENTS, COUNT = ("bytes", GAUGE), ("count", COUNTER), ("count", GAUGE)
FLAG, MICROSECONDS = ("bool", GAUGE), ("us", GAUGE)

# By parameter, of whole name: of each key, or one for all.
EXPECTED: list[tuple[str, Any]] = [
    (r"memory\.stat", MEMORY_STAT),
    (r"memory\.numa_stat", MEMORY_STAT),
    (r"memory\.oom_control", OOM_CONTROL),
    (r"memory\.(events|events_local|swap_events)", EVENTS),
    (r"memory\.\w*failcnt", EVENTS),
    (r"memory\.(use_hierarchy|oom_group|zswap_writeback)", FLAG),
    (r"memory\.swappiness", ("0-200", GAUGE)),
    (r"memory\.move_charge_at_immigrate", ("bit mask", GAUGE)),
    (r"(cpu|memory|io)\.pressure|cgroup\.irq_pressure", PRESSURE),
    (r"memory\.\w+", BYTES),
    (r"cpu\.stat|cpu\.stat_local", CPU_STAT),
    (r"cpuacct\.stat", {**CPU_STAT, **keys("user system", "ns", COUNTER)}),
    (r"cpuacct\.usage\w*", ("ns", COUNTER)),
    (r"cpu\.shares", ("2-262144", GAUGE)),
    (r"cpu\.weight", ("1-10000", GAUGE)),
    (r"cpu\.weight_nice", ("-20-19", GAUGE)),
    (r"cpu\.idle", FLAG),
    (r"cpu\.(cfs|rt)_\w+_us|cpu\.max|cpu\.max_burst", MICROSECONDS),
    (r"cpuset\.memory_pressure", ("per 1000 s", GAUGE)),
    (r"cpuset\.sched_relax_domain_level", ("level", GAUGE)),
    (r"cpuset\.\w+", FLAG),
    (r"blkio\.(throttle_)?io_service_bytes\w*", ("bytes", COUNTER)),
    (r"blkio\.(throttle_)?io_serviced\w*|blkio\.io_merged\w*", EVENTS),
    (r"blkio\.throttle_(read|write)_bps_device", ("bytes/s", GAUGE)),
    (r"blkio\.weight(_device)?", ("10-1000", GAUGE)),
    (r"io\.stat", IO_STAT),
    (r"io\.max", IO_MAX),
    (r"io\.weight", ("1-10000", GAUGE)),
    (r"pids\.(events|events_local)", EVENTS),
    (r"pids\.\w+", COUNT),
    (r"hugetlb\.\w+\.(events\w*|\w*failcnt)", EVENTS),
    (r"hugetlb\.\w+\.\w+", BYTES),
    (r"misc\.events\w*", EVENTS),
    (r"(misc|rdma)\.\w+", COUNT),
    (r"cgroup\.stat_local", ("us", COUNTER)),
    (r"cgroup\.(stat|max_depth|max_descendants)", COUNT),
    (r"(cgroup|freezer)\.\w+|notify_on_release", FLAG),
    (r"net_cls\.classid", ("0xAAAABBBB", GAUGE)),
    (r"net_prio\.prioidx", ("id", GAUGE)),
]


def expected(parameter: str, key: Any) -> tuple[str, bool]:
    """The quantity by the documents; KeyError for a number that they do not have."""
    found = next((one for pattern, one in EXPECTED if re.fullmatch(pattern, parameter)), None)
    assert found is not None, f"{parameter}: not in the list"
    if not isinstance(found, dict):
        quantity: tuple[str, bool] = found
        return quantity
    parts = key if isinstance(key, tuple) else (key,)
    # Of memory.numa_stat the kind of memory comes first, and the node last.
    return found[parts[0] if str(parts[-1]).startswith("N") else parts[-1]]  # type: ignore[no-any-return]


def columns_of(host: Host) -> Iterator[Column]:
    """All columns of all parameters of all cgroups of a captured tree."""
    for hierarchy in host.scan():
        cgroups = [*hierarchy.root().walk()]
        for parameter in Subsystem.parameters():
            if isinstance(parameter, Parameters.Readable):
                try:
                    yield from Sampler(cgroups, [parameter]).columns
                except CgroupError:
                    continue


LEAST = 120
"""Numbers of a tree; about 150 on each."""


@pytest.mark.parametrize("tree", ["shared_v1", "shared_v2"])
def test_columns_of_a_captured_tree_have_the_documents_quantities(tree: str, request: pytest.FixtureRequest) -> None:
    """Sampler, get, record and plot: all of them say the same of a number."""
    seen = 0
    for column in columns_of(request.getfixturevalue(tree)):
        wanted = expected(str(column.parameter), column.key)
        assert (column.unit, column.counter) == wanted, column
        assert quantity(column.title) == wanted, column
        assert named(column.title).quantity == wanted, column
        seen += 1
    assert seen > LEAST


def test_get_shows_the_unit_of_each_number(shared_v1: Host, shared_v2: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "on_terminal", lambda: True)
    monkeypatch.setattr(render, "table", lambda _, rows: "".join("\t".join(row) + "\n" for row in rows))
    for host, spec, parameter, line in (
        (shared_v1, "memory:/cgroups-capture/inner", "memory.stat[total_rss]", "1249280 (1.2 MiB)\tbytes"),
        (shared_v1, "memory:/cgroups-capture/inner", "memory.stat[total_pgfault]", "32869\tcount"),
        (shared_v1, "memory:/cgroups-capture/inner", "memory.oom_control[under_oom]", "false\tbool"),
        (shared_v1, "blkio:/cgroups-capture/inner", "blkio.throttle_io_serviced", "254:0,Read]"),
        (shared_v2, ":/job/a", "memory.stat[pgscan]", "\tpages"),
        (shared_v2, ":/job/a", "memory.stat[zswpin]", "\tpages"),
    ):
        name = named(parameter)
        from cgroups.cli.common.values import read  # noqa: PLC0415 - beside its one use

        assert line in render.values([(name, read(name, host.find_exn(spec)))]), parameter


def test_numbers_of_devices_have_the_documents_quantities(v2: Host) -> None:
    """The captured trees have no devices on v2."""
    job = v2.find_exn(":/job/a")
    write(job, "io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 depth=7 avg_lat=8 win=9\n")
    write(job, "io.max", "8:0 rbps=1 wbps=max riops=2 wiops=max\n")
    write(job, "io.weight", "default 100\n8:0 200\n")
    parameters = [
        *(Io.stat, Io.max, Io.weight, Blkio.throttle_io_service_bytes, Blkio.throttle_io_serviced),
        Blkio.throttle_read_bps_device,
    ]
    found = Sampler([job], parameters).columns
    assert len(found) > 15
    for column in found:
        assert (column.unit, column.counter) == expected(str(column.parameter), column.key), column


def write(cgroup: Cgroup, name: str, text: str) -> None:
    Path(str(cgroup.path), name).write_text(text)


def test_declared_keys_have_the_documents_quantities() -> None:
    """Keys that no captured kernel shows, such as pswpin or zswapped of a newer one, have it too."""
    for kind, documents in ((MemoryStat, MEMORY_STAT), (CpuStat, CPU_STAT), (PressureLine, PRESSURE)):
        declared = quantities(kind)
        assert {key: declared[key] for key in documents} == documents


def test_quantity_of_an_unknown_key_is_unknown() -> None:
    assert Memory.stat.quantity("of_a_newer_kernel") == UNKNOWN
    assert Memory.stat["of_a_newer_kernel"].unit == ""
    assert quantity("memory.of_another_version[x]") == UNKNOWN


def test_quantity_of_one_key_is_the_key_s() -> None:
    assert Memory.stat["pgfault"].quantity() == ("count", COUNTER)
    assert Memory.pressure["some", "avg10"].quantity() == ("percent", GAUGE)
    assert Memory.pressure["some", "total"].quantity() == ("us", COUNTER)
