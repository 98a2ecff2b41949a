"""The functions of a backend, and the choice at import: ``CGROUPS_BACKEND=auto|native|python``.

``native`` never falls back.  ``auto`` falls back only if the extension was not
built, and warns.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from .importing import warn

if TYPE_CHECKING:
    from .interface import Cells, Directory, MountRow, Sampler, Spawn, Spawned, Target, Watch

__all__ = ["Backend", "backend"]


class Backend(Protocol):
    """The functions of a backend module."""

    NAME: str

    def open_directory(self, path: str, version: int) -> Directory: ...
    def parse(self, shape: int, data: bytes) -> Cells: ...
    def parse_mountinfo(self, data: bytes) -> list[MountRow]: ...
    def scan_mounts(self, fd: int) -> list[MountRow]: ...
    def root_identity(self) -> Any: ...
    def mounts_state(self, fd: int, identity: Any) -> int: ...
    def Program(self, shape: int, targets: Sequence[Target]) -> Any: ...  # noqa: N802 - a class
    def Sampler(self, columns: int) -> Sampler: ...  # noqa: N802 - a class

    @property
    def spawn(self) -> Callable[[Spawn], Spawned] | None:
        """A function that starts a program as by vfork.  Without the function (None), subprocess forks instead."""

    def Watch(self) -> Watch: ...  # noqa: N802 - a class
    def wait_child(self, pid: int, deadline: int | None) -> int:
        """Wait until a child exits, without reaping it; return the time right after, or 0 if the deadline passes first.

        The time and the deadline are of CLOCK_MONOTONIC, in nanoseconds.
        """
        ...

    def set_fd_budget(self, budget: int) -> None: ...
    def fd_budget(self) -> int: ...
    def kept_fds(self) -> int: ...


def _native() -> Backend:
    from . import native  # noqa: PLC0415 - only one of the two is imported

    return native


def _python() -> Backend:
    from . import reference  # noqa: PLC0415

    return reference


def _auto() -> Backend:
    try:
        return _native()
    except ModuleNotFoundError as error:
        # Only a missing extension falls back.  A broken extension, or a missing cffi, is an error.
        if error.name != "cgroups._native":
            raise
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    tree = os.path.dirname(package)
    if os.path.isdir(f"{tree}/csrc"):
        what = f"cgroups is imported from its source tree, {tree}, where no extension is built"
        fix = "Run Python from another directory"
    else:
        what = f"cgroups was installed without its C extension{_why_not_built(package)}"
        # pip caches the wheel that it built, and would install the same wheel again.
        fix = "Install what was missing, run `pip install --no-cache-dir --force-reinstall cgroups-cffi`"
    warn(f"{what}: reading is several times slower. {fix}, or set CGROUPS_BACKEND=python if this is intended.")
    return _python()


def _why_not_built(package: str) -> str:
    """Return the reason that setup.py recorded when it could not build the extension."""
    try:
        with open(f"{package}/without_extension.txt", encoding="utf-8") as file:
            return f", since {file.read()}"
    except OSError:
        return ""


_CHOICES: Final[Mapping[str, Callable[[], Backend]]] = {"auto": _auto, "native": _native, "python": _python}


def _choose() -> Backend:
    name = os.environ.get("CGROUPS_BACKEND", "") or "auto"
    if name not in _CHOICES:
        message = f"CGROUPS_BACKEND must be one of {', '.join(_CHOICES)}, got {name!r}"
        raise ValueError(message)
    return _CHOICES[name]()


backend: Final = _choose()
