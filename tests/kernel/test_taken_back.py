"""Controllers that a removal disables, on each hierarchy of this host; on v1 nothing is disabled."""

from __future__ import annotations

import os

import pytest
from common import MakeCgroup, text_of

from cgroups import Cgroup, Group, Hierarchy, Parameters, Subsystem
from cgroups.control import enabling


def enabled_in(cgroup: Cgroup) -> str:
    return "" if cgroup.version == 1 else text_of(cgroup, "cgroup.subtree_control")


def make(controller: str, top: Cgroup, name: str) -> Cgroup:
    return Hierarchy.find_or_create(f"{controller}:{top.location}/{name}")


def has_attributes(cgroup: Cgroup) -> bool:
    """Return whether the file system has user attributes: cgroup2 has them since Linux 5.7."""
    try:
        os.setxattr(str(cgroup.path), "user.test", b"1")
    except OSError:
        return False
    return True


def test_remove_takes_back_what_create_has_enabled(controller_here: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(controller_here)
    before = enabled_in(top)
    for disables in (False, True):
        one, other = make(controller_here, top, "one"), make(controller_here, top, "other")
        enabled = enabled_in(top)
        assert (enabled != "") is (top.version == 2 and controller_here != "")
        one.remove(disable_controllers=True)
        assert enabled_in(top) == enabled  # the other has it
        other.remove(disable_controllers=disables)
        assert enabled_in(top) == (before if disables and has_attributes(top) else enabled)
    assert enabling.remembered(top) == frozenset()


def test_remove_leaves_what_others_have_enabled(controller_here: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(controller_here)
    if top.version == 2 and controller_here:
        name = "io" if controller_here == "blkio" else controller_here
        Parameters.set(Subsystem.Core.subtree_control, top, [name])
    before = enabled_in(top)
    make(controller_here, top, "one").remove(disable_controllers=True)
    assert enabled_in(top) == before


def test_remove_of_a_group_takes_back_too(controller_here: str, make_ready: MakeCgroup) -> None:
    top = make_ready(controller_here)
    before = enabled_in(top)
    Group("one", [controller_here], parent=top).create().remove(disable_controllers=True)
    assert enabled_in(top) == before or not has_attributes(top)


def test_notes_are_an_attribute_of_the_directory(every_head: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(every_head)
    assert enabling.remembered(cgroup) == frozenset()
    enabling.remember(cgroup, "memory")
    enabling.remember(cgroup, "pids")
    if not has_attributes(cgroup):
        assert enabling.remembered(cgroup) == frozenset()
        return
    assert enabling.remembered(cgroup) == {"memory", "pids"}
    enabling.forget(cgroup, ["memory"])
    assert os.getxattr(str(cgroup.path), enabling.ATTRIBUTE) == b"pids"


def test_remove_for_somebody_who_may_not_note_is_no_error(
    controller_here: str, make_cgroup: MakeCgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "refused")

    monkeypatch.setattr(os, "setxattr", refuse)
    top = make_cgroup(controller_here)
    child = make(controller_here, top, "one")
    enabled = enabled_in(top)
    child.remove(disable_controllers=True)
    assert enabled_in(top) == enabled
