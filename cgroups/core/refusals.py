"""Explain why the kernel refused a move, a creation, a removal, a controller or a watch."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from . import systemd
from .advice import advise
from .descent import count_children
from .diagnosis import DENIED, explain_missing, file_path, read_type
from .errors import (
    READ_ONLY,
    Advice,
    CgroupError,
    CgroupGone,
    CgroupOSError,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    describe_access,
    from_errno,
    is_read_only,
    join_hints,
    may,
)
from .interface import ABSENT, Failure, Shape, Version

if TYPE_CHECKING:
    from .tree import Place

__all__ = [
    "control_tried",
    "count_processes",
    "explain_attach",
    "explain_control",
    "explain_create",
    "explain_internal_processes",
    "explain_remove",
    "explain_unmakeable",
    "explain_watch",
]

# ---- moves


def explain_attach(
    failure: Failure, cgroup: Place, name: str, what: str, pid: int, tried: str | None = None
) -> CgroupError:
    """Return the error for a process or thread that could not be moved into a cgroup, or started in it."""
    path = file_path(cgroup, name)
    tried = tried or f"cannot move {what} {pid} into {cgroup} ({path})"
    error = failure.errno
    if error in ABSENT:
        return explain_missing(cgroup, name, tried, name, error)
    if error in DENIED:
        hint = None if describe_access(path) else _common_ancestor_hint(cgroup, pid)
    else:
        hint = _hint(_ATTACH_HINTS, error, cgroup, what=what)
    return from_errno(error, tried, path=path, hint=hint)


Hints = dict[int, tuple[str, "str | None"]]
"""errno to a reason and a key of the advice table, or None."""

NO_INTERNAL_PROCESSES: Final = "no internal processes"
"""The kernel's name of the rule that a cgroup of v2 has processes or enables controllers, not both."""

_ATTACH_HINTS: Hints = {
    errno.ESRCH: ("no such {what} exists", None),
    errno.EINVAL: ("a kernel thread, or a real-time process and a cgroup without real-time budget", None),
    errno.ENOSPC: ("the destination's cpuset.cpus or cpuset.mems is empty", "set cpuset"),
    errno.EBUSY: (f"{NO_INTERNAL_PROCESSES}: the destination enables controllers", "use a child"),
    errno.EAGAIN: ("pids.max of the cgroup or an ancestor, or the user's process limit, is reached", None),
    errno.EOPNOTSUPP: ("the destination is {kind}; threads move within one threaded subtree", None),
}


def _hint(hints: Hints, error: int, cgroup: Place, **words: str) -> str | None:
    """Return the reason and the advice of a table for an errno."""
    if error not in hints:
        return None
    reason, advice = hints[error]
    if "{kind}" in reason:
        words["kind"] = read_type(cgroup)
    return join_hints(reason.format(cgroup=cgroup, **words), advise(advice, cgroup=cgroup) if advice else None)


def _common_ancestor_hint(cgroup: Place, pid: int) -> str | None:
    """Return the hint for a denied move, which on v2 also needs write access to the common ancestor."""
    if cgroup.version == Version.V1:
        return "the process belongs to another user"
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


# ---- directories


def count_processes(cgroup: Place) -> int:
    """Return the number of processes inside, including those of other pid namespaces."""
    return len(cgroup.read_raw("cgroup.procs", Shape.VALUES, listing=True))


def explain_remove(error: int, cgroup: Place) -> CgroupError:
    """Return the error for a cgroup that could not be removed."""
    tried = f"cannot remove {cgroup} ({cgroup.path})"
    if error == errno.ENOENT:
        return CgroupGone(f"{tried}: it does not exist or was removed", path=cgroup.path, errno=error)
    hint: str | None = None
    if error == errno.EBUSY:
        try:
            inside, below = count_processes(cgroup), count_children(cgroup)
            advice = advise("remove all" if below else "empty", cgroup=cgroup)
            hint = join_hints(f"processes inside: {inside}; cgroups below: {below}", advice)
        except (Failure, CgroupError):
            hint = "it has processes or cgroups below it"
    if error in DENIED:
        denied = _denied_by_parent(error, tried, cgroup)
        denied.path = cgroup.path  # the cgroup exists, unlike a cgroup that could not be created
        return denied
    return from_errno(error, tried, path=cgroup.path, hint=hint)


def _denied_by_parent(error: int, tried: str, cgroup: Place) -> CgroupError:
    """Return the error of a denied mkdir(2) or rmdir(2), which need write access to the parent."""
    above = cgroup.parent
    path = above.path if above is not None else None
    access = describe_access(path) if path is not None else None
    read_only = error == errno.EROFS or access == READ_ONLY
    why = f"its parent {READ_ONLY if read_only else access or 'is writable, but a security module refuses it'}"
    denied = from_errno(error, tried, hint=why if read_only else join_hints(why, _subtree()))
    denied.path = path
    return denied


