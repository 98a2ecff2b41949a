"""The commands of ``cgroups``: each finds a cgroup, does one thing, and prints.

What a command raises is handled in one place, :func:`_exit_codes`.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Optional

import typer
import typer.core

from .. import __version__, backend
from ..errors import (
    CgroupError,
    CgroupExists,
    CgroupGone,
    ExpectedRoot,
    ParameterNotSupported,
    SubsystemNotAttached,
    SubsystemNotAvailable,
)
from ..hierarchy import Cgroup
from ..host import Host
from ..subsystem import Parameters, parameters
from . import INTERRUPTED, facts, render
from .values import Data, Name, named, read, write

__all__ = ["app"]


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Errors become a line on stderr and an exit code, never a traceback."""
    try:
        yield
    except BrokenPipeError:
        # Whoever reads has read enough.
        raise typer.Exit from None
    except (CgroupError, OSError) as error:
        message = render.printable(" ".join(str(error).split("\n")))
        typer.echo(f"cgroups: {message}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


class Commands(typer.core.TyperGroup):
    """The group of all commands, which ends as :func:`_exit_codes` says."""

    def make_context(self, *args: Any, **keywords: Any) -> Any:
        """Reads the options that stand before the command; ``--help`` prints here."""
        with _exit_codes():
            return super().make_context(*args, **keywords)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        with _exit_codes():
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
            return result


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def common(
    context: typer.Context,
    root: Annotated[
        str, typer.Option(metavar="DIR", help="Look at the host whose root directory this is, and at its mounts.")
    ] = "/",
) -> None:
    """Shows and changes Linux control groups, of version 1 and 2.

    A cgroup is named by a SPEC: memory:/a/b is /a/b on the hierarchy of the
    memory controller, whichever version that is of; memory is its root;
    name=systemd:/a is on a named hierarchy; :/a is on the unified one.

    A PARAMETER is controller.name, with the library's name, which works on
    both versions (memory.limit_in_bytes), or the name of the control file
    (memory.max).  memory.stat[anon] is one key of it.

    Example: cgroups get memory:/job memory.usage_in_bytes

    Exits with 1 and one line on stderr when it fails, with 2 when the words
    make no command.
    """
    context.obj = Host(root)


Spec = Annotated[str, typer.Argument(metavar="SPEC", help="The cgroup, as memory:/a/b.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _cgroup(context: typer.Context, spec: str) -> Cgroup:
    return _host(context).find_exn(spec)


def _host(context: typer.Context) -> Host:
    host: Host = context.obj
    return host


@app.command()
def info(context: typer.Context) -> None:
    """Shows what this host has, and what you may do there.

    That is: versions and backend; each mounted hierarchy, with its
    controllers, those that cgroups below the root have, and where you may
    make cgroups; and which controllers are missing, and why.

    Example: cgroups info
    """
    host = _host(context)
    hierarchies, missing = host.scan(), facts.missing(host)
    uid = os.geteuid()
    head = {
        "version": f"{__version__}, {backend} backend, Python {platform.python_version()}",
        "kernel": facts.kernel(host) or "unknown",
        "root": host.root,
        "user": f"{facts.user(uid, host)}, uid {uid}{'' if uid == 0 else ', not root'}",
    }
    render.show("".join(f"{key:8} {render.printable(value)}\n" for key, value in head.items()))
    render.show("\n")
    columns = ("version", "mounted at", "controllers", "in cgroups below", "you may make cgroups")
    rows = [
        (
            f"v{one.version}",
            " ".join(mount.path for mount in one.mounts),
            facts.controllers_on(one),
            facts.enabled_below(one),
            facts.writable(one),
        )
        for one in hierarchies
    ]
    render.show(render.table(columns, rows))
    if missing:
        render.show("\n")
        render.show(render.table(("missing", "why"), missing))


@app.command()
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
) -> None:
    """Draws a cgroup and those below it.

    Example: cgroups tree memory:/system.slice --depth 2
    """
    if spec is not None:
        cgroup = _cgroup(context, spec)
        render.show(render.tree(cgroup, str(cgroup), depth))
        return
    for hierarchy in _host(context).scan():
        root = hierarchy.root()
        render.show(render.tree(root, f"{root}  v{root.version}, {hierarchy.mount_point}", depth))


@app.command()
def get(
    context: typer.Context,
    spec: Spec,
    parameter: Annotated[
        Optional[list[str]],  # noqa: UP045 - what typer 0.12 knows
        typer.Argument(metavar="PARAMETER", help="What to read; all that there is by default."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Reads parameters: all that the cgroup has, or those that are named.

    In a pipe each line is a name and a value, and a name is one that get
    takes again.  Numbers are exact: bytes, nanoseconds, counts.  max is no
    limit.

    \b
    Examples: cgroups get memory:/job
              cgroups get memory:/job memory.max 'memory.stat[rss]'
              cgroups get --json :/job io.stat
    """
    cgroup = _cgroup(context, spec)
    if parameter:
        _show_values([(name, read(name, cgroup)) for name in map(named, parameter)], as_json=json)
        return
    found, failed = _read_all(cgroup)
    _show_values(found, as_json=json)
    if failed:
        raise failed[0]


def _show_values(found: list[tuple[Name, Data]], *, as_json: bool) -> None:
    if as_json:
        render.show(render.as_json({str(name): data for name, data in found}))
    else:
        render.show(render.values(found))


_UNSUPPORTED = (ParameterNotSupported, SubsystemNotAttached, SubsystemNotAvailable, ExpectedRoot)


def _read_all(cgroup: Cgroup) -> tuple[list[tuple[Name, Data]], list[CgroupError]]:
    """All that a cgroup has; and what it has, but could not be read."""
    found: list[tuple[Name, Data]] = []
    failed: list[CgroupError] = []
    for parameter in parameters():
        if not isinstance(parameter, Parameters.Readable) or not parameter.files(cgroup.version):
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
    return found, failed


@app.command("set", context_settings={"ignore_unknown_options": True})
def set_(
    context: typer.Context,
    spec: Spec,
    parameter: Annotated[str, typer.Argument(metavar="PARAMETER", help="What to set.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="To what.")],
) -> None:
    """Sets a parameter.

    \b
    VALUE is, depending on the parameter,
      a number           512M, 1.5G, 1000; units are powers of 1024
      no limit           max
      yes or no          true, false, 1, 0, yes, no, on, off
      a list             0-3,8 of CPUs or nodes; cpu,memory of controllers
      a word             FROZEN
      a quota            50000/100000, or max, for cpu.max
      a table            8:0=1M,/dev/sda=max; '' is the empty one
      a table of rows    8:0=rbps:1M+wiops:100,/dev/sda=rbps:max
      a weight table     default=100,8:0=200

    A table replaces the whole: what it does not name has no limit any more.

    \b
    Examples: cgroups set memory:/job memory.limit_in_bytes 1.5G
              cgroups set cpuset:/job cpuset.cpus 0-3,8
              cgroups set :/job io.max /dev/sda=rbps:10M+wbps:5M
    """
    name = named(parameter)
    write(name, _cgroup(context, spec), value)


def _mode(word: str) -> int:
    """``0755`` of a command line."""
    try:
        mode = int(word, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:  # noqa: PLR2004 - all modes
        message = f"{word!r} is not a mode, as 0755"
        raise typer.BadParameter(message)
    return mode


@app.command()
def create(
    context: typer.Context,
    spec: Spec,
    owner: Annotated[
        Optional[str],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(metavar="USER[:GROUP]", help="Who owns it and its files."),
    ] = None,
    perm: Annotated[
        Optional[int],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(parser=_mode, metavar="MODE", help="The mode of its directory; 0755 by default."),
    ] = None,
) -> None:
    """Makes a cgroup, and those on the way to it.

    On v2 the controllers of the SPEC are enabled on the way.  A cgroup that
    is there already is no error, unless an owner or a mode is asked for.

    Example: cgroups create memory:/jobs/one --owner alice:staff --perm 0750
    """
    host = _host(context)
    if (owner is not None or perm is not None) and (there := host.find(spec)) is not None:
        message = f"cannot make {there}: it exists"
        raise CgroupExists(message, path=there.path, hint="an owner or a mode is for a cgroup that is made")
    host.find_or_create(spec, owner=owner, perm=0o755 if perm is None else perm)


@app.command()
def remove(
    context: typer.Context,
    spec: Spec,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Remove the cgroups below it first.")] = False,
) -> None:
    """Removes a cgroup, in which there must be no processes.

    Example: cgroups remove -r memory:/jobs
    """
    _cgroup(context, spec).remove(recursive=recursive)


@app.command()
def attach(
    context: typer.Context,
    spec: Spec,
    pid: Annotated[list[int], typer.Argument(metavar="PID", help="Process ids.")],
) -> None:
    """Moves processes, with all of their threads, into a cgroup.

    They are moved one by one; the first that cannot be moved ends it.

    Example: cgroups attach memory:/job $$
    """
    cgroup = _cgroup(context, spec)
    for one in pid:
        cgroup.add_process(one)


@app.command()
def ps(context: typer.Context, spec: Spec, json: AsJson = False) -> None:
    """Lists the processes in a cgroup, not those in cgroups below it.

    Example: cgroups ps memory:/job
    """
    processes = facts.processes(_cgroup(context, spec))
    if json:
        render.show(render.as_json([one._asdict() for one in processes]))
    else:
        render.show(render.table(facts.Process._fields, [tuple(map(str, one)) for one in processes]))
