"""The command set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ..parameters import Parameters
from .common.arguments import Recursive, completed
from .common.several import Failures, are_several, check_specs, is_parameter, misused, parameter_in, targets_of
from .common.values import Name, write_all

__all__ = ["set_"]


def set_(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="SPEC|PARAMETER=VALUE",
            help="Cgroups to change, and parameters with their new values.",
            autocompletion=completed(Parameters.Writable),
        ),
    ],
    recursive: Recursive = False,
) -> None:
    """Set parameters of cgroups.

    Several parameters are one transaction: if the kernel refuses one of them,
    all keep their old values.  'set SPEC PARAMETER VALUE' sets one.

    SPEC can be a pattern, such as 'memory:/jobs/*' or '/**/*.service'.  With
    several cgroups, each is its own transaction.  Each failure is one line on
    stderr; the other cgroups are set, and the exit code is 1.  A second SPEC
    has a colon or a slash, or is a unit, a process id or '.'.

    \b
    VALUE is, depending on the parameter,
      a number           1000
      a word             FROZEN
      bytes              1000, 512M, 0.5Gi; powers of 1024
      a time             2s, 10ms, 1000 (in the parameter's unit)
      CPUs, for cpu.max  0.5, 150%, 500m; or 50000/100000, 50ms/100ms
      a list             0-3,8 of CPUs or nodes; cpu,memory of controllers
      no limit           max, unlimited, infinity, none, -1
      yes or no          true, false, 1, 0, yes, no, on, off
      a table            8:0=1M,/dev/sda=max; '' is the empty table
      a table of rows    8:0=rbps:1M+wiops:100,/dev/sda=rbps:max
      a weight table     default=100,8:0=200

    A table replaces the old one: keys that it does not name lose their limit.

    \b
    Examples: cgroups set memory:/job memory.limit_in_bytes 1.5G
              cgroups set :/job memory.max=1G memory.swap.max=0 cpu.max=1.5
              cgroups set '/jobs/*' pids.max=100
              cgroups set cpuset:/job cpuset.cpus 0-3,8
              cgroups set :/job io.max /dev/sda=rbps:10M+wbps:5M
    """
    specs, changes = _changes(context, words)
    failures = Failures(is_single=not are_several(specs, recursive=recursive))
    names = [name for name, _ in changes]
    targets = targets_of(context, specs, names, failures=failures, recursive=recursive)
    failures.each(targets, lambda target: write_all(changes, target.cgroup))
    failures.end()


_WITHOUT_DOT = frozenset({"notify_on_release", "release_agent"})
"""Parameters without a controller, whose names have no dot."""


def _assignment(word: str) -> tuple[str, str] | None:
    """Return the two sides of ``PARAMETER=VALUE``; None for another word, such as ``name=systemd:/a``."""
    left, equals, right = word.partition("=")
    is_name = "." in left or left in _WITHOUT_DOT
    return (left, right) if equals and is_name and not any(one in left for one in ":/ ") else None


def _changes(context: typer.Context, words: Sequence[str]) -> tuple[list[str], list[tuple[Name, str]]]:
    """Return the SPECs, and each parameter with the word of its value."""
    first = next((at for at, word in enumerate(words) if at and _assignment(word)), None)
    if len(words) > 2 and (first is None or is_parameter(words[-2], Parameters.Writable)):  # noqa: PLR2004 - SPEC PARAMETER VALUE
        specs, pairs = words[:-2], [(words[-2], words[-1])]
    elif first is None:
        raise misused(context, "PARAMETER=VALUE is missing; or PARAMETER VALUE")
    else:
        specs, pairs = words[:first], []
        for word in words[first:]:
            pair = _assignment(word)
            if pair is None:
                raise misused(context, f"{word!r} must be PARAMETER=VALUE; each SPEC stands before the first of them")
            pairs.append(pair)
    changes = [(parameter_in(context, left, Parameters.Writable), right) for left, right in pairs]
    check_specs(context, specs)
    given = [name.parameter for name, _ in changes]
    for at, parameter in enumerate(given):
        if parameter in given[:at]:
            raise misused(context, f"{parameter} is given twice")
    return list(specs), changes
