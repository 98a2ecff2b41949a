"""One hierarchy of a scrape: its samplers, and the numbers of their frames as points."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core import diagnosis
from ..core.errors import CgroupError, visible
from ..core.interface import Cell, Version
from ..observe.columns import has_numbers
from ..observe.sampler import Sampler
from ..parameters import Memory, Parameters
from .evaluate import Planned, Series, Table, plan
from .labels import device_name, start_time
from .numbers import READ, Number

if TYPE_CHECKING:
    from ..hierarchy import Cgroup, Hierarchy, Host
    from ..observe.frames import Frame
    from ..parameters.kinds import Readable
    from .selection import Selection

__all__ = ["Part", "Points", "Subtree", "subtrees"]


class Points(NamedTuple):
    """Values of a number that share their labels.

    Attributes:
        labels: the labels besides the cgroup, such as the device.
        cgroups: the label of each cgroup.
        values: the value of each cgroup, in the exported unit.
    """

    labels: Mapping[str, str]
    cgroups: Sequence[str]
    values: Sequence[float]


def subtrees(selection: Selection, numbers: Mapping[str, Number]) -> Iterator[Subtree]:
    """Yield the subtree of each hierarchy that has numbers.  On hybrid hosts the unified hierarchy is the last."""
    for hierarchy, those in _hierarchies(selection.host, numbers).items():
        top = selection.top_on(hierarchy)
        sampled = _sampled(those.values(), hierarchy)
        read = {name: one for name, one in _read(those).items() if _is_on(one.sources[0].terms[0][0], hierarchy)}
        if top is not None and (sampled or read):
            yield Subtree(selection, top, sampled, those, read)


def _hierarchies(host: Host, numbers: Mapping[str, Number]) -> dict[Hierarchy, dict[str, Number]]:
    """Return the hierarchies of the numbers' controllers; a number without a controller is on all of these."""
    found: dict[Hierarchy, dict[str, Number]] = {}
    for name, number in numbers.items():
        for controller in {term[0].controller for source in number.sources for term in source.terms} - {""}:
            hierarchy = host.hierarchy_of(controller)
            if hierarchy is not None:
                found.setdefault(hierarchy, {})[name] = number
    unified = host.hierarchy_of("")
    if unified is not None:
        found.pop(unified, None)
        found[unified] = {}
    for hierarchy in found or host.scan():
        everywhere = numbers if hierarchy == unified else {name: numbers[name] for name in _everywhere(numbers)}
        found.setdefault(hierarchy, {}).update(everywhere)
    return found


def _everywhere(numbers: Mapping[str, Number]) -> list[str]:
    return [name for name, number in numbers.items() if not number.sources[0].terms[0][0].controller]


def _sampled(numbers: Iterable[Number], hierarchy: Hierarchy) -> list[Readable[Any]]:
    """Return the parameters to sample on a hierarchy."""
    sources = chain.from_iterable(number.sources for number in numbers)
    terms = chain.from_iterable(source.terms for source in sources if source.combine not in READ)
    parameters = dict.fromkeys(term[0] for term in terms)
    return [one for one in parameters if has_numbers(one, hierarchy.version) and _is_on(one, hierarchy)]


def _read(numbers: Mapping[str, Number]) -> dict[str, Number]:
    """Return the numbers that are read cgroup by cgroup."""
    return {
        name: number._replace(sources=(source,))
        for name, number in numbers.items()
        for source in number.sources
        if source.combine in READ
    }


def _is_on(parameter: Readable[Any], hierarchy: Hierarchy) -> bool:
    """Return whether a hierarchy may have a parameter.  Pressure and cpu.stat of v2 need no controller."""
    if not parameter.files(hierarchy.version):
        return False
    return hierarchy.version == Version.V2 or not parameter.controller or hierarchy.has(parameter.controller)


