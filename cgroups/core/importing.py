"""Warnings of how the package is installed, which come while it is imported."""

from __future__ import annotations

import os
import sys

__all__ = ["warn"]


def warn(message: str) -> None:
    """Warn once; where the command ``cgroups`` imports the package, as a line of its output."""
    if _is_command():
        if sys.stderr is not None:
            sys.stderr.write(f"cgroups: warning: {message}\n")
        return
    import warnings  # noqa: PLC0415 - importing this package has to stay cheap

    warnings.warn(message, RuntimeWarning, stacklevel=3)


def _is_command() -> bool:
    program = os.path.basename(next(iter(getattr(sys, "argv", [])), ""))
    return program == "cgroups" or sys.orig_argv[1:3] == ["-m", "cgroups"]
