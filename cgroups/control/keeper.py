"""ScopeKeeper: a delegated scope of systemd, and the process that keeps it alive.

Source: systemd's Control Group APIs and Delegation (CGROUP_DELEGATION), and systemd.scope(5).
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from ..core import systemd
from ..core.deadline import MAX_POLL_S, Deadline
from ..core.errors import CgroupError, CgroupExists, CgroupTimeout, SubsystemNotAttached, SystemdError, SystemdWarning
from ..core.interface import Version
from ..core.signals import SIGNALS
from ..core.specs import to_enable
from . import create
from .dbus import Manager, ScopeRequest
from .empty import is_live
from .hierarchies import with_controller
from .keeping import KeepingProcess
from .temporary import fresh_name

if TYPE_CHECKING:
    from ..core.node import Node
    from ..core.trees import AnyTrees

__all__ = ["BESIDE", "JOB", "SUFFIX", "ScopeKeeper", "names_of", "why_not"]

R = TypeVar("R")

SUFFIX: Final = ".scope"

BESIDE: Final = ".supervisor"
"""Suffix of the sibling cgroup that holds the keeping process."""

JOB: Final = "job"
"""The name of a command's cgroup in its own scope."""

MOST_LOOKED_AT: Final = 64
"""Limit on the sibling scopes examined: a user may have any number."""

_PERMISSIONS: Final = create.permissions_of({})


class ScopeKeeper:
    """A delegated scope, and the process that keeps the scope alive and exits with this process.

    The keeping process is the only one that systemd puts in the scope.  The caller is never moved.

    Attributes:
        unit: the name of the scope's unit.
        user: whether the scope belongs to the user's own manager.
        places: the cgroups by which systemd tracks the scope, and on v1 the cgroups of its controllers.
        process: the keeping process.
    """

    def __init__(self, host: AnyTrees, *, user: bool, is_deaf: bool = False) -> None:
        self._host = host
        self.unit = ""
        self.user = user
        self.places: list[Node] = []
        self.needs_attach = False
        self.process = KeepingProcess(is_deaf=is_deaf)
        self._manager: Manager | None = None
        self._lock = threading.Lock()

    @property
    def is_here(self) -> bool:
        """Whether this process obtained the scope: the copy in a forked child does not own the scope."""
        return self.process.is_here

    # ---- start

    def begin(self, request: ScopeRequest, deadline: Deadline) -> None:
        """Obtain the scope from systemd, under a fresh name if a unit already has the requested name.

        Raises:
            SystemdError: systemd, D-Bus or jeepney is missing, or systemd failed.
            AccessDenied: systemd refused the request.
            CgroupTimeout: the scope did not start in time.
        """
        with SIGNALS.held():  # a raising handler would lose track of the process
            self.process.start()
        taken: str | None = None
        try:
            self._ask(deadline, lambda manager: manager.start_scope(request, self.process.pid))
        except CgroupExists:
            taken = request.unit
            name = fresh_name(request.unit.removesuffix(SUFFIX))
            request = request._replace(unit=f"{name}{SUFFIX}")
            self._ask(deadline, lambda manager: manager.start_scope(request, self.process.pid))
        self.look(request.unit)
        if taken is not None and self.abandoned(taken):
            message = f"{taken} is left over from a program that was killed"
            systemd.warn(SystemdWarning(message, f"stop it with: {self.stop_command(taken)}"))

    def look(self, unit: str) -> None:
        """Find the cgroups of the scope: those that contain its process now."""
        self.unit = unit
        # systemd prefixes an underscore to names that look like control files.
        names = {self.unit, f"_{self.unit}"}
        self.places = [cgroup for cgroup in self._host.process_info(self.process.pid) if cgroup.name in names]
        if not any(place.version == Version.V2 or place.hierarchy.label for place in self.places):
            message = f"{self.unit} was started, but its process {self.process.pid} is not in it"
            raise SystemdError(message, hint="this systemd belongs to another machine or container")
        systemd.obtained.update(dict.fromkeys((place.location for place in self.places), self))

    def make_room(self, creation: create.Creation, name: str) -> None:
        """Move the keeping process into a sibling of this name: a scope with processes cannot enable controllers."""
        for place in self.places:
            if place.version == Version.V2:
                beside = creation.create(place, [f"{name}{BESIDE}"], (), _PERMISSIONS, exist_ok=True)
                beside.add_process(self.process.pid)

    def check(self, controllers: Iterable[str]) -> dict[str, Node]:
        """Return, by controller, the cgroup of the scope that has it.

        Raises:
            SubsystemNotAttached: systemd started the scope without one of the controllers.
        """
        found: dict[str, Node] = {}
        for one in controllers:
            place = with_controller(self.places, one)
            if place is None or not set(to_enable(place.version, [one])) <= {*place.subsystems}:
                message = f"{self.unit} was started without the controller {one}"
                hint = why_not(self._host, one, user=self.user)
                raise SubsystemNotAttached(message, path=self.places[0].path, hint=hint)
            found[one] = place
        return found

    def abandoned(self, name: str | None = None) -> list[Node]:
        """Return sibling scopes left over from killed programs: their keeping process has exited, others have not.

        At most MOST_LOOKED_AT scopes are examined.

        Args:
            name: the name of the scopes to find; None for the names of all scopes of commands.
        """
        found: list[Node] = []
        with suppress(CgroupError, StopIteration):
            place = next(one for one in self.places if one.version == Version.V2)
            beside = place.parent.children() if place.parent is not None else []
            named = [one for one in beside if (one.name == name if name else NAME.fullmatch(one.name)) and one != place]
            found = list(filter(_is_abandoned, named[:MOST_LOOKED_AT]))
        return found

    def stop_command(self, unit: str) -> str:
        """Return the command that stops a scope and all processes in it."""
        return f"systemctl {'--user ' if self.user else ''}stop {shlex.quote(unit)}"

    # ---- requests to systemd

    def _ask(self, deadline: Deadline, call: Callable[[Manager], R]) -> R:
        """Ask systemd on the kept connection; if systemd has closed it since, ask again on a new one.

        Raises:
            CgroupTimeout: another thread used the connection for longer than the deadline.
        """
        if not self.is_here:
            # A thread of the parent may have held the lock or used the connection during the fork.
            with Manager(user=self.user, deadline=deadline) as manager:
                return call(manager)
        if not self._lock.acquire(timeout=deadline.left(MAX_POLL_S)):
            message = f"cannot ask systemd about {self.unit}: another thread uses the connection"
            raise CgroupTimeout(message, errno=errno.ETIMEDOUT)
        try:
            kept, self._manager = self._manager, None
            if kept is not None:
                kept.deadline = deadline
                try:
                    return self._kept(kept, call)
                except SystemdError as error:
                    if error.errno not in LOST:
                        raise
            return self._kept(Manager(user=self.user, deadline=deadline), call)
        finally:
            self._lock.release()

    def _kept(self, manager: Manager, call: Callable[[Manager], R]) -> R:
        try:
            return call(manager)
        finally:
            # An unread rest of an answer would be mistaken for the next answer.
            if manager.is_lost:
                manager.close()
            else:
                self._manager = manager

    def attach(self, cgroup: Node, pid: int, deadline: Deadline) -> None:
        """Have systemd move a process into a cgroup of the scope, if the kernel does not let the caller do so.

        The kernel requires write access to the nearest common ancestor, which root owns in a login session.
        """
        location = next(one.location for one in self.places if systemd.is_below(cgroup, one.location))
        below = cgroup.location.removeprefix(location) or "/"
        self._ask(deadline, lambda manager: manager.attach(self.unit, below, pid))

    def survives_oom(self, deadline: Deadline) -> bool:
        """Return whether systemd keeps the scope when the kernel kills a process in it for lack of memory."""
        return self._ask(deadline, lambda manager: manager.survives_oom(self.unit))

    # ---- end

    def end(self, deadline: Deadline | None) -> None:
        """End the process, and wait until systemd has ended the scope; without a deadline do not wait.

        The method is idempotent, and can be called again after an exception.

        Raises:
            CgroupTimeout: the scope has not ended in time.
        """
        self.process.end()
        if not self.is_here:
            return
        manager, self._manager = self._manager, None
        if manager is not None:
            manager.close()
        try:
            if deadline is not None and self.places:
                self._wait(deadline)
        finally:
            for place in self.places:
                systemd.obtained.pop(place.location, None)

    def _wait(self, deadline: Deadline) -> None:
        own = {cgroup.hierarchy: f"{cgroup.location}/" for cgroup in self._host.cgroups_of()}
        if any(own.get(place.hierarchy, "").startswith(f"{place.location}/") for place in self.places):
            return  # this process was moved into the scope, and keeps the scope alive
        while any(place.exists for place in self.places):
            hint = "systemd is slow, or other processes are in the scope"
            deadline.check(f"{self.unit} did not end", self.places, hint)
            deadline.pause()

    def end_quietly(self, deadline: Deadline) -> None:
        """End the scope after an error; ignore further errors, since the caller reports the first one."""
        with suppress(CgroupError, OSError):
            self.end(deadline)


