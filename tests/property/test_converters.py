"""Converters: what one writes it reads back, and nothing that is wrong gets by, or out as another exception."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cgroups import converter as c
from cgroups.core.errors import InvalidValue, ParseError
from cgroups.core.values import MAX, Device
from cgroups.parameters import cpu, limit_formats

# ---- converters of every kind, each with its values ----------------------------------

Typed = tuple[Any, st.SearchStrategy[Any]]

file_text = st.binary(min_size=1, max_size=10).map(lambda text: text.decode("utf-8", "surrogateescape"))
texts = file_text.filter(lambda text: not set("\0\n") & set(text))
nodes = st.integers(0, 65535)
LEAVES: dict[str, Typed] = {
    "int": (
        c.int,
        st.integers(-(1 << 63), (1 << 64) - 1) | st.sampled_from([-(1 << 63), 0, (1 << 63) - 1, (1 << 64) - 1]),
    ),
    "bounded": (c.bounded_int(min=-3, max=1000), st.integers(-3, 1000)),
    "bool": (c.bool, st.booleans()),
    "string": (c.string, texts),
    "device": (c.device, st.builds(Device, st.integers(0, (1 << 32) - 1), st.integers(0, 99))),
    "range": (c.range, st.sets(st.integers(0, 12) | nodes, max_size=12).map(sorted)),
    "single_range": (c.single_range, st.tuples(nodes, nodes).map(sorted).map(tuple)),
}
separators = st.sampled_from(list(" ,:;=|\t-\n")) | st.characters()


def _tuples(parts: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    two = st.builds(lambda a, b, sep: (c.pair(a[0], b[0], sep=sep), st.tuples(a[1], b[1])), parts, parts, separators)
    three = st.builds(
        lambda a, b, d, sep: (c.triple(a[0], b[0], d[0], sep=sep), st.tuples(a[1], b[1], d[1])),
        *(parts, parts, parts, separators),
    )
    many = st.builds(lambda a, sep: (c.list(a[0], sep=sep), st.lists(a[1], max_size=4)), parts, separators)
    return two | three | many


leaves = st.sampled_from(list(LEAVES.values()))
converters = st.recursive(leaves, _tuples, max_leaves=5)

leaf = pytest.mark.parametrize("kind", LEAVES)


@leaf
@given(data=st.data())
def test_leaf_reads_what_it_writes(kind: str, data: st.DataObject) -> None:
    one, values = LEAVES[kind]
    value = data.draw(values)
    text = c.write(one, value)
    for written in (text, text + "\n"):
        result = c.read(one, written)
        assert result == value
        assert type(result) is type(value)


@given(st.data())
def test_combination_reads_what_it_writes(data: st.DataObject) -> None:
    one, values = data.draw(converters)
    value = data.draw(values)
    try:
        text = c.write(one, value)
    except InvalidValue:
        assume(False)  # a part has the separator in it, or is empty: refused, or it would be split elsewhere
    assert c.read(one, text) == value


PLAIN = {
    "pair": (c.pair(c.int, c.bool, sep=" "), (-5, True), "-5 1"),
    "triple": (c.triple(c.device, c.string, c.int, sep=" "), (Device(8, 0), "r", 7), "8:0 r 7"),
    "list": (c.list(c.int, sep=","), [3, 1, 2], "3,1,2"),
    "no list": (c.list(c.int, sep=","), [], ""),
    "nested": (c.list(c.pair(c.string, c.range, sep="="), sep=" "), [("a", [0, 1, 3]), ("b", [7])], "a=0-1,3 b=7"),
}


@pytest.mark.parametrize(("one", "value", "text"), PLAIN.values(), ids=PLAIN)
def test_combination_is_this_text(one: Any, value: Any, text: str) -> None:
    assert c.write(one, value) == text
    assert c.read(one, text) == value


@given(left=texts, right=texts, sep=separators)
def test_separator_inside_a_value_is_refused(left: str, right: str, sep: str) -> None:
    assume(len(sep) == 1)
    for one, value in (
        (c.pair(c.string, c.string, sep=sep), (left + sep + right, right)),
        (c.list(c.string, sep=sep), [left + sep + right]),
    ):
        with pytest.raises(InvalidValue):
            c.write(one, value)


# ---- writing what cannot be ------------------------------------------------------------------

scalars = st.one_of(
    *(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=4),
        st.binary(max_size=4),
        st.complex_numbers(),
    ),
    *(st.text(st.characters(categories=["Cs"]), max_size=3), st.just(MAX), st.builds(object), st.fractions(), nodes),
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.data(), anything)
def test_writing_gives_text_that_reads_or_invalid_value(data: st.DataObject, value: Any) -> None:
    one, _ = data.draw(converters)
    try:
        text = c.write(one, value)
    except InvalidValue:
        return
    assert isinstance(text, str)
    assert c.write(one, c.read(one, text)) == text


WRONG = {
    "int": (True, 1.0, "1", b"1", None, MAX, 1 << 64, -(1 << 63) - 1, [1], Fraction(1), float("nan"), 1j),
    "bounded": (True, -4, 1001, 2.5, "5", None, MAX),
    "bool": (0, 1, "1", None, 2, [], "true"),
    "string": ("", "a\nb", "a\0", b"a", 5, None, "\ud800", ["a"], "\udcc3\udca9"),
    "device": ((8,), (8, 0, 1), [8, 0], "8:0", (-1, 0), (1 << 32, 0), (8.0, 0), (True, 0), None, 8, ("8", "0")),
    "range": ([-1], [65536], ["1"], "1", b"1", [1.0], [True], 5, None, [None], [[1]]),
    "single_range": ((2, 1), (0, 65536), (-1, 0), [0, 1], (1,), (1, 2, 3), "0-1", 5, None, (0.0, 1), (False, True)),
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in WRONG.items() for value in values])
def test_out_of_domain_is_invalid_value(kind: str, value: Any) -> None:
    one, _ = LEAVES[kind]
    with pytest.raises(InvalidValue):
        c.write(one, value)
    with pytest.raises(InvalidValue):
        c.write(c.list(one, sep=";"), [value])
    with pytest.raises(InvalidValue):
        c.write(c.pair(one, one, sep=";"), (value, value))


# An int so long that the interpreter refuses to print it, also in an error message.
@leaf
def test_int_of_thousands_of_digits_is_invalid_value(kind: str) -> None:
    one, _ = LEAVES[kind]
    number = 10**5000
    for writer in (one, c.list(one, sep=";"), c.pair(one, one, sep=";")):
        for value in (number, -number, [number], (number, number), {number: number}):
            with pytest.raises(InvalidValue):
                c.write(writer, value)


@pytest.mark.parametrize("value", ["12", b"12", 5, None])
def test_text_is_no_list(value: Any) -> None:
    for one in (c.list(c.int, sep=","), c.range):
        with pytest.raises(InvalidValue):
            c.write(one, value)


@pytest.mark.parametrize("sep", ["", "ab", None, 5, b","])
def test_separator_is_one_character(sep: Any) -> None:
    for make in (
        lambda: c.pair(c.int, c.int, sep=sep),
        lambda: c.triple(c.int, c.int, c.int, sep=sep),
        lambda: c.list(c.int, sep=sep),
    ):
        with pytest.raises(InvalidValue):
            make()


# ---- reading what cannot be -------------------------------------------------------------------

any_text = (
    st.text()
    | st.text("0123456789-,:; max\n\t", max_size=14)
    | st.text(st.characters(categories=["Cs", "Nd"]), max_size=4)
    | st.sampled_from(
        ["²", "٣", "1" * 5000, "-" + "1" * 5000, "max", "1_000", "0x1f", "+5", "5.0", "\ud800", "٣:٣", "8:²"]
    )
)


@given(st.data(), any_text)
def test_reading_gives_a_value_or_parse_error(data: st.DataObject, text: str) -> None:
    one, _ = data.draw(converters)
    try:
        value = c.read(one, text)
    except ParseError:
        return
    try:
        again = c.write(one, value)
    except InvalidValue:
        return  # strings are read as they stand, also those that may not be written
    assert c.read(one, again) == value


NOT_TEXTS = {
    "int": ("", " ", "x", "1 2", "1.0", "max", "+5", "1_0", "0x1f", "²", "٣", "18446744073709551616", "1\x000", "--1"),
    "bounded": ("", "-4", "1001", "x", "max", "18446744073709551616"),
    "bool": ("", "2", "-1", "true", "max", "0 1"),
    "string": ("\ud800",),
    "device": ("", "8", "8:", ":0", "8:0:1", "a:b", "8: 0", "-8:0", "²:0", "٣:0", "4294967296:0", "0:4294967296"),
    "range": ("x", "1-", "-1", "2-1", "1,,2", "1,", ",", "65536", "0-65536", "1-2-3", "1 2", "max", "٣"),
    "single_range": ("", "1,2", "0-1,3", "x", "2-1", "65536"),
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in NOT_TEXTS.items() for text in texts])
def test_malformed_is_parse_error(kind: str, text: str) -> None:
    one, _ = LEAVES[kind]
    with pytest.raises(ParseError):
        c.read(one, text)
    with pytest.raises(ParseError):
        c.read(c.pair(c.int, one, sep=";"), f"5;{text}")


# ---- ranges ---------------------------------------------------------------------------------------

_CANONICAL = re.compile(r"(\d+(-\d+)?(,\d+(-\d+)?)*)?")


def check_canonical(text: str) -> None:
    """Ascending, and each apart from the one before by more than one."""
    assert _CANONICAL.fullmatch(text)
    before = -2
    for item in text.split(",") if text else ():
        first, dash, last = item.partition("-")
        assert str(int(first)) == first
        assert int(first) > before + 1
        assert not dash or int(last) > int(first)
        before = int(last or first)


bounds = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted) | st.tuples(nodes, nodes).map(sorted)


@given(st.lists(bounds, max_size=8))
def test_ranges_are_canonical(pairs: list[list[int]]) -> None:
    text = ",".join(f"{low}-{high}" for low, high in pairs)
    numbers = c.read(c.range, text)
    assert numbers == sorted({n for low, high in pairs for n in range(low, high + 1)})
    canonical = c.write(c.range, numbers)
    check_canonical(canonical)
    assert c.write(c.range, c.read(c.range, canonical)) == canonical


@given(st.lists(st.integers(0, 30) | nodes, max_size=12))
def test_ranges_of_any_iterable_are_the_same(numbers: list[int]) -> None:
    text = c.write(c.range, sorted(set(numbers)))
    check_canonical(text)
    for iterable in (numbers, set(numbers), tuple(reversed(numbers)), iter(numbers), dict.fromkeys(numbers)):
        assert c.write(c.range, iterable) == text
    assert c.read(c.range, text) == sorted(set(numbers))


def test_overlapping_ranges_of_a_long_text_take_no_time() -> None:
    text = ",".join(["0-65535"] * 4_000)
    start = time.monotonic()
    assert len(c.read(c.range, text)) == 65536
    assert time.monotonic() - start < 2


# ---- words of a command line ------------------------------------------------------------------------

LITERALS = [*(c.int, c.bool, c.range), *(limit_formats.limit, limit_formats.limit_v1), cpu._max_codec, cpu._percent]


@given(
    any_text
    | st.sampled_from(["512M", "1.5G", "max", "max 100000", "max ²", "1/0", "", "1e5", "0.5", "ib", "inf", "nan"]),
    st.sampled_from(["bytes", "us", "ns", "percent", "count", ""]),
)
@example("max ²", "us")
def test_word_is_a_value_or_invalid(word: str, unit: str) -> None:
    for one in LITERALS:
        try:
            one.literal(word, unit)
        except InvalidValue:
            pass


def test_exponent_is_refused_before_it_is_computed() -> None:
    program = (
        "from cgroups.core.quantities import whole\n"
        "try: whole('1e99999999', 'bytes')\n"
        "except ValueError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=10, check=True, capture_output=True, text=True)
    assert done.stdout == "refused\n"
