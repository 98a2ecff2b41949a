"""Export of captured hosts: the collector of Prometheus, the instruments of OpenTelemetry, and the command."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cgroups
import cgroups.otel
import cgroups.prometheus
from cgroups import CgroupNotFound, Host, InvalidValue
from cgroups.core.errors import visible
from cgroups.export.labels import device_name, start_time

prometheus_client = pytest.importorskip("prometheus_client")
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

EVERY = ("cpu", "memory", "io", "pids", "pressure", "tree", "processes", "cpuset", "hugetlb", "cost")


class Scraped:
    """The samples of one scrape, read by the parser of prometheus_client."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.types = {family.name: family.type for family in text_string_to_metric_families(text)}
        self.samples = [one for family in text_string_to_metric_families(text) for one in family.samples]

    def __call__(self, name: str, /, **labels: str) -> float | None:
        """The only sample with these labels; None if no sample has them."""
        found = [one.value for one in self.samples if one.name == name and labels.items() <= one.labels.items()]
        assert len(found) <= 1, (name, labels, found)
        return found[0] if found else None

    def cgroups(self, name: str) -> set[str]:
        return {one.labels["cgroup"] for one in self.samples if one.name == name}


@pytest.fixture
def collector() -> Iterator[Callable[..., Callable[[], Scraped]]]:
    """``collector(host, *specs, **options)()``: one scrape."""
    made: list[Any] = []

    def make(host: Host, *specs: str, **options: Any) -> Callable[[], Scraped]:
        one = cgroups.prometheus.Collector(*specs, host=host, **options)
        made.append(one)
        registry = prometheus_client.CollectorRegistry()
        registry.register(one)
        return lambda: Scraped(prometheus_client.generate_latest(registry).decode())

    yield make
    for one in made:
        one.close()


Make = Callable[..., Callable[[], Scraped]]


def place(host: Host, location: str, controller: str = "") -> Path:
    return Path(str(host.find_exn(f"{controller}:{location}").path))


# ---- numbers --------------------------------------------------------------------------------------


def test_collector_v2_exports_the_kernels_numbers(v2: Host, collector: Make) -> None:
    scraped = collector(v2, families=EVERY)()
    job = {"cgroup": "/job/a"}
    assert scraped("cgroup_cpu_usage_seconds_total", **job) == 4.992686
    assert scraped("cgroup_cpu_cfs_throttled_periods_total", **job) == 238
    assert scraped("cgroup_cpu_cfs_throttled_seconds_total", **job) == 17.441048
    assert scraped("cgroup_cpu_limit_cores", **job) == 0.2
    assert scraped("cgroup_cpu_weight", **job) == 250
    assert scraped("cgroup_memory_usage_bytes", **job) == 237568
    assert scraped("cgroup_memory_working_set_bytes", **job) == 204800
    assert scraped("cgroup_memory_limit_bytes", **job) == 209715200
    assert scraped("cgroup_memory_events_total", event="high", **job) == 268
    assert scraped("cgroup_memory_faults_total", type="minor", **job) == 2570
    assert scraped("cgroup_memory_faults_total", type="major", **job) == 1148
    assert scraped("cgroup_pressure_cpu_waiting_seconds_total", **job) == 17.775991
    assert scraped("cgroup_pids", **job) == 1
    assert scraped("cgroup_pids_limit", **job) == 33
    assert scraped("cgroup_processes", **job) == 1
    assert scraped("cgroup_cpuset_cpus", **job) == 1
    assert scraped.types["cgroup_cpu_usage_seconds"] == "counter"
    assert scraped.types["cgroup_memory_usage_bytes"] == "gauge"


