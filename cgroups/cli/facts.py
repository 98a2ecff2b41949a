"""Facts about a host for ``info``, ``tree`` and ``ps``: looked up here, printed elsewhere."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Iterator
from typing import NamedTuple

from .. import managed
from ..errors import AccessDenied, CgroupError, CgroupGone, CgroupOSError, is_read_only, may
from ..hierarchy import Cgroup, Hierarchy
from ..host import Host
from ..spec import ALIASES, IMPLICIT
from ..subsystem import Core, Cpuacct, Memory, Parameters, Pids
from ..subsystem.controllers import TABLES

__all__ = [
    "Node",
    "Process",
    "controllers_on",
    "enabled_below",
    "kernel",
    "missing",
    "processes",
    "tree",
    "user",
    "writable",
]


def _text_of(path: str) -> str | None:
    """A small file of a /proc, None where it is not there, or no longer."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None


def _proc(host: Host, name: str) -> str | None:
    return _text_of(f"{host.root.rstrip('/')}/proc/{name}")


# ---- processes -------------------------------------------------------------------------


class Process(NamedTuple):
    """A process, as /proc shows it."""

    pid: int
    user: str
    state: str
    command: str


def processes(cgroup: Cgroup) -> list[Process]:
    """Return the processes in a cgroup; one that has ended meanwhile is left out.

    Raises CgroupOSError if /proc numbers them in another way: what it shows are other processes.
    """
    host = cgroup.hierarchy.host
    if _is_foreign_proc(host):
        proc = f"{host.root.rstrip('/')}/proc"
        message = f"cannot show the processes of {cgroup}: {proc} is of another pid namespace"
        hint = f"'cgroups get {cgroup} cgroup.procs' lists their numbers here; or mount a proc of this namespace"
        raise CgroupOSError(message, path=proc, hint=hint)
    return [process for pid in cgroup.processes() if (process := _process(host, pid)) is not None]


def _is_foreign_proc(host: Host) -> bool:
    """Return whether /proc numbers processes in another way than cgroup.procs does, which has this process's way."""
    try:
        return os.readlink(f"{host.root.rstrip('/')}/proc/self") != str(os.getpid())
    except FileNotFoundError:
        # A proc in whose namespace this process is not; elsewhere a tree without the link.
        return os.path.ismount(f"{host.root.rstrip('/')}/proc")
    except OSError:
        return False  # a captured tree has a directory


def _process(host: Host, pid: int) -> Process | None:
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
    """The name of a user; the number where it has none, or may have another on that host."""
    if host.root != "/":
        return str(uid)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


# ---- trees -----------------------------------------------------------------------------


class Node(NamedTuple):
    """A cgroup of a tree, and what it uses: None is what it has no file for, or none that may be read."""

    cgroup: Cgroup
    depth: int
    denied: bool
    """Whether the cgroups below it may not be listed."""
    processes: int | None
    memory: int | None
    cpu_ns: int | None
    pids: int | None


def tree(root: Cgroup, depth: int | None) -> Iterator[Node]:
    """A cgroup and ``depth`` levels below it, parents first, sorted by name; what vanishes meanwhile is left out."""
    # What the hierarchy has not is not looked for in each of thousands of cgroups.
    columns = [
        parameter if root.hierarchy.has(parameter.controller) else None
        for parameter in (Memory.usage_in_bytes, Cpuacct.usage, Pids.current)
    ]
    # A loop: a tree of cgroups may be deeper than Python recurses.
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
    """The release of a host's kernel."""
    release = _proc(host, "sys/kernel/osrelease")
    return None if release is None else release.strip()


def controllers_on(hierarchy: Hierarchy) -> list[str]:
    """The controllers of a hierarchy, and its label."""
    return [*hierarchy.subsystems, *([f"name={hierarchy.label}"] if hierarchy.label is not None else [])]


def enabled_below(hierarchy: Hierarchy) -> list[str]:
    """The controllers that cgroups below the root have: all of them on v1, on v2 those that the root enables."""
    if hierarchy.version == 1:
        return [*hierarchy.subsystems]
    try:
        return [*Parameters.get(Core.subtree_control, hierarchy.root())]
    except CgroupError:
        return []


def writable(hierarchy: Hierarchy) -> str:
    """Return where this user may make cgroups: everywhere, below its own cgroup, in a scope of systemd, or nowhere."""
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
"""A name that the kernel refuses with EINVAL, after all checks of permission."""


def _may_make_below(cgroup: Cgroup) -> bool:
    """Return whether mkdir(2) would be permitted: the mode does not say what a security module or seccomp refuses."""
    if cgroup.path is None or not may(cgroup.path, os.W_OK):
        return False
    try:
        os.mkdir(f"{cgroup.path}/{_IMPOSSIBLE}")
    except OSError as error:
        return error.errno == errno.EINVAL
    os.rmdir(f"{cgroup.path}/{_IMPOSSIBLE}")
    return True


def _gives_scopes(hierarchy: Hierarchy) -> bool:
    """Return whether this user's systemd delegates subtrees of a hierarchy: only of the one that it manages, v2's."""
    manager = f"{os.environ.get('XDG_RUNTIME_DIR') or f'/run/user/{os.getuid()}'}/systemd/private"
    return hierarchy.version == 2 and hierarchy.host.root == "/" and managed.is_manager() and os.path.exists(manager)  # noqa: PLR2004 - the version


# ---- controllers -------------------------------------------------------------------------


def missing(host: Host) -> list[tuple[str, str]]:
    """The controllers that are on no mounted hierarchy of a host, and why."""
    known = _kernel_list(host)
    ours = [name for one in TABLES if (name := str(getattr(one, "CONTROLLER"))) not in ("", "cgroup")]  # noqa: B009
    names = dict.fromkeys([*(known or ()), *ours, "hugetlb"])
    if known is None or "blkio" in known:
        names.pop("io", None)
    return [(name, _why(name, host, known)) for name in names if host.hierarchy_of(name) is None]


def _kernel_list(host: Host) -> dict[str, tuple[int, bool]] | None:
    """Return /proc/cgroups as name → (number of its hierarchy, whether it is enabled); None without such a file."""
    text = _proc(host, "cgroups")
    if text is None:
        return None
    rows = [line.split() for line in text.split("\n") if line and line[0] != "#"]
    return {row[0]: (int(row[1]), row[3] == "1") for row in rows if len(row) >= 4}  # noqa: PLR2004 - the columns


def _why(name: str, host: Host, known: dict[str, tuple[int, bool]] | None) -> str:
    if known is None:
        return "unknown: /proc/cgroups is missing here, as with subset=pid"
    number, enabled = known.get(name) or known.get(ALIASES.get(name, name)) or (0, None)
    unified = host.hierarchy_of("")
    if enabled is None and unified is None:
        return "the kernel does not list it: not compiled in, or only for v2, which is not mounted"
    if enabled is None:
        return "not in this kernel"
    if not enabled:
        return f"disabled at boot: cgroup_disable={name}"
    if number:
        return f"on v1 hierarchy {number}, which is not mounted here"
    if unified is not None and unified.root_location == "/" and name not in IMPLICIT:
        return "compiled in, but neither mounted on v1 nor listed by v2"
    return "compiled in, but not mounted"
