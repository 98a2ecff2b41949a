"""A pytest plugin for guests: Python programs that a test runs to their end are forked, not started.

Under emulation an interpreter takes seconds to start, and the command line's
imports take ten.  In a guest ``subprocess.run`` of this interpreter forks the
tests' own process instead, which has imported everything.  Elsewhere, and with
``Popen``, programs are started as usual.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import os
import stat
import subprocess
import sys
import time
import traceback
import warnings
from typing import Any, NoReturn

import cgroups.cli

# Once, for all that are forked: some of it is only imported when a command runs.
WARM = (["info"], ["get", "--json", ":/", "cgroup.procs"], ["tree", "--depth", "0"], ["nope"])
for _words in WARM:
    sys.argv = ["cgroups", *_words]
    _quiet = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(_quiet), contextlib.redirect_stderr(_quiet):
        cgroups.cli.main()

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 16384, 1 << 18
UNSHARED = ["unshare", "-m"]

# How much longer a program may take here than a test allows elsewhere.
SLOWNESS = 10

_libc = ctypes.CDLL(None, use_errno=True)
_started = subprocess.run


def _program(command: list[str]) -> tuple[bool, list[str]] | None:
    """Return whether it unshares mounts, and the interpreter's arguments; None if it is another program."""
    unshared = command[:2] == UNSHARED
    words = command[2:] if unshared else command
    if words[:1] != [sys.executable] or not (words[1:3] == ["-m", "cgroups"] or words[1:2] == ["-c"]):
        return None
    # One that looks at its own descriptors would find those of the tests.
    return None if "/proc/self/fd" in words[2] else (unshared, words[1:])


def _execute(words: list[str]) -> None:
    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = ["cgroups", *words[2:]]
        cgroups.cli.main()


def _status(leaving: SystemExit) -> int:
    if leaving.code is None or isinstance(leaving.code, int):
        return leaving.code or 0
    print(leaving.code, file=sys.stderr)
    return 1


def _close_pipes() -> None:
    """Close what exec would: another thread waits for the end of a pipe of which this fork has a copy."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if int(name) > 2 and stat.S_ISFIFO(os.fstat(int(name)).st_mode):
                os.close(int(name))


def _child(unshared: bool, words: list[str], files: list[int], directory: str | None) -> NoReturn:
    status = 1
    try:
        for target, file in enumerate(files):
            os.dup2(file, target)
        _close_pipes()
        sys.stdin, sys.stdout, sys.stderr = (
            io.TextIOWrapper(open(number, mode, closefd=False), errors=errors, line_buffering=number == 2)
            for number, (mode, errors) in enumerate([("rb", None), ("wb", None), ("wb", "backslashreplace")])
        )
        warnings.simplefilter("default")
        if unshared:
            assert _libc.unshare(CLONE_NEWNS) == 0
            assert _libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None) == 0
        if directory is not None:
            os.chdir(directory)
        try:
            _execute(words)
            status = 0
        except SystemExit as leaving:
            status = _status(leaving)
        except BaseException:
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
    finally:
        os._exit(status)


def _wait(pid: int, timeout: float | None) -> int | None:
    deadline = None if timeout is None else time.monotonic() + timeout * SLOWNESS
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if deadline is not None and time.monotonic() > deadline:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.01)


def run(command: Any, **keywords: Any) -> subprocess.CompletedProcess[Any]:
    """``subprocess.run``, by a fork where that comes to the same."""
    rest = set(keywords) - {"capture_output", "text", "timeout", "check", "cwd", "input"}
    program = _program(list(command)) if isinstance(command, (list, tuple)) else None
    if program is None or rest or not keywords.get("capture_output"):
        return _started(command, **keywords)
    text = keywords.get("text")
    given = keywords.get("input") or b""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(os.memfd_create(name), "r+b")) for name in ("in", "out", "err")]
        files[0].write(given.encode() if isinstance(given, str) else given)
        files[0].seek(0)
        gc.freeze()  # so that the child's collector does not copy all of the memory
        pid = os.fork()
        if pid == 0:
            _child(*program, [file.fileno() for file in files], keywords.get("cwd"))
        status = _wait(pid, keywords.get("timeout"))
        for file in files:
            file.seek(0)
        out, err = (file.read().decode() if text else file.read() for file in files[1:])
    if status is None:
        raise subprocess.TimeoutExpired(command, keywords["timeout"], out, err)
    done = subprocess.CompletedProcess(command, status, out, err)
    if keywords.get("check"):
        done.check_returncode()
    return done


subprocess.run = run
