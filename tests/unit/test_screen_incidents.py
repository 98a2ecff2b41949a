"""OOM kills, limit hits and refused forks, from the counters of looks."""

from __future__ import annotations

from screens import look, usage

from cgroups.cli.screen.incidents import Incident, Incidents


def test_incidents_first_look_gives_only_the_counters() -> None:
    found = Incidents()
    found.add(look(1.0, usage("/a", oom_kills_total=7)))
    assert found.until(9.0) == []


def test_incidents_rise_is_one_incident() -> None:
    found = Incidents()
    found.add(look(1.0, usage("/a", oom_kills_total=7, limit_hits_total=0)))
    found.add(look(2.0, usage("/a", oom_kills_total=9, limit_hits_total=0)))
    assert found.until(9.0) == [Incident(2.0, 2.0, "/a", "oom_kills_total", 2)]
    assert found.until(9.0)[0].what == "OOM kill in /a (2 times)"
    assert found.until(1.5) == []
    assert found.until(9.0, "/b") == []


def test_incidents_consecutive_rises_are_joined() -> None:
    found = Incidents()
    for time, hits in enumerate([0, 5, 9, 9, 10]):
        found.add(look(time, usage("/a", limit_hits_total=hits)))
    assert found.until(9.0) == [
        Incident(1, 2, "/a", "limit_hits_total", 9),
        Incident(4, 4, "/a", "limit_hits_total", 1),
    ]


def test_incidents_counters_of_a_new_cgroup_begin_at_zero() -> None:
    found = Incidents()
    found.add(look(1.0, usage("/a")))
    found.add(look(2.0, usage("/a"), usage("/new", elapsed=None, refused_forks_total=3)))
    assert [one.what for one in found.until(9.0)] == ["fork refused in /new (3 times)"]


def test_incidents_cgroup_created_again_counts_from_zero() -> None:
    found = Incidents()
    found.add(look(1.0, usage("/a", oom_kills_total=7)))
    found.add(look(2.0, usage("/a", elapsed=None, oom_kills_total=1)))
    assert [one.times for one in found.until(9.0)] == [1]


def test_incidents_cgroup_that_was_missing_for_a_look_is_no_rise() -> None:
    found = Incidents()
    found.add(look(1.0))
    found.add(look(2.0, usage("/a", oom_kills_total=7)))
    assert found.until(9.0) == []


def test_incidents_counter_that_was_reset_is_no_rise() -> None:
    found = Incidents()
    found.add(look(1.0, usage("/a", limit_hits_total=7)))
    found.add(look(2.0, usage("/a", limit_hits_total=1)))
    assert found.until(9.0) == []


def test_incidents_latest_of_each_kind_the_most_severe_first() -> None:
    found = Incidents()
    found.add(look(1.0, usage("/a", limit_hits_total=0, oom_kills_total=0), usage("/b", oom_kills_total=0)))
    found.add(look(2.0, usage("/a", limit_hits_total=0, oom_kills_total=1), usage("/b", oom_kills_total=0)))
    found.add(look(3.0, usage("/a", limit_hits_total=1, oom_kills_total=1), usage("/b", oom_kills_total=1)))
    assert [(one.kind, one.location) for one in found.latest(9.0)] == [
        ("oom_kills_total", "/b"),
        ("limit_hits_total", "/a"),
    ]
    assert [(one.kind, one.location) for one in found.latest(2.0)] == [("oom_kills_total", "/a")]
