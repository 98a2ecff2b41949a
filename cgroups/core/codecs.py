"""Codecs for the texts of control files.  :mod:`cgroups.converter` exports the codecs under the original names."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import quantities
from .backend import backend
from .errors import CgroupError, InvalidValue, ParseError, from_failure, shown
from .interface import Cells, Failure, Numbers, Shape
from .values import Device

if TYPE_CHECKING:
    from .interface import File

__all__ = [
    "I64_MIN",
    "U32_MAX",
    "U64_MAX",
    "Converter",
    "Literal",
    "R",
    "R_co",
    "Reader",
    "Slow",
    "W",
    "W_contra",
    "Writer",
    "as_it_is",
    "boolean",
    "bounded_int",
    "device",
    "device_of",
    "integer",
    "read",
    "ro",
    "rw",
    "string",
    "to_device",
    "to_int",
    "wo",
    "write",
]

R = TypeVar("R")
W = TypeVar("W")
R_co = TypeVar("R_co", covariant=True)
W_contra = TypeVar("W_contra", contravariant=True)

Slow = Callable[[Any], Any]

Literal = Callable[[str, str], Any]
"""A function that converts a word of a command line to a value in the parameter's unit, or raises InvalidValue."""


def as_it_is(word: str, unit: str) -> str:  # noqa: ARG001 - a Literal
    """Return the word unchanged: the value is text."""
    return word


_UNSIGNED = frozenset({Shape.VALUES, Shape.KEYED, Shape.NESTED, Shape.TRIPLES, Shape.TABLE})
"""Shapes without negative numbers, except VALUE: for VALUE the converter knows the range."""


def _unsigned(decode: Callable[[Cells], R]) -> Callable[[Cells], R]:
    """Return the decoder with a check that refuses negative numbers."""

    def checked(cells: Cells) -> R:
        for key, value in cells:
            if value.__class__ is int and value < 0:
                message = f"{key or 'number'} must not be negative, got {value}"
                raise ValueError(message)
        return decode(cells)

    return checked


class Reader(Generic[R_co]):
    """A shape and a decoder from its cells to a value; ``decode`` raises ValueError for invalid cells.

    ``numbers`` describes the cells as numbers for a sampler; None if they cannot be sampled.
    """

    numbers: Numbers | None = None

    def __init__(
        self, decode: Callable[[Cells], R_co], shape: Shape = Shape.TEXT, numbers: Numbers | None = None
    ) -> None:
        self.shape = shape
        self.decode = _unsigned(decode) if shape in _UNSIGNED else decode
        if numbers is not None:
            self.numbers = numbers

    def bind(self, file: File, slow: Slow) -> Callable[[Any], Any]:  # noqa: ARG002 - for subclasses with a fast path
        """Return the function that reads one file repeatedly: ``slow``, or a fast path that falls back to it."""
        return slow


class Writer(Generic[W_contra]):
    """An encoder from a value to text; ``encode`` raises InvalidValue.

    ``literal`` converts a word of a command line, given the parameter's unit, to a value.
    """

    def __init__(self, encode: Callable[[W_contra], str], literal: Literal = as_it_is) -> None:
        self.encode = encode
        self.literal = literal


class Converter(Reader[R], Writer[W]):
    """A reader and a writer of the same values."""

    def __init__(
        self,
        decode: Callable[[Cells], R],
        encode: Callable[[W], str],
        shape: Shape = Shape.TEXT,
        literal: Literal = as_it_is,
    ) -> None:
        Reader.__init__(self, decode, shape)
        Writer.__init__(self, encode, literal)


def _of_text(function: Callable[[str], R]) -> Callable[[Cells], R]:
    return lambda cells: function(cells[0][1])


def ro(function: Callable[[str], R]) -> Reader[R]:
    """Return a reader from a function of the text, without its final newline."""
    return Reader(_of_text(function))


def wo(function: Callable[[W], str]) -> Writer[W]:
    """Return a writer from a function."""
    return Writer(function)


def rw(read: Callable[[str], R], write: Callable[[W], str]) -> Converter[R, W]:
    """Return a converter from two functions."""
    return Converter(_of_text(read), write)


def read(converter: Reader[R], text: str) -> R:
    """Return the value of a text."""
    try:
        cells = backend.parse(converter.shape, text.encode("utf-8", "surrogateescape"))
        return converter.decode(cells)
    except Failure as failure:
        raise from_failure(failure, f"cannot read {shown(text)}") from None
    except CgroupError:
        raise
    except ValueError as error:
        message = f"cannot read {shown(text)}: {error}"
        raise ParseError(message) from None


def write(converter: Writer[W], value: W) -> str:
    """Return the text of a value."""
    return converter.encode(value)


# ---- one value -------------------------------------------------------------------


def to_int(value: Any) -> int:
    """Convert with ``__index__``; refuse bool and float."""
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    message = f"value must be an int, got {shown(value)}"
    raise InvalidValue(message)


