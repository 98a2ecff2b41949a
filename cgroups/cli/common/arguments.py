"""Arguments and options that several commands share: their parsers, and suggestions for unknown names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import typer

from ...control.hierarchies import controller_of
from ...core import quantities
from ...core.advice import advise
from ...core.errors import CgroupNotFound, InvalidValue, in_command, join_hints, shown
from ...core.naming import FORMS
from ...core.suggest import did_you_mean
from ...group import Group
from ...hierarchy import Cgroup, Host
from ...parameters import parameters
from ...parameters.kinds import Parameter, Readable, Resettable
from .values import Name, named

__all__ = [
    "OWN",
    "AsJson",
    "Recursive",
    "Spec",
    "SpecOrOwn",
    "Specs",
    "cgroup_of",
    "completed",
    "controller_for",
    "controller_named",
    "freezable",
    "group_of",
    "host_of",
    "parameter_of",
    "seconds",
    "seconds_of",
]


# ---- cgroups ---------------------------------------------------------------------------


def host_of(context: typer.Context) -> Host:
    """Return the host of the option ``--root``."""
    host: Host = context.obj
    return host


def cgroup_of(context: typer.Context, spec: str, parameter: Name | None = None) -> Cgroup:
    """Return the cgroup of a SPEC in any form.  The error suggests a known controller for an unknown one.

    Args:
        context: the context of the command, which has the host.
        spec: the SPEC.
        parameter: the parameter to read or set.  Its controller decides the hierarchy of a name or a location.
    """
    host = host_of(context)
    try:
        return host.resolve(spec, None if parameter is None else controller_for(host, parameter.parameter))
    except (CgroupNotFound, InvalidValue) as error:
        raise type(error)(
            error.message, path=error.path, hint=join_hints(error.hint, _of_controller(host, spec))
        ) from None


def controller_for(host: Host, parameter: Parameter) -> str | None:
    """Return the controller whose hierarchy has a parameter; None if every hierarchy may have it."""
    controller = controller_of(parameter)
    # The pressure files of v2 need no controller; if v2 is not mounted, reading raises the best error.
    is_everywhere = not controller or any(name.endswith(".pressure") for name in parameter.files(2))
    return None if is_everywhere or host.hierarchy_of(controller) is None else controller


def freezable(context: typer.Context, spec: str) -> Cgroup:
    """Return the cgroup of a SPEC that can be frozen: on v1 the cgroup on the freezer's hierarchy."""
    cgroup = cgroup_of(context, spec)
    return cgroup if cgroup.hierarchy.has("freezer") else host_of(context).resolve(spec, "freezer")


def _of_controller(host: Host, spec: str) -> str:
    """Suggest a known controller for an unknown one before the colon of a spec."""
    if ":" not in spec or spec.partition(":")[0] in FORMS:
        return ""
    hierarchies = host.scan()
    known = {one.controller for one in parameters()} | {name for one in hierarchies for name in one.subsystems}
    known |= {f"name={one.label}" for one in hierarchies if one.label}
    known -= {"", "cgroup"}  # the files of every cgroup, not controllers
    unknown = (name for name in spec.partition(":")[0].split(",") if name and name not in known)
    return next((did_you_mean(name, {one: one for one in sorted(known)}) for name in unknown), "")


# ---- parameters ------------------------------------------------------------------------


def parameter_of(word: str, kind: type[Parameter] = Parameter) -> Name:
    """Return the parameter that a word names.  An unknown word is a usage error with suggestions of this kind."""
    try:
        return named(word, kind)
    except InvalidValue as error:
        message = f"{error.message}; {in_command(error.hint or advise('parameters'))}"
        raise typer.BadParameter(message) from None


def controller_named(word: str) -> str:
    """Return a controller that has parameters.  An unknown word is a usage error."""
    known = {one.controller: one.controller for one in parameters() if one.controller}
    # The parameters of hugetlb depend on the page sizes of this machine, which may have no huge pages.
    if word in known or word == "hugetlb":
        return word
    near = did_you_mean(word, known)
    message = f"unknown controller {shown(word)}; {near or 'known are ' + ', '.join(known)}"
    raise typer.BadParameter(message)


def completed(kind: type[Parameter]) -> Callable[[str], list[str]]:
    """Return a function that completes a word to names of parameters of this kind."""

    def complete(incomplete: str) -> list[str]:
        return [name for one in parameters() if isinstance(one, kind) and (name := str(one)).startswith(incomplete)]

    return complete


def _argument(kind: type[Parameter]) -> dict[str, Any]:
    """Return the typer settings of an argument that becomes the :class:`Name` of a parameter of this kind."""

    def parse(word: str) -> Name:
        return parameter_of(word, kind)

    return {"metavar": "PARAMETER", "parser": parse, "autocompletion": completed(kind)}


PARAMETER: dict[str, Any] = _argument(Readable)
RESETTABLE: dict[str, Any] = _argument(Resettable)


# ---- times -----------------------------------------------------------------------------


def seconds_of(word: str) -> float:
    """Return the seconds of a word such as ``2s``, ``10ms`` or ``0.5``.  Any other word is a usage error."""
    try:
        return quantities.seconds(word)
    except InvalidValue as error:
        raise typer.BadParameter(error.message) from None


def seconds(least: float = 0, most: float = math.inf) -> dict[str, Any]:
    """Return the typer settings of an option that is a time.

    Args:
        least: the shortest valid time, in seconds.
        most: the longest valid time, in seconds.
    """

    def parse(word: str | float) -> float:
        found = seconds_of(str(word))  # a default is passed as a float
        if not least <= found <= most:
            bounds = f"at least {least} s" if most == math.inf else f"from {least} to {most} s"
            message = f"time must be {bounds}, got {word}"
            raise typer.BadParameter(message)
        return found

    return {"parser": parse, "metavar": "TIME"}


# ---- groups ----------------------------------------------------------------------------


def group_of(
    context: typer.Context, specs: Sequence[str], find: Callable[[typer.Context, str], Cgroup] = cgroup_of
) -> Group:
    """Return the group of the cgroups of some SPECs, at most one of each hierarchy."""
    return Group.of([find(context, spec) for spec in specs])


OWN: Final = "."
"""The SPEC of the caller's own cgroup."""

_NAMES = "memory:/a/b, ssh.service, PID, /a/b, …"

Specs = Annotated[list[str], typer.Argument(metavar="SPEC", help=f"Cgroup: {_NAMES}; or several, one per hierarchy.")]
Spec = Annotated[str, typer.Argument(metavar="SPEC", help=f"Cgroup: {_NAMES}")]
SpecOrOwn = Annotated[str, typer.Argument(metavar="[SPEC]", help=f"Cgroup: {_NAMES}; default: your own.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Recursive = Annotated[bool, typer.Option("-r", "--recursive", help="Include all cgroups below.")]
