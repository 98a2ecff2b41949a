"""Features of only v2: freezing, killing, threaded cgroups, limits on the tree, pressure, enabling."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from common import OWN_HOST, MakeCgroup, Spawn

from cgroups import (
    MAX,
    Cgroup,
    CgroupBusy,
    CgroupOSError,
    Core,
    Cpu,
    Freezer,
    Hierarchy,
    InvalidValue,
    Memory,
    ParameterNotSupported,
    Parameters,
    Subsystem,
    SubsystemNotAttached,
    SubsystemNotAvailable,
)

pytestmark = pytest.mark.skipif(Hierarchy.find(":/") is None, reason="no unified hierarchy is mounted here")


def text(cgroup: Cgroup, name: str) -> str:
    return (Path(str(cgroup.path)) / name).read_text().strip()


def has(cgroup: Cgroup, name: str) -> bool:
    return (Path(str(cgroup.path)) / name).exists()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def sub(top: Cgroup, path: str) -> Cgroup:
    """A cgroup below, for which nothing is enabled."""
    return Hierarchy.find_or_create(f":{top.location}/{path}")


@pytest.fixture
def cgroup(make_cgroup: MakeCgroup) -> Cgroup:
    return make_cgroup("")


# ---- core files --------------------------------------------------------------------------


def test_get_new_cgroup_has_defaults(cgroup: Cgroup) -> None:
    assert Parameters.get(Core.type, cgroup) == "domain"
    assert dict(Parameters.get(Core.events, cgroup)) == {"populated": 0, "frozen": 0}
    assert Parameters.get(Core.stat, cgroup).nr_descendants == 0
    assert Parameters.get(Core.max_depth, cgroup) is MAX
    assert Parameters.get(Core.max_descendants, cgroup) is MAX
    assert Parameters.get(Core.subtree_control, cgroup) == ()
    assert list(Parameters.get(Core.controllers, cgroup)) == text(cgroup, "cgroup.controllers").split()
    assert Parameters.get(Core.freeze, cgroup) is False
    assert Parameters.get(Freezer.state, cgroup) == "THAWED"
    sub(cgroup, "a/b")
    assert Parameters.get(Core.stat["nr_descendants"], cgroup) == 2


def test_get_type_of_the_root_raises(cgroup: Cgroup) -> None:
    root = cgroup.hierarchy.root()
    if has(root, "cgroup.type"):
        pytest.skip("the visible root is that of a cgroup namespace")
    for parameter in (Core.type, Core.events, Core.freeze, Freezer.state):
        with pytest.raises(ParameterNotSupported, match="root"):
            Parameters.get(parameter, root)


def test_events_say_populated(cgroup: Cgroup, spawn: Spawn) -> None:
    inner = sub(cgroup, "inner")
    child = spawn("sleep", "60")
    inner.add_process(child.pid)
    for one in (cgroup, inner):
        assert Parameters.get(Core.events, one).populated == 1
    child.kill()
    child.wait()
    until(lambda: Parameters.get(Core.events["populated"], cgroup) == 0)


def test_kill_ends_all_below(cgroup: Cgroup, spawn: Spawn) -> None:
    children = [spawn("sleep", "60") for _ in range(4)]
    for number, child in enumerate(children):
        sub(cgroup, f"{number}/inner").add_process(child.pid)
    outside = spawn("sleep", "60")
    Parameters.set(Core.kill, cgroup, True)
    for child in children:
        assert child.wait(timeout=10) == -9
    assert outside.poll() is None
    until(lambda: Parameters.get(Core.events, cgroup).populated == 0)


def test_freeze_by_both_names(cgroup: Cgroup, spawn: Spawn) -> None:
    child = spawn("sleep", "60")
    cgroup.add_process(child.pid)
    Parameters.set(Core.freeze, cgroup, True)
    until(lambda: Parameters.get(Core.events, cgroup).frozen == 1)
    assert Parameters.get(Freezer.state, cgroup) == "FROZEN"
    Parameters.set(Freezer.state, cgroup, "THAWED")
    assert Parameters.get(Core.freeze, cgroup) is False
    until(lambda: Parameters.get(Core.events, cgroup).frozen == 0)
    Parameters.set(Freezer.state, cgroup, "FROZEN")
    assert text(cgroup, "cgroup.freeze") == "1"
    # A frozen process can be killed here, and needs no thawing.
    Parameters.set(Core.kill, cgroup, True)
    assert child.wait(timeout=10) == -9


@pytest.mark.parametrize("parameter", [Core.max_depth, Core.max_descendants], ids=str)
def test_limits_on_the_tree(cgroup: Cgroup, parameter: Parameters.ReadWrite) -> None:  # type: ignore[type-arg]
    Parameters.set(parameter, cgroup, 1)
    sub(cgroup, "a")
    for attempt in (lambda: sub(cgroup, "a/b"), lambda: Hierarchy.find_exn(str(cgroup) + "/a").make_sub("b")):
        with pytest.raises(CgroupOSError) as caught:
            attempt()
        assert caught.value.errno == errno.EAGAIN
        assert "cgroup.max.depth or cgroup.max.descendants" in str(caught.value.hint)
    # What the call had made on the way is undone.
    Parameters.set(parameter, cgroup, 2)
    with pytest.raises(CgroupOSError):
        sub(cgroup, "b/c/d")
    assert [one.name for one in cgroup.descendants()] == ["a"]


# ---- threaded cgroups -----------------------------------------------------------------------

TWO_THREADS = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
input()
"""


