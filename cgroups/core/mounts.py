"""The mount table of one host: read once for each mount namespace, re-validated at each use.

A table keeps its open mountinfo, which polls POLLPRI after a change, and the
identity of its reader's root directory.  Another mount namespace or a chroot
has another table.
"""

from __future__ import annotations

import errno
import os
import weakref
from _thread import RLock
from typing import Any

from .backend import backend
from .errors import CgroupError, CgroupOSError, from_failure
from .interface import FOREIGN, SAME, Failure, MountRow, Status, Version

# Super block options that are not controllers, from show_sb_opts, security
# modules, cgroup1_show_options and cgroup_show_options.
_FLAGS = frozenset(
    "rw ro sync dirsync mand lazytime seclabel "
    "noprefix xattr cpuset_v2_mode favordynmods clone_children none all "
    "nsdelegate memory_localevents memory_recursiveprot memory_hugetlb_accounting pids_localevents".split()
)

mounts_state = backend.mounts_state

KEPT_TABLES = 4
"""Maximum number of tables kept.  The number is small, since each table pins its mount namespace."""


def _split_options(options: str) -> list[str]:
    """Split mount options at the commas outside quotes: an SELinux context contains commas."""
    if '"' not in options:
        return options.split(",")
    parts, inside = [""], False
    for character in options:
        inside ^= character == '"'
        if character == "," and not inside:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def controllers_of(options: str) -> tuple[tuple[str, ...], str | None]:
    """Return the controllers and the label (``name=``) in the options of a v1 super block."""
    names, label = [], None
    for option in _split_options(options):
        key, equals, value = option.partition("=")
        if key == "name" and equals:
            label = value
        elif not equals and option and option not in _FLAGS:
            names.append(option)
    return tuple(names), label


def split_above(location: str) -> tuple[int, str]:
    """Split ``/../../a`` into (2, ``/a``): the levels above the cgroup namespace's root, and the path from there."""
    above = 0
    while location == "/.." or location.startswith("/../"):
        location = location[3:]
        above += 1
    return above, location or "/"


class Mount:
    """One mount of a hierarchy: its mount point, and the part that it shows."""

    __slots__ = (
        "_local",
        "_state",
        "above",
        "device",
        "directory",
        "label",
        "noprefix",
        "options",
        "path",
        "prefix",
        "root",
        "subsystems",
        "version",
    )

    def __init__(self, row: MountRow, host_root: str) -> None:
        version, major, minor, root, point, _, self.options = row
        self.version = Version(version)
        self.above, self.root = split_above(root)
        self.device = (major, minor)
        self.subsystems: tuple[str, ...] = ()
        self.label: str | None = None
        # Android mounts cpuset this way: its files are `cpus`, not `cpuset.cpus`.
        self.noprefix = self.version == Version.V1 and "noprefix" in _split_options(self.options)
        if self.version == Version.V1:
            self.subsystems, self.label = controllers_of(self.options)
        self._local = host_root == "/"
        self._state: str | None = None
        if self._local:
            self.path, self.prefix = point, ""
            self.directory = backend.open_directory(point, self.version)
        else:
            # With another root, every path is resolved beneath that root.
            self.path, self.prefix = host_root + point, point[1:] + "/"
            self.directory = backend.open_directory(host_root, 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mount) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def _facts(self) -> tuple[Any, ...]:
        return self.path, self.above, self.root, self.version, self.device, self.options

    def relative(self, location: str) -> str | None:
        """Return a location as a path below this mount; None if the mount does not show it."""
        root = self.root
        if root == "/":
            return location[1:]
        if location == root:
            return ""
        return location[len(root) + 1 :] if location.startswith(root + "/") else None

    @property
    def state(self) -> str:
        """``cgroup``, ``plain`` (a directory of a captured tree) or ``hidden``; determined once."""
        if self._state is None:
            self._state = self._look()
        return self._state

    def _look(self) -> str:
        directory = self.directory if self._local else backend.open_directory(self.path, self.version)
        try:
            device = directory.device()
        except Failure as failure:
            plain = failure.status is Status.FOREIGN and not self._local
            return "plain" if plain else "hidden"
        # Another mount on top of this one has another device.
        return "hidden" if self._local and device != self.device else "cgroup"


