"""Draw the panels of a chart with matplotlib."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from ...core.advice import install
from ...core.errors import InvalidValue
from .panels import Line, Panel, busiest, thinned
from .vitals import VITALS

__all__ = ["FORMATS", "check", "draw", "figure_of"]

FORMATS: Final = (".svg", ".png", ".pdf")

NAMED: Final = 30
"""Most cgroups that have a colour and a name; the others are grey."""
LONGEST: Final = 60
"""Characters of a name in the legend, at most."""
SHARED: Final = 8
"""Characters of a location that is short enough to stand before each name."""

WIDTH, PANEL, ENTRY, MARGIN = 11.0, 1.5, 0.19, 0.7
"""Inches: the width of a chart, the height of a panel, of a row of the legend, and of the rest."""
HANDLE: Final = 0.6
"""Inches: the width of the line before a name of the legend, and of the space after the name."""
DPI: Final = 110
POINTS: Final = 72
"""Points of an inch."""
LETTERS: Final = 8
"""Points: the size of the letters of the legend."""


class _Theme(NamedTuple):
    """Colours: the ground, text, grid, cgroups without a name, marks, and the cgroups in their order."""

    ground: str
    text: str
    grid: str
    others: str
    mark: str
    cgroups: tuple[str, ...]


# Each is one hue in three lightnesses.  The first seven hues differ to colour-blind eyes too (Okabe and Ito).
LIGHT: Final = _Theme(
    *("#ffffff", "#1f2328", "#d0d7de", "#c2c8ce", "#cf222e"),
    (
        *("#0072b2", "#e08a00", "#009e73", "#d55e00", "#b3539b", "#3aa5e0", "#8a6d00", "#6a4fc3", "#5f8a00", "#a0522d"),
        *("#003f66", "#8f5600", "#005c43", "#7d3600", "#6b2a5b", "#1b6a97", "#4d3d00", "#3a2680", "#344d00", "#5c2c14"),
        *("#66b3dd", "#f5bd66", "#66c9ad", "#f09a5c", "#d99ccb", "#93cdf0", "#c0a84d", "#a794e6", "#a3c266", "#cf9478"),
    ),
)
DARK: Final = _Theme(
    *("#0d1117", "#e6edf3", "#30363d", "#484f58", "#ff7b72"),
    (
        *("#4db1f0", "#f0a030", "#2ecc9b", "#ff8a4c", "#e07fc7", "#9ad8ff", "#d1b64a", "#a996ff", "#a5d14a", "#d98f66"),
        *("#2a78ad", "#ad7014", "#1b8a68", "#b85a26", "#a1528c", "#5a9cc4", "#8f7b2b", "#7463c4", "#6f912b", "#9c6140"),
        *("#a6d8f7", "#f7cf94", "#96e6cd", "#ffc4a3", "#f0bfe3", "#cdecff", "#e8d99c", "#d4caff", "#d2e8a4", "#ecc7b0"),
    ),
)

SPANS: Final = ((3 * 3600, "hours", 3600), (600, "minutes", 60), (0, "seconds", 1))
"""Units of time, each from a shortest span in seconds."""


def check(output: str) -> None:
    """Raise InvalidValue if a chart of this name cannot be drawn."""
    if os.path.splitext(output)[1] not in FORMATS:
        message = f"CHART must end in one of {', '.join(FORMATS)}, got {output!r}"
        raise InvalidValue(message, path=output)
    if importlib.util.find_spec("matplotlib") is None:
        message = "a chart needs matplotlib"
        raise InvalidValue(message, hint=install("plot"))


def draw(panels: Sequence[Panel], output: str, *, dark: bool = False) -> None:
    """Draw panels to a file."""
    check(output)
    figure_of(panels, dark=dark).savefig(output, dpi=DPI)


def figure_of(panels: Sequence[Panel], *, dark: bool = False) -> Any:
    """Return a figure of panels above each other, with one axis of time, and a legend above them."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    theme = DARK if dark else LIGHT
    names = busiest(panels, NAMED)
    colours = dict(zip(names, theme.cgroups))
    style: dict[Any, Any] = {
        "text.parse_math": False,  # a name may have dollar signs
        "figure.facecolor": theme.ground,
        "axes.facecolor": theme.ground,
        "axes.edgecolor": theme.grid,
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "lines.linewidth": 1.3,
        "font.size": 9,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor"), theme.text),
        **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), theme.text),
        **dict.fromkeys(("xtick.color", "ytick.color"), theme.grid),
    }
    with mpl.rc_context(style):
        above = _above(names)
        entries = _entries(panels, names, colours, theme, above)
        columns = _columns([label for _, label in entries])
        rows = -(-len(entries) // columns)
        height = MARGIN + PANEL * len(panels) + ENTRY * (rows + bool(above))
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(len(panels), squeeze=False, sharex=True)[:, 0]
        start, unit, seconds = _span(panels)
        for panel, axis in zip(panels, axes):
            _draw_panel(axis, panel, colours, theme, lambda line: _points(line, start, seconds))
        axes[-1].set_xlabel(unit)
        handles, labels = zip(*entries) if entries else ((), ())
        figure.legend(
            handles,
            labels,
            title=f"… = {above}" if above else None,
            title_fontsize=LETTERS,
            alignment="left",
            loc="outside upper left",
            ncols=columns,
            frameon=False,
            fontsize=LETTERS,
            handlelength=1.6,
            columnspacing=1.5,
        )
        return figure


def _draw_panel(axis: Any, panel: Panel, colours: dict[str, str], theme: _Theme, points: Any) -> None:
    from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator

    for cgroup, line in sorted(panel.lines.items(), key=lambda one: one[0] in colours):
        x, y = points(line)
        # A line of one point has no length.
        dot = "." if sum(one is not None for _, one in line) <= 1 else ""
        if cgroup in colours:
            axis.plot(x, y, color=colours[cgroup], marker=dot, zorder=3)
        else:
            axis.plot(x, y, color=theme.others, marker=dot, linewidth=0.8, zorder=2)
    for line, colour in _limits(panel, colours, theme):
        axis.plot(*points(line), color=colour, linestyle=(0, (5, 3)), linewidth=1.1, zorder=4)
    for line in panel.kills.values():
        axis.plot(*points(line), **_mark(theme))
    axis.set_title(panel.heading, loc="left", fontsize="medium", fontweight="bold")
    is_count = panel.is_plain and panel.title in VITALS and VITALS[panel.title].is_whole
    axis.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10], integer=is_count))
    axis.yaxis.set_major_formatter(EngFormatter(sep="") if panel.is_plain else FuncFormatter(lambda y, _: f"{y:g}"))
    axis.margins(x=0.01)
    axis.grid(visible=True, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    if panel.title in VITALS:
        _, top = axis.get_ylim()
        axis.set_ylim(0, top if top > 0 else 1)


def _points(line: Line, start: float, seconds: float) -> tuple[list[float], list[float]]:
    line = thinned(line)
    return [(x - start) / seconds for x, _ in line], [math.nan if y is None else y for _, y in line]


def _span(panels: Sequence[Panel]) -> tuple[float, str, float]:
    """Return the start of all lines, and the unit of time for their span, with its seconds."""
    lines = [line for panel in panels for line in panel.lines.values() if line]
    times = [x for line in lines for x in (line[0][0], line[-1][0])]
    start, span = min(times, default=0.0), max(times, default=0.0) - min(times, default=0.0)
    return start, *next((unit, seconds) for shortest, unit, seconds in SPANS if span >= shortest)


def _limits(panel: Panel, colours: dict[str, str], theme: _Theme) -> Iterator[tuple[Line, str]]:
    """Yield the lines of limits and their colours.  Cgroups of one limit share a line in the colour of text."""
    by_limit: dict[tuple[float | None, ...], list[str]] = {}
    for cgroup, line in panel.limits.items():
        if cgroup in colours:
            values = tuple(y for _, y in line)
            # A limit that changes is shared by cgroups whose limits change at the same ticks.
            by_limit.setdefault(values[:1] if len({*values}) == 1 else values, []).append(cgroup)
    for values, cgroups in by_limit.items():
        lines = [panel.limits[one] for one in cgroups]
        shared = sorted(point for line in lines for point in line) if len(values) == 1 else lines[0]
        yield shared, theme.text if len(cgroups) > 1 else colours[cgroups[0]]


def _mark(theme: _Theme) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": "X",
        "markersize": 9,
        "zorder": 5,
        "clip_on": False,
        "markerfacecolor": theme.mark,
        "markeredgecolor": theme.ground,
        "markeredgewidth": 0.8,
    }


