"""Group: one name on every hierarchy, made, used and removed as one; and for a while."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from common import MakeCgroup, Need, Spawn, needs, sub

from cgroups import (
    Cgroup,
    CgroupBusy,
    CgroupError,
    CgroupExists,
    CgroupGone,
    CgroupNotFound,
    Cpuset,
    Freezer,
    Group,
    Hierarchy,
    InvalidValue,
    Parameters,
    Pids,
    Subsystem,
    SubsystemNotAttached,
    SubsystemNotAvailable,
)


@pytest.fixture
def places(make_ready: MakeCgroup) -> list[Cgroup]:
    """A fresh cgroup of each hierarchy, to be below of."""
    return [make_ready(one.spec_head) for one in Hierarchy.scan()]


@pytest.fixture
def controllers(places: list[Cgroup]) -> list[str]:
    """One controller of each of the hierarchies that have one, and '' where there is v2."""
    v1 = [one.subsystems[0] for one in places if one.version == 1 and one.subsystems]
    return v1 + [""] * any(one.version == 2 for one in places)


@pytest.fixture
def group(places: list[Cgroup], controllers: list[str]) -> Iterator[Group]:
    """Not made yet."""
    one = Group("one/job", controllers, parent=places)
    yield one
    if any(cgroup.exists for cgroup in one):
        one.remove(recursive=True, kill=True)


# ---- what it is ----------------------------------------------------------------------------


def test_group_has_one_cgroup_on_each_hierarchy(group: Group, places: list[Cgroup], controllers: list[str]) -> None:
    used = [place for place in places if place.version == 2 or place.subsystems]
    assert {cgroup.hierarchy for cgroup in group} == {place.hierarchy for place in used}
    for cgroup in group.cgroups:
        [place] = [one for one in places if one.hierarchy == cgroup.hierarchy]
        assert cgroup.location == f"{place.location}/one/job"
    assert group.controllers == tuple(controllers)
    assert not group.exists
    assert str(group) == " ".join(map(str, group.cgroups))
    assert repr(group) == f"<Group {group}>"


def test_group_without_a_parent_is_below_the_roots(controllers: list[str]) -> None:
    group = Group("/cgroups-test-none/job/", controllers)
    assert {cgroup.location for cgroup in group} == {
        f"{cgroup.hierarchy.root_location.rstrip('/')}/cgroups-test-none/job" for cgroup in group
    }
    assert not group.exists


def test_equality_copies_and_pickles(group: Group, places: list[Cgroup], controllers: list[str]) -> None:
    for other in (
        copy.copy(group),
        copy.deepcopy(group),
        pickle.loads(pickle.dumps(group)),
        Group("one/job", controllers, parent=places),
    ):
        assert other == group
        assert hash(other) == hash(group)
        assert [other.cgroup_of(one) for one in controllers] == [group.cgroup_of(one) for one in controllers]
        other.create()
        assert group.exists
        other.remove()
    assert group != Group("one/other", controllers, parent=places)
    assert group != group.cgroups


def test_which_of_them_has_it(group: Group, controllers: list[str]) -> None:
    for one in controllers:
        cgroup = group.cgroup_of(one)
        assert cgroup.hierarchy == Hierarchy.find_exn(one or ":/").hierarchy
    with pytest.raises(SubsystemNotAttached, match="nonsense") as raised:
        group.cgroup_of("nonsense")
    assert "'nonsense' among its controllers" in str(raised.value.hint)
    only = Group("one/job", controllers[:1], parent=group.cgroup_of(controllers[0]))
    other = next((one for one in controllers if not only.cgroups[0].hierarchy.has(one) and one), None)
    if other is not None:
        with pytest.raises(SubsystemNotAttached):
            only.cgroup_of(other)


@pytest.mark.anywhere
@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("", ["memory"]), InvalidValue),
        (("/", ["memory"]), InvalidValue),
        (("a/../b", ["memory"]), InvalidValue),
        (("a\nb", ["memory"]), InvalidValue),
        ((7, ["memory"]), InvalidValue),
        (("a", []), InvalidValue),
        (("a", "memory"), InvalidValue),
        (("a", None), InvalidValue),
        (("a", [7]), InvalidValue),
        (("a", ["nonsense"]), SubsystemNotAvailable),
    ],
)
def test_group_invalid_arguments_are_refused(arguments: Any, kind: type[CgroupError]) -> None:
    with pytest.raises(kind):
        Group(*arguments)


def test_parents(places: list[Cgroup], controllers: list[str]) -> None:
    group = Group("x", controllers, parent=places)
    assert Group("x", controllers, parent=[str(place) for place in places]) == group
    assert Group("y", controllers, parent=group).cgroups == tuple(cgroup.child("y") for cgroup in group)
    assert Group("x", controllers[:1], parent=str(places[0])).cgroups[0].parent in places
    for wrong in (7, [], [7], [places[0], places[0]]):
        with pytest.raises(InvalidValue, match="parent"):
            Group("x", controllers, parent=wrong)  # type: ignore[arg-type]
    with pytest.raises(CgroupNotFound):
        Group("x", controllers, parent=f"{places[0]}/nowhere")
    if len(controllers) > 1:
        with pytest.raises(SubsystemNotAvailable, match="no parent has"):
            Group("x", controllers, parent=places[0])


# ---- making and removing ----------------------------------------------------------------------


def test_made_and_removed(group: Group, places: list[Cgroup]) -> None:
    assert group.create() is group
    assert group.exists
    group.create()  # it is there
    group.remove()
    assert not group.exists
    with pytest.raises(CgroupGone):
        group.remove()
    group.remove(timeout=0)
    group.remove(kill=True)
    assert all(place.child("one").exists for place in places if place.version == 2 or place.subsystems)


def test_create_refused_on_one_hierarchy_leaves_nothing(
    group: Group, places: list[Cgroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever hierarchy refuses, what was made on the others goes, and what was there stays."""
    from cgroups.control import create

    makes: Any = create._make_directory
    for last in range(len(group.cgroups) * 2):
        made: list[Cgroup] = []

        def make(cgroup: Cgroup, *rest: Any, last: int = last, made: list[Cgroup] = made) -> Any:
            if len(made) == last:
                raise CgroupExists("refused")
            made.append(cgroup)
            return makes(cgroup, *rest)

        monkeypatch.setattr(create, "_make_directory", make)
        with pytest.raises(CgroupExists, match="refused"):
            group.create()
        monkeypatch.undo()
        assert [str(child) for place in places for child in place.children()] == []
    # What was there stays: on one hierarchy the first of the two.
    group.cgroups[0].hierarchy.host.find_or_create(str(group.cgroups[0].parent))
    kept = [str(child) for place in places for child in place.children()]
    assert kept == [str(group.cgroups[0].parent)]
    monkeypatch.setattr(create, "_apply", lambda *_: (_ for _ in ()).throw(CgroupExists("refused")))
    with pytest.raises(CgroupExists):
        group.create()
    monkeypatch.undo()
    assert [str(child) for place in places for child in place.children()] == kept


