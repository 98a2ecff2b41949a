"""run_through: run a command in new cgroups to its end and measure it, even if interrupted."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Union

from ..control.placement import Wish
from ..control.plain_limits import PlainLimits, translated
from ..core.backend import backend
from ..core.errors import CgroupError, CgroupTimeout, InvalidValue, shown
from ..core.interface import Version
from ..core.seconds import check_seconds
from ..core.signals import Ended
from ..hierarchy import LOCAL
from ..observe.frames import Frame
from ..observe.sampler import Sampler
from ..parameters import Cpu, Cpuacct, Io, Memory
from ..parents import Parent, parents_of
from .disks import Disks
from .ending import ended_by
from .job import Job, check_limits
from .looks import Looks
from .measure import measure
from .report import Report

if TYPE_CHECKING:
    import subprocess
    from types import TracebackType

    from typing_extensions import Self

    from ..group import Group
    from ..guard import Guard
    from ..hierarchy import Cgroup

__all__ = ["Argument", "Stream", "run_through"]

Stream = Union[None, int, "IO[Any]"]
Argument = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

PIPE = -1
"""The value of subprocess.PIPE.  subprocess is imported on use, since importing this package must stay cheap."""

LONGEST_NAME = 200
"""Characters of a command in the description of its scope, at most."""

REAP_S = 1.0
"""Seconds to wait for a command that has left its cgroups to exit."""


def run_through(
    args: Sequence[Argument],
    *,
    plain: PlainLimits,
    limits: Mapping[Any, Any] | None,
    sample: float | None,
    timeout: float | None,
    grace: float | None,
    guards: Iterable[Callable[[Group], Guard]],
    parent: Parent | None,
    wish: Wish,
    streams: Mapping[str, Stream],
    alongside: Callable[[Sequence[Cgroup]], AbstractContextManager[object]] | None = None,
    input: str | bytes | None = None,  # noqa: A002 - subprocess's word
    text: bool = False,
    **popen: Any,
) -> tuple[Report, BaseException | None]:
    """Run a command like :func:`cgroups.run`, even if interrupted; return the report, and the interrupt or None.

    ``alongside`` returns a context for the cgroups of the job, entered before the start and left after the end.
    """
    words = _check_args(args)
    check_seconds("sample", sample, above=True, optional=True)
    check_seconds("timeout", timeout, above=True, optional=True)
    check_seconds("grace", grace, above=True, optional=True)
    if grace is not None and timeout is None:
        message = f"cannot use grace {shown(grace)} without a timeout: the grace begins when the timeout ends"
        raise InvalidValue(message)
    if streams.get("stdin") == PIPE or (input is not None and streams.get("stdin") is not None):
        message = "stdin must not be a pipe, nor be given together with input"
        raise InvalidValue(message)
    wanted = translated(plain, LOCAL)
    limits = {**wanted.limits, **check_limits(limits)}
    # A guard needs a cgroup to watch.
    guards = list(guards)
    name = " ".join(os.fsdecode(word) for word in words)
    wish = replace(wish, needs_cgroup=bool(guards), description=name[:LONGEST_NAME])

    with ExitStack() as last, Job(parents_of(parent), limits, wish, wanted.defaults) as job, ExitStack() as stack:
        samples = stack.enter_context(_Samples(job, sample)) if sample is not None and job.cgroups else None
        beside = stack.enter_context(ExitStack())
        if alongside is not None and job.cgroups:
            beside.enter_context(alongside(job.cgroups))
        watching = [stack.enter_context(guard(job.group)) for guard in guards]
        disks = Disks(job.cgroup_of("blkio"))
        keywords: Any = {**streams, **popen}
        if input is not None:
            keywords["stdin"] = PIPE
        process = job.start(words, **keywords)
        began = process.started_ns
        last.callback(_reap, process)
        output = {name: _Output(pipe) for name in ("stdout", "stderr") if (pipe := getattr(process, name)) is not None}
        if input is not None:
            _feed(process, input.encode() if isinstance(input, str) else input)
        if samples is not None:
            samples.start()
        deadline = None if timeout is None else began + int(timeout * 1e9)
        looks = Looks(job, is_group=wanted.is_group, now_ns=began)
        ended_ns, timed_out, interrupt = _wait(process, deadline, looks)
        if timed_out and grace is not None:
            ended_ns = _warn(job, grace, process)
        wall = (process.ended_ns() or ended_ns or time.monotonic_ns()) - began
        frames = samples.stop() if samples is not None else ()
        beside.close()
        killed = job.kill()
        returncode = process.wait()
        usage, missing, estimated = measure(job, disks, process.rusage)
        ending = ended_by(job, returncode, timed_out=timed_out, guards=watching)
        printed = {name: _decoded(one.take(), text=text) for name, one in output.items()}
    peak = usage.memory_peak if usage.memory_peak is not None else _greatest(frames)
    report = Report(
        args=tuple(os.fsdecode(word) for word in words),
        returncode=returncode,
        timed_out=timed_out,
        killed=killed,
        wall_ns=wall,
        memory_sampled=(usage.memory_peak is None or "memory_peak" in estimated) and peak is not None,
        stdout=printed.get("stdout"),
        stderr=printed.get("stderr"),
        samples=frames,
        fired=tuple(guard.fired for guard in watching if guard.fired is not None),
        missing=missing,
        abandoned=tuple(map(str, job.abandoned)),
        place=str(job.placement),
        place_kind=job.placement.kind,
        refused=job.placement.refused,
        ended_by=ending,
        estimated=estimated,
        notes=tuple(job.notes),
        **{**usage._asdict(), "memory_peak": peak, "anon_peak": looks.anon_peak},
    )
    return report, interrupt


def _check_args(args: Any) -> list[str | bytes]:
    if isinstance(args, (str, bytes)) or not isinstance(args, Sequence) or not args:
        message = f"args must be a program and its arguments such as ['make', '-j4'], got {shown(args)}"
        raise InvalidValue(message)
    try:
        return [os.fspath(word) for word in args]
    except TypeError as error:
        message = f"args must be strings, bytes or paths, got {shown(args)}: {error}"
        raise InvalidValue(message) from None


# ---- end of the command ------------------------------------------------------------------


class _Ended(NamedTuple):
    """The result of a wait for a command.

    Attributes:
        at_ns: CLOCK_MONOTONIC time, in nanoseconds, right after the command ended; 0 if it had not ended.
        timed_out: whether the deadline passed first.
        interrupt: the first KeyboardInterrupt, or the exception of a signal that ends the program.
    """

    at_ns: int
    timed_out: bool
    interrupt: BaseException | None


def _wait(process: subprocess.Popen[bytes], deadline: int | None, looks: Looks) -> _Ended:
    """Wait for the end of the command, the deadline or a second interrupt."""
    interrupt: BaseException | None = None
    while True:
        until = min((one for one in (deadline, looks.due_ns) if one is not None), default=None)
        try:
            # Not reaped here: a simultaneous interrupt, for example from a terminal, would lose the exit status.
            ended = backend.wait_child(process.pid, until)
            now = time.monotonic_ns()
            if ended or (deadline is not None and now >= deadline):
                return _Ended(ended, timed_out=not ended, interrupt=interrupt)
            if looks.look(now):
                return _Ended(0, timed_out=False, interrupt=interrupt)
        except Ended as error:
            return _Ended(_end_of(process), timed_out=False, interrupt=error)
        except KeyboardInterrupt as error:
            if interrupt is not None:
                return _Ended(_end_of(process), timed_out=False, interrupt=interrupt)
            interrupt = error


def _end_of(process: subprocess.Popen[bytes]) -> int:
    """Return the time at which the command ended, in nanoseconds; 0 if it has not ended."""
    return backend.wait_child(process.pid, 0)


def _warn(job: Job, grace: float, process: subprocess.Popen[bytes]) -> int:
    """Send SIGTERM to the job, and wait for its exit; return the time at which the command ended, or 0."""
    import signal  # noqa: PLC0415 - see PIPE

    until = time.monotonic_ns() + int(grace * 1e9)
    job.signal(signal.SIGTERM)
    ended_ns = backend.wait_child(process.pid, until)
    with suppress(CgroupTimeout):
        job.wait_empty(max(0, until - time.monotonic_ns()) / 1e9)
    return ended_ns


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes and reap the command, if it ends in time."""
    import subprocess  # noqa: PLC0415 - see PIPE

    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(REAP_S)


