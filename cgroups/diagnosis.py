"""Why the kernel said no: looked up after a failure, never before.

An errno alone does not tell a missing controller from a removed cgroup, or
which ancestor is at fault.  These functions look, and return the exception
that says it; errors.py maps what needs no looking.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Any

from . import managed
from ._interface import Failure, Shape, Status
from .errors import (
    CgroupError,
    CgroupGone,
    CgroupNotFound,
    ExpectedRoot,
    InvalidValue,
    ParameterNotSupported,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    from_errno,
    from_failure,
    shown,
)
from .spec import IMPLICIT

if TYPE_CHECKING:
    from .hierarchy import Cgroup

ABSENT = frozenset({errno.ENOENT, errno.ENODEV, errno.ENOTDIR})

WITH_DEVICES = frozenset({"io", "blkio", "devices", "rdma", "dmem", "net_prio"})
"""Controllers whose files take the names of devices, which may not be there."""


CORE = frozenset({"cgroup", "tasks", "notify_on_release", "release_agent"})
"""What the names of control files that belong to no controller begin with."""


def is_absence(failure: Failure) -> bool:
    """Whether a failure says that there is no such thing."""
    return failure.errno in ABSENT


def _file_path(cgroup: Cgroup, name: str) -> str:
    path = cgroup.path or str(cgroup)
    return f"{path}/{name}" if name else path


def _tried(cgroup: Cgroup, verb: str, what: str, value: Any, path: str) -> str:
    if verb == "write":
        return f"cannot set {what} of {cgroup} to {shown(value)} ({path})"
    return f"cannot {verb} {what} of {cgroup} ({path})" if what else f"cannot {verb} {cgroup} ({path})"


def invisible(cgroup: Cgroup) -> CgroupNotFound:
    """A cgroup of a process_info that no mount shows."""
    return CgroupNotFound(
        f"cannot use {cgroup}: no mount of this namespace shows it",
        hint="its hierarchy is not mounted here, or another part of it is",
    )


def explain(
    failure: Failure,
    cgroup: Cgroup,
    name: str,
    verb: str,
    parameter: str | None = None,
    value: Any = None,
) -> CgroupError:
    """The exception for a failure at a control file, or with no name at the directory, of a cgroup."""
    what = parameter or name
    path = _file_path(cgroup, name)
    tried = _tried(cgroup, verb, what, value, path)
    if failure.status is Status.FOREIGN:
        return CgroupGone(f"{tried}: {failure.reason}", path=path, parameter=what, hint="it was unmounted")
    if name and failure.errno == errno.EOPNOTSUPP:
        return _unsupported(failure, cgroup, name, tried, what)
    of_a_device = verb == "write" and failure.errno == errno.ENODEV and name.partition(".")[0] in WITH_DEVICES
    if failure.errno in ABSENT and not of_a_device:
        return _missing(cgroup, name, tried, what, failure.errno)
    kind, hint = _WRITE_HINTS.get(failure.errno, (None, None)) if verb == "write" else (None, None)
    if verb == "write" and failure.errno == errno.EINVAL and name in _BOUNDS:
        hint = _bound(cgroup, *_BOUNDS[name]) or hint
    return from_failure(failure, tried, path=path, parameter=what or None, hint=hint, kind=kind)


_WRITE_HINTS: dict[int, tuple[type[CgroupError] | None, str | None]] = {
    errno.EINVAL: (None, "the kernel does not take this value here"),
    errno.ERANGE: (None, "out of the range that the kernel takes"),
    errno.ENODEV: (InvalidValue, "there is no such device"),
    errno.EBUSY: (None, "what is in use, or what cgroups below have, does not fit the new value"),
    errno.ENOSPC: (None, "processes inside would be left without a CPU or a memory node"),
    errno.E2BIG: (None, "longer than the 4096 bytes that one write may have"),
    errno.EACCES: (None, "beyond what the parent allows, or not permitted to this user"),
    errno.EPERM: (None, "beyond what the parent allows; with nsdelegate also the root of a cgroup namespace"),
}


_BOUNDS = {
    "memory.limit_in_bytes": ("at most", "memory.memsw.limit_in_bytes"),
    "memory.memsw.limit_in_bytes": ("at least", "memory.limit_in_bytes"),
    "cpu.cfs_burst_us": ("at most", "cpu.cfs_quota_us"),
    "cpu.rt_runtime_us": ("at most", "cpu.rt_period_us"),
    "cpu.rt_period_us": ("at least", "cpu.rt_runtime_us"),
}
"""Files of v1 of which one bounds the other."""


def _bound(cgroup: Cgroup, how: str, other: str) -> str | None:
    try:
        [(_, number)] = cgroup.read_cells(other, Shape.VALUE)
    except CgroupError:
        return None
    return f"it has to be {how} {other}, which is {number}; update() sets both"


def _unsupported(failure: Failure, cgroup: Cgroup, name: str, tried: str, what: str) -> CgroupError:
    path = _file_path(cgroup, name)
    if name.endswith(".pressure"):
        return _no_pressure(tried, path, what)
    hint = f"it is {_read_type(cgroup)}, and processes are listed, moved and killed in its domain's root"
    return from_failure(failure, tried, path=path, parameter=what, hint=hint)


def _read_type(cgroup: Cgroup) -> str:
    try:
        [(_, kind)] = cgroup.read_cells("cgroup.type", Shape.TEXT)
    except CgroupError:
        return "of another type than domain"
    return f"a cgroup of type {kind!r}"


def _no_pressure(tried: str, path: str, what: str) -> ParameterNotSupported:
    return ParameterNotSupported(
        f"{tried}: pressure stall information is off",
        path=path,
        parameter=what,
        hint="the kernel was built or booted without it (psi=1), or cgroup.pressure of the cgroup is 0",
    )


def _missing(cgroup: Cgroup, name: str, tried: str, what: str, error: int) -> CgroupError:
    """A file that is not there: because the cgroup is not, or the controller, or because this kernel has none."""
    path = _file_path(cgroup, name)
    if not name or not cgroup.exists:
        return CgroupGone(
            f"{tried}: it does not exist, or no longer", path=cgroup.path, parameter=what or None, errno=error
        )
    controller = name.partition(".")[0]
    facts: dict[str, Any] = {"path": path, "parameter": what, "errno": error}
    if not cgroup.is_root and _is_root_only(name) and (controller in CORE or cgroup.hierarchy.has(controller)):
        return ExpectedRoot(
            f"{tried}: only the root of a hierarchy has it", hint=f"use {cgroup.hierarchy.root()}", **facts
        )
    if name.endswith(".pressure") and cgroup.version == 2:  # noqa: PLR2004 - the version
        return _no_pressure(tried, path, what)
    absent = missing_controller(cgroup, controller, tried, facts)
    if absent is not None:
        return absent
    if not cgroup.is_captured and _is_passing(cgroup, name):
        message = f"{tried}: it was being removed, or has been made again"
        return CgroupGone(message, path=cgroup.path, parameter=what, errno=error)
    hint = "the root cgroup has fewer files than the others" if cgroup.is_root else "this kernel has no such file"
    return ParameterNotSupported(f"{tried}: there is no {name}", hint=hint, **facts)


def _is_root_only(name: str) -> bool:
    """Return whether the declaration of a control file says that only the root of a hierarchy has it."""
    from .subsystem.controllers import root_only_files  # noqa: PLC0415 - the tables import this module

    return name in root_only_files()


def has_file(cgroup: Cgroup, name: str) -> bool:
    """Whether a cgroup has a control file."""
    directory, below = cgroup.place()
    try:
        os.close(directory.open(f"{below}/{name}" if below else name, os.O_PATH))
    except Failure as failure:
        if failure.errno in ABSENT:
            return False
        raise explain(failure, cgroup, name, "find") from None
    return True


_lacking: set[tuple[Any, ...]] = set()
"""What was found to be lacking for good; a loop over parameters asks for the same ones in each cgroup."""

REMOVAL_S = 0.0005
"""Longer than the kernel takes from a removal's first file to the directory itself."""