class _Int(Converter[int, int]):
    """An integer.  One C call reads a value that is not negative."""

    def __init__(self, minimum: int, maximum: int) -> None:
        super().__init__(self._decode, self._encode, Shape.VALUE, quantities.whole)
        self.numbers = Numbers(signed=minimum < 0)
        self.minimum = minimum
        self.maximum = maximum

    def _decode(self, cells: Cells) -> int:
        [(_, value)] = cells
        if not isinstance(value, int):
            message = f"value must be an int, got {value}"
            raise ValueError(message)  # noqa: TRY004 - decoders raise ValueError
        if not self.minimum <= value <= self.maximum:
            message = f"value must be from {self.minimum} to {self.maximum}, got {value}"
            raise ValueError(message)
        return value

    def _encode(self, value: int) -> str:
        number = to_int(value)
        if not self.minimum <= number <= self.maximum:
            message = f"value must be from {self.minimum} to {self.maximum}, got {shown(number)}"
            raise InvalidValue(message)
        return str(number)

    def bind(self, file: File, slow: Slow) -> Callable[[Any], Any]:
        read_int, handle = file.int_call()
        minimum, maximum = max(self.minimum, 0), self.maximum
        if minimum == 0 and maximum >= (1 << 63) - 1:

            def read_any(cgroup: Any) -> Any:
                value = read_int(handle)
                return value if value >= 0 else slow(cgroup)

            return read_any

        def read_bounded(cgroup: Any) -> Any:
            value = read_int(handle)
            return value if minimum <= value <= maximum else slow(cgroup)

        return read_bounded


I64_MIN = -(1 << 63)
U64_MAX = (1 << 64) - 1

integer = _Int(I64_MIN, U64_MAX)


def bounded_int(*, min: int = I64_MIN, max: int = U64_MAX) -> Converter[int, int]:  # noqa: A002 - public names
    """Return a converter of integers from ``min`` to ``max``, both included."""
    return _Int(min, max)


_WORDS = {"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True, "off": False, "on": True}


def _bool_literal(word: str, unit: str) -> bool:  # noqa: ARG001 - a Literal
    if word.lower() not in _WORDS:
        message = f"value must be one of {', '.join(_WORDS)}, got {word!r}"
        raise InvalidValue(message)
    return _WORDS[word.lower()]


def _decode_bool(cells: Cells) -> bool:
    [(_, value)] = cells
    if value not in (0, 1) or not isinstance(value, int):
        message = f"value must be 0 or 1, got {value}"
        raise ValueError(message)
    return value == 1


def _encode_bool(value: bool) -> str:  # noqa: FBT001 - the value of a codec
    if value is not True and value is not False:
        message = f"value must be a bool, got {shown(value)}"
        raise InvalidValue(message)
    return "1" if value else "0"


class _Bool(Converter[bool, bool]):
    numbers = Numbers()

    def bind(self, file: File, slow: Slow) -> Callable[[Any], Any]:
        read_int, handle = file.int_call()

        def read_flag(cgroup: Any) -> Any:
            value = read_int(handle)
            return value == 1 if 0 <= value <= 1 else slow(cgroup)

        return read_flag


boolean = _Bool(_decode_bool, _encode_bool, Shape.VALUE, _bool_literal)


def _encode_string(value: str) -> str:
    if not isinstance(value, str):
        message = f"value must be a str, got {shown(value)}"
        raise InvalidValue(message)
    if not value or "\0" in value or "\n" in value:
        message = f"value must be a text without NUL or newline, and not empty, got {shown(value)}"
        raise InvalidValue(message)
    try:
        read_back = value.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        read_back = ""
    if read_back != value:
        message = f"value must be a text that UTF-8 encodes without loss, got {shown(value)}"
        raise InvalidValue(message)
    return value


string: Converter[str, str] = Converter(_of_text(str), _encode_string)


U32_MAX = (1 << 32) - 1


def to_device(value: Any) -> Device:
    """Convert a pair of numbers to a Device."""
    valid = isinstance(value, tuple) and len(value) == 2  # noqa: PLR2004 - a pair
    if not valid or not all(0 <= to_int(number) <= U32_MAX for number in value):
        message = f"device must be (major, minor), got {shown(value)}"
        raise InvalidValue(message)
    return Device(*value)


def device_of(text: str) -> Device | None:
    """Return the device of a text such as ``8:0``; None for another text."""
    major, colon, minor = text.partition(":")
    valid = colon and text.isascii() and major.isdigit() and minor.isdigit()
    if not valid or len(text) > 2 * len(str(U32_MAX)) + 1:
        return None
    device = Device(int(major), int(minor))
    return device if max(device) <= U32_MAX else None


def _decode_device(text: str) -> Device:
    found = device_of(text.strip())
    if found is None:
        message = f"device must be major:minor, got {shown(text)}"
        raise ValueError(message)
    return found


device: Converter[Device, tuple[int, int]] = rw(_decode_device, lambda value: str(to_device(value)))
