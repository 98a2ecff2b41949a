"""Start programs and wait for them: csrc/cg_spawn.c and csrc/cg_wait.c."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..._native import ffi, lib
from ..children import reap_later
from ..interface import Spawn, Spawned, encode_name

__all__ = ["Watch", "spawn", "wait_child"]


def _strings(texts: Sequence[bytes], memory: list[Any]) -> Any:
    """Return a NULL-terminated array of C strings.  The caller keeps ``memory`` alive."""
    strings = [ffi.new("char[]", text) for text in texts]
    array = ffi.new("char *[]", [*strings, ffi.NULL])
    memory += [strings, array]
    return array


# The contents of os.environ at its last conversion, the C strings, and their memory.
_known_environment: tuple[dict[bytes, bytes], Any, list[Any]] = ({}, None, [])


def _environment(memory: list[Any]) -> Any:
    """Return os.environ as C strings.

    C's environ is unsafe: while the child reads it, the interpreter's lock is
    released and another thread may change it.
    """
    global _known_environment  # noqa: PLW0603 - one tuple, replaced whole
    # os.environ.items() takes ten times longer; and a program may have replaced os.environ by a dict.
    now = getattr(os.environ, "_data", None) or {os.fsencode(key): os.fsencode(os.environ[key]) for key in os.environ}
    known, strings, kept = _known_environment
    if strings is None or now != known:
        known, kept = dict(now), []
        strings = _strings([b"%b=%b" % item for item in known.items()], kept)
        _known_environment = known, strings, kept
    memory.append(kept)
    return strings


def spawn(spawn: Spawn) -> Spawned:
    """Start a program in its cgroups: cg_abi.h, "spawning"."""
    memory: list[Any] = []
    program, path, cwd = (
        ffi.NULL if text is None else ffi.new("char[]", text) for text in (spawn.program, spawn.path, spawn.cwd)
    )
    args = _strings(spawn.args, memory)
    env = _environment(memory) if spawn.env is None else _strings(spawn.env, memory)
    where = [
        (hierarchy._c, ffi.new("char[]", encode_name(below)), version, controllers)  # noqa: SLF001 - same package
        for hierarchy, below, version, controllers in spawn.places
    ]
    places = ffi.new("struct cg_place[]", where)
    keep = ffi.new("int[]", spawn.keep)
    groups = ffi.NULL if spawn.groups is None else ffi.new("uint32_t[]", spawn.groups)
    what = (
        *(program, path, ffi.cast("char **", args), ffi.cast("char **", env), cwd),
        *(places, len(where), spawn.files, spawn.close_files, keep, len(spawn.keep), spawn.restore_signals),
        *(spawn.new_session, spawn.process_group, spawn.umask, spawn.uid, spawn.gid),
        *(-1 if spawn.groups is None else len(spawn.groups), groups, spawn.timeout, spawn.mover is not None),
        ffi.NULL if spawn.watch is None else spawn.watch._c,  # noqa: SLF001 - same package
    )
    said = ffi.new("struct cg_spawned *")
    request = ffi.new("struct cg_spawn *", what)
    try:
        status = lib.cg_spawn(request, said)
        if status == lib.CG_PAUSED:
            assert spawn.mover is not None
            spawn.mover(said.pid)
            status = lib.cg_spawn_resume(said)
        while status == lib.CG_INTERRUPTED:  # the signal handler runs before the next call
            status = lib.cg_spawn_resume(said)
        told = Spawned(said.began, said.pid, said.step, said.at, said.error)
    except BaseException:
        # A signal handler raised: no one else knows the child's pid.
        lib.cg_spawn_cancel(said)
        reap_later(said.pid)
        raise
    return told


class Watch:
    """A watch that records the time at which a program exits: cg_abi.h, struct cg_watch."""

    def __init__(self) -> None:
        found = ffi.new("struct cg_watch **")
        if lib.cg_watch_create(found) != lib.CG_OK:
            raise MemoryError
        self._c = ffi.gc(found[0], lib.cg_watch_destroy)

    def ended_ns(self) -> int:
        ended: int = lib.cg_watch_ended(self._c)
        return ended


def wait_child(pid: int, deadline: int | None) -> int:
    """Wait until a child exits: cg_abi.h, "waiting"."""
    ended, error = ffi.new("int64_t *"), ffi.new("int *")
    while (status := lib.cg_wait_child(pid, -1 if deadline is None else deadline, ended, error)) != lib.CG_OK:
        if status != lib.CG_INTERRUPTED:  # the signal handler runs before the next call
            raise OSError(error[0], os.strerror(error[0]))
    found: int = ended[0]
    return found
