"""Job: new cgroups for all processes of one command, one on each hierarchy, created, killed and removed together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from ..control import claims, create
from ..control.cpusets import fill_cpuset
from ..control.hierarchies import by_controller, controller_of, parent_for
from ..control.keeper import JOB, why_not
from ..control.placement import AUTO, NONE, Placement, Wish, place
from ..control.temporary import TemporaryCgroups, fresh_name
from ..control.update import apply, apply_known, settable
from ..core import children
from ..core.deadline import DEFAULT_TIMEOUT_S, Deadline
from ..core.errors import AccessDenied, CgroupBusy, CgroupError, CgroupTimeout, InvalidValue, SubsystemNotAttached
from ..core.interface import Shape, Version
from ..core.signals import SIGNALS
from ..core.specs import to_enable
from ..group import Group
from ..hierarchy import LOCAL
from ..parameters import Parameters
from .process_tree import ProcessTree

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..core.node import Node
    from ..hierarchy import Cgroup
    from .watched_popen import WatchedPopen

__all__ = ["Job", "cgroup_for", "check_limits"]

MEASURED: Final = ("cpuacct", "memory", "blkio", "")
"""The controllers whose counters a report has; '' is the unified hierarchy, for pressure."""

HELPFUL: Final = ("freezer", "pids", "cpu")
"""Optional controllers: freezer, since processes frozen on v1 do not fork during a kill; pids and cpu, for guards."""

NO_UNIFIED: Final = "only a cgroup of the unified hierarchy has pressure, and this job is in none"

_PERMISSIONS = create.Permissions(0o755, None, None, None)

STOPPED: Final = "this systemd may stop the scope when the kernel kills a process in it: its OOMPolicy= is not continue"

PREFIX: Final = "cgroups-run"
"""The prefix of the cgroup names of all runs."""


# ---- requests ----------------------------------------------------------------------------


def check_limits(limits: Mapping[Any, Any] | None) -> dict[Parameters.Writable[Any], Any]:
    """Return the limits by parameter; raise InvalidValue for a parameter that cannot be a limit."""
    found = settable(limits)
    for parameter in found:
        if not parameter.controller:
            message = f"cannot use {parameter} as a limit: it belongs to no controller"
            raise InvalidValue(message, parameter=str(parameter))
    return found


def cgroup_for(parameter: Parameters.Parameter, parents: list[Cgroup] | None) -> Cgroup:
    """Return the cgroup below which the cgroup for a parameter's limit is created."""
    controller = controller_of(parameter)
    return LOCAL.own(controller) if parents is None else parent_for(controller, parents, LOCAL)


# ---- the job -----------------------------------------------------------------------------


