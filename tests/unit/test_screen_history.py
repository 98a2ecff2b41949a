"""The history of the full screen: its limits, the position in it, and sparklines."""

from __future__ import annotations

import pytest
from screens import look, usage

from cgroups.cli.screen import history
from cgroups.cli.screen.history import History, spark


def filled(count: int) -> History:
    found = History()
    for number in range(count):
        found.add(look(number, usage("/a", cpu=float(number))))
    return found


def test_history_without_looks_shows_nothing() -> None:
    empty = History()
    assert (empty.shown, empty.behind_s, empty.buckets(5), len(empty)) == (None, 0.0, [], 0)
    assert empty.step(-1) is False
    empty.pause()
    assert not empty.is_paused


def test_history_live_shows_the_latest_look() -> None:
    looks = filled(3)
    assert looks.shown is not None
    assert looks.shown.time == 2
    assert not looks.is_paused


def test_history_paused_keeps_its_look_while_others_arrive() -> None:
    looks = filled(3)
    looks.pause()
    looks.add(look(3.0, usage("/a")))
    assert looks.shown is not None
    assert (looks.shown.time, looks.behind_s, looks.is_paused) == (2, 1.0, True)
    looks.resume()
    assert (looks.shown.time, looks.behind_s, looks.is_paused) == (3, 0.0, False)


def test_history_step_moves_within_the_looks() -> None:
    looks = filled(5)
    assert looks.step(-2)
    assert looks.number == 2
    assert looks.step(-10)
    assert looks.number == 0
    assert not looks.step(-1)
    assert looks.step(10)
    assert looks.number == 4


def test_history_full_drops_the_oldest_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_LOOKS", 3)
    looks = filled(5)
    assert [one.time for one in looks.all()] == [2, 3, 4]
    looks.step(-10)
    assert looks.number == 2
    looks.add(look(5.0, usage("/a")))
    assert looks.shown is not None
    assert looks.shown.time == 3  # the look that was shown is gone


def test_history_rows_limit_drops_looks_of_many_cgroups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_ROWS", 10)
    looks = History()
    for number in range(4):
        looks.add(look(number, *(usage(f"/{at}", cpu=number) for at in range(4))))
    assert len(looks) == 2


def test_history_rows_limit_counts_unchanged_rows_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_ROWS", 10)
    looks = History()
    for number in range(8):
        looks.add(look(number, *(usage(f"/{at}") for at in range(8))))
    assert len(looks) == 7


def test_history_usage_that_did_not_change_is_kept_once() -> None:
    looks = History()
    looks.add(look(0.0, usage("/a", cpu=1.0), usage("/b", cpu=0.0)))
    added = looks.add(look(1.0, usage("/a", cpu=2.0, time=1.0), usage("/b", cpu=0.0, time=1.0)))
    first = looks.all()[0]
    assert added.usages["/b"] is first.usages["/b"]
    assert added.usages["/a"].cpu == 2.0


def test_history_buckets_are_stable_while_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SPARK_S", 12)
    looks = filled(12)  # a look per second, 4 buckets of 3 looks
    before = [[one.time for one in found] for found in looks.buckets(4)]
    assert before == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    looks.add(look(12.0, usage("/a")))
    after = [[one.time for one in found] for found in looks.buckets(4)]
    assert after == [*before[1:], [12]]


def test_history_buckets_end_at_the_shown_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SPARK_S", 12)
    looks = filled(12)
    looks.step(-5)
    assert [one.time for one in looks.buckets(4)[-1]] == [6]


def test_history_of_a_recording_begins_at_its_first_look() -> None:
    looks = History([look(0.0, usage("/a")), look(1.0, usage("/a"))])
    assert (looks.number, looks.is_paused, looks.behind_s) == (0, True, 1.0)


@pytest.mark.parametrize(
    ("numbers", "top", "drawn"),
    [
        ([0, 1, 2, 4], None, "▁▃▅█"),
        ([0, 0], None, "▁▁"),
        ([None, 1], None, " █"),
        ([0.5], 1, "▅"),
        ([3], 1, "█"),
        ([], None, ""),
    ],
)
def test_spark_is_a_block_for_each_number(numbers: list[float | None], top: float | None, drawn: str) -> None:
    assert spark(numbers, top) == drawn


def test_buckets_keep_their_size_beside_jitter() -> None:
    """Two seconds and 24 groups are on the edge of two sizes."""
    history, sizes = History(), set()
    for number in range(60):
        history.add(look(2.0 * number + 0.002 * (number % 2), usage("/a", cpu=1.0)))
        if number > 12:
            sizes.add(history._bucket_size(24))
    assert len(sizes) == 1
