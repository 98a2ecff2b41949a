"""The command ``watch``: a live table of what cgroups use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated, Optional

import typer

from ..sampling.recording import nanoseconds
from . import live, render
from .activity import SORTS, Activity, Usage
from .arguments import AsJson, cgroup_of, host_of, seconds

__all__ = ["watch"]


def _sort(word: str) -> str:
    if word not in SORTS:
        message = f"{word!r} is not one of {', '.join(SORTS)}"
        raise typer.BadParameter(message)
    return word


def watch(
    context: typer.Context,
    spec: Annotated[
        Optional[str],  # noqa: UP045 - what typer 0.12 knows
        typer.Argument(metavar="[SPEC]", help="Where to begin; all cgroups by default."),
    ] = None,
    sort: Annotated[
        str,
        typer.Option("--sort", "-s", parser=_sort, metavar="|".join(SORTS), help="By what; the busiest come first."),
    ] = "cpu",
    depth: Annotated[
        Optional[int],  # noqa: UP045 - what typer 0.12 knows
        typer.Option("--depth", "-d", min=0, help="How many levels below; all by default."),
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", "-i", help="Between two looks.", **seconds(0.05, 86400))
    ] = 1.0,
    count: Annotated[
        Optional[int],  # noqa: UP045 - what typer 0.12 knows
        typer.Option("--count", "-n", min=1, help="How often; until Ctrl-C by default."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="As --count 1.")] = False,
    json: AsJson = False,
) -> None:
    """Shows what cgroups use, the busiest first, again and again.

    A cgroup is one line, also where its controllers are on several
    hierarchies. CPU is in CPUs: 1.50 is one and a half of them busy. WORKING
    is memory less the files' pages that were not used lately. READ and WRITE
    are of block devices. The last three are pressure: the share of the time
    in which some task waited for CPU, memory or IO. Each is of the time since
    the look before; the first comes after one interval.

    In a pipe, and with TERM=dumb, it is plain text. --json is a line for each
    cgroup at each look: "look" counts them, "time" is when the cgroup was read
    (Unix seconds), and "elapsed" the seconds since the reading before, which the
    rates are of. The memory of v1's root includes kernel memory, which the
    kernel's own number for it leaves out.

    \b
    Examples: cgroups watch
              cgroups watch memory:/jobs --sort memory --interval 0.1
              cgroups watch --once --json | jq -r 'select(.cpu > 0.5).name'
    """
    top = None if spec is None else cgroup_of(context, spec)
    with closing(Activity(host_of(context), top, depth)) as activity:
        looks = _looks(activity, nanoseconds(interval), 1 if once else count)
        sorted_looks = (sorted(look, key=SORTS[sort]) for look in looks)
        try:
            if json:
                for number, look in enumerate(sorted_looks, 1):
                    render.show(render.usages_as_json(look, number))
            elif live.possible() and not once:
                live.show(render.usages, sorted_looks)
            else:
                for number, look in enumerate(sorted_looks):
                    render.show(("\n" if number else "") + render.usages_as_text(look))
        except KeyboardInterrupt:
            return  # as it is meant to end


def _looks(activity: Activity, interval: int, count: int | None) -> Iterator[list[Usage]]:
    """What is used, at multiples of the interval; a time that has passed is left out."""
    activity.step()
    due, taken = time.monotonic_ns(), 0
    while count is None or taken < count:
        now = time.monotonic_ns()
        due += max((now - due) // interval + 1, 1) * interval
        time.sleep((due - now) / 1e9)
        yield activity.step()
        taken += 1
