"""Watched: the mixin that gives cgroups and groups the method ``events``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from ..control.verbs import C_co

if TYPE_CHECKING:
    from .events import Events, Wanted

__all__ = ["Watched"]


class Watched(Generic[C_co]):
    """A mixin for objects with cgroups."""

    __slots__ = ()

    def events(self, *sources: Wanted, timeout: float | None = None) -> Events[C_co]:
        """Watch for events: ``for event in cgroup.events(timeout=60)``; see :class:`Events`.

        Args:
            sources: the sources to watch, such as ``Oom()``; by default all that the kernel notifies of.
            timeout: seconds until the iteration ends.
        """
        from .events import Events  # noqa: PLC0415 - importing this package has to stay cheap

        target: Any = self
        return Events(target, *sources, timeout=timeout)