def test_create_name_taken_on_one_hierarchy(places: list[Cgroup]) -> None:
    """The kernel refuses a control file after the other cgroups are created."""
    v1 = [name for name in ("cpuacct", "pids", "freezer") if Subsystem.find(name).version == 1]
    cases = {"pids.max": v1} if "pids" in v1 else {}
    if Hierarchy.find(":/") is not None:
        cases["cgroup.stat"] = [*v1, ""]
    for file, names in cases.items():
        for name in (file, f"above/{file}"):
            for ordered in (names, names[::-1]):
                with pytest.raises(CgroupExists, match=file):
                    Group(name, ordered, parent=places).create()
                assert left(places) == []


def test_remove_busy_part_keeps_everything(group: Group, spawn: Spawn) -> None:
    """Whichever part it is, and whatever keeps it: a process, or a cgroup below."""
    group.create()
    for cgroup in group:
        child = spawn("sleep", "1000")
        cgroup.add_process(child.pid)
        for keywords in ({}, {"recursive": True}, {"timeout": 0.05}):
            with pytest.raises(CgroupBusy):
                group.remove(**keywords)
            assert group.exists
        child.kill()
        child.wait()
        cgroup.wait_empty(30)
        below = sub(cgroup, "below")
        for keywords in ({}, {"timeout": 0.05}, {"kill": True}):
            with pytest.raises(CgroupBusy):
                group.remove(**keywords)
            assert group.exists
        below.remove(timeout=30)
    group.remove(timeout=30)


