"""Match visited cgroups with a name: a unit, a name that the command shows, or a location."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .descent import Visit
from .errors import printable
from .node import Node
from .specs import PATH_MAX

__all__ = ["Match", "is_within", "location_matcher", "matcher", "name_at", "name_of", "reachable", "unit_matcher"]

Match = Callable[[Visit, Node], bool]
"""A function of a visited cgroup and the top of the search: it returns whether the cgroup has the name."""


def name_of(cgroup: Node) -> str:
    """Return the name to show for a cgroup: ``ssh.service``, ``docker 4f0f5e1c9d2b``, else its location."""
    return name_at(cgroup.location)


def name_at(location: str) -> str:
    """Return the name to show for the cgroup at a location."""
    from .identity import identify  # noqa: PLC0415 - the import compiles many patterns

    identity = identify(location)
    if identity is None:
        return location
    return f"{identity.name}/{identity.below}" if identity.below else identity.name


def unit_matcher(unit: str) -> Match:
    """Return a matcher of a unit's directories, whose names systemd may escape or begin with an underscore."""
    from .identity import unescape  # noqa: PLC0415 - the import compiles many patterns

    def match(node: Visit, _: Node) -> bool:
        name = node.name
        plain = name.removeprefix("_")
        return unit in (name, plain) or ("\\" in name and unescape(plain) == unit)

    return match


def matcher(text: str) -> Match:
    """Return a matcher of a name from ``tree`` (a directory's) or from ``watch``, such as ``docker 4f0f5e``."""
    last = text.rpartition("/")[2]
    by_identity = "/" in text or " " in text

    def match(node: Visit, top: Node) -> bool:
        name = printable(node.name)
        if text in (node.name, name):
            return True
        # Parse only locations that end in the same name.
        if not by_identity or not (last == name or "/" not in text or "\\" in name):
            return False
        cgroup = reachable(node, top)
        return cgroup is not None and printable(name_of(cgroup)) == printable(text)

    return match


def location_matcher(location: str) -> Match:
    """Return a matcher of the cgroup with this printed location."""
    last = location.rpartition("/")[2]

    def match(node: Visit, top: Node) -> bool:
        cgroup = reachable(node, top) if printable(node.name) == last else None
        return cgroup is not None and printable(cgroup.location) == location

    return match


def reachable(node: Visit, top: Node) -> Node | None:
    """Return the cgroup of a node; None if its location is too long for a spec."""
    length, at = len(top.location), node
    while at.above is not None:
        length += len(at.name) + 1
        if length >= PATH_MAX:
            return None
        at = at.above
    return node.cgroup(top)


def is_within(cgroup: Node, others: Iterable[Node]) -> bool:
    """Return whether a container's cgroup lies within another cgroup of the same container."""
    identity = cgroup.identity
    return any(
        cgroup.location.startswith(f"{one.location}/")
        and one.identity
        and identity
        and one.identity.container == identity.container
        for one in others
    )
