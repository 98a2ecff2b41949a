"""The native backend: csrc/ through cffi.  No other package imports the extension's ``lib``.

C returns statuses and columns; this package converts them to lists and
Failures, and owns the memory that C writes to.  Documentation: csrc/cg_abi.h.
"""

from __future__ import annotations

import os
from typing import Final

from ..._native import lib
from ..importing import warn
from .arena import parse
from .children import Watch, spawn, wait_child
from .files import Directory, File, fd_budget, kept_fds, open_directory, set_fd_budget
from .mountinfo import identity_key, mounts_state, parse_mountinfo, root_identity, scan_mounts
from .sampler import Program, Recorder, Sampler

__all__ = [
    "NAME",
    "Directory",
    "File",
    "Program",
    "Recorder",
    "Sampler",
    "Watch",
    "fd_budget",
    "identity_key",
    "kept_fds",
    "mounts_state",
    "open_directory",
    "parse",
    "parse_mountinfo",
    "root_identity",
    "scan_mounts",
    "set_fd_budget",
    "spawn",
    "wait_child",
]

NAME: Final = "native"


def _warn_if_stale(sources: str) -> None:
    """Warn if the extension was built from other sources than those beside it, for example in a changed checkout."""
    import zlib  # noqa: PLC0415 - needed only in a checkout; keep the import cheap

    checksum = 0
    for endings in (".c", ".h"):
        for name in sorted(name for name in os.listdir(sources) if name.startswith("cg") and name.endswith(endings)):
            with open(f"{sources}/{name}", "rb") as file:
                checksum = zlib.crc32(file.read(), checksum)
    if checksum != lib.CG_SOURCES:
        message = f"the extension is older than {sources}: run `python setup.py build_ext --inplace`"
        warn(message)


if os.path.isfile(_SOURCES := f"{os.path.dirname(__file__)}/../../../csrc/cg_abi.h"):
    _warn_if_stale(os.path.dirname(_SOURCES))
