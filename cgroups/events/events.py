"""Events: what happens in cgroups, as it happens, by one epoll.

What can be asked for is sources.py's; what the kernel is told, and how it
answers, is feeds.py's.
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import select
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import nullcontext
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any, Final, Protocol, Union

from .. import diagnosis
from ..core.threads import start_thread
from ..errors import CgroupError, CgroupGone, InvalidValue, shown
from ..hierarchy import Cgroup
from ..subsystem.parameter import Parameter
from ._bell import Bell
from ._relay import Relay
from ._timerfd import AnyTimer, create_timer
from .feeds import REMOVED, DoubtFeed, Event, ExistenceFeed, Feed, Lost, Origin, RemovalFeed, is_alive, removed
from .sources import Counters, Everything, Source

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ._loop import LoopReader

__all__ = ["Event", "Events", "Target", "Wanted"]


class Several(Protocol):
    """What has cgroups, as a Group."""

    @property
    def cgroups(self) -> tuple[Cgroup, ...]: ...


LONGEST: Final = 86400.0
"""Seconds of one wait."""

MAX_QUEUED: Final = 10_000
"""Events that are kept for whoever does not read them; the kernel adds up what comes then."""

Target = Union[Cgroup, Several, None]
Wanted = Union[Source, Parameter]

Callback = Callable[[Event], object]


class Events:
    """Tells what happens in cgroups.

    Example::

        with Events([one, other], Memory.events, PressureTrigger("memory", "some", 150_000, 2_000_000)) as events:
            for event in events:
                print(event.cgroup, event.what, event.count)

    Each number that changes is one :class:`Event`, with what it was and what it is: what happens faster than it is
    read comes as one, and the counts add up to the file's.  Counting begins when this is made, not when it is
    iterated over.  Nothing is done while nothing happens, where the kernel tells; see ``source``.

    In asyncio, ``async with`` and ``async for`` have the loop read from their beginning on, whatever else is awaited.

    It is over when the time is, when all of its cgroups are gone, or when it is closed, by any thread.  It is for one
    reader at a time; after a fork for the parent alone, while the child may close it.

    A cgroup that is removed through another mount of its hierarchy, as by a container with a cgroup namespace of its
    own, is not seen to go on v2 until something is read of it.

    Args:
        targets: a cgroup, a group, None for the whole system, or several.
        sources: what is told; of a parameter, as Memory.events, its counters.  Without any, all that the kernel tells
            of these cgroups by itself.
        timeout: seconds from the beginning of an iteration to its end.

    Raises:
        CgroupGone: a cgroup that does not exist.
        SubsystemNotAttached, ParameterNotSupported: there is no such file in a cgroup.
        AccessDenied: not permitted to this user.
        InvalidValue: what cannot be.
        CgroupOSError: no more descriptors are to be had, or as the kernel says.
    """

    def __init__(self, targets: Target | Iterable[Target], *sources: Wanted, timeout: float | None = None) -> None:
        self._released = True  # until there is something to close
        wanted = [_source(source) for source in sources]
        several = _targets(targets)
        self._timeout = _check_timeout(timeout)
        self._deadline: float | None = None
        self._queue: deque[Event] = deque()
        self._feeds: dict[int, Feed] = {}
        self._of: dict[Cgroup | None, list[Feed]] = {}
        self._inodes: dict[Cgroup, int] = {}
        self._agenda: list[tuple[int, int, Feed]] = []
        self._numbers = itertools.count()
        self._removals: RemovalFeed | None = None
        self._timer: AnyTimer | None = None
        self._relay: Relay | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._closed = self._entered = False
        self._reader: LoopReader | None = None
        self._failure: BaseException | None = None  # of a read in the loop
        self._pid = os.getpid()
        # Held while it is waited and read; by whom, so that a signal's handler within may close.
        self._lock = threading.RLock()
        self._holder = 0
        self._gate = threading.RLock()  # of the descriptors: none is written to once it is closed
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
            raise diagnosis.explain_watch(error, f"cannot watch {_names(several)}") from None

    # ---- what is watched ---------------------------------------------------------------------

    def _watch(self, target: Target, wanted: list[Source]) -> None:
        cgroups = _cgroups_of(target)
        for cgroup in cgroups:
            if cgroup not in self._inodes:
                self._of.setdefault(cgroup, [])
                self._watch_removal(cgroup)
        for source in wanted:
            # A v1 mount takes a controller from v2.  Where none fits, the first says why.
            fitting = sorted((cgroup for cgroup in cgroups if source.fits(cgroup)), key=lambda one: one.version)
            self._open(source, next(iter((*fitting, *cgroups)), None), target)
        for each in () if wanted else cgroups or (None,):
            self._open(Everything(), each, target)

    def _open(self, source: Source, cgroup: Cgroup | None, target: Target) -> None:
        for feed in source.open(cgroup, target):
            self._begin(feed)

    def _watch_removal(self, cgroup: Cgroup) -> None:
        above, inode = cgroup.parent, cgroup.inode
        self._inodes[cgroup] = inode
        if above is None:
            return
        try:
            if self._removals is None:
                self._removals = RemovalFeed()
                self._wait_for(self._removals)
            self._removals.add(cgroup, above, inode)
        except OSError:
            self._begin(ExistenceFeed(cgroup, inode))
        if cgroup.inode != inode:
            message = f"{cgroup} has been removed, and made again, while it was to be watched"
            raise CgroupGone(message, path=cgroup.path)

    def _begin(self, feed: Feed) -> None:
        self._of.setdefault(feed.cgroup, []).append(feed)
        if feed.fd >= 0:
            self._wait_for(feed)
        self._take(feed, feed.begin, monotonic_ns())

    def _wait_for(self, feed: Feed) -> None:
        self._feeds[feed.fd] = feed
        self._epoll.register(feed.fd, feed.mask)

    @property
    def source(self) -> Origin:
        """``kernel`` where the kernel tells of all that is asked for, ``sampled`` where something is looked at."""
        feeds = itertools.chain.from_iterable(self._of.values())
        return "sampled" if any(feed.origin == "sampled" for feed in feeds) else "kernel"

    # ---- what happens --------------------------------------------------------------------------

    def _turn(self, timeout: float | None) -> None:
        """Waits once, and reads what has happened."""
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

    def _read(self, ready: list[tuple[int, int]]) -> None:
        try:
            now = monotonic_ns()
            # What the removal of a cgroup took with it is read first, where it still can be.
            for fd, mask in sorted(ready, key=self._is_removal):
                feed = self._feeds.get(fd)
                if feed is not None:
                    self._take(feed, feed.woken, mask, now)
            while self._agenda and self._agenda[0][0] <= now:
                due, _, feed = heapq.heappop(self._agenda)
                if feed.due == due:
                    feed.due = None
                    self._take(feed, feed.look, now)
            self._set_timer()
        finally:
            if self._relay is not None and ready:
                self._relay.done()

    def _is_removal(self, ready: tuple[int, int]) -> bool:
        return self._removals is not None and ready[0] == self._removals.fd

    def _take(self, feed: Feed, act: Callable[..., list[Event]], *arguments: int) -> None:
        """What a feed tells, and what comes of it."""
        due = feed.due
        try:
            found = act(*arguments)
        except Lost:
            found = self._lost(feed)
        finally:
            if feed.due is not None and feed.due != due:
                heapq.heappush(self._agenda, (feed.due, next(self._numbers), feed))
        for event in found:
            if event.what == REMOVED:
                self._drop(event)
            else:
                self._queue.append(event)

    def _lost(self, feed: Feed) -> list[Event]:
        """A feed's file is gone: with the cgroup, or alone; which of them may show in a moment only."""
        cgroup = feed.cgroup
        assert cgroup is not None
        inode = self._inodes[cgroup]
        if not is_alive(cgroup, inode):
            return [removed(cgroup, feed.origin)]
        self._of[cgroup].remove(feed)
        self._end(feed)
        self._begin(DoubtFeed(cgroup, inode, feed.file))
        return []

    def _drop(self, event: Event) -> None:
        """A cgroup's last event."""
        feeds = self._of.pop(event.cgroup, None)
        if feeds is None:
            return  # told already
        for feed in feeds:
            self._queue.extend(feed.implied())
            self._end(feed)
        self._queue.append(event)

    def _end(self, feed: Feed) -> None:
        if feed.fd >= 0 and self._feeds.pop(feed.fd, None) is not None:
            # A forked child may have it open too, and then closing it here would leave it waited for.
            self._epoll.unregister(feed.fd)
        feed.close()

    def _set_timer(self) -> None:
        while self._agenda and self._agenda[0][2].due != self._agenda[0][0]:
            heapq.heappop(self._agenda)
        if self._timer is None and self._agenda:
            self._timer = create_timer()
            self._epoll.register(self._timer.fileno(), select.EPOLLIN)
        if self._timer is not None:
            self._timer.set(self._agenda[0][0] if self._agenda else None)

    @property
    def _is_over(self) -> bool:
        """Whether there is nothing more to come."""
        return self._closed or not self._of

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            message = "these events are of the process that made them, and this is a forked child of it"
            raise ValueError(message)

    # ---- for event in events -------------------------------------------------------------------

    def __iter__(self) -> Iterator[Event]:
        self._deadline = self._end_of(self._timeout)
        return self

    def __next__(self) -> Event:
        return self._next()

    def _next(self) -> Event:
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
        """Seconds to the end of this iteration, or more than one can wait at a time."""
        if self._deadline is None:
            self._deadline = self._end_of(self._timeout)
        return None if self._deadline is None else min(self._deadline - monotonic(), LONGEST)

    # ---- async for event in events ---------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Event]:
        self._deadline = self._end_of(self._timeout)
        if not self._is_over:
            self._attach()
        return self

    async def __anext__(self) -> Event:
        left: float | None = None
        while not self._queue:
            error, self._failure = self._failure, None
            if error is not None:
                raise error
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
        """Have the running loop read what happens from now on."""
        import asyncio  # noqa: PLC0415 - whoever awaits has it

        from ._loop import LoopReader  # noqa: PLC0415

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
        """Read what there is, for the loop, which never waits here: not for another thread that reads either."""
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
                reader.pause()  # the kernel adds up what comes meanwhile
            if self._queue or self._is_over or self._failure is not None:
                reader.wake()

    def _finish(self) -> None:
        """Close what was closed by a thread other than the loop's."""
        self._detach()
        self._close_files()

    # ---- callbacks --------------------------------------------------------------------------------

    def run(self, callback: Callback, timeout: float | None = None) -> None:
        """Calls a function with each event, in this thread, to the end, or for so many seconds."""
        limit = _check_timeout(timeout)
        self._deadline = self._end_of(self._timeout if limit is None else limit)
        while True:
            try:
                event = self._next()
            except StopIteration:
                return
            callback(event)

    def start(self, callback: Callback) -> None:
        """Calls a function with each event, in a thread of its own, which :meth:`close` ends.

        An exception in the function ends the thread too, and is raised by close.
        """
        if self._thread is not None:
            message = "these events are told by a thread already"
            raise ValueError(message)
        self._thread = start_thread(self._run, "cgroups-events", f"cannot tell of events of {self!r}", callback)

    def _run(self, callback: Callback) -> None:
        try:
            self.run(callback)
        except BaseException as error:  # noqa: BLE001 - raised where it is closed
            self._error = error

    # ---- the end ------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """A descriptor that is readable when there is something to read, for a loop of one's own.

        When it is, ``events.poll()`` gives them; it may be none, as what was removed may be another cgroup beside.
        """
        self._check_process()
        if self._closed:
            message = "the events are closed"
            raise ValueError(message)
        if self._relay is None and any(feed.forgetful for feed in self._feeds.values()):
            self._relay = Relay(self._epoll)
        return (self._relay or self._epoll).fileno()

    def poll(self) -> list[Event]:
        """The events that there are now, without waiting."""
        if not self._closed:
            self._check_process()
            self._turn(0)
        found = list(self._queue)
        self._queue.clear()
        return found

    def close(self) -> None:
        """Ends it, and what waits for it; closes all files.  It may be called again, and by any thread."""
        self._closed = True
        if os.getpid() != self._pid:
            self._release()  # whatever locks the parent's threads had
            return
        with self._gate:
            if not self._released:
                self._wake.ring()
        reader = self._reader
        if reader is not None and not reader.is_here and self._is_left_to(reader):
            pass
        elif self._holder != threading.get_ident():  # else a signal interrupted a wait, which closes the files itself
            self._finish()
        else:
            self._detach()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
            self._thread = None
            error, self._error = self._error, None
            if error is not None:
                raise error

    def _is_left_to(self, reader: LoopReader) -> bool:
        """Leave the end to the loop that reads, which is another thread's; False if it is over already."""
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

    def _let_go(self) -> None:
        # Only closed: taking out of the epoll would be for a forked process too.
        if self._relay is not None:
            forked = os.getpid() != self._pid
            if not forked:
                self._wake.ring()
            self._relay.close(forked=forked)
        self._epoll.close()
        for feed in itertools.chain.from_iterable(self._of.values()):
            feed.close()
        if self._removals is not None:
            self._removals.close()
        for kept in (self._feeds, self._of, self._agenda):
            kept.clear()
        if self._timer is not None:
            self._timer.close()
        self._wake.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except BaseException:
            if error is None:
                raise

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


