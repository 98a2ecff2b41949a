"""The command ``cgroups``: its commands, their common options, and how it ends.

The errors of all commands are handled in one place, :func:`_exit_codes`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
import typer.core

from .. import __version__, backend
from ..errors import CgroupError, SystemdWarning, describe_errno, printable
from ..host import Host
from . import INTERRUPTED, changing, ending, plotting, reading, recording, render, running, telling, watching

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
        typer.echo(f"cgroups: {told(error)}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def told(error: CgroupError | OSError) -> str:
    """Return the one line that says what failed, on which file, and which command helps."""
    if isinstance(error, CgroupError):
        return error.for_command()
    what = printable(str(error.filename)) if error.filename is not None else "cannot write the output"
    return f"{what}: {describe_errno(error.errno or 0)}"


def show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning of Python as a line of the command, without the source of the package."""
    text = message.for_command() if isinstance(message, SystemdWarning) else printable(str(message))
    typer.echo(f"cgroups: warning: {text}", err=True)


class Commands(typer.core.TyperGroup):
    """The group of all commands, which ends as :func:`_exit_codes` says."""

    def make_context(self, *args: Any, **keywords: Any) -> Any:
        """Reads the options that stand before the command; ``--help`` prints here."""
        with _exit_codes():
            return super().make_context(*args, **keywords)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
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
        render.show(f"cgroups {__version__} ({backend} backend)")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    root: Annotated[
        str, typer.Option(metavar="DIR", help="Look at the host whose root directory this is, and at its mounts.")
    ] = "/",
    version: Annotated[  # noqa: ARG001 - its callback prints it
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Shows and changes Linux control groups, of version 1 and 2.

    A cgroup is named by a SPEC: memory:/a/b is /a/b on the hierarchy of the
    memory controller, whichever version that is of; memory is its root;
    name=systemd:/a is on a named hierarchy; :/a is on the unified one.

    A PARAMETER is controller.name, with the library's name, which works on
    both versions (memory.limit_in_bytes), or the name of the control file
    (memory.max).  memory.stat[anon] is one key of it.

    \b
    Examples: cgroups tree
              cgroups get memory:/job memory.usage_in_bytes

    Exits with 1 and one line on stderr when it fails, with 2 when the words
    make no command.
    """
    context.obj = Host(root)


_COMMANDS: tuple[Callable[..., None], ...] = (
    *(reading.info, reading.tree, reading.get, changing.set_, changing.reset),
    *(changing.create, changing.remove, changing.attach, reading.ps, reading.parameters),
    *(ending.freeze, ending.thaw, ending.kill, ending.wait, telling.events),
    *(watching.watch, recording.record, plotting.plot, running.run),
)
for command in _COMMANDS:
    # -1 is a value, not an option.
    settings = {"ignore_unknown_options": command is changing.set_}
    if command is running.run:
        # What stands after the first word of its command is the command's.
        settings["allow_interspersed_args"] = False
    app.command(command.__name__.rstrip("_"), context_settings=settings)(command)
