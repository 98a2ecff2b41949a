"""Remove cgroups, once they are empty."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from .. import diagnosis
from ..deadline import PATIENCE, Deadline
from ..errors import CgroupBusy, CgroupGone
from . import kill
from .empty import is_live, wait_some
from .processes import Tops

if TYPE_CHECKING:
    from ..hierarchy import Cgroup


def remove(tops: Tops, *, recursive: bool, kill_first: bool, timeout: float | None) -> None:
    """Removes the cgroups, once all of them are empty."""
    if kill_first and timeout is None:
        timeout = PATIENCE
    deadline = Deadline(0 if timeout is None else timeout)
    for top in tops:
        top.check_removable()
        if kill_first and not recursive and _has_children(top):
            raise diagnosis.explain_remove(errno.EBUSY, top)
    while True:
        if kill_first:
            kill.kill_within(tops, deadline)
        try:
            _remove_now(tops, recursive=recursive, gone_ok=timeout is not None)
        except CgroupBusy:
            if deadline.is_over:
                raise
            wait_some(tops, Deadline(deadline.left(kill.SWEEP)) if kill_first else deadline)
            # A process that has just ended is a moment longer in its cgroup than its last sign of life.
            deadline.pause()
        else:
            return


def _remove_now(tops: Tops, *, recursive: bool, gone_ok: bool) -> None:
    # Of one alone rmdir(2) says why not.
    for top in tops if recursive or len(tops) > 1 else ():
        _check_empty(top, recursive=recursive)
    gone = 0
    for top in tops:
        try:
            top.remove_now(recursive=recursive)
        except CgroupGone:
            gone += 1
            if gone == len(tops) and not gone_ok:
                raise


def _check_empty(top: Cgroup, *, recursive: bool) -> None:
    """CgroupBusy for what the kernel would not remove, so that nothing is removed before it says so."""
    for one in top.walk() if recursive else [top]:
        diagnosis.check_empty(one, of=top)
    # Of v2 also threads.
    if (top.version == 2 and is_live(top)) or (not recursive and _has_children(top)):  # noqa: PLR2004 - the version
        raise diagnosis.explain_remove(errno.EBUSY, top)


def _has_children(cgroup: Cgroup) -> bool:
    try:
        return bool(cgroup.children())
    except CgroupGone:
        return False
