"""Names of cgroups on real hierarchies: Host.resolve, and the commands that take a SPEC."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from common import SLOW, MakeCgroup, Need, Spawn, text_of

import cgroups
from cgroups import Cgroup, CgroupNotFound, CgroupTimeout, Freezer, Hierarchy, Parameters, SubsystemNotAvailable
from cgroups.core import name_search, naming

NAME = f"cgroups-test-{os.getpid()}"
UNIT = f"{NAME}.service"
ID = f"{os.getpid():x}".rjust(8, "e") + "5eed" * 14


@pytest.fixture
def unit(make_cgroup: MakeCgroup) -> Cgroup:
    """A cgroup with the memory controller that has the name of a unit."""
    return make_cgroup("memory", f"/{NAME}.slice/{UNIT}")


@pytest.fixture
def twin(need: Need) -> Iterator[Callable[[Cgroup, str], Cgroup]]:
    """``twin(cgroup, "pids")``: the cgroup at the same location with another controller, which goes after the test."""
    made: list[Cgroup] = []

    def make(cgroup: Cgroup, controller: str) -> Cgroup:
        need(controller)
        found = Hierarchy.find_or_create(f"{controller}:{cgroup.location}")
        made.append(found)
        return found

    yield make
    for one in made:
        [*_, top] = [above for above in one.upwards() if above.name.startswith("cgroups-test-")]
        with contextlib.suppress(cgroups.CgroupGone):
            top.remove(recursive=True, kill=True)


def run(*words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "cgroups", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def path_of(cgroup: Cgroup) -> str:
    assert cgroup.path is not None
    return cgroup.path


# ---- units, locations, directories ---------------------------------------------------------------


def test_resolve_unit_location_and_directory_are_the_same_cgroup(unit: Cgroup) -> None:
    for text in (UNIT, unit.location, f"{unit.location}/", unit.location[1:], path_of(unit), f"{path_of(unit)}/"):
        assert Hierarchy.resolve(text) == unit, text
        assert Hierarchy.resolve(text, "memory") == unit, text


def test_resolve_unit_on_several_hierarchies_takes_the_controllers(
    unit: Cgroup, twin: Callable[[Cgroup, str], Cgroup]
) -> None:
    pids = twin(unit, "pids")
    for text in (UNIT, unit.location):
        assert Hierarchy.resolve(text, "pids") == pids
        assert Hierarchy.resolve(text, "memory") == Hierarchy.resolve(text) == unit
    # A directory names its hierarchy.
    assert Hierarchy.resolve(path_of(pids), "memory") == pids


def test_resolve_unit_of_two_places_is_ambiguous(make_cgroup: MakeCgroup) -> None:
    one, other = make_cgroup("memory", f"/x/{UNIT}"), make_cgroup("memory", f"/y/{UNIT}")
    with pytest.raises(CgroupNotFound) as caught:
        Hierarchy.resolve(UNIT)
    assert f"2 have this name (use one of {one}, {other})" in str(caught.value)
    other.remove()
    assert Hierarchy.resolve(UNIT) == one
    one.remove()
    with pytest.raises(CgroupNotFound, match="has this name"):
        Hierarchy.resolve(UNIT)


def test_resolve_container_by_its_prefix(make_cgroup: MakeCgroup) -> None:
    container = make_cgroup("memory", f"/docker/{ID}")
    container.make_sub("init")
    assert Hierarchy.resolve(f"container:{ID[:12]}") == container
    assert Hierarchy.resolve(f"container:{ID}", "memory") == container


# ---- processes and ids ---------------------------------------------------------------------------


@pytest.mark.parametrize("controller", ["memory", "pids"])
def test_resolve_process_is_its_cgroup_that_is_no_root(
    make_cgroup: MakeCgroup, spawn: Spawn, need: Need, controller: str
) -> None:
    need(controller)
    cgroup = make_cgroup(controller)
    child = spawn("sleep", "100")
    cgroup.add_process(child.pid)
    assert Hierarchy.resolve(str(child.pid), controller) == Hierarchy.resolve(f"pid:{child.pid}", controller) == cgroup


def test_resolve_process_that_has_ended_is_not_found(spawn: Spawn) -> None:
    child = spawn("true")
    child.wait()
    with pytest.raises(cgroups.ProcessNotFound):
        Hierarchy.resolve(str(child.pid))


def test_resolve_dot_is_the_callers_own_for_each_controller() -> None:
    for hierarchy in Hierarchy.scan():
        controller = hierarchy.spec_head.partition(",")[0]
        assert Hierarchy.resolve(".", controller) == Hierarchy.own(controller)
    assert Hierarchy.resolve(".") in cgroups.Host("/").cgroups_of()


def test_resolve_id_by_handle_and_by_walk(make_cgroup: MakeCgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    if Hierarchy.find(":/") is None:
        with pytest.raises(SubsystemNotAvailable):
            Hierarchy.resolve("id:1")
        return
    cgroup = make_cgroup("", "/a/b")
    assert Hierarchy.resolve(f"id:{cgroup.inode}") == cgroup
    with monkeypatch.context() as patched:
        patched.setattr(naming, "by_handle", lambda *_: None)
        assert Hierarchy.resolve(f"id:{cgroup.inode}") == cgroup
    gone = cgroup.inode
    cgroup.remove()
    with pytest.raises(CgroupNotFound, match="has this id"):
        Hierarchy.resolve(f"id:{gone}")


def test_resolve_id_by_handle_searches_nothing(
    make_cgroup: MakeCgroup, monkeypatch: pytest.MonkeyPatch, run_script: Callable[..., str]
) -> None:
    """As root; a user without CAP_DAC_READ_SEARCH is answered by a search."""
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted here")
    cgroup = make_cgroup("", "/a/b")
    text = f"id:{cgroup.inode}"
    # Before Linux 5.5 no handle is an id.
    if os.geteuid() == 0 and tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (5, 5):
        with monkeypatch.context() as patch:
            patch.setattr(name_search, "descend", lambda *_, **__: pytest.fail("it searches"))
            assert Hierarchy.resolve(text) == cgroup
    found = run_script(
        """
        import ctypes.util
        os.setegid(65534), os.seteuid(65534)
        print(Hierarchy.resolve(sys.argv[1]))
        """,
        text,
    )
    assert found == f"{cgroup}\n"


def test_resolve_in_a_cgroup_namespace_takes_the_hosts_directories(
    make_cgroup: MakeCgroup, run_script: Callable[..., str]
) -> None:
    """The mounts begin above the namespace's root there."""
    top = make_cgroup("memory" if Hierarchy.find_exn("memory").version == 1 else "")
    inside, beside = top.make("inside"), top.make("beside")
    # make() would enable the controllers of v2, and a cgroup that enables controllers takes no process.
    os.mkdir(f"{path_of(inside)}/{UNIT}")
    enter = ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec unshare -C "$@"', path_of(inside))
    run_script(
        """
        inside, beside, unit, name = sys.argv[1:]
        own = Hierarchy.resolve(".", "memory")
        assert Hierarchy.resolve(inside) == own and own.path == inside, own
        assert Hierarchy.resolve(str(os.getpid()), "memory") == own
        assert Hierarchy.resolve(beside).path == beside
        assert Hierarchy.resolve(unit).path == Hierarchy.resolve(name).path == unit
        """,
        path_of(inside),
        path_of(beside),
        f"{path_of(inside)}/{UNIT}",
        UNIT,
        prefix=enter,
    )


