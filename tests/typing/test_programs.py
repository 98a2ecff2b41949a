"""Whole programs, right and wrong, and what mypy --strict and pyright say to each line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CHECKERS = ["mypy", "pyright"]


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_right_program_is_accepted(checker: str, request: pytest.FixtureRequest) -> None:
    check: Callable[[Any], Any] = request.getfixturevalue(checker)
    assert check([HERE / "good.py"]) == {"good.py": {}}


@pytest.mark.parametrize("checker", CHECKERS)
def test_every_mistake_is_found(
    checker: str, marked: Callable[[Path], set[int]], request: pytest.FixtureRequest
) -> None:
    check: Callable[[Any], Any] = request.getfixturevalue(checker)
    path = HERE / "bad.py"
    faults, expected = check([path])["bad.py"], marked(path)
    source = path.read_text().splitlines()
    assert len(expected) > 70
    assert [source[number - 1].strip() for number in sorted(expected - set(faults))] == []
    assert {number: faults[number] for number in set(faults) - expected} == {}
