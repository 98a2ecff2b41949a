"""Every exception: what it derives from, what it carries, and what its message says."""

from __future__ import annotations

import copy
import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cgroups
from cgroups import Blkio, Cgroup, CgroupError, Cpuset, Host, Hugetlb, InvalidValue, Memory, Parameters, Pids
from cgroups.core.errors import describe_access, from_errno, from_failure
from cgroups.core.interface import Failure, Status

BASES = {
    cgroups.CgroupNotFound: ValueError,
    cgroups.CgroupExists: FileExistsError,
    cgroups.CgroupGone: FileNotFoundError,
    cgroups.CgroupBusy: OSError,
    cgroups.AccessDenied: PermissionError,
    cgroups.ProcessNotFound: ProcessLookupError,
    cgroups.CgroupTimeout: TimeoutError,
    cgroups.CgroupOSError: OSError,
    cgroups.SubsystemNotAvailable: LookupError,
    cgroups.SubsystemNotAttached: LookupError,
    cgroups.ParameterNotSupported: LookupError,
    cgroups.ExpectedRoot: ValueError,
    cgroups.InvalidValue: ValueError,
    cgroups.ParseError: ValueError,
    cgroups.NativeRequired: RuntimeError,
    cgroups.SystemdError: RuntimeError,
}


def test_errors_list_is_complete() -> None:
    exported = {getattr(cgroups, name) for name in cgroups.__all__}
    exceptions = {one for one in exported if isinstance(one, type) and issubclass(one, Exception)}
    # CommandFailed is an error of the command, and of subprocess.
    found = {one for one in exceptions if not issubclass(one, Warning)} - {cgroups.CommandFailed}
    assert found == {CgroupError, *BASES}


@pytest.mark.parametrize("kind", BASES, ids=lambda kind: kind.__name__)
def test_errors_have_their_bases_and_facts(kind: type[CgroupError]) -> None:
    assert issubclass(kind, CgroupError)
    assert issubclass(kind, BASES[kind])
    bare = kind("what was tried")
    assert str(bare) == "what was tried"
    assert (bare.path, bare.parameter, bare.errno, bare.hint) == (None, None, None, None)
    error = kind("cannot do it", path="/a/b", parameter="memory.max", errno=errno.EBUSY, hint="do that")
    assert str(error) == "cannot do it (do that)"
    for other in (error, pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is kind
        facts = (other.path, other.parameter, other.errno, other.hint, other.message, str(other))
        assert facts == ("/a/b", "memory.max", errno.EBUSY, "do that", "cannot do it", "cannot do it (do that)")


@pytest.mark.parametrize("kind", BASES, ids=lambda kind: kind.__name__)
def test_errors_pickled_keep_their_facts(kind: type[CgroupError]) -> None:
    error = kind("m", path="/p", errno=5, hint="h")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        other = pickle.loads(pickle.dumps(error, protocol))
        assert (type(other), str(other), other.path, other.errno) == (kind, "m (h)", "/p", 5)


# ---- the one mapping -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, cgroups.CgroupGone),
        (errno.ENODEV, cgroups.CgroupGone),
        (errno.EEXIST, cgroups.CgroupExists),
        (errno.EBUSY, cgroups.CgroupBusy),
        (errno.ENOTEMPTY, cgroups.CgroupBusy),
        (errno.EACCES, cgroups.AccessDenied),
        (errno.EPERM, cgroups.AccessDenied),
        (errno.EROFS, cgroups.AccessDenied),
        (errno.ESRCH, cgroups.ProcessNotFound),
        (errno.EINVAL, cgroups.InvalidValue),
        (errno.ERANGE, cgroups.InvalidValue),
        (errno.E2BIG, cgroups.InvalidValue),
        (errno.ETIMEDOUT, cgroups.CgroupTimeout),
        (errno.EIO, cgroups.CgroupOSError),
        (errno.EMFILE, cgroups.CgroupOSError),
        (errno.EAGAIN, cgroups.CgroupOSError),
        (errno.EOPNOTSUPP, cgroups.CgroupOSError),
        (9999, cgroups.CgroupOSError),
    ],
)
def test_errors_have_their_errnos(number: int, kind: type[CgroupError]) -> None:
    error = from_errno(number, "cannot do it", path="/nowhere/file", parameter="memory.max")
    assert type(error) is kind
    assert (error.errno, error.path, error.parameter) == (number, "/nowhere/file", "memory.max")
    assert str(error).startswith("cannot do it: ")
    assert errno.errorcode.get(number, str(number)) in str(error)
    # A read-only mount is said in plain words.
    assert ("mounted read-only" if number == errno.EROFS else os.strerror(number)) in str(error)


