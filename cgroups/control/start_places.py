"""Directories in which a program starts, and a check whether other users may stop it there."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from typing import Any, Final

from ..core.errors import shown
from ..core.interface import Version
from ..core.node import Node

__all__ = ["CPUSET", "FREEZER", "is_stoppable_by_others", "start_place"]


def is_stoppable_by_others(cgroup: Node) -> bool:
    """Return whether a user other than the caller and root may stop a child in the cgroup: csrc/cg_places.c."""
    # On v2, write access to cgroup.procs of a common ancestor allows moving the child to a frozen cgroup.
    names = (".", "freezer.state") if cgroup.version == Version.V1 else (".", "cgroup.freeze", "cgroup.procs")
    above: Node | None = cgroup
    while above is not None:
        for name in names:
            try:
                found = os.lstat(f"{above.path}/{name}")
            except OSError:
                continue
            if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return True
        above = above.parent
    return False


FREEZER: Final = 1
CPUSET: Final = 2
"""csrc/cg_abi.h, enum cg_place_controllers."""


def start_place(cgroup: Node, program: Any) -> tuple[Any, str, int, int]:
    """Return the hierarchy's directory, the path below it, the version, and the flags of its v1 controllers."""
    # Formatting this text costs more than the rest, and only a captured tree needs it.
    tried = f"start {shown(program)} in {cgroup}" if cgroup.is_captured else ""
    version = cgroup.version
    controllers = _controllers(cgroup.hierarchy.subsystems) if version == Version.V1 else 0
    return *cgroup.locate_for_writing(tried), version, controllers


@lru_cache(maxsize=64)
def _controllers(names: tuple[str, ...]) -> int:
    return FREEZER * ("freezer" in names) | CPUSET * ("cpuset" in names)
