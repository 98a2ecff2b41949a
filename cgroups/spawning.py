"""Popen: a program that starts inside its cgroups.

With the C layer the child is born in its cgroup of v2, and moves itself into
those of v1 before it executes (csrc/cg_spawn.c): not one instruction of the
program is run, nor one page of it counted, elsewhere.  Without, subprocess
forks, and the child moves itself into all of them.

Where another user may write to a cgroup, that user can stop the child at any
moment before it executes.  There the child never shares the caller's memory, and the
wait for it is bounded and ends when a signal handler raises.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import stat
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import IO, TYPE_CHECKING, Any, AnyStr, Final, Literal, Union, overload

from . import diagnosis
from ._backend import backend
from ._interface import Failure, Spawn, Spawned, Status, Step
from ._signals import Ended
from .core import children
from .core.advice import advise
from .core.threads import start_thread
from .deadline import EVER, PATIENCE, Deadline
from .errors import CgroupBusy, CgroupError, CgroupOSError, CgroupTimeout, InvalidValue, shown
from .group import Group
from .hierarchy import Cgroup
from .subsystem import Core, Freezer, Parameters

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import TypedDict, Unpack

    from ._interface import Watch

    class Common(TypedDict, total=False):
        """The keywords of subprocess.Popen, without those of text pipes, and those of the start."""

        start_timeout: float | None

        bufsize: int
        executable: Word | None
        stdin: Stream
        stdout: Stream
        stderr: Stream
        preexec_fn: Any
        close_fds: bool
        shell: bool
        cwd: Word | None
        env: Mapping[str, str] | Mapping[bytes, bytes] | None
        restore_signals: bool
        start_new_session: bool
        pass_fds: Iterable[int]
        group: str | int | None
        extra_groups: Iterable[str | int] | None
        user: str | int | None
        umask: int
        pipesize: int
        process_group: int | None


__all__ = ["Popen", "Where", "members"]

Where = Union[Cgroup, Group, "Iterable[Cgroup | Group]"]
"""Where a program starts: a cgroup, a group, or several, one of each hierarchy."""

Word = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
Stream = Union[None, int, "IO[Any]"]


def members(where: Where) -> tuple[Cgroup, ...]:
    """The cgroups of it; InvalidValue where two are of one hierarchy."""
    if isinstance(where, Cgroup):
        return (where,)
    if isinstance(where, Group):
        return where.cgroups
    if not isinstance(where, Iterable) or isinstance(where, (str, bytes)):
        message = f"cgroup {shown(where)}: a Cgroup, a Group or several of them are expected"
        raise InvalidValue(message, hint="Hierarchy.find_exn(spec) gives a Cgroup")
    found: dict[Cgroup, None] = {}
    for one in where:
        if not isinstance(one, (Cgroup, Group)):
            message = f"cgroup {shown(one)}: a Cgroup or a Group is expected"
            raise InvalidValue(message, hint="Hierarchy.find_exn(spec) gives a Cgroup")
        found.update(dict.fromkeys(one.cgroups if isinstance(one, Group) else (one,)))
    if not found:
        message = "cgroup: at least one is expected"
        raise InvalidValue(message)
    if len({cgroup.hierarchy for cgroup in found}) < len(found):
        message = f"cgroup {', '.join(map(str, found))}: a process is in one cgroup of each hierarchy"
        raise InvalidValue(message)
    return tuple(found)


class Popen(subprocess.Popen[AnyStr]):
    """subprocess.Popen, whose child starts in its cgroups, never outside for an instant.

    Example::

        with Popen(["make", "-j4"], cgroup=group, stdout=PIPE) as process:
            print(process.stdout.read())

    All else is as of subprocess.Popen: its keywords, its methods, and the
    OSError of a program that cannot be executed.

    On v2 the child is made in its cgroup (clone3(2) with CLONE_INTO_CGROUP,
    Linux 5.7); on v1, and where that is not to be had, it moves itself there
    before it executes.  The parent's memory is not copied, however large, and
    its other threads go on.  A ``preexec_fn`` makes it a fork of subprocess, with all
    the dangers of that; it runs in the cgroups.

    A user who may write to one of the cgroups, or to one above, can freeze the child before it
    executes, or run it out of memory.  If a user other than the caller and root may, or if the child's user or groups
    change, the child gets a copy of the parent's memory, so that nothing done to it reaches the parent.  The wait for
    it ends after ``start_timeout`` seconds, or when a signal handler raises; the child is then killed.

    Args:
        args: the program and its arguments.
        cgroup: a Cgroup, a Group, or several, one of each hierarchy.
        start_timeout: seconds until a child that others can stop has to execute its program; None waits for ever.

    Attributes:
        cgroups: where it was started, one cgroup of each hierarchy given.
        began_ns: CLOCK_MONOTONIC, in nanoseconds, when it was in all of them, before it executed.
        returncode: as of subprocess.Popen; 255, with a RuntimeWarning, if the exit status is lost because
            SIGCHLD is ignored or something else reaps all children.

    Raises, beside what subprocess.Popen does, with no process left behind:
        CgroupGone: a cgroup has been removed.
        CgroupBusy: a cgroup is frozen, or (v2) enables controllers for its children.
        CgroupTimeout: the child did not execute within ``start_timeout`` seconds, and was killed.
        AccessDenied: not permitted to start a process there.
        InvalidValue: two cgroups are of one hierarchy, or a user or group is 4294967295.
        CgroupOSError: any other answer of the kernel, such as EAGAIN over pids.max.
    """

    @overload
    def __init__(
        self: Popen[str],
        args: Word | Sequence[Word],
        *,
        cgroup: Where,
        text: Literal[True],
        encoding: str | None = None,
        errors: str | None = None,
        universal_newlines: bool | None = None,
        **keywords: Unpack[Common],
    ) -> None: ...
    @overload
    def __init__(
        self: Popen[str],
        args: Word | Sequence[Word],
        *,
        cgroup: Where,
        text: bool | None = None,
        encoding: str,
        errors: str | None = None,
        universal_newlines: bool | None = None,
        **keywords: Unpack[Common],
    ) -> None: ...
    @overload
    def __init__(
        self: Popen[str],
        args: Word | Sequence[Word],
        *,
        cgroup: Where,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        universal_newlines: Literal[True],
        **keywords: Unpack[Common],
    ) -> None: ...
    @overload
    def __init__(
        self: Popen[bytes], args: Word | Sequence[Word], *, cgroup: Where, **keywords: Unpack[Common]
    ) -> None: ...
    def __init__(self, args: Any, *, cgroup: Where, start_timeout: float | None = PATIENCE, **keywords: Any) -> None:
        self.cgroups: Final[tuple[Cgroup, ...]] = members(cgroup)
        self.began_ns: int = 0
        self._start_timeout: Final = start_timeout
        self._deadline: Final = Deadline(start_timeout)
        self._child_created: bool
        children.reap()
        try:
            super().__init__(args, **keywords)
        except BaseException:
            # A signal handler raised: nobody else knows of the child.
            if self._child_created and self.returncode is None:
                self._child_created = False  # no warning that it still runs
                children.end(self.pid)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A signal ends the block of the group around this one: to wait here first might be to wait for ever.
        super().__exit__(KeyboardInterrupt if isinstance(error, Ended) else kind, error, trace)

    def _execute_child(
        self,
        args: Any,
        executable: Any,
        preexec_fn: Any,
        close_fds: Any,
        pass_fds: Any,
        cwd: Any,
        env: Any,
        startupinfo: Any,
        creationflags: Any,
        shell: Any,
        *rest: Any,
    ) -> None:
        """What subprocess.Popen calls to start its child, from Python 3.10 to 3.14."""
        _check_identity(*rest[7:10])
        if backend.spawn is None or preexec_fn is not None:
            forked = (args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell)
            self._fork(forked, rest)
            return
        words = _words(args, shell, executable)
        program = words[0] if executable is None else executable
        sys.audit("subprocess.Popen", program, words, cwd, env)
        places = [_place(one, program) for one in self.cgroups]
        left = self._deadline.left(EVER)
        self._start(_request(words, program, places, close_fds, pass_fds, cwd, env, rest, left), program, cwd)
        self._close_pipe_fds(*rest[:6])  # type: ignore[attr-defined]

    def _start(self, request: Spawn, program: Any, cwd: Any) -> None:
        """By the C layer."""
        said: Spawned = backend.spawn(request)
        if said.error:
            children.reap_later(said.pid)
            if said.step == Step.TIMEOUT:
                raise self._late(program)
            raise _explained(said, self.cgroups, program, cwd)
        self.pid = said.pid
        self._child_created = True
        # A child that a limit ended before it could say so has said nothing.
        self.began_ns = said.began or time.monotonic_ns()

    def _late(self, program: Any) -> CgroupError:
        """The reason that the child has not executed in time."""
        for one in self.cgroups:
            try:
                _check_thawed(one, program)
            except CgroupBusy as error:
                return error
        names = ", ".join(map(str, self.cgroups))
        message = f"cannot start {shown(program)} in {names}: not executed within {self._start_timeout:g} s"
        hint = "a user who may write there throttles or stops what starts"
        return CgroupTimeout(message, path=self.cgroups[0].path, errno=errno.ETIMEDOUT, hint=hint)

    def _fork(self, words: tuple[Any, ...], rest: tuple[Any, ...]) -> None:
        """By subprocess: the child moves itself by descriptors of cgroup.procs that were opened before."""
        args, executable, _, *others = words
        program = _words(args, others[-1], executable)[0]
        for one in self.cgroups:
            _check_thawed(one, program)
        changes_identity = any(one is not None for one in rest[7:10])
        if not changes_identity and not any(map(_is_stoppable_by_others, self.cgroups)):
            self._fork_and_wait(program, words, rest)
        elif not self._within_deadline(program, lambda: self._fork_and_wait(program, words, rest)):
            raise self._late(program)

    def _within_deadline(self, program: Any, start: Callable[[], None]) -> bool:
        """Run subprocess's start in a thread, since its wait for the child has no timeout.

        If it is late, or a signal handler raises, the child is killed.  The thread ends when the child does: to the
        kernel it is the parent, whose end is what PR_SET_PDEATHSIG tells of.

        Returns:
            Whether it ended in time.
        """
        raised: list[BaseException] = []
        started = threading.Event()

        def work() -> None:
            try:
                start()
            except BaseException as error:  # noqa: BLE001 - raised by whoever waits
                raised.append(error)
            started.set()
            if not raised:
                _await_end(self.pid)

        start_thread(work, "cgroups start", f"cannot start {shown(program)}")
        try:
            while not started.is_set() and not self._deadline.is_over:
                started.wait(self._deadline.left(UNSEEN_S))
        finally:
            is_late = not started.is_set()
            if is_late:
                # Until then the thread uses descriptors that subprocess closes when this call raises.
                _await_surely(lambda: started.is_set() or self._closed_child_pipe_fds)  # type: ignore[attr-defined]
                if self._child_created:
                    children.end(self.pid)
                self._child_created = False
        if is_late:
            return False
        if raised:
            raise raised[0]
        return True

    def _fork_and_wait(self, program: Any, words: tuple[Any, ...], rest: tuple[Any, ...]) -> None:
        args, executable, preexec_fn, *others = words
        with ExitStack() as files:
            doors = [_open_door(cgroup, files, program) for cgroup in self.cgroups]
            sides = files.enter_context(ExitStack())
            reading, writing = map(_above_streams, os.pipe(), (files, sides))

            def enter() -> None:
                # The forked child of a process that may have threads: system calls and ints, nothing that locks.
                for at, door in enumerate(doors):
                    try:
                        os.write(door, b"0")
                    except OSError as error:
                        os.write(writing, (at << 32 | (error.errno or 0)).to_bytes(WORD, "little"))
                        raise
                os.write(writing, (BEGUN | time.monotonic_ns()).to_bytes(WORD, "little"))
                if preexec_fn is not None:
                    preexec_fn()

            self.began_ns = time.monotonic_ns()
            try:
                super()._execute_child(args, executable, enter, *others, *rest)  # type: ignore[misc]
            except subprocess.SubprocessError:
                sides.close()
                told = int.from_bytes(os.read(reading, WORD), "little")
                if not told or told & BEGUN:
                    raise
                at, number = divmod(told, 1 << 32)
                raise _explained(Spawned(0, 0, Step.JOIN, at, number), self.cgroups, program, None) from None
            sides.close()
            told = int.from_bytes(os.read(reading, WORD), "little")
            self.began_ns = told & ~BEGUN or self.began_ns

    # ---- its end

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """What subprocess.Popen waits by; which takes an exit status that is lost for success."""
        try:
            return os.waitpid(self.pid, wait_flags)
        except ChildProcessError:
            message = f"the exit status of process {self.pid} is lost: SIGCHLD is ignored, or all children are reaped"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            return self.pid, LOST << 8

    def _internal_poll(self, _deadstate: int | None = None, *_: Any, **__: Any) -> int | None:
        """What subprocess.Popen polls by, likewise."""
        lock: threading.Lock = self._waitpid_lock  # type: ignore[attr-defined]
        if self.returncode is None and lock.acquire(blocking=False):
            try:
                if self.returncode is None:
                    pid, status = self._try_wait(os.WNOHANG)
                    if pid == self.pid:
                        self._handle_exitstatus(status)  # type: ignore[attr-defined]
            finally:
                lock.release()
        return self.returncode


LOST: Final = 255
"""The exit status of a child that somebody else has reaped, as of asyncio."""


class WatchedPopen(Popen[bytes]):
    """A Popen that a thread of C waits for from its first instruction on.

    Between its start and a wait in Python, other threads may hold the interpreter's
    lock for longer than the program runs.
    """

    _watch: Watch | None = None

    def _start(self, request: Spawn, program: Any, cwd: Any) -> None:
        self._watch = backend.Watch()
        super()._start(request._replace(watch=self._watch), program, cwd)

    def ended_ns(self) -> int:
        """Return CLOCK_MONOTONIC at its end, in nanoseconds; 0 if it has not ended, or nobody could watch it."""
        return 0 if self._watch is None else self._watch.ended_ns()


UNSEEN_S: Final = 0.05
"""How long a wait goes on after a signal that another thread got, before its handler runs here."""


def _await_surely(condition: Callable[[], bool]) -> None:
    """Wait until it holds, whatever signal handlers raise; then raise that."""
    raised: BaseException | None = None
    while True:
        try:
            while not condition():
                time.sleep(0.001)
            break
        except BaseException as error:  # noqa: BLE001 - raised in the end
            raised = error
    if raised is not None:
        raise raised


def _await_end(pid: int) -> None:
    """Wait until a child has ended, and leave it to be reaped."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


