"""Remove cgroups, once they are empty."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from ..core import refusals
from ..core.advice import advise
from ..core.deadline import DEFAULT_TIMEOUT_S, Deadline
from ..core.descent import EXHAUSTED, count_children, descend
from ..core.errors import CgroupBusy, CgroupError, CgroupGone, CgroupTimeout
from ..core.interface import ABSENT, Version
from . import disable, kill
from .empty import is_live, wait_some
from .processes import Tops, names, visit

if TYPE_CHECKING:
    from ..core.node import Node

PASSING: Final = EXHAUSTED | {errno.EIO, errno.ENOMEM, errno.EAGAIN}
"""Transient errors, which do not concern the cgroups and may be gone a moment later."""

ATTEMPTS: Final = 5
"""Attempts at a removal that fails with a transient error."""


def remove(
    tops: Tops, *, recursive: bool, kill_first: bool, timeout: float | None, disable_controllers: bool = False
) -> None:
    """Remove the cgroups, once all of them are empty.

    Args:
        tops: the cgroups.
        recursive: remove their descendants too.
        kill_first: kill their processes first.
        timeout: seconds to wait.
        disable_controllers: disable the controllers that this package enabled in their ancestors: see
            :func:`disable.take_back`.
    """
    if kill_first and timeout is None:
        timeout = DEFAULT_TIMEOUT_S
    deadline = Deadline(0 if timeout is None else timeout)
    work = None if timeout is None else deadline
    for top in tops:
        top.check_removable()
        if kill_first and not recursive and count_children(top):
            raise refusals.explain_remove(errno.EBUSY, top)
    seen = _Seen()
    try:
        _remove_within(tops, deadline, work, seen, recursive=recursive, kill_first=kill_first)
    finally:
        seen.forget()
    if disable_controllers:
        disable.take_back(tops)


class _Seen:
    """The errors of the attempts so far.

    An error in a local variable of the frame that raises it is a cycle: its traceback would keep the callers' objects.
    """

    def __init__(self) -> None:
        self.first: CgroupError | None = None
        self.busy: CgroupBusy | None = None

    def forget(self) -> None:
        self.first = self.busy = None


def _remove_within(
    tops: Tops, deadline: Deadline, work: Deadline | None, seen: _Seen, *, recursive: bool, kill_first: bool
) -> None:
    failed = 0
    while True:
        try:
            if seen.busy is not None:
                tried = f"cannot remove {names(tops)}"
                wait_some(tops, tried, Deadline(deadline.left(kill.KILL_ROUND_S)) if kill_first else deadline)
                # An exited process stays in its cgroup for a moment after its exit can be observed.
                deadline.pause()
            if kill_first:
                kill.kill_within(tops, deadline)
            _remove_now(tops, work, recursive=recursive, gone_ok=work is not None or failed > 0)
        except CgroupBusy as error:
            seen.busy = error
            if deadline.is_over:
                raise
        except CgroupTimeout as error:
            # The busy cgroup explains more than the timeout.  A kill reports the remaining processes.
            raise (error if kill_first or seen.busy is None else seen.busy) from None
        except CgroupError as error:
            seen.first = seen.first or error
            failed += 1
            if error.errno not in PASSING or failed == ATTEMPTS:
                raise seen.first from None
            Deadline(kill.KILL_ROUND_S).pause()
        else:
            return


def _remove_now(tops: Tops, work: Deadline | None, *, recursive: bool, gone_ok: bool) -> None:
    # For a single cgroup, rmdir(2) itself reports why.
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
            errors.append(error)  # the other cgroups can still be removed
    if errors:
        first, errors = errors[0], []
        try:
            raise first
        finally:
            del first  # otherwise the error's traceback would keep the callers' objects alive


def _remove_below(top: Node, work: Deadline | None) -> None:
    tried = f"cannot remove the cgroups below {top}"
    for node in descend(top, None if work is None else lambda: work.check_round(tried, [top]), below_first=True):
        if node.above is None:
            continue
        try:
            os.rmdir(node.name, dir_fd=node.above.fd)
        except OSError as error:
            if error.errno not in ABSENT:
                raise refusals.explain_remove(error.errno or 0, node.cgroup(top)) from None


def _check_empty(top: Node, work: Deadline | None, *, recursive: bool) -> None:
    """Raise CgroupBusy if the kernel would refuse one of the removals, before any cgroup is removed."""
    tried = f"cannot remove {top}"
    live = top.version == Version.V1 or is_live(top)
    if live:
        for _, node, pids in visit([top], tried, work, recursive=recursive):
            if pids:
                raise _busy(node.cgroup(top), len(pids), top)
    # On v2 also threads and exiting processes, which the kernel counts but does not list.
    if (live and top.version != Version.V1) or (not recursive and count_children(top)):
        raise refusals.explain_remove(errno.EBUSY, top)


def _busy(cgroup: Node, inside: int, of: Node) -> CgroupBusy:
    return CgroupBusy(
        f"cannot remove {of} ({of.path}): processes in {cgroup}: {inside}",
        path=cgroup.path,
        errno=errno.EBUSY,
        hint=advise("empty", cgroup=cgroup),
    )