def test_owners_and_modes(group: Group) -> None:
    group.create(owner=(65534, 65534), perm=0o750)
    for cgroup in group:
        status = os.stat(cgroup.path or "")
        assert (status.st_uid, status.st_mode & 0o777) == (65534, 0o750)


def test_create_v1_cpuset_takes_processes(places: list[Cgroup], spawn: Spawn) -> None:
    if Subsystem.find("cpuset").version != 1:
        pytest.skip("cpuset is not on v1")
    group = Group("one/two", ["cpuset"], parent=places).create()
    above = group.cgroups[0].parent
    assert above is not None
    assert group.get(Cpuset.cpus) == Parameters.get(Cpuset.cpus, above) != []
    group.add_process(spawn("sleep", "100").pid)
    group.set(Cpuset.cpus, group.get(Cpuset.cpus)[:1])
    group.create()
    assert len(group.get(Cpuset.cpus)) == 1  # one that was there keeps its own


def test_each_controller_of_v2_is_enabled(make_cgroup: MakeCgroup, need: Need) -> None:
    """However many are on one hierarchy, and whichever of them the one above enables already."""
    for one in ("memory", "pids"):
        need(one)
    if Subsystem.find("memory").version != 2 or Subsystem.find("pids").version != 2:
        pytest.skip("memory and pids are not both on v2")
    above = make_cgroup("memory")
    Hierarchy.find_or_create(f"pids:{above.location}")
    group = Group("job", ["memory", "pids"], parent=above).create()
    assert {"memory", "pids"} <= set(group.cgroups[0].subsystems)
    assert len(group.cgroups) == 1
    group.update({Pids.max: 5, "memory.max": 1 << 26})
    assert group.get(Pids.max) == 5


# ---- use ------------------------------------------------------------------------------------------


def test_the_whole_story(places: list[Cgroup], need: Need) -> None:
    need("pids")
    group = Group("one/job", ["pids"], parent=places).create()
    group.update({Pids.max: 10})
    assert group.get(Pids.max) == 10
    group.set(Pids.max, 20)
    with group.spawn(["sleep", "1000"], stdin=subprocess.DEVNULL) as process:
        assert group.processes() == [process.pid]
        assert group.get(Pids.current) == 1
        assert group.signal(signal.SIGTERM) == 1
    assert process.returncode == -signal.SIGTERM
    group.wait_empty(10)
    group.remove()
    assert not group.exists


def test_add_process_moves_it_into_all(group: Group, spawn: Spawn) -> None:
    group.create()
    child = spawn("sleep", "1000")
    group.add_process(child.pid)
    for cgroup in group:
        assert cgroup.processes() == [child.pid]


@pytest.mark.parametrize("kind", [CgroupExists, KeyboardInterrupt])
def test_or_into_none(group: Group, spawn: Spawn, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]) -> None:
    group.create()
    child = spawn("sleep", "1000")
    before = Hierarchy.process_info(child.pid)
    moves = Cgroup.add_process

    def add(cgroup: Cgroup, pid: int) -> None:
        if cgroup == group.cgroups[-1]:
            raise kind("refused")
        moves(cgroup, pid)

    monkeypatch.setattr(Cgroup, "add_process", add)
    with pytest.raises(kind, match="refused"):
        group.add_process(child.pid)
    assert Hierarchy.process_info(child.pid) == before


def test_move_all_to_another_group(group: Group, places: list[Cgroup], controllers: list[str], spawn: Spawn) -> None:
    group.create()
    other = Group("other", controllers, parent=places).create()
    children = [spawn("sleep", "1000") for _ in range(3)]
    for child in children:
        group.add_process(child.pid)
    assert group.move_all(other) == 3
    assert other.processes() == sorted(child.pid for child in children)
    assert group.processes() == []
    if len(controllers) > 1:
        with pytest.raises(InvalidValue, match="two hierarchies"):
            other.move_all(Group("one/job", controllers[:1], parent=places))
    assert other.kill() == 3


def test_frozen_through_its_freezer(group: Group, spawn: Spawn, places: list[Cgroup], controllers: list[str]) -> None:
    group.create()
    child = spawn("sleep", "1000")
    group.add_process(child.pid)
    assert any(cgroup.version == 2 or cgroup.hierarchy.has("freezer") for cgroup in group)
    group.freeze()
    assert group.get(Freezer.state) == "FROZEN"
    assert group.kill() == 1
    assert child.wait(30) == -signal.SIGKILL
    without = [one for one in controllers if one and one != "freezer" and Subsystem.find(one).version == 1][:1]
    if without:
        with pytest.raises(SubsystemNotAttached, match="freezer"):
            Group("one/job", without, parent=places).freeze()


