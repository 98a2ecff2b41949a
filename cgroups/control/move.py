"""Move all processes of cgroups into others."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.deadline import Deadline
from ..core.errors import InvalidValue, ProcessNotFound
from .processes import FEW, check_visible, held, is_held, listed_in, refuse_captured, room

if TYPE_CHECKING:
    from ..core.node import Node


def move_all(pairs: Sequence[tuple[Node, Node]], timeout: float | None = 10.0) -> int:
    """Move the processes of each source, not of its descendants, to its target; return the largest count moved."""
    deadline = Deadline(timeout)
    for source, to in pairs:
        if source.hierarchy != to.hierarchy:
            message = f"cannot move the processes of {source} to {to}: the cgroups are on two hierarchies"
            raise InvalidValue(message, path=to.path)
        refuse_captured([source, to], f"cannot move the processes of {source} to {to}")
    # All cgroups must exist before any process is moved.
    pairs = [(source, to) for source, to in pairs if source.inode != to.inode]
    return max((_move(source, to, deadline) for source, to in pairs), default=0)


def _move(source: Node, to: Node, deadline: Deadline) -> int:
    tried = f"cannot move the processes of {source} to {to}"
    moved: set[int] = set()
    check_visible([source], tried, deadline, recursive=False)
    for attempt in itertools.count():
        pids = sorted(listed_in(source, tried) - {0})
        if not pids:
            break
        if attempt:
            deadline.check(tried, [source], "its processes fork faster than they are moved")
        before = len(moved)
        size = len(pids) if len(pids) <= FEW else room()
        for at in range(0, len(pids), size):
            moved |= _move_some(source, to, pids[at : at + size], tried, deadline)
        if len(moved) == before:
            deadline.pause()  # the processes have exited, except for threads
    return len(moved)


def _move_some(source: Node, to: Node, pids: Sequence[int], tried: str, deadline: Deadline) -> set[int]:
    """Move the processes that are still in the source, but never a reused pid."""
    moved = set()
    with held(pids) as fds:
        for pid in listed_in(source, tried) & fds.keys():
            deadline.check_round(tried, [source])
            if not is_held(pid, fds[pid]):
                continue
            try:
                to.add_process(pid)
            except ProcessNotFound:
                continue
            moved.add(pid)
    return moved
