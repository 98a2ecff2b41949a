"""Temporary cgroups: created on entry of a ``with`` block, removed on exit whatever happens."""

from __future__ import annotations

import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..core.deadline import DEFAULT_TIMEOUT_S
from ..core.errors import CgroupBusy, CgroupError, CgroupGone, CgroupTimeout
from ..core.signals import SIGNALS
from . import create
from .remove import remove

if TYPE_CHECKING:
    from types import TracebackType

    from ..core.node import Node

__all__ = ["TemporaryCgroups", "fresh_name"]

RETRIES_S: Final = (None, None, 0.001, 0.01, 0.1)
"""Seconds before each attempt to remove: a failure may be transient, such as a lack of descriptors."""


def fresh_name(prefix: str) -> str:
    """Return a unique cgroup name, whatever the pid namespace of its creator."""
    return f"{prefix}-{os.getpid()}-{os.urandom(8).hex()}"


class TemporaryCgroups(ABC):
    """Cgroups that are created when a block begins and removed when it ends, also after a signal or an error.

    Signals that would end the program are held while the cgroups are created or removed.
    If a user's signal handler raises in between, or a removal fails, the removal is
    retried, and once more at interpreter exit.
    """

    _owner = 0
    _is_main = False

    def _prepare(self) -> None:  # noqa: B027 - most blocks have no need to wait
        """Do the steps that may block, for example on systemd, and that a signal interrupts."""

    @abstractmethod
    def _make(self, creation: create.Creation) -> None:
        """Create the cgroups."""

    @abstractmethod
    def _targets(self) -> Sequence[Node]:
        """Return the cgroups to remove, of which some may not have been created."""

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._is_main = SIGNALS.begin()
        self._creation = create.Creation()
        # An interrupt between the block and its end ends the program, before __exit__ cleans up.
        _OPEN.add(self)
        try:
            self._prepare()
            with SIGNALS.held(), self._creation as creation:
                self._make(creation)
        except BaseException:
            # The first error is reported.  The remaining cgroups are removed at interpreter exit.
            with suppress(CgroupError, OSError):
                self._end()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        try:
            with SIGNALS.held():
                self._clean()
        except (CgroupError, OSError):
            raise  # already retried
        except BaseException:
            self._clean()
            raise
        finally:
            if self._is_main:
                self._is_main = False
                SIGNALS.end()

    def _clean(self) -> None:
        # The copy of the block in a forked child does not own the cgroups.
        if self._owner == os.getpid():
            self._remove()
            self._owner = 0
        _OPEN.discard(self)

    def _remove(self) -> None:
        """Remove the cgroups with their contents; retry on errors, and raise the first error if all retries fail."""
        first: Exception | None = None
        for pause in RETRIES_S:
            if pause is not None:
                time.sleep(pause)
            try:
                self._remove_once()
            except (CgroupError, OSError) as error:
                first = first or error
                if isinstance(error, CgroupTimeout):
                    break  # the timeout is used up
            else:
                return
        assert first is not None
        try:
            raise first
        finally:
            del first  # otherwise the error's traceback would keep the callers' objects alive

    def _remove_once(self) -> None:
        made = {*self._creation.created}  # excludes cgroups that others have created
        busy = [cgroup for cgroup in self._targets() if cgroup in made and not _is_removed(cgroup)]
        if busy:
            remove(busy, recursive=True, kill_first=True, timeout=DEFAULT_TIMEOUT_S)


def _is_removed(cgroup: Node) -> bool:
    """Remove a cgroup if it is empty, the usual case, by one rmdir(2); return False if it is not empty."""
    try:
        cgroup.remove_directory()
    except CgroupGone:
        return True
    except CgroupBusy:
        return False
    return True


# ---- interpreter exit --------------------------------------------------------------------


class _Open:
    """The blocks that have begun and not ended; they are ended at interpreter exit.

    All blocks share one atexit entry, since atexit never frees an entry.
    """

    def __init__(self) -> None:
        self._blocks: dict[TemporaryCgroups, None] = {}
        self._is_registered = False

    def add(self, block: TemporaryCgroups) -> None:
        if not self._is_registered:
            import atexit  # noqa: PLC0415 - importing this package has to stay cheap

            self._is_registered = True
            atexit.register(self._end_all)
        self._blocks[block] = None

    def discard(self, block: TemporaryCgroups) -> None:
        self._blocks.pop(block, None)

    def _end_all(self) -> None:
        for block in reversed([*self._blocks]):
            try:
                block._end()  # noqa: SLF001 - a class of this module
            except (CgroupError, OSError) as error:
                if sys.stderr is not None:
                    with suppress(OSError, ValueError):
                        sys.stderr.write(f"cgroups: {error}\n")


_OPEN: Final = _Open()
