"""Why the kernel said no: looked up after a failure, never before.

An errno alone does not tell a missing controller from a removed cgroup, or
which ancestor is at fault.  These functions look, and return the exception
that says it; errors.py maps what needs no looking.
"""

from __future__ import annotations

import errno
import os
import re
import time
from typing import TYPE_CHECKING, Any

from . import managed
from ._interface import O_PATH, Failure, Shape, Status
from .core.advice import advise
from .core.descent import count_children
from .errors import (
    READ_ONLY,
    AccessDenied,
    Advice,
    CgroupBusy,
    CgroupError,
    CgroupGone,
    CgroupNotFound,
    CgroupOSError,
    ExpectedRoot,
    InvalidValue,
    ParameterNotSupported,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    describe_access,
    from_errno,
    from_failure,
    is_read_only,
    join_hints,
    may,
    shown,
)
from .spec import IMPLICIT

if TYPE_CHECKING:
    from .hierarchy import Cgroup

ABSENT = frozenset({errno.ENOENT, errno.ENODEV, errno.ENOTDIR})

DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

WITH_DEVICES = frozenset({"io", "blkio", "devices", "rdma", "dmem", "net_prio"})
"""Controllers whose files take the names of devices, which may not be there."""


CORE = frozenset({"cgroup", "tasks", "notify_on_release", "release_agent"})
"""What the names of control files that belong to no controller begin with."""


def is_absence(failure: Failure) -> bool:
    """Whether a failure says that there is no such thing."""
    return failure.errno in ABSENT


def _file_path(cgroup: Cgroup, name: str) -> str:
    path = cgroup.path or str(cgroup)
    return f"{path}/{cgroup.hierarchy.file_name(name)}" if name else path


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
    kind, hint = None, None
    if verb == "write":
        kind, hint = _WRITE_HINTS.get(failure.errno, (None, None))
        hint = _look_closer(failure.errno, cgroup, name, value) or hint
        if failure.errno in DENIED and describe_access(path):
            hint = None  # the owner and the mode are the reason
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


def _look_closer(error: int, cgroup: Cgroup, name: str, value: Any) -> str | None:
    """Return the reason for a refused write that other files show."""
    if error == errno.ENODEV:
        return _partition(cgroup, value)
    if error == errno.EINVAL and name in _BOUNDS:
        return _bound(cgroup, name)
    if error in _CPUSET_ERRNOS and name in CPUSET_LISTS:
        return _cpuset(cgroup, name)
    return None


# ---- devices -----------------------------------------------------------------------------


def _partition(cgroup: Cgroup, value: Any) -> str | None:
    """Return the disk to name instead of a partition, which the kernel refuses as if it did not exist."""
    system = f"{cgroup.hierarchy.host.root.rstrip('/')}/sys/dev/block"
    for device in re.findall(r"\d+:\d+", str(value)):
        where = f"{system}/{device}"
        if not os.path.exists(f"{where}/partition"):
            continue
        # The directory of a partition is in that of its disk.
        disk = os.path.dirname(os.path.realpath(where))
        try:
            with open(f"{disk}/dev", encoding="ascii") as file:
                whole = file.read().strip()
        except OSError:
            return f"{device} is a partition: name its disk"
        return f"{device} is a partition: name its disk, {whole} ({os.path.basename(disk)})"
    return None


# ---- values that others bound ------------------------------------------------------------


_BOUNDS = {
    "memory.limit_in_bytes": ("at most", "memory.memsw.limit_in_bytes"),
    "memory.memsw.limit_in_bytes": ("at least", "memory.limit_in_bytes"),
    "cpu.cfs_burst_us": ("at most", "cpu.cfs_quota_us"),
    "cpu.rt_runtime_us": ("at most", "cpu.rt_period_us"),
    "cpu.rt_period_us": ("at least", "cpu.rt_runtime_us"),
}
"""Files of v1 of which one bounds the other."""

_NO_LIMIT = 1 << 62
"""Bytes from which on a number of v1 stands for no limit: 2**63 rounded down to a page, whatever its size."""


def _bound(cgroup: Cgroup, name: str) -> str | None:
    how, other = _BOUNDS[name]
    try:
        [(_, number)] = cgroup.read_cells(other, Shape.VALUE)
    except CgroupError:
        return None
    shown_number = "max" if isinstance(number, int) and number >= _NO_LIMIT else number
    return advise("bound", cgroup=cgroup, how=how, what=other, number=shown_number)


