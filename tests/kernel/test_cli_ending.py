"""The commands freeze, thaw, kill, wait and remove -k, on real cgroups."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from common import MakeCgroup, Spawn, sub

from cgroups import Cgroup, Freezer, Hierarchy, Parameters, Subsystem


def run(*words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "cgroups", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def cgroup(make_cgroup: MakeCgroup) -> Cgroup:
    """One that can be frozen."""
    return make_cgroup("freezer" if Subsystem.find("freezer").version == 1 else "")


@pytest.fixture
def child(cgroup: Cgroup, spawn: Spawn) -> subprocess.Popen[bytes]:
    process = spawn("sleep", "100")
    cgroup.add_process(process.pid)
    return process


def test_freeze_and_thaw(cgroup: Cgroup, child: subprocess.Popen[bytes]) -> None:
    assert run("freeze", str(cgroup)) == (0, "", "")
    assert Parameters.get(Freezer.state, cgroup) == "FROZEN"
    assert run("freeze", str(cgroup)) == (0, "", "")
    assert run("thaw", str(cgroup)) == (0, "", "")
    assert Parameters.get(Freezer.state, cgroup) == "THAWED"
    assert child.poll() is None


def test_kill_ends_what_is_inside(cgroup: Cgroup, child: subprocess.Popen[bytes]) -> None:
    cgroup.freeze()
    assert run("kill", str(cgroup)) == (0, "1\n", "")
    assert child.wait(10) == -signal.SIGKILL
    assert run("kill", str(cgroup)) == (0, "0\n", "")


def test_kill_sends_a_signal(cgroup: Cgroup, child: subprocess.Popen[bytes]) -> None:
    assert run("kill", "-s", "0", str(cgroup))[0] == 2
    assert run("kill", "--signal", "nope", str(cgroup))[0] == 2
    assert child.poll() is None
    assert run("kill", "-s", "SIGUSR1", str(cgroup)) == (0, "1\n", "")
    assert child.wait(10) == -signal.SIGUSR1


@pytest.mark.parametrize("name", ["TERM", "SIGTERM", "term", "15"])
def test_names_of_signals(name: str) -> None:
    from cgroups.cli.common.signals import signal_named

    assert signal_named(name) == signal.SIGTERM


def test_wait(cgroup: Cgroup, child: subprocess.Popen[bytes]) -> None:
    code, out, err = run("wait", str(cgroup), "--timeout", "0.1")
    assert (code, out) == (1, "")
    assert "did not become empty" in err
    waiting = subprocess.Popen([sys.executable, "-m", "cgroups", "wait", str(cgroup)], cwd="/")
    try:
        time.sleep(0.2)
        assert waiting.poll() is None
        child.kill()
        child.wait()
        assert waiting.wait(60) == 0
    finally:
        waiting.kill()
        waiting.wait()


def test_remove_with_what_is_inside(cgroup: Cgroup, child: subprocess.Popen[bytes]) -> None:
    below = sub(cgroup, "below")
    assert run("remove", "-r", str(cgroup))[0] == 1
    assert below.exists
    assert run("remove", "-rk", str(cgroup)) == (0, "", "")
    assert child.wait(10) == -signal.SIGKILL
    assert not cgroup.exists


def test_freeze_on_another_hierarchy_names_the_freezer(make_cgroup: MakeCgroup) -> None:
    heads = [one.spec_head for one in Hierarchy.scan() if one.version == 1 and not one.has("freezer")]
    if Subsystem.find("freezer").version != 1 or not heads:
        pytest.skip("the freezer is not on v1, beside other hierarchies")
    cgroup = make_cgroup(heads[0])
    code, out, err = run("freeze", str(cgroup))
    assert (code, out) == (1, "")
    assert f"freezer:{cgroup.location}" in err


def test_kill_several_specs_at_once(
    make_cgroup: MakeCgroup, every_cgroup: Callable[[], list[Cgroup]], spawn: Spawn
) -> None:
    cgroups = every_cgroup()
    children = []
    for one in cgroups:
        process = spawn("sleep", "100")
        one.add_process(process.pid)
        children.append(process)
    assert run("kill", *map(str, cgroups)) == (0, f"{len(children)}\n", "")
    assert [process.wait(10) for process in children] == [-signal.SIGKILL] * len(children)
    code, _, err = run("kill", str(cgroups[0]), str(cgroups[0]))
    assert code == 1
    assert "must have one cgroup per hierarchy" in err


@pytest.fixture
def every_cgroup(make_ready: MakeCgroup) -> Callable[[], list[Cgroup]]:
    """A fresh cgroup of each hierarchy."""
    from cgroups import Hierarchy

    return lambda: [make_ready(one.spec_head) for one in Hierarchy.scan()]


def test_freeze_on_another_hierarchy_says_what_to_do(make_cgroup: MakeCgroup) -> None:
    """Freezing an empty cgroup of the freezer would stop nothing."""
    if Subsystem.find("freezer").version != 1 or Subsystem.find("pids").version != 1:
        pytest.skip("pids and the freezer are not hierarchies of v1")
    cgroup = make_cgroup("pids")
    code, _, error = run("freeze", str(cgroup))
    assert code == 1
    spec = f"freezer:{cgroup.location}"
    assert (
        f"(move its processes into a cgroup of the freezer: cgroups create {spec}; cgroups attach {spec} PID)" in error
    )
    there = Hierarchy.find_or_create(spec)
    try:
        assert f"(use {spec})" in run("freeze", str(cgroup))[2]
    finally:
        there.remove()