class MountInfo:
    """An open mountinfo and its reader's identity.  The file is closed with the last table read from it."""

    def __init__(self, path: str, identity: Any) -> None:
        self.fd = -1
        self.path = path
        self.identity = identity
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


class Table:
    """The cgroup mounts of one mount namespace, grouped by hierarchy, in table order."""

    def __init__(self, source: MountInfo, mounts: list[Mount]) -> None:
        self.source = source
        self.groups: dict[tuple[Any, ...], list[Mount]] = {}
        # Of several mounts at one point, only the last is reachable.
        on_top = {mount.path: mount for mount in mounts}
        for mount in on_top.values():
            self.groups.setdefault((mount.version, frozenset(mount.subsystems), mount.label), []).append(mount)
        # The host's index of this table, and its index of the table before.
        self.index: Any = None
        self.previous: Any = None


_all_tables: weakref.WeakSet[Tables] = weakref.WeakSet()


class Tables:
    """The tables of a host.

    All access is under the lock: a poll consumes the event that it reports,
    so the poll and the next read must be atomic.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._lock = RLock()
        self._tables: list[Table] = []
        _all_tables.add(self)

    def forget(self) -> None:
        """Reset in a forked child, which shares the parent's open files and would consume the parent's events."""
        self._lock = RLock()
        self._tables = []

    def current(self) -> Table:
        """Return the valid table of the calling thread."""
        with self._lock:
            for table in tuple(self._tables):
                source = table.source
                state = mounts_state(source.fd, source.identity)
                if state == SAME:
                    return table
                if state == FOREIGN:
                    continue
                # The event is consumed: if the next read failed, the old table would look valid.
                self._tables.remove(table)
                fresh = self._reread(table)
                self._tables.insert(0, fresh)
                return fresh
            table = self._read()
            self._tables.insert(0, table)
            del self._tables[KEPT_TABLES:]
            return table

    def refresh(self) -> None:
        """Drop all tables."""
        with self._lock:
            self._tables = []

    def _path(self) -> str:
        if self._root == "/":
            return "/proc/thread-self/mountinfo"
        # On a real procfs, self is the reader, not a process of the inspected host.
        path = f"{self._root}/proc/1/mountinfo"
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            if not os.path.ismount(f"{self._root}/proc"):
                return f"{self._root}/proc/self/mountinfo"
        except OSError:
            pass  # the file exists but is inaccessible: open() reports the error
        return path

    def _read(self) -> Table:
        path = self._path()
        try:
            source = MountInfo(path, backend.root_identity())
        except OSError as error:
            raise _unreadable(Failure(Status.OS, error.errno or 0), path) from None
        except Failure as failure:
            raise _unreadable(failure, path) from None
        return self._scan(source)

    def _reread(self, table: Table) -> Table:
        fresh = self._scan(table.source)
        fresh.previous = table.index
        return fresh

    def _scan(self, source: MountInfo) -> Table:
        try:
            rows = backend.scan_mounts(source.fd)
        except Failure as failure:
            raise _unreadable(failure, source.path) from None
        # No path contains NUL: the capture is damaged, and C would read another path.
        return Table(source, [Mount(row, self._root) for row in rows if not any("\0" in str(field) for field in row)])


def _unreadable(failure: Failure, path: str) -> CgroupError:
    kind = CgroupOSError if failure.errno == errno.ENOENT else None
    hint = "without the mount table no cgroup of this host can be found"
    return from_failure(failure, f"cannot read the mount table {path}", path=path, hint=hint, kind=kind)


def _forget_all() -> None:
    for tables in _all_tables:
        tables.forget()


os.register_at_fork(after_in_child=_forget_all)
