"""Plan the columns of a sampler: the numbers of control files.

Parameters become columns.  For each version of control groups, the plan has the
programs that fill the columns: one per control file, for any number of parameters.
The keys of a keyed file are looked up once, here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..core.errors import InvalidValue, ParameterNotSupported, shown
from ..core.interface import NUMERIC, ROW, Cells, Flag, Shape, Target
from ..core.values import MAX
from ..parameters.kinds import Readable

if TYPE_CHECKING:
    from ..parameters.bindings import FileRead

__all__ = ["Column", "Plan", "has_numbers", "plan"]


class Column(NamedTuple):
    """A column of a frame.

    Attributes:
        parameter: the parameter that the number belongs to.
        key: the key of the number: None if the parameter has one number; ``"anon"``, ``("some", "avg10")``,
            ``("8:0", "rbytes")``, or a CPU's number.
        unit: unit of the number after division by ``scale``; '' if the unit is unknown.
        scale: 100 if the cell is in hundredths, otherwise 1.
        counter: whether the number only grows while its cgroup exists, unless it is reset.  Unit and kind come from
            :meth:`Parameter.quantity`.
    """

    parameter: Readable[Any]
    key: Any
    unit: str
    scale: int
    counter: bool

    @property
    def title(self) -> str:
        """The name in the form that commands accept, such as ``memory.stat[anon]``."""
        if self.key is None:
            return str(self.parameter)
        keys = self.key if isinstance(self.key, tuple) else (self.key,)
        return f"{self.parameter}[{','.join(map(str, keys))}]"

    @property
    def is_whole(self) -> bool:
        """Whether the number is a whole one."""
        return self.scale == 1


class Plan(NamedTuple):
    """The columns, and by version the control files, each with its shape and its targets."""

    columns: tuple[Column, ...]
    files: Mapping[int, Mapping[str, tuple[Shape, tuple[Target, ...]]]]


NumberKey = tuple[str, str, int]
"""Position of a number in its text: row, key, ordinal (cg_abi.h, struct cg_target)."""

Look = Callable[[int, str, Shape], Iterable[Cells]]
"""``look(version, file, shape)`` yields the cells of the control file in each cgroup that has it."""


def plan(parameters: Iterable[Any], versions: Sequence[int], look: Look) -> Plan:
    """Return the columns of the parameters, for cgroups of these versions.

    Raises:
        InvalidValue: a parameter has no numbers to sample on any of the versions.
    """
    builder = _Builder(versions, look)
    for parameter in parameters:
        builder.add(parameter)
    return builder.plan()


def has_numbers(parameter: Readable[Any], version: int) -> bool:
    """Return whether a parameter has numbers to sample on a version of control groups."""
    return bool(_sources(parameter, version))


def number_keys(cells: Cells) -> list[NumberKey]:
    """Return the positions of the numbers in a text."""
    places: list[NumberKey] = []
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
        self._known: dict[tuple[int, str], dict[NumberKey, None]] = {}
        self._shapes: dict[tuple[int, str], Shape] = {}
        self._targets: dict[tuple[int, str], list[Target]] = {}

    def add(self, parameter: Any) -> None:
        if not isinstance(parameter, Readable):
            message = f"parameter must be one that can be read, got {shown(parameter)}"
            raise InvalidValue(message)
        by_version = {version: _sources(parameter, version) for version in self._versions}
        if self._versions and not any(by_version.values()):
            _refuse(parameter, self._versions)
        # All columns are added first, so that a version finds the columns that another calls by an alias.
        for version, sources in by_version.items():
            for source in sources:
                self._add_columns(parameter, version, source)
        for version, sources in by_version.items():
            for source in sources:
                self._add_targets(parameter, version, source)

    def _places(self, version: int, source: FileRead) -> dict[NumberKey, None]:
        """Return the positions of all numbers in a control file, in the order of its text."""
        key = version, source.file
        if key not in self._known:
            self._shapes[key] = source.shape
            self._targets[key] = []
            places: dict[NumberKey, None] = {}
            for cells in self._look(version, source.file, source.shape):
                found = number_keys(cells)
                if len(set(found)) < len(found):
                    message = f"cannot sample {source.file}: it has several lines of the same name"
                    raise InvalidValue(message)
                places.update(dict.fromkeys(found))
            self._known[key] = {("", "", 0): None} if source.shape is Shape.VALUE else places
        return self._known[key]

    def _names(self, version: int, source: FileRead) -> dict[Any, tuple[NumberKey, int]]:
        """Return, by column name, the position and the factor of each number of a source."""
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

    def _add_columns(self, parameter: Readable[Any], version: int, source: FileRead) -> None:
        for name in self._names(version, source) if source.only is None else [None]:
            inner = source.only if name is None else name
            last = inner[-1] if isinstance(inner, tuple) else inner
            scale = 100 if last in source.numbers.hundredths else 1
            unit, counter = parameter.quantity(name)
            self._columns.setdefault((parameter, name), Column(parameter, name, unit, scale, counter))

    def _add_targets(self, parameter: Readable[Any], version: int, source: FileRead) -> None:
        at = {key: place for place, key in enumerate(self._columns)}
        numbers = source.numbers
        for name, (place, scale) in self._names(version, source).items():
            column = at.get((parameter, name))
            if column is None:
                continue
            flags = source.flags | (Flag.MINUS_ONE_IS_MAX if numbers.unset else 0)
            flags |= Flag.CENTI if place[1] in numbers.hundredths else 0
            flags |= Flag.SIGNED if numbers.signed else 0
            self._targets[version, source.file].append(Target(*place, column, flags, scale, numbers.threshold))

    def plan(self) -> Plan:
        files: dict[int, dict[str, tuple[Shape, tuple[Target, ...]]]] = {version: {} for version in self._versions}
        for (version, file), targets in self._targets.items():
            files[version][file] = self._shapes[version, file], _ordered(self._known[version, file], targets)
        return Plan(tuple(self._columns.values()), files)


def _sources(parameter: Readable[Any], version: int) -> tuple[FileRead, ...]:
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


def _name(source: FileRead, place: NumberKey) -> Any:
    row, key, ordinal = place
    if source.numbers.name is not None:
        name = source.numbers.name(row, key, ordinal)
        return _LEFT_OUT if name is None else name
    if source.shape is Shape.VALUE:
        return None
    if not key:
        return ordinal
    return (row, key) if row else key


def _ordered(places: Iterable[NumberKey], targets: Sequence[Target]) -> tuple[Target, ...]:
    """Sort targets by position, grouping those of one number; add a no-op target for each unused number."""
    by_place: dict[NumberKey, list[Target]] = {place: [] for place in places}
    for target in targets:
        by_place[target[:3]].append(target)
    ordered: list[Target] = []
    for place, those in by_place.items():
        first, *others = those or [Target(*place, -1, 0, 1, 0)]
        ordered += [first, *(other._replace(flags=other.flags | Flag.SHARED_NUMBER) for other in others)]
    return tuple(ordered)
