"""The columns of the usage of cgroups, for the table of ``watch`` and for its full screen: one line for each column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ...core.values import MAX
from . import render
from .activity import CgroupUsage

__all__ = ["COLUMNS", "UNDER_PRESSURE", "Column", "limit_share"]

NEAR_LIMIT: Final = 0.9
"""Share of a limit from which a usage is near it."""
UNDER_PRESSURE: Final = 0.1
"""Share of time in which some task waited, from which a cgroup is under pressure."""


class Column(NamedTuple):
    """A column: a figure, its text, and the condition under which it is red.

    Attributes:
        title: the heading.
        figure: the name of the figure in a usage; '' for a figure that is computed from others.
        number: returns the number to show, to sort by and to draw; None if it is missing.
        text: returns the text of a number that is not None.
        width: the greatest width of a text.
        is_red: returns whether the number of a usage calls for attention.
        top: the greatest possible number; None if there is no such number.
        meaning: the description for the help.
    """

    title: str
    figure: str
    number: Callable[[CgroupUsage], Any]
    text: Callable[[Any], str]
    width: int
    is_red: Callable[[CgroupUsage], bool]
    top: float | None
    meaning: str

    def cell(self, usage: CgroupUsage) -> str:
        """Return the text of a usage's figure; ``-`` if it is missing."""
        number = self.number(usage)
        return "-" if number is None else "max" if number is MAX else self.text(number)


def _share(number: float) -> str:
    return f"{number:.0%}"


def _size(number: float) -> str:
    return render.size(round(number))


def _growth(number: float) -> str:
    return ("+" if number > 0 else "-" if number < 0 else "") + _size(abs(number))


def _sum(*figures: float | None) -> float | None:
    known = [one for one in figures if one is not None]
    return sum(known) if known else None


def limit_share(usage: CgroupUsage) -> float | None:
    """Return the share of the effective memory limit that a cgroup uses; None without a limit."""
    limit = usage.limit if usage.effective_limit is None else usage.effective_limit
    return None if usage.memory is None or limit is None or limit is MAX or not limit else usage.memory / limit


def _pids_share(usage: CgroupUsage) -> float | None:
    limit = usage.pids_limit
    return None if usage.pids is None or limit is None or limit is MAX or not limit else usage.pids / limit


def _cpu_share(usage: CgroupUsage) -> float | None:
    limit = usage.cpu_limit
    return None if usage.cpu is None or limit is None or limit is MAX or not limit else usage.cpu / limit


def _is_near(share: Callable[[CgroupUsage], float | None]) -> Callable[[CgroupUsage], bool]:
    return lambda usage: (share(usage) or 0) >= NEAR_LIMIT


def _never(_: CgroupUsage) -> bool:
    return False


def _is_throttled(usage: CgroupUsage) -> bool:
    return (usage.throttled or 0) > 0


def _figure(
    title: str,
    figure: str,
    text: Callable[[Any], str],
    meaning: str,
    is_red: Callable[[CgroupUsage], bool] = _never,
    *,
    top: float | None = None,
) -> Column:
    width = max(len(title), 10 if text is _size else 7 if text is str else 6)
    return Column(title, figure, lambda usage: getattr(usage, figure), text, width, is_red, top, meaning)


def _pressure(title: str, figure: str, meaning: str) -> Column:
    def is_red(usage: CgroupUsage) -> bool:
        return (getattr(usage, figure) or 0) >= UNDER_PRESSURE

    return _figure(title, figure, _share, meaning, is_red, top=1)


def _computed(title: str, number: Callable[[CgroupUsage], float | None], meaning: str) -> Column:
    return Column(title, "", number, _share, max(len(title), 5), _is_near(number), 1, meaning)


def _count(title: str, figure: str, meaning: str) -> Column:
    return _figure(title, figure, str, meaning, lambda usage: (getattr(usage, figure) or 0) > 0)


_ALL: Final = (
    _figure("CPU", "cpu", "{:.2f}".format, "busy CPUs: 1.50 is one and a half", _is_near(_cpu_share)),
    _figure(
        "THROTTLED",
        "throttled",
        _share,
        "share of the CPU limit's periods in which it was throttled",
        _is_throttled,
        top=1,
    ),
    _figure("CPU LIMIT", "cpu_limit", "{:.2f}".format, "its own limit, in CPUs"),
    _computed("CPU %LIM", _cpu_share, "busy CPUs, as a share of its own limit"),
    _figure("MEMORY", "memory", _size, "memory used, with page cache", _is_near(limit_share)),
    _figure("MEM +/S", "memory_growth", _growth, "growth of memory, per second")._replace(width=11),
    _figure("WORKING", "working_set", _size, "memory without file pages that were not used lately"),
    _figure("SWAP", "swap", _size, "swap used"),
    _figure("LIMIT", "limit", _size, "its own memory limit"),
    _figure("EFFECTIVE", "effective_limit", _size, "the tightest memory limit among the cgroup and its ancestors"),
    _computed("MEM %LIM", limit_share, "memory used, as a share of the effective limit"),
    Column(
        "LIMITED BY",
        "limited_by",
        lambda usage: usage.limited_by,
        render.printable,
        24,
        _never,
        None,
        "the cgroup that has the effective limit",
    ),
    _count("OOM KILLS", "oom_kills_total", "processes that the kernel has killed because the memory limit was reached"),
    _figure("LIMIT HITS", "limit_hits_total", str, "number of times that the memory limit was reached"),
    Column(
        "IO/S",
        "",
        lambda usage: _sum(usage.read_bytes, usage.write_bytes),
        _size,
        10,
        _never,
        None,
        "bytes read from and written to block devices, per second",
    ),
    _figure("READ/S", "read_bytes", _size, "bytes read from block devices, per second"),
    _figure("WRITE/S", "write_bytes", _size, "bytes written to block devices, per second"),
    _figure("READS/S", "reads", "{:.0f}".format, "read operations per second"),
    _figure("WRITES/S", "writes", "{:.0f}".format, "write operations per second"),
    _figure("PIDS", "pids", str, "processes and threads", _is_near(_pids_share)),
    _figure("PIDS LIMIT", "pids_limit", str, "its own limit on processes and threads"),
    _computed("PIDS %LIM", _pids_share, "processes and threads, as a share of its own limit"),
    _count("REFUSED", "refused_forks_total", "forks that the limit on processes has refused"),
    Column(
        "PRESSURE",
        "",
        lambda usage: _sum(usage.cpu_pressure, usage.memory_pressure, usage.io_pressure),
        _share,
        8,
        _never,
        None,
        "the sum of CPU PSI, MEM PSI and IO PSI",
    ),
    _pressure("CPU PSI", "cpu_pressure", "share of time in which some task waited for CPU"),
    _pressure("MEM PSI", "memory_pressure", "share of time in which some task waited for memory"),
    _pressure("IO PSI", "io_pressure", "share of time in which some task waited for IO"),
    _pressure("CPU FULL", "cpu_full_pressure", "share of time in which all tasks waited for CPU"),
    _pressure("MEM FULL", "memory_full_pressure", "share of time in which all tasks waited for memory"),
    _pressure("IO FULL", "io_full_pressure", "share of time in which all tasks waited for IO"),
)

COLUMNS: Final = {column.title: column for column in _ALL}
"""All columns, by title."""