def _is_passing(cgroup: Cgroup, name: str) -> bool:
    """Whether a file is missing for a moment only.

    A removal takes the controllers' files, then the others, then the
    directory, so that in between a cgroup looks like one of a kernel without
    the file.  Nothing tells the two apart but looking again.
    """
    kind = (cgroup.hierarchy.host.root, cgroup.hierarchy.key, cgroup.is_root, name)
    if kind in _lacking:
        return False
    directory, below = cgroup.place()
    before = directory.inode(below)
    time.sleep(REMOVAL_S)
    if has_file(cgroup, name) or not has_file(cgroup, "cgroup.procs"):
        return True
    if not 0 < before == directory.inode(below):  # negative: there was none, which is no cgroup without the file
        return True
    _lacking.add(kind)
    return False


def missing_controller(cgroup: Cgroup, controller: str, tried: str, facts: dict[str, Any]) -> CgroupError | None:
    """The error that a controller is not in a cgroup; None when it is, or the name is no controller."""
    if controller in CORE or controller in cgroup.subsystems:
        return None
    if cgroup.version == 2 and controller in IMPLICIT | {"cpu"} and cgroup.is_root:  # noqa: PLR2004
        return None
    host = cgroup.hierarchy.host
    where = host.hierarchy_of(controller)
    if where is None:
        return SubsystemNotAvailable(
            f"{tried}: no mounted hierarchy of this host has the controller {controller}", **facts
        )
    if where != cgroup.hierarchy:
        hint = f"it is on the hierarchy at {where.mount_point}: find {controller}:{cgroup.location}"
        return SubsystemNotAttached(
            f"{tried}: the controller {controller} is not on this hierarchy", hint=hint, **facts
        )
    if cgroup.version == 1 or cgroup.is_root:
        return None
    lacking = _lacking_ancestor(cgroup, controller)
    hint = f"{lacking} does not enable it: write +{controller} to its cgroup.subtree_control, or use find_or_create"
    return SubsystemNotAttached(
        f"{tried}: the controller {controller} is not enabled in this cgroup", hint=hint, **facts
    )


