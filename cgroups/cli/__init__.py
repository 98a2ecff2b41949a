"""The command ``cgroups``.  This module can be imported without the dependencies of the extra ``cli``."""

from __future__ import annotations

import io
import os
import sys

from .common.exits import quick_imports

__all__ = ["main"]


def main() -> None:
    """Run the command on ``sys.argv``, then exit.

    Exit codes: 0; 1 for a failed operation, reported in one line on stderr;
    2 for a usage error; 130 after an interrupt.
    """
    with quick_imports():
        from .app import app
    if isinstance(sys.stdout, io.TextIOWrapper):
        # With an ASCII locale, escape the other characters; an error would cut a tree short.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="cgroups")
    finally:
        _drop_output()


def _drop_output() -> None:
    """Discard output that cannot be written, so that the interpreter prints no error at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
