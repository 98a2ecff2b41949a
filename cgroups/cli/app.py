"""The command ``cgroups``: its subcommands, their common options, and the exit codes.

The errors of all subcommands are handled in one place, :func:`_exit_codes`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any, Final

import typer
import typer.core
import typer.main

from ..core.backend import backend
from ..core.errors import CgroupError, SystemdWarning, printable
from ..core.version import VERSION
from ..hierarchy import Host
from .common.exits import INTERRUPTED, quick_imports, told

__all__ = ["NAMES", "app", "subcommand"]


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Turn errors into one line on stderr and an exit code; never show a traceback."""
    try:
        yield
    except BrokenPipeError:
        # The reader has closed the pipe.
        raise typer.Exit from None
    except (CgroupError, OSError) as error:
        typer.echo(f"cgroups: {told(error)}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a Python warning as one line of the command, without a source line of the package."""
    text = message.for_command() if isinstance(message, SystemdWarning) else printable(str(message))
    typer.echo(f"cgroups: warning: {text}", err=True)


NAMES: Final = (
    *("info", "tree", "get", "set", "reset"),
    *("create", "remove", "attach", "ps", "parameters"),
    *("save", "load"),
    *("freeze", "thaw", "kill", "wait", "events"),
    *("watch", "record", "plot", "run", "export", "guide"),
)
"""The names of the subcommands, in the order of the help.  Each is also the name of its module."""
_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    # -1 is a value, not an option.
    "set": {"ignore_unknown_options": True},
    # Options after the first word of the measured command belong to that command.
    "run": {"allow_interspersed_args": False},
}


class Commands(typer.core.TyperGroup):
    """The group of all subcommands, with the exit codes of :func:`_exit_codes`.

    A subcommand's module is imported when the subcommand is used: the import of
    all modules takes longer than most subcommands.
    """

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the caller passes it
        """Return the names, in the order of the help."""
        return [*NAMES]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the caller passes it
        """Return the subcommand; None if the name is unknown."""
        if cmd_name in NAMES and cmd_name not in self.commands:
            self.commands[cmd_name] = subcommand(cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the subcommand; an error for an unknown name suggests from all names."""
        if args and args[0] not in NAMES:
            for name in NAMES:
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **keywords: Any) -> Any:
        """Parse the options that precede the subcommand; ``--help`` prints here."""
        with _exit_codes():
            return super().make_context(*args, **keywords)

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        with _exit_codes(), warnings.catch_warnings():
            warnings.showwarning = show_warning
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
            return result


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from .common import render

        render.show(f"cgroups {VERSION} ({backend.NAME} backend)")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    root: Annotated[
        str, typer.Option(metavar="DIR", help="Root directory of the host to use; its mounts are used too.")
    ] = "/",
    version: Annotated[  # noqa: ARG001 - its callback prints it
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Show and change Linux control groups of version 1 and 2.

    A SPEC names a cgroup.  These SPECs name its hierarchy too:

    \b
      memory:/a/b          /a/b on the hierarchy of the memory controller
      memory               the root of that hierarchy
      :/a                  /a on the unified hierarchy (version 2)
      id:4242              the cgroup with this id (version 2)
      name=systemd:/a      /a on a named hierarchy of version 1
      /sys/fs/cgroup/a     a directory below a mount point

    These SPECs name no hierarchy.  The hierarchy is that of the PARAMETER's
    controller, if there is a PARAMETER.  Otherwise it is the first that has
    the cgroup: the unified one, name=systemd, memory.

    \b
      ssh.service          a systemd unit; also session-3.scope, app.slice
      1234 or pid:1234     the cgroup of a process
      .                    your own cgroup
      container:3f2a       the container whose id begins with 3f2a
      /system.slice        the cgroup at this location
      docker 4f0f5e1c9d2b  a name that 'watch' or 'tree' shows

    get, set, watch and record take several SPECs, and patterns such as
    memory:/jobs/* or '/**/*.service'.  In a pattern *, ? and [ab] match within
    a name, and ** matches any number of levels.

    A PARAMETER is controller.name.  The name is the library's, which works on
    both versions (memory.limit_in_bytes), or that of the control file
    (memory.max).  memory.stat[anon] is one key of memory.stat.

    A TIME is in seconds, or has a unit, such as 500ms or 2s.

    \b
    Examples: cgroups tree
              cgroups get memory:/job memory.usage_in_bytes
              cgroups set '/jobs/*' memory.max=1G pids.max=100

    The exit code is 1 after a failure, with one line on stderr, and 2 after a
    usage error.
    """
    context.obj = Host(root)


def subcommand(name: str) -> Any:
    """Return the subcommand that the function of the module with its name declares."""
    with quick_imports():
        module = import_module(f".{name}", __package__)
    function = getattr(module, f"{name}_" if name == "set" else name)
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    settings = {"help_option_names": ["-h", "--help"], **_SETTINGS.get(name, {})}
    command.command(name, context_settings=settings)(function)
    return typer.main.get_command(command)
