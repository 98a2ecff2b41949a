"""The limits that a process in a container sees: its own, whoever set them, and a sign of hidden ancestors."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable

import pytest
from common import MIB, MakeCgroup

import cgroups
from cgroups import MAX, Cgroup, Cpu, CpuMax, Hierarchy, Memory, Parameters, Pids

LIMIT = 64 * MIB

Limited = dict[str, Cgroup]


@pytest.fixture
def limited(make_ready: MakeCgroup, need: Callable[[str], None]) -> Limited:
    """A cgroup of each hierarchy that limits memory, CPU time or the count of processes, below one that limits more."""
    there: Limited = {}
    for controller in ("memory", "cpu", "pids", "cpuset"):
        try:
            need(controller)
        except pytest.skip.Exception:
            continue
        on = [one for one in there.values() if one.hierarchy == Hierarchy.find_exn(controller).hierarchy]
        there[controller] = on[0] if on else make_ready(controller, "/outer/inner")
        if on:
            Hierarchy.find_or_create(f"{controller}:{on[0].location}")
    assert there or Hierarchy.find(":/") is not None
    limits = {
        "memory": (Memory.limit_in_bytes, LIMIT),
        "cpu": (Cpu.max, CpuMax(30_000, 50_000)),
        "pids": (Pids.max, 50),
    }
    for controller, (parameter, value) in limits.items():
        if controller in there:
            Parameters.set(parameter, there[controller], value)
    return there


# Its arguments: what is to be mounted, [kind, options, where]; and what is limited.
CONTAINER = """
print("ready", flush=True)
sys.stdin.readline()
mounts, limited = json.loads(sys.argv[1]), json.loads(sys.argv[2])
unshare(CLONE_NEWNS | (CLONE_NEWCGROUP if sys.argv[3] == "namespace" else 0))
mount(None, "/", flags=MS_REC | MS_PRIVATE)
before = [one.path for hierarchy in Hierarchy.scan() for one in hierarchy.mounts]
for one in mounts:
    os.makedirs(one["inside"], exist_ok=True)
    if sys.argv[3] == "namespace":
        mount("cgroup", one["inside"], one["kind"], data=one["options"])
    else:
        bind(one["point"] + one["location"], one["inside"])
for path in before:
    umount(path)
assert len(Hierarchy.scan()) == len(mounts)
"""

CHECKS = """
import cgroups
mine = [one for one in Hierarchy.process_info(os.getpid()) if one.path is not None]
assert len(mine) == len(mounts), mine
for one in mine:
    # The root of all that it sees, and in a namespace it is called so.
    assert one.is_root and one.exists and os.getpid() in one.processes()
    assert one == one.hierarchy.root() and one.parent is None
    assert Hierarchy.find(str(one)) == one
    if sys.argv[3] == "namespace":
        assert one.location == "/", one
    # For which nothing is enabled: v2 refuses that where there are processes.
    made = Hierarchy.find_or_create(f"{one.hierarchy.spec_head}:{one.location.rstrip('/')}/below")
    assert Hierarchy.find_exn(str(made)) == made and one.children() == [made]
    made.remove()
for controller, name, value in limited:
    own = Hierarchy.own(controller)
    assert own in mine and own == Hierarchy.find_exn(controller)
    parameter = Subsystem.parameter_named(name)
    there = Parameters.get(parameter, own)
    assert (list(there) if name == "cpu.max" else there) == value, there
    found = own.effective(parameter)
    assert (found.value, found.cgroup, found.hidden) == (Parameters.get(parameter, own), own, True), found
found = cgroups.capacity()
names = {controller for controller, *_ in limited}
if "memory" in names:
    assert found.memory == dict((one[0], one[2]) for one in limited)["memory"], found
    assert found.sources["memory"].hidden and found.sources["memory"].cgroup == Hierarchy.own("memory")
if "cpu" in names:
    assert found.cpus == 0.6, found
    assert found.sources["cpus"].cgroup == Hierarchy.own("cpu")
