"""Facts about control files that explain a failure.

The tables of parameters fill these sets at import, since core knows no parameter.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BOUNDS", "NAMES_DEVICES", "ROOT_ONLY"]

ROOT_ONLY: Final[set[str]] = set()
"""Names of files that exist only in the root of a hierarchy."""

NAMES_DEVICES: Final[set[str]] = set()
"""Names of files whose values name devices, which may be absent."""

BOUNDS: Final[dict[str, tuple[str, str]]] = {}
"""Name of a v1 file to ``at most`` or ``at least``, and the file that bounds its value."""
