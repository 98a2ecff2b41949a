"""The command ``plot``: draw charts of what ``record`` has written."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from ..core.errors import InvalidValue
from .common import tables
from .common.charts import FORMATS, check, draw
from .common.panels import panels_of

__all__ = ["plot"]


def plot(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File that 'cgroups record' wrote.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="CHART", help=f"Chart file: {', '.join(FORMATS)}.")],
    parameter: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(
            "-p",
            "--parameter",
            "-c",
            "--column",
            metavar="NAME",
            help="Vital, column or parameter to draw (repeatable); default: the vitals that are not always 0.",
        ),
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Draw light lines on a dark ground.")] = False,
) -> None:
    """Draw a recording: one panel per figure, one line per cgroup.

    The units are CPUs, MiB, MiB/s and %.  A dashed line is a memory limit, and
    a cross is an OOM kill.  If the file has more than 30 cgroups, the busiest
    30 have colours and names, and the others are grey.

    Raw numbers, of 'record --all', are drawn as vitals too.  A file of a few
    parameters ('record -p') shows the first that change.  A counter is drawn as
    its rise per second, by the monotonic clock.  If the file was cut short, its
    complete rows are drawn.

    \b
    Examples: cgroups plot job.csv -o job.svg
              cgroups plot job.csv -o job.png --dark -p memory -p cpu
              cgroups plot raw.csv -o raw.png -p memory.usage_in_bytes -p memory.pressure
    """
    check(output)
    table = tables.read(file)
    if table.missing is not None:
        typer.echo(f"cgroups: {file}: {table.missing}", err=True)
    if not table.rows:
        message = f"cannot draw {file}: it has no rows"
        raise InvalidValue(message, path=file)
    draw(panels_of(table, parameter or ()), output, dark=dark)
