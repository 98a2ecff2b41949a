"""Starting a program inside its cgroups.

The child moves itself there between fork and exec, by descriptors of
``cgroup.procs`` that were opened before, so that not one instruction of the
program is run, nor one page of it counted, elsewhere.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from . import diagnosis
from ._interface import Failure, Status

if TYPE_CHECKING:
    import subprocess

    from .hierarchy import Cgroup

__all__ = ["Started", "spawn"]


class Started(NamedTuple):
    """A program that runs, and CLOCK_MONOTONIC when it began to."""

    process: subprocess.Popen[bytes]
    began_ns: int


WORD = 8
BEGUN = 1 << 63
"""In what the child says: the time when it was everywhere; else which cgroup would not take it, and the errno."""


def spawn(args: Sequence[Any], cgroups: Sequence[Cgroup], **popen: Any) -> Started:
    """Starts a program whose first instruction runs in all of these cgroups.

    Where it cannot be moved into one of them it is not started.

    Raises:
        CgroupError: it could not be moved.
        OSError: it could not be started, as of subprocess.Popen.
    """
    import subprocess  # noqa: PLC0415 - importing this package has to stay cheap

    with ExitStack() as files:
        doors = [_open_procs(cgroup, files) for cgroup in cgroups]
        reading, writing = os.pipe()
        files.callback(os.close, reading)
        sides = ExitStack()
        files.enter_context(sides)
        sides.callback(os.close, writing)

        def enter() -> None:
            # The forked child of a process that may have threads: system calls and ints, nothing that locks.
            for at, door in enumerate(doors):
                try:
                    os.write(door, b"0")
                except OSError as error:
                    os.write(writing, (at << 32 | (error.errno or 0)).to_bytes(WORD, "little"))
                    raise
            os.write(writing, (BEGUN | time.monotonic_ns()).to_bytes(WORD, "little"))

        before = time.monotonic_ns()
        try:
            # Not preexec_fn's usual dangers: see enter.
            process = subprocess.Popen(args, preexec_fn=enter, **popen)  # noqa: PLW1509, S603
        except subprocess.SubprocessError:
            sides.close()
            told = _word(reading)
            if not told or told & BEGUN:
                raise
            at, errno = divmod(told, 1 << 32)
            failure = Failure(Status.OS, errno)
            raise diagnosis.explain_attach(failure, cgroups[at], "cgroup.procs", "process", os.getpid()) from None
        sides.close()
        told = _word(reading)
    # A child that a limit ended before it could say so has said nothing.
    return Started(process, told & ~BEGUN if told else before)


def _open_procs(cgroup: Cgroup, files: ExitStack) -> int:
    directory, below = cgroup.place_for_writing(f"start a program in {cgroup}")
    try:
        fd = directory.open(f"{below}/cgroup.procs" if below else "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    except Failure as failure:
        raise diagnosis.explain_attach(failure, cgroup, "cgroup.procs", "process", os.getpid()) from None
    files.callback(os.close, fd)
    return fd


def _word(fd: int) -> int:
    return int.from_bytes(os.read(fd, WORD), "little")
