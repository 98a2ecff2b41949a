"""Where ending, stopping and emptying is hard: no time, other users, other namespaces, threads, what never rests."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from common import BOMB, SLOW, MakeCgroup, Need, Spawn, codes, fill, path_of, sub

from cgroups import (
    Cgroup,
    CgroupBusy,
    CgroupGone,
    CgroupTimeout,
    Freezer,
    Group,
    Hierarchy,
    ParameterNotSupported,
    Parameters,
    Pids,
    Popen,
    Subsystem,
)
from cgroups.control import freeze, kill

RunScript = Callable[..., str]


def later(seconds: float, act: Callable[..., Any], *arguments: Any) -> threading.Timer:
    timer = threading.Timer(seconds, act, arguments)
    timer.start()
    return timer


# ---- time ------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [1e7, 10**400, float("inf"), None], ids=["months", "ages", "inf", "None"])
def test_a_very_long_time(make_cgroup: MakeCgroup, head: str, spawn: Spawn, timeout: Any) -> None:
    """More milliseconds than poll(2) takes."""
    cgroup = make_cgroup(head)
    [child] = fill(cgroup, spawn)
    timer = later(0.1, child.kill)
    cgroup.wait_empty(timeout)
    timer.join()
    [other] = fill(cgroup, spawn)
    assert cgroup.kill(timeout) == 1
    assert codes([child, other]) == [-signal.SIGKILL] * 2
    cgroup.remove(timeout=timeout)
    assert not cgroup.exists


@pytest.mark.usefixtures("way")
def test_it_is_tried_however_short_the_time(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    cgroup, other = make_cgroup(head), make_cgroup(head)
    children = fill(cgroup, spawn, 3)
    assert cgroup.move_all(other, 0) == 3
    try:
        assert other.kill(0) == 3
    except CgroupTimeout:
        pass
    assert codes(children) == [-signal.SIGKILL] * 3
    other.wait_empty(30)
    [child] = fill(other, spawn)
    try:
        other.remove(kill=True, timeout=0)
    except (CgroupTimeout, CgroupBusy):
        pass
    assert child.wait(30) == -signal.SIGKILL


@pytest.mark.usefixtures("way")
def test_what_cannot_be_ended_is_said_in_short(
    make_cgroup: MakeCgroup, head: str, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    cgroup = make_cgroup(head)
    children = fill(cgroup, spawn, 60)
    monkeypatch.setattr(kill, "kill_at_once", lambda _: True)
    if cgroup.version == 1:
        monkeypatch.setattr(kill, "kill_each", lambda *_, **__: ({1}, True))
        monkeypatch.setattr(kill, "kill_at_once", lambda _: False)
    with pytest.raises(CgroupTimeout, match=r"are left: timed out after 0\.2 s") as raised:
        cgroup.kill(0.2)
    assert len(str(raised.value)) < 600
    monkeypatch.undo()
    assert cgroup.kill() == 60
    assert codes(children) == [-signal.SIGKILL] * 60


def test_wait_empty_root_sleeps(head: str) -> None:
    """It is never empty here, and looking at it again and again would cost a CPU."""
    root = Hierarchy.find_exn(head or ":/").hierarchy.root()
    before = time.thread_time()
    with pytest.raises(CgroupTimeout):
        root.wait_empty(2)
    assert time.thread_time() - before < 1.2


# ---- who may ---------------------------------------------------------------------------------


def test_kill_process_of_another_user_is_left(
    make_cgroup: MakeCgroup, head: str, spawn: Spawn, run_script: RunScript
) -> None:
    """Also where cgroup.kill and cgroup.freeze are not delegated, as systemd does not."""
    cgroup = make_cgroup(head)
    own = fill(cgroup, spawn, 2, user=65534)
    [others] = fill(cgroup, spawn)
    own += fill(cgroup, spawn, 2, user=65534)
    text = """
    import signal
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    cgroup = Hierarchy.find_exn(sys.argv[1])
    error = raises(AccessDenied, cgroup.signal, signal.SIGURG)
    assert sys.argv[2] in str(error), error
    error = raises(AccessDenied, cgroup.kill, 10)
    assert sys.argv[2] in str(error), error
    """
    run_script(text, str(cgroup), str(others.pid))
    assert codes(own) == [-signal.SIGKILL] * 4
    assert others.poll() is None
    others.kill()
    others.wait()
    own = fill(cgroup, spawn, 2, user=65534)
    text = text.partition("error = ")[0] + "assert cgroup.kill(10) == 2"
    run_script(text, str(cgroup))
    assert codes(own) == [-signal.SIGKILL] * 2


def test_a_thread_of_the_caller_is_the_caller(make_cgroup: MakeCgroup, head: str, run_script: RunScript) -> None:
    """A signal to the processes of a cgroup ends them with all their threads, wherever these are."""
    cgroup = make_cgroup(head)
    run_script(
        """
        cgroup = Hierarchy.find_exn(sys.argv[1])
        if cgroup.version == 2:
            cgroup.add_process(os.getpid())
            cgroup, above = Hierarchy.find_or_create(f"{cgroup}/inner"), cgroup
            Parameters.set(Core.type, cgroup, "threaded")
        over = threading.Event()
        thread = threading.Thread(target=over.wait)
        thread.start()
        cgroup.add_thread(thread.native_id)
        acts = [cgroup.kill, lambda: cgroup.remove(kill=True)]
        if cgroup.version == 2:
            acts.append(cgroup.freeze)
        for act in acts:
            error = raises(InvalidValue, act)
            assert f"this process is in {cgroup}" in str(error), error
        over.set()
        thread.join()
        """,
        str(cgroup),
    )


def test_few_descriptors_are_enough(make_cgroup: MakeCgroup, head: str, spawn: Spawn, run_script: RunScript) -> None:
    cgroup = make_cgroup(head)
    fill(cgroup, spawn, 60)
    run_script(
        """
        import resource, signal
        cgroup = Hierarchy.find_exn(sys.argv[1])
        assert cgroup.signal(signal.SIGCONT) == 60
        few, (_, most) = len(os.listdir("/proc/self/fd")) + 20, resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))
        assert cgroup.signal(signal.SIGCONT) == 60
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
        error = raises(CgroupOSError, cgroup.signal, signal.SIGCONT)
        assert error.errno == errno.EMFILE, error
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))
        from cgroups.control import kill
        kill.kill_at_once = lambda _: False
        assert cgroup.kill(60) == 60
        cgroup.wait_empty(10)
        """,
        str(cgroup),
    )


def test_kill_kernel_without_a_freezer_ends_all(
    make_cgroup: MakeCgroup, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """v2 before Linux 5.2: no cgroup.freeze, nor cgroup.kill."""
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted here")
    cgroup = make_cgroup("")
    children = fill(cgroup, spawn, 3)
    bomb = Popen(["sh", "-c", "while :; do sleep 0.01 & done"], cgroup=cgroup, stderr=subprocess.DEVNULL)
    write = Cgroup.write_text

    def refuse(self: Cgroup, name: str, *words: Any) -> None:
        if name in ("cgroup.kill", "cgroup.freeze"):
            raise ParameterNotSupported(f"there is no {name}")
        write(self, name, *words)

    monkeypatch.setattr(Cgroup, "write_text", refuse)
    assert cgroup.kill(60) >= 4
    assert codes([*children, bomb]) == [-signal.SIGKILL] * 4
    assert cgroup.processes() == []


# ---- what comes and goes -------------------------------------------------------------------------


def test_a_part_that_comes_and_goes(make_cgroup: MakeCgroup, every_head: str, make_ready: MakeCgroup) -> None:
    """Frozen, thawed, ended and walked while it does: neither an error, nor one of another kind than CgroupGone."""
    cgroup = make_ready(every_head)
    text = f"""
    import os
    while True:
        for act in os.mkdir, os.rmdir:
            try:
                act("{cgroup.path}/x")
            except OSError:
                pass
    """
    is_frozen = freeze.has_freezer(cgroup)
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(text)]) as maker:
        try:
            for _ in range(30 if SLOW == 1 else 6):
                with Popen(["sleep", "1000"], cgroup=cgroup) as process:
                    assert cgroup.kill(60) == 1
                assert process.returncode == -signal.SIGKILL
                for part in (cgroup, cgroup.child("x")) if is_frozen else ():
                    for act in (part.freeze, part.thaw):
                        try:
                            act(60)
                        except CgroupGone:
                            assert part != cgroup
        finally:
            maker.kill()


# ---- other namespaces --------------------------------------------------------------------------

UNSHARED = ("unshare", "--pid", "--fork", "--mount-proc")


def test_lifecycle_foreign_pid_namespace_changes_nothing(
    make_cgroup: MakeCgroup, spawn: Spawn, run_script: RunScript
) -> None:
    """Neither frozen, thawed, moved nor removed, not even a part."""
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted here")
    cgroup, other = make_cgroup(""), make_cgroup("")
    empty, busy = sub(cgroup, "aempty"), sub(cgroup, "busy")
    [child] = fill(busy, spawn)
    run_script(
        """
        from cgroups.control import kill
        cgroup, other = map(Hierarchy.find_exn, sys.argv[1:])
        busy = cgroup.child("busy")
        kill.kill_at_once = lambda _: False
        busy.freeze()
        raises(AccessDenied, cgroup.kill, 1)
        assert Parameters.get(Freezer.state, busy) == "FROZEN"
        busy.thaw()
        raises(AccessDenied, cgroup.kill, 1)
        assert Parameters.get(Freezer.state, cgroup) == "THAWED"
        error = raises(AccessDenied, busy.move_all, other)
        assert "outside this pid namespace" in str(error), error
        error = raises(CgroupBusy, lambda: cgroup.remove(recursive=True))
        assert f"processes in {busy}: 1" in str(error), error
        error = raises(CgroupBusy, busy.remove)
        assert "processes inside: 1" in str(error), error
        """,
        *map(str, (cgroup, other)),
        prefix=UNSHARED,
    )
    assert empty.exists
    assert busy.processes() == [child.pid]


def test_kill_group_with_foreign_pids_ends_them_by_v2(
    make_cgroup: MakeCgroup, spawn: Spawn, run_script: RunScript, representatives: list[str]
) -> None:
    """v1 leaves them out, v2 shows them as 0 and has cgroup.kill: a group of both is ended by it."""
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted here")
    cgroups = [make_cgroup(head) for head in representatives]
    if not path_of(cgroups[-1], "cgroup.kill").exists():
        pytest.skip("this kernel has no cgroup.kill")
    children = [spawn("sleep", "1000") for _ in range(20)]
    for cgroup in cgroups:
        for child in children:
            cgroup.add_process(child.pid)
    text = """
    group = Group.of(map(Hierarchy.find_exn, sys.argv[1:]))
    child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")
    group.add_process(child)
    assert group.kill(60) == 1
    """
    run_script(text, *map(str, cgroups), prefix=UNSHARED)
    assert codes(children) == [-signal.SIGKILL] * 20


@pytest.fixture
def representatives() -> list[str]:
    """A v1 hierarchy where there is one, and then the unified one."""
    v1 = [one.spec_head for one in Hierarchy.scan() if one.version == 1 and one.subsystems and not one.has("cpuset")]
    return [*v1[:1], ""]


# ---- what is odd ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("way")
def test_what_has_ended_and_nobody_has_waited_for(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    cgroup = make_cgroup(head)
    child = spawn("cat", stdin=subprocess.PIPE)
    cgroup.add_process(child.pid)
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    cgroup.wait_empty(30)
    assert cgroup.signal(signal.SIGTERM) == 0
    assert cgroup.kill() == 0
    cgroup.remove(timeout=30)
    assert not cgroup.exists
    assert child.wait() == 0


@pytest.mark.usefixtures("way")
def test_kill_traced_process_is_ended(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    """It stands still for its tracer, and is ended all the same."""
    attach, detach = 16, 17
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    cgroup = make_cgroup(head)
    [child] = fill(cgroup, spawn)
    assert ptrace(attach, child.pid, None, None) == 0
    assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
    if cgroup.version == 2 or cgroup.hierarchy.has("freezer"):
        cgroup.freeze(30 * SLOW)
        cgroup.thaw(30 * SLOW)
    assert cgroup.kill(30 * SLOW) == 1
    assert child.wait(30 * SLOW) == -signal.SIGKILL
    assert ptrace(detach, child.pid, None, None) != 0  # it is no more


def test_threads_keep_a_tree_from_being_removed_in_part(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted here")
    top = make_cgroup("")
    domain, empty = sub(top, "domain"), sub(top, "zempty")
    inner = sub(domain, "inner")
    path_of(inner, "cgroup.type").write_text("threaded")
    [child] = fill(domain, spawn)
    inner.add_thread(child.pid)
    for cgroup in (domain, inner, top):
        with pytest.raises(CgroupBusy):
            cgroup.remove(recursive=True)
    assert empty.exists
    assert inner.exists
    # Its processes are those that have a thread in it: they go as a whole.
    other = sub(domain, "other")
    path_of(other, "cgroup.type").write_text("threaded")
    assert inner.move_all(other) == 1
    assert (inner.threads(), other.threads()) == ([], [child.pid])
    top.remove(recursive=True, kill=True, timeout=30)
    assert not top.exists


# ---- what never rests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "stopped"])
def test_kill_fork_bomb_one_by_one_is_ended(
    need: Need, make_cgroup: MakeCgroup, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    """Without a freezer, stopped processes fill the places of new ones.

    The bound is on the caller's CPU time: a bomb takes most of the processors.
    """
    need("pids")
    if frozen and Hierarchy.find_exn("pids").version == 1:
        pytest.skip("pids is on v1, without the freezer")
    monkeypatch.setattr(kill, "kill_at_once", lambda _: False)
    if not frozen:
        monkeypatch.setattr(kill, "freezers", lambda _: [])
    cgroup = make_cgroup("pids")
    count = 400 if SLOW == 1 else 40
    Parameters.set(Pids.max, cgroup, count)
    with Group.of([cgroup]).spawn([sys.executable, "-S", "-E", "-c", BOMB], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 20 * SLOW
        while Parameters.get(Pids.current, cgroup) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        began = time.process_time()
        assert cgroup.kill(30 * SLOW) >= count
        cgroup.remove(timeout=30 * SLOW)
        took = time.process_time() - began
    assert process.returncode == -signal.SIGKILL
    assert took < (5 if SLOW == 1 else 2 * SLOW)


@pytest.mark.usefixtures("way")
def test_what_comes_after_the_last_look_is_ended_too(
    make_cgroup: MakeCgroup, head: str, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process, or a cgroup with one, that somebody puts in between the end of all and the removal."""
    cgroup = make_cgroup(head)
    kill_within = kill.kill_within
    late: list[subprocess.Popen[bytes]] = []

    def end(tops: Any, deadline: Any) -> int:
        count = kill_within(tops, deadline)
        if len(late) < 3:
            late.extend(fill(sub(cgroup, "late") if late else cgroup, spawn))
        return count

    monkeypatch.setattr(kill, "kill_within", end)
    began = time.monotonic()
    cgroup.remove(recursive=True, kill=True, timeout=120)
    assert time.monotonic() - began < 5 * SLOW
    assert not cgroup.exists
    assert codes(late) == [-signal.SIGKILL] * 3


