"""Feeds of pressure triggers: Documentation/accounting/psi.rst."""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING, Final

from ..core.errors import CgroupError, ParameterNotSupported, from_errno
from ..parameters.formats import pressure
from .feeds import Event, Feed, SourceGone, open_file, parse, read_text

if TYPE_CHECKING:
    from ..control.verbs import BaseCgroup

__all__ = ["SYSTEM_PRESSURE", "TriggerFeed", "refused_trigger"]

SYSTEM_PRESSURE: Final = "/proc/pressure"


class TriggerFeed(Feed):
    """A PSI trigger (Documentation/accounting/psi.rst).  Its numbers are total stall times in microseconds."""

    edge_lost_on_poll = True

    def __init__(self, cgroup: BaseCgroup | None, resource: str, state: str, spec: str) -> None:
        super().__init__(cgroup, f"{resource}.pressure" if cgroup is not None else f"{SYSTEM_PRESSURE}/{resource}")
        self._state = state
        self._total = 0
        self.fd = self.own(self._open())
        try:
            os.write(self.fd, f"{spec}\0".encode())
        except OSError as error:
            self.close()
            raise self._refused(error.errno or errno.EIO, spec) from None

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_NONBLOCK
        try:
            if self.cgroup is not None:
                return open_file(self.cgroup, self.file, flags)
            return os.open(self.file, flags | os.O_CLOEXEC)
        except OSError as error:
            if isinstance(error, CgroupError) and error.errno != errno.EPERM:
                raise  # the error already has a reason
            raise self._refused(error.errno or errno.EIO, "a trigger") from None

    def _refused(self, error: int, spec: str) -> CgroupError:
        where = self.cgroup or "the system"
        path = self.file if self.cgroup is None else f"{self.cgroup.path}/{self.file}"
        return refused_trigger(error, f"cannot watch {self.file} of {where} for {spec!r} ({path})", path)

    def begin(self, now: int) -> list[Event]:  # noqa: ARG002
        self._total = self._read()
        return []

    def woken(self, mask: int, now: int) -> list[Event]:  # noqa: ARG002
        if mask & select.EPOLLERR:
            raise SourceGone
        before, self._total = self._total, self._read()
        return [self.event(self._state, before, self._total)]

    def _read(self) -> int:
        text = read_text(self.fd)
        return int(pressure.decode(parse(pressure.shape, text, self.cgroup, self.file))[self._state]["total"])


def refused_trigger(error: int, tried: str, path: str) -> CgroupError:
    """Return the error for a trigger that the kernel refused."""
    hints = {
        errno.EINVAL: "without CAP_SYS_RESOURCE the window must be a multiple of 2 s",
        errno.EPERM: "before Linux 6.5 a trigger needs CAP_SYS_RESOURCE",
        errno.EOPNOTSUPP: "pressure stall information is off: boot with psi=1",
        errno.ENOENT: "this kernel has no such pressure file",
    }
    kind = ParameterNotSupported if error in (errno.EOPNOTSUPP, errno.ENOENT) else None
    return from_errno(error, tried, path=path, hint=hints.get(error), kind=kind)
