"""A part of systemd's tree for oneself: a delegated scope, and a group in it.

Source: systemd's Control Group APIs and Delegation (CGROUP_DELEGATION), and systemd.scope(5).
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from . import creation, managed
from ._systemd import Manager
from .deadline import Deadline
from .errors import (
    CgroupError,
    CgroupExists,
    CgroupGone,
    InvalidValue,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    SystemdError,
    from_errno,
    shown,
)
from .group import UNIFIED, Group, listed, with_controller
from .host import LOCAL
from .passing import fresh_name
from .spec import ALIASES, to_enable

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .hierarchy import Cgroup

__all__ = ["Scope", "delegate"]

SUFFIX: Final = ".scope"
_NAME: Final = re.compile(r"[A-Za-z0-9:_.\\-]+")

BESIDE: Final = ".supervisor"
"""What follows the group's name in that of the cgroup beside it, for whoever is in the scope and not in the group."""

LONGEST: Final = 255 - len(BESIDE) - len(f"-{1 << 22}-{'0' * 16}")
"""Characters of a name that may have to get a process id and a random number."""

_KEEP: Final = "cd / && exec cat >/dev/null 2>&1"

PATIENCE: Final = 10.0
"""Seconds for systemd to see that a scope is empty, where no timeout says another number."""

_RIGHTS: Final = creation.rights_of({})


def delegate(name: str, controllers: Iterable[str], *, user: bool, timeout: float | None) -> Scope:
    """What :meth:`Cgroup.delegated` does."""
    name = _checked(name)
    wanted = listed(controllers)
    asked = _asked(Group(name, wanted))
    deadline = Deadline(timeout)
    with Manager(user=user, deadline=deadline) as manager, ExitStack() as undo:
        life = _Life()
        undo.callback(life.end_quietly)
        try:
            manager.start_scope(f"{name}{SUFFIX}", asked, life.pid)
        except CgroupExists:
            # Another of this program's, or of another program.
            name = fresh_name(name)
            manager.start_scope(f"{name}{SUFFIX}", asked, life.pid)
        unit = f"{name}{SUFFIX}"
        life.look(unit)
        scope = Scope(name, _spread(unit, wanted, life.places, user=user), life)
        scope.begin()
        if any(cgroup.version == UNIFIED and not _can_move(LOCAL.own(""), cgroup) for cgroup in scope):
            manager.attach(unit, f"/{name}{BESIDE}", os.getpid())
        undo.pop_all()
    return scope


# ---- what is asked for -------------------------------------------------------------------


def _checked(name: str) -> str:
    """The name without ``.scope``; InvalidValue for what cannot be a unit's."""
    text = name.removesuffix(SUFFIX) if isinstance(name, str) else ""
    if not _NAME.fullmatch(text) or text in (".", "..") or len(text) > LONGEST:
        message = f"{shown(name)} cannot be the name of a scope"
        hint = f"from 1 to {LONGEST} ASCII letters, digits and :-_.\\ are expected"
        raise InvalidValue(message, hint=hint)
    return text


def _asked(group: Group) -> list[str]:
    """The controllers of a group that systemd has to give, by its names for them."""
    found: list[str] = []
    for one in group.controllers:
        version = group.cgroup_of(one).version
        of_v1 = [one if one in managed.CONTROLLERS_OF_V1 else ALIASES.get(one, one)]
        for name in to_enable(UNIFIED, [one]) if version == UNIFIED else of_v1:
            if name not in (managed.CONTROLLERS if version == UNIFIED else managed.CONTROLLERS_OF_V1):
                message = f"cannot obtain a scope with {one}: systemd manages no cgroups of this controller"
                raise SubsystemNotAvailable(message, hint=f"it gives {', '.join(sorted(managed.CONTROLLERS))}")
            found.append(name)
    return found


