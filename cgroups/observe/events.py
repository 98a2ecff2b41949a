"""Events: changes in cgroups, reported as they happen through one epoll instance.

sources.py has the sources that a caller can ask for; feeds.py has the files and
notifications that serve them.
"""

from __future__ import annotations

import itertools
import os
import select
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, Union

from ..control.verbs import C_co
from ..core import refusals
from ..core.closing import Closing
from ..core.errors import CgroupError
from ..core.seconds import check_seconds
from ..core.threads import start_thread
from ..parameters.kinds import Parameter
from .bell import Bell
from .dispatch import Dispatch
from .feeds import Event, Origin
from .relay import Relay
from .sources import Counters, EventSource
from .targets import Target, listed_targets, target_names

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .loop import LoopReader

__all__ = ["LONGEST", "MAX_QUEUED", "Callback", "Events", "Wanted"]

LONGEST: Final = 86400.0
"""Upper bound of one wait, in seconds."""

MAX_QUEUED: Final = 10_000
"""Maximum number of events queued for a slow reader.  Beyond it the kernel accumulates the counts."""
Wanted = Union[EventSource, Parameter]

Callback = Callable[[Event[C_co]], object]


class Events(Dispatch, Closing, Generic[C_co]):
    """A stream of the changes in cgroups.

    Example::

        with Events([one, other], Memory.events, PressureTrigger("memory", "some", 150_000, 2_000_000)) as events:
            for event in events:
                print(event.cgroup, event.what, event.count)

    Each change of a number is one :class:`Event` with the old and the new value.  Changes that are faster than
    the reader are combined; the counts add up to the number in the file.  Counting begins when the object is
    created, not when iteration begins.  If the kernel notifies of all sources, an idle stream uses no CPU time; see
    ``source``.

    In asyncio, the loop reads events from the start of ``async with`` or ``async for``, whatever else is awaited.

    The stream ends after ``timeout``, when all of its cgroups are removed, or when any thread closes it.  A stream
    has at most one reader at a time.  After a fork only the parent may read the stream; the child may close its copy.

    A cgroup of v2 may be removed through another mount of its hierarchy, for example by a container with a cgroup
    namespace.  The next read of the cgroup's files detects such a removal.

    Args:
        targets: a cgroup, a group, None for the whole system, or several.
        sources: the sources to report; a parameter such as Memory.events stands for its counters.  By default, all
            sources of these cgroups that the kernel notifies of.
        timeout: seconds from the start to the end of an iteration; None for no limit.

    Raises:
        CgroupGone: a cgroup does not exist.
        SubsystemNotAttached: a cgroup does not have the controller of a source.
        ParameterNotSupported: a cgroup does not have the file of a source.
        AccessDenied: this user may not watch a cgroup.
        InvalidValue: an argument is not valid.
        CgroupOSError: no descriptor is left, or another error of the kernel.
    """

    def __init__(self, targets: Target | Iterable[Target], *sources: Wanted, timeout: float | None = None) -> None:
        self._released = True  # until a file is open
        wanted = [_source(source) for source in sources]
        several = listed_targets(targets)
        self._timeout = _check_timeout(timeout)
        self._deadline: float | None = None
        super().__init__()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._closed = self._entered = False
        self._reader: LoopReader | None = None
        self._failure: BaseException | None = None  # raised by a read in the loop
        self._pid = os.getpid()
        # Held while waiting and reading; reentrant, so that a signal handler of the holder can close.
        self._lock = threading.RLock()
        self._holder = 0
        self._gate = threading.RLock()  # guards the descriptors: no closed descriptor is written to
        try:
            self._epoll = select.epoll()
            self._wake = Bell()
            self._released = False
            self._epoll.register(self._wake.fileno(), select.EPOLLIN)
            for target in several:
                self._watch(target, wanted)
            self._set_timer()
        except BaseException as error:
            self._release()
            if isinstance(error, CgroupError) or not isinstance(error, OSError):
                raise
            raise refusals.explain_watch(error, f"cannot watch {target_names(several)}") from None

    # ---- source --------------------------------------------------------------------------------

    @property
    def source(self) -> Origin:
        """``kernel`` if the kernel notifies of all sources, ``sampled`` if at least one is polled."""
        feeds = itertools.chain.from_iterable(self._of.values())
        return "sampled" if any(feed.origin == "sampled" for feed in feeds) else "kernel"

    # ---- reading -------------------------------------------------------------------------------

    def _turn(self, timeout: float | None) -> None:
        """Wait once, and read the changes."""
        with self._lock:
            self._holder = threading.get_ident()
            try:
                if not self._closed:
                    front = self._relay or self._epoll
                    ready = front.poll(None if timeout is None else max(timeout, 0))
                    if not self._closed:
                        self._read(ready)
            finally:
                self._holder = 0
                if self._closed:
                    self._release()

    @property
    def _is_over(self) -> bool:
        """Whether no more events can arrive."""
        return self._closed or not self._of

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            message = "cannot read events in a forked child: they belong to the parent process"
            raise ValueError(message)

    # ---- for event in events -------------------------------------------------------------------

    def __iter__(self) -> Iterator[Event[C_co]]:
        self._deadline = self._end_of(self._timeout)
        return self

    def __next__(self) -> Event[C_co]:
        return self._next()

    def _next(self) -> Event[C_co]:
        left: float | None = None
        while not self._queue:
            if self._is_over or (left is not None and left <= 0):
                self._deadline = None
                raise StopIteration
            self._check_process()
            left = self._left()
            self._turn(left)
        return self._queue.popleft()

    @staticmethod
    def _end_of(timeout: float | None) -> float | None:
        return None if timeout is None else monotonic() + timeout

    def _left(self) -> float | None:
        """Return the seconds to the end of this iteration, at most LONGEST; None without a timeout."""
        if self._deadline is None:
            self._deadline = self._end_of(self._timeout)
        return None if self._deadline is None else min(self._deadline - monotonic(), LONGEST)

    # ---- async for event in events ---------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Event[C_co]]:
        self._deadline = self._end_of(self._timeout)
        if not self._is_over:
            self._attach()
        return self

    async def __anext__(self) -> Event[C_co]:
        left: float | None = None
        while not self._queue:
            error, self._failure = self._failure, None
            if error is not None:
                try:
                    raise error
                finally:
                    del error  # otherwise the error's traceback would keep the callers' objects alive
            if self._is_over or (left is not None and left <= 0):
                self._deadline = None
                if not self._entered:
                    self._detach()
                raise StopAsyncIteration
            self._check_process()
            left = self._left()
            reader = self._attach()
            reader.resume()
            await reader.wait(left)
            if not self._queue and self._failure is None:
                self._turn(0)
        return self._queue.popleft()

    def _attach(self) -> LoopReader:
        """Make the running loop read events from now on."""
        import asyncio  # noqa: PLC0415 - already imported by every caller that awaits

        from .loop import LoopReader  # noqa: PLC0415

        loop = asyncio.get_running_loop()
        if self._reader is None or self._reader.loop is not loop:
            self._detach()
            self._reader = LoopReader(self, loop)
        return self._reader

    def _detach(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop()

    def read_in_loop(self) -> None:
        """Read pending events in the loop, without waiting for events or for another reading thread."""
        reader = self._reader
        if reader is None:
            return
        if self._closed:
            self._finish()
        elif self._lock.acquire(blocking=False):
            try:
                self._turn(0)
            except BaseException as error:  # noqa: BLE001 - raised where the events are awaited
                self._failure = error
            finally:
                self._lock.release()
            if self._failure is not None or len(self._queue) >= MAX_QUEUED:
                reader.pause()  # meanwhile the kernel accumulates the counts
            if self._queue or self._is_over or self._failure is not None:
                reader.wake()

    def _finish(self) -> None:
        """Close the files after a thread other than the loop's has closed the stream."""
        self._detach()
        self._close_files()

    # ---- callbacks --------------------------------------------------------------------------------

    def run(self, callback: Callback[C_co], timeout: float | None = None) -> None:
        """Call a function with each event, in this thread.

        Args:
            callback: the function.
            timeout: seconds until this method returns; by default the timeout of the stream.
        """
        limit = _check_timeout(timeout)
        self._deadline = self._end_of(self._timeout if limit is None else limit)
        while True:
            try:
                event = self._next()
            except StopIteration:
                return
            callback(event)

    def start(self, callback: Callback[C_co]) -> None:
        """Call a function with each event, in a new thread, until :meth:`close`.

        An exception in the function ends the thread too; :meth:`close` raises it.

        Args:
            callback: the function.

        Raises:
            ValueError: start() was already called.
        """
        if self._thread is not None:
            message = "start() was already called"
            raise ValueError(message)
        self._thread = start_thread(self._run, "cgroups-events", f"cannot report events of {self!r}", callback)

    def _run(self, callback: Callback[C_co]) -> None:
        try:
            self.run(callback)
        except BaseException as error:  # noqa: BLE001 - raised by close()
            self._error = error

    # ---- end ----------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return a descriptor that is readable when events are pending, for your own event loop.

        If it is readable, call :meth:`poll`.  The result may be empty, for example if a sibling cgroup was removed.

        Raises:
            ValueError: the events are closed, or this is a forked child.
        """
        self._check_process()
        if self._closed:
            message = "the events are closed"
            raise ValueError(message)
        if self._relay is None and any(feed.edge_lost_on_poll for feed in self._feeds.values()):
            self._relay = Relay(self._epoll)
        return (self._relay or self._epoll).fileno()

    def poll(self) -> list[Event[C_co]]:
        """Return the pending events, without waiting."""
        if not self._closed:
            self._check_process()
            self._turn(0)
        found = list(self._queue)
        self._queue.clear()
        return found

    def close(self) -> None:
        """End the stream and all waits for the stream, and close all files.  Idempotent and thread-safe."""
        self._closed = True
        if os.getpid() != self._pid:
            self._release()  # without the locks, which threads of the parent may hold
            return
        with self._gate:
            if not self._released:
                self._wake.ring()
        reader = self._reader
        if reader is not None and not reader.is_here and self._is_left_to(reader):
            pass
        elif self._holder != threading.get_ident():  # otherwise a signal interrupted a wait, which closes the files
            self._finish()
        else:
            self._detach()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
            self._thread = None
            error, self._error = self._error, None
            if error is not None:
                try:
                    raise error
                finally:
                    del error  # otherwise the error's traceback would keep the callers' objects alive

    def _is_left_to(self, reader: LoopReader) -> bool:
        """Schedule the end in the reading loop of another thread; return False if the loop is already closed."""
        try:
            reader.loop.call_soon_threadsafe(self._finish)
        except RuntimeError:
            return False
        return True

    def _close_files(self) -> None:
        with self._lock:
            self._release()

    def _release(self) -> None:
        with self._gate if os.getpid() == self._pid else nullcontext():
            if not self._released:
                self._released = True
                self._let_go()

    async def __aenter__(self) -> Self:
        self._entered = True
        self._attach()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __del__(self) -> None:
        if not self._released:
            self._closed = True
            reader = self._reader
            if reader is None or os.getpid() != self._pid:
                self._release()
            elif reader.is_here or not self._is_left_to(reader):
                self._detach()
                self._release()

    def __repr__(self) -> str:
        cgroups = [str(cgroup or "the system") for cgroup in self._of]
        return f"<Events of {', '.join(cgroups) or 'nothing more'}>"


def _source(given: Any) -> EventSource:
    return given if isinstance(given, EventSource) else Counters(given)


def _check_timeout(timeout: Any) -> float | None:
    check_seconds("timeout", timeout, optional=True)
    return None if timeout is None else float(timeout)
