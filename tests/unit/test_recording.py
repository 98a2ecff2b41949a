"""Ticks of a recording: each that was due is counted once, and a duration is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cgroups import Host, InvalidValue, Memory, Pids, Sampler, backend
from cgroups.cli import record
from cgroups.cli.common.ticks import Looped, Raw
from cgroups.cli.common.values import named
from cgroups.observe.recorder import Recorder, ticks_in


def native(test: Callable[..., None]) -> Any:
    """A test of the thread of C, which is not there with the other backend."""
    return test if backend == "native" else None


@pytest.fixture
def sampler(v2: Host) -> Iterator[Sampler]:
    with Sampler([v2.find_exn(":/job/a"), v2.find_exn(":/job")], [Pids.current]) as made:
        yield made


@pytest.fixture
def slow(v2: Host) -> Iterator[Sampler]:
    """A frame takes some milliseconds: files of many keys."""
    job = v2.find_exn(":/job/a")
    Path(str(job.path), "memory.stat").write_text("".join(f"key{at} {at}\n" for at in range(20_000)))
    with Sampler([job], [Memory.stat]) as made:
        yield made


def until_it_ends(recorder: Recorder) -> None:
    deadline = time.monotonic() + 60
    while recorder.running:
        assert time.monotonic() < deadline
        recorder.read()
        time.sleep(0.001)


def total(recorder: Recorder) -> int:
    assert recorder.late <= recorder.ticks
    return recorder.ticks + recorder.missed + recorder.overruns


@native
@pytest.mark.parametrize("interval", [0.001, 0.000_05])
def test_record_with_a_duration_ends_after_its_ticks(sampler: Sampler, interval: float) -> None:
    with sampler.record(interval, duration=0.05) as recorder:
        until_it_ends(recorder)
        assert total(recorder) == round(0.05 / interval)
        assert time.monotonic_ns() >= recorder.start_ns + 0.05 * 10**9 - interval * 10**9


@native
def test_record_whose_ring_is_full_counts_each_tick_once(sampler: Sampler) -> None:
    with sampler.record(0.001, capacity=3, duration=0.05) as recorder:
        deadline = time.monotonic() + 60
        while recorder.running and time.monotonic() < deadline:
            time.sleep(0.001)
        assert (total(recorder), recorder.ticks) == (50, 3)


@native
def test_record_slower_than_its_interval_counts_each_tick_once_and_keeps_the_duration(slow: Sampler) -> None:
    """Ticks that were never taken were counted as late, and the last frame took until long after the end."""
    slow.sample()
    with slow.record(0.000_1, duration=0.2) as recorder:
        until_it_ends(recorder)
        assert total(recorder) == 2000
        assert 1 <= recorder.ticks < 2000
        assert recorder.missed > 0


@native
@pytest.mark.parametrize("lasting", [0.0, 0.03])
def test_record_stopped_counts_the_ticks_that_were_due(slow: Sampler, lasting: float) -> None:
    """Also those that came due while the last frame was read."""
    recorder = slow.record(0.001)
    time.sleep(lasting)
    before = time.monotonic_ns()
    recorder.stop()
    after = time.monotonic_ns()
    due = [max((one - recorder.start_ns) // 10**6 + 1, 0) for one in (before, after)]
    assert due[0] <= total(recorder) <= due[1]


@native
@pytest.mark.parametrize("duration", [0, 0.0009, -1, True, "1", float("nan"), float("inf")])
def test_record_duration_without_a_tick_is_refused(sampler: Sampler, duration: Any) -> None:
    with pytest.raises(InvalidValue, match="duration must be seconds"):
        sampler.record(0.001, duration=duration)


def test_record_says_which_device_came_too_late(v2: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The columns of a file are those of its start."""
    job = v2.find_exn(":/job/a")
    path = Path(str(job.path), "io.stat")
    path.write_text("8:0 rbytes=1 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n")
    device = "8:16 rbytes=1 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"
    timer = threading.Timer(0.2, lambda: path.write_text(f"{path.read_text()}{device}"))
    timer.start()
    context: Any = SimpleNamespace(obj=v2)
    out = tmp_path / "out.csv"
    record.record(context, [":/job/a"], str(out), [named("io.stat")], interval=0.01, duration=0.6)
    timer.join()
    told = capsys.readouterr().err.splitlines()
    assert told[1:] == [f"cgroups: {out} lacks keys that appeared after the start: 8:16 of io.stat"]
    assert told[0].startswith("60 ticks") or "lost" in told[0]


def test_ticks_in_a_duration_are_those_of_its_decimals() -> None:
    assert ticks_in(0.3, 100_000_000) == 3
    assert ticks_in(3, 1_000_000) == 3000
    assert ticks_in(0.25, 100_000_000) == 2


@pytest.mark.parametrize("stall", [0.0, 0.035])
def test_record_without_a_thread_counts_each_tick_once(sampler: Sampler, stall: float) -> None:
    looped = Looped(Raw(sampler), 10_000_000, 0.1)
    begin = time.monotonic()
    rows = 0
    while looped.running:
        time.sleep(looped.wait())
        rows += len([*looped.take()])
        time.sleep(stall)
    looped.stop()
    told = looped.told()
    assert told.ticks + told.lost == 10
    assert told.late <= told.ticks == rows // 2
    assert time.monotonic() - begin >= 0.09
    if stall:
        assert told.lost > 0


def test_record_without_a_thread_stopped_counts_the_ticks_that_were_due(sampler: Sampler) -> None:
    looped = Looped(Raw(sampler), 10_000_000, None)
    time.sleep(0.035)
    looped.stop()
    assert looped.told().ticks == 0
    assert looped.told().lost >= 3
