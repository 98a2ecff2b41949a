"""Formats of files with one line per device, and of device rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..core import codecs
from ..core.codecs import Converter as Converter
from ..core.codecs import Reader as Reader
from ..core.codecs import Writer as Writer
from ..core.codecs import bounded_int as bounded_int
from ..core.codecs import device_of, to_int
from ..core.errors import InvalidValue, shown
from ..core.interface import Cells, Numbers, Shape
from ..core.values import DeviceRule, DeviceTable, Limit
from .formats import rows_of

__all__ = ["device_numbers", "device_operations", "device_rows", "device_rule", "device_rules", "named_rows"]


def _device_table(rows: Iterable[tuple[str, Any]]) -> tuple[dict[Any, Any], dict[str, Any]]:
    devices: dict[Any, Any] = {}
    others: dict[str, Any] = {}
    for name, row in rows:
        device = device_of(name)
        if device is None:
            others[name] = row
        else:
            devices[device] = row
    return devices, others


def _decode_device_rows(cells: Cells) -> DeviceTable[Any]:
    rows: dict[str, dict[str, Any]] = {}
    total = None
    for name, items in rows_of(cells):
        if not name and len(items) == 1 and items[0][0] == "Total":
            total = items[0][1]
        else:
            rows.setdefault(name, {}).update(items)
    devices, others = _device_table(rows.items())
    return DeviceTable(devices, total=total, others=others)


device_rows: Reader[DeviceTable[dict[str, Any]]] = Reader(_decode_device_rows, Shape.NESTED, Numbers())
"""io.stat, io.max: device → {key: number}."""

device_operations: Reader[DeviceTable[dict[str, int]]] = Reader(_decode_device_rows, Shape.TRIPLES, Numbers())
"""v1's blkio.* files: device → {operation: number}, and the total."""


def device_numbers(convert: Callable[[int], int] = int) -> Reader[DeviceTable[int]]:
    """Return the reader of converted numbers by device, with an optional default: io.weight, blkio.time."""

    def decode(cells: Cells) -> DeviceTable[int]:
        default = None
        rows = []
        for key, value in cells:
            if value is not None and not isinstance(value, int):
                message = f"value of {key} must be a number, got {value}"
                raise ValueError(message)
            if key == "default":
                default = None if value is None else convert(value)
            elif value is not None:
                rows.append((key, convert(value)))
        devices, others = _device_table(rows)
        return DeviceTable(devices, default=default, others=others)

    numbers = Numbers(name=lambda _row, key, _ordinal: None if key == "default" else key)
    return Reader(decode, Shape.KEYED, numbers if convert is int else None)


def _decode_named_rows(cells: Cells) -> dict[str, dict[str, Any]]:
    return {name: dict(items) for name, items in rows_of(cells)}


named_rows: Reader[dict[str, dict[str, Limit]]] = Reader(_decode_named_rows, Shape.NESTED, Numbers())
"""rdma.max: device name → {resource: limit}."""


def _decode_device_rules(cells: Cells) -> list[DeviceRule]:
    return [_device_rule([name, *(value for _, value in items)]) for name, items in rows_of(cells)]


def _checked_rule(rule: DeviceRule) -> DeviceRule:
    """Return a rule if it is valid; raise ValueError if not."""
    if rule.type not in ("a", "b", "c"):
        message = f"type must be a, b or c, got {shown(rule.type)}"
        raise ValueError(message)
    for number in (rule.major, rule.minor):
        if number is not None and not 0 <= to_int(number) <= codecs.U32_MAX:
            message = f"device number must be from 0 to {codecs.U32_MAX}, got {shown(number)}"
            raise ValueError(message)
    if not isinstance(rule.access, str) or not rule.access or set(rule.access) - set("rwm"):
        message = f"access must be letters of r, w and m, got {shown(rule.access)}"
        raise ValueError(message)
    return rule


def _device_rule(fields: list[Any]) -> DeviceRule:
    if len(fields) != 3 or fields[0] not in ("a", "b", "c"):  # noqa: PLR2004 - type, device, access
        message = f"rule must be a line such as 'c 1:3 rwm', got {' '.join(map(str, fields))!r}"
        raise ValueError(message)
    kind, device, access = map(str, fields)
    numbers = device.split(":")
    if len(numbers) != 2 or not all(number == "*" or number.isdigit() for number in numbers):  # noqa: PLR2004
        message = f"device must be major:minor, got {device!r}"
        raise ValueError(message)
    major, minor = (None if number == "*" else int(number) for number in numbers)
    return _checked_rule(DeviceRule(kind, major, minor, access))


device_rules: Reader[list[DeviceRule]] = Reader(_decode_device_rules, Shape.TABLE)


def _encode_device_rule(rule: DeviceRule | str) -> str:
    """Return the text of a rule or of its text form, after checking every field."""
    if not isinstance(rule, (DeviceRule, str)):
        message = f"rule must be a DeviceRule or a str, got {shown(rule)}"
        raise InvalidValue(message)
    try:
        if isinstance(rule, str):
            rule = DeviceRule("a", None, None, "rwm") if rule == "a" else _device_rule(rule.split())
        return str(_checked_rule(rule))
    except InvalidValue:
        raise
    except ValueError as error:
        raise InvalidValue(str(error)) from None


device_rule: Writer[DeviceRule | str] = Writer(_encode_device_rule)
