"""The command ``record``: numbers of cgroups, at each tick of a timer, into a file."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Any, NamedTuple, Optional

import typer
from rich.console import Console

from ..errors import NativeRequired, ParameterNotSupported
from ..hierarchy import Cgroup
from ..sampling.recording import nanoseconds, ticks_in
from ..sampling.sampler import Cell, Sampler
from ..values import MAX
from . import tables
from .activity import parameters_on
from .arguments import PARAMETER, Spec, cgroup_of, seconds
from .render import printable
from .values import Name, selected

__all__ = ["record"]

WAITING_BYTES = 256 << 20
WAITING_S = 30
"""Of frames that wait to be written, at most: their bytes, and the seconds that they are of."""
DRAIN_S = 0.2
LAST_S = 0.01
"""How often it is looked whether the last frame is read."""


def record(
    context: typer.Context,
    spec: Spec,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help=f"Where to: {', '.join(tables.SUFFIXES)}.")
    ],
    parameter: Annotated[
        Optional[list[Name]],  # noqa: UP045 - what typer 0.12 knows
        typer.Option("-p", "--parameter", help="What; may be given again. By default what 'watch' shows.", **PARAMETER),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="And the cgroups below, as they are now.")
    ] = False,
    interval: Annotated[
        float, typer.Option("--interval", "-i", help="Between two ticks.", **seconds(0.001, 86400))
    ] = 0.1,
    duration: Annotated[
        Optional[float],  # noqa: UP045 - what typer 0.12 knows
        typer.Option("--duration", "-d", help="How long; until Ctrl-C by default.", **seconds()),
    ] = None,
) -> None:
    """Records what cgroups use, at each tick of a timer, into a file.

    A line has a time (Unix seconds), the monotonic clock (seconds), a cgroup,
    and a number for each parameter, as the kernel counts it: CPU time in ns,
    memory in bytes. max is no limit, and what a cgroup has not is empty. It
    ends with Ctrl-C, after the duration, or when every cgroup is gone. The file
    can be read at any time, also if the command is killed or the disk is full.

    \b
    Examples: cgroups record memory:/job -o job.csv --duration 10
              cgroups record cpuacct:/jobs -r -p cpuacct.usage -i 0.001 -o jobs.parquet
    """
    top = cgroup_of(context, spec)
    rows = [*top.walk()] if recursive else [top]
    with Sampler(rows, _parameters(parameter, top)) as sampler:
        if parameter:
            _check_there(sampler)
        with closing(tables.create(output, sampler.columns)) as file:
            told = _record(sampler, file, nanoseconds(interval), duration)
        new = sampler.new_keys
    what = f"{told.ticks} ticks of {len(rows)} cgroup{'s' * (len(rows) != 1)}"
    typer.echo(f"{what} in {output}: {told.late} late, {told.lost} lost", err=True)
    for name, keys in new.items():
        came = ", ".join(dict.fromkeys(str(key[0] if isinstance(key, tuple) else key) for key in keys))
        typer.echo(f"cgroups: not in {output}, as it came after the start: {printable(came)} of {name}", err=True)


def _parameters(names: list[Name] | None, top: Cgroup) -> list[Any]:
    return [selected(name) for name in names] if names else parameters_on(top.hierarchy)


def _check_there(sampler: Sampler) -> None:
    """What was asked for by name, and no cgroup has, is a mistake."""
    frame = sampler.sample()
    states: Any = frame.status.tolist()
    for at, column in enumerate(frame.columns):
        if all(row[at] == Cell.ABSENT for row in states):
            message = f"none of the cgroups has {tables.title(column)}"
            raise ParameterNotSupported(message, parameter=str(column.parameter))


# ---- ticks -----------------------------------------------------------------------------


class _Told(NamedTuple):
    ticks: int
    late: int
    lost: int


class _Recorded:
    """Ticks of a thread of C."""

    def __init__(self, sampler: Sampler, interval: int, duration: float | None) -> None:
        cells = len(sampler.cgroups) * len(sampler.columns)
        room = WAITING_BYTES // (9 * cells + 16 * len(sampler.cgroups) + 8)
        wanted = WAITING_S * 10**9 // interval
        self._recorder = sampler.record(interval / 10**9, capacity=max(min(room, wanted), 2), duration=duration)
        self._sampler = sampler

    def wait(self) -> float:
        return DRAIN_S

    def take(self) -> Iterator[tables.Row]:
        block = self._recorder.read()
        return _rows(self._sampler, block.row_times.tolist(), block.values, block.status)

    def stop(self) -> None:
        self._recorder.stop()

    @property
    def running(self) -> bool:
        return self._recorder.running

    def told(self) -> _Told:
        one = self._recorder
        return _Told(one.ticks, one.late, one.missed + one.overruns)


class _Looped:
    """Ticks of a loop of Python, where there is no such thread."""

    def __init__(self, sampler: Sampler, interval: int, duration: float | None) -> None:
        self._sampler, self._interval = sampler, interval
        self._due = time.monotonic_ns() + interval
        self._left = None if duration is None else ticks_in(duration, interval)
        self._told = _Told(0, 0, 0)
        self.running = True

    def wait(self) -> float:
        return max(0.0, (self._due - time.monotonic_ns()) / 1e9)

    def take(self) -> Iterator[tables.Row]:
        if not self.running or time.monotonic_ns() < self._due:
            return iter(())
        frame = self._sampler.sample()
        late = frame.timestamp_ns - self._due > self._interval // 10
        self._due += self._interval
        self._told = _Told(self._told.ticks + 1, self._told.late + late, self._told.lost)
        self._end_ticks(1)
        self._lose()
        self.running &= set(frame.status.cast("B")) != {Cell.GONE}
        return _rows(self._sampler, [frame.row_times.tolist()], [frame.values], [frame.status])

    def _end_ticks(self, count: int) -> None:
        if self._left is not None:
            self._left -= count
            self.running &= self._left > 0

    def _lose(self) -> None:
        """Count the ticks that are due, and whose time is over."""
        passed = max((time.monotonic_ns() - self._due) // self._interval + 1, 0)
        lost = passed if self._left is None else min(passed, self._left)
        self._told = self._told._replace(lost=self._told.lost + lost)
        self._due += lost * self._interval
        self._end_ticks(lost)

    def stop(self) -> None:
        if self.running:
            self._lose()
        self.running = False

    def told(self) -> _Told:
        return self._told


def _start(sampler: Sampler, interval: int, duration: float | None) -> _Recorded | _Looped:
    try:
        return _Recorded(sampler, interval, duration)
    except NativeRequired:
        return _Looped(sampler, interval, duration)


def _record(sampler: Sampler, file: tables.Writer, interval: int, duration: float | None) -> _Told:
    if duration is not None and round(duration * 10**9) < interval:
        return _Told(0, 0, 0)  # it is over before the first tick
    end = None if duration is None else time.monotonic() + duration
    with _interrupted() as interrupted, _progress(end) as tell:
        ticks = _start(sampler, interval, duration)
        try:
            while ticks.running and not interrupted.is_set():
                left = ticks.wait() if end is None else max(end - time.monotonic(), LAST_S)
                interrupted.wait(min(left, ticks.wait()))
                file.write(ticks.take())
                tell(ticks.told())
        finally:
            ticks.stop()
        file.write(ticks.take())
        return ticks.told()


def _rows(sampler: Sampler, times: Any, values: Any, statuses: Any) -> Iterator[tables.Row]:
    """Frames as rows of a file."""
    since = time.time_ns() - time.monotonic_ns()
    names = [printable(str(cgroup)) for cgroup in sampler.cgroups]
    scaled = [at for at, column in enumerate(sampler.columns) if column.scale != 1]
    for at, read in enumerate(times):
        # One frame at a time: as lists they take eight times the memory.
        numbers, states = _lists(values, at), _lists(statuses, at)
        for name, taken, row, marks in zip(names, read, numbers, states):
            for column in scaled:
                row[column] /= sampler.columns[column].scale
            yield (since + taken, taken, name, *(map(_cell, row, marks) if any(marks) else row))


def _lists(frames: Any, at: int) -> list[list[Any]]:
    """One frame of a block's memory, or of a list of frames'."""
    if isinstance(frames, list):
        table: list[list[Any]] = frames[at].tolist()
        return table
    _, rows, columns = frames.shape
    flat = frames.cast("B").cast(frames.format)[at * rows * columns : (at + 1) * rows * columns].tolist()
    return [flat[start : start + columns] for start in range(0, rows * columns, columns)]


def _cell(value: Any, mark: int) -> Any:
    if mark == Cell.MAX:
        return MAX
    if mark == Cell.RANGE:
        return value % 2**64
    return value if mark == Cell.OK else None


# ---- the terminal ------------------------------------------------------------------------


@contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """Set by a signal that asks to end, which otherwise would end it between two lines, or within one.

    A signal that whoever started it wants ignored, as nohup does with SIGHUP, stays ignored.
    """
    event = threading.Event()
    ending = [signal.SIGINT, signal.SIGTERM]
    ending += [one for one in (signal.SIGHUP, signal.SIGQUIT) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, lambda *_: event.set()) for one in ending}
    try:
        yield event
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _progress(end: float | None) -> Iterator[Callable[[_Told], None]]:
    """A line on the terminal, of what is done and what is left; nowhere else."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("recording") as status:

        def tell(told: _Told) -> None:
            left = "" if end is None else f", {max(0.0, end - time.monotonic()):.0f} s to go"
            status.update(f"recording: {told.ticks} ticks, {told.late} late, {told.lost} lost{left}")

        yield tell
