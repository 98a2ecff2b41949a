"""Job: fresh cgroups, one on each hierarchy, for all the processes of one command; made, ended and removed as one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from . import creation, diagnosis
from ._interface import Shape
from .control import claims
from .deadline import PATIENCE
from .errors import AccessDenied, CgroupBusy, CgroupError, InvalidValue, SubsystemNotAttached, SubsystemNotAvailable
from .group import Group, controller_of, fill_cpuset, place_of, with_controller
from .host import LOCAL
from .passing import Passing, fresh_name
from .spec import to_enable
from .subsystem import Parameters
from .transaction import apply, settable

if TYPE_CHECKING:
    from typing_extensions import Self

    from .hierarchy import Cgroup, Hierarchy

__all__ = ["Job", "cgroup_for", "check_limits"]

MEASURED: Final = ("cpuacct", "memory", "blkio", "")
"""The controllers whose counters a report has; '' is the unified hierarchy, for pressure."""

HELPFUL: Final = ("freezer", "pids", "cpu")
"""What is frozen on v1 forks no more, and so can be ended whatever it does; the others are there for guards."""

NO_UNIFIED: Final = "only a cgroup of the unified hierarchy has pressure, and this job has none"

_RIGHTS = creation.Rights(0o755, None, None, None)

PREFIX: Final = "cgroups-run"
"""What the names of the cgroups of all runs begin with."""


# ---- what is asked for -------------------------------------------------------------------


def check_limits(limits: Mapping[Any, Any] | None) -> dict[Parameters.Writable[Any], Any]:
    """The limits by parameter; InvalidValue for what is no parameter of a controller that can be set."""
    found = settable(limits)
    for parameter in found:
        if not parameter.controller:
            message = f"{parameter} belongs to no controller, and cannot be a limit"
            raise InvalidValue(message, parameter=str(parameter))
    return found


def cgroup_for(parameter: Parameters.Parameter, parents: list[Cgroup] | None) -> Cgroup:
    """The cgroup below which the one is made that a parameter limits."""
    controller = controller_of(parameter)
    return LOCAL.own(controller) if parents is None else place_of(controller, parents)


# ---- the job -----------------------------------------------------------------------------


class Job(Passing):
    """Cgroups of one name below some parents, with limits; a ``with`` block ends what is inside and removes them.

    Attributes:
        cgroups: those that were made.
        missing: by controller, why it has no cgroup here: what it counts is not measured.
        abandoned: what runs whose runner was killed have left in the same places.

    Raises, with nothing left behind: whatever making a cgroup or setting a
    limit does.  A controller that is only there to measure may be missing.
    """

    def __init__(self, parents: list[Cgroup] | None, limits: Mapping[Parameters.Writable[Any], Any]) -> None:
        self.cgroups: list[Cgroup] = []
        self.missing: dict[str, str] = {}
        self.abandoned: list[Cgroup] = []
        self._name = fresh_name(PREFIX)
        self._claims = claims.Claims()
        self._parents, self._limits = parents, limits

    def __enter__(self) -> Self:
        self._begin()
        return self

    def cgroup_of(self, controller: str) -> Cgroup | None:
        """The one that has a controller; '' is the unified hierarchy."""
        return with_controller(self.cgroups, controller)

    # ---- making ------------------------------------------------------------------------

    def _places(self, parents: list[Cgroup] | None, required: list[str]) -> list[Cgroup]:
        """The cgroups to be below of: one of each hierarchy that has something to measure or to limit."""
        if parents is not None:
            for controller in required:
                place_of(controller, parents)
            return parents
        places: dict[Hierarchy, Cgroup] = {}
        for controller in (*required, *MEASURED, *HELPFUL):
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

    def _make(self, making: creation.Making) -> None:
        required = list(dict.fromkeys(controller_of(parameter) for parameter in self._limits))
        places = self._places(self._parents, required)
        self.abandoned = claims.abandoned(places, f"{PREFIX}-")
        for place in places:
            needed = [name for name in required if name and place.hierarchy.has(name)]
            enabled = to_enable(place.version, needed)
            self.cgroups.append(place.child(self._name))  # first: its creation may be interrupted
            self._claims.take(making.create(place, [self._name], enabled, _RIGHTS, exist_ok=False))
            fill_cpuset(self.cgroups[-1])
        # In the order in which the command enters them: its time counts from the last on.
        self.cgroups.sort(key=lambda cgroup: (cgroup.hierarchy.has("cpuacct"), -cgroup.version))
        for controller in (*MEASURED, *HELPFUL):
            cgroup = self.cgroup_of(controller)
            if cgroup is not None:
                self._enable(controller, cgroup)
            elif controller in MEASURED and (controller or "pressure") not in self.missing:
                why = f"no parent is on the hierarchy of {controller}" if controller else NO_UNIFIED
                self.missing[controller or "pressure"] = why
        apply(self.group.cgroup_of, self._limits)

    def _enable(self, controller: str, cgroup: Cgroup) -> None:
        """On v2 asks for a controller that measures; where the rules do not let it, it is missing."""
        parent = cgroup.parent
        assert parent is not None
        for name in to_enable(cgroup.version, [controller]):
            try:
                creation.enable(parent, name, cgroup, [])
            except (CgroupBusy, SubsystemNotAttached, AccessDenied) as error:
                # Not permitted to enable, though to make: without it, all but this is measured.
                if controller in MEASURED:
                    self.missing[controller] = str(error)

    # ---- ending ------------------------------------------------------------------------

    def kill(self) -> int:
        """Ends all that is inside and below, and waits until it has ended; how many processes that were.

        CgroupTimeout when some cannot be ended: they hang in the kernel.
        """
        # Mostly nothing is left: two system calls each say so, where a kill takes a dozen.
        return 0 if all(map(_is_empty_leaf, self.cgroups)) else self.group.kill(PATIENCE)

    def _targets(self) -> Sequence[Cgroup]:
        return self.cgroups

    def _clean(self) -> None:
        super()._clean()
        self._claims.release()

    @property
    def group(self) -> Group:
        """All of its cgroups, as one."""
        return Group.of(self.cgroups)


def _is_empty_leaf(cgroup: Cgroup) -> bool:
    """Return whether neither a process nor a cgroup is in a cgroup.  If one comes right after, its removal finds it."""
    try:
        inside = cgroup.read_cells("cgroup.procs", Shape.VALUES, listing=True)
        return not inside and os.stat(cgroup.path or "").st_nlink == NO_CHILDREN
    except (CgroupError, OSError):
        return False


NO_CHILDREN: Final = 2
"""Links of a directory without others in it: its own name and its dot."""
