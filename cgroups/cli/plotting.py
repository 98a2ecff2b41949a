"""The command ``plot``: a chart of what ``record`` has written."""

from __future__ import annotations

import os
from itertools import islice, pairwise
from typing import Annotated, Any, Optional

import typer

from ..errors import InvalidValue
from ..values import UNKNOWN, Quantity
from . import tables
from .values import named

__all__ = ["plot"]

FORMATS = (".svg", ".png", ".pdf")
MOST = 6
"""Charts that are drawn where nobody says which."""

Line = list[tuple[float, float]]


def plot(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What 'cgroups record' has written.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="CHART", help=f"Where to: {', '.join(FORMATS)}.")],
    column: Annotated[
        Optional[list[str]],  # noqa: UP045 - what typer 0.12 knows
        typer.Option("--column", "-c", help="Of which numbers; may be given again. By default the first that move."),
    ] = None,
) -> None:
    """Draws what was recorded: a chart for each number, a line for each cgroup.

    A counter is drawn as its growth per second, by the monotonic clock. Of a
    file that was cut short all that is whole is drawn.

    \b
    Examples: cgroups plot job.csv -o job.svg
              cgroups plot job.csv -o job.png -c memory.usage_in_bytes -c cpuacct.usage
    """
    if os.path.splitext(output)[1] not in FORMATS:
        message = f"{output}: a chart's name has to end in one of {', '.join(FORMATS)}"
        raise InvalidValue(message, path=output)
    table = tables.read(file)
    if table.missing is not None:
        typer.echo(f"cgroups: {file}: {table.missing}", err=True)
    if not table.rows:
        message = f"cannot draw {file}: no rows are in it"
        raise InvalidValue(message, path=file)
    titles = _chosen(table, column)
    _draw({title: _lines(table, title) for title in titles}, output)


def _chosen(table: tables.Table, column: list[str] | None) -> list[str]:
    for title in column or []:
        if title not in table.titles:
            message = f"there is no column {title!r}"
            raise InvalidValue(message, hint=f"there are {', '.join(table.titles)}")
    if column:
        return column
    moving = (title for title in table.titles if any(map(_moves, _lines(table, title).values())))
    return [*islice(moving, MOST)] or table.titles[:MOST]


def _moves(line: Line) -> bool:
    return len({y for _, y in line}) > 1


def _lines(table: tables.Table, title: str) -> dict[str, Line]:
    """By cgroup, its points; of a counter, its rates."""
    at = table.titles.index(title)
    lines: dict[str, Line] = {}
    for time, cgroup, numbers in table.rows:
        number = numbers[at]
        if number is not None:
            lines.setdefault(cgroup, []).append((time, number))
    return {cgroup: _rates(line) for cgroup, line in lines.items()} if _quantity(title).counter else lines


def _quantity(title: str) -> Quantity:
    """Return the quantity of a column of a file, UNKNOWN if this version has no such parameter."""
    try:
        return named(title).quantity
    except InvalidValue:
        return UNKNOWN


def _heading(title: str) -> str:
    """Return a chart's title: the column, and the unit of what is drawn."""
    unit, counter = _quantity(title)
    if counter:
        return f"{title} ({unit} per second)"
    return f"{title} ({unit})" if unit else title


def _rates(line: Line) -> Line:
    steps = pairwise(line)
    # Where it went back it was reset, or is another cgroup's.
    return [(then, (y - x) / (then - before)) for (before, x), (then, y) in steps if then > before and y >= x]


def _draw(charts: dict[str, dict[str, Line]], output: str) -> None:
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        message = "a chart needs matplotlib"
        raise InvalidValue(message, hint="pip install 'cgroups-cffi[plot]'") from None
    mpl.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import EngFormatter

    figure, axes = plt.subplots(len(charts), squeeze=False, sharex=True, figsize=(10, 2 + 2 * len(charts)))
    start = min((x for lines in charts.values() for line in lines.values() for x, _ in line), default=0.0)
    for (title, lines), (axis,) in zip(charts.items(), axes):
        for cgroup, line in lines.items():
            axis.plot([x - start for x, _ in line], [y for _, y in line], label=cgroup, linewidth=1)
        axis.set_title(_heading(title), loc="left", fontsize="medium")
        axis.yaxis.set_major_formatter(EngFormatter())
        axis.grid(visible=True, alpha=0.3)
        _legend(axis, lines)
    axes[-1][0].set_xlabel("seconds")
    figure.tight_layout()
    figure.savefig(output)
    plt.close(figure)


def _legend(axis: Any, lines: dict[str, Line]) -> None:
    if 0 < len(lines) <= 10:  # noqa: PLR2004 - more hide the lines
        axis.legend(fontsize="x-small", loc="upper left")
