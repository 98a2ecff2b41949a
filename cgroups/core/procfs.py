"""Read facts about processes from /proc (proc(5)), tolerating processes that exit meanwhile."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Final, NamedTuple

from .descent import EXHAUSTED
from .errors import from_errno

__all__ = ["Procfs", "Stat", "Status"]

PART: Final = 1 << 16
"""Bytes of one read(2)."""


class Stat(NamedTuple):
    """Fields of /proc/PID/stat.

    Attributes:
        start: start time in clock ticks since boot.  Pid and start identify a process.
        counts: user and system CPU time in clock ticks, minor and major page faults: sums over the process and the
                children that it waited for.
    """

    pid: int
    parent_pid: int
    start: int
    state: str
    threads: int
    counts: tuple[int, int, int, int]


class Status(NamedTuple):
    """Fields of /proc/PID/status.

    Attributes:
        memory: RssAnon + RssShmem in bytes; VmRSS if the kernel does not split it (gVisor); 0 for a zombie.
        swap: VmSwap in bytes.
        switches: voluntary and involuntary context switches of the main thread.
        ignores_children: whether SIGCHLD is ignored.  If so, the kernel does not add the time of exited children.
    """

    memory: int
    swap: int
    switches: tuple[int, int]
    ignores_children: bool


class Procfs:
    """A mounted proc(5).

    Each method returns None, or nothing, for a process that has exited or is hidden (hidepid).

    Raises:
        CgroupOSError: no descriptor is left; from every method that reads a file of a process.
    """

    def __init__(self, root: str = "/proc") -> None:
        self.root = root

    def is_own(self) -> bool:
        """Return whether the pids belong to the caller's pid namespace; False if nothing is mounted."""
        try:
            return os.readlink(f"{self.root}/self") == str(os.getpid())
        except OSError:
            return False

    def exists(self, pid: int) -> bool:
        """Return whether a process exists, even if its files are unreadable (hidepid=1)."""
        return os.path.exists(f"{self.root}/{pid}")

    def pids(self) -> set[int]:
        """Return the visible processes."""
        try:
            return {int(name) for name in os.listdir(self.root) if name.isdigit()}
        except OSError as error:
            self._check(error)
            return set()

    def has_children_files(self, pid: int) -> bool:
        """Return whether the kernel lists the children of threads (CONFIG_PROC_CHILDREN)."""
        return os.path.exists(f"{self.root}/{pid}/task/{pid}/children")

    def children(self, pid: int) -> tuple[int, list[int]]:
        """Return the number of threads and the pids of their children.  Children of exiting threads may be missed."""
        text, tasks = b"", list[str]()
        try:
            tasks = os.listdir(f"{self.root}/{pid}/task")
        except OSError as error:
            self._check(error)
        for task in tasks:
            text += b" " + (self._read(f"{pid}/task/{task}/children") or b"")
        return len(tasks), [int(word) for word in text.split() if word.isdigit()]

    def stat(self, pid: int) -> Stat | None:
        text = self._read(f"{pid}/stat")
        if text is None:
            return None
        # The name, in parentheses, may contain any byte; no field after it contains a parenthesis.
        fields = text.rpartition(b")")[2].split()
        with suppress(ValueError, IndexError):
            user, system = (int(fields[own]) + int(fields[own + 2]) for own in (11, 12))
            minor, major = (int(fields[own]) + int(fields[own + 1]) for own in (7, 9))
            counts = (user, system, minor, major)
            return Stat(pid, int(fields[1]), int(fields[19]), fields[0].decode("latin-1"), int(fields[17]), counts)
        return None

    def status(self, pid: int) -> Status | None:
        text = self._read(f"{pid}/status")
        if text is None:
            return None
        names = (b"RssAnon", b"RssShmem") if b"\nRssAnon:" in text else (b"VmRSS",)
        switches = (_number(text, b"voluntary_ctxt_switches"), _number(text, b"nonvoluntary_ctxt_switches"))
        ignored = _number(text, b"SigIgn", 16)
        return Status(
            memory=sum(_number(text, name) for name in names) * 1024,
            swap=_number(text, b"VmSwap") * 1024,
            switches=switches,
            ignores_children=bool(ignored >> (signal.SIGCHLD - 1) & 1),
        )

    def _read(self, name: str) -> bytes | None:
        try:
            fd = os.open(f"{self.root}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._check(error)
            return None
        try:
            text = b""
            while part := os.read(fd, PART):
                text += part
        except OSError:  # ESRCH: the process has exited since
            return None
        else:
            return text
        finally:
            os.close(fd)

    def _check(self, error: OSError) -> None:
        if error.errno in EXHAUSTED:
            raise from_errno(error.errno or 0, f"cannot read {self.root}", path=self.root) from None


def _number(text: bytes, name: bytes, base: int = 10) -> int:
    """Return a number of /proc/PID/status without its unit; 0 if this kernel or a zombie lacks the line."""
    start = text.find(b"\n" + name + b":")
    if start < 0:
        return 0
    words = text[start + len(name) + 2 : text.find(b"\n", start + 1)].split()
    try:
        return int(words[0], base)
    except (IndexError, ValueError):
        return 0
