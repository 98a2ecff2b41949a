"""Export of real cgroups: known loads, cgroups that come and go, and callers without rights."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from common import MIB, SCALE, SLOW, MakeCgroup, Need, Spawn, path_of

from cgroups import Cpuacct, Hierarchy, Parameters
from cgroups.prometheus import Collector

NOBODY = 65534
BURN = "while True: pass"
# Waits for a line, then exceeds any limit.
HOG = ["sh", "-c", "read -r _ && exec tail -n 1 /dev/zero"]


def scrape(collector: Collector) -> dict[tuple[str, ...], float]:
    """The values of one scrape, by name and labels."""
    return {
        (sample.name, *(text for _, text in sorted(sample.labels.items()))): sample.value
        for metric in collector.collect()
        for sample in metric.samples
    }


@pytest.fixture
def collector() -> Iterator[Callable[..., Collector]]:
    made: list[Collector] = []

    def make(*specs: str, **options: Any) -> Collector:
        made.append(Collector(*specs, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


Make = Callable[..., Collector]


def test_collector_cpu_of_a_known_load_is_the_kernels(
    make_ready: MakeCgroup, need: Need, spawn: Spawn, collector: Make
) -> None:
    need("cpuacct")
    cgroup = make_ready("cpuacct")
    one = collector(str(cgroup))
    cgroup.add_process(spawn(sys.executable, "-S", "-c", BURN).pid)
    time.sleep(0.5 * SLOW)
    before = Parameters.get(Cpuacct.usage, cgroup)
    value = scrape(one)["cgroup_cpu_usage_seconds_total", cgroup.location]
    after = Parameters.get(Cpuacct.usage, cgroup)
    assert before / 1e9 <= value <= after / 1e9
    assert before > 0.1e9


def test_collector_counts_one_oom_kill(make_ready: MakeCgroup, need: Need, spawn: Spawn, collector: Make) -> None:
    need("memory")
    cgroup = make_ready("memory")
    cgroup.write_text("memory.max" if cgroup.version == 2 else "memory.limit_in_bytes", str(16 * MIB))
    if cgroup.version == 2 and path_of(cgroup, "memory.swap.max").exists():
        cgroup.write_text("memory.swap.max", "0")
    one = collector(str(cgroup))
    assert scrape(one)["cgroup_memory_events_total", cgroup.location, "oom_kill"] == 0
    hog = spawn(*HOG, stdin=subprocess.PIPE)
    cgroup.add_process(hog.pid)
    hog.communicate(b"\n", timeout=30 * SLOW)
    found = scrape(one)
    assert found["cgroup_memory_events_total", cgroup.location, "oom_kill"] == 1
    assert found["cgroup_memory_limit_bytes", cgroup.location] == 16 * MIB
    assert found["cgroup_memory_effective_limit_bytes", cgroup.location] == 16 * MIB
    assert 0 < found["cgroup_memory_max_usage_bytes", cgroup.location] <= 16 * MIB


def test_collector_cgroup_made_again_starts_again(
    make_ready: MakeCgroup, need: Need, spawn: Spawn, collector: Make
) -> None:
    need("cpuacct")
    above = make_ready("cpuacct")
    cgroup = Hierarchy.find_or_create(f"{above}/again")
    one = collector(str(above), families=["cpu"])
    child = spawn(sys.executable, "-S", "-c", "for _ in range(10**6): pass")
    cgroup.add_process(child.pid)
    child.wait(60 * SLOW)
    usage = ("cgroup_cpu_usage_seconds_total", cgroup.location)
    start = ("cgroup_start_time_seconds", cgroup.location)
    first = scrape(one)
    assert abs(first[start] - time.time()) < 60 * SLOW
    assert scrape(one)[start] == first[start]
    cgroup.remove()
    assert usage not in scrape(one)
    time.sleep(0.02)
    Hierarchy.find_or_create(str(cgroup))
    second = scrape(one)
    assert second[start] > first[start]
    assert second[usage] < first[usage]


def test_collector_churn_keeps_memory_and_descriptors_flat(
    make_ready: MakeCgroup, need: Need, collector: Make, open_descriptors: Callable[[], int]
) -> None:
    need("pids")
    above = make_ready("pids")
    one = collector(str(above), families=["pids", "processes"])
    rounds = max(int(1000 * SCALE), 100)
    names = [f"{above}/{number}" for number in range(20)]
    chosen = random.Random(1)

    def turn() -> None:
        name = chosen.choice(names)
        if (cgroup := Hierarchy.find(name)) is None:
            Hierarchy.find_or_create(name)
        else:
            cgroup.remove()
        scrape(one)

    for _ in range(rounds // 5):
        turn()
    descriptors, memory = open_descriptors(), _memory()
    for _ in range(rounds):
        turn()
    assert open_descriptors() <= descriptors + 20  # one or two for each cgroup that exists
    assert _memory() - memory < MIB


def _memory() -> int:
    """Anonymous memory of this process, in bytes."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        [kib] = [line.split()[1] for line in file if line.startswith("Anonymous:")]
    return int(kib) << 10


