"""Placement: the parents of a job's cgroups.

The order is: below the given parents; below the caller's own cgroups, if these
can enable controllers; in a delegated scope of systemd; in no cgroup.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from ..core import refusals, systemd
from ..core.deadline import DEFAULT_TIMEOUT_S, Deadline
from ..core.errors import (
    AccessDenied,
    Advice,
    CgroupBusy,
    CgroupError,
    InvalidValue,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    shown,
)
from ..core.interface import Version
from ..core.specs import to_enable
from ..core.tree import invisible
from . import create
from .bus import check_reachable
from .dbus import Manager, ScopeRequest
from .hierarchies import parent_for, with_controller
from .keeper import JOB, SUFFIX, ScopeKeeper, names_of, why_not
from .move import move_all
from .temporary import fresh_name

if TYPE_CHECKING:
    from ..core.node import Node
    from ..core.tree import Tree
    from ..core.trees import AnyTrees

__all__ = ["AUTO", "NONE", "OWN", "PLACES", "SYSTEMD", "Outlook", "Placement", "Wish", "outlook", "place"]

AUTO, OWN, SYSTEMD, NONE = "auto", "own", "systemd", "none"
PLACES: Final = (AUTO, OWN, SYSTEMD, NONE)
"""The places that a caller can request."""

PARENT: Final = "parent"
"""The kind of a placement below given parents."""

LEAF: Final = "cgroups-caller"
"""The leaf cgroup that the caller moves itself into, so that its own cgroup can enable controllers."""

JOB_CONTROLLERS: Final = ("cpu", "memory", "pids", "blkio", "cpuset")
"""The controllers that jobs are commonly limited by."""

_PERMISSIONS: Final = create.permissions_of({})


@dataclass(frozen=True)
class Wish:
    """The requirements of a job for its place.

    Attributes:
        host: the machine.
        required: controllers, for example of limits, without which the job cannot start.
        wanted: controllers that are used if they are available.
        needs_cgroup: whether the job cannot start without a cgroup.
        place: one of PLACES.
        description: the description of a scope in ``systemctl status``.
        slice: the systemd slice of a scope; None is the manager's default.
        move_self: whether the caller and all other processes of its own cgroup may be moved into a leaf below it.
    """

    host: AnyTrees
    required: Sequence[str] = ()
    wanted: Sequence[str] = ()
    needs_cgroup: bool = False
    place: str = AUTO
    description: str = ""
    slice: str | None = None
    move_self: bool = False

    def check(self) -> None:
        """Raise InvalidValue for an unknown place."""
        if self.place not in PLACES:
            message = f"place must be one of {', '.join(PLACES)}, got {shown(self.place)}"
            raise InvalidValue(message)


@dataclass
class Placement:
    """The parent cgroups of a job.

    Attributes:
        kind: ``parent``, ``own``, ``systemd`` or ``none``.
        parents: the cgroups below which the job's cgroups are created, one per hierarchy.
        missing: by controller, the reason why no parent has the controller.
        refused: by kind, the reason why each place before this one could not be used.
        keeper: the scope, if the kind is ``systemd``.
    """

    kind: str
    parents: Sequence[Node] = ()
    missing: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    keeper: ScopeKeeper | None = None

    def __str__(self) -> str:
        if self.keeper is not None:
            return f"{self.keeper.unit} of {'this user' if self.keeper.user else 'the system'}'s systemd"
        if not self.parents:
            return "no cgroup"
        whose = "its own" if self.kind == OWN else "the given"
        where = str(self.parents[0]) if len(self.parents) == 1 else f"cgroups of {len(self.parents)} hierarchies"
        return f"below {whose} {where}"

    def end(self) -> None:
        """End the scope, without waiting until systemd has unloaded it."""
        if self.keeper is not None:
            self.keeper.end(None)


def place(wish: Wish, parents: Sequence[Node] | None, found: Placement) -> None:
    """Find a place for a job.

    Args:
        wish: the requirements of the job.
        parents: the given parents; if they are given, no other place is tried.
        found: receives the place, also after an error.  The scope is in it before the scope's first process starts.

    Raises:
        InvalidValue: the wish has an unknown place.
        CgroupError: no place meets the requirements; the message has the first reason, the hint that of systemd.
    """
    wish.check()
    if parents is not None:
        for controller in wish.required:
            parent_for(controller, parents, wish.host)
        found.kind, found.parents = PARENT, parents
        return
    errors: dict[str, CgroupError] = {}
    try:
        _try(wish, found, errors)
    finally:
        found.refused = {name: str(error) for name, error in errors.items()}
        errors.clear()  # a raised error must not be referenced by a frame of its own traceback


def _bare(error: CgroupError) -> CgroupError:
    """Return a stored error without its traceback, whose frames would keep the callers' objects alive."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


