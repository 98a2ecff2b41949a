"""Core: the ``cgroup.*`` files of every cgroup, independent of controllers.

Sources: cgroup-v2.rst (Core Interface Files), cgroup-v1/cgroups.rst.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from ..core.codecs import Converter, Writer
from ..core.errors import Advice, CgroupError, InvalidValue, shown
from ..core.literals import names_literal
from ..core.rollback import Rollback
from ..core.specs import check_controller
from ..core.values import CgroupEvents, CgroupStat
from .bindings import Custom, File, Named, TaskList, read_file
from .formats import boolean, one_of, pressure, raw_text, stat_of, text, words
from .kinds import Parameter, PressureParameter, ReadWrite, keyed, read_write, readable, writable
from .limit_formats import INT_MAX, LimitCodec

if TYPE_CHECKING:
    from ..core.node import Node

Threaded = Literal["threaded"]

_depth = LimitCodec(0, INT_MAX)


def _encode_true(value: bool) -> str:  # noqa: FBT001 - the parameter's value
    if value is not True:
        message = f"value must be True, got {shown(value)}"
        raise InvalidValue(message)
    return "1"


def _encode_agent(value: str) -> str:
    # The empty string means no agent, and is written as an empty line.
    return "" if value == "" else text.encode(value)


_agent: Converter[str, str] = Converter(raw_text.decode, _encode_agent)


def _write_subtree_control(cgroup: Node, parameter: str, value: Iterable[str]) -> None:
    """Write the changes, one controller per write; if one is refused, undo the others."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        message = f"value must be an iterable of controllers, got {shown(value)}"
        raise InvalidValue(message)
    wanted = [check_controller(name) for name in value]
    now = read_file(cgroup, "cgroup.subtree_control", words, parameter)
    steps = [f"-{name}" for name in now if name not in wanted]
    steps += [f"+{name}" for name in dict.fromkeys(wanted) if name not in now]
    with Rollback() as rollback:
        for step in steps:
            rollback.add(cgroup.write_control, ("-" if step[0] == "+" else "+") + step[1:])
            try:
                cgroup.write_control(step)
            except CgroupError:
                rollback.drop()
                raise


_subtree_control: Custom[tuple[str, ...], Iterable[str]] = Custom(
    "cgroup.subtree_control",
    read=lambda cgroup, parameter: read_file(cgroup, "cgroup.subtree_control", words, parameter),
    write=_write_subtree_control,
)

_pressure = pressure
_NO_V1 = "v1 has no such file"


@final
class Core:
    """Core: the files that every cgroup has."""

    CONTROLLER: ClassVar = "cgroup"

    type: ReadWrite[str, Threaded] = read_write(
        None,
        File("cgroup.type", Converter[Any, Any](raw_text.decode, one_of("threaded").encode)),
        "word",
        "domain, 'domain threaded', 'domain invalid' or threaded; takes only 'threaded', for good; not in the root",
        no_v1="v1 can move threads anywhere",
    )
    procs = readable(
        TaskList("cgroup.procs"),
        TaskList("cgroup.procs"),
        "process ids",
        "the processes in the cgroup; Cgroup.add_process moves one",
    )
    threads = readable(
        TaskList("tasks"),
        TaskList("cgroup.threads"),
        "thread ids",
        "the threads in the cgroup; Cgroup.add_thread moves one",
    )
    controllers = readable(
        None,
        File("cgroup.controllers", words),
        "names",
        "controllers that can be enabled for the children",
        no_v1=Advice("Cgroup.subsystems", "cgroups info"),
    )
    subtree_control: ReadWrite[tuple[str, ...], Iterable[str]] = read_write(
        None,
        _subtree_control,
        "names",
        "controllers enabled for the children; set replaces the list",
        no_v1=_NO_V1,
        literal=names_literal,
    )
    events = keyed(
        None,
        File("cgroup.events", stat_of(CgroupEvents)),
        "bool",
        "populated and frozen; not in the root",
        no_v1="Parameters.notify_on_release, and Freezer.state",
    )
    stat = keyed(
        None,
        File("cgroup.stat", stat_of(CgroupStat)),
        "count",
        "number of descendants, live and dying",
        no_v1=Advice("Cgroup.descendants", "cgroups tree SPEC"),
    )
    stat_local = keyed(
        None,
        File("cgroup.stat.local", stat_of(CgroupStat)),
        "us",
        "time that the cgroup was frozen (from Linux 6.16)",
        counter=True,
        no_v1=_NO_V1,
    )
    max_depth = read_write(
        None, File("cgroup.max.depth", _depth), "count", "maximum depth of the tree below", no_v1=_NO_V1
    )
    max_descendants = read_write(
        None, File("cgroup.max.descendants", _depth), "count", "maximum number of descendants", no_v1=_NO_V1
    )
    freeze = read_write(
        None,
        File("cgroup.freeze", boolean),
        "bool",
        "whether the cgroup itself is set to freeze; not in the root",
        no_v1="Freezer.state",
    )
    kill = writable(
        None,
        File("cgroup.kill", Writer(_encode_true, boolean.literal)),
        "bool",
        "True kills all processes of the cgroup and its descendants; write-only, not in the root",
        no_v1="v1 has no such file: kill the processes one by one",
    )
    pressure = read_write(
        None, File("cgroup.pressure", boolean), "bool", "whether pressure is accounted (from Linux 6.1)", no_v1=_NO_V1
    )
    irq_pressure = PressureParameter(
        None,
        File("irq.pressure", _pressure),
        "percent",
        "stalls due to interrupts",
        no_v1="/proc/pressure/irq is the whole system's",
    )
    clone_children = read_write(
        File("cgroup.clone_children", boolean),
        None,
        "bool",
        "whether a new cpuset copies its parent's",
        no_v2="v2 cpusets inherit",
    )
    sane_behavior = readable(
        File("cgroup.sane_behavior", boolean),
        None,
        "bool",
        "obsolete: from the development of v2",
        no_v2="v2 always behaves so",
        root_only=True,
    )
    event_control = Parameter(
        Named("cgroup.event_control"),
        None,
        "",
        "registers notifications; has no value",
        no_v2="inotify on the .events files",
    )


class _Everywhere:
    """Parameters without a controller, exported by Parameters."""

    CONTROLLER: ClassVar = ""

    release_agent = read_write(
        File("release_agent", _agent),
        None,
        "path",
        "the program that runs when a cgroup with notify_on_release becomes empty",
        no_v2="watch the key populated of Core.events",
        root_only=True,
    )
    notify_on_release = read_write(
        File("notify_on_release", boolean),
        None,
        "bool",
        "whether release_agent runs when the cgroup becomes empty",
        no_v2="watch the key populated of Core.events",
    )


release_agent = _Everywhere.release_agent
notify_on_release = _Everywhere.notify_on_release
