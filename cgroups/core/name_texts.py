"""Candidates and suggestions of bounded length, for errors about names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .errors import (
    printable,
)
from .node import Node
from .suggest import did_you_mean

__all__ = ["CANDIDATE", "COMPARED", "LISTED", "MOST", "shortened", "suggest"]

LISTED: Final = 5
"""Maximum number of candidates in an error."""

CANDIDATE: Final = 100
"""Maximum characters of one candidate in an error."""

MOST: Final = 100
"""Number of matching cgroups after which a search ends."""

COMPARED: Final = 64
"""Length in characters of the longest name to compare for a suggestion."""


def suggest(word: str, names: Iterable[str]) -> str:
    """Return a question that suggests similar names; to bound the time, long and unlike names are skipped."""
    if len(word) > COMPARED:
        return ""
    near = [name for name in sorted(names) if len(name) <= COMPARED and name[:1] == word[:1]]
    return did_you_mean(word, {name: name for name in near[:MOST]})


def shortened(cgroup: Node) -> str:
    text = printable(str(cgroup))
    return text if len(text) <= CANDIDATE else f"{text[:CANDIDATE]}…"
