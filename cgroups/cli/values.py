"""Words of a command line to parameters and values, and values to plain data.

A parameter is ``controller.name``, as the API or as the kernel names it, and
``[key]`` or ``[key,key]`` after it selects within what it reads.  What a value
looks like is data: the codec of the parameter's file has its ``literal``, and
:data:`SYNTAX` has those whose value is of several parts.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Union

from ..converter import Literal, Writer, device_of
from ..core import quantities
from ..errors import InvalidValue, ParameterNotSupported
from ..hierarchy import Cgroup
from ..subsystem import Parameters, parameter_named
from ..subsystem.binding import Binding, FirstOf
from ..values import CpuacctUsage, CpuMax, Device, DeviceRule, DeviceTable, Max, OomControl, Quantity

__all__ = [
    "SYNTAX",
    "Data",
    "Name",
    "access",
    "named",
    "plain",
    "read",
    "reset",
    "selected",
    "value_of",
    "write",
]

Data = Union[None, bool, int, float, str, "list[Any]", "dict[str, Any]"]
"""What JSON can say."""

# ---- names -------------------------------------------------------------------------


class Name(NamedTuple):
    """A parameter, and maybe keys to select in what it reads; ``str()`` is the word that names it."""

    parameter: Parameters.Parameter
    whole: str
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.whole}[{','.join(self.keys)}]" if self.keys else self.whole

    @property
    def quantity(self) -> Quantity:
        """The unit of the number that it names, and whether it is a counter."""
        return self.parameter.quantity(self.keys or None)

    def at(self, key: str) -> Name:
        """The same, one key further in."""
        return self._replace(keys=(*self.keys, key))


def named(word: str, kind: type[Parameters.Parameter] = Parameters.Parameter) -> Name:
    """``memory.limit_in_bytes``, ``memory.max``, ``memory.stat[anon]`` or ``memory.pressure[some,avg10]``."""
    whole, bracket, keys = word.partition("[")
    if bracket and (not keys.endswith("]") or keys == "]"):
        message = f"{word!r} is not a parameter, nor a parameter and [KEY] or [KEY,KEY]"
        raise InvalidValue(message)
    selected = tuple(key.strip() for key in keys[:-1].split(",")) if bracket else ()
    return Name(parameter_named(whole, kind), whole, selected)


def selected(name: Name) -> Any:
    """The parameter of a name, with its keys selected."""
    parameter: Any = name.parameter
    if not name.keys:
        return parameter
    if not hasattr(parameter, "__getitem__"):
        message = f"{parameter} has no keys"
        raise InvalidValue(message, parameter=str(parameter))
    return parameter[name.keys[0] if len(name.keys) == 1 else name.keys]


def access(parameter: Parameters.Parameter) -> list[str]:
    """The commands that take a parameter; ``read`` is ``get``."""
    kinds = {"read": Parameters.Readable, "set": Parameters.Writable, "reset": Parameters.Resettable}
    return [word for word, kind in kinds.items() if isinstance(parameter, kind)]


# ---- reading -----------------------------------------------------------------------


def read(name: Name, cgroup: Cgroup) -> Data:
    """What a cgroup has for a name, as plain data."""
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
    """A value in what JSON has: MAX is ``"max"``, a device ``"8:0"``, whatever has keys a dict."""
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
    """Sets the parameter of a name to the value of a word."""
    parameter = name.parameter
    if not isinstance(parameter, Parameters.Writable) or name.keys:
        message = f"{name} cannot be set: {'a key is read alone' if name.keys else 'it is read-only'}"
        raise ParameterNotSupported(message, parameter=str(parameter))
    try:
        value = value_of(parameter, cgroup.version, word)
    except InvalidValue as error:
        message = f"cannot set {parameter} of {cgroup}: {error.message}"
        raise InvalidValue(message, parameter=str(parameter), path=cgroup.path, hint=error.hint) from None
    Parameters.set(parameter, cgroup, value)


def reset(name: Name, cgroup: Cgroup) -> None:
    """Resets the parameter of a name."""
    parameter = name.parameter
    if not isinstance(parameter, Parameters.Resettable) or name.keys:
        message = f"{name} cannot be reset: it is no counter that starts again"
        raise ParameterNotSupported(message, parameter=str(parameter))
    Parameters.reset(parameter, cgroup)


def value_of(parameter: Parameters.Parameter, version: int, word: str) -> Any:
    """Return the value of a word for a parameter; InvalidValue for a word that is none.

    Where this version's binding is a rule of its own, the other version's has
    the codec: the value of a parameter is of one type on both.
    """
    parameter.binding(version)  # ParameterNotSupported where there is none
    syntax = SYNTAX.get(str(parameter))
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


# ---- values of several parts ---------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """``rbps:1M+wiops:100``: names and their values."""

    value: Literal

    def __call__(self, word: str, parameter: Parameters.Parameter) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for field in word.split("+"):
            key, colon, one = (part.strip() for part in field.partition(":"))
            if not colon or not key:
                message = f"{field!r} is not NAME:VALUE, of which a row has some, as rbps:1M+wiops:100"
                raise InvalidValue(message)
            _add(row, key, self.value(one, parameter.quantity(key).unit))
        return row


@dataclass(frozen=True)
class Table:
    """``8:0=1M,/dev/sda=max``: keys and their values; an empty word is the empty table.

    ``default`` is the type of a table that has a default beside its rows.
    """

    key: Callable[[str], Any]
    value: Literal | Row
    default: type[DeviceTable[Any]] | None = None

    def __call__(self, word: str, parameter: Parameters.Parameter) -> Mapping[Any, Any]:
        rows: dict[Any, Any] = {}
        for item in word.split(",") if word.strip() else []:
            left, equals, right = (part.strip() for part in item.rpartition("="))
            if not equals or not left:
                message = f"{item!r} is not KEY=VALUE, of which a table has some, as 8:0=1M,/dev/sda=max"
                raise InvalidValue(message)
            key = left if left == "default" and self.default else self.key(left)
            if isinstance(self.value, Row):
                _add(rows, key, self.value(right, parameter))
            else:
                _add(rows, key, self.value(right, parameter.unit))
        if self.default is None:
            return rows
        default = rows.pop("default", None)
        return self.default(rows, default=default)


def _add(rows: dict[Any, Any], key: Any, value: Any) -> None:
    if key in rows:
        message = f"{key} is there twice"
        raise InvalidValue(message)
    rows[key] = value


def device_literal(word: str) -> Device:
    """``8:0``, or the path of a block device."""
    device = device_of(word)
    if device is not None:
        return device
    if not word.startswith("/"):
        message = f"{word!r} is not a device, as 8:0 or /dev/sda"
        raise InvalidValue(message)
    try:
        status = os.stat(word)
    except OSError as error:
        message = f"{word!r} is not a device: {error.strerror}"
        raise InvalidValue(message) from None
    if not stat.S_ISBLK(status.st_mode):
        message = f"{word!r} is not a block device"
        raise InvalidValue(message)
    return Device(os.major(status.st_rdev), os.minor(status.st_rdev))


def names_literal(word: str, _: Any) -> list[str]:
    """``cpu memory`` or ``cpu,memory``."""
    return re.split(r"[\s,]+", word.strip(" ,")) if word.strip(" ,") else []


def handle_literal(word: str, _: Any) -> int:
    """``0x100001``, or a number."""
    try:
        return int(word, 16) if word[:2].lower() == "0x" else quantities.whole(word, "")
    except ValueError:
        message = f"{word!r} is not a handle, as 0x100001"
        raise InvalidValue(message) from None


def number_or_word(word: str, _: Any) -> int | float | str:
    """``95``, ``95.00`` or ``auto``."""
    if re.fullmatch(r"\d+", word):
        return int(word)
    return float(word) if re.fullmatch(r"\d+\.\d+", word) else word


_throttle = Table(device_literal, quantities.limit)
_weights = Table(device_literal, quantities.whole, DeviceTable)
_costs = Table(device_literal, Row(number_or_word))

SYNTAX: dict[str, Callable[[str, Parameters.Parameter], Any]] = {
    "blkio.weight_device": Table(device_literal, quantities.whole),
    "blkio.throttle_read_bps_device": _throttle,
    "blkio.throttle_read_iops_device": _throttle,
    "blkio.throttle_write_bps_device": _throttle,
    "blkio.throttle_write_iops_device": _throttle,
    "io.max": Table(device_literal, Row(quantities.limit)),
    "io.latency": Table(device_literal, Row(quantities.limit)),
    "io.weight": _weights,
    "io.bfq_weight": _weights,
    "io.cost_qos": _costs,
    "io.cost_model": _costs,
    "rdma.max": Table(str, Row(quantities.limit)),
    "misc.max": Table(str, quantities.limit),
    "dmem.max": Table(str, quantities.limit),
    "dmem.min": Table(str, quantities.protection),
    "dmem.low": Table(str, quantities.protection),
    "net_prio.ifpriomap": Table(str, quantities.whole),
    "net_cls.classid": handle_literal,
    "cgroup.subtree_control": names_literal,
    "cpuset.cpus_partition": lambda word, _: word,
}
"""The parameters whose value is of several parts, or written in a way of its own."""
