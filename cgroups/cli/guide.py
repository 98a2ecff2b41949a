"""The command guide: the pages that are installed with the package."""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated, Final, Optional

import typer

from ..core.errors import shown
from ..core.suggest import did_you_mean
from .common import render

__all__ = ["TOPICS", "guide", "page_of"]

TOPICS: Final = (
    *("tutorial", "how-to", "command", "watch", "record", "export", "concepts", "reference", "guarantees"),
    *("performance", "internals", "contributing"),
)
"""The pages, in the order of reading."""

WIDEST: Final = 120
"""Columns of a page on a terminal, at most."""

LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]*\)")


def page_of(topic: str) -> str:
    """Return the Markdown of a page."""
    from importlib.resources import files

    return (files("cgroups") / "guide" / f"{topic}.md").read_text(encoding="utf-8")


def _topic_named(word: str) -> str:
    if word in TOPICS:
        return word
    near = did_you_mean(word, {topic: topic for topic in TOPICS})
    message = f"unknown topic {shown(word)}; {near or 'the topics are ' + ', '.join(TOPICS)}"
    raise typer.BadParameter(message)


def _completed(incomplete: str) -> list[str]:
    return [topic for topic in TOPICS if topic.startswith(incomplete)]


def _summary_of(topic: str) -> str:
    """Return the sentence below the title of a page."""
    return page_of(topic).splitlines()[2]


def guide(
    topic: Annotated[
        Optional[str],  # noqa: UP045 - what typer 0.12 knows
        typer.Argument(
            metavar="TOPIC", parser=_topic_named, autocompletion=_completed, help="The page; without it, all topics."
        ),
    ] = None,
) -> None:
    """Show a page of the guide, or list the topics.

    On a terminal the page is drawn, and shown by the pager that MANPAGER or PAGER
    names. In a pipe it is its Markdown.

    \b
    Examples: cgroups guide
              cgroups guide concepts
              cgroups guide reference | grep memory.max
    """
    if topic is None:
        render.show(render.table(("topic", "content"), [(each, _summary_of(each)) for each in TOPICS]))
    elif render.on_terminal():
        _page(page_of(topic))
    else:
        render.show(page_of(topic))


def _page(text: str) -> None:
    """Draw Markdown, and show it by a pager."""
    import pydoc

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown, TableElement
    from rich.table import Table

    class Uncut(TableElement):
        """A table whose long words continue on the next line."""

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for each in super().__rich_console__(console, options):
                for column in each.columns if isinstance(each, Table) else ():
                    column.overflow = "fold"
                yield each

    class Page(Markdown):
        elements = {**Markdown.elements, "table_open": Uncut}  # noqa: RUF012 - as its base declares it

    # less draws colours, and ends at once if the page is short.  The user's own LESS takes precedence.
    os.environ.setdefault("LESS", "FRX")
    console = Console(file=sys.stdout, emoji=False)
    console.width = min(console.width, WIDEST)
    with console.capture() as capture:
        # The target of a link is a file of the package, which no terminal opens.
        console.print(Page(LINK.sub(r"*\1*", text), code_theme="ansi_dark"))
    pydoc.pager(capture.get())
