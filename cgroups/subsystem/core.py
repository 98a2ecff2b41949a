"""Core: the ``cgroup.*`` files, which every cgroup has, whatever its controllers.

Sources: cgroup-v2.rst (Core Interface Files), cgroup-v1/cgroups.rst.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from ..converter import Converter, Writer
from ..creation import write_control
from ..errors import Advice, CgroupError, InvalidValue, shown
from ..spec import check_controller
from ..values import CgroupEvents, CgroupStat
from .binding import Custom, File, Named, TaskList, read_file
from .codecs import INT_MAX, LimitCodec, boolean, one_of, pressure, raw_text, stat_of, text, words
from .parameter import Parameter, PressureParameter, ReadWrite, keyed, read_write, readable, writable

if TYPE_CHECKING:
    from ..hierarchy import Cgroup

Threaded = Literal["threaded"]

_depth = LimitCodec(0, INT_MAX)


def _encode_true(value: bool) -> str:  # noqa: FBT001 - the parameter's value
    if value is not True:
        message = f"{shown(value)} is not True, which is all that can be written"
        raise InvalidValue(message)
    return "1"


def _encode_agent(value: str) -> str:
    # The empty string is a real value: no agent.  It is written as an empty line.
    return "" if value == "" else text.encode(value)


_agent: Converter[str, str] = Converter(raw_text.decode, _encode_agent)


def _write_subtree_control(cgroup: Cgroup, parameter: str, value: Iterable[str]) -> None:
    """Writes the difference, one controller a write; when one is refused, undoes the others."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        message = f"{shown(value)} is not an iterable of controllers"
        raise InvalidValue(message)
    wanted = [check_controller(name) for name in value]
    now = read_file(cgroup, "cgroup.subtree_control", words, parameter)
    steps = [f"-{name}" for name in now if name not in wanted]
    steps += [f"+{name}" for name in dict.fromkeys(wanted) if name not in now]
    done: list[str] = []
    try:
        for step in steps:
            write_control(cgroup, step)
            done.append(step)
    except CgroupError:
        for step in reversed(done):
            # As far as it goes: the error that led here is the one to report.
            with suppress(CgroupError):
                write_control(cgroup, ("-" if step[0] == "+" else "+") + step[1:])
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
        "domain, 'domain threaded', 'domain invalid' or threaded; takes 'threaded', for good; not in the root",
        no_v1="v1 moves threads anywhere",
    )
    procs = readable(
        TaskList("cgroup.procs"),
        TaskList("cgroup.procs"),
        "process ids",
        "the processes in it; Cgroup.add_process moves one",
    )
    threads = readable(
        TaskList("tasks"), TaskList("cgroup.threads"), "thread ids", "the threads in it; Cgroup.add_thread moves one"
    )
    controllers = readable(
        None,
        File("cgroup.controllers", words),
        "names",
        "what it may enable below",
        no_v1=Advice("Cgroup.subsystems", "cgroups info"),
    )
    subtree_control: ReadWrite[tuple[str, ...], Iterable[str]] = read_write(
        None, _subtree_control, "names", "what it enables for its children; set replaces the whole", no_v1=_NO_V1
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
        "how many cgroups are below",
        no_v1=Advice("Cgroup.descendants", "cgroups tree SPEC"),
    )
    stat_local = keyed(
        None,
        File("cgroup.stat.local", stat_of(CgroupStat)),
        "us",
        "how long it was frozen (from Linux 6.16)",
        counter=True,
        no_v1=_NO_V1,
    )
    max_depth = read_write(
        None, File("cgroup.max.depth", _depth), "count", "how deep a tree below may be", no_v1=_NO_V1
    )
    max_descendants = read_write(
        None, File("cgroup.max.descendants", _depth), "count", "how many cgroups below there may be", no_v1=_NO_V1
    )
    freeze = read_write(
        None,
        File("cgroup.freeze", boolean),
        "bool",
        "whether it is told to freeze; not in the root",
        no_v1="Freezer.state",
    )
    kill = writable(
        None,
        File("cgroup.kill", Writer(_encode_true, boolean.literal)),
        "bool",
        "True ends all processes of it and below, at once; write-only, not in the root",
        no_v1="v1 has no such file: end the processes one by one",
    )
    pressure = read_write(
        None, File("cgroup.pressure", boolean), "bool", "whether pressure is accounted (from Linux 6.1)", no_v1=_NO_V1
    )
    irq_pressure = PressureParameter(
        None,
        File("irq.pressure", _pressure),
        "percent",
        "stalls for interrupts",
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
        "a relic",
        no_v2="v2 is what it was for",
        root_only=True,
    )
    event_control = Parameter(
        Named("cgroup.event_control"),
        None,
        "",
        "written to for notifications, no value",
        no_v2="inotify on the .events files",
    )


class _Everywhere:
    """Parameters of no controller, which the seed has in Parameters."""

    CONTROLLER: ClassVar = ""

    release_agent = read_write(
        File("release_agent", _agent),
        None,
        "path",
        "the program that runs when a cgroup with notify_on_release gets empty",
        no_v2="watch the key populated of Core.events",
        root_only=True,
    )
    notify_on_release = read_write(
        File("notify_on_release", boolean),
        None,
        "bool",
        "whether release_agent runs when it gets empty",
        no_v2="watch the key populated of Core.events",
    )


release_agent = _Everywhere.release_agent
notify_on_release = _Everywhere.notify_on_release
