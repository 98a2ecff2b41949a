"""Exit codes of the command, the line of an error, and the end of a command whose dependencies are missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ...core.advice import install
from ...core.errors import CgroupError, describe_errno, printable
from ...core.importing import uncollected

__all__ = ["INTERRUPTED", "quick_imports", "told"]

INTERRUPTED: Final = 130
"""The exit code that shells report for a program ended by SIGINT."""


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import modules of the command in a block; exit with one line if a dependency of the command is missing."""
    try:
        with uncollected():
            yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "cgroups":
            raise
        sys.exit(f"cgroups: the command needs {error.name}; install it with: {install('cli')}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def told(error: CgroupError | OSError) -> str:
    """Return one line that names the failed operation, the file, and a command that helps."""
    if isinstance(error, CgroupError):
        return error.for_command()
    what = printable(str(error.filename)) if error.filename is not None else "cannot write the output"
    return f"{what}: {describe_errno(error.errno or 0)}"
