"""Suggest known names close to a misspelled one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["did_you_mean"]

NEAREST: Final = 3
"""Maximum number of suggested names."""

NEAR: Final = 0.75
"""Minimum similarity of a suggested name; 1 is equality."""


def did_you_mean(word: str, known: Mapping[str, Any]) -> str:
    """Return ``did you mean A or B?`` for the closest known names; '' if no name is close."""
    from difflib import SequenceMatcher  # noqa: PLC0415 - only for an error

    def likeness(name: str) -> tuple[float, float]:
        # A similar prefix counts as much as a similar name.
        matcher.set_seq1(name)
        whole = matcher.ratio()
        matcher.set_seq1(name[: len(word)])
        return max(whole, matcher.ratio() if word else 0), whole

    matcher = SequenceMatcher(None, "", word)
    likenesses = {name: likeness(name) for name in known}
    near: dict[Any, str] = {}
    for name in sorted(known, key=likenesses.__getitem__, reverse=True):
        # Suggest only one name for each object.
        if likenesses[name][0] >= NEAR:
            near.setdefault(known[name], name)
    *others, last = [*near.values()][:NEAREST] or [""]
    return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?" if last else ""