def _lacking_ancestor(cgroup: Cgroup, controller: str) -> Cgroup:
    """The topmost ancestor that does not enable a controller for its children."""
    lacking = above = cgroup.parent
    while above is not None:
        if controller not in words(above, "cgroup.subtree_control"):
            lacking = above
        above = above.parent
    return lacking or cgroup


def words(cgroup: Cgroup, name: str) -> tuple[str, ...]:
    """The words of a control file as cgroup.controllers."""
    return tuple(word for _, word in cgroup.read_cells(name, Shape.WORDS))


def explain_attach(
    failure: Failure, cgroup: Cgroup, name: str, what: str, pid: int, tried: str | None = None
) -> CgroupError:
    """Why a process or thread could not be moved into a cgroup, or started there."""
    tried = tried or f"cannot move {what} {pid} into {cgroup} ({cgroup.path})"
    path = _file_path(cgroup, name)
    if failure.errno in ABSENT:
        return _missing(cgroup, name, tried, name, failure.errno)
    hints = {
        errno.ESRCH: f"there is no such {what}",
        errno.EINVAL: "a kernel thread, or a real-time process where the cgroup has no real-time budget",
        errno.ENOSPC: "its cpuset.cpus or cpuset.mems is empty: set both first",
        errno.EBUSY: "no internal processes: it enables controllers for its children, so use one of these",
        errno.EAGAIN: "pids.max of it, or of an ancestor, is reached; or the user's limit on processes",
    }
    hint = hints.get(failure.errno)
    if failure.errno == errno.EOPNOTSUPP:
        hint = f"the destination is {_read_type(cgroup)}; threads move within one threaded subtree alone"
    if failure.errno in (errno.EACCES, errno.EPERM):
        hint = _common_ancestor_hint(cgroup, pid)
    return from_errno(failure.errno, tried, path=path, hint=hint)