assert found.cpuset == tuple(sorted(os.sched_getaffinity(0)))
"""


def _mounts(limited: Limited, tmp: str) -> list[dict[str, str | None]]:
    found = {one.hierarchy: one for one in limited.values()}
    return [
        {
            "kind": "cgroup" if hierarchy.version == 1 else "cgroup2",
            "options": ",".join(hierarchy.subsystems) if hierarchy.version == 1 else None,
            "point": hierarchy.mount_point,
            "location": cgroup.location,
            "inside": f"{tmp}/{number}",
        }
        for number, (hierarchy, cgroup) in enumerate(found.items())
    ]


def _limits(limited: Limited) -> list[tuple[str, str, object]]:
    names = {"memory": "memory.limit_in_bytes", "cpu": "cpu.max", "pids": "pids.max"}
    values = {"memory": LIMIT, "cpu": [30_000, 50_000], "pids": 50}
    return [(controller, name, values[controller]) for controller, name in names.items() if controller in limited]


Container = Callable[..., None]


@pytest.fixture
def container(
    limited: Limited, script: Callable[..., list[str]], spawn: Callable[..., subprocess.Popen[bytes]], tmp_path: object
) -> Container:
    """``container(text, how)`` runs a text in a process that is in the limited cgroups, and sees only these."""

    def run(text: str, how: str) -> None:
        arguments = json.dumps(_mounts(limited, str(tmp_path))), json.dumps(_limits(limited)), how
        pipe = subprocess.PIPE
        child = spawn(*script(CONTAINER + text, *arguments), stdin=pipe, stdout=pipe, stderr=pipe, cwd="/")
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        for cgroup in {one.hierarchy: one for one in limited.values()}.values():
            cgroup.add_process(child.pid)
        _, errors = child.communicate(b"\n", timeout=120)
        assert child.returncode == 0, errors.decode()

    return run


@pytest.mark.parametrize("how", ["namespace", "bind"])
def test_inside_a_container(container: Container, how: str) -> None:
    """``namespace``: as runtimes do; ``bind``: as they did on v1, where /proc/self/cgroup tells the whole path."""
    container(CHECKS, how)


def test_inside_a_container_that_mounts_nothing(container: Container) -> None:
    """Nothing can be known of a limit: the machine's own size, and that there may be less."""
    container(
        """
import cgroups
for one in mounts:
    umount(one["inside"])
assert Hierarchy.find("memory") is None
found = cgroups.capacity()
assert found.memory == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
assert found.cpus == len(found.cpuset) == len(os.sched_getaffinity(0))
assert found.sources["memory"].hidden or not any(name == "memory" for name, *_ in limited)
""",
        "namespace",
    )


def test_effective_tightest_limit_may_be_hidden(limited: Limited, container: Container) -> None:
    """Outside, the parent cgroup is the limit; inside, the parent is hidden, and the result says it."""
    if "memory" not in limited:
        pytest.skip("no cgroup with the controller memory can be made here")
    inner = limited["memory"]
    outer = inner.parent
    assert outer is not None
    Parameters.set(Memory.limit_in_bytes, inner, MAX)
    Parameters.set(Memory.limit_in_bytes, outer, LIMIT)
    found = inner.effective(Memory.limit_in_bytes)
    assert (found.value, found.cgroup, found.hidden) == (LIMIT, outer, False)
    container(
        """
own = Hierarchy.own("memory")
found = own.effective(Memory.limit_in_bytes)
assert (found.value, found.cgroup, found.hidden) == (MAX, None, True), found
""",
        "namespace",
    )


# ---- on the host itself ---------------------------------------------------------------------


def test_effective_limit_is_the_kernels_own(limited: Limited) -> None:
    """v1 says the hierarchical limit itself: memory.stat has it."""
    memory = limited.get("memory")
    if memory is None or memory.parent is None:
        pytest.skip("no cgroup with the controller memory can be made here")
    for outer, inner in ((LIMIT, 2 * LIMIT), (2 * LIMIT, LIMIT), (LIMIT, MAX)):
        Parameters.set(Memory.limit_in_bytes, memory.parent, MAX)
        Parameters.set(Memory.limit_in_bytes, memory, inner)
        Parameters.set(Memory.limit_in_bytes, memory.parent, outer)
        found = memory.effective(Memory.limit_in_bytes)
        assert found.value == LIMIT
        assert found.cgroup == (memory if inner == LIMIT else memory.parent)
        if memory.version == 1:
            assert Parameters.get(Memory.stat, memory).hierarchical_memory_limit == LIMIT


def test_capacity_of_a_child(limited: Limited, spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
    child = spawn("sleep", "60")
    for cgroup in {one.hierarchy: one for one in limited.values()}.values():
        cgroup.add_process(child.pid)
    first = min(os.sched_getaffinity(0))
    os.sched_setaffinity(child.pid, {first})
    found = cgroups.capacity(child.pid)
    assert found.cpuset == (first,)
    if "memory" in limited:
        assert found.memory == LIMIT
    if "cpu" in limited:
        assert found.cpus == 0.6
    assert not any(source.hidden for source in found.sources.values())
