"""Frames at the ticks of a timer, in programs of asyncio."""

from __future__ import annotations

import asyncio
import time

import pytest

from cgroups import Frame, Host, InvalidValue, Memory, Sampler

TICK = 0.01


@pytest.fixture
def sampler(v2: Host) -> Sampler:
    return Sampler([v2.find_exn(":/job/a")], [Memory.current])


async def take(sampler: Sampler, count: int, pause: float = 0) -> list[Frame]:
    frames = []
    async for frame in sampler.every(TICK):
        frames.append(frame)
        if len(frames) == count:
            break
        time.sleep(pause)
    return frames


def test_every_yields_a_frame_now_and_at_each_tick(sampler: Sampler) -> None:
    started = time.monotonic_ns()
    frames = asyncio.run(take(sampler, 4))
    times = [frame.timestamp_ns - started for frame in frames]
    assert times == sorted(times)
    for tick, taken in enumerate(times):
        assert taken >= tick * TICK * 1e9


def test_every_missed_ticks_are_skipped(sampler: Sampler) -> None:
    frames = asyncio.run(take(sampler, 3, pause=2.5 * TICK))
    for one, other in zip(frames, frames[1:]):
        assert other.timestamp_ns - one.timestamp_ns >= 2.5 * TICK * 1e9


def test_every_other_tasks_run_between_ticks(sampler: Sampler) -> None:
    async def both() -> int:
        others = 0

        async def other() -> None:
            nonlocal others
            while True:
                await asyncio.sleep(0)
                others += 1

        task = asyncio.create_task(other())
        await take(sampler, 3)
        task.cancel()
        return others

    assert asyncio.run(both()) > 3


def test_every_invalid_interval_is_refused(sampler: Sampler) -> None:
    async def first() -> None:
        async for _ in sampler.every(0):
            pass

    with pytest.raises(InvalidValue, match="interval must be seconds"):
        asyncio.run(first())
