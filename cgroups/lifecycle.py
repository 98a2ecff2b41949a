"""Ending, stopping and emptying cgroups: one, or those of a group on several hierarchies, with all below them.

Every function is bounded by a deadline, does nothing where there is nothing
left to do, and takes it that cgroups and processes come and go meanwhile.
"""

from __future__ import annotations

import errno
import itertools
import os
import resource
import select
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from . import diagnosis
from ._interface import Failure, Shape, Status
from .deadline import PATIENCE, Deadline
from .errors import (
    AccessDenied,
    CgroupBusy,
    CgroupError,
    CgroupGone,
    CgroupOSError,
    CgroupTimeout,
    InvalidValue,
    ParameterNotSupported,
    ProcessNotFound,
    SubsystemNotAttached,
    from_errno,
    shown,
)

if TYPE_CHECKING:
    from .hierarchy import Cgroup

__all__ = ["freeze", "kill", "move_all", "remove", "signal", "thaw", "wait_empty"]

Tops = Sequence["Cgroup"]
"""Cgroups of different hierarchies that are ended, stopped or emptied as one."""

SIGKILL, SIGSTOP, LAST_SIGNAL = 9, 19, 64

AT_ONCE: Final = 256
"""How many processes are waited for, or signalled, at a time, at most: each takes a descriptor."""

SWEEP: Final = 0.05
"""Seconds between two rounds of killing."""

LOOK_AGAIN: Final = 1.0
"""Seconds after which the processes of v1 are listed again: one of them may have been moved away."""

FREEZING: Final = 1.0
"""Seconds that what is to be killed may take to freeze first."""

UNFREEZABLE: Final = (CgroupGone, AccessDenied, ParameterNotSupported)
"""What is ended all the same: not permitted to freeze, or v2 before Linux 5.2."""


def _names(tops: Tops) -> str:
    return ", ".join(map(str, tops))


# ---- who is inside ---------------------------------------------------------------------


class Inside:
    """The processes of some cgroups, and whether there are some that have no number here."""

    def __init__(self, cgroups: Iterable[Cgroup]) -> None:
        self.hidden: list[Cgroup] = []
        self._where: dict[int, Cgroup] = {}
        for cgroup in cgroups:
            pids = _listed(cgroup)
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


def _listed(cgroup: Cgroup) -> set[int]:
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


def _tree(tops: Tops) -> list[Cgroup]:
    return [one for top in tops for one in top.walk()]


def _is_populated(tops: Tops) -> bool:
    """Whether something is inside; of v2 also what has no number here."""
    return any(_is_live(top) if top.version == 2 else bool(Inside(top.walk()).pids) for top in tops)  # noqa: PLR2004


def _is_live(top: Cgroup) -> bool:
    try:
        return dict(top.read_cells("cgroup.events", Shape.KEYED)).get("populated") == 1
    except CgroupGone:
        return False
    except ParameterNotSupported:  # the root, which has no such file
        return bool(_listed(top)) or any(map(_is_live, top.children()))


# ---- signals -----------------------------------------------------------------------------


@contextmanager
def _held(pids: Iterable[int]) -> Iterator[dict[int, int]]:
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


def _batches(pids: Sequence[int]) -> Iterator[Sequence[int]]:
    size = _room()
    return (pids[at : at + size] for at in range(0, len(pids), size))