FROZEN: Final = Core.events["frozen"]

WORD: Final = 8
BEGUN: Final = 1 << 63
"""In what a forked child says: the time when it was everywhere; else which cgroup would not take it, and the errno."""


def _is_stoppable_by_others(cgroup: Cgroup) -> bool:
    """Whether a user other than the caller and root may stop what starts in the cgroup: csrc/cg_places.c."""
    # On v2 who may write cgroup.procs of the cgroup above both places may move the child to a frozen one.
    names = (".", "freezer.state") if cgroup.version == 1 else (".", "cgroup.freeze", "cgroup.procs")
    above: Cgroup | None = cgroup
    while above is not None:
        for name in names:
            try:
                found = os.lstat(f"{above.path}/{name}")
            except OSError:
                continue
            if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return True
        above = above.parent
    return False


def _check_thawed(cgroup: Cgroup, program: Any) -> None:
    if cgroup.location == "/" or (cgroup.version == 1 and not cgroup.hierarchy.has("freezer")):
        return
    try:
        frozen = Parameters.get(*((Freezer.state, cgroup) if cgroup.version == 1 else (FROZEN, cgroup)))
    except CgroupError:
        return  # gone, or not to be read: what is tried next says it
    if frozen not in (0, "THAWED"):
        raise _frozen(cgroup, program)


