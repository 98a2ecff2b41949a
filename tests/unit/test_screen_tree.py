"""The rows of the full screen: order, folding, the filter and sums."""

from __future__ import annotations

from typing import Any

import pytest
from screens import look, usage

from cgroups.cli.common.activity import CgroupUsage
from cgroups.cli.screen.history import Look
from cgroups.cli.screen.tree import Row, Tree, View, outermost, total


def by_cpu(one: CgroupUsage) -> Any:
    return -(one.cpu or 0)


@pytest.fixture
def view() -> View:
    return View(by_cpu)


LOOK = look(
    0.0,
    usage("/", cpu=3.0),
    usage("/a", cpu=1.0, memory=10),
    usage("/a/x", cpu=0.9, memory=7),
    usage("/b", cpu=2.0, memory=5),
    usage("/b/y", cpu=0.5),
    usage("/b/z", cpu=1.5),
)


def places(found: list[Row]) -> list[str]:
    return [row.usage.location for row in found]


def test_rows_tree_is_depth_first_and_each_level_in_order(view: View) -> None:
    found = Tree().rows(LOOK, view)
    assert places(found) == ["/", "/b", "/b/z", "/b/y", "/a", "/a/x"]
    assert [(row.label, row.depth, row.mark) for row in found] == [
        ("/", 0, "-"),
        ("b", 1, "-"),
        ("z", 2, ""),
        ("y", 2, ""),
        ("a", 1, "-"),
        ("x", 2, ""),
    ]


def test_rows_reversed_inverts_each_level(view: View) -> None:
    view.is_reversed = True
    assert places(Tree().rows(LOOK, view)) == ["/", "/a", "/a/x", "/b", "/b/y", "/b/z"]


def test_rows_equal_keys_keep_their_order(view: View) -> None:
    same = look(0.0, *(usage(f"/{name}", cpu=0.0) for name in "cab"))
    assert places(Tree().rows(same, view)) == ["/c", "/a", "/b"]


def test_rows_folded_cgroup_hides_all_below(view: View) -> None:
    view.folded = {"/b"}
    found = Tree().rows(LOOK, view)
    assert places(found) == ["/", "/b", "/a", "/a/x"]
    assert found[1].mark == "+"


def test_rows_list_is_flat_with_whole_names(view: View) -> None:
    view.is_tree = False
    found = Tree().rows(LOOK, view)
    assert places(found) == ["/", "/b", "/b/z", "/a", "/a/x", "/b/y"]
    assert {row.depth for row in found} == {0}
    assert found[2].label == "/b/z"


def test_rows_filter_shows_matches_and_their_ancestors(view: View) -> None:
    view.text = "Z B"
    view.folded = {"/b"}  # a match in a folded cgroup is found
    found = Tree().rows(LOOK, view)
    assert [(row.usage.location, row.is_match) for row in found] == [("/", False), ("/b", False), ("/b/z", True)]


def test_rows_filter_of_a_list_shows_matches(view: View) -> None:
    view.is_tree, view.text = False, "/b"
    assert places(Tree().rows(LOOK, view)) == ["/b", "/b/z", "/b/y"]


def test_rows_filter_without_a_match_is_empty(view: View) -> None:
    view.text = "nothing"
    assert Tree().rows(LOOK, view) == []


def test_rows_filter_matches_the_shown_name(view: View) -> None:
    container = "4f0f5e1c9d2b" + 52 * "0"
    named = look(0.0, usage(f"/docker/{container}"), usage("/other"))
    view.text = "docker 4f0f5e"
    assert places(Tree().rows(named, view)) == [f"/docker/{container}"]


def test_rows_missing_figure_is_the_sum_of_the_children(view: View) -> None:
    """As on v2, whose root has no memory.current."""
    root, *_ = Tree().rows(LOOK, view)
    assert (root.usage.memory, root.usage.cpu) == (15, 3.0)
    assert root.sums == {"memory"}


def test_rows_sum_counts_each_cgroup_once(view: View) -> None:
    """The figure of a child includes its own children; a child without a figure is the sum of its children."""
    deep = look(0.0, usage("/"), usage("/a"), usage("/a/x", memory=3), usage("/a/y", memory=4), usage("/b", memory=5))
    found = {row.usage.location: row.usage.memory for row in Tree().rows(deep, view)}
    assert (found["/"], found["/a"]) == (12, 7)


def test_rows_shares_are_not_summed(view: View) -> None:
    pressed = look(0.0, usage("/"), usage("/a", cpu_pressure=0.5, limit=5), usage("/b", cpu_pressure=0.5, limit=5))
    root, *_ = Tree().rows(pressed, view)
    assert (root.usage.cpu_pressure, root.usage.limit) == (None, None)


def test_rows_of_a_forest_have_several_tops(view: View) -> None:
    forest = look(0.0, usage("/jobs/a", cpu=1.0), usage("/jobs/a/x", cpu=1.0), usage("/sys/b", cpu=2.0))
    found = Tree().rows(forest, view)
    assert [(row.label, row.depth) for row in found] == [("/sys/b", 0), ("/jobs/a", 0), ("x", 1)]


def test_rows_follow_cgroups_that_come_and_go(view: View) -> None:
    tree = Tree()
    tree.rows(LOOK, view)
    later = Look(1.0, {place: one for place, one in LOOK.usages.items() if place != "/b"})
    assert places(tree.rows(later, view)) == ["/", "/b/z", "/a", "/a/x", "/b/y"]


def test_rows_tree_deeper_than_the_recursion_limit(view: View) -> None:
    deep = look(0.0, *(usage("/a" * depth, cpu=1.0) for depth in range(1, 1500)))
    assert len(Tree().rows(deep, view)) == 1499


def test_outermost_leaves_out_cgroups_below_a_match(view: View) -> None:
    view.text = "b"
    found = outermost(Tree().rows(LOOK, view))
    assert [one.location for one in found] == ["/b"]
    assert total(found, "cpu") == 2.0
    assert total(found, "swap") is None
