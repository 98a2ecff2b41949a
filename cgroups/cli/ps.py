"""The command ps."""

from __future__ import annotations

import typer

from .common import facts, render
from .common.arguments import OWN, AsJson, SpecOrOwn, cgroup_of

__all__ = ["ps"]


def ps(context: typer.Context, spec: SpecOrOwn = OWN, json: AsJson = False) -> None:
    """List the processes in a cgroup, not those in cgroups below.

    \b
    Examples: cgroups ps memory:/job
              cgroups ps ssh.service
    """
    processes = facts.processes(cgroup_of(context, spec))
    if json:
        render.show(render.as_json([one._asdict() for one in processes]))
    else:
        render.show(render.table(facts.Process._fields, [tuple(map(str, one)) for one in processes]))