LOST: Final = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN})
"""The errors of a connection that the peer has closed."""

NAME: Final = re.compile(r"cgroups-run-[0-9]+-[0-9a-f]{16}\.scope")
"""Pattern for the names of commands' scopes."""

YOUNG_S: Final = 1.0
"""Seconds after its start in which a scope may not have all of its cgroups yet."""


def _is_abandoned(scope: Node) -> bool:
    try:
        keepers = [scope.child(f"{name}{BESIDE}") for name in (scope.name.removesuffix(SUFFIX), JOB)]
        found = [one for one in keepers if one.exists]
        if not found or scope.processes() or time.time() - os.stat(scope.path or "").st_ctime < YOUNG_S:
            return False
        return not any(map(is_live, found)) and is_live(scope)
    except (CgroupError, OSError):
        return False


def why_not(host: AnyTrees, controller: str, *, user: bool) -> str:
    """Return why systemd starts scopes without a controller, and the setting that adds the controller."""
    hierarchy = host.hierarchy_of(controller)
    if hierarchy is not None and hierarchy.version == Version.V1:
        return "on v1 systemd delegates controllers to root only" if user else "systemd lacks the controller"
    if user:
        names = " ".join(sorted(systemd.CONTROLLERS))
        what = systemd.names_of(controller, Version.V2) or [controller]
        return (
            f"this user's systemd has no {what[0]}; as root: systemctl edit user@.service, [Service] Delegate={names}"
        )
    return "DisableControllers= of a parent slice disables the controller"


def names_of(host: AnyTrees, controllers: Sequence[str]) -> list[str]:
    """Return systemd's names of the controllers that it can delegate."""
    found: list[str] = []
    roots = [hierarchy.root() for hierarchy in host.scan()]
    for one in controllers:
        root = with_controller(roots, one)
        if root is not None:
            found += systemd.names_of(one, root.version)
    return list(dict.fromkeys(found))
