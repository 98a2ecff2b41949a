"""Literal forms: values of several parts, written as one word on a command line."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from . import quantities
from .codecs import Literal, device_of
from .errors import InvalidValue, shown
from .values import Device, DeviceTable, Quantity

__all__ = [
    "Quantities",
    "Row",
    "Table",
    "amount",
    "device_literal",
    "handle_literal",
    "names_literal",
    "number_or_word",
]


class Quantities(Protocol):
    """The unit of a value, and of each of its keys: a parameter."""

    unit: str

    def quantity(self, key: Any = None) -> Quantity:
        """Return the unit of one number, and whether that number is a counter."""


def amount(data: Any, unit: str) -> Any:
    return quantities.limit(data, unit) if isinstance(data, str) else data


class Row:
    """The syntax of a row, such as ``rbps:1M+wiops:100``: names and their values."""

    def __init__(self, value: Literal) -> None:
        self.value = value

    def __call__(self, word: str, parameter: Quantities) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for field in word.split("+"):
            key, colon, one = (part.strip() for part in field.partition(":"))
            if not colon or not key:
                message = f"row must be NAME:VALUE joined by +, such as rbps:1M+wiops:100, got {field!r}"
                raise InvalidValue(message)
            _add(row, key, self.value(one, parameter.quantity(key).unit))
        return row


class Table:
    """The syntax of a table, such as ``8:0=1M,/dev/sda=max``: keys and their values.  An empty word is the empty table.

    ``default`` is the type of a table that has a default besides its rows.
    """

    def __init__(
        self, key: Callable[[str], Any], value: Literal | Row, default: type[DeviceTable[Any]] | None = None
    ) -> None:
        self.key, self.value, self.default = key, value, default

    def __call__(self, word: str, parameter: Quantities) -> Mapping[Any, Any]:
        rows: dict[Any, Any] = {}
        for item in word.split(",") if word.strip() else []:
            left, equals, right = (part.strip() for part in item.rpartition("="))
            if not equals or not left:
                message = f"table must be KEY=VALUE joined by commas, such as 8:0=1M,/dev/sda=max, got {item!r}"
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

    def of_plain(self, data: Mapping[str, Any], parameter: Quantities) -> Mapping[Any, Any]:
        """Return the table of plain data: rows or amounts by key."""
        rows: dict[Any, Any] = {}
        for word, one in data.items():
            key = word if word == "default" and self.default else self.key(word)
            if isinstance(self.value, Row):
                if not isinstance(one, dict):
                    message = f"value of {word} must be names and numbers, got {shown(one)}"
                    raise InvalidValue(message)
                one = {name: amount(number, parameter.quantity(name).unit) for name, number in one.items()}  # noqa: PLW2901
            else:
                one = amount(one, parameter.unit)  # noqa: PLW2901
            _add(rows, key, one)
        if self.default is None:
            return rows
        return self.default(rows, default=rows.pop("default", None))


def _add(rows: dict[Any, Any], key: Any, value: Any) -> None:
    if key in rows:
        message = f"{key} is given twice"
        raise InvalidValue(message)
    rows[key] = value


def device_literal(word: str) -> Device:
    """Return the device of ``8:0``, or of the path of a block device."""
    device = device_of(word)
    if device is not None:
        return device
    if not word.startswith("/"):
        message = f"device must be a number or a path, such as 8:0 or /dev/sda, got {word!r}"
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
    """Return the names of ``cpu memory`` or ``cpu,memory``."""
    return re.split(r"[\s,]+", word.strip(" ,")) if word.strip(" ,") else []


def handle_literal(word: str, _: Any) -> int:
    """Return the number of ``0x100001``, or of a decimal number."""
    try:
        return int(word, 16) if word[:2].lower() == "0x" else quantities.whole(word, "")
    except ValueError:
        message = f"handle must be a number, such as 0x100001, got {word!r}"
        raise InvalidValue(message) from None


def number_or_word(word: str, _: Any) -> int | float | str:
    """Return the number of ``95`` or ``95.00``, or a word such as ``auto``."""
    if re.fullmatch(r"\d+", word):
        return int(word)
    return float(word) if re.fullmatch(r"\d+\.\d+", word) else word
