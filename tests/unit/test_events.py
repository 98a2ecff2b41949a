"""Events without a kernel: what is judged above and below, how fast something rises, and what cannot be asked for."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import errno
import itertools
import pickle
import select
import subprocess
import sys
import threading
import time
from typing import Any, cast

import pytest

import cgroups
from cgroups import (
    MAX,
    CgroupOSError,
    Core,
    Counters,
    Event,
    Events,
    Guard,
    Hierarchy,
    InvalidValue,
    Memory,
    Oom,
    PressureLevel,
    PressureTrigger,
    Threshold,
)
from cgroups.core.seconds import NS_PER_S
from cgroups.observe import events as events_module
from cgroups.observe import thresholds, value_feeds
from cgroups.observe.relay import Relay
from cgroups.observe.value_feeds import Level, RateFeed, timed


def told(level: Level, *values: Any) -> list[str]:
    return [what for value in values for what, _, _ in level.judge(value)]


# ---- above and below --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("above", "below", "values", "expected"),
    [
        (10, None, [10, 11, 12, 11, 10, 10, 11], ["above", "below", "above"]),
        (10, None, [11, 5], ["above", "below"]),
        (10, None, [5, 4, 3], []),
        (10, None, [5, MAX, 5], ["above", "below"]),
        (None, 10, [10, 9, 8, 10], ["below", "above"]),
        (None, 10, [9, 20], ["below", "above"]),
        (None, 10, [20, 11], []),
        (20, 10, [15, 20, 21, 15, 10, 9, 15, 20, 25], ["above", "below", "above"]),
        (20, 10, [15, 9, 15, 9], ["below"]),
        (20, 10, [30, 15, 30, 5], ["above", "below"]),
        (0.5, None, [0.5, 0.75, 0.25], ["above", "below"]),
    ],
)
def test_threshold_crossing_is_reported_once(
    above: float | None, below: float | None, values: list[Any], expected: list[str]
) -> None:
    assert told(Level(above, below), *values) == expected


def test_threshold_event_has_the_last_two_numbers() -> None:
    level = Level(10, None)
    assert level.judge(5) == []
    assert level.judge(7) == []
    assert level.judge(12) == [("above", 7, 12)]
    assert level.judge(MAX) == []
    assert level.judge(1) == [("below", MAX, 1)]


def test_threshold_rate_is_the_rise_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter that began again, and one without a limit, have no rate."""
    now = 0
    values = iter([100, 150, 250, 260, 5, 505, MAX, 10, 1000])
    monkeypatch.setattr(value_feeds, "monotonic_ns", lambda: now)
    feed = RateFeed(None, "rate", timed(lambda: next(values)), Level(80, None, "rate_"), NS_PER_S)
    found: list[Any] = []
    for second in range(9):
        now = second * NS_PER_S
        found.append([(event.what, event.before, event.after) for event in feed.look(now)])
        assert feed.due == now + NS_PER_S
    assert found == [
        [],
        [],  # 50 a second
        [("rate_above", 50.0, 100.0)],
        [("rate_below", 100.0, 10.0)],
        [],  # it began again
        [("rate_above", 10.0, 500.0)],
        [],
        [],
        [],  # 990: still above
    ]


