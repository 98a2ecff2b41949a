"""Metrics of cgroups for Prometheus: a collector for the registry of prometheus_client (extra ``prometheus``).

One line adds the metrics of a program's own cgroup to those that it serves already::

    prometheus_client.REGISTRY.register(cgroups.prometheus.Collector("."))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from .core.advice import install
from .core.closing import Closing
from .core.errors import InvalidValue, shown
from .core.version import VERSION
from .export.labels import identity_labels
from .export.metrics import SPELLINGS
from .export.numbers import DEFAULT
from .export.reader import Reader
from .export.selection import Selection
from .hierarchy import LOCAL

try:
    from prometheus_client import Metric
    from prometheus_client.registry import Collector as _Collector
    from prometheus_client.samples import Sample
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "prometheus_client":
        raise
    message = f"cgroups.prometheus needs prometheus-client; install it with: {install('prometheus')}"
    raise ModuleNotFoundError(message, name="prometheus_client") from None

if TYPE_CHECKING:
    from .core.values import Identity
    from .export.metrics import Metric as MetricOf
    from .export.metrics import Spelling
    from .export.reader import Readings
    from .hierarchy import Host

__all__ = ["Collector"]


class Collector(_Collector, Closing):
    """A collector of the metrics of cgroups.

    Example::

        registry = prometheus_client.CollectorRegistry()
        registry.register(cgroups.prometheus.Collector("/system.slice"))
        prometheus_client.start_http_server(9753, "127.0.0.1", registry)

    Each scrape reads one frame: see :meth:`Sampler.follow`.  A number that a cgroup does not have, a limit that is
    not set, and a cgroup that is gone have no sample.  A cgroup that was created again has a new
    ``cgroup_start_time_seconds``.

    Args:
        specs: the cgroups, each with all below: specs, names or patterns; none for all cgroups.  ``.`` is the own one.
        families: the families of metrics: ``cpu``, ``memory``, ``io``, ``pids``, ``pressure``; also ``cost``, ``tree``,
            ``processes``, ``cpuset`` and ``hugetlb``.
        depth: number of levels below; None for all.
        include: a regular expression; only cgroups whose path or identity matches are exported.
        exclude: a regular expression; cgroups whose path or identity matches are left out.
        leaves: whether to leave out cgroups that have an exported cgroup below.
        names: ``default``, or ``cadvisor`` for the names and labels of cadvisor.
        host: the host; by default this one.

    Raises:
        CgroupNotFound: a cgroup of the specs does not exist.
        InvalidValue: an argument is not valid.
    """

    def __init__(
        self,
        *specs: str,
        families: Iterable[str] = DEFAULT,
        depth: int | None = None,
        include: str | None = None,
        exclude: str | None = None,
        leaves: bool = False,
        names: str = "default",
        host: Host = LOCAL,
    ) -> None:
        if names not in SPELLINGS:
            message = f"names must be one of {', '.join(SPELLINGS)}, got {shown(names)}"
            raise InvalidValue(message)
        self._spelling: Spelling = SPELLINGS[names]
        wanted = [number for metric in self._spelling.metrics for number in metric.numbers]
        selection = Selection(host, specs, depth=depth, include=include, exclude=exclude)
        self._labels: dict[str, _Labels] = {}
        self._reader = Reader(selection, families, leaves=leaves, only=wanted)

    def describe(self) -> Iterator[Metric]:
        """Yield all metrics without samples: a registry refuses a second collector of the same names."""
        yield from (_metric(self._spelling, metric) for metric in self._spelling.metrics)
        yield from (Metric(name, text, kind) for name, (kind, text) in _EXPORTER.items())

    def collect(self) -> Iterator[Metric]:
        """Read a frame, and yield its metrics.

        Raises:
            ValueError: the collector is closed.
        """
        readings = self._reader.read()
        # The labels of 10,000 cgroups cost as much as a third of their numbers, so they are kept.
        kept, spelling = self._labels, self._spelling
        labels = {
            cgroup: kept.get(cgroup) or _Labels(spelling, cgroup, identity)
            for cgroup, identity in readings.identities.items()
        }
        self._labels = labels
        yield from _metrics(spelling, readings, labels)
        yield from _exporter(readings)

    def close(self) -> None:
        """Close the files and end the watches."""
        self._reader.close()


class _Labels:
    """The labels of a cgroup: in all metrics, and in the metric ``info``."""

    __slots__ = ("common", "info")

    def __init__(self, spelling: Spelling, cgroup: str, identity: Identity | None) -> None:
        container = (identity.container if identity is not None else None) or ""
        named = {spelling.container: container} if spelling.container else {}
        self.common = {spelling.label: cgroup, **named, **spelling.constant}
        self.info = {**self.common, **identity_labels(identity)}


def _metric(spelling: Spelling, metric: MetricOf) -> Metric:
    """Return a metric without samples."""
    name = f"{spelling.prefix}{metric.name}"
    return Metric(name.removesuffix("_total") if metric.kind == "counter" else name, metric.help, metric.kind)


def _metrics(spelling: Spelling, readings: Readings, labels: Mapping[str, _Labels]) -> Iterator[Metric]:
    common = {cgroup: one.common for cgroup, one in labels.items()}
    for metric in spelling.metrics:
        name = f"{spelling.prefix}{metric.name}"
        samples: list[Sample] = []
        for number, given in metric.numbers.items():
            for points in readings.points.get(number, ()):
                extra = {**given, **points.labels}
                if "device" in extra:
                    extra["device"] = f"{spelling.device}{extra['device']}"
                own: Iterable[dict[str, str]] = (common[cgroup] for cgroup in points.cgroups)
                if extra:
                    own = ({**one, **extra} for one in own)
                samples += [Sample(name, one, value) for one, value in zip(own, points.values)]
        if metric.name == "info":
            samples = [Sample(name, one.info, 1) for one in labels.values()]
        if samples:
            made = _metric(spelling, metric)
            made.samples = samples
            yield made


_EXPORTER: Final[Mapping[str, tuple[str, str]]] = {
    "cgroup_exporter_scrape_duration_seconds": ("gauge", "Duration of the scrape"),
    "cgroup_exporter_cgroups": ("gauge", "Cgroups of the scrape"),
    "cgroup_exporter_errors": ("counter", "Numbers that could not be read"),
    "cgroup_exporter_build_info": ("gauge", "Version of the exporter, always 1"),
}
"""Metrics of the exporter itself: the type and the description."""


def _exporter(readings: Readings) -> Iterator[Metric]:
    samples: dict[str, list[tuple[dict[str, str], float]]] = {
        "cgroup_exporter_scrape_duration_seconds": [({}, readings.seconds)],
        "cgroup_exporter_cgroups": [({}, len(readings.identities))],
        "cgroup_exporter_errors": [({"reason": reason}, count) for reason, count in readings.errors.items()],
        "cgroup_exporter_build_info": [({"version": VERSION}, 1)],
    }
    for name, (kind, text) in _EXPORTER.items():
        made = Metric(name, text, kind)
        for labels, value in samples[name]:
            made.add_sample(f"{name}_total" if kind == "counter" else name, labels, value)
        if made.samples:
            yield made
