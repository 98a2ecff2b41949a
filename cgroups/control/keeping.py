"""KeepingProcess: a small process that keeps a cgroup populated, and exits with this one."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Final

from ..core.errors import from_errno
from ..core.pidfd import open_process, send_signal

__all__ = ["KeepingProcess", "close_copies"]

_KEEP: Final = "cd / && exec cat >/dev/null 2>&1"

_KEEP_DEAF: Final = f"trap '' TERM HUP && {_KEEP}"
"""A command that survives when systemd stops its scope, so that the scope's counters can still be read."""

_pipes: set[int] = set()
"""The descriptors whose last copy keeps a process alive."""


class KeepingProcess:
    """A process that reads from a pipe until the last writer, this process or a forked child, has closed it.

    Attributes:
        pid: the process, 0 before :meth:`start` and after :meth:`end`.
        is_here: whether this process started the keeping process: the copy in a forked child does not own that process.
    """

    def __init__(self, *, is_deaf: bool) -> None:
        self.pid = 0
        self._owner = os.getpid()
        self._is_deaf = is_deaf
        self._pipe = self._pidfd = -1

    @property
    def is_here(self) -> bool:
        return self._owner == os.getpid()

    def start(self) -> None:
        """Start the process without any descriptor of this one, in its own process group, which Ctrl-C does not reach.

        Raises:
            CgroupOSError: no process can be started.
        """
        reading, self._pipe = os.pipe()
        _pipes.add(self._pipe)
        try:
            self.pid = os.posix_spawn(
                "/bin/sh",
                ["sh", "-c", _KEEP_DEAF if self._is_deaf else _KEEP],
                {"PATH": os.defpath},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, reading, 0),
                    *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()),
                ],
                setpgroup=0,
                setsigmask=(),
                setsigdef=(signal.SIGTERM, signal.SIGHUP),
            )
            with suppress(OSError):
                self._pidfd = open_process(self.pid)
        except OSError as error:
            message = "cannot start the process that keeps a scope"
            raise from_errno(error.errno or 0, message, path="/bin/sh") from None
        finally:
            os.close(reading)

    def end(self) -> None:
        """Kill and reap the process.  The method is idempotent, and can be called again after an exception."""
        pipe, self._pipe = self._pipe, -1
        if pipe >= 0:
            _pipes.discard(pipe)
            os.close(pipe)
        # Only the parent can reap the process.
        if self.pid and self.is_here:
            with suppress(ProcessLookupError, ChildProcessError):  # another thread has reaped all children
                if os.waitpid(self.pid, os.WNOHANG)[0] == 0:
                    send_signal(self.pid, self._pidfd, signal.SIGKILL)
                    os.waitpid(self.pid, 0)
            self.pid = 0
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)


def _inheritable() -> list[int]:
    """Return the descriptors that an executed program would inherit, such as sockets that systemd passed."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if int(name) > 2 and os.get_inheritable(int(name)):  # noqa: PLR2004 - stderr
                found.append(int(name))
    return found


def close_copies() -> None:
    """Close, in a long-lived forked child, the child's copies of the keeping pipes, without taking a lock."""
    for fd in [*_pipes]:
        with suppress(OSError):
            os.close(fd)
