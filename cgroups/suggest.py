"""What may have been meant by a name that there is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["did_you_mean"]

NEAREST: Final = 3
"""How many are named at most."""

NEAR: Final = 0.75
"""How like the word a name has to be: 1 is the same."""


def did_you_mean(word: str, known: Mapping[str, Any]) -> str:
    """``did you mean A or B?``, of names and what they name; nothing where nothing is near."""
    from difflib import SequenceMatcher  # noqa: PLC0415 - for an error alone

    def likeness(name: str) -> float:
        # A name that begins as the word does is as good as one that is like all of it.
        matcher.set_seq1(name)
        whole = matcher.ratio()
        matcher.set_seq1(name[: len(word)])
        return max(whole, matcher.ratio() if word else 0)

    matcher = SequenceMatcher(None, "", word)
    likenesses = {name: likeness(name) for name in known}
    near: dict[Any, str] = {}
    for name in sorted(known, key=likenesses.__getitem__, reverse=True):
        # Two names for one thing are one answer.
        if likenesses[name] >= NEAR:
            near.setdefault(known[name], name)
    *others, last = [*near.values()][:NEAREST] or [""]
    return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?" if last else ""