def _try(wish: Wish, found: Placement, errors: dict[str, CgroupError]) -> None:
    """Try the places in order; ``errors`` receives, by place, the reason for each refusal."""
    own: list[Node] = []
    if wish.place in (AUTO, OWN):
        own = _own(wish, errors, found.missing)
        if not errors:
            found.kind, found.parents = OWN, own
            return
    if wish.place in (AUTO, SYSTEMD):
        try:
            _obtain_scope(wish, found)
        except CgroupError as error:
            errors[SYSTEMD] = _bare(error)
        else:
            found.missing.clear()
            return
    if own:  # only controllers that are wanted, not required, are missing
        found.kind, found.parents = OWN, own
    elif wish.required or wish.needs_cgroup or wish.place in (OWN, SYSTEMD):
        raise _explained(errors, wish)


def _explained(errors: Mapping[str, CgroupError], wish: Wish) -> CgroupError:
    """Return the one error to report, with a hint."""
    if not errors:
        message = f"cannot use limits or guards with place {NONE!r}: it has no cgroup"
        return InvalidValue(message, hint=f"use place {AUTO!r}")
    own, scope = errors.get(OWN), errors.get(SYSTEMD)
    if own is None or isinstance(scope, SubsystemNotAttached):
        # A scope was available but lacks a controller: that is the reason.
        assert scope is not None
        return scope
    if wish.place == OWN and systemd.is_manager():
        own.hint = Advice("place='systemd' asks for a scope", "--place systemd asks for a scope")
    elif scope is not None and systemd.is_manager():
        own.hint = f"systemd: {scope}"
    return own


# ---- below the caller's own cgroups --------------------------------------------------------


def _own(wish: Wish, errors: dict[str, CgroupError], missing: dict[str, str], *, is_tried: bool = True) -> list[Node]:
    """Return the caller's own cgroups, one per hierarchy; an empty list if they cannot be used.

    Args:
        wish: the requirements of the job.
        errors: receives the reason if the cgroups cannot be used.
        missing: receives, by controller, the reason why no cgroup has the controller.
        is_tried: whether the caller may be moved to a leaf; otherwise only the prospects are reported.
    """
    found: list[Node] = []
    places: dict[Tree[Node], Node] = {}
    needed: dict[Tree[Node], list[str]] = {}
    try:
        mine = wish.host.cgroups_of()
    except CgroupError as error:  # no /proc, for example
        errors[OWN] = _bare(error)
        return found
    for controller in dict.fromkeys((*wish.required, *wish.wanted)):
        try:
            own = _own_of(wish.host, controller, mine)
        except CgroupError as error:
            missing[controller] = str(error)
            if controller in wish.required:
                raise
            continue
        places[own.hierarchy] = own
        needed.setdefault(own.hierarchy, []).append(controller)
    for hierarchy, own in places.items():
        refusal = _refusal(own, needed[hierarchy], wish, is_tried=is_tried)
        is_usable = refusal is None or not isinstance(refusal, AccessDenied)
        if refusal is not None:
            errors.setdefault(OWN, _bare(refusal))
            missing.update(dict.fromkeys(needed[hierarchy], str(refusal)) if not is_usable else {})
            if not set(wish.required).isdisjoint(needed[hierarchy]):
                return []
        if is_usable:
            found.append(own)
    if not places:
        message = "cannot create a cgroup: no hierarchy is mounted"
        errors[OWN] = SubsystemNotAvailable(message)
    return found


def _own_of(host: AnyTrees, controller: str, mine: Iterable[Node]) -> Node:
    own = with_controller(mine, controller) or host.own(controller)
    above = own.parent
    if own.name == LEAF and above is not None:
        own = above  # this process has moved itself
    if own.path is None:
        raise invisible(own)
    return own


def _refusal(own: Node, controllers: Sequence[str], wish: Wish, *, is_tried: bool) -> CgroupError | None:
    """Return why cgroups with these controllers cannot be created below a cgroup; None if they can."""
    denied = refusals.explain_unmakeable(own)
    if denied is not None or own.version != Version.V2:
        return denied
    names = dict.fromkeys(name for one in controllers for name in to_enable(Version.V2, [one]))
    lacking = [name for name in names if name not in own.subsystems]
    required = to_enable(Version.V2, [one for one in wish.required if one in controllers])
    if lacking and (len(lacking) == len(names) or not set(required).isdisjoint(lacking)):
        # Only the owner of the parent cgroup can enable controllers there.
        message = f"{own} does not have the controller {next((one for one in required if one in lacking), lacking[0])}"
        return SubsystemNotAttached(message, path=own.path, hint="its parent cgroup does not enable it")
    enabled = own.words("cgroup.subtree_control")
    for name in names:
        if name in enabled or name in lacking:
            continue
        try:
            create.check_may_enable(own, name, own.child(LEAF))
        except CgroupBusy as error:
            if not _may_make_room(own, wish):
                return error
            if is_tried:
                move_all([(own, create.create(own, [LEAF], (), _PERMISSIONS, exist_ok=True))])
        except CgroupError as error:
            return error
    return None