def _decoded(output: bytes, *, text: bool) -> str | bytes:
    import locale  # noqa: PLC0415 - see PIPE

    return output.decode(locale.getpreferredencoding(False), "replace") if text else output


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Write to the command's stdin in a thread, and close the pipe.  A command need not read all data."""
    from ..core.threads import start_thread  # noqa: PLC0415 - see PIPE

    pipe = process.stdin
    assert pipe is not None

    def write() -> None:
        with suppress(BrokenPipeError), pipe:
            pipe.write(data)

    start_thread(write, "cgroups input", "cannot write to the command")


class _Output:
    """A thread that reads a pipe."""

    LAST = 1.0
    """Seconds to wait for the end of a pipe: a process outside of the cgroups may hold the pipe open."""

    def __init__(self, pipe: IO[bytes]) -> None:
        from ..core.threads import start_thread  # noqa: PLC0415 - see PIPE

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
        """Return the output, after the processes have ended."""
        self._thread.join(self.LAST)
        return b"".join(self._parts)


# ---- samples -----------------------------------------------------------------------------


class _Samples:
    """Frames of a job, sampled by a thread at multiples of an interval.  Missed multiples are skipped."""

    def __init__(self, job: Job, interval: float) -> None:
        from threading import Event, Thread  # noqa: PLC0415 - see PIPE

        cgroups = job.cgroups
        versions = {cgroup.version for cgroup in cgroups}
        parameters: list[Any] = [Memory.usage_in_bytes, Cpuacct.usage]
        if Version.V2 in versions:
            parameters += [parameter["some", "total"] for parameter in (Cpu.pressure, Memory.pressure, Io.pressure)]
        self._sampler = Sampler(cgroups, parameters)
        self._interval = interval
        self._frames: list[Frame] = []
        self._over = Event()
        self._thread = Thread(target=self._go, daemon=True)

    def start(self) -> None:
        from ..core.threads import thread_limit  # noqa: PLC0415 - see PIPE

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
        """Return all frames, including a final one."""
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
    """Return the largest memory usage in any frame, in bytes."""
    used = [frame[cgroup, Memory.usage_in_bytes] for frame in frames for cgroup in frame.cgroups]
    return max((one for one in used if isinstance(one, int)), default=None)