def _common_ancestor_hint(cgroup: Cgroup, pid: int) -> str | None:
    """On v2 a move needs write access at the destination and at the common ancestor with the source."""
    if cgroup.version == 1:
        return "the caller needs to be the process's user, or root, and to have write access to the file"
    try:
        [source] = [one for one in cgroup.hierarchy.host.process_info(pid) if one.hierarchy == cgroup.hierarchy]
    except (CgroupError, ValueError):
        return None
    common: list[str] = []
    for mine, its in zip(cgroup.location.split("/")[1:], source.location.split("/")[1:]):
        if mine != its:
            break
        common.append(mine)
    ancestor = "/" + "/".join(common)
    return f"it is in {source}, and the move needs write access to cgroup.procs of the common ancestor, :{ancestor}"


def _count(cgroup: Cgroup) -> int:
    """How many processes are inside, also those of other pid namespaces."""
    return len(cgroup.read_cells("cgroup.procs", Shape.VALUES, listing=True))


def explain_remove(error: int, cgroup: Cgroup) -> CgroupError:
    """Why a cgroup could not be removed."""
    tried = f"cannot remove {cgroup} ({cgroup.path})"
    if error == errno.ENOENT:
        return CgroupGone(f"{tried}: it does not exist, or no longer", path=cgroup.path, errno=error)
    hint = None
    if error == errno.EBUSY:
        try:
            inside, below = _count(cgroup), len(cgroup.children())
            hint = f"processes inside: {inside}; cgroups below: {below}"
        except CgroupError:
            hint = "processes are inside, or cgroups below"
    return from_errno(error, tried, path=cgroup.path, hint=hint)


def explain_create(error: int, cgroup: Cgroup) -> CgroupError:
    """Why a cgroup could not be made."""
    tried = f"cannot make {cgroup} ({cgroup.path})"
    hints = {
        errno.EAGAIN: "cgroup.max.depth or cgroup.max.descendants of an ancestor is reached",
        errno.ENOSPC: "the kernel has no id left for another cgroup",
        errno.EEXIST: "the name is taken, by a cgroup or a control file",
    }
    above = cgroup.parent
    if error in (errno.EACCES, errno.EPERM, errno.EROFS) and above is not None:
        hint = f"a cgroup is made with write access to its parent{_ask_systemd()}"
        return from_errno(error, tried, path=above.path, hint=hint)
    return from_errno(error, tried, path=cgroup.path, hint=hints.get(error))


def _ask_systemd() -> str:
    """Who gives a part of the tree, where there is somebody."""
    return "; systemd gives one's own: see Cgroup.delegated" if managed.is_manager() else ""


def explain_control(failure: Failure, cgroup: Cgroup, step: str, target: Cgroup | None) -> CgroupError:
    """Why a controller could not be enabled (``+memory``) or disabled (``-memory``) for the children of a cgroup."""
    path = _file_path(cgroup, "cgroup.subtree_control")
    enable, controller = step[0] == "+", step[1:]
    needed = f", which {target} needs" if target is not None else ""
    tried = f"cannot {'enable' if enable else 'disable'} {controller} for the children of {cgroup} ({path}){needed}"
    kinds: dict[int, type[CgroupError]] = {errno.ENOENT: SubsystemNotAttached, errno.EINVAL: SubsystemNotAvailable}
    hints = {
        errno.EBUSY: no_internal_processes(cgroup) if enable else "a child enables it for its own children",
        errno.EOPNOTSUPP: f"{cgroup} is {_read_type(cgroup)}, and {controller} is a controller of domains alone",
        errno.ENOENT: f"{cgroup} does not have {controller} itself",
        errno.EINVAL: f"{controller} is no controller of v2 on this kernel",
        errno.EACCES: f"{cgroup} is not delegated to this user{_ask_systemd()}",
        errno.EPERM: f"{cgroup} is not delegated to this user{_ask_systemd()}",
    }
    kind, hint = kinds.get(failure.errno), hints.get(failure.errno)
    return from_errno(failure.errno, tried, path=path, parameter="cgroup.subtree_control", hint=hint, kind=kind)


def no_internal_processes(cgroup: Cgroup) -> str:
    """The rule, and what to do about it."""
    return (
        f"no internal processes: {cgroup} has processes of its own, and a cgroup with processes may not "
        "enable controllers for its children; move them into a child of it first"
    )
