"""Group: the same cgroup on every hierarchy that its controllers are on, used as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, Union

from . import creation
from .control import empty, freeze, kill, move, remove
from .core.advice import advise
from .errors import CgroupError, CgroupNotFound, InvalidValue, SubsystemNotAttached, SubsystemNotAvailable, shown
from .hierarchy import Cgroup
from .host import LOCAL, Host
from .passing import Passing, fresh_name
from .spec import split_path, to_enable
from .subsystem import Core, Cpuset, Parameters
from .transaction import apply, settable, update

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .events.events import Events, Wanted
    from .spawning import Popen
    from .subsystem.parameter import Readable, Resettable, Writable

__all__ = [
    "Group",
    "Parent",
    "Temporary",
    "controller_of",
    "fill_cpuset",
    "listed",
    "parents_of",
    "place_of",
    "with_controller",
]

R = TypeVar("R")
W = TypeVar("W")

Parent = Union[str, Cgroup, "Group", "Iterable[str | Cgroup]"]
"""Below what: a spec, a cgroup or a group, or one of each of several hierarchies."""

UNIFIED: Final = 2


# ---- which cgroup a controller is in -------------------------------------------------------


def controller_of(parameter: Parameters.Parameter) -> str:
    """Whose cgroup has it; the ``cgroup.*`` files are the unified hierarchy's."""
    return "" if parameter.controller == Core.CONTROLLER else parameter.controller


def with_controller(cgroups: Iterable[Cgroup], controller: str) -> Cgroup | None:
    """That of some cgroups which has a controller; '' is the unified hierarchy."""
    # A v1 mount takes a controller from v2.
    for cgroup in sorted(cgroups, key=lambda cgroup: cgroup.version):
        if cgroup.hierarchy.has(controller) if controller else cgroup.version == UNIFIED:
            return cgroup
    return None


def parents_of(parent: Parent | None) -> list[Cgroup] | None:
    """The cgroups that a ``parent`` names, one of each hierarchy; None where none is given."""
    if parent is None:
        return None
    if isinstance(parent, Group):
        return list(parent.cgroups)
    if not isinstance(parent, (str, Cgroup, Iterable)):
        message = f"parent {shown(parent)} is neither a spec, a Cgroup, a Group, nor several of them"
        raise InvalidValue(message)
    given = [parent] if isinstance(parent, (str, Cgroup)) else list(parent)
    cgroups = [LOCAL.find_exn(one) if isinstance(one, str) else one for one in given]
    for cgroup in cgroups:
        if not isinstance(cgroup, Cgroup):
            message = f"parent {shown(cgroup)} is neither a spec nor a Cgroup"
            raise InvalidValue(message)
    if not cgroups or len({cgroup.hierarchy for cgroup in cgroups}) < len(cgroups):
        message = f"parent {shown(parent)}: one cgroup of each hierarchy that is to be used is expected"
        raise InvalidValue(message)
    if len({cgroup.hierarchy.host for cgroup in cgroups}) > 1:
        message = f"parent {shown(parent)}: cgroups of one host are expected"
        raise InvalidValue(message)
    return cgroups


def place_of(controller: str, parents: list[Cgroup] | None, host: Host = LOCAL) -> Cgroup:
    """The cgroup that the group's is made below."""
    if not isinstance(controller, str):
        message = f"controller {shown(controller)} is not a name"
        raise InvalidValue(message)
    if parents is not None:
        found = with_controller(parents, controller)
        if found is None:
            message = f"no parent has {controller or 'the unified hierarchy'}"
            raise SubsystemNotAvailable(message, hint=f"there are {', '.join(map(str, parents))}; give one of it too")
        return found
    hierarchy = host.hierarchy_of(controller)
    if hierarchy is None:
        message = f"no mounted hierarchy has {f'the controller {controller}' if controller else 'version 2'}"
        raise SubsystemNotAvailable(message, hint=advise("mounted"))
    return hierarchy.root()


# ---- the group -----------------------------------------------------------------------------


