"""The command ``record``: write numbers of cgroups to a file at each tick of a timer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Any, Optional

import typer
from rich.console import Console

from ..core.errors import ParameterNotSupported
from ..hierarchy import Cgroup
from ..observe.recorder import nanoseconds
from ..observe.sampler import Cell, Sampler
from .common import rows, tables
from .common.arguments import PARAMETER, seconds
from .common.interrupt import interrupted
from .common.merged import merged
from .common.render import printable
from .common.several import Failures, are_several, targets_of
from .common.ticks import LAST_S, Figures, Form, Raw, Told, start
from .common.values import Name, selected
from .common.vitals import SOURCES, Vitals, parameters_on

__all__ = ["record"]


def record(
    context: typer.Context,
    specs: Annotated[
        list[str], typer.Argument(metavar="SPEC", help="Cgroups to record: memory:/a/b, ssh.service, '/jobs/*', …")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help=f"File to write: {', '.join(tables.SUFFIXES)}.")
    ],
    parameter: Annotated[
        Optional[list[Name]],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option("-p", "--parameter", help="Parameter to record in the kernel's units (repeatable).", **PARAMETER),
    ] = None,
    is_all: Annotated[
        bool, typer.Option("--all", help="Record all numbers behind the vitals, in the kernel's units.")
    ] = False,
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Also record the cgroups that exist below at the start.")
    ] = False,
    interval: Annotated[
        float, typer.Option("--interval", "-i", help="Time between two ticks, such as 10ms.", **seconds(0.001, 86400))
    ] = 0.1,
    duration: Annotated[
        Optional[float],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option("--duration", "-d", help="Time to record, such as 90s; default: until Ctrl-C.", **seconds()),
    ] = None,
) -> None:
    """Record the usage of cgroups in a file, at each tick of a timer.

    A line has a time (Unix seconds), the monotonic clock (seconds), a cgroup,
    and its vitals.  A missing figure is empty.

    \b
      cpu           CPUs busy: 1.5 is one and a half.
      throttled     Share of periods throttled by a CPU limit, 0 to 1.
      memory        Bytes, including page cache.
      working_set   Bytes, without inactive file pages.
      swap          Bytes.
      limit         The cgroup's own memory limit in bytes, or max.
      oom_kills     Processes killed for lack of memory.
      read_bytes    Bytes per second from block devices.
      write_bytes   Bytes per second to block devices.
      reads         Read operations per second.
      writes        Write operations per second.
      pids          Processes and threads.

    \b
      cpu_pressure, memory_pressure, io_pressure:
                    Share of time that some task waited, 0 to 1.

    Rates, shares and oom_kills cover the time since the previous line of the
    cgroup.  A line covers all hierarchies that have a cgroup of this name.

    With --all or -p the numbers are the kernel's, one line per hierarchy: CPU
    time in ns, memory in bytes, counters since the start.  max means no limit.

    The recording ends with Ctrl-C, after --duration, or when all cgroups are
    removed.  The file can be read at any time, even if the command is killed
    or the disk is full.  A kill loses the lines that are not yet written: those
    of the last 0.2 s.  For .parquet these are the last 2 s, or the last 5% of a
    long recording.

    SPEC can be a pattern, such as '/jobs/*': see 'cgroups get'.  The
    cgroups are those that match at the start.  A SPEC that matches no cgroup
    is one line on stderr; the others are recorded, and the exit code is 1.

    \b
    Examples: cgroups record /job -o job.csv --duration 10
              cgroups record '/jobs/*' ssh.service -o jobs.csv
              cgroups record cpuacct:/jobs -r -p cpuacct.usage -i 0.001 -o jobs.parquet
    """
    if parameter and is_all:
        message = "--all and -p exclude each other"
        raise typer.BadParameter(message)
    failures = Failures(is_single=not are_several(specs, recursive=recursive))
    form: Form
    if parameter or is_all:
        cgroups = _rows_of(context, specs, parameter, failures, recursive=recursive)
        form = Raw(Sampler(cgroups, _parameters(parameter, cgroups)))
    else:
        form = Figures(Vitals(merged(context, specs, failures=failures, recursive=recursive)))
    with form.sampler as sampler:
        if parameter:
            _check_there(sampler)
        with closing(tables.create(output, form.columns)) as file:
            told = _record(form, file, nanoseconds(interval), duration)
        new = sampler.new_keys
    what = f"{told.ticks} ticks of {form.count} cgroup{'s' * (form.count != 1)}"
    typer.echo(f"{what} in {output}: {told.late} late, {told.lost} lost", err=True)
    for name, keys in new.items():
        came = ", ".join(dict.fromkeys(str(key[0] if isinstance(key, tuple) else key) for key in keys))
        typer.echo(f"cgroups: {output} lacks keys that appeared after the start: {printable(came)} of {name}", err=True)
    failures.end()


def _rows_of(
    context: typer.Context, specs: list[str], names: list[Name] | None, failures: Failures, *, recursive: bool
) -> list[Cgroup]:
    """Return the cgroups to record, each once.  If a SPEC names no hierarchy, the first parameter decides."""
    name = names[0] if names else None
    found: list[Cgroup] = []
    targets = targets_of(context, specs, [name] if name else [], failures=failures, recursive=recursive)
    failures.each(targets, lambda target: found.append(target.cgroup(name)))
    if not found:
        failures.end()
    return list(dict.fromkeys(found))


def _parameters(names: list[Name] | None, rows: list[Cgroup]) -> list[Any]:
    if names:
        return [selected(name) for name in names]
    hierarchies = dict.fromkeys(cgroup.hierarchy for cgroup in rows)
    return list(dict.fromkeys(parameter for one in hierarchies for parameter in parameters_on(one, SOURCES)))


def _check_there(sampler: Sampler) -> None:
    """Raise ParameterNotSupported if no cgroup has a parameter that was named."""
    frame = sampler.sample()
    states: Any = frame.status.tolist()
    for at, column in enumerate(frame.columns):
        if all(row[at] == Cell.ABSENT for row in states):
            message = f"no given cgroup has {column.title}"
            raise ParameterNotSupported(message, parameter=str(column.parameter))


def _record(form: Form, file: rows.Writer, interval: int, duration: float | None) -> Told:
    if duration is not None and round(duration * 10**9) < interval:
        return Told(0, 0, 0)  # the recording ends before the first tick
    end = None if duration is None else time.monotonic() + duration
    with interrupted() as ended, _progress(end) as tell:
        ticks = start(form, interval, duration)
        try:
            while ticks.running and not ended.is_set():
                left = ticks.wait() if end is None else max(end - time.monotonic(), LAST_S)
                ended.wait(min(left, ticks.wait()))
                file.write(ticks.take())
                tell(ticks.told())
        finally:
            ticks.stop()
        file.write(ticks.take())
        return ticks.told()


# ---- the terminal ------------------------------------------------------------------------


@contextmanager
def _progress(end: float | None) -> Iterator[Callable[[Told], None]]:
    """Show the ticks so far and the time left in one line of a terminal; do nothing without a terminal."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("recording") as status:

        def tell(told: Told) -> None:
            left = "" if end is None else f", {max(0.0, end - time.monotonic()):.0f} s to go"
            status.update(f"recording: {told.ticks} ticks, {told.late} late, {told.lost} lost{left}")

        yield tell
