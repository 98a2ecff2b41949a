"""Scope: a group in a delegated scope of systemd.

Source: systemd's Control Group APIs and Delegation (CGROUP_DELEGATION), and systemd.scope(5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, cast

from .control import create
from .control.dbus import ScopeRequest
from .control.hierarchies import controller_of, listed
from .control.keeper import BESIDE, SUFFIX, ScopeKeeper
from .control.plain_limits import PlainLimits, translated
from .control.update import apply, apply_known, settable
from .core import systemd
from .core.deadline import DEFAULT_TIMEOUT_S, Deadline
from .core.errors import CgroupGone, InvalidValue, SubsystemNotAvailable, shown
from .core.interface import Version
from .core.specs import to_enable
from .group import Group
from .hierarchy import LOCAL

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .control.plain_limits import Amount
    from .hierarchy import Cgroup

__all__ = ["Scope"]

_NAME: Final = re.compile(r"[A-Za-z0-9:_.\\-]+")

LONGEST: Final = 255 - len(BESIDE) - len(f"-{1 << 22}-{'0' * 16}")
"""Longest name, in characters, to which a process id and a random number can be appended."""

_PERMISSIONS: Final = create.permissions_of({})


# ---- request -----------------------------------------------------------------------------


def _checked(name: str) -> str:
    """Return the name without ``.scope``; raise InvalidValue if no unit can have it."""
    text = name.removesuffix(SUFFIX) if isinstance(name, str) else ""
    if not _NAME.fullmatch(text) or text in (".", "..") or len(text) > LONGEST:
        message = f"name must be the name of a scope, got {shown(name)}"
        hint = f"use 1 to {LONGEST} ASCII letters, digits and :-_.\\"
        raise InvalidValue(message, hint=hint)
    return text


def _asked(group: Group) -> list[str]:
    """Return the controllers of a group that systemd must delegate, by systemd's names."""
    found: list[str] = []
    for one in group.controllers:
        version = group.cgroup_of(one).version
        names = systemd.names_of(one, version)
        if not names and (version != Version.V2 or to_enable(Version.V2, [one])):
            message = f"cannot obtain a scope with {one}: systemd manages no cgroups of this controller"
            raise SubsystemNotAvailable(message, hint=f"it manages {', '.join(sorted(systemd.CONTROLLERS))}")
        found += names
    return found


# ---- the group ---------------------------------------------------------------------------