def test_threaded_cgroups(cgroup: Cgroup, spawn: Spawn) -> None:
    inner, other = sub(cgroup, "inner"), sub(cgroup, "other")
    Parameters.set(Core.type, inner, "threaded")
    assert Parameters.get(Core.type, inner) == "threaded"
    assert Parameters.get(Core.type, cgroup) == "domain threaded"
    assert Parameters.get(Core.type, other) == "domain invalid"
    child = spawn(sys.executable, "-c", TWO_THREADS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    cgroup.add_process(child.pid)
    last = max(map(int, os.listdir(f"/proc/{child.pid}/task")))
    inner.add_thread(last)
    assert inner.threads() == [last]
    assert cgroup.threads() == [child.pid]
    assert cgroup.processes() == [child.pid]
    # Only the domain lists processes, and the error names it.
    for attempt in (inner.processes, lambda: Parameters.get(Core.procs, inner)):
        with pytest.raises(CgroupOSError, match=r"type 'threaded'.*domain") as caught:
            attempt()
        assert caught.value.errno == errno.EOPNOTSUPP
    with pytest.raises(CgroupOSError, match="domain invalid"):
        other.add_process(child.pid)
    # A thread does not leave its domain.
    elsewhere = sub(cgroup.hierarchy.root(), f"{cgroup.name}/other")
    with pytest.raises(CgroupOSError, match="threads move within one threaded subtree"):
        elsewhere.add_thread(last)
    with pytest.raises(InvalidValue):
        Parameters.set(Core.type, inner, "domain")  # type: ignore[arg-type]
    with pytest.raises(CgroupOSError):
        Parameters.set(Core.kill, inner, True)
    child.kill()
    child.wait()


def test_remove_threaded_cgroup(cgroup: Cgroup) -> None:
    inner = sub(cgroup, "inner")
    Parameters.set(Core.type, inner, "threaded")
    cgroup.remove(recursive=True)
    assert not cgroup.exists


# ---- pressure -------------------------------------------------------------------------------


def pressures(cgroup: Cgroup) -> list[Parameters.PressureParameter]:
    return [
        parameter
        for parameter in Subsystem.parameters()
        if isinstance(parameter, Parameters.PressureParameter) and has(cgroup, parameter.files(2)[0])
    ]


def test_pressure(cgroup: Cgroup) -> None:
    if not has(cgroup, "cpu.pressure"):
        with pytest.raises(ParameterNotSupported, match="pressure stall information is off"):
            Parameters.get(Cpu.pressure, cgroup)
        return
    for parameter in pressures(cgroup):
        value = Parameters.get(parameter, cgroup)
        for name, line in value.items():
            assert name in ("some", "full")
            assert list(line) == ["avg10", "avg60", "avg300", "total"]
            assert isinstance(line.total, int)
            assert all(0 <= line[key] <= 100 for key in ("avg10", "avg60", "avg300"))
            assert isinstance(Parameters.get(parameter[name, "avg10"], cgroup), float)


def test_pressure_switched_off_is_one_clear_error(cgroup: Cgroup) -> None:
    if not has(cgroup, "cgroup.pressure"):
        with pytest.raises(ParameterNotSupported):
            Parameters.get(Core.pressure, cgroup)
        return
    kept = pressures(cgroup)
    assert kept
    for parameter in kept:
        Parameters.get(parameter, cgroup)  # kept open from here
    Parameters.set(Core.pressure, cgroup, False)
    assert Parameters.get(Core.pressure, cgroup) is False
    fresh = Hierarchy.find_exn(str(cgroup))
    for one in (cgroup, fresh):
        for parameter in kept:
            with pytest.raises(ParameterNotSupported, match="pressure stall information is off") as caught:
                Parameters.get(parameter, one)
            assert "cgroup.pressure" in str(caught.value.hint)
    Parameters.set(Core.pressure, cgroup, True)
    for parameter in kept:
        assert Parameters.get(parameter, cgroup).some is not None or Parameters.get(parameter, cgroup).full is not None


# ---- enabling -----------------------------------------------------------------------------------


def test_cpu_stat_needs_no_controller(cgroup: Cgroup) -> None:
    stat = Parameters.get(Cpu.stat, cgroup)
    assert stat.usage_usec == stat["usage_usec"] == 0
    root = cgroup.hierarchy.root()
    before = text(root, "cgroup.subtree_control")
    for name in ("cpuacct", "freezer", "perf_event"):
        if Subsystem.find(name).version == 2:  # where v1 does not have it
            assert Hierarchy.find_or_create(f"{name}:{cgroup.location}") == cgroup
            assert Hierarchy.find_exn(f"{name}:{cgroup.location}/") == cgroup
    assert text(root, "cgroup.subtree_control") == before


def test_get_missing_controller_names_the_ancestor(cgroup: Cgroup) -> None:
    """On v1 its own hierarchy has it, on v2 an ancestor does not enable it: the error names which."""
    if "memory" in cgroup.subsystems:
        assert Parameters.get(Memory.max, cgroup) is MAX
        return
    with pytest.raises((SubsystemNotAttached, SubsystemNotAvailable)) as caught:
        Parameters.get(Memory.max, cgroup)
    where = Subsystem.find("memory")
    if where.version == 1:
        assert caught.value.hint == f"find memory:{cgroup.location}"
    elif where.version == 2:
        assert ":/ does not enable it: write +memory" in str(caught.value.hint)


def test_subtree_control_replaces_and_is_undone(cgroup: Cgroup) -> None:
    """An unknown controller is refused, and the existing ones are restored."""
    there = Parameters.get(Core.controllers, cgroup)
    inner = sub(cgroup, "inner")
    for wanted in (there, there[:1], (), there):
        Parameters.set(Core.subtree_control, cgroup, wanted)
        assert set(Parameters.get(Core.subtree_control, cgroup)) == set(wanted)
        assert set(inner.subsystems) == set(wanted)
    with pytest.raises(SubsystemNotAvailable):
        Parameters.set(Core.subtree_control, cgroup, [*there, "nonesuch"])
    assert set(Parameters.get(Core.subtree_control, cgroup)) == set(there)
    Parameters.set(Core.subtree_control, cgroup, [])
    with pytest.raises(SubsystemNotAvailable):
        Parameters.set(Core.subtree_control, cgroup, [*there, "nonesuch"])
    assert Parameters.get(Core.subtree_control, cgroup) == ()


def on_v2(controllers: tuple[str, ...]) -> list[str]:
    """Return the controllers of a cgroup below the root that need no write to the root, or for which it is allowed."""
    root = Hierarchy.find(":/")
    if root is None:
        return []
    enabled = text(root, "cgroup.controllers" if OWN_HOST else "cgroup.subtree_control").split()
    return [name for name in controllers if name in enabled]


def test_enabling_down_the_path_and_no_internal_processes(
    cgroup: Cgroup, spawn: Spawn, make_cgroup: MakeCgroup
) -> None:
    root = cgroup.hierarchy.root()
    controllers = on_v2(("memory", "pids", "cpu", "io", "hugetlb"))
    if not controllers:
        pytest.skip("no v2 controller is enabled for the children of the root, which is not the tests' own")
    before = text(root, "cgroup.subtree_control")
    for name in controllers:
        top = make_cgroup(name)
        deep = Hierarchy.find_or_create(f"{name}:{top.location}/a/b")
        assert name in deep.subsystems
        assert name in text(Hierarchy.find_exn(f":{top.location}/a"), "cgroup.subtree_control").split()
        # A cgroup that is there gets it too; one below it that was not asked for does not.
        old = sub(top, "old/inner")
        assert name not in old.subsystems
        assert Hierarchy.find_or_create(f"{name}:{old.location}") == old
        assert name in old.subsystems
        # With a process inside, a cgroup enables nothing for its children; what was made is undone.
        busy = sub(top, "busy")
        child = spawn("sleep", "60")
        busy.add_process(child.pid)
        with pytest.raises(CgroupBusy, match="no internal processes") as caught:
            Hierarchy.find_or_create(f"{name}:{busy.location}/x/y")
        assert str(busy) in str(caught.value.hint)
        assert busy.descendants() == []
        assert text(busy, "cgroup.subtree_control") == ""
        assert text(busy, "cgroup.type") == "domain"
        # And a process does not go where controllers are enabled below.
        other = spawn("sleep", "60")
        if name in ("memory", "io", "hugetlb"):
            with pytest.raises(CgroupBusy, match="no internal processes"):
                top.add_process(other.pid)
            assert top.processes() == []
    # Nothing of it is left to the root but what its own tests may enable.
    if not OWN_HOST:
        assert text(root, "cgroup.subtree_control") == before


def test_enabling_that_is_not_permitted_names_who_may(cgroup: Cgroup, run_script: Callable[..., str]) -> None:
    """An unprivileged process: the kernel refuses the write, or where there is nothing to enable the mkdir."""
    names = ["", *(name for name in cgroup.hierarchy.root().subsystems if Subsystem.find(name).version == 2)]
    run_script(
        """
        base, *names = sys.argv[1:]
        before = open(f"{Hierarchy.find(':/').path}/cgroup.subtree_control").read()
        os.setgid(65534)
        os.setuid(65534)
        for name in names:
            for above in (base, Hierarchy.find(":/").location.rstrip("/")):
                spec = f"{name}:{above}/cgroups-test-{os.getpid()}/a"
                error = raises((AccessDenied, SubsystemNotAttached), Hierarchy.find_or_create, spec)
                if isinstance(error, AccessDenied):
                    assert error.errno == errno.EACCES and "owned by 0:0" in error.hint, error
                assert Hierarchy.find(f":{above}/cgroups-test-{os.getpid()}") is None
        assert open(f"{Hierarchy.find(':/').path}/cgroup.subtree_control").read() == before
        """,
        *(cgroup.location, *names),
    )
    assert cgroup.descendants() == []


def test_find_controller_missing_in_the_visible_root_raises(cgroup: Cgroup, run_unshared: Callable[..., str]) -> None:
    """If only a part of the hierarchy is mounted, a controller missing above raises, and nothing is created."""
    lacking = [name for name in cgroup.hierarchy.root().subsystems if name not in cgroup.subsystems]
    run_unshared(
        """
        tmp, path, location, *lacking = sys.argv[1:]
        before = Hierarchy.find(":/").hierarchy
        bind(path, f"{tmp}/part")
        hide(before)
        for name in [*lacking, "nonesuch"]:
            if Subsystem.find(name).version != 1:
                assert not Subsystem.find(name).available
                error = raises(SubsystemNotAvailable, Hierarchy.find_or_create, f"{name}:{location}/a/b")
                assert name in str(error)
        assert Hierarchy.find_exn(f":{location}").children() == []
        """,
        *(str(cgroup.path), cgroup.location, *lacking),
    )


def test_set_subtree_control_of_a_threaded_cgroup(cgroup: Cgroup, make_cgroup: MakeCgroup) -> None:
    threaded = sub(cgroup, "threaded")
    Parameters.set(Core.type, threaded, "threaded")
    before = [one.location for one in cgroup.walk()]
    with pytest.raises((SubsystemNotAvailable, SubsystemNotAttached, CgroupOSError, InvalidValue)):
        Parameters.set(Core.subtree_control, threaded, ["nonesuch"])
    for name in on_v2(("memory", "hugetlb")):
        top = make_cgroup(name)
        inner = sub(top, "inner")
        Parameters.set(Core.type, inner, "threaded")
        with pytest.raises((CgroupOSError, CgroupBusy, SubsystemNotAttached)):
            Hierarchy.find_or_create(f"{name}:{inner.location}/below")
        assert inner.descendants() == []
    assert [one.location for one in cgroup.walk()] == before
