"""run: a command in fresh cgroups of its own, and what it used with all its processes."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Union

from ._backend import backend
from .disks import Disks
from .errors import CgroupError, CgroupTimeout, InvalidValue, shown
from .group import Parent, parents_of
from .job import Job, check_limits
from .report import Report, measure
from .sampling.sampler import Frame, Sampler
from .subsystem import Cpu, Cpuacct, Io, Memory

if TYPE_CHECKING:
    import subprocess
    from types import TracebackType

    from typing_extensions import Self

    from .events.guard import Guard
    from .group import Group

__all__ = ["run", "run_through"]

PIPE = -1
"""As of subprocess, which is imported when it is used: importing this package has to stay cheap."""

REAPING = 1.0
"""Seconds in which what has left its cgroups becomes a zombie."""

Stream = Union[None, int, "IO[Any]"]
Argument = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


def run(
    args: Sequence[Argument],
    *,
    limits: Mapping[Any, Any] | None = None,
    sample: float | None = None,
    timeout: float | None = None,
    grace: float | None = None,
    guards: Iterable[Callable[[Group], Guard]] = (),
    parent: Parent | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    capture_output: bool = False,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> Report:
    """Runs a command in fresh cgroups, and reports what it used with all the processes that came of it.

    Example::

        report = run(["make", "-j4"], limits={Memory.limit_in_bytes: 2**31}, sample=0.01)
        report.wall_ns, report.cpu_ns, report.memory_peak, report.oom_kills

    It is in its cgroups, one on each hierarchy that measures or limits,
    before its first instruction.  When it has ended, what it left behind is
    killed, and the cgroups are removed, also after an error here.

    They are made below the caller's own cgroups.  On v2 a cgroup that has
    processes, as the caller's own, cannot give controllers to those below:
    CPU time and pressure are measured all the same, a limit is refused, and
    for the rest name a ``parent`` without processes.  Controllers that are enabled in a
    parent stay enabled.

    A first KeyboardInterrupt waits for the command, which gets the signal
    itself from its terminal, and a second kills it; then it is raised.
    SIGTERM and SIGHUP raise SystemExit here, as of :meth:`Group.temporary`.

    Args:
        args: the program, found as subprocess does, and its arguments.
        limits: by parameter, or its name: what it is set to before the command starts, in this order.
        sample: keep a frame of memory, CPU time and pressure each so many seconds.
        timeout: end all of it after so many seconds; ``timed_out`` says so.
        grace: send SIGTERM first, and kill what is left so many seconds later.
        guards: functions of its group, each giving a Guard: ``lambda group: Guard(group, Pids.current, above=50)``.
            They watch from before its start to its end; what they acted for is ``fired``.
        parent: below which cgroup to make its own: a spec or a Cgroup, or one for each hierarchy to be used.
        stdin: this and what follows as for subprocess.Popen; PIPE for output is in the report.
        stdout: where it prints to.
        stderr: where it prints errors to.
        capture_output: PIPE for both.
        cwd: the directory to run it in.
        env: its environment.

    Raises:
        AccessDenied: no cgroup may be made there; nothing was started.
        CgroupBusy: on v2 a limit needs a controller that the parent cannot enable.
        InvalidValue: a limit that cannot be, and what :func:`Parameters.set` raises otherwise.
        OSError: the command could not be started, as of subprocess.run.
        CgroupTimeout: a process could not be ended.
    """
    if capture_output:
        stdout = stderr = PIPE
    report, interrupt = run_through(
        args,
        limits=limits,
        sample=sample,
        timeout=timeout,
        grace=grace,
        guards=guards,
        parent=parent,
        streams={"stdin": stdin, "stdout": stdout, "stderr": stderr},
        cwd=cwd,
        env=env,
    )
    if interrupt is not None:
        raise interrupt
    return report


def run_through(
    args: Sequence[Argument],
    *,
    limits: Mapping[Any, Any] | None,
    sample: float | None,
    timeout: float | None,
    grace: float | None,
    guards: Iterable[Callable[[Group], Guard]],
    parent: Parent | None,
    streams: Mapping[str, Stream],
    **popen: Any,
) -> tuple[Report, KeyboardInterrupt | None]:
    """The same to the end, interrupted or not: the report, and the first interrupt."""
    words = _check_args(args)
    _check_seconds("sample", sample)
    _check_seconds("timeout", timeout)
    _check_seconds("grace", grace)
    if grace is not None and timeout is None:
        message = f"grace {shown(grace)}: it follows a timeout, and none is given"
        raise InvalidValue(message)
    if streams.get("stdin") == PIPE:
        message = "stdin cannot be a pipe: nobody would write to it"
        raise InvalidValue(message)
    limits = check_limits(limits)
    from .spawning import WatchedPopen  # noqa: PLC0415 - as of PIPE: it imports subprocess

    with ExitStack() as last, Job(parents_of(parent), limits) as job, ExitStack() as stack:
        samples = stack.enter_context(_Samples(job, sample)) if sample is not None else None
        watching = [stack.enter_context(guard(job.group)) for guard in guards]
        disks = Disks(job.cgroup_of("blkio"))
        keywords: Any = {**streams, **popen}
        process = WatchedPopen(words, cgroup=job.group, **keywords)
        began = process.began_ns
        last.callback(_reap, process)
        output = {name: _Output(pipe) for name in ("stdout", "stderr") if (pipe := getattr(process, name)) is not None}
        if samples is not None:
            samples.start()
        deadline = None if timeout is None else began + int(timeout * 1e9)
        ended_ns, timed_out, interrupt = _wait(process, deadline)
        if timed_out and grace is not None:
            ended_ns = _warn(job, grace, process)
        wall = (process.ended_ns() or ended_ns or time.monotonic_ns()) - began
        frames = samples.stop() if samples is not None else ()
        killed = job.kill()
        returncode = process.wait()
        usage, missing = measure(job, disks)
        printed = {name: one.take() for name, one in output.items()}
    peak = usage.memory_peak if usage.memory_peak is not None else _greatest(frames)
    report = Report(
        args=tuple(os.fsdecode(word) for word in words),
        returncode=returncode,
        timed_out=timed_out,
        killed=killed,
        wall_ns=wall,
        memory_sampled=usage.memory_peak is None and peak is not None,
        stdout=printed.get("stdout"),
        stderr=printed.get("stderr"),
        samples=frames,
        fired=tuple(guard.fired for guard in watching if guard.fired is not None),
        missing=missing,
        abandoned=tuple(map(str, job.abandoned)),
        **{**usage._asdict(), "memory_peak": peak},
    )
    return report, interrupt


def _check_args(args: Any) -> list[str | bytes]:
    if isinstance(args, (str, bytes)) or not isinstance(args, Sequence) or not args:
        message = f"args {shown(args)}: a program and its arguments are expected, as ['make', '-j4']"
        raise InvalidValue(message)
    try:
        return [os.fspath(word) for word in args]
    except TypeError as error:
        message = f"args {shown(args)}: {error}"
        raise InvalidValue(message) from None


def _check_seconds(name: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (number and value > 0 and math.isfinite(value)):
        message = f"{name} {shown(value)}: seconds, more than 0, are expected"
        raise InvalidValue(message)


# ---- its end -----------------------------------------------------------------------------


class _Ended(NamedTuple):
    """How waiting for a command came to its end.

    Attributes:
        at_ns: CLOCK_MONOTONIC right after its end; 0 where it had not ended.
        timed_out: whether the deadline passed first.
        interrupt: the first KeyboardInterrupt.
    """

    at_ns: int
    timed_out: bool
    interrupt: KeyboardInterrupt | None


def _wait(process: subprocess.Popen[bytes], deadline: int | None) -> _Ended:
    """Wait for its end, the deadline or a second interrupt."""
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            # Reaped later: an interrupt that came with its end, as from a terminal, would lose how it ended.
            ended = backend.wait_child(process.pid, deadline)
        except KeyboardInterrupt as error:
            if interrupt is not None:
                return _Ended(_end_of(process), timed_out=False, interrupt=interrupt)
            interrupt = error
        else:
            return _Ended(ended, timed_out=not ended, interrupt=interrupt)


def _end_of(process: subprocess.Popen[bytes]) -> int:
    """Return when it ended, as far as is known now; 0 if it has not."""
    ended_ns: int = backend.wait_child(process.pid, 0)
    return ended_ns


def _warn(job: Job, grace: float, process: subprocess.Popen[bytes]) -> int:
    """Let what is inside end by itself; return when the command itself did, or 0."""
    import signal  # noqa: PLC0415 - as of PIPE

    until = time.monotonic_ns() + int(grace * 1e9)
    job.group.signal(signal.SIGTERM)
    ended_ns: int = backend.wait_child(process.pid, until)
    with suppress(CgroupTimeout):
        job.group.wait_empty(max(0, until - time.monotonic_ns()) / 1e9)
    return ended_ns


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Leaves no zombie, nor a pipe, of what has been ended, or could not be."""
    import subprocess  # noqa: PLC0415 - as of PIPE

    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(REAPING)