def test_threshold_rate_of_a_short_burst_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look after the start may come at once: the rise is then that of the interval after it too."""
    now = 0
    values = iter([0, 50, 60, 160])
    monkeypatch.setattr(value_feeds, "monotonic_ns", lambda: now)
    feed = RateFeed(None, "rate", timed(lambda: next(values)), Level(80, None, "rate_"), NS_PER_S)
    found = []
    for now in (0, NS_PER_S // 10, NS_PER_S, 2 * NS_PER_S):
        found.append([event.after for event in feed.look(now)])
    assert found == [[], [], [], [100.0]]


def test_rate_other_threads_hold_the_lock_is_never_more_than_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that passes between a read and the look at the clock is no rise: here up to 80 of 100 ms."""
    now = 0
    waits = itertools.cycle([0, 80, 10, 60, 0, 0, 75])

    def read() -> int:
        nonlocal now
        value = now * 150 // 1000  # 0.15 CPUs, at the moment of the read
        now += next(waits) * NS_PER_S // 1000
        return value

    monkeypatch.setattr(value_feeds, "monotonic_ns", lambda: now)
    feed = RateFeed(None, "rate", timed(read), Level(0.2 * NS_PER_S, None, "rate_"), NS_PER_S // 10)
    for look in range(100):
        now = max(now, look * NS_PER_S // 10)
        assert feed.look(now) == []


def test_rate_of_a_parameter_is_read_with_its_clock_in_c(job: cgroups.Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    """No look at the clock in Python is part of a rate."""
    [feed] = Threshold(cgroups.Cpuacct.usage, rate_above=1).open(job, job)
    monkeypatch.setattr(
        value_feeds, "monotonic_ns", lambda: pytest.fail("a clock that waits for the interpreter's lock")
    )
    assert feed.begin(0) == []
    reading = cast("Any", feed)._read()
    assert reading.value == cgroups.Parameters.get(cgroups.Cpuacct.usage, job)
    assert 0 < reading.ended_ns - reading.started_ns < NS_PER_S
    feed.close()


def test_threshold_pages_are_whole() -> None:
    """Above is from a threshold on, and below is until one, as if numbers between two pages were not: they are not."""
    page = thresholds.PAGE
    assert list(thresholds._pages(0, None)) == [page]
    assert list(thresholds._pages(page - 1, None)) == [page]
    assert list(thresholds._pages(page, None)) == [2 * page]
    assert list(thresholds._pages(2 * page + 0.5, None)) == [3 * page]
    assert list(thresholds._pages(None, page)) == [page]
    assert list(thresholds._pages(None, page + 1)) == [2 * page]
    assert list(thresholds._pages(5 * page, page)) == [6 * page, page]
    # Always so, and never: there is nothing to wait for.
    assert list(thresholds._pages(-1, 0)) == []


# ---- an event -----------------------------------------------------------------------------------------


def test_event_is_an_immutable_value() -> None:
    event = Event(None, "oom_kill", "kernel", "memory.events", 3, 5, 17)
    assert event.count == 2
    assert pickle.loads(pickle.dumps(event)) == event == copy.deepcopy(event)
    assert hash(event) == hash(copy.copy(event))
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.what = "oom"  # type: ignore[misc]
    assert not hasattr(event, "__dict__")
    assert Event(None, "removed", "kernel", "", None, None, 17).count is None
    assert Event(None, "above", "sampled", "pids.max", 5, MAX, 17).count is None


# ---- what cannot be asked for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PressureTrigger("swap", "some", 1, 2_000_000), "one of cpu, memory, io, irq"),
        (lambda: PressureTrigger("cpu", "most", 1, 2_000_000), "one of some, full"),
        (lambda: PressureTrigger("cpu", "some", 1, 499_999), "from 500000 to 10000000"),
        (lambda: PressureTrigger("cpu", "some", 1, 10_000_001), "from 500000 to 10000000"),
        (lambda: PressureTrigger("cpu", "some", 0, 2_000_000), "from 1 to 2000000"),
        (lambda: PressureTrigger("cpu", "some", 2_000_001, 2_000_000), "from 1 to 2000000"),
        (lambda: PressureTrigger("cpu", "some", 0.5, 2_000_000), "stall_us must be microseconds from 1"),
        (lambda: PressureLevel("high"), "one of low, medium, critical"),
        (lambda: PressureLevel("low", "global"), "one of default, hierarchy, local"),
        (lambda: Counters(7), "must be a source of events or a parameter"),
        (lambda: Counters(Memory.events, interval=0), "interval must be seconds"),
        (lambda: Threshold(Memory.current), "above, below, rate_above"),
        (lambda: Threshold(Memory.current, above="5"), "above must be a finite number, got '5'"),
        (lambda: Threshold(Memory.current, above=True), "above must be a finite number, got True"),
        (lambda: Threshold(Memory.current, above=float("nan")), "above must be a finite number, got nan"),
        (lambda: Threshold(Memory.current, above=1, below=2), "below must not be greater than above"),
        (lambda: Threshold(Memory.current, above=1, interval=-1), "interval must be seconds"),
        (lambda: Threshold(Memory.reclaim, above=1), "must be a parameter that can be read or a function"),
        (lambda: Threshold(cast("Any", Memory.stat), above=1), "name one of its keys"),
        (lambda: Guard(Hierarchy.scan()[0].root(), cast("Any", Memory.pressure), above=1), "name one of its keys"),
        (lambda: Threshold(Memory, above=1), "must be a parameter that can be read or a function"),
        (lambda: Events("memory:/a"), "must be a Cgroup, a Group or None"),
        (lambda: Events(7), "must be a Cgroup, a Group or None"),
        (lambda: Events([]), "must have at least one cgroup"),
        (lambda: Events(None), "whole system"),
        (lambda: Events(None, Oom()), "whole system"),
        (lambda: Events(None, PressureLevel()), "whole system"),
        (lambda: Events(None, Core.events), "whole system"),
        (lambda: Events(None, Threshold(Memory.current, above=1)), "whole system"),
        (
            lambda: Events(None, Threshold(lambda _: 1, above=0), timeout=-1),
            "timeout must be seconds from 0, or None",
        ),
        (lambda: Events(None, Threshold(lambda _: "much", above=0)), "must be one number"),
        (lambda: Guard("memory:/a", Memory.current, above=1), "must be a Cgroup or a Group"),
    ],
)
def test_threshold_invalid_arguments_are_refused(make: Any, said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        make()


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"grace": -1}, "grace must be seconds from 0, or None"),
        ({"grace": "5"}, "grace must be seconds from 0, or None"),
        ({"action": "TERM"}, "action must be a signal or a function"),
        ({"action": 0}, "action must be a signal or a function"),
        ({"then": 65}, "then must be a signal, got 65"),
        ({"then": print}, "then must be a signal, got"),
        ({"interval": 0}, "interval must be seconds"),
        ({"above": None}, "above, below, rate_above"),
    ],
)
def test_guard_invalid_arguments_are_refused(keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        Guard(Hierarchy.scan()[0].root(), Memory.current, **{"above": 1, **keywords})


def test_threshold_function_watches_the_system() -> None:
    numbers = iter(range(100))
    with Events(
        None, Threshold(lambda target: next(numbers) if target is None else -1, above=2, interval=0.01)
    ) as all_:
        event = next(all_)
    assert (event.cgroup, event.what, event.before, event.after) == (None, "above", 2, 3)


def test_threshold_function_that_raises_raises_and_is_polled_again() -> None:
    answers = iter([0, 0, ZeroDivisionError, 0, 9])

    def number(_: Any) -> int:
        answer = next(answers)
        if isinstance(answer, type):
            raise answer
        return answer

    with Events(None, Threshold(number, above=5, interval=0.01)) as events:
        with pytest.raises(ZeroDivisionError):
            next(events)
        assert next(events).after == 9


@pytest.mark.parametrize("source", [Oom(), PressureLevel(), PressureTrigger("cpu", "some", 1, 2_000_000)])
def test_sources_repr_shows_their_arguments(source: Any) -> None:
    assert type(source).__name__ in repr(source)
    assert repr(Counters(Memory.events)) == "Counters(memory.events)"
    assert repr(Threshold(Memory.current, above=1)) in {
        "Threshold(memory.current, above=1)",
        "Threshold(memory.usage_in_bytes, above=1)",
    }


# ---- asyncio ------------------------------------------------------------------------------------------------


def timed_number(*changes: tuple[float, int]) -> Any:
    """Return a function whose number changes at the given seconds."""
    start = time.monotonic()
    return lambda _: [number for at, number in changes if time.monotonic() - start >= at][-1]


@pytest.mark.slow
def test_events_in_asyncio_begin_when_they_are_asked_for() -> None:
    """The loop reads while the block awaits something else, before it first asks for an event."""

    async def main(*, entered: bool) -> list[str]:
        events = Events(None, Threshold(timed_number((0, 0), (0.2, 9), (0.6, 0)), above=5, interval=0.02))
        if not entered:
            iterator = events.__aiter__()
            await asyncio.sleep(1.5)
            first, second = await anext(iterator), await anext(iterator)
            events.close()
            return [first.what, second.what]
        async with events:
            await asyncio.sleep(1.5)
            return [event.what for event in events.poll()]

    async def both() -> list[list[str]]:
        return await asyncio.gather(main(entered=True), main(entered=False))

    assert asyncio.run(both()) == [["above", "below"], ["above", "below"]]


def test_async_events_a_function_that_raises_in_the_loop_raises_where_it_is_awaited() -> None:
    answers = iter([0, ZeroDivisionError, 9, 9])

    def number(_: Any) -> int:
        answer = next(answers, 9)
        if isinstance(answer, type):
            raise answer
        return answer

    async def main() -> int | float | None:
        async with Events(None, Threshold(number, above=5, interval=0.02)) as events:
            await asyncio.sleep(0.3)
            with pytest.raises(ZeroDivisionError):
                await anext(events)
            event: Event = await anext(events)
            return cast("Any", event.after)

    assert asyncio.run(main()) == 9


def test_async_events_nobody_reads_are_left_to_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "MAX_QUEUED", 3)
    numbers = itertools.count()
    what = Threshold(lambda _: next(numbers) % 2 * 9, above=5, interval=0.01)  # an event at each look

    async def main() -> int:
        async with Events(None, what) as events:
            await asyncio.sleep(0.5)
            kept = len(events._queue)
            for _ in range(kept + 3):
                await anext(events)
            return kept

    assert asyncio.run(main()) == 3


