"""Open pidfds and signal processes through them, so that a signal never hits a reused pid.

pidfd_open(2) needs Linux 5.3 and pidfd_send_signal(2) Linux 5.1.  A seccomp filter may deny either call, and a
Python built with older headers lacks the functions.
"""

from __future__ import annotations

import errno
import os
import select
from typing import Final

from .debug import fallback

__all__ = ["DENIED", "open_process", "send_signal"]

DENIED: Final = frozenset({errno.ENOSYS, errno.EPERM})
"""The errnos of a system call that the kernel lacks or a seccomp filter denies."""


def open_process(pid: int) -> int:
    """Open a descriptor that becomes readable when the process exits; return -1 if pidfds are unavailable.

    Raises:
        ProcessLookupError: the process does not exist.
        OSError: the kernel's error: EINVAL for the id of a thread, EMFILE.
    """
    try:
        return os.pidfd_open(pid)
    except AttributeError:
        pass
    except OSError as error:
        if error.errno not in DENIED:
            raise
    fallback("no pidfd_open(2): a process is identified by its pid")
    return -1


def send_signal(pid: int, fd: int, number: int) -> None:
    """Send a signal to a process by its pidfd, or by its pid if ``fd`` is -1 or the call is denied."""
    import signal  # noqa: PLC0415 - keep the import cheap

    if fd >= 0:
        try:
            signal.pidfd_send_signal(fd, number)
        except AttributeError:
            pass
        except OSError as error:
            # EPERM may also mean that the caller lacks permission.  kill(2) then reports it again.
            if error.errno not in DENIED:
                raise
        else:
            return
        fallback("no pidfd_send_signal(2): a process is signalled by its pid")
        _check_alive(fd)
    os.kill(pid, number)


def _check_alive(fd: int) -> None:
    """Raise ProcessLookupError if the process has exited, since its pid may be reused."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if poll.poll(0):
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
