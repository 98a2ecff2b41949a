"""Explain, after a failure, why the kernel refused access to a control file or a directory.

An errno neither distinguishes a missing controller from a removed cgroup, nor
names the ancestor at fault.  These functions inspect the tree and return the
exception; errors.py maps the errnos that need no inspection.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Any, Final

from .advice import advise
from .declared import NAMES_DEVICES, ROOT_ONLY
from .errors import (
    AccessDenied,
    CgroupError,
    CgroupGone,
    ExpectedRoot,
    ParameterNotSupported,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    describe_access,
    from_failure,
    join_hints,
    shown,
)
from .interface import ABSENT, O_PATH, Failure, Shape, Status, Version
from .reasons import WRITE_REASONS, look_closer
from .specs import IMPLICIT

if TYPE_CHECKING:
    from .tree import Place

__all__ = [
    "CORE",
    "DENIED",
    "explain",
    "explain_missing",
    "file_path",
    "has_file",
    "is_below_top",
    "missing_controller",
    "read_type",
]

DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""The errnos of a missing permission."""

CORE: Final = frozenset({"cgroup", "tasks", "notify_on_release", "release_agent"})
"""Prefixes of the control files that belong to no controller."""


def file_path(cgroup: Place, name: str) -> str:
    """Return the path of a control file for messages, or of the directory if the name is empty."""
    path = cgroup.path or str(cgroup)
    return f"{path}/{cgroup.hierarchy.file_name(name)}" if name else path


def _tried(cgroup: Place, verb: str, what: str, value: Any, path: str) -> str:
    if verb == "write":
        return f"cannot set {what} of {cgroup} to {shown(value)} ({path})"
    return f"cannot {verb} {what} of {cgroup} ({path})" if what else f"cannot {verb} {cgroup} ({path})"


def explain(
    failure: Failure,
    cgroup: Place,
    name: str,
    verb: str,
    parameter: str | None = None,
    value: Any = None,
) -> CgroupError:
    """Return the exception for a failure at a control file, or at the directory if the name is empty."""
    what = parameter or name
    path = file_path(cgroup, name)
    tried = _tried(cgroup, verb, what, value, path)
    if failure.status is Status.FOREIGN:
        return CgroupGone(f"{tried}: {failure.reason}", path=path, parameter=what, hint="it was unmounted")
    if name and failure.errno == errno.EOPNOTSUPP:
        return _unsupported(failure, cgroup, name, tried, what)
    of_a_device = verb == "write" and failure.errno == errno.ENODEV and name in NAMES_DEVICES
    if failure.errno in ABSENT and not of_a_device:
        return explain_missing(cgroup, name, tried, what, failure.errno)
    kind, hint = None, None
    if verb == "write":
        kind, hint = WRITE_REASONS.get(failure.errno, (None, None))
        hint = look_closer(failure.errno, cgroup, name, value) or hint
        if failure.errno in DENIED and describe_access(path):
            hint = None  # owner and mode explain the failure
    return from_failure(failure, tried, path=path, parameter=what or None, hint=hint, kind=kind)


# ---- threaded cgroups and pressure -------------------------------------------------------

_BY_THREADS: dict[str, str] = {
    "cgroup.procs": "it is {kind}: its processes are listed in its domain's root",
    "cgroup.kill": "it is {kind}: kill its domain's root",
    "cgroup.type": "it has processes or domain controllers, or its parent is not a domain",
}
"""Meaning of EOPNOTSUPP by control file."""


def _unsupported(failure: Failure, cgroup: Place, name: str, tried: str, what: str) -> CgroupError:
    path = file_path(cgroup, name)
    if name.endswith(".pressure"):
        return _no_pressure(tried, path, what)
    hint = _BY_THREADS.get(name, "it is {kind}").format(kind=read_type(cgroup))
    return from_failure(failure, tried, path=path, parameter=what, hint=hint)


def read_type(cgroup: Place) -> str:
    """Return the value of ``cgroup.type`` for a message."""
    try:
        [(_, kind)] = cgroup.read_raw("cgroup.type", Shape.TEXT)
    except (Failure, CgroupError):
        return "a cgroup of a type other than domain"
    return f"a cgroup of type {kind!r}"


def _no_pressure(tried: str, path: str, what: str) -> ParameterNotSupported:
    return ParameterNotSupported(
        f"{tried}: pressure stall information is off",
        path=path,
        parameter=what,
        hint="boot with psi=1, or set cgroup.pressure of the cgroup to 1",
    )


