"""Signal and kill the processes of cgroups and their descendants."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..core.deadline import DEFAULT_TIMEOUT_S, Deadline
from ..core.errors import (
    AccessDenied,
    CgroupError,
    CgroupGone,
    CgroupOSError,
    CgroupTimeout,
    InvalidValue,
    ParameterNotSupported,
    shown,
)
from ..core.interface import Version
from .empty import is_live, is_populated, some_inside, wait_exits, wait_some
from .freeze import await_state, freezers, freezes, frozen_above, has_freezer, set_frozen
from .members import Look, kill_members
from .processes import Signalled, Tops, check_outside, check_visible, names, refuse_captured, room, signal_all, visit

if TYPE_CHECKING:
    from ..core.descent import Visit
    from ..core.node import Node

SIGKILL, SIGSTOP, LAST_SIGNAL = 9, 19, 64

KILL_ROUND_S: Final = 0.05
"""Seconds between two rounds of killing."""

SIDE_WORK_S: Final = 1.0
"""Upper bound, in seconds, for preparations of a kill such as counting and freezing; at most 1/4 of the time left."""

SHOWN_PIDS: Final = 32
"""Limit on the remaining processes that an error names."""

UNFREEZABLE: Final = (CgroupGone, AccessDenied, ParameterNotSupported)
"""Errors that do not prevent a kill: no permission to freeze, or v2 before Linux 5.2."""


def _number(signum: object) -> int:
    if isinstance(signum, int) and not isinstance(signum, bool) and 1 <= signum <= LAST_SIGNAL:
        return int(signum)
    message = f"signal must be a number from 1 to {LAST_SIGNAL} such as signal.SIGTERM, got {shown(signum)}"
    raise InvalidValue(message)


def signal(tops: Tops, signum: int, *, recursive: bool = True, timeout: float | None = DEFAULT_TIMEOUT_S) -> int:
    """Send a signal to each process once; return the number of processes signalled."""
    number = _number(signum)
    deadline = Deadline(timeout)
    tried = f"cannot send signal {number} to the processes of {names(tops)}"
    refuse_captured(tops, tried)
    check_visible(tops, tried, deadline, recursive=recursive)
    done = Signalled()
    signal_all(tops, number, tried, deadline, done, recursive=recursive)
    done.check(tried)
    return len(done.sent)


def kill(tops: Tops, timeout: float | None = 10.0) -> int:
    """Kill all processes; return the number of processes found."""
    return kill_within(tops, Deadline(timeout))


def kill_within(tops: Tops, deadline: Deadline) -> int:
    """Kill all processes before a deadline; return the number of processes found."""
    tried = f"cannot kill the processes of {names(tops)}"
    refuse_captured(tops, tried)
    check_outside(tops, tried, deadline)
    seen: set[int] = set()
    for attempt in itertools.count():
        if attempt and deadline.is_over:
            if is_populated(tops, tried, deadline):
                left = some_inside(tops, tried, deadline, SHOWN_PIDS)
                deadline.check(f"{tried}: {shown(left)} are left", tops, _why_alive(tops))
            break
        live = [top for top in tops if top.version == Version.V1 or is_live(top)]
        _count(live, tried, deadline, seen)
        rest = [top for top in live if not kill_at_once(top)]
        found, is_all = kill_each(rest, tried, deadline, again=attempt > 0) if rest else Look(set(), is_whole=True)
        is_v1 = all(top.version == Version.V1 for top in live)
        if is_v1 and not found and (is_all or not some_inside(live, tried, deadline, 1)):
            break
        seen |= found
        # A short round: a process forked meanwhile forks others.
        _wait(live, found, tried, Deadline(deadline.left(KILL_ROUND_S)))
    return len(seen)


def _wait(live: Tops, found: set[int], tried: str, deadline: Deadline) -> None:
    unified = [top for top in live if top.version != Version.V1]
    if unified:
        wait_some(unified, tried, deadline)
    else:
        wait_exits(sorted(found)[: room()], deadline)


def _why_alive(tops: Tops) -> str:
    with suppress(CgroupError):
        for above in map(frozen_above, freezers(tops)):
            if above is not None:
                return f"its ancestor {above} is frozen: thaw it"
    return (
        "new processes keep being forked, or some are in uninterruptible sleep, or frozen on another hierarchy, "
        "or the timeout is too short for this number of cgroups"
    )


def _count(tops: Tops, tried: str, deadline: Deadline, seen: set[int]) -> None:
    """Note the processes inside cgroups of v2, since a process killed through cgroup.kill is not listed again.

    Counting takes only a part of the time, so that many cgroups do not delay the kill.
    """
    unified = [top for top in tops if top.version != Version.V1]
    short = _part_of(deadline)
    with suppress(CgroupTimeout):
        for _, _, pids in visit(unified, tried, short):
            seen |= pids - {0}
            if short.is_over:
                return


def kill_at_once(top: Node) -> bool:
    """Kill all processes inside by one write to cgroup.kill (v2, Linux 5.14); return False if the file is unusable."""
    if top.version == Version.V1:
        return False
    try:
        top.write_text("cgroup.kill", "1")
    except CgroupGone:
        return True
    except (ParameterNotSupported, AccessDenied, CgroupOSError):
        return False  # Linux before 5.14; the root; a delegated cgroup without this file; a threaded cgroup
    return True


def kill_each(tops: Tops, tried: str, deadline: Deadline, *, again: bool) -> Look:
    """Kill the processes one by one; return those found, and whether none can be missing.

    Meanwhile the processes are frozen if possible, otherwise stopped from the second round on, so that none forks.
    """
    check_visible(tops, tried, deadline)  # before any process is signalled
    done = Signalled(spared=os.getpid())
    look = Look(set(), is_whole=False)
    found = freezers(tops)
    try:
        still = [one for one in found if _is_still(one, _part_of(deadline), tried)]
        if again and not still:
            _stop(tops, tried, Deadline(min(DEFAULT_TIMEOUT_S, deadline.left() / 2)))
        signal_all(tops, SIGKILL, tried, deadline, done, after=_thaw)
        if not done.seen:  # scan while frozen processes neither fork nor exit
            look = kill_members(tops, tried, deadline)
    finally:
        # A frozen process of v1 exits only after a thaw; it may have been frozen before this call.
        for one in [*found, *(top for top in tops if top.version == Version.V1 and has_freezer(top))]:
            with suppress(*UNFREEZABLE):
                set_frozen(one, frozen=False)
    done.check(tried)
    return Look(done.seen | look.pids, look.is_whole)


def _part_of(deadline: Deadline) -> Deadline:
    return Deadline(min(SIDE_WORK_S, deadline.left() / 4))


def _is_still(cgroup: Node, deadline: Deadline, tried: str) -> bool:
    """Freeze a cgroup before the deadline, if permitted; return whether the cgroup is frozen."""
    try:
        set_frozen(cgroup, frozen=True)
        await_state(cgroup, lambda: freezes(cgroup), deadline, tried, None)
    except (CgroupTimeout, *UNFREEZABLE):
        return False
    return True


def _stop(tops: Tops, tried: str, deadline: Deadline) -> None:
    """Send SIGSTOP to all processes until no new one appears.  Stopped processes use up pids.max, so forks may fail."""
    done = Signalled(spared=os.getpid())
    with suppress(CgroupTimeout):
        while not deadline.is_over:
            before = len(done.sent)
            signal_all(tops, SIGSTOP, tried, deadline, done)
            done.check(tried)
            if len(done.sent) == before:
                return


def _thaw(top: Node, node: Visit, pids: set[int]) -> None:
    """Thaw a v1 cgroup that was frozen on its own, since killed processes in a frozen cgroup or below do not exit."""
    if (pids or node.ahead) and top.version == Version.V1 and has_freezer(top):
        with suppress(OSError):
            node.write("freezer.state", "THAWED")