# ---- the legend ----------------------------------------------------------------------------


def _entries(
    panels: Sequence[Panel], names: Sequence[str], colours: dict[str, str], theme: _Theme, above: str
) -> list[tuple[Any, str]]:
    """Return the lines of the legend and their labels."""
    from matplotlib.lines import Line2D

    entries = [(Line2D([], [], color=colours[name], linewidth=2), _short(_below(name, above))) for name in names]
    others = {cgroup for panel in panels for cgroup in panel.lines} - {*names}
    if others:
        entries.append((Line2D([], [], color=theme.others), f"{len(others)} others"))
    if any(panel.limits for panel in panels):
        entries.append((Line2D([], [], color=theme.text, linestyle=(0, (5, 3)), linewidth=1.1), "memory limit"))
    if any(panel.kills for panel in panels):
        entries.append((Line2D([], [], **_mark(theme)), "OOM kill"))
    return entries


def _above(names: Sequence[str]) -> str:
    """Return the location above all cgroups, or of one of them: the legend has it once; '' if it is short."""
    is_one_kind = len({name.startswith("/") for name in names}) == 1  # a container's name is no location
    found = os.path.commonpath(names) if len(names) > 1 and is_one_kind else ""
    return found if len(found) > SHARED else ""


def _below(name: str, above: str) -> str:
    return f"…{name.removeprefix(above)}" if above and name != above else name


def _short(name: str) -> str:
    """Return a name, without its middle if it is too long: its end tells cgroups apart."""
    head = LONGEST // 4
    text = name if len(name) <= LONGEST else f"{name[:head]}…{name[head + 1 - LONGEST :]}"
    return f" {text}" if text.startswith("_") else text  # matplotlib hides a label that begins so


def _columns(labels: Sequence[str]) -> int:
    """Return the number of columns of a legend that is as wide as the chart."""
    from matplotlib.textpath import TextPath

    widths = [TextPath((0, 0), label, size=LETTERS).get_extents().width / POINTS for label in labels]
    return max(1, min(int(WIDTH / (max(widths, default=0) + HANDLE)), len(labels)))
