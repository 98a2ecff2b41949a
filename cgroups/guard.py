"""Guard: a watch that sends a signal, or calls a function, when a number of a cgroup crosses a threshold."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Union

from .core.closing import Closing
from .core.errors import CgroupError, CgroupGone, CgroupTimeout, InvalidValue, shown
from .core.seconds import check_seconds
from .core.threads import start_thread
from .group import Group
from .hierarchy import Cgroup
from .observe.events import Events
from .observe.sources import INTERVAL
from .observe.thresholds import Measure, Threshold

if TYPE_CHECKING:
    from typing_extensions import Self

    from .observe.feeds import Event, Origin

__all__ = ["Guard"]

Action = Union[int, Callable[["Event[Cgroup]"], object]]

PAUSE: Final = 0.1
"""Seconds of one wait during the grace period: an upper bound of the delay of :meth:`Guard.close`."""


class Guard(Closing):
    """A watch on a number of a cgroup and its descendants, which acts once when the number crosses a threshold.

    Example::

        with Guard(group, Memory.usage_in_bytes, above=500_000_000, grace=5) as guard:
            ...                     # SIGTERM, and five seconds later SIGKILL, to all processes of the group
        guard.fired                 # the Event, or None

    A thread watches from ``start`` or the start of a ``with`` block until ``close`` or the end of the block.
    If the number is already beyond the threshold, the guard acts immediately.  The kernel notifies if it can, see
    :class:`Threshold`; otherwise the number is polled at the interval.  ``source`` shows which case applies.

    Args:
        target: a Cgroup or a Group.
        what: the number: a parameter such as ``Memory.pressure["some", "avg10"]``, or a function of the target.
        above: act if the number is greater.
        below: act if the number is less.
        rate_above: act if the number rises faster than this, per second; for Cpuacct.usage, 500_000_000 is half a CPU.
        action: a signal for all processes of the target and its descendants, or a function of the Event.
        grace: seconds after which ``then`` is sent, unless the target is empty; None sends no second signal.
        then: the second signal.
        interval: seconds between two polls if the kernel does not notify.

    Raises, from ``start`` on:
        SubsystemNotAttached, ParameterNotSupported, AccessDenied: like :func:`Parameters.get`.
        CgroupGone: the target does not exist.
        CgroupOSError: no thread or descriptor is left.
    """

    def __init__(
        self,
        target: Cgroup | Group,
        what: Measure,
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
            message = f"target must be a Cgroup or a Group, got {shown(target)}"
            raise InvalidValue(message)
        self._threshold = Threshold(what, above=above, below=below, rate_above=rate_above, interval=interval)
        check_seconds("grace", grace, optional=True)
        self._action = action if callable(action) and not isinstance(action, int) else _signal("action", action)
        self._then = _signal("then", then)
        self._target = target
        self._grace = grace
        # The guard does not act when the number returns.
        wanted = {"above": above, "below": below, "rate_above": rate_above}
        self._reasons = frozenset(name for name, value in wanted.items() if value is not None)
        self._events: Events[Cgroup] | None = None
        self._thread: threading.Thread | None = None
        self._known = threading.Event()  # set when the guard has fired, or can no longer fire
        self._closed = threading.Event()
        self.fired: Event[Cgroup] | None = None
        """The event that made the guard act; None before."""
        self.error: BaseException | None = None
        """The exception of a failed action; None otherwise."""

    @property
    def signals(self) -> frozenset[int]:
        """The signals that the guard may send."""
        first = () if callable(self._action) else (self._action,)
        return frozenset((*first, *(() if self._grace is None else (self._then,))))

    @property
    def source(self) -> Origin | None:
        """``kernel`` if the kernel notifies of changes, ``sampled`` if the number is polled, None before the start."""
        return self._source

    _source: Origin | None = None

    def start(self) -> Self:
        """Start to watch; return the guard.

        Raises:
            ValueError: start() was already called.
        """
        if self._events is not None:
            message = "start() was already called"
            raise ValueError(message)
        events: Events[Cgroup] = Events(self._target, self._threshold)
        self._events = events  # the thread needs the events
        try:
            self._thread = start_thread(self._run, "cgroups-guard", f"cannot guard {self._target}")
        except CgroupError:
            self._events = None
            events.close()
            raise
        self._source = events.source
        return self

    def wait(self, timeout: float | None = None) -> Event[Cgroup] | None:
        """Wait until the guard has fired or can no longer fire.

        Args:
            timeout: seconds to wait; None for no limit.

        Returns:
            The event that made the guard act; None if the guard has not fired.
        """
        self._known.wait(timeout)
        return self.fired

    def close(self) -> None:
        """End the watch, and a grace period in progress, without sending the second signal.

        An exception of the action is raised here once; ``error`` keeps it.
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

    # ---- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        assert self._events is not None
        try:
            with self._events as events:
                self.fired = next((event for event in events if event.what in self._reasons), None)
            self._known.set()
            if self.fired is not None:
                self._act(self.fired)
        except BaseException as error:  # noqa: BLE001 - raised by close()
            self.error = error
        finally:
            self._known.set()

    def _act(self, event: Event[Cgroup]) -> None:
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
            return  # the processes of the target have exited too

    def _is_empty_within(self, seconds: float) -> bool:
        """Return whether no second signal is needed: the target is empty in time, or the guard is closed."""
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
        message = f"{name} must be a signal{' or a function' if name == 'action' else ''}, got {shown(value)}"
        raise InvalidValue(message)
    return value
