"""Group: cgroups of one name, on each hierarchy of the group's controllers, used as one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .control.cpusets import fill_cpuset
from .control.create import Creation, Permissions, permissions_of
from .control.hierarchies import controller_of, listed, parent_for, with_controller
from .control.temporary import TemporaryCgroups, fresh_name
from .control.update import apply, apply_known, settable
from .control.verbs import Verbs
from .core.errors import CgroupNotFound, InvalidValue, SubsystemNotAttached, shown
from .core.rollback import Rollback
from .core.specs import split_path, to_enable
from .hierarchy import LOCAL, Cgroup
from .observe.watched import Watched
from .parameters import Parameters, parameter_named
from .parents import Parent, parents_of

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .control.create import PermissionArguments
    from .control.placement import Placement
    from .control.plain_limits import Amount
    from .control.popen import Popen
    from .parameters.kinds import Parameter, Readable, Resettable, Writable

__all__ = ["Group", "Temporary"]

R = TypeVar("R")
W = TypeVar("W")


class Group(Verbs, Watched[Cgroup]):
    """Cgroups of one name on the hierarchies of some controllers: on v1 one cgroup for each, on v2 one for all.

    So one program runs on both versions::

        with Group.temporary("job", ["memory", "pids"], limits={Memory.limit_in_bytes: 2**30}) as group:
            with group.spawn(["make", "-j4"]) as process:
                process.wait()
            print(group.get(Memory.max_usage_in_bytes))

    A group stands for its name, like a :class:`Cgroup`: the constructor creates no cgroup.
    Groups are safe to use from any thread.

    Args:
        name: the path, such as ``jobs/one``, below the roots or the ``parent``.
        controllers: the controllers of the group; '' is the unified hierarchy, for the files that every v2 cgroup has.
        parent: a spec, a Cgroup or a Group, or one cgroup per hierarchy.

    Attributes:
        controllers: the controllers given to the constructor.
        cgroups: its cgroups, one per hierarchy.

    Raises:
        SubsystemNotAvailable: a controller is on no hierarchy, or no parent is on its hierarchy.
        InvalidValue: the name is not valid, or no controller is given.
    """

    __slots__ = ("_names", "_of", "cgroups", "controllers")

    def __init__(self, name: str, controllers: Iterable[str], *, parent: Parent | None = None) -> None:
        names = split_path(name)
        if not names:
            message = f"name must be the path of a cgroup, got {shown(name)}"
            raise InvalidValue(message)
        wanted = listed(controllers)
        parents = parents_of(parent)
        below = "/".join(names)
        found = {one: parent_for(one, parents, LOCAL).child(below) for one in wanted}
        self._set(names, wanted, dict.fromkeys(found.values()), found)

    def _set(
        self, names: list[str], controllers: tuple[str, ...], cgroups: Iterable[Cgroup], found: dict[str, Cgroup]
    ) -> None:
        self._names = names
        self.controllers: tuple[str, ...] = controllers
        self.cgroups: tuple[Cgroup, ...] = tuple(cgroups)
        self._of = found

    @classmethod
    def of(cls, cgroups: Iterable[Cgroup]) -> Self:
        """Return a group of cgroups, which may differ in name, one per hierarchy.

        Raises:
            InvalidValue: ``cgroups`` is empty, has two cgroups of one hierarchy, or cgroups of two hosts.
        """
        group = cls.__new__(cls)
        members = parents_of(list(cgroups)) or []
        group._set([], (), members, {})  # noqa: SLF001 - an instance of this class
        return group

    @classmethod
    def nowhere(cls) -> Self:
        """Return a group without cgroups (internal): a program started in the group stays in its parent's cgroups."""
        group = cls.__new__(cls)
        group._set([], (), (), {})  # noqa: SLF001 - an instance of this class
        return group

    @classmethod
    def temporary(
        cls,
        prefix: str,
        controllers: Iterable[str],
        *,
        memory: Amount | None = None,
        cpus: Amount | None = None,
        pids: Amount | None = None,
        swap: Amount | None = None,
        io_weight: Amount | None = None,
        limits: Mapping[Any, Any] | None = None,
        parent: Parent | None = None,
        place: str = "auto",
        slice: str | None = None,  # noqa: A002 - systemd's word
    ) -> Temporary:
        """Return a new group for a ``with`` block.  The block's exit kills the processes and removes the cgroups.

        The cleanup also runs after an exception, and after SIGTERM and SIGHUP.  If such a
        signal would end the program, the main thread instead raises SystemExit in
        the block, with 128 plus the signal's number.  Signals during
        the cleanup, including Ctrl-C, are held until the cleanup is complete.

        Args:
            prefix: the start of the name, before a process id and a random number.
            controllers: like those of a Group.  The controllers of the limits are added.
            memory: memory limit; this and the next four are like those of :func:`cgroups.run`.
            cpus: limit of CPU time, in CPUs.
            pids: limit of processes and threads.
            swap: swap limit, in bytes, in addition to the memory.
            io_weight: share of IO among siblings, from 1 to 10000.
            limits: further limits, by parameter or its name, like those of :meth:`update`.
            parent: like that of a Group; by default a place is found as in :func:`cgroups.run`.
            place: ``auto``, ``own`` or ``systemd``.
            slice: the systemd slice of a scope.

        Raises: when the block begins, the exceptions of :class:`Group`, :meth:`create` and :meth:`update`,
        and SystemdError.
        """
        plain = (memory, cpus, pids, swap, io_weight)
        values = settable(limits)
        defaults: Mapping[Any, Any] = {}
        if plain != (None,) * len(plain):
            from .control.plain_limits import PlainLimits, translated  # noqa: PLC0415 - see spawn

            found = translated(PlainLimits(*plain), LOCAL)
            values, defaults = {**found.limits, **values}, found.defaults
        wanted = [*dict.fromkeys((*listed(controllers, or_none=bool(values)), *map(controller_of, values)))]
        name = fresh_name(prefix)
        if parent is not None:
            return Temporary(name, wanted, values, defaults, group=cls(name, wanted, parent=parent))
        cls(name, wanted)  # raises now if the arguments are not valid
        return Temporary(name, wanted, values, defaults, place=place, slice_=slice)

    # ---- cgroups

    def cgroup_of(self, what: str | Parameters.Parameter) -> Cgroup:
        """Return the group's cgroup for a controller or a parameter.

        Args:
            what: the name of a controller, '' for the unified hierarchy, or a parameter.

        Raises:
            SubsystemNotAttached: no cgroup of the group has the controller.
        """
        controller = what if isinstance(what, str) else controller_of(what)
        found = self._of.get(controller)
        if found is None:
            found = with_controller(self.cgroups, controller)
            if found is None:
                message = f"{self} has no cgroup with {controller or 'the unified hierarchy'}"
                raise SubsystemNotAttached(message, hint=f"create it with {controller!r} among its controllers")
            self._of[controller] = found
        return found

    def cgroup_with(self, parameter: Parameter) -> Cgroup:
        """Return the group's cgroup that has a parameter: see :meth:`cgroup_of`."""
        return self.cgroup_of(parameter)

    @property
    def exists(self) -> bool:
        """Whether all cgroups of the group exist."""
        return all(cgroup.exists for cgroup in self.cgroups)

    def create(self, **permissions: Unpack[PermissionArguments]) -> Self:
        """Create the group's missing cgroups, on v2 with its controllers enabled.  After an error, no new cgroup stays.

        A v1 cpuset gets the CPUs and memory nodes of its parent, since a cpuset without
        them accepts no process.  The keywords are those of :meth:`Host.find_or_create`.

        Returns:
            The group itself.

        Raises:
            InvalidValue: the group was returned by :meth:`Group.of`, and has no name to create.
            AccessDenied: the caller may not create one of the cgroups.
            CgroupBusy: on v2, a cgroup on the path has processes, and so cannot enable controllers.
        """
        with Creation() as creation:
            self._make(creation, permissions_of(permissions), exist_ok=True)
        return self

    def _make(self, creation: Creation, permissions: Permissions, *, exist_ok: bool) -> None:
        for cgroup in self.cgroups:
            top, names = self._above(cgroup)
            wanted = [one for one in self.controllers if self._of[one] == cgroup]
            creation.create(top, names, to_enable(cgroup.version, wanted), permissions, exist_ok=exist_ok)
        for made in creation.created:
            fill_cpuset(made)

    def _above(self, cgroup: Cgroup) -> tuple[Cgroup, list[str]]:
        above: Cgroup | None = cgroup
        for _ in self._names:
            above = above.parent if above is not None else None
        if not self._names:
            message = f"cannot create {self}: it is a Group.of existing cgroups"
            raise InvalidValue(message, hint="use Hierarchy.find_or_create, or Group(name, controllers).create()")
        if above is None:
            message = f"cannot create {self}: no ancestor of {cgroup} is visible"
            raise CgroupNotFound(message)
        return above, self._names

    # ---- parameters

    def get(self, parameter: Readable[R] | str) -> R:
        """Read a parameter of the group: see :func:`Parameters.get`.

        Args:
            parameter: the parameter, or its name such as ``"memory.max"``.

        Raises:
            SubsystemNotAttached: no cgroup of the group has the controller.
        """
        found = _named(parameter)
        value: R = Parameters.get(found, self.cgroup_of(found))
        return value

    def set(self, parameter: Writable[W] | str, value: W) -> None:
        """Set a parameter of the group: see :func:`Parameters.set`.

        Args:
            parameter: the parameter, or its name such as ``"memory.max"``.
            value: the new value.

        Raises:
            SubsystemNotAttached: no cgroup of the group has the controller.
        """
        found = _named(parameter)
        Parameters.set(found, self.cgroup_of(found), value)

    def reset(self, parameter: Resettable | str) -> None:
        """Reset a parameter of the group: see :func:`Parameters.reset`.

        Args:
            parameter: the parameter, or its name such as ``"memory.max_usage_in_bytes"``.

        Raises:
            SubsystemNotAttached: no cgroup of the group has the controller.
        """
        found = _named(parameter)
        Parameters.reset(found, self.cgroup_of(found))

    # ---- processes

    def spawn(self, args: Any, **keywords: Any) -> Popen[Any]:
        """Start a program in the group: ``Popen(args, cgroup=group, …)``.

        Args:
            args: the program and its arguments.
            keywords: the keywords of :class:`cgroups.Popen`.

        Raises: the exceptions of :class:`cgroups.Popen`.
        """
        from .control.popen import Popen  # noqa: PLC0415 - it imports subprocess

        process: Popen[Any] = Popen(args, cgroup=self, **keywords)
        return process

    def processes(self) -> list[int]:
        """Return the sorted pids of the processes in the group's cgroups, without those in descendants."""
        return sorted({pid for cgroup in self.cgroups for pid in cgroup.processes()})

    def add_process(self, pid: int) -> None:
        """Move a process into all cgroups of the group or, if one refuses, into none.

        Args:
            pid: the process.

        Raises: the exceptions of :meth:`Cgroup.add_process`.
        """
        before = {one.hierarchy: one for one in self.cgroups[0].hierarchy.host.process_info(pid)}
        with Rollback() as rollback:
            for cgroup in self.cgroups:
                old = before.get(cgroup.hierarchy)
                if old is not None:
                    rollback.add(old.add_process, pid)
                cgroup.add_process(pid)

    # ---- comparison and text

    def __iter__(self) -> Iterator[Cgroup]:
        return iter(self.cgroups)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and self.cgroups == other.cgroups

    def __hash__(self) -> int:
        return hash(self.cgroups)

    def __str__(self) -> str:
        return " ".join(map(str, self.cgroups))

    def __repr__(self) -> str:
        return f"<Group {self}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _group, (self._names, self.controllers, self.cgroups, self._of)


