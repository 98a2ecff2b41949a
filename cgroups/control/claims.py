"""Find cgroups whose maker has been killed: a living maker holds a lock on the directory.

The lock is a shared flock(2), which the kernel drops when its holder is gone.
It says so in any pid namespace or container that sees the tree, where a number
of a process in the cgroup's name would be another's, or reused.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from .._interface import Failure
from ..errors import CgroupError

if TYPE_CHECKING:
    from ..hierarchy import Cgroup

__all__ = ["Claims", "abandoned"]

YOUNG_S: Final = 1.0
"""Seconds after its creation in which a cgroup may not be claimed yet."""

MAX_LOOKED_AT: Final = 64
"""Candidates in one parent: another user may have made any number of cgroups with such names."""

_TRIES: Final = 10
"""Attempts to claim: who looks for abandoned cgroups holds the lock for an instant."""


def _open(cgroup: Cgroup) -> int:
    directory, below = cgroup.place()
    return directory.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


class Claims:
    """The cgroups that this process has made and will remove."""

    def __init__(self) -> None:
        self._fds: list[int] = []

    def take(self, cgroup: Cgroup) -> None:
        """Claim a cgroup.  If that fails, for example for lack of descriptors, it is only taken for abandoned."""
        with suppress(Failure, CgroupError, OSError):
            fd = _open(cgroup)
            self._fds.append(fd)
            for _ in range(_TRIES):
                with suppress(BlockingIOError):
                    # Never waits: another user may hold a lock on a directory for ever.
                    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return
                time.sleep(0.001)

    def release(self) -> None:
        """Give up all claims."""
        fds, self._fds = self._fds, []
        for fd in fds:
            os.close(fd)


def abandoned(parents: Iterable[Cgroup], prefix: str) -> list[Cgroup]:
    """Return the children with a prefix of some cgroups that nobody claims: their maker was killed.

    Args:
        parents: where to look; a parent that cannot be read has none.
        prefix: what the names of claimed cgroups begin with.
    """
    found: list[Cgroup] = []
    for parent in parents:
        with suppress(CgroupError):
            candidates = [one for one in parent.children() if one.name.startswith(prefix)]
            found += filter(_is_abandoned, candidates[:MAX_LOOKED_AT])
    return found


def _is_abandoned(cgroup: Cgroup) -> bool:
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
