"""The page of one cgroup: its identity, limits up the tree, figures, incidents and processes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from ...core.errors import CgroupError, printable
from ...core.identity import identify
from ...core.values import MAX, CpuMax
from ...hierarchy import Cgroup, Host
from ...parameters import Cpu, Freezer, Memory, Parameters, Pids
from ...parameters.kinds import Readable
from ..common import facts, render
from ..common.activity import CgroupUsage
from ..common.columns import COLUMNS, Column
from ..common.exits import told
from .actions import cgroups_at
from .history import History, spark
from .incidents import Incidents
from .lines import Line, Part, fit

__all__ = ["Processes", "clock", "covered", "moment", "page"]

MOST: Final = 100
"""Number of processes to list."""
SHORTEST_S: Final = 0.04
"""Seconds between two readings of processes, at least."""
SPARK_WIDTH: Final = 40
_SPARKS: Final = ("CPU", "MEMORY", "READ/S", "WRITE/S", "PIDS", "CPU PSI", "MEM PSI", "IO PSI")

_LIMITS: Final[tuple[tuple[str, Readable[Any]], ...]] = (
    ("memory", Memory.limit_in_bytes),
    ("cpu", Cpu.max),
    ("pids", Pids.max),
)


def page(host: Host | None, location: str, history: History, incidents: Incidents, processes: Processes) -> list[Line]:
    """Return the page of a cgroup at the shown time.

    Args:
        host: the host to read limits and processes of; None for a recording, which has no such facts.
        location: the location of the cgroup.
        history: the looks.
        incidents: the incidents so far.
        processes: the processes of the previous page, for their CPU usage.
    """
    shown = history.shown
    usage = None if shown is None else shown.usages.get(location)
    lines: list[Line] = [[Part(printable(location), "bold")], *_identity(location)]
    cgroups, problem = _found(host, location)
    lines += [[Part(problem, "red")]] if problem else _hierarchies(cgroups)
    if host is not None:
        lines += [[], *processes.lines(host, cgroups)]
    if usage is None:
        lines += [[], [Part("The cgroup did not exist at this time." if shown else "No figures yet.", "red")]]
    else:
        lines += [[], [Part("Figures", "bold")], *_figures(usage, history)]
    if shown is not None:
        lines += [[], [Part("Events", "bold")], *_incidents(host, incidents, shown.time, usage, location)]
    if host is not None:
        lines += [[], [Part("Limits, from here up the tree", "bold")], *_limits(cgroups)]
    return lines


def _found(host: Host | None, location: str) -> tuple[list[Cgroup], str]:
    """Return the cgroups at a location, and one line about an error."""
    try:
        return [] if host is None else cgroups_at(host, location), ""
    except CgroupError as error:
        return [], error.for_command()


def _identity(location: str) -> Iterator[Line]:
    identity = identify(location)
    if identity is None:
        return
    fields = identity._asdict()
    words = [f"{name.replace('_', ' ')} {fields[name]}" for name in fields if name != "kind" and fields[name]]
    yield [Part(f"a {identity.kind}: {printable(', '.join(words))}")]


def _hierarchies(cgroups: list[Cgroup]) -> Iterator[Line]:
    for one in cgroups:
        state = _state(one)
        yield [
            Part(f"v{one.version}  {printable(str(one))}"),
            Part(f"  {state}", "red") if state not in ("", "THAWED") else Part(""),
        ]


def _state(cgroup: Cgroup) -> str:
    try:
        return str(Parameters.get(Freezer.state, cgroup))
    except CgroupError:
        return ""


def _figures(usage: CgroupUsage, history: History) -> Iterator[Line]:
    buckets = history.buckets(SPARK_WIDTH)
    for title in _SPARKS:
        column = COLUMNS[title]
        if column.number(usage) is None:
            continue
        numbers = []
        for looks in buckets:
            found = [column.number(one) for look in looks if (one := look.usages.get(usage.location)) is not None]
            numbers.append(max((one for one in found if one is not None), default=None))
        yield [
            Part(f"  {title:10}"),
            Part(fit(column.cell(usage), 12, is_right=True), "red" if column.is_red(usage) else ""),
            Part("  "),
            Part(spark(numbers, column.top).rjust(SPARK_WIDTH), "spark"),
        ]
    rest = [column for title, column in COLUMNS.items() if title not in _SPARKS and column.number(usage) is not None]
    for column in rest:
        yield [*_figure(column, usage)]


def _figure(column: Column, usage: CgroupUsage) -> Iterator[Part]:
    text = column.cell(usage)
    yield Part(f"  {column.title:10}{' ' * max(12 - len(text), 2)}")
    yield Part(text, "red" if column.is_red(usage) else "")


def covered(host: Host | None) -> str:
    """Return in words the time that incidents cover."""
    return "in this recording" if host is None else "since the start of this screen"


def _incidents(
    host: Host | None, incidents: Incidents, until: float, usage: CgroupUsage | None, location: str
) -> Iterator[Line]:
    found = incidents.until(until, location)
    if not found:
        yield [Part(f"  none {covered(host)}", "dim")]
    for one in found[-10:]:
        yield [
            Part(f"  {moment(one.first, is_replay=host is None)}  "),
            Part(printable(one.what), "red" if one.kind == "oom_kills_total" else ""),
        ]
    counts = {
        "OOM kills": usage and usage.oom_kills_total,
        "limit hits": usage and usage.limit_hits_total,
        "refused forks": usage and usage.refused_forks_total,
    }
    known = [f"{name} {count}" for name, count in counts.items() if count is not None]
    if known:
        since = "up to here in this recording" if host is None else "since its creation"
        yield [Part(f"  {since}: {', '.join(known)}")]


def clock(seconds: float) -> str:
    """Return the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def moment(seconds: float, *, is_replay: bool) -> str:
    """Return a time in words: the time of day, or the seconds since the start of a recording."""
    return f"{seconds:.1f} s" if is_replay else clock(seconds)


