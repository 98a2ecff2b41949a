"""Explain why a program could not be started in its cgroups."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any, Final

from ..core import refusals
from ..core.advice import advise
from ..core.errors import CgroupBusy, CgroupError, CgroupOSError, shown
from ..core.interface import Failure, Spawned, Status, Step, Version
from ..core.node import Node
from ..parameters import Core, Freezer, Parameters

__all__ = ["FROZEN", "check_thawed", "explain_join", "explain_start", "path_of"]

FROZEN: Final = Core.events["frozen"]


def check_thawed(cgroup: Node, program: Any) -> None:
    if cgroup.location == "/" or (cgroup.version == Version.V1 and not cgroup.hierarchy.has("freezer")):
        return
    try:
        frozen = Parameters.get(*((Freezer.state, cgroup) if cgroup.version == Version.V1 else (FROZEN, cgroup)))
    except CgroupError:
        return  # gone or unreadable: the next step reports the error
    if frozen not in (0, "THAWED"):
        raise _frozen(cgroup, program)


def _frozen(cgroup: Node, program: Any) -> CgroupBusy:
    """Return the error for a frozen cgroup: the child would stop before it executes, and block its parent."""
    message = f"cannot start {shown(program)} in {cgroup} ({cgroup.path}): it is frozen"
    return CgroupBusy(message, path=cgroup.path, errno=errno.EBUSY, hint=advise("thaw", cgroup=cgroup))


def path_of(cgroups: Sequence[Node]) -> str | None:
    return cgroups[0].path if cgroups else None


def explain_join(failure: Failure, cgroup: Node, program: Any) -> CgroupError:
    tried = f"cannot start {shown(program)} in {cgroup} ({cgroup.path})"
    return refusals.explain_attach(failure, cgroup, "cgroup.procs", "process", os.getpid(), tried)


def explain_start(said: Spawned, cgroups: Sequence[Node], program: Any, cwd: Any) -> Exception:
    if said.step == Step.FROZEN:
        return _frozen(cgroups[said.at], program)
    if said.step == Step.KILLED:
        names = ", ".join(map(str, cgroups))
        message = f"cannot start {shown(program)} in {names}: it was killed before it executed"
        hint = "out of memory there, or killed by a user with write access there"
        return CgroupOSError(message, path=path_of(cgroups), errno=said.error, hint=hint)
    if said.step == Step.JOIN:
        return explain_join(Failure(Status.OS, said.error), cgroups[said.at], program)
    if said.step == Step.EXECUTE and said.error == errno.ENOMEM:
        message = f"cannot start {shown(program)} in {', '.join(map(str, cgroups))}: ENOMEM"
        hint = "a memory limit of the cgroup or an ancestor is too small to execute it"
        return CgroupOSError(message, path=path_of(cgroups), errno=said.error, hint=hint)
    # Like subprocess: the file is the one that could not be executed or entered.
    file = {Step.CWD: cwd, Step.EXECUTE: program}.get(Step(said.step))
    return OSError(said.error, os.strerror(said.error), file)
