"""The command get."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Annotated, Optional

import typer

from ..core.errors import (
    CgroupError,
    CgroupGone,
    CgroupNotFound,
    ExpectedRoot,
    ParameterNotSupported,
    SubsystemNotAttached,
    SubsystemNotAvailable,
)
from ..hierarchy import Cgroup
from ..parameters import Parameters, parameter_named
from ..parameters import parameters as parameters_of
from ..parameters.registry import huge_page_sizes_in
from .common import render
from .common.arguments import OWN, AsJson, Recursive, cgroup_of, completed
from .common.several import Failures, Target, are_several, split, targets_of
from .common.values import Data, Name, read

__all__ = ["Values", "get"]


def get(
    context: typer.Context,
    words: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Argument(
            metavar="SPEC|PARAMETER",
            help="Cgroups (default: your own) and parameters (default: all) to read.",
            autocompletion=completed(Parameters.Readable),
        ),
    ] = None,
    recursive: Recursive = False,
    json: AsJson = False,
) -> None:
    """Read parameters of cgroups, by default all of them.

    If no parameter is named, each control file is read once, under its own
    name: memory.limit_in_bytes on v1, memory.max on v2.  A named parameter can
    have either name on both versions.  Single values come first, then tables.
    Without a SPEC your own cgroup is read.  If SPEC names no hierarchy, each
    parameter is read on the hierarchy of its controller.

    A word that names a parameter is a PARAMETER.  A second SPEC has a colon
    or a slash, or is a unit, a process id or '.'.  SPEC can be a pattern:

    \b
      memory:/jobs/*       each cgroup directly below; also ? and [ab]
      '/**/*.service'      ** matches any number of levels, including none

    With several SPECs, a pattern or -r, each line begins with the SPEC of its
    cgroup; in JSON the SPEC is the key.  A cgroup found by a pattern or by -r
    may lack a parameter.  Any other failure is one line on stderr; the other
    cgroups are read, and the exit code is 1.

    In a pipe each line is a name and a value, and get accepts the name again.
    Numbers are exact: bytes, nanoseconds, counts.  max means no limit.

    \b
    Examples: cgroups get memory:/job
              cgroups get ssh.service memory.max 'memory.stat[rss]'
              cgroups get memory.max
              cgroups get '/system.slice/*.service' memory.current pids.current
              cgroups get -r --json :/job io.stat
    """
    specs, names = split(context, words or [], Parameters.Readable)
    specs = specs or [OWN]
    if are_several(specs, recursive=recursive):
        _get_several(context, specs, names, recursive=recursive, json=json)
        return
    failed: list[CgroupError] = []
    if names:
        found = [(name, read(name, cgroup_of(context, specs[0], name))) for name in names]
    else:
        found = _read_all(cgroup_of(context, specs[0]), failed)
    if json:
        render.show(render.as_json(_by_name(found)))
    else:
        render.show(render.values(found, short=not names))
    if failed:
        raise failed[0]


Values = list[tuple[Name, Data]]


def _by_name(found: Values) -> dict[str, Data]:
    return {str(name): data for name, data in found}


def _get_several(
    context: typer.Context, specs: Sequence[str], names: Sequence[Name], *, recursive: bool, json: bool
) -> None:
    failures = Failures(is_single=False)
    found: dict[str, Values] = {}
    lacking: dict[Name, CgroupError] = {}
    targets = targets_of(context, specs, names, failures=failures, recursive=recursive)

    def take(target: Target) -> None:
        failed: list[CgroupError] = []
        values = _read_named(target, names, lacking) if names else _read_all(target.cgroup(), failed)
        if values:
            found[target.label] = values
        for error in failed:
            failures.add(error, target.label)

    failures.each(targets, take)
    read_names = {name for values in found.values() for name, _ in values}
    for name, error in lacking.items():
        if name not in read_names:
            message = f"cannot read {name}: no cgroup of {' '.join(specs)} has it"
            failures.add(ParameterNotSupported(message, parameter=str(name.parameter), hint=error.hint))
    if json:
        render.show(render.as_json({label: _by_name(values) for label, values in found.items()}))
    else:
        render.show(render.values_of_several(found, short=not names))
    failures.end()


def _read_named(target: Target, names: Sequence[Name], lacking: dict[Name, CgroupError]) -> Values:
    """Read parameters; for each parameter that a listed cgroup lacks, add the error to ``lacking``."""
    values: Values = []
    for name in names:
        try:
            values.append((name, read(name, target.cgroup(name))))
        except (*_UNSUPPORTED, CgroupNotFound) as error:
            if not target.is_listed:
                raise
            lacking.setdefault(name, error)
    return values


_UNSUPPORTED = (ParameterNotSupported, SubsystemNotAttached, SubsystemNotAvailable, ExpectedRoot)


def _read_all(cgroup: Cgroup, failed: list[CgroupError]) -> list[tuple[Name, Data]]:
    """Read all parameters of a cgroup, single values first; add the errors of unreadable files to ``failed``."""
    found: list[tuple[Name, Data]] = []
    for parameter in parameters_of(sizes=huge_page_sizes_in(cgroup)):
        if not isinstance(parameter, Parameters.Readable) or not _is_own(parameter, cgroup.version):
            continue
        name = Name(parameter, str(parameter))
        try:
            found.append((name, read(name, cgroup)))
        except _UNSUPPORTED:
            continue
        except CgroupGone:
            raise
        except CgroupError as error:
            # A threaded cgroup has cgroup.procs, but reading the file fails with EOPNOTSUPP.
            if error.errno != errno.EOPNOTSUPP:
                failed.append(error)
    return sorted(found, key=lambda one: isinstance(one[1], dict))


def _is_own(parameter: Parameters.Parameter, version: int) -> bool:
    """Return whether a parameter has the name of a control file: it is neither a translation nor an alias."""
    return any(str(parameter_named(file)) == str(parameter) for file in parameter.files(version))