# ---- trees that others own -----------------------------------------------------------------------


def test_resolve_in_a_deep_and_wide_tree_keeps_its_time(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("memory")
    fd = os.open(path_of(top), os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d.slice", dir_fd=fd)
        inner = os.open("d.slice", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    for number in range(700):
        os.mkdir(f"{path_of(top)}/{number}")
    began = time.monotonic()
    with pytest.raises(CgroupTimeout) as caught:
        Hierarchy.resolve(UNIT, timeout=0.001)
    assert time.monotonic() - began < 1 * SLOW
    assert "give a location" in str(caught.value)
    with pytest.raises(CgroupNotFound, match="no cgroup of"):
        Hierarchy.resolve(UNIT, timeout=60 * SLOW)


def test_resolve_while_cgroups_come_and_go_is_right_or_not_found(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("memory")
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            top.make(f"x/{UNIT}").remove()
            top.child("x").remove()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            with contextlib.suppress(CgroupNotFound):
                assert Hierarchy.resolve(UNIT).location == f"{top.location}/x/{UNIT}"
    finally:
        stop.set()
        thread.join()


# ---- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["unit", "location", "directory", "process"])
def test_commands_that_read_and_set_take_each_form(unit: Cgroup, spawn: Spawn, form: str) -> None:
    child = spawn("sleep", "100")
    unit.add_process(child.pid)
    spec = {"unit": UNIT, "location": unit.location, "directory": path_of(unit), "process": str(child.pid)}[form]
    assert run("set", spec, "memory.max", "64M") == (0, "", "")
    assert run("get", spec, "memory.max") == (0, f"memory.max {64 << 20}\n", "")
    code, out, err = run("ps", spec, "--json")
    assert (code, err) == (0, "")
    assert [one["pid"] for one in json.loads(out)] == [child.pid]
    assert run("tree", spec, "--json")[1] == run("tree", str(unit), "--json")[1]


def test_commands_that_end_processes_take_names(unit: Cgroup, spawn: Spawn) -> None:
    child = spawn("sleep", "100")
    assert run("attach", UNIT, str(child.pid)) == (0, "", "")
    assert text_of(unit, "cgroup.procs").split() == [str(child.pid)]
    assert run("wait", UNIT, "--timeout", "0.1")[0] == 1
    assert run("kill", str(child.pid)) == (0, "1\n", "")
    assert child.wait(30) == -9
    assert run("wait", unit.location) == (0, "", "")
    assert run("remove", UNIT) == (0, "", "")
    assert not unit.exists
    code, out, err = run("remove", UNIT)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "no cgroup of" in err


def test_reset_events_watch_and_record_take_names(unit: Cgroup, tmp_path: Path) -> None:
    if unit.version == 1:
        assert run("reset", UNIT, "memory.failcnt") == (0, "", "")
    assert run("events", UNIT, "--timeout", "0.05") == (0, "", "")
    code, out, err = run("watch", UNIT, "--once", "--json", "--interval", "0.05")
    assert (code, err) == (0, "")
    assert {json.loads(line)["name"] for line in out.splitlines()} == {UNIT}
    file = f"{tmp_path}/one.csv"
    assert run("record", UNIT, "-p", "memory.usage_in_bytes", "-o", file, "-i", "0.01", "--duration", "0.05")[0] == 0
    assert str(unit) in Path(file).read_text()


@pytest.mark.parametrize("form", ["unit", "location", "directory"])
def test_run_below_a_name_has_its_limits(unit: Cgroup, form: str) -> None:
    spec = {"unit": UNIT, "location": unit.location, "directory": path_of(unit)}[form]
    code, _, err = run("run", "--parent", spec, "--limit", "memory.max=64M", "--", "true")
    assert code == 0, err
    assert unit.children() == []


def test_freeze_a_name_uses_the_cgroup_that_can(
    unit: Cgroup, twin: Callable[[Cgroup, str], Cgroup], spawn: Spawn
) -> None:
    freezer = twin(unit, "freezer")
    child = spawn("sleep", "100")
    freezer.add_process(child.pid)
    assert run("freeze", UNIT) == (0, "", "")
    assert Parameters.get(Freezer.state, freezer) == "FROZEN"
    assert run("thaw", unit.location) == (0, "", "")
    assert Parameters.get(Freezer.state, freezer) == "THAWED"


OWN = """
import subprocess
cgroup = Hierarchy.find_exn(sys.argv[1])
cgroup.add_process(os.getpid())
command = [sys.executable, "-m", "cgroups"]
words = sys.argv[2:]
sys.exit(subprocess.run([*command, *words]).returncode)
"""


def test_get_ps_and_events_without_a_spec_show_the_own_cgroup(unit: Cgroup, run_script: Callable[..., str]) -> None:
    Parameters.set(cgroups.Memory.limit_in_bytes, unit, 512 << 20)
    for words in (["get", "memory.max"], ["get", ".", "memory.max"]):
        assert run_script(OWN, str(unit), *words) == f"memory.max {512 << 20}\n"
    assert "-m cgroups ps" in run_script(OWN, str(unit), "ps")
    assert "cgroup.procs" in run_script(OWN, str(unit), "get")
    run_script(OWN, str(unit), "events", "--timeout", "0.05")


def test_resolve_names_of_watch_and_tree(unit: Cgroup) -> None:
    unit.make_sub("inner")
    spec = str(next(above for above in unit.upwards() if above.parent is not None and above.parent.is_root))
    printed = run("watch", spec, "--once", "--interval", "0.05")[1]
    names = [line.split()[-1] for line in printed.splitlines()[1:]]
    assert {UNIT, f"{UNIT}/inner"} <= set(names)
    for name in names:
        assert Hierarchy.resolve(name).location.startswith(spec.partition(":")[2]), name
    heading, *drawn = run("tree", spec)[1].splitlines()
    top = drawn[0][heading.index("CGROUP") :].split()[0]
    assert top == spec
    assert Hierarchy.resolve(drawn[2].split()[-1]) == unit
