"""Who is inside a cgroup: its processes, held by pidfds, and signals to them."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from .._interface import Shape
from ..errors import AccessDenied, CgroupGone, CgroupOSError, InvalidValue, from_errno

if TYPE_CHECKING:
    from ..hierarchy import Cgroup


Tops = Sequence["Cgroup"]


AT_ONCE: Final = 256
"""How many processes are waited for, or signalled, at a time, at most: each takes a descriptor."""


def names(tops: Tops) -> str:
    return ", ".join(map(str, tops))


class Inside:
    """The processes of some cgroups, and whether there are some that have no number here."""

    def __init__(self, cgroups: Iterable[Cgroup]) -> None:
        self.hidden: list[Cgroup] = []
        self._where: dict[int, Cgroup] = {}
        for cgroup in cgroups:
            pids = listed(cgroup)
            if 0 in pids:
                self.hidden.append(cgroup)
            self._where.update(dict.fromkeys(pids - {0}, cgroup))
        self.pids: Final = sorted(self._where)

    def check_outside(self, tried: str) -> None:
        """InvalidValue when the caller, or a thread of it, is inside: it would stop or end itself half way."""
        mine = self._where.get(os.getpid())
        if mine is not None:
            raise InvalidValue(
                f"{tried}: this process is in {mine}", path=mine.path, hint="move it out first: see add_process"
            )

    def check_visible(self, tried: str) -> None:
        """AccessDenied for processes outside this pid namespace, which v2 shows as 0."""
        if self.hidden:
            raise AccessDenied(
                f"{tried}: processes in {self.hidden[0]} are outside this pid namespace, and have no number here",
                path=self.hidden[0].path,
                errno=errno.EPERM,
                hint="signal them from the pid namespace that they are in, or from one above",
            )


def listed(cgroup: Cgroup) -> set[int]:
    """The processes in a cgroup, not below it; 0 stands for those of another pid namespace."""
    try:
        return {pid for _, pid in cgroup.read_cells("cgroup.procs", Shape.VALUES, listing=True)}
    except CgroupGone:
        return set()
    except CgroupOSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
    return _owners(cgroup)


def _owners(cgroup: Cgroup) -> set[int]:
    """The processes of the threads in a threaded cgroup, which lists no processes."""
    try:
        threads = [tid for _, tid in cgroup.read_cells("cgroup.threads", Shape.VALUES, listing=True)]
    except CgroupGone:
        return set()
    return {_process_of(tid) if tid > 0 else 0 for tid in threads} - {-1}


def _process_of(tid: int) -> int:
    """-1 of a thread that has ended."""
    try:
        with open(f"/proc/{tid}/status", encoding="utf-8", errors="replace") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Tgid:"))
    except (OSError, StopIteration):
        return -1


def tree(tops: Tops) -> list[Cgroup]:
    return [one for top in tops for one in top.walk()]


@contextmanager
def held(pids: Iterable[int]) -> Iterator[dict[int, int]]:
    """Descriptors of processes, which no other process gets when they end; those that have ended are left out.

    -1 before Linux 5.3, and under a filter that knows no pidfd_open(2).
    """
    with ExitStack() as stack:
        found: dict[int, int] = {}
        for pid in pids:
            try:
                found[pid] = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            except OSError as error:
                if error.errno == errno.EINVAL:
                    continue  # a thread has its number by now
                if error.errno not in (errno.ENOSYS, errno.EPERM):
                    raise from_errno(error.errno or 0, f"cannot hold process {pid}") from None
                found[pid] = -1
            else:
                stack.callback(os.close, found[pid])
        yield found


def _send_one(pid: int, fd: int, number: int) -> None:
    if fd >= 0:
        import signal  # noqa: PLC0415 - importing this package has to stay cheap

        signal.pidfd_send_signal(fd, number)
    else:
        os.kill(pid, number)


def batches(pids: Sequence[int]) -> Iterator[Sequence[int]]:
    size = room()
    return (pids[at : at + size] for at in range(0, len(pids), size))


def room() -> int:
    """How many processes may be held at a time: half of the descriptors that are left are for all else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        return AT_ONCE
    return AT_ONCE if soft == resource.RLIM_INFINITY else max(1, min(AT_ONCE, (soft - used) // 2))


def send(pids: Sequence[int], number: int, cgroups: Sequence[Cgroup], tried: str) -> list[int]:
    """Signals those that are still in the cgroups; which these were.  A refusal is raised once all others have it."""
    sent: list[int] = []
    refused: dict[int, int] = {}
    for batch in batches(pids):
        with held(batch) as fds:
            # Looked at again: a number may have gone to another process before it was held.
            still = set(Inside(cgroups).pids)
            for pid in [pid for pid in fds if pid in still]:
                try:
                    _send_one(pid, fds[pid], number)
                except ProcessLookupError:
                    continue
                except OSError as error:
                    refused[pid] = error.errno or 0
                else:
                    sent.append(pid)
    for pid, reason in refused.items():
        raise from_errno(reason, f"{tried}: process {pid}")
    return sent


def refuse_captured(tops: Tops, tried: str) -> None:
    """The numbers in a captured tree are of another machine, or of another time."""
    for top in tops:
        top.place_for_writing(tried.removeprefix("cannot "))