def test_collector_v1_exports_the_kernels_numbers(v1: Host, collector: Make) -> None:
    scraped = collector(v1, families=EVERY)()
    inner = {"cgroup": "/cgroups-capture/inner"}
    assert scraped("cgroup_cpu_usage_seconds_total", **inner) == 0.554297887
    assert scraped("cgroup_cpu_cfs_throttled_seconds_total", **inner) == 1.915225333
    assert scraped("cgroup_cpu_limit_cores", **inner) == 0.2
    assert scraped("cgroup_cpu_shares", **inner) == 512
    assert scraped("cgroup_memory_rss_bytes", **inner) == 1249280
    assert scraped("cgroup_memory_effective_limit_bytes", **inner) == 104857600
    assert scraped("cgroup_memory_low_bytes", **inner) == 41943040
    assert scraped("cgroup_memory_events_total", event="max", cgroup="/cgroups-capture") == 98
    assert scraped("cgroup_fs_reads_bytes_total", device="254:0", **inner) == 5038080
    assert scraped("cgroup_fs_reads_total", device="254:0", **inner) == 436


def test_collector_number_without_a_value_has_no_sample(v2: Host, collector: Make) -> None:
    (place(v2, "/job/a") / "memory.max").write_text("max\n")
    scraped = collector(v2)()
    assert scraped("cgroup_memory_limit_bytes", cgroup="/job/a") is None
    assert scraped("cgroup_cpu_limit_cores", cgroup="/job") is None
    assert scraped("cgroup_pids_limit", cgroup="/job") is None
    assert "e+18" not in scraped.text


def test_collector_effective_limit_is_the_lowest_up_the_tree(v2: Host, collector: Make) -> None:
    (place(v2, "/job") / "memory.max").write_text("1000000\n")
    scraped = collector(v2)()
    assert scraped("cgroup_memory_effective_limit_bytes", cgroup="/job/a") == 1_000_000
    assert scraped("cgroup_memory_limit_bytes", cgroup="/job/a") == 209715200
    # An ancestor without a row counts too.
    below = collector(v2, "/job/a")()
    assert below("cgroup_memory_effective_limit_bytes", cgroup="/job/a") == 1_000_000


def test_collector_root_is_exported_without_its_memory_statistics(v2: Host, collector: Make) -> None:
    scraped = collector(v2)()
    assert scraped("cgroup_cpu_usage_seconds_total", cgroup="/") == 27.372
    assert scraped("cgroup_memory_rss_bytes", cgroup="/") is None


def test_collector_number_from_2_to_the_63_is_exported(v2: Host, collector: Make) -> None:
    (place(v2, "/job/a") / "memory.peak").write_text(f"{2**63 + 2**40}\n")
    assert collector(v2)()("cgroup_memory_max_usage_bytes", cgroup="/job/a") == float(2**63 + 2**40)


def test_collector_new_device_appears_at_the_next_scrape(v2: Host, collector: Make) -> None:
    scrape = collector(v2)
    assert scrape()("cgroup_fs_reads_bytes_total", cgroup="/job/a") is None
    line = "8:0 rbytes=4096 wbytes=512 rios=1 wios=2 dbytes=0 dios=0\n"
    (place(v2, "/job/a") / "io.stat").write_text(line)
    scrape()
    assert scrape()("cgroup_fs_reads_bytes_total", cgroup="/job/a", device="8:0") == 4096
    assert scrape()("cgroup_fs_writes_total", cgroup="/job/a", device="8:0") == 2


# ---- cgroups --------------------------------------------------------------------------------------


def _copy(host: Host, *locations: str) -> None:
    source = place(host, "/job/a")
    for location in locations:
        target = place(host, "/job").parent / location.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "/ /job /job/a /job/b /job/b/c /web.service"),
        ({"depth": 1}, "/ /job /web.service"),
        ({"include": "^/job/"}, "/job/a /job/b /job/b/c"),
        ({"include": r"web\.service"}, "/web.service"),
        ({"exclude": "/job"}, "/ /web.service"),
        ({"leaves": True}, "/job/a /job/b/c /web.service"),
        ({"include": "/b", "exclude": "/c$"}, "/job/b"),
    ],
    ids=str,
)
def test_collector_selects_cgroups(v2: Host, collector: Make, options: dict[str, Any], expected: str) -> None:
    _copy(v2, "/job/b", "/job/b/c", "/web.service")
    assert collector(v2, **options)().cgroups("cgroup_cpu_usage_seconds_total") == {*expected.split()}


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        (["/job/a"], "/job/a"),
        ([":/job/b"], "/job/b /job/b/c"),
        (["/job/a", "/job/b/c"], "/job/a /job/b/c"),
        (["/job/*"], "/job/a /job/b /job/b/c"),
        (["web.service"], "/web.service"),
    ],
    ids=str,
)
def test_collector_specs_name_cgroups(v2: Host, collector: Make, specs: list[str], expected: str) -> None:
    _copy(v2, "/job/b", "/job/b/c", "/web.service")
    assert collector(v2, *specs)().cgroups("cgroup_cpu_usage_seconds_total") == {*expected.split()}


