"""Signal and kill the processes of cgroups, and of all below them."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..deadline import PATIENCE, Deadline
from ..errors import (
    AccessDenied,
    CgroupError,
    CgroupGone,
    CgroupOSError,
    CgroupTimeout,
    InvalidValue,
    ParameterNotSupported,
    shown,
)
from .empty import is_live, is_populated, some_inside, wait_exits, wait_some
from .freeze import await_state, freezers, freezes, frozen_above, has_freezer, set_frozen
from .members import Look, kill_members
from .processes import (
    Signalled,
    Tops,
    check_outside,
    check_visible,
    names,
    refuse_captured,
    room,
    signal_all,
    visit,
)

if TYPE_CHECKING:
    from ..core.descent import Node
    from ..hierarchy import Cgroup

SIGKILL, SIGSTOP, LAST_SIGNAL = 9, 19, 64

SWEEP: Final = 0.05
"""Seconds between two rounds of killing."""

SIDE_WORK_S: Final = 1.0
"""Seconds, and at most a part of the time left, for what makes killing surer: counting, and freezing first."""

SHOWN_PIDS: Final = 32
"""How many of the processes that are left are looked for, to name them."""

UNFREEZABLE: Final = (CgroupGone, AccessDenied, ParameterNotSupported)
"""What is killed all the same: not permitted to freeze, or v2 before Linux 5.2."""


def _number(signum: object) -> int:
    if isinstance(signum, int) and not isinstance(signum, bool) and 1 <= signum <= LAST_SIGNAL:
        return int(signum)
    message = f"signal {shown(signum)}: a number from 1 to {LAST_SIGNAL} is expected, as signal.SIGTERM"
    raise InvalidValue(message)


def signal(tops: Tops, signum: int, *, recursive: bool = True, timeout: float | None = PATIENCE) -> int:
    """Send a signal to each process once; return how many there were."""
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
    """Kill all processes; return how many were seen to."""
    return kill_within(tops, Deadline(timeout))


def kill_within(tops: Tops, deadline: Deadline) -> int:
    """Kill all processes before a deadline; return how many were seen to."""
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
        live = [top for top in tops if top.version == 1 or is_live(top)]
        _count(live, tried, deadline, seen)
        rest = [top for top in live if not kill_at_once(top)]
        found, is_all = kill_each(rest, tried, deadline, again=attempt > 0) if rest else Look(set(), is_whole=True)
        is_v1 = all(top.version == 1 for top in live)
        if is_v1 and not found and (is_all or not some_inside(live, tried, deadline, 1)):
            break
        seen |= found
        # Not for long: what was made meanwhile makes others.
        _wait(live, found, tried, Deadline(deadline.left(SWEEP)))
    return len(seen)


def _wait(live: Tops, found: set[int], tried: str, deadline: Deadline) -> None:
    unified = [top for top in live if top.version != 1]
    if unified:
        wait_some(unified, tried, deadline)
    else:
        wait_exits(sorted(found)[: room()], deadline)


def _why_alive(tops: Tops) -> str:
    with suppress(CgroupError):
        for above in map(frozen_above, freezers(tops)):
            if above is not None:
                return f"{above}, which is above, is frozen: thaw it"
    return (
        "new processes keep being forked, or some are in uninterruptible sleep, or frozen on another hierarchy, "
        "or there are too many cgroups for this time"
    )


def _count(tops: Tops, tried: str, deadline: Deadline, seen: set[int]) -> None:
    """Note which processes of v2 are inside: what is killed at once is not listed any more.

    For a part of the time only: it is no reason to kill later, however many cgroups there are.
    """
    unified = [top for top in tops if top.version != 1]
    short = _part_of(deadline)
    with suppress(CgroupTimeout):
        for _, _, pids in visit(unified, tried, short):
            seen |= pids - {0}
            if short.is_over:
                return


def kill_at_once(top: Cgroup) -> bool:
    """Kill all that is inside by one write (v2, from Linux 5.14); False if that is not to be had."""
    if top.version == 1:
        return False
    try:
        top.write_text("cgroup.kill", "1")
    except CgroupGone:
        return True
    except (ParameterNotSupported, AccessDenied, CgroupOSError):
        return False  # before 5.14; the root; what is delegated without it; a threaded cgroup
    return True


def kill_each(tops: Tops, tried: str, deadline: Deadline, *, again: bool) -> Look:
    """Kill one by one; return which processes were found, and whether there were surely no others.

    Meanwhile they are frozen where that can be, and else, from the second round on, stopped: such fork no others.
    """
    check_visible(tops, tried, deadline)  # before anything is done
    done = Signalled(spared=os.getpid())
    look = Look(set(), is_whole=False)
    found = freezers(tops)
    try:
        still = [one for one in found if _is_still(one, _part_of(deadline), tried)]
        if again and not still:
            _stop(tops, tried, Deadline(min(PATIENCE, deadline.left() / 2)))
        signal_all(tops, SIGKILL, tried, deadline, done, after=_thaw)
        if not done.seen:  # while what is frozen neither forks nor exits
            look = kill_members(tops, tried, deadline)
    finally:
        # Of v1 a process exits only then; and it may have been frozen before.
        for one in [*found, *(top for top in tops if top.version == 1 and has_freezer(top))]:
            with suppress(*UNFREEZABLE):
                set_frozen(one, frozen=False)
    done.check(tried)
    return Look(done.seen | look.pids, look.is_whole)


def _part_of(deadline: Deadline) -> Deadline:
    return Deadline(min(SIDE_WORK_S, deadline.left() / 4))


def _is_still(cgroup: Cgroup, deadline: Deadline, tried: str) -> bool:
    """Freeze a cgroup, if that is permitted, before the deadline."""
    try:
        set_frozen(cgroup, frozen=True)
        await_state(cgroup, lambda: freezes(cgroup), deadline, tried, None)
    except (CgroupTimeout, *UNFREEZABLE):
        return False
    return True


def _stop(tops: Tops, tried: str, deadline: Deadline) -> None:
    """Send SIGSTOP to all, until there are no new ones; under pids.max they take the places that others would."""
    done = Signalled(spared=os.getpid())
    with suppress(CgroupTimeout):
        while not deadline.is_over:
            before = len(done.sent)
            signal_all(tops, SIGSTOP, tried, deadline, done)
            done.check(tried)
            if len(done.sent) == before:
                return


def _thaw(top: Cgroup, node: Node, pids: set[int]) -> None:
    """Thaw a cgroup of v1's freezer that was frozen by itself, or what was killed in it, or below, does not exit."""
    if (pids or node.ahead) and top.version == 1 and has_freezer(top):
        with suppress(OSError):
            node.write("freezer.state", "THAWED")
