"""Parse the texts of control files into cells: csrc/cg_parse.c in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from ..interface import EXCERPT, RANGE_LAST, ROW, Cells, Failure, Shape, Status
from ..values import MAX

__all__ = ["CONTROL", "Field", "is_digits", "is_whole", "parse", "parse_whole", "to_int"]

CONTROL: Final = 0x20
"""Bytes below this one are control characters."""


class Field(NamedTuple):
    """A run of bytes without blanks, and its offset."""

    text: bytes
    at: int


class _Bad(Exception):
    """An exception that ends the parse with a status and an offset."""


def _fields(line: bytes, start: int) -> Iterator[Field]:
    """Yield the fields of a line.  A field with a control character ends the parse when it is reached."""
    at = 0
    for part in line.replace(b"\t", b" ").split(b" "):
        if part:
            if min(part) < CONTROL:
                raise _Bad(Status.SYNTAX, start + at)
            yield Field(part, start + at)
        at += len(part) + 1


def _lines(data: bytes) -> Iterator[Iterator[Field]]:
    at = 0
    for line in data.split(b"\n"):
        yield _fields(line, at)
        at += len(line) + 1


def _words(data: bytes) -> Iterator[Field]:
    for line in _lines(data):
        yield from line


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def is_digits(text: bytes) -> bool:
    # bytes.isdigit accepts only ASCII digits.
    return text.isdigit()


def _number(text: bytes, at: int) -> Any:
    """Return an int or MAX; None if the text is not a number."""
    if text == b"max":
        return MAX
    digits = text.removeprefix(b"-")
    if not is_digits(digits):
        return None
    value = to_int(text)
    if not -(1 << 63) <= value < 1 << 64:
        raise _Bad(Status.RANGE, at)
    return value


def to_int(text: bytes) -> int:
    """Return ``int(text)``; for too many digits, which ``int`` refuses since CPython 3.11, a value out of range."""
    digits = text.removeprefix(b"-").lstrip(b"0")
    value = 1 << 64 if len(digits) > 20 else int(digits or b"0")  # noqa: PLR2004 - more digits than 2^64 has
    return -value if text.startswith(b"-") else value


def _expect_number(text: bytes, at: int) -> Any:
    value = _number(text, at)
    if value is None:
        raise _Bad(Status.SYNTAX, at)
    return value


def _any(text: bytes, at: int, *, centi: bool) -> Any:
    """Return a number, with ``centi`` also one with two decimals; else the text."""
    value = _number(text, at)
    if value is not None:
        return value
    whole, point, part = text.rpartition(b".")
    if centi and point and len(text) <= 18 and len(part) == 2 and is_digits(part) and is_digits(whole):  # noqa: PLR2004
        return int(whole + part) / 100
    return _decode(text)


def _parse_value(data: bytes) -> Cells:
    words = _words(data)
    first = next(words, None)
    if first is None:
        raise _Bad(Status.EMPTY, len(data))
    value = _expect_number(*first)
    for other in words:
        raise _Bad(Status.SYNTAX, other.at)
    return [("", value)]


def _parse_values(data: bytes) -> Cells:
    return [("", _expect_number(*word)) for word in _words(data)]


def _parse_keyed(data: bytes) -> Cells:
    cells: Cells = []
    for line in _lines(data):
        match list(line):
            case [key]:
                cells.append((_decode(key.text), None))
            case [key, number, *_]:
                cells.append((_decode(key.text), _expect_number(*number)))
    return cells


def _parse_nested(data: bytes) -> Cells:
    cells: Cells = []
    for line in _lines(data):
        in_row = False
        for text, at in line:
            key, equals, value = text.partition(b"=")
            if not equals:
                cells.append((_decode(text), ROW))
            else:
                if not key:
                    raise _Bad(Status.SYNTAX, at)
                if not in_row:
                    cells.append(("", ROW))
                cells.append((_decode(key), _any(value, at, centi=True)))
            in_row = True
    return cells


def _parse_triples(data: bytes) -> Cells:
    cells: Cells = []
    row = None
    for line in _lines(data):
        match list(line):
            case []:
                continue
            case [name]:
                row = _decode(name.text)
                cells.append((row, ROW))
                continue
            case [key, number]:
                name_text = ""
            case [name, key, number, *_]:
                name_text = _decode(name.text)
        if name_text != row:
            row = name_text
            cells.append((row, ROW))
        cells.append((_decode(key.text), _expect_number(*number)))
    return cells


def _parse_table(data: bytes) -> Cells:
    cells: Cells = []
    for line in _lines(data):
        for i, (text, at) in enumerate(line):
            cells.append(("", _any(text, at, centi=False)) if i else (_decode(text), ROW))
    return cells


def _parse_ranges(data: bytes) -> Cells:
    cells: Cells = []
    words = _words(data)
    ranges = next(words, None)
    if ranges is None:
        return cells
    at = ranges.at
    for item in ranges.text.split(b","):
        first, dash, last = item.partition(b"-")
        bounds = (first, last if dash else first)
        if not all(map(is_digits, bounds)):
            raise _Bad(Status.SYNTAX, at)
        low, high = map(to_int, bounds)
        if max(low, high) > RANGE_LAST:
            raise _Bad(Status.RANGE, at)
        if low > high:
            raise _Bad(Status.SYNTAX, at)
        cells += [("", low), ("", high)]
        at += len(item) + 1
    for other in words:
        raise _Bad(Status.SYNTAX, other.at)
    return cells


def _parse_words(data: bytes) -> Cells:
    return [("", _decode(word.text)) for word in _words(data)]


def _parse_text(data: bytes) -> Cells:
    return [("", _decode(data.removesuffix(b"\n")))]


_PARSERS: dict[int, Callable[[bytes], Cells]] = {
    Shape.VALUE: _parse_value,
    Shape.VALUES: _parse_values,
    Shape.KEYED: _parse_keyed,
    Shape.NESTED: _parse_nested,
    Shape.TRIPLES: _parse_triples,
    Shape.TABLE: _parse_table,
    Shape.RANGES: _parse_ranges,
    Shape.WORDS: _parse_words,
    Shape.TEXT: _parse_text,
}


def parse(shape: int, data: bytes) -> Cells:
    """Return the cells of a control file's text."""
    try:
        return _PARSERS[shape](data)
    except _Bad as bad:
        status, at = bad.args
        raise Failure(status, 0, at, data[at : at + EXCERPT]) from None


def is_whole(shape: int, data: bytes) -> bool:
    """Return whether a text has the kernel's ending: cg.h, cg_is_whole."""
    return not data or data.endswith(b"\n") or shape == Shape.TEXT or (shape == Shape.NESTED and data.endswith(b" "))


def parse_whole(shape: int, data: bytes) -> Cells:
    """Return the cells of a text as read.  A text without its ending is an error: its last number may be cut."""
    cells = parse(shape, data)
    if not is_whole(shape, data):
        raise Failure(Status.SYNTAX, 0, len(data))
    return cells
