"""The mount table of one host: read once, re-validated at each use, per mount namespace.

A table is kept with its open mountinfo, which polls POLLPRI once it has
changed, and with the identity of the root directory of the thread that read
it: another mount namespace, or a chroot, is another table.
"""

from __future__ import annotations

import errno
import os
import weakref
from _thread import RLock
from typing import Any

from ._backend import backend
from ._interface import FOREIGN, SAME, Failure, MountRow, Status
from .errors import CgroupError, CgroupOSError, from_failure

# What a super block's options say beside the controllers: show_sb_opts and
# security modules, and cgroup1_show_options and cgroup_show_options.
_FLAGS = frozenset(
    "rw ro sync dirsync mand lazytime seclabel "
    "noprefix xattr cpuset_v2_mode favordynmods clone_children none all "
    "nsdelegate memory_localevents memory_recursiveprot memory_hugetlb_accounting pids_localevents".split()
)

mounts_state = backend.mounts_state

KEPT_TABLES = 4
"""Tables kept at once.  Each pins its mount namespace, so it is few."""


def _split_options(options: str) -> list[str]:
    """At commas, but not within quotes: an SELinux context has commas of its own."""
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
    """The controllers and the label (``name=``) in the options of a v1 super block."""
    names, label = [], None
    for option in _split_options(options):
        key, equals, value = option.partition("=")
        if key == "name" and equals:
            label = value
        elif not equals and option and option not in _FLAGS:
            names.append(option)
    return tuple(names), label


def split_above(location: str) -> tuple[int, str]:
    """``/../../a`` to (2, ``/a``): how many levels above the cgroup namespace's root, and the path from there."""
    above = 0
    while location == "/.." or location.startswith("/../"):
        location = location[3:]
        above += 1
    return above, location or "/"


class Mount:
    """One mount of a hierarchy: where, and which part of it."""

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
        self.version, major, minor, root, point, _, self.options = row
        self.above, self.root = split_above(root)
        self.device = (major, minor)
        self.subsystems: tuple[str, ...] = ()
        self.label: str | None = None
        # Of the controller cpuset only, as Android mounts it: its files are `cpus`, not `cpuset.cpus`.
        self.noprefix = self.version == 1 and "noprefix" in _split_options(self.options)
        if self.version == 1:
            self.subsystems, self.label = controllers_of(self.options)
        self._local = host_root == "/"
        self._state: str | None = None
        if self._local:
            self.path, self.prefix = point, ""
            self.directory = backend.open_directory(point, self.version)
        else:
            # Below another root nothing is resolved but beneath that root.
            self.path, self.prefix = host_root + point, point[1:] + "/"
            self.directory = backend.open_directory(host_root, 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mount) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def _facts(self) -> tuple[Any, ...]:
        return self.path, self.above, self.root, self.version, self.device, self.options

    def relative(self, location: str) -> str | None:
        """A location as a path below this mount, None where it does not show it."""
        root = self.root
        if root == "/":
            return location[1:]
        if location == root:
            return ""
        return location[len(root) + 1 :] if location.startswith(root + "/") else None

    @property
    def state(self) -> str:
        """``cgroup``, ``plain`` (a captured tree's directory) or ``hidden``; looked up once."""
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


class Source:
    """An open mountinfo, and whose table it is; closed with the last table that was read from it."""

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

    def __init__(self, source: Source, mounts: list[Mount]) -> None:
        self.source = source
        self.groups: dict[tuple[Any, ...], list[Mount]] = {}
        # Of several mounts at one point only the last can be reached.
        on_top = {mount.path: mount for mount in mounts}
        for mount in on_top.values():
            self.groups.setdefault((mount.version, frozenset(mount.subsystems), mount.label), []).append(mount)
        # What the host derives from it, and what it had derived from the one before.
        self.index: Any = None
        self.previous: Any = None


_all_tables: weakref.WeakSet[Tables] = weakref.WeakSet()


class Tables:
    """The tables of a host.

    All access is under the lock: a poll consumes the event that it reports,
    so that asking and reading again have to be one step.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._lock = RLock()
        self._tables: list[Table] = []
        _all_tables.add(self)

    def forget(self) -> None:
        """For a forked child: it shares the parent's open files, and with them the events, so it starts anew."""
        self._lock = RLock()
        self._tables = []

    def current(self) -> Table:
        """The valid table of the calling thread."""
        with self._lock:
            for table in tuple(self._tables):
                source = table.source
                state = mounts_state(source.fd, source.identity)
                if state == SAME:
                    return table
                if state == FOREIGN:
                    continue
                # The event is consumed: were reading it again to fail, the old table would look valid.
                self._tables.remove(table)
                fresh = self._reread(table)
                self._tables.insert(0, fresh)
                return fresh
            table = self._read()
            self._tables.insert(0, table)
            del self._tables[KEPT_TABLES:]
            return table

    def refresh(self) -> None:
        """Drops what was read."""
        with self._lock:
            self._tables = []

    def _path(self) -> str:
        if self._root == "/":
            return "/proc/thread-self/mountinfo"
        # On a real procfs, self is the reader, not the host that is looked at.
        path = f"{self._root}/proc/1/mountinfo"
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            if not os.path.ismount(f"{self._root}/proc"):
                return f"{self._root}/proc/self/mountinfo"
        except OSError:
            pass  # there, and not to be looked into: opening it says so
        return path

    def _read(self) -> Table:
        path = self._path()
        try:
            source = Source(path, backend.root_identity())
        except OSError as error:
            raise _unreadable(Failure(Status.OS, error.errno or 0), path) from None
        except Failure as failure:
            raise _unreadable(failure, path) from None
        return self._scan(source)

    def _reread(self, table: Table) -> Table:
        fresh = self._scan(table.source)
        fresh.previous = table.index
        return fresh

    def _scan(self, source: Source) -> Table:
        try:
            rows = backend.scan_mounts(source.fd)
        except Failure as failure:
            raise _unreadable(failure, source.path) from None
        # A NUL is in no path: such a line is of a damaged capture, and names another directory in C.
        return Table(source, [Mount(row, self._root) for row in rows if not any("\0" in str(field) for field in row)])


def _unreadable(failure: Failure, path: str) -> CgroupError:
    kind = CgroupOSError if failure.errno == errno.ENOENT else None
    hint = "without the mount table no cgroup of this host can be found"
    return from_failure(failure, f"cannot read the mount table {path}", path=path, hint=hint, kind=kind)


def _forget_all() -> None:
    for tables in _all_tables:
        tables.forget()


os.register_at_fork(after_in_child=_forget_all)
