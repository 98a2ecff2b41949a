"""A failed call leaves no reference cycle: its caller's objects, and their descriptors, go when the caller returns."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest
from common import MakeCgroup

from cgroups import Cgroup, CgroupError, Core, Events, Group, Hierarchy, Parameters, Popen, Sampler, Threshold, run


class Marker:
    """An object of the caller's."""


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No collection of cycles while the test runs."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _temporary(cgroup: Cgroup) -> None:
    controller = cgroup.hierarchy.spec_head.partition(",")[0]
    with Group.temporary(f"{cgroup.location[1:]}/it", [controller], limits={"cgroup.max.depth": -5}):
        pass


def _event_callback(cgroup: Cgroup) -> None:
    def fails(_: object) -> None:
        raise CgroupError("the callback's")

    procs = Threshold(lambda _: 1, above=0, interval=0.001)
    with Events(None, procs, timeout=5) as events:
        events.run(fails)


FAILING: dict[str, Callable[[Cgroup, Cgroup], object]] = {
    "remove what is gone": lambda _, gone: gone.remove(),
    "remove what has children": lambda full, _: full.remove(),
    "remove what has children, within a time": lambda full, _: full.remove(timeout=0.01),
    "remove a group that is gone": lambda _, gone: Group.of([gone]).remove(),
    "find": lambda full, _: Hierarchy.find_exn(f"{full}/missing"),
    "make": lambda full, _: full.make_sub("below"),
    "get": lambda _, gone: Parameters.get(Core.procs, gone),
    "set": lambda _, gone: Parameters.set(Parameters.notify_on_release, gone, True),
    "update": lambda _, gone: Group.of([gone]).update({Parameters.notify_on_release: True}),
    "processes": lambda _, gone: gone.processes(),
    "attach": lambda full, _: full.add_process(4194303),
    "attach by a group": lambda full, _: Group.of([full]).add_process(4194303),
    "move_all": lambda full, gone: full.move_all(gone.parent.child("other")),  # type: ignore[union-attr]
    "freeze": lambda _, gone: gone.freeze(),
    "kill": lambda _, gone: gone.kill(),
    "wait_empty": lambda _, gone: gone.wait_empty(0.01),
    "start": lambda _, gone: Popen(["true"], cgroup=gone),
    "start of what is not there": lambda full, _: Popen(["/no/such"], cgroup=full.child("below")),
    "temporary": lambda full, _: _temporary(full),
    "run": lambda full, _: run(["/no/such"], parent=full),
    "run with a limit that cannot be": lambda full, _: run(["true"], parent=full, limits={"memory.max": -5}),
    "run in no place": lambda *_: run(["true"], place="none", pids=5),
    "run without a cgroup": lambda *_: run(["true"], place="none"),
    "run where systemd is asked": lambda *_: run(["true"], place="systemd"),
    "sampler": lambda full, _: Sampler([full], []),
    "events": lambda full, _: _event_callback(full),
}


SUCCEEDING: dict[str, Callable[[Cgroup], object]] = {
    "run": lambda full: run(["true"], parent=full),
    "run, watched": lambda full: run(["sleep", "0.05"], parent=full, sample=0.01, capture_output=True, timeout=60),
    "run in its own place": lambda _: run(["true"], pids=50),
    "run without a cgroup": lambda _: run(["true"], place="none"),
    "update": lambda full: full.update(
        {Parameters.notify_on_release: True} if full.version == 1 else {Core.max_depth: 9}
    ),
    "walk": lambda full: list(full.walk()),
    "make and remove": lambda full: full.make_sub("other").remove(),
}


@pytest.mark.parametrize("what", SUCCEEDING)
def test_call_leaves_no_cyclic_garbage_with_cgroups(
    what: str,
    head: str,
    make_cgroup: MakeCgroup,
    uncollected: None,  # noqa: ARG001
) -> None:
    full = make_cgroup(head)
    full.make_sub("below")
    SUCCEEDING[what](full)  # what is done once, such as an import
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        SUCCEEDING[what](full)
        gc.collect()
        garbage = [one for one in gc.garbage if isinstance(one, (Cgroup, CgroupError))]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert garbage == []


@pytest.mark.parametrize("what", FAILING)
def test_failed_call_leaves_no_cycle(what: str, head: str, make_cgroup: MakeCgroup, uncollected: None) -> None:  # noqa: ARG001
    full = make_cgroup(head)
    full.make_sub("below")
    gone = full.make_sub("gone")
    gone.remove()

    def call() -> weakref.ref[Marker]:
        marker = Marker()
        try:
            FAILING[what](full, gone)
        except (CgroupError, OSError):
            pass
        return weakref.ref(marker)

    call()  # what is done once, such as an import
    assert call()() is None