def explain_create(error: int, cgroup: Place) -> CgroupError:
    """Return the error for a cgroup that could not be created."""
    tried = f"cannot create {cgroup} ({cgroup.path})"
    if error in DENIED:
        return _denied_by_parent(error, tried, cgroup)
    return from_errno(error, tried, path=cgroup.path, hint=_hint(_CREATE_HINTS, error, cgroup))


def explain_unmakeable(cgroup: Place) -> CgroupError | None:
    """Return the error if permissions or the mount prevent creating children of a cgroup; None if they allow it."""
    path = cgroup.path or ""
    if is_read_only(path):
        return explain_create(errno.EROFS, cgroup.child("job"))
    return None if may(path, os.W_OK) else explain_create(errno.EACCES, cgroup.child("job"))


_CREATE_HINTS: Hints = {
    errno.EAGAIN: ("cgroup.max.depth or cgroup.max.descendants of an ancestor is reached", None),
    errno.ENOSPC: ("the kernel has no cgroup id left", None),
    errno.EEXIST: ("a cgroup or a control file has this name", None),
    errno.EINVAL: ("the kernel refuses the name", None),
}


def _subtree() -> Advice | None:
    """Return advice on getting a delegated subtree from systemd, else from root; None for root without systemd."""
    if systemd.is_manager():
        return advise("scope", user="--user " if os.geteuid() else "")
    return advise("delegate") if os.geteuid() else None


# ---- controllers


def explain_control(failure: Failure, cgroup: Place, step: str, target: Place | None) -> CgroupError:
    """Return the error for a controller that could not be enabled (``+memory``) or disabled (``-memory``)."""
    path = file_path(cgroup, "cgroup.subtree_control")
    enable, controller = step[0] == "+", step[1:]
    error = failure.errno
    kinds: dict[int, type[CgroupError]] = {errno.ENOENT: SubsystemNotAttached, errno.EINVAL: SubsystemNotAvailable}
    tried = control_tried(cgroup, controller, target, verb="enable" if enable else "disable")
    if error in DENIED:
        hint: str | None = _subtree()
    else:
        hint = _hint(_ENABLE_HINTS if enable else _DISABLE_HINTS, error, cgroup, controller=controller)
    return from_errno(error, tried, path=path, parameter="cgroup.subtree_control", hint=hint, kind=kinds.get(error))


_DISABLE_HINTS: Hints = {
    errno.EBUSY: ("a child enables it for its own children", None),
    errno.EOPNOTSUPP: ("it is {kind}, and {controller} works only in domains", None),
    errno.ENOENT: ("{cgroup} does not have {controller} itself", None),
    errno.EINVAL: ("this kernel has no v2 controller {controller}", None),
}
_ENABLE_HINTS: Hints = {
    **_DISABLE_HINTS,
    errno.EBUSY: (f"{NO_INTERNAL_PROCESSES}: {{cgroup}} has processes", "move down"),
}


def control_tried(cgroup: Place, controller: str, target: Place | None, verb: str = "enable") -> str:
    needed = f" for {target}" if target is not None else ""
    path = file_path(cgroup, "cgroup.subtree_control")
    return f"cannot {verb} {controller} below {cgroup} ({path}){needed}"


def explain_internal_processes(cgroup: Place) -> str | None:
    """Return the reason and the advice for a cgroup with processes, which cannot enable controllers."""
    return _hint(_ENABLE_HINTS, errno.EBUSY, cgroup)


# ---- descriptors for events

_WATCH_HINTS = {
    errno.EMFILE: "too many open files, or inotify instances: raise ulimit -n or fs.inotify.max_user_instances",
    errno.ENFILE: "the machine has too many open files: raise fs.file-max",
    errno.ENOSPC: "raise fs.inotify.max_user_watches or fs.epoll.max_user_watches",
    errno.EPERM: "a seccomp filter refuses epoll, eventfd, timerfd or inotify",
    errno.ENOSYS: "this kernel, or a seccomp filter, has no epoll, eventfd, timerfd or inotify",
}


def explain_watch(error: OSError, tried: str, path: str | None = None) -> CgroupError:
    """Return the error for descriptors for events that could not be created."""
    number = error.errno or 0
    kind = CgroupOSError if number == errno.EPERM else None  # not caused by a file's owner or mode
    found = from_errno(number, tried, hint=_WATCH_HINTS.get(number), kind=kind)
    found.path = path
    return found