def _spread(unit: str, wanted: Sequence[str], places: Sequence[Cgroup], *, user: bool) -> dict[str, Cgroup]:
    """In which of the scope's cgroups each controller is."""
    found: dict[str, Cgroup] = {}
    for one in wanted:
        place = with_controller(places, one)
        if place is None or not set(to_enable(place.version, [one])) <= {*place.subsystems}:
            message = f"{unit} was started without the controller {one}"
            raise SubsystemNotAttached(message, path=places[0].path, hint=_why_not(one, user=user))
        found[one] = place
    return found


def _why_not(controller: str, *, user: bool) -> str:
    hierarchy = LOCAL.hierarchy_of(controller)
    if hierarchy is not None and hierarchy.version == 1:
        return "on v1 systemd delegates controllers to root alone" if user else "systemd was built or set without it"
    if user:
        return f"the user's manager does not have it: root gives it, with Delegate={controller} for user@.service"
    return "DisableControllers= of a slice above takes it away"


def _can_move(own: Cgroup, target: Cgroup) -> bool:
    """Whether the kernel lets the caller move processes from its own cgroup to another of v2, and start them there.

    It asks for write access at the nearest cgroup that both are below.
    """
    above = {cgroup.location for cgroup in own.upwards()}
    common = next((cgroup for cgroup in target.upwards() if cgroup.location in above), None)
    if own.path is None or common is None:
        return False
    path = common.path
    try:
        os.close(os.open(f"{path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


# ---- what keeps it -----------------------------------------------------------------------


class _Life:
    """The process that keeps a scope, which lasts while one is inside; it ends with this process.

    Attributes:
        unit: the name of the scope's unit, once it has one.
        owner: the process that obtained it.
        pid: the process that keeps it.
        places: the scope's own cgroups: those that systemd tracks it with, and of v1 its controllers'.
    """

    def __init__(self) -> None:
        self.unit = ""
        self.owner = os.getpid()
        self.places: list[Cgroup] = []
        reading, self._pipe = os.pipe()
        try:
            # It reads until there is nobody left to write.  In a group of its own no Ctrl-C reaches it.
            self.pid = os.posix_spawn(
                "/bin/sh",
                ["sh", "-c", _KEEP],
                {"PATH": os.defpath},
                file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)],
                setpgroup=0,
                setsigmask=(),
                setsigdef=(signal.SIGTERM, signal.SIGHUP),
            )
        except OSError as error:
            os.close(self._pipe)
            message = "cannot start the process that keeps a scope"
            raise from_errno(error.errno or 0, message, path="/bin/sh") from None
        finally:
            os.close(reading)

    def look(self, unit: str) -> None:
        """Finds the scope's cgroups: those that its process is in now."""
        self.unit = unit
        # systemd puts an underscore before what the kernel could take for a control file.
        names = {self.unit, f"_{self.unit}"}
        self.places = [cgroup for cgroup in LOCAL.process_info(self.pid) if cgroup.name in names]
        if not any(place.version == UNIFIED or place.hierarchy.label for place in self.places):
            message = f"{self.unit} was started, and its process {self.pid} is not in it"
            raise SystemdError(message, hint="it is another machine's, or container's, systemd")
        managed.obtained.update(place.location for place in self.places)

    def end(self, deadline: Deadline) -> None:
        """Ends the process, and waits until systemd has ended the scope; not if this process has come to be in it."""
        pipe, self._pipe = self._pipe, -1
        if pipe < 0:
            return
        os.close(pipe)
        # A forked child has closed its end, and the rest is not its own to do.
        if self.owner == os.getpid():
            with suppress(ChildProcessError):  # somebody has waited for all children there are
                if os.waitpid(self.pid, os.WNOHANG)[0] == 0:
                    os.kill(self.pid, signal.SIGKILL)
                    os.waitpid(self.pid, 0)
            self._wait(deadline)

    def _wait(self, deadline: Deadline) -> None:
        own = {cgroup.hierarchy: f"{cgroup.location}/" for cgroup in LOCAL.cgroups_of()}
        if any(own.get(place.hierarchy, "").startswith(f"{place.location}/") for place in self.places):
            return
        while any(place.exists for place in self.places):
            hint = "systemd is slow, or there are other processes in it"
            deadline.check(f"{self.unit} did not end", self.places, hint)
            deadline.pause()
        managed.obtained.difference_update(place.location for place in self.places)

    def end_quietly(self) -> None:
        """After an error, which is the one to report."""
        with suppress(CgroupError):
            self.end(Deadline(PATIENCE))


