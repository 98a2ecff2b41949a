"""Report fallbacks: if CGROUPS_DEBUG=1 is set, write one line to stderr for each kind of fallback."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

__all__ = ["fallback"]

_reported: set[str] = set()


def fallback(taken: str) -> None:
    """Report a fallback once per process.

    Args:
        taken: the missing feature and the replacement: ``no X: Y``.
    """
    if taken not in _reported:
        _reported.add(taken)
        if os.environ.get("CGROUPS_DEBUG") == "1" and sys.stderr is not None:
            with suppress(OSError, ValueError):
                sys.stderr.write(f"cgroups: {taken}\n")
