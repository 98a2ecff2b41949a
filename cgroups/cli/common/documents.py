"""Read and write the files of ``save`` and ``load``: JSON, and the subset of TOML that they need."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

import typer

from ...core.errors import InvalidValue, shown
from . import render

__all__ = ["SUFFIXES", "check_suffix", "read", "to_toml", "write"]

SUFFIXES: Final = (".json", ".toml")

STDOUT: Final = "-"

_INT64: Final = range(-(1 << 63), 1 << 63)


def check_suffix(path: str) -> str:
    """Return the suffix of a file name, ``.json`` for ``-``.  Another suffix is a usage error."""
    if path == STDOUT:
        return ".json"
    for suffix in SUFFIXES:
        if path.lower().endswith(suffix):
            return suffix
    message = f"FILE must end in {' or '.join(SUFFIXES)}, or be -, got {path!r}"
    raise typer.BadParameter(message)


def write(path: str, data: Mapping[str, Any]) -> None:
    """Write a document to a file, or to stdout."""
    text = to_toml(data) if check_suffix(path) == ".toml" else json.dumps(data, indent=2) + "\n"
    if path == STDOUT:
        render.show(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(path: str) -> Any:
    """Return the document of a file, or of stdin.

    Raises:
        InvalidValue: the text cannot be parsed, or this Python has no TOML parser.
        OSError: the file cannot be read.
    """
    suffix = check_suffix(path)
    tried = f"cannot load {path}"
    parse: Any = json.loads
    if suffix == ".toml":
        try:
            parse = importlib.import_module("tomllib").loads
        except ModuleNotFoundError:
            message = f"{tried}: reading TOML needs Python 3.11 or later"
            raise InvalidValue(message, hint="save to a file that ends in .json") from None
    try:
        if path == STDOUT:
            return parse(sys.stdin.read())
        with open(path, encoding="utf-8") as file:
            return parse(file.read())
    except (ValueError, RecursionError) as error:
        message = f"{tried}: {error}"
        raise InvalidValue(message, path=path) from None


# ---- TOML ------------------------------------------------------------------------------------


def to_toml(data: Mapping[str, Any]) -> str:
    """Return a document as TOML: its plain values first, then a table for each entry of its dicts.

    Raises:
        InvalidValue: a name has bytes that are not UTF-8, which TOML cannot represent.
    """
    lines = [f"{_key(key)} = {_value(one)}" for key, one in data.items() if not isinstance(one, dict)]
    for key, tables in data.items():
        if isinstance(tables, dict):
            for name, table in tables.items():
                lines += ["", f"[{_key(key)}.{_key(name)}]"]
                lines += [f"{_key(inner)} = {_value(one)}" for inner, one in table.items()]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _string(name)


def _value(data: Any) -> str:
    match data:
        case bool():
            return str(data).lower()
        case int():
            # A TOML integer has 64 bits.  ``load`` also accepts a number as a string.
            return str(data) if data in _INT64 else _string(str(data))
        case float():
            return repr(data)
        case str():
            return _string(data)
        case list():
            return f"[{', '.join(map(_value, data))}]"
        case dict():
            inner = ", ".join(f"{_key(key)} = {_value(one)}" for key, one in data.items())
            return f"{{ {inner} }}" if inner else "{}"
    message = f"cannot write {shown(data)} as TOML"
    raise InvalidValue(message, hint="save to a file that ends in .json")


_ESCAPES: Final = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def _string(text: str) -> str:
    if re.search("[\ud800-\udfff]", text):
        message = f"cannot write {shown(text)} as TOML: it has bytes that are not UTF-8"
        raise InvalidValue(message, hint="save to a file that ends in .json")
    return f'"{"".join(map(_character, text))}"'


def _character(character: str) -> str:
    escape = _ESCAPES.get(character)
    if escape is None:
        return f"\\u{ord(character):04x}" if character < " " or character == "\x7f" else character
    return escape
