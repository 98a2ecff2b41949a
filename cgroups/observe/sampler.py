"""Sampler: many numbers of many cgroups, read with one call per frame.

The backend reads the files and lays out the numbers (csrc/cg_sampler.c); columns.py
chooses the columns, and frames.py defines the frames.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from errno import EMFILE, ENFILE
from typing import TYPE_CHECKING, Any, Generic

from ..control.verbs import BaseCgroup, C_co
from ..core.backend import backend
from ..core.closing import Closing
from ..core.errors import CgroupError, CgroupNotFound, InvalidValue, from_errno, shown
from ..core.interface import Cell, Failure, Shape
from .columns import Column, Plan, number_keys, plan
from .frames import Frame, Index
from .recorder import Recorder, nanoseconds, ticks_in

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..core.interface import Cells
    from ..parameters.kinds import Readable
    from .following import Followed

__all__ = ["Cell", "Column", "Frame", "Sampler"]

MOST_NEW = 64
"""Limit on the files that are read for new keys: a new device usually appears in the first."""


class Sampler(Closing, Generic[C_co]):
    """A reader of fixed parameters of some cgroups, with one call per frame.

    Example::

        with Sampler(cgroups, [Memory.usage_in_bytes, Cpuacct.usage, Memory.stat]) as sampler:
            frame = sampler.sample()
            frame[cgroup, Memory.usage_in_bytes]
            numpy.asarray(frame)                    # (cgroups, columns), int64

    Each control file is read by one pread(2) per frame, without the interpreter's
    lock, from a file that is kept open.  Beyond the budget of
    :func:`cgroups.set_fd_budget` the file is opened for each frame.  If a cgroup
    is removed, only its own cells become GONE.  A cgroup that is created again under
    the same name is read from the next frame on, with its new inode.

    The columns are fixed at the start: a keyed file has one column for each key that any
    of the cgroups has then.  ``new_keys`` has the keys that have appeared since.

    Args:
        cgroups: the rows, of any hierarchy and version.  A cell is ABSENT if its
            cgroup cannot have the number.
        parameters: the parameters to read: numbers, and tables of numbers.
        keys_of: further cgroups whose keys get columns, such as a root: it has used all devices.  They have no rows.

    Raises:
        InvalidValue: a parameter has no numbers, or is given twice.
        CgroupNotFound: a cgroup is not visible through any mount of this namespace.
    """

    def __init__(
        self,
        cgroups: Iterable[C_co],
        parameters: Iterable[Readable[Any]],
        *,
        keys_of: Iterable[BaseCgroup] = (),
    ) -> None:
        self._begin(cgroups, parameters, None, keys_of)

    def _begin(
        self,
        cgroups: Iterable[Any],
        parameters: Iterable[Readable[Any]],
        followed: Followed | None,
        keys_of: Iterable[BaseCgroup] = (),
    ) -> None:
        self._cgroups: tuple[C_co, ...] = tuple(cgroups)
        self._keys_of = tuple(keys_of)
        self._followed = followed
        self._is_torn = False
        parameters = tuple(parameters)
        _check(self._cgroups, parameters)
        self._plan: Plan = plan(parameters, self._versions(), self._look)
        self._programs = {
            version: [(file, backend.Program(shape, targets)) for file, (shape, targets) in files.items()]
            for version, files in self._plan.files.items()
        }
        self._sampler: Any = self._make()
        self._add(self._cgroups)
        # The index must not keep the sampler's files open, since a frame may live longer.
        own = weakref.ref(self)
        self._index = Index(self._cgroups, parameters, self.columns, lambda: _uncounted(own()))

    @classmethod
    def follow(
        cls,
        root: BaseCgroup,
        parameters: Iterable[Readable[Any]],
        *,
        name: str = "*",
        depth: int | None = None,
        where: Callable[[Any], bool] | None = None,
    ) -> Self:
        """Return a sampler whose rows are a cgroup and its descendants at the time of each frame.

        Example::

            with Sampler.follow(Hierarchy.find_exn("memory:/jobs"), [Memory.usage_in_bytes]) as sampler:
                frame = sampler.sample()
                frame.cgroups                           # the cgroups of this frame

        Before each frame, inotify(7) reports the changes without a directory listing.  A cgroup that is removed
        between this report and its read has GONE cells, and no row in the next frame.  Changes through another mount
        of the hierarchy, for example by a container with a cgroup namespace, are detected within a second.

        Args:
            root: the top of the subtree.  Its row stays after a removal, and continues if the root is created again.
            parameters: the parameters to read.
            name: a pattern that a cgroup's own name must match, such as ``*.service``: see :mod:`fnmatch`.
            depth: the number of levels below the root; 0 is only the root, None has no limit.
            where: a function that returns whether to include a cgroup.  It is called when the cgroup appears.

        Raises:
            InvalidValue: an invalid parameter, name, depth or ``where``.
            CgroupOSError: this user has no inotify instances left.
        """
        from .following import Followed  # noqa: PLC0415 - importing this package has to stay cheap

        followed = Followed(root, name, depth, where)
        _, came = followed.changes()
        sampler = cls.__new__(cls)
        sampler._begin(came, parameters, followed)  # noqa: SLF001 - an instance of this class
        return sampler

    def _make(self) -> Any:
        """Return a new sampler of the backend, which has no rows yet."""
        return backend.Sampler(len(self.columns))

    def _versions(self) -> list[int]:
        if self._followed is not None:
            return [self._followed.root.version]
        return sorted({cgroup.version for cgroup in self._cgroups})

    def _add(self, cgroups: Iterable[BaseCgroup]) -> None:
        for cgroup in cgroups:
            directory, below = cgroup.locate()
            programs = self._programs[cgroup.version]
            if cgroup.hierarchy.is_noprefix:
                programs = [(cgroup.hierarchy.file_name(name), program) for name, program in programs]
            self._sampler.add(directory, below, programs)

    def _examples(self) -> Iterable[BaseCgroup]:
        """Return the cgroups in which the keys of a file are looked up."""
        if self._followed is not None:
            return self._followed.examples(self._cgroups)
        return (*self._cgroups, *self._keys_of)

    def _look(self, version: int, file: str, shape: Shape) -> Iterator[Cells]:
        if shape is Shape.VALUE:
            return
        for cgroup in self._examples():
            if cgroup.version == version:
                try:
                    directory, path = cgroup.locate_file(file)
                    yield directory.file(path).read(shape)
                except (Failure, CgroupError) as error:
                    if error.errno in (EMFILE, ENFILE):
                        raise from_errno(error.errno, f"cannot read {file} of {cgroup}", path=cgroup.path) from None
                    continue  # the error appears in the cell

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in the order of the given parameters and of their keys in the control files."""
        return self._plan.columns

    @property
    def cgroups(self) -> tuple[C_co, ...]:
        """The rows of the next frame."""
        return self._cgroups

    def sample(self) -> Frame[C_co]:
        """Read one frame.  A sampler that follows a subtree reads the cgroups that exist now."""
        if self._followed is None:
            return self._sample()
        with self._followed.lock:
            self._open()
            self._settle(self._followed)
            return self._sample()

    def _sample(self) -> Frame[C_co]:
        sampler = self._sampler or self._open()
        memory, places = sampler.sample(len(self._cgroups))
        return Frame(memory, places, self._cgroups, self._plan.columns, self._index)

    def _settle(self, followed: Followed) -> None:
        """Make the rows match the cgroups that exist now.

        A signal handler may raise at any point, and leave the watches, the rows in C and their names
        inconsistent.  So each change begins by setting a mark and ends by clearing it.  If the mark is
        still set, everything is rebuilt.
        """
        was_torn, self._is_torn = self._is_torn, True
        if was_torn:
            followed.restart()
            self._cgroups, self._sampler = (), self._make()
        went, came = followed.changes()
        if was_torn or went or came:
            self._change(went, came)
        self._is_torn = False

    def _change(self, went: set[BaseCgroup], came: list[Any]) -> None:
        gone = [row for row, cgroup in enumerate(self._cgroups) if cgroup in went]
        if gone:
            self._sampler.remove(gone)
        self._add(came)
        self._cgroups = (*(cgroup for cgroup in self._cgroups if cgroup not in went), *came)
        self._index = self._index.of(self._cgroups)

    def _open(self) -> Any:
        sampler = self._sampler
        if sampler is None:
            message = "the sampler is closed"
            raise ValueError(message)
        return sampler

    @property
    def new_keys(self) -> Mapping[str, tuple[Any, ...]]:
        """The keys without a column, by control file, such as those of a new device or of a newer kernel.

        A new sampler has columns for these keys.
        """
        if self._followed is None:
            return self._new_keys()
        with self._followed.lock:
            self._open()
            self._settle(self._followed)
            return self._new_keys()

    def _new_keys(self) -> Mapping[str, tuple[Any, ...]]:
        found = self._open().unknown()[:MOST_NEW]
        new: dict[str, dict[Any, None]] = {}
        for row, at in found:
            cgroup = self._cgroups[row]
            file, (shape, targets) = list(self._plan.files[cgroup.version].items())[at]
            known = {target[:3] for target in targets}
            try:
                places = number_keys(cgroup.read_cells(file, shape))
            except CgroupError:
                continue
            keys = ((row, key) if row else key or at for row, key, at in places if (row, key, at) not in known)
            new.setdefault(file, {}).update(dict.fromkeys(keys))
        return {file: tuple(keys) for file, keys in new.items()}

    async def every(self, interval: float) -> AsyncIterator[Frame[C_co]]:
        """Yield a frame now, and one at each tick of a timer, for programs of :mod:`asyncio`.

        Example::

            async for frame in sampler.every(0.1):
                ...

        Frames are read in a thread of the loop's executor.  Ticks that pass while a frame is in use are
        skipped: the next frame is read at the next tick.

        Args:
            interval: seconds between two ticks.

        Raises:
            InvalidValue: the interval is out of range.
        """
        import asyncio  # noqa: PLC0415 - already imported by every caller

        ticks = nanoseconds(interval)
        loop = asyncio.get_running_loop()
        due = time.monotonic_ns()
        while True:
            yield await loop.run_in_executor(None, self.sample)
            now = time.monotonic_ns()
            due += max((now - due) // ticks + 1, 1) * ticks
            await asyncio.sleep((due - now) / 1e9)

    def record(self, interval: float, capacity: int = 1024, *, duration: float | None = None) -> Recorder[C_co]:
        """Start a thread that samples at each tick of a timer, without the interpreter; return its recorder.

        Example::

            with sampler.record(0.001, capacity=2000) as recorder:
                while recorder.running:
                    time.sleep(1)
                    block = recorder.read()     # about 1,000 frames: (frames, cgroups, columns)

        Args:
            interval: seconds between two ticks, at least 10 us.
            capacity: the largest number of unread frames; beyond it, ticks are counted as overruns without a frame.
            duration: seconds after which the recording ends, at least the interval; by default the recording ends with
                :meth:`Recorder.stop`.  A frame that would end after the last interval is not begun.

        Raises:
            InvalidValue: the interval, the capacity or the duration is out of range.
            NativeRequired: the Python backend cannot record.
            MemoryError: the capacity does not fit into memory.
        """
        if self._followed is not None:
            message = "cannot record a sampler that follows a subtree: a recording has fixed rows"
            raise InvalidValue(message, hint="record Sampler(sampler.cgroups, parameters)")
        ticks = nanoseconds(interval)
        if not isinstance(capacity, int) or isinstance(capacity, bool) or not 1 <= capacity < 1 << 40:
            message = f"capacity must be a number of frames from 1, got {shown(capacity)}"
            raise InvalidValue(message)
        most = 0 if duration is None else ticks_in(duration, ticks)
        sampler = self._open()
        errors = bytes(self._sample().errno)
        try:
            raw = sampler.record(ticks, capacity, most)
        except Failure as failure:
            raise from_errno(failure.errno, "cannot start a sampling thread") from None
        return Recorder(raw, self._cgroups, self._plan.columns, self._index, ticks, capacity, errors)

    def _uncounted(self) -> frozenset[tuple[BaseCgroup, str]]:
        """Return the files that have had numbers without a column."""
        with nullcontext() if self._followed is None else self._followed.lock:
            return self._uncounted_now()

    def _uncounted_now(self) -> frozenset[tuple[BaseCgroup, str]]:
        names = {version: list(files) for version, files in self._plan.files.items()}
        found = ((self._cgroups[row], at) for row, at in self._open().unknown())
        return frozenset((cgroup, names[cgroup.version][at]) for cgroup, at in found)

    def close(self) -> None:
        """Close the files, and end the watches.  Frames stay valid."""
        if self._followed is None:
            self._sampler = None
            return
        with self._followed.lock:
            self._sampler = None
            self._followed.close()

    def __repr__(self) -> str:
        below = f" below {self._followed.root}" if self._followed is not None else ""
        return f"<Sampler of {len(self._cgroups)} cgroups{below} and {len(self.columns)} columns>"


def _uncounted(sampler: Sampler | None) -> frozenset[tuple[BaseCgroup, str]] | None:
    """Return the sampler's uncounted files; None if it is closed."""
    if sampler is None or sampler._sampler is None:  # noqa: SLF001 - of this module
        return None
    return sampler._uncounted()  # noqa: SLF001


def _check(cgroups: tuple[Any, ...], parameters: tuple[Any, ...]) -> None:
    for cgroup in cgroups:
        if not isinstance(cgroup, BaseCgroup):
            message = f"cgroup must be a Cgroup, got {shown(cgroup)}"
            raise InvalidValue(message, hint="Hierarchy.find_exn(spec) returns a Cgroup")
        if cgroup.path is None:
            message = f"cannot sample {cgroup}: no mount of this namespace shows it"
            raise CgroupNotFound(message)
    for what, given in (("cgroup", cgroups), ("parameter", parameters)):
        if len(set(given)) < len(given):
            twice = next(one for at, one in enumerate(given) if one in given[:at])
            message = f"the {what} {twice} is given twice"
            raise InvalidValue(message)
