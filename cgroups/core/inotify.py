"""Watch directories with inotify(7), through ctypes, since speed does not matter here."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final, NamedTuple

from .debug import fallback
from .interface import decode_name, encode_name
from .pidfd import DENIED

__all__ = ["Event", "NoWatcher", "Watcher", "open_watcher"]

MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
ISDIR: Final = 0x40000000
_ONLYDIR: Final = 0x01000000
_DONT_FOLLOW: Final = 0x02000000
REMOVALS: Final = MOVED_FROM | DELETE
CHANGES: Final = REMOVALS | MOVED_TO | CREATE

_HEAD: Final = struct.Struct("iIII")
_BUFFER: Final = 1 << 16
_MAX_READS: Final = 64

_libc = ctypes.CDLL(None, use_errno=True)


class Event(NamedTuple):
    """A change of a name in a directory."""

    watch: int
    mask: int
    name: str


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


class Watcher:
    """An inotify instance that reports the names created in and removed from directories."""

    _fd = -1  # a class attribute: a signal handler may raise before the first line of __init__

    def __init__(self) -> None:
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        """Return the descriptor, which is readable if events are pending."""
        return self._fd

    def watch(self, path: str, what: int = CHANGES) -> int:
        """Watch a directory; return the watch number of its events.  The same inode has the same number."""
        return _checked(_libc.inotify_add_watch(self._fd, encode_name(path), what | _ONLYDIR | _DONT_FOLLOW))

    def forget(self, watch: int) -> None:
        """Remove a watch, even if the kernel has removed it already."""
        _libc.inotify_rm_watch(self._fd, watch)

    def events(self) -> list[Event]:
        """Return the events since the last call, in order; never wait, and leave the excess for the next call."""
        found: list[Event] = []
        for _ in range(_MAX_READS):  # bounded: a user who keeps creating cgroups keeps creating events
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data):
                watch, mask, _, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size
                found.append(Event(watch, mask, decode_name(data[at : at + length].rstrip(b"\0"))))
                at += length
        return found

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class NoWatcher:
    """A watcher that watches nothing, for a seccomp filter that denies inotify_init1(2)."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def watch(self, path: str, what: int = CHANGES) -> int:  # noqa: ARG002
        raise self._error

    def forget(self, watch: int) -> None:
        pass

    def events(self) -> list[Event]:
        return []

    def close(self) -> None:
        pass


def open_watcher() -> Watcher | NoWatcher:
    """Return a watcher; if inotify is denied, one that refuses each directory.

    Raises:
        OSError: this user has no inotify instance left, or the process no descriptor.
    """
    try:
        return Watcher()
    except OSError as error:
        if error.errno not in DENIED:
            raise
        fallback("no inotify_init1(2): the cgroups of a subtree are listed once per second")
        return NoWatcher(OSError(error.errno, error.strerror))
