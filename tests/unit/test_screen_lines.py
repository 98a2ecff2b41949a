"""Texts that fit: cut, and wrapped over several lines."""

from __future__ import annotations

import time

import pytest
from rich.cells import cell_len

from cgroups.cli.screen.lines import Part, fit_end, wrapped

WIDE = "\u4e2d"
"""A character of two cells."""


@pytest.mark.parametrize("width", [2, 3, 7, 30])
@pytest.mark.parametrize("text", ["a" * 31, WIDE * 40, f"a{WIDE}" * 20, "some words of a question? [y/N] "])
def test_wrapped_loses_no_character_and_fits(text: str, width: int) -> None:
    lines = wrapped([Part(text), Part("end")], width)
    assert "".join(part.text for line in lines for part in line) == f"{text}end"
    assert all(sum(cell_len(part.text) for part in line) <= width for line in lines)


def test_wrapped_long_text_is_quick() -> None:
    """A paste into a prompt is drawn at each key."""
    began = time.process_time()
    wrapped([Part(WIDE * 20_000)], 100)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("text", "cut"), [("/a/b", "/a/b  "), ("/jobs/nightly", "…ghtly"), (f"/{WIDE * 3}", f"…{WIDE * 2} ")]
)
def test_fit_end_keeps_the_end(text: str, cut: str) -> None:
    assert fit_end(text, 6) == cut
    assert fit_end(text, 0) == ""
