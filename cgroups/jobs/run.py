"""run: run a command in new cgroups, and report its resources and those of its descendants."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..hierarchy import LOCAL

if TYPE_CHECKING:
    from ..control.plain_limits import Amount
    from ..group import Group
    from ..guard import Guard
    from ..parents import Parent
    from .measured import Argument, Stream
    from .report import Report

__all__ = ["run"]

PIPE = -1
"""The value of subprocess.PIPE.  subprocess is imported on use, since importing this package must stay cheap."""


def run(
    args: Sequence[Argument],
    *,
    memory: Amount | None = None,
    cpus: Amount | None = None,
    pids: Amount | None = None,
    swap: Amount | None = None,
    io_weight: Amount | None = None,
    limits: Mapping[Any, Any] | None = None,
    sample: float | None = None,
    timeout: float | None = None,
    grace: float | None = None,
    guards: Iterable[Callable[[Group], Guard]] = (),
    parent: Parent | None = None,
    place: str = "auto",
    slice: str | None = None,  # noqa: A002 - systemd's word
    move_self: bool = False,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    capture_output: bool = False,
    input: str | bytes | None = None,  # noqa: A002 - subprocess's word
    text: bool = False,
    check: bool = False,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> Report:
    """Run a command in new cgroups, and report the resources that it and its descendants used.

    Example::

        report = run(["make", "-j4"], memory="2G", cpus=1.5)
        report.wall_ns, report.cpu_ns, report.memory_peak, report.ended_by

    The command is in its cgroups, one on each hierarchy that measures or limits,
    before its first instruction.  When it has exited, its remaining descendants are
    killed, and the cgroups are removed, also after an error here.

    The cgroups are created in the first of these places that works; ``report.place`` names it:

    1. below the given ``parent``;
    2. below the caller's own cgroups, if these can enable controllers: on v1, and in a delegated subtree of v2;
    3. in a delegated scope of systemd: of the user's own manager or, for root, of the system's;
    4. in no cgroup: a command without limits still runs.  Then the figures named in ``report.estimated`` come from
       rusage and from samples of /proc.

    Controllers that are enabled in a parent stay enabled.

    A first KeyboardInterrupt waits for the command, which gets the signal
    from its terminal.  A second KeyboardInterrupt, SIGTERM or SIGHUP kills the command.  Then the
    exception is raised.

    Args:
        args: the program, found as in subprocess, and its arguments.
        memory: memory limit, in bytes or text such as ``"2G"``.  Swapping is disabled unless ``swap`` is given.  If the
            kernel kills one process for lack of memory, all processes of the command are killed.
        cpus: limit of CPU time, in CPUs, such as 1.5 or ``"50%"``.
        pids: limit of processes and threads.
        swap: swap limit, in bytes, in addition to the memory.
        io_weight: share of IO among siblings, from 1 to 10000; the default of every cgroup is 100.
        limits: further limits, by parameter or its name, set in this order before the command starts.
        sample: interval, in seconds, at which to keep a frame of memory, CPU time and pressure.
        timeout: seconds after which all processes are killed and ``timed_out`` is set.
        grace: seconds between SIGTERM at the timeout and the kill.
        guards: functions of the group that return a Guard: ``lambda group: Guard(group, Pids.current, above=50)``.
            They watch from before the start to the end; ``fired`` has the events for which they acted.
        parent: the cgroup below which to create the job's: a spec or a Cgroup, or one for each hierarchy to use.
        place: ``auto`` for the order above, or only one place: ``own``, ``systemd`` or ``none``.
        slice: the systemd slice of a scope, such as ``batch.slice``; by default app.slice, for root system.slice.
        move_self: whether the caller and all other processes of its cgroup may be moved into a leaf below, so
            that the cgroup can enable controllers.  A caller that is the only process there is always moved,
            unless systemd manages the cgroup.
        stdin: like subprocess.Popen; PIPE is not supported: use ``input``.
        stdout: like subprocess.Popen; output to PIPE is in the report.
        stderr: like ``stdout``, for errors.
        capture_output: use PIPE for both.
        input: data for the command's stdin.
        text: whether output is str, decoded with the locale's encoding, instead of bytes.
        check: raise CommandFailed, which has the report, unless the command exits with 0.
        cwd: the working directory of the command.
        env: the environment of the command.

    Returns:
        The exit status of the command, and the resources that it used.

    Raises:
        AccessDenied, CgroupBusy, SystemdError: no place can have the limits; no process was started.
        InvalidValue: an argument or a limit is not valid.
        CgroupError: a limit could not be set: see :func:`Parameters.set`.
        CommandFailed: the command did not exit with 0, with ``check``; a subprocess.CalledProcessError.
        OSError: the command could not be started, as in subprocess.run.
        CgroupTimeout: a process could not be killed.
    """
    from ..control.placement import Wish  # noqa: PLC0415
    from ..control.plain_limits import PlainLimits  # noqa: PLC0415
    from .measured import run_through  # noqa: PLC0415 - see PIPE

    if capture_output:
        stdout = stderr = PIPE
    report, interrupt = run_through(
        args,
        plain=PlainLimits(memory, cpus, pids, swap, io_weight),
        limits=limits,
        sample=sample,
        timeout=timeout,
        grace=grace,
        guards=guards,
        parent=parent,
        wish=Wish(LOCAL, place=place, slice=slice, move_self=move_self),
        streams={"stdin": stdin, "stdout": stdout, "stderr": stderr},
        input=input,
        text=text,
        cwd=cwd,
        env=env,
    )
    if interrupt is not None:
        raise interrupt
    if check and report.returncode:
        from .failed import CommandFailed  # noqa: PLC0415 - see PIPE

        raise CommandFailed(report)
    return report
