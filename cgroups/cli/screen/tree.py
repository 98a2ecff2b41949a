"""The rows of the table: a tree of cgroups with folding and sums, a filter and an order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar

from ..common.activity import CgroupUsage, nearest_above
from ..common.columns import Column
from .history import Look

__all__ = ["ADDITIVE", "Row", "Tree", "View", "busiest_first", "by_location", "outermost", "total"]

ADDITIVE: Final = (
    *("cpu", "memory", "working_set", "swap", "pids"),
    *("read_bytes", "write_bytes", "reads", "writes"),
)
"""Figures of a cgroup that are the sum of its children's figures if the kernel does not count them for the cgroup."""


T = TypeVar("T")


class Row(NamedTuple):
    """A cgroup of the table.

    Attributes:
        usage: its usage.
        label: its name, the last one of its location in a tree.
        depth: the number of ancestors above it in the table.
        mark: '' without children, '-' if its children are rows too, '+' if it is folded.
        is_match: whether the filter matches; other rows are ancestors of a match.
        sums: the figures that are sums of the children's figures.
    """

    usage: CgroupUsage
    label: str
    depth: int = 0
    mark: str = ""
    is_match: bool = True
    sums: frozenset[str] = frozenset()


@dataclass
class View:
    """The choices of the user: order, filter, and folded cgroups."""

    key: Callable[[CgroupUsage], Any]
    """The key to sort by: the smallest first.  Rows whose key is None come last in either order."""
    is_reversed: bool = False
    is_tree: bool = True
    text: str = ""
    """The filter: words that all must be in the name or the location of a cgroup, in any case."""
    folded: set[str] = field(default_factory=set)
    """The locations of cgroups whose descendants are hidden."""

    def ordered(self, found: Iterable[T], usage_of: Callable[[T], CgroupUsage]) -> list[T]:
        """Return what belongs to usages, in the order of their keys."""
        keys = [(self.key(usage_of(one)), one) for one in found]
        known = sorted((pair for pair in keys if pair[0] is not None), key=itemgetter(0), reverse=self.is_reversed)
        return [one for _, one in known] + [one for key, one in keys if key is None]

    def matches(self, usage: CgroupUsage) -> bool:
        where = f"{usage.location} {usage.name}".lower()
        return all(word in where for word in self.text.lower().split())


class Tree:
    """The cgroups of looks as a tree, whose structure is kept while the set of cgroups stays the same."""

    def __init__(self) -> None:
        self._locations: Any = None
        self._children: dict[str, list[str]] = {}
        self._roots: list[str] = []
        self._inner: list[str] = []

    def rows(self, look: Look, view: View) -> list[Row]:
        """Return the rows of a look, in the order of the table."""
        self._build(look.usages)
        usages, sums = self._with_sums(look.usages)
        if not view.is_tree:
            found = [Row(one, one.name, sums=sums.get(place, _NONE)) for place, one in usages.items()]
            found = [row for row in found if view.matches(row.usage)] if view.text else found
            return view.ordered(found, lambda row: row.usage)
        wanted = self._wanted(usages, view) if view.text else None
        return [*self._walk(usages, sums, view, wanted)]

    def _build(self, usages: Mapping[str, CgroupUsage]) -> None:
        if self._locations == usages.keys():
            return
        self._locations = {*usages}
        self._children, self._roots = {}, []
        for location in usages:
            parent = nearest_above(location, usages)
            if parent is None:
                self._roots.append(location)
            else:
                self._children.setdefault(parent, []).append(location)
        self._inner = sorted(self._children, key=lambda one: (one.rstrip("/").count("/"), one))

    def _with_sums(
        self, usages: Mapping[str, CgroupUsage]
    ) -> tuple[Mapping[str, CgroupUsage], dict[str, frozenset[str]]]:
        """Return the usages with the sums that the kernel lacks, and the names of these figures by location."""
        filled = dict(usages)
        sums: dict[str, frozenset[str]] = {}
        for location in reversed(self._inner):  # children first
            own = filled[location]
            lacking = [name for name in ADDITIVE if getattr(own, name) is None]
            children = [filled[one] for one in self._children[location]] if lacking else []
            found = {name: total(children, name) for name in lacking}
            found = {name: number for name, number in found.items() if number is not None}
            if found:
                filled[location] = own._replace(**found)
                sums[location] = frozenset(found)
        return filled, sums

    def _wanted(self, usages: Mapping[str, CgroupUsage], view: View) -> dict[str, bool]:
        """Return the cgroups that match the filter (True), and their ancestors (False)."""
        wanted = {place: True for place, one in usages.items() if view.matches(one)}
        for place in [*wanted]:
            above = nearest_above(place, usages)
            while above is not None and above not in wanted:
                wanted[above] = False
                above = nearest_above(above, usages)
        return wanted

    def _walk(
        self,
        usages: Mapping[str, CgroupUsage],
        sums: Mapping[str, frozenset[str]],
        view: View,
        wanted: Mapping[str, bool] | None,
    ) -> Iterator[Row]:
        """Yield the rows depth first.  A loop, because a tree of cgroups may be deeper than the recursion limit."""

        def ordered(places: list[str]) -> list[str]:
            found = places if wanted is None else [one for one in places if one in wanted]
            found = view.ordered(found, usages.__getitem__)
            found.reverse()  # the last one is taken from the stack first
            return found

        waiting = [(place, 0) for place in ordered(self._roots)]
        while waiting:
            place, depth = waiting.pop()
            usage = usages[place]
            below = self._children.get(place, [])
            is_folded = place in view.folded and wanted is None  # a filter looks into folded cgroups too
            mark = ("+" if is_folded else "-") if below else ""
            is_match = wanted is None or wanted[place]
            yield Row(usage, _label(usage, depth), depth, mark, is_match, sums.get(place, _NONE))
            if not is_folded:
                waiting += [(one, depth + 1) for one in ordered(below)]


_NONE: Final[frozenset[str]] = frozenset()


def _label(usage: CgroupUsage, depth: int) -> str:
    """Return the name of a row: that of a unit or a container, else the last name of the location."""
    if depth == 0 or usage.name != usage.location:
        return usage.name
    return usage.location.rpartition("/")[2]


def total(usages: list[CgroupUsage], name: str) -> Any:
    """Return the sum of a figure; None if no cgroup has it."""
    found = [number for one in usages if (number := getattr(one, name)) is not None]
    return sum(found) if found else None


def outermost(rows: list[Row]) -> list[CgroupUsage]:
    """Return the usages of matching rows without those below another match, whose figures include them."""
    matching = {row.usage.location: row.usage for row in rows if row.is_match}
    return [one for place, one in matching.items() if nearest_above(place, matching) is None]


def by_location(usage: CgroupUsage) -> Any:
    """Return the sort key of the order of names."""
    return usage.location


def busiest_first(column: Column) -> Callable[[CgroupUsage], Any]:
    """Return a sort key: the greatest numbers first, names from A to Z; None for a missing number."""

    def key(usage: CgroupUsage) -> Any:
        number = column.number(usage)
        return number if number is None or isinstance(number, str) else -float(number)

    return key
