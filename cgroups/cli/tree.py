"""The command tree."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from .common import facts, render
from .common.arguments import AsJson, cgroup_of, host_of
from .common.values import Data

__all__ = ["tree"]


def tree(
    context: typer.Context,
    spec: Annotated[
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Argument(metavar="SPEC", help="Cgroup at the top; default: the roots of all hierarchies."),
    ] = None,
    depth: Annotated[
        Optional[int],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(min=0, metavar="N", help="Number of levels to show below the top; default: all."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Draw a cgroup and all cgroups below it, and what each uses.

    \b
    PROCS   processes, without those in cgroups below
    MEMORY  memory
    CPU     CPU time so far
    PIDS    processes and threads
    -       not counted by the hierarchy, or by the cgroup

    MEMORY, CPU and PIDS include the cgroups below.  With --json the output is
    a flat list, with exact numbers: bytes, nanoseconds.

    \b
    Examples: cgroups tree memory:/system.slice --depth 2
              cgroups tree --json | jq -r '.[] | select(.processes > 0).cgroup'
    """
    roots = [one.root() for one in host_of(context).scan()] if spec is None else [cgroup_of(context, spec)]
    nodes = (node for root in roots for node in facts.tree(root, depth))
    render.show(render.as_json([_node_data(node) for node in nodes]) if json else render.tree(nodes))


def _node_data(node: facts.Node) -> dict[str, Data]:
    return {
        "cgroup": str(node.cgroup),
        "path": node.cgroup.path,
        "version": node.cgroup.version,
        "depth": node.depth,
        "processes": node.processes,
        "memory_bytes": node.memory,
        "cpu_ns": node.cpu_ns,
        "pids": node.pids,
        "denied": node.denied,
    }