def test_collector_pattern_with_depth_counts_from_each_match(v2: Host, collector: Make) -> None:
    _copy(v2, "/job/b", "/job/b/c")
    assert collector(v2, "/job/*", depth=0)().cgroups("cgroup_pids") == {"/job/a", "/job/b"}


def test_collector_cgroup_that_comes_or_goes_follows(v2: Host, collector: Make) -> None:
    scrape = collector(v2)
    assert "/job/new" not in scrape().cgroups("cgroup_pids")
    _copy(v2, "/job/new")
    assert "/job/new" in scrape().cgroups("cgroup_pids")
    shutil.rmtree(place(v2, "/job/new"))
    gone = scrape()
    assert "/job/new" not in gone.cgroups("cgroup_pids") | gone.cgroups("cgroup_start_time_seconds")


def test_collector_cgroup_made_again_has_a_new_start_time(v2: Host, collector: Make) -> None:
    _copy(v2, "/job/new")
    scrape = collector(v2)
    first = scrape()("cgroup_start_time_seconds", cgroup="/job/new")
    path = place(v2, "/job/new")
    assert scrape()("cgroup_start_time_seconds", cgroup="/job/new") == first
    path.rename(path.with_name("kept"))  # so that its inode stays in use
    time.sleep(0.02)
    _copy(v2, "/job/new")
    scrape()
    again = scrape()("cgroup_start_time_seconds", cgroup="/job/new")
    assert first is not None
    assert again is not None
    assert again > first


def test_collector_info_has_the_identity_and_no_other_metric_has(v2: Host, collector: Make) -> None:
    identity = "0123456789abcdef" * 4
    _copy(v2, f"/system.slice/docker-{identity}.scope")
    scraped = collector(v2)()
    labels = {"container_id": identity, "runtime": "docker", "slice": "system.slice"}
    assert scraped("cgroup_info", cgroup=f"/system.slice/docker-{identity}.scope", **labels) == 1
    others = {label for one in scraped.samples if one.name != "cgroup_info" for label in one.labels}
    assert others <= {"cgroup", "event", "type", "device", "version"}


@pytest.mark.parametrize(
    "name", [b"\xff\xfe", "snow\u2603".encode(), b'quo"te', b"back\\slash", b"new\nline"], ids=repr
)
def test_collector_any_name_is_valid_text(v2: Host, collector: Make, name: bytes) -> None:
    source = place(v2, "/job/a")
    shutil.copytree(os.fsencode(source), os.path.join(os.fsencode(source.parent), name))
    scraped = collector(v2)()
    assert scraped("cgroup_pids", cgroup=f"/job/{visible(os.fsdecode(name))}") == 1


def test_collector_names_with_the_same_text_have_one_sample(v2: Host, collector: Make) -> None:
    parent = os.fsencode(place(v2, "/job/a").parent)
    for name in (b"\xff", b"\\xff"):
        shutil.copytree(os.path.join(parent, b"a"), os.path.join(parent, name))
    scraped = collector(v2)()
    assert [one.labels["cgroup"] for one in scraped.samples if one.name == "cgroup_pids"].count(r"/job/\xff") == 1


