"""Temporary cgroups: created on entry of a ``with`` block, removed on exit whatever happens."""

from __future__ import annotations

import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from . import creation
from ._signals import SIGNALS
from .control.remove import remove
from .deadline import PATIENCE
from .errors import CgroupBusy, CgroupError, CgroupGone, CgroupTimeout

if TYPE_CHECKING:
    from types import TracebackType

    from .hierarchy import Cgroup

__all__ = ["Passing", "fresh_name"]

RETRIES_S: Final = (0.0, 0.0, 0.001, 0.01, 0.1)
"""Seconds before each attempt to remove: what fails may be for a lack that ends soon, such as one of descriptors."""


def fresh_name(prefix: str) -> str:
    """Return a name that no other cgroup has, in whatever pid namespace its maker is."""
    return f"{prefix}-{os.getpid()}-{os.urandom(8).hex()}"


class Passing(ABC):
    """Cgroups that are created when a block begins and removed when it ends, also after a signal or an error.

    Signals that would end the program wait while the cgroups are created or removed.
    If a signal handler of the program's own raises in between, or a removal fails, the
    removal is tried again; if that fails too, once more when the program ends.
    """

    _owner = 0
    _is_main = False

    @abstractmethod
    def _make(self, making: creation.Making) -> None:
        """Create them."""

    @abstractmethod
    def _targets(self) -> Sequence[Cgroup]:
        """Return the cgroups to remove, of which some may not have been created."""

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._is_main = SIGNALS.begin()
        self._making = creation.Making()
        # An interrupt that comes between the block and its end ends the program, and not this.
        _OPEN.add(self)
        try:
            with SIGNALS.held(), self._making as making:
                self._make(making)
        except BaseException:
            # The first error is the one to report; what is left is removed when the program ends.
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
            raise  # tried again already
        except BaseException:
            self._clean()
            raise
        finally:
            if self._is_main:
                self._is_main = False
                SIGNALS.end()

    def _clean(self) -> None:
        # A forked child's copy of the block is not the block.
        if self._owner == os.getpid():
            self._remove()
            self._owner = 0
        _OPEN.discard(self)

    def _remove(self) -> None:
        """Remove them, with what is inside; retry what fails, and raise its first error if all retries fail."""
        first: Exception | None = None
        for pause in RETRIES_S:
            time.sleep(pause)
            try:
                self._remove_once()
            except (CgroupError, OSError) as error:
                first = first or error
                if isinstance(error, CgroupTimeout):
                    break  # it has had its time
            else:
                return
        assert first is not None
        raise first

    def _remove_once(self) -> None:
        made = {*self._making.made}  # nothing that others have created
        busy = [cgroup for cgroup in self._targets() if cgroup in made and not _is_removed(cgroup)]
        if busy:
            remove(busy, recursive=True, kill_first=True, timeout=PATIENCE)


def _is_removed(cgroup: Cgroup) -> bool:
    """Remove a cgroup that is empty, as it mostly is by now: one rmdir(2).  False if something is in it."""
    try:
        cgroup.remove_directory()
    except CgroupGone:
        return True
    except CgroupBusy:
        return False
    return True


# ---- the end of the program --------------------------------------------------------------


class _Open:
    """The blocks that have begun and not ended; those that are left are ended when the program ends.

    One entry of atexit for all of them: atexit never gives back the room of an entry.
    """

    def __init__(self) -> None:
        self._blocks: dict[Passing, None] = {}
        self._is_registered = False

    def add(self, block: Passing) -> None:
        if not self._is_registered:
            import atexit  # noqa: PLC0415 - importing this package has to stay cheap

            self._is_registered = True
            atexit.register(self._end_all)
        self._blocks[block] = None

    def discard(self, block: Passing) -> None:
        self._blocks.pop(block, None)

    def _end_all(self) -> None:
        for block in reversed([*self._blocks]):
            try:
                block._end()  # noqa: SLF001 - its own
            except (CgroupError, OSError) as error:
                if sys.stderr is not None:
                    with suppress(OSError, ValueError):
                        sys.stderr.write(f"cgroups: {error}\n")


_OPEN: Final = _Open()
