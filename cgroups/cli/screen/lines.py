"""Widgets that draw lines of styled text, and draw only changed lines again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

__all__ = ["Line", "Lines", "Pager", "Part", "Prompt", "fit", "fit_end", "wrapped"]


class Part(NamedTuple):
    """A text in one style.

    Attributes:
        text: the text.
        role: the role that decides the style: see :data:`PALETTES`.
        action: the action of the app that a click runs; '' for none.
    """

    text: str
    role: str = ""
    action: str = ""


Line = Sequence[Part]


def fit(text: str, width: int, *, is_right: bool = False) -> str:
    """Return a text in exactly ``width`` cells; an ellipsis is the end of a text that is too long."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(width - 1, 0)) + "…" * (width > 0)
    padding = " " * (width - length)
    return padding + text if is_right else text + padding


def fit_end(text: str, width: int) -> str:
    """Return a text in exactly ``width`` cells; of a text that is too long, the end, which tells a path apart."""
    if cell_len(text) <= width:
        return fit(text, width)
    # No character is narrower than a cell, but for those that combine.
    end = text[-max(width - 1, 0) or len(text) :]
    while end and cell_len(end) > width - 1:
        end = end[1:]
    return fit("…" * (width > 0) + end, width)


def wrapped(line: Line, width: int) -> list[Line]:
    """Return a line as lines of at most ``width`` cells."""
    found: list[list[Part]] = [[]]
    left = width
    for part in line:
        rest = part.text
        while rest:
            if left <= 0 or (left < width and cell_len(rest[0]) > left):
                found.append([])
                left = width
            # A width of one cell cannot hold a character of two: such a character is taken anyway.
            taken = max(1, next((at for at in range(min(len(rest), left), 0, -1) if cell_len(rest[:at]) <= left), 0))
            space = rest.rfind(" ", 0, taken)
            if taken < len(rest) and rest[taken] != " " and space > taken // 2:
                taken = space + 1
            found[-1].append(part._replace(text=rest[:taken]))
            left -= cell_len(rest[:taken])
            rest = rest[taken:]
    return [*found]


class Lines(Widget):
    """Some lines.  A line that has not changed is not drawn again.

    Args:
        styles: the style of each role.
        id: the id of the widget.
    """

    DEFAULT_CSS = "Lines { height: 1; width: 1fr; }"

    def __init__(self, styles: dict[str, Style], id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._styles_of_roles = styles
        self._lines: list[Line] = []

    def show(self, lines: Iterable[Line]) -> None:
        """Show these lines."""
        before, self._lines = self._lines, [*lines]
        if len(before) != len(self._lines):
            self.refresh()
            return
        changed = [y for y, (old, new) in enumerate(zip(before, self._lines)) if old != new]
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        """Return one line, for textual."""
        width = self.size.width
        if y >= len(self._lines):
            return Strip.blank(width)
        segments = [Segment(part.text, self._styles_of_roles[part.role]) for part in self._lines[y]]
        return Strip(segments).adjust_cell_length(width)

    def _action_at(self, x: int, y: int) -> str:
        for part in self._lines[y] if y < len(self._lines) else ():
            x -= cell_len(part.text)
            if x < 0:
                return part.action
        return ""

    async def on_click(self, event: events.Click) -> None:
        """Run the action of the text that was clicked."""
        action = self._action_at(event.x, event.y)
        if action:
            event.stop()
            await self.app.run_action(action)


class Pager(Lines):
    """More lines than fit, which scroll."""

    DEFAULT_CSS = "Pager { height: 1fr; }"

    def __init__(self, styles: dict[str, Style], id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(styles, id)
        self._top = 0
        self._whole: list[Line] = []

    def show(self, lines: Iterable[Line]) -> None:
        self._whole = [*lines]
        self.scroll_lines(0)

    def scroll_lines(self, count: int) -> None:
        """Scroll down by some lines, by negative ones up."""
        height = max(self.size.height, 1)
        self._top = max(min(self._top + count, len(self._whole) - height), 0)
        super().show(self._whole[self._top : self._top + height])

    def on_resize(self) -> None:
        self.scroll_lines(0)

    def on_mouse_scroll_down(self) -> None:
        self.scroll_lines(3)

    def on_mouse_scroll_up(self) -> None:
        self.scroll_lines(-3)


class Prompt(Lines):
    """The last line: keys and messages or, while it is asking, a question with an answer to type.

    A question or a message that is longer than the screen is wide has more lines.
    """

    def __init__(self, styles: dict[str, Style], id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(styles, id)
        self._usual: Line = ()
        self._is_whole = False
        self._is_untouched = False
        self._question = ""
        self._answer = ""
        self._changed: Callable[[str], None] | None = None
        self._done: Callable[[str | None], None] | None = None
        self._is_choice = False

    @property
    def is_asking(self) -> bool:
        return self._done is not None

    def show_usual(self, line: Line, is_whole: bool) -> None:
        """Show this line while there is no question, on several lines if it must be read as a whole."""
        self._usual, self._is_whole = line, is_whole
        self._draw()

    def ask(
        self,
        question: str,
        done: Callable[[str | None], None],
        *,
        answer: str = "",
        changed: Callable[[str], None] | None = None,
    ) -> None:
        """Ask for a text.

        Args:
            question: the question.
            done: gets the answer, or None after Escape.
            answer: the answer to begin with.  The first character that is typed replaces it.
            changed: gets each intermediate answer.
        """
        self._question, self._answer, self._done, self._changed = question, answer, done, changed
        self._is_choice, self._is_untouched = False, True
        self._draw()

    def confirm(self, question: str, done: Callable[[], None]) -> None:
        """Ask a question; call ``done`` if the answer is the key y.  Every other key means no."""

        def decide(answer: str | None) -> None:
            if answer == "y":
                done()

        self.ask(f"{question} [y/N] ", decide)
        self._is_choice = True

    def take(self, event: events.Key) -> None:
        """Take a key while there is a question."""
        if self._is_choice:
            self._end("y" if event.character in ("y", "Y") else None)
        elif event.key in ("escape", "ctrl+c"):
            self._end(None)
        elif event.key in ("enter", "ctrl+j"):  # typed before the terminal was ready, Enter is a line feed
            self._end(self._answer)
        else:
            self._edit(event)

    def paste(self, text: str) -> None:
        """Add a text to the answer."""
        if self.is_asking and not self._is_choice:
            self._add("".join(one for one in text if one.isprintable()))

    def _edit(self, event: events.Key) -> None:
        if event.key == "backspace":
            self._set(self._answer[:-1])
        elif event.key == "ctrl+u":
            self._set("")
        elif event.is_printable and event.character is not None:
            self._add(event.character)

    def _add(self, text: str) -> None:
        self._set(text if self._is_untouched else self._answer + text)

    def _set(self, answer: str) -> None:
        self._answer, self._is_untouched = answer, False
        if self._changed is not None:
            self._changed(answer)
        self._draw()

    def _end(self, answer: str | None) -> None:
        done, self._done = self._done, None
        self._draw()
        if done is not None:
            done(answer)

    def _draw(self) -> None:
        line = self._usual
        if self.is_asking:
            role = "selected" if self._answer and self._is_untouched else ""
            line = [Part(self._question, "bold"), Part(self._answer, role), Part(" ", "selected")]
        is_whole = (self.is_asking or self._is_whole) and self.size.width > 0
        lines = wrapped(line, self.size.width) if is_whole else [line]
        if self.styles.height is None or self.styles.height.value != len(lines):
            self.styles.height = len(lines)
        self.show(lines)

    def on_resize(self) -> None:
        self._draw()
