"""Changes to a cgroup of the table: freeze, thaw, signal, kill, and set a parameter."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import NamedTuple

import typer

from ...core.errors import CgroupError, CgroupGone, CgroupNotFound, printable
from ...group import Group
from ...hierarchy import Cgroup, Host
from ...parameters import Parameters
from ..common import render
from ..common.arguments import controller_for, parameter_of
from ..common.signals import signal_named
from ..common.values import Name, checked, plain, read

__all__ = ["ACTIONS", "Action", "assign", "cgroups_at", "send"]


class Action(NamedTuple):
    """A change that the user has to confirm.

    Attributes:
        question: the question, which names the cgroup.
        run: makes the change; returns one line for the user.  It may wait for seconds.
    """

    question: str
    run: Callable[[], str]


def cgroups_at(host: Host, location: str) -> list[Cgroup]:
    """Return the cgroups at a location, at most one for each hierarchy."""
    found = [Cgroup(hierarchy, location) for hierarchy in host.scan()]
    return [one for one in found if one.path is not None and one.exists]


def _group(host: Host, location: str, verb: str) -> Group:
    found = cgroups_at(host, location)
    if not found:
        message = f"cannot {verb} {location}: the cgroup was removed"
        raise CgroupNotFound(message)
    return Group.of(found)


def _whom(host: Host, location: str, verb: str) -> str:
    """Return the processes at a location in words, such as ``all 3 processes in /job and below``; '' for no process.

    Raises:
        CgroupNotFound: the cgroup was removed.
    """
    tops = _group(host, location, verb)
    try:
        pids = {pid for top in tops for one in top.walk() for pid in _processes(one)}
    except CgroupError:
        return f"all processes in {printable(location)} and below"
    if not pids:
        return ""
    count = "the only process" if len(pids) == 1 else f"all {len(pids)} processes"
    return f"{count} in {printable(location)} and below"


def _some(host: Host, location: str, verb: str) -> str:
    """Return what :func:`_whom` returns.

    Raises:
        CgroupNotFound: the cgroup was removed.
        typer.BadParameter: it has no process.
    """
    found = _whom(host, location, verb)
    if not found:
        message = f"cannot {verb} {printable(location)}: no process is in it or below"
        raise typer.BadParameter(message)
    return found


def _processes(cgroup: Cgroup) -> list[int]:
    try:
        return cgroup.processes()
    except CgroupGone:
        return []


def _freeze(host: Host, location: str) -> Action:
    def run() -> str:
        _group(host, location, "freeze").freeze()
        return f"{printable(location)} is frozen"

    whom = _whom(host, location, "freeze") or f"{printable(location)}, which has no processes"
    return Action(f"Freeze {whom}?", run)


def _thaw(host: Host, location: str) -> Action:
    def run() -> str:
        _group(host, location, "thaw").thaw()
        return f"{printable(location)} is thawed"

    return Action(f"Thaw {printable(location)}?", run)


def _kill(host: Host, location: str) -> Action:
    def run() -> str:
        return f"processes killed in {printable(location)}: {_group(host, location, 'kill').kill()}"

    return Action(f"Kill {_some(host, location, 'kill')}?", run)


ACTIONS: dict[str, Callable[[Host, str], Action]] = {"freeze": _freeze, "thaw": _thaw, "kill": _kill}
"""The actions that need no further word, by name."""


def send(host: Host, location: str, word: str) -> Action:
    """Return the action that sends a signal.

    Args:
        host: the host of the cgroup.
        location: the location of the cgroup.
        word: the signal: a name or a number.

    Raises:
        CgroupNotFound: the cgroup was removed.
        typer.BadParameter: there is no such signal, or no process.
    """
    number = signal_named(word)
    name = {one.value: one.name for one in signal.Signals}.get(number, f"signal {number}")

    def run() -> str:
        return f"processes signalled in {printable(location)}: {_group(host, location, 'signal').signal(number)}"

    return Action(f"Send {name} to {_some(host, location, 'signal')}?", run)


def assign(host: Host, location: str, word: str) -> Action:
    """Return the action that sets a parameter.

    Args:
        host: the host of the cgroup.
        location: the location of the cgroup.
        word: the parameter and its new value, such as ``memory.max=1G``.

    Raises:
        CgroupError: the parameter cannot be read, or the value is not valid.
        typer.BadParameter: the word has another form, or names no parameter.
    """
    left, equals, value = word.partition("=")
    if not equals:
        message = f"limit must be PARAMETER=VALUE, such as memory.max=1G, got {word!r}"
        raise typer.BadParameter(message)
    name = parameter_of(left.strip())
    cgroup = _with_parameter(host, location, name)
    before = render.in_words(name, read(name, cgroup))
    change = checked(name, cgroup, value.strip())
    after = render.in_words(name, plain(change[2]))

    def run() -> str:
        Parameters.set(*change)
        return f"{name} of {printable(location)} is {render.in_words(name, read(name, cgroup))}"

    return Action(f"Set {name} of {printable(location)} from {before} to {after}?", run)


def _with_parameter(host: Host, location: str, name: Name) -> Cgroup:
    """Return the cgroup at a location that has a parameter."""
    controller = controller_for(host, name.parameter)
    found = cgroups_at(host, location)
    for one in found:
        if controller is not None and one.hierarchy == host.hierarchy_of(controller):
            return one
    if controller is None and found:
        return next((one for one in found if name.parameter.files(one.version)), found[0])
    message = f"cannot set {name} of {location}: it has no cgroup on the hierarchy of {controller or 'any controller'}"
    raise CgroupNotFound(message)
