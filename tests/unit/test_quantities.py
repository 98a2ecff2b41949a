"""Numbers as people write them: which suffix a number may have follows from the unit of what it is for."""

from __future__ import annotations

import re
import signal
from fractions import Fraction
from typing import Any

import pytest
import typer

from cgroups import MAX, InvalidValue
from cgroups.cli.common.arguments import seconds
from cgroups.cli.common.conditions import guard_named, trigger_named
from cgroups.core import quantities


@pytest.mark.parametrize(
    ("word", "unit", "value"),
    [
        ("1000", "bytes", 1000),
        ("512M", "bytes", 512 << 20),
        ("512Mi", "bytes", 512 << 20),
        ("0.5Gi", "bytes", 512 << 20),
        ("1.5G", "bytes/s", 3 << 29),
        ("1kB", "bytes", 1024),
        ("1 KiB", "bytes", 1024),
        ("10ms", "us", 10_000),
        ("2s", "ns", 2 * 10**9),
        ("1.5us", "ns", 1500),
        ("1µs", "ns", 1000),
        ("250", "us", 250),
        ("50%", "percent", 50),
        ("64", "count", 64),
        ("-5", "-20-19", -5),
    ],
)
def test_whole_suffix_of_the_unit_is_taken(word: str, unit: str, value: int) -> None:
    assert quantities.whole(word, unit) == value


@pytest.mark.parametrize(
    ("word", "unit", "expected"),
    [
        ("500m", "us", "a time, such as 10ms"),
        ("512M", "us", "a time, such as 10ms"),
        ("1G", "ns", "a time, such as 10ms"),
        ("4k", "count", "a whole number, such as 512"),
        ("1K", "2-262144", "a whole number, such as 512"),
        ("10ms", "bytes", "bytes, such as 1000, 512M or 0.5Gi"),
        ("50%", "us", "a time, such as 10ms"),
        ("0.3", "bytes", "a whole number of bytes"),
        ("0.1us", "us", "a whole number of us"),
        ("1.5", "count", "a whole number"),
        ("much", "bytes", "bytes, such as"),
        ("", "bytes", "bytes, such as"),
    ],
)
def test_whole_other_suffix_is_refused_with_what_is_expected(word: str, unit: str, expected: str) -> None:
    with pytest.raises(InvalidValue, match=f"value must be {re.escape(expected)}.*, got {word!r}$"):
        quantities.whole(word, unit)


@pytest.mark.parametrize("word", ["max", "unlimited", "infinity", "Infinity", "none", "-1", " max "])
def test_limit_word_for_no_limit_is_max(word: str) -> None:
    assert quantities.limit(word, "bytes") is MAX


@pytest.mark.parametrize("word", ["unlimited", "none", "-1"])
def test_protection_word_that_could_mean_none_is_refused(word: str) -> None:
    with pytest.raises(InvalidValue, match="0 to protect nothing"):
        quantities.protection(word, "bytes")
    assert quantities.protection("infinity", "bytes") is MAX


@pytest.mark.parametrize(
    ("word", "number"),
    [("0.5", "1/2"), ("1.5", "3/2"), ("50%", "1/2"), ("150%", "3/2"), ("500m", "1/2"), ("12.5%", "1/8")],
)
def test_cpus_forms(word: str, number: str) -> None:
    assert quantities.cpus(word) == Fraction(number)


@pytest.mark.parametrize("word", ["2", "50000", "500M", "0.5s", "-0.5", "max", "", "50 %"])
def test_cpus_other_word_is_none(word: str) -> None:
    assert quantities.cpus(word) is None


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("memory.usage_in_bytes>0.5Gi", {"above": 512 << 20}),
        ("cpuacct.usage/s>0.5", {"rate_above": 500_000_000}),
        ("cpuacct.usage/s>50%", {"rate_above": 500_000_000}),
        ("cpuacct.usage/s>500m", {"rate_above": 500_000_000}),
        ("cpuacct.usage/s>500ms", {"rate_above": 500_000_000}),
        ("cpuacct.usage>2s", {"above": 2_000_000_000}),
        ("memory.pressure[some,avg10]>12.5%", {"above": 12.5}),
        ("pids.current<2", {"below": 2}),
    ],
)
def test_guard_number_is_of_the_parameter_s_unit(word: str, wanted: dict[str, Any]) -> None:
    assert guard_named(word, 1).wanted == wanted


@pytest.mark.parametrize(
    "word", ["pids.current>4k", "cpuacct.usage/s>500M", "cpuacct.usage>500m", "pids.current>1:TERM:1x"]
)
def test_guard_number_of_another_unit_is_refused(word: str) -> None:
    with pytest.raises(typer.BadParameter, match="value must be"):
        guard_named(word, 1)


@pytest.mark.parametrize("word", ["cpuacct.usage/s>1", "cpuacct.usage/s>16"])
def test_guard_rate_without_a_unit_is_not_taken_for_cpus(word: str) -> None:
    """A whole number of CPUs would mean that number of nanoseconds per second, and end the job at once."""
    number = word.partition(">")[2]
    with pytest.raises(typer.BadParameter, match=rf"write {number}\.0 or {number}00% for {number} CPUs"):
        guard_named(word, 1)


def test_guard_part_of_a_nanosecond_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="write a time, such as 0.5s"):
        guard_named("cpuacct.usage>0.5", 1)


def test_guard_and_trigger_take_times() -> None:
    guard = guard_named("pids.current>3:USR1:500ms", 1)
    assert (guard.action, guard.grace) == (signal.SIGUSR1, 0.5)
    assert repr(trigger_named("memory:some:150ms/2s")) == "PressureTrigger('memory', 'some', 150000, 2000000)"
    with pytest.raises(typer.BadParameter, match="a time"):
        trigger_named("memory:some:often/2s")


@pytest.mark.parametrize(("word", "value"), [("2s", 2.0), ("10ms", 0.01), ("0.5", 0.5), ("1min", 60.0), (0.1, 0.1)])
def test_seconds_option_takes_a_time(word: Any, value: float) -> None:
    assert seconds()["parser"](word) == value


@pytest.mark.parametrize("word", ["-1s", "1M", "soon", "", "25h", "0.1ms"])
def test_seconds_option_other_word_is_a_usage_error(word: str) -> None:
    with pytest.raises(typer.BadParameter, match="must be"):
        seconds(0.001, 86400)["parser"](word)
