"""The command ``watch``: show a live table of the usage of cgroups."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Annotated, Optional

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ..core.advice import install
from ..core.importing import uncollected
from ..named import Named
from ..observe.recorder import nanoseconds
from .common import live, render
from .common.activity import SORTS, Activity, CgroupUsage
from .common.arguments import OWN, AsJson, cgroup_of, host_of, seconds
from .common.columns import COLUMNS
from .common.several import Failures, are_several
from .common.values import plain
from .screen.palette import PALETTES

__all__ = ["watch"]


def _sort(word: str) -> str:
    if word not in SORTS:
        message = f"sort must be one of {', '.join(SORTS)}, got {word!r}"
        raise typer.BadParameter(message)
    return word


def _palette(word: str) -> str:
    if word not in PALETTES:
        message = f"palette must be one of {', '.join(PALETTES)}, got {word!r}"
        raise typer.BadParameter(message)
    return word


def watch(
    context: typer.Context,
    specs: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Argument(metavar="SPEC", help="Cgroups to show, with all below; default: all."),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort", "-s", parser=_sort, metavar="|".join(SORTS), help="Column to sort by; the busiest come first."
        ),
    ] = "cpu",
    depth: Annotated[
        Optional[int],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option("--depth", "-d", min=0, help="Number of levels to show below; default: all."),
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", "-i", help="Time between two updates, such as 500ms.", **seconds(0.05, 86400))
    ] = 1.0,
    count: Annotated[
        Optional[int],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option("--count", "-n", min=1, help="Number of updates; default: until Ctrl-C."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print one update as plain lines, and exit.")] = False,
    replay: Annotated[
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option("--replay", metavar="FILE", help="Show what 'cgroups record' wrote to FILE."),
    ] = None,
    is_plain: Annotated[bool, typer.Option("--plain", help="Show a plain table, not the full screen.")] = False,
    palette: Annotated[
        str,
        typer.Option(
            "--palette",
            parser=_palette,
            metavar="|".join(PALETTES),
            help="Colours of the full screen; default: default.",
        ),
    ] = "default",
    json: AsJson = False,
) -> None:
    """Show the usage of cgroups, the busiest first, live.

    On a terminal the full screen opens: a tree with tabs, a filter, pages of
    one cgroup, and actions.  F1 shows its keys.  It needs the extra 'tui'.
    With --plain, or without the extra, a plain table is drawn instead.

    Each cgroup has one line, even if its controllers are on several
    hierarchies.  CPU is in CPUs: 1.50 means one and a half busy CPUs.  WORKING
    is memory without file pages that were not used lately.  READ and WRITE are
    bytes of block devices.  The PSI columns are pressure: the share of time in
    which some task waited for CPU, memory or IO.  All rates and shares cover
    the time since the previous update; the first update comes after one
    interval.

    With several SPECs, the table has each of these cgroups and all below.  SPEC
    can be a pattern, such as 'memory:/jobs/*': see 'cgroups get'.  A new cgroup
    that matches appears with the next update.

    In a pipe, and with TERM=dumb, the output is plain text.  With --json the
    output is one line per cgroup and update.  "look" is the number of the update, and
    "time" is when the cgroup was read (Unix seconds).  "elapsed" is the seconds
    since the previous reading, which the rates cover.  JSON has more figures
    than the table, such as "swap", "effective_limit" and "oom_kills_total".  The
    memory of v1's root includes kernel memory, which the kernel's own number
    excludes.

    With --replay the figures are those of a recording, without --interval.

    \b
    Examples: cgroups watch memory:/jobs --sort memory --interval 0.1
              cgroups watch '/jobs/*'
              cgroups watch --once --json | jq -r 'select(.cpu > 0.5).name'
              cgroups watch --replay job.csv
    """
    is_full = live.possible() and live.is_typed() and not (is_plain or once or json) and _has_textual()
    if replay is not None:
        if specs:
            message = "SPEC must not be given with --replay"
            raise typer.BadParameter(message)
        _replay(replay, sort=sort, count=1 if once else count, palette=palette if is_full else None, json=json)
        return
    failures = Failures(is_single=not are_several(specs or [OWN], recursive=False))
    with closing(_activity(context, specs or [], depth, failures, is_detailed=is_full or json)) as activity:
        if is_full:
            with uncollected():
                from .screen import live as screen
            screen.watch(host_of(context), activity, interval=interval, count=count, sort=sort, palette=palette)
        else:
            _show(_looks(activity, nanoseconds(interval), 1 if once else count), sort, is_drawn=not once, json=json)
    if live.possible() and not (is_plain or once or json or _has_textual()):
        typer.echo(f"cgroups: the full screen needs textual; install it with: {install('tui')}", err=True)
    failures.end()


def _has_textual() -> bool:
    return find_spec("textual") is not None


def _replay(path: str, *, sort: str, count: int | None, palette: str | None, json: bool) -> None:
    """Show a recording: on the full screen with this palette or, without a palette, as text."""
    from .screen.replay import read

    recording = read(path)
    if recording.missing is not None:
        typer.echo(f"cgroups: {path}: {recording.missing}", err=True)
    if palette is not None:
        with uncollected():
            from .screen import live as screen
        screen.replay(recording, sort=sort, palette=palette)
        return
    _show(([*look.usages.values()] for look in recording.looks[:count]), sort, is_drawn=False, json=json)


def _show(looks: Iterable[list[CgroupUsage]], sort: str, *, is_drawn: bool, json: bool) -> None:
    """Show looks as JSON, as a table that is drawn again, or as text."""
    sorted_looks = (sorted(look, key=SORTS[sort]) for look in looks)
    try:
        if json:
            for number, look in enumerate(sorted_looks, 1):
                render.show(usages_as_json(look, number))
        elif is_drawn and live.possible():
            live.show(usages, sorted_looks)
        else:
            for number, look in enumerate(sorted_looks):
                render.show(("\n" if number else "") + usages_as_text(look))
    except KeyboardInterrupt:
        pass  # Ctrl-C is the normal end


def _activity(
    context: typer.Context, specs: list[str], depth: int | None, failures: Failures, *, is_detailed: bool
) -> Activity:
    """Return the activity of the cgroups of some SPECs."""
    host = host_of(context)
    # The error of a single SPEC is raised.
    several = {"on_error": failures.add} if len(specs) > 1 else {}
    named = Named(host, specs, resolve=partial(cgroup_of, context), **several)
    if specs and named.top is None:
        failures.end()
    if not named.is_choice:
        return Activity(host, named.top, depth, is_detailed=is_detailed)
    # The answer for a location never changes, and patterns take time.
    is_wanted = lru_cache(maxsize=1 << 14)(lambda location: named.covers(location, depth))
    return Activity(host, named.top, None, is_wanted, is_detailed=is_detailed)


def _looks(activity: Activity, interval: int, count: int | None) -> Iterator[list[CgroupUsage]]:
    """Yield the usage at multiples of the interval; skip a time that has passed."""
    activity.step()
    due, taken = time.monotonic_ns(), 0
    while count is None or taken < count:
        now = time.monotonic_ns()
        due += max((now - due) // interval + 1, 1) * interval
        time.sleep((due - now) / 1e9)
        yield activity.step()
        taken += 1


# ---- the table -----------------------------------------------------------------------------


_TITLES = (
    *("CPU", "THROTTLED", "MEMORY", "WORKING", "LIMIT", "READ/S", "WRITE/S", "PIDS"),
    *("CPU PSI", "MEM PSI", "IO PSI"),
)
_USAGE: tuple[tuple[str, Callable[[CgroupUsage], str]], ...] = (
    *((title, COLUMNS[title].cell) for title in _TITLES),
    ("CGROUP", lambda one: render.printable(one.name)),
)


_DISPENSABLE = ("WORKING", "THROTTLED", "IO PSI", "CPU PSI", "LIMIT", "MEM PSI", "PIDS", "WRITE/S", "READ/S")
"""Columns that are left out on a narrow terminal, in this order."""
NAME = 24
"""The smallest width of the name."""


def usages(found: Sequence[CgroupUsage], width: int, height: int) -> RenderableType:
    """Return a table of the usage of cgroups, with the width and height of a terminal."""
    lines = [[cell(one) for _, cell in _USAGE] for one in found[: max(height - 2, 1)]]
    columns = {title: [title, *(line[at] for line in lines)] for at, (title, _) in enumerate(_USAGE)}
    name = columns.pop(_USAGE[-1][0])
    for title in _DISPENSABLE:
        if sum(2 + max(map(len, column)) for column in columns.values()) + NAME > width:
            del columns[title]
    drawn = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for title in columns:
        drawn.add_column(title, justify="right", no_wrap=True)
    drawn.add_column(name[0], no_wrap=True, overflow="ellipsis", ratio=1)
    for row in list(zip(*columns.values(), name))[1:]:
        drawn.add_row(*map(Text, row))
    return drawn


def usages_as_text(found: Iterable[CgroupUsage]) -> str:
    """Return the usage of cgroups as plain lines."""
    titles = [title.replace(" ", "-") for title, _ in _USAGE]
    return render.aligned([titles, *([cell(one) for _, cell in _USAGE] for one in found)], numbers=len(_USAGE) - 1)


def usages_as_json(found: Iterable[CgroupUsage], look: int) -> str:
    """Return a line of JSON for each cgroup, with the number of the update."""
    lines = ({"look": look, **{name: plain(value) for name, value in one._asdict().items()}} for one in found)
    return "".join(render.as_json(line, indent=None) + "\n" for line in lines)