def test_some_of_it_is_gone(group: Group, spawn: Spawn) -> None:
    group.create()
    child = spawn("sleep", "1000")
    group.add_process(child.pid)
    if len(group.cgroups) > 1:
        group.cgroups[0].move_all(group.cgroups[0].parent)  # type: ignore[arg-type]
        group.cgroups[0].remove(timeout=5)
    assert group.exists == (len(group.cgroups) == 1)
    assert group.kill() == 1
    group.remove(timeout=5)
    assert not any(cgroup.exists for cgroup in group)


def test_of_cgroups_that_there_are(places: list[Cgroup], spawn: Spawn) -> None:
    group = Group.of(places)
    assert group.cgroups == tuple(places)
    assert group.controllers == ()
    child = spawn("sleep", "1000")
    group.add_process(child.pid)
    assert group.kill() == 1
    with pytest.raises(CgroupError):
        group.create()
    for wrong in ([], [places[0], places[0]], [7], 7):
        with pytest.raises((InvalidValue, TypeError)):
            Group.of(wrong)  # type: ignore[arg-type]


# ---- for a while ---------------------------------------------------------------------------------------


def left(places: list[Cgroup]) -> list[str]:
    return [str(child) for place in places for child in place.children()]


def test_it_is_there_and_then_it_is_not(places: list[Cgroup], controllers: list[str]) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    with Group.temporary("job", controllers, parent=places) as group:
        assert group.exists
        names = {cgroup.name for cgroup in group}
        assert len(names) == 1
        assert names.pop().startswith(f"job-{os.getpid()}-")
        below = sub(group.cgroups[0], "below")
        process = group.spawn(["sleep", "1000"])
        with Group.temporary("job", controllers, parent=places) as other:
            assert other != group
        assert not any(cgroup.exists for cgroup in other)
    assert process.wait() == -signal.SIGKILL
    assert left(places) == []
    assert not below.exists
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_temporary_after_an_exception_leaves_nothing(
    kind: type[BaseException], places: list[Cgroup], controllers: list[str]
) -> None:
    with pytest.raises(kind), Group.temporary("job", controllers, parent=places) as group:  # noqa: PT012
        process = group.spawn(["sleep", "1000"])
        raise kind
    assert process.wait() == -signal.SIGKILL
    assert left(places) == []


def test_temporary_refused_limit_leaves_nothing(places: list[Cgroup], need: Need) -> None:
    need("pids")
    before = signal.getsignal(signal.SIGTERM)
    for limits in ({Pids.max: -5}, {"pids.max": "x"}):
        with pytest.raises(InvalidValue), Group.temporary("job", ["pids"], limits=limits, parent=places):
            raise AssertionError
    for limits in ({Pids.current: 5}, {"pids.colour": 5}, {7: 5}, 7):
        with pytest.raises(InvalidValue):
            Group.temporary("job", ["pids"], limits=limits, parent=places)  # type: ignore[arg-type]
    with Group.temporary("job", [], limits={Pids.max: 7}, parent=places) as group:
        assert group.get(Pids.max) == 7
    assert left(places) == []
    assert signal.getsignal(signal.SIGTERM) is before