def _source(given: Any) -> Source:
    return given if isinstance(given, Source) else Counters(given)


def _targets(given: Any) -> list[Target]:
    several = [given] if given is None or isinstance(given, Cgroup) or hasattr(given, "cgroups") else given
    try:
        found = list(several)
    except TypeError:
        found = [given]
    for one in found:
        if not (one is None or isinstance(one, Cgroup) or hasattr(one, "cgroups")):
            message = f"{shown(one)} is neither a Cgroup nor a Group"
            raise InvalidValue(message, hint="Hierarchy.find_exn(spec) gives a Cgroup; None is the whole system")
    if not found:
        message = "no cgroup is given to watch"
        raise InvalidValue(message)
    return found


def _names(targets: list[Target]) -> str:
    return ", ".join("the system" if target is None else str(target) for target in targets)


def _cgroups_of(target: Target) -> tuple[Cgroup, ...]:
    if target is None:
        return ()
    return (target,) if isinstance(target, Cgroup) else target.cgroups


def _check_timeout(timeout: Any) -> float | None:
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if timeout is not None and not (number and timeout >= 0 and math.isfinite(timeout)):
        message = f"timeout {shown(timeout)}: seconds are expected, or None"
        raise InvalidValue(message)
    return None if timeout is None else float(timeout)
