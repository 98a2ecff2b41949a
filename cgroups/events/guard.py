"""Guard: a signal, or a call, when a cgroup exceeds an amount."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Union

from ..core.threads import start_thread
from ..errors import CgroupError, CgroupGone, CgroupTimeout, InvalidValue, shown
from ..group import Group
from ..hierarchy import Cgroup
from .events import Events
from .sources import INTERVAL, Threshold, Watched

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .events import Event
    from .feeds import Origin

__all__ = ["Guard"]

Action = Union[int, Callable[["Event"], object]]

PAUSE: Final = 0.1
"""Seconds of grace that are waited at a time: how long a guard that is closed meanwhile may take to end."""


class Guard:
    """Watches a number of a cgroup, and all below it, and acts once when it is exceeded.

    Example::

        with Guard(group, Memory.usage_in_bytes, above=500_000_000, grace=5) as guard:
            ...                     # SIGTERM, and five seconds later SIGKILL, to all processes of the group
        guard.fired                 # the Event, or None

    It watches in a thread of its own, from ``start`` or the beginning of a ``with`` block until ``close`` or its end,
    and acts at once where the number is exceeded already.  The kernel tells where it can, see :class:`Threshold`;
    else it is looked at each ``interval``: ``source`` says which.

    Args:
        target: a Cgroup or a Group.
        what: the number: a parameter, ``Memory.pressure["some", "avg10"]``, or a function of the target.
        above: acts when it is greater.
        below: acts when it is less.
        rate_above: acts when it rises faster than this, a second: of Cpuacct.usage 500_000_000 is half a CPU.
        action: a signal for all processes of the target and below, or a function, which gets the Event.
        grace: seconds after which ``then`` follows, unless the target is empty; None: nothing follows.
        then: a signal.
        interval: seconds between two looks where the kernel does not tell.

    Raises, from ``start`` on:
        SubsystemNotAttached, ParameterNotSupported, AccessDenied: as :func:`Parameters.get`.
        CgroupGone: the target does not exist.
        CgroupOSError: no more threads or descriptors.
    """

    def __init__(
        self,
        target: Cgroup | Group,
        what: Watched,
        *,
        above: float | None = None,
        below: float | None = None,
        rate_above: float | None = None,
        action: Action = signal.SIGTERM,
        grace: float | None = None,
        then: int = signal.SIGKILL,
        interval: float = INTERVAL,
    ) -> None:
        if not isinstance(target, (Cgroup, Group)):
            message = f"{shown(target)} is neither a Cgroup nor a Group"
            raise InvalidValue(message)
        self._threshold = Threshold(what, above=above, below=below, rate_above=rate_above, interval=interval)
        if grace is not None and not (isinstance(grace, (int, float)) and 0 <= grace < threading.TIMEOUT_MAX):
            message = f"grace {shown(grace)}: seconds are expected, or None"
            raise InvalidValue(message)
        self._action = action if callable(action) and not isinstance(action, int) else _signal("action", action)
        self._then = _signal("then", then)
        self._target = target
        self._grace = grace
        # Coming back is no reason to act.
        wanted = {"above": above, "below": below, "rate_above": rate_above}
        self._reasons = frozenset(name for name, value in wanted.items() if value is not None)
        self._events: Events | None = None
        self._thread: threading.Thread | None = None
        self._known = threading.Event()  # that it fired, or will not any more
        self._closed = threading.Event()
        self.fired: Event | None = None
        """What made it act."""
        self.error: BaseException | None = None
        """What went wrong in acting."""

    @property
    def source(self) -> Origin | None:
        """``kernel`` or ``sampled``: how the number is watched; None before the start."""
        return self._source

    _source: Origin | None = None

    def start(self) -> Self:
        """Begins to watch; the guard itself."""
        if self._events is not None:
            message = "this guard has been started already"
            raise ValueError(message)
        events = Events(self._target, self._threshold)
        self._events = events  # the thread needs it
        try:
            self._thread = start_thread(self._run, "cgroups-guard", f"cannot guard {self._target}")
        except CgroupError:
            self._events = None
            events.close()
            raise
        self._source = events.source
        return self

    def wait(self, timeout: float | None = None) -> Event | None:
        """Waits until it has fired, so many seconds at most, or until it cannot any more; what it fired for."""
        self._known.wait(timeout)
        return self.fired

    def close(self) -> None:
        """Ends the watch, and a grace that has not passed: what would have followed does not.

        An exception in acting is raised here, once; it stays in ``error``.
        """
        self._closed.set()
        if self._events is not None:
            self._events.close()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
            self._thread = None
            if self.error is not None:
                raise self.error

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except BaseException:
            if error is None:  # else that of the block is the one to be seen
                raise

    # ---- in its thread -------------------------------------------------------------------------

    def _run(self) -> None:
        assert self._events is not None
        try:
            with self._events as events:
                self.fired = next((event for event in events if event.what in self._reasons), None)
            self._known.set()
            if self.fired is not None:
                self._act(self.fired)
        except BaseException as error:  # noqa: BLE001 - raised by close
            self.error = error
        finally:
            self._known.set()

    def _act(self, event: Event) -> None:
        if isinstance(self._action, int):
            self._send(self._action)
        else:
            self._action(event)
        if self._grace is not None and not self._is_empty_within(self._grace):
            self._send(self._then)

    def _send(self, number: int) -> None:
        try:
            if number == signal.SIGKILL:
                self._target.kill()
            else:
                self._target.signal(number)
        except CgroupGone:
            return  # with all that was in it

    def _is_empty_within(self, seconds: float) -> bool:
        """Whether it gets empty, or the guard is closed, so that nothing is to follow."""
        end = monotonic() + seconds
        while not self._closed.is_set():
            try:
                self._target.wait_empty(max(0.0, min(PAUSE, end - monotonic())))
            except CgroupGone:
                return True
            except CgroupTimeout:
                if monotonic() >= end:
                    return False
            else:
                return True
        return True

    def __repr__(self) -> str:
        return f"<Guard of {self._target}: {self._threshold!r}>"


def _signal(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < signal.NSIG:
        message = f"{name} {shown(value)}: a signal is expected{', or a function' if name == 'action' else ''}"
        raise InvalidValue(message)
    return value
