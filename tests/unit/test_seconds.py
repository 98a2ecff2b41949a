"""Times in seconds: their range, in one check for all arguments, and their nanoseconds."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cgroups import InvalidValue
from cgroups.core.seconds import check_seconds, to_ns


@pytest.mark.parametrize("value", [0, 0.0, 1, 2.5, 1e9])
def test_check_seconds_valid_is_accepted(value: float) -> None:
    check_seconds("timeout", value)


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (-1, {}, "timeout must be seconds from 0, got -1"),
        (None, {}, "timeout must be seconds from 0, got None"),
        (True, {}, "timeout must be seconds from 0, got True"),
        ("5", {"optional": True}, "timeout must be seconds from 0, or None, got '5'"),
        (math.nan, {"most": math.inf}, "timeout must be seconds from 0, got nan"),
        (math.inf, {"optional": True}, "timeout must be seconds from 0, at most 1000000000, or None, got inf"),
        (10**400, {"least": 1}, "timeout must be seconds from 1, at most 1000000000, got 1000"),
        (0, {"above": True}, "timeout must be seconds greater than 0, got 0"),
        (0, {"least": 0.00001, "most": 86400.0}, "timeout must be seconds from 0.00001, at most 86400, got 0"),
    ],
)
def test_check_seconds_invalid_is_refused(value: Any, bounds: Any, message: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        check_seconds("timeout", value, **bounds)
    assert raised.value.message.startswith(message)


def test_check_seconds_optional_accepts_none() -> None:
    check_seconds("timeout", None, optional=True)


@pytest.mark.parametrize("value", [math.inf, 10**400])
def test_check_seconds_without_most_accepts_any_time(value: float) -> None:
    check_seconds("timeout", value, most=math.inf)


@pytest.mark.parametrize(("seconds", "expected"), [(0, 0), (0.3, 300_000_000), (1.5, 1_500_000_000), (1e-9, 1)])
def test_to_ns_rounds(seconds: float, expected: int) -> None:
    assert to_ns(seconds) == expected
