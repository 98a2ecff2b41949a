"""inotify(7): what changes in directories, through ctypes, since it is never what takes the time."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final, NamedTuple

from ._interface import decode_name, encode_name
from .core.pidfd import DENIED

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
    """What happened to a name in a directory."""

    watch: int
    mask: int
    name: str


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


class Watcher:
    """An inotify instance, which tells what is made and removed in directories."""

    _fd = -1  # of the class: the handler of a signal may raise before the first line of __init__

    def __init__(self) -> None:
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        """Readable when there are events."""
        return self._fd

    def watch(self, path: str, what: int = CHANGES) -> int:
        """Watches a directory, and gives the number that its events have: the same for the same inode."""
        return _checked(_libc.inotify_add_watch(self._fd, encode_name(path), what | _ONLYDIR | _DONT_FOLLOW))

    def forget(self, watch: int) -> None:
        """Ends a watch, which may have ended by itself."""
        _libc.inotify_rm_watch(self._fd, watch)

    def events(self) -> list[Event]:
        """What has happened since last asked, in that order; never waits, and leaves what does not fit for the next."""
        found: list[Event] = []
        for _ in range(_MAX_READS):  # whoever makes cgroups all the time makes events all the time
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
    """Watches nothing, where a filter denies inotify_init1(2)."""

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
    """Return a watcher, or one that refuses each directory where inotify is denied.

    Raises:
        OSError: no more instances for this user, or no more descriptors.
    """
    try:
        return Watcher()
    except OSError as error:
        if error.errno not in DENIED:
            raise
        return NoWatcher(OSError(error.errno, error.strerror))
