"""Facts about a host for ``info``, ``tree`` and ``ps``.  This module prints nothing."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Iterator
from typing import NamedTuple

from ...core import systemd
from ...core.errors import AccessDenied, CgroupError, CgroupGone, CgroupOSError, is_read_only, may
from ...core.interface import Version
from ...core.kernel_controllers import KernelController, kernel_controllers
from ...core.specs import ALIASES, IMPLICIT
from ...hierarchy import Cgroup, Hierarchy, Host
from ...parameters import Core, Cpuacct, Memory, Parameters, Pids
from ...parameters.registry import TABLES

__all__ = [
    "Node",
    "Process",
    "controllers_on",
    "enabled_below",
    "kernel",
    "missing",
    "process",
    "process_ids",
    "processes",
    "tree",
    "user",
    "writable",
]


def _text_of(path: str) -> str | None:
    """Return the text of a small file of a /proc; None if the file does not exist."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None


def _proc(host: Host, name: str) -> str | None:
    return _text_of(host.system_path(f"proc/{name}"))


# ---- processes -------------------------------------------------------------------------


class Process(NamedTuple):
    """A process, as /proc shows it."""

    pid: int
    user: str
    state: str
    command: str


def processes(cgroup: Cgroup) -> list[Process]:
    """Return the processes in a cgroup, without those that have exited meanwhile; errors as :func:`process_ids`."""
    host = cgroup.hierarchy.host
    return [found for pid in process_ids(cgroup) if (found := process(host, pid)) is not None]


def process_ids(cgroup: Cgroup) -> list[int]:
    """Return the ids of the processes in a cgroup, which /proc must show under the same ids.

    Raises:
        CgroupOSError: /proc belongs to another pid namespace, so that it shows other processes.
    """
    host = cgroup.hierarchy.host
    if _is_foreign_proc(host):
        proc = host.system_path("proc")
        message = f"cannot show the processes of {cgroup}: {proc} belongs to another pid namespace"
        hint = (
            f"'cgroups get {cgroup} cgroup.procs' lists their ids in this namespace; or mount a proc of this namespace"
        )
        raise CgroupOSError(message, path=proc, hint=hint)
    return cgroup.processes()


def _is_foreign_proc(host: Host) -> bool:
    """Return whether /proc has another pid namespace than this process, and so than cgroup.procs."""
    try:
        return os.readlink(host.system_path("proc/self")) != str(os.getpid())
    except FileNotFoundError:
        # A proc of a namespace without this process has no target; a captured tree has no link.
        return os.path.ismount(host.system_path("proc"))
    except OSError:
        return False  # a captured tree has a directory


def process(host: Host, pid: int) -> Process | None:
    """Return a process; None if it has exited."""
    status, command = _proc(host, f"{pid}/status"), _proc(host, f"{pid}/cmdline")
    if not status or command is None:
        return None
    fields = dict(line.partition(":")[::2] for line in status.split("\n"))
    uid = int(fields.get("Uid", "-1").split()[0])
    # `S (sleeping)`
    state = fields.get("State", "").strip().partition("(")[2].rstrip(")")
    # Kernel threads and zombies have no command line.
    shown = command.rstrip("\0").replace("\0", " ") or f"[{fields.get('Name', '').strip()}]"
    return Process(pid, user(uid, host), state, shown)


def user(uid: int, host: Host) -> str:
    """Return the name of a user; the number if the user is unknown here, or the host has another root."""
    if host.root != "/":
        return str(uid)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


# ---- trees -----------------------------------------------------------------------------


class Node(NamedTuple):
    """A cgroup of a tree, with its usage.  A figure is None if its file does not exist or cannot be read."""

    cgroup: Cgroup
    depth: int
    denied: bool
    """Whether listing the cgroups below is not permitted."""
    processes: int | None
    memory: int | None
    cpu_ns: int | None
    pids: int | None


def tree(root: Cgroup, depth: int | None) -> Iterator[Node]:
    """Yield a cgroup and ``depth`` levels below it, parents first, sorted by name, without cgroups that vanish."""
    # A parameter that the hierarchy lacks is not tried in each of thousands of cgroups.
    columns = [
        parameter if root.hierarchy.has(parameter.controller) else None
        for parameter in (Memory.usage_in_bytes, Cpuacct.usage, Pids.current)
    ]
    # A loop, because a tree of cgroups may be deeper than Python's recursion limit.
    waiting = [(root, 0)]
    while waiting:
        cgroup, level = waiting.pop()
        denied, below = False, []
        try:
            processes = _process_count(cgroup)
            usage = [None if parameter is None else _value(parameter, cgroup) for parameter in columns]
            if depth is None or level < depth:
                below = cgroup.children()
        except AccessDenied:
            if cgroup is root:
                raise
            denied = True
        except CgroupGone:
            if cgroup is root:
                raise
            continue
        yield Node(cgroup, level, denied, processes, *usage)
        waiting += [(child, level + 1) for child in reversed(below)]


