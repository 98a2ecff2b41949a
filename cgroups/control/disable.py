"""Disable the controllers that this package has enabled, once no child cgroup is left to use them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..core.descent import count_children
from ..core.errors import CgroupError
from ..core.interface import Version
from . import enabling

if TYPE_CHECKING:
    from ..core.node import Node

__all__ = ["take_back"]


def take_back(removed: Iterable[Node]) -> None:
    """Disable, in the ancestors of removed cgroups, the unused controllers that this package enabled there.

    A controller is disabled only in a cgroup without children.  A child that has the controller
    without limits would lose its counters, and the kernel does not show who reads them.

    Another program may create a child meanwhile.  So the children are counted again afterwards, and
    the controllers are enabled again if a child has appeared.  :class:`Creation` checks its controllers
    again after it has created a cgroup.  In any order of these steps, the controllers end up enabled.

    Errors are ignored: the cgroups are already removed.
    """
    for cgroup in removed:
        above = cgroup.parent
        while above is not None and above.version != Version.V1 and not count_children(above):
            with suppress(CgroupError):
                _disable(above)
            above = above.parent


def _disable(cgroup: Node) -> None:
    ours = enabling.remembered(cgroup)
    names = [name for name in cgroup.words("cgroup.subtree_control") if name in ours]
    # First, since a stale record is worse: another program may enable the same controller later.
    enabling.forget(cgroup, ours)
    for name in names:
        try:
            cgroup.write_control(f"-{name}")
            if not count_children(cgroup):
                continue
            cgroup.write_control(f"+{name}")
        except CgroupError:
            pass  # a child now uses the controller for its own children, or the cgroup is gone
        enabling.remember(cgroup, name)
