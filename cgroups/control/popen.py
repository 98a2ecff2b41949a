"""Popen: a program that starts inside its cgroups.

With the C layer the kernel creates the child in its v2 cgroup.  The child moves
itself into its v1 cgroups before exec (csrc/cg_spawn.c).  The program neither runs an
instruction nor charges a page elsewhere.  Without the C layer, subprocess forks, and the
child moves itself into all cgroups.

A user who may write to a cgroup can stop the child at any moment before it
executes.  If such a user exists, the child never shares the caller's memory.  The
wait for the child is then bounded, and ends when a signal handler raises.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, AnyStr, Final, Literal, Union, overload

from ..core import children, systemd
from ..core.backend import backend
from ..core.deadline import DEFAULT_TIMEOUT_S, FOREVER_S, Deadline
from ..core.errors import AccessDenied, CgroupBusy, CgroupError, CgroupTimeout, InvalidValue, shown
from ..core.interface import Failure, Spawn, Spawned, Step
from ..core.node import Cgroups, Node
from ..core.signals import Ended
from ..core.threads import start_thread
from .gate import WORD, Gate, Mover, above_streams, mover_of
from .start_errors import check_thawed, explain_join, explain_start, path_of
from .start_places import is_stoppable_by_others, start_place
from .start_request import Word, check_identity, program_words, spawn_request
from .verbs import BaseCgroup
from .waiting import await_end, await_surely

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Unpack

    from .start_request import Common

__all__ = ["BEGUN", "LOST", "UNSEEN_S", "Popen", "Where", "members"]

Where = Union[Cgroups, "Iterable[Cgroups]"]
"""The cgroups to start a program in: a cgroup, a group, or several, one per hierarchy."""


def members(where: Where) -> tuple[BaseCgroup, ...]:
    """Return the cgroups to start in.

    Raises:
        InvalidValue: two cgroups are on one hierarchy, or the argument has no cgroups.
    """
    own = getattr(where, "cgroups", None)
    if own is not None and len(own) == 1:
        return tuple(own)  # the usual case, without a hash
    given: Any = (where,) if own is not None else where
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        message = f"cgroup must be a Cgroup, a Group or several of them, got {shown(where)}"
        raise InvalidValue(message, hint="Hierarchy.find_exn(spec) returns a Cgroup")
    found: dict[BaseCgroup, None] = {}
    for one in given:
        if not hasattr(one, "cgroups"):
            message = f"cgroup must contain only Cgroups and Groups, got {shown(one)}"
            raise InvalidValue(message, hint="Hierarchy.find_exn(spec) returns a Cgroup")
        found.update(dict.fromkeys(one.cgroups))
    if not found and own is None:
        message = "cgroup must have at least one cgroup, got none"
        raise InvalidValue(message)
    if len({cgroup.hierarchy for cgroup in found}) < len(found):
        message = f"cgroup must have at most one cgroup per hierarchy, got {', '.join(map(str, found))}"
        raise InvalidValue(message)
    return tuple(found)


class Popen(subprocess.Popen[AnyStr]):
    """A subprocess.Popen whose child starts in its cgroups, never outside for an instant.

    Example::

        with Popen(["make", "-j4"], cgroup=group, stdout=PIPE) as process:
            print(process.stdout.read())

    Everything else is like subprocess.Popen: its keywords, its methods, and the
    OSError if a program cannot be executed.

    On v2 the child is created in its cgroup (clone3(2) with CLONE_INTO_CGROUP,
    Linux 5.7).  On v1, and without clone3(2), the child moves itself there before
    it executes.  The parent's memory is not copied, however large, and its other
    threads continue to run.  A ``preexec_fn`` runs in the cgroups, and makes
    subprocess fork, with all the dangers of a fork.

    A user who may write to a cgroup or its ancestor can freeze the child before it
    executes, or run it out of memory.  If other users than the caller and root may write
    there, the child gets a copy of the parent's memory.  So the child cannot affect the
    parent.  The child also gets a copy if its user or groups change.
    The wait for such a child ends after ``start_timeout`` seconds, or when a signal handler raises; the child is
    then killed.

    Args:
        args: the program and its arguments.
        cgroup: a Cgroup, a Group, or several, one per hierarchy.
        start_timeout: seconds until a child that others can stop must execute its program; None for no limit.

    Attributes:
        cgroups: the cgroups that the child was started in, one per given hierarchy.
        started_ns: CLOCK_MONOTONIC time, in nanoseconds, at which the child was in all cgroups, before it executed.
        returncode: like subprocess.Popen; 255, with a RuntimeWarning, if the exit status is lost because
            SIGCHLD is ignored or other code reaps all children.

    Raises, in addition to subprocess.Popen, with no process left behind:
        CgroupGone: a cgroup was removed.
        CgroupBusy: a cgroup is frozen, or (v2) enables controllers for its children.
        CgroupTimeout: the child did not execute within ``start_timeout`` seconds, and was killed.
        AccessDenied: the caller may not start a process there.
        InvalidValue: two cgroups are on one hierarchy, or a user or group is 4294967295.
        CgroupOSError: any other error of the kernel, such as EAGAIN beyond pids.max.
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
    def __init__(
        self, args: Any, *, cgroup: Where, start_timeout: float | None = DEFAULT_TIMEOUT_S, **keywords: Any
    ) -> None:
        self.cgroups: Final[tuple[BaseCgroup, ...]] = members(cgroup)
        self.started_ns: int = 0
        self._start_timeout: Final = start_timeout
        self._deadline: Final = Deadline(start_timeout)
        self._child_created: bool
        children.reap()
        try:
            super().__init__(args, **keywords)
        except BaseException:
            # A signal handler raised: no other code knows the child.
            if self._child_created and self.returncode is None:
                self._child_created = False  # avoids the warning that the child still runs
                children.end(self.pid)
            raise

    @property
    def began_ns(self) -> int:
        """The deprecated name of ``started_ns``, until 1.0."""
        warnings.warn("began_ns is now started_ns", DeprecationWarning, stacklevel=2)
        return self.started_ns

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A signal ends the block of the group around this one; a wait here first could last forever.
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
        """Start the child, for subprocess.Popen of Python 3.10 to 3.14."""
        check_identity(*rest[7:10])
        if backend.spawn is None or preexec_fn is not None:
            forked = (args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell)
            self._fork(forked, rest)
            return
        words = program_words(args, shell, executable)
        program = words[0] if executable is None else executable
        sys.audit("subprocess.Popen", program, words, cwd, env)
        places = [start_place(one, program) for one in self.cgroups]
        left = self._deadline.left(FOREVER_S)
        request = spawn_request(words, program, places, close_fds, pass_fds, cwd, env, rest, left)
        mover = mover_of(self.cgroups, self._deadline) if systemd.obtained else None
        if mover is None:
            self._start(request, program, cwd)
        else:
            self._start_in_scope(request, mover, program, cwd)
        self._close_pipe_fds(*rest[:6])  # type: ignore[attr-defined]

    def _start_in_scope(self, request: Spawn, mover: Mover, program: Any, cwd: Any) -> None:
        """Start the child directly; have systemd move it only if the kernel refuses, now or for an earlier child."""
        if not mover.is_needed:
            try:
                self._start(request, program, cwd)
            except AccessDenied:
                pass
            else:
                return
        self._start(request._replace(mover=mover), program, cwd)

    def _start(self, request: Spawn, program: Any, cwd: Any) -> None:
        """Start the child with the C layer."""
        assert backend.spawn is not None
        said = backend.spawn(request)
        if said.error:
            children.reap_later(said.pid)
            if said.step == Step.TIMEOUT:
                raise self._late(program)
            raise explain_start(said, self.cgroups, program, cwd)
        self.pid = said.pid
        self._child_created = True
        # A child that a limit killed too early has not reported its time.
        self.started_ns = said.began or time.monotonic_ns()

    def _late(self, program: Any) -> CgroupError:
        """Return the reason why the child has not executed in time."""
        for one in self.cgroups:
            try:
                check_thawed(one, program)
            except CgroupBusy as error:
                return error
        names = ", ".join(map(str, self.cgroups)) or "no cgroup"
        message = f"cannot start {shown(program)} in {names}: not executed within {self._start_timeout:g} s"
        hint = "a user with write access there throttles or stops the child"
        return CgroupTimeout(message, path=path_of(self.cgroups), errno=errno.ETIMEDOUT, hint=hint)

    def _fork(self, words: tuple[Any, ...], rest: tuple[Any, ...]) -> None:
        """Start the child with subprocess.  The child moves itself through cgroup.procs, opened before the fork."""
        args, executable, _, *others = words
        program = program_words(args, others[-1], executable)[0]
        for one in self.cgroups:
            check_thawed(one, program)
        changes_identity = any(one is not None for one in rest[7:10])
        if not changes_identity and not any(map(is_stoppable_by_others, self.cgroups)):
            self._fork_and_wait(program, words, rest)
        elif not self._within_deadline(program, lambda: self._fork_and_wait(program, words, rest)):
            raise self._late(program)

    def _within_deadline(self, program: Any, start: Callable[[], None]) -> bool:
        """Run subprocess's start in a thread, since its wait for the child has no timeout.

        If the child is late, or a signal handler raises, the child is killed.  The thread lives as long as the
        child: the kernel regards the thread as the parent, and PR_SET_PDEATHSIG signals its exit.

        Returns:
            Whether the start ended in time.
        """
        raised: list[BaseException] = []
        started = threading.Event()

        def work() -> None:
            try:
                start()
            except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
                raised.append(error)
            started.set()
            if not raised:
                await_end(self.pid)

        start_thread(work, "cgroups start", f"cannot start {shown(program)}")
        try:
            while not started.is_set() and not self._deadline.is_over:
                started.wait(self._deadline.left(UNSEEN_S))
        finally:
            is_late = not started.is_set()
            if is_late:
                # Until then the thread uses descriptors that subprocess closes when this call raises.
                await_surely(lambda: started.is_set() or self._closed_child_pipe_fds)  # type: ignore[attr-defined]
                if self._child_created:
                    children.end(self.pid)
                self._child_created = False
        if is_late:
            return False
        if raised:
            raise raised.pop()
        return True

    def _fork_and_wait(self, program: Any, words: tuple[Any, ...], rest: tuple[Any, ...]) -> None:
        args, executable, preexec_fn, *others = words
        with ExitStack() as files:
            doors = [_open_door(cgroup, files, program) for cgroup in self.cgroups]
            sides = files.enter_context(ExitStack())
            reading, writing = map(above_streams, os.pipe(), (files, sides))
            # Root can move every process without systemd.
            mover = mover_of(self.cgroups, self._deadline) if os.geteuid() != 0 else None
            gate = None if mover is None else files.enter_context(Gate(mover))

            def enter() -> None:
                # Runs in the fork of a possibly threaded process: only system calls and ints, no locks.
                if gate is not None:
                    gate.wait()
                for at, door in enumerate(doors):
                    try:
                        os.write(door, b"0")
                    except OSError as error:
                        os.write(writing, (at << 32 | (error.errno or 0)).to_bytes(WORD, "little"))
                        raise
                os.write(writing, (BEGUN | time.monotonic_ns()).to_bytes(WORD, "little"))
                if preexec_fn is not None:
                    preexec_fn()

            self.started_ns = time.monotonic_ns()
            try:
                super()._execute_child(args, executable, enter, *others, *rest)  # type: ignore[misc]
            except subprocess.SubprocessError:
                sides.close()
                if gate is not None and gate.failed:
                    raise gate.failed.pop() from None
                told = int.from_bytes(os.read(reading, WORD), "little")
                if not told or told & BEGUN:
                    raise
                at, number = divmod(told, 1 << 32)
                raise explain_start(Spawned(0, 0, Step.JOIN, at, number), self.cgroups, program, None) from None
            sides.close()
            told = int.from_bytes(os.read(reading, WORD), "little")
            self.started_ns = told & ~BEGUN or self.started_ns

    # ---- exit

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """Wait for subprocess.Popen, which would report a lost exit status as success."""
        try:
            return os.waitpid(self.pid, wait_flags)
        except ChildProcessError:
            message = f"the exit status of process {self.pid} is lost: SIGCHLD is ignored, or all children are reaped"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            return self.pid, LOST << 8

    def _internal_poll(self, _deadstate: int | None = None, *_: Any, **__: Any) -> int | None:
        """Poll for subprocess.Popen, which would report a lost exit status as success."""
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
"""Exit status of a child that other code has reaped, like asyncio."""


UNSEEN_S: Final = 0.05
"""Seconds of one wait: a signal that another thread received is handled here only afterwards."""
BEGUN: Final = 1 << 63
"""Flag in a forked child's report: set for the time it was in all cgroups, clear for a failed cgroup and its errno."""


def _open_door(cgroup: Node, files: ExitStack, program: Any) -> int:
    directory, below, *_ = start_place(cgroup, program)
    try:
        fd = directory.open("/".join(filter(None, (below, "cgroup.procs"))), os.O_WRONLY | os.O_CLOEXEC)
    except Failure as failure:
        raise explain_join(failure, cgroup, program) from None
    return above_streams(fd, files)