def test_collector_cadvisor_names_have_its_labels(v2: Host, collector: Make) -> None:
    scraped = collector(v2, names="cadvisor")()
    job = {"id": "/job/a", "name": "", "image": ""}
    assert scraped("container_cpu_usage_seconds_total", cpu="total", **job) == 4.992686
    for scope in ("hierarchy", "container"):  # v2 has no counts without descendants
        assert scraped("container_memory_failures_total", failure_type="pgfault", scope=scope, **job) == 3718
    assert scraped("container_spec_cpu_quota", **job) == 20000
    assert scraped("container_spec_cpu_period", **job) == 100000
    assert scraped("container_spec_memory_limit_bytes", **job) == 209715200
    assert scraped("container_memory_events_high_total", **job) == 268


@pytest.mark.parametrize(
    "options", [{"families": ["nope"]}, {"include": "("}, {"names": "nope"}, {"depth": -1}], ids=str
)
def test_collector_wrong_argument_is_refused(v2: Host, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match="must be"):
        cgroups.prometheus.Collector(host=v2, **options)


def test_collector_unknown_cgroup_is_refused(v2: Host) -> None:
    with pytest.raises(CgroupNotFound):
        cgroups.prometheus.Collector("/nope", host=v2)


def test_collector_closed_keeps_no_descriptor(v2: Host, open_fds: Callable[[], int]) -> None:
    with cgroups.prometheus.Collector(host=v2) as one:  # the host keeps the descriptors of its mounts
        list(one.collect())
    before = open_fds()
    with cgroups.prometheus.Collector(host=v2) as one:
        list(one.collect())
        assert open_fds() > before
    assert open_fds() <= before
    with pytest.raises(ValueError, match="the collector is closed"):
        list(one.collect())


def test_collector_threads_share_it(v2: Host, collector: Make) -> None:
    scrape = collector(v2)
    wrong: list[object] = []

    def work() -> None:
        for _ in range(10):
            if scrape()("cgroup_pids", cgroup="/job/a") != 1:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_device_name_is_the_kernels_if_it_has_one(tmp_path: Path) -> None:
    block = tmp_path / "sys/dev/block"
    block.mkdir(parents=True)
    (block / "8:0").symlink_to("../../devices/pci/block/sda")
    assert device_name(str(block), "8:0") == "sda"
    assert device_name(str(block), "9:9") == "9:9"


def test_start_time_gone_cgroup_has_none(v2: Host) -> None:
    cgroup = v2.find_exn(":/job/a")
    assert start_time(cgroup) is not None
    shutil.rmtree(str(cgroup.path))
    assert start_time(cgroup) is None


def test_collector_second_of_the_same_names_is_refused(v2: Host) -> None:
    """Two would give an invalid text: one name with two descriptions."""
    registry = prometheus_client.CollectorRegistry()
    with cgroups.prometheus.Collector(host=v2) as one, cgroups.prometheus.Collector("/job", host=v2) as other:
        registry.register(one)
        with pytest.raises(ValueError, match="Duplicated timeseries"):
            registry.register(other)


def test_collector_registry_filters_by_name(v2: Host) -> None:
    registry = prometheus_client.CollectorRegistry()
    with cgroups.prometheus.Collector(host=v2) as one:
        registry.register(one)
        chosen = registry.restricted_registry(["cgroup_memory_usage_bytes"])
        scraped = Scraped(prometheus_client.generate_latest(chosen).decode())
    assert {sample.name for sample in scraped.samples} == {"cgroup_memory_usage_bytes"}


def test_collector_failed_restart_leaves_it_usable(v2: Host, collector: Make, monkeypatch: Any) -> None:
    """A new device needs new samplers; without descriptors these cannot be made, and later they can."""
    from cgroups.export import subtrees

    scrape = collector(v2)
    scrape()
    (place(v2, "/job/a") / "io.stat").write_text("8:0 rbytes=1 wbytes=0 rios=0 wios=0 dbytes=0 dios=0\n")

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(24, "EMFILE")

    with monkeypatch.context() as patch:
        patch.setattr(subtrees.Sampler, "follow", fail)
        with pytest.raises(OSError, match="EMFILE"):
            scrape()
    scrape()
    assert scrape()("cgroup_fs_reads_bytes_total", cgroup="/job/a", device="8:0") == 1


