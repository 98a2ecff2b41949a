"""Processes and threads in cgroups: attaching, listing, where a process is, and refusals to remove."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from common import MakeCgroup, Spawn

from cgroups import (
    Cgroup,
    CgroupBusy,
    Core,
    Hierarchy,
    InvalidValue,
    Parameters,
    ProcessNotFound,
    SubsystemNotAvailable,
)
from cgroups.control.processes import check_outside
from cgroups.core.deadline import Deadline

THREADS = """
import threading
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
input()
"""

# Has a child already; makes another when it is told.
FAMILY = """
import subprocess
first = subprocess.Popen(["sleep", "60"])
print(first.pid, flush=True)
input()
second = subprocess.Popen(["sleep", "60"])
print(second.pid, flush=True)
try:
    input()
finally:
    for child in (first, second):
        child.kill()
        child.wait()
"""


def sub(head: str, top: Cgroup, path: str) -> Cgroup:
    """A cgroup below, without a controller of its own on v2, where those above could have no processes otherwise."""
    return Hierarchy.find_or_create(f"{head}:{top.location}/{path}")


def start(spawn: Spawn, program: str) -> subprocess.Popen[bytes]:
    return spawn(sys.executable, "-c", program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def line(child: subprocess.Popen[bytes]) -> bytes:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def tell(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.flush()


def threads_of(pid: int) -> list[int]:
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))


def listed(cgroup: Cgroup, name: str) -> list[int]:
    """A task list, read without the package."""
    return sorted(int(line) for line in (Path(str(cgroup.path)) / name).read_text().split())


def task_file(cgroup: Cgroup) -> str:
    return "tasks" if cgroup.version == 1 else "cgroup.threads"


def test_add_process_on_every_hierarchy(every_head: str, make_ready: MakeCgroup, spawn: Spawn) -> None:
    cgroup, other = make_ready(every_head), make_ready(every_head)
    child = spawn("sleep", "60")
    Hierarchy.add_process(cgroup, child.pid)
    assert cgroup.processes() == Hierarchy.processes(cgroup) == listed(cgroup, "cgroup.procs") == [child.pid]
    assert Parameters.get(Core.procs, cgroup) == [child.pid]
    assert cgroup in Hierarchy.process_info(child.pid)
    # Moved again: the list of a moment ago is not served once more.
    other.add_process(child.pid)
    assert cgroup.processes() == []
    assert other.processes() == [child.pid]


def test_add_process_moves_all_threads(head: str, make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_cgroup(head)
    child = start(spawn, THREADS)
    assert line(child) == b"ready"
    cgroup.add_process(child.pid)
    assert cgroup.processes() == [child.pid]
    threads = threads_of(child.pid)
    assert len(threads) == 4
    assert cgroup.threads() == Hierarchy.threads(cgroup) == listed(cgroup, task_file(cgroup)) == threads
    assert Parameters.get(Core.threads, cgroup) == threads


def test_add_process_thread_id_moves_the_whole_process(head: str, make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_cgroup(head)
    child = start(spawn, THREADS)
    assert line(child) == b"ready"
    cgroup.add_process(threads_of(child.pid)[-1])
    assert cgroup.processes() == [child.pid]
    assert cgroup.threads() == threads_of(child.pid)


def test_existing_children_stay_and_new_ones_follow(head: str, make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_cgroup(head)
    child = start(spawn, FAMILY)
    first = int(line(child))
    cgroup.add_process(child.pid)
    tell(child)
    second = int(line(child))
    assert cgroup.processes() == sorted([child.pid, second])
    assert cgroup not in Hierarchy.process_info(first)
    tell(child)
    assert child.wait(timeout=10) == 0


def test_add_thread(head: str, make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    """v1 moves one thread anywhere; on v2 only a threaded cgroup takes it."""
    cgroup = make_cgroup(head)
    one, two = sub(head, cgroup, "one"), sub(head, cgroup, "two")
    if cgroup.version == 2:
        for inner in (one, two):
            Parameters.set(Core.type, inner, "threaded")
    child = start(spawn, THREADS)
    assert line(child) == b"ready"
    cgroup.add_process(child.pid)
    *others, last = threads_of(child.pid)
    Hierarchy.add_thread(one, last)
    two.add_thread(others[-1])
    assert one.threads() == [last]
    assert two.threads() == [others[-1]]
    assert cgroup.threads() == others[:-1]


BAD_IDS = [0, -1, -(1 << 70), (1 << 22) + 1, 1 << 64, True, 1.0, "1", None]


@pytest.mark.parametrize("pid", BAD_IDS, ids=repr)
def test_ids_that_cannot_be_are_refused(head: str, pid: object, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(head)
    for function in (cgroup.add_process, cgroup.add_thread, Hierarchy.process_info):
        with pytest.raises(InvalidValue):
            function(pid)  # type: ignore[operator]
    # Above all 0, which is the writer itself to the kernel.
    assert cgroup.processes() == cgroup.threads() == []


def test_add_process_exited_raises(head: str, make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_cgroup(head)
    child = spawn("true")
    child.wait()
    for function in (cgroup.add_process, cgroup.add_thread, Hierarchy.process_info):
        with pytest.raises(ProcessNotFound) as caught:
            function(child.pid)
        assert isinstance(caught.value, ProcessLookupError)
        assert str(child.pid) in str(caught.value)


def test_remove_is_refused_with_a_process_inside(head: str, make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    cgroup = make_cgroup(head)
    child = spawn("sleep", "60")
    cgroup.add_process(child.pid)
    with pytest.raises(CgroupBusy, match="processes inside: 1") as caught:
        cgroup.remove()
    assert caught.value.errno == errno.EBUSY
    assert cgroup.processes() == [child.pid]


def test_recursive_remove_is_refused_and_everything_is_left(head: str, make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    top = make_cgroup(head)
    for path in ("a/x", "b/y/z", "c"):
        sub(head, top, path)
    child = spawn("sleep", "60")
    sub(head, top, "a").add_process(child.pid)
    before = [(one.location, one.inode) for one in top.walk()]
    with pytest.raises(CgroupBusy, match="/a"):
        top.remove(recursive=True)
    assert [(one.location, one.inode) for one in top.walk()] == before
    child.kill()
    child.wait()
    top.remove(recursive=True)
    assert not top.exists


def test_remove_is_refused_with_a_process_in_the_cgroup_itself(
    head: str, make_cgroup: MakeCgroup, spawn: Spawn
) -> None:
    top = make_cgroup(head)
    sub(head, top, "a/x")
    child = spawn("sleep", "60")
    top.add_process(child.pid)
    before = [(one.location, one.inode) for one in top.walk()]
    with pytest.raises(CgroupBusy):
        top.remove(recursive=True)
    assert [(one.location, one.inode) for one in top.walk()] == before


# ---- where a process is ------------------------------------------------------------------


def test_process_info_names_each_hierarchy_once(make_ready: MakeCgroup, spawn: Spawn) -> None:
    child = spawn("sleep", "60")
    mine = [make_ready(hierarchy.spec_head) for hierarchy in Hierarchy.scan()]
    for cgroup in mine:
        cgroup.add_process(child.pid)
    info = Hierarchy.process_info(child.pid)
    assert set(mine) <= set(info)
    lines = Path(f"/proc/{child.pid}/cgroup").read_text().splitlines()
    assert len(info) == len(lines)
    for cgroup, text in zip(info, lines):
        _, names, path = text.split(":", 2)
        assert cgroup.location == path
        assert ",".join(sorted(cgroup.hierarchy.spec_head.split(","))) == ",".join(sorted(names.split(",")))
    for cgroup in mine:
        assert cgroup.exists
        assert cgroup.processes() == [child.pid]


def test_own(every_head: str) -> None:
    names = every_head.split(",")
    own = Hierarchy.own(names[0])
    lines = [text.split(":", 2) for text in Path("/proc/self/cgroup").read_text().splitlines()]
    [path] = [path for _, found, path in lines if set(found.split(",")) == set(names)]
    assert own.location == path
    assert os.getpid() in own.processes()


def test_own_of_an_unknown_controller() -> None:
    with pytest.raises(SubsystemNotAvailable, match="nonesuch"):
        Hierarchy.own("nonesuch")


def test_process_info_zombie_in_a_removed_cgroup(head: str, make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    """v2 says ` (deleted)` after its path; v1 shows a process that has ended in the root."""
    top = make_cgroup(head)
    cgroup, namesake = sub(head, top, "a"), sub(head, top, "b (deleted)")
    children = [spawn("sleep", "60") for _ in range(2)]
    for child, one in zip(children, (cgroup, namesake)):
        one.add_process(child.pid)
    # A name that ends so, of a cgroup that is there, is a name.
    assert namesake in Hierarchy.process_info(children[1].pid)
    children[0].kill()
    deadline = time.monotonic() + 10
    while ") Z " not in Path(f"/proc/{children[0].pid}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert cgroup.processes() == []
    cgroup.remove()
    [info] = [one for one in Hierarchy.process_info(children[0].pid) if one.hierarchy == cgroup.hierarchy]
    if cgroup.version == 1:
        assert info.is_root
        return
    assert Path(f"/proc/{children[0].pid}/cgroup").read_text().rstrip().endswith("/a (deleted)")
    assert info == cgroup
    assert not info.exists


def test_add_process_cpuset_without_cpus_raises(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    if Hierarchy.find("cpuset") is None or Hierarchy.find_exn("cpuset").version == 2:
        pytest.skip("cpuset is not on a v1 hierarchy here: v2 uses the parent's CPUs")
    cgroup = make_cgroup("cpuset")
    child = spawn("sleep", "60")
    with pytest.raises(OSError, match="cpuset.cpus or cpuset.mems is empty") as caught:
        cgroup.add_process(child.pid)
    assert caught.value.errno == errno.ENOSPC
    assert cgroup.processes() == []


def test_ending_a_root_says_that_it_is_one(head: str) -> None:
    """Advice to move the caller out would be wrong, and the rest of the machine is inside too."""
    with pytest.raises(InvalidValue, match="cannot kill: this process is inside the root of the hierarchy"):
        check_outside([Hierarchy.find_exn(f"{head}:/")], "cannot kill", Deadline(10))
