"""Passing: cgroups for a ``with`` block, that are gone after it whatever comes."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from . import creation
from ._signals import SIGNALS
from .errors import CgroupError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Passing"]


class Passing(ABC):
    """What makes cgroups when it begins, and removes them when it ends: also after a signal, or an error in either.

    While they are made or removed, signals that would end the program wait.
    What the handler of the program's own raises in between is met by a second
    removal, and, where even that does not come to its end, by one more when the program ends.
    """

    _owner = 0
    _is_main = False

    @abstractmethod
    def _make(self, making: creation.Making) -> None:
        """Makes them."""

    @abstractmethod
    def _remove(self) -> None:
        """Ends what is inside and removes them; nothing of what is not there."""

    def _begin(self) -> None:
        import atexit  # noqa: PLC0415 - importing this package has to stay cheap

        self._owner = os.getpid()
        self._is_main = SIGNALS.begin()
        # An interrupt that comes between the block and its end ends the program, and not this.
        atexit.register(self._end)
        try:
            with SIGNALS.held(), creation.Making() as making:
                self._make(making)
        except BaseException:
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
        except CgroupError:
            raise  # as when a process cannot be ended: once more when the program ends
        except BaseException:
            self._clean()
            raise
        finally:
            if self._is_main:
                self._is_main = False
                SIGNALS.end()

    def _clean(self) -> None:
        import atexit  # noqa: PLC0415

        # A forked child's copy of the block is not the block.
        if self._owner == os.getpid():
            self._remove()
            self._owner = 0
        atexit.unregister(self._end)
