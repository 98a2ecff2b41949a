"""The two screens: the table, and a page of text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar, Final

from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.screen import Screen

from .history import History
from .keys import IN_PAGE, IN_TABLE, Key
from .lines import Line, Lines, Pager, Prompt
from .table import Table

__all__ = ["TABS", "Drawn", "PageScreen", "TableScreen"]

TABS: Final[dict[str, tuple[str, ...]]] = {
    "general": ("CPU", "THROTTLED", "MEMORY", "MEM %LIM", "READ/S", "WRITE/S", "PIDS", "CPU PSI", "MEM PSI", "IO PSI"),
    "cpu": ("CPU", "CPU LIMIT", "CPU %LIM", "THROTTLED", "CPU PSI"),
    "memory": ("MEMORY", "MEM +/S", "WORKING", "SWAP", "EFFECTIVE", "MEM %LIM", "OOM KILLS", "LIMIT HITS", "MEM PSI"),
    "io": ("IO/S", "READ/S", "WRITE/S", "READS/S", "WRITES/S", "IO PSI"),
    "pressure": ("PRESSURE", "CPU PSI", "CPU FULL", "MEM PSI", "MEM FULL", "IO PSI", "IO FULL"),
    "limits": ("CPU LIMIT", "LIMIT", "EFFECTIVE", "MEM %LIM", "LIMITED BY", "PIDS LIMIT", "PIDS %LIM", "REFUSED"),
}
"""The tabs, and the columns of each."""


def _actions(keys: Iterable[Key]) -> dict[str, str]:
    """Return the action of each key."""
    return {name: key.action for key in keys for name in key.keys.split(",")}


class Drawn(Screen[None], inherit_bindings=False):
    """A screen that the app draws, and that turns keys into actions of the app.

    The keys are no bindings of textual, because these run in another queue.  A key typed soon after ``/`` could run
    an action, instead of being a part of the filter.

    Args:
        styles: the style of each role.
        draw: draws the screen.
    """

    AUTO_FOCUS = None
    ACTIONS: ClassVar[dict[str, str]] = {}

    def __init__(self, styles: dict[str, Style], draw: Callable[[], None]) -> None:
        super().__init__()
        self._styles_of_roles = styles
        self._draw = draw

    @property
    def is_ready(self) -> bool:
        """Whether the screen has its widgets: not before it is mounted, and not while the app ends."""
        return any(one.id == "prompt" for one in self.children)

    async def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        prompt = self.query_one("#prompt", Prompt)
        if prompt.is_asking:
            prompt.take(event)
        elif event.key in self.ACTIONS:
            await self.app.run_action(self.ACTIONS[event.key])

    def on_paste(self, event: events.Paste) -> None:
        self.query_one("#prompt", Prompt).paste(event.text)

    def on_screen_resume(self) -> None:
        if self.is_ready:
            self._draw()


class TableScreen(Drawn, inherit_bindings=False):
    """The main screen."""

    ACTIONS: ClassVar[dict[str, str]] = {
        **_actions(IN_TABLE),
        **{str(number): f"tab({name!r})" for number, name in enumerate(TABS, 1)},
    }

    def __init__(self, styles: dict[str, Style], history: History, draw: Callable[[], None]) -> None:
        super().__init__(styles, draw)
        self._history = history

    def compose(self) -> ComposeResult:
        for name in ("title", "machine", "tabs"):
            yield Lines(self._styles_of_roles, name)
        yield Table(self._styles_of_roles, self._history, "table")
        yield Lines(self._styles_of_roles, "incidents")
        yield Prompt(self._styles_of_roles, "prompt")


class PageScreen(Drawn, inherit_bindings=False):
    """A page of text, which is made anew with each look.

    Attributes:
        content: returns the lines.
        location: the location of the cgroup that the page is about; None for another page.
    """

    ACTIONS: ClassVar[dict[str, str]] = _actions(IN_PAGE)

    def __init__(
        self,
        styles: dict[str, Style],
        content: Callable[[], list[Line]],
        draw: Callable[[], None],
        location: str | None = None,
    ) -> None:
        super().__init__(styles, draw)
        self.content = content
        self.location = location

    def compose(self) -> ComposeResult:
        yield Lines(self._styles_of_roles, "title")
        yield Pager(self._styles_of_roles, "page")
        yield Prompt(self._styles_of_roles, "prompt")
