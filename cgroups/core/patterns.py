"""Expand a pattern, such as ``memory:/jobs/*``, to the cgroups that match it.

A pattern is a spec, a location or a directory below a mount point with ``*``, ``?``
or ``[`` in a name.  As in :mod:`fnmatch`, ``*`` matches any text, ``?`` one character
and ``[ab]`` one of several characters, but none matches a slash.  The name ``**``
matches any number of levels, including zero.  ``[*]`` matches the character ``*``.

A subtree may belong to a hostile user: the search follows no link, starts below the
names without a wildcard, and is bounded by a deadline and a number of cgroups.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from .advice import advise
from .deadline import Deadline
from .descent import descend
from .errors import CgroupNotFound, InvalidValue, SubsystemNotAvailable, join_hints, printable, shown
from .name_search import DEEPEST
from .naming import FORMS, SEARCH_S, directory_of, is_spec
from .node import Node
from .ranks import by_rank, order
from .specs import PATH_MAX, parse_spec, split_path

if TYPE_CHECKING:
    from .tree import Tree
    from .trees import Trees

__all__ = ["MOST", "Found", "Pattern", "below", "expand", "is_pattern"]

N = TypeVar("N", bound="Node")

MOST: Final = 10_000
"""Maximum number of cgroups in a pattern or a subtree."""

_WILD: Final = re.compile(r"[*?[]")
_ANY: Final = "**"


def is_pattern(text: str) -> bool:
    """Return whether a text has a wildcard."""
    return _WILD.search(text) is not None


class Pattern:
    """The path of a pattern, matched against locations name by name.

    Args:
        path: for example ``/jobs/*/one``.

    Attributes:
        base: the location of the names before the first wildcard.

    Raises:
        InvalidValue: the path is not valid.
    """

    def __init__(self, path: str) -> None:
        names = split_path(path)
        literal = next((at for at, name in enumerate(names) if _WILD.search(name)), len(names))
        self.base = "/" + "/".join(names[:literal])
        self._count = literal
        self._names = [None if name == _ANY else re.compile(translate(name), re.DOTALL) for name in names]

    def start(self) -> frozenset[int]:
        """Return the state of the cgroup at the base: see :meth:`step`."""
        return self._closed({self._count})

    def step(self, state: Iterable[int], name: str) -> frozenset[int]:
        """Return the state of a child: the parts of the pattern that may match next."""
        following = set()
        for at in state:
            if at == len(self._names):
                continue
            part = self._names[at]
            if part is None:
                following.add(at)
            elif part.match(name):
                following.add(at + 1)
        return self._closed(following)

    def is_match(self, state: frozenset[int]) -> bool:
        """Return whether the cgroup of a state matches."""
        return len(self._names) in state

    def covers(self, location: str, depth: int | None = None) -> bool:
        """Return whether a cgroup matches, or is at most ``depth`` levels below one that does."""
        base = self.base.rstrip("/")
        if location != self.base and not location.startswith(f"{base}/"):
            return False
        names = [name for name in location[len(base) :].split("/") if name]
        state = self.start()
        for at, name in enumerate([*names, ""]):
            if self.is_match(state) and (depth is None or len(names) - at <= depth):
                return True
            state = self.step(state, name)
        return False

    def _closed(self, state: set[int]) -> frozenset[int]:
        # "**" also matches zero levels.
        for at in sorted(state):
            while at < len(self._names) and self._names[at] is None:
                at += 1  # noqa: PLW2901 - the next part
                state.add(at)
        return frozenset(state)


class Found(NamedTuple):
    """The matches of a pattern.

    Attributes:
        cgroups: the cgroups, parents first, sorted by name.
        is_bare: whether the pattern names no hierarchy, so that it matches locations.
        pattern: the path, compiled.
    """

    cgroups: list[Any]  # of the host's class
    is_bare: bool
    pattern: Pattern


def expand(
    host: Trees[Any, Any],
    text: str,
    controller: str | None = None,
    *,
    timeout: float | None = SEARCH_S,
    most: int = MOST,
) -> Found:
    """Return the cgroups that match a pattern.

    Args:
        host: the host to search.
        text: the pattern.
        controller: selects the hierarchy if the pattern names none; by default each location is on the first
            hierarchy that has it: the unified one, name=systemd, memory's.
        timeout: timeout of the search in seconds.
        most: maximum number of matches.

    Raises:
        CgroupNotFound: no cgroup matches, or the hierarchy is ambiguous.
        CgroupTimeout: the search timed out.
        InvalidValue: the text is not a pattern, or more cgroups match.
        SubsystemNotAvailable: no mounted hierarchy has the controller.
    """
    tried = f"cannot expand {shown(text)}"
    hierarchies, path, is_bare = _parsed(host, text, controller, tried)
    pattern = Pattern(path)
    search = _Search(tried, Deadline(timeout), most)
    found: dict[str, Node] = {}
    others: list[Tree[Node]] = []
    for hierarchy in hierarchies:
        is_first = by_rank(hierarchy)
        if found and not is_first:
            break
        matching = {one.location: one for one in search.matching(hierarchy, pattern)}
        if not is_first and matching:
            others.append(hierarchy)
            continue
        found = {**matching, **found}
        search.check_count(found)
    if not found and others:
        if len(others) > 1:
            named = ", ".join(f"{one.spec_head}:{path}" for one in others[:3])
            message = f"cannot tell which hierarchy {shown(text)} is on: {len(others)} have such cgroups"
            raise CgroupNotFound(message, hint=f"use one of {printable(named)}")
        found = {one.location: one for one in search.matching(others[0], pattern)}
    if not found:
        denied = f"{search.denied} directories may not be listed" if search.denied else None
        raise CgroupNotFound(f"{tried}: no cgroup matches", hint=join_hints(denied, advise("tree")))
    return Found(sorted(found.values(), key=lambda one: one.location.split("/")), is_bare, pattern)


def _parsed(
    host: Trees[Any, Any], text: str, controller: str | None, tried: str
) -> tuple[Sequence[Tree[Node]], str, bool]:
    """Return the hierarchies to match a pattern on, its path, and whether it names no hierarchy."""
    head, colon, path = text.partition(":")
    hierarchies = order(host.scan())
    if text.startswith("/"):
        path = "/" + "/".join(split_path(text))
        literal = path[: _first_wild(path)].rpartition("/")[0] or "/"
        below_mount = directory_of(host, literal)
        if below_mount is not None:
            return [below_mount.hierarchy], below_mount.location.rstrip("/") + path[len(literal.rstrip("/")) :], False
        if controller is None:
            return hierarchies, path, True
        hierarchy = host.hierarchy_of(controller)
        if hierarchy is None:
            message = f"{tried}: no mounted hierarchy has the controller {shown(controller)}"
            raise SubsystemNotAvailable(message, hint=advise("mounted"))
        return [hierarchy], path, True
    if not colon or head in FORMS or not is_spec(host, text):
        message = f"{tried}: a pattern must be a spec, a location or a directory"
        raise InvalidValue(message, hint="such as memory:/jobs/* or /**/*.service")
    if _WILD.search(head):
        message = f"{tried}: a controller must have no wildcard"
        raise InvalidValue(message, hint="such as memory:/jobs/*")
    parse_spec(text)
    top = host.find_exn(f"{head}:" if head else ":/")
    return [top.hierarchy], "/" + path.lstrip("/"), False


