"""Explanations of refusals of the real kernel."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest
from common import MIB, MakeCgroup
from conftest import usable
from test_delegation import USER

import cgroups
from cgroups import Cpuset, InvalidValue, Memory, Parameters

READ_ONLY = """
import errno, subprocess
head, location = sys.argv[2], sys.argv[3]
cgroup = Hierarchy.find_exn(f"{head}:{location}")
for mount in cgroup.hierarchy.mounts:
    # Of this mount namespace: the file system itself stays as it is.
    subprocess.run(["mount", "-o", "remount,bind,ro", mount.path], check=True)
name = "cgroup.max.depth" if cgroup.version == 2 else "notify_on_release"
for attempt in (
    lambda: cgroup.make_sub("new"),
    lambda: Hierarchy.find_or_create(f"{head}:{location}/new"),
    cgroup.remove,
    lambda: cgroup.add_process(os.getpid()),
    lambda: cgroup.write_text(name, "1"),
):
    error = raises(AccessDenied, attempt)
    assert error.errno == errno.EROFS, error
    assert "mounted read-only" in error.hint and "owned by" not in error.hint, error
    assert str(error).count(cgroup.path) == 1, error
    assert len(str(error).replace(cgroup.path, "")) < 200, error
"""


def test_read_only_mount_is_the_reason(head: str, make_cgroup: MakeCgroup, run_unshared: Callable[..., str]) -> None:
    cgroup = make_cgroup(head)
    run_unshared(READ_ONLY, *(cgroup.hierarchy.spec_head if head else "", cgroup.location))


def test_info_on_read_only_mounts_says_nowhere(run_unshared: Callable[..., str]) -> None:
    printed = run_unshared(
        """
        import subprocess
        for one in Hierarchy.scan():
            for mount in one.mounts:
                subprocess.run(["mount", "-o", "remount,bind,ro", mount.path], check=True)
        done = subprocess.run([sys.executable, "-m", "cgroups", "info"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        print(done.stdout)
        """
    )
    assert printed.count("nowhere: mounted read-only") == len(cgroups.Hierarchy.scan())
    assert "everywhere" not in printed


def test_user_of_a_cgroup_with_processes_reads_of_permission_and_not_of_the_rule(
    make_ready: MakeCgroup, run_script: Callable[..., str]
) -> None:
    """On v2 both stand in the way; moving processes would not help this user."""
    if cgroups.Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted")
    cgroup = make_ready("")
    run_script(
        """
        import signal
        cgroup = Hierarchy.find_exn(sys.argv[1])
        child = os.fork()
        if not child:
            os.close(1)
            os.close(2)
            signal.pause()
        cgroup.add_process(child)
        try:
            os.setgroups([])
            os.setgid(int(sys.argv[2]))
            os.setuid(int(sys.argv[2]))
            for name in cgroup.subsystems:
                error = raises(AccessDenied, Hierarchy.find_or_create, f"{name}:{cgroup.location}/new")
                assert error.errno == errno.EACCES, error
                assert "is owned by 0:0" in error.hint and "no internal processes" not in error.hint, error
            error = raises(AccessDenied, cgroup.make_sub, "new")
            assert "is owned by 0:0" in error.hint and "no internal processes" not in error.hint, error
        finally:
            print(child)
        """,
        *(str(cgroup), str(USER)),
    )
    cgroup.kill()


@pytest.mark.skipif(not usable("memory"), reason="memory cannot be used")
def test_memsw_without_a_limit_says_max(make_ready: MakeCgroup) -> None:
    cgroup = make_ready("memory")
    if cgroup.version == 2 or not os.path.exists(f"{cgroup.path}/memory.memsw.limit_in_bytes"):
        pytest.skip("memsw is v1's")
    with pytest.raises(InvalidValue) as caught:
        Parameters.set(Memory.memsw_limit_in_bytes, cgroup, 64 * MIB)
    assert "at least memory.limit_in_bytes, now max" in str(caught.value)
    assert f"cgroups set {cgroup} memory.limit_in_bytes" in caught.value.for_command()


@pytest.mark.skipif(not usable("cpuset"), reason="cpuset cannot be used")
def test_cpuset_beyond_the_machine_and_the_parent(make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup("cpuset")
    last = max(os.cpu_count() or 1, 64) * 8
    with pytest.raises(cgroups.CgroupError) as caught:
        Parameters.set(Cpuset.cpus, cgroup, [last])
    assert "this machine has CPUs 0" in str(caught.value)
    if cgroup.version == 1:
        child = cgroup.make_sub("child")
        with pytest.raises(cgroups.CgroupError) as caught:
            Parameters.set(Cpuset.cpus, child, [0])
        assert caught.value.errno == errno.EACCES
        assert f"{cgroup} has no CPUs" in str(caught.value)
        assert f"cgroups set {cgroup} cpuset.cpus" in caught.value.for_command()
        child.remove()


def test_own_in_a_proc_without_cgroups_does_not_blame_the_mounts(run_unshared: Callable[..., str]) -> None:
    run_unshared(
        """
        controller = next(iter(Hierarchy.scan()[0].subsystems), "")
        mount("/dev/null", "/proc/thread-self/cgroup", flags=MS_BIND)
        error = raises(CgroupError, Hierarchy.own, controller)
        assert "no mounted hierarchy" not in str(error), error
        """
    )


def test_epoll_that_seccomp_refuses_is_said_to_be_refused(run_script: Callable[..., str]) -> None:
    """EPERM of a descriptor without a file is no matter of owners, nor of how many there may be."""
    run_script(
        """
        import select
        def refuse(*_):
            raise OSError(1, "Operation not permitted")
        select.epoll = refuse
        from cgroups import Events
        error = raises(CgroupError, Events, Hierarchy.scan()[0].root())
        assert "seccomp" in str(error) and "ulimit" not in str(error) and "owned by" not in str(error), error
        """
    )
