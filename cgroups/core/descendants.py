"""Find the descendants of a process by polling /proc, and keep the resource usage of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .procfs import Procfs, Stat

__all__ = ["MOST_FILES", "Descendants", "Process"]

MOST_FILES: Final = 1000
"""Approximate number of files that one sample reads: three for each process with one thread."""


class Process:
    """A process of the tree, identified by pid and start time, with the figures of its last sample.

    Attributes:
        parent: None if the parent is outside of the tree: no process in the tree will wait for this process.
        counts: from :class:`Stat`; ``memory``, ``swap``, ``switches`` and ``ignores_children``: from :class:`Status`.
        is_killed: whether the caller killed the process, so that its parent in the tree could not wait for it.
    """

    def __init__(self, stat: Stat, parent: Process | None) -> None:
        self.pid, self.start, self.parent = stat.pid, stat.start, parent
        self.state, self.threads, self.counts = stat.state, stat.threads, stat.counts
        self.memory, self.swap, self.switches = 0, 0, (0, 0)
        self.ignores_children = self.is_killed = False

    @property
    def is_live(self) -> bool:
        """Whether a thread is alive, even if the main thread is already a zombie."""
        return self.state not in "ZXx" or self.threads > 1

    def add_to(self, sums: list[int]) -> None:
        """Add the counts and the switches to six sums."""
        for place, count in enumerate((*self.counts, *self.switches)):
            sums[place] += count


class Descendants:
    """A process and its descendants, as far as samples have seen them.

    A descendant whose parent has exited stays known.  The children of a process that starts and exits between two
    samples are missed (a fast double fork).

    Args:
        root: the first process.
        procfs: the procfs to read.

    Attributes:
        known: the processes by pid, the one whose last sample is oldest first.
        exited: user and system clock ticks, minor and major faults, voluntary and involuntary switches: the sums over
            exited processes that no process in the tree waited for.
        is_partial: whether a sample was cut at its limit, or a process was unreadable.
    """

    def __init__(self, root: Process, procfs: Procfs) -> None:
        self.known = {root.pid: root}
        self.exited = [0] * 6
        self.is_partial = False
        self._root, self._procfs = root, procfs
        self._has_children_files = procfs.has_children_files(root.pid)
        self._strangers: set[int] = set()
        self._unclear: set[int] = set()

    def live(self) -> list[Process]:
        """Return the processes that have not exited, without zombies."""
        return [process for process in self.known.values() if process.is_live]

    def sample(self, most: int | None = MOST_FILES, *, with_status: bool = True) -> bool:
        """Sample the processes once; return whether a process was found or has exited.

        Args:
            most: approximate number of files to read; None for no limit.  The next sample continues with the rest.
            with_status: also read /proc/PID/status: memory, swap and switches.

        Raises:
            CgroupOSError: no descriptor is left.
        """
        by_parent = {} if self._has_children_files else self._scan(most)
        queue, gone, files = list(self.known.values()), list[Process](), 0
        known_before = len(queue)
        for process in queue:
            if most is not None and files >= most:
                self.is_partial = True
                break
            tasks, children = self._children(process, by_parent)
            files += 2 + tasks
            if not self._refresh(process, with_status=with_status):
                gone.append(process)
                continue
            # The pid belonged to this process before and after its children were read, so the children are its own.
            for stat in children:
                if stat.pid not in self.known:
                    self.known[stat.pid] = Process(stat, process)
                    queue.append(self.known[stat.pid])
        for process in gone:
            if not self._is_waited_for(process):
                process.add_to(self.exited)
        return bool(gone) or len(queue) > known_before

    def _refresh(self, process: Process, *, with_status: bool) -> bool:
        """Update the figures of a process; forget the process if it has exited, and return False."""
        stat = self._procfs.stat(process.pid)
        if stat is None or stat.start != process.start:
            self.is_partial |= stat is None and self._procfs.exists(process.pid)
            del self.known[process.pid]
            return False
        process.parent = self.known.get(stat.parent_pid)
        process.state, process.threads, process.counts = stat.state, stat.threads, stat.counts
        if with_status and (status := self._procfs.status(process.pid)) is not None:
            process.memory, process.swap, process.switches, process.ignores_children = status
        self.known[process.pid] = self.known.pop(process.pid)
        return True

    def _is_waited_for(self, process: Process) -> bool:
        """Return whether the CPU time of an exited process is included in a live process's or the root's rusage."""
        while process is not self._root:
            parent = process.parent
            if parent is None or parent.ignores_children or process.is_killed:
                return False
            if self.known.get(parent.pid) is parent:
                return True
            process = parent
        return True

    def _children(self, process: Process, by_parent: Mapping[int, list[Stat]]) -> tuple[int, list[Stat]]:
        """Return the number of files read, and the new children of a process."""
        if not self._has_children_files:
            return 0, by_parent.get(process.pid, [])
        tasks, pids = self._procfs.children(process.pid)
        stats = [self._procfs.stat(pid) for pid in pids if pid not in self.known]
        return tasks, [stat for stat in stats if stat is not None and stat.parent_pid == process.pid]

    def _scan(self, most: int | None) -> dict[int, list[Stat]]:
        """Return the processes that are neither known nor strangers, by the pid of their parent.

        A process is a stranger if no parent was known in two samples: one listing of /proc may miss its parent.
        """
        listed = self._procfs.pids() - self.known.keys()
        new = listed - self._strangers
        self._strangers = listed & (self._strangers | self._unclear)
        self._unclear = set(sorted(new, reverse=True)[:most])
        by_parent: dict[int, list[Stat]] = {}
        for pid in self._unclear:
            stat = self._procfs.stat(pid)
            if stat is not None:
                by_parent.setdefault(stat.parent_pid, []).append(stat)
        return by_parent