# ---- CPUs and memory nodes ---------------------------------------------------------------

_CPUSET_ERRNOS = frozenset({errno.EACCES, errno.EINVAL, errno.ERANGE, errno.ENODEV})

CPUSET_LISTS = {
    "cpuset.cpus": ("CPUs", "devices/system/cpu/online"),
    "cpuset.mems": ("memory nodes", "devices/system/node/has_memory"),
}
"""The files that name CPUs and memory nodes, and where below /sys those of the machine are."""


def _cpuset(cgroup: Cgroup, name: str) -> str | None:
    """Return which CPUs or memory nodes the machine and the parent have."""
    what, listed = CPUSET_LISTS[name]
    parts = []
    try:
        with open(f"{cgroup.hierarchy.host.root.rstrip('/')}/sys/{listed}", encoding="ascii") as file:
            parts.append(f"this machine has {what} {file.read().strip()}")
    except OSError:
        pass  # no sysfs is mounted
    above = cgroup.parent
    if above is not None and (found := _cpuset_list(above, name)) is not None:
        parts.append(f"{above} has {found}" if found else f"{above} has none")
        if not found:
            parts.append(advise("set cpuset", cgroup=above))
    return join_hints(*parts)


def _cpuset_list(cgroup: Cgroup, name: str) -> str | None:
    """Return the CPUs or nodes that a cgroup may give to its children, such as ``0-3``."""
    for file in (f"{name}.effective", name):  # v2; v1
        try:
            cells = [number for _, number in cgroup.read_cells(file, Shape.RANGES)]
        except CgroupError:
            continue
        ranges = zip(cells[0::2], cells[1::2])
        return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
    return None


# ---- threaded cgroups and pressure -------------------------------------------------------

_BY_THREADS: dict[str, str] = {
    "cgroup.procs": "it is {kind}: its processes are listed in its domain's root",
    "cgroup.kill": "it is {kind}: kill its domain's root",
    "cgroup.type": "it has processes or domain controllers, or its parent is no domain",
}
"""What EOPNOTSUPP means at a control file."""


def _unsupported(failure: Failure, cgroup: Cgroup, name: str, tried: str, what: str) -> CgroupError:
    path = _file_path(cgroup, name)
    if name.endswith(".pressure"):
        return _no_pressure(tried, path, what)
    hint = _BY_THREADS.get(name, "it is {kind}").format(kind=_read_type(cgroup))
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
        hint="boot with psi=1, or set cgroup.pressure of the cgroup to 1",
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
    if _is_root_only(name) and (controller in CORE or cgroup.hierarchy.has(controller)):
        top = cgroup.hierarchy.root()
        hidden = not top.is_captured and is_below_top(top)
        if hidden or not cgroup.is_root:
            hint = "the root cannot be seen from this container" if hidden else f"use {top}"
            return ExpectedRoot(f"{tried}: only the root of a hierarchy has it", hint=hint, **facts)
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


def is_below_top(root: Cgroup) -> bool:
    """Whether the root that is visible has cgroups above it: only the true one lacks, or has, these files."""
    try:
        if root.version == 1:
            return not has_file(root, "release_agent")
        return has_file(root, "cgroup.events")
    except AccessDenied:
        return True


def has_file(cgroup: Cgroup, name: str) -> bool:
    """Whether a cgroup has a control file."""
    directory, path = cgroup.place_of(name)
    try:
        os.close(directory.open(path, O_PATH))
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
        elsewhere = f"find {controller}:{cgroup.location}"
        return SubsystemNotAttached(
            f"{tried}: the controller {controller} is not on this hierarchy", hint=elsewhere, **facts
        )
    if cgroup.version == 1 or cgroup.is_root:
        return None
    lacking = _lacking_ancestor(cgroup, controller)
    hint = join_hints(
        f"{lacking} does not: write +{controller} to its cgroup.subtree_control",
        advise("enable", cgroup=f"{controller}:{cgroup.location}"),
    )
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
    path = _file_path(cgroup, name)
    tried = tried or f"cannot move {what} {pid} into {cgroup} ({path})"
    error = failure.errno
    if error in ABSENT:
        return _missing(cgroup, name, tried, name, error)
    if error in DENIED:
        hint = None if describe_access(path) else _common_ancestor_hint(cgroup, pid)
    else:
        hint = _hint(_ATTACH_HINTS, error, cgroup, what=what)
    return from_errno(error, tried, path=path, hint=hint)


