"""Suggest known names close to a misspelled one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["did_you_mean"]

NEAREST: Final = 3
"""Names that are suggested at most."""

NEAR: Final = 0.75
"""Least likeness of a suggested name; 1 is the same name."""


def did_you_mean(word: str, known: Mapping[str, Any]) -> str:
    """Return ``did you mean A or B?`` for names and what they name; '' if no name is close."""
    from difflib import SequenceMatcher  # noqa: PLC0415 - only for an error

    def likeness(name: str) -> tuple[float, float]:
        # A name that begins like the word is as good as one that is like all of it.
        matcher.set_seq1(name)
        whole = matcher.ratio()
        matcher.set_seq1(name[: len(word)])
        return max(whole, matcher.ratio() if word else 0), whole

    matcher = SequenceMatcher(None, "", word)
    likenesses = {name: likeness(name) for name in known}
    near: dict[Any, str] = {}
    for name in sorted(known, key=likenesses.__getitem__, reverse=True):
        # Two names for one thing are one answer.
        if likenesses[name][0] >= NEAR:
            near.setdefault(known[name], name)
    *others, last = [*near.values()][:NEAREST] or [""]
    return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?" if last else ""
