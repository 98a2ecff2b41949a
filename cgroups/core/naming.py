"""Find the cgroup that a text names: a unit, a process, a container, a location, a directory, an id or a spec.

Names are looked up in the trees of cgroups.  No daemon is asked.  A subtree may
belong to a hostile user.  A search therefore never follows a symbolic link,
skips cgroups too deep for any spec, and ends at its deadline.  Every
search looks for system units first, through slices only: no user can hide or fake such units.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .advice import advise
from .deadline import Deadline
from .descent import Visit
from .errors import (
    CgroupNotFound,
    InvalidValue,
    ProcessNotFound,
    SubsystemNotAvailable,
    shown,
)
from .handles import by_handle
from .name_matches import is_within, matcher, reachable, unit_matcher
from .name_search import Search
from .name_texts import suggest
from .node import PID_MAX, Node
from .ranks import rank
from .specs import CONTROLLERS, PATH_MAX, parse_spec, split_path

if TYPE_CHECKING:
    from .trees import Trees

__all__ = [
    "FORMS",
    "ID_MAX",
    "SEARCH_S",
    "N",
    "directory_of",
    "is_spec",
    "is_unit",
    "resolve",
]

N = TypeVar("N", bound="Node")

SEARCH_S: Final = 5.0
"""Default timeout of a search in seconds."""

FORMS: Final = ("pid", "container", "id")
"""Words before the colon of a name that are not controllers."""

ID_MAX: Final = (1 << 64) - 1
"""The greatest cgroup id: ids have 64 bits."""

_UNIT: Final = re.compile(r"[^/]+\.(?:service|scope|slice|socket|mount|swap)")
_OTHER_UNIT: Final = re.compile(r"[^/]+\.(?:timer|target|path|device|automount)")
_CONTAINER: Final = re.compile(r"[0-9a-f]{4}[0-9a-f-]*")


def resolve(host: Trees[Any, N], text: str, controller: str | None = None, timeout: float | None = SEARCH_S) -> N:
    """Return the one cgroup that a text names.  :meth:`Host.resolve` documents the forms and the errors."""
    if not isinstance(text, str):
        parse_spec(text)  # InvalidValue
    if controller is not None and not isinstance(controller, str):
        message = f"controller must be a name or None, got {shown(controller)}"
        raise InvalidValue(message)
    found: N = _found(host, text, _Forms(host, text, controller, Deadline(timeout)))
    return found


def _found(host: Trees[Any, Any], text: str, search: _Forms) -> Any:
    head, colon, rest = text.partition(":")
    if text == ".":
        return search.choose(host.cgroups_of(), "this process")
    if text.isascii() and text.isdigit():
        return search.of_process(text)
    if text.startswith("/"):
        return search.at_path()
    if colon and head in FORMS:
        return {"pid": search.of_process, "container": search.of_container, "id": search.with_id}[head](rest)
    return host.find_exn(text) if is_spec(host, text) else search.named()


def is_unit(text: str) -> bool:
    """Return whether a text has the form of a unit's name, such as ``ssh.service``."""
    return _UNIT.fullmatch(text) is not None


def is_spec(host: Trees[Any, Any], text: str) -> bool:
    """Return whether a text must be a spec, valid or not: it begins with a controller, or it cannot be a name."""
    head, colon, rest = text.partition(":")
    if not head or head.startswith("name=") or "\0" in text or "\n" in text:
        return True
    if any(name in CONTROLLERS or host.hierarchy_of(name) is not None for name in head.split(",") if name):
        return True
    # A unit's name may contain colons: dbus-:1.2-org.example@0.service.
    return bool(colon) and (rest.startswith("/") or not (_UNIT.match(text) or " " in text))


def directory_of(host: Trees[Any, N], path: str) -> N | None:
    """Return the cgroup of a directory, existing or not; None if no mount of cgroups shows the directory."""
    search: Any = _Forms(host, path, None, Deadline(None))
    found: N | None = search.at_directory(path)
    return found