def _process_count(cgroup: Cgroup) -> int | None:
    try:
        return len(cgroup.processes())
    except CgroupGone:
        raise
    except CgroupError:
        return None


def _value(parameter: Parameters.Readable[int], cgroup: Cgroup) -> int | None:
    try:
        return Parameters.get(parameter, cgroup)
    except CgroupGone:
        raise
    except CgroupError:
        return None


# ---- hierarchies -----------------------------------------------------------------------


def kernel(host: Host) -> str | None:
    """Return the release of a host's kernel."""
    release = _proc(host, "sys/kernel/osrelease")
    return None if release is None else release.strip()


def controllers_on(hierarchy: Hierarchy) -> list[str]:
    """Return the controllers of a hierarchy, and its label."""
    return [*hierarchy.subsystems, *([f"name={hierarchy.label}"] if hierarchy.label is not None else [])]


def enabled_below(hierarchy: Hierarchy) -> list[str]:
    """Return the controllers of cgroups below the root: all on v1, those that the root enables on v2."""
    if hierarchy.version == Version.V1:
        return [*hierarchy.subsystems]
    try:
        return [*Parameters.get(Core.subtree_control, hierarchy.root())]
    except CgroupError:
        return []


def writable(hierarchy: Hierarchy) -> str:
    """Return the place for this user's cgroups: everywhere, below its own cgroup, in a systemd scope, or nowhere."""
    if all(mount.state == "plain" for mount in hierarchy.mounts):
        return "nowhere: a captured tree"
    root = hierarchy.root()
    if root.path is not None and is_read_only(root.path):
        return "nowhere: mounted read-only"
    if _may_make_below(root):
        return "everywhere" if os.geteuid() == 0 else "below the root"
    own = _own(hierarchy)
    if own is not None and _may_make_below(own):
        return f"below {own.location}"
    return "in a scope: systemd-run --user --scope -p Delegate=yes" if _gives_scopes(hierarchy) else "nowhere"


def _own(hierarchy: Hierarchy) -> Cgroup | None:
    if hierarchy.host.root != "/":
        return None
    try:
        return next(one for one in hierarchy.host.cgroups_of() if one.hierarchy == hierarchy)
    except (CgroupError, StopIteration):
        return None


_IMPOSSIBLE = "not\na name"
"""A name that the kernel refuses with EINVAL, after all permission checks."""


def _may_make_below(cgroup: Cgroup) -> bool:
    """Return whether mkdir(2) is permitted.  The mode does not show a refusal by a security module or seccomp."""
    if cgroup.path is None or not may(cgroup.path, os.W_OK):
        return False
    try:
        os.mkdir(f"{cgroup.path}/{_IMPOSSIBLE}")
    except OSError as error:
        return error.errno == errno.EINVAL
    os.rmdir(f"{cgroup.path}/{_IMPOSSIBLE}")
    return True


def _gives_scopes(hierarchy: Hierarchy) -> bool:
    """Return whether this user's systemd delegates subtrees of a hierarchy.  systemd delegates only on v2."""
    manager = f"{os.environ.get('XDG_RUNTIME_DIR') or f'/run/user/{os.getuid()}'}/systemd/private"
    return (
        hierarchy.version == Version.V2
        and hierarchy.host.root == "/"
        and systemd.is_manager()
        and os.path.exists(manager)
    )


# ---- controllers -------------------------------------------------------------------------


def missing(host: Host) -> list[tuple[str, str]]:
    """Return the controllers that are on no mounted hierarchy of a host, and the reason."""
    known = kernel_controllers(host)
    ours = [name for one in TABLES if (name := str(getattr(one, "CONTROLLER"))) not in ("", "cgroup")]  # noqa: B009
    names = dict.fromkeys([*(known or ()), *ours, "hugetlb"])
    if known is None or "blkio" in known:
        names.pop("io", None)
    return [(name, _why(name, host, known)) for name in names if host.hierarchy_of(name) is None]


def _why(name: str, host: Host, known: dict[str, KernelController] | None) -> str:
    if known is None:
        return "unknown: /proc/cgroups is missing, perhaps because of subset=pid"
    one = known.get(name) or known.get(ALIASES.get(name, name))
    unified = host.hierarchy_of("")
    if one is None and unified is None:
        return "the kernel does not list it: not compiled in, or only for v2, which is not mounted"
    if one is None:
        return "not in this kernel"
    if not one.enabled:
        return f"disabled at boot: cgroup_disable={name}"
    if one.hierarchy:
        return f"on v1 hierarchy {one.hierarchy}, which is not mounted here"
    if unified is not None and unified.root_location == "/" and name not in IMPLICIT:
        return "compiled in, but neither mounted on v1 nor listed by v2"
    return "compiled in, but not mounted"
