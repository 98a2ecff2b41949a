"""The descriptor budget: the number of control files that the native backend keeps open by default."""

from __future__ import annotations

import resource
from typing import Final

__all__ = ["default_budget"]

SHARE: Final = 4
"""The budget is a quarter of the soft limit on open files."""

MOST: Final = 65536
"""The greatest default budget."""


def default_budget() -> int:
    """Return the default of :func:`cgroups.set_fd_budget`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else min(soft // SHARE, MOST)