def _first_wild(path: str) -> int:
    match = _WILD.search(path)
    return len(path) if match is None else match.start()


class _Search:
    """A search within bounds.

    Attributes:
        denied: number of directories that could not be listed.
    """

    def __init__(self, tried: str, deadline: Deadline, most: int) -> None:
        self.denied = 0
        self._tried = tried
        self._deadline = deadline
        self._most = most

    def matching(self, hierarchy: Tree[Node], pattern: Pattern) -> Iterator[Node]:
        """Yield the matching cgroups of a hierarchy."""
        top, state = hierarchy.at(pattern.base), pattern.start()
        if top.path is None:
            # The mount may show only a lower part.
            base, top = pattern.base.rstrip("/"), hierarchy.root()
            if not top.location.startswith(f"{base}/"):
                return
            for name in top.location[len(base) + 1 :].split("/"):
                state = pattern.step(state, name)
        states = [state]
        count, check = 0, lambda: self._check(top)
        for node in descend(top, check, on_denied=self._count_denied):
            if node.above is not None:
                del states[node.depth :]
                states.append(pattern.step(states[-1], node.name))
            if not states[-1] or node.depth >= DEEPEST:
                node.skip()
            if pattern.is_match(states[-1]):
                cgroup = node.cgroup(top)
                if len(cgroup.location) < PATH_MAX:
                    count += 1
                    self.check_count(range(count))
                    yield cgroup

    def check_count(self, found: Sequence[object] | dict[str, Node]) -> None:
        """Raise InvalidValue if too many cgroups were found."""
        if len(found) > self._most:
            message = f"{self._tried}: more than {self._most} cgroups match"
            raise InvalidValue(message, hint="name fewer")

    def below(self, top: N) -> Iterator[N]:
        """Yield a cgroup and all its descendants."""
        for count, node in enumerate(descend(top, lambda: self._check(top), on_denied=self._count_denied), 1):
            if node.depth >= DEEPEST:
                node.skip()
            if count > self._most:
                message = f"{self._tried}: it has more than {self._most} cgroups"
                raise InvalidValue(message, path=top.path, hint="name a smaller subtree")
            cgroup = node.cgroup(top)
            if len(cgroup.location) < PATH_MAX:
                yield cgroup

    def _check(self, top: Node) -> None:
        self._deadline.check(self._tried, [top], "there are too many cgroups: name a smaller subtree")

    def _count_denied(self) -> None:
        self.denied += 1


def below(top: N, *, timeout: float | None = SEARCH_S, most: int = MOST) -> list[N]:
    """Return a cgroup and all its descendants, parents first; bounded, unlike :meth:`Cgroup.walk`.

    Raises:
        CgroupTimeout: listing the cgroups timed out.
        InvalidValue: the subtree has more than ``most`` cgroups.
    """
    return [*_Search(f"cannot list the cgroups below {top}", Deadline(timeout), most).below(top)]
