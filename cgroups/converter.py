"""Text codecs and their combinators, under the seed's names.

A :class:`Reader` makes a value of a control file's text, a :class:`Writer`
the text of a value, a :class:`Converter` does both; what one writes, it reads
back the same.  ``read(converter, text)`` and ``write(converter, value)`` use
them alone; ``mk_get``, ``mk_set`` and ``mk_reset`` make parameters of them::

    my_limit = mk_set("memory", "my_limit", Converter.bounded_int(min=1))

Reading raises ParseError, writing InvalidValue.
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ._backend import backend
from ._interface import Cells, Failure, Numbers, Shape
from .core import quantities
from .errors import CgroupError, InvalidValue, ParseError, from_failure, shown
from .values import Device

if TYPE_CHECKING:
    from ._interface import File

__all__ = [
    "Converter",
    "Reader",
    "Writer",
    "bool",
    "bounded_int",
    "device",
    "int",
    "list",
    "pair",
    "range",
    "read",
    "ro",
    "rw",
    "single_range",
    "string",
    "triple",
    "wo",
    "write",
]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
R = TypeVar("R")
W = TypeVar("W")
R_co = TypeVar("R_co", covariant=True)
W_contra = TypeVar("W_contra", contravariant=True)

Slow = Callable[[Any], Any]

Literal = Callable[[str, str], Any]
"""Makes the value of a word on a command line, in the unit of its parameter; raises InvalidValue."""


def as_it_is(word: str, unit: str) -> str:  # noqa: ARG001 - a Literal
    """Return the word: the value is text."""
    return word


_UNSIGNED = frozenset({Shape.VALUES, Shape.KEYED, Shape.NESTED, Shape.TRIPLES, Shape.TABLE})
"""Shapes in which the kernel has no negative number; of one alone (VALUE) its converter knows the range."""


def _unsigned(decode: Callable[[Cells], R]) -> Callable[[Cells], R]:
    """The same decoder, which refuses cells with a negative number."""

    def checked(cells: Cells) -> R:
        for key, value in cells:
            if value.__class__ is builtins.int and value < 0:
                message = f"{key or 'a number'} is {value}, and must not be negative"
                raise ValueError(message)
        return decode(cells)

    return checked


class Reader(Generic[R_co]):
    """A shape, and how its cells become a value; ``decode`` raises ValueError for what cannot be.

    ``numbers`` says how the cells are numbers that can be sampled, where they are.
    """

    numbers: Numbers | None = None

    def __init__(
        self, decode: Callable[[Cells], R_co], shape: Shape = Shape.TEXT, numbers: Numbers | None = None
    ) -> None:
        self.shape = shape
        self.decode = _unsigned(decode) if shape in _UNSIGNED else decode
        if numbers is not None:
            self.numbers = numbers

    def bind(self, file: File, slow: Slow) -> Callable[[Any], Any]:  # noqa: ARG002 - for the subclasses that know a shorter way
        """How one file is read again and again: ``slow``, or a shorter way that falls back on it."""
        return slow


class Writer(Generic[W_contra]):
    """How a value becomes text; ``encode`` raises InvalidValue.

    ``literal`` makes the value of a word on a command line, and of the parameter's unit.
    """

    def __init__(self, encode: Callable[[W_contra], str], literal: Literal = as_it_is) -> None:
        self.encode = encode
        self.literal = literal


class Converter(Reader[R], Writer[W]):
    """Both directions."""

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
    """A reader from a function of the text, given without its final newline."""
    return Reader(_of_text(function))


def wo(function: Callable[[W], str]) -> Writer[W]:
    """A writer from a function."""
    return Writer(function)


def rw(read: Callable[[str], R], write: Callable[[W], str]) -> Converter[R, W]:
    """A converter from two functions."""
    return Converter(_of_text(read), write)


def read(converter: Reader[R], text: str) -> R:
    """The value of a text."""
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
    """The text of a value."""
    return converter.encode(value)


# ---- one value -------------------------------------------------------------------


def to_int(value: Any) -> builtins.int:
    """An int of whatever is one: not a bool, which is one by accident, and no float."""
    if not isinstance(value, builtins.bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    message = f"{shown(value)} is not an int"
    raise InvalidValue(message)


class _Int(Converter[builtins.int, builtins.int]):
    """An integer, read by one C call where it is not negative."""

    def __init__(self, minimum: builtins.int, maximum: builtins.int) -> None:
        super().__init__(self._decode, self._encode, Shape.VALUE, quantities.whole)
        self.numbers = Numbers(signed=minimum < 0)
        self.minimum = minimum
        self.maximum = maximum

    def _decode(self, cells: Cells) -> builtins.int:
        [(_, value)] = cells
        if not isinstance(value, builtins.int):
            message = f"{value} where an int is expected"
            raise ValueError(message)  # noqa: TRY004 - what a decoder raises
        if not self.minimum <= value <= self.maximum:
            message = f"{value} is not from {self.minimum} to {self.maximum}"
            raise ValueError(message)
        return value

    def _encode(self, value: builtins.int) -> str:
        number = to_int(value)
        if not self.minimum <= number <= self.maximum:
            message = f"{shown(number)} is not from {self.minimum} to {self.maximum}"
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

int = _Int(I64_MIN, U64_MAX)


def bounded_int(*, min: builtins.int = I64_MIN, max: builtins.int = U64_MAX) -> Converter[builtins.int, builtins.int]:  # noqa: A002 - the seed's names
    """An integer between these, both included."""
    return _Int(min, max)


_WORDS = {"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True, "off": False, "on": True}


def _bool_literal(word: str, unit: str) -> builtins.bool:  # noqa: ARG001 - a Literal
    if word.lower() not in _WORDS:
        message = f"{word!r} is not one of {', '.join(_WORDS)}"
        raise InvalidValue(message)
    return _WORDS[word.lower()]


def _decode_bool(cells: Cells) -> builtins.bool:
    [(_, value)] = cells
    if value not in (0, 1) or not isinstance(value, builtins.int):
        message = f"{value} is neither 0 nor 1"
        raise ValueError(message)
    return value == 1


def _encode_bool(value: builtins.bool) -> str:
    if value is not True and value is not False:
        message = f"{shown(value)} is not a bool"
        raise InvalidValue(message)
    return "1" if value else "0"


class _Bool(Converter[builtins.bool, builtins.bool]):
    numbers = Numbers()

    def bind(self, file: File, slow: Slow) -> Callable[[Any], Any]:
        read_int, handle = file.int_call()

        def read_flag(cgroup: Any) -> Any:
            value = read_int(handle)
            return value == 1 if 0 <= value <= 1 else slow(cgroup)

        return read_flag


bool = _Bool(_decode_bool, _encode_bool, Shape.VALUE, _bool_literal)


def _encode_string(value: str) -> str:
    if not isinstance(value, str):
        message = f"{shown(value)} is not a str"
        raise InvalidValue(message)
    if not value or "\0" in value or "\n" in value:
        message = f"{shown(value)} is empty, or has a NUL or a newline"
        raise InvalidValue(message)
    try:
        read_back = value.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        read_back = ""
    if read_back != value:
        message = f"{shown(value)} cannot be encoded, or reads back as another"
        raise InvalidValue(message)
    return value


string: Converter[str, str] = Converter(_of_text(str), _encode_string)


# ---- several values -----------------------------------------------------------------


def _check_separator(sep: str) -> None:
    if not isinstance(sep, str) or len(sep) != 1:
        message = f"sep {shown(sep)} is not one character"
        raise InvalidValue(message)


def _split(text: str, sep: str, count: builtins.int) -> builtins.list[str]:
    parts = text.split(sep)
    if len(parts) != count:
        message = f"{count} values separated by {shown(sep)} are expected, not {len(parts)}"
        raise ValueError(message)
    return parts


def _joined(texts: builtins.list[str], sep: str) -> str:
    """The texts with separators; refused where reading it would split it elsewhere."""
    for text in texts:
        if sep in text or not text or "\n" in text:
            message = f"{shown(text)} is empty, or has a newline or the separator {shown(sep)}"
            raise InvalidValue(message)
    return sep.join(texts)


def _tuple(sep: str, parts: tuple[Any, ...]) -> Any:
    _check_separator(sep)

    def decode(text: str) -> Any:
        return tuple(read(part, one) for part, one in zip(parts, _split(text, sep, len(parts))))

    def encode(values: Any) -> str:
        if not isinstance(values, tuple) or len(values) != len(parts):
            message = f"{shown(values)} is not a tuple of {len(parts)}"
            raise InvalidValue(message)
        return _joined([part.encode(value) for part, value in zip(parts, values)], sep)

    return _combined(parts, decode, encode)


def _combined(parts: tuple[Any, ...], decode: Callable[[str], Any], encode: Callable[[Any], str]) -> Any:
    """What all of the parts are: a converter, or a reader or writer alone."""
    if all(isinstance(part, Converter) for part in parts):
        return rw(decode, encode)
    if all(isinstance(part, Reader) for part in parts):
        return ro(decode)
    if all(isinstance(part, Writer) for part in parts):
        return wo(encode)
    message = "these can neither all be read nor all be written"
    raise InvalidValue(message)


@overload
def pair(one: Converter[A, A], two: Converter[B, B], *, sep: str) -> Converter[tuple[A, B], tuple[A, B]]: ...
@overload
def pair(one: Reader[A], two: Reader[B], *, sep: str) -> Reader[tuple[A, B]]: ...
@overload
def pair(one: Writer[A], two: Writer[B], *, sep: str) -> Writer[tuple[A, B]]: ...
def pair(one: Any, two: Any, *, sep: str) -> Any:
    """Two values with a separator of one character between."""
    return _tuple(sep, (one, two))


@overload
def triple(
    one: Converter[A, A], two: Converter[B, B], three: Converter[C, C], *, sep: str
) -> Converter[tuple[A, B, C], tuple[A, B, C]]: ...
@overload
def triple(one: Reader[A], two: Reader[B], three: Reader[C], *, sep: str) -> Reader[tuple[A, B, C]]: ...
@overload
def triple(one: Writer[A], two: Writer[B], three: Writer[C], *, sep: str) -> Writer[tuple[A, B, C]]: ...
def triple(one: Any, two: Any, three: Any, *, sep: str) -> Any:
    """Three values with a separator of one character between."""
    return _tuple(sep, (one, two, three))


@overload
def list(item: Converter[A, A], *, sep: str) -> Converter[builtins.list[A], builtins.list[A]]: ...
@overload
def list(item: Reader[A], *, sep: str) -> Reader[builtins.list[A]]: ...
@overload
def list(item: Writer[A], *, sep: str) -> Writer[builtins.list[A]]: ...
def list(item: Any, *, sep: str) -> Any:
    """Any count of values with a separator of one character between; no text is the empty list."""
    _check_separator(sep)

    def decode(text: str) -> Any:
        return [read(item, one) for one in text.split(sep)] if text else []

    def encode(values: Any) -> str:
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            message = f"{shown(values)} is not a list"
            raise InvalidValue(message)
        return _joined([item.encode(value) for value in values], sep)

    return _combined((item,), decode, encode)


U32_MAX = (1 << 32) - 1


def to_device(value: Any) -> Device:
    """A Device of a pair of numbers."""
    valid = isinstance(value, tuple) and len(value) == 2  # noqa: PLR2004 - a pair
    if not valid or not all(0 <= to_int(number) <= U32_MAX for number in value):
        message = f"{shown(value)} is not the (major, minor) of a device"
        raise InvalidValue(message)
    return Device(*value)


def device_of(text: str) -> Device | None:
    """The device of ``8:0``; None when the text is none."""
    major, colon, minor = text.partition(":")
    valid = colon and text.isascii() and major.isdigit() and minor.isdigit()
    if not valid or len(text) > 2 * len(str(U32_MAX)) + 1:
        return None
    device = Device(builtins.int(major), builtins.int(minor))
    return device if max(device) <= U32_MAX else None


def _decode_device(text: str) -> Device:
    found = device_of(text.strip())
    if found is None:
        message = f"{shown(text)} is not the major:minor of a device"
        raise ValueError(message)
    return found


device: Converter[Device, tuple[builtins.int, builtins.int]] = rw(_decode_device, lambda value: str(to_device(value)))


# ---- ranges ------------------------------------------------------------------------------


def _decode_ranges(cells: Cells) -> builtins.list[builtins.int]:
    bounds = [value for _, value in cells]
    found: builtins.list[builtins.int] = []
    last = -1
    for low, high in sorted(zip(bounds[0::2], bounds[1::2])):
        # Only what is above the last: ranges that overlap are expanded once.
        found += builtins.range(max(low, last + 1), high + 1)
        last = max(last, high)
    return found


def compact(numbers: Iterable[builtins.int]) -> str:
    """The canonical text of a set of numbers: merged, ascending ranges."""
    ranges: builtins.list[builtins.list[builtins.int]] = []
    for number in sorted(numbers):
        if ranges and number <= ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


RANGE_LAST = 65535


def _check_ranged(number: Any) -> builtins.int:
    if not 0 <= to_int(number) <= RANGE_LAST:
        message = f"{shown(number)} is not from 0 to {RANGE_LAST}"
        raise InvalidValue(message)
    return to_int(number)


def _encode_ranges(numbers: Iterable[builtins.int]) -> str:
    if isinstance(numbers, (str, bytes)) or not isinstance(numbers, Iterable):
        message = f"{shown(numbers)} is not an iterable of ints"
        raise InvalidValue(message)
    return compact(_check_ranged(number) for number in numbers)


def _range_literal(word: str, unit: str) -> builtins.list[builtins.int]:  # noqa: ARG001 - a Literal
    try:
        return read(range, word)
    except ParseError:
        message = f"{word!r} is not a list of numbers and ranges such as 0-3,8"
        raise InvalidValue(message) from None


range: Converter[builtins.list[builtins.int], Iterable[builtins.int]] = Converter(
    _decode_ranges, _encode_ranges, Shape.RANGES, _range_literal
)


def _decode_single_range(cells: Cells) -> tuple[builtins.int, builtins.int]:
    if len(cells) != 2:  # noqa: PLR2004 - the two bounds of one range
        message = "one range is expected"
        raise ValueError(message)
    return cells[0][1], cells[1][1]


def _encode_single_range(bounds: tuple[builtins.int, builtins.int]) -> str:
    if not isinstance(bounds, tuple) or len(bounds) != 2 or _check_ranged(bounds[0]) > _check_ranged(bounds[1]):  # noqa: PLR2004
        message = f"{shown(bounds)} is not a pair (first, last)"
        raise InvalidValue(message)
    low, high = bounds
    return str(low) if low == high else f"{low}-{high}"


single_range: Converter[tuple[builtins.int, builtins.int], tuple[builtins.int, builtins.int]] = Converter(
    _decode_single_range, _encode_single_range, Shape.RANGES
)
