"""Find systemd's bus, and the library that talks to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from ..core.advice import install
from ..core.errors import SystemdError
from ..core.systemd import SYSTEMD, is_manager

__all__ = ["SYSTEM_BUS", "bus_address", "check_manager", "check_reachable", "library"]

SYSTEM_BUS: Final = "/run/dbus/system_bus_socket"


def library() -> Any:
    try:
        import jeepney.auth  # noqa: PLC0415 - an extra
        import jeepney.bus  # noqa: PLC0415
        import jeepney.io.blocking  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "jeepney":
            raise
        message = "cannot talk to systemd: the library jeepney is not installed"
        raise SystemdError(message, hint=install("systemd")) from None
    return jeepney


def bus_address(
    *, user: bool, environ: Mapping[str, str] = os.environ, run: str = "/run", system_bus: str = SYSTEM_BUS
) -> str:
    """Return the D-Bus address of the system's bus, or of the user's own bus.

    Raises:
        SystemdError: the bus has no socket; the hint tells the user how to start the bus.
    """
    if not user:
        address = environ.get("DBUS_SYSTEM_BUS_ADDRESS")
        if not address and not os.path.exists(system_bus):
            message = f"cannot talk to systemd: the D-Bus socket {system_bus} does not exist"
            raise SystemdError(message, path=system_bus, hint="install and start dbus")
        return address or f"unix:path={system_bus}"
    # Like systemctl: the bus of a session may differ from the bus of the user's manager.
    runtime = environ.get("XDG_RUNTIME_DIR") or f"{run}/user/{os.geteuid()}"
    if os.path.exists(f"{runtime}/bus"):
        return f"unix:path={runtime}/bus"
    address = environ.get("DBUS_SESSION_BUS_ADDRESS")
    if address:
        return address
    if os.path.isdir(f"{runtime}/systemd"):
        message = f"cannot talk to this user's systemd: the D-Bus socket {runtime}/bus does not exist"
        raise SystemdError(message, path=f"{runtime}/bus", hint="install dbus-user-session, and log in again")
    message = f"cannot talk to this user's systemd: no user manager runs at {runtime}"
    hint = "log in, or run loginctl enable-linger; XDG_RUNTIME_DIR names the directory"
    raise SystemdError(message, path=runtime, hint=hint)


def check_reachable(*, user: bool) -> None:
    """Raise SystemdError if the manager, its bus or the D-Bus library is missing, without connecting."""
    check_manager(SYSTEMD)
    library()
    bus_address(user=user)


def check_manager(directory: str) -> None:
    if not is_manager(directory):
        message = f"cannot obtain a scope: systemd does not run here ({directory} does not exist)"
        raise SystemdError(message, path=directory, hint="Hierarchy.find_or_create makes cgroups without it")
