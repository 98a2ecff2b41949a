"""Dispatch: read the feeds that one epoll instance reports as ready, and queue their events."""

from __future__ import annotations

import heapq
import itertools
import os
import select
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from ..control.verbs import BaseCgroup
from ..core.debug import fallback
from ..core.errors import CgroupGone
from .bell import Bell
from .feeds import REMOVED, Event, Feed, SourceGone
from .relay import Relay
from .removal_feeds import DisappearanceFeed, ExistenceFeed, RemovalFeed, is_alive, removed
from .sources import EventSource, Everything
from .targets import Target, cgroups_of
from .timerfd import AnyTimer, create_timer

__all__ = ["Dispatch"]


class Dispatch:
    """The feeds of some cgroups, and the queue of their events."""

    _epoll: select.epoll
    _wake: Bell
    _pid: int

    def __init__(self) -> None:
        self._queue: deque[Event[Any]] = deque()
        self._feeds: dict[int, Feed] = {}
        self._of: dict[BaseCgroup | None, list[Feed]] = {}
        self._inodes: dict[BaseCgroup, int] = {}
        self._agenda: list[tuple[int, int, Feed]] = []
        self._numbers = itertools.count()
        self._removals: RemovalFeed | None = None
        self._timer: AnyTimer | None = None
        self._relay: Relay | None = None

    def _watch(self, target: Target, wanted: list[EventSource]) -> None:
        cgroups = cgroups_of(target)
        for cgroup in cgroups:
            if cgroup not in self._inodes:
                self._of.setdefault(cgroup, [])
                self._watch_removal(cgroup)
        for source in wanted:
            # A v1 mount takes a controller from v2.  If no cgroup fits, the first one raises the error.
            fitting = sorted((cgroup for cgroup in cgroups if source.fits(cgroup)), key=lambda one: one.version)
            self._open(source, next(iter((*fitting, *cgroups)), None), target)
        for each in () if wanted else cgroups or (None,):
            self._open(Everything(), each, target)

    def _open(self, source: EventSource, cgroup: BaseCgroup | None, target: Target) -> None:
        for feed in source.open(cgroup, target):
            self._begin(feed)

    def _watch_removal(self, cgroup: BaseCgroup) -> None:
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
            fallback("no inotify watch: the existence of a cgroup is polled")
            self._begin(ExistenceFeed(cgroup, inode))
        if cgroup.inode != inode:
            message = f"cannot watch {cgroup}: it was removed and created again meanwhile"
            raise CgroupGone(message, path=cgroup.path)

    def _begin(self, feed: Feed) -> None:
        self._of.setdefault(feed.cgroup, []).append(feed)
        if feed.fd >= 0:
            self._wait_for(feed)
        self._take(feed, feed.begin, monotonic_ns())

    def _wait_for(self, feed: Feed) -> None:
        self._feeds[feed.fd] = feed
        self._epoll.register(feed.fd, feed.mask)

    def _read(self, ready: list[tuple[int, int]]) -> None:
        try:
            now = monotonic_ns()
            # Other feeds are read before the removal, while their files may still be readable.
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
        """Run a callback of a feed, and queue its events or handle the loss of its file."""
        due = feed.due
        try:
            found = act(*arguments)
        except SourceGone:
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
        """Handle the loss of a feed's file.  A later check may show whether the cgroup or only the file is gone."""
        cgroup = feed.cgroup
        assert cgroup is not None
        inode = self._inodes[cgroup]
        if not is_alive(cgroup, inode):
            return [removed(cgroup, feed.origin)]
        self._of[cgroup].remove(feed)
        self._end(feed)
        self._begin(DisappearanceFeed(cgroup, inode, feed.file))
        return []

    def _drop(self, event: Event) -> None:
        """Queue the final events of a removed cgroup, and close its feeds."""
        feeds = self._of.pop(event.cgroup, None)
        if feeds is None:
            return  # already reported
        for feed in feeds:
            self._queue.extend(feed.final_events())
            self._end(feed)
        self._queue.append(event)

    def _end(self, feed: Feed) -> None:
        if feed.fd >= 0 and self._feeds.pop(feed.fd, None) is not None:
            # A forked child may share the file, which would then stay in the epoll instance after a close here.
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

    def _let_go(self) -> None:
        # Only closed: unregistering would affect the epoll instance of a forked process too.
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