def _room() -> int:
    """How many processes may be held at a time: half of the descriptors that are left are for all else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        return AT_ONCE
    return AT_ONCE if soft == resource.RLIM_INFINITY else max(1, min(AT_ONCE, (soft - used) // 2))


def _send(pids: Sequence[int], number: int, cgroups: Sequence[Cgroup], tried: str) -> list[int]:
    """Signals those that are still in the cgroups; which these were.  A refusal is raised once all others have it."""
    sent: list[int] = []
    refused: dict[int, int] = {}
    for batch in _batches(pids):
        with _held(batch) as held:
            # Looked at again: a number may have gone to another process before it was held.
            still = set(Inside(cgroups).pids)
            for pid in [pid for pid in held if pid in still]:
                try:
                    _send_one(pid, held[pid], number)
                except ProcessLookupError:
                    continue
                except OSError as error:
                    refused[pid] = error.errno or 0
                else:
                    sent.append(pid)
    for pid, reason in refused.items():
        raise from_errno(reason, f"{tried}: process {pid}")
    return sent


def _number(signum: object) -> int:
    if isinstance(signum, int) and not isinstance(signum, bool) and 1 <= signum <= LAST_SIGNAL:
        return int(signum)
    message = f"signal {shown(signum)}: a number from 1 to {LAST_SIGNAL} is expected, as signal.SIGTERM"
    raise InvalidValue(message)


def signal(tops: Tops, signum: int, *, recursive: bool = True) -> int:
    """Sends a signal to each process once; how many there were."""
    number = _number(signum)
    tried = f"cannot send signal {number} to the processes of {_names(tops)}"
    _refuse_captured(tops, tried)
    cgroups = _tree(tops) if recursive else list(tops)
    inside = Inside(cgroups)
    inside.check_visible(tried)
    return len(_send(inside.pids, number, cgroups, tried))


def _refuse_captured(tops: Tops, tried: str) -> None:
    """The numbers in a captured tree are of another machine, or of another time."""
    for top in tops:
        top.place_for_writing(tried.removeprefix("cannot "))


# ---- the end -------------------------------------------------------------------------------


def kill(tops: Tops, timeout: float | None = 10.0) -> int:
    """Ends all processes; how many were seen to."""
    return _kill(tops, Deadline(timeout))


def _kill(tops: Tops, deadline: Deadline) -> int:
    tried = f"cannot end the processes of {_names(tops)}"
    _refuse_captured(tops, tried)
    ended: set[int] = set()
    for attempt in itertools.count():
        inside = Inside(_tree(tops))
        inside.check_outside(tried)
        if not inside.pids and not _is_populated(tops):
            break
        if attempt and deadline.is_over:
            deadline.check(f"{tried}: {shown(inside.pids)} are left", tops, _why_alive(tops))
        ended.update(inside.pids)
        rest = [top for top in tops if not _kill_at_once(top)]
        if rest:
            ended.update(_kill_each(rest, tried, deadline, again=attempt > 0))
        # Not for long: what was made meanwhile makes others.
        _wait_some(tops, Deadline(deadline.left(SWEEP)))
    return len(ended)


def _why_alive(tops: Tops) -> str:
    with suppress(CgroupError):
        for above in map(_frozen_above, _freezers(tops)):
            if above is not None:
                return f"{above}, which is above, is frozen: thaw it"
    return "others begin there all the time, or those wait in the kernel, or in a frozen cgroup of another hierarchy"


def _kill_at_once(top: Cgroup) -> bool:
    """Whether the kernel has ended all that was inside (v2, from Linux 5.14)."""
    if top.version == 1:
        return False
    try:
        top.write_text("cgroup.kill", "1")
    except CgroupGone:
        return True
    except (ParameterNotSupported, AccessDenied, CgroupOSError):
        return False  # before 5.14; the root; what is delegated without it; a threaded cgroup
    return True


def _kill_each(tops: Tops, tried: str, deadline: Deadline, *, again: bool) -> list[int]:
    """One by one, while they are frozen where that can be, and else, the second time, stopped: such make no others."""
    Inside(_tree(tops)).check_visible(tried)  # before anything is done
    freezers = _freezers(tops)
    try:
        still = [one for one in freezers if _is_still(one, Deadline(deadline.left(FREEZING)), tried)]
        cgroups = _tree(tops)
        if again and not still:
            _stop(cgroups, tried, deadline)
        inside = Inside(cgroups)
        inside.check_visible(tried)
        return _send(inside.pids, SIGKILL, cgroups, tried)
    finally:
        # Of v1 a process ends only then; and the tree may have been frozen before, or a part of it.
        for one in [*freezers, *(one for one in _tree(tops) if one.version == 1 and _has_freezer(one))]:
            with suppress(*UNFREEZABLE):
                _set_frozen(one, frozen=False)


def _is_still(cgroup: Cgroup, deadline: Deadline, tried: str) -> bool:
    """Freezes it, if that is permitted, before the deadline."""
    try:
        _set_frozen(cgroup, frozen=True)
        _await(cgroup, lambda: _freezes(cgroup), deadline, tried, None)
    except (CgroupTimeout, *UNFREEZABLE):
        return False
    return True


def _stop(cgroups: Sequence[Cgroup], tried: str, deadline: Deadline) -> None:
    """SIGSTOP to all, until there are no new ones; under pids.max they take the places that others would."""
    stopped: set[int] = set()
    while not deadline.is_over and (new := set(Inside(cgroups).pids) - stopped):
        _send(sorted(new), SIGSTOP, cgroups, tried)
        stopped |= new


# ---- emptiness -------------------------------------------------------------------------------


def wait_empty(tops: Tops, timeout: float | None = None) -> None:
    """Waits until no process is inside."""
    deadline = Deadline(timeout)
    _refuse_captured(tops, f"cannot wait until {_names(tops)} is empty")
    while _is_populated(tops):
        deadline.check(f"{_names(tops)} did not become empty", tops, "signal or kill what is inside")
        _wait_some(tops, deadline)


def _wait_some(tops: Tops, deadline: Deadline) -> None:
    """Waits until something has ended, or it is time to look again."""
    for top in tops:
        if top.version == 2:  # noqa: PLR2004 - the version
            _wait_unpopulated(top, deadline)
        else:
            _wait_processes(top, deadline)


def _wait_unpopulated(top: Cgroup, deadline: Deadline) -> None:
    """Until cgroup.events says that v2 has no process in it or below."""
    try:
        with _events_of(top) as (fd, poll):
            # Read after it is watched, or the last change might be one that nobody was told of.
            while b"populated 1" in os.pread(fd, 4096, 0):
                if not poll.poll(deadline.milliseconds) and deadline.is_over:
                    return
    except ParameterNotSupported:  # the root, which has no such file
        deadline.pause()
    except (CgroupGone, OSError) as error:
        if not isinstance(error, CgroupGone) and error.errno != errno.ENODEV:
            raise


@contextmanager
def _events_of(cgroup: Cgroup) -> Iterator[tuple[int, select.poll]]:
    """cgroup.events of v2, open, and a poll that tells when it changes."""
    directory, below = cgroup.place()
    try:
        fd = directory.open(f"{below}/cgroup.events" if below else "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    except Failure as failure:
        raise diagnosis.explain(failure, cgroup, "cgroup.events", "read") from None
    try:
        poll = _poll([fd], POLLPRI)
        yield fd, poll
    finally:
        os.close(fd)


def _wait_processes(top: Cgroup, deadline: Deadline) -> None:
    """Until some processes of v1 have ended; no longer than one of them may take to be moved away."""
    again = Deadline(deadline.left(LOOK_AGAIN))
    with _held(Inside(top.walk()).pids[: _room()]) as held:
        left = set(held.values())
        if -1 in left:
            deadline.pause()
            return
        poll = _poll(left, POLLIN)
        while left and not again.is_over:
            for fd, _ in poll.poll(again.milliseconds):
                poll.unregister(fd)
                left.discard(fd)


POLLIN, POLLPRI = 1, 2


def _poll(fds: Iterable[int], what: int) -> select.poll:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, what)
    return poll


# ---- stopping --------------------------------------------------------------------------------


def _has_freezer(cgroup: Cgroup) -> bool:
    return not cgroup.is_root and (cgroup.version == 2 or cgroup.hierarchy.has("freezer"))  # noqa: PLR2004


def _freezers(tops: Tops) -> list[Cgroup]:
    """Those that can be frozen: that of v1's freezer, else that of v2, which freezes by itself."""
    found = [top for top in tops if _has_freezer(top)]
    return [one for one in found if one.version == 1] or found


