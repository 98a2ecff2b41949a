"""The command ``events``: one line for each event of cgroups."""

from __future__ import annotations

import time
from typing import Annotated, Any, Optional

import typer

from ..events.events import Event, Events
from .arguments import AsJson, Specs, cgroup_of, seconds
from .conditions import threshold_named, trigger_named
from .render import as_json, printable, show
from .values import plain

__all__ = ["events"]


def events(
    context: typer.Context,
    spec: Specs,
    when: Annotated[
        Optional[list[str]],  # noqa: UP045 - what typer 0.12 knows
        typer.Option("-w", "--when", metavar="PARAMETER>NUMBER", help="When a number is passed; may be given again."),
    ] = None,
    pressure: Annotated[
        Optional[list[str]],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(metavar="RESOURCE:some:STALL/WINDOW", help="When processes wait so many ms within so many (v2)."),
    ] = None,
    interval: Annotated[
        float,
        typer.Option("-i", "--interval", help="Between two looks.", **seconds(0.001)),
    ] = 0.1,
    timeout: Annotated[
        Optional[float],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(help="End after this time.", **seconds()),
    ] = None,
    json: AsJson = False,
) -> None:
    """Prints what happens in cgroups, as it happens.

    By default all that the kernel tells by itself: processes that come and
    go, freezing, memory limits, the OOM killer, refused forks (v2). A line has a
    time, the cgroup, what happened, in which file, and the number before and
    after. It ends with Ctrl-C, after the timeout, or when all cgroups are gone.

    With --when and --pressure only that; PARAMETER/s is its rise a second.

    \b
    Examples: cgroups events memory:/job
              cgroups events memory:/job --when 'memory.usage_in_bytes>500M'
              cgroups events :/job --pressure memory:some:150/2000
    """
    sources: list[Any] = [threshold_named(word, interval) for word in when or []]
    sources += [trigger_named(word) for word in pressure or []]
    with Events([cgroup_of(context, one) for one in spec], *sources, timeout=timeout) as found:
        for event in found:
            show(_as_json(event) if json else _line(event))


def _now(event: Event) -> float:
    """When it was, in Unix seconds."""
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