# ---- limits ------------------------------------------------------------------------------


def _limits(cgroups: Iterable[Cgroup]) -> Iterator[Line]:
    for what, parameter in _LIMITS:
        for cgroup in cgroups:
            if not cgroup.hierarchy.has(parameter.controller):
                continue
            levels = [(one, _limit(parameter, one)) for one in cgroup.upwards()]
            if any(value is not None for _, value in levels):
                yield from _levels(what, parameter, cgroup, levels)


def _limit(parameter: Readable[Any], cgroup: Cgroup) -> Any:
    try:
        return Parameters.get(parameter, cgroup)
    except CgroupError:
        return None  # a root, or on v2 a cgroup without the controller


def _levels(what: str, parameter: Readable[Any], cgroup: Cgroup, levels: list[tuple[Cgroup, Any]]) -> Iterator[Line]:
    try:
        holder = cgroup.effective(parameter).cgroup
    except CgroupError:
        holder = None
    for one, value in levels:
        if value is None:
            continue
        is_holder = one == holder
        text = f"  {what:8}{fit(_amount(what, value), 12, is_right=True)}  {printable(one.location)}"
        yield [Part(text, "bold" if is_holder else ""), Part("  ← this one limits" if is_holder else "", "key")]
    if holder is None:
        yield [Part(f"  {what:8}{fit('no limit', 12, is_right=True)}", "dim")]


def _amount(what: str, value: Any) -> str:
    if isinstance(value, CpuMax):
        quota, period = value
        return "max" if quota is MAX or not period else f"{quota / period:.2f} CPUs"
    return "max" if value is MAX else render.size(value) if what == "memory" else str(value)


# ---- processes ---------------------------------------------------------------------------


class _Process(NamedTuple):
    pid: int
    cpu: float | None
    memory: int


class Processes:
    """The processes of a cgroup, with the CPU that each has used since the previous call."""

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}
        self._found: list[_Process] = []
        self._read_s = -SHORTEST_S

    def lines(self, host: Host, cgroups: list[Cgroup]) -> list[Line]:
        """Return the processes in some cgroups, without those below, the busiest first."""
        try:
            found = self._read(host, {pid for cgroup in cgroups for pid in facts.process_ids(cgroup)})
        except (CgroupError, OSError) as error:
            return [[Part(told(error), "red")]]
        lines: list[Line] = [
            [Part(f"Processes: {len(found)}", "bold"), Part(", without those in the cgroups below", "dim")],
            [Part(f"  {'PID':>8}  {'CPU':>6}  {'MEMORY':>10}  {'USER':10}  {'STATE':10}  COMMAND", "header")],
        ]
        found.sort(key=lambda one: (-(one.cpu or 0), -one.memory))
        for one in found[:MOST]:
            its = _facts(host, one.pid)
            if its is not None:
                cpu = "-" if one.cpu is None else f"{one.cpu:.2f}"
                figures = f"  {one.pid:8}  {cpu:>6}  {render.size(one.memory):>10}  "
                lines.append([Part(f"{figures}{fit(its.user, 10)}  {fit(its.state, 10)}  {printable(its.command)}")])
        if len(found) > MOST:
            lines.append([Part(f"  and {len(found) - MOST} more", "dim")])
        return lines

    def _read(self, host: Host, pids: set[int]) -> list[_Process]:
        now = time.monotonic()
        if now - self._read_s < SHORTEST_S and pids == self._ticks.keys():
            return [*self._found]  # in so short a time ticks of 10 ms say nothing
        passed, self._read_s = now - self._read_s, now
        before, self._ticks = self._ticks, {}
        found = []
        for pid in pids:
            ticks, memory = _stat(host, pid)
            self._ticks[pid] = ticks
            cpu = max(ticks - before[pid], 0) / TICKS / passed if pid in before and passed > 0 else None
            found.append(_Process(pid, cpu, memory))
        self._found = found
        return [*found]


def _facts(host: Host, pid: int) -> Any:
    """Return the facts of a process; None if it has exited, or if /proc hides it (hidepid)."""
    try:
        return facts.process(host, pid)
    except OSError:
        return None


TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def _stat(host: Host, pid: int) -> tuple[int, int]:
    """Return the CPU ticks and the resident memory, in bytes, of a process; 0 if it has exited."""
    try:
        with open(host.system_path(f"proc/{pid}/stat"), "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        user, system, resident = (int(fields[at]) for at in (11, 12, 21))
    except (OSError, ValueError, IndexError):
        return 0, 0
    return user + system, resident * PAGE
