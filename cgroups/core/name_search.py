"""Search the trees of a host for a cgroup, within bounds of time and of matches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from .advice import advise
from .deadline import Deadline
from .descent import descend
from .errors import (
    CgroupError,
    CgroupNotFound,
    CgroupTimeout,
    SubsystemNotAvailable,
    join_hints,
    shown,
)
from .handles import below_mount
from .name_matches import Match, location_matcher, reachable
from .name_texts import LISTED, MOST, shortened, suggest
from .node import Node
from .ranks import OTHER, rank
from .specs import PATH_MAX

if TYPE_CHECKING:
    from .mounts import Mount
    from .tree import Tree
    from .trees import Trees

__all__ = ["DEEPEST", "Search"]


DEEPEST: Final = PATH_MAX // 2
"""Depth below which every location is too long for a spec."""

SUGGESTED_FROM: Final = 2000
"""Maximum number of names to choose a suggestion from."""


class Search:
    """The search of a host for one text, until a deadline."""

    def __init__(self, host: Trees[Any, Any], text: str, controller: str | None, deadline: Deadline) -> None:
        self.host = host
        self.text = text
        self.controller = controller
        self.tried = f"cannot find {shown(text)}"
        self._deadline = deadline
        self._seen: set[str] = set()
        self._denied = 0
        # sorted() keeps the order of the mounts where ranks are equal.
        self._hierarchies = sorted(host.scan(), key=rank)

    def _at_location(self, location: str, *, is_shown: bool = True) -> Node:
        """Return the cgroup at a location, on the controller's hierarchy or on the first by rank that has it.

        Args:
            location: the location.
            is_shown: whether the location may contain the escapes of ``watch``.
        """
        if self.controller is not None:
            cgroup: Node = self._wanted(self.controller).at(location)
            if cgroup.exists:
                return cgroup
            raise self._elsewhere(cgroup)
        others: list[Node] = []
        for hierarchy in self._hierarchies:
            cgroup = hierarchy.at(location)
            if cgroup.exists:
                if rank(hierarchy) < OTHER:
                    return cgroup
                others.append(cgroup)
        if len(others) > 1:
            raise self._ambiguous(others, "are at this location")
        if others:
            return others[0]
        if is_shown and "\\" in location:
            # Unprintable bytes are shown as escapes.
            found = self._walk(self._hierarchies, location_matcher(location))
            if found:
                return self._only(found, "have this location")
        root = self.host.root.rstrip("/")
        points = [mount.path.removeprefix(root) for one in self._hierarchies for mount in one.mounts]
        hint = suggest(location.rpartition("/")[2], self._beside(location))
        hint = next((f"did you mean {point}?" for point in points if point.startswith(f"{location}/")), hint)
        raise self._missing("cgroup", "is at this location", hint or advise("tree"))

    def _beside(self, location: str) -> set[str]:
        """Return the names of a location's siblings, for a suggestion."""
        names: set[str] = set()
        above = location.rpartition("/")[0] or "/"
        with suppress(CgroupTimeout):
            for top in (hierarchy.at(above) for hierarchy in self._hierarchies):
                for node in descend(top, self._check, on_denied=self._count_denied) if top.exists else ():
                    if node.depth:
                        names.add(node.name)
                        node.skip()
                    if len(names) >= SUGGESTED_FROM:
                        return names
        return names

    def _at_directory(self, path: str) -> Node | None:
        """Return the cgroup of a directory, existing or not; None if no mount of cgroups shows the directory."""
        found: tuple[int, Tree[Node], Mount, str] | None = None
        root = self.host.root.rstrip("/")
        for hierarchy in self._hierarchies:
            for mount in hierarchy.mounts:
                for point in {mount.path, mount.path.removeprefix(root)}:
                    below = path.removeprefix(point) if f"{path}/".startswith(f"{point}/") else None
                    if below is not None and (found is None or len(point) > found[0]):
                        found = len(point), hierarchy, mount, below
        if found is None:
            return None
        _, hierarchy, mount, below = found
        return below_mount(hierarchy, mount, below)

    def _without_link(self, path: str) -> str:
        """Return a path without the link beside a mount point, such as ``cpu`` that leads to ``cpu,cpuacct``."""
        points = {mount.path for hierarchy in self._hierarchies for mount in hierarchy.mounts}
        root = self.host.root.rstrip("/")
        for point in points:
            beside = point.rpartition("/")[0]
            for above in {beside, beside.removeprefix(root)}:
                name, slash, below = path.removeprefix(f"{above}/").partition("/")
                if not path.startswith(f"{above}/"):
                    continue
                try:
                    target = os.readlink(f"{beside}/{name}")
                except OSError:
                    continue
                if f"{beside}/{target}" in points:
                    return f"{beside}/{target}{slash}{below}"
        return path

    def _trees(self) -> tuple[list[Tree[Node]], list[Tree[Node]]]:
        """Return the hierarchies that systemd tracks units in, and the others, starting with the controller's."""
        first = [one for one in self._hierarchies if rank(one) < 2]  # noqa: PLR2004 - unified, and systemd's
        rest = [one for one in self._hierarchies if one not in first]
        if self.controller is not None:
            wanted = self._wanted(self.controller)
            rest.sort(key=lambda one: one != wanted)
        return first, rest

    def _walk(
        self, trees: Iterable[Tree[Node]], match: Match, *, only_slices: bool = False, most: int = MOST
    ) -> dict[str, Node]:
        """Return the matching cgroups by location.  A location on several hierarchies counts once."""
        found: dict[str, Node] = {}
        try:
            for top in (hierarchy.root() for hierarchy in trees):
                for node in descend(top, self._check, on_denied=self._count_denied):
                    if node.depth >= DEEPEST or (only_slices and node.depth and not node.name.endswith(".slice")):
                        node.skip()
                    if len(self._seen) < SUGGESTED_FROM:
                        self._seen.add(node.name)
                    cgroup = reachable(node, top) if match(node, top) else None
                    if cgroup is not None:
                        found.setdefault(cgroup.location, cgroup)
                        if len(found) >= most:
                            return found
        except CgroupTimeout as error:
            known = f"found so far: {shortened(next(iter(found.values())))}" if found else None
            raise CgroupTimeout(error.message, errno=error.errno, hint=join_hints(known, error.hint)) from None
        return found

    def _check(self) -> None:
        if self._deadline.is_over:
            hint = "there are too many cgroups: give a location, such as /system.slice/ssh.service"
            self._deadline.check(self.tried, [self._hierarchies[0].root()], hint)

    def _count_denied(self) -> None:
        self._denied += 1

    def _only(self, found: dict[str, Node], are: str) -> Node:
        if len(found) > 1:
            raise self._ambiguous(list(found.values()), are)
        (location,) = found
        return self._at_location(location, is_shown=False)

    def _wanted(self, controller: str) -> Tree[Node]:
        hierarchy: Tree[Node] | None = self.host.hierarchy_of(controller)
        if hierarchy is None:
            what = f"has the controller {shown(controller)}" if controller else "is of version 2"
            raise SubsystemNotAvailable(f"{self.tried}: no mounted hierarchy {what}", hint=advise("mounted"))
        return hierarchy

    def _controllers(self) -> list[str]:
        return sorted({name for one in self._hierarchies for name in one.subsystems})

    def _elsewhere(self, missing: Node) -> CgroupNotFound:
        """Return the error for a cgroup that is missing on the controller's hierarchy."""
        there: list[Node] = []
        for hierarchy in self._hierarchies:
            with suppress(CgroupError):
                there += [one for one in [hierarchy.at(missing.location)] if one.exists]
        hint = f"it is on another hierarchy: {shortened(there[0])}" if there else advise("tree")
        reason = f"no directory {missing.path}" if missing.path else f"no mount shows {missing}"
        return CgroupNotFound(f"{self.tried} for {shown(self.controller)}: {reason}", path=missing.path, hint=hint)

    def _ambiguous(self, found: Sequence[Node], are: str) -> CgroupNotFound:
        count = f"{len(found)}{' or more' if len(found) >= MOST else ''}"
        more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
        hint = f"use one of {', '.join(map(shortened, found[:LISTED]))}{more}"
        return CgroupNotFound(f"cannot tell which cgroup {shown(self.text)} is: {count} {are}", hint=hint)

    def _missing(
        self, what: str, has: str, hint: str | None, trees: Sequence[Tree[Node]] | None = None
    ) -> CgroupNotFound:
        searched = list(self._hierarchies if trees is None else trees)
        if not searched:
            return CgroupNotFound(f"{self.tried}: no hierarchy is mounted", hint=advise("mounted"))
        heads = [f"{one.spec_head}:{one.root_location}" for one in searched[:3]]
        where = f"{', '.join(heads)}{f' and {len(searched) - 3} more' if len(searched) > 3 else ''}"  # noqa: PLR2004
        count = "1 directory" if self._denied == 1 else f"{self._denied} directories"
        denied = f"{count} may not be listed" if self._denied else None
        return CgroupNotFound(f"{self.tried}: no {what} of {where} {has}", hint=join_hints(denied, hint))
