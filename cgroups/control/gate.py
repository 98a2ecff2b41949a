"""Hold a child back until systemd has moved it, if the kernel does not let its parent move it."""

from __future__ import annotations

import errno
import fcntl
import os
import select
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from ..core import systemd
from ..core.deadline import Deadline
from ..core.interface import Version
from ..core.node import Node
from ..core.threads import start_thread
from .keeping import close_copies
from .waiting import await_surely

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ..core.systemd import Keeper


__all__ = ["PARENT_LOOK_S", "WORD", "Gate", "Mover", "above_streams", "mover_of"]

WORD: Final = 8


class Mover:
    """A callable that has systemd move a child into a scope's cgroup, if the kernel does not let its parent do so."""

    def __init__(self, keeper: Keeper, cgroup: Node, deadline: Deadline) -> None:
        self._keeper = keeper
        self._cgroup = cgroup
        self._deadline = deadline

    @property
    def is_needed(self) -> bool:
        """Whether systemd had to move an earlier child."""
        return self._keeper.needs_attach

    def __call__(self, pid: int) -> None:
        self._keeper.attach(self._cgroup, pid, self._deadline)
        self._keeper.needs_attach = True


PARENT_LOOK_S: Final = 0.5
"""Seconds between two checks, by a waiting child, whether its parent still exists."""


class Gate:
    """A gate that holds a forked child back until a thread of its parent has had it moved.

    Attributes:
        failed: the exception, if the move failed.
    """

    def __init__(self, mover: Mover) -> None:
        self._mover = mover
        self._maker = os.getpid()
        self.failed: list[BaseException] = []

    def __enter__(self) -> Self:
        with ExitStack() as files:
            self._pid, self._pid_of_child = (above_streams(fd, files) for fd in os.pipe())
            self._open, self._opener = (above_streams(fd, files) for fd in os.pipe())
            self._thread = start_thread(self._move, "cgroups mover", "cannot start a child in a scope")
            self._files = files.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Without a child the thread would read forever.
        os.write(self._pid_of_child, bytes(WORD))
        await_surely(lambda: not self._thread.is_alive())
        self._files.close()

    def wait(self) -> None:
        """Wait, in the child, until the child was moved or its parent has exited."""
        close_copies()  # open copies would keep the scope alive
        os.write(self._pid_of_child, os.getpid().to_bytes(WORD, "little"))
        while not select.select([self._open], [], [], PARENT_LOOK_S)[0]:
            # End of file is no sign of the parent's exit: other waiting children hold the write end too.
            if os.getppid() != self._maker:
                raise OSError(errno.ECANCELED, "the parent has exited")
        if os.read(self._open, 1) != b"1":
            raise OSError(errno.ECANCELED, "not moved")

    def _move(self) -> None:
        pid = int.from_bytes(os.read(self._pid, WORD), "little")
        try:
            if pid:
                self._mover(pid)
                os.write(self._opener, b"1")
        except BaseException as error:  # noqa: BLE001 - raised again where the child is started
            self.failed.append(error)
            os.write(self._opener, b"0")


def mover_of(cgroups: Sequence[Node], deadline: Deadline) -> Mover | None:
    """Return a mover for the cgroup that is in a scope of this process; None if no cgroup is."""
    for one in cgroups:
        keeper = systemd.keeper_of(one)
        if keeper is not None and one.version == Version.V2:
            return Mover(keeper, one, deadline)
    return None


def above_streams(fd: int, files: ExitStack) -> int:
    """Return a descriptor above the child's three standard streams, to be closed by ``files``."""
    files.callback(os.close, fd)
    if fd > 2:  # noqa: PLR2004 - stderr
        return fd
    above = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    files.callback(os.close, above)
    return above
