"""What ``info`` and ``ps`` tell of a host: looked up here, printed elsewhere."""

from __future__ import annotations

import os
import pwd
from typing import NamedTuple

from ..errors import CgroupError
from ..hierarchy import Cgroup, Hierarchy
from ..host import Host
from ..spec import ALIASES, IMPLICIT
from ..subsystem import Core, Parameters
from ..subsystem.controllers import TABLES

__all__ = ["Process", "controllers_on", "enabled_below", "kernel", "missing", "processes", "user", "writable"]


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
    """The processes in a cgroup; one that has ended meanwhile is left out."""
    host = cgroup.hierarchy.host
    return [process for pid in cgroup.processes() if (process := _process(host, pid)) is not None]


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


# ---- hierarchies -----------------------------------------------------------------------


def kernel(host: Host) -> str | None:
    """The release of a host's kernel."""
    release = _proc(host, "sys/kernel/osrelease")
    return None if release is None else release.strip()


def controllers_on(hierarchy: Hierarchy) -> str:
    """The controllers of a hierarchy, and its label; ``-`` where there is neither."""
    label = [f"name={hierarchy.label}"] if hierarchy.label is not None else []
    return " ".join([*hierarchy.subsystems, *label]) or "-"


def enabled_below(hierarchy: Hierarchy) -> str:
    """The controllers that cgroups below the root have: all of them on v1, on v2 those that the root enables."""
    if hierarchy.version == 1:
        return " ".join(hierarchy.subsystems) or "-"
    try:
        return " ".join(Parameters.get(Core.subtree_control, hierarchy.root())) or "-"
    except CgroupError:
        return "-"


def writable(hierarchy: Hierarchy) -> str:
    """Where this user may make cgroups: at the root, below the cgroup that it is in, or nowhere."""
    if all(mount.state == "plain" for mount in hierarchy.mounts):
        return "nowhere: a captured tree"
    if _may_write(hierarchy.root()):
        return "everywhere" if os.geteuid() == 0 else "below the root"
    own = _own(hierarchy)
    return f"below {own.location}" if own is not None and _may_write(own) else "nowhere"


def _own(hierarchy: Hierarchy) -> Cgroup | None:
    if hierarchy.host.root != "/":
        return None
    try:
        return next(one for one in hierarchy.host.process_info(os.getpid()) if one.hierarchy == hierarchy)
    except (CgroupError, StopIteration):
        return None


def _may_write(cgroup: Cgroup) -> bool:
    return cgroup.path is not None and os.access(cgroup.path, os.W_OK, effective_ids=True)


# ---- controllers -------------------------------------------------------------------------


def missing(host: Host) -> list[tuple[str, str]]:
    """The controllers that are on no mounted hierarchy of a host, and why."""
    known = _kernel_list(host)
    ours = [name for one in TABLES if (name := str(getattr(one, "CONTROLLER"))) not in ("", "cgroup")]  # noqa: B009
    names = dict.fromkeys([*known, *ours, "hugetlb"])
    if "blkio" in known:
        names.pop("io", None)
    return [(name, _why(name, host, known)) for name in names if host.hierarchy_of(name) is None]


def _kernel_list(host: Host) -> dict[str, tuple[int, bool]]:
    """/proc/cgroups: name → (the number of its hierarchy, whether it is enabled)."""
    rows = [line.split() for line in (_proc(host, "cgroups") or "").split("\n") if line and line[0] != "#"]
    return {row[0]: (int(row[1]), row[3] == "1") for row in rows if len(row) >= 4}  # noqa: PLR2004 - the columns


def _why(name: str, host: Host, known: dict[str, tuple[int, bool]]) -> str:
    number, enabled = known.get(name) or known.get(ALIASES.get(name, name)) or (0, None)
    unified = host.hierarchy_of("")
    if enabled is None and unified is None:
        return "the kernel does not list it: not compiled in, or for v2 alone, which is not mounted"
    if enabled is None:
        return "not in this kernel"
    if not enabled:
        return f"disabled at boot: cgroup_disable={name}"
    if number:
        return f"on v1 hierarchy {number}, which is not mounted here"
    if unified is not None and unified.root_location == "/" and name not in IMPLICIT:
        return "compiled in, but neither mounted on v1 nor listed by v2"
    return "compiled in, but not mounted"
