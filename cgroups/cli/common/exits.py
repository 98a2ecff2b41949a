"""Exit codes of the command."""

from __future__ import annotations

from typing import Final

__all__ = ["INTERRUPTED"]

INTERRUPTED: Final = 130
"""The exit code that shells report for a program ended by SIGINT."""