# ---- the group ---------------------------------------------------------------------------


class Scope(Group):
    """A group in a scope that systemd has delegated to this process; :meth:`Cgroup.delegated` obtains it.

    Example::

        with Cgroup.delegated("job", ["memory", "pids"], user=True) as group:
            group.set(Memory.limit_in_bytes, 2**30)
            with group.spawn(["make", "-j4"]) as process:
                process.wait()

    Where another program, or another part of this one, has a scope of this name, a
    process id and a random number follow the name.

    The group is a cgroup of its own, ``job.scope/job``, since the scope itself
    stays systemd's to set.  Beside it, on v2, is ``job.scope/job.supervisor``.  In
    there a small process (``cat``) keeps the scope, which systemd would end
    once it is empty; it ends with this process, or with the last child forked from it.

    On v2 the caller itself is moved in there, with all its threads, in one
    case: where the kernel would refuse to move, or start, a process of the caller's
    in the group, since the nearest cgroup above both may not be written to.
    So it is for a program in a user's login session that asks the user's manager; for root,
    and for what runs as a service of that manager, it is not.  A caller that was moved
    stays there after ``remove``, and keeps the scope.

    The scope ends with ``remove`` or the ``with`` block; else when this process and
    all others in it have ended.  It also ends when it is stopped, as by ``systemctl
    stop`` and, of a user that does not linger, by the last logout: all inside get SIGTERM,
    a caller that was moved in too.

    On v1 and hybrid hosts root gets a group of a cgroup on each controller's hierarchy
    and on those that systemd tracks processes with.  A copy, or a pickled one, is a plain
    :class:`Group`, which ends no scope.

    Attributes:
        unit: the name of the unit: ``job.scope``, or ``job-PID-RANDOM.scope`` where that was taken.
        places: the scope's own cgroups.
    """

    __slots__ = ("_life", "_name", "places", "unit")

    def __init__(self, name: str, found: dict[str, Cgroup], life: _Life) -> None:
        self._name = name
        self._life = life
        self.unit: str = f"{name}{SUFFIX}"
        tracked = [place for place in life.places if place.version == UNIFIED or place.hierarchy.label]
        members = {place: place.child(name) for place in (*tracked, *found.values())}
        self.places: tuple[Cgroup, ...] = tuple(members)
        self._set([name], tuple(found), members.values(), {one: members[place] for one, place in found.items()})

    def begin(self) -> None:
        """Makes the group's cgroups, and the one beside it; for this package."""
        with creation.Making() as making:
            for place in self.places:
                if place.version == UNIFIED:
                    # No internal processes: the scope has to be empty before it can give controllers.
                    beside = making.create(place, [f"{self._name}{BESIDE}"], (), _RIGHTS, exist_ok=True)
                    beside.add_process(self._life.pid)
            self._make(making, _RIGHTS, exist_ok=False)

    def remove(self, *, recursive: bool = False, kill: bool = False, timeout: float | None = None) -> None:
        """Removes the group, as :meth:`Group.remove`, and ends the scope.

        With a caller that was moved in the scope stays, until the caller has ended.

        Raises:
            CgroupBusy: processes are in the group; nothing was removed, and the scope stays.
            CgroupGone: the scope was stopped before.
            CgroupTimeout: systemd has not ended the scope within the time, by default 10 s.
        """
        try:
            super().remove(recursive=recursive, kill=kill, timeout=timeout)
        except CgroupGone:
            self._life.end_quietly()
            raise
        self._life.end(Deadline(PATIENCE if timeout is None else timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A forked child's copy of the block is not the block.
        if self._life.owner == os.getpid():
            self.remove(recursive=True, kill=True)

    def __repr__(self) -> str:
        return f"<Scope {self.unit}: {self}>"
