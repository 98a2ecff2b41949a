"""The command create."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from ..core.errors import CgroupExists
from .common.arguments import Spec, host_of

__all__ = ["create"]


def _mode(word: str) -> int:
    """Parse an octal mode such as ``0755``."""
    try:
        mode = int(word, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:  # noqa: PLR2004 - all modes
        message = f"mode must be octal, such as 0755, got {word!r}"
        raise typer.BadParameter(message)
    return mode


def create(
    context: typer.Context,
    spec: Spec,
    owner: Annotated[
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(metavar="USER[:GROUP]", help="Owner of the cgroup and its files; default: you."),
    ] = None,
    perm: Annotated[
        Optional[int],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(parser=_mode, metavar="MODE", help="Octal mode of the cgroup's directory; default: 0755."),
    ] = None,
) -> None:
    """Create a cgroup, and its missing parents.

    On v2 the controllers of the SPEC are enabled in the parents; 'remove'
    disables them again.  If the cgroup exists, nothing changes and the exit
    code is 0; with --owner or --perm an existing cgroup is an error.

    Example: cgroups create memory:/jobs/one --owner alice:staff --perm 0750
    """
    host = host_of(context)
    if (owner is not None or perm is not None) and (there := host.find(spec)) is not None:
        message = f"cannot create {there}: it exists"
        raise CgroupExists(message, path=there.path, hint="remove it first, or use chown and chmod on its directory")
    host.find_or_create(spec, owner=owner, perm=0o755 if perm is None else perm)
