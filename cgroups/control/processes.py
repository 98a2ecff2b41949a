"""Who is inside cgroups: their processes, held by pidfds, and signals to them.

Everything here visits a subtree cgroup by cgroup and acts as it goes, so that
a call with a deadline has done what it could when its time is over, however
many cgroups the owner of the subtree makes.
"""

from __future__ import annotations

import errno
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from ..core.advice import advise
from ..core.descent import EXHAUSTED, Node, descend
from ..core.pidfd import open_process, send_signal
from ..errors import AccessDenied, CgroupError, InvalidValue, from_errno

if TYPE_CHECKING:
    from ..deadline import Deadline
    from ..hierarchy import Cgroup

Tops = Sequence["Cgroup"]
"""Cgroups of different hierarchies that are ended, stopped or emptied as one."""

MAX_PIDFDS: Final = 256
"""How many processes are waited for, or signalled, at a time, at most: each takes a descriptor."""

FEW: Final = 8
"""Processes that are held without counting the descriptors that are left."""

ZERO_LOOKS: Final = 6
"""How often a process that reads as 0 is looked for again before it is believed to be in another pid namespace."""

ZERO_PAUSE_S: Final = 0.01
"""Seconds between two of these looks."""

INITIAL_PID_NAMESPACE: Final = 0xEFFFFFFC
"""Inode of the machine's own pid namespace (PROC_PID_INIT_INO), in which every process has a number."""

GONE: Final = frozenset({errno.ENOENT, errno.ENODEV})


def names(tops: Tops) -> str:
    return ", ".join(map(str, tops))


def refuse_captured(tops: Tops, tried: str) -> None:
    """The numbers in a captured tree are of another machine, or of another time."""
    for top in tops:
        top.place_for_writing(tried.removeprefix("cannot "))


# ---- listing -----------------------------------------------------------------------------


def listed(node: Node) -> set[int]:
    """Return the processes in a cgroup, not below it; 0 stands for those of another pid namespace.

    A process that is exiting may read as 0 for a moment (Linux 6.19 most), so a 0 is looked at
    again before it is believed; in the machine's own pid namespace it is never believed.
    """
    pids = _listed_now(node)
    if 0 not in pids:
        return pids
    if _every_process_has_a_number():
        return pids - {0}
    for _ in range(ZERO_LOOKS):
        time.sleep(ZERO_PAUSE_S)
        again = _listed_now(node)
        if 0 not in again:
            return again
    return pids


def _listed_now(node: Node) -> set[int]:
    try:
        return set(map(int, node.read("cgroup.procs").split()))
    except OSError as error:
        if error.errno in GONE:
            return set()
        if error.errno != errno.EOPNOTSUPP:
            raise
    return _owners(node)


def _owners(node: Node) -> set[int]:
    """Return the processes of the threads in a threaded cgroup, which lists no processes."""
    try:
        threads = [int(tid) for tid in node.read("cgroup.threads").split()]
    except OSError as error:
        if error.errno in GONE:
            return set()
        raise
    return {_process_of(tid) if tid > 0 else 0 for tid in threads} - {-1}


def _process_of(tid: int) -> int:
    """Return the process of a thread, -1 if it has exited."""
    try:
        with open(f"/proc/{tid}/status", encoding="utf-8", errors="replace") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Tgid:"))
    except (OSError, StopIteration):
        return -1


def _every_process_has_a_number() -> bool:
    try:
        return os.stat("/proc/self/ns/pid").st_ino == INITIAL_PID_NAMESPACE
    except OSError:
        return False


