"""Patterns: which cgroups of captured and made trees match, and the bounds of the search."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cgroups import CgroupNotFound, CgroupTimeout, Host, InvalidValue
from cgroups.core.patterns import Pattern, below, expand, is_pattern

TREE = ("jobs/a/x", "jobs/b/x", "jobs/ab", "system.slice/ssh.service", "a.slice/b.slice/cron.service", "odd/[x]")


@pytest.fixture
def host(tmp_path: Path, make_host: Callable[..., Host]) -> Host:
    """A hybrid host: the tree on v2, some of it on memory's hierarchy, and one name on two others."""
    return make_host(
        tmp_path / "host",
        "/cg/unified / cgroup2 rw",
        "/cg/memory / cgroup rw,memory",
        "/cg/pids / cgroup rw,pids",
        "/cg/cpu / cgroup rw,cpu",
        directories=(
            *(f"/cg/unified/{path}" for path in TREE),
            *(f"/cg/memory/jobs/{name}" for name in ("a", "m")),
            *("/cg/pids/only/one", "/cg/pids/both/one", "/cg/cpu/both/one"),
        ),
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (":/jobs/*", [":/jobs/a", ":/jobs/ab", ":/jobs/b"]),
        (":/jobs/a*", [":/jobs/a", ":/jobs/ab"]),
        (":/jobs/?", [":/jobs/a", ":/jobs/b"]),
        (":/jobs/[!a]", [":/jobs/b"]),
        (":/jobs/*/x", [":/jobs/a/x", ":/jobs/b/x"]),
        (":/jobs/**", [":/jobs", ":/jobs/a", ":/jobs/a/x", ":/jobs/ab", ":/jobs/b", ":/jobs/b/x"]),
        (":/**/x", [":/jobs/a/x", ":/jobs/b/x"]),
        (":/**/**/x", [":/jobs/a/x", ":/jobs/b/x"]),
        (":jobs/[b]", [":/jobs/b"]),
        (":/odd/[[]x]", [":/odd/[x]"]),
        ("memory:/jobs/*", ["memory:/jobs/a", "memory:/jobs/m"]),
        # Without a hierarchy: the first that has the location.
        ("/jobs/?", [":/jobs/a", ":/jobs/b", "memory:/jobs/m"]),
        ("/**/*.service", [":/a.slice/b.slice/cron.service", ":/system.slice/ssh.service"]),
        ("/only/*", ["pids:/only/one"]),
    ],
)
def test_expand_finds_what_matches(host: Host, text: str, found: list[str]) -> None:
    assert [str(one) for one in expand(host, text).cgroups] == found


def test_expand_directory_is_on_the_hierarchy_of_its_mount(host: Host) -> None:
    found = expand(host, "/cg/memory/jobs/*")
    assert [str(one) for one in found.cgroups] == ["memory:/jobs/a", "memory:/jobs/m"]
    assert not found.is_bare
    assert expand(host, "/jobs/*").is_bare


def test_expand_location_with_a_controller_is_on_its_hierarchy(host: Host) -> None:
    assert [str(one) for one in expand(host, "/jobs/*", "memory").cgroups] == ["memory:/jobs/a", "memory:/jobs/m"]


@pytest.mark.parametrize("text", [":/nope/*", ":/jobs/z*", "memory:/jobs/*/x", "/nope/**/y"])
def test_expand_without_a_match_is_an_error_that_names_the_pattern(host: Host, text: str) -> None:
    with pytest.raises(CgroupNotFound, match="no cgroup matches") as caught:
        expand(host, text)
    assert repr(text) in str(caught.value)
    assert len(str(caught.value)) < 160


def test_expand_location_of_two_hierarchies_is_ambiguous(host: Host) -> None:
    with pytest.raises(CgroupNotFound, match=r"use one of pids:/both/\*, cpu:/both/\*"):
        expand(host, "/both/*")


@pytest.mark.parametrize("text", ["*.service", "pid:*", "m*:/jobs", "container:[a]", "id:1?", ":/../*", ":/a\n*"])
def test_expand_text_that_is_no_pattern_is_refused(host: Host, text: str) -> None:
    assert is_pattern(text)
    with pytest.raises((InvalidValue, CgroupNotFound)):
        expand(host, text)


def test_expand_follows_no_link(host: Host) -> None:
    os.symlink("jobs", f"{host.root}/cg/unified/link")
    os.symlink("/", f"{host.root}/cg/unified/jobs/root")
    assert [str(one) for one in expand(host, ":/*/a").cgroups] == [":/jobs/a"]
    assert ":/jobs/root" not in [str(one) for one in expand(host, ":/jobs/**").cgroups]


def test_expand_more_than_the_limit_is_refused(host: Host) -> None:
    with pytest.raises(InvalidValue, match="more than 2 cgroups match"):
        expand(host, ":/jobs/*", most=2)
    assert len(expand(host, ":/jobs/*", most=3).cgroups) == 3


def test_expand_ends_at_the_deadline(host: Host) -> None:
    with pytest.raises(CgroupTimeout, match="timed out after 0 s"):
        expand(host, ":/**", timeout=0)


def test_below_is_bounded(host: Host) -> None:
    top = host.find_exn(":/jobs")
    assert [str(one) for one in below(top)] == [str(one) for one in top.walk()]
    with pytest.raises(InvalidValue, match="more than 3 cgroups"):
        below(top, most=3)
    with pytest.raises(CgroupTimeout):
        below(top, timeout=0)


@pytest.mark.parametrize(
    ("path", "location", "depth", "covered"),
    [
        ("/jobs/*", "/jobs", None, False),
        ("/jobs/*", "/jobs/a", 0, True),
        ("/jobs/*", "/jobs/a/b", None, True),
        ("/jobs/*", "/jobs/a/b", 0, False),
        ("/jobs/*", "/jobs/a/b", 1, True),
        ("/jobs/*", "/jobsx/a", None, False),
        ("/**", "/", 0, True),
        ("/**/s", "/a/b/s", 0, True),
        ("/**/s", "/a/b/s/t", 0, False),
        ("/a/**", "/a", 0, True),
    ],
)
def test_covers_tells_matches_and_what_is_below(path: str, location: str, depth: int | None, covered: bool) -> None:
    assert Pattern(path).covers(location, depth) is covered
