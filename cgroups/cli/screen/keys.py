"""The keys of the screen: one line for each, for the actions, for the last line and for the help."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["CHANGES", "IN_PAGE", "IN_TABLE", "Key"]


class Key(NamedTuple):
    """Some keys, and what they do.

    Attributes:
        keys: the keys, by textual's names.
        shown: the keys, as the help shows them.
        action: the action of the app.
        meaning: the description.
        label: the words on the last line of the screen; '' for none.
    """

    keys: str
    shown: str
    action: str
    meaning: str
    label: str = ""


_EVERYWHERE: Final = (
    Key("f1,h,question_mark", "F1 h ?", "help", "this help", "F1 Help"),
    Key("f10,q,ctrl+c", "F10 q ^C", "quit", "quit", "F10 Quit"),
    Key("p,space", "Space p", "pause", "pause, and continue", "Space Pause"),
    Key("left_square_bracket", "[", "step(-1)", "pause, and go one update back", "[ ] Time"),
    Key("right_square_bracket", "]", "step(1)", "one update forward"),
    Key("left_curly_bracket", "{", "step(-10)", "ten updates back"),
    Key("right_curly_bracket", "}", "step(10)", "ten updates forward"),
    Key("f", "f", "act('freeze')", "freeze the selected cgroup", "f Freeze"),
    Key("u", "u", "act('thaw')", "thaw it", "u Thaw"),
    Key("f9,k", "F9 k", "signal", "send a signal to all its processes", "F9 Signal"),
    Key("K", "K", "act('kill')", "kill all its processes, and wait until they have exited"),
    Key("l", "l", "limit", "set a parameter of it, such as memory.max=1G", "l Limit"),
    Key("e", "e", "incidents", "list OOM kills, limit hits and refused forks", "e Events"),
    Key("ctrl+z", "^Z", "suspend_process", "stop the program; 'fg' continues it"),
)

IN_TABLE: Final = (
    Key("enter,ctrl+j", "Enter", "page", "the page of the selected cgroup", "Enter Page"),
    Key(
        "slash,f3,f4", "/ F3 F4", "filter", "filter: words of a name or location; Escape removes the filter", "/ Filter"
    ),
    Key("f5,t", "F5 t", "toggle_tree", "tree or list", "F5 Tree"),
    Key("f6,greater_than_sign,full_stop", "F6 > .", "sort_next(1)", "sort by the next column", "F6 Sort"),
    Key("less_than_sign,comma", "< ,", "sort_next(-1)", "sort by the previous column"),
    Key("I,r", "I r", "reverse", "invert the order"),
    Key("P", "P", "sort_by('CPU')", "sort by CPU"),
    Key("M", "M", "sort_by('MEMORY')", "sort by memory"),
    Key("N", "N", "sort_by('CGROUP')", "sort by name"),
    Key("left,minus", "← -", "fold(True)", "fold the selected cgroup, or go to its parent"),
    Key("right,plus", "→ +", "fold(False)", "unfold it"),
    Key("asterisk", "*", "fold_all", "fold all, and unfold all"),
    Key("up", "↑", "move(-1)", "up"),
    Key("down,j", "↓ j", "move(1)", "down"),
    Key("pageup", "PgUp", "move_page(-1)", "a screen up"),
    Key("pagedown", "PgDn", "move_page(1)", "a screen down"),
    Key("home,g", "Home g", "move(-1000000)", "the first"),
    Key("end,G", "End G", "move(1000000)", "the last"),
    Key("tab", "Tab", "tab_next(1)", "the next tab"),
    Key("shift+tab", "Shift-Tab", "tab_next(-1)", "the previous tab"),
    Key("escape", "Esc", "clear", "remove the filter"),
    *_EVERYWHERE,
)
"""The keys of the table."""

IN_PAGE: Final = (
    Key("escape,enter,backspace", "Esc", "close", "back to the table", "Esc Back"),
    Key("up", "↑", "scroll(-1)", "up"),
    Key("down,j", "↓ j", "scroll(1)", "down"),
    Key("pageup", "PgUp", "scroll(-15)", "half a screen up"),
    Key("pagedown", "PgDn", "scroll(15)", "half a screen down"),
    Key("home,g", "Home g", "scroll(-1000000)", "the first line"),
    Key("end,G", "End G", "scroll(1000000)", "the last line"),
    *_EVERYWHERE,
)
"""The keys of a page of text."""

CHANGES: Final = frozenset({"act('freeze')", "act('thaw')", "act('kill')", "signal", "limit"})
"""The actions that change a cgroup, which a recording has not."""
