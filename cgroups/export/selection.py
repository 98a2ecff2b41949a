"""The cgroups to export: subtrees by specs and patterns, and what is left out of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import CgroupNotFound, InvalidValue, shown, visible
from ..hierarchy import Cgroup
from ..named import Named

if TYPE_CHECKING:
    from ..hierarchy import Hierarchy, Host

__all__ = ["Selection"]


class Selection:
    """A choice of cgroups.

    Args:
        host: the host.
        specs: the cgroups, each with all below: specs, names or patterns; none for all cgroups.
        depth: number of levels below; None for all.
        include: a regular expression; only cgroups whose path or identity matches are included.
        exclude: a regular expression; cgroups whose path or identity matches are left out.

    Raises:
        CgroupNotFound: a cgroup of the specs does not exist.
        InvalidValue: a spec, the depth or a regular expression is not valid.
    """

    def __init__(
        self,
        host: Host,
        specs: Sequence[str] = (),
        *,
        depth: int | None = None,
        include: str | None = None,
        exclude: str | None = None,
    ) -> None:
        self.host = host
        self.depth = depth
        self._include, self._exclude = _compiled("include", include), _compiled("exclude", exclude)
        self._named = Named(host, specs)
        self._spec = specs[0] if len(specs) == 1 and not self._named.is_choice else None

    @property
    def follow_depth(self) -> int | None:
        """The depth below the top; None if each of several specs counts from its own."""
        return None if self._named.is_choice else self.depth

    def top_on(self, hierarchy: Hierarchy) -> Cgroup | None:
        """Return the top of the subtree on a hierarchy; None if no mount shows it there."""
        top = self._named.top
        if top is None:
            return hierarchy.root()
        on_it = top if hierarchy == top.hierarchy else self._on_another(hierarchy, top)
        return on_it if on_it is not None and on_it.path is not None else None

    def _on_another(self, hierarchy: Hierarchy, top: Cgroup) -> Cgroup | None:
        """Return the same cgroup of another hierarchy.

        A process may be at another location there.  If it is in the root there, None: the numbers of the root are
        those of the machine.
        """
        if self._spec is not None:
            name = hierarchy.subsystems[0] if hierarchy.subsystems else ""
            try:
                found = self.host.resolve(self._spec, name)
            except CgroupNotFound:
                found = top
            if found.hierarchy == hierarchy:
                return None if found.is_root and not top.is_root else found
        return Cgroup(hierarchy, top.location)

    def is_wanted(self, cgroup: Any) -> bool:
        """Return whether a cgroup of the subtree is included."""
        if not self._named.covers(cgroup.location, self.depth):
            return False
        if self._include is None and self._exclude is None:
            return True
        texts = [visible(cgroup.location), *_identity_texts(cgroup)]
        if self._include is not None and not any(map(self._include.search, texts)):
            return False
        return self._exclude is None or not any(map(self._exclude.search, texts))


def _identity_texts(cgroup: Any) -> list[str]:
    identity = cgroup.identity
    return [] if identity is None else [visible(str(field)) for field in identity if field]


def _compiled(name: str, text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        return re.compile(text)
    except (re.error, TypeError) as error:
        message = f"{name} must be a regular expression, got {shown(text)}: {error}"
        raise InvalidValue(message) from None