def visit(
    tops: Tops, tried: str, deadline: Deadline | None, *, recursive: bool = True
) -> Iterator[tuple[Cgroup, Node, set[int]]]:
    """Yield each cgroup, below which top, with its processes; of v2 only the parts with processes are visited.

    Raises:
        CgroupTimeout: the deadline, and a moment for the last round, are over.
    """
    for top in tops:
        for node in descend(top, None if deadline is None else lambda: deadline.check_round(tried, tops)):
            try:
                if not recursive:
                    node.skip()
                elif node.ahead and not is_node_live(node, top):
                    node.skip()
                    continue
                pids = listed(node)
            except OSError as error:
                cgroup = node.cgroup(top)
                raise from_errno(error.errno or 0, f"{tried}: cannot list {cgroup}", path=cgroup.path) from None
            yield top, node, pids


def listed_in(cgroup: Cgroup, tried: str) -> set[int]:
    """Return the processes in one cgroup, as :func:`listed`."""
    for _, _, pids in visit([cgroup], tried, None, recursive=False):
        return pids
    return set()


def is_node_live(node: Node, top: Cgroup) -> bool:
    """Return whether processes are in a cgroup of v2 or below it; True where the kernel does not say."""
    if top.version == 1:
        return True
    try:
        return b"populated 0" not in node.read("cgroup.events")
    except OSError as error:
        if error.errno not in GONE:
            raise
        return True  # the root of the hierarchy, or gone in this moment


def some_pids(tops: Tops, tried: str, deadline: Deadline | None, most: int) -> list[int]:
    """Return some of the processes, at most so many: as soon as they are found."""
    found: set[int] = set()
    for _, _, pids in visit(tops, tried, deadline):
        found |= pids - {0}
        if len(found) >= most:
            break
    return sorted(found)[:most]


# ---- who must not be inside ------------------------------------------------------------------


def check_outside(tops: Tops, tried: str, deadline: Deadline) -> None:
    """Refuse to stop or kill the caller, or one of its threads, half way.

    Raises:
        InvalidValue: the caller is inside.
    """
    unknown = [top for top in tops if not _is_known_outside(top, tried)]
    own = os.getpid()
    for top, node, pids in visit(unknown, tried, deadline):
        if own in pids:
            raise _inside(node.cgroup(top), tried)


def _is_known_outside(top: Cgroup, tried: str) -> bool:
    """Return whether /proc places all threads of the caller outside; False where it does not say."""
    host = top.hierarchy.host
    if top.is_root:
        raise InvalidValue(f"{tried}: it is the root of its hierarchy, and this process is inside", path=top.path)
    try:
        threads = host.cgroups_of_threads() if host.root == "/" else ()
    except (OSError, CgroupError):
        return False
    own = [one for one in threads if one.hierarchy == top.hierarchy]
    above = top.location.rstrip("/") + "/"
    for one in own:
        if one.path is not None and f"{one.location}/".startswith(above):
            raise _inside(one, tried)
    return bool(own) and all(one.path is not None for one in own)


def _inside(cgroup: Cgroup, tried: str) -> InvalidValue:
    return InvalidValue(f"{tried}: this process is in {cgroup}", path=cgroup.path, hint=advise("move out"))


def check_visible(tops: Tops, tried: str, deadline: Deadline | None, *, recursive: bool = True) -> None:
    """Refuse processes outside this pid namespace, which v2 shows as 0, before anything is done.

    Raises:
        AccessDenied: there are some.
    """
    hiding = [top for top in tops if top.version == 2]  # noqa: PLR2004 - v1 leaves them out
    if not hiding or _every_process_has_a_number():
        return
    for top, node, pids in visit(hiding, tried, deadline, recursive=recursive):
        if 0 in pids:
            raise hidden(node.cgroup(top), tried)


def hidden(cgroup: Cgroup, tried: str) -> AccessDenied:
    return AccessDenied(
        f"{tried}: processes in {cgroup} are outside this pid namespace, and have no number here",
        path=cgroup.path,
        errno=errno.EPERM,
        hint="signal them from the pid namespace that they are in, or from one above",
    )


# ---- signals -----------------------------------------------------------------------------


