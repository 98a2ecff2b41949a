"""The command ``run``: start a command in fresh cgroups, and report its resource usage."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Annotated, Any, NoReturn, Optional

import typer

from ..control.placement import AUTO, PLACES, Wish
from ..control.plain_limits import PlainLimits
from ..core.errors import CgroupError, InvalidValue, SystemdWarning
from ..core.signals import SIGNALS
from ..hierarchy import LOCAL, Cgroup
from ..jobs.job import cgroup_for
from ..jobs.measured import run_through
from ..jobs.report import Report
from ..parameters import Parameters
from ..parents import parents_of
from .common.arguments import AsJson, cgroup_of, host_of, parameter_of, seconds
from .common.charts import FORMATS, check, draw
from .common.conditions import guard_named
from .common.panels import panels_of
from .common.render import as_json, printable
from .common.report import data, text
from .common.thinned import Thinned
from .common.values import value_of

__all__ = ["CANNOT_RUN", "FAILED", "NOT_FOUND", "STDERR", "STDOUT", "TIMED_OUT", "run"]

STDOUT = "-"
"""The file name that means standard output."""

TIMED_OUT, FAILED, CANNOT_RUN, NOT_FOUND = 124, 125, 126, 127
"""Exit codes, the same as those of timeout, env and the shells."""

STDERR = 2


def run(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="Command to run, with its arguments.")],
    memory: Annotated[
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option("-m", "--memory", metavar="SIZE", help="Memory limit, such as 512M, without swap; default: none."),
    ] = None,
    cpus: Annotated[
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(metavar="NUMBER", help="CPU limit, such as 1.5 or 50%; default: none."),
    ] = None,
    pids: Annotated[
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(metavar="COUNT", help="Limit of processes and threads; default: none."),
    ] = None,
    swap: Annotated[
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(metavar="SIZE", help="Swap limit beyond --memory, such as 1G; default: 0 with --memory."),
    ] = None,
    io_weight: Annotated[
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(metavar="1-10000", help="Share of IO, relative to other cgroups; default: 100."),
    ] = None,
    limit: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(metavar="PARAMETER=VALUE", help="Any other limit, such as memory.high=512M (repeatable)."),
    ] = None,
    timeout: Annotated[
        Optional[float],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(help="Time to run before all is killed, such as 90s or 500ms; default: no limit.", **seconds()),
    ] = None,
    grace: Annotated[
        Optional[float],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(help="Time between SIGTERM and SIGKILL after --timeout; default: SIGKILL at once.", **seconds()),
    ] = None,
    sample: Annotated[
        Optional[float],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(
            help="Time between samples of memory, CPU time and pressure; default: none. --json has them.", **seconds()
        ),
    ] = None,
    guard: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(
            metavar="PARAMETER>NUMBER[:SIGNAL[:TIME]]", help="Threshold at which to send a signal (repeatable)."
        ),
    ] = None,
    interval: Annotated[
        float,
        typer.Option(help="Time between two reads of a number that a guard polls.", **seconds(0.001)),
    ] = 0.1,
    parent: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(metavar="SPEC", help="Parent of its cgroup (repeatable, once per hierarchy)."),
    ] = None,
    place: Annotated[
        str,
        typer.Option(metavar="|".join(PLACES), help="Place of its cgroups; auto tries the others in this order."),
    ] = AUTO,
    slice: Annotated[  # noqa: A002 - systemd's word
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(metavar="NAME", help="Name of the systemd slice for its scope, to share a limit."),
    ] = None,
    move_self: Annotated[
        bool,
        typer.Option("--move-self", help="Move this command and the processes beside it into a leaf cgroup."),
    ] = False,
    output: Annotated[
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option("-o", "--output", metavar="FILE", help="File for the report; - is stdout; default: stderr."),
    ] = None,
    json: AsJson = False,
    plot: Annotated[
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(metavar="CHART", help=f"Chart of the command's vitals to draw: {', '.join(FORMATS)}."),
    ] = None,
) -> None:
    """Run a command in fresh cgroups, and report its resource usage.

    The report on stderr covers the command and all its descendants: time,
    memory, IO, pressure.  When the command exits, processes that it
    leaves behind are killed.

    The cgroups are created below your own, or in a scope from systemd, without
    root.  If neither works, a command without limits runs nevertheless, and
    the report marks estimated figures.

    \b
    The exit code is that of the command, or 128 plus the number of the signal
    that ended the command, or one of these:
      124  timed out
      125  not started; a limit was refused, or no cgroup can be created
      126  cannot be executed
      127  not found

    A --guard sends a signal to all processes of the command when a number
    crosses its threshold.  The default signal is SIGTERM.  Processes left
    after TIME are killed.  PARAMETER/s is the rise of a number per second.
    Numbers have the same forms as for 'cgroups set'.

    A --plot is drawn when the command has exited: see 'cgroups plot'.  Its
    samples are 10 ms apart for 20 s.  For a longer command the distance grows,
    since at most 2,000 samples are kept.  --sample gives another, constant one.

    A first interrupt goes to the command; a second one kills all its processes.

    \b
    Examples: cgroups run -- make -j4
              cgroups run -m 512M --cpus 1.5 --pids 100 -- ./job

    \b
              cgroups run --guard 'memory.usage_in_bytes>400M:TERM:5' -- ./job
              cgroups run --json --sample 0.01 -o report.json -- ./job
              cgroups run --plot job.svg -- make -j4
    """
    # The cgroups are removed when the command exits, so a conflict with systemd is no concern.
    warnings.simplefilter("ignore", SystemdWarning)
    if host_of(context) != LOCAL:
        raise typer.BadParameter("run takes no --root: it starts a command on this host")
    # If SIGCHLD is ignored, the kernel reaps the command, and its exit status is lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    SIGNALS.take_all()
    _occupy_streams()
    file = _opened(output)
    charts: list[Thinned] = []

    def chart(cgroups: Sequence[Cgroup]) -> Thinned:
        charts.append(Thinned(printable(" ".join(command)), cgroups, sample))
        return charts[0]

    try:
        if plot is not None:
            check(plot)
            _create(plot)
        guards = [guard_named(word, interval) for word in guard or []]
        parents = None if parent is None else [cgroup_of(context, one) for one in parent]
        options = {"guards": guards, "sample": sample, "timeout": timeout, "grace": grace, "parent": parents}
        alongside = None if plot is None else chart
        plain = PlainLimits(memory, cpus, pids, swap, io_weight)
        wish = Wish(LOCAL, place=place, slice=slice, move_self=move_self)
        report, interrupt = _run(
            command, _limits(limit or [], parents), plain=plain, wish=wish, alongside=alongside, **options
        )
    except CgroupError as error:
        _fail(error.for_command(), FAILED)
    _write(as_json(data(report)) + "\n" if json else text(report), file, output)
    if plot is not None:
        _draw(charts, plot)
    if interrupt is not None and not isinstance(interrupt, KeyboardInterrupt):
        raise interrupt  # a signal ended this command: it exits with 128 plus the signal's number
    raise typer.Exit(TIMED_OUT if report.timed_out else report.exit_code)


# ---- output of the report ----------------------------------------------------------------


def _occupy_streams() -> None:
    """Occupy closed standard streams, so that no other file gets their numbers.  They stay closed for the command."""
    while (fd := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= STDERR:
        pass
    os.close(fd)


def _opened(output: str | None) -> IO[str] | None:
    """Return an empty file for the report; None if the report goes to stderr and stderr is closed."""
    if output is None:
        return sys.stderr
    if output == STDOUT:
        return sys.stdout
    try:
        # Open the file before the start: a command must not run for hours without a report.
        return open(output, "w", encoding="utf-8")
    except OSError as error:
        _fail(f"cannot write {output}: {error.strerror}", FAILED)


def _write(text: str, file: IO[str] | None, output: str | None) -> None:
    """Write the report, or print the failure.  The exit code stays that of the command."""
    if file is None:
        return
    try:
        print(text, end="", file=file, flush=True)
        if output not in (None, STDOUT):
            file.close()
    except OSError as error:
        if output is not None:
            with suppress(OSError):  # close() writes the rest first, and closes the file even if this write fails
                file.close()
            _say(f"cannot write the report to {output}: {error.strerror}")
        else:
            _drop_stderr()


def _create(plot: str) -> None:
    """Create the file of a chart before the start; keep an existing one until the chart is drawn."""
    try:
        os.close(os.open(plot, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
    except OSError as error:
        _fail(f"cannot write {plot}: {error.strerror}", FAILED)


def _draw(charts: Sequence[Thinned], plot: str) -> None:
    """Draw the chart, or print the failure.  The exit code stays that of the command."""
    try:
        if charts:
            draw(panels_of(charts[0].table()), plot)
            return
        why = "the command ran in no cgroup"
    except (CgroupError, OSError) as error:
        why = getattr(error, "strerror", None) or str(error)
    _say(f"cannot draw {plot}: {why}")
    with suppress(OSError):
        if os.path.isfile(plot) and not os.path.getsize(plot):
            os.unlink(plot)


def _say(message: str) -> None:
    try:
        if sys.stderr is not None:
            typer.echo(f"cgroups: {printable(' '.join(message.splitlines()))}", err=True)
    except OSError:
        _drop_stderr()


def _drop_stderr() -> None:
    """Detach stderr, or the interpreter flushes it again at exit, fails, and exits with 120."""
    sys.stderr = None


def _fail(message: str, code: int) -> NoReturn:
    _say(message)
    raise typer.Exit(code)


def _run(command: Sequence[str], limits: dict[Any, Any], **options: Any) -> tuple[Report, BaseException | None]:
    try:
        return run_through(command, limits=limits, streams={}, **options)
    except CgroupError:
        raise
    except OSError as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN
        _fail(f"cannot run {command[0]}: {error.strerror}", code)


# ---- limits ------------------------------------------------------------------------------


def _limits(words: Sequence[str], parent: list[Cgroup] | None) -> dict[Parameters.Parameter, Any]:
    """Return limits from words such as ``memory.max=512M``, with values for the version of each hierarchy."""
    parents = parents_of(parent)
    found: dict[Parameters.Parameter, Any] = {}
    for word in words:
        left, equals, right = word.partition("=")
        if not equals:
            message = f"limit must be PARAMETER=VALUE, such as memory.max=512M, got {word!r}"
            raise typer.BadParameter(message)
        name = parameter_of(left, Parameters.Writable)
        parameter = name.parameter
        if name.keys or not isinstance(parameter, Parameters.Writable):
            message = f"{name} cannot be a limit: {'a key can only be read' if name.keys else 'it is read-only'}"
            raise typer.BadParameter(message)
        try:
            value = value_of(parameter, cgroup_for(parameter, parents).version, right)
        except InvalidValue as error:
            message = f"cannot set {parameter}: {error.message}"
            raise InvalidValue(message, parameter=str(parameter), hint=error.hint) from None
        if parameter in found:
            message = f"{parameter} is given twice"
            raise typer.BadParameter(message)
        found[parameter] = value
    return found
