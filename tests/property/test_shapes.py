"""The two parsers against each other, and against the definition of each shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgroups.core.interface import Shape, Status

Both = tuple[ModuleType, ModuleType]
Outcome = Callable[..., Any]

PARSING_SHARE = 0.3
"""Fewer mutated texts that parse would leave the parsers' main paths untried."""

JUDGED = 200
"""The share is judged from this number of examples on, as all profiles but ``dev`` have; it varies by chance below."""

shapes = pytest.mark.parametrize("shape", Shape, ids=lambda shape: shape.name.lower())


@shapes
def test_valid_text_has_its_cells(shape: Shape, both: Both, valid_texts: Any, outcome: Outcome) -> None:
    @given(valid_texts(shape))
    def parses(example: tuple[bytes, list[Any]]) -> None:
        text, cells = example
        expected = [(key, type(value), value) for key, value in cells]
        for module in both:
            assert outcome(module.parse, shape, text) == expected, module.NAME

    parses()


@shapes
def test_captured_text_parses_alike(shape: Shape, both: Both, captured_texts: Any, outcome: Outcome) -> None:
    native, python = both
    texts = captured_texts(shape)
    assert texts
    for text in texts:
        result = outcome(native.parse, shape, text)
        assert isinstance(result, list), text
        assert result == outcome(python.parse, shape, text)


@pytest.mark.slow
@shapes
def test_mutated_text_parses_alike(shape: Shape, both: Both, mutated_texts: Any, outcome: Outcome) -> None:
    native, python = both
    count: Counter[str] = Counter()

    @settings(max_examples=8 * settings().max_examples)
    @given(mutated_texts(shape))
    def agrees(text: bytes) -> None:
        result = outcome(native.parse, shape, text)
        assert result == outcome(python.parse, shape, text)
        count["parsed" if isinstance(result, list) else "refused"] += 1

    agrees()
    assert count.total() < JUDGED or count["parsed"] >= PARSING_SHARE * count.total(), count


@shapes
def test_random_bytes_parse_alike(shape: Shape, both: Both, outcome: Outcome) -> None:
    native, python = both
    digits_and_blanks = st.text("0123456789-,.= \t\n:max", max_size=40).map(str.encode)

    @given(st.binary(max_size=60) | digits_and_blanks)
    def agrees(text: bytes) -> None:
        assert outcome(native.parse, shape, text) == outcome(python.parse, shape, text)

    agrees()


# Each byte beside each kind of field: the scanners' character classes, without luck.
@shapes
@pytest.mark.parametrize(
    "around", [b"%b", b"1%b", b"%b1", b"1%b2", b"k 1%b", b"k%b=1", b"r k=%b", b"1-%b", b"a b 1%b\nc"]
)
def test_every_byte_parses_alike(shape: Shape, around: bytes, both: Both, outcome: Outcome) -> None:
    native, python = both
    for byte in range(256):
        text = around % bytes([byte])
        assert outcome(native.parse, shape, text) == outcome(python.parse, shape, text), text


@shapes
def test_numbers_with_thousands_of_digits(shape: Shape, both: Both, outcome: Outcome) -> None:
    native, python = both
    for number in (b"0" * 5000 + b"7", b"7" * 5000, b"-" + b"7" * 5000, b"-" + b"0" * 5000):
        for pattern in (b"%b\n", b"key %b\n", b"row key=%b", b"row key %b", b"%b-9", b"key=%b.00"):
            text = pattern % number
            assert outcome(native.parse, shape, text) == outcome(python.parse, shape, text)


@shapes
@given(edge=st.sampled_from([1 << 63, 1 << 64, 65536, 10**19, 10**20]), off=st.integers(-3, 3), minus=st.booleans())
def test_numbers_at_the_edges(both: Both, outcome: Outcome, shape: Shape, edge: int, off: int, minus: bool) -> None:
    native, python = both
    number = b"%d" % (edge + off) if not minus else b"-%d" % (edge + off)
    for pattern in (b"%b\n", b"0000%b", b"key %b\n", b"row key=%b", b"row key %b", b"0-%b", b"%b-%b"):
        text = pattern.replace(b"%b", number)
        result = outcome(native.parse, shape, text)
        assert result == outcome(python.parse, shape, text)
        if shape is Shape.VALUE and pattern == b"%b\n":
            value = int(number)
            fits = -(1 << 63) <= value < 1 << 64
            assert result == ([("", int, value)] if fits else (Status.RANGE, 0, text[:40], 0))
