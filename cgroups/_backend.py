"""Which backend: ``CGROUPS_BACKEND=auto|native|python`` chooses, once, at import.

``native`` never falls back.  ``auto`` falls back only when the extension was
not built, and says so with a warning.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from .core.importing import warn

__all__ = ["backend"]


def _native() -> ModuleType:
    from . import _native_backend  # noqa: PLC0415 - only one of the two is imported

    return _native_backend


def _python() -> ModuleType:
    from . import _python_backend  # noqa: PLC0415

    return _python_backend


def _auto() -> ModuleType:
    try:
        return _native()
    except ModuleNotFoundError as error:
        # Exactly the extension: a broken one, or a missing cffi, is an error.
        if error.name != f"{__package__}._native":
            raise
    package = os.path.dirname(os.path.abspath(__file__))
    tree = os.path.dirname(package)
    if os.path.isdir(f"{tree}/csrc"):
        what = f"cgroups is imported from its source tree, {tree}, where no extension is built"
        fix = "Run Python from another directory"
    else:
        what = f"cgroups was installed without its C extension{_why_not_built(package)}"
        # pip keeps the wheel that it has built, and would install that again.
        fix = "Install what was missing, run `pip install --no-cache-dir --force-reinstall cgroups-cffi`"
    warn(f"{what}: reading is several times slower. {fix}, or set CGROUPS_BACKEND=python to say that this is intended.")
    return _python()


def _why_not_built(package: str) -> str:
    """What setup.py has recorded where it could not build the extension."""
    try:
        with open(f"{package}/without_extension.txt", encoding="utf-8") as file:
            return f", since {file.read()}"
    except OSError:
        return ""


_CHOICES = {"auto": _auto, "native": _native, "python": _python}


def _choose() -> Any:
    name = os.environ.get("CGROUPS_BACKEND", "") or "auto"
    if name not in _CHOICES:
        message = f"CGROUPS_BACKEND={name!r}: not one of {', '.join(_CHOICES)}"
        raise ValueError(message)
    return _CHOICES[name]()


backend = _choose()