PROGRAM = """
import signal, subprocess
places, controllers = sys.argv[1].split("|"), sys.argv[2].split("|")
{before}
with Group.temporary("job", controllers, parent=places) as group:
    group.spawn(["sleep", "1000"])
    print(group.cgroups[0], flush=True)
    {inside}
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_temporary_program_ended_by_a_signal_leaves_nothing(
    number: signal.Signals, places: list[Cgroup], controllers: list[str], script: Any, spawn: Spawn
) -> None:
    text = PROGRAM.format(before="", inside="time.sleep(1000)")
    words = script(text, "|".join(map(str, places)), "|".join(controllers))
    child = spawn(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline()
    assert left(places) != []
    child.send_signal(number)
    _, errors = child.communicate(timeout=60)
    assert left(places) == []
    if number == signal.SIGINT:
        assert b"KeyboardInterrupt" in errors
    else:
        assert child.returncode == 128 + number
        assert b"Traceback (most" not in errors


@pytest.mark.anywhere
def test_temporary_many_signals_during_removal_leave_nothing(
    places: list[Cgroup], controllers: list[str], script: Any, spawn: Spawn
) -> None:
    text = PROGRAM.format(before="", inside="time.sleep(1000)")
    for _ in range(3):
        child = spawn(*script(text, "|".join(map(str, places)), "|".join(controllers)), stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        deadline = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < deadline:
            child.terminate()
            time.sleep(0.001)
        assert left(places) == []


@pytest.mark.anywhere
def test_a_program_that_waits_for_another(
    places: list[Cgroup], controllers: list[str], script: Any, spawn: Spawn
) -> None:
    """The block of the process does not wait for it: the block of the group ends it."""
    inside = """
    with group.spawn(["sleep", "1000"]) as process:
        print("waits", flush=True)
        process.wait()
    """
    text = textwrap.dedent(PROGRAM).format(before="", inside=inside)
    words = script(text, "|".join(map(str, places)), "|".join(controllers))
    for number in (signal.SIGTERM, signal.SIGINT):
        child = spawn(*words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert child.stdout is not None
        child.stdout.readline()
        assert child.stdout.readline() == b"waits\n"
        child.send_signal(number)
        assert child.wait(60) == (128 + number if number == signal.SIGTERM else -number)
        assert left(places) == []


# A clean-up that a signal interrupts.
SLOW_END = """
import signal, time
from cgroups import group as module
from cgroups.control import kill
kill_within = kill.kill_within
def slow(*arguments):
    for number in {numbers}:
        signal.raise_signal(number)
    return kill_within(*arguments)
kill.kill_within = slow
places, controllers = sys.argv[1].split("|"), sys.argv[2].split("|")
with Group.temporary("outer", controllers, parent=places) as outer:
    outer.spawn(["sleep", "1000"])
    with Group.temporary("inner", controllers, parent=places) as inner:
        inner.spawn(["sleep", "1000"])
        {inside}
    print("not here")
