"""A subtree that an unprivileged user owns: what works there, what the kernel refuses, and how it is said."""

from __future__ import annotations

import contextlib
import errno
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from common import OWN_HOST, MakeCgroup, Spawn

from cgroups import (
    CgroupBusy,
    CgroupOSError,
    Core,
    Hierarchy,
    Memory,
    Parameters,
    SubsystemNotAttached,
    SubsystemNotAvailable,
)

USER = 65534


def v2_controllers() -> list[str]:
    """Return the controllers that a test may enable below the root: all if the machine belongs to the tests."""
    root = Hierarchy.find(":/")
    if root is None:
        return []
    return list(Parameters.get(Core.controllers if OWN_HOST else Core.subtree_control, root))


def for_each_controller(test: Callable[..., None]) -> Callable[..., None] | None:
    """Run a test for each controller that v2 has here."""
    controllers = v2_controllers()
    return pytest.mark.parametrize("controller", controllers)(test) if controllers else None


# ---- what an owner may ------------------------------------------------------------------------

OWNER = """
head, location, user = sys.argv[1], sys.argv[2], int(sys.argv[3])
above = Hierarchy.find_exn(f"{head}:{location}")
top = Hierarchy.find_or_create(f"{head}:{location}/theirs", owner=(user, user))
inside = top.make_sub("inside", owner=(user, user))
elsewhere = Hierarchy.find_or_create(f":{location}/elsewhere" if above.version == 2 else f"{head}:{location}/elsewhere")
Hierarchy.add_process(inside, os.getpid())
os.setgroups([])
os.setgid(user)
os.setuid(user)
"""


def test_what_an_owner_may(head: str, make_ready: MakeCgroup, run_script: Callable[..., str]) -> None:
    cgroup = make_ready(head)
    run_script(
        OWNER
        + """
made = top.make_sub("made")
assert os.stat(made.path).st_uid == user
deep = Hierarchy.find_or_create(f"{head}:{made.location}/a/b")
made.add_process(os.getpid())
assert made.processes() == [os.getpid()] and inside.processes() == []
if "pids" in made.subsystems:
    Parameters.set(Pids.max, made, 20)
    assert Parameters.get(Pids.max, made) == 20
if made.version == 2:
    Parameters.set(Core.max_depth, made, 5)
    assert Parameters.get(Core.max_depth, made) == 5
    Parameters.set(Core.subtree_control, inside, inside.subsystems)
    assert set(Parameters.get(Core.subtree_control, inside)) == set(inside.subsystems)
inside.add_process(os.getpid())
made.remove(recursive=True)
assert not made.exists
""",
        *(cgroup.hierarchy.spec_head if head else "", cgroup.location, str(USER)),
    )


def test_what_an_owner_may_not(head: str, make_ready: MakeCgroup, run_script: Callable[..., str]) -> None:
    cgroup = make_ready(head)
    run_script(
        OWNER
        + """
listed = sorted(one.location for one in above.walk())
for attempt in (
    lambda: above.make_sub("new"),
    lambda: Hierarchy.find_or_create(f"{head}:{location}/new/below"),
    lambda: elsewhere.make_sub("new"),
):
    error = raises(AccessDenied, attempt)
    assert error.errno == errno.EACCES, error
    # The directory, or what its controllers have to be enabled in first.
    assert "is owned by 0:0 with mode 0" in error.hint, error.hint
    assert error.hint.startswith(("its parent is owned", "it is owned")), error.hint
error = raises(AccessDenied, top.remove)
error = raises(AccessDenied, elsewhere.remove)
error = raises(AccessDenied, elsewhere.add_process, os.getpid())
assert elsewhere.path in error.path, error
if above.version == 2:
    assert "is owned by 0:0" in error.hint, error.hint
    raises(AccessDenied, Parameters.set, Core.max_depth, above, 3)
    raises(AccessDenied, Parameters.set, Core.subtree_control, elsewhere, elsewhere.subsystems or ["memory"])
else:
    raises(AccessDenied, Parameters.set, Parameters.notify_on_release, above, True)
assert os.getpid() in inside.processes()
assert sorted(one.location for one in above.walk()) == listed
""",
        *(cgroup.hierarchy.spec_head if head else "", cgroup.location, str(USER)),
    )


