"""The command ``events``: print one line for each event of cgroups."""

from __future__ import annotations

import time
from typing import Annotated, Any, Optional

import typer

from ..observe.events import Events
from ..observe.feeds import Event
from .common.arguments import OWN, AsJson, cgroup_of, seconds
from .common.conditions import threshold_named, trigger_named
from .common.render import as_json, printable, show
from .common.values import plain

__all__ = ["events"]


def events(
    context: typer.Context,
    spec: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Argument(metavar="[SPEC]", help="Cgroups to watch, one per hierarchy; default: your own."),
    ] = None,
    when: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(
            "-w", "--when", metavar="PARAMETER>NUMBER", help="Number to watch, with its threshold (repeatable)."
        ),
    ] = None,
    pressure: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(metavar="RESOURCE:some:STALL/WINDOW", help="Stall to watch, in ms per window (v2; repeatable)."),
    ] = None,
    interval: Annotated[
        float,
        typer.Option(
            "-i", "--interval", help="Time between two reads of a polled number, such as 500ms.", **seconds(0.001)
        ),
    ] = 0.1,
    timeout: Annotated[
        Optional[float],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(help="Time to run, such as 90s; default: no limit.", **seconds()),
    ] = None,
    json: AsJson = False,
) -> None:
    """Print the events of cgroups as they happen.

    The default is every event that the kernel reports: a cgroup that becomes
    populated or empty, freezing, memory limits, the OOM killer, refused forks
    (v2).  A line has a time, the cgroup, the event, the file, and the number
    before and after.  The command ends with Ctrl-C, after --timeout, or when
    all cgroups are removed.

    With --when or --pressure only those events are printed.  PARAMETER/s is
    the rise of a number per second.  A number without notifications from the
    kernel is polled.  --pressure prints when tasks have stalled for STALL ms
    within WINDOW ms.

    \b
    Examples: cgroups events memory:/job
              cgroups events memory:/job --when 'memory.usage_in_bytes>500M'
              cgroups events :/job --pressure memory:some:150/2000
    """
    sources: list[Any] = [threshold_named(word, interval) for word in when or []]
    sources += [trigger_named(word) for word in pressure or []]
    with Events([cgroup_of(context, one) for one in spec or [OWN]], *sources, timeout=timeout) as found:
        for event in found:
            show(_as_json(event) if json else _line(event))


def _now(event: Event) -> float:
    """Return the time of an event in Unix seconds."""
    return time.time() - (time.monotonic_ns() - event.timestamp_ns) / 1e9


def _as_json(event: Event) -> str:
    data = {
        "time": _now(event),
        "cgroup": str(event.cgroup),
        "what": event.what,
        "source": event.source,
        "file": event.file,
        "before": plain(event.before),
        "after": plain(event.after),
    }
    return as_json(data, indent=None)


def _line(event: Event) -> str:
    at = _now(event)
    clock = f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at % 1 * 1000):03}"
    change = "" if event.after is None else f"{event.before} -> {event.after}"
    sampled = "(sampled)" if event.source == "sampled" else ""
    return printable("  ".join(filter(None, (clock, str(event.cgroup), event.what, event.file, change, sampled))))
