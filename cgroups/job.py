"""Job: fresh cgroups, one on each hierarchy, for all the processes of one command; made, ended and removed as one."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Union

from . import creation, diagnosis
from .errors import (
    AccessDenied,
    CgroupBusy,
    CgroupError,
    CgroupGone,
    CgroupTimeout,
    InvalidValue,
    ParameterNotSupported,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    shown,
)
from .hierarchy import Cgroup, Hierarchy
from .host import LOCAL
from .spec import ALIASES, IMPLICIT
from .subsystem import Core, Cpuset, Freezer, Parameters, parameter_named

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Job", "Parent", "cgroup_for", "check_limits", "parents_of"]

MEASURED: Final = ("cpuacct", "memory", "blkio", "")
"""The controllers whose counters a report has; '' is the unified hierarchy, for pressure."""

HELPFUL: Final = "freezer"
"""On v1 what is frozen forks no more, and so can be ended whatever it does."""

Parent = Union[str, Cgroup, "Iterable[str | Cgroup]"]
"""Below what: a spec or a cgroup, or one of each of several hierarchies."""

NO_UNIFIED: Final = "pressure is that of a cgroup of the unified hierarchy, and none is here"

PATIENCE = 10.0
"""Seconds for the kernel to end a killed process, and to let its cgroup be removed."""

PAUSE = 0.001

_RIGHTS = creation.Rights(0o755, None, None, None)
_numbers = itertools.count(1)


# ---- what is asked for -------------------------------------------------------------------


def check_limits(limits: Mapping[Any, Any] | None) -> dict[Parameters.Writable[Any], Any]:
    """The limits by parameter; InvalidValue for what is no parameter that can be set."""
    found: dict[Parameters.Writable[Any], Any] = {}
    for key, value in (limits or {}).items():
        parameter = parameter_named(key) if isinstance(key, str) else key
        if not isinstance(parameter, Parameters.Writable):
            message = f"{shown(key)} is not a parameter that can be set"
            raise InvalidValue(message, hint="a limit is a parameter, such as Memory.limit_in_bytes, and its value")
        if not parameter.controller:
            message = f"{parameter} belongs to no controller, and cannot be a limit"
            raise InvalidValue(message, parameter=str(parameter))
        found[parameter] = value
    return found


def cgroup_for(parameter: Parameters.Parameter, parents: list[Cgroup] | None) -> Cgroup:
    """The cgroup below which the one is made that a parameter limits."""
    controller = _controller_of(parameter)
    if parents is None:
        return LOCAL.own(controller)
    return _having(parents, controller)


def _having(cgroups: Iterable[Cgroup], controller: str) -> Cgroup:
    cgroup = _find(cgroups, controller)
    if cgroup is None:
        message = f"a limit needs a cgroup of {controller or 'the unified hierarchy'}, and the parents have none"
        raise SubsystemNotAvailable(message, hint=f"there are {', '.join(map(str, cgroups))}")
    return cgroup


def _find(cgroups: Iterable[Cgroup], controller: str) -> Cgroup | None:
    # A v1 mount takes a controller from v2.
    for cgroup in sorted(cgroups, key=lambda cgroup: cgroup.version):
        if cgroup.hierarchy.has(controller) if controller else cgroup.version == 2:  # noqa: PLR2004
            return cgroup
    return None


def _controller_of(parameter: Parameters.Parameter) -> str:
    """Whose cgroup has it; the ``cgroup.*`` files are the unified hierarchy's."""
    return "" if parameter.controller == Core.CONTROLLER else parameter.controller


def parents_of(parent: Parent | None) -> list[Cgroup] | None:
    """The cgroups that a ``parent`` names, one of each hierarchy; None for the caller's own."""
    if parent is None:
        return None
    if not isinstance(parent, (str, Cgroup, Iterable)):
        message = f"parent {shown(parent)} is neither a spec, a Cgroup, nor several of them"
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
    return cgroups


# ---- the job -----------------------------------------------------------------------------


