"""Merge the cgroups that a SPEC names on several hierarchies into one row of vitals."""

from __future__ import annotations

from contextlib import suppress

import typer

from ...core.errors import CgroupError, CgroupNotFound
from ...hierarchy import Cgroup, Hierarchy, Host
from .arguments import host_of
from .render import printable
from .several import Failures, Target, names_no_hierarchy, targets_of
from .values import named
from .vitals import VITALS

__all__ = ["merged"]

NAMES = tuple(
    map(named, ("memory.usage_in_bytes", "cpuacct.usage", "cpu.stat", "blkio.weight", "pids.current", "cpu.pressure"))
)
"""A parameter of each controller that has vitals.  The last one is on no certain hierarchy."""


def merged(
    context: typer.Context, specs: list[str], *, failures: Failures, recursive: bool = False
) -> dict[str, list[Cgroup]]:
    """Return by label the cgroups of some SPECs: for each label one cgroup per hierarchy that has vitals.

    A SPEC such as ``memory:/job`` also names the cgroups of the same location on the other hierarchies.
    A process may be in another cgroup on each hierarchy.
    """
    host = host_of(context)
    found: dict[frozenset[Cgroup], str] = {}

    def add(target: Target) -> None:
        label, cgroups = _row(host, target)
        found.setdefault(frozenset(cgroups), label)
        rows.setdefault(found[frozenset(cgroups)], cgroups)

    rows: dict[str, list[Cgroup]] = {}
    failures.each(targets_of(context, specs, NAMES, failures=failures, recursive=recursive), add)
    if not rows:
        failures.end()
    return rows


def _row(host: Host, target: Target) -> tuple[str, list[Cgroup]]:
    """Return the label of a row, and its cgroups."""
    cgroups: dict[Hierarchy, Cgroup] = {}
    first: Cgroup | None = None
    error: CgroupError | None = None
    for name in NAMES:
        try:
            first = target.cgroup(name)
        except CgroupError as failed:
            error = failed
        else:
            cgroups[first.hierarchy] = first
    if first is None:
        assert error is not None
        raise error
    word = target.label
    is_process = word == "." or word.isdigit() or word.startswith("pid:")
    for hierarchy in _hierarchies(host):
        with suppress(CgroupError):
            if is_process:
                cgroups[hierarchy] = host.resolve(word, hierarchy.subsystems[0] if hierarchy.subsystems else "")
            elif hierarchy not in cgroups and (one := Cgroup(hierarchy, first.location)).exists:
                cgroups[hierarchy] = one
    counted = [cgroups[hierarchy] for hierarchy in _hierarchies(host) if hierarchy in cgroups]
    if not counted:
        message = f"cannot record the vitals of {first}: no hierarchy that counts them has this cgroup"
        raise CgroupNotFound(message, path=first.path, hint="record a parameter with -p")
    is_explicit = not is_process and not names_no_hierarchy(host, word)
    return printable(str(first) if is_explicit else first.location), counted


def _hierarchies(host: Host) -> list[Hierarchy]:
    """Return the mounted hierarchies that have vitals."""
    found = (host.hierarchy_of(vital.controller) for vital in VITALS.values())
    return list(dict.fromkeys(one for one in found if one is not None and one.root().path is not None))
