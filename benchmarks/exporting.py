"""A scrape of the exporter, compared to the frame and the text that it cannot avoid."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from .world import fresh_cgroups

BOUND = 1.5
ROUNDS = 9


def exporting(count: int) -> dict[str, Any]:
    """Measure scrapes of the memory family of many cgroups: the ratio to a frame plus prometheus_client's own text."""
    try:
        from cgroups.prometheus import Collector  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        return {"missing": str(error)}
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415

    with fresh_cgroups("memory", count) as made, Collector(str(made[0].parent), families=["memory"]) as collector:
        registry = CollectorRegistry()
        registry.register(collector)
        generate_latest(registry)
        samplers = [sampler for subtree in collector._reader._subtrees for sampler in subtree._samplers]
        times: dict[str, list[float]] = {"frame": [], "text": [], "scrape": []}
        for _ in range(ROUNDS):
            times["frame"].append(_seconds(lambda: [sampler.sample() for sampler in samplers]))
            metrics = _Metrics(collector.collect())
            times["text"].append(_seconds(partial(generate_latest, metrics)))
            del metrics
            times["scrape"].append(_seconds(lambda: generate_latest(registry)))
    ratios = [scrape / (frame + text) for frame, text, scrape in zip(*times.values())]
    found = {f"{name} (ms)": 1000 * statistics.median(one) for name, one in times.items()}
    return {"cgroups": count, **found, "scrape, to frame and text": statistics.median(ratios)}


class _Metrics:
    """Metrics that are collected already, as a registry."""

    def __init__(self, metrics: Iterable[Any]) -> None:
        self._metrics = [*metrics]

    def collect(self) -> list[Any]:
        return self._metrics


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
