"""The lines around the table: title, machine, tabs, incidents, keys and help."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ...core.errors import printable
from ..common import render
from ..common.columns import COLUMNS, UNDER_PRESSURE
from .history import History, spark
from .incidents import Incident
from .keys import Key
from .lines import Line, Part
from .machine import Machine
from .page import clock, moment
from .tree import Row, View, outermost, total

__all__ = [
    "Status",
    "help_lines",
    "incident_lines",
    "incidents_line",
    "keys_line",
    "machine_line",
    "tabs_line",
    "title",
]

SPARK_WIDTH = 20


class Status(NamedTuple):
    """The facts of the title about the time that is shown."""

    is_replay: bool
    is_playing: bool
    interval: float
    late_s: float


def title(history: History, view: View, rows: Sequence[Row], status: Status) -> Line:
    """Return the first line: the time, and what the table shows."""
    return [Part(" cgroups watch  ", "bold"), *_when(history, status), *_what(history, view, rows)]


def _when(history: History, status: Status) -> Iterator[Part]:
    shown = history.shown
    if shown is None:
        yield Part("the first figures come after an interval", "dim")
        return
    if status.is_replay:
        state = "REPLAY" if status.is_playing else "REPLAY, PAUSED"
        end = shown.time + history.behind_s
        yield Part(f"{state} {shown.time:.1f} s of {end:.1f} s", "good" if status.is_playing else "red")
    elif history.is_paused:
        yield Part(f"PAUSED {clock(shown.time)}, {history.behind_s:.0f} s ago", "red")
    else:
        yield Part(f"{clock(shown.time)}", "good")
        yield Part(f" every {status.interval:g} s", "dim")
        if status.late_s:
            yield Part(f", {status.late_s:.0f} s late", "red")


def _what(history: History, view: View, rows: Sequence[Row]) -> Iterator[Part]:
    count = len(history.shown.usages) if history.shown else 0
    if not view.text:
        yield Part(f"  {count} cgroup{'' if count == 1 else 's'}", "dim")
        return
    matches = [row for row in rows if row.is_match]
    yield Part(f"  {len(matches)} of {count} match ")
    yield Part(printable(view.text), "bold", "app.clear")
    sums = {name: total(outermost(matches), name) for name in ("cpu", "memory", "pids")}
    texts = [f"{name} {COLUMNS[name.upper()].text(number)}" for name, number in sums.items() if number is not None]
    yield Part(f"  together: {', '.join(texts)}" if texts else "", "sum")


def machine_line(machine: Machine | None, history: History) -> Line:
    """Return the line of the machine itself."""
    if machine is None:
        return [Part(" machine  not recorded", "dim")]
    parts = [Part(" machine  ", "bold")]
    if machine.cpu is not None:
        is_busy = machine.cpu >= 0.9 * machine.cpus
        parts.append(Part(f"CPU {machine.cpu:.2f} of {machine.cpus}", "red" if is_busy else ""))
        cpus = [[look.machine.cpu for look in looks if look.machine] for looks in history.buckets(SPARK_WIDTH)]
        numbers = [max((one for one in found if one is not None), default=None) for found in cpus]
        parts.append(Part(f" {spark(numbers, machine.cpus)}", "spark"))
    parts += _used("memory", machine.memory, machine.memory_total)
    parts += _used("swap", machine.swap, machine.swap_total)
    pressures = {"cpu": machine.cpu_pressure, "mem": machine.memory_pressure, "io": machine.io_pressure}
    known = {name: share for name, share in pressures.items() if share is not None}
    if known:
        parts.append(Part("  PSI"))
    for name, share in known.items():
        parts.append(Part(f" {name} "))
        parts.append(Part(f"{share:.0%}", "red" if share >= UNDER_PRESSURE else ""))
    if machine.load is not None:
        parts.append(Part(f"  load {machine.load:.2f}"))
    return parts


def _used(name: str, used: int | None, whole: int | None) -> Iterator[Part]:
    if used is not None and whole:
        yield Part(f"  {name} {render.size(used)} of {render.size(whole)}", "red" if used >= 0.9 * whole else "")


def tabs_line(tabs: Iterable[str], current: str) -> Line:
    """Return the line of the tabs."""
    parts = [Part(" ")]
    for number, name in enumerate(tabs, 1):
        parts += [Part(f" {number} {name} ", "tab" if name == current else "", f"app.tab({name!r})"), Part(" ")]
    return parts


def incidents_line(latest: Sequence[Incident], *, is_replay: bool) -> Line:
    """Return the line of the last incident of each kind."""
    if not latest:
        return [Part(" no OOM kill, limit hit or refused fork yet", "dim")]
    parts = [Part(" ")]
    for one in latest:
        role = "red" if one.kind == "oom_kills_total" else ""
        parts += [
            Part(f"{moment(one.last, is_replay=is_replay)} {printable(one.what)}", role, "app.incidents"),
            Part("   "),
        ]
    return parts


def incident_lines(found: Sequence[Incident], since: str, *, is_replay: bool) -> list[Line]:
    """Return the page of all incidents, the latest first.

    Args:
        found: the incidents.
        since: the time that they cover, in words.
        is_replay: whether they are those of a recording.
    """
    lines: list[Line] = [[Part("OOM kills, hits of memory limits and refused forks, the latest first", "bold")], []]
    for one in reversed(found):
        role = "red" if one.kind == "oom_kills_total" else ""
        first, last = (moment(seconds, is_replay=is_replay) for seconds in (one.first, one.last))
        until = f" to {last}" if last != first else ""
        lines.append([Part(f"  {first}{until}  "), Part(printable(one.what), role)])
    return lines if found else [*lines, [Part(f"  none {since}", "dim")]]


def keys_line(keys: Iterable[Key]) -> Line:
    """Return the last line: the most important keys."""
    parts = [Part(" ")]
    for key in keys:
        if key.label:
            name, _, word = key.label.rpartition(" ")
            parts += [Part(name, "key", f"app.{key.action}"), Part(f" {word}  ", "", f"app.{key.action}")]
    return parts


def help_lines(keys: Iterable[Key]) -> list[Line]:
    """Return the help: the keys, the columns, and the meaning of marks."""
    lines: list[Line] = [[Part("Keys", "bold")]]
    lines += [[Part(f"  {key.shown:12}", "key"), Part(key.meaning)] for key in keys]
    lines += [
        [Part("  1 … 6       ", "key"), Part("one of the tabs; the mouse selects rows, sorts by headings, and folds")],
        [],
        [Part("Columns", "bold")],
    ]
    lines += [[Part(f"  {column.title:12}", "key"), Part(column.meaning)] for column in COLUMNS.values()]
    lines += [
        [],
        [Part("Marks", "bold")],
        [
            Part("  red         ", "red"),
            Part("throttled, at 90% of a limit or more, stalled for 10% of the time or more"),
        ],
        [Part("  Σ           ", "sum"), Part("the sum of the children: the kernel does not count it for this cgroup")],
        [
            Part("  ▁▂▃▄▅▆▇█    ", "spark"),
            Part("the column to sort by, during the last two minutes, on one scale for all rows"),
        ],
        [Part("  -           "), Part("the figure is missing: no controller, no limit, or no earlier reading")],
    ]
    return lines
