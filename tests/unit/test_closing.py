"""The base of objects that a ``with`` block closes."""

from __future__ import annotations

import pytest

from cgroups.core.closing import Closing


class Door(Closing):
    """A thing that fails to close when told so."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed = 0

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


def test_closing_block_end_closes_once() -> None:
    with Door() as door:
        assert door.closed == 0
    assert door.closed == 1


def test_closing_error_of_close_is_raised() -> None:
    with pytest.raises(OSError, match="stuck"), Door(OSError("stuck")):
        pass


def test_closing_error_of_block_comes_first() -> None:
    door = Door(OSError("stuck"))
    with pytest.raises(ValueError, match="the block"), door:
        raise ValueError("the block")  # noqa: EM101, TRY003
    assert door.closed == 1
