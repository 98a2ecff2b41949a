"""Mount tables of every kind, and cgroup namespaces: each in a mount namespace that ends with its process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from common import MakeCgroup

from cgroups import Cgroup, Hierarchy, Memory, Parameters

Run = Callable[..., str]


def test_find_bind_mount_of_a_subtree_is_found(head: str, make_cgroup: MakeCgroup, run_unshared: Run) -> None:
    inner, elsewhere = make_cgroup(head, "/inner"), make_cgroup(head)
    assert inner.parent is not None
    run_unshared(
        """
        tmp, head, path, location, elsewhere = sys.argv[1:]
        before = Hierarchy.find(head or ":/").hierarchy
        bind(path, f"{tmp}/only")
        hide(before)
        inner = Hierarchy.find_exn(f"{head}:{location}/inner")
        assert inner.path == f"{tmp}/only/inner", inner.path
        assert inner.inode == os.stat(inner.path).st_ino
        root = inner.hierarchy.root()
        assert root.location == location and root.path == f"{tmp}/only" and root.is_root and root.parent is None
        assert root == Hierarchy.find(head or ":") and root.children() == [inner] and inner.parent == root
        assert Hierarchy.find_exn(str(inner)) == inner
        # What the mount does not show, and what only looks as if it were below.
        for hidden in ("/", elsewhere, location + "x", os.path.dirname(location)):
            assert Hierarchy.find(f"{head}:{hidden}") is None, hidden
        assert location in raises(CgroupNotFound, Hierarchy.find_exn, f"{head}:{elsewhere}").hint
        raises(CgroupNotFound, Hierarchy.find_or_create, f"{head}:{elsewhere}/new")
        made = Hierarchy.find_or_create(f"{head}:{location}/made/below")
        assert os.path.isdir(f"{tmp}/only/made/below")
        root.child("made").remove(recursive=True)
        """,
        *(head, str(inner.parent.path), inner.parent.location, elsewhere.location),
    )
    assert inner.parent.children() == [inner]


def test_find_several_mounts_of_one_hierarchy(head: str, make_cgroup: MakeCgroup, run_unshared: Run) -> None:
    cgroup = make_cgroup(head)
    run_unshared(
        """
        tmp, head, path, location = sys.argv[1:]
        first = Hierarchy.find(head or ":/").hierarchy
        before = len(first.mounts)
        bind(path, f"{tmp}/part")
        bind(first.mount_point, f"{tmp}/whole")
        found = Hierarchy.find_exn(f"{head}:{location}")
        assert found.hierarchy == first and found.path == path
        assert {one.path for one in found.hierarchy.mounts} >= {first.mount_point, f"{tmp}/part", f"{tmp}/whole"}
        assert len(found.hierarchy.mounts) == before + 2
        assert len([one for one in Hierarchy.scan() if one == first]) == 1
        umount(first.mount_point)
        # A mount of the whole goes before one of a part, whatever their order.
        again = Hierarchy.find_exn(f"{head}:{location}")
        assert again == found and again.path == f"{tmp}/whole{location}"
        assert again.inode == os.stat(f"{tmp}/part").st_ino
        """,
        *(head, str(cgroup.path), cgroup.location),
    )


POINTS = {
    "space": "a b",
    "tab": "a\tb",
    "newline": "a\nb",
    "backslash": "a\\040b\\",
    "non-ascii": "größe",
    "not-utf-8": os.fsdecode(b"a\xffb"),
    "dash": "a - cgroup cgroup rw,memory",
    "hash": "#a",
}


@pytest.mark.parametrize("name", POINTS.values(), ids=POINTS)
def test_mount_points(head: str, name: str, make_cgroup: MakeCgroup, run_unshared: Run) -> None:
    cgroup = make_cgroup(head)
    run_unshared(
        """
        tmp, name, head, location = sys.argv[1:]
        hierarchy = Hierarchy.find(head or ":/").hierarchy
        point = f"{tmp}/{name}"
        bind(hierarchy.mount_point, point)
        hide(hierarchy)
        found = Hierarchy.find_exn(f"{head}:{location}")
        assert found.hierarchy == hierarchy and found.hierarchy.mount_point == point
        assert found.path == point + location and found.inode == os.stat(found.path).st_ino
        assert found.processes() == []
        """,
        *(name, head, cgroup.location),
    )


@pytest.mark.parametrize("source", ["cgroup", "none", "a strange source", "", "cgroup2"])
def test_sources(head: str, source: str, make_cgroup: MakeCgroup, run_unshared: Run) -> None:
    cgroup = make_cgroup(head)
    run_unshared(
        """
        tmp, source, head, location = sys.argv[1:]
        hierarchy = Hierarchy.find(head or ":/").hierarchy
        os.mkdir(f"{tmp}/new")
        options = ",".join(hierarchy.subsystems) if hierarchy.version == 1 else None
        mount(source, f"{tmp}/new", "cgroup" if hierarchy.version == 1 else "cgroup2", data=options)
        hide(hierarchy)
        found = Hierarchy.find_exn(f"{head}:{location}")
        assert found.path == f"{tmp}/new{location}" and found.exists
        """,
        *(source, head, cgroup.location),
    )


def test_changes_are_noticed(head: str, make_cgroup: MakeCgroup, run_unshared: Run) -> None:
    cgroup = make_cgroup(head)
    run_unshared(
        """
        tmp, head, location = sys.argv[1:]
        spec = f"{head}:{location}"
        for turn in range(5):
            found = Hierarchy.find_exn(spec)
            point = found.hierarchy.mount_point
            bind(point, f"{tmp}/{turn}")
            assert Hierarchy.find_exn(spec).path == found.path
            hide(found.hierarchy)  # of before: not of the new one
            moved = Hierarchy.find_exn(spec)
            assert moved == found and moved.path == f"{tmp}/{turn}{location}", moved.path
        # Read-only: found, read, and not written to.
        mount(None, f"{tmp}/{turn}", flags=MS_REMOUNT | MS_BIND | MS_RDONLY)
        readonly = Hierarchy.find_exn(spec)
        assert readonly.processes() == []
        assert raises(AccessDenied, readonly.make_sub, "a").errno == errno.EROFS
        mount(None, f"{tmp}/{turn}", flags=MS_REMOUNT | MS_BIND)
        Hierarchy.find_exn(spec).make_sub("a").remove()
        umount(f"{tmp}/{turn}")
        assert Hierarchy.find(spec) is None and (head or ":") and not [
            one for one in Hierarchy.scan() if one.spec_head == head]
        assert (head or "cgroup2") in raises(CgroupNotFound, Hierarchy.find_exn, spec).hint
        """,
        *(head, cgroup.location),
    )


def test_scan_table_of_over_a_mebibyte(head: str, make_cgroup: MakeCgroup, run_unshared: Run) -> None:
    cgroup = make_cgroup(head)
    run_unshared(
        """
        tmp, head, location = sys.argv[1:]
        spec = f"{head}:{location}"
        before = Hierarchy.find_exn(spec)
        where = f"{tmp}/{'n' * 200}/{'m' * 200}/{'l' * 200}"
        for number in range(2000):
            bind(tmp, f"{where}/{number}")
        # And the hierarchy in the last line.
        bind(before.hierarchy.mount_point, f"{where}/last")
        hide(before.hierarchy)
        with open("/proc/self/mountinfo", "rb") as file:
            assert len(file.read()) > 1 << 20
        found = Hierarchy.find_exn(spec)
        assert found == before and found.path == f"{where}/last{location}"
        assert found.processes() == []
        """,
        *(head, cgroup.location),
    )


END_HIERARCHY = """
tmp, name = sys.argv[1:]
os.mkdir(f"{tmp}/named")