class Group:
    """One name on each hierarchy that the controllers are on: on v1 one cgroup for each, on v2 one for all.

    So a program is written once::

        with Group.temporary("job", ["memory", "pids"], limits={Memory.limit_in_bytes: 2**30}) as group:
            with group.spawn(["make", "-j4"]) as process:
                process.wait()
            print(group.get(Memory.max_usage_in_bytes))

    It stands for the name, as a :class:`Cgroup` does: making it makes nothing.
    Safe to use from any thread.

    Args:
        name: its path, as ``jobs/one``, from the roots, or from the ``parent``.
        controllers: what it is to have; '' is the unified hierarchy, with what v2 has by itself.
        parent: a spec, a Cgroup or a Group, or one cgroup for each hierarchy.

    Attributes:
        controllers: those that it was made with.
        cgroups: its cgroups, one on each hierarchy.

    Raises:
        SubsystemNotAvailable: a controller is on no hierarchy, or the parents are not on its.
        InvalidValue: a name that cannot be, or no controller.
    """

    __slots__ = ("_names", "_of", "cgroups", "controllers")

    def __init__(self, name: str, controllers: Iterable[str], *, parent: Parent | None = None) -> None:
        names = split_path(name)
        if not names:
            message = f"group {shown(name)} names no cgroup"
            raise InvalidValue(message)
        wanted = listed(controllers)
        parents = parents_of(parent)
        below = "/".join(names)
        found = {one: place_of(one, parents).child(below) for one in wanted}
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
        """The group of these cgroups, which need not have one name: one of each hierarchy."""
        group = cls.__new__(cls)
        members = parents_of(list(cgroups)) or []
        group._set([], (), members, {})  # noqa: SLF001 - its own
        return group

    @classmethod
    def temporary(
        cls,
        prefix: str,
        controllers: Iterable[str],
        *,
        limits: Mapping[Any, Any] | None = None,
        parent: Parent | None = None,
    ) -> Temporary:
        """A fresh group for a ``with`` block, after which its processes are ended and its cgroups gone.

        So also after an exception, and after SIGTERM and SIGHUP: in the main
        thread, where these would end the program at once, they raise SystemExit
        in the block instead, with 128 and the signal's number.  What comes while it
        is cleaned up, Ctrl-C too, waits for that.

        Args:
            prefix: what its name begins with; its process id and a random number follow.
            controllers: as of a Group; those of ``limits`` are added.
            limits: what parameters are set to, as by :meth:`update`.
            parent: as of a Group.
        """
        values = settable(limits)
        wanted = dict.fromkeys((*listed(controllers, or_none=bool(values)), *map(controller_of, values)))
        name = fresh_name(prefix)
        return Temporary(cls(name, wanted, parent=parent), values)

    # ---- its cgroups

    def cgroup_of(self, what: str | Parameters.Parameter) -> Cgroup:
        """Its cgroup that has a controller, or the controller of a parameter; '' is the unified hierarchy's.

        SubsystemNotAttached when none has.
        """
        controller = what if isinstance(what, str) else controller_of(what)
        found = self._of.get(controller)
        if found is None:
            found = with_controller(self.cgroups, controller)
            if found is None:
                message = f"{self} has no cgroup with {controller or 'the unified hierarchy'}"
                raise SubsystemNotAttached(message, hint=f"make it with {controller!r} among its controllers")
            self._of[controller] = found
        return found

    @property
    def exists(self) -> bool:
        """Whether all of its cgroups are there."""
        return all(cgroup.exists for cgroup in self.cgroups)

    def create(self, **rights: Unpack[creation.RightsArguments]) -> Self:
        """Makes what is missing of it, with its controllers enabled on v2; all or nothing.

        A cpuset of v1 gets the CPUs and nodes of the one above it, without
        which it takes no process.  Keywords as for :meth:`Host.find_or_create`.
        """
        with creation.Making() as making:
            self._make(making, creation.rights_of(rights), exist_ok=True)
        return self

    def _make(self, making: creation.Making, rights: creation.Rights, *, exist_ok: bool) -> None:
        for cgroup in self.cgroups:
            top, names = self._above(cgroup)
            wanted = [one for one in self.controllers if self._of[one] == cgroup]
            making.create(top, names, to_enable(cgroup.version, wanted), rights, exist_ok=exist_ok)
        for cgroup in making.made:
            fill_cpuset(cgroup)

    def _above(self, cgroup: Cgroup) -> tuple[Cgroup, list[str]]:
        above: Cgroup | None = cgroup
        for _ in self._names:
            above = above.parent if above is not None else None
        if not self._names:
            message = f"cannot make {self}: it is a group of cgroups that there were, by Group.of"
            raise InvalidValue(message, hint="Hierarchy.find_or_create makes one, Group(name, controllers) a group")
        if above is None:
            message = f"cannot make {self}: {cgroup} is not below a cgroup that can be seen"
            raise CgroupNotFound(message)
        return above, self._names

    # ---- parameters

    def get(self, parameter: Readable[R]) -> R:
        """As :func:`Parameters.get`, of the cgroup that has it."""
        return Parameters.get(parameter, self.cgroup_of(parameter))

    def set(self, parameter: Writable[W], value: W) -> None:
        """As :func:`Parameters.set`."""
        Parameters.set(parameter, self.cgroup_of(parameter), value)

    def reset(self, parameter: Resettable) -> None:
        """As :func:`Parameters.reset`."""
        Parameters.reset(parameter, self.cgroup_of(parameter))

    def update(self, values: Mapping[Any, Any]) -> None:
        """Sets several parameters as one, or none of them: see :meth:`Cgroup.update`."""
        update(self.cgroup_of, values)

    # ---- processes

    def spawn(self, args: Any, **keywords: Any) -> Popen[Any]:
        """Starts a program in it: ``Popen(args, cgroup=group, …)``."""
        from .spawning import Popen  # noqa: PLC0415 - it imports subprocess

        process: Popen[Any] = Popen(args, cgroup=self, **keywords)
        return process

    def processes(self) -> list[int]:
        """The ids of the processes that are in any of its cgroups, not below, sorted."""
        return sorted({pid for cgroup in self.cgroups for pid in cgroup.processes()})

    def add_process(self, pid: int) -> None:
        """Moves a process into each of its cgroups, or, when one refuses, into none: :meth:`Cgroup.add_process`."""
        before = {one.hierarchy: one for one in self.cgroups[0].hierarchy.host.process_info(pid)}
        done: list[Cgroup] = []
        try:
            for cgroup in self.cgroups:
                done.append(cgroup)  # first: an interrupted one may have been taken
                cgroup.add_process(pid)
        except BaseException:
            for cgroup in reversed(done):
                with suppress(CgroupError, KeyError):
                    before[cgroup.hierarchy].add_process(pid)
            raise

    def move_all(self, to: Group, timeout: float | None = 10.0) -> int:
        """Moves its processes, not those below, into the cgroups of another group on the same hierarchies."""
        others = {its.hierarchy: its for its in to.cgroups}
        for one in self.cgroups:
            if one.hierarchy not in others:
                message = f"cannot move the processes of {one} to {to}: it has no cgroup on this hierarchy"
                raise InvalidValue(message, path=one.path)
        return move.move_all([(one, others[one.hierarchy]) for one in self.cgroups], timeout)

    def freeze(self, timeout: float | None = 10.0) -> None:
        """Stops its processes, through the cgroup that has the freezer: :meth:`Cgroup.freeze`.

        SubsystemNotAttached where none has: on v1, name ``freezer`` among the controllers.
        """
        freeze.freeze(self.cgroups, timeout)

    def thaw(self, timeout: float | None = 10.0) -> None:
        """Lets them go on: :meth:`Cgroup.thaw`."""
        freeze.thaw(self.cgroups, timeout)

    def signal(self, signum: int, *, recursive: bool = True, timeout: float | None = 10.0) -> int:
        """Sends a signal to each process of it once: :meth:`Cgroup.signal`."""
        return kill.signal(self.cgroups, signum, recursive=recursive, timeout=timeout)

    def kill(self, timeout: float | None = 10.0) -> int:
        """Ends all processes in it and below, in whichever of its cgroups they are: :meth:`Cgroup.kill`."""
        return kill.kill(self.cgroups, timeout)

    def wait_empty(self, timeout: float | None = None) -> None:
        """Waits until none of its cgroups has a process: :meth:`Cgroup.wait_empty`."""
        empty.wait_empty(self.cgroups, timeout)

    def remove(self, *, recursive: bool = False, kill: bool = False, timeout: float | None = None) -> None:
        """Removes all of its cgroups: :meth:`Cgroup.remove`.  CgroupGone when none of them is there."""
        remove.remove(self.cgroups, recursive=recursive, kill_first=kill, timeout=timeout)

    # ---- events

    def events(self, *sources: Wanted, timeout: float | None = None) -> Events:
        """What happens in its cgroups, as it happens: ``for event in group.events()``; see :class:`Events`."""
        from .events.events import Events  # noqa: PLC0415 - as spawn

        return Events(self, *sources, timeout=timeout)

    # ---- what it is

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


