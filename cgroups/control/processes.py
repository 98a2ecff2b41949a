"""List the processes inside cgroups, hold them by pidfds, and signal them.

Every function visits a subtree cgroup by cgroup, and acts as it proceeds.  So a call has
done its best when its deadline passes, however many cgroups the owner of the subtree creates.
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
from ..core.descent import EXHAUSTED, Visit, descend
from ..core.errors import AccessDenied, CgroupError, InvalidValue, from_errno
from ..core.interface import Version
from ..core.pidfd import open_process, send_signal

if TYPE_CHECKING:
    from ..core.deadline import Deadline
    from ..core.node import Node

Tops = Sequence["Node"]
"""Cgroups of different hierarchies that are killed, frozen or emptied as one."""

MAX_PIDFDS: Final = 256
"""Limit on the processes that are waited for or signalled at a time: each needs a descriptor."""

FEW: Final = 8
"""Number of processes that are held without counting the free descriptors."""

ZERO_LOOKS: Final = 6
"""Reads of a pid 0 before the process is taken to be in another pid namespace."""

ZERO_PAUSE_S: Final = 0.01
"""Seconds between two of these reads."""

INITIAL_PID_NAMESPACE: Final = 0xEFFFFFFC
"""Inode of the machine's own pid namespace (PROC_PID_INIT_INO), in which every process has a pid."""

GONE: Final = frozenset({errno.ENOENT, errno.ENODEV})


def names(tops: Tops) -> str:
    return ", ".join(map(str, tops))


def refuse_captured(tops: Tops, tried: str) -> None:
    """Refuse cgroups of a captured tree, whose pids belong to another machine or another time."""
    for top in tops:
        top.locate_for_writing(tried.removeprefix("cannot "))


# ---- listing -----------------------------------------------------------------------------


def listed(node: Visit) -> set[int]:
    """Return the processes in a cgroup, not below it; 0 stands for those of another pid namespace.

    An exiting process may read as 0 for a moment, most often on Linux 6.19.  So a 0 is read
    again before it is accepted; in the machine's own pid namespace it is always ignored.
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


def _listed_now(node: Visit) -> set[int]:
    try:
        return set(map(int, node.read("cgroup.procs").split()))
    except OSError as error:
        if error.errno in GONE:
            return set()
        if error.errno != errno.EOPNOTSUPP:
            raise
    return _owners(node)


def _owners(node: Visit) -> set[int]:
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
) -> Iterator[tuple[Node, Visit, set[int]]]:
    """Yield the top and each cgroup below it, with the cgroup's processes; skip unpopulated parts of v2.

    Raises:
        CgroupTimeout: the deadline, plus a grace period for the last round, has passed.
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


def listed_in(cgroup: Node, tried: str) -> set[int]:
    """Return the processes in one cgroup, like :func:`listed`."""
    for _, _, pids in visit([cgroup], tried, None, recursive=False):
        return pids
    return set()


def is_node_live(node: Visit, top: Node) -> bool:
    """Return whether processes are in a v2 cgroup or below it; True if the kernel does not report it."""
    if top.version == Version.V1:
        return True
    try:
        return b"populated 0" not in node.read("cgroup.events")
    except OSError as error:
        if error.errno not in GONE:
            raise
        return True  # the root of the hierarchy, or just removed


def some_pids(tops: Tops, tried: str, deadline: Deadline | None, most: int) -> list[int]:
    """Return some of the processes, at most ``most``, as soon as they are found."""
    found: set[int] = set()
    for _, _, pids in visit(tops, tried, deadline):
        found |= pids - {0}
        if len(found) >= most:
            break
    return sorted(found)[:most]


# ---- processes that must not be inside -------------------------------------------------------


def check_outside(tops: Tops, tried: str, deadline: Deadline) -> None:
    """Refuse to freeze or kill the caller or one of its threads, before any process is affected.

    Raises:
        InvalidValue: the caller is inside.
    """
    unknown = [top for top in tops if not _is_known_outside(top, tried)]
    own = os.getpid()
    for top, node, pids in visit(unknown, tried, deadline):
        if own in pids:
            raise _inside(node.cgroup(top), tried)


