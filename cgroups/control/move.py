"""Move all processes of cgroups into others."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ..deadline import Deadline
from ..errors import InvalidValue, ProcessNotFound
from .processes import Inside, refuse_captured

if TYPE_CHECKING:
    from ..hierarchy import Cgroup


def move_all(pairs: Sequence[tuple[Cgroup, Cgroup]], timeout: float | None = 10.0) -> int:
    """Moves the processes of cgroups, not of those below, each into its other; the most that one had."""
    deadline = Deadline(timeout)
    for source, to in pairs:
        if source.hierarchy != to.hierarchy:
            message = f"cannot move the processes of {source} to {to}: they are on two hierarchies"
            raise InvalidValue(message, path=to.path)
        refuse_captured([source, to], f"cannot move the processes of {source} to {to}")
    # All have to be there before any is moved.
    pairs = [(source, to) for source, to in pairs if source.inode != to.inode]
    return max((_move(source, to, deadline) for source, to in pairs), default=0)


def _move(source: Cgroup, to: Cgroup, deadline: Deadline) -> int:
    tried = f"cannot move the processes of {source} to {to}"
    moved: set[int] = set()
    for attempt in itertools.count():
        inside = Inside([source])
        inside.check_visible(tried)
        if not inside.pids:
            break
        if attempt:
            deadline.check(tried, [source], "its processes make others faster than they are moved")
        before = len(moved)
        for pid in inside.pids:
            with suppress(ProcessNotFound):
                to.add_process(pid)
                moved.add(pid)
        if len(moved) == before:
            deadline.pause()  # they have ended, but for threads
    return len(moved)