def test_access_denied_names_owner_and_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "memory.max"
    path.write_text("")
    path.chmod(0o604)
    assert describe_access(str(path)) is None  # whoever may use it is not told who owns it
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    expected = f"is owned by {os.getuid()}:{os.getgid()} with mode 0604"
    assert describe_access(str(path)) == expected
    error = from_errno(errno.EACCES, "cannot set", path=str(path), hint="ask root")
    assert f"{path} {expected}" in str(error)
    assert "ask root" in str(error)
    error = from_errno(errno.EACCES, f"cannot set it ({path})", path=str(path))
    assert f"it {expected}" in str(error)
    assert str(error).count(str(path)) == 1
    assert describe_access(str(tmp_path / "absent")) is None
    assert from_errno(errno.EACCES, "cannot set", path=str(tmp_path / "absent")).hint is None


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.SYNTAX, "unexpected text"),
        (Status.RANGE, "number out of range"),
        (Status.EMPTY, "value is missing"),
    ],
)
def test_parse_error_quotes_the_text(status: Status, words: str) -> None:
    error = from_failure(Failure(status, 0, 17, b"oom_kill two"), "cannot read it", path="/f")
    assert type(error) is cgroups.ParseError
    assert words in str(error)
    assert "offset 17" in str(error)
    assert "oom_kill two" in str(error)
    assert error.errno is None


# ---- each for real, on captured trees ----------------------------------------------------------


def test_get_malformed_file_raises_parse_error(raises: Any, v1_cgroup: Callable[[str], Cgroup]) -> None:
    cgroup = v1_cgroup("memory")
    path = f"{cgroup.path}/memory.usage_in_bytes"
    Path(path).write_text("many\n")
    raises(
        cgroups.ParseError,
        lambda: Parameters.get(Memory.usage_in_bytes, cgroup),
        *("cannot read memory.usage_in_bytes", str(cgroup), str(cgroup.path), "offset 0", "many"),
        path=path,
        parameter="memory.usage_in_bytes",
    )
    Path(path).write_text("-5\n")
    raises(cgroups.ParseError, lambda: Parameters.get(Memory.usage_in_bytes, cgroup), "-5", str(path), path=path)
    Path(f"{cgroup.path}/memory.use_hierarchy").write_text("2\n")
    raises(cgroups.ParseError, lambda: Parameters.get(Memory.use_hierarchy, cgroup), "value must be 0 or 1, got 2")


def test_parameter_not_supported_by_a_version(raises: Any, job: Cgroup, v1_cgroup: Callable[[str], Cgroup]) -> None:
    raises(
        cgroups.ParameterNotSupported,
        lambda: Parameters.get(Memory.swappiness, job),
        *("memory.swappiness does not exist in version 2", "vm.swappiness"),
        parameter="memory.swappiness",
    )
    raises(
        cgroups.ParameterNotSupported,
        lambda: Parameters.get(Memory.high, v1_cgroup("memory")),
        *("memory.high does not exist in version 1", "v1 has no throttling limit"),
    )
    raises(
        cgroups.ParameterNotSupported,
        lambda: Parameters.set(Memory.oom_control, job, True),
        *("memory.oom_control", "cannot be set to True", "Memory.oom_group"),
    )
    raises(
        cgroups.ParameterNotSupported,
        lambda: Parameters.reset(Memory.failcnt, job),
        *("memory.failcnt", "cannot be reset", "the counters of memory.events cannot be reset"),
    )


def test_parameter_not_supported_by_a_kernel(raises: Any, job: Cgroup) -> None:
    raises(
        cgroups.ParameterNotSupported,
        lambda: Parameters.get(Memory.swap_peak, job),
        *("cannot read memory.swap_peak", "no file memory.swap.peak", "this kernel has no such file"),
        path=f"{job.path}/memory.swap.peak",
        errno=errno.ENOENT,
    )
    raises(
        cgroups.ParameterNotSupported,
        lambda: Parameters.get(Memory.stat["kernel_flux"], job),
        *("memory.stat[kernel_flux]", "no key 'kernel_flux'", "memory.stat"),
    )


def test_get_pressure_switched_off_names_the_boot_option(raises: Any, job: Cgroup) -> None:
    Path(f"{job.path}/memory.pressure").unlink()
    raises(
        cgroups.ParameterNotSupported,
        lambda: Parameters.get(Memory.pressure, job),
        *("cannot read memory.pressure", "pressure stall information is off", "psi=1", "cgroup.pressure"),
        path=f"{job.path}/memory.pressure",
    )