def test_collector_leaves_counts_every_level_and_hierarchy(v1: Host, collector: Make) -> None:
    def make(controller: str, location: str) -> None:
        source = place(v1, "/cgroups-capture/inner", controller)
        target = source.parents[1] / location
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target)

    for location in ("x", "x/a", "x/a/b"):
        make("memory", location)
    for location in ("x", "x/a"):
        make("pids", location)
    scraped = collector(v1, leaves=True, include="^/x")()
    assert scraped.cgroups("cgroup_memory_usage_bytes") == {"/x/a/b"}
    assert scraped.cgroups("cgroup_pids") == set()
    assert scraped.cgroups("cgroup_info") == {"/x/a/b"}
    # A level between that is left out changes nothing.
    scraped = collector(v1, leaves=True, include="^/x(/a/b)?$")()
    assert scraped.cgroups("cgroup_info") == {"/x/a/b"}


@pytest.fixture
def no_kept_files() -> Iterator[None]:
    """A plain file that is gone, and was kept open, would still answer."""
    cgroups.set_fd_budget(0)
    yield
    cgroups.set_fd_budget(1024)


@pytest.mark.usefixtures("no_kept_files")
def test_collector_removed_spec_has_no_samples(v2: Host, collector: Make) -> None:
    scrape = collector(v2, "/job/a")
    assert scrape().cgroups("cgroup_info") == {"/job/a"}
    shutil.rmtree(place(v2, "/job/a"))
    gone = scrape()
    assert {name for name in (one.name for one in gone.samples) if not name.startswith("cgroup_exporter")} == set()
    assert gone("cgroup_exporter_cgroups") == 0


def test_collector_v1_reads_lists_and_states_of_every_hierarchy(v1: Host, collector: Make) -> None:
    scraped = collector(v1, families=["cpuset", "tree", "processes"])()
    inner = {"cgroup": "/cgroups-capture/inner"}
    assert scraped("cgroup_cpuset_cpus", **inner) == 2
    assert scraped("cgroup_frozen", **inner) == 0
    assert scraped("cgroup_processes", **inner) == 1
    (place(v1, "/cgroups-capture/inner", "freezer") / "freezer.state").write_text("FROZEN\n")
    assert collector(v1, families=["tree"])()("cgroup_frozen", **inner) == 1


def test_collector_own_paths_of_other_hierarchies_are_their_own(v1: Host, collector: Make) -> None:
    """The process 5447 is in the captured cgroup of some hierarchies, and in the root of others."""
    scraped = collector(v1, "5447", depth=0, families=["cpu", "memory", "pids"])()
    own = v1.resolve("5447").location
    assert own != "/"
    for controller, name in (("cpuacct", "cgroup_cpu_usage_seconds_total"), ("pids", "cgroup_pids")):
        location = v1.resolve("5447", controller).location
        # The numbers of a root are those of the machine.
        assert scraped.cgroups(name) == (set() if location == "/" else {location})


