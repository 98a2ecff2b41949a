"""pidfd(2): a held process, whose number no other process gets unnoticed.

Linux opens them from 5.3 on and signals by them from 5.1 on; a seccomp filter may deny either call, and a Python
that was built with older headers has no function for it.
"""

from __future__ import annotations

import errno
import os
import select
from typing import Final

__all__ = ["DENIED", "open_process", "send_signal"]

DENIED: Final = frozenset({errno.ENOSYS, errno.EPERM})
"""What a kernel without a system call, or a filter that denies it, gives."""


def open_process(pid: int) -> int:
    """Open a descriptor that is readable once the process has exited; return -1 where there are no pidfds.

    Raises:
        ProcessLookupError: no such process exists.
        OSError: as the kernel says: EINVAL for a thread's number, EMFILE.
    """
    try:
        return os.pidfd_open(pid)
    except AttributeError:
        return -1
    except OSError as error:
        if error.errno not in DENIED:
            raise
        return -1


def send_signal(pid: int, fd: int, number: int) -> None:
    """Send a signal to a process by its pidfd, or by its number where ``fd`` is -1 or the call is denied."""
    import signal  # noqa: PLC0415 - importing this package has to stay cheap

    if fd >= 0:
        try:
            signal.pidfd_send_signal(fd, number)
        except AttributeError:
            pass
        except OSError as error:
            # The caller's own lack of permission is EPERM too, which kill(2) repeats.
            if error.errno not in DENIED:
                raise
        else:
            return
        _check_alive(fd)
    os.kill(pid, number)


def _check_alive(fd: int) -> None:
    """The number of a process that has exited may be another's by now."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if poll.poll(0):
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
