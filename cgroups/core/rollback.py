"""Rollback: undo the earlier steps when a later step fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .errors import CgroupError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Rollback"]


class Rollback:
    """A ``with`` block that undoes its steps, the last first, if it raises.

    Add the undo of a step before the step: a system call that a signal interrupts may have taken effect.  Errors of an
    undo are ignored, since the caller sees the error of the block.
    """

    __slots__ = ("_undos",)

    def __init__(self) -> None:
        self._undos: list[Callable[[], object]] = []

    def add(self, undo: Callable[..., object], *args: Any) -> None:
        """Call ``undo(*args)`` if the block raises."""
        self._undos.append(lambda: undo(*args))

    def drop(self) -> None:
        """Forget the last undo, because the kernel has refused its step."""
        self._undos.pop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            return
        for undo in reversed(self._undos):
            with suppress(CgroupError):
                undo()
