"""systemd over D-Bus: the calls that a delegated scope needs.  The only importer of jeepney (extra ``systemd``).

Source: org.freedesktop.systemd1(5).  The newest call in use is ``AttachProcessesToUnit``, of systemd 238.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from ..core.closing import Closing
from ..core.errors import (
    AccessDenied,
    CgroupError,
    CgroupExists,
    CgroupTimeout,
    InvalidValue,
    SystemdError,
    describe_errno,
)
from ..core.systemd import SYSTEMD
from .bus import bus_address, check_manager, library

if TYPE_CHECKING:
    from ..core.deadline import Deadline

__all__ = ["CONTINUE", "Manager", "ScopeRequest", "explain"]

_NAME: Final = "org.freedesktop.systemd1"
_PATH: Final = "/org/freedesktop/systemd1"

_JOBS: Final = f"type='signal',sender='{_NAME}',path='{_PATH}',interface='{_NAME}.Manager',member='JobRemoved'"
"""The match rule for the signals that report the end of a job."""

_CREDENTIALS: Final = struct.Struct("3i")
"""``struct ucred``: process, user and group."""

_GOING: Final = frozenset({"inactive", "failed", "deactivating"})
"""The states of a unit that has ended, and that systemd unloads in a moment."""

_NO_SYSTEMD = "the bus exists, but systemd is not connected to it"
_REFUSED = (
    "the system's manager gives scopes to root, and to users with the polkit permission "
    "org.freedesktop.systemd1.manage-units; user=True asks the user's own manager"
)

_BY_NAME: Final[dict[str, tuple[type[CgroupError], str | None]]] = {
    "org.freedesktop.DBus.Error.AccessDenied": (AccessDenied, _REFUSED),
    "org.freedesktop.DBus.Error.AuthFailed": (AccessDenied, _REFUSED),
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": (AccessDenied, _REFUSED),
    "org.freedesktop.DBus.Error.InvalidArgs": (InvalidValue, None),
    "org.freedesktop.DBus.Error.NoReply": (CgroupTimeout, None),
    "org.freedesktop.DBus.Error.Timeout": (CgroupTimeout, None),
    "org.freedesktop.DBus.Error.NameHasNoOwner": (SystemdError, _NO_SYSTEMD),
    "org.freedesktop.DBus.Error.ServiceUnknown": (SystemdError, _NO_SYSTEMD),
    "org.freedesktop.systemd1.UnitExists": (CgroupExists, "remove the group with this name, or choose another name"),
}
"""The exceptions and hints for the errors of systemd and of the bus.  All others become SystemdError."""


def explain(name: str, text: str, tried: str) -> CgroupError:
    """Return the exception for a D-Bus error."""
    kind, hint = _BY_NAME.get(name, (SystemdError, None))
    return kind(f"{tried}: {text or 'no reason given'} ({name})", hint=hint)


def _late(tried: str) -> CgroupTimeout:
    hint = "systemd is slow, or does not answer"
    return CgroupTimeout(f"{tried}: timed out", errno=errno.ETIMEDOUT, hint=hint)


class ScopeRequest(NamedTuple):
    """A scope to start: the name of its unit, its description in ``systemctl status``, its controllers and slice.

    ``controllers`` are the controllers to delegate.  systemd delegates the controllers that it has.
    """

    unit: str
    description: str
    controllers: Sequence[str]
    slice: str | None = None

    def properties(self, pid: int, *, has_oom_policy: bool) -> list[tuple[str, tuple[str, Any]]]:
        """Return the properties of the unit, with its first process."""
        found: list[tuple[str, tuple[str, Any]]] = [
            ("Description", ("s", self.description)),
            # DelegateControllers= implies Delegate=true.  Delegate=true by itself delegates all controllers.
            ("DelegateControllers", ("as", list(self.controllers))),
            ("PIDs", ("au", [pid])),
            # Unload the unit also if it failed, so that its name is free again.
            ("CollectMode", ("s", "inactive-or-failed")),
        ]
        if self.slice is not None:
            found.append(("Slice", ("s", self.slice)))
        if has_oom_policy:
            found.append(("OOMPolicy", ("s", CONTINUE)))
        return found


CONTINUE: Final = "continue"
"""The value of OOMPolicy= that keeps a unit when the kernel kills one of its processes for lack of memory."""


class Manager(Closing):
    """A connection to a manager, the system's or the user's own, for the length of a ``with`` block.

    Attributes:
        deadline: the deadline of the next call.
        is_lost: whether the connection cannot be used again: it is closed, or an abandoned answer may still arrive.

    Raises:
        SystemdError: no such manager runs, or it cannot be reached.
        CgroupTimeout: the manager did not answer in time.
    """

    _has_oom_policy: ClassVar[bool] = True
    """Whether scopes have OOMPolicy=; True until a manager rejects the property."""

    def __init__(self, *, user: bool, deadline: Deadline, directory: str = SYSTEMD) -> None:
        check_manager(directory)
        self._jeepney = library()
        self.deadline = deadline
        self._serial = 0
        self._signals: list[Any] = []
        self._is_subscribed = False
        self.is_lost = False
        self._parser = self._jeepney.Parser()
        self._socket = self._connect(bus_address(user=user))
        try:
            self._check_peer()
            self._call_bus("Hello")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._socket.close()

    # ---- requests --------------------------------------------------------------------

    def start_scope(self, request: ScopeRequest, pid: int) -> None:
        """Start a transient, delegated scope with one process, and wait until the scope is active.

        If a unit of this name has just ended, wait until systemd has unloaded it.

        Raises:
            CgroupExists: a unit of this name is active.
            AccessDenied: systemd refused the request.
        """
        unit = request.unit
        tried = f"cannot start {unit}"
        self._subscribe()
        while True:
            body: tuple[Any, ...] = (unit, "fail", request.properties(pid, has_oom_policy=Manager._has_oom_policy), [])
            try:
                (job,) = self.call(tried, "StartTransientUnit", "ssa(sv)a(sa(sv))", body)
                break
            except CgroupExists:
                if not self._is_going(unit):
                    raise
                self._left(tried)
                self.deadline.pause()
            except SystemdError as error:
                # Older systemd has OOMPolicy= for services only.
                if not Manager._has_oom_policy or "OOMPolicy" not in str(error):
                    raise
                Manager._has_oom_policy = False
        result = self._result_of(job, tried)
        self._unsubscribe()
        if result != "done":
            message = f"{tried}: its job ended as {result!r}"
            raise SystemdError(message, hint=f"see the journal of {unit} for the reason")

    def attach(self, unit: str, below: str, pid: int) -> None:
        """Move a process of this user from any cgroup into a cgroup below a delegated unit, ``/name``."""
        tried = f"cannot move process {pid} into {unit}{below}"
        self.call(tried, "AttachProcessesToUnit", "ssau", (unit, below, [pid]))

    def survives_oom(self, unit: str) -> bool:
        """Return whether a scope stays when the kernel kills one of its processes for lack of memory.

        Source: OOMPolicy= of systemd.scope(5).  A systemd without this property may stop the scope.
        """
        if Manager._has_oom_policy:
            return True  # the scope was started with OOMPolicy=continue
        try:
            (path,) = self.call(f"cannot inspect {unit}", "GetUnit", "s", (unit,))
            address = self._jeepney.DBusAddress(path, _NAME, f"{_NAME}.Scope")
            ((_, policy),) = self._ask(self._jeepney.Properties(address).get("OOMPolicy"), f"cannot inspect {unit}")
        except SystemdError:
            return False
        return bool(policy == CONTINUE)

    def delegates(self, unit: str) -> bool:
        """Return whether a service or a scope has ``Delegate=``; False if the unit does not exist."""
        kind = unit.rpartition(".")[2].capitalize()
        tried = f"cannot inspect {unit}"
        try:
            (path,) = self.call(tried, "GetUnit", "s", (unit,))
            address = self._jeepney.DBusAddress(path, _NAME, f"{_NAME}.{kind}")
            ((_, value),) = self._ask(self._jeepney.Properties(address).get("Delegate"), tried)
        except SystemdError:
            return False
        return bool(value)

    def _is_going(self, unit: str) -> bool:
        """Return whether a unit has ended or is stopping."""
        try:
            (path,) = self.call(f"cannot inspect {unit}", "GetUnit", "s", (unit,))
            address = self._jeepney.DBusAddress(path, _NAME, f"{_NAME}.Unit")
            message = self._jeepney.Properties(address).get("ActiveState")
            ((_, state),) = self._ask(message, f"cannot inspect {unit}")
        except SystemdError:
            return True  # the unit does not exist: systemd has unloaded it
        return state in _GOING

    def _result_of(self, job: str, tried: str) -> str:
        """Return the result of a job.  The job's signal may arrive before the answer that names the job."""
        self.is_lost = True  # until the signal arrives
        while True:
            for signal in self._signals:
                if len(signal.body) == 4 and signal.body[1] == job:  # noqa: PLR2004 - JobRemoved: id, job, unit, result
                    self.is_lost = False
                    return str(signal.body[3])
            self._signals.clear()
            self._signals.append(self._receive(tried))

    def _subscribe(self) -> None:
        """Subscribe once to the signals that report the end of a job, without waiting for an answer."""
        if self._is_subscribed:
            return
        self._is_subscribed = True
        self._tell(self._bus, "AddMatch", "s", (_JOBS,))
        self._tell(self._manager, "Subscribe")

    def _unsubscribe(self) -> None:
        """Unsubscribe from the signals: a kept connection would receive the signals of all units, unread."""
        self._tell(self._manager, "Unsubscribe")
        self._tell(self._bus, "RemoveMatch", "s", (_JOBS,))
        self._is_subscribed = False
        self._signals.clear()

    def _tell(self, address: Any, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> None:
        message = self._jeepney.new_method_call(address, method, signature, body)
        self._send(message, "cannot use the D-Bus", is_asking=False)

    # ---- messages --------------------------------------------------------------------

    def call(self, tried: str, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> Any:
        """Call a method of the manager, and return the body of the answer."""
        return self._ask(self._jeepney.new_method_call(self._manager, method, signature, body), tried)

    def _call_bus(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> Any:
        return self._ask(self._jeepney.new_method_call(self._bus, method, signature, body), "cannot use the D-Bus")

    @property
    def _manager(self) -> Any:
        return self._jeepney.DBusAddress(_PATH, _NAME, f"{_NAME}.Manager")

    @property
    def _bus(self) -> Any:
        name = "org.freedesktop.DBus"
        return self._jeepney.DBusAddress("/org/freedesktop/DBus", name, name)

    def _send(self, message: Any, tried: str, *, is_asking: bool) -> None:
        self._serial += 1
        if not is_asking:
            message.header.flags |= self._jeepney.MessageFlag.no_reply_expected
        try:
            self._socket.settimeout(self._left(tried))
            self._socket.sendall(message.serialise(serial=self._serial))
        except OSError as error:
            raise self._lost(error, tried) from None

    def _ask(self, message: Any, tried: str) -> Any:
        self._send(message, tried, is_asking=True)
        self.is_lost = True  # until the answer arrives
        fields = self._jeepney.HeaderFields
        kinds = self._jeepney.MessageType
        while True:
            answer = self._receive(tried)
            if answer.header.fields.get(fields.reply_serial) != self._serial:
                if answer.header.message_type is kinds.signal and self._is_subscribed:
                    self._signals.append(answer)
                continue
            self.is_lost = False
            if answer.header.message_type is kinds.error:
                text = str(answer.body[0]) if answer.body else ""
                raise explain(answer.header.fields.get(fields.error_name, ""), text, tried)
            return answer.body

    def _receive(self, tried: str) -> Any:
        while True:
            message = self._parser.get_next_message()
            if message is not None:
                return message
            try:
                self._socket.settimeout(self._left(tried))
                data = self._socket.recv(1 << 16)
            except OSError as error:
                raise self._lost(error, tried) from None
            if not data:
                raise self._lost(ConnectionResetError(errno.ECONNRESET, "closed"), tried)
            self._parser.add_data(data)

    # ---- the connection --------------------------------------------------------------

    def _connect(self, address: str) -> socket.socket:
        tried = f"cannot connect to {address}"
        try:
            path = self._jeepney.bus.get_bus(address)
            connected: socket.socket = self._jeepney.io.blocking.prep_socket(path, timeout=self._left(tried))
        except OSError as error:
            raise self._lost(error, tried) from None
        except self._jeepney.auth.AuthenticationError:
            message = f"{tried}: D-Bus authentication failed"
            raise AccessDenied(message, errno=errno.EACCES, hint="the bus belongs to another user") from None
        except (RuntimeError, ValueError) as error:
            message = f"{tried}: {error}"
            raise SystemdError(message, hint="the address must have the form unix:path=…") from None
        return connected

    def _check_peer(self) -> None:
        """Raise SystemdError if systemd is outside of this PID namespace, where a pid means another process."""
        data = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, _, _ = _CREDENTIALS.unpack(data)
        if pid == 0:
            message = "cannot use this systemd: it runs outside of this PID namespace"
            raise SystemdError(message, hint="it manages the host of this container")

    def _left(self, tried: str) -> float:
        """Return the seconds left for one operation on the socket."""
        if self.deadline.is_over:
            raise _late(tried)
        return max(self.deadline.milliseconds, 1) / 1000

    def _lost(self, error: OSError, tried: str) -> CgroupError:
        self.is_lost = True
        if isinstance(error, CgroupError):
            return error
        if isinstance(error, TimeoutError):
            return _late(tried)
        kind = AccessDenied if isinstance(error, PermissionError) else SystemdError
        return kind(f"{tried}: {describe_errno(error.errno or 0)}", errno=error.errno, hint="is dbus running?")
