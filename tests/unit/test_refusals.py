"""The exception for each of the kernel's refusals, and its message."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

import cgroups
from cgroups import Cgroup, CgroupError, Core, Cpu, Freezer, Host, InvalidValue, Memory, Parameters
from cgroups.core import diagnosis, refusals
from cgroups.core.interface import Failure, Status

# ---- each answer of the kernel to a write ------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EINVAL, InvalidValue, "the kernel does not accept this value here"),
        (errno.ERANGE, InvalidValue, "out of the range that the kernel accepts"),
        (errno.EBUSY, cgroups.CgroupBusy, "do not fit the new value"),
        (errno.ENOSPC, cgroups.CgroupOSError, "without a CPU or a memory node"),
        (errno.E2BIG, InvalidValue, "4096 bytes"),
        (errno.EACCES, cgroups.AccessDenied, "beyond what the parent allows"),
        (errno.EPERM, cgroups.AccessDenied, "beyond what the parent allows"),
        (errno.EROFS, cgroups.AccessDenied, "mounted read-only"),
        (errno.EIO, cgroups.CgroupOSError, "EIO"),
    ],
)
def test_set_refused_write_names_the_reason(
    raises: Any, recorded_v2: Any, number: int, kind: type[CgroupError], words: str
) -> None:
    recorded_v2.refuse("memory.max", "8192", number)
    cgroup = recorded_v2.cgroup
    raises(
        kind,
        lambda: Parameters.set(Memory.limit_in_bytes, cgroup, 8192),
        *("cannot set memory.limit_in_bytes of :/job/a to 8192", str(cgroup.path), words),
        errno.errorcode[number],
        path=f"{cgroup.path}/memory.max",
        parameter="memory.limit_in_bytes",
        errno=number,
    )


def test_set_missing_device_or_file_names_the_reason(raises: Any, recorded_v2: Any) -> None:
    """ENODEV is a device's that a file names; of any other file it is the cgroup that is gone."""
    cgroup = recorded_v2.cgroup
    recorded_v2.refuse("io.max", "7:7 rbps=max", errno.ENODEV)
    write = lambda: cgroup.write_text("io.max", "7:7 rbps=max")  # noqa: E731 - what is tried
    raises(InvalidValue, write, "no such device exists", "ENODEV", errno=errno.ENODEV)
    for name, text in (("memory.max", "8192"), ("cgroup.freeze", "1"), ("cgroup.kill", "1")):
        recorded_v2.refuse(name, text, errno.ENODEV)
        write = lambda name=name, text=text: cgroup.write_text(name, text)  # noqa: E731
        raises(cgroups.CgroupGone, write, "it was being removed", path=str(cgroup.path), errno=errno.ENODEV)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ESRCH, cgroups.ProcessNotFound, "no such process exists"),
        (errno.EINVAL, InvalidValue, "a kernel thread"),
        (errno.ENOSPC, cgroups.CgroupOSError, "the destination's cpuset.cpus or cpuset.mems is empty; set both first"),
        (errno.EBUSY, cgroups.CgroupBusy, "no internal processes"),
        (errno.EOPNOTSUPP, cgroups.CgroupOSError, "'domain'"),
        (errno.EROFS, cgroups.AccessDenied, "mounted read-only"),
    ],
)
def test_add_process_refused_names_the_reason(
    raises: Any, recorded_v2: Any, number: int, kind: type[CgroupError], words: str
) -> None:
    recorded_v2.refuse("cgroup.procs", "4321", number)
    cgroup = recorded_v2.cgroup
    tried = "cannot move process 4321 into :/job/a"
    raises(
        kind, lambda: cgroup.add_process(4321), tried, str(cgroup.path), words, errno.errorcode[number], errno=number
    )


def test_add_process_refused_names_the_common_ancestor(raises: Any, recorded_v2: Any) -> None:
    """A delegated user's move needs access where both trees meet."""
    process = Path(recorded_v2.cgroup.hierarchy.host.root) / "proc/4321"
    process.mkdir()
    (process / "cgroup").write_text("0::/job/other/deep\n")
    recorded_v2.refuse("cgroup.procs", "4321", errno.EACCES)
    raises(
        cgroups.AccessDenied,
        lambda: recorded_v2.cgroup.add_process(4321),
        *("it is in :/job/other/deep", "cgroup.procs of the common ancestor, :/job"),
    )


