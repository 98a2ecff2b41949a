"""Names that people call cgroups by: what ``watch`` shows, and which cgroups a name is."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import AccessDenied, CgroupError, CgroupNotFound, shown
from ..hierarchy import Cgroup
from ..host import Host
from ..spec import split_path

__all__ = ["find_named", "name_of"]

LISTED = 12
"""How many candidates an error lists."""


def name_of(cgroup: Cgroup) -> str:
    """Return what people call a cgroup: ``ssh.service``, ``docker 4f0f5e1c9d2b``, else its location."""
    identity = cgroup.identity
    if identity is None:
        return cgroup.location
    return f"{identity.name}/{identity.below}" if identity.below else identity.name


def find_named(host: Host, word: str) -> Cgroup | None:
    """Return the one cgroup that a location or a name stands for, on whatever hierarchy; None if there is none.

    Args:
        host: where to look.
        word: ``/system.slice/ssh.service``; or ``ssh.service``, a name that ``watch`` shows.

    Raises:
        CgroupNotFound: several cgroups have the name; the hint lists them.
    """
    found = list(_at(host, word) if word.startswith("/") else _called(host, word))
    if len(found) > 1:
        message = f"cannot tell which cgroup {shown(word)} is: {len(found)} are called so"
        more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
        raise CgroupNotFound(message, hint=f"use one of {', '.join(map(str, found[:LISTED]))}{more}")
    return found[0] if found else None


def _at(host: Host, location: str) -> Iterator[Cgroup]:
    try:
        names = split_path(location)
    except CgroupError:
        return
    for hierarchy in host.scan():
        cgroup = Cgroup(hierarchy, "/" + "/".join(names))
        if cgroup.exists:
            yield cgroup


def _called(host: Host, word: str) -> Iterator[Cgroup]:
    for hierarchy in host.scan():
        try:
            yield from (one for one in hierarchy.root().walk() if word in (one.name, name_of(one)))
        except AccessDenied:
            continue  # what may not be listed is not found by name