def test_collector_child_of_a_fork_during_a_scrape_scrapes(v2: Host) -> None:
    with cgroups.prometheus.Collector(host=v2) as one:
        list(one.collect())
        with one._reader._lock:  # as another thread would hold it
            pid = os.fork()
            if pid == 0:
                os._exit(0 if len([*one.collect()]) > 5 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# ---- OpenTelemetry --------------------------------------------------------------------------------


def test_instrument_observes_by_the_conventions(v2: Host) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    with cgroups.otel.instrument(provider, host=v2):
        found = _points(reader)
        assert found["container.cpu.time"][1][("/job/a", "user")] == 1.302032
        assert found["container.cpu.time"][0] == ("s", True)
        assert found["container.memory.usage"][1][("/job/a",)] == 237568
        assert found["container.memory.usage"][0] == ("By", False)
        assert found["cgroup.memory.events"][1][("/job/a", "high")] == 268
        (place(v2, "/job/a") / "memory.current").write_text("4096\n")
        assert _points(reader)["container.memory.usage"][1][("/job/a",)] == 4096
    assert _points(reader) == {}
    provider.shutdown()


def test_instrument_derives_usage_uptime_and_available_memory(v2: Host) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    with cgroups.otel.instrument(provider, "/job/a", host=v2):
        began = time.monotonic()
        first = _points(reader)
        read = time.monotonic()
        assert first["container.memory.available"][1] == {("/job/a",): 209715200 - 204800}
        assert first["container.uptime"][1]["/job/a",] >= 0
        assert "container.cpu.usage" not in first
        stat = place(v2, "/job/a") / "cpu.stat"
        stat.write_text(stat.read_text().replace("usage_usec 4992686", "usage_usec 5992686"))
        time.sleep(0.1)
        shortest = time.monotonic() - read
        busy = _points(reader)["container.cpu.usage"][1]["/job/a",]
        assert 1 / (time.monotonic() - began) <= busy <= 1 / shortest  # one second of CPU time
        stat.write_text(stat.read_text().replace("usage_usec 5992686", "usage_usec 1"))
        assert "container.cpu.usage" not in _points(reader)
    provider.shutdown()


def test_instrument_twice_observes_both(v2: Host) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    with (
        cgroups.otel.instrument(provider, "/job/a", host=v2),
        cgroups.otel.instrument(provider, "/job", depth=0, host=v2),
    ):
        data = reader.get_metrics_data()
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        paths = {p.attributes["process.linux.cgroup"] for m in metrics for p in m.data.data_points}
    assert paths == {"/job", "/job/a"}
    provider.shutdown()


def _points(reader: Any) -> dict[str, Any]:
    data = reader.get_metrics_data()
    metrics = [] if data is None else [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
    return {
        metric.name: (
            (metric.unit, getattr(metric.data, "is_monotonic", None)),
            {tuple(point.attributes.values()): point.value for point in metric.data.data_points},
        )
        for metric in metrics
    }


def test_instrument_container_has_its_id(v2: Host) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    identity = "0123456789abcdef" * 4
    _copy(v2, f"/system.slice/docker-{identity}.scope")
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    with cgroups.otel.instrument(provider, host=v2):
        assert any(key[1:2] == (identity,) for key in _points(reader)["container.memory.usage"][1])
    provider.shutdown()


# ---- the command ----------------------------------------------------------------------------------


def test_export_once_prints_the_metrics(command: Any, v2_root: Path) -> None:
    done = command.run("export", "/job/a", "--once", "--no", "pressure", "--with", "tree", root=v2_root)
    scraped = Scraped(done.out)
    assert done.code == 0
    assert scraped("cgroup_cpu_usage_seconds_total", cgroup="/job/a") == 4.992686
    assert scraped("cgroup_descendants", cgroup="/job/a") == 0
    assert "pressure" not in done.out


def test_export_textfile_is_replaced_whole(command: Any, v2_root: Path, tmp_path: Path) -> None:
    file = tmp_path / "cgroups.prom"
    file.write_text("old")
    assert command.run("export", "--textfile", str(file), "--once", root=v2_root).code == 0
    assert Scraped(file.read_text())("cgroup_pids", cgroup="/job/a") == 1
    assert sorted(os.listdir(tmp_path)) == ["cgroups.prom", "v2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--listen", "nope"], "address must be HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "address must be HOST:PORT"),
        (["--listen", "192.0.2.1:9"], "cannot listen on 192.0.2.1:9: EADDRNOTAVAIL"),
        (["--textfile", "/nope/x.prom", "--once"], "cannot write /nope/x.prom: ENOENT"),
        (["--once", "--listen", "127.0.0.1:99999"], "address must be HOST:PORT"),
        (["--otlp", "localhost:4318"], "URL must be http://HOST:PORT"),
        (["--otlp", "http://127.0.0.1:9", "--once"], "cannot send to http://127.0.0.1:9/v1/metrics: "),
        (["--otlp", "http://127.0.0.1:9", "--with", "hugetlb"], "the family hugetlb has no metrics for OpenTelemetry"),
        (["--tls-cert", "/nope.pem"], "cannot use the certificate /nope.pem: ENOENT"),
        (["/nope", "--once"], "cannot find '/nope'"),
        (["--include", "(", "--once"], "include must be a regular expression"),
    ],
    ids=str,
)
def test_export_failure_is_one_line(command: Any, v2_root: Path, words: list[str], message: str) -> None:
    assert message in command.failed(command.run("export", *words, root=v2_root))


