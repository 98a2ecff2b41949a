"""Warnings about the installation, issued while the package is imported, and quicker imports for the command."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected", "warn"]


@contextmanager
def uncollected() -> Iterator[None]:
    """Import modules in a block without the garbage collector: their objects last, and it takes a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def warn(message: str) -> None:
    """Warn once; write a line to stderr if the command ``cgroups`` imports the package."""
    if _is_command():
        if sys.stderr is not None:
            sys.stderr.write(f"cgroups: warning: {message}\n")
        return
    import warnings  # noqa: PLC0415 - keep the import cheap

    warnings.warn(message, RuntimeWarning, stacklevel=3)


def _is_command() -> bool:
    program = os.path.basename(next(iter(getattr(sys, "argv", [])), ""))
    return program == "cgroups" or sys.orig_argv[1:3] == ["-m", "cgroups"]
