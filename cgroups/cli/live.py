"""A table that is drawn again and again, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.live import Live

__all__ = ["show"]

T = TypeVar("T")


def show(draw: Callable[[T, int, int], RenderableType], states: Iterable[T]) -> None:
    """Draws each state over the one before, on a screen of its own, as large as the terminal is then."""
    console = Console(file=sys.stdout, highlight=False, emoji=False, markup=False)
    last: T | None = None
    try:
        with Live(console=console, screen=True, auto_refresh=False) as table:
            for state in states:
                last = state
                table.update(draw(state, *console.size), refresh=True)
    finally:
        if last is not None:
            # What was seen last stays.
            console.print(draw(last, *console.size))