@contextmanager
def held(pids: Iterable[int], *, all_of_them: bool = True) -> Iterator[dict[int, int]]:
    """Hold processes by pidfds, which never refer to a reused pid; those that have exited are left out.

    With ``all_of_them`` an error when descriptors run out, else as many as there is room for.
    A pidfd is -1 where there are none.
    """
    with ExitStack() as stack:
        found: dict[int, int] = {}
        for pid in pids:
            try:
                fd = open_process(pid)
            except ProcessLookupError:
                continue
            except OSError as error:
                if error.errno == errno.EINVAL:
                    continue  # a thread has its number by now
                if error.errno in EXHAUSTED and not all_of_them:
                    break
                raise from_errno(error.errno or 0, f"cannot hold process {pid}") from None
            if fd >= 0:
                stack.callback(os.close, fd)
            found[pid] = fd
        yield found


def room() -> int:
    """Return how many processes may be held at a time: half of the descriptors that are left are for all else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        return 1 if soft != resource.RLIM_INFINITY else MAX_PIDFDS
    return MAX_PIDFDS if soft == resource.RLIM_INFINITY else max(1, min(MAX_PIDFDS, (soft - used) // 2))


def is_held(pid: int, fd: int) -> bool:
    """Return whether a process that is held still has its number; afterwards another may get it."""
    try:
        send_signal(pid, fd, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # of another user, and there
    return True


class Signalled:
    """What became of a signal to all processes of some cgroups.

    Args:
        spared: a process that never gets it.

    Attributes:
        seen: the processes that were found inside.
        sent: those that have the signal.
        refused: those that the kernel refused it for, with the errno.
    """

    def __init__(self, spared: int = 0) -> None:
        self._spared = {0, spared}
        self.seen: set[int] = set()
        self.sent: set[int] = set()
        self.refused: dict[int, int] = {}

    def send(self, node: Node, pids: Iterable[int], number: int, check: Callable[[], None]) -> None:
        """Signal those processes that are still in a cgroup, and have not had the signal; ``check`` before each."""
        left = sorted(set(pids) - self.sent - self._spared)
        size = len(left) if len(left) <= FEW else room()
        while left:
            try:
                self._send_batch(node, left[:size], number, check)
            except OSError as error:
                if error.errno not in EXHAUSTED or size == 1:
                    raise
                size //= 2
            else:
                del left[:size]

    def _send_batch(self, node: Node, pids: Sequence[int], number: int, check: Callable[[], None]) -> None:
        with held(pids) as fds:
            # Looked at again: a number may have gone to another process before it was held.
            for pid in _listed_now(node) & fds.keys():
                check()
                try:
                    send_signal(pid, fds[pid], number)
                except ProcessLookupError:
                    continue
                except OSError as error:
                    self.refused[pid] = error.errno or 0
                else:
                    self.sent.add(pid)

    def check(self, tried: str) -> None:
        """Raise the first refusal, once all others have the signal."""
        for pid, reason in self.refused.items():
            raise from_errno(reason, f"{tried}: process {pid}")


def signal_all(
    tops: Tops,
    number: int,
    tried: str,
    deadline: Deadline,
    into: Signalled,
    *,
    recursive: bool = True,
    after: Callable[[Cgroup, Node, set[int]], None] | None = None,
) -> None:
    """Signal each process inside once; then, for each cgroup, call ``after``.

    Raises:
        CgroupTimeout: the deadline is over; ``into`` says who has the signal.
    """
    for top, node, pids in visit(tops, tried, deadline, recursive=recursive):
        if 0 in pids:
            raise hidden(node.cgroup(top), tried)
        into.seen |= pids
        try:
            into.send(node, pids, number, lambda: deadline.check_round(tried, tops))
        except OSError as error:
            if isinstance(error, CgroupError):
                raise
            cgroup = node.cgroup(top)
            raise from_errno(error.errno or 0, f"{tried}: cannot list {cgroup}", path=cgroup.path) from None
        if after is not None:
            after(top, node, pids)