"""


@pytest.mark.anywhere
@pytest.mark.parametrize("inside", ["pass", "raise KeyboardInterrupt", "signal.raise_signal(signal.SIGTERM)"])
@pytest.mark.parametrize("numbers", [(15,), (1,), (2,), (2, 2, 15)], ids=str)
def test_a_signal_in_the_middle_of_the_end(
    inside: str, numbers: tuple[int, ...], places: list[Cgroup], controllers: list[str], script: Any, spawn: Spawn
) -> None:
    """A block is within another one, which has the signal handlers."""
    words = script(SLOW_END.format(inside=inside, numbers=numbers), "|".join(map(str, places)), "|".join(controllers))
    child = spawn(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = child.communicate(timeout=60)
    assert left(places) == [], errors
    assert output == b""
    if "SIGTERM" in inside or numbers[-1] != 2:
        assert child.returncode == 128 + (15 if "SIGTERM" in inside else numbers[-1])
    else:
        assert child.returncode == -signal.SIGINT, errors


@pytest.mark.anywhere
def test_temporary_handler_set_inside_stays(places: list[Cgroup], controllers: list[str], run_script: Any) -> None:
    run_script(
        """
        import signal
        places, controllers = sys.argv[1].split("|"), sys.argv[2].split("|")
        own = lambda *_: None
        with Group.temporary("job", controllers, parent=places) as group:
            signal.signal(signal.SIGTERM, own)
            signal.signal(signal.SIGINT, own)
        assert signal.getsignal(signal.SIGTERM) is own
        assert signal.getsignal(signal.SIGINT) is own
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
        # The program continues after a caught signal, and the next block works like the first.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for _ in range(2):
            try:
                with Group.temporary("job", controllers, parent=places) as group:
                    signal.raise_signal(signal.SIGTERM)
            except SystemExit as error:
                assert error.code == 128 + signal.SIGTERM
            else:
                raise AssertionError
        """,
        "|".join(map(str, places)),
        "|".join(controllers),
    )


@pytest.mark.anywhere
def test_temporary_forked_child_ends_as_usual(places: list[Cgroup], controllers: list[str], run_script: Any) -> None:
    """The child ends by the signal, not by SystemExit, and removes only its own blocks."""
    run_script(
        """
        import signal
        places, controllers = sys.argv[1].split("|"), sys.argv[2].split("|")

        def fork(act):
            pid = os.fork()
            if pid == 0:
                try:
                    act()
                    os._exit(7)
                except SystemExit as error:
                    os._exit(error.code)
                finally:
                    os._exit(8)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        def own():
            with Group.temporary("child", controllers, parent=places):
                signal.raise_signal(signal.SIGTERM)

        with Group.temporary("job", controllers, parent=places) as group:
            assert fork(lambda: signal.raise_signal(signal.SIGTERM)) == -signal.SIGTERM
            assert fork(own) == 128 + signal.SIGTERM
            assert group.exists
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        """,
        "|".join(map(str, places)),
        "|".join(controllers),
    )


@pytest.mark.anywhere
def test_what_the_block_has_not_ended_the_program_s_end_does(
    places: list[Cgroup], controllers: list[str], run_script: Any
) -> None:
    """An interrupt may come after the beginning, and before the block."""
    run_script(
        """
        places, controllers = sys.argv[1].split("|"), sys.argv[2].split("|")
        group = Group.temporary("job", controllers, parent=places).__enter__()
        group.spawn(["sleep", "1000"])
        """,
        "|".join(map(str, places)),
        "|".join(controllers),
    )
    assert left(places) == []


def test_temporary_handler_of_the_program_stays(
    places: list[Cgroup], controllers: list[str], script: Any, spawn: Spawn
) -> None:
    before = "signal.signal(signal.SIGTERM, lambda *_: print('own', flush=True))"
    inside = "signal.raise_signal(signal.SIGTERM); print(len(group.processes()))"
    child = spawn(
        *script(PROGRAM.format(before=before, inside=inside), "|".join(map(str, places)), "|".join(controllers)),
        stdout=subprocess.PIPE,
    )
    output, _ = child.communicate(timeout=60)
    assert output.split()[1:] == [b"own", b"1"]
    assert child.returncode == 0
    assert left(places) == []


def test_temporary_forked_child_does_not_end_it(places: list[Cgroup], controllers: list[str]) -> None:
    with Group.temporary("job", controllers, parent=places) as group:
        process = group.spawn(["sleep", "1000"])
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                with pytest.raises(ZeroDivisionError), group_leaves(group):
                    raise ZeroDivisionError
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert group.processes() == [process.pid]
    assert process.wait() == -signal.SIGKILL


def group_leaves(group: Group) -> Any:
    """The rest of a block that was begun before the fork."""
    from contextlib import ExitStack

    from cgroups.group import Temporary

    begun = Temporary("job", [], {}, {}, group=group)
    begun._owner = os.getppid()
    stack = ExitStack()
    stack.push(begun.__exit__)
    return stack


def test_temporary_in_a_thread(places: list[Cgroup], controllers: list[str]) -> None:
    seen: list[Any] = []

    def go() -> None:
        with Group.temporary("job", controllers, parent=places) as group:
            seen.append(group.exists)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    assert seen == [True]
    assert signal.getsignal(signal.SIGTERM) is before
    assert left(places) == []


def test_temporary_leaves_no_descriptor(
    places: list[Cgroup], controllers: list[str], open_descriptors: Callable[[], int], tmp_path: Path
) -> None:
    def go() -> None:
        with Group.temporary("job", controllers, parent=places) as group, group.spawn(["true"]) as process:
            process.wait()

    go()
    before = open_descriptors()
    for _ in range(5):
        go()
    assert open_descriptors() == before


INTERRUPTED = """
import random, signal
from cgroups.core.signals import SIGNALS
places, controllers, how = sys.argv[1].split("|"), sys.argv[2].split("|"), sys.argv[3]

class Came(BaseException): pass

def come(*_):
    raise Came

if how == "its own":
    signal.signal(signal.SIGALRM, come)
else:
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))

def temporary():
    with Group.temporary("job", controllers, parent=places):
        pass

def made():
    group = Group("made/job", controllers, parent=places)
    group.create()
    return group

def run_one():
    run(["true"], parent=places)

random.seed(1)
acts = [temporary, run_one] + [made] * (how == "its own")
took = {act: 0 for act in acts}
for act in acts:
    for _ in range(3):
        began = time.monotonic()
        group = act()
        took[act] = time.monotonic() - began
        if group:
            group.remove()
            Group("made", controllers, parent=places).remove()