Hints = dict[int, tuple[str, "str | None"]]
"""By errno a reason and, where something can be done, a line of the table of advice."""

_ATTACH_HINTS: Hints = {
    errno.ESRCH: ("there is no such {what}", None),
    errno.EINVAL: ("a kernel thread, or a real-time process where the cgroup has no real-time budget", None),
    errno.ENOSPC: ("its cpuset.cpus or cpuset.mems is empty", "set cpuset"),
    errno.EBUSY: ("no internal processes: it enables controllers", "use a child"),
    errno.EAGAIN: ("pids.max of it, or of an ancestor, or the user's limit on processes is reached", None),
    errno.EOPNOTSUPP: ("the destination is {kind}; threads move within one threaded subtree", None),
}


def _hint(hints: Hints, error: int, cgroup: Cgroup, **words: str) -> str | None:
    """Return the reason and the advice of a table for an errno."""
    if error not in hints:
        return None
    reason, advice = hints[error]
    if "{kind}" in reason:
        words["kind"] = _read_type(cgroup)
    return join_hints(reason.format(cgroup=cgroup, **words), advise(advice, cgroup=cgroup) if advice else None)


def _common_ancestor_hint(cgroup: Cgroup, pid: int) -> str | None:
    """On v2 a move needs write access at the destination and at the common ancestor with the source."""
    if cgroup.version == 1:
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


def _count(cgroup: Cgroup) -> int:
    """How many processes are inside, also those of other pid namespaces."""
    return len(cgroup.read_cells("cgroup.procs", Shape.VALUES, listing=True))


def explain_remove(error: int, cgroup: Cgroup) -> CgroupError:
    """Why a cgroup could not be removed."""
    tried = f"cannot remove {cgroup} ({cgroup.path})"
    if error == errno.ENOENT:
        return CgroupGone(f"{tried}: it does not exist, or no longer", path=cgroup.path, errno=error)
    hint: str | None = None
    if error == errno.EBUSY:
        try:
            inside, below = _count(cgroup), count_children(cgroup)
            advice = advise("remove all" if below else "empty", cgroup=cgroup)
            hint = join_hints(f"processes inside: {inside}; cgroups below: {below}", advice)
        except CgroupError:
            hint = "processes are inside, or cgroups below"
    if error in DENIED:
        denied = _denied_by_parent(error, tried, cgroup)
        denied.path = cgroup.path  # it is there, unlike one that could not be made
        return denied
    return from_errno(error, tried, path=cgroup.path, hint=hint)


def _denied_by_parent(error: int, tried: str, cgroup: Cgroup) -> CgroupError:
    """The error of mkdir(2) or rmdir(2), which need write access to the parent."""
    above = cgroup.parent
    path = above.path if above is not None else None
    access = describe_access(path) if path is not None else None
    read_only = error == errno.EROFS or access == READ_ONLY
    why = f"its parent {READ_ONLY if read_only else access or 'may be written, but a security module refuses it'}"
    denied = from_errno(error, tried, hint=why if read_only else join_hints(why, _subtree()))
    denied.path = path
    return denied


def explain_create(error: int, cgroup: Cgroup) -> CgroupError:
    """Why a cgroup could not be made."""
    tried = f"cannot make {cgroup} ({cgroup.path})"
    if error in DENIED:
        return _denied_by_parent(error, tried, cgroup)
    return from_errno(error, tried, path=cgroup.path, hint=_hint(_CREATE_HINTS, error, cgroup))


_CREATE_HINTS: Hints = {
    errno.EAGAIN: ("cgroup.max.depth or cgroup.max.descendants of an ancestor is reached", None),
    errno.ENOSPC: ("the kernel has no id left for another cgroup", None),
    errno.EEXIST: ("the name is taken, by a cgroup or a control file", None),
    errno.EINVAL: ("the kernel refuses the name", None),
}