class Subtree:
    """The selected cgroups of one hierarchy.

    Args:
        selection: the cgroups.
        top: the top on this hierarchy.
        parameters: the parameters to sample.
        numbers: the numbers to evaluate.
        read: the numbers to read cgroup by cgroup.
    """

    def __init__(
        self,
        selection: Selection,
        top: Cgroup,
        parameters: Sequence[Readable[Any]],
        numbers: Mapping[str, Number],
        read: Mapping[str, Number],
    ) -> None:
        self._selection, self._top, self._parameters = selection, top, parameters
        self._numbers, self._read = numbers, read
        # memory.stat of the true root counts every page of the machine, which takes long.
        self._is_top_apart = top.is_root and not diagnosis.is_below_top(top)
        self._births: dict[int, float] = {}
        self._plans: dict[Any, dict[str, Planned]] = {}
        self._samplers = self._start()

    def _start(self) -> list[Sampler[Any]]:
        top, is_wanted = self._top, self._selection.is_wanted
        name = "?*" if self._is_top_apart else "*"  # the name of a root is empty
        depth = self._selection.follow_depth
        with ExitStack() as undo:
            samplers = [Sampler.follow(top, self._parameters, name=name, depth=depth, where=is_wanted)]
            undo.callback(samplers[0].close)
            if self._is_top_apart and is_wanted(top):
                samplers.insert(0, Sampler([top], [one for one in self._parameters if one is not Memory.stat]))
            undo.pop_all()
        return samplers

    def parts(self) -> list[Part]:
        """Read a frame of each sampler.  A device that was used for the first time gets columns for the next frame."""
        parts = [Part(sampler.sample(), self._plan, self._read) for sampler in self._samplers]
        if any(part.table.frame.uncounted != frozenset() for part in parts) and any(
            sampler.new_keys for sampler in self._samplers
        ):
            old, self._samplers = self._samplers, self._start()
            self._plans.clear()
            for sampler in old:
                sampler.close()
        return parts

    def _plan(self, columns: tuple[Any, ...]) -> dict[str, Planned]:
        if columns not in self._plans:
            name_of = partial(device_name, self._selection.host.system_path("sys/dev/block"))
            planned = {name: plan(number, columns, name_of) for name, number in self._numbers.items()}
            self._plans[columns] = {name: one for name, one in planned.items() if one is not None}
        return self._plans[columns]

    def start_times(self, parts: Iterable[Part]) -> Points:
        """Return when each cgroup was created."""
        births: dict[int, float] = {}
        shown: dict[str, float] = {}
        for part in parts:
            frame = part.table.frame
            for cgroup, inode, label in zip(frame.cgroups, frame.inodes.tolist(), part.shown):
                born = self._births.get(inode) or start_time(cgroup)
                if born is not None and inode:
                    births[inode] = born
                    if label is not None:
                        shown[label] = born
        self._births = births
        return Points({}, [*shown], [*shown.values()])

    def close(self) -> None:
        """Close the files and end the watches."""
        for sampler in self._samplers:
            sampler.close()


class Part:
    """One frame of a subtree.

    Attributes:
        table: the frame.
        shown: the label of each row; None for a row that is left out.
    """

    def __init__(
        self,
        frame: Frame[Cgroup],
        plans: Callable[[tuple[Any, ...]], dict[str, Planned]],
        read: Mapping[str, Number],
    ) -> None:
        self.table = Table(frame)
        self.shown = self._labels()
        self._planned, self._read = plans(frame.columns), read

    def _labels(self) -> list[str | None]:
        """Return the label of each row; None for a cgroup that is gone, or has the label of another."""
        seen: set[str] = set()
        labels: list[str | None] = []
        for cgroup, is_gone in zip(self.table.frame.cgroups, self.table.gone()):
            label = visible(cgroup.location)
            labels.append(None if is_gone or label in seen else label)
            seen.add(label)
        return labels

    def leave_out(self, labels: frozenset[str]) -> None:
        """Leave out the rows of these labels."""
        self.shown = [None if label in labels else label for label in self.shown]

    def points(self) -> dict[str, list[Points]]:
        """Return the values of each number."""
        found = {
            name: [self._labelled(series) for series in planned.function(self.table, planned)]
            for name, planned in self._planned.items()
        }
        return {**found, **{name: [self._looked_up(number)] for name, number in self._read.items()}}

    def _labelled(self, series: Series) -> Points:
        rows, values = series.column
        cgroups = [self.shown[row] for row in rows]
        if None in cgroups:
            values = [value for value, cgroup in zip(values, cgroups) if cgroup is not None]
        return Points(series.labels, [cgroup for cgroup in cgroups if cgroup is not None], values)

    def _looked_up(self, number: Number) -> Points:
        ((((parameter, _),), combine),) = number.sources
        found: dict[str, float] = {}
        for cgroup, label in zip(self.table.frame.cgroups, self.shown):
            if label is not None:
                try:
                    found[label] = READ[combine](Parameters.get(parameter, cgroup))
                except CgroupError:  # gone, or without the controller
                    continue
        return Points({}, [*found], [*found.values()])

    def errors(self) -> Counter[str]:
        """Return the cells that could not be read, by the name of the errno."""
        frame = self.table.frame
        states = bytes(frame.status) if len(frame) else b""
        if not states.count(Cell.ERROR):
            return Counter()
        numbers = frame.errno.cast("B").cast("i").tolist()
        return Counter(
            errno.errorcode.get(number, "UNKNOWN") for number, state in zip(numbers, states) if state == Cell.ERROR
        )
