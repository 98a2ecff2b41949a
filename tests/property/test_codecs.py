"""The codecs of the parameters: a faulty cell is a ValueError, which becomes ParseError, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cgroups.converter import Reader
from cgroups.core.interface import Failure, Shape
from cgroups.core.values import Stat
from cgroups.parameters import formats

Both = tuple[ModuleType, ModuleType]
Texts = Callable[[Shape], st.SearchStrategy[Any]]


def test_decode_returns_or_raises_value_error(
    reader: Reader[Any], both: Both, mutated_texts: Texts, valid_texts: Texts
) -> None:
    valid = valid_texts(reader.shape).map(lambda one: one[0])

    @given(mutated_texts(reader.shape) | valid | st.binary(max_size=30))
    def decodes(text: bytes) -> None:
        for module in both:
            try:
                cells = module.parse(reader.shape, text)
            except Failure:
                continue
            try:
                reader.decode(cells)
            except ValueError:
                pass

    decodes()


# Words where numbers are due, and the other way round, under keys that the codecs look for.
_KEYS = (
    "rbytes",
    "wbytes",
    "dbytes",
    "rios",
    "wios",
    "dios",
    "rbps",
    "riops",
    "avg10",
    "total",
    "N0",
    "N1",
    "N\u00b2",
    "hca_handle",
)
_NAMES = ("8:0", "252:16", "Total", "default", "some", "full", "anon", "(unknown)", "mlx5_0", "c", "")
_VALUES = ("5", "max", "-5", "x", "", "1.50", "18446744073709551615", "9" * 17 + ".99", "\u00b2", "1:3", "*:*", "rwm")
_LINE = {
    Shape.KEYED: lambda name, key, value: f"{key} {value}",
    Shape.NESTED: lambda name, key, value: f"{name} {key}={value}",
    Shape.TRIPLES: lambda name, key, value: f"{name} {key} {value}",
    Shape.TABLE: lambda name, key, value: f"{name} {value} {key}",
}


def test_known_keys_with_odd_values(reader: Reader[Any], both: Both) -> None:
    line = _LINE.get(reader.shape, lambda name, key, value: f"{value} {key}")
    native, _ = both
    for name in _NAMES:
        for key in (*_KEYS, *_NAMES):
            for value in _VALUES:
                try:
                    reader.decode(native.parse(reader.shape, line(name, key, value).encode()))
                except (Failure, ValueError):
                    pass


@given(st.dictionaries(st.text("abcdef_", min_size=1), st.integers(0, (1 << 64) - 1)), st.integers(1, 10**9))
def test_stat_has_what_the_file_says(values: dict[str, int], factor: int) -> None:
    codec = formats.stat_of(Stat, aliases={"second_name": "a"}, scaled={"scaled_b": ("b", factor)})
    expected = dict(values)
    if "a" in values:
        expected["second_name"] = values["a"]
    if "b" in values:
        expected["scaled_b"] = values["b"] * factor
    assert dict(codec.decode(list(values.items()))) == expected
