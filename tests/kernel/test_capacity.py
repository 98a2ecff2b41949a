"""Effective limits and capacity on the real kernel: refusals, threads, processes that move, and mounts of parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from common import MIB

from cgroups import Cgroup, Memory, Parameters

OUTER, INNER = 256 * MIB, 64 * MIB

RunScript = Callable[..., str]


@pytest.fixture
def inner(need: Callable[[str], None], make_ready: Callable[..., Cgroup]) -> Cgroup:
    """A cgroup that limits memory, below one that limits it less."""
    need("memory")
    cgroup = make_ready("memory", "/outer/inner")
    assert cgroup.parent is not None
    Parameters.set(Memory.limit_in_bytes, cgroup.parent, OUTER)
    Parameters.set(Memory.limit_in_bytes, cgroup, INNER)
    return cgroup


def test_capacity_unreadable_ancestor_may_allow_less(inner: Cgroup, run_script: RunScript) -> None:
    """Readable levels count; the others may allow less."""
    outer = inner.parent
    assert outer is not None
    for file in Memory.limit_in_bytes.files(inner.version):
        Path(str(outer.path), file).chmod(0o600)
    run_script(
        """
        import cgroups
        inner, limit = Hierarchy.find_exn(sys.argv[1]), int(sys.argv[2])
        inner.add_process(os.getpid())
        cgroups.capacity()  # imports what this user may not read
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        found = Hierarchy.own("memory").effective(Memory.limit_in_bytes)
        assert (found.value, found.cgroup, found.hidden) == (limit, inner, True), found
        found = cgroups.capacity()
        assert found.memory == limit and found.sources["memory"].hidden, found
        raises(AccessDenied, inner.parent.effective, Memory.limit_in_bytes)
        """,
        *(str(inner), str(INNER)),
    )


def test_capacity_process_whose_first_thread_has_exited(inner: Cgroup, run_script: RunScript) -> None:
    """/proc/self is of the first thread; the cgroup is the calling one's."""
    run_script(
        """
        import cgroups, platform
        inner, limit = Hierarchy.find_exn(sys.argv[1]), int(sys.argv[2])
        inner.add_process(os.getpid())

        def work():
            status = 1
            try:
                while open("/proc/self/stat").read().rpartition(")")[2].split()[0] != "Z":
                    time.sleep(0.01)
                assert Hierarchy.own("memory") == inner, Hierarchy.own("memory")
                assert cgroups.capacity().memory == limit, cgroups.capacity()
                status = 0
            except BaseException as error:
                print(error, file=sys.stderr, flush=True)
            os._exit(status)

        threading.Thread(target=work).start()
        _libc.syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
        """,
        *(str(inner), str(INNER)),
    )


def test_capacity_process_moved_meanwhile_is_read_again(inner: Cgroup, run_script: RunScript) -> None:
    """And its old cgroup removed: it has one at every moment."""
    run_script(
        """
        import cgroups, subprocess
        inner = Hierarchy.find_exn(sys.argv[1])
        child = subprocess.Popen(["sleep", "600"])
        ended = []
        times = []
        for _ in range(5):
            start = time.monotonic()
            cgroups.capacity(child.pid)
            times.append(time.monotonic() - start)
        pause = 3 * min(times)  # no faster than one can look

        def move():
            before = None
            for number in range(50):
                there = inner.parent.make_sub(f"place{number}")
                there.add_process(child.pid)
                if before is not None:
                    before.remove()
                before = there
                time.sleep(pause)
            ended.append(True)

        mover = threading.Thread(target=move)
        mover.start()
        try:
            while not ended and mover.is_alive():
                found = cgroups.capacity(child.pid)
                assert found.memory > 0
        finally:
            child.kill()
            child.wait()
            mover.join()
        assert ended
        """,
        str(inner),
    )


@pytest.mark.parametrize("order", [("inner", "outer"), ("outer", "inner"), ("beside", "outer")])
def test_capacity_several_partial_mounts_are_used(
    inner: Cgroup, order: tuple[str, str], run_unshared: RunScript
) -> None:
    """The limit of whatever is visible through any of them counts."""
    outer = inner.parent
    assert outer is not None
    Parameters.set(Memory.limit_in_bytes, inner, OUTER)
    Parameters.set(Memory.limit_in_bytes, outer, INNER)
    run_unshared(
        """
        place, inner, limit, order = sys.argv[1], Hierarchy.find_exn(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
        inner.add_process(os.getpid())
        beside = inner.parent.parent.make_sub("beside")
        parts = {"inner": inner, "outer": inner.parent, "beside": beside}
        for name in order:
            bind(parts[name].path, f"{place}/{name}")
        before = [mount.path for mount in inner.hierarchy.mounts]
        for path in before:
            umount(path)
        own = Hierarchy.own("memory")
        found = own.effective(Memory.limit_in_bytes)
        assert (found.value, found.hidden) == (limit, True), found
        assert found.cgroup == own.parent and own.parent.is_root and not own.is_root, found
        """,
        *(str(inner), str(INNER), *order),
    )


@pytest.mark.parametrize("first", ["/beside", "/outer/inner"])
def test_each_part_that_is_mounted_has_its_own_root(
    head: str, first: str, make_cgroup: Callable[..., Cgroup], run_unshared: Callable[..., str]
) -> None:
    """A cgroup is created and removed in the part that shows it, whichever part was mounted first."""
    top = make_cgroup(head)
    for name in ("beside", "outer", "outer/inner"):
        top.make(name)
    run_unshared(
        """
        root, top, first = sys.argv[1:]
        whole = Hierarchy.find_exn(top)
        bind(whole.path + first, root + "/first")
        bind(whole.path + "/outer", root + "/outer")
        for one in whole.hierarchy.mounts:
            umount(one.path)
        outer, inner = Hierarchy.find_exn(top + "/outer"), Hierarchy.find_exn(top + "/outer/inner")
        assert outer.is_root and outer.parent is None
        assert inner.parent == outer and not inner.is_root
        assert outer.hierarchy.root().is_root
        made = Hierarchy.find_or_create(top + "/outer/new/below")
        assert os.path.isdir(root + "/outer/new/below")
        assert not [name for _, names, _ in os.walk(root + "/first") for name in names]
        made.parent.remove(recursive=True)
        raises(InvalidValue, outer.remove)
        """,
        str(top),
        first,
    )