def _is_known_outside(top: Node, tried: str) -> bool:
    """Return whether /proc places all threads of the caller outside; False if /proc does not show it."""
    host = top.hierarchy.host
    if top.is_root:
        raise InvalidValue(f"{tried}: this process is inside the root of the hierarchy", path=top.path)
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


def _inside(cgroup: Node, tried: str) -> InvalidValue:
    return InvalidValue(f"{tried}: this process is in {cgroup}", path=cgroup.path, hint=advise("move out"))


def check_visible(tops: Tops, tried: str, deadline: Deadline | None, *, recursive: bool = True) -> None:
    """Refuse processes outside this pid namespace, which v2 shows as 0, before any process is affected.

    Raises:
        AccessDenied: such processes exist.
    """
    hiding = [top for top in tops if top.version == Version.V2]  # v1 does not list such processes
    if not hiding or _every_process_has_a_number():
        return
    for top, node, pids in visit(hiding, tried, deadline, recursive=recursive):
        if 0 in pids:
            raise hidden(node.cgroup(top), tried)


def hidden(cgroup: Node, tried: str) -> AccessDenied:
    return AccessDenied(
        f"{tried}: processes in {cgroup} are outside this pid namespace, and have no pid here",
        path=cgroup.path,
        errno=errno.EPERM,
        hint="signal them from their own pid namespace, or from a parent of it",
    )


# ---- signals -----------------------------------------------------------------------------


@contextmanager
def held(pids: Iterable[int], *, all_of_them: bool = True) -> Iterator[dict[int, int]]:
    """Hold processes by pidfds, which never refer to a reused pid; skip exited processes.

    If descriptors run out, raise with ``all_of_them``; otherwise hold as many processes as possible.
    A pidfd is -1 on kernels without pidfds.
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
                    continue  # the pid now belongs to a thread
                if error.errno in EXHAUSTED and not all_of_them:
                    break
                raise from_errno(error.errno or 0, f"cannot hold process {pid}") from None
            if fd >= 0:
                stack.callback(os.close, fd)
            found[pid] = fd
        yield found


def room() -> int:
    """Return the number of processes that may be held at a time: half of the free descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        return 1 if soft != resource.RLIM_INFINITY else MAX_PIDFDS
    return MAX_PIDFDS if soft == resource.RLIM_INFINITY else max(1, min(MAX_PIDFDS, (soft - used) // 2))


def is_held(pid: int, fd: int) -> bool:
    """Return whether a held process still has its pid, which may be reused after its exit."""
    try:
        send_signal(pid, fd, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # a process of another user, which exists
    return True


class Signalled:
    """The progress of a signal to all processes of some cgroups.

    Args:
        spared: a process that is never signalled.

    Attributes:
        seen: the processes found inside.
        sent: the processes that were signalled.
        refused: the processes that the kernel refused to signal, with the errno.
    """

    def __init__(self, spared: int = 0) -> None:
        self._spared = {0, spared}
        self.seen: set[int] = set()
        self.sent: set[int] = set()
        self.refused: dict[int, int] = {}

    def send(self, node: Visit, pids: Iterable[int], number: int, check: Callable[[], None]) -> None:
        """Signal the processes that are still in a cgroup and were not signalled yet; call ``check`` before each."""
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

    def _send_batch(self, node: Visit, pids: Sequence[int], number: int, check: Callable[[], None]) -> None:
        with held(pids) as fds:
            # Listed again: a pid may have been reused before its pidfd was opened.
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
        """Raise the first refusal, once all other processes were signalled."""
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
    after: Callable[[Node, Visit, set[int]], None] | None = None,
) -> None:
    """Signal each process inside once, and call ``after`` for each cgroup.

    Raises:
        CgroupTimeout: the deadline has passed; ``into`` has the processes that were signalled.
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
