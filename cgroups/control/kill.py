"""Signal and kill the processes of cgroups, and of all below them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..deadline import Deadline
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
from .empty import is_populated, wait_some
from .freeze import await_state, freezers, freezes, frozen_above, has_freezer, set_frozen
from .processes import Inside, Tops, names, refuse_captured, send, tree

if TYPE_CHECKING:
    from ..hierarchy import Cgroup


SIGKILL, SIGSTOP, LAST_SIGNAL = 9, 19, 64


SWEEP: Final = 0.05
"""Seconds between two rounds of killing."""


FREEZING: Final = 1.0
"""Seconds that what is to be killed may take to freeze first."""

UNFREEZABLE: Final = (CgroupGone, AccessDenied, ParameterNotSupported)
"""What is ended all the same: not permitted to freeze, or v2 before Linux 5.2."""


def _number(signum: object) -> int:
    if isinstance(signum, int) and not isinstance(signum, bool) and 1 <= signum <= LAST_SIGNAL:
        return int(signum)
    message = f"signal {shown(signum)}: a number from 1 to {LAST_SIGNAL} is expected, as signal.SIGTERM"
    raise InvalidValue(message)


def signal(tops: Tops, signum: int, *, recursive: bool = True) -> int:
    """Sends a signal to each process once; how many there were."""
    number = _number(signum)
    tried = f"cannot send signal {number} to the processes of {names(tops)}"
    refuse_captured(tops, tried)
    cgroups = tree(tops) if recursive else list(tops)
    inside = Inside(cgroups)
    inside.check_visible(tried)
    return len(send(inside.pids, number, cgroups, tried))


def kill(tops: Tops, timeout: float | None = 10.0) -> int:
    """Ends all processes; how many were seen to."""
    return kill_within(tops, Deadline(timeout))


def kill_within(tops: Tops, deadline: Deadline) -> int:
    tried = f"cannot end the processes of {names(tops)}"
    refuse_captured(tops, tried)
    ended: set[int] = set()
    for attempt in itertools.count():
        inside = Inside(tree(tops))
        inside.check_outside(tried)
        if not inside.pids and not is_populated(tops):
            break
        if attempt and deadline.is_over:
            deadline.check(f"{tried}: {shown(inside.pids)} are left", tops, _why_alive(tops))
        ended.update(inside.pids)
        rest = [top for top in tops if not kill_at_once(top)]
        if rest:
            ended.update(kill_each(rest, tried, deadline, again=attempt > 0))
        # Not for long: what was made meanwhile makes others.
        wait_some(tops, Deadline(deadline.left(SWEEP)))
    return len(ended)


def _why_alive(tops: Tops) -> str:
    with suppress(CgroupError):
        for above in map(frozen_above, freezers(tops)):
            if above is not None:
                return f"{above}, which is above, is frozen: thaw it"
    return "others begin there all the time, or those wait in the kernel, or in a frozen cgroup of another hierarchy"


def kill_at_once(top: Cgroup) -> bool:
    """Whether the kernel has ended all that was inside (v2, from Linux 5.14)."""
    if top.version == 1:
        return False
    try:
        top.write_text("cgroup.kill", "1")
    except CgroupGone:
        return True
    except (ParameterNotSupported, AccessDenied, CgroupOSError):
        return False  # before 5.14; the root; what is delegated without it; a threaded cgroup
    return True


def kill_each(tops: Tops, tried: str, deadline: Deadline, *, again: bool) -> list[int]:
    """One by one, while they are frozen where that can be, and else, the second time, stopped: such make no others."""
    Inside(tree(tops)).check_visible(tried)  # before anything is done
    found = freezers(tops)
    try:
        still = [one for one in found if _is_still(one, Deadline(deadline.left(FREEZING)), tried)]
        cgroups = tree(tops)
        if again and not still:
            stop(cgroups, tried, deadline)
        inside = Inside(cgroups)
        inside.check_visible(tried)
        return send(inside.pids, SIGKILL, cgroups, tried)
    finally:
        # Of v1 a process ends only then; and the tree may have been frozen before, or a part of it.
        for one in [*found, *(one for one in tree(tops) if one.version == 1 and has_freezer(one))]:
            with suppress(*UNFREEZABLE):
                set_frozen(one, frozen=False)


def _is_still(cgroup: Cgroup, deadline: Deadline, tried: str) -> bool:
    """Freezes it, if that is permitted, before the deadline."""
    try:
        set_frozen(cgroup, frozen=True)
        await_state(cgroup, lambda: freezes(cgroup), deadline, tried, None)
    except (CgroupTimeout, *UNFREEZABLE):
        return False
    return True


def stop(cgroups: Sequence[Cgroup], tried: str, deadline: Deadline) -> None:
    """SIGSTOP to all, until there are no new ones; under pids.max they take the places that others would."""
    stopped: set[int] = set()
    while not deadline.is_over and (new := set(Inside(cgroups).pids) - stopped):
        send(sorted(new), SIGSTOP, cgroups, tried)
        stopped |= new
