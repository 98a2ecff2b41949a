"""The command info."""

from __future__ import annotations

import os
import platform
from typing import Any

import typer

from ..control.placement import Outlook, outlook
from ..core.backend import backend
from ..core.version import VERSION
from ..hierarchy import LOCAL
from .common import facts, render
from .common.arguments import AsJson, host_of

__all__ = ["info"]


def info(context: typer.Context, json: AsJson = False) -> None:
    """Show the hierarchies and controllers of this host.

    The output has several parts.  First come the versions and the backend.
    Each mounted hierarchy has its controllers, those of cgroups below the
    root, and where you may create cgroups.  Then come the missing controllers,
    with the reason.  Last come the places where 'cgroups run' can create
    cgroups, and the controllers that limit and measure there.

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
    places = outlook(host) if host == LOCAL else []
    if json:
        software = {"version": VERSION, "backend": backend.NAME, "python": platform.python_version(), "kernel": kernel}
        here = {"root": host.root, "user": user, "uid": uid, "hierarchies": rows, "missing": dict(missing)}
        run: dict[str, Any] = {"run_places": [one._asdict() for one in places]} if places else {}
        render.show(render.as_json({**software, **here, **run}))
        return
    lines = {
        "version": f"{VERSION}, {backend.NAME} backend, Python {platform.python_version()}",
        "kernel": kernel or "unknown",
        "root": host.root,
        "user": f"{user}, uid {uid}{'' if uid == 0 else ', not root'}",
    }
    render.show("".join(f"{key:8} {render.printable(value)}\n" for key, value in lines.items()))
    render.show("\n")
    columns = ("mounted at", "version", "controllers", "in cgroups below", "you may create cgroups")
    render.show(render.table(columns, [[_cell(value) for value in row.values()] for row in rows]))
    if missing:
        render.show("\n")
        render.show(render.table(("missing", "why"), missing))
    if places:
        render.show("\n")
        render.show(render.table(("'cgroups run' in", "limits and measures", "why not more"), map(_place_row, places)))


def _place_row(one: Outlook) -> list[str]:
    what = {"own": "a cgroup below your own", "systemd": f"a scope of {'your' if os.geteuid() else 'the'} systemd"}
    lines: dict[str, list[str]] = {}
    for controller, why in one.missing.items():
        lines.setdefault(why.replace(controller, "CONTROLLER"), []).append(controller)
    more = "; ".join(why.replace("CONTROLLER", " ".join(names)) for why, names in lines.items())
    return [what[one.kind], " ".join(one.controllers) or "-", one.refused or more or "-"]


def _cell(value: Any) -> str:
    match value:
        case int():
            return f"v{value}"
        case list():
            return " ".join(value) or "-"
        case _:
            return str(value)