def test_async_events_closed_by_a_thread_end(open_fds: Any) -> None:
    before = open_fds()

    async def main() -> list[Event]:
        async with Events(None, Threshold(lambda _: 0, above=5, interval=10)) as events:
            threading.Timer(0.1, events.close).start()
            await asyncio.sleep(0.4)
            return [event async for event in events]

    assert asyncio.run(main()) == []
    assert open_fds() == before


def test_async_events_dropped_in_the_middle_close_their_files(open_fds: Any) -> None:
    async def main() -> None:
        before = open_fds()
        async for _ in Events(None, Threshold(lambda _: 9, above=5, interval=10)):
            break
        assert open_fds() == before

    asyncio.run(main())


# ---- no more threads ----------------------------------------------------------------------------------------


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    return monkeypatch


def test_guard_without_a_thread_is_an_error_and_closes(no_threads: pytest.MonkeyPatch, open_fds: Any) -> None:
    root = Hierarchy.scan()[0].root()
    guard = Guard(root, lambda _: 0, above=1)
    before = open_fds()
    for _ in range(2):
        with pytest.raises(CgroupOSError, match=f"cannot guard {root}.*ulimit -u") as caught:
            guard.start()
        assert caught.value.errno == errno.EAGAIN
    assert open_fds() == before
    guard.close()
    no_threads.undo()
    with Guard(root, lambda _: 9, above=1, action=lambda _: None) as other:
        assert other.wait(30) is not None


