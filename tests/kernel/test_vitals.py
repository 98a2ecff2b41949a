"""Vitals of real cgroups: a known load of the CPU, a known amount of memory, and one OOM kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from common import MIB, SLOW, MakeCgroup, Need, Spawn

from cgroups import MAX, Cgroup, Cpuacct, Memory, Parameters
from cgroups.cli.common.vitals import VITALS, Vitals


class Watched:
    """The vitals of one job from its start on, a row for each call."""

    def __init__(self, cgroups: list[Cgroup]) -> None:
        self._vitals = Vitals({"job": cgroups})
        self._sampler = self._vitals.sampler()
        self._vitals.start(self._sampler.sample())

    def row(self) -> dict[str, Any]:
        ((_, _, label, *figures),) = self._vitals.rows([self._sampler.sample()])
        assert label == "job"
        return dict(zip(VITALS, figures))

    def close(self) -> None:
        self._sampler.close()


@pytest.fixture
def watched() -> Iterator[Callable[[list[Cgroup]], Watched]]:
    made: list[Watched] = []

    def watch(cgroups: list[Cgroup]) -> Watched:
        made.append(Watched(cgroups))
        return made[-1]

    yield watch
    for one in made:
        one.close()


def held(cgroups: list[Cgroup], spawn: Spawn, script: str) -> subprocess.Popen[bytes]:
    """Start a script whose first instruction is in the cgroups."""
    child = spawn("sh", "-c", 'read line; exec "$@"', "sh", sys.executable, "-S", "-c", script,
                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    for cgroup in cgroups:
        cgroup.add_process(child.pid)
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.flush()
    return child


def test_vitals_of_a_known_load(
    parents: list[Cgroup], watched: Callable[[list[Cgroup]], Watched], spawn: Spawn, need: Need
) -> None:
    need("memory")
    need("pids")
    script = f"x = bytearray({16 * MIB}); print(flush=True)\nwhile True: pass"
    child = held(parents, spawn, script)
    assert child.stdout is not None
    child.stdout.readline()
    now = watched(parents)
    counted = next(one for one in parents if one.version == 2 or "cpuacct" in one.subsystems)
    began, before = time.monotonic(), Parameters.get(Cpuacct.usage, counted)
    time.sleep(0.5 * SLOW)
    row = now.row()
    used = (Parameters.get(Cpuacct.usage, counted) - before) / (time.monotonic() - began) / 1e9
    assert row["cpu"] == pytest.approx(used, rel=0.2)
    assert 16 * MIB <= row["working_set"] <= row["memory"] <= 48 * MIB
    assert (row["pids"], row["limit"], row["oom_kills"]) == (1, MAX, 0)
    assert row["swap"] in (0, None)  # None without swap accounting
    assert row["throttled"] is None or row["throttled"] == 0


def test_vitals_of_an_oom_kill_count_it_once(
    make_cgroup: MakeCgroup, watched: Callable[[list[Cgroup]], Watched], spawn: Spawn, need: Need
) -> None:
    need("memory")
    cgroup = make_cgroup("memory")
    Parameters.set(Memory.limit_in_bytes, cgroup, 32 * MIB)
    now = watched([cgroup])
    child = held([cgroup], spawn, "x = []\nwhile True: x.append(bytearray(1 << 20))")
    assert child.wait(60 * SLOW) == -signal.SIGKILL
    rows = [now.row() for _ in range(3)]
    assert [row["oom_kills"] for row in rows] == [1, 0, 0]
    assert {row["limit"] for row in rows} == {32 * MIB}


def test_vitals_of_a_removed_cgroup_are_none(
    make_cgroup: MakeCgroup, watched: Callable[[list[Cgroup]], Watched], need: Need
) -> None:
    need("memory")
    cgroup = make_cgroup("memory")
    now = watched([cgroup])
    assert now.row()["memory"] is not None
    cgroup.remove()
    assert {*now.row().values()} == {None}