def test_it_goes_while_it_is_waited_for(make_cgroup: MakeCgroup, head: str, spawn: Spawn) -> None:
    top = make_cgroup(head)
    cgroup = sub(top, "below")
    [child] = fill(cgroup, spawn)

    def end() -> None:
        child.kill()
        child.wait()
        cgroup.remove(timeout=30)

    timer = later(0.2, end)
    cgroup.wait_empty(60)
    timer.join()
    assert not cgroup.exists
    with pytest.raises(CgroupGone):
        cgroup.move_all(top)
    if top.version == 2 or top.hierarchy.has("freezer"):
        for act in (cgroup.freeze, cgroup.thaw):
            with pytest.raises(CgroupGone):
                act()


# ---- what is left behind ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("way")
def test_lifecycle_leaves_no_descriptor(
    make_cgroup: MakeCgroup, head: str, spawn: Spawn, open_descriptors: Callable[[], int]
) -> None:
    freezing = head == "freezer" or Hierarchy.find_exn(head or ":/").version == 2

    def all_of_it(top: Cgroup) -> None:
        one, other = sub(top, "one"), sub(top, "other")
        children = fill(one, spawn, 2)
        if freezing:
            one.freeze()
            assert Parameters.get(Freezer.state, one) == "FROZEN"
            one.thaw()
        assert one.signal(signal.SIGCONT) == 2
        for act in (lambda: one.wait_empty(0.01), lambda: one.remove(timeout=0.01), top.remove):
            with pytest.raises((CgroupTimeout, CgroupBusy)):
                act()
        assert one.move_all(other) == 2
        assert other.kill() == 2
        other.wait_empty()
        codes(children)
        for cgroup in (one, other):
            cgroup.remove(timeout=30)
        with pytest.raises(CgroupGone):
            one.remove()
        assert one.kill() == 0

    top = make_cgroup(head)
    all_of_it(top)  # it keeps its cgroup.events open
    before = open_descriptors()
    for _ in range(3):
        all_of_it(top)
    assert open_descriptors() == before


def test_freeze_v1_group_uses_its_freezer_cgroup(make_cgroup: MakeCgroup) -> None:
    """One that is of no use to the hierarchy at hand."""
    if Subsystem.find("freezer").version != 1:
        pytest.skip("the freezer is not on v1")
    others = [one for one in Hierarchy.scan() if one.version == 1 and one.subsystems and not one.has("freezer")]
    cgroup = make_cgroup(others[0].spec_head)
    group = Group.of([cgroup, make_cgroup("freezer")])
    group.freeze()
    assert group.get(Freezer.state) == "FROZEN"
    group.thaw()
    assert group.get(Freezer.state) == "THAWED"
