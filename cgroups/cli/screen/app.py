"""The full screen of ``watch``: a textual application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable
from dataclasses import replace
from typing import Final

import typer
from textual.app import App
from textual.screen import Screen

from ...core.errors import CgroupError, printable
from ...hierarchy import Host
from ..common.columns import COLUMNS, Column
from ..common.exits import told
from . import bars
from .actions import ACTIONS, Action, assign, send
from .history import History, Look
from .incidents import Incidents
from .keys import CHANGES, IN_PAGE, IN_TABLE
from .lines import Line, Lines, Pager, Part, Prompt
from .page import Processes, covered, page
from .palette import styles
from .screens import TABS, Drawn, PageScreen, TableScreen
from .table import Table
from .tree import Row, Tree, View, busiest_first, by_location

__all__ = ["BY_NAME", "WatchApp"]

BY_NAME: Final = "CGROUP"
"""The title of the first column, the name."""

NOTICE_S: Final = 10.0
"""Seconds for which the result of an action stays on the last line."""
LATE_S: Final = 2.0
"""Seconds from which a look is late."""
ERROR_S: Final = 60.0
"""Seconds for which an error stays there."""


class WatchApp(App[None]):
    """The screen.

    Args:
        host: the host of the cgroups; None for a recording.
        looks: yields the looks of a live host.
        history: the looks of a recording; by default an empty history.
        interval: seconds between two looks.
        sort: the title of the column to sort by.
        tab: the first tab.
        palette: the name of the palette.

    Attributes:
        error: the error that has ended the screen; None otherwise.
        signals: the handlers of signals while the screen runs.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { background: ansi_default; color: ansi_default; }"

    def __init__(
        self,
        host: Host | None,
        looks: AsyncIterable[Look] | None = None,
        *,
        history: History | None = None,
        interval: float = 1.0,
        sort: str = "CPU",
        tab: str = "general",
        palette: str = "default",
    ) -> None:
        super().__init__(ansi_color=True)
        self.host = host
        self.error: Exception | None = None
        self.signals: dict[int, Callable[[], None]] = {}
        self.history = history or History()
        self.styles_of_roles = styles(palette)
        self._looks = looks
        self._interval = interval
        self._incidents = Incidents()
        self._processes = Processes()
        self._tree = Tree()
        self._rows: list[Row] = []
        self._view = View(by_location)
        self._sort: Column | None = None
        self._tab = tab
        self._is_playing = host is None
        self._notice: tuple[Part, float] | None = None
        self._set_sort(sort)
        for look in self.history.all():
            self._incidents.add(look)

    def get_default_screen(self) -> Screen[None]:
        return TableScreen(self.styles_of_roles, self.history, self.draw)

    def on_mount(self) -> None:
        for number, handler in self.signals.items():
            asyncio.get_running_loop().add_signal_handler(number, handler)
        # After Ctrl-Z and fg textual draws nothing again of itself.
        self.app_resume_signal.subscribe(self, lambda _: self.screen.refresh(layout=True))
        if self._looks is not None:
            looks = self._looks
            # The first look takes long with many cgroups, so the screen is drawn before.
            self.call_after_refresh(lambda: self.run_worker(self._follow(looks)))
            self.set_interval(1.0, self._draw_title)
        else:
            self.set_interval(self._interval, self._play)

    # ---- looks

    async def _follow(self, looks: AsyncIterable[Look]) -> None:
        try:
            async for look in looks:
                self.add(look)
        except (CgroupError, OSError) as error:
            self.error = error
        self.exit()

    def add(self, look: Look) -> None:
        """Add a look, and show it unless the screen is paused."""
        self._incidents.add(self.history.add(look))
        self.draw()

    def _play(self) -> None:
        if self._is_playing:
            self._is_playing = self.history.step(1)
            self.draw()

    # ---- drawing

    def draw(self) -> None:
        """Draw what has changed."""
        screen = self.screen
        if not (isinstance(screen, Drawn) and screen.is_ready):
            return
        screen.query_one("#prompt", Prompt).show_usual(*self._last_line())
        if isinstance(screen, PageScreen):
            screen.query_one("#page", Pager).show(screen.content())
            self._draw_title()
        elif isinstance(screen, TableScreen):
            self._draw_table(screen)

    def _draw_table(self, screen: TableScreen) -> None:
        shown = self.history.shown
        self._rows = [] if shown is None else self._tree.rows(shown, self._view)
        columns = [COLUMNS[title] for title in TABS[self._tab]]
        self._table.show_rows(self._rows, columns, self._sort, is_reversed=self._view.is_reversed)
        machine = None if shown is None else shown.machine
        latest = [] if shown is None else self._incidents.latest(shown.time)
        for name, line in (
            ("machine", bars.machine_line(machine, self.history)),
            ("tabs", bars.tabs_line(TABS, self._tab)),
            ("incidents", bars.incidents_line(latest, is_replay=self.host is None)),
        ):
            screen.query_one(f"#{name}", Lines).show([line])
        self._draw_title()

    def _draw_title(self) -> None:
        """Draw the title, also between two looks: it tells that a look is late."""
        screen = self.screen
        if isinstance(screen, Drawn) and screen.is_ready:
            # On a page the filter says nothing.
            view = replace(self._view, text="") if isinstance(screen, PageScreen) else self._view
            status = bars.Status(self.host is None, self._is_playing, self._interval, self._late_s())
            screen.query_one("#title", Lines).show([bars.title(self.history, view, self._rows, status)])

    def _late_s(self) -> float:
        """Return the seconds by which a look is late; 0 if it is not, or if it comes soon."""
        looks = self.history.all()
        late_s = time.time() - looks[-1].time - self._interval if looks and self.host is not None else 0.0
        return late_s if late_s >= max(self._interval, LATE_S) else 0.0

    def _last_line(self) -> tuple[Line, bool]:
        """Return the last line, and whether it must be read as a whole."""
        if self._notice is not None and time.monotonic() < self._notice[1]:
            return [Part(" "), self._notice[0]], True
        keys = IN_PAGE if isinstance(self.screen, PageScreen) else IN_TABLE
        return bars.keys_line(key for key in keys if self.host is not None or key.action not in CHANGES), False

    def tell(self, text: str, role: str = "good") -> None:
        """Show a message for some seconds."""
        self._notice = Part(text, role), time.monotonic() + (ERROR_S if role == "red" else NOTICE_S)
        self.draw()

    @property
    def _table(self) -> Table:
        return self.screen_stack[0].query_one("#table", Table)

    # ---- the view

    def _set_sort(self, title: str) -> None:
        self._sort = COLUMNS.get(title)
        self._view.key = by_location if self._sort is None else busiest_first(self._sort)

    def action_sort(self, title: str) -> None:
        """Sort by a column; by the current one in the other order."""
        current = BY_NAME if self._sort is None else self._sort.title
        self._view.is_reversed = title == current and not self._view.is_reversed
        self._set_sort(title)
        self.draw()

    def action_sort_by(self, title: str) -> None:
        """Sort by a column, the busiest first."""
        self._view.is_reversed = False
        self._set_sort(title)
        self.draw()

    def action_sort_next(self, count: int) -> None:
        titles = (BY_NAME, *TABS[self._tab])
        at = titles.index(self._sort.title) if self._sort is not None and self._sort.title in titles else 0
        self._view.is_reversed = False
        self._set_sort(titles[(at + count) % len(titles)])
        self.draw()

    def action_reverse(self) -> None:
        self._view.is_reversed = not self._view.is_reversed
        self.draw()

    def action_tab(self, name: str) -> None:
        self._tab = name
        self.draw()

    def action_tab_next(self, count: int) -> None:
        names = [*TABS]
        self.action_tab(names[(names.index(self._tab) + count) % len(names)])

    def action_toggle_tree(self) -> None:
        self._view.is_tree = not self._view.is_tree
        self.draw()

    def action_filter(self) -> None:
        before = self._view.text

        def change(text: str) -> None:
            self._view.text = text
            self.draw()
            self._table.select_match()  # or an action would be one on an ancestor of the matches

        def done(answer: str | None) -> None:
            change(before if answer is None else answer)

        self._prompt.ask("Filter: ", done, answer=before, changed=change)

    def action_clear(self) -> None:
        self._view.text = ""
        self.draw()

    def action_fold(self, is_folded: bool) -> None:
        row = self._table.selected
        if row is None:
            return
        location, folded = row.usage.location, self._view.folded
        if not is_folded:
            folded.discard(location)
        elif row.mark == "-":
            folded.add(location)
        else:
            self._table.move_to_parent()
        self.draw()

    def action_fold_all(self) -> None:
        # The topmost cgroups stay open: one folded root would be all of the table.
        inner = {row.usage.location for row in self._rows if row.depth > 0 and row.mark}
        self._view.folded = set() if self._view.folded else inner
        self.draw()

    def action_move(self, count: int) -> None:
        self._table.move(count)

    def action_move_page(self, count: int) -> None:
        self._table.page(count)

    def on_table_fold_clicked(self) -> None:
        row = self._table.selected
        if row is not None:
            self.action_fold(row.mark == "-")

    # ---- time

    def action_pause(self) -> None:
        if self.host is None:
            self._is_playing = not self._is_playing
        elif self.history.is_paused:
            self.history.resume()
        else:
            self.history.pause()
        self.draw()

    def action_step(self, count: int) -> None:
        self._is_playing = False
        self.history.step(count)
        self.draw()

    # ---- pages

    def _open(self, content: Callable[[], list[Line]], location: str | None = None) -> None:
        if isinstance(self.screen, PageScreen):
            self.pop_screen()
        self.push_screen(PageScreen(self.styles_of_roles, content, self.draw, location))

    def action_close(self) -> None:
        self.pop_screen()  # the table draws when it is resumed

    def action_scroll(self, count: int) -> None:
        self.screen.query_one("#page", Pager).scroll_lines(count)

    def action_help(self) -> None:
        self._open(lambda: bars.help_lines(IN_TABLE))

    def action_incidents(self) -> None:
        def content() -> list[Line]:
            shown = self.history.shown
            found = [] if shown is None else self._incidents.until(shown.time)
            return bars.incident_lines(found, covered(self.host), is_replay=self.host is None)

        self._open(content)

    def action_page(self) -> None:
        row = self._table.selected
        if row is not None:
            place = row.usage.location
            self._open(lambda: page(self.host, place, self.history, self._incidents, self._processes), place)

    def on_table_opened(self) -> None:
        self.action_page()

    # ---- changes

    @property
    def _prompt(self) -> Prompt:
        return self.screen.query_one("#prompt", Prompt)

    def _target(self) -> str | None:
        """Return the location of the cgroup to change: that of the page, or the selected one of the table.

        The selection may move to another cgroup while a page is open, for example if the cgroup was removed.
        """
        if isinstance(self.screen, PageScreen):
            return self.screen.location
        row = self._table.selected
        return None if row is None else row.usage.location

    def _change(self, prepare: Callable[[Host, str], Action]) -> None:
        """Ask the question of an action on the selected cgroup; after a yes, run the action in a thread."""
        location = self._target()
        if self.host is None or location is None:
            self._tell_unchangeable()
            return
        try:
            action = prepare(self.host, location)
        except REFUSALS as error:
            self.tell(_line_of(error), "red")
            return
        past = f"Now, not {self.history.behind_s:.0f} s ago: " if self.history.is_paused else ""
        self._prompt.confirm(past + action.question, lambda: self._start(action))

    def _tell_unchangeable(self) -> None:
        self.tell("a recording cannot be changed" if self.host is None else "no cgroup is selected", "red")

    def _start(self, action: Action) -> None:
        self.run_worker(self._run_action(action))

    async def _run_action(self, action: Action) -> None:
        try:
            self.tell(await asyncio.to_thread(action.run))
        except REFUSALS as error:
            self.tell(_line_of(error), "red")

    def action_act(self, name: str) -> None:
        self._change(ACTIONS[name])

    def action_signal(self) -> None:
        self._ask_then_change("Signal: ", "TERM", send)

    def action_limit(self) -> None:
        self._ask_then_change("PARAMETER=VALUE: ", "", assign)

    def _ask_then_change(self, question: str, answer: str, prepare: Callable[[Host, str, str], Action]) -> None:
        if self.host is None or self._target() is None:
            self._tell_unchangeable()
            return

        def done(word: str | None) -> None:
            if word:
                self._change(lambda host, location: prepare(host, location, word))

        self._prompt.ask(question, done, answer=answer)


REFUSALS: Final = (CgroupError, OSError, typer.BadParameter)
"""The errors of an action, which are shown on the last line."""


def _line_of(error: CgroupError | OSError | typer.BadParameter) -> str:
    return printable(error.message) if isinstance(error, typer.BadParameter) else told(error)