class Job(TemporaryCgroups):
    """Cgroups of one name below some parents, with limits.  The ``with`` block finally kills and removes the cgroups.

    Attributes:
        cgroups: the cgroups that were created.
        missing: by controller, the reason why no cgroup has the controller, whose counters are then not measured.
        placement: the parents of its cgroups.
        notes: sentences about the reasons why its report may be incomplete.
        tree: the processes of its command, if the job has no cgroup.
        abandoned: cgroups in the same places, left over from runs that were killed.

    If a cgroup cannot be created or a limit cannot be set, the job raises the error and leaves no cgroup behind.
    A controller that only measures may be missing.
    """

    def __init__(
        self,
        parents: list[Cgroup] | None,
        limits: Mapping[Parameters.Writable[Any], Any],
        wish: Wish | None = None,
        defaults: Mapping[Parameters.Writable[Any], Any] | None = None,
    ) -> None:
        self.cgroups: list[Cgroup] = []
        self.missing: dict[str, str] = {}
        self.abandoned: Sequence[Node] = ()
        self.notes: list[str] = []
        self.placement = Placement(NONE)
        self.tree: ProcessTree | None = None
        self._by_controller: dict[str, Cgroup] = {}
        self._is_killed = False
        self._name = fresh_name(PREFIX)
        self._claims = claims.Claims()
        self._parents, self._limits, self._defaults = parents, limits, defaults or {}
        self._wish = wish or Wish(LOCAL)

    def __enter__(self) -> Self:
        try:
            self._begin()
        except CgroupError as error:
            if self._parents is not None or self._limits or self._wish.needs_cgroup or self._wish.place != AUTO:
                raise
            refused = {**self.placement.refused, self.placement.kind: str(error)}
        else:
            return self
        # A failure to measure does not prevent the command from starting.
        self.cgroups, self.missing, self._by_controller = [], {}, {}
        self._wish = replace(self._wish, place=NONE)
        self.placement = Placement(NONE)
        self._begin()
        self.placement.refused.update(refused)
        return self

    def cgroup_of(self, controller: str) -> Cgroup | None:
        """Return the cgroup that has a controller; '' is the unified hierarchy."""
        return self._by_controller.get(controller)

    # ---- creation ----------------------------------------------------------------------

    def _prepare(self) -> None:
        """Find the parents of this job's cgroups: one on each hierarchy that measures or limits."""
        limited = map(controller_of, self._limits)
        wish = replace(
            self._wish, required=[*dict.fromkeys((*limited, *self._wish.required))], wanted=(*MEASURED, *HELPFUL)
        )
        place(wish, self._parents, self.placement)
        for controller, error in self.placement.missing.items():
            if controller in MEASURED:
                self.missing[controller or "pressure"] = error if controller else NO_UNIFIED
        keeper = self.placement.keeper
        if keeper is not None:
            self._name = JOB
            if "memory" in wish.required and not keeper.survives_oom(Deadline(DEFAULT_TIMEOUT_S)):
                self.notes.append(STOPPED)

    def _make(self, creation: create.Creation) -> None:
        places, keeper = cast("list[Cgroup]", self.placement.parents), self.placement.keeper
        if not places:
            return
        required = list(dict.fromkeys(map(controller_of, self._limits)))
        self.abandoned = claims.abandoned(places, f"{PREFIX}-") if keeper is None else keeper.abandoned()
        names = dict.fromkeys((*required, *MEASURED, *HELPFUL))
        parents = by_controller(places, names)
        disabled: list[str] = []
        for parent in places:
            here = [name for name in names if name and parents.get(name) is parent]
            enabled = to_enable(parent.version, [name for name in here if name in required])
            made = parent.child(self._name)
            self.cgroups.append(made)  # recorded first: a signal may interrupt the creation
            if parent.version == Version.V2:
                disabled = create.enable_together(parent, to_enable(Version.V2, here), made)
            self._claims.take(creation.create(parent, [self._name], enabled, _PERMISSIONS, exist_ok=False))
            self._by_controller.update({name: made for name in names if parents.get(name) is parent})
            if parent.version != Version.V2:
                fill_cpuset(made)
        # Sorted in the order in which the command enters them: its time counts from the last one on.
        last = self.cgroup_of("cpuacct")
        self.cgroups.sort(key=lambda cgroup: (cgroup is last, -cgroup.version))
        for controller in (*MEASURED, *HELPFUL):
            cgroup = self.cgroup_of(controller)
            if cgroup is not None:
                self._enable(controller, cgroup, disabled)
            elif controller in MEASURED and (controller or "pressure") not in self.missing:
                why = f"no parent is on the hierarchy of {controller}" if controller else NO_UNIFIED
                self.missing[controller or "pressure"] = why
        if self._limits or self._defaults:
            group = self.group
            apply(group.cgroup_of, self._limits)
            apply_known(group.cgroup_of, self._defaults)

    def _enable(self, controller: str, cgroup: Cgroup, disabled: Sequence[str]) -> None:
        """Enable a measuring controller on v2, or record the controller as missing."""
        parent = cgroup.parent
        assert parent is not None
        for name in to_enable(cgroup.version, [controller]):
            if name not in disabled:
                continue
            try:
                create.enable(parent, name, cgroup, [])
            except (CgroupBusy, SubsystemNotAttached, AccessDenied) as error:
                # The caller may create cgroups but not enable controllers: measure the rest.
                if controller in MEASURED:
                    keeper = self.placement.keeper
                    self.missing[controller] = str(error) if keeper is None else why_not(LOCAL, name, user=keeper.user)

    # ---- command -----------------------------------------------------------------------

    def start(self, args: Sequence[str | bytes], **keywords: Any) -> WatchedPopen:
        """Start the command in its cgroups; without a cgroup, follow its processes through /proc."""
        from .watched_popen import WatchedPopen  # noqa: PLC0415 - it imports subprocess

        if self.cgroups:
            return WatchedPopen(args, cgroup=self.group, **keywords)
        # Held: only the tree would know the process after an interrupt.
        with SIGNALS.held():
            process = WatchedPopen(args, cgroup=self.group, **keywords)
            try:
                self.tree = ProcessTree(process.pid)
            except BaseException:
                children.end(process.pid)
                raise
        self.tree.start()
        return process

    def signal(self, number: int) -> None:
        """Send a signal to each process of the job once."""
        if self.tree is not None:
            self.tree.signal(number)
        else:
            self.group.signal(number)

    def wait_empty(self, timeout: float) -> None:
        """Wait until the job has no process; raise CgroupTimeout after ``timeout`` seconds."""
        if self.tree is None:
            self.group.wait_empty(timeout)
            return
        deadline = Deadline(timeout)
        while self.tree.pids:
            if deadline.is_over:
                message = "the command's processes have not exited"
                raise CgroupTimeout(message)
            deadline.pause()

    def kill(self) -> int:
        """Kill all processes inside and below, and wait until they have exited; return the number of processes found.

        Raises:
            CgroupTimeout: some cannot be killed, such as processes in uninterruptible sleep.
        """
        if self.tree is not None:
            self._is_killed = True  # once: after the root is reaped, its pid may be reused
            return self.tree.kill(DEFAULT_TIMEOUT_S)
        # Usually no process is left.  Two system calls per cgroup show this case, and a kill takes a dozen.
        return 0 if all(map(_is_empty_leaf, self.cgroups)) else self.group.kill(DEFAULT_TIMEOUT_S)

    # ---- end ---------------------------------------------------------------------------

    def _targets(self) -> Sequence[Cgroup]:
        return self.cgroups

    def _clean(self) -> None:
        try:
            if self.tree is not None and not self._is_killed and self._owner == os.getpid():
                self.tree.kill(DEFAULT_TIMEOUT_S)
            super()._clean()
        finally:
            self.placement.end()
        self._claims.release()

    @property
    def group(self) -> Group:
        """All cgroups of the job, as one group."""
        return Group.of(self.cgroups) if self.cgroups else Group.nowhere()


def _is_empty_leaf(cgroup: Cgroup) -> bool:
    """Return whether a cgroup has no process and no child.  A removal detects a process or child that appears later."""
    try:
        inside = cgroup.read_cells("cgroup.procs", Shape.VALUES, listing=True)
        return not inside and os.stat(cgroup.path or "").st_nlink == NO_CHILDREN
    except (CgroupError, OSError):
        return False


NO_CHILDREN: Final = 2
"""Links of a directory without subdirectories: its own name and its dot."""
