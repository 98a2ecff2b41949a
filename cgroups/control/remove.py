"""Remove cgroups, once they are empty."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from .. import diagnosis
from ..core.advice import advise
from ..core.descent import EXHAUSTED, count_children, descend
from ..deadline import PATIENCE, Deadline
from ..errors import CgroupBusy, CgroupError, CgroupGone, CgroupTimeout
from . import kill
from .empty import is_live, wait_some
from .processes import Tops, names, visit

if TYPE_CHECKING:
    from ..hierarchy import Cgroup

PASSING: Final = EXHAUSTED | {errno.EIO, errno.ENOMEM, errno.EAGAIN}
"""Errors that say nothing of the cgroups, and may be over a moment later."""

ATTEMPTS: Final = 5
"""How often a removal is tried that meets such an error."""


def remove(tops: Tops, *, recursive: bool, kill_first: bool, timeout: float | None) -> None:
    """Remove the cgroups, once all of them are empty."""
    if kill_first and timeout is None:
        timeout = PATIENCE
    deadline = Deadline(0 if timeout is None else timeout)
    work = None if timeout is None else deadline
    for top in tops:
        top.check_removable()
        if kill_first and not recursive and count_children(top):
            raise diagnosis.explain_remove(errno.EBUSY, top)
    first: CgroupError | None = None
    busy: CgroupBusy | None = None
    failed = 0
    while True:
        try:
            if busy is not None:
                tried = f"cannot remove {names(tops)}"
                wait_some(tops, tried, Deadline(deadline.left(kill.SWEEP)) if kill_first else deadline)
                # A process that has just exited is a moment longer in its cgroup than its last sign of life.
                deadline.pause()
            if kill_first:
                kill.kill_within(tops, deadline)
            _remove_now(tops, work, recursive=recursive, gone_ok=timeout is not None or failed > 0)
        except CgroupBusy as error:
            busy = error
            if deadline.is_over:
                raise
        except CgroupTimeout as error:
            # What kept it tells more than that the time is over; a kill says itself what is left.
            raise (error if kill_first or busy is None else busy) from None
        except CgroupError as error:
            first = first or error
            failed += 1
            if error.errno not in PASSING or failed == ATTEMPTS:
                raise first from None
            Deadline(kill.SWEEP).pause()
        else:
            return


def _remove_now(tops: Tops, work: Deadline | None, *, recursive: bool, gone_ok: bool) -> None:
    # Of one alone rmdir(2) says why not.
    for top in tops if recursive or len(tops) > 1 else ():
        _check_empty(top, work, recursive=recursive)
    gone = 0
    errors: list[CgroupError] = []
    for top in tops:
        try:
            if recursive:
                _remove_below(top, work)
            top.remove_directory()
        except CgroupGone:
            gone += 1
            if gone == len(tops) and not gone_ok:
                raise
        except CgroupError as error:
            errors.append(error)  # the others can be removed all the same
    if errors:
        raise errors[0]


def _remove_below(top: Cgroup, work: Deadline | None) -> None:
    tried = f"cannot remove the cgroups below {top}"
    for node in descend(top, None if work is None else lambda: work.check_round(tried, [top]), below_first=True):
        if node.above is None:
            continue
        try:
            os.rmdir(node.name, dir_fd=node.above.fd)
        except OSError as error:
            if error.errno not in diagnosis.ABSENT:
                raise diagnosis.explain_remove(error.errno or 0, node.cgroup(top)) from None


def _check_empty(top: Cgroup, work: Deadline | None, *, recursive: bool) -> None:
    """CgroupBusy for what the kernel would not remove, so that nothing is removed before it says so."""
    tried = f"cannot remove {top}"
    live = top.version == 1 or is_live(top)
    if live:
        for _, node, pids in visit([top], tried, work, recursive=recursive):
            if pids:
                raise _busy(node.cgroup(top), len(pids), top)
    # Of v2 also threads, and processes that are exiting, which the kernel counts and does not list.
    if (live and top.version != 1) or (not recursive and count_children(top)):
        raise diagnosis.explain_remove(errno.EBUSY, top)


def _busy(cgroup: Cgroup, inside: int, of: Cgroup) -> CgroupBusy:
    return CgroupBusy(
        f"cannot remove {of} ({of.path}): processes in {cgroup}: {inside}",
        path=cgroup.path,
        errno=errno.EBUSY,
        hint=advise("empty", cgroup=cgroup),
    )