def _frozen(cgroup: Cgroup, program: Any) -> CgroupBusy:
    """The child would stop before it executes, and its parent wait for it, which no signal could interrupt."""
    message = f"cannot start {shown(program)} in {cgroup} ({cgroup.path}): it is frozen"
    return CgroupBusy(message, path=cgroup.path, errno=errno.EBUSY, hint=advise("thaw", cgroup=cgroup))


def _place(cgroup: Cgroup, program: Any) -> tuple[Any, str, int]:
    """Its hierarchy's directory, its path beneath, and its version."""
    # The text takes longer than all the rest, and only a captured tree needs it.
    tried = f"start {shown(program)} in {cgroup}" if cgroup.is_captured else ""
    return *cgroup.place_for_writing(tried), cgroup.version


def _open_door(cgroup: Cgroup, files: ExitStack, program: Any) -> int:
    directory, below, _ = _place(cgroup, program)
    try:
        fd = directory.open("/".join(filter(None, (below, "cgroup.procs"))), os.O_WRONLY | os.O_CLOEXEC)
    except Failure as failure:
        raise _explain(failure, cgroup, program) from None
    return _above_streams(fd, files)


def _above_streams(fd: int, files: ExitStack) -> int:
    """A descriptor, until it is closed, in whose place a child has none of its three streams."""
    files.callback(os.close, fd)
    if fd > 2:  # noqa: PLR2004 - stderr
        return fd
    above = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    files.callback(os.close, above)
    return above


