"""Commands on several cgroups: their SPECs, the cgroups that these name, and the failures of some.

A word is a PARAMETER if it names one, such as ``memory.max``.  A SPEC has a colon or a
slash, is the name of a unit, a process id or ``.``; the first word may be any SPEC.
Every other word is refused: it may be a misspelled PARAMETER, or a cgroup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import typer

from ...core.advice import advise
from ...core.errors import CgroupError, InvalidValue, in_command, printable
from ...core.naming import directory_of, is_spec, is_unit
from ...core.patterns import below, expand, is_pattern
from ...hierarchy import Cgroup, Host
from ...parameters.kinds import Parameter
from .arguments import cgroup_of, controller_for, host_of
from .values import Name, named

__all__ = [
    "Failures",
    "Target",
    "are_several",
    "check_specs",
    "is_parameter",
    "misused",
    "names_no_hierarchy",
    "parameter_in",
    "split",
    "targets_of",
]


# ---- words ---------------------------------------------------------------------------------


def misused(context: typer.Context, message: str) -> typer.BadParameter:
    """Return the usage error of a command that classifies its words itself."""
    return typer.BadParameter(message, ctx=context, param_hint="arguments")


def _is_surely_spec(word: str) -> bool:
    """Return whether a word can only be a SPEC."""
    whole = word.partition("[")[0]  # io.stat[8:0] is a parameter
    return word == "." or word.isdigit() or any(one in whole for one in ":/ ") or is_unit(word)


def check_specs(context: typer.Context, specs: Sequence[str]) -> None:
    """Refuse a word that may not be meant as a SPEC.  The first word is always a SPEC."""
    for word in specs[1:]:
        if not _is_surely_spec(word):
            raise misused(context, f"{word!r} may be a SPEC or a mistake: write /{word} for a cgroup")


def is_parameter(word: str, kind: type[Parameter]) -> bool:
    """Return whether a word names a parameter of this kind."""
    try:
        named(word, kind)
    except InvalidValue:
        return False
    return True


def parameter_in(context: typer.Context, word: str, kind: type[Parameter]) -> Name:
    """Return the parameter that a word names.  Any other word is a usage error with suggestions."""
    try:
        return named(word, kind)
    except InvalidValue as error:
        plain = word.isprintable() and word and "." not in word and "[" not in word
        cgroup = f", and a cgroup is written /{word}" if plain else ""
        raise misused(context, f"{error.message}{cgroup}; {in_command(error.hint or advise('parameters'))}") from None


def split(context: typer.Context, words: Sequence[str], kind: type[Parameter]) -> tuple[list[str], list[Name]]:
    """Return the SPECs and the PARAMETERs of ``SPEC... PARAMETER...``.  An ambiguous word is a usage error."""
    specs: list[str] = []
    names: list[Name] = []
    for word in words:
        # No cgroup has the name of a control file, except the few names without a dot.
        is_name = (bool(specs or names) or "." in word) and is_parameter(word, kind)
        if names and not is_name and _is_surely_spec(word):
            raise misused(context, f"SPEC {word!r} must stand before the first PARAMETER, {names[0]}")
        if is_name or names or (specs and not _is_surely_spec(word)):
            names.append(parameter_in(context, word, kind))
        else:
            specs.append(word)
    return specs, names


# ---- cgroups -------------------------------------------------------------------------------


class Target:
    """One cgroup that a command acts on; if its SPEC names no hierarchy, one cgroup for each controller.

    Attributes:
        label: the SPEC that names it in the output.
        is_listed: whether a pattern or ``--recursive`` found the cgroup.
    """

    def __init__(self, context: typer.Context, label: str, found: dict[str | None, Cgroup] | None = None) -> None:
        self.label = label
        self.is_listed = found is not None
        self._context = context
        self._found = found or {}

    def cgroup(self, name: Name | None = None) -> Cgroup:
        """Return the cgroup, on the hierarchy of a parameter's controller.

        Raises:
            CgroupNotFound: the cgroup does not exist on that hierarchy.
        """
        host = host_of(self._context)
        controller = None if name is None else controller_for(host, name.parameter)
        if controller in self._found:
            return self._found[controller]
        return host.resolve(self.label, controller) if self.is_listed else cgroup_of(self._context, self.label, name)


def are_several(specs: Sequence[str], *, recursive: bool) -> bool:
    """Return whether words may name several cgroups, so that the output has the form for several."""
    return recursive or len(specs) != 1 or is_pattern(specs[0])


class Failures:
    """The errors of some cgroups.  The command continues with the other cgroups.

    Args:
        is_single: whether the command is for one cgroup, whose error ends the command.
    """

    def __init__(self, *, is_single: bool) -> None:
        self.count = 0
        self._is_single = is_single

    def add(self, error: CgroupError, label: str | None = None) -> None:
        """Print an error, and count it for the exit code."""
        if self._is_single:
            raise error
        self.count += 1
        line = error.for_command()
        name = None if label is None else printable(label)
        typer.echo(f"cgroups: {line if name is None or name in line else f'{name}: {line}'}", err=True)

    def end(self) -> None:
        """Exit with 1 if there was an error."""
        if self.count:
            raise typer.Exit(1)

    def each(self, targets: Iterable[Target], act: Callable[[Target], None]) -> None:
        """Call ``act`` for each target, and add the errors."""
        for target in targets:
            try:
                act(target)
            except CgroupError as error:
                self.add(error, target.label)


def targets_of(
    context: typer.Context,
    specs: Sequence[str],
    names: Iterable[Name] = (),
    *,
    failures: Failures,
    recursive: bool = False,
) -> list[Target]:
    """Return the cgroups of some SPECs, each once.  A pattern that matches no cgroup is a failure.

    Args:
        context: the context of the command, which has the host.
        specs: SPECs and patterns.
        names: the parameters to read or set.
        failures: gets the errors.
        recursive: whether to list the cgroups below too.
    """
    host = host_of(context)
    controllers = list(dict.fromkeys(controller_for(host, name.parameter) for name in names)) or [None]
    found: dict[str, Target] = {}
    for spec in specs:
        if not recursive and not is_pattern(spec):
            found.setdefault(spec, Target(context, spec))
            continue
        try:
            listed = _listed(context, spec, controllers, recursive=recursive)
        except CgroupError as error:
            failures.add(error, spec)
            continue
        for label, cgroups in listed.items():
            found.setdefault(label, Target(context, label, cgroups))
    return list(found.values())


def _listed(
    context: typer.Context, spec: str, controllers: Sequence[str | None], *, recursive: bool
) -> dict[str, dict[str | None, Cgroup]]:
    """Return the cgroups of a pattern, or of a subtree, by label and controller."""
    host = host_of(context)
    listed: dict[str, dict[str | None, Cgroup]] = {}
    errors: list[CgroupError] = []
    for controller in controllers:
        try:
            tops, is_bare = _tops(context, host, spec, controller)
        except CgroupError as error:
            errors.append(error)  # the cgroup may exist on the hierarchy of another parameter
            continue
        for top in tops:
            for cgroup in below(top) if recursive else [top]:
                listed.setdefault(cgroup.location if is_bare else str(cgroup), {})[controller] = cgroup
    if not listed:
        raise errors[0]
    return listed


class _Tops(NamedTuple):
    cgroups: Sequence[Cgroup]
    is_bare: bool


def _tops(context: typer.Context, host: Host, spec: str, controller: str | None) -> _Tops:
    if is_pattern(spec):
        found = expand(host, spec, controller)
        return _Tops(found.cgroups, found.is_bare)
    try:
        top = host.resolve(spec, controller)
    except CgroupError:
        top = cgroup_of(context, spec)  # the error of cgroup_of has more suggestions
    return _Tops([top], names_no_hierarchy(host, spec))


def names_no_hierarchy(host: Host, spec: str) -> bool:
    """Return whether a SPEC is one location on several hierarchies: a name, a container or a location.

    A process may be in another cgroup on each hierarchy.
    """
    if spec == "." or spec.isdigit() or spec.startswith("pid:"):
        return False
    if spec.startswith("/"):
        return directory_of(host, spec) is None
    return not (is_spec(host, spec) or spec.startswith("id:"))