def test_remove_refused_names_the_reason(raises: Any, recorded_v2: Any) -> None:
    """The captured directory is not empty, so that rmdir(2) itself says no."""
    cgroup = recorded_v2.cgroup
    error = refusals.explain_remove(errno.EBUSY, cgroup)
    assert type(error) is cgroups.CgroupBusy
    for word in ("cannot remove :/job/a", str(cgroup.path), "EBUSY", "processes inside: 1; cgroups below: 0"):
        assert word in str(error)
    raises(
        cgroups.CgroupBusy, cgroup.remove, "cannot remove :/job/a", "ENOTEMPTY", path=cgroup.path, errno=errno.ENOTEMPTY
    )
    assert cgroup.exists


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EAGAIN, cgroups.CgroupOSError, "cgroup.max.depth or cgroup.max.descendants"),
        (errno.ENOSPC, cgroups.CgroupOSError, "no cgroup id left"),
        (errno.EEXIST, cgroups.CgroupExists, "a cgroup or a control file has this name"),
        (errno.EACCES, cgroups.AccessDenied, "its parent is writable, but a security module refuses it"),
        (errno.EROFS, cgroups.AccessDenied, "its parent is mounted read-only"),
    ],
)
def test_create_refused_names_the_reason(job: Cgroup, number: int, kind: type[CgroupError], words: str) -> None:
    error = refusals.explain_create(number, job.child("new"))
    assert type(error) is kind
    for word in ("cannot create :/job/a/new", f"{job.path}/new", words, errno.errorcode[number]):
        assert word in str(error)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EBUSY, cgroups.CgroupBusy, "no internal processes: :/job has processes; move them down first"),
        (errno.EOPNOTSUPP, cgroups.CgroupOSError, "memory works only in domains"),
        (errno.ENOENT, cgroups.SubsystemNotAttached, ":/job does not have memory itself"),
        (errno.EINVAL, cgroups.SubsystemNotAvailable, "EINVAL"),
        (errno.EACCES, cgroups.AccessDenied, "EACCES"),
    ],
)
def test_explain_control_refused_names_the_reason(
    v2: Host, job: Cgroup, number: int, kind: type[CgroupError], words: str
) -> None:
    failure = Failure(Status.OS, number)
    error = refusals.explain_control(failure, v2.find_exn(":/job"), "+memory", job)
    assert type(error) is kind
    tried = "cannot enable memory below :/job"
    for word in (tried, "cgroup.subtree_control", "for :/job/a", words, errno.errorcode[number]):
        assert word in str(error)


def test_errors_of_threaded_cgroups_are_explained(v2: Host, v2_root: Path) -> None:
    (v2_root / "sys/fs/cgroup/job/a/cgroup.type").write_text("threaded\n")
    failure = Failure(Status.OS, errno.EOPNOTSUPP)
    error = diagnosis.explain(failure, v2.find_exn(":/job/a"), "cgroup.procs", "read")
    assert type(error) is cgroups.CgroupOSError
    for word in ("cannot read cgroup.procs of :/job/a", "'threaded'", "domain", "ENOTSUP"):
        assert word in str(error)


def test_explain_unmounted_hierarchy_is_cgroup_gone(job: Cgroup) -> None:
    error = diagnosis.explain(Failure(Status.FOREIGN), job, "memory.max", "read")
    assert type(error) is cgroups.CgroupGone
    assert "not a cgroup file system" in str(error)
    assert "unmounted" in str(error)


def test_get_and_set_wrong_kind_names_the_kind(job: Cgroup) -> None:
    """A mistake in the program, not of the machine: TypeError."""
    for function, words in (
        (lambda: Parameters.set(Memory.usage_in_bytes, job, 5), "memory.usage_in_bytes cannot be set"),  # type: ignore[arg-type]
        (lambda: Parameters.get(Core.kill, job), "cgroup.kill cannot be read"),  # type: ignore[arg-type]
        (lambda: Parameters.reset(Cpu.shares, job), "cpu.shares cannot be reset"),  # type: ignore[arg-type]
        (lambda: Parameters.get(Freezer.state, "freezer:/a"), "cgroup must be a Cgroup, got 'freezer:/a'"),  # type: ignore[arg-type]
        (lambda: Parameters.get("memory.max", job), "parameter must be a parameter such as"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError) as caught:
            function()
        assert words in str(caught.value)