def _may_make_room(own: Node, wish: Wish) -> bool:
    """Return whether the processes of the caller's own cgroup may be moved into a leaf below it.

    A move is allowed if the caller requested it, or is the only process there.  Under systemd, the unit must also have
    ``Delegate=``.  The owner is no criterion, since a user owns each unit of the user's own manager.
    """
    return wish.move_self or (own.processes() == [os.getpid()] and _is_given(own))


def _is_given(own: Node) -> bool:
    """Return whether the caller may use a cgroup: without systemd, or in a unit with ``Delegate=``."""
    if not systemd.is_manager() or systemd.is_delegated([own.path or ""]):
        return True
    # A user's own manager sets no delegation mark on the directory.
    try:
        with Manager(user="/user@" in own.location, deadline=Deadline(DEFAULT_TIMEOUT_S)) as manager:
            return manager.delegates(own.name)
    except CgroupError:
        return False


# ---- prospects of each place ---------------------------------------------------------------


class Outlook(NamedTuple):
    """The prospects of a job that would start in one place now.

    Attributes:
        kind: ``own`` or ``systemd``.
        controllers: the controllers that could limit and measure the job.
        refused: the reason why the place is unusable, in one line; None if it is usable.
        missing: by controller, the step that would make this place provide the controller.
    """

    kind: str
    controllers: tuple[str, ...]
    refused: str | None
    missing: dict[str, str]


def outlook(host: AnyTrees) -> list[Outlook]:
    """Return the prospects of each place for a job of this user now, without creating or requesting anything."""
    return [_outlook_of_own(host), _outlook_of_systemd(host)]


def _outlook_of_own(host: AnyTrees) -> Outlook:
    errors: dict[str, CgroupError] = {}
    parents = _own(Wish(host, wanted=JOB_CONTROLLERS), errors, {}, is_tried=False)
    error = errors.get(OWN)
    gives = [
        one
        for one in JOB_CONTROLLERS
        for parent in parents
        if error is None and parent.hierarchy.has(one) and set(to_enable(parent.version, [one])) <= {*parent.subsystems}
    ]
    return Outlook(OWN, tuple(dict.fromkeys(gives)), None if error is None else str(error), {})


def _outlook_of_systemd(host: AnyTrees) -> Outlook:
    user = os.geteuid() != 0
    try:
        check_reachable(user=user)
    except CgroupError as error:
        return Outlook(SYSTEMD, (), str(error), {})
    found, missing = [], {}
    for one in JOB_CONTROLLERS:
        hierarchy = host.hierarchy_of(one)
        if hierarchy is None or not systemd.names_of(one, hierarchy.version):
            continue
        manager = systemd.manager_of(hierarchy, user=user)
        if set(to_enable(hierarchy.version, [one])) <= {*manager.subsystems} and (
            hierarchy.version == Version.V2 or not user
        ):
            found.append(one)
        else:
            missing[one] = why_not(host, one, user=user)
    return Outlook(SYSTEMD, tuple(found), None, missing)


# ---- in a scope ----------------------------------------------------------------------------


def _obtain_scope(wish: Wish, found: Placement) -> None:
    names = names_of(wish.host, [*wish.required, *wish.wanted])
    unit = f"{fresh_name('cgroups-run')}{SUFFIX}"
    deadline = Deadline(DEFAULT_TIMEOUT_S)
    found.keeper = keeper = ScopeKeeper(wish.host, user=os.geteuid() != 0, is_deaf=True)
    try:
        keeper.begin(ScopeRequest(unit, wish.description or unit, names, wish.slice), deadline)
        keeper.check(wish.required)
        with create.Creation() as creation:
            keeper.make_room(creation, JOB)
    except BaseException:
        keeper.end_quietly(deadline)
        found.keeper = None
        raise
    found.kind, found.parents = SYSTEMD, _distinct(keeper.places)


def _distinct(places: Iterable[Node]) -> list[Node]:
    """Return the cgroups of a scope, one per hierarchy."""
    return [*{one.hierarchy: one for one in places}.values()]
