"""The words that several commands take: what they become, and what is said of those that name nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ..core import quantities
from ..core.advice import advise
from ..errors import CgroupNotFound, InvalidValue, in_command, join_hints, shown
from ..group import Group
from ..hierarchy import Cgroup
from ..host import Host
from ..subsystem import parameters
from ..subsystem.parameter import Parameter, Readable, Resettable, Writable
from ..suggest import did_you_mean
from .names import find_named
from .values import Name, named

__all__ = [
    "AsJson",
    "Spec",
    "Specs",
    "cgroup_of",
    "controller_named",
    "group_of",
    "host_of",
    "parameter_of",
    "seconds",
    "seconds_of",
]


# ---- cgroups ---------------------------------------------------------------------------


def host_of(context: typer.Context) -> Host:
    """The host that the option ``--root`` names."""
    host: Host = context.obj
    return host


def cgroup_of(context: typer.Context, spec: str) -> Cgroup:
    """Return the cgroup of a SPEC, or of a name that ``watch`` shows; the error says what may have been meant."""
    host = host_of(context)
    try:
        return host.find_exn(spec)
    except (CgroupNotFound, InvalidValue) as error:
        found = find_named(host, spec) if spec.startswith("/") or (spec and ":" not in spec) else None
        if found is not None:
            return found
        parts = (error.hint, _of_directory(host, spec) if spec.startswith("/") else _of_controller(host, spec))
        raise type(error)(error.message, hint=join_hints(*parts)) from None


def _of_directory(host: Host, path: str) -> str:
    """What to write for a path of the file system, where it is a cgroup's."""
    for hierarchy in host.scan():
        for mount in hierarchy.mounts:
            if f"{path}/".startswith(f"{mount.path}/"):
                location = f"{mount.root.rstrip('/')}/{path[len(mount.path) :].strip('/')}"
                return f"did you mean {hierarchy.spec_head}:{location}?"
    return ""


def _of_controller(host: Host, spec: str) -> str:
    """Of a controller that there is nowhere, the nearest that there is."""
    hierarchies = host.scan()
    known = {one.controller for one in parameters()} | {name for one in hierarchies for name in one.subsystems}
    known |= {f"name={one.label}" for one in hierarchies if one.label}
    known -= {"", "cgroup"}  # no controllers: what every cgroup has
    unknown = (name for name in spec.partition(":")[0].split(",") if name and name not in known)
    return next((did_you_mean(name, {one: one for one in sorted(known)}) for name in unknown), "")


# ---- parameters ------------------------------------------------------------------------


def parameter_of(word: str, kind: type[Parameter] = Parameter) -> Name:
    """Return the parameter that a word names; an unknown word is a usage error, which suggests some of this kind."""
    try:
        return named(word, kind)
    except InvalidValue as error:
        message = f"{error.message}; {in_command(error.hint or advise('parameters'))}"
        raise typer.BadParameter(message) from None


def controller_named(word: str) -> str:
    """A controller that has parameters; a word that names none is no command."""
    known = {one.controller: one.controller for one in parameters() if one.controller}
    # Of hugetlb there are those of the page sizes of this machine, and it may have none.
    if word in known or word == "hugetlb":
        return word
    near = did_you_mean(word, known)
    message = f"there is no controller {shown(word)}; {near or 'there are ' + ', '.join(known)}"
    raise typer.BadParameter(message)


def _argument(kind: type[Parameter]) -> dict[str, Any]:
    """Return what typer needs for an argument that is the :class:`Name` of a parameter of this kind."""

    def parse(word: str) -> Name:
        return parameter_of(word, kind)

    def complete(incomplete: str) -> list[str]:
        return [name for one in parameters() if isinstance(one, kind) and (name := str(one)).startswith(incomplete)]

    return {"metavar": "PARAMETER", "parser": parse, "autocompletion": complete}


PARAMETER: dict[str, Any] = _argument(Readable)
SETTABLE: dict[str, Any] = _argument(Writable)
RESETTABLE: dict[str, Any] = _argument(Resettable)


# ---- times -----------------------------------------------------------------------------


def seconds_of(word: str) -> float:
    """Return the seconds of a word: ``2s``, ``10ms`` or ``0.5``; a word that is no time is a usage error."""
    try:
        return quantities.seconds(word)
    except InvalidValue as error:
        raise typer.BadParameter(error.message) from None


def seconds(least: float = 0, most: float = math.inf) -> dict[str, Any]:
    """Return what typer is told of an option that is a time.

    Args:
        least: the shortest time that may be given, in seconds.
        most: the longest.
    """

    def parse(word: str | float) -> float:
        found = seconds_of(str(word))  # a default comes as a float
        if not least <= found <= most:
            bounds = f"at least {least} s" if most == math.inf else f"from {least} to {most} s"
            message = f"time must be {bounds}, got {word}"
            raise typer.BadParameter(message)
        return found

    return {"parser": parse, "metavar": "TIME"}


# ---- groups ----------------------------------------------------------------------------


def group_of(context: typer.Context, specs: Sequence[str]) -> Group:
    """The group of the cgroups of some SPECs, of which no two may be of one hierarchy."""
    return Group.of([cgroup_of(context, spec) for spec in specs])


Specs = Annotated[list[str], typer.Argument(metavar="SPEC", help="The cgroup; or several, one of each hierarchy.")]
Spec = Annotated[str, typer.Argument(metavar="SPEC", help="The cgroup: memory:/a/b, or a name such as ssh.service.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
