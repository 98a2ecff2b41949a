"""Freeze and thaw the processes of cgroups, and of all below them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import diagnosis
from .._interface import Failure, Shape, Status
from ..core.advice import advise
from ..deadline import Deadline
from ..errors import Advice, CgroupBusy, CgroupError, InvalidValue, SubsystemNotAttached
from .empty import events_of
from .processes import Tops, check_outside, names, refuse_captured

if TYPE_CHECKING:
    from ..hierarchy import Cgroup


def has_freezer(cgroup: Cgroup) -> bool:
    return not cgroup.is_root and (cgroup.version == 2 or cgroup.hierarchy.has("freezer"))  # noqa: PLR2004


def freezers(tops: Tops) -> list[Cgroup]:
    """Those that can be frozen: that of v1's freezer, else that of v2, which freezes by itself."""
    found = [top for top in tops if has_freezer(top)]
    return [one for one in found if one.version == 1] or found


def _freezer(tops: Tops, verb: str) -> Cgroup:
    found = freezers(tops)
    if found:
        return found[0]
    if any(top.is_root for top in tops):
        message = f"cannot {verb} {names(tops)}: it is the root of its hierarchy"
        raise InvalidValue(message, path=tops[0].path)
    where = tops[0].hierarchy.host.hierarchy_of("freezer")
    spec = f"freezer:{tops[0].location}"
    hint: str = "no freezer is mounted"
    if where is not None:
        is_there = where.host.find(spec) is not None
        make = f"move its processes into one of the freezer: cgroups create {spec}; cgroups attach {spec} PID"
        hint = Advice(f"use {spec}, or a Group with 'freezer'", f"use {spec}" if is_there else make)
    message = f"cannot {verb} {names(tops)}: the freezer is not on this hierarchy"
    raise SubsystemNotAttached(message, path=tops[0].path, parameter="freezer.state", hint=hint)


def set_frozen(cgroup: Cgroup, *, frozen: bool) -> None:
    if cgroup.version == 1:
        cgroup.write_text("freezer.state", "FROZEN" if frozen else "THAWED")
    else:
        cgroup.write_text("cgroup.freeze", "1" if frozen else "0")


def _told(cgroup: Cgroup) -> bool:
    """Whether the cgroup itself, whatever those above, was told to freeze."""
    name = "freezer.self_freezing" if cgroup.version == 1 else "cgroup.freeze"
    return cgroup.read_cells(name, Shape.VALUE) == [("", 1)]


def frozen_above(cgroup: Cgroup) -> Cgroup | None:
    return next((one for one in cgroup.upwards() if one != cgroup and not one.is_root and _told(one)), None)


def _is_frozen(cgroup: Cgroup) -> bool:
    if cgroup.version == 1:
        return cgroup.read_cells("freezer.state", Shape.WORDS) == [("", "FROZEN")]
    return dict(cgroup.read_cells("cgroup.events", Shape.KEYED)).get("frozen") == 1


def freezes(cgroup: Cgroup) -> bool:
    """Whether it is frozen by now; v1 is told again, as it may leave out a process that has just been made."""
    if cgroup.version == 1:
        set_frozen(cgroup, frozen=True)
    return _is_frozen(cgroup)


def freeze(tops: Tops, timeout: float | None = 10.0) -> None:
    """Stops all processes, and waits until they are."""
    deadline = Deadline(timeout)
    tried = f"cannot freeze {names(tops)}"
    refuse_captured(tops, tried)
    cgroup = _freezer(tops, "freeze")
    check_outside([cgroup], tried, deadline)
    before = _told(cgroup)
    hint = "a process is in uninterruptible sleep" + ("" if before else "; it was thawed again")
    try:
        set_frozen(cgroup, frozen=True)
        await_state(cgroup, lambda: freezes(cgroup), deadline, tried, hint)
    except BaseException:
        if not before:
            with suppress(CgroupError):
                set_frozen(cgroup, frozen=False)
        raise


def thaw(tops: Tops, timeout: float | None = 10.0) -> None:
    """Lets all processes go on, and waits until they do."""
    deadline = Deadline(timeout)
    tried = f"cannot thaw {names(tops)}"
    refuse_captured(tops, tried)
    cgroup = _freezer(tops, "thaw")
    set_frozen(cgroup, frozen=False)
    above = frozen_above(cgroup)
    if above is not None:
        message = f"{tried}: {above}, which is above it, is frozen"
        raise CgroupBusy(message, path=above.path, errno=errno.EBUSY, hint=advise("thaw", cgroup=above))
    await_state(cgroup, lambda: not _is_frozen(cgroup), deadline, tried, None)


def await_state(cgroup: Cgroup, done: Callable[[], bool], deadline: Deadline, tried: str, hint: str | None) -> None:
    """Waits for a state of the freezer: by an event of v2, by looking at v1, which has none."""
    if cgroup.version == 1:
        while not done():
            deadline.check(tried, [cgroup], hint)
            deadline.pause()
        return
    with events_of(cgroup) as (fd, poll):
        while True:
            try:
                os.pread(fd, 4096, 0)  # so that what is told from now on is what comes after the look
            except OSError as error:
                raise diagnosis.explain(Failure(Status.OS, error.errno or 0), cgroup, "cgroup.events", "read") from None
            if done():
                return
            deadline.check(tried, [cgroup], hint)
            poll.poll(deadline.milliseconds)
