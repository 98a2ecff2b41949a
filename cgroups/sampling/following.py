"""A sampler of a subtree: the rows are those that the subtree has before each frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from .. import diagnosis
from ..errors import InvalidValue, shown
from ..hierarchy import Cgroup
from .sampler import Sampler
from .subtree import Subtree

if TYPE_CHECKING:
    from ..subsystem.parameter import Readable
    from .recording import Recorder
    from .table import Frame

__all__ = ["Following"]


class Following(Sampler):
    """What :meth:`Sampler.follow` gives."""

    def __init__(
        self, root: Cgroup, parameters: Iterable[Readable[Any]], *, name: str = "*", depth: int | None = None
    ) -> None:
        _check(root, name, depth)
        self._root = root
        self._name = name
        self._torn = False
        with self._watching():
            self._subtree = Subtree(root, depth)
        _, came = self._subtree.changes()
        super().__init__(self._wanted(came), parameters)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise diagnosis.explain_watch(error, f"cannot follow {self._root}", self._root.path) from None

    def _wanted(self, cgroups: Iterable[Cgroup]) -> list[Cgroup]:
        return [cgroup for cgroup in cgroups if fnmatchcase(cgroup.name, self._name)]

    def _versions(self) -> list[int]:
        return [self._root.version]

    def _examples(self) -> Iterator[Cgroup]:
        """Those there are; and some other, whose files have the keys of those that are to come."""
        yield from self.cgroups
        yield from self._root.upwards()
        top = self._root.hierarchy.root()
        yield top
        yield from top.children()

    def sample(self) -> Frame:
        """One frame, of the cgroups that there are now."""
        with self._subtree.lock:
            self._open()
            self._settle()
            return super().sample()

    @property
    def new_keys(self) -> Mapping[str, tuple[Any, ...]]:
        """As of any sampler, for the rows of now."""
        with self._subtree.lock:
            self._open()
            self._settle()
            return super().new_keys

    def _uncounted(self) -> frozenset[tuple[Cgroup, str]]:
        with self._subtree.lock:
            return super()._uncounted()

    def _settle(self) -> None:
        """Make the rows those that exist now.

        The handler of a signal may raise anywhere in here, when what is watched, the rows in C and their names are
        not of one moment any more.  So each change starts with a mark and ends by taking it off; where it still
        stands, all of it is made anew.
        """
        torn, self._torn = self._torn, True
        if torn:
            with self._watching():
                self._subtree.restart()
            self._cgroups, self._sampler = (), self._make()
        went, came = self._subtree.changes()
        if torn or went or came:
            self._change(went, came)
        self._torn = False

    def _change(self, went: set[Cgroup], came: list[Cgroup]) -> None:
        gone = [row for row, cgroup in enumerate(self._cgroups) if cgroup in went]
        new = self._wanted(came)
        if gone:
            self._sampler.remove(gone)
        self._add(new)
        self._cgroups = (*(cgroup for cgroup in self._cgroups if cgroup not in went), *new)
        self._index = self._index.of(self._cgroups)

    def record(
        self,
        interval: float,  # noqa: ARG002 - what it cannot do
        capacity: int = 1024,  # noqa: ARG002
        *,
        duration: float | None = None,  # noqa: ARG002
    ) -> Recorder:
        """Refused: what is recorded has fixed rows."""
        message = "a sampler that follows a subtree cannot be recorded: the rows of a recording stay"
        raise InvalidValue(message, hint="record Sampler(sampler.cgroups, parameters)")

    def close(self) -> None:
        """Closes the files, and ends the watches.  Frames that are held stay."""
        with self._subtree.lock:
            super().close()
            self._subtree.close()

    def __repr__(self) -> str:
        return f"<Sampler of {len(self._cgroups)} cgroups below {self._root} and {len(self.columns)} columns>"


def _check(root: Any, name: Any, depth: Any) -> None:
    if not isinstance(root, Cgroup):
        message = f"{shown(root)} is not a Cgroup"
        raise InvalidValue(message, hint="Hierarchy.find_exn(spec) gives one")
    if not isinstance(name, str) or not name:
        message = f"name {shown(name)}: a pattern is expected, as '*.service'"
        raise InvalidValue(message)
    if depth is not None and (not isinstance(depth, int) or isinstance(depth, bool) or depth < 0):
        message = f"depth {shown(depth)}: a count of levels is expected, from 0, or None"
        raise InvalidValue(message)
