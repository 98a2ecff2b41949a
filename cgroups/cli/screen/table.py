"""The table of cgroups: the visible rows, the selected one, and sparklines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.message import Message

from ...core.errors import printable
from ..common.columns import Column
from .history import History, spark
from .lines import Line, Lines, Part, fit, fit_end
from .tree import Row

__all__ = ["Table"]

NAME_WIDTH: Final = 24
"""The smallest width of the name."""
SPARK_WIDTHS: Final = (12, 24)
"""The smallest and the greatest width of a sparkline."""
GAP: Final = 2
HIDDEN: Final = 3
"""Width of the number of columns that do not fit."""


class Table(Lines):
    """The rows that are visible, with a header.  Only changed lines are drawn again."""

    DEFAULT_CSS = "Table { height: 1fr; }"

    class Opened(Message):
        """The selected row was clicked again."""

    class FoldClicked(Message):
        """The mark of a row was clicked."""

    def __init__(self, styles: dict[str, Style], history: History, id: str | None = None) -> None:  # noqa: A002
        super().__init__(styles, id)
        self._history = history
        self._rows: Sequence[Row] = ()
        self._columns: Sequence[Column] = ()
        self._sort: Column | None = None
        self._is_reversed = False
        self._top = 0
        self._at = 0
        self._selected: str | None = None

    # ---- content

    def show_rows(
        self, rows: Sequence[Row], columns: Sequence[Column], sort: Column | None, *, is_reversed: bool
    ) -> None:
        """Show rows; the selected cgroup stays selected, and a gone one gives way to the next."""
        self._rows, self._columns, self._sort, self._is_reversed = rows, columns, sort, is_reversed
        if self._selected is not None and not (
            self._at < len(rows) and rows[self._at].usage.location == self._selected
        ):
            found = (at for at, row in enumerate(rows) if row.usage.location == self._selected)
            self._at = next(found, self._at)
        self._select(self._at)

    @property
    def selected(self) -> Row | None:
        return self._rows[self._at] if self._at < len(self._rows) else None

    def select_match(self) -> None:
        """Select the first row that matches the filter, unless the selected row matches."""
        if self.selected is not None and not self.selected.is_match:
            self._select(next((at for at, row in enumerate(self._rows) if row.is_match), self._at))

    def move(self, count: int) -> None:
        """Move the selection down by some rows, by negative ones up."""
        self._select(self._at + count)

    def move_to_parent(self) -> None:
        """Select the parent of the selected row."""
        depth = self._rows[self._at].depth
        parents = (at for at in range(self._at, -1, -1) if self._rows[at].depth < depth)
        self._select(next(parents, self._at))

    def page(self, count: int) -> None:
        """Move the selection down by some screens, by negative ones up."""
        self.move(count * max(self.size.height - 2, 1))

    def _select(self, at: int) -> None:
        self._at = max(min(at, len(self._rows) - 1), 0)
        self._selected = self._rows[self._at].usage.location if self._rows else self._selected
        height = max(self.size.height - 1, 1)
        self._top = max(min(self._top, self._at, len(self._rows) - height), self._at - height + 1, 0)
        self._draw()

    # ---- drawing

    def on_resize(self) -> None:
        self._select(self._at)

    def _draw(self) -> None:
        height = max(self.size.height - 1, 0)
        visible = self._rows[self._top : self._top + height]
        names = [_name(row) for row in visible]
        columns, name_width, spark_width = self._layout(max(map(cell_len, names), default=0))
        sparks = self._sparks(visible, spark_width) if spark_width else []
        lines: list[Line] = [[*self._header(columns, name_width, spark_width)]]
        for at, (row, name) in enumerate(zip(visible, names)):
            shown = fit(name, name_width) if row.depth else fit_end(name, name_width)
            line = [Part(shown, "" if row.is_match else "dim"), *_cells(row, columns)]
            if sparks:
                line.append(Part(" " * GAP + sparks[at], "spark"))
            if len(columns) < len(self._columns):
                line.append(Part(" " * HIDDEN))
            lines.append([*map(_as_selected, line)] if self._top + at == self._at else line)
        self.show(lines)

    def _layout(self, wanted: int) -> tuple[list[Column], int, int]:
        """Return the columns that fit, the width of the name, and that of a sparkline or 0.

        Args:
            wanted: the width that the longest name needs.
        """
        columns, least = [*self._columns], SPARK_WIDTHS[0]

        def spare() -> int:
            hidden = HIDDEN if len(columns) < len(self._columns) else 0
            return self.size.width - NAME_WIDTH - hidden - sum(GAP + column.width for column in columns)

        while columns and spare() < 0:
            dispensable = [one for one in columns if one is not self._sort] or columns
            columns.remove(dispensable[-1])
        spark_width = 0
        if self._sort is not None and spare() >= GAP + least:
            spark_width = min(max(spare() - GAP - max(wanted - NAME_WIDTH, 0), least), SPARK_WIDTHS[1])
        return columns, NAME_WIDTH + spare() - (GAP + spark_width if spark_width else 0), spark_width

    def _header(self, columns: Sequence[Column], name_width: int, spark_width: int) -> Iterator[Part]:
        arrow = "▲" if self._is_reversed else "▼"
        is_by_name = self._sort is None
        title = f"CGROUP{arrow if is_by_name else ''}"
        yield Part(fit(title, name_width), "sorted" if is_by_name else "header", "app.sort('CGROUP')")
        for column in columns:
            title = fit(column.title, column.width, is_right=True)
            role = "sorted" if column is self._sort else "header"
            gap = arrow if column is self._sort else " "
            yield Part(f"{fit(gap, GAP, is_right=True)}{title}", role, f"app.sort({column.title!r})")
        if spark_width and self._sort is not None:
            yield Part(" " * GAP + fit(self._sort.title, spark_width, is_right=True), "header")
        hidden = len(self._columns) - len(columns)
        if hidden:
            yield Part(fit(f" +{hidden}", HIDDEN), "dim")

    def _sparks(self, rows: Sequence[Row], width: int) -> list[str]:
        """Return the sparkline of each row: the greatest numbers of equal parts of the last minutes."""
        column, buckets = self._sort, self._history.buckets(width)
        if column is None:
            return []
        found: list[list[float | None]] = []
        for row in rows:
            place = row.usage.location
            numbers: list[float | None] = []
            for looks in buckets:
                usages = [usage for look in looks if (usage := look.usages.get(place)) is not None]
                values = [one for usage in usages if isinstance(one := column.number(usage), (int, float))]
                numbers.append(max(values, default=None))
            found.append(numbers)
        # One scale for all rows, so that the busiest catches the eye.
        top = column.top or max((one for numbers in found for one in numbers if one is not None), default=0)
        return [spark(numbers, top).rjust(width) for numbers in found]

    # ---- mouse

    async def on_click(self, event: events.Click) -> None:
        """Select a row.  Textual also calls the method of the base class, which runs the action of a heading."""
        at = self._top + event.y - 1
        if event.y == 0 or at >= len(self._rows):
            return
        is_again = at == self._at and event.chain > 1
        self._select(at)
        begin = 2 * self._rows[at].depth
        if self._rows[at].mark and begin <= event.x < begin + 2:
            self.post_message(self.FoldClicked())
        elif is_again:
            self.post_message(self.Opened())

    def on_mouse_scroll_down(self) -> None:
        self.move(3)

    def on_mouse_scroll_up(self) -> None:
        self.move(-3)


def _name(row: Row) -> str:
    mark = {"+": "▸ ", "-": "▾ "}.get(row.mark, "  ")
    return f"{'  ' * row.depth}{mark}{printable(row.label)}"


def _cells(row: Row, columns: Sequence[Column]) -> Iterator[Part]:
    usual = "" if row.is_match else "dim"
    for column in columns:
        is_sum = column.figure in row.sums
        text = ("Σ" if is_sum else "") + column.cell(row.usage)
        text = fit(text, column.width, is_right=True) if cell_len(text) <= column.width else fit_end(text, column.width)
        number = text.lstrip(" ")
        yield Part(" " * (GAP + len(text) - len(number)))
        yield Part(number, "red" if column.is_red(row.usage) else "sum" if is_sum else usual)


def _as_selected(part: Part) -> Part:
    return part._replace(role="selected red" if part.role == "red" else "selected")