def explain_missing(cgroup: Place, name: str, tried: str, what: str, error: int) -> CgroupError:
    """Return the error for a missing file: the cgroup, the controller or the kernel's support is missing."""
    path = file_path(cgroup, name)
    if not name or cgroup.is_absent:
        return CgroupGone(
            f"{tried}: it does not exist or was removed", path=cgroup.path, parameter=what or None, errno=error
        )
    controller = name.partition(".")[0]
    facts: dict[str, Any] = {"path": path, "parameter": what, "errno": error}
    if name in ROOT_ONLY and (controller in CORE or cgroup.hierarchy.has(controller)):
        top = cgroup.hierarchy.root()
        hidden = not top.is_captured and is_below_top(top)
        if hidden or not cgroup.is_root:
            hint = "the root cannot be seen from this container" if hidden else f"use {top}"
            return ExpectedRoot(f"{tried}: only the root of a hierarchy has it", hint=hint, **facts)
    if name.endswith(".pressure") and cgroup.version == Version.V2:
        return _no_pressure(tried, path, what)
    absent = missing_controller(cgroup, controller, tried, facts)
    if absent is not None:
        return absent
    if not cgroup.is_captured and _is_passing(cgroup, name):
        message = f"{tried}: it was being removed, or was created again"
        return CgroupGone(message, path=cgroup.path, parameter=what, errno=error)
    hint = "the root cgroup has fewer files than the others" if cgroup.is_root else "this kernel has no such file"
    return ParameterNotSupported(f"{tried}: no file {name}", hint=hint, **facts)


def is_below_top(root: Place) -> bool:
    """Return whether the visible root has cgroups above it.

    The true root of v1 has ``release_agent``; the true root of v2 has no ``cgroup.events``.
    """
    try:
        if root.version == Version.V1:
            return not has_file(root, "release_agent")
        return has_file(root, "cgroup.events")
    except AccessDenied:
        return True


def has_file(cgroup: Place, name: str) -> bool:
    """Return whether a cgroup has a control file."""
    directory, path = cgroup.locate_file(name)
    try:
        os.close(directory.open(path, O_PATH))
    except Failure as failure:
        if failure.errno in ABSENT:
            return False
        raise explain(failure, cgroup, name, "find") from None
    return True


_lacking: set[tuple[Any, ...]] = set()
"""Cache of the files that this kernel does not have, so that a loop over cgroups checks each once."""

REMOVAL_S = 0.0005
"""Seconds; longer than the kernel takes from the removal of the first file to that of the directory."""


def _is_passing(cgroup: Place, name: str) -> bool:
    """Return whether a file is missing only during a removal.

    The kernel removes the controllers' files, then the others, then the
    directory.  In between, the cgroup looks as if the kernel had no such file;
    only a second look distinguishes the two.
    """
    kind = (cgroup.hierarchy.host.root, cgroup.hierarchy.key, cgroup.is_root, name)
    if kind in _lacking:
        return False
    directory, below = cgroup.locate()
    before = directory.inode(below)
    time.sleep(REMOVAL_S)
    if has_file(cgroup, name) or not has_file(cgroup, "cgroup.procs"):
        return True
    if not 0 < before == directory.inode(below):  # negative: the cgroup was missing already
        return True
    _lacking.add(kind)
    return False


def missing_controller(cgroup: Place, controller: str, tried: str, facts: dict[str, Any]) -> CgroupError | None:
    """Return the error for a controller that a cgroup lacks; None if the cgroup has it or no such controller exists."""
    if controller in CORE or controller in _controllers(cgroup):
        return None
    if cgroup.version == Version.V2 and controller in IMPLICIT | {"cpu"} and cgroup.is_root:
        return None
    host = cgroup.hierarchy.host
    where = host.hierarchy_of(controller)
    if where is None:
        return SubsystemNotAvailable(
            f"{tried}: no mounted hierarchy of this host has the controller {controller}", **facts
        )
    if where != cgroup.hierarchy:
        elsewhere = f"find {controller}:{cgroup.location}"
        return SubsystemNotAttached(
            f"{tried}: the controller {controller} is not on this hierarchy", hint=elsewhere, **facts
        )
    if cgroup.version == Version.V1 or cgroup.is_root:
        return None
    lacking = _lacking_ancestor(cgroup, controller)
    hint = join_hints(
        f"{lacking} does not enable it: write +{controller} to its cgroup.subtree_control",
        advise("enable", cgroup=f"{controller}:{cgroup.location}"),
    )
    return SubsystemNotAttached(
        f"{tried}: the controller {controller} is not enabled in this cgroup", hint=hint, **facts
    )


def _lacking_ancestor(cgroup: Place, controller: str) -> Place:
    """Return the topmost ancestor that does not enable a controller for its children."""
    lacking = above = cgroup.parent
    while above is not None:
        if controller not in _words(above, "cgroup.subtree_control"):
            lacking = above
        above = above.parent
    return lacking or cgroup


def _controllers(cgroup: Place) -> tuple[str, ...]:
    return cgroup.hierarchy.subsystems if cgroup.version == Version.V1 else _words(cgroup, "cgroup.controllers")


def _words(cgroup: Place, name: str) -> tuple[str, ...]:
    try:
        return tuple(word for _, word in cgroup.read_raw(name, Shape.WORDS))
    except Failure as failure:
        raise explain(failure, cgroup, name, "read") from None