def _freezer(tops: Tops, verb: str) -> Cgroup:
    found = _freezers(tops)
    if found:
        return found[0]
    if any(top.is_root for top in tops):
        message = f"cannot {verb} {_names(tops)}: it is the root of its hierarchy"
        raise InvalidValue(message, path=tops[0].path)
    where = tops[0].hierarchy.host.hierarchy_of("freezer")
    hint = "no freezer is mounted" if where is None else f"use freezer:{tops[0].location}, or a Group with 'freezer'"
    message = f"cannot {verb} {_names(tops)}: the freezer is not on this hierarchy"
    raise SubsystemNotAttached(message, path=tops[0].path, parameter="freezer.state", hint=hint)


def _set_frozen(cgroup: Cgroup, *, frozen: bool) -> None:
    if cgroup.version == 1:
        cgroup.write_text("freezer.state", "FROZEN" if frozen else "THAWED")
    else:
        cgroup.write_text("cgroup.freeze", "1" if frozen else "0")


def _told(cgroup: Cgroup) -> bool:
    """Whether the cgroup itself, whatever those above, was told to freeze."""
    name = "freezer.self_freezing" if cgroup.version == 1 else "cgroup.freeze"
    return cgroup.read_cells(name, Shape.VALUE) == [("", 1)]


