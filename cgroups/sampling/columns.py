"""Which numbers of which control files are the columns of a sampler.

Pure planning: parameters become columns, and for each version of control
groups the programs that fill them, one for each control file, however many
parameters read it.  What keys a keyed file has is looked up once, here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .._interface import NUMERIC, ROW, Cells, Flag, Shape, Target
from ..errors import InvalidValue, ParameterNotSupported, shown
from ..subsystem.parameter import Readable
from ..values import MAX

if TYPE_CHECKING:
    from ..subsystem.binding import Source

__all__ = ["Column", "Plan", "plan"]


class Column(NamedTuple):
    """A column of a frame.

    Attributes:
        parameter: whose number it is.
        key: which of its numbers: None where it has one; ``"anon"``, ``("some", "avg10")``, ``("8:0", "rbytes")``, or a
            CPU's number.
        unit: of the number once it is divided by ``scale``; '' if the unit is unknown.
        scale: 100 where the cell is in hundredths, else 1.
        counter: whether it only grows while its cgroup lives, unless somebody resets it.  Unit and kind are those of
            :meth:`Parameter.quantity`.
    """

    parameter: Readable[Any]
    key: Any
    unit: str
    scale: int
    counter: bool


class Plan(NamedTuple):
    """The columns, and by version the control files with the shape and the targets of each."""

    columns: tuple[Column, ...]
    files: Mapping[int, Mapping[str, tuple[Shape, tuple[Target, ...]]]]


Place = tuple[str, str, int]
"""Of a number in its text: row, key, ordinal (cg_abi.h, struct cg_target)."""

Look = Callable[[int, str, Shape], Iterable[Cells]]
"""``look(version, file, shape)``: what the control file holds in each cgroup that has it."""


def plan(parameters: Iterable[Any], versions: Sequence[int], look: Look) -> Plan:
    """The columns of some parameters, for cgroups of these versions.

    Raises InvalidValue for a parameter that has no numbers to sample on any of the versions.
    """
    builder = _Builder(versions, look)
    for parameter in parameters:
        builder.add(parameter)
    return builder.plan()


def places_of(cells: Cells) -> list[Place]:
    """Where the numbers of a text are."""
    places: list[Place] = []
    row, ordinal = "", 0
    for key, value in cells:
        if value is ROW:
            row, ordinal = key, 0
            continue
        if value is MAX or isinstance(value, (int, float)):
            places.append((row, key, 0 if key else ordinal))
        ordinal += not key
    return places


class _Builder:
    def __init__(self, versions: Sequence[int], look: Look) -> None:
        self._versions = versions
        self._look = look
        self._columns: dict[tuple[Readable[Any], Any], Column] = {}
        self._known: dict[tuple[int, str], dict[Place, None]] = {}
        self._shapes: dict[tuple[int, str], Shape] = {}
        self._targets: dict[tuple[int, str], list[Target]] = {}

    def add(self, parameter: Any) -> None:
        if not isinstance(parameter, Readable):
            message = f"{shown(parameter)} is not a parameter that can be read"
            raise InvalidValue(message)
        by_version = {version: _sources(parameter, version) for version in self._versions}
        if self._versions and not any(by_version.values()):
            _refuse(parameter, self._versions)
        # First the columns of all versions, so that what one calls by another name is found.
        for version, sources in by_version.items():
            for source in sources:
                self._add_columns(parameter, version, source)
        for version, sources in by_version.items():
            for source in sources:
                self._add_targets(parameter, version, source)

    def _places(self, version: int, source: Source) -> dict[Place, None]:
        """All the numbers that a control file has, in the order of its text."""
        key = version, source.file
        if key not in self._known:
            self._shapes[key] = source.shape
            self._targets[key] = []
            places: dict[Place, None] = {}
            for cells in self._look(version, source.file, source.shape):
                found = places_of(cells)
                if len(set(found)) < len(found):
                    message = f"{source.file} has lines that no name tells apart, and cannot be sampled"
                    raise InvalidValue(message)
                places.update(dict.fromkeys(found))
            self._known[key] = {("", "", 0): None} if source.shape is Shape.VALUE else places
        return self._known[key]

    def _names(self, version: int, source: Source) -> dict[Any, tuple[Place, int]]:
        """What the columns of a source are called, and the number and the factor of each."""
        places = self._places(version, source)
        numbers = source.numbers
        names = {_name(source, place): (place, numbers.scale) for place in places}
        names.pop(_LEFT_OUT, None)
        for name, (key, factor) in numbers.scaled.items():
            if key in names:
                names[name] = names[key][0], factor
        for alias, key in numbers.aliases.items():
            if key in names and (source.only == alias or self._has_column(alias)):
                names.setdefault(alias, names[key])
        if source.only is not None:
            return {None: names[source.only]} if source.only in names else {}
        return names

    def _has_column(self, name: str) -> bool:
        return any(key == name for _, key in self._columns)

    def _add_columns(self, parameter: Readable[Any], version: int, source: Source) -> None:
        for name in self._names(version, source) if source.only is None else [None]:
            inner = source.only if name is None else name
            last = inner[-1] if isinstance(inner, tuple) else inner
            scale = 100 if last in source.numbers.hundredths else 1
            unit, counter = parameter.quantity(name)
            self._columns.setdefault((parameter, name), Column(parameter, name, unit, scale, counter))

    def _add_targets(self, parameter: Readable[Any], version: int, source: Source) -> None:
        at = {key: place for place, key in enumerate(self._columns)}
        numbers = source.numbers
        for name, (place, scale) in self._names(version, source).items():
            column = at.get((parameter, name))
            if column is None:
                continue
            flags = source.flags | (Flag.UNSET if numbers.unset else 0)
            flags |= Flag.CENTI if place[1] in numbers.hundredths else 0
            flags |= Flag.SIGNED if numbers.signed else 0
            self._targets[version, source.file].append(Target(*place, column, flags, scale, numbers.threshold))

    def plan(self) -> Plan:
        files: dict[int, dict[str, tuple[Shape, tuple[Target, ...]]]] = {version: {} for version in self._versions}
        for (version, file), targets in self._targets.items():
            files[version][file] = self._shapes[version, file], _ordered(self._known[version, file], targets)
        return Plan(tuple(self._columns.values()), files)


def _sources(parameter: Readable[Any], version: int) -> tuple[Source, ...]:
    try:
        sources = parameter.binding(version).sources()
    except ParameterNotSupported:
        return ()
    return tuple(source for source in sources if source.shape in NUMERIC)


def _refuse(parameter: Readable[Any], versions: Sequence[int]) -> None:
    names = " and ".join(f"version {version}" for version in versions)
    hints = [hint for version in versions if (hint := parameter.hint(version))]
    message = f"{parameter} has no numbers to sample in {names} of control groups"
    raise InvalidValue(message, parameter=str(parameter), hint=hints[0] if hints else None)


_LEFT_OUT: Final = object()


def _name(source: Source, place: Place) -> Any:
    row, key, ordinal = place
    if source.numbers.name is not None:
        name = source.numbers.name(row, key, ordinal)
        return _LEFT_OUT if name is None else name
    if source.shape is Shape.VALUE:
        return None
    if not key:
        return ordinal
    return (row, key) if row else key


def _ordered(places: Iterable[Place], targets: Sequence[Target]) -> tuple[Target, ...]:
    """In the order of the text, those of one number together; numbers that nobody wants are known all the same."""
    by_place: dict[Place, list[Target]] = {place: [] for place in places}
    for target in targets:
        by_place[target[:3]].append(target)
    ordered: list[Target] = []
    for place, those in by_place.items():
        first, *others = those or [Target(*place, -1, 0, 1, 0)]
        ordered += [first, *(other._replace(flags=other.flags | Flag.SAME) for other in others)]
    return tuple(ordered)