def _named(parameter: Any) -> Any:
    return parameter_named(parameter) if isinstance(parameter, str) else parameter


def _group(names: list[str], controllers: tuple[str, ...], cgroups: tuple[Cgroup, ...], found: Any) -> Group:
    group = Group.__new__(Group)
    group._set(names, controllers, cgroups, found)  # noqa: SLF001 - called by pickle
    return group


# ---- temporary groups ------------------------------------------------------------------------


class Temporary(TemporaryCgroups):
    """A group that exists for the length of a ``with`` block: see :meth:`Group.temporary`."""

    def __init__(
        self,
        name: str,
        controllers: Sequence[str],
        limits: Mapping[Any, Any],
        defaults: Mapping[Any, Any],
        *,
        group: Group | None = None,
        place: str = "auto",
        slice_: str | None = None,
    ) -> None:
        self._name = name
        self._controllers = controllers
        self._limits = limits
        self._defaults = defaults
        self._group = group
        self._place, self._slice = place, slice_
        self._placement: Placement | None = None

    def __enter__(self) -> Group:
        self._begin()
        assert self._group is not None
        return self._group

    def _prepare(self) -> None:
        if self._group is None:
            from .control.placement import NONE, Placement, Wish, place  # noqa: PLC0415 - see spawn

            wish = Wish(
                LOCAL,
                required=self._controllers,
                needs_cgroup=True,
                place=self._place,
                description=f"Processes of {self._name}, of process {os.getpid()}",
                slice=self._slice,
            )
            self._placement = Placement(NONE)
            place(wish, None, self._placement)
            self._group = Group(self._name, self._controllers, parent=cast("list[Cgroup]", self._placement.parents))

    def _make(self, creation: Creation) -> None:
        group = self._group
        assert group is not None
        group._make(creation, permissions_of({}), exist_ok=False)
        apply(group.cgroup_of, self._limits)
        apply_known(group.cgroup_of, self._defaults)

    def _targets(self) -> Sequence[Cgroup]:
        return () if self._group is None else self._group.cgroups

    def _clean(self) -> None:
        try:
            super()._clean()
        finally:
            if self._placement is not None:
                self._placement.end()
        if self._placement is not None:
            # The next block finds a new place.
            self._placement = self._group = None
