"""The native backend: csrc/ through cffi.  The only importer of its ``lib``.

C returns statuses and columns; this module makes them lists and Failures, and
owns the memory that C writes to.  Documentation: csrc/cg_abi.h.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Final

from ._interface import (
    EXCERPT,
    OTHER_ROWS,
    ROW,
    Cells,
    Failure,
    FramePlaces,
    Layout,
    MountRow,
    RawBlock,
    Recording,
    Spawn,
    Spawned,
    Status,
    Target,
    decode_name,
    encode_name,
    learn,
)
from ._native import ffi, lib
from .core.children import reap_later
from .core.importing import warn
from .values import MAX

NAME: Final = "native"


def _warn_if_stale(sources: str) -> None:
    """Warn where the extension was built from other sources than those beside it, as in a checkout that changed."""
    import zlib  # noqa: PLC0415 - only a checkout gets here, and importing this package has to stay cheap

    checksum = 0
    for endings in (".c", ".h"):
        for name in sorted(name for name in os.listdir(sources) if name.startswith("cg") and name.endswith(endings)):
            with open(f"{sources}/{name}", "rb") as file:
                checksum = zlib.crc32(file.read(), checksum)
    if checksum != lib.CG_SOURCES:
        message = f"the extension is older than {sources}: run `python setup.py build_ext --inplace`"
        warn(message)


if os.path.isfile(_SOURCES := f"{os.path.dirname(__file__)}/../csrc/cg_abi.h"):
    _warn_if_stale(os.path.dirname(_SOURCES))

_uncleared = ffi.new_allocator(should_clear_after_alloc=False)

TEXT_LIMIT: Final = 64 << 20
"""A control file longer than this is a mistake, not a file."""


# ---- memory that C writes to -------------------------------------------------


class _Arena:
    """A struct cg_arena with its buffers, which grow and stay grown."""

    def __init__(self) -> None:
        self.c = ffi.new("struct cg_arena *")
        self.cells = ffi.addressof(self.c[0], "cells")
        self.grow_text(8192)
        self.grow_columns(128)

    def grow_text(self, capacity: int) -> None:
        if capacity > TEXT_LIMIT:
            raise Failure(Status.OS, errno.EFBIG)
        text = self.c.text = _uncleared("char[]", capacity)
        self.c.text_capacity = capacity
        self._text = text  # last, since it lets go of what C used

    def grow_columns(self, capacity: int) -> None:
        cells = self.cells
        columns = (
            _uncleared("uint64_t[]", capacity),
            _uncleared("uint8_t[]", capacity),
            _uncleared("uint32_t[]", capacity),
            _uncleared("uint32_t[]", capacity),
            _uncleared("uint32_t[]", capacity),
        )
        cells.value, cells.kind, cells.key, cells.key_end, cells.start = columns
        cells.capacity = capacity
        self._columns = columns  # last, since it lets go of what C used

    def grow(self) -> None:
        """Makes room for what gave CG_SPACE."""
        if self.c.text_length >= self.c.text_capacity:
            self.grow_text(2 * self.c.text_capacity)
        else:
            self.grow_columns(2 * self.cells.capacity)

    def failure(self, status: int) -> Failure:
        if status == lib.CG_OS:
            return Failure(status, self.c.error)
        if status == lib.CG_FOREIGN:
            return Failure(status)
        offset, length = self.c.offset, self.c.text_length
        excerpt = ffi.buffer(self.c.text + offset, min(EXCERPT, length - offset))[:]
        return Failure(status, 0, offset, excerpt)


# Taking from a list and giving back is atomic, and needs no lock: two threads
# never have one arena, and an arena that is lost to an exception is collected.
_arenas: list[_Arena] = []


def _take_arena() -> _Arena:
    try:
        return _arenas.pop()
    except IndexError:
        return _Arena()


def _give_back(arena: _Arena) -> None:
    # One that has grown for an odd file goes: a daemon keeps what it needs.
    if arena.c.text_capacity <= 1 << 20:
        _arenas.append(arena)


# ---- cells ---------------------------------------------------------------------


def _slices(text: bytes, starts: Sequence[int], ends: Sequence[int]) -> list[str]:
    if text.isascii():
        whole = text.decode("ascii")
        return [whole[start:end] for start, end in zip(starts, ends)]
    return [text[start:end].decode("utf-8", "surrogateescape") for start, end in zip(starts, ends)]


def _string(text: bytes, packed: int) -> str:
    return text[packed >> 32 : packed & 0xFFFFFFFF].decode("utf-8", "surrogateescape")


_VALUES: dict[int, Callable[[bytes, int], Any]] = {
    lib.CG_UINT: lambda _, value: value,
    lib.CG_NEGATIVE: lambda _, value: value - (1 << 64),
    lib.CG_MAX: lambda *_: MAX,
    lib.CG_CENTI: lambda _, value: value / 100,
    lib.CG_STRING: _string,
    lib.CG_NONE: lambda *_: None,
    lib.CG_ROW: lambda *_: ROW,
}


def _cells(cells: Any, text: Callable[[], bytes]) -> Cells:
    count = cells.count
    values = ffi.unpack(cells.value, count)
    kinds = ffi.buffer(cells.kind, count)[:]
    ends = ffi.unpack(cells.key_end, count)
    plain = not any(kinds)
    if plain and not any(ends):
        return [("", value) for value in values]
    data = text()
    if not plain:
        values = [_VALUES[kind](data, value) for kind, value in zip(kinds, values)]
    return list(zip(_slices(data, ffi.unpack(cells.key, count), ends), values))


def parse(shape: int, data: bytes) -> Cells:
    """The cells of a control file's text."""
    arena = _take_arena()
    offset = ffi.new("size_t *")
    while True:
        status = lib.cg_parse(shape, data, len(data), arena.cells, offset)
        if status == lib.CG_SPACE:
            arena.grow_columns(2 * arena.cells.capacity)
            continue
        if status != lib.CG_OK:
            _give_back(arena)
            at = offset[0]
            raise Failure(status, 0, at, data[at : at + EXCERPT])
        cells = _cells(arena.cells, lambda: data)
        _give_back(arena)
        return cells