def _explain(failure: Failure, cgroup: Cgroup, program: Any) -> CgroupError:
    tried = f"cannot start {shown(program)} in {cgroup} ({cgroup.path})"
    return diagnosis.explain_attach(failure, cgroup, "cgroup.procs", "process", os.getpid(), tried)


def _explained(said: Spawned, cgroups: Sequence[Cgroup], program: Any, cwd: Any) -> Exception:
    if said.step == Step.FROZEN:
        return _frozen(cgroups[said.at], program)
    if said.step == Step.KILLED:
        names = ", ".join(map(str, cgroups))
        message = f"cannot start {shown(program)} in {names}: it was killed before it executed"
        hint = "out of memory there, or a user who may write there killed it"
        return CgroupOSError(message, path=cgroups[0].path, errno=said.error, hint=hint)
    if said.step == Step.JOIN:
        return _explain(Failure(Status.OS, said.error), cgroups[said.at], program)
    if said.step == Step.EXECUTE and said.error == errno.ENOMEM:
        message = f"cannot start {shown(program)} in {', '.join(map(str, cgroups))}: ENOMEM"
        hint = "a limit of memory there, or above, is too small to execute it"
        return CgroupOSError(message, path=cgroups[0].path, errno=said.error, hint=hint)
    # As of subprocess: the file is that which could not be executed, or entered.
    file = {Step.CWD: cwd, Step.EXECUTE: program}.get(Step(said.step))
    return OSError(said.error, os.strerror(said.error), file)


