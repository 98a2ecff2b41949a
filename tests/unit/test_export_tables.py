"""The tables of the exported metrics: every name, type and number, held to lists written by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cgroups import Cgroup, Host, Sampler
from cgroups.export import dashboards
from cgroups.export.conventions import CONVENTIONS
from cgroups.export.derived import DERIVED, NEEDS
from cgroups.export.metrics import SPELLINGS
from cgroups.export.numbers import DEFAULT, FAMILIES, NUMBERS, READ, huge_pages
from cgroups.observe.columns import has_numbers

ALL = {**NUMBERS, **huge_pages(["2MB"]), "start_time": None, "info": None}

COUNTERS = """
cpu_usage_seconds_total cpu_user_seconds_total cpu_system_seconds_total cpu_cfs_periods_total
cpu_cfs_throttled_periods_total cpu_cfs_throttled_seconds_total cpu_cfs_burst_periods_total cpu_cfs_burst_seconds_total
memory_events_total memory_faults_total memory_pgscan_total memory_pgsteal_total
memory_workingset_refault_anon_total memory_workingset_refault_file_total
pressure_cpu_waiting_seconds_total pressure_cpu_stalled_seconds_total
pressure_memory_waiting_seconds_total pressure_memory_stalled_seconds_total
pressure_io_waiting_seconds_total pressure_io_stalled_seconds_total
pressure_irq_waiting_seconds_total pressure_irq_stalled_seconds_total
fs_reads_bytes_total fs_writes_bytes_total fs_discards_bytes_total fs_reads_total fs_writes_total fs_discards_total
fs_io_cost_usage_seconds_total fs_io_cost_wait_seconds_total fs_io_cost_indebt_seconds_total
fs_io_cost_indelay_seconds_total pids_events_total hugetlb_failures_total frozen_seconds_total
""".split()
GAUGES = """
cpu_limit_cores cpu_weight cpu_shares memory_usage_bytes memory_working_set_bytes memory_rss_bytes memory_cache_bytes
memory_kernel_bytes memory_shmem_bytes memory_slab_bytes memory_sock_bytes memory_mapped_file_bytes
memory_file_dirty_bytes memory_file_writeback_bytes memory_swap_bytes memory_max_usage_bytes memory_limit_bytes
memory_effective_limit_bytes memory_high_bytes memory_low_bytes memory_min_bytes memory_swap_limit_bytes pids
pids_limit processes hugetlb_usage_bytes hugetlb_max_usage_bytes descendants dying_descendants frozen cpuset_cpus
start_time_seconds info
""".split()

# As cadvisor's page "Monitoring cAdvisor with Prometheus" has them.
CADVISOR = """
container_cpu_usage_seconds_total container_cpu_user_seconds_total container_cpu_system_seconds_total
container_cpu_cfs_periods_total container_cpu_cfs_throttled_periods_total container_cpu_cfs_throttled_seconds_total
container_spec_cpu_quota container_spec_cpu_period container_spec_cpu_shares
container_memory_usage_bytes container_memory_working_set_bytes container_memory_rss container_memory_cache
container_memory_mapped_file container_memory_swap container_memory_max_usage_bytes container_memory_failcnt
container_memory_failures_total container_spec_memory_limit_bytes container_spec_memory_reservation_limit_bytes
container_spec_memory_swap_limit_bytes container_oom_events_total container_fs_reads_bytes_total
container_fs_writes_bytes_total container_fs_reads_total container_fs_writes_total container_threads
container_threads_max container_processes container_hugetlb_usage_bytes container_hugetlb_max_usage_bytes
container_hugetlb_failcnt container_start_time_seconds container_pressure_cpu_waiting_seconds_total
container_pressure_cpu_stalled_seconds_total
""".split()


def test_own_names_have_the_listed_types() -> None:
    found = {metric.name: metric.kind for metric in SPELLINGS["default"].metrics}
    assert found == {**dict.fromkeys(COUNTERS, "counter"), **dict.fromkeys(GAUGES, "gauge")}


def test_cadvisor_names_are_those_of_its_page() -> None:
    names = {f"container_{metric.name}" for metric in SPELLINGS["cadvisor"].metrics}
    assert set(CADVISOR) <= names


@pytest.mark.parametrize("names", SPELLINGS)
def test_metric_numbers_exist_and_appear_once(names: str) -> None:
    metrics = SPELLINGS[names].metrics
    assert len({metric.name for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert metric.help
        assert set(metric.numbers) <= set(ALL), metric.name
        labels = [tuple(sorted(one.items())) for one in metric.numbers.values()]
        assert len(set(labels)) == len(labels), metric.name


def test_every_number_has_a_metric() -> None:
    named = {number for one in SPELLINGS.values() for metric in one.metrics for number in metric.numbers}
    assert set(ALL) == named


def test_convention_numbers_exist() -> None:
    assert {number for one in CONVENTIONS for number in one.numbers} <= {*ALL, *DERIVED}
    assert set(DERIVED) <= {number for one in CONVENTIONS for number in one.numbers}
    assert set(NEEDS) <= set(ALL)
    assert len({one.name for one in CONVENTIONS}) == len(CONVENTIONS)


def test_families_on_by_default_are_known() -> None:
    assert set(DEFAULT) < set(FAMILIES)


# ---- units and kinds, against the columns of both captured hosts ----------------------------------

DIMENSION = {"ns": "seconds", "us": "seconds", "bytes": "bytes"}


def _columns(host: Host, location: str) -> Iterator[tuple[str, Any]]:
    """The columns of each number on a host, by one sampler for each hierarchy."""
    terms: dict[Any, list[tuple[str, Any, Any]]] = {}
    for name, number in NUMBERS.items():
        for source in number.sources:
            for parameter, key in source.terms:
                hierarchy = host.hierarchy_of(parameter.controller) or host.hierarchy_of("")
                if hierarchy is not None and has_numbers(parameter, hierarchy.version) and source.combine not in READ:
                    terms.setdefault(hierarchy, []).append((name, parameter, key))
    for hierarchy, those in terms.items():
        parameters = dict.fromkeys(parameter for _, parameter, _ in those)
        with Sampler([Cgroup(hierarchy, location)], parameters) as sampler:
            for column in sampler.columns:
                last = column.key[-1] if isinstance(column.key, tuple) else column.key
                for name, parameter, key in those:
                    if parameter is column.parameter and key in (column.key, last):
                        yield name, column


@pytest.mark.parametrize("version", ["shared_v1", "shared_v2"])
def test_metric_kind_and_unit_are_those_of_the_columns(version: str, request: pytest.FixtureRequest) -> None:
    host = request.getfixturevalue(version)
    location = "/cgroups-capture/inner" if version == "shared_v1" else "/job/a"
    by_number = {number: metric for metric in SPELLINGS["default"].metrics for number in metric.numbers}
    checked = 0
    for number, column in _columns(host, location):
        metric = by_number.get(number)
        if metric is None or number == "cpu.limit":  # a ratio of two times
            continue
        assert (metric.kind == "counter") == column.counter, (number, column)
        unit = DIMENSION.get(column.unit)
        assert unit is None or f"_{unit}" in metric.name, (number, column)
        assert unit is not None or not re.search("_(seconds|bytes)(_|$)", metric.name), (number, column)
        checked += 1
    assert checked > 30


# ---- the dashboard and the rules ------------------------------------------------------------------


def _known(names: str) -> set[str]:
    spelling = SPELLINGS[names]
    return {f"{spelling.prefix}{metric.name}" for metric in spelling.metrics}


@pytest.mark.parametrize("names", SPELLINGS)
def test_dashboard_uses_only_exported_metrics(names: str) -> None:
    made = json.loads(dashboards.dashboard(names))
    expressions = [target["expr"] for panel in made["panels"] for target in panel["targets"]]
    used = {word for one in expressions for word in re.findall(rf"{SPELLINGS[names].prefix}\w+", one)}
    assert used <= _known(names)
    assert len(made["panels"]) == 12
    assert all('instance=~"$instance"' in one and '=~"$cgroup"' in one for one in expressions)
    variables = {one["name"] for one in made["templating"]["list"]}
    assert {*re.findall(r"\$([a-z]+)", " ".join(expressions))} == variables - {"source"}


@pytest.mark.parametrize("names", SPELLINGS)
def test_rules_use_only_exported_metrics(names: str) -> None:
    text = dashboards.rules(names)
    used = set(re.findall(rf"{SPELLINGS[names].prefix}\w+", text))
    assert used - {"cgroup_exporter_build_info"} <= _known(names)
    for alert in ("CgroupMemoryNearLimit", "CgroupOomKill", "CgroupThrottled", "CgroupMemoryPressure"):
        assert alert in text
    assert f"$labels.{SPELLINGS[names].label}" in text
