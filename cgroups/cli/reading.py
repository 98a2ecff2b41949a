"""The commands that only look: ``info``, ``tree``, ``get``, ``ps`` and ``parameters``."""

from __future__ import annotations

import errno
import os
import platform
from typing import Annotated, Any, Optional

import typer

from .. import __version__, backend
from ..errors import (
    CgroupError,
    CgroupGone,
    ExpectedRoot,
    ParameterNotSupported,
    SubsystemNotAttached,
    SubsystemNotAvailable,
)
from ..hierarchy import Cgroup
from ..subsystem import Parameters, parameter_named
from ..subsystem import parameters as parameters_of
from ..subsystem.controllers import huge_page_sizes_in
from . import facts, render
from .arguments import PARAMETER, AsJson, Spec, cgroup_of, controller_named, host_of
from .values import Data, Name, access, read

__all__ = ["get", "info", "parameters", "ps", "tree"]


# ---- hosts -----------------------------------------------------------------------------


def info(context: typer.Context, json: AsJson = False) -> None:
    """Shows what this host has, and what you may do there.

    That is: versions and backend; each mounted hierarchy, with its
    controllers, those that cgroups below the root have, and where you may
    make cgroups; and which controllers are missing, and why.

    Example: cgroups info
    """
    host = host_of(context)
    hierarchies, missing = host.scan(), facts.missing(host)
    kernel, uid = facts.kernel(host), os.geteuid()
    user = facts.user(uid, host)
    rows = [
        {
            "mounted_at": [mount.path for mount in one.mounts],
            "version": one.version,
            "controllers": facts.controllers_on(one),
            "in_cgroups_below": facts.enabled_below(one),
            "you_may_make_cgroups": facts.writable(one),
        }
        for one in hierarchies
    ]
    if json:
        software = {"version": __version__, "backend": backend, "python": platform.python_version(), "kernel": kernel}
        here = {"root": host.root, "user": user, "uid": uid, "hierarchies": rows, "missing": dict(missing)}
        render.show(render.as_json({**software, **here}))
        return
    lines = {
        "version": f"{__version__}, {backend} backend, Python {platform.python_version()}",
        "kernel": kernel or "unknown",
        "root": host.root,
        "user": f"{user}, uid {uid}{'' if uid == 0 else ', not root'}",
    }
    render.show("".join(f"{key:8} {render.printable(value)}\n" for key, value in lines.items()))
    render.show("\n")
    columns = ("mounted at", "version", "controllers", "in cgroups below", "you may make cgroups")
    render.show(render.table(columns, [[_cell(value) for value in row.values()] for row in rows]))
    if missing:
        render.show("\n")
        render.show(render.table(("missing", "why"), missing))


def _cell(value: Any) -> str:
    match value:
        case int():
            return f"v{value}"
        case list():
            return " ".join(value) or "-"
        case _:
            return str(value)


# ---- cgroups ---------------------------------------------------------------------------


def tree(
    context: typer.Context,
    spec: Annotated[
        Optional[str],  # noqa: UP045 - what typer 0.12 knows
        typer.Argument(metavar="SPEC", help="The cgroup to begin at; all hierarchies by default."),
    ] = None,
    depth: Annotated[
        Optional[int],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(min=0, metavar="N", help="Show this many levels below it."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Draws a cgroup and those below it, and what each uses.

    \b
    PROCS   processes in it, without those in cgroups below it
    MEMORY  memory that it uses, with the cgroups below it
    CPU     CPU time used so far, with the cgroups below it
    PIDS    processes and threads in it and below it
    -       the hierarchy, or the cgroup, does not count that

    With --json it is a flat list, with exact numbers: bytes, nanoseconds.

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


def ps(context: typer.Context, spec: Spec, json: AsJson = False) -> None:
    """Lists the processes in a cgroup, not those in cgroups below it.

    Example: cgroups ps memory:/job
    """
    processes = facts.processes(cgroup_of(context, spec))
    if json:
        render.show(render.as_json([one._asdict() for one in processes]))
    else:
        render.show(render.table(facts.Process._fields, [tuple(map(str, one)) for one in processes]))


# ---- parameters ------------------------------------------------------------------------


def get(
    context: typer.Context,
    spec: Spec,
    parameter: Annotated[
        Optional[list[Name]],  # noqa: UP045 - what typer 0.12 knows
        typer.Argument(help="What to read; all that there is by default.", **PARAMETER),
    ] = None,
    json: AsJson = False,
) -> None:
    """Reads parameters: those that are named, or all that the cgroup has.

    All is each control file once, under its own name: memory.limit_in_bytes
    on v1, memory.max on v2.  A parameter that is named is read on both.
    Single values come first, then tables.

    In a pipe each line is a name and a value, and a name is one that get
    takes again.  Numbers are exact: bytes, nanoseconds, counts.  max is no
    limit.

    \b
    Examples: cgroups get memory:/job
              cgroups get memory:/job memory.max 'memory.stat[rss]'
              cgroups get --json :/job io.stat
    """
    cgroup = cgroup_of(context, spec)
    failed: list[CgroupError] = []
    found = [(name, read(name, cgroup)) for name in parameter] if parameter else _read_all(cgroup, failed)
    if json:
        render.show(render.as_json({str(name): data for name, data in found}))
    else:
        render.show(render.values(found, short=not parameter))
    if failed:
        raise failed[0]


_UNSUPPORTED = (ParameterNotSupported, SubsystemNotAttached, SubsystemNotAvailable, ExpectedRoot)


def _read_all(cgroup: Cgroup, failed: list[CgroupError]) -> list[tuple[Name, Data]]:
    """All that a cgroup has, single values first; ``failed`` takes why what it has could not be read."""
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
            # A threaded cgroup has the file, and no processes of its own to list.
            if error.errno != errno.EOPNOTSUPP:
                failed.append(error)
    return sorted(found, key=lambda one: isinstance(one[1], dict))


def _is_own(parameter: Parameters.Parameter, version: int) -> bool:
    """Whether it is what a control file's own name names: not one that translates, or only goes by another name."""
    return any(str(parameter_named(file)) == str(parameter) for file in parameter.files(version))


def parameters(
    controller: Annotated[
        Optional[str],  # noqa: UP045 - what typer 0.12 knows
        typer.Argument(metavar="CONTROLLER", parser=controller_named, help="Whose parameters; all by default."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Lists the parameters that there are, on any host.

    For each: its name, whether get, set and reset take it, its unit, the
    control files that it stands for on v1 and on v2, and what it is.

    \b
    Examples: cgroups parameters memory
              cgroups parameters | grep swap
    """
    found = parameters_of(controller)
    render.show(render.as_json([_parameter_data(one) for one in found]) if json else render.parameters(found))


def _parameter_data(parameter: Parameters.Parameter) -> dict[str, Data]:
    return {
        "name": str(parameter),
        "access": [*access(parameter)],
        "unit": parameter.unit,
        "v1_files": [*parameter.files(1)],
        "v2_files": [*parameter.files(2)],
        "doc": parameter.doc,
    }
