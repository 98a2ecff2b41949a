"""Verbs: the operations on a cgroup, and on a group as a whole.  Each verb is defined and documented only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import InvalidValue
from ..core.node import Cgroups, Node
from . import empty, freeze, kill, move, remove, update

if TYPE_CHECKING:
    from ..core.tree import Tree
    from ..parameters.kinds import Parameter

__all__ = ["BaseCgroup", "C", "C_co", "Verbs"]


class Verbs:
    """The verbs of a cgroup, which is a group of one, and of a group.

    Each verb is idempotent, ends at its deadline, and tolerates cgroups and processes that appear or disappear
    meanwhile.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def cgroups(self) -> Sequence[Node]: ...

        def cgroup_with(self, parameter: Parameter) -> Node:
            """Return the cgroup that has a parameter."""

    def update(self, values: Mapping[Any, Any]) -> None:
        """Set several parameters as one: all of them or, if one is refused, none.

        Parameters that the kernel checks against each other, such as memory and memory
        with swap, are written in the order that the kernel accepts.  All values are checked
        before any is written.

        Args:
            values: the new values, by parameter or by a name such as ``"memory.max"``.

        Raises:
            InvalidValue: a value is not valid, or an old value cannot be read to be restored; nothing was written.
            CgroupError: a parameter could not be set; the hint names the old values that could not be restored.
        """
        update.update(self.cgroup_with, values)

    def move_all(self, to: Cgroups, timeout: float | None = 10.0) -> int:
        """Move all processes of this cgroup or group, not of its descendants; return the number of processes.

        Processes that are forked meanwhile are moved too.

        Args:
            to: the target cgroup or group.
            timeout: seconds to wait.

        Raises:
            CgroupTimeout: the processes fork faster than they are moved.
            InvalidValue: ``to`` is on other hierarchies.
        """
        others = {its.hierarchy: its for its in to.cgroups}
        for one in self.cgroups:
            if one.hierarchy not in others:
                message = f"cannot move the processes of {one} to {to}: the cgroups are on two hierarchies"
                raise InvalidValue(message, path=one.path)
        return move.move_all([(one, others[one.hierarchy]) for one in self.cgroups], timeout)

    def freeze(self, timeout: float | None = 10.0) -> None:
        """Freeze all processes inside and below, and wait until they are frozen.

        Source: ``cgroup.freeze``; v1: ``freezer.state``, only on the freezer's hierarchy.

        Args:
            timeout: seconds to wait.

        Raises:
            SubsystemNotAttached: no cgroup is on a hierarchy with the freezer.  On v1, name ``freezer`` among the
                controllers of a group.
            CgroupTimeout: a process did not freeze in time; the call has thawed the cgroups that it froze.
            InvalidValue: the caller itself is inside, or the cgroup is the root.
        """
        freeze.freeze(self.cgroups, timeout)

    def thaw(self, timeout: float | None = 10.0) -> None:
        """Thaw the processes, except below cgroups that are frozen themselves.

        Args:
            timeout: seconds to wait.

        Raises:
            CgroupBusy: an ancestor is frozen.
            CgroupTimeout: the processes did not thaw in time.
        """
        freeze.thaw(self.cgroups, timeout)

    def signal(self, signum: int, *, recursive: bool = True, timeout: float | None = 10.0) -> int:
        """Send a signal to each process inside and below once; return the number of processes signalled.

        Each process is opened as a pidfd and re-checked before it is signalled, so a reused pid is never hit.
        In a threaded cgroup, a process is signalled if any of its threads is in the cgroup.

        Args:
            signum: the signal, from 1 to 64, such as signal.SIGTERM.
            recursive: whether descendants are included.
            timeout: seconds for the visit of all cgroups.

        Raises:
            AccessDenied: processes belong to another user, or to a pid namespace that is not below this one.
            CgroupTimeout: not all cgroups could be visited in time; the processes of the visited ones were signalled.
        """
        return kill.signal(self.cgroups, signum, recursive=recursive, timeout=timeout)

    def kill(self, timeout: float | None = 10.0) -> int:
        """Kill all processes inside and below, and wait until they have exited; return the number of processes found.

        One write to ``cgroup.kill`` (v2, Linux 5.14) kills all processes.  Without this file the processes are frozen
        if a freezer exists, killed and thawed, until none is left.  The cgroups stay.
        Returns 0 if the cgroup is empty or does not exist.

        Args:
            timeout: seconds to wait.

        Raises:
            CgroupTimeout: processes remain after ``timeout`` seconds, usually in uninterruptible sleep.
            AccessDenied: processes belong to another user, or (without ``cgroup.kill``) have no pid here.
            InvalidValue: the caller itself is inside.
        """
        return kill.kill(self.cgroups, timeout)

    def wait_empty(self, timeout: float | None = None) -> None:
        """Wait until no process is inside or below.

        v2 notifies through ``cgroup.events``; on v1 the pidfds of the processes are polled.

        Args:
            timeout: seconds to wait; None for no limit.

        Raises:
            CgroupTimeout: processes remain after ``timeout`` seconds.
        """
        empty.wait_empty(self.cgroups, timeout)

    def remove(
        self,
        *,
        recursive: bool = False,
        kill: bool = False,
        timeout: float | None = None,
        disable_controllers: bool = False,
    ) -> None:
        """Remove the cgroup, or all cgroups of a group; with ``recursive`` remove all descendants first.

        Args:
            recursive: remove the descendants too.
            kill: kill all processes first, like :meth:`kill`.
            timeout: seconds to wait until no process is left; by default 0, and with ``kill`` 10.
                With a timeout, a cgroup that does not exist is no error.
            disable_controllers: on v2, disable the controllers that this package enabled in the parent cgroup, once the
                parent has no children.  An extended attribute of the parent's directory records these
                controllers (Linux 5.7).  A controller stays if other code enabled it, or if a sibling has it.

        Raises:
            CgroupBusy: processes are inside or, without ``recursive``, cgroups exist below.  Nothing was removed.
            CgroupGone: none of the cgroups exists.
            CgroupTimeout: a process could not be killed.
        """
        remove.remove(
            self.cgroups,
            recursive=recursive,
            kill_first=kill,
            timeout=timeout,
            disable_controllers=disable_controllers,
        )


class BaseCgroup(Node, Verbs):
    """A cgroup with all operations on it.  :class:`cgroups.Cgroup` adds the methods that watch the cgroup."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def hierarchy(self) -> Tree[BaseCgroup]: ...

    def cgroup_with(self, parameter: Parameter) -> Node:  # noqa: ARG002 - a cgroup is a group of one
        """Return this cgroup, whatever the parameter."""
        return self


if TYPE_CHECKING:
    from typing_extensions import TypeVar

    C_co = TypeVar("C_co", bound=BaseCgroup, default=BaseCgroup, covariant=True)
    C = TypeVar("C", bound=BaseCgroup, default=BaseCgroup)
else:
    import typing

    C_co = typing.TypeVar("C_co", covariant=True)
    C = typing.TypeVar("C")
"""The class of the cgroups that an object holds: for users :class:`cgroups.Cgroup`, which this layer does not know."""