came = 0
SIGNALS.begin()  # before a block, or after it, SIGTERM would end the program
for number in range(int(sys.argv[4])):
    for act in acts:
        group = None
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1.2 * took[act]))
            group = act()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except (Came, SystemExit):
            came += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        if act is made and all(one.exists for one in Group("made", controllers, parent=places)):
            Group("made", controllers, parent=places).remove(recursive=True)
assert came > 5, came
"""


@needs("native")  # the other one's starts are subprocess's, which an exception at any moment can break
@pytest.mark.anywhere
@pytest.mark.parametrize("how", ["its own", "SIGTERM"])
@pytest.mark.filterwarnings("ignore")
def test_temporary_signal_at_any_moment_leaves_nothing(
    how: str, places: list[Cgroup], controllers: list[str], run_script: Any
) -> None:
    """While a group is made, and in a block of one, and in run; by a handler of the program's own too."""
    run_script(INTERRUPTED, "|".join(map(str, places)), "|".join(controllers), how, "60")
    assert left(places) == []


@pytest.mark.anywhere
def test_temporary_second_signal_after_a_caught_one_leaves_nothing(
    places: list[Cgroup], controllers: list[str], run_script: Any
) -> None:
    run_script(
        """
        import signal
        places, controllers = sys.argv[1].split("|"), sys.argv[2].split("|")
        with Group.temporary("job", controllers, parent=places) as group:
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
                try:
                    signal.raise_signal(number)
                except SystemExit as error:
                    assert error.code == 128 + number
                else:
                    raise AssertionError(number)
        """,
        "|".join(map(str, places)),
        "|".join(controllers),
    )
    assert left(places) == []


@pytest.mark.anywhere
def test_temporary_block_ended_by_another_thread(places: list[Cgroup], controllers: list[str], script: Any) -> None:
    """It is cleaned up, and signals are what they were."""
    text = """
    import signal
    places, controllers = sys.argv[1].split("|"), sys.argv[2].split("|")
    block = Group.temporary("job", controllers, parent=places)
    group = block.__enter__()
    thread = threading.Thread(target=block.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    assert not any(cgroup.exists for cgroup in group)
    with Group.temporary("job", controllers, parent=places):
        pass
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    block = Group.temporary("job", controllers, parent=places)
    group = block.__enter__()
    thread = threading.Thread(target=block.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGTERM)
    print("continues")
    """
    done = subprocess.run(
        script(text, "|".join(map(str, places)), "|".join(controllers)), check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, ""), done.stderr
    assert left(places) == []


def test_a_move_that_is_interrupted_is_none(group: Group, spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    group.create()
    child = spawn("sleep", "1000")
    before = Hierarchy.process_info(child.pid)
    add = Cgroup.add_process
    moved: list[Cgroup] = []

    def interrupted(self: Cgroup, pid: int) -> None:
        add(self, pid)
        moved.append(self)
        if len(moved) == len(group.cgroups):
            raise KeyboardInterrupt

    monkeypatch.setattr(Cgroup, "add_process", interrupted)
    with pytest.raises(KeyboardInterrupt):
        group.add_process(child.pid)
    monkeypatch.undo()
    assert len(moved) >= len(group.cgroups)
    assert Hierarchy.process_info(child.pid) == before


def test_move_all_moves_all_or_none(places: list[Cgroup], group: Group, controllers: list[str], spawn: Spawn) -> None:
    """If a cgroup of the other group is missing, no process is moved."""
    group.create()
    other = Group("other", controllers, parent=places).create()
    other.cgroups[-1].remove()
    child = spawn("sleep", "1000")
    group.add_process(child.pid)
    with pytest.raises(CgroupGone):
        group.move_all(other)
    assert all(child.pid in cgroup.processes() for cgroup in group)
    with suppress(CgroupGone):  # where it was the only one
        other.remove()


def test_create_group_of_given_cgroups_is_refused(places: list[Cgroup]) -> None:
    with pytest.raises(InvalidValue, match=r"a Group\.of existing cgroups"):
        Group.of(places).create()


def test_create_cpuset_below_an_empty_one_is_refused(make_cgroup: MakeCgroup) -> None:
    if Subsystem.find("cpuset").version != 1:
        pytest.skip("cpuset is not on v1")
    empty = make_cgroup("cpuset")
    with pytest.raises(InvalidValue, match=rf"its parent {empty} has no cpuset\.cpus to inherit"):
        Group("inside", ["cpuset"], parent=empty).create()
    assert empty.children() == []