def is_there():
    with open("/proc/self/cgroup") as file:
        return f":name={name}:" in file.read()

# A removed cgroup is freed a moment later, and a hierarchy that has one at its
# last unmount stays: it ends at another unmount, and that a moment later too.
for turn in range(10):
    for _ in range(20):
        if not is_there():
            sys.exit()
        time.sleep(0.05)
    mount("x", f"{tmp}/named", "cgroup", data=f"none,name={name}")
    umount(f"{tmp}/named")
raise AssertionError(f"the hierarchy {name} is left behind")
"""


def test_find_named_hierarchy(run_unshared: Run) -> None:
    if "\tcgroup\n" not in Path("/proc/filesystems").read_text():
        pytest.skip("this kernel has no v1 file system")
    run_unshared(
        """
        tmp, name = sys.argv[1:]
        before = {str(one) for one in Hierarchy.process_info(os.getpid())}
        os.mkdir(f"{tmp}/named")
        mount("x", f"{tmp}/named", "cgroup", data=f"none,name={name}")
        try:
            head = f"name={name}"
            [hierarchy] = [one for one in Hierarchy.scan() if one.label == name]
            assert hierarchy.subsystems == () and hierarchy.version == 1
            assert hierarchy.mount_point == f"{tmp}/named"
            assert Hierarchy.find(head) == hierarchy.root() == Hierarchy.own(head)
            made = Hierarchy.find_or_create(f"{head}:/cgroups-test-a/b:c")
            assert str(made) == f"{head}:/cgroups-test-a/b:c" and Hierarchy.find_exn(str(made)) == made
            child = os.fork()
            if child == 0:
                time.sleep(60)
            made.add_process(child)
            assert made.processes() == [child] and made in Hierarchy.process_info(child)
            os.kill(child, 9)
            os.waitpid(child, 0)
            assert before | {f"{head}:/"} == {str(one) for one in Hierarchy.process_info(os.getpid())}
        finally:
            for one in reversed(Hierarchy.find_exn(f"name={name}").descendants()):
                one.remove()
            umount(f"{tmp}/named")
        assert Hierarchy.find(head) is None
        """,
        f"cgroups-test-{os.getpid()}",
    )
    run_unshared(END_HIERARCHY, f"cgroups-test-{os.getpid()}")


def test_find_thread_with_its_own_mount_namespace(head: str, make_cgroup: MakeCgroup, run_unshared: Run) -> None:
    cgroup = make_cgroup(head)
    run_unshared(
        """
        tmp, head, location = sys.argv[1:]
        spec = f"{head}:{location}"
        here = Hierarchy.find_exn(spec)
        bind(here.hierarchy.mount_point, f"{tmp}/other")
        assert Hierarchy.find_exn(spec).path == here.path
        seen, turn = [], [threading.Event() for _ in range(2)]

        def elsewhere():
            unshare(CLONE_NEWNS)
            for mount in here.hierarchy.mounts:
                umount(mount.path)
            seen.append(Hierarchy.find_exn(spec).path)
            turn[0].set()
            turn[1].wait()
            umount(f"{tmp}/other")
            seen.append(Hierarchy.find(spec))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        assert turn[0].wait(30)
        assert Hierarchy.find_exn(spec).path == here.path
        turn[1].set()
        thread.join()
        assert seen == [f"{tmp}/other{location}", None], seen
        assert Hierarchy.find_exn(spec).path == here.path
        """,
        *(head, cgroup.location),
    )


def test_find_forked_child_does_not_steal_the_event(head: str, make_cgroup: MakeCgroup, run_unshared: Run) -> None:
    """Both see a change that happens after the fork, whoever looks first."""
    cgroup = make_cgroup(head)
    run_unshared(
        """
        tmp, head, location = sys.argv[1:]
        spec = f"{head}:{location}"
        for turn in range(3):
            found = Hierarchy.find_exn(spec)
            child = os.fork()
            if child == 0:
                try:
                    assert Hierarchy.find_exn(spec) == found
                    bind(found.hierarchy.mount_point, f"{tmp}/{turn}")
                    hide(found.hierarchy)
                    assert Hierarchy.find_exn(spec).path == f"{tmp}/{turn}{location}"
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
            assert Hierarchy.find_exn(spec).path == f"{tmp}/{turn}{location}"
        # And one that has a namespace of its own by now keeps it to itself.
        child = os.fork()
        if child == 0:
            try:
                unshare(CLONE_NEWNS)
                assert Hierarchy.find_exn(spec).path == f"{tmp}/{turn}{location}"
                umount(f"{tmp}/{turn}")
                assert Hierarchy.find(spec) is None
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert Hierarchy.find_exn(spec).path == f"{tmp}/{turn}{location}"
        """,
        *(head, cgroup.location),
    )


@pytest.mark.parametrize("level", ["mount point", "directory above"])
def test_find_over_mounted_hierarchy_is_none(head: str, level: str, make_cgroup: MakeCgroup, run_unshared: Run) -> None:
    cgroup = make_cgroup(head)
    run_unshared(
        """
        tmp, head, location, level = sys.argv[1:]
        found = Hierarchy.find_exn(f"{head}:{location}")
        point = found.hierarchy.mount_point
        covered = point if level == "mount point" else os.path.dirname(point)
        mount("tmpfs", covered, "tmpfs")
        # Directories of that name on another file system are no cgroups.
        os.makedirs(f"{point}{location}")
        assert Hierarchy.find(f"{head}:{location}") is None
        raises(SubsystemNotAvailable, Hierarchy.find_or_create, f"{head}:{location}/new")
        assert not os.path.exists(f"{point}{location}/new")
        umount(covered)
        assert Hierarchy.find(f"{head}:{location}") == found
        """,
        *(head, cgroup.location, level),
    )


def test_find_hierarchy_over_mounted_by_another(run_unshared: Run) -> None:
    heads = [hierarchy.spec_head for hierarchy in Hierarchy.scan()]
    if len(heads) < 2:
        pytest.skip("only one hierarchy is mounted here")
    run_unshared(
        """
        tmp, below, above = sys.argv[1:]
        lower, upper = (Hierarchy.find(head or ":/").hierarchy for head in (below, above))
        mount(upper.mount_point, lower.mount_point, flags=MS_BIND)
        assert Hierarchy.find(below or ":/") is None
        assert Hierarchy.find_exn(above or ":/").hierarchy == upper
        """,
        *heads[:2],
    )


def test_find_part_mounted_over_the_whole(head: str, make_cgroup: MakeCgroup, run_unshared: Run) -> None:
    """The two are of one device: only what is on top can be reached at that path."""
    cgroup = make_cgroup(head, "/inner")
    assert cgroup.parent is not None
    run_unshared(
        """
        tmp, head, path, location = sys.argv[1:]
        hierarchy = Hierarchy.find(head or ":/").hierarchy
        mount(path, hierarchy.mount_point, flags=MS_BIND)
        found = Hierarchy.find_exn(f"{head}:{location}/inner")
        assert found.path == f"{hierarchy.mount_point}/inner" and os.path.isdir(found.path), found.path
        assert Hierarchy.find(f"{head}:/") is None
        """,
        *(head, str(cgroup.parent.path), cgroup.parent.location),
    )


# ---- cgroup namespaces ----------------------------------------------------------------------


def in_namespace(script: str, spawn: Callable[..., subprocess.Popen[bytes]], cgroup: Cgroup) -> None:
    """Run a command that prints ready, waits until it is moved into the cgroup, and then continues."""
    pipe = subprocess.PIPE
    child = spawn(*script, stdin=pipe, stdout=pipe, stderr=pipe, cwd="/")
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    cgroup.add_process(child.pid)
    _, errors = child.communicate(b"\n", timeout=60)
    assert child.returncode == 0, errors.decode()


ENTER = """
print("ready", flush=True)
sys.stdin.readline()
head, location, version = sys.argv[1:]
parent = os.getppid()
outside = [one for one in Hierarchy.process_info(parent) if one.hierarchy.spec_head == head][0]
unshare(CLONE_NEWCGROUP | CLONE_NEWNS)
mount(None, "/", flags=MS_REC | MS_PRIVATE)
outside.hierarchy.host.refresh()
"""


@pytest.mark.parametrize("root", ["/", "/host"])
def test_process_info_private_namespace_over_the_mounts_of_before_finds_its_root(
    head: str,
    root: str,
    make_cgroup: MakeCgroup,
    script: Callable[..., str],
    spawn: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    """The mounts show what is above the namespace's root (``/../..``), and do not say by which names one comes down."""
    cgroup, beside = make_cgroup(head, "/a/b"), make_cgroup(head, "/c/d")
    text = f"""
    with open("/proc/self/mountinfo") as file:
        assert " /../../.. " in file.read()
    top, beside, tmp, root = outside.hierarchy.mount_point, {beside.location!r}, {str(tmp_path)!r}, {root!r}
    host = Host()
    if root != "/":
        mount("/", tmp, flags=MS_BIND | MS_REC)
        host, top = Host(tmp), tmp + top
    own = host.own(head)
    assert own.location == location, own.location
    assert own.path == top + location and own.exists and not own.is_root
    assert own.inode == os.stat(own.path).st_ino and os.getpid() in own.processes()
    assert host.find_exn(str(own)) == own and host.find_exn(head or ":/") != own
    assert own in host.process_info(os.getpid())
    inner = own.make_sub("inner")
    assert os.path.isdir(own.path + "/inner") and inner.parent == own
    assert own.children() == [inner]
    inner.remove()
    # Other processes are in `/../..`.
    [seen] = [one for one in host.process_info(parent) if one.hierarchy == own.hierarchy]
    assert seen.path == (top + outside.location).rstrip("/"), (seen.path, outside)
    assert parent in seen.processes() and host.find_exn(str(seen)) == seen
    assert host.find_exn(f"{{head}}:{{beside}}").path == top + beside
    """
    in_namespace(script(ENTER + _dedent(text), head, cgroup.location, str(cgroup.version)), spawn, cgroup)


