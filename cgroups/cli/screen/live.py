"""Run the full screen: on a live host, or on a recording."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from threading import Lock

import typer

from ...hierarchy import Host
from ..common.activity import Activity
from ..common.live import ENDING
from .app import WatchApp
from .history import History, Look, look_of
from .machine import MachineReader
from .replay import Recording

__all__ = ["SORTS", "replay", "watch"]

SORTS = {
    "cpu": ("CPU", "general"),
    "memory": ("MEMORY", "general"),
    "io": ("IO/S", "io"),
    "pids": ("PIDS", "general"),
    "pressure": ("PRESSURE", "pressure"),
    "name": ("CGROUP", "general"),
}
"""The words of ``--sort``: the column to sort by, and the tab that has this column."""

FIRST_S = 0.25
"""The longest time to the first look: figures of so short a time are rough, but nobody wants to wait for them."""


def watch(host: Host, activity: Activity, *, interval: float, count: int | None, sort: str, palette: str) -> None:
    """Show the usage of cgroups until the user quits, or for some looks."""
    source = _Source(host, activity, interval, count)
    title, tab = SORTS[sort]
    try:
        _run(WatchApp(host, source.looks(), interval=interval, sort=title, tab=tab, palette=palette))
    finally:
        source.close()


def replay(recording: Recording, *, sort: str, palette: str) -> None:
    """Show a recording, at the speed of its ticks."""
    title, tab = SORTS[sort]
    history, interval = History(recording.looks), min(max(recording.interval, 0.05), 5.0)
    _run(WatchApp(None, history=history, interval=interval, sort=title, tab=tab, palette=palette))


class _Source:
    """The looks at a live host, read in a thread so that keys never wait for them."""

    def __init__(self, host: Host, activity: Activity, interval: float, count: int | None) -> None:
        self._activity, self._interval, self._count = activity, round(interval * 1e9), count
        self._machine = MachineReader(host)
        self._reading = Lock()

    def _look(self) -> Look:
        with self._reading:
            return look_of(time.time(), self._activity.step(), self._machine.read())

    async def looks(self) -> AsyncIterator[Look]:
        """Yield a look soon, then one at each multiple of the interval; skip a time that has passed."""
        await asyncio.to_thread(self._look)
        due, taken = time.monotonic_ns(), 0
        first = min(self._interval, round(FIRST_S * 1e9))
        while self._count is None or taken < self._count:
            now = time.monotonic_ns()
            due += first if taken == 0 else max((now - due) // self._interval + 1, 1) * self._interval
            await asyncio.sleep(max(due - now, 0) / 1e9)
            yield await asyncio.to_thread(self._look)
            taken += 1

    def close(self) -> None:
        """Wait for a look that is being read."""
        with self._reading:
            pass


def _run(app: WatchApp) -> None:
    """Run the screen.  A signal that ends a program first restores the terminal, and then ends this program."""
    ended: list[int] = []

    def end(number: int) -> None:
        ended.append(number)
        app.exit()

    handled = [one for one in ENDING if signal.getsignal(one) is not signal.SIG_IGN]
    app.signals = {signal.SIGINT: app.exit, **{one: partial(end, one) for one in handled}}
    app.run()
    for number in ended:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    if app.error is not None:
        raise app.error
    if app.return_code:
        raise typer.Exit(app.return_code)  # textual has printed what went wrong
