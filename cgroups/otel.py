"""Metrics of cgroups for OpenTelemetry: instruments of a meter provider (extra ``otel``).

One line adds the metrics of a program's own cgroup to those that it exports already::

    cgroups.otel.instrument(meter_provider, ".")
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .core.advice import install
from .core.closing import Closing
from .core.errors import InvalidValue
from .core.version import VERSION
from .export.conventions import CONVENTIONS
from .export.derived import DERIVED, NEEDS
from .export.labels import identity_labels
from .export.numbers import DEFAULT, FAMILIES, NUMBERS
from .export.reader import Reader
from .export.selection import Selection
from .hierarchy import LOCAL

try:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "opentelemetry":
        raise
    message = f"cgroups.otel needs opentelemetry-sdk; install it with: {install('otel')}"
    raise ModuleNotFoundError(message, name="opentelemetry") from None

if TYPE_CHECKING:
    from .core.values import Identity
    from .export.conventions import Convention
    from .export.reader import Readings
    from .hierarchy import Host

__all__ = ["Instrumented", "instrument"]

_ATTRIBUTES = {"container_id": "container.id", "pod_uid": "k8s.pod.uid"}


_numbers = itertools.count(1)


class Instrumented(Closing):
    """The instruments of some cgroups: see :func:`instrument`."""

    def __init__(self, reader: Reader) -> None:
        self._reader: Reader | None = reader
        self._readings: Readings | None = None
        self._served: set[str] = set()
        self._attributes: dict[str, dict[str, str]] = {}
        self.start_again()
        _instrumented.add(self)

    def start_again(self) -> None:
        """Start with a new lock: in a forked child, another thread of the parent may have held the old one."""
        self._lock = threading.Lock()

    def _current(self, name: str) -> tuple[Readings, Mapping[str, dict[str, str]]] | None:
        """Return the readings for an instrument.  All instruments of one collection share a frame.

        OpenTelemetry calls the instruments one by one and does not say where a collection begins.  It begins
        when an instrument asks for the second time.
        """
        with self._lock:
            if self._reader is None:
                return None
            if self._readings is None or name in self._served:
                before, now = self._readings, self._reader.read()
                derived = {number: [make(now, before)] for number, make in DERIVED.items()}
                self._readings = now._replace(points={**now.points, **derived})
                self._served.clear()
                kept = self._attributes
                self._attributes = {
                    cgroup: kept.get(cgroup) or _attributes(cgroup, one) for cgroup, one in now.identities.items()
                }
            self._served.add(name)
            return self._readings, self._attributes

    def callback(self, convention: Convention) -> Callable[[CallbackOptions], Iterable[Observation]]:
        """Return the function that observes a metric."""

        def observe(_: CallbackOptions) -> Iterator[Observation]:
            current = self._current(convention.name)
            if current is None:
                return
            readings, common = current
            for number, given in convention.numbers.items():
                for points in readings.points.get(number, ()):
                    extra = {**given, **{convention.labels[label]: text for label, text in points.labels.items()}}
                    for cgroup, value in zip(points.cgroups, points.values):
                        yield Observation(value, {**common[cgroup], **extra})

        return observe

    def close(self) -> None:
        """Close the files and end the watches.  The instruments then observe nothing."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
            self._reader = None


def _start_again_in_child() -> None:
    for one in _instrumented:
        one.start_again()


_instrumented: weakref.WeakSet[Instrumented] = weakref.WeakSet()
os.register_at_fork(after_in_child=_start_again_in_child)


def instrument(
    meter_provider: MeterProvider | None = None,
    *specs: str,
    families: Iterable[str] = DEFAULT,
    depth: int | None = None,
    include: str | None = None,
    exclude: str | None = None,
    leaves: bool = False,
    host: Host = LOCAL,
) -> Instrumented:
    """Create observable instruments for the metrics of cgroups.

    The attributes of each point are ``process.linux.cgroup``, the path; and ``container.id`` and ``k8s.pod.uid`` if the
    path names them.

    Example::

        provider = MeterProvider(metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
        cgroups.otel.instrument(provider, "/system.slice")

    Args:
        meter_provider: the provider; None for the global one.
        specs: the cgroups, each with all below: specs, names or patterns; none for all cgroups.  ``.`` is the own one.
        families: the families of metrics: ``cpu``, ``memory``, ``io``, ``pids``, ``pressure``.
        depth: number of levels below; None for all.
        include: a regular expression; only cgroups whose path or identity matches are exported.
        exclude: a regular expression; cgroups whose path or identity matches are left out.
        leaves: whether to leave out cgroups that have an exported cgroup below.
        host: the host; by default this one.

    Raises:
        CgroupNotFound: a cgroup of the specs does not exist.
        InvalidValue: an argument is not valid.
    """
    wanted = {*NEEDS, *(number for convention in CONVENTIONS for number in convention.numbers)}
    families = [*families]
    known = {number.family for name, number in NUMBERS.items() if name in wanted}
    for family in families:
        if family in FAMILIES and family not in known:
            message = f"the family {family} has no metrics for OpenTelemetry"
            raise InvalidValue(message, hint=f"use {', '.join(sorted(known))}")
    selection = Selection(host, specs, depth=depth, include=include, exclude=exclude)
    made = Instrumented(Reader(selection, families, leaves=leaves, only=wanted))
    # Without an attribute of its own, the SDK would drop the callbacks of a second call without a word.
    provider = meter_provider or get_meter_provider()
    meter = provider.get_meter("cgroups", VERSION, attributes={"cgroups.instrument": next(_numbers)})
    create: dict[str, Callable[..., Any]] = {
        "counter": meter.create_observable_counter,
        "updowncounter": meter.create_observable_up_down_counter,
        "gauge": meter.create_observable_gauge,
    }
    for one in CONVENTIONS:
        create[one.kind](one.name, [made.callback(one)], one.unit, one.description)
    return made


def _attributes(cgroup: str, identity: Identity | None) -> dict[str, str]:
    found = {
        _ATTRIBUTES[label]: text for label, text in identity_labels(identity).items() if label in _ATTRIBUTES and text
    }
    return {"process.linux.cgroup": cgroup, **found}