class _Forms(Search):
    """The forms of a name: a process, a container, an id, a path, a unit."""

    # ---- forms ---------------------------------------------------------------------------

    def of_process(self, word: str) -> Node:
        """Return the cgroup of a process."""
        if not (word.isascii() and word.isdigit() and len(word) <= len(str(PID_MAX)) and 0 < int(word) <= PID_MAX):
            message = f"{self.tried}: process id must be a number from 1 to {PID_MAX}"
            raise InvalidValue(message)
        who = f"process {int(word)}"
        try:
            return self.choose(self.host.process_info(int(word)), who)
        except ProcessNotFound as error:
            message = f"cannot find the cgroup of {who}: {self.host.system_path('proc')} has no such process"
            raise ProcessNotFound(message, path=error.path, errno=error.errno) from None

    def choose(self, cgroups: Iterable[Node], who: str) -> Node:
        """Return a process's cgroup: the controller's, else the first by rank, preferring one that is not a root."""
        cgroups = sorted(cgroups, key=lambda one: rank(one.hierarchy))
        if self.controller is not None:
            hierarchy = self._wanted(self.controller)
            cgroups = [one for one in cgroups if one.hierarchy == hierarchy]
        there = [one for one in cgroups if one.exists]
        for one in there:
            if not one.is_root:
                return one
        if there:
            return there[0]
        where = "" if self.controller is None else f" for {shown(self.controller)}"
        tried = f"cannot find the cgroup of {who}{where}"
        if not cgroups:
            raise CgroupNotFound(
                f"{tried}: its /proc/PID/cgroup is missing or does not list it", hint=advise("mounted")
            )
        first = cgroups[0]
        reason = f"no mount shows {first}" if first.path is None else f"{first} was removed"
        raise CgroupNotFound(f"{tried}: {reason}", path=first.path)

    def at_path(self) -> Node:
        """Return the cgroup of a directory below a mount point, or the one at a location."""
        path = "/" + "/".join(split_path(self.text))
        cgroup = self.at_directory(path)
        if cgroup is None:
            return self._at_location(path)
        if cgroup.exists:
            return cgroup
        if os.path.isfile(cgroup.path or ""):
            message = f"cannot find cgroup {cgroup.path}: it is a control file"
            raise CgroupNotFound(message, path=cgroup.path, hint=f"its cgroup is {cgroup.parent}")
        message = f"cannot find {cgroup}: no cgroup has the directory {cgroup.path}"
        raise CgroupNotFound(message, path=cgroup.path, hint=advise("create", cgroup=cgroup))

    def at_directory(self, path: str) -> Node | None:
        """Return the cgroup of a directory, existing or not; None if no mount of cgroups shows the directory."""
        return self._at_directory(path) or self._at_directory(self._without_link(path))

    def of_container(self, word: str) -> Node:
        """Return the cgroup of the container whose id begins with the given digits."""
        prefix = word.rstrip("…").lower()
        if not _CONTAINER.fullmatch(prefix):
            message = f"{self.tried}: container id must begin with at least 4 hexadecimal digits"
            raise InvalidValue(message)

        def match(node: Visit, top: Node) -> bool:
            # Parse the path only if the name contains the id.
            cgroup = reachable(node, top) if prefix in node.name else None
            identity = None if cgroup is None else cgroup.identity
            return (
                identity is not None
                and identity.kind == "container"
                and not identity.below
                and (identity.container or "").startswith(prefix)
            )

        first, rest = self._trees()
        for trees in (first, rest):
            found = self._walk(trees, match)
            # Podman's payload is a container's cgroup within the same container's cgroup.
            outer = {at: one for at, one in found.items() if not is_within(one, found.values())}
            if outer:
                return self._only(outer, "have an id with this prefix")
        raise self._missing("container", "has an id with this prefix", advise("tree"))

    def with_id(self, word: str) -> Node:
        """Return the v2 cgroup with an id, the inode of the cgroup's directory."""
        if not (word.isascii() and word.isdigit() and len(word) <= len(str(ID_MAX)) and 0 < int(word) <= ID_MAX):
            message = f"{self.tried}: cgroup id must be a number from 1 to 2^64 - 1"
            raise InvalidValue(message)
        number = int(word)
        unified = self.host.hierarchy_of("")
        if unified is None:
            message = f"{self.tried}: only cgroups of v2 have an id, and no cgroup2 file system is mounted"
            raise SubsystemNotAvailable(message, hint=advise("mounted"))
        cgroup = by_handle(unified, number)
        if cgroup is not None:
            return cgroup
        for found in self._walk([unified], lambda node, _: node.identity[1] == number, most=1).values():
            return found
        raise self._missing("cgroup", "has this id", advise("tree"), [unified])

    def named(self) -> Node:
        """Return the cgroup of a unit, or the one that ``watch`` or ``tree`` shows under a name."""
        text = self.text
        if len(text) >= PATH_MAX:
            message = f"{self.tried}: name must have at most {PATH_MAX - 1} characters, got {len(text)}"
            raise InvalidValue(message)
        if text == "-.slice":
            return self._at_location("/")
        if "/" in text:
            location = "/" + "/".join(split_path(text))
            if any(hierarchy.at(location).exists for hierarchy in self._hierarchies):
                return self._at_location(location)
        first, rest = self._trees()
        if _UNIT.fullmatch(text):
            # A path of slices belongs to root: users' cgroups are below a service or a scope.
            for trees, slices in ((first, True), (rest, True), (first, False), (rest, False)):
                found = self._walk(trees, unit_matcher(text), only_slices=slices)
                if found:
                    return self._only(found, "have this name")
        else:
            wanted = [] if self.controller is None else [self._wanted(self.controller)]
            for trees in (wanted, [one for one in first + rest if one not in wanted]):
                found = self._walk(trees, matcher(text))
                if found:
                    return self._only(found, "have this name")
        hint: str | None = f"did you mean {text}.service?" if f"{text}.service" in self._seen else None
        if _OTHER_UNIT.fullmatch(text):
            hint = "units of this kind have no cgroup: name the service"
        near = hint or suggest(text, {*self._controllers(), *self._seen})
        raise self._missing("cgroup", "has this name", near or advise("tree"))

    # ---- errors ----------------------------------------------------------------------------
