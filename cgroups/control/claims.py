"""Find cgroups whose creator was killed: a living creator holds a lock on the directory.

The lock is a shared flock(2), which the kernel releases when its holder exits.
The lock works in every pid namespace and container that sees the tree.  A
process id in the cgroup's name would not: it may belong to another process there.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..core.errors import CgroupError
from ..core.interface import Failure

if TYPE_CHECKING:
    from ..core.node import Node

__all__ = ["Claims", "abandoned"]

YOUNG_S: Final = 1.0
"""Age in seconds below which a cgroup counts as claimed: its creator may not hold the lock yet."""

MAX_LOOKED_AT: Final = 64
"""Limit on the candidates examined in one parent: another user may create any number of such names."""

_TRIES: Final = 10
"""Attempts to claim: a search for abandoned cgroups holds the lock for an instant."""


def _open(cgroup: Node) -> int:
    directory, below = cgroup.locate()
    return directory.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


class Claims:
    """The cgroups that this process has created and will remove."""

    def __init__(self) -> None:
        self._fds: list[int] = []

    def take(self, cgroup: Node) -> None:
        """Claim a cgroup.  Without a claim, for example for lack of descriptors, the cgroup looks abandoned."""
        with suppress(Failure, CgroupError, OSError):
            fd = _open(cgroup)
            self._fds.append(fd)
            for _ in range(_TRIES):
                with suppress(BlockingIOError):
                    # Non-blocking: another user may hold a lock on a directory forever.
                    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return
                time.sleep(0.001)

    def release(self) -> None:
        """Release all claims."""
        fds, self._fds = self._fds, []
        for fd in fds:
            os.close(fd)


def abandoned(parents: Iterable[Node], prefix: str) -> list[Node]:
    """Return the children with a prefix that no process claims: their creator was killed.

    Args:
        parents: the cgroups to search; a parent that cannot be read is skipped.
        prefix: the start of the names, before a process id and a random number.
    """
    found: list[Node] = []
    for parent in parents:
        with suppress(CgroupError):
            candidates = [one for one in parent.children() if re.fullmatch(rf"{prefix}[0-9]+-[0-9a-f]{{16}}", one.name)]
            found += filter(_is_abandoned, candidates[:MAX_LOOKED_AT])
    return found


def _is_abandoned(cgroup: Node) -> bool:
    try:
        fd = _open(cgroup)
    except (Failure, CgroupError, OSError):
        return False
    try:
        if time.time() - os.fstat(fd).st_ctime < YOUNG_S:
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(fd)
