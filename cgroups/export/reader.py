"""Read the numbers of the selected cgroups: one frame of each hierarchy for each scrape."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Final, NamedTuple

from ..core.advice import advise
from ..core.closing import Closing
from ..core.errors import CgroupNotFound, InvalidValue, shown
from ..core.identity import identify
from ..core.seconds import NS_PER_S
from ..parameters.registry import huge_page_sizes
from .numbers import DEFAULT, FAMILIES, NUMBERS, huge_pages
from .subtrees import Part, Points, Subtree, subtrees

if TYPE_CHECKING:
    from ..core.values import Identity
    from .selection import Selection

__all__ = ["Reader", "Readings"]

_GREATEST: Final = frozenset({"start_time", "tree.processes"})
"""Numbers of which the greatest of all hierarchies counts; of the others, that of the first hierarchy."""

_readers: weakref.WeakSet[Reader] = weakref.WeakSet()


class Readings(NamedTuple):
    """The result of one scrape.

    Attributes:
        points: by number, its values.
        identities: by the label of each cgroup, its identity.
        time_ns: CLOCK_MONOTONIC time of the scrape, in nanoseconds.
        seconds: duration of the scrape.
        errors: by the name of an errno, the cells that could not be read since the start of the reader.
    """

    points: Mapping[str, Sequence[Points]]
    identities: Mapping[str, Identity | None]
    time_ns: int
    seconds: float
    errors: Mapping[str, int]


class Reader(Closing):
    """A reader of the numbers of selected cgroups.  Safe to use from any thread, and in a forked child.

    Args:
        selection: the cgroups.
        families: the families of numbers to read, such as ``cpu``; see :data:`FAMILIES`.
        leaves: whether to leave out cgroups that have a selected cgroup below.
        only: the numbers to read; None for all of the families.

    Raises:
        CgroupNotFound: no hierarchy that has any of the numbers shows the cgroups.
        InvalidValue: a family is unknown.
    """

    def __init__(
        self,
        selection: Selection,
        families: Iterable[str] = DEFAULT,
        *,
        leaves: bool = False,
        only: Iterable[str] | None = None,
    ) -> None:
        families, wanted = _check(families), None if only is None else frozenset(only)
        self._leaves = leaves
        self._errors: Counter[str] = Counter()
        self._identities: dict[str, Identity | None] = {}
        directory = selection.host.system_path("sys/kernel/mm/hugepages")
        sizes = huge_page_sizes(directory) if "hugetlb" in families else []
        numbers = {**NUMBERS, **huge_pages(sizes)}
        self._subtrees: list[Subtree] | None = [
            *subtrees(
                selection,
                {
                    name: number
                    for name, number in numbers.items()
                    if number.family in families and (wanted is None or name in wanted)
                },
            )
        ]
        if not self._subtrees:
            message = "no hierarchy that has the numbers of these families shows the cgroups"
            raise CgroupNotFound(message, hint=advise("mounted"))
        self.start_again()
        _readers.add(self)

    def start_again(self) -> None:
        """Start with a new lock: in a forked child, another thread of the parent may have held the old one."""
        self._lock = threading.Lock()

    def read(self) -> Readings:
        """Return the current numbers of all selected cgroups that exist.

        Raises:
            ValueError: the reader is closed.
        """
        began = time.monotonic_ns()
        points: dict[str, list[Points]] = {}
        with self._lock:
            if self._subtrees is None:
                message = "the collector is closed"
                raise ValueError(message)
            parts = [(subtree, subtree.parts()) for subtree in self._subtrees]
            if self._leaves:
                _leave_out_inner([part for _, several in parts for part in several])
            labels = {
                label: None for _, several in parts for part in several for label in part.shown if label is not None
            }
            kept = self._identities
            self._identities = {label: kept[label] if label in kept else identify(label) for label in labels}
            for subtree, several in parts:
                for part in several:
                    _extend(points, part.points())
                    self._errors.update(part.errors())
                _extend(points, {"start_time": [subtree.start_times(several)]})
            errors, identities = dict(self._errors), self._identities
        return Readings(points, identities, began, (time.monotonic_ns() - began) / NS_PER_S, errors)

    def close(self) -> None:
        """Close the files and end the watches."""
        with self._lock:
            for subtree in self._subtrees or ():
                subtree.close()
            self._subtrees = None


def _leave_out_inner(parts: Sequence[Part]) -> None:
    """Leave out each cgroup that has another below, on any hierarchy."""
    above: set[str] = set()
    for label in {label for part in parts for label in part.shown if label is not None and label != "/"}:
        while label and (label := label.rpartition("/")[0]) not in above:
            above.add(label)
    inner = frozenset(label or "/" for label in above)
    for part in parts:
        part.leave_out(inner)


def _extend(points: dict[str, list[Points]], more: Mapping[str, list[Points]]) -> None:
    """Add the points of another hierarchy, for the cgroups that have none yet."""
    for name, new in more.items():
        if name not in points:
            points[name] = new
        elif name in _GREATEST:
            greatest: dict[str, float] = {}
            for one in (*points[name], *new):
                for cgroup, value in zip(one.cgroups, one.values):
                    greatest[cgroup] = max(value, greatest.get(cgroup, value))
            points[name] = [Points({}, [*greatest], [*greatest.values()])]
        else:
            have = {cgroup for one in points[name] for cgroup in one.cgroups}
            points[name] += [_without(one, have) if have else one for one in new]


def _without(points: Points, have: set[str]) -> Points:
    chosen = [cgroup not in have for cgroup in points.cgroups]
    return Points(points.labels, [*compress(points.cgroups, chosen)], [*compress(points.values, chosen)])


def _check(families: Iterable[str]) -> frozenset[str]:
    found = frozenset(families)
    for family in found:
        if family not in FAMILIES:
            message = f"family must be one of {', '.join(FAMILIES)}, got {shown(family)}"
            raise InvalidValue(message)
    return found


def _start_again_in_child() -> None:
    for reader in _readers:
        reader.start_again()


os.register_at_fork(after_in_child=_start_again_in_child)
