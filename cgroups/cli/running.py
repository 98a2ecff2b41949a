"""The command ``run``: starts a command in fresh cgroups, and tells what it used."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Annotated, Any, NoReturn, Optional

import typer

from .._signals import SIGNALS
from ..errors import CgroupError, InvalidValue, SystemdWarning
from ..group import parents_of
from ..host import LOCAL
from ..job import cgroup_for
from ..report import Report, Stall
from ..running import run_through
from ..sampling.sampler import Frame
from ..subsystem import Parameters
from .arguments import AsJson, host_of, parameter_of, seconds
from .conditions import guard_named
from .render import SECOND, as_json, printable, size
from .values import Data, plain, value_of

__all__ = ["run"]

STDOUT = "-"
"""The name of the file that means standard output."""

TIMED_OUT, FAILED, CANNOT_RUN, NOT_FOUND = 124, 125, 126, 127
"""Exit codes, as of timeout, env and the shells."""

STDERR = 2


def run(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="What to run, and its arguments.")],
    limit: Annotated[
        Optional[list[str]],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(metavar="PARAMETER=VALUE", help="A limit, as memory.max=512M; may be given again."),
    ] = None,
    timeout: Annotated[
        Optional[float],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(help="Kill all of it after this time, such as 90s or 500ms.", **seconds()),
    ] = None,
    grace: Annotated[
        Optional[float],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(help="On timeout send SIGTERM first, and kill what is left after this time.", **seconds()),
    ] = None,
    sample: Annotated[
        Optional[float],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(help="Sample memory, CPU time and pressure this often; --json has the samples.", **seconds()),
    ] = None,
    guard: Annotated[
        Optional[list[str]],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(metavar="PARAMETER>NUMBER[:SIGNAL[:TIME]]", help="Send it a signal when a number is passed."),
    ] = None,
    interval: Annotated[
        float,
        typer.Option(help="Time between two looks of a guard, where it has to poll.", **seconds(0.001)),
    ] = 0.1,
    parent: Annotated[
        Optional[list[str]],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(metavar="SPEC", help="Make its cgroup below this one; once for each hierarchy to use."),
    ] = None,
    output: Annotated[
        Optional[str],  # noqa: UP045 - what typer 0.12 knows
        typer.Option("-o", "--output", metavar="FILE", help="Write the report there, not to stderr; - is stdout."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Runs a command in fresh cgroups, and reports what it used.

    That is the use of the command and of all processes that came of it: time,
    memory, IO, pressure.  The report goes to stderr.  What the command leaves
    behind is killed when it ends.

    The cgroups are made below your own.  On v2 these cannot have controllers,
    so limits, memory and IO need a --parent without processes.

    \b
    Exits as the command does, with 128 and the number of a signal that ended it, or with
      124  the time was over
      125  it was not started: a limit was refused, or no cgroup may be made
      126  it cannot be run
      127  it was not found

    A --guard sends a signal, SIGTERM if none is named, to all of its
    processes once a number is passed, and kills what is left after the TIME;
    PARAMETER/s is the number's rise per second.  Numbers are written as for 'cgroups set'.

    The first interrupt is the command's own; a second one kills all of it.

    \b
    Examples: cgroups run -- make -j4
              cgroups run --limit memory.max=512M --limit pids.max=100 -- ./job
              cgroups run --guard 'memory.usage_in_bytes>400M:TERM:5' -- ./job
              cgroups run --json --sample 0.01 -o report.json -- ./job
    """
    # Its cgroups are the command's own, and gone with it: nothing that systemd would have to know.
    warnings.simplefilter("ignore", SystemdWarning)
    if host_of(context) != LOCAL:
        raise typer.BadParameter("run starts a command on this host, and takes no --root")
    # Ignored by whoever started this, the kernel would reap the command, and how it ended would be lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    SIGNALS.take_all()
    _occupy_streams()
    file = _opened(output)
    try:
        guards = [guard_named(word, interval) for word in guard or []]
        options = {"guards": guards, "sample": sample, "timeout": timeout, "grace": grace, "parent": parent}
        report = _run(command, _limits(limit or [], parent), **options)
    except CgroupError as error:
        _fail(error.for_command(), FAILED)
    _write(as_json(_data(report)) + "\n" if json else _text(report), file, output)
    raise typer.Exit(TIMED_OUT if report.timed_out else report.exit_code)


# ---- where the report goes ---------------------------------------------------------------


