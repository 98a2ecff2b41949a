"""The palettes of the screen: a style for each role of a text."""

from __future__ import annotations

from typing import Final

from rich.style import Style

__all__ = ["PALETTES", "styles"]

_PLAIN: Final = {
    "": "",
    "bold": "bold",
    "dim": "dim",
    "header": "bold reverse",
    "sorted": "bold underline reverse",
    "selected": "reverse",
    "selected red": "bold underline reverse",
    "key": "bold",
    "tab": "bold reverse",
    "sum": "italic",
    "spark": "",
    "good": "bold",
    "red": "bold reverse",
}
"""The roles, and their styles without colours."""

PALETTES: Final = {
    "default": {
        **_PLAIN,
        "spark": "cyan",
        "sum": "italic cyan",
        "key": "bold cyan",
        "good": "green",
        "red": "bold red",
        "selected red": "bold reverse red",
    },
    # Blue and orange differ for every common form of colour blindness.
    "colour-blind": {
        **_PLAIN,
        "spark": "#56b4e9",
        "sum": "italic #56b4e9",
        "key": "bold #56b4e9",
        "good": "#56b4e9",
        "red": "bold #000000 on #e69f00",
        "selected red": "bold underline #000000 on #e69f00",
    },
    "mono": _PLAIN,
}
"""The palettes of the option ``--palette``, by name."""


def styles(palette: str) -> dict[str, Style]:
    """Return the style of each role."""
    return {role: Style.parse(style) for role, style in PALETTES[palette].items()}