def test_collector_removal_during_scrapes_raises_nothing(make_ready: MakeCgroup, need: Need, collector: Make) -> None:
    need("pids")
    above = make_ready("pids")
    one = collector(str(above), families=["pids", "processes", "cpuset", "tree"])
    over = threading.Event()

    def churn() -> None:
        while not over.is_set():
            for number in range(5):
                Hierarchy.find_or_create(f"{above}/{number}")
            for number in range(5):
                Hierarchy.find_exn(f"{above}/{number}").remove()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(max(int(200 * SCALE), 20)):
            found = scrape(one)
            assert found["cgroup_pids", above.location] == 0
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("name", ['a"b', "a\\b", "\udcff"], ids=repr)
def test_collector_hostile_name_is_one_valid_line(
    name: str, make_ready: MakeCgroup, need: Need, collector: Make
) -> None:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.parser import text_string_to_metric_families

    need("pids")
    above = make_ready("pids")
    path = os.fsencode(os.path.join(str(above.path), name))
    os.mkdir(path)
    try:
        registry = CollectorRegistry()
        registry.register(collector(str(above), families=["pids"]))
        text = generate_latest(registry).decode()
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        labels = [one.labels["cgroup"] for one in samples if one.name == "cgroup_start_time_seconds"]
        assert len(labels) == 2
        assert labels[1].startswith(f"{above.location}/")
    finally:
        os.rmdir(path)


OWN = """
import os
from cgroups.prometheus import Collector
with Collector(".", depth=0) as one:
    list(one.collect())  # imports all: the user may not read the library of this Python
if uid := int(sys.argv[1]):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
with Collector(".", depth=0) as one:
    samples = [sample for metric in one.collect() for sample in metric.samples]
names = {sample.name for sample in samples}
paths = {sample.labels["cgroup"] for sample in samples if "cgroup" in sample.labels}
own = {cgroup.location for cgroup in Hierarchy.process_info(os.getpid())}
print(bool(paths) and paths <= own, "cgroup_info" in names, "cgroup_start_time_seconds" in names)
"""


@pytest.mark.parametrize("uid", [0, NOBODY], ids=["root", "user"])
def test_collector_own_cgroup_needs_no_right(uid: int, run_script: Callable[..., str]) -> None:
    assert run_script(OWN, str(uid)).split() == ["True", "True", "True"]


def test_collector_all_cgroups_are_those_of_the_machine(make_ready: MakeCgroup, need: Need, collector: Make) -> None:
    need("pids")
    cgroup = make_ready("pids")
    found = scrape(collector(families=["pids"]))
    assert found["cgroup_pids", cgroup.location] == 0
    labels = {label for name, *labels in found if name == "cgroup_start_time_seconds" for label in labels}
    paths = {one.location for one in cgroup.hierarchy.root().walk()}
    # Cgroups of the machine come and go between the two looks.
    assert len(labels & paths) >= len(paths) - 5
