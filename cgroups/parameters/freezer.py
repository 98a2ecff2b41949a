"""Freezer: stops all processes of a cgroup.  On v2 every cgroup can be frozen, without enabling a controller.

Sources: cgroup-v1/freezer-subsystem.rst, cgroup-v2.rst (cgroup.freeze).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, final

from ..core.values import CgroupEvents
from .bindings import Custom, File, read_file
from .formats import boolean, one_of, stat_of, word_of
from .kinds import ReadWrite, read_write, readable

if TYPE_CHECKING:
    from ..core.node import Node

State = Literal["THAWED", "FREEZING", "FROZEN"]
NewState = Literal["THAWED", "FROZEN"]

_new_state = one_of("FROZEN", "THAWED")
_events = stat_of(CgroupEvents)


def _read_state(cgroup: Node, parameter: str) -> State:
    # cgroup.events also shows a freeze by an ancestor, unlike cgroup.freeze.
    if read_file(cgroup, "cgroup.events", _events, parameter).frozen:
        return "FROZEN"
    return "FREEZING" if read_file(cgroup, "cgroup.freeze", boolean, parameter) else "THAWED"


def _write_state(cgroup: Node, parameter: str, value: NewState) -> None:
    text = "1" if _new_state.encode(value) == "FROZEN" else "0"
    cgroup.write_text("cgroup.freeze", text, parameter, value)


@final
class Freezer:
    """Freezer: stops all processes of a cgroup."""

    CONTROLLER: ClassVar = "freezer"

    state: ReadWrite[State, NewState] = read_write(
        File("freezer.state", word_of("FROZEN", "THAWED")),
        Custom("cgroup.freeze", "cgroup.events", read=_read_state, write=_write_state),
        "word",
        "THAWED, FREEZING or FROZEN; set takes FROZEN or THAWED, and does not wait",
    )
    self_freezing = readable(
        File("freezer.self_freezing", boolean),
        File("cgroup.freeze", boolean),
        "bool",
        "whether the cgroup itself is set to freeze",
    )
    parent_freezing = readable(
        File("freezer.parent_freezing", boolean),
        None,
        "bool",
        "whether an ancestor is set to freeze",
        no_v2="Freezer.state is FROZEN and Freezer.self_freezing False",
    )