class Scope(Group):
    """A group in a scope that systemd has delegated to this process; see :meth:`Scope.obtain`.

    Example::

        with Scope.obtain("job", ["memory", "pids"], user=True) as group:
            group.set(Memory.limit_in_bytes, 2**30)
            with group.spawn(["make", "-j4"]) as process:
                process.wait()

    If another scope has this name, a process id and a random number follow the name.

    The group is a cgroup below the scope, ``job.scope/job``, since systemd owns the settings of the scope
    itself.  On v2 ``job.scope/job.supervisor`` is a sibling of the group.  A small process (``cat``) in this
    sibling keeps the scope alive, since systemd ends an empty scope.  The small process exits with this process, or
    with the last child forked from this process.

    The caller is never moved.  In a login session the kernel does not let the caller move or start
    a process in the group: root owns the nearest common ancestor.  In such a session
    systemd moves the process: ``spawn`` creates a child that waits for the move before it executes its program.

    The scope ends with ``remove`` or the ``with`` block, otherwise when this process and
    all processes in the scope have exited.  The scope also ends if it is stopped, for example by ``systemctl
    stop``, or by the last logout of a user without lingering: all processes inside get SIGTERM.

    On v1 and hybrid hosts root gets a cgroup on the hierarchy of each controller,
    and on those with which systemd tracks processes.  A copied or unpickled scope is a plain
    :class:`Group`, which ends no scope.

    Attributes:
        unit: the name of the unit: ``job.scope``, or ``job-PID-RANDOM.scope`` if another unit has that name.
        places: the cgroups of the scope itself.
    """

    __slots__ = ("_keeper", "_name", "places", "unit")

    @classmethod
    def obtain(
        cls,
        name: str,
        controllers: Iterable[str],
        *,
        user: bool | None = None,
        memory: Amount | None = None,
        cpus: Amount | None = None,
        pids: Amount | None = None,
        swap: Amount | None = None,
        io_weight: Amount | None = None,
        limits: Mapping[Any, Any] | None = None,
        slice: str | None = None,  # noqa: A002 - systemd's word
        timeout: float | None = DEFAULT_TIMEOUT_S,
    ) -> Self:
        """Obtain a scope from systemd, and create a group in it.

        Where systemd manages the tree, a scope is the supported way to obtain a subtree.

        Args:
            name: the unit is ``NAME.scope``, the group in it NAME: ASCII letters, digits and ``:-_.\\``.  If a unit
                has this name already, a process id and a random number follow NAME.
            controllers: the controllers of the group, like those of a :class:`Group`; those of ``limits`` are added.
            user: whether to ask the user's own manager; by default root asks the system's.
            memory: memory limit; this and the next four are like those of :func:`cgroups.run`.
            cpus: limit of CPU time, in CPUs.
            pids: limit of processes and threads.
            swap: swap limit, in bytes, in addition to the memory.
            io_weight: share of IO among siblings, from 1 to 10000.
            limits: further limits, by parameter or its name, like those of :meth:`Group.update`.
            slice: the slice of the scope; by default ``app.slice``, for the system's manager ``system.slice``.
            timeout: seconds for the whole call.

        Raises:
            SystemdError: systemd or the user's manager does not run, D-Bus or jeepney (the extra ``systemd``)
                is missing, or systemd failed.
            AccessDenied: polkit refused the request, or the bus belongs to another user.
            InvalidValue: no unit can have the name.
            SubsystemNotAvailable: a controller is on no hierarchy, or systemd never delegates it.
            SubsystemNotAttached: this manager does not have a controller.
            CgroupTimeout: the call did not complete in time.

        After any of these errors, no scope is left.
        """
        name = _checked(name)
        plain = translated(PlainLimits(memory, cpus, pids, swap, io_weight), LOCAL)
        values = {**plain.limits, **settable(limits)}
        given = listed(controllers, or_none=bool(values))
        wanted = tuple(dict.fromkeys((*given, *map(controller_of, values))))
        asked = _asked(Group(name, wanted))
        deadline = Deadline(timeout)
        description = f"Processes of {name}{SUFFIX}, delegated to process {os.getpid()}"
        with ExitStack() as undo:
            keeper = ScopeKeeper(LOCAL, user=os.geteuid() != 0 if user is None else user)
            undo.callback(keeper.end_quietly, deadline)
            keeper.begin(ScopeRequest(f"{name}{SUFFIX}", description, asked, slice), deadline)
            scope = cls(keeper.unit.removesuffix(SUFFIX), cast("dict[str, Cgroup]", keeper.check(wanted)), keeper)
            scope.begin()
            apply(scope.cgroup_of, values)
            apply_known(scope.cgroup_of, plain.defaults)
            undo.pop_all()
        return scope

    def __init__(self, name: str, found: dict[str, Cgroup], keeper: ScopeKeeper) -> None:
        self._name = name
        self._keeper = keeper
        self.unit: str = f"{name}{SUFFIX}"
        tracked = [
            place
            for place in cast("list[Cgroup]", keeper.places)
            if place.version == Version.V2 or place.hierarchy.label
        ]
        members = {place: place.child(name) for place in (*tracked, *found.values())}
        self.places: tuple[Cgroup, ...] = tuple(members)
        self._set([name], tuple(found), members.values(), {one: members[place] for one, place in found.items()})

    def begin(self) -> None:
        """Create the group's cgroups and the sibling for the keeping process (internal)."""
        with create.Creation() as creation:
            self._keeper.make_room(creation, self._name)
            self._make(creation, _PERMISSIONS, exist_ok=False)

    def remove(
        self,
        *,
        recursive: bool = False,
        kill: bool = False,
        timeout: float | None = None,
        disable_controllers: bool = False,
    ) -> None:
        """Remove the group, like :meth:`Group.remove`, and end the scope.

        If the caller itself was moved into the scope, the scope stays until the caller has exited.

        Args:
            recursive: remove the descendants too.
            kill: kill all processes first.
            timeout: seconds to wait, first for the group and then for the scope.
            disable_controllers: disable the controllers that this package enabled in the parent cgroup.

        Raises:
            CgroupBusy: processes are in the group.  Nothing was removed, and the scope stays.
            CgroupGone: the scope was stopped before.
            CgroupTimeout: systemd has not ended the scope within the timeout, by default 10 s.
        """
        try:
            super().remove(recursive=recursive, kill=kill, timeout=timeout, disable_controllers=disable_controllers)
        except CgroupGone:
            self._keeper.end_quietly(Deadline(DEFAULT_TIMEOUT_S))
            raise
        self._keeper.end(Deadline(DEFAULT_TIMEOUT_S if timeout is None else timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The copy of the block in a forked child does not own the scope.
        if self._keeper.is_here:
            self.remove(recursive=True, kill=True)

    def __repr__(self) -> str:
        return f"<Scope {self.unit}: {self}>"