def _group(names: list[str], controllers: tuple[str, ...], cgroups: tuple[Cgroup, ...], found: Any) -> Group:
    group = Group.__new__(Group)
    group._set(names, controllers, cgroups, found)  # noqa: SLF001 - what pickle calls
    return group


def listed(controllers: Iterable[str], *, or_none: bool = False) -> tuple[str, ...]:
    """The names of controllers, each once."""
    if isinstance(controllers, str) or not isinstance(controllers, Iterable):
        message = f"controllers {shown(controllers)}: names are expected, as ['memory', 'cpu']"
        raise InvalidValue(message)
    found = tuple(dict.fromkeys(controllers))
    if not found and not or_none:
        message = "controllers: at least one is expected; '' is the unified hierarchy"
        raise InvalidValue(message)
    return found


def fill_cpuset(cgroup: Cgroup) -> None:
    """Gives a cpuset of v1 what the one above it has: without, nothing may be moved into it."""
    above = cgroup.parent
    if cgroup.version == 1 and cgroup.hierarchy.has("cpuset") and above is not None:
        for parameter in (Cpuset.cpus, Cpuset.mems):
            if not Parameters.get(parameter, cgroup):
                found = Parameters.get(parameter, above)
                if not found:
                    message = f"cannot make {cgroup}: {above}, which is above it, has no {parameter} to give it"
                    raise InvalidValue(message, path=above.path, hint=advise("set cpuset", cgroup=above))
                Parameters.set(parameter, cgroup, found)


# ---- for a while -----------------------------------------------------------------------------


class Temporary(Passing):
    """What :meth:`Group.temporary` gives: the group, made at the beginning of a ``with`` block, and gone after it."""

    def __init__(self, group: Group, limits: Mapping[Any, Any]) -> None:
        self._group = group
        self._limits = limits

    def __enter__(self) -> Group:
        self._begin()
        return self._group

    def _make(self, making: creation.Making) -> None:
        self._group._make(making, creation.rights_of({}), exist_ok=False)
        apply(self._group.cgroup_of, self._limits)

    def _targets(self) -> Sequence[Cgroup]:
        return self._group.cgroups