def test_an_owner_that_is_started_outside(make_cgroup: MakeCgroup, run_script: Callable[..., str]) -> None:
    """On v2 the move needs the common ancestor too: the error names it.  On v1 only the destination decides."""
    for head in ["" if Hierarchy.find(":/") is not None else "pids"]:
        cgroup = make_cgroup(head)
        run_script(
            """
            head, location, user = sys.argv[1], sys.argv[2], int(sys.argv[3])
            theirs = Hierarchy.find_or_create(f"{head}:{location}/theirs", owner=(user, user))
            outside = Hierarchy.find_or_create(f"{head}:{location}/outside/inner")
            outside.add_process(os.getpid())
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            if theirs.version == 1:
                theirs.add_process(os.getpid())
                assert theirs.processes() == [os.getpid()]
            else:
                error = raises(AccessDenied, theirs.add_process, os.getpid())
                assert error.errno == errno.EACCES
                assert f"it is in {outside}" in error.hint, error.hint
                assert error.hint.endswith(f"of the common ancestor, :{location}"), error.hint
                assert theirs.processes() == [] and outside.processes() == [os.getpid()]
            """,
            *(head, cgroup.location, str(USER)),
        )


# ---- what cgroup.subtree_control refuses, for each controller ---------------------------------------


@for_each_controller
def test_enabling_what_the_parent_lacks(controller: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("")
    inner = top.make_sub("inner")
    Parameters.set(Core.subtree_control, top, ())
    assert controller not in inner.subsystems
    with pytest.raises(SubsystemNotAttached, match=controller) as caught:
        Parameters.set(Core.subtree_control, inner, [controller])
    assert f"{inner} does not have {controller} itself" in str(caught.value.hint)
    # find_or_create enables it all the way down.
    assert controller in Hierarchy.find_or_create(f"{controller}:{inner.location}/deep").subsystems


@for_each_controller
def test_disabling_what_a_child_enables(controller: str, make_cgroup: MakeCgroup) -> None:
    deep = make_cgroup(controller, "/a/b")
    middle = deep.parent
    assert middle is not None
    assert middle.parent is not None
    with pytest.raises(CgroupBusy, match=controller) as caught:
        Parameters.set(Core.subtree_control, middle.parent, ())
    assert "a child enables it for its own children" in str(caught.value.hint)
    assert controller in deep.subsystems


@for_each_controller
def test_enabling_with_a_process_inside(controller: str, make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    """cpu, cpuset and pids the kernel would take, and turn the cgroup into a threaded domain: refused all the same."""
    busy = make_cgroup(controller)
    child = spawn("sleep", "60")
    busy.add_process(child.pid)
    with pytest.raises(CgroupBusy, match="no internal processes") as caught:
        Hierarchy.find_or_create(f"{controller}:{busy.location}/below")
    assert str(busy) in str(caught.value.hint)
    assert busy.descendants() == []
    assert Parameters.get(Core.type, busy) == "domain"
    assert Parameters.get(Core.subtree_control, busy) == ()
    # Once it has moved down, as the hint says, it goes.
    inner = Hierarchy.find_or_create(f":{busy.location}/inner")
    inner.add_process(child.pid)
    assert controller in Hierarchy.find_or_create(f"{controller}:{busy.location}/below").subsystems


@for_each_controller
def test_enabling_in_a_threaded_domain(controller: str, make_cgroup: MakeCgroup) -> None:
    """Only threaded controllers are available there; the error calls the others domain controllers."""
    top = make_cgroup(controller)
    inner = Hierarchy.find_or_create(f":{top.location}/inner")
    Parameters.set(Core.type, inner, "threaded")
    assert Parameters.get(Core.type, top) == "domain threaded"
    try:
        Parameters.set(Core.subtree_control, top, [controller])
    except CgroupOSError as error:
        assert error.errno == errno.EOPNOTSUPP
        assert f"{controller} works only in domains" in str(error.hint)
        assert Parameters.get(Core.subtree_control, top) == ()
        assert controller not in ("cpu", "cpuset", "pids", "perf_event")
    else:
        assert controller in inner.subsystems
        assert controller in ("cpu", "cpuset", "pids", "perf_event")


@for_each_controller
def test_enabling_what_there_is_not(controller: str, make_cgroup: MakeCgroup) -> None:
    """Together with an existing controller: neither is enabled."""
    top = make_cgroup(controller)
    before = Parameters.get(Core.subtree_control, top)
    with pytest.raises(SubsystemNotAvailable, match="nonesuch"):
        Parameters.set(Core.subtree_control, top, [controller, "nonesuch"])
    assert Parameters.get(Core.subtree_control, top) == before


# ---- mount options of the whole hierarchy -------------------------------------------------------------


def _remount(options: str) -> bool:
    """With exactly these options: not those that the mount has now besides."""
    place = str(Hierarchy.find_exn(":/").hierarchy.mount_point)
    command = ["mount", "--options-source", "disable", "-o", f"remount,{options}", place]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _options() -> set[str]:
    place = Hierarchy.find_exn(":/").hierarchy.mount_point
    table = Path("/proc/self/mountinfo").read_text().splitlines()
    return set(next(line for line in table if f" {place} " in line).split()[-1].split(","))


def _may_remount() -> bool:
    return OWN_HOST and Hierarchy.find(":/") is not None


def where_it_may(test: Callable[..., None]) -> Callable[..., None] | None:
    """Mount options are of the machine: only where that is the tests' own."""
    return test if _may_remount() else None


@where_it_may
@pytest.mark.parametrize("option", ["nsdelegate", "memory_recursiveprot", "nsdelegate,memory_recursiveprot"])
def test_mount_options(option: str, make_cgroup: MakeCgroup) -> None:
    assert _remount(option)
    try:
        cgroup = make_cgroup("")
        assert Hierarchy.find_exn(str(cgroup)) == cgroup
        assert set(option.split(",")) == _options() & {"nsdelegate", "memory_recursiveprot"}
        assert not {*option.split(",")} & {*Hierarchy.find_exn(":/").hierarchy.subsystems}
    finally:
        assert _remount("rw")


def where_it_may_with_memory(test: Callable[..., None]) -> Callable[..., None] | None:
    return where_it_may(test) if "memory" in v2_controllers() else None


@where_it_may_with_memory
@pytest.mark.parametrize("recursive", [True, False])
def test_protection_of_a_child_that_protects_nothing(
    recursive: bool, make_cgroup: MakeCgroup, run_script: Callable[..., str], tmp_path: Path
) -> None:
    """With memory_recursiveprot it has a part of what its parent protects; without, none."""
    assert _remount("memory_recursiveprot" if recursive else "rw")
    try:
        assert ("memory_recursiveprot" in _options()) is recursive
        top = make_cgroup("memory")
        child = Hierarchy.find_or_create(f"memory:{top.location}/protected/child")
        assert child.parent is not None
        Parameters.set(Memory.min, child.parent, 32 << 20)
        run_script(
            """
            Hierarchy.find_exn(sys.argv[1]).add_process(os.getpid())
            with open(sys.argv[2], "wb") as file:
                file.write(bytes(16 << 20))
                file.flush()
                os.fsync(file.fileno())
            """,
            *(str(child), str(tmp_path / "cached")),
        )
        cached = Parameters.get(Memory.stat["file"], child)
        assert cached >= 15 << 20
        with contextlib.suppress(CgroupOSError):  # EAGAIN: there is nothing that it may take
            Parameters.set(Memory.reclaim, top, 8 << 20)
        left = Parameters.get(Memory.stat["file"], child)
        assert left >= cached - (1 << 20) if recursive else left <= cached - (7 << 20)
    finally:
        assert _remount("rw")


@where_it_may
def test_a_delegated_namespace(make_cgroup: MakeCgroup, script: Callable[..., list[str]], spawn: Spawn) -> None:
    """With nsdelegate the root of a namespace is limited from outside, and processes stay within."""
    assert _remount("nsdelegate")
    try:
        cgroup, other = make_cgroup(""), make_cgroup("")
        child = spawn(
            *script(
                """
                print("ready", flush=True)
                sys.stdin.readline()
                unshare(CLONE_NEWCGROUP)
                Hierarchy.find_exn(":/").hierarchy.host.refresh()
                path = sys.argv[1]
                root = next(one for one in Hierarchy.process_info(os.getpid()) if one.version == 2)
                outside = Hierarchy.find_exn(":/").hierarchy
                unshare(CLONE_NEWNS)
                mount(None, "/", flags=MS_REC | MS_PRIVATE)
                umount(outside.mount_point)
                mount("cgroup2", outside.mount_point, "cgroup2")
                root = Hierarchy.find_exn(":/")
                error = raises(AccessDenied, Parameters.set, Core.max_depth, root, 3)
                assert error.errno == errno.EPERM, error
                assert "nsdelegate" in error.hint, error.hint
                inner = Hierarchy.find_or_create(":/inner")
                inner.add_process(os.getpid())
                Parameters.set(Core.max_depth, inner, 3)
                assert Parameters.get(Core.max_depth, inner) == 3
                root.add_process(os.getpid())
                inner.remove()
                """,
                str(other.path),
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        cgroup.add_process(child.pid)
        _, errors = child.communicate(b"\n", timeout=120)
        assert child.returncode == 0, errors.decode()
    finally:
        assert _remount("rw")