# ---- what subprocess takes, as bytes ----------------------------------------------------------

INT_MAX: Final = 2**31 - 1
ID_MAX: Final = 2**32 - 1
"""Of what C takes for a user or a group; the system call would cut a higher one, and 2**32 is root."""


def _check_identity(gid: int | None, groups: Iterable[int] | None, uid: int | None) -> None:
    """The kernel takes the highest id for "no change": the child would stay the caller, root perhaps."""
    if ID_MAX in (uid, gid, *(groups or ())):
        message = f"user, group and extra_groups must be ids below {ID_MAX}, got {ID_MAX}"
        raise InvalidValue(message, hint="the kernel takes this number for no change")


def _words(args: Any, shell: Any, executable: Any) -> list[Any]:
    """The program's arguments: what subprocess makes of them."""
    if isinstance(args, os.PathLike) and shell:
        message = "path-like args is not allowed when shell is true"
        raise TypeError(message)
    words = [args] if isinstance(args, (str, bytes, os.PathLike)) else list(args)
    if shell:
        words = ["/bin/sh", "-c", *words]
        if executable:
            words[0] = executable
    return words


def _encoded(text: Any) -> bytes:
    encoded = os.fsencode(text)
    if b"\0" in encoded:
        message = "embedded null byte"
        raise ValueError(message)
    return encoded


def _environment(env: Mapping[Any, Any]) -> Iterator[bytes]:
    for key, value in env.items():
        name = _encoded(key)
        if b"=" in name:
            message = "illegal environment variable name"
            raise ValueError(message)
        yield name + b"=" + _encoded(value)


def _path(env: Mapping[Any, Any] | None) -> bytes:
    """Where a program without a slash is looked for."""
    if env is None:
        return os.environb.get(b"PATH", os.fsencode(os.defpath))
    return b":".join(map(os.fsencode, os.get_exec_path(env)))


def _request(
    words: list[Any],
    program: Any,
    places: list[tuple[Any, str, int]],
    close_fds: Any,
    pass_fds: Any,
    cwd: Any,
    env: Any,
    rest: tuple[Any, ...],
    timeout: float,
) -> Spawn:
    stdin, _, _, stdout, _, stderr, restore_signals, gid, groups, uid, umask, new_session, *process_group = rest
    name = _encoded(program)
    keep = sorted(map(int, pass_fds))
    if keep and not 0 <= keep[0] <= keep[-1] <= INT_MAX:
        message = "bad value(s) in pass_fds"
        raise ValueError(message)
    if max(uid or 0, gid or 0) > ID_MAX:
        message = "user or group id is greater than maximum"
        raise OverflowError(message)
    if groups and max(groups) > ID_MAX:
        message = "invalid group id"
        raise ValueError(message)
    return Spawn(
        program=name,
        path=None if b"/" in name else _path(env),
        args=[_encoded(word) for word in words],
        env=None if env is None else list(_environment(env)),
        cwd=None if cwd is None else _encoded(cwd),
        places=places,
        files=(stdin, stdout, stderr),
        close_files=bool(close_fds),
        keep=keep,
        restore_signals=bool(restore_signals),
        new_session=bool(new_session),
        process_group=process_group[0] if process_group else -1,
        umask=umask,
        uid=-1 if uid is None else uid,
        gid=-1 if gid is None else gid,
        groups=groups,
        timeout=max(1, math.ceil(timeout * 1e9)),
    )