def _subtree() -> Advice | None:
    """Return how to get a subtree of one's own: from systemd, else from root; None for root without systemd."""
    if managed.is_manager():
        return advise("scope", user="--user " if os.geteuid() else "")
    return advise("delegate") if os.geteuid() else None


def explain_control(failure: Failure, cgroup: Cgroup, step: str, target: Cgroup | None) -> CgroupError:
    """Why a controller could not be enabled (``+memory``) or disabled (``-memory``) for the children of a cgroup."""
    path = _file_path(cgroup, "cgroup.subtree_control")
    enable, controller = step[0] == "+", step[1:]
    error = failure.errno
    kinds: dict[int, type[CgroupError]] = {errno.ENOENT: SubsystemNotAttached, errno.EINVAL: SubsystemNotAvailable}
    tried = _control_tried(cgroup, controller, target, verb="enable" if enable else "disable")
    if error in DENIED:
        hint: str | None = _subtree()
    else:
        hint = _hint(_ENABLE_HINTS if enable else _DISABLE_HINTS, error, cgroup, controller=controller)
    return from_errno(error, tried, path=path, parameter="cgroup.subtree_control", hint=hint, kind=kinds.get(error))


_DISABLE_HINTS: Hints = {
    errno.EBUSY: ("a child enables it for its own children", None),
    errno.EOPNOTSUPP: ("it is {kind}, and {controller} is a controller of domains", None),
    errno.ENOENT: ("{cgroup} does not have {controller} itself", None),
    errno.EINVAL: ("{controller} is no controller of v2 on this kernel", None),
}
_ENABLE_HINTS: Hints = {
    **_DISABLE_HINTS,
    errno.EBUSY: ("no internal processes: {cgroup} has some", "move down"),
}


def _control_tried(cgroup: Cgroup, controller: str, target: Cgroup | None, verb: str = "enable") -> str:
    needed = f" for {target}" if target is not None else ""
    path = _file_path(cgroup, "cgroup.subtree_control")
    return f"cannot {verb} {controller} below {cgroup} ({path}){needed}"


def check_may_enable(cgroup: Cgroup, controller: str, target: Cgroup) -> None:
    """Refuse what the caller has no permission for, and what would turn a cgroup into a threaded domain.

    The kernel refuses most controllers of a cgroup with processes itself.  It
    accepts cpu, cpuset and pids, and makes the cgroup a threaded domain,
    which nobody asked for.

    Raises:
        AccessDenied: the mount is read-only, or the file may not be written.
        CgroupBusy: the cgroup has processes.
    """
    path = _file_path(cgroup, "cgroup.subtree_control")
    if is_read_only(path):
        raise explain_control(Failure(Status.OS, errno.EROFS), cgroup, f"+{controller}", target)
    if not may(path, os.W_OK):
        raise explain_control(Failure(Status.OS, errno.EACCES), cgroup, f"+{controller}", target)
    try:
        [(_, kind)] = cgroup.read_cells("cgroup.type", Shape.TEXT)
    except CgroupError:
        return  # the root, where the rule does not hold
    if kind == "domain" and _count(cgroup):
        raise CgroupBusy(
            _control_tried(cgroup, controller, target),
            path=cgroup.path,
            errno=errno.EBUSY,
            hint=_hint(_ENABLE_HINTS, errno.EBUSY, cgroup),
        )


# ---- watching ----------------------------------------------------------------------------

_WATCH_HINTS = {
    errno.EMFILE: "too many open files, or inotify instances: raise ulimit -n or fs.inotify.max_user_instances",
    errno.ENFILE: "the machine has too many open files: raise fs.file-max",
    errno.ENOSPC: "raise fs.inotify.max_user_watches or fs.epoll.max_user_watches",
    errno.EPERM: "a seccomp filter refuses epoll, eventfd, timerfd or inotify",
    errno.ENOSYS: "this kernel, or a seccomp filter, has no epoll, eventfd, timerfd or inotify",
}


def explain_watch(error: OSError, tried: str, path: str | None = None) -> CgroupError:
    """Why descriptors to wait for events could not be made."""
    number = error.errno or 0
    kind = CgroupOSError if number == errno.EPERM else None  # no file's owner or mode is at fault
    found = from_errno(number, tried, hint=_WATCH_HINTS.get(number), kind=kind)
    found.path = path
    return found