class Job:
    """Cgroups of one name below some parents, with limits; a ``with`` block ends what is inside and removes them.

    Attributes:
        cgroups: those that were made.
        missing: by controller, why it has no cgroup here: what it counts is not measured.

    Raises, with nothing left behind: whatever making a cgroup or setting a
    limit does.  A controller that is only there to measure may be missing.
    """

    def __init__(self, parents: list[Cgroup] | None, limits: Mapping[Parameters.Writable[Any], Any]) -> None:
        self.cgroups: list[Cgroup] = []
        self.missing: dict[str, str] = {}
        self._name = f"cgroups-run-{os.getpid()}-{next(_numbers)}"
        required = list(dict.fromkeys(_controller_of(parameter) for parameter in limits))
        try:
            self._make(self._places(parents, required), required)
            for parameter, value in limits.items():
                Parameters.set(parameter, _having(self.cgroups, _controller_of(parameter)), value)
        except BaseException:
            self.remove()
            raise

    def cgroup_of(self, controller: str) -> Cgroup | None:
        """The one that has a controller; '' is the unified hierarchy."""
        return _find(self.cgroups, controller)

    # ---- making ------------------------------------------------------------------------

    def _places(self, parents: list[Cgroup] | None, required: list[str]) -> list[Cgroup]:
        """The cgroups to be below of: one of each hierarchy that has something to measure or to limit."""
        if parents is not None:
            return parents
        places: dict[Hierarchy, Cgroup] = {}
        for controller in (*required, *MEASURED, HELPFUL):
            try:
                own = LOCAL.own(controller)
            except SubsystemNotAvailable as error:
                if controller in required:
                    raise
                self._miss(controller, error)
                continue
            if own.path is None and controller not in required:
                self._miss(controller, diagnosis.invisible(own))
                continue
            places[own.hierarchy] = own
        if not places:
            message = "cannot make a cgroup: no hierarchy is mounted"
            raise SubsystemNotAvailable(message)
        return list(places.values())

    def _miss(self, controller: str, error: CgroupError) -> None:
        if controller in MEASURED:
            self.missing[controller or "pressure"] = str(error) if controller else NO_UNIFIED

    def _make(self, places: list[Cgroup], required: list[str]) -> None:
        for place in places:
            needed = [name for name in required if name and place.hierarchy.has(name)]
            self.cgroups.append(creation.create(place, [self._name], _enabled(place, needed), _RIGHTS, exist_ok=False))
            if place.version == 1 and place.hierarchy.has("cpuset"):
                # Without these nothing may be moved into it.
                for parameter in (Cpuset.cpus, Cpuset.mems):
                    Parameters.set(parameter, self.cgroups[-1], Parameters.get(parameter, place))
        # In the order in which the command enters them: its time counts from the last on.
        self.cgroups.sort(key=lambda cgroup: (cgroup.hierarchy.has("cpuacct"), -cgroup.version))
        for controller in MEASURED:
            cgroup = self.cgroup_of(controller)
            if cgroup is not None:
                self._enable(controller, cgroup)
            elif (controller or "pressure") not in self.missing:
                why = f"no parent is on the hierarchy of {controller}" if controller else NO_UNIFIED
                self.missing[controller or "pressure"] = why

    def _enable(self, controller: str, cgroup: Cgroup) -> None:
        """On v2 asks for a controller that measures; where the rules do not let it, it is missing."""
        parent = cgroup.parent
        assert parent is not None
        for name in _enabled(cgroup, [controller]) if controller else ():
            try:
                creation.enable(parent, name, cgroup)
            except (CgroupBusy, SubsystemNotAttached, AccessDenied) as error:
                # Not permitted to enable, though to make: without it, all but this is measured.
                self.missing[controller] = str(error)

    # ---- ending ------------------------------------------------------------------------

    def kill(self) -> int:
        """Ends all that is inside and below, and waits until it has ended; how many processes that were.

        CgroupTimeout when some cannot be ended: they hang in the kernel.
        """
        ended: set[int] = set()
        deadline = time.monotonic() + PATIENCE
        while True:
            tree = [one for cgroup in self.cgroups for one in cgroup.walk()]
            alive = {pid for cgroup in tree for pid in _processes(cgroup)} - {os.getpid()}
            if not alive and not any(map(_is_populated, self.cgroups)):
                return len(ended)
            if time.monotonic() > deadline:
                message = f"cannot end the processes {sorted(alive)} in {', '.join(map(str, self.cgroups))}"
                raise CgroupTimeout(message, hint="they were killed, and wait for something in the kernel")
            ended |= alive
            self._freeze(tree, "FROZEN")
            for cgroup in self.cgroups:
                _kill_all(cgroup)
            for pid in alive:
                _kill(pid)
            # A signal reaches a frozen process of v1 only then; and the command may have frozen its own.
            self._freeze(tree, "THAWED")
            time.sleep(PAUSE)

    @staticmethod
    def _freeze(tree: list[Cgroup], state: Any) -> None:
        for cgroup in tree:
            if cgroup.version == 1 and cgroup.hierarchy.has("freezer"):
                try:
                    Parameters.set(Freezer.state, cgroup, state)
                except CgroupGone:
                    continue

    def remove(self) -> None:
        """Removes the cgroups, and those that were made below them."""
        deadline = time.monotonic() + PATIENCE
        left = self.cgroups[::-1]
        while left:
            try:
                left[0].remove(recursive=True)
            except CgroupGone:
                pass
            except CgroupBusy:
                # What has just ended may still be on its way out.
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE)
                continue
            del left[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.remove()


def _enabled(place: Cgroup, controllers: Iterable[str]) -> list[str]:
    """Controllers as cgroup.subtree_control names them, without those that need no enabling."""
    if place.version == 1:
        return []
    return [ALIASES["blkio"] if name == "blkio" else name for name in controllers if name not in IMPLICIT]


def _processes(cgroup: Cgroup) -> list[int]:
    try:
        return cgroup.processes()
    except CgroupGone:
        return []
    except CgroupError:
        # A threaded cgroup has no processes of its own: the one above it has them.
        return []


def _is_populated(cgroup: Cgroup) -> bool:
    """Whether something is inside that another pid namespace hides from here."""
    if cgroup.version == 1:
        return False
    try:
        return Parameters.get(Core.events, cgroup).populated == 1
    except CgroupGone:
        return False


def _kill_all(cgroup: Cgroup) -> None:
    """All of a cgroup of v2 at once, where the kernel can (from Linux 5.14)."""
    if cgroup.version == 1:
        return
    try:
        Parameters.set(Core.kill, cgroup, True)
    except (ParameterNotSupported, CgroupGone):
        return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