class _Output:
    """What comes through a pipe, read as it comes."""

    LAST = 1.0
    """Seconds to wait for the end of a pipe that a process outside of the cgroups may hold."""

    def __init__(self, pipe: IO[bytes]) -> None:
        from .core.threads import start_thread  # noqa: PLC0415 - as of PIPE

        self._fd = os.dup(pipe.fileno())
        self._parts: list[bytes] = []
        try:
            self._thread = start_thread(self._read, "cgroups output", "cannot read what the command writes")
        except CgroupError:
            os.close(self._fd)
            raise

    def _read(self) -> None:
        with os.fdopen(self._fd, "rb", buffering=0) as pipe:
            while part := pipe.read(1 << 16):
                self._parts.append(part)

    def take(self) -> bytes:
        """All of it, once the processes have ended."""
        self._thread.join(self.LAST)
        return b"".join(self._parts)


# ---- samples -----------------------------------------------------------------------------


class _Samples:
    """Frames of a job, taken by a thread at multiples of the interval; a time that has passed is left out."""

    def __init__(self, job: Job, interval: float) -> None:
        from threading import Event, Thread  # noqa: PLC0415 - as of PIPE

        cgroups = job.cgroups
        versions = {cgroup.version for cgroup in cgroups}
        parameters: list[Any] = [Memory.usage_in_bytes, Cpuacct.usage]
        if 2 in versions:  # noqa: PLR2004 - the version
            parameters += [parameter["some", "total"] for parameter in (Cpu.pressure, Memory.pressure, Io.pressure)]
        self._sampler = Sampler(cgroups, parameters)
        self._interval = interval
        self._frames: list[Frame] = []
        self._over = Event()
        self._thread = Thread(target=self._go, daemon=True)

    def start(self) -> None:
        from .core.threads import thread_limit  # noqa: PLC0415 - as of PIPE

        with thread_limit("cannot sample the job"):
            self._thread.start()

    def _go(self) -> None:
        began = time.monotonic()
        tick = 0
        while True:
            self._frames.append(self._sampler.sample())
            tick = max(tick + 1, math.ceil((time.monotonic() - began) / self._interval))
            if self._over.wait(max(0.0, began + tick * self._interval - time.monotonic())):
                return

    def stop(self) -> tuple[Frame, ...]:
        """All frames, and one last."""
        self._over.set()
        self._thread.join()
        self._frames.append(self._sampler.sample())
        return tuple(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._sampler.close()


def _greatest(frames: Sequence[Frame]) -> int | None:
    """The most memory that a sample saw."""
    used = [frame[cgroup, Memory.usage_in_bytes] for frame in frames for cgroup in frame.cgroups]
    return max((one for one in used if isinstance(one, int)), default=None)
