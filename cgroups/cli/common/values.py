"""Convert words of a command line to parameters and values, and values to plain data.

A parameter is ``controller.name``, with the name of the API or of the kernel.
``[key]`` or ``[key,key]`` after it selects a part of its value.  The syntax of
values is data: the codec of a parameter's file has a ``literal``, and
a parameter whose value has several parts has a ``literal`` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union

from ...control.update import update
from ...core.codecs import Literal, Writer
from ...core.errors import InvalidValue, ParameterNotSupported, shown
from ...core.literals import Table, amount
from ...core.values import CpuacctUsage, CpuMax, Device, DeviceRule, DeviceTable, Max, OomControl, Quantity
from ...hierarchy import Cgroup
from ...parameters import Cpu, Parameters, parameter_named
from ...parameters.bindings import Binding, FirstOf

__all__ = [
    "Data",
    "Name",
    "access",
    "checked",
    "from_plain",
    "named",
    "plain",
    "read",
    "reset",
    "selected",
    "value_of",
    "write",
    "write_all",
]

Data = Union[None, bool, int, float, str, "list[Any]", "dict[str, Any]"]
"""The types that JSON has."""

# ---- names -------------------------------------------------------------------------


class Name(NamedTuple):
    """A parameter, with optional keys that select a part of its value.  ``str()`` returns the word of the name."""

    parameter: Parameters.Parameter
    whole: str
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.whole}[{','.join(self.keys)}]" if self.keys else self.whole

    @property
    def quantity(self) -> Quantity:
        """The unit of the named number, and whether the number is a counter."""
        return self.parameter.quantity(self.keys or None)

    def at(self, key: str) -> Name:
        """Return the name with one more key."""
        return self._replace(keys=(*self.keys, key))


def named(word: str, kind: type[Parameters.Parameter] = Parameters.Parameter) -> Name:
    """Return the name of a word such as ``memory.max``, ``memory.stat[anon]`` or ``memory.pressure[some,avg10]``."""
    whole, bracket, keys = word.partition("[")
    if bracket and (not keys.endswith("]") or keys == "]"):
        message = f"parameter must be NAME, NAME[KEY] or NAME[KEY,KEY], got {word!r}"
        raise InvalidValue(message)
    selected = tuple(key.strip() for key in keys[:-1].split(",")) if bracket else ()
    return Name(parameter_named(whole, kind), whole, selected)


def selected(name: Name) -> Any:
    """Return the parameter of a name, with its keys selected."""
    parameter: Any = name.parameter
    if not name.keys:
        return parameter
    if not hasattr(parameter, "__getitem__"):
        message = f"{parameter} has no keys"
        raise InvalidValue(message, parameter=str(parameter))
    return parameter[name.keys[0] if len(name.keys) == 1 else name.keys]


def access(parameter: Parameters.Parameter) -> list[str]:
    """Return the commands that accept a parameter.  ``read`` means ``get``."""
    kinds = {"read": Parameters.Readable, "set": Parameters.Writable, "reset": Parameters.Resettable}
    return [word for word, kind in kinds.items() if isinstance(parameter, kind)]


# ---- reading -----------------------------------------------------------------------


def read(name: Name, cgroup: Cgroup) -> Data:
    """Return the value of a name in a cgroup, as plain data."""
    parameter = name.parameter
    if not isinstance(parameter, Parameters.Readable):
        message = f"{parameter} cannot be read: {parameter.doc}"
        raise ParameterNotSupported(message, parameter=str(parameter))
    data = plain(Parameters.get(parameter, cgroup))
    for key in name.keys:
        if not isinstance(data, dict) or key not in data:
            hint = f"it has {', '.join(data)}" if isinstance(data, dict) and data else None
            message = f"{parameter} of {cgroup} has no key {key!r}"
            raise ParameterNotSupported(message, parameter=str(parameter), hint=hint)
        data = data[key]
    return data


def plain(value: Any) -> Data:
    """Return a value as JSON data: MAX is ``"max"``, a device ``"8:0"``, and a mapping a dict."""
    match value:
        case Max() | Device() | DeviceRule():
            return str(value)
        case DeviceTable():
            extras = {"default": value.default, "total": value.total}
            rows: dict[Any, Any] = {**value, **value.others}
            return plain({**rows, **{key: one for key, one in extras.items() if one is not None}})
        case CpuMax() | OomControl() | CpuacctUsage():
            return plain(value._asdict())
        case Mapping():
            return {str(key): plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
        case _:
            data: Data = value
            return data


# ---- writing -----------------------------------------------------------------------


def write(name: Name, cgroup: Cgroup, word: str) -> None:
    """Set the parameter of a name to the value of a word."""
    Parameters.set(*checked(name, cgroup, word))


def write_all(changes: Sequence[tuple[Name, str]], cgroup_of: Callable[[Name], Cgroup]) -> None:
    """Set parameters to the values of words; if one is refused, set none.

    Args:
        changes: names, and the words of their values.
        cgroup_of: returns the cgroup that has the parameter of a name.

    Raises:
        InvalidValue: a word is not a valid value.
        ParameterNotSupported: a parameter is read-only, or missing in its cgroup.
    """
    steps = [checked(name, cgroup_of(name), word) for name, word in changes]
    if len(steps) == 1:
        Parameters.set(*steps[0])  # also for a parameter that cannot be read, and so not be restored
        return
    cgroups: dict[Parameters.Parameter, Cgroup] = {parameter: cgroup for parameter, cgroup, _ in steps}
    update(cgroups.__getitem__, {parameter: value for parameter, _, value in steps})


def checked(name: Name, cgroup: Cgroup, word: str) -> tuple[Parameters.Writable[Any], Cgroup, Any]:
    """Return the arguments of ``Parameters.set`` that a word means.

    Raises:
        InvalidValue: the word is not a valid value.
        ParameterNotSupported: the parameter is read-only, or missing on this version.
    """
    parameter = name.parameter
    if not isinstance(parameter, Parameters.Writable) or name.keys:
        message = f"{name} cannot be set: {'a key can only be read' if name.keys else 'it is read-only'}"
        raise ParameterNotSupported(message, parameter=str(parameter))
    try:
        value = value_of(parameter, cgroup.version, word)
    except InvalidValue as error:
        message = f"cannot set {parameter} of {cgroup}: {error.message}"
        raise InvalidValue(message, parameter=str(parameter), path=cgroup.path, hint=error.hint) from None
    return parameter, cgroup, value


def reset(name: Name, cgroup: Cgroup) -> None:
    """Reset the parameter of a name."""
    parameter = name.parameter
    if not isinstance(parameter, Parameters.Resettable) or name.keys:
        message = f"{name} cannot be reset: it is not a counter that can restart"
        raise ParameterNotSupported(message, parameter=str(parameter))
    Parameters.reset(parameter, cgroup)


def value_of(parameter: Parameters.Parameter, version: int, word: str) -> Any:
    """Return the value of a word for a parameter.

    If the binding of this version has no codec, that of the other version has
    one: the value of a parameter has the same type on both versions.

    Raises:
        InvalidValue: the word is not a valid value.
        ParameterNotSupported: this version does not have the parameter.
    """
    parameter.binding(version)  # raises ParameterNotSupported
    syntax = parameter.literal
    if syntax is not None:
        return syntax(word, parameter)
    for one in (version, 3 - version):
        if parameter.files(one) or one == version:
            for literal in _literals(parameter.binding(one)):
                return literal(word, parameter.unit)
    return word


def _literals(binding: Binding[Any, Any]) -> Iterator[Literal]:
    if isinstance(binding, FirstOf):
        for one in binding.bindings:
            yield from _literals(one)
    codec = getattr(binding, "codec", None)
    if isinstance(codec, Writer):
        yield codec.literal


def from_plain(parameter: Parameters.Parameter, version: int, data: Data) -> Any:
    """Return a value from the data that :func:`plain` returned.  A string may be any word that ``set`` accepts.

    Raises:
        InvalidValue: the data has another form.
    """
    match data:
        case bool() | int() | float():
            return data
        case str():
            return value_of(parameter, version, data)
        case list() if all(isinstance(one, (int, str)) for one in data):
            return data
        case {"quota": quota, "period": period} if parameter is Cpu.max:
            return CpuMax(amount(quota, parameter.unit), period)
        case dict():
            if isinstance(parameter.literal, Table):
                return parameter.literal.of_plain(data, parameter)
    message = f"value must be of the form that 'cgroups save' writes, got {shown(data)}"
    raise InvalidValue(message)