def test_events_without_a_thread_is_an_error_and_closes(no_threads: pytest.MonkeyPatch) -> None:
    events = Events(None, Threshold(lambda _: 9, above=5, interval=10))
    with pytest.raises(CgroupOSError, match="ulimit -u"):
        events.start(print)
    no_threads.undo()
    assert next(events).what == "above"
    events.close()


def test_relay_without_a_thread_is_an_error_and_leaves_no_descriptor(
    no_threads: pytest.MonkeyPatch,  # noqa: ARG001 - in effect
    open_fds: Any,
) -> None:
    before = open_fds()
    with select.epoll() as epoll, pytest.raises(CgroupOSError, match="ulimit -u"):
        Relay(epoll)
    assert open_fds() == before


# ---- importing ----------------------------------------------------------------------------------------------


def test_import_cgroups_loads_no_event_modules() -> None:
    """Modules that wait for events are imported at their first use."""
    program = """
import sys
before = set(sys.modules)
import cgroups
new = set(sys.modules) - before
assert not new & {"asyncio", "threading", "signal", "subprocess", "dataclasses"}, sorted(new)
assert not {name for name in new if name.endswith((".events", ".sources", ".guard"))}
"""
    done = subprocess.run([sys.executable, "-S", "-c", _PATH + program], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr


_PATH = f"import sys; sys.path[:] = {sys.path!r}\n"


def test_lazy_names_exist() -> None:
    for name in cgroups._LATER.keys() - {"aio"}:  # noqa: SLF001 - aio is a module of its own
        assert name in cgroups.__all__
        assert getattr(getattr(cgroups, name), "__name__", name) == name
    with pytest.raises(AttributeError, match="nonesuch"):
        cgroups.nonesuch
