"""systemd over D-Bus: the few calls that a delegated scope takes.  The only importer of jeepney (extra ``systemd``).

Source: org.freedesktop.systemd1(5); the newest that is used is ``AttachProcessesToUnit``, of systemd 238.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from .errors import (
    AccessDenied,
    CgroupError,
    CgroupExists,
    CgroupTimeout,
    InvalidValue,
    SystemdError,
    describe_errno,
)
from .managed import SYSTEMD, is_manager

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .deadline import Deadline

__all__ = ["Manager", "bus_address"]

SYSTEM_BUS: Final = "/run/dbus/system_bus_socket"
_NAME: Final = "org.freedesktop.systemd1"
_PATH: Final = "/org/freedesktop/systemd1"

_CREDENTIALS: Final = struct.Struct("3i")
"""``struct ucred``: process, user and group."""

_GOING: Final = frozenset({"inactive", "failed", "deactivating"})
"""The states of a unit that has ended, and that systemd forgets in a moment."""

_NO_SYSTEMD = "the bus is there, and systemd is not on it"
_REFUSED = (
    "the system's manager gives scopes to root, and to whom polkit lets do org.freedesktop.systemd1.manage-units; "
    "user=True asks one's own"
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
    "org.freedesktop.systemd1.UnitExists": (CgroupExists, "remove the group that has it, or take another name"),
}
"""What systemd's and the bus's errors mean; all others are SystemdError."""


def explain(name: str, text: str, tried: str) -> CgroupError:
    """The exception for an error of D-Bus."""
    kind, hint = _BY_NAME.get(name, (SystemdError, None))
    return kind(f"{tried}: {text or 'no reason given'} ({name})", hint=hint)


def _late(tried: str) -> CgroupTimeout:
    hint = "systemd is slow, or does not answer"
    return CgroupTimeout(f"{tried}: the time given is over", errno=errno.ETIMEDOUT, hint=hint)


def _library() -> Any:
    try:
        import jeepney.auth  # noqa: PLC0415 - an extra
        import jeepney.bus  # noqa: PLC0415
        import jeepney.io.blocking  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "jeepney":
            raise
        message = "cannot talk to systemd: the library jeepney is not installed"
        raise SystemdError(message, hint="pip install 'cgroups-cffi[systemd]'") from None
    return jeepney


def bus_address(
    *, user: bool, environ: Mapping[str, str] = os.environ, run: str = "/run", system_bus: str = SYSTEM_BUS
) -> str:
    """The address of the system's bus, or of the user's own, whose socket is there.

    Raises:
        SystemdError: it is not there; the hint says what would start it.
    """
    if not user:
        address = environ.get("DBUS_SYSTEM_BUS_ADDRESS")
        if not address and not os.path.exists(system_bus):
            message = f"cannot talk to systemd: there is no D-Bus socket {system_bus}"
            raise SystemdError(message, path=system_bus, hint="install and start dbus")
        return address or f"unix:path={system_bus}"
    # As systemctl: a session's bus need not be the one that the user's manager is on.
    runtime = environ.get("XDG_RUNTIME_DIR") or f"{run}/user/{os.geteuid()}"
    if os.path.exists(f"{runtime}/bus"):
        return f"unix:path={runtime}/bus"
    address = environ.get("DBUS_SESSION_BUS_ADDRESS")
    if address:
        return address
    if os.path.isdir(f"{runtime}/systemd"):
        message = f"cannot talk to this user's systemd: there is no D-Bus socket {runtime}/bus"
        raise SystemdError(message, path=f"{runtime}/bus", hint="install dbus-user-session, and log in again")
    message = f"cannot talk to this user's systemd: no user manager runs at {runtime}"
    hint = "log in, or run loginctl enable-linger; XDG_RUNTIME_DIR tells its place"
    raise SystemdError(message, path=runtime, hint=hint)


class Manager:
    """A connection to a manager, the system's or the user's own, as long as a ``with`` block; all of it in a time.

    Raises:
        SystemdError: there is none, or it cannot be reached.
        CgroupTimeout: it did not answer in time.
    """

    def __init__(self, *, user: bool, deadline: Deadline, directory: str = SYSTEMD) -> None:
        if not is_manager(directory):
            message = f"cannot obtain a scope: systemd does not run here ({directory} is not there)"
            raise SystemdError(message, path=directory, hint="Hierarchy.find_or_create makes cgroups without it")
        self._jeepney = _library()
        self._deadline = deadline
        self._serial = 0
        self._signals: list[Any] = []
        self._parser = self._jeepney.Parser()
        self._socket = self._connect(bus_address(user=user))
        try:
            self._check_peer()
            self._call_bus("Hello")
            # What follows is broadcast to those that asked for it alone.
            rule = f"type='signal',sender='{_NAME}',path='{_PATH}',interface='{_NAME}.Manager',member='JobRemoved'"
            self._call_bus("AddMatch", "s", (rule,))
            self.call("subscribe to systemd's signals", "Subscribe")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    # ---- what it is asked for --------------------------------------------------------

    def start_scope(self, unit: str, controllers: Sequence[str], pid: int) -> None:
        """Starts a transient scope with a process in it, that is delegated with these controllers; waits until it is.

        A unit of this name that has just ended is waited for.

        Raises:
            CgroupExists: the unit is there.
            AccessDenied: it was refused.
        """
        tried = f"cannot start {unit}"
        properties = [
            ("Description", ("s", f"Processes of {unit}, delegated to process {os.getpid()}")),
            # It says Delegate=true as well; that alone would delegate all controllers there are.
            ("DelegateControllers", ("as", list(controllers))),
            ("PIDs", ("au", [pid])),
            # One that failed is forgotten too, and its name free again.
            ("CollectMode", ("s", "inactive-or-failed")),
        ]
        body: tuple[Any, ...] = (unit, "fail", properties, [])
        while True:
            try:
                (job,) = self.call(tried, "StartTransientUnit", "ssa(sv)a(sa(sv))", body)
                break
            except CgroupExists:
                if not self._is_going(unit):
                    raise
            self._left(tried)
            self._deadline.pause()
        result = self._result_of(job, tried)
        if result != "done":
            message = f"{tried}: its job ended as {result!r}"
            raise SystemdError(message, hint=f"the journal of {unit} says why")

    def attach(self, unit: str, below: str, pid: int) -> None:
        """Moves a process of this user into a cgroup below a delegated unit, ``/name``, from wherever it is."""
        tried = f"cannot move process {pid} into {unit}{below}"
        self.call(tried, "AttachProcessesToUnit", "ssau", (unit, below, [pid]))

    def _is_going(self, unit: str) -> bool:
        """Whether a unit that was there has ended, or is about to."""
        try:
            (path,) = self.call(f"cannot look at {unit}", "GetUnit", "s", (unit,))
            address = self._jeepney.DBusAddress(path, _NAME, f"{_NAME}.Unit")
            message = self._jeepney.Properties(address).get("ActiveState")
            ((_, state),) = self._ask(message, f"cannot look at {unit}")
        except SystemdError:
            return True  # no such unit: forgotten by now
        return state in _GOING

    def _result_of(self, job: str, tried: str) -> str:
        """How a job ended; the signal may have come before the answer that names it."""
        while True:
            for signal in self._signals:
                if len(signal.body) == 4 and signal.body[1] == job:  # noqa: PLR2004 - JobRemoved: id, job, unit, result
                    return str(signal.body[3])
            self._signals.clear()
            self._signals.append(self._receive(tried))

    # ---- messages --------------------------------------------------------------------

    def call(self, tried: str, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> Any:
        """Calls a method of the manager: the answer's body."""
        address = self._jeepney.DBusAddress(_PATH, _NAME, f"{_NAME}.Manager")
        return self._ask(self._jeepney.new_method_call(address, method, signature, body), tried)

    def _call_bus(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> Any:
        name = "org.freedesktop.DBus"
        address = self._jeepney.DBusAddress("/org/freedesktop/DBus", name, name)
        return self._ask(self._jeepney.new_method_call(address, method, signature, body), "cannot use the D-Bus")

    def _ask(self, message: Any, tried: str) -> Any:
        self._serial += 1
        try:
            self._socket.settimeout(self._left(tried))
            self._socket.sendall(message.serialise(serial=self._serial))
        except OSError as error:
            raise self._lost(error, tried) from None
        fields = self._jeepney.HeaderFields
        kinds = self._jeepney.MessageType
        while True:
            answer = self._receive(tried)
            if answer.header.fields.get(fields.reply_serial) != self._serial:
                if answer.header.message_type is kinds.signal:
                    self._signals.append(answer)
                continue
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
            message = f"{tried}: it does not take this user"
            raise AccessDenied(message, errno=errno.EACCES, hint="it is another user's") from None
        except (RuntimeError, ValueError) as error:
            message = f"{tried}: {error}"
            raise SystemdError(message, hint="unix:path=… is expected") from None
        return connected

    def _check_peer(self) -> None:
        """A number of this PID namespace would be another process's in systemd's: it must not be told it."""
        data = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, _, _ = _CREDENTIALS.unpack(data)
        if pid == 0:
            message = "cannot use this systemd: it is outside of this PID namespace"
            raise SystemdError(message, hint="it manages the host that this container is on")

    def _left(self, tried: str) -> float:
        """Seconds that an operation of the socket may take."""
        if self._deadline.is_over:
            raise _late(tried)
        return max(self._deadline.milliseconds, 1) / 1000

    def _lost(self, error: OSError, tried: str) -> CgroupError:
        if isinstance(error, CgroupError):
            return error
        if isinstance(error, TimeoutError):
            return _late(tried)
        kind = AccessDenied if isinstance(error, PermissionError) else SystemdError
        return kind(f"{tried}: {describe_errno(error.errno or 0)}", errno=error.errno, hint="no D-Bus is there")
