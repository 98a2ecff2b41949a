"""Sampler: many cgroups, many numbers, one call a frame.

The reading and its layout are the backend's (csrc/cg_sampler.c); which
numbers are columns is columns.py's, and what a frame is table.py's.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from errno import EMFILE, ENFILE
from typing import TYPE_CHECKING, Any

from .._backend import backend
from .._interface import Cell, Failure, Shape
from ..errors import CgroupError, CgroupNotFound, InvalidValue, from_errno, shown
from ..hierarchy import Cgroup
from .columns import Column, Plan, places_of, plan
from .recording import Recorder, nanoseconds, ticks_in
from .table import Frame, Index

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .._interface import Cells
    from ..subsystem.parameter import Readable
    from .following import Following

__all__ = ["Cell", "Column", "Frame", "Sampler"]

MOST_NEW = 64
"""Files that are read to tell what is new in them: a device that all use is told by the first."""


class Sampler:
    """Reads some parameters of some cgroups, again and again, in one call each time.

    Example::

        with Sampler(cgroups, [Memory.usage_in_bytes, Cpuacct.usage, Memory.stat]) as sampler:
            frame = sampler.sample()
            frame[cgroup, Memory.usage_in_bytes]
            numpy.asarray(frame)                    # (cgroups, columns), int64

    Each control file is read by one pread(2) a frame, without the
    interpreter's lock, from a file that is kept open; past the budget of
    :func:`cgroups.set_fd_budget` it is opened for each frame.  A cgroup that
    goes makes its own cells GONE, and one made again under its name answers
    from the next frame on, under its own inode.

    Columns are fixed at the start: a keyed file has one for each key that any of the
    cgroups has then.  ``new_keys`` says what has come since.

    Args:
        cgroups: the rows; of any hierarchy and version.  A cell that a
            cgroup cannot have is ABSENT.
        parameters: what is read: numbers, and tables of numbers.

    Raises:
        InvalidValue: a parameter without numbers, or given twice.
        CgroupNotFound: a cgroup that no mount of this namespace shows.
    """

    def __init__(self, cgroups: Iterable[Cgroup], parameters: Iterable[Readable[Any]]) -> None:
        self._cgroups = tuple(cgroups)
        parameters = tuple(parameters)
        _check(self._cgroups, parameters)
        self._plan: Plan = plan(parameters, self._versions(), self._look)
        self._programs = {
            version: [(file, backend.Program(shape, targets)) for file, (shape, targets) in files.items()]
            for version, files in self._plan.files.items()
        }
        self._sampler: Any = self._make()
        self._add(self._cgroups)
        # A frame that is held keeps no files open.
        own = weakref.ref(self)
        self._index = Index(self._cgroups, parameters, self.columns, lambda: _uncounted(own()))

    @staticmethod
    def follow(
        root: Cgroup, parameters: Iterable[Readable[Any]], *, name: str = "*", depth: int | None = None
    ) -> Following:
        """A sampler whose rows are a cgroup and all below it, as they come and go.

        Example::

            with Sampler.follow(Hierarchy.find_exn("memory:/jobs"), [Memory.usage_in_bytes]) as sampler:
                frame = sampler.sample()
                frame.cgroups                           # those of this frame

        What has come and gone is known before each frame without listing a directory: see inotify(7).  A cgroup
        that goes between that and its read has GONE cells, and no row in the next frame.  Those made or removed
        through another mount of the hierarchy, as by a container with a cgroup namespace, are seen within a second.

        Args:
            root: where it begins; its row stays also while it is gone, and goes on when it is made again.
            parameters: what is read.
            name: a pattern that a cgroup's own name has to match, as ``*.service``: see :mod:`fnmatch`.
            depth: how many levels below the root; 0 is the root alone.

        Raises:
            InvalidValue: as a sampler, and for a name or a depth that is none.
            CgroupOSError: the kernel has no more inotify instances for this user.
        """
        from .following import Following  # noqa: PLC0415 - its own base is here

        return Following(root, parameters, name=name, depth=depth)

    def _make(self) -> Any:
        """A sampler of the backend's, without rows."""
        return backend.Sampler(len(self.columns))

    def _versions(self) -> list[int]:
        return sorted({cgroup.version for cgroup in self._cgroups})

    def _add(self, cgroups: Iterable[Cgroup]) -> None:
        for cgroup in cgroups:
            directory, below = cgroup.place()
            programs = self._programs[cgroup.version]
            if cgroup.hierarchy.is_noprefix:
                programs = [(cgroup.hierarchy.file_name(name), program) for name, program in programs]
            self._sampler.add(directory, below, programs)

    def _examples(self) -> Iterable[Cgroup]:
        """Where it is looked which keys a file has."""
        return self._cgroups

    def _look(self, version: int, file: str, shape: Shape) -> Iterator[Cells]:
        if shape is Shape.VALUE:
            return
        for cgroup in self._examples():
            if cgroup.version == version:
                try:
                    directory, path = cgroup.place_of(file)
                    yield directory.file(path).read(shape)
                except (Failure, CgroupError) as error:
                    if error.errno in (EMFILE, ENFILE):
                        raise from_errno(error.errno, f"cannot read {file} of {cgroup}", path=cgroup.path) from None
                    continue  # a cell's own business

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in the order of the parameters given and of their keys in the control files."""
        return self._plan.columns

    @property
    def cgroups(self) -> tuple[Cgroup, ...]:
        """The rows of the next frame."""
        return self._cgroups

    def sample(self) -> Frame:
        """One frame."""
        sampler = self._sampler or self._open()
        memory, places = sampler.sample(len(self._cgroups))
        return Frame(memory, places, self._cgroups, self._plan.columns, self._index)

    def _open(self) -> Any:
        sampler = self._sampler
        if sampler is None:
            message = "the sampler is closed"
            raise ValueError(message)
        return sampler

    @property
    def new_keys(self) -> Mapping[str, tuple[Any, ...]]:
        """By control file, the keys that some cgroup has and no column is of: a device that came, a newer kernel's key.

        A sampler made anew has columns for them.
        """
        found = self._open().unknown()[:MOST_NEW]
        new: dict[str, dict[Any, None]] = {}
        for row, at in found:
            cgroup = self._cgroups[row]
            file, (shape, targets) = list(self._plan.files[cgroup.version].items())[at]
            known = {target[:3] for target in targets}
            try:
                places = places_of(cgroup.read_cells(file, shape))
            except CgroupError:
                continue
            keys = ((row, key) if row else key or at for row, key, at in places if (row, key, at) not in known)
            new.setdefault(file, {}).update(dict.fromkeys(keys))
        return {file: tuple(keys) for file, keys in new.items()}

    async def every(self, interval: float) -> AsyncIterator[Frame]:
        """A frame now, and one at each tick of a timer, for programs of :mod:`asyncio`.

        Example::

            async for frame in sampler.every(0.1):
                ...

        Frames are read in a thread of the loop's executor.  A tick that comes while the frame before is in use is
        left out: the next frame comes at the tick after that.

        Raises:
            InvalidValue: no such interval, in seconds.
        """
        import asyncio  # noqa: PLC0415 - whoever calls this has it

        ticks = nanoseconds(interval)
        loop = asyncio.get_running_loop()
        due = time.monotonic_ns()
        while True:
            yield await loop.run_in_executor(None, self.sample)
            now = time.monotonic_ns()
            due += max((now - due) // ticks + 1, 1) * ticks
            await asyncio.sleep((due - now) / 1e9)

    def record(self, interval: float, capacity: int = 1024, *, duration: float | None = None) -> Recorder:
        """Samples at each tick of a timer, in a thread that needs nothing of the interpreter, and gives its frames.

        Example::

            with sampler.record(0.001, capacity=2000) as recorder:
                while recorder.running:
                    time.sleep(1)
                    block = recorder.read()     # some 1,000 frames: (frames, cgroups, columns)

        Args:
            interval: seconds between two ticks, from 10 us on.
            capacity: how many frames may wait to be read; where they do, further ticks give none, and are counted.
            duration: seconds after which it ends by itself, at least the interval; until :meth:`Recorder.stop` by
                default.  A frame that would take until after the last interval is not begun.

        Raises:
            InvalidValue: no such interval, capacity or duration.
            NativeRequired: the Python backend has no such thread.
            MemoryError: for that many frames.
        """
        ticks = nanoseconds(interval)
        if not isinstance(capacity, int) or isinstance(capacity, bool) or not 1 <= capacity < 1 << 40:
            message = f"capacity {shown(capacity)}: a count of frames is expected, from 1"
            raise InvalidValue(message)
        most = 0 if duration is None else ticks_in(duration, ticks)
        try:
            raw = self._open().record(ticks, capacity, most)
        except Failure as failure:
            raise from_errno(failure.errno, "cannot start a thread that samples") from None
        return Recorder(raw, self._cgroups, self._plan.columns, self._index, ticks, capacity)

    def _uncounted(self) -> frozenset[tuple[Cgroup, str]]:
        """The files that have had numbers without a column."""
        names = {version: list(files) for version, files in self._plan.files.items()}
        found = ((self._cgroups[row], at) for row, at in self._open().unknown())
        return frozenset((cgroup, names[cgroup.version][at]) for cgroup, at in found)

    def close(self) -> None:
        """Closes the files.  Frames that are held stay."""
        self._sampler = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Sampler of {len(self._cgroups)} cgroups and {len(self.columns)} columns>"


def _uncounted(sampler: Sampler | None) -> frozenset[tuple[Cgroup, str]] | None:
    """As of the sampler, None if that is closed."""
    if sampler is None or sampler._sampler is None:  # noqa: SLF001 - of this module
        return None
    return sampler._uncounted()  # noqa: SLF001


def _check(cgroups: tuple[Any, ...], parameters: tuple[Any, ...]) -> None:
    for cgroup in cgroups:
        if not isinstance(cgroup, Cgroup):
            message = f"{shown(cgroup)} is not a Cgroup"
            raise InvalidValue(message, hint="Hierarchy.find_exn(spec) gives one")
        if cgroup.path is None:
            message = f"cannot sample {cgroup}: no mount of this namespace shows it"
            raise CgroupNotFound(message)
    for what, given in (("cgroup", cgroups), ("parameter", parameters)):
        if len(set(given)) < len(given):
            twice = next(one for at, one in enumerate(given) if one in given[:at])
            message = f"the {what} {twice} is given twice"
            raise InvalidValue(message)