@pytest.mark.parametrize(
    "words",
    [
        *(["--no", "nope"], ["--names", "nope"], ["--listen", ":1", "--textfile", "x"], ["-i", "0.1"]),
        *(["--textfile", "x.txt"], ["--dashboard", "--rules"], ["--otlp", "http://x:1", "--names", "cadvisor"]),
        *(["--tls-client-ca", "x"], ["--tls-key", "x"], ["--textfile", "x.prom", "--tls-cert", "x"]),
    ],
    ids=str,
)
def test_export_wrong_option_is_a_usage_error(command: Any, v2_root: Path, words: list[str]) -> None:
    command.misused(command.run("export", *words, root=v2_root))


@pytest.mark.parametrize("extra", ["prometheus", "otel"])
def test_export_without_its_extra_names_it(extra: str, command: Any, v2_root: Path, monkeypatch: Any) -> None:
    package = {"prometheus": "prometheus_client", "otel": "opentelemetry"}[extra]
    for name in [name for name in sys.modules if name.partition(".")[0] == package or name == f"cgroups.{extra}"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    words = ["--otlp", "http://127.0.0.1:9"] if extra == "otel" else []
    line = command.failed(command.run("export", "--once", *words, root=v2_root))
    assert f"pip install 'cgroups-cffi[{extra}]'" in line


def test_export_dashboard_and_rules_are_printed(command: Any, v2_root: Path) -> None:
    assert json.loads(command.run("export", "--dashboard", root=v2_root).out)["title"] == "Control groups"
    assert command.run("export", "--rules", root=v2_root).out.startswith("groups:\n")


def test_export_otlp_sends_to_a_collector(command: Any, v2_root: Path) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    bodies: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        done = command.program("export", "--otlp", f"http://127.0.0.1:{server.server_port}", "--once", root=v2_root)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (done.code, done.out, done.err) == (0, "", "")
    paths = {path for path, _ in bodies}
    assert paths == {"/v1/metrics"}
    sent = ExportMetricsServiceRequest.FromString(bodies[0][1])
    names = {m.name for r in sent.resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert {"container.cpu.time", "container.memory.usage", "cgroup.pressure.time"} <= names


def test_export_serves_until_a_signal(command: Any, v2_root: Path) -> None:
    import signal
    import subprocess

    words = command.words("export", "--listen", "127.0.0.1:0", root=v2_root)
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("cgroups: serving http://127.0.0.1:")
        url = line.split()[2]
        scraped = Scraped(urllib.request.urlopen(url, timeout=10).read().decode())
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""
    assert scraped("cgroup_pids", cgroup="/job/a") == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_export_with_a_certificate_serves_https(command: Any, v2_root: Path, tmp_path: Path) -> None:
    import signal
    import ssl
    import subprocess

    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*make.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    words = command.words("export", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, root=v2_root)
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process, socket.socket() as idle:
        assert process.stderr is not None
        url = process.stderr.readline().split()[2]
        assert url.startswith("https://")
        idle.connect(("127.0.0.1", int(url.split(":")[2].partition("/")[0])))  # and sends nothing
        trusted = ssl.create_default_context(cafile=cert)
        with urllib.request.urlopen(url, timeout=10, context=trusted) as answer:
            scraped = Scraped(answer.read().decode())
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert process.stderr.read() == ""
    assert scraped("cgroup_pids", cgroup="/job/a") == 1