def test_cgroup_gone(raises: Any, v1: Host, v1_root: Path) -> None:
    directory = v1_root / "sys/fs/cgroup/memory/gone"
    directory.mkdir()
    cgroup = v1.find_exn("memory:/gone")
    directory.rmdir()
    uses: list[Callable[[], object]] = [
        lambda: Parameters.get(Memory.usage_in_bytes, cgroup),
        lambda: Parameters.get(Memory.stat, cgroup),
        lambda: Parameters.get(Blkio.weight, cgroup),
        cgroup.processes,
        cgroup.children,
        lambda: cgroup.inode,
    ]
    for use in uses:
        raises(
            cgroups.CgroupGone,
            use,
            "cannot ",
            "memory:/gone",
            str(directory),
            "it does not exist or was removed",
            errno=errno.ENOENT,
        )


def test_subsystem_not_attached_elsewhere(raises: Any, v1_cgroup: Callable[[str], Cgroup]) -> None:
    cgroup = v1_cgroup("memory")
    raises(
        cgroups.SubsystemNotAttached,
        lambda: Parameters.get(Pids.current, cgroup),
        *(
            "cannot read pids.current of memory:",
            "not on this hierarchy",
            f"find pids:{cgroup.location}",
        ),
        parameter="pids.current",
    )


def test_subsystem_not_available(raises: Any, v1_cgroup: Callable[[str], Cgroup]) -> None:
    raises(
        cgroups.SubsystemNotAvailable,
        lambda: Parameters.get(Hugetlb("2MB").usage_in_bytes, v1_cgroup("memory")),
        *("hugetlb.2MB.usage_in_bytes", "no mounted hierarchy of this host has the controller hugetlb"),
    )


def test_subsystem_not_attached_names_the_ancestor(raises: Any, v2: Host, v2_root: Path) -> None:
    """/job has memory; it does not enable it below; so /job/b and /job/b/c lack it."""
    job = v2_root / "sys/fs/cgroup/job"
    (job / "cgroup.subtree_control").write_text("cpu pids\n")
    (job / "b/c").mkdir(parents=True)
    (job / "b/cgroup.controllers").write_text("cpu pids\n")
    (job / "b/cgroup.subtree_control").write_text("\n")
    (job / "b/c/cgroup.controllers").write_text("\n")
    (job / "b/c/memory.max").unlink(missing_ok=True)
    (v2_root / "sys/fs/cgroup/cgroup.subtree_control").write_text("cpu pids memory\n")
    for location in ("/job/b", "/job/b/c"):
        raises(
            cgroups.SubsystemNotAttached,
            lambda location=location: Parameters.get(Memory.max, v2.find_exn(f":{location}")),  # type: ignore[misc]
            *("cannot read memory.max", "memory is not enabled in this cgroup"),
            *(":/job does not enable it: write +memory to its cgroup.subtree_control", "Hierarchy.find_or_create"),
        )


def test_expected_root(raises: Any, v1_cgroup: Callable[[str], Cgroup]) -> None:
    raises(
        cgroups.ExpectedRoot,
        lambda: Parameters.get(Cpuset.memory_pressure_enabled, v1_cgroup("cpuset")),
        *("cpuset.memory_pressure_enabled", "only the root of a hierarchy has it", "cpuset:/"),
    )
    raises(
        cgroups.ExpectedRoot,
        lambda: Parameters.get(Parameters.release_agent, v1_cgroup("memory")),
        *("release_agent", "memory:/"),
    )


def test_access_denied_in_a_captured_tree(raises: Any, v1_cgroup: Callable[[str], Cgroup]) -> None:
    cgroup = v1_cgroup("memory")
    raises(
        cgroups.AccessDenied,
        lambda: Parameters.set(Memory.limit_in_bytes, cgroup, 4096),
        *(
            "memory.limit_in_bytes",
            "4096",
            str(cgroup.path),
            "not on a cgroup file system",
            "a captured tree is read-only",
        ),
        path=cgroup.path,
    )


def test_invalid_value_before_anything_is_written(raises: Any, job: Cgroup) -> None:
    raises(
        InvalidValue,
        lambda: Parameters.set(Pids.max, job, -1),
        *("cannot set pids.max of :/job/a to -1", "from 0 to 4194304"),
        parameter="pids.max",
        path=job.path,
    )
