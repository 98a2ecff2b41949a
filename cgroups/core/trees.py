"""Trees: the hierarchies of one machine, from its mount table, and the cgroups of its processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar

from .advice import advise
from .errors import CgroupError, CgroupNotFound, InvalidValue, ProcessNotFound, SubsystemNotAvailable, from_errno, shown
from .interface import Version, decode_name
from .mounts import Table, Tables, controllers_of
from .node import PID_MAX, Node
from .specs import ALIASES, parse_spec
from .tree import Tree

__all__ = ["AnyTrees", "Trees"]

T_co = TypeVar("T_co", bound=Tree[Any], covariant=True)
P_co = TypeVar("P_co", bound=Node, covariant=True)

_DELETED: Final = " (deleted)"
"""The kernel's suffix of a removed cgroup's path."""


class _Index(Generic[T_co]):
    """The hierarchies of a mount table, by their names in a spec."""

    def __init__(self, host: Trees[T_co, Any], make: type[T_co], table: Table, previous: _Index[T_co] | None) -> None:
        known = {(one.key, one.mounts): one for one in previous.hierarchies} if previous else {}
        self._make = make
        self.hierarchies: list[T_co] = []
        self.by_name: dict[str, T_co] = {}
        self.unified: T_co | None = None
        for (version, _, label), mounts in table.groups.items():
            hierarchy = make(host, version, mounts[0].subsystems, label, mounts)
            if not hierarchy.mounts:
                continue
            # Reuse the object while its mounts are the same: its directory is open.
            hierarchy = known.get((hierarchy.key, hierarchy.mounts), hierarchy)
            self.hierarchies.append(hierarchy)
            if version == Version.V1:
                names = [*mounts[0].subsystems, *([f"name={label}"] if label is not None else [])]
                self.by_name.update(dict.fromkeys(names, hierarchy))
            else:
                self.unified = hierarchy
        for name, alias in ALIASES.items():
            if alias in self.by_name:
                self.by_name.setdefault(name, self.by_name[alias])
        # One lookup is enough: a v1 mount takes its controller from v2.
        self.by_names: dict[tuple[str, ...], T_co] = {}
        self.by_names.update(((name,), hierarchy) for name, hierarchy in self.by_name.items())

    def with_key(self, host: Trees[T_co, Any], version: Version, names: Iterable[str], label: str | None) -> T_co:
        """Return the hierarchy with this key; without mounts if no mount shows it."""
        names = tuple(names)
        key = (version, frozenset(names), label)
        for hierarchy in self.hierarchies:
            if hierarchy.key == key:
                return hierarchy
        return self._make(host, version, names, label, [])

    def find(self, name: str) -> T_co | None:
        """Return the hierarchy of one controller.  The controllers of a host may be on different versions.

        v1 comes first, since a v1 mount takes its controller from v2.
        """
        hierarchy = self.by_name.get(name)
        if hierarchy is None and self.unified is not None and self.unified.has(name):
            return self.unified
        return hierarchy

    def resolve(self, names: Sequence[str]) -> tuple[T_co | None, str]:
        """Return the one hierarchy that has all of the names, or None and the reason."""
        if not names:
            return self.unified, "no cgroup2 file system is mounted"
        hierarchy = self.find(names[0])
        if hierarchy is None:
            return None, f"no mounted hierarchy has the controller {names[0]}"
        for name in names[1:]:
            if self.find(name) != hierarchy:
                return None, f"{names[0]} and {name} are not on one hierarchy"
        return hierarchy, ""


class Trees(Generic[T_co, P_co]):
    """The hierarchies of a machine, read from its files below ``root``.

    Thread-safe; a forked child reads its own mount table.
    """

    tree_class: ClassVar[type[Any]] = Tree
    """The class of its hierarchies."""

    def __init__(self, root: str = "/") -> None:
        root = os.fspath(root)
        if not isinstance(root, str) or not root or "\0" in root:
            message = f"root must be a path, got {shown(root)}"
            raise InvalidValue(message)
        self.root = (
            os.path.normpath(os.path.join(os.getcwd(), root)) if not root.startswith("/") else os.path.normpath(root)
        )
        self._tables = Tables(self.root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trees) and self.root == other.root

    def __hash__(self) -> int:
        return hash(self.root)

    def __repr__(self) -> str:
        return f"Host({self.root!r})"

    def system_path(self, path: str) -> str:
        """Return this host's path of a file of the system, such as ``proc/stat`` or ``sys/dev/block``."""
        return f"{self.root.rstrip('/')}/{path}"

    def refresh(self) -> None:
        """Discard the cached mount table, so that the next use reads it again.

        A call is needed only in a thread that has changed its *cgroup* namespace: the contents of the table
        then change without a notification.  A mount or unmount is detected without a call.
        """
        self._tables.refresh()

    # ---- hierarchies

    def _index(self) -> _Index[T_co]:
        table = self._tables.current()
        index: _Index[T_co] | None = table.index
        if index is None:
            index = table.index = _Index(self, self.tree_class, table, table.previous)
        return index

    def scan(self, subsystems: Iterable[str] | None = None) -> list[T_co]:
        """Return the mounted hierarchies in mount order, or those with at least one of the subsystems."""
        index = self._index()
        if subsystems is None:
            return list(index.hierarchies)
        if isinstance(subsystems, str):
            message = f"subsystems must be a list of names, got {shown(subsystems)}"
            raise InvalidValue(message)
        wanted = {index.find(name) for name in subsystems}
        return [hierarchy for hierarchy in index.hierarchies if hierarchy in wanted]

    def hierarchy_of(self, controller: str) -> T_co | None:
        """Return the hierarchy of a controller or of ``name=LABEL``; '' is the unified one."""
        index = self._index()
        return index.find(controller) if controller else index.unified

    def hierarchy_with(self, version: Version, names: Iterable[str], label: str | None) -> T_co:
        """Return the hierarchy with exactly these controllers and this label, mounted or not, for pickle."""
        return self._index().with_key(self, version, names, label)

    # ---- cgroups

    def find(self, spec: str) -> P_co | None:
        """Return the cgroup that a spec names; None if it does not exist for any reason.

        Specs: ``memory:/a/b``; ``memory`` (the root); ``name=systemd:/a``;
        ``:/a`` (the unified hierarchy); ``cpu,cpuacct:/a`` (both on one
        hierarchy).

        Raises:
            InvalidValue: the text is not a spec.
        """
        return self._look(spec)[0]

    def find_exn(self, spec: str) -> P_co:
        """Return the cgroup that a spec names; raise CgroupNotFound, with the reason as hint, if it does not exist."""
        cgroup, reason = self._look(spec)
        if cgroup is None:
            raise CgroupNotFound(f"no cgroup {shown(spec)}", hint=reason)
        return cgroup

    def _look(self, spec: str) -> tuple[P_co | None, str]:
        names, location = parse_spec(spec)
        index = self._index()
        hierarchy = index.by_names.get(names)
        if hierarchy is None:
            hierarchy, reason = index.resolve(names)
            if hierarchy is None:
                return None, reason
        cgroup = hierarchy.root() if location is None else hierarchy.at(location)
        if cgroup.exists:
            return cgroup, ""
        return None, self._why_absent(cgroup)

    @staticmethod
    def _why_absent(cgroup: Node) -> str:
        hierarchy = cgroup.hierarchy
        if cgroup.path is None:
            return f"the mount at {hierarchy.mount_point} shows only {hierarchy.root_location} and below"
        return f"the directory {cgroup.path} does not exist"

    # ---- processes

    def process_info(self, pid: int) -> list[P_co]:
        """Return the cgroups of a process, one for each hierarchy, in the order of /proc/PID/cgroup.

        The pid is the one in this host's /proc, regardless of the caller's pid namespace.

        A cgroup that no mount of this namespace shows has ``path`` None; a
        removed one (a zombie's) does not exist.
        """
        if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid <= PID_MAX:
            message = f"process id must be from 1 to {PID_MAX}, got {shown(pid)}"
            raise InvalidValue(message)
        return self._cgroups_in(pid)

    def cgroups_of(self, pid: int | None = None) -> list[P_co]:
        """Return the cgroups of a process, by default of the calling thread.

        A thread may be in another cgroup than its process, whose main thread may have exited.
        The thread is found through /proc/thread-self, whatever its id in the pid namespace of /proc.
        """
        if pid is not None:
            return self.process_info(pid)
        return self._cgroups_in(self.name_in_proc(None))

    def cgroups_of_threads(self) -> set[P_co]:
        """Return the cgroups of all threads of this process (internal)."""
        tasks = self.system_path("proc/self/task")
        found: set[P_co] = set()
        for thread in os.listdir(tasks):
            try:
                found.update(self._cgroups_in(f"self/task/{thread}"))
            except ProcessNotFound:  # the thread has exited
                continue
        return found

    def name_in_proc(self, pid: int | None) -> str:
        """Return the name in /proc of a process, by default of the calling thread (internal)."""
        if pid is not None:
            return str(pid)
        # A captured tree may lack thread-self.
        return "thread-self" if os.path.exists(self.system_path("proc/thread-self")) else "self"

    def own(self, controller: str) -> P_co:
        """Return the cgroup of the calling thread for a controller.

        Raises:
            SubsystemNotAvailable: the controller is on no mounted hierarchy.
        """
        hierarchy = self.hierarchy_of(controller)
        for cgroup in self.cgroups_of():
            if cgroup.hierarchy == hierarchy:
                return cgroup
        tried = f"cannot find this process's cgroup for {shown(controller)}"
        if hierarchy is None:
            message = f"{tried}: no mounted hierarchy has the controller {shown(controller)}"
            raise SubsystemNotAvailable(message, hint=advise("mounted"))
        path = self.system_path(f"proc/{self.name_in_proc(None)}/cgroup")
        raise SubsystemNotAvailable(f"{tried}: {path} is missing, or does not list it", path=path)

    def own_path(self, key: tuple[Any, ...]) -> str | None:
        """Return the calling thread's path in a hierarchy, in the kernel's form (internal)."""
        try:
            found = self._paths_of(self.name_in_proc(None))
        except CgroupError:
            return None
        return next(
            (path for (version, names, label), path in found if (version, frozenset(names), label) == key), None
        )

    def is_removed(self, pid: int | None) -> bool:
        """Return whether the kernel marks a cgroup of a process as removed (internal)."""
        return any(path.endswith(_DELETED) for _, path in self._paths_of(self.name_in_proc(pid)))

    def _paths_of(self, who: int | str) -> list[tuple[tuple[Any, ...], str]]:
        """Return the lines of /proc/WHO/cgroup: the key of a hierarchy, and a path in it.

        In ``4:memory:/a:b`` the fields are an id, controllers, and a path, which may contain colons.
        """
        path = self.system_path(f"proc/{who}/cgroup")
        try:
            with open(path, "rb") as file:
                text = decode_name(file.read())
        except OSError as error:
            if isinstance(error, FileNotFoundError) and os.path.exists(os.path.dirname(path)):
                return []  # a kernel without control groups
            kind = ProcessNotFound if isinstance(error, (FileNotFoundError, ProcessLookupError)) else None
            raise from_errno(
                error.errno or 0, f"cannot read the cgroups of process {who}", path=path, kind=kind
            ) from None
        lines = [line.split(":", 2) for line in text.split("\n")]
        return [(_key_of(*line[:2]), line[2]) for line in lines if len(line) == 3]  # noqa: PLR2004 - the three

    def _cgroups_in(self, who: int | str) -> list[P_co]:
        index = self._index()
        return [self._cgroup_at(path, index.with_key(self, *key)) for key, path in self._paths_of(who)]

    @staticmethod
    def _cgroup_at(path: str, hierarchy: Any) -> Any:
        location = hierarchy.view.location_of(path)
        visible = location is not None
        cgroup = hierarchy.at(path if location is None else location, visible=visible)
        if path.endswith(_DELETED) and not cgroup.exists:
            # A name may legitimately end in " (deleted)"; it is the kernel's marker only if no such cgroup exists.
            return hierarchy.at(cgroup.location.removesuffix(_DELETED) or "/", visible=visible)
        return cgroup


def _key_of(number: str, names: str) -> tuple[Any, ...]:
    """Return the key (version, controllers, label) of the hierarchy of a line of /proc/PID/cgroup."""
    is_unified = number == "0" and not names
    return (Version.V2, (), None) if is_unified else (Version.V1, *controllers_of(names))


AnyTrees = Trees[Tree[Node], Node]
"""Any host, for functions that do not return cgroups of its class."""