def _frozen_above(cgroup: Cgroup) -> Cgroup | None:
    return next((one for one in cgroup.upwards() if one != cgroup and not one.is_root and _told(one)), None)


def _is_frozen(cgroup: Cgroup) -> bool:
    if cgroup.version == 1:
        return cgroup.read_cells("freezer.state", Shape.WORDS) == [("", "FROZEN")]
    return dict(cgroup.read_cells("cgroup.events", Shape.KEYED)).get("frozen") == 1


def _freezes(cgroup: Cgroup) -> bool:
    """Whether it is frozen by now; v1 is told again, as it may leave out a process that has just been made."""
    if cgroup.version == 1:
        _set_frozen(cgroup, frozen=True)
    return _is_frozen(cgroup)


def freeze(tops: Tops, timeout: float | None = 10.0) -> None:
    """Stops all processes, and waits until they are."""
    deadline = Deadline(timeout)
    tried = f"cannot freeze {_names(tops)}"
    _refuse_captured(tops, tried)
    cgroup = _freezer(tops, "freeze")
    Inside(cgroup.walk()).check_outside(tried)
    before = _told(cgroup)
    hint = "a process waits in the kernel" + ("" if before else "; it was thawed again")
    try:
        _set_frozen(cgroup, frozen=True)
        _await(cgroup, lambda: _freezes(cgroup), deadline, tried, hint)
    except BaseException:
        if not before:
            with suppress(CgroupError):
                _set_frozen(cgroup, frozen=False)
        raise


def thaw(tops: Tops, timeout: float | None = 10.0) -> None:
    """Lets all processes go on, and waits until they do."""
    deadline = Deadline(timeout)
    tried = f"cannot thaw {_names(tops)}"
    _refuse_captured(tops, tried)
    cgroup = _freezer(tops, "thaw")
    _set_frozen(cgroup, frozen=False)
    above = _frozen_above(cgroup)
    if above is not None:
        message = f"{tried}: {above}, which is above it, is frozen"
        raise CgroupBusy(message, path=above.path, errno=errno.EBUSY, hint=f"thaw {above}")
    _await(cgroup, lambda: not _is_frozen(cgroup), deadline, tried, None)


