"""Measure and end a process tree without cgroups, by sampling /proc (proc(5)).

A sample can miss usage that the kernel would count in a cgroup.  A process that starts and exits between two samples is
unseen; its CPU time counts only if its parent waited for it.  If such a process leaves a child behind (a fast
double fork), the child is lost: :class:`ProcessTree` neither measures nor kills the child.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ..core.closing import Closing
from ..core.deadline import DEFAULT_TIMEOUT_S, Deadline
from ..core.descendants import MOST_FILES, Descendants, Process
from ..core.errors import AccessDenied, CgroupOSError, CgroupTimeout, from_errno, shown
from ..core.pidfd import open_process, send_signal
from ..core.procfs import Procfs, Stat
from ..core.threads import start_thread
from .tree_usage import Peaks, TreeUsage, combine

if TYPE_CHECKING:
    from resource import struct_rusage

    from typing_extensions import Self

__all__ = ["ProcessTree", "TreeUsage"]

SHORTEST_S: Final = 0.001
"""Pause, in seconds, between samples after a change of the tree; doubled after each sample without a change."""

LONGEST_S: Final = 0.05
"""Pause, in seconds, between samples of an unchanged tree."""

SHARE: Final = 0.03
"""Share of one CPU that sampling may use.  If samples cost more, the pauses grow."""

CREDIT_S: Final = 0.005
"""CPU seconds that sampling may use in advance, for dense samples at the start."""

STOP_S: Final = 2.5
"""Upper bound, in seconds, for stopping the processes before SIGKILL; at most a quarter of the timeout."""


class ProcessTree(Closing):
    """A direct child of the caller, and its descendants, found by polling /proc.

    Example::

        with ProcessTree(process.pid) as tree:
            ...  # wait for the root, without reaping
            tree.kill()
            _, status, rusage = os.wait4(process.pid, 0)
            usage = tree.usage(rusage)

    Without a usable /proc only the root is known, and only rusage is measured.  /proc is not usable if it is not
    mounted, hides the root, or belongs to another pid namespace.

    Args:
        pid: the root: running, or not reaped.  The root may be reaped after :meth:`kill`.
        proc: the mount point of proc(5).
    """

    def __init__(self, pid: int, proc: str = "/proc") -> None:
        self._procfs = Procfs(proc)
        stat = self._procfs.stat(pid) if self._procfs.is_own() else None
        self._root = Process(stat or Stat(pid, os.getpid(), 0, "R", 1, (0, 0, 0, 0)), None)
        self._tree = None if stat is None else Descendants(self._root, self._procfs)
        self._peaks, self._samples = Peaks(0, 0, 0), 0
        self._lock = threading.RLock()
        self._is_closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Sample now, and in a thread until :meth:`close`.

        Raises:
            CgroupOSError: the limit of threads is reached, or no descriptor is left.
        """
        self.sample()
        self._thread = start_thread(self._follow, "cgroups process tree", "cannot sample the process tree")

    def close(self) -> None:
        """Stop sampling; do nothing if sampling has stopped."""
        self._is_closed.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    @property
    def pids(self) -> list[int]:
        """Pids of the processes that were live in the last sample."""
        with self._lock:
            return [process.pid for process in self._live()]

    # ---- measuring -----------------------------------------------------------------------

    def sample(self) -> bool:
        """Update the figures; return whether the tree has changed.

        Raises:
            CgroupOSError: no descriptor is left.
        """
        with self._lock:
            if self._tree is None:
                return False
            is_changed = self._tree.sample(MOST_FILES)
            known = self._tree.known.values()
            memory, swap = sum(process.memory for process in known), sum(process.swap for process in known)
            now = Peaks(memory, swap, len(self._tree.live()))
            self._peaks = Peaks(*map(max, self._peaks, now))
            self._samples += 1
            return is_changed

    def _follow(self) -> None:
        pause, credit, before = SHORTEST_S, CREDIT_S, time.monotonic()
        while not self._is_closed.wait(max(pause, -credit / SHARE)) and self._tree is not None and self._tree.known:
            cpu_before, is_changed = time.thread_time(), False
            try:
                is_changed = self.sample()
            except CgroupOSError:
                self._tree.is_partial = True
            now = time.monotonic()
            credit = min(CREDIT_S, credit + SHARE * (now - before)) - (time.thread_time() - cpu_before)
            pause, before = SHORTEST_S if is_changed else min(2 * pause, LONGEST_S), now

    def usage(self, rusage: struct_rusage | None) -> TreeUsage:
        """Return the usage of the tree up to its last sample.

        Args:
            rusage: the rusage of the root, from wait4(2).  If it is None, the samples of the root count.
        """
        with self._lock:
            tree = self._tree
            if tree is None:
                return combine(None, rusage, None, samples=0, is_partial=True)
            sums = list(tree.exited)
            for process in tree.known.values():
                if process is not self._root or rusage is None:
                    process.add_to(sums)
            return combine(sums, rusage, self._peaks, samples=self._samples, is_partial=tree.is_partial)

    # ---- ending --------------------------------------------------------------------------

    def signal(self, signum: int) -> int:
        """Send a signal once to each live process; return the number of processes signalled.

        Raises:
            AccessDenied: the kernel refused some processes, such as another user's; the others were signalled.
            CgroupOSError: no descriptor is left.
        """
        refused: set[int] = set()
        with self._lock:
            sent = self._send(self._look(), signum, refused)
        self._check(refused)
        return len(sent)

    def kill(self, timeout: float | None = DEFAULT_TIMEOUT_S) -> int:
        """Stop sampling, and kill all live processes, the root included; return the number of killed processes.

        All processes are stopped first: a stopped process neither forks nor exits.  The start time is checked after
        a pidfd is open, so that a reused pid is never signalled.  Before Linux 5.3 a race of microseconds is left.

        Args:
            timeout: seconds; a sample that has begun is completed.

        Raises:
            AccessDenied: the kernel refused some processes, such as another user's; the others have exited.
            CgroupOSError: no descriptor is left.  Processes may be left stopped.
            CgroupTimeout: processes are left, for example in uninterruptible sleep (D state).
        """
        deadline = Deadline(timeout)
        self.close()
        killed: set[Process] = set()
        refused: set[int] = set()
        with self._lock:
            if self._tree is not None:
                self._stop(Deadline(min(STOP_S, deadline.left() / 4)), refused)
            while left := [process for process in self._look() if process.pid not in refused]:
                if killed and deadline.is_over:
                    pids = shown([one.pid for one in left])
                    message = f"{self._tried}: {pids} are left: timed out after {timeout:g} s"
                    hint = "some are in uninterruptible sleep (D state), or new processes keep being forked"
                    raise CgroupTimeout(message, errno=errno.ETIMEDOUT, hint=hint)
                # Children first: when a parent exits, the kernel may continue stopped children (setpgid(2), orphaned
                # process groups).
                sent = self._send(sorted(left, key=lambda process: -process.start), signal.SIGKILL, refused)
                for process in sent:
                    process.is_killed = True
                killed.update(sent)
                deadline.pause()
        self._check(refused)
        return len(killed)

    def _stop(self, deadline: Deadline, refused: set[int]) -> None:
        """Stop all processes, until a sample finds no other.  A process in D state stops before it forks."""
        known: set[Process] | None = None
        while not deadline.is_over:
            live = set(self._look())
            running = [one for one in live if one.state not in "TtD" and one.pid not in refused]
            if known == live and not running:
                return
            known = live
            self._send(running, signal.SIGSTOP, refused)
            deadline.pause()

    def _look(self) -> list[Process]:
        """Sample the whole tree without memory figures; return the live processes."""
        if self._tree is not None:
            self._tree.sample(None, with_status=False)
        return self._live()

    def _live(self) -> list[Process]:
        if self._tree is not None:
            return self._tree.live()
        return [self._root] if self._is_root_running() else []

    def _is_root_running(self) -> bool:
        try:
            return os.waitid(os.P_PID, self._root.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def _send(self, processes: Iterable[Process], signum: int, refused: set[int]) -> list[Process]:
        """Signal processes; return those that were signalled, and add the pids of the refused."""
        sent = []
        for process in processes:
            try:
                self._send_one(process, signum)
            except ProcessLookupError:
                continue
            except PermissionError:
                refused.add(process.pid)
            else:
                sent.append(process)
        return sent

    def _send_one(self, process: Process, signum: int) -> None:
        try:
            fd = open_process(process.pid)
        except OSError as error:
            if error.errno in {errno.ESRCH, errno.EINVAL}:  # EINVAL: the pid now belongs to a thread
                raise ProcessLookupError from None
            raise from_errno(error.errno or 0, f"{self._tried}: cannot open process {process.pid}") from None
        try:
            if not self._is_same(process):
                raise ProcessLookupError
            send_signal(process.pid, fd, signum)
        finally:
            if fd >= 0:
                os.close(fd)

    def _is_same(self, process: Process) -> bool:
        """Return whether a pid still belongs to the process."""
        if self._tree is None:
            return self._is_root_running()
        stat = self._procfs.stat(process.pid)
        return stat is not None and stat.start == process.start

    @property
    def _tried(self) -> str:
        return f"cannot signal the process tree of {self._root.pid}"

    def _check(self, refused: set[int]) -> None:
        if refused:
            message = f"{self._tried}: not permitted for {shown(sorted(refused))}"
            raise AccessDenied(message, errno=errno.EPERM)