# ---- files ----------------------------------------------------------------------


def _default_budget() -> int:
    import resource  # noqa: PLC0415 - needed once, and importing the package has to stay cheap

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 65536 if soft == resource.RLIM_INFINITY else min(soft // 4, 65536)


def _checked(pointer: Any) -> Any:
    if pointer == ffi.NULL:
        raise MemoryError
    return pointer


# The process has one, whichever interpreter of it imports this module, and however often.
_cache = _checked(lib.cg_cache_shared(_default_budget()))


def set_fd_budget(budget: int) -> None:
    lib.cg_cache_set_budget(_cache, budget)


def fd_budget() -> int:
    return int(lib.cg_cache_budget(_cache))


def kept_fds() -> int:
    return int(lib.cg_cache_kept(_cache))


def _layout(keys: tuple[str, ...]) -> Layout:
    """What stands between the numbers of a flat keyed file: ``key ``, and after all of them a newline."""
    if not keys:
        return Layout(keys)
    literals = [f"{key} " if at == 0 else f"\n{key} " for at, key in enumerate(keys)] + ["\n"]
    texts = [literal.encode("utf-8", "surrogateescape") for literal in literals]
    memory = ffi.new("char[]", b"".join(texts)), ffi.new("uint32_t[]", list(accumulate(map(len, texts))))
    struct = ffi.new(
        "struct cg_layout *", {"literals": memory[0], "ends": memory[1], "count": len(keys), "shape": lib.CG_KEYED}
    )
    return Layout(keys, (struct, memory, len(keys)))


class File:
    """A control file, by name; its descriptor is the cache's."""

    __slots__ = ("_c",)

    def __init__(self, directory: Any, path: str, flags: int) -> None:
        pointer = lib.cg_file_create(_cache, directory, encode_name(path), flags)
        self._c = ffi.gc(_checked(pointer), lib.cg_file_destroy)

    def int_call(self) -> tuple[Callable[[Any], int], Any]:
        return lib.cg_file_read_int, self._c

    def read(self, shape: int) -> Cells:
        arena = _take_arena()
        try:
            while (status := lib.cg_file_read(self._c, shape, arena.c)) == lib.CG_SPACE:
                arena.grow()
            if status != lib.CG_OK:
                raise arena.failure(status)
            return _cells(arena.cells, lambda: ffi.buffer(arena.c.text, arena.c.text_length)[:])
        finally:
            _give_back(arena)

    def read_keyed(self, layout: Layout | None) -> tuple[Layout, list[Any]]:
        if layout is not None and layout.native is not None:
            arena = _take_arena()
            struct, _, count = layout.native
            if arena.cells.capacity >= count:
                status = lib.cg_file_read_layout(self._c, struct, arena.c)
                if status == lib.CG_OK:
                    values = ffi.unpack(arena.cells.value, count)
                    _give_back(arena)
                    return layout, values
            _give_back(arena)
        cells = self.read(lib.CG_KEYED)
        return learn(cells, layout, _layout), [value for _, value in cells]

    def close(self) -> None:
        lib.cg_file_close(self._c)


_VERSION_FLAGS = {0: 0, 1: lib.CG_FILE_CGROUP1, 2: lib.CG_FILE_CGROUP2}


class Directory:
    """The mount point of a hierarchy, or any directory (version 0)."""

    __slots__ = ("_c",)

    def __init__(self, path: str, version: int) -> None:
        flags = lib.CG_FILE_DIRECTORY | _VERSION_FLAGS[version]
        pointer = lib.cg_file_create(_cache, ffi.NULL, encode_name(path), flags)
        self._c = ffi.gc(_checked(pointer), lib.cg_file_destroy)

    def file(self, path: str, *, listing: bool = False) -> File:
        return File(self._c, path, lib.CG_FILE_LIST if listing else 0)

    def open(self, path: str, flags: int) -> int:
        fd, error = ffi.new("int *"), ffi.new("int *")
        status = lib.cg_file_open(self._c, encode_name(path), flags, fd, error)
        if status != lib.CG_OK:
            raise Failure(status, error[0])
        return int(fd[0])

    def write(self, path: str, data: bytes) -> None:
        error = ffi.new("int *")
        status = lib.cg_file_write(self._c, encode_name(path), data, len(data), error)
        if status != lib.CG_OK:
            raise Failure(status, error[0])

    def inode(self, path: str) -> int:
        inode: int = lib.cg_file_inode(self._c, encode_name(path))
        return inode

    def device(self) -> tuple[int, int]:
        device, error = ffi.new("uint64_t *"), ffi.new("int *")
        status = lib.cg_file_device(self._c, device, error)
        if status != lib.CG_OK:
            raise Failure(status, error[0])
        return device[0] >> 32, device[0] & 0xFFFFFFFF


open_directory = Directory


# ---- the mount table --------------------------------------------------------------


def _mount_rows(strings: Any, mounts: Any, count: int) -> list[MountRow]:
    if count == 0:
        return []
    width = lib.CG_MOUNT_FIELDS
    columns = ffi.unpack(mounts, count * width)
    text = ffi.buffer(strings, columns[-1])[:]
    rows = []
    for at in range(0, count * width, width):
        version, major, minor, *bounds = columns[at : at + width]
        fields = [decode_name(text[start:end]) for start, end in zip(bounds[0::2], bounds[1::2])]
        rows.append(MountRow((version, major, minor, *fields)))
    return rows


def _parse_mounts(text: Any, length: int, excerpt: Callable[[int], bytes]) -> list[MountRow]:
    capacity = 256
    strings = _uncleared("char[]", max(length, 1))
    count, offset = ffi.new("size_t *"), ffi.new("size_t *")
    while True:
        mounts = _uncleared("uint32_t[]", capacity * lib.CG_MOUNT_FIELDS)
        status = lib.cg_parse_mountinfo(text, length, strings, mounts, capacity, count, offset)
        if status == lib.CG_OK:
            return _mount_rows(strings, mounts, count[0])
        if status != lib.CG_SPACE:
            raise Failure(status, 0, offset[0], excerpt(offset[0]))
        capacity *= 4


def parse_mountinfo(data: bytes) -> list[MountRow]:
    """The cgroup mounts of a mountinfo table, in its order."""
    return _parse_mounts(data, len(data), lambda at: data[at : at + EXCERPT])


def scan_mounts(fd: int) -> list[MountRow]:
    """The same of an open /proc/PID/mountinfo."""
    length, error = ffi.new("size_t *"), ffi.new("int *")
    capacity = 1 << 20  # a page of it costs nothing until it is written to
    while True:
        text = _uncleared("char[]", capacity)
        status = lib.cg_read_all(fd, text, capacity, length, error)
        if status != lib.CG_SPACE:
            break
        capacity *= 4
    if status != lib.CG_OK:
        raise Failure(status, error[0])
    size = length[0]
    return _parse_mounts(text, size, lambda at: ffi.buffer(text + at, min(EXCERPT, size - at))[:])


def root_identity() -> Any:
    identity, error = ffi.new("struct cg_root_identity *"), ffi.new("int *")
    status = lib.cg_root_identity(identity, error)
    if status != lib.CG_OK:
        raise Failure(status, error[0])
    return identity


def identity_key(identity: Any) -> tuple[int, int, int]:
    return identity.mount, identity.inode, identity.device


mounts_state: Callable[[int, Any], int] = lib.cg_mounts_check


# ---- sampling -------------------------------------------------------------------------


_sample, _buffer = lib.cg_sampler_sample, ffi.buffer  # looked up once: a frame is 200 numbers, or one


class Program:
    """The numbers of one control file that are wanted: a sampler has a copy of its own in C."""

    __slots__ = ("shape", "targets")

    def __init__(self, shape: int, targets: Sequence[Target]) -> None:
        self.shape = shape
        self.targets = tuple(targets)


class _Pool:
    """Memory for frames of some rows and columns: a piece comes back when nothing refers to it any more."""

    def __init__(self, rows: int, columns: int) -> None:
        self.places = FramePlaces(rows, columns)
        self._free: list[Any] = []

    def take(self) -> Any:
        """A struct cg_frame, and behind it, in the same piece, the memory that it points to."""
        free = self._free
        try:
            piece = free.pop()
        except IndexError:
            piece = self._make()
        return ffi.gc(piece, free.append)  # the list's, and not the pool's: a frame may outlive its sampler

    def _make(self) -> Any:
        places = self.places
        piece = _uncleared("struct cg_frame[]", -(-places.size // ffi.sizeof("struct cg_frame")))
        at = ffi.cast("char *", piece)
        frame = piece[0]
        frame.capacity = places.rows
        frame.values = ffi.cast("int64_t *", at + places.values)
        frame.inodes = ffi.cast("uint64_t *", at + places.inodes)
        frame.times = ffi.cast("int64_t *", at + places.times)
        frame.errors = ffi.cast("int32_t *", at + places.errors)
        frame.statuses = ffi.cast("uint8_t *", at + places.statuses)
        return piece


def _check(status: int) -> None:
    """Raises what a call answered with, 0 or -errno."""
    if status == -errno.ENOMEM:
        raise MemoryError
    if status:
        raise Failure(Status.OS, -status)


class Sampler:
    """A struct cg_sampler: cg_abi.h, "sampling"."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._c = ffi.gc(_checked(lib.cg_sampler_create(_cache, columns)), lib.cg_sampler_destroy)
        self._programs: dict[tuple[str, Program], int] = {}  # by number in C
        self._pool = _Pool(0, columns)

    def _number(self, name: str, program: Program) -> int:
        key = name, program
        if key not in self._programs:
            texts = {text for target in program.targets for text in (target.row, target.key)}
            strings = {text: ffi.new("char[]", text.encode("utf-8", "surrogateescape")) for text in texts}
            targets = [(strings[row], strings[key], *rest) for row, key, *rest in program.targets]
            number = ffi.new("uint32_t *")
            array = ffi.new("struct cg_target[]", targets)
            _check(lib.cg_sampler_program(self._c, encode_name(name), program.shape, array, len(targets), number))
            self._programs[key] = number[0]
        return self._programs[key]

    def add(self, directory: Directory, path: str, sources: Sequence[tuple[str, Program]]) -> None:
        numbers = [self._number(name, program) for name, program in sources]
        directory_c = directory._c  # noqa: SLF001 - its own module
        _check(lib.cg_sampler_add(self._c, directory_c, encode_name(path), numbers, len(numbers)))

    def remove(self, rows: Sequence[int]) -> None:
        lib.cg_sampler_remove(self._c, ffi.new("uint32_t[]", list(rows)), len(rows))

    def sample(self, rows: int) -> tuple[memoryview, FramePlaces]:
        """One frame of this many rows, which are all that were added."""
        pool = self._pool
        places = pool.places
        if places.rows != rows:
            pool = self._pool = _Pool(rows, self._columns)
            places = pool.places
        frame = pool.take()
        if _sample(self._c, frame):
            raise RuntimeError(OTHER_ROWS.format(self._rows(), rows))
        return memoryview(_buffer(frame, places.size)), places

    def _rows(self) -> int:
        rows = ffi.new("size_t *")
        lib.cg_sampler_size(self._c, rows, ffi.new("size_t *"))
        return int(rows[0])

    def unknown(self) -> list[tuple[int, int]]:
        """The sources that have had numbers without a target: row, and place among the row's."""
        capacity, count = 64, 65
        while count > capacity:
            capacity = max(capacity, count)
            pairs = ffi.new("uint32_t[]", 2 * capacity)
            count = lib.cg_sampler_unknown(self._c, pairs, capacity)
        found = ffi.unpack(pairs, 2 * count)
        return list(zip(found[::2], found[1::2]))

    def record(self, interval: int, capacity: int, ticks: int) -> Recorder:
        """A recorder of the rows as they are; of so many ticks, 0 for no end."""
        return Recorder(self._c, interval, capacity, ticks)


class Recorder:
    """A struct cg_recorder: cg_abi.h, "recording"."""

    def __init__(self, sampler: Any, interval: int, capacity: int, ticks: int) -> None:
        made = ffi.new("struct cg_recorder **")
        _check(lib.cg_recorder_start(sampler, interval, capacity, ticks, made))
        self._c = ffi.gc(made[0], lib.cg_recorder_destroy)
        self._size = ffi.new("size_t[2]")
        lib.cg_recorder_size(self._c, self._size, self._size + 1)

    def take(self) -> RawBlock:
        rows, cells = self._size
        frames = lib.cg_recorder_waiting(self._c)
        sizes = (8 * frames, 8 * frames * cells, frames * cells, 8 * frames * rows, 8 * frames * rows)
        memory = [_uncleared("char[]", max(size, 1)) for size in sizes]
        types = ("int64_t *", "int64_t *", "uint8_t *", "uint64_t *", "int64_t *")
        parts = [ffi.cast(one, part) for one, part in zip(types, memory)]
        block = ffi.new("struct cg_block *", (frames, *parts))
        taken = lib.cg_recorder_take(self._c, block)
        # Fewer than waited where another thread took some meanwhile.
        used = (8 * taken, 8 * taken * cells, taken * cells, 8 * taken * rows, 8 * taken * rows)
        return RawBlock(taken, *(memoryview(ffi.buffer(part, size)) for part, size in zip(memory, used)))

    def state(self) -> Recording:
        state = ffi.new("struct cg_recording *")
        lib.cg_recorder_state(self._c, state)
        counts = (state.taken, state.late, state.missed, state.overrun, state.unknown)
        return Recording(*counts, state.first, bool(state.running))

    def stop(self) -> None:
        lib.cg_recorder_stop(self._c)


# ---- spawning --------------------------------------------------------------------------


def _strings(texts: Sequence[bytes], memory: list[Any]) -> Any:
    """An array of C strings that ends with NULL; the memory has to be kept."""
    strings = [ffi.new("char[]", text) for text in texts]
    array = ffi.new("char *[]", [*strings, ffi.NULL])
    memory += [strings, array]
    return array


# What os.environ was when it was last made into C strings, these, and what keeps them.
_known_environment: tuple[dict[bytes, bytes], Any, list[Any]] = ({}, None, [])


def _environment(memory: list[Any]) -> Any:
    """os.environ as C has it.

    Not C's own: the interpreter's lock is released while the child reads it,
    and another thread may change that one meanwhile.
    """
    global _known_environment  # noqa: PLW0603 - one tuple, replaced whole
    # Its items take ten times longer; and a program may have put a dict in its place.
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
        (hierarchy._c, ffi.new("char[]", encode_name(below)), version)  # noqa: SLF001 - its own module
        for hierarchy, below, version in spawn.places
    ]
    places = ffi.new("struct cg_place[]", where)
    keep = ffi.new("int[]", spawn.keep)
    groups = ffi.NULL if spawn.groups is None else ffi.new("uint32_t[]", spawn.groups)
    what = (
        *(program, path, ffi.cast("char **", args), ffi.cast("char **", env), cwd),
        *(places, len(where), spawn.files, spawn.close_files, keep, len(spawn.keep), spawn.restore_signals),
        *(spawn.new_session, spawn.process_group, spawn.umask, spawn.uid, spawn.gid),
        *(-1 if spawn.groups is None else len(spawn.groups), groups, spawn.timeout),
        ffi.NULL if spawn.watch is None else spawn.watch._c,  # noqa: SLF001 - its own module
    )
    said = ffi.new("struct cg_spawned *")
    request = ffi.new("struct cg_spawn *", what)
    try:
        status = lib.cg_spawn(request, said)
        while status == lib.CG_INTERRUPTED:  # the signal's handler runs before the next call
            status = lib.cg_spawn_resume(said)
        told = Spawned(said.began, said.pid, said.step, said.at, said.error)
    except BaseException:
        # A signal handler raised: nobody else knows of the child.
        lib.cg_spawn_cancel(said)
        reap_later(said.pid)
        raise
    return told


class Watch:
    """Stamps the end of a program when it comes: cg_abi.h, struct cg_watch."""

    def __init__(self) -> None:
        found = ffi.new("struct cg_watch **")
        if lib.cg_watch_create(found) != lib.CG_OK:
            raise MemoryError
        self._c = ffi.gc(found[0], lib.cg_watch_destroy)

    def ended_ns(self) -> int:
        ended: int = lib.cg_watch_ended(self._c)
        return ended


def wait_child(pid: int, deadline: int | None) -> int:
    """Wait until a child has ended: cg_abi.h, "waiting"."""
    ended, error = ffi.new("int64_t *"), ffi.new("int *")
    while (status := lib.cg_wait_child(pid, -1 if deadline is None else deadline, ended, error)) != lib.CG_OK:
        if status != lib.CG_INTERRUPTED:  # of a signal the handler runs before the next call
            raise OSError(error[0], os.strerror(error[0]))
    found: int = ended[0]
    return found
