"""Combine codecs of single values into codecs of pairs, triples and lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from .codecs import Converter, Reader, Writer, read, ro, rw, wo
from .errors import InvalidValue, shown

__all__ = ["A", "B", "C", "list_of", "pair", "triple"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


def _check_separator(sep: str) -> None:
    if not isinstance(sep, str) or len(sep) != 1:
        message = f"sep must be one character, got {shown(sep)}"
        raise InvalidValue(message)


def _split(text: str, sep: str, count: int) -> list[str]:
    parts = text.split(sep)
    if len(parts) != count:
        message = f"text must have {count} values separated by {shown(sep)}, got {len(parts)}"
        raise ValueError(message)
    return parts


def _joined(texts: list[str], sep: str) -> str:
    """Join the texts with a separator; refuse a text that would be read back differently."""
    for text in texts:
        if sep in text or not text or "\n" in text:
            message = f"item must be a text without newline or separator {shown(sep)}, and not empty, got {shown(text)}"
            raise InvalidValue(message)
    return sep.join(texts)


def _tuple(sep: str, parts: tuple[Any, ...]) -> Any:
    _check_separator(sep)

    def decode(text: str) -> Any:
        return tuple(read(part, one) for part, one in zip(parts, _split(text, sep, len(parts))))

    def encode(values: Any) -> str:
        if not isinstance(values, tuple) or len(values) != len(parts):
            message = f"value must be a tuple of {len(parts)}, got {shown(values)}"
            raise InvalidValue(message)
        return _joined([part.encode(value) for part, value in zip(parts, values)], sep)

    return _combined(parts, decode, encode)


def _combined(parts: tuple[Any, ...], decode: Callable[[str], Any], encode: Callable[[Any], str]) -> Any:
    """Return a converter if all parts are converters, else a reader or a writer."""
    if all(isinstance(part, Converter) for part in parts):
        return rw(decode, encode)
    if all(isinstance(part, Reader) for part in parts):
        return ro(decode)
    if all(isinstance(part, Writer) for part in parts):
        return wo(encode)
    message = "codecs must be all readers or all writers, got a mix"
    raise InvalidValue(message)


@overload
def pair(one: Converter[A, A], two: Converter[B, B], *, sep: str) -> Converter[tuple[A, B], tuple[A, B]]: ...
@overload
def pair(one: Reader[A], two: Reader[B], *, sep: str) -> Reader[tuple[A, B]]: ...
@overload
def pair(one: Writer[A], two: Writer[B], *, sep: str) -> Writer[tuple[A, B]]: ...
def pair(one: Any, two: Any, *, sep: str) -> Any:
    """Return the codec of two values separated by one character."""
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
    """Return the codec of three values separated by one character."""
    return _tuple(sep, (one, two, three))


@overload
def list_of(item: Converter[A, A], *, sep: str) -> Converter[list[A], list[A]]: ...
@overload
def list_of(item: Reader[A], *, sep: str) -> Reader[list[A]]: ...
@overload
def list_of(item: Writer[A], *, sep: str) -> Writer[list[A]]: ...
def list_of(item: Any, *, sep: str) -> Any:
    """Return the codec of a list of values separated by one character.  An empty text is the empty list."""
    _check_separator(sep)

    def decode(text: str) -> Any:
        return [read(item, one) for one in text.split(sep)] if text else []

    def encode(values: Any) -> str:
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            message = f"value must be a list, got {shown(values)}"
            raise InvalidValue(message)
        return _joined([item.encode(value) for value in values], sep)

    return _combined((item,), decode, encode)
