"""Freeze and thaw all processes in cgroups and their descendants."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core import diagnosis
from ..core.advice import advise
from ..core.deadline import Deadline
from ..core.errors import Advice, CgroupBusy, InvalidValue, SubsystemNotAttached
from ..core.interface import Failure, Shape, Status, Version
from ..core.rollback import Rollback
from .empty import events_of
from .processes import Tops, check_outside, names, refuse_captured

if TYPE_CHECKING:
    from ..core.node import Node


def has_freezer(cgroup: Node) -> bool:
    return not cgroup.is_root and (cgroup.version == Version.V2 or cgroup.hierarchy.has("freezer"))


def freezers(tops: Tops) -> list[Node]:
    """Return the cgroups that can be frozen: on v1 those of the freezer hierarchy, otherwise those of v2."""
    found = [top for top in tops if has_freezer(top)]
    return [one for one in found if one.version == Version.V1] or found


def _freezer(tops: Tops, verb: str) -> Node:
    found = freezers(tops)
    if found:
        return found[0]
    if any(top.is_root for top in tops):
        message = f"cannot {verb} {names(tops)}: the root of a hierarchy has no freezer"
        raise InvalidValue(message, path=tops[0].path)
    where = tops[0].hierarchy.host.hierarchy_of("freezer")
    spec = f"freezer:{tops[0].location}"
    hint: str = "no freezer is mounted"
    if where is not None:
        is_there = where.host.find(spec) is not None
        make = f"move its processes into a cgroup of the freezer: cgroups create {spec}; cgroups attach {spec} PID"
        hint = Advice(f"use {spec}, or a Group with 'freezer'", f"use {spec}" if is_there else make)
    message = f"cannot {verb} {names(tops)}: the freezer is not on this hierarchy"
    raise SubsystemNotAttached(message, path=tops[0].path, parameter="freezer.state", hint=hint)


def set_frozen(cgroup: Node, *, frozen: bool) -> None:
    if cgroup.version == Version.V1:
        cgroup.write_text("freezer.state", "FROZEN" if frozen else "THAWED")
    else:
        cgroup.write_text("cgroup.freeze", "1" if frozen else "0")


def _told(cgroup: Node) -> bool:
    """Return whether the cgroup itself is set to freeze, whatever the state of its ancestors."""
    name = "freezer.self_freezing" if cgroup.version == Version.V1 else "cgroup.freeze"
    return cgroup.read_cells(name, Shape.VALUE) == [("", 1)]


def frozen_above(cgroup: Node) -> Node | None:
    return next((one for one in cgroup.upwards() if one != cgroup and not one.is_root and _told(one)), None)


def _is_frozen(cgroup: Node) -> bool:
    if cgroup.version == Version.V1:
        return cgroup.read_cells("freezer.state", Shape.WORDS) == [("", "FROZEN")]
    return dict(cgroup.read_cells("cgroup.events", Shape.KEYED)).get("frozen") == 1


def freezes(cgroup: Node) -> bool:
    """Return whether a cgroup is frozen; on v1 write FROZEN again, since a process forked meanwhile may run."""
    if cgroup.version == Version.V1:
        set_frozen(cgroup, frozen=True)
    return _is_frozen(cgroup)


def freeze(tops: Tops, timeout: float | None = 10.0) -> None:
    """Freeze all processes, and wait until they are frozen."""
    deadline = Deadline(timeout)
    tried = f"cannot freeze {names(tops)}"
    refuse_captured(tops, tried)
    cgroup = _freezer(tops, "freeze")
    check_outside([cgroup], tried, deadline)
    before = _told(cgroup)
    hint = "a process is in uninterruptible sleep" + ("" if before else "; it was thawed again")
    with Rollback() as rollback:
        if not before:
            rollback.add(lambda: set_frozen(cgroup, frozen=False))
        set_frozen(cgroup, frozen=True)
        await_state(cgroup, lambda: freezes(cgroup), deadline, tried, hint)


def thaw(tops: Tops, timeout: float | None = 10.0) -> None:
    """Thaw all processes, and wait until they run."""
    deadline = Deadline(timeout)
    tried = f"cannot thaw {names(tops)}"
    refuse_captured(tops, tried)
    cgroup = _freezer(tops, "thaw")
    set_frozen(cgroup, frozen=False)
    above = frozen_above(cgroup)
    if above is not None:
        message = f"{tried}: its ancestor {above} is frozen"
        raise CgroupBusy(message, path=above.path, errno=errno.EBUSY, hint=advise("thaw", cgroup=above))
    await_state(cgroup, lambda: not _is_frozen(cgroup), deadline, tried, None)


def await_state(cgroup: Node, done: Callable[[], bool], deadline: Deadline, tried: str, hint: str | None) -> None:
    """Wait for a state of the freezer: on v2 through poll(2), on v1 by repeated reads, for lack of a notification."""
    if cgroup.version == Version.V1:
        while not done():
            deadline.check(tried, [cgroup], hint)
            deadline.pause()
        return
    with events_of(cgroup) as (fd, poll):
        while True:
            try:
                os.pread(fd, 4096, 0)  # arms poll(2): it wakes for changes after this read
            except OSError as error:
                raise diagnosis.explain(Failure(Status.OS, error.errno or 0), cgroup, "cgroup.events", "read") from None
            if done():
                return
            deadline.check(tried, [cgroup], hint)
            poll.poll(deadline.milliseconds)