def _occupy_streams() -> None:
    """Keep other files from the numbers of standard streams that are closed; the command has them closed too."""
    while (fd := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= STDERR:
        pass
    os.close(fd)


def _opened(output: str | None) -> IO[str] | None:
    """Return the file of the report; None if it would go to stderr, and that is closed."""
    if output is None:
        return sys.stderr
    if output == STDOUT:
        return sys.stdout
    try:
        # Before the start: a report that cannot be written is no reason to run for hours.
        return open(output, "w", encoding="utf-8")
    except OSError as error:
        _fail(f"cannot write {output}: {error.strerror}", FAILED)


def _write(text: str, file: IO[str] | None, output: str | None) -> None:
    """Write the report; if that fails, say so: the exit code is the command's all the same."""
    if file is None:
        return
    try:
        print(text, end="", file=file, flush=True)
        if output not in (None, STDOUT):
            file.close()
    except OSError as error:
        if output is not None:
            with suppress(OSError):  # it tries to write what is left, and is closed all the same
                file.close()
            _say(f"cannot write the report to {output}: {error.strerror}")
        else:
            _drop_stderr()


def _say(message: str) -> None:
    try:
        if sys.stderr is not None:
            typer.echo(f"cgroups: {printable(' '.join(message.splitlines()))}", err=True)
    except OSError:
        _drop_stderr()


def _drop_stderr() -> None:
    """Let the interpreter not try again at its end to write what could not be written: it would exit with 120."""
    sys.stderr = None


def _fail(message: str, code: int) -> NoReturn:
    _say(message)
    raise typer.Exit(code)


def _run(command: Sequence[str], limits: dict[Any, Any], **options: Any) -> Report:
    try:
        return run_through(command, limits=limits, streams={}, **options)[0]
    except CgroupError:
        raise
    except OSError as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN
        _fail(f"cannot run {command[0]}: {error.strerror}", code)


# ---- limits ------------------------------------------------------------------------------


def _limits(words: Sequence[str], parent: list[str] | None) -> dict[Parameters.Parameter, Any]:
    """``memory.max=512M`` and the like, as the version of its hierarchy has it."""
    parents = parents_of(parent)
    found: dict[Parameters.Parameter, Any] = {}
    for word in words:
        left, equals, right = word.partition("=")
        if not equals:
            message = f"{word!r} is not PARAMETER=VALUE, as memory.max=512M"
            raise typer.BadParameter(message)
        name = parameter_of(left, Parameters.Writable)
        parameter = name.parameter
        if name.keys or not isinstance(parameter, Parameters.Writable):
            message = f"{name} cannot be a limit: {'a key is read alone' if name.keys else 'it is read-only'}"
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


# ---- what is told ------------------------------------------------------------------------


def _data(report: Report) -> dict[str, Data]:
    """All of it, as JSON has it."""
    found: dict[str, Data] = {}
    for name, value in report._asdict().items():
        match value:
            case Stall():
                found[name] = value._asdict()
            case tuple() if name == "samples":
                began = value[0].timestamp_ns if value else 0
                found[name] = [{"time_ns": one.timestamp_ns - began, **_sample(one)} for one in value]
            case tuple() if name == "fired":
                found[name] = [{"what": one.what, "file": one.file, "after": plain(one.after)} for one in value]
            case _ if name not in ("stdout", "stderr"):  # they are the terminal's
                found[name] = plain(value)
    return {**found, "exit_code": report.exit_code, "signal": report.signal}


def _sample(frame: Frame) -> dict[str, Data]:
    """The numbers of a frame by parameter, whichever of the cgroups has it."""
    found: dict[str, Data] = {}
    for at in range(len(frame)):
        for column, value in zip(frame.columns, frame.row(at)):
            if value is not None or str(column.parameter) not in found:
                found[str(column.parameter)] = value
    return found


def _text(report: Report) -> str:
    """A few lines for people."""
    lines = {
        "command": " ".join(report.args),
        "ended": _ending(report),
        "time": _seconds(report.wall_ns),
        "cpu": _cpu(report),
        "memory": _memory(report),
        "read": _moved(report.read_bytes, report.reads),
        "written": _moved(report.written_bytes, report.writes),
        **{f"{name} stall": _stall(getattr(report, f"{name}_stall")) for name in ("cpu", "memory", "io")},
        "oom kills": "" if report.oom_kills is None else str(report.oom_kills),
        "samples": str(len(report.samples)) if report.samples else None,
        "guards": ", ".join(f"{one.file} {one.what}: {one.after}" for one in report.fired) or None,
    }
    text = "".join(f"{name:12} {printable(line or UNKNOWN)}\n" for name, line in lines.items() if line is not None)
    text += "".join(f"{name} was not measured: {printable(why)}\n" for name, why in report.missing.items())
    return text + "".join(
        f"{printable(spec)} was left by a runner that was killed: {_removal(spec)} removes it\n"
        for spec in report.abandoned
    )


def _removal(spec: str) -> str:
    words = printable(spec)
    return f"""'cgroups remove -rk {words if words == shlex.quote(words) else f'"{words}"'}'"""


UNKNOWN = "-"


def _ending(report: Report) -> str:
    how = f"exit status {report.returncode}"
    if report.signal is not None:
        known = {one.value: one.name for one in signal.Signals}
        how = f"ended by {known.get(report.signal, f'signal {report.signal}')}"
    if report.timed_out:
        how += ", the time was over"
    return f"{how}; processes killed: {report.killed}" if report.killed else how


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.3f} s" if nanoseconds >= SECOND else f"{nanoseconds / 1e6:.3f} ms"


def _cpu(report: Report) -> str:
    if report.cpu_ns is None:
        return ""
    words = [f"{report.cpu_ns / max(1, report.wall_ns):.2f} CPUs"]
    for name, value in (("user", report.user_ns), ("system", report.system_ns)):
        words += [] if value is None else [f"{name} {_seconds(value)}"]
    return f"{_seconds(report.cpu_ns)} ({', '.join(words)})"


def _memory(report: Report) -> str:
    if report.memory_peak is None:
        return ""
    return f"{size(report.memory_peak)} at most{' (sampled)' if report.memory_sampled else ''}"


def _moved(number: int | None, requests: int | None) -> str:
    if number is None:
        return ""
    return size(number) if requests is None else f"{size(number)} in {requests} requests"


def _stall(stall: Stall | None) -> str:
    if stall is None or stall.some_ns is None:
        return ""
    full = "" if stall.full_ns is None else f", full {_seconds(stall.full_ns)}"
    return f"some {_seconds(stall.some_ns)}{full}"