def test_capacity_private_namespace_over_the_mounts_of_before(
    make_ready: MakeCgroup,
    need: Callable[[str], None],
    script: Callable[..., str],
    spawn: Callable[..., subprocess.Popen[bytes]],
) -> None:
    """The limit that holds is found by way of the host's own mount, and nothing above is hidden."""
    need("memory")
    cgroup = make_ready("memory", "/a/b")
    assert cgroup.parent is not None
    Parameters.set(Memory.limit_in_bytes, cgroup.parent, 64 << 20)
    text = """
    import cgroups
    found = cgroups.capacity()
    assert found.memory == 64 << 20, found
    assert not found.sources["memory"].hidden
    assert found.sources["memory"].cgroup.location == os.path.dirname(location)
    assert cgroups.capacity(os.getpid()) == found
    """
    in_namespace(
        script(ENTER + _dedent(text), cgroup.hierarchy.spec_head, cgroup.location, str(cgroup.version)), spawn, cgroup
    )


def test_process_info_mounts_at_different_heights_uses_the_one_that_shows_it(
    head: str,
    make_cgroup: MakeCgroup,
    script: Callable[..., str],
    spawn: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    """A node agent has its own mount, whose root is its cgroup, and the host's."""
    cgroup, beside = make_cgroup(head, "/a/b"), make_cgroup(head, "/c/d")
    text = f"""
    mount("tmpfs", {str(tmp_path)!r}, "tmpfs")
    point = {str(tmp_path / "own")!r}
    os.mkdir(point)
    mount("own", point, "cgroup" if version == "1" else "cgroup2", data=head or None)
    top = outside.hierarchy.mount_point
    own = Hierarchy.own(head)
    assert own.location == "/" and own.path == point and own.is_root and Hierarchy.find_exn(str(own)) == own
    [seen] = [one for one in Hierarchy.process_info(parent) if one.hierarchy == own.hierarchy]
    assert seen.path == (top + outside.location).rstrip("/"), (seen.path, seen.location)
    assert seen.exists and parent in seen.processes()
    # Its text is no spec, and above all no other cgroup's.
    assert Hierarchy.find(f"{{head}}:/") == own
    raises(ValueError, Hierarchy.find_exn, str(seen))
    # Up to the root, which is the host's; and down again to what is beside, and to one's own.
    levels = [*seen.upwards()]
    assert levels[-1].path == top and levels[-1].is_root
    below = {{one.path: one for one in levels[-1].walk()}}
    assert {{*below}} >= {{top, top + {beside.location!r}, point}}, sorted(below)
    assert below[point] == own and below[point].location == "/"
    assert below[top + {beside.location!r}].inode == os.stat(top + {beside.location!r}).st_ino
    # Without a mount of its own it is called otherwise.
    umount(point)
    assert Hierarchy.own(head).path == top + location
    """
    in_namespace(script(ENTER + _dedent(text), head, cgroup.location, str(cgroup.version)), spawn, cgroup)


def test_find_cgroup_namespace_with_its_own_mount(
    head: str,
    make_cgroup: MakeCgroup,
    script: Callable[..., str],
    spawn: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    """The namespace's own mount shows the root, and wins over the older mount."""
    cgroup = make_cgroup(head)
    text = f"""
    mount("tmpfs", {str(tmp_path)!r}, "tmpfs")
    point = {str(tmp_path / "own")!r}
    os.mkdir(point)
    mount("own", point, "cgroup" if version == "1" else "cgroup2", data=head or None)
    own = Hierarchy.own(head)
    assert own.location == "/" and own.is_root and own.path == point, own.path
    assert own.processes() == [os.getpid()]
    assert Hierarchy.find_exn(head or ":/") == own
    inner = Hierarchy.find_or_create(f"{{head}}:/inner")
    assert os.path.isdir(f"{{point}}/inner")
    inner.remove()
    """
    in_namespace(script(ENTER + _dedent(text), head, cgroup.location, str(cgroup.version)), spawn, cgroup)


def test_get_root_only_file_in_a_namespace_of_its_own_raises_expected_root(
    make_cgroup: MakeCgroup,
    need: Callable[[str], None],
    script: Callable[..., str],
    spawn: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    """The root that it sees is not the hierarchy's, and this kernel does have the file."""
    need("memory")
    cgroup = make_cgroup("memory")
    if cgroup.version == 2:
        pytest.skip("v2 has no such file in every kernel")
    text = f"""
    mount("tmpfs", {str(tmp_path)!r}, "tmpfs")
    point = {str(tmp_path / "own")!r}
    os.mkdir(point)
    mount("own", point, "cgroup", data=head)
    own = Hierarchy.own(head)
    assert own.is_root and own.path == point
    error = raises(ExpectedRoot, Parameters.get, Parameters.release_agent, own)
    assert "cannot be seen" in str(error), error
    """
    in_namespace(script(ENTER + _dedent(text), "memory", cgroup.location, "1"), spawn, cgroup)


def test_ps_with_a_proc_of_the_outer_pid_namespace_says_so(
    head: str, make_cgroup: MakeCgroup, run_unshared: Run
) -> None:
    """Number 1 is another process there: its name would be wrong."""
    cgroup = make_cgroup(head)
    run_unshared(
        """
        import subprocess
        tmp, spec = sys.argv[1:]
        unshare(0x20000000)  # CLONE_NEWPID, for the children
        # The first child is the namespace's process 1: it stays, or no other could be made.
        first = subprocess.Popen(["sleep", "60"])
        command = [sys.executable, "-m", "cgroups", "ps", spec]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/")
        assert done.returncode == 1 and "another pid namespace" in done.stderr, done
        first.kill()
        """,
        str(cgroup),
    )


def _dedent(text: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in text.splitlines())
