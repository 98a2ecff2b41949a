"""The Python backend: the specification of the native one, written for readability, not speed.

This backend keeps no file open, so the descriptor budget has no effect.  Otherwise the
results are identical, including errors and their offsets.
"""

from __future__ import annotations

from typing import Final

from .children import Watch, spawn, wait_child
from .files import Directory, File, fd_budget, kept_fds, open_directory, set_fd_budget
from .mountinfo import identity_key, mounts_state, parse_mountinfo, root_identity, scan_mounts
from .parse import parse
from .sampler import Program, Sampler

__all__ = [
    "NAME",
    "Directory",
    "File",
    "Program",
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

NAME: Final = "python"
