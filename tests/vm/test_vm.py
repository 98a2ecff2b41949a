"""The kernel tier inside guests: the kernels that users have, in each way of mounting cgroups that they meet."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import booted
import guests
import machine
import pytest
from modes import MODES, Mode

CI = os.environ.get("CI") == "true"

# An emulated processor keeps one of this machine's busy.
AT_ONCE = os.cpu_count() or 1


FEWEST = {"native": 800 if guests.WHOLE else 250, "python": 20}
"""Fewer tests than these, by backend, were not all of them."""


# What one processor cannot show.
TWO_CPUS = replace(MODES[1], cpus=2)
NEED_TWO_CPUS = {
    "native": [
        f"{guests.KERNEL}/test_excepted_files.py::test_partition_is_made_or_refused",
        f"{guests.KERNEL}/test_enforcement.py::test_cpuset_child_runs_on_its_cpus",
    ]
}

Running = dict[str, "Future[guests.Ended]"]


@pytest.fixture(scope="session", autouse=True)
def can_boot() -> None:
    lacking = guests.missing() or booted.missing()
    if lacking and CI:
        pytest.fail(f"the virtual machines cannot run: {lacking}")
    if lacking:
        pytest.skip(lacking)


@dataclass(frozen=True)
class Result:
    """The content of pytest's report of one run: the names of tests, and failures with their messages."""

    ran: frozenset[str]
    skipped: frozenset[str]
    failed: dict[str, str]

    @classmethod
    def of(cls, report: Path) -> Result:
        ran, skipped, failed = set(), set(), {}
        for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - written by ourselves
            # As pytest has it on the command line: tests/kernel/test_seed.py::test_it[root].
            name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
            wrong = [child for child in case if child.tag in ("failure", "error")]
            if wrong:
                failed[name] = wrong[0].get("message") or ""
            (skipped if case.find("skipped") is not None else ran).add(name)
        return cls(frozenset(ran), frozenset(skipped), failed)


def listed(mode: Mode) -> set[str]:
    """The committed list: ``test  # reason`` a line."""
    lines = [line.partition("#") for line in mode.skips().read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not line[2].strip()] == [], "a skip without a reason"
    return {name.strip() for name, _, _ in lines}


@pytest.fixture(scope="session")
def before() -> machine.Machine:
    return machine.look()


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guests")


