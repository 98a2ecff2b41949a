"""Named: the cgroups that several specs and patterns name, as one subtree and a choice in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial

from .core.errors import CgroupError
from .core.patterns import expand, is_pattern
from .hierarchy import Cgroup, Host

__all__ = ["Named"]

Covers = Callable[[str, "int | None"], bool]
"""``covers(location, depth)``: whether a cgroup is one that was named, or at most ``depth`` levels below."""


class Named:
    """The cgroups that specs name, each with all below.

    Several are one subtree: an inotify instance for each cgroup would be too many, since a user has few of them.

    Args:
        host: the host.
        specs: specs, names or patterns; none for all cgroups.
        resolve: returns the cgroup of a spec that is not a pattern; by default :meth:`Host.resolve`.
        on_error: takes the error of a spec, and the spec; the others are then used.  By default the error is raised.

    Attributes:
        top: the top of the subtree; None for all cgroups, and if no spec has a cgroup.

    Raises:
        CgroupNotFound: a cgroup of the specs does not exist.
        InvalidValue: a spec is not valid.
    """

    def __init__(
        self,
        host: Host,
        specs: Sequence[str],
        *,
        resolve: Callable[[str], Cgroup] | None = None,
        on_error: Callable[[CgroupError, str], object] | None = None,
    ) -> None:
        resolve = resolve or host.resolve
        self._covers: list[Covers] = []
        self.top: Cgroup | None = None
        if len(specs) == 1 and not is_pattern(specs[0]):
            self.top = resolve(specs[0])
            return
        tops: list[Cgroup] = []
        for spec in specs:
            try:
                if is_pattern(spec):
                    found = expand(host, spec)
                    tops.append(Cgroup(found.cgroups[0].hierarchy, found.pattern.base))
                    self._covers.append(found.pattern.covers)
                else:
                    tops.append(resolve(spec))
                    self._covers.append(partial(_is_within, tops[-1].location))
            except CgroupError as error:
                if on_error is None:
                    raise
                on_error(error, spec)
        if tops:
            common = Cgroup(tops[0].hierarchy, os.path.commonpath([one.location for one in tops]))
            # A cgroup above the mount point cannot be followed.
            self.top = common if common.path is not None else common.hierarchy.root()

    @property
    def is_choice(self) -> bool:
        """Whether only some cgroups of the subtree are named."""
        return bool(self._covers)

    def covers(self, location: str, depth: int | None) -> bool:
        """Return whether a cgroup is named, or at most ``depth`` levels below one that is."""
        return not self._covers or any(covers(location, depth) for covers in self._covers)


def _is_within(top: str, location: str, depth: int | None) -> bool:
    """Return whether a location is that of a cgroup, or at most ``depth`` levels below."""
    prefix = f"{top.rstrip('/')}/"
    if location != top and not location.startswith(prefix):
        return False
    below = location[len(prefix) :]
    return depth is None or (below.count("/") + 1 if below else 0) <= depth
