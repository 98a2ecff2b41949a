"""Host: one machine's view of its control groups, through its mount table and its processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

from . import creation
from ._interface import decode_name
from .core.advice import advise
from .errors import (
    CgroupError,
    CgroupGone,
    CgroupNotFound,
    InvalidValue,
    ProcessNotFound,
    SubsystemNotAvailable,
    from_errno,
    shown,
)
from .hierarchy import PID_MAX, Cgroup, Hierarchy
from .mounts import Table, Tables, controllers_of
from .spec import ALIASES, parse_spec, split_path, to_enable

__all__ = ["Host"]

_DELETED = " (deleted)"


class _Index:
    """The hierarchies of a mount table, by what a spec calls them."""

    def __init__(self, host: Host, table: Table, previous: _Index | None) -> None:
        known = {(one.key, one.mounts): one for one in previous.hierarchies} if previous else {}
        self.hierarchies: list[Hierarchy] = []
        self.by_name: dict[str, Hierarchy] = {}
        self.unified: Hierarchy | None = None
        for (version, _, label), mounts in table.groups.items():
            hierarchy = Hierarchy(host, version, mounts[0].subsystems, label, mounts)
            if not hierarchy.mounts:
                continue
            # The same object, for as long as its mounts stay: its directory is open.
            hierarchy = known.get((hierarchy.key, hierarchy.mounts), hierarchy)
            self.hierarchies.append(hierarchy)
            if version == 1:
                names = [*mounts[0].subsystems, *([f"name={label}"] if label is not None else [])]
                self.by_name.update(dict.fromkeys(names, hierarchy))
            else:
                self.unified = hierarchy
        for name, alias in ALIASES.items():
            if alias in self.by_name:
                self.by_name.setdefault(name, self.by_name[alias])
        # What one look tells: a v1 mount is where its controller is.
        self.by_names: dict[tuple[str, ...], Hierarchy] = {}
        self.by_names.update(((name,), hierarchy) for name, hierarchy in self.by_name.items())

    def with_key(self, host: Host, version: int, names: Iterable[str], label: str | None) -> Hierarchy:
        """The hierarchy of these facts; one without mounts where none shows it."""
        names = tuple(names)
        key = (version, frozenset(names), label)
        for hierarchy in self.hierarchies:
            if hierarchy.key == key:
                return hierarchy
        return Hierarchy(host, version, names, label, [])

    def find(self, name: str) -> Hierarchy | None:
        """Where a controller is: per controller, never per host.  v1 first: a v1 mount takes it from v2."""
        hierarchy = self.by_name.get(name)
        if hierarchy is None and self.unified is not None and self.unified.has(name):
            return self.unified
        return hierarchy


class Host:
    """One machine, as its files below ``root`` show it.

    With another root than ``/`` the mount table is ``ROOT/proc/1/mountinfo``,
    and every mount point is resolved below ROOT: so an agent in a container
    watches its node, and a program reads a captured tree, which is read-only.

    Safe to use from any thread; a forked child reads its own mount table.
    """

    def __init__(self, root: str = "/") -> None:
        root = os.fspath(root)
        if not isinstance(root, str) or not root or "\0" in root:
            message = f"root {shown(root)} is not a path"
            raise InvalidValue(message)
        self.root = (
            os.path.normpath(os.path.join(os.getcwd(), root)) if not root.startswith("/") else os.path.normpath(root)
        )
        self._tables = Tables(self.root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Host) and self.root == other.root

    def __hash__(self) -> int:
        return hash(self.root)

    def __reduce__(self) -> tuple[Any, ...]:
        return _host, (self.root,)

    def __repr__(self) -> str:
        return f"Host({self.root!r})"

    def refresh(self) -> None:
        """Forgets the mount table.

        Never needed after a mount, which is noticed; needed in a thread that
        has changed its own *cgroup* namespace, since that changes what the
        table says without an event.
        """
        self._tables.refresh()

    # ---- hierarchies --------------------------------------------------------------

    def _index(self) -> _Index:
        table = self._tables.current()
        index: _Index | None = table.index
        if index is None:
            index = table.index = _Index(self, table, table.previous)
        return index

    def scan(self, subsystems: Iterable[str] | None = None) -> list[Hierarchy]:
        """The mounted hierarchies in mount order, or those that have at least one of the subsystems."""
        index = self._index()
        if subsystems is None:
            return list(index.hierarchies)
        if isinstance(subsystems, str):
            message = f"subsystems {shown(subsystems)}: a list of names is expected"
            raise InvalidValue(message)
        wanted = {index.find(name) for name in subsystems}
        return [hierarchy for hierarchy in index.hierarchies if hierarchy in wanted]

    def hierarchy_of(self, controller: str) -> Hierarchy | None:
        """The hierarchy that a controller (or ``name=LABEL``) is on; '' is the unified one."""
        index = self._index()
        return index.find(controller) if controller else index.unified

    def hierarchy_with(self, version: int, names: Iterable[str], label: str | None) -> Hierarchy:
        """The hierarchy with exactly these controllers and this label, mounted or not: where a pickled one is here."""
        return self._index().with_key(self, version, names, label)

    # ---- cgroups --------------------------------------------------------------------

    def find(self, spec: str) -> Cgroup | None:
        """The cgroup that a spec names; None when there is none, for whatever reason.

        Specs: ``memory:/a/b``; ``memory`` (the root); ``name=systemd:/a``;
        ``:/a`` (the unified hierarchy); ``cpu,cpuacct:/a`` (both on one
        hierarchy).  InvalidValue for what is no spec.
        """
        return self._look(spec)[0]

    def find_exn(self, spec: str) -> Cgroup:
        """The same; CgroupNotFound, whose hint is the reason, when there is none."""
        cgroup, reason = self._look(spec)
        if cgroup is None:
            raise CgroupNotFound(f"no cgroup {shown(spec)}", hint=reason)
        return cgroup

    def _look(self, spec: str) -> tuple[Cgroup | None, str]:
        names, location = parse_spec(spec)
        index = self._index()
        hierarchy = index.by_names.get(names)
        if hierarchy is None:
            hierarchy, reason = _resolve(index, names)
            if hierarchy is None:
                return None, reason
        cgroup = hierarchy.root() if location is None else Cgroup(hierarchy, location)
        if cgroup.exists:
            return cgroup, ""
        if cgroup.path is None:
            return None, f"the mount at {hierarchy.mount_point} shows {hierarchy.root_location} and what is below alone"
        return None, f"there is no directory {cgroup.path}"

    def find_or_create(
        self,
        spec: str,
        *,
        perm: int = 0o755,
        owner: creation.Owner | None = None,
        file_perm: int | None = None,
        tasks_perm: int | None = None,
    ) -> Cgroup:
        """The cgroup that a spec names, made, with all on the way, where it is missing.

        On v2 the controllers of the spec are enabled down the path (``:/a``
        enables none).  When a step fails, what this call has made and enabled
        is undone, and the error says which rule, or whose permission, stands
        in the way.

        Args:
            spec: as for :meth:`find`.
            perm: mode of the directories made, whatever the umask.
            owner: ``(uid, gid)`` or ``'user:group'``, of the directories made and all files in them.  Who
                owns ``cgroup.kill`` and ``cgroup.freeze`` can kill or stop whatever is put there, whoever's
                process it is: put nothing there that the owner may not end.
            file_perm: mode of the control files in them.
            tasks_perm: mode of cgroup.procs, cgroup.threads and tasks in them.
        """
        names, location = parse_spec(spec)
        rights = creation.Rights(perm, owner, file_perm, tasks_perm)
        rights.check()
        hierarchy, reason = _resolve(self._index(), names)
        if hierarchy is None:
            message = f"cannot make {shown(spec)}: {reason}"
            raise SubsystemNotAvailable(message)
        root = hierarchy.root()
        target = root if location is None else Cgroup(hierarchy, location)
        if target.path is None:
            hint = f"the mount at {hierarchy.mount_point} shows {hierarchy.root_location} and what is below alone"
            raise CgroupNotFound(f"cannot make {shown(spec)}", hint=hint)
        controllers = to_enable(hierarchy.version, names)
        if _has(target, controllers):
            return target
        *_, top = target.upwards()  # of the mount that shows it: there may be several, of parts
        below = target.location.removeprefix(top.location.rstrip("/"))
        return creation.create(top, split_path(below), controllers, rights, exist_ok=True)

    # ---- processes ---------------------------------------------------------------------

    def process_info(self, pid: int) -> list[Cgroup]:
        """The cgroups of a process, one for each hierarchy that it is in, in the order of /proc/PID/cgroup.

        The process is the one that this host's /proc has under the number, whatever the caller's pid namespace.

        A cgroup that no mount of this namespace shows has ``path`` None; one
        that has been removed (a zombie's) does not exist.
        """
        if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid <= PID_MAX:
            message = f"process id {shown(pid)}: from 1 to {PID_MAX}"
            raise InvalidValue(message)
        return self._cgroups_in(pid)

    def cgroups_of(self, pid: int | None = None) -> list[Cgroup]:
        """The same; by default of the calling thread, whatever its number in the pid namespace of /proc is.

        A thread may be in another cgroup than its process, whose first thread may have ended.
        """
        if pid is not None:
            return self.process_info(pid)
        return self._cgroups_in(self.name_in_proc(None))

    def cgroups_of_threads(self) -> set[Cgroup]:
        """Return the cgroups that a thread of this process is in; for this package."""
        tasks = f"{self.root.rstrip('/')}/proc/self/task"
        found: set[Cgroup] = set()
        for thread in os.listdir(tasks):
            try:
                found.update(self._cgroups_in(f"self/task/{thread}"))
            except ProcessNotFound:  # it has exited
                continue
        return found

    def name_in_proc(self, pid: int | None) -> str:
        """What a process, by default the calling thread, is called in /proc; for this package."""
        if pid is not None:
            return str(pid)
        # A captured tree need not have the thread's.
        return "thread-self" if os.path.exists(f"{self.root.rstrip('/')}/proc/thread-self") else "self"

    def own(self, controller: str) -> Cgroup:
        """The cgroup of the calling thread for a controller; SubsystemNotAvailable when it is on no hierarchy."""
        hierarchy = self.hierarchy_of(controller)
        for cgroup in self.cgroups_of():
            if cgroup.hierarchy == hierarchy:
                return cgroup
        tried = f"cannot tell this process's cgroup of {shown(controller)}"
        if hierarchy is None:
            message = f"{tried}: no mounted hierarchy has the controller {shown(controller)}"
            raise SubsystemNotAvailable(message, hint=advise("mounted"))
        path = f"{self.root.rstrip('/')}/proc/{self.name_in_proc(None)}/cgroup"
        raise SubsystemNotAvailable(f"{tried}: {path} is missing, or does not list it", path=path)

    def own_path(self, key: tuple[Any, ...]) -> str | None:
        """Return the calling thread's path in the hierarchy of a key, as the kernel writes it; for this package."""
        try:
            found = self._paths_of(self.name_in_proc(None))
        except CgroupError:
            return None
        return next(
            (path for (version, names, label), path in found if (version, frozenset(names), label) == key), None
        )

    def is_removed(self, pid: int | None) -> bool:
        """Return whether the kernel says of a cgroup of a process that it was removed; for this package."""
        return any(path.endswith(_DELETED) for _, path in self._paths_of(self.name_in_proc(pid)))

    def _paths_of(self, who: int | str) -> list[tuple[tuple[Any, ...], str]]:
        """Return the lines of /proc/WHO/cgroup: version, controllers and label of a hierarchy, and a path in it.

        ``4:memory:/a:b`` is an id, controllers, and a path that may have colons of its own.
        """
        path = f"{self.root.rstrip('/')}/proc/{who}/cgroup"
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

    def _cgroups_in(self, who: int | str) -> list[Cgroup]:
        index = self._index()
        return [self._cgroup_at(path, index.with_key(self, *key)) for key, path in self._paths_of(who)]

    def _cgroup_at(self, path: str, hierarchy: Hierarchy) -> Cgroup:
        location = hierarchy.view.location_of(path)
        visible = location is not None
        cgroup = Cgroup(hierarchy, path if location is None else location, visible=visible)
        if path.endswith(_DELETED) and not cgroup.exists:
            # A name may well end so; only where nothing has it is it the kernel's remark.
            return Cgroup(hierarchy, cgroup.location.removesuffix(_DELETED) or "/", visible=visible)
        return cgroup


def _key_of(number: str, names: str) -> tuple[Any, ...]:
    """Return version, controllers and label of the hierarchy of a line of /proc/PID/cgroup."""
    return (2, (), None) if number == "0" and not names else (1, *controllers_of(names))


def _resolve(index: _Index, names: Sequence[str]) -> tuple[Hierarchy | None, str]:
    """The one hierarchy that all of the names are on, or why there is none."""
    if not names:
        return index.unified, "no cgroup2 file system is mounted"
    hierarchy = index.find(names[0])
    if hierarchy is None:
        return None, f"no mounted hierarchy has the controller {names[0]}"
    for name in names[1:]:
        if index.find(name) != hierarchy:
            return None, f"{names[0]} and {name} are not on one hierarchy"
    return hierarchy, ""


def _has(cgroup: Cgroup, controllers: Iterable[str]) -> bool:
    """Whether a cgroup is there, with these controllers; it may go while one looks."""
    try:
        return cgroup.exists and all(name in cgroup.subsystems for name in controllers)
    except CgroupGone:
        return False


def _host(root: str) -> Host:
    """What copy and pickle call: this process's own local host, or another of this root."""
    return LOCAL if root == LOCAL.root else Host(root)


LOCAL: Final = Host("/")
"""The machine that this process runs on."""

Hierarchy._local = LOCAL  # noqa: SLF001 - the one place that may: it breaks the cycle of the two modules