@pytest.fixture(scope="session")
def running(before: machine.Machine, places: Path) -> Iterator[Running]:  # noqa: ARG001
    """All modes, as many at once as there are processors; what the interrupted ones started is ended."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # The longest first, or one processor would have nothing to do at the end.
        started = {"systemd": pool.submit(booted.run_all, places / "systemd")}
        order = sorted(MODES, key=lambda mode: len(mode.only), reverse=True)
        started |= {mode.name: pool.submit(guests.run_tier, mode, places / mode.name) for mode in order}
        started["two"] = pool.submit(guests.run_tier, TWO_CPUS, places / "two", NEED_TWO_CPUS)
        try:
            yield started
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            guests.end_all()


def sees(out: Path, mode: Mode) -> None:
    """The guest was what the mode says."""
    assert (out / "kernel").read_text().startswith(f"{mode.series}.")
    mounts = [line.split(" - ") for line in (out / "mountinfo").read_text().splitlines() if " - cgroup" in line]
    v2 = [left.split()[4] for left, right in mounts if right.startswith("cgroup2 ")]
    assert v2 == ([mode.v2] if mode.v2 else [])
    v1 = {left.split()[4].rpartition("/")[2] for left, right in mounts if right.startswith("cgroup ")}
    assert v1 == {*mode.v1, "systemd"} if mode.v1 else v1 == set()
    assert set((out / "controllers").read_text().split()) == mode.controllers


def end_of(running: Running, out: Path) -> guests.Ended:
    ended = running[out.name].result()
    assert ended.hung is None, f"{out.name}: {ended.hung}; its console's last lines:\n{ended.last_lines()}"
    assert (out / "booted").exists(), f"{out.name} ended before it ran anything:\n{ended.last_lines()}"
    return ended


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_kernel_tier(mode: Mode, running: Running, places: Path, say: list[str]) -> None:
    out = places / mode.name
    ended = end_of(running, out)
    sees(out, mode)
    ran, skipped, failed = set(), set(), {}
    for backend, least in FEWEST.items():
        result = Result.of(out / f"{backend}.xml")
        log = (out / f"{backend}.log").read_text().splitlines()
        say.append(f"{log[0]}: {len(result.ran)} tests run, {len(result.skipped)} skipped, {len(result.failed)} failed")
        assert len(result.ran) >= least, "\n".join(log[-guests.LAST_LINES :])
        ran |= result.ran
        skipped |= result.skipped
        failed |= {f"{name}, {backend} backend": message for name, message in result.failed.items()}
    say.append(f"{mode.name}: {ended.seconds:.0f} s from power-on to power-off")
    assert failed == {}
    modules = {name.partition("::")[0] for name in ran | skipped}
    expected = {name for name in listed(mode) if name.partition("::")[0] in modules}
    assert (skipped - expected, expected - skipped) == (set(), set()), "skipped only, listed only"


def test_what_needs_two_processors(running: Running, places: Path, say: list[str]) -> None:
    out = places / "two"
    end_of(running, out)
    result = Result.of(out / "native.xml")
    say.append(f"{TWO_CPUS.name} with two processors: {len(result.ran)} tests run")
    assert len(result.ran) == len(NEED_TWO_CPUS["native"])
    assert (result.failed, result.skipped) == ({}, set())


@pytest.mark.parametrize("boot", booted.BOOTS, ids=lambda boot: boot.name)
def test_systemd(boot: booted.Boot, running: Running, places: Path, say: list[str]) -> None:
    ended = running["systemd"].result()
    assert ended.hung is None, f"{ended.hung}; its console's last lines:\n{ended.last_lines()}"
    out = places / "systemd" / boot.name
    for place, fewest in boot.places.items():
        result = Result.of(out / f"{place}.xml")
        version = (out / "version").read_text().partition(" (")[0]
        say.append(f"{version}, {boot.name}, {place}: {len(result.ran)} tests run, {len(result.failed)} failed")
        assert len(result.ran) >= fewest, (out / f"{place}.log").read_text()
        assert (result.failed, result.skipped) == ({}, set())
    if boot is booted.BOOTS[-1]:
        say.append(f"systemd: {ended.seconds:.0f} s for its root and {len(booted.BOOTS)} boots")


def test_this_machine_is_as_before(before: machine.Machine, running: Running, places: Path) -> None:
    """Mounts, cgroups and files are the same; no process of a guest's is left, and no other one was moved."""
    for future in running.values():
        future.result()
    after = machine.look()
    assert after.mounts == before.mounts
    assert after.cgroups == before.cgroups
    assert after.settings == before.settings
    changed = {path for path in before.files.keys() | after.files if before.files.get(path) != after.files.get(path)}
    assert changed == set()
    assert {
        process: (cgroups, after.processes[process])
        for process, cgroups in before.processes.items()
        if process in after.processes and after.processes[process] != cgroups
    } == {}
    left = [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if str(places).encode() in safely(entry.read_bytes)]
    assert left == []


def safely(read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except OSError:  # the process has ended
        return b""


def test_a_guest_that_hangs_is_ended_and_reported(places: Path) -> None:
    """A real guest prints something, and then waits without a limit."""
    out = places / "hung"
    out.mkdir()
    script = out / "run.sh"
    script.write_text(f": > {out}/booted\necho these were its last words > /dev/kmsg\nsleep 100000\n")
    ended = guests.watch(guests.command(MODES[0], out, script), out, run=3)
    assert ended.hung == "running took more than 3 s"
    assert "these were its last words" in ended.last_lines()
    assert ended.seconds < guests.BOOT + 30