def _await(cgroup: Cgroup, done: Callable[[], bool], deadline: Deadline, tried: str, hint: str | None) -> None:
    """Waits for a state of the freezer: by an event of v2, by looking at v1, which has none."""
    if cgroup.version == 1:
        while not done():
            deadline.check(tried, [cgroup], hint)
            deadline.pause()
        return
    with _events_of(cgroup) as (fd, poll):
        while True:
            try:
                os.pread(fd, 4096, 0)  # so that what is told from now on is what comes after the look
            except OSError as error:
                raise diagnosis.explain(Failure(Status.OS, error.errno or 0), cgroup, "cgroup.events", "read") from None
            if done():
                return
            deadline.check(tried, [cgroup], hint)
            poll.poll(deadline.milliseconds)


# ---- moving ------------------------------------------------------------------------------------


def move_all(pairs: Sequence[tuple[Cgroup, Cgroup]], timeout: float | None = 10.0) -> int:
    """Moves the processes of cgroups, not of those below, each into its other; the most that one had."""
    deadline = Deadline(timeout)
    for source, to in pairs:
        if source.hierarchy != to.hierarchy:
            message = f"cannot move the processes of {source} to {to}: they are on two hierarchies"
            raise InvalidValue(message, path=to.path)
        _refuse_captured([source, to], f"cannot move the processes of {source} to {to}")
    # All have to be there before any is moved.
    pairs = [(source, to) for source, to in pairs if source.inode != to.inode]
    return max((_move(source, to, deadline) for source, to in pairs), default=0)


def _move(source: Cgroup, to: Cgroup, deadline: Deadline) -> int:
    tried = f"cannot move the processes of {source} to {to}"
    moved: set[int] = set()
    for attempt in itertools.count():
        inside = Inside([source])
        inside.check_visible(tried)
        if not inside.pids:
            break
        if attempt:
            deadline.check(tried, [source], "its processes make others faster than they are moved")
        before = len(moved)
        for pid in inside.pids:
            with suppress(ProcessNotFound):
                to.add_process(pid)
                moved.add(pid)
        if len(moved) == before:
            deadline.pause()  # they have ended, but for threads
    return len(moved)


# ---- removing ----------------------------------------------------------------------------------


def remove(tops: Tops, *, recursive: bool, kill_first: bool, timeout: float | None) -> None:
    """Removes the cgroups, once all of them are empty."""
    if kill_first and timeout is None:
        timeout = PATIENCE
    deadline = Deadline(0 if timeout is None else timeout)
    for top in tops:
        top.check_removable()
        if kill_first and not recursive and _has_children(top):
            raise diagnosis.explain_remove(errno.EBUSY, top)
    while True:
        if kill_first:
            _kill(tops, deadline)
        try:
            _remove_now(tops, recursive=recursive, gone_ok=timeout is not None)
        except CgroupBusy:
            if deadline.is_over:
                raise
            _wait_some(tops, Deadline(deadline.left(SWEEP)) if kill_first else deadline)
            # A process that has just ended is a moment longer in its cgroup than its last sign of life.
            deadline.pause()
        else:
            return


def _remove_now(tops: Tops, *, recursive: bool, gone_ok: bool) -> None:
    # Of one alone rmdir(2) says why not.
    for top in tops if recursive or len(tops) > 1 else ():
        _check_empty(top, recursive=recursive)
    gone = 0
    for top in tops:
        try:
            top.remove_now(recursive=recursive)
        except CgroupGone:
            gone += 1
            if gone == len(tops) and not gone_ok:
                raise


def _check_empty(top: Cgroup, *, recursive: bool) -> None:
    """CgroupBusy for what the kernel would not remove, so that nothing is removed before it says so."""
    for one in top.walk() if recursive else [top]:
        diagnosis.check_empty(one, of=top)
    # Of v2 also threads.
    if (top.version == 2 and _is_live(top)) or (not recursive and _has_children(top)):  # noqa: PLR2004 - the version
        raise diagnosis.explain_remove(errno.EBUSY, top)


def _has_children(cgroup: Cgroup) -> bool:
    try:
        return bool(cgroup.children())
    except CgroupGone:
        return False
