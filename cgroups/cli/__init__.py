"""The command ``cgroups``, of the extra ``cli``.  This module imports without what the extra installs."""

from __future__ import annotations

import io
import os
import sys

__all__ = ["main"]

INTERRUPTED = 130
"""The exit code that shells give a program ended by SIGINT."""


def main() -> None:
    """Runs the command on ``sys.argv``, and exits.

    Exit codes: 0; 1 for an operation that failed, said in one line on stderr;
    2 for words that are no such command; 130 after an interrupt.
    """
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "cgroups":
            raise
        sys.exit(f"cgroups: the command needs {error.name}, which this installs: pip install 'cgroups-cffi[cli]'")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A locale of ASCII alone is no reason to stop in the middle of a tree.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="cgroups")
    finally:
        _drop_output()


def _drop_output() -> None:
    """Drops what cannot be printed, so that the interpreter does not complain of it when it ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
