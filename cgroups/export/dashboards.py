"""A Grafana dashboard and alert rules of Prometheus for the exported metrics, in either spelling."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .metrics import SPELLINGS, Spelling

__all__ = ["dashboard", "rules"]

# In an expression, <cpu.usage> is the metric of a number with its labels.
_NUMBER: Final = re.compile(r"<([a-z_.]+)>")

_INSTEAD: Final = {"memory.effective_limit": "<memory.limit>", "cpu.limit": "(<cpu.quota_us> / <cpu.period_us>)"}
"""Numbers that a spelling may lack, and the nearest expression that it has."""


class Panel(NamedTuple):
    """A chart: its title, Grafana's unit, and its expressions by legend."""

    title: str
    unit: str
    lines: Mapping[str, str]


_CPU: Final = "sum by (instance, cgroup) (rate(<{}>[$__rate_interval]))"
_STALL: Final = "sum by (instance, cgroup) (rate(<pressure.{}.waiting>[$__rate_interval]))"

# A cgroup that was created and hit before its first scrape has a counter that never rises.
_AT_START: Final = "(<memory.events.oom_kill> > 0 and on (instance, cgroup) time() - <start_time> < 600)"

_PANELS: Final = (
    Panel("CPU (CPUs)", "short", {"": _CPU.format("cpu.usage"), "limit": "<cpu.limit>"}),
    Panel(
        "Throttled periods",
        "percentunit",
        {"": f"{_CPU.format('cpu.throttled_periods')} / ({_CPU.format('cpu.periods')} > 0)"},
    ),
    Panel("Working set", "bytes", {"": "<memory.working_set>", "limit": "<memory.effective_limit>"}),
    Panel(
        "Working set, as a share of the lowest limit",
        "percentunit",
        {"": "<memory.working_set> / <memory.effective_limit>"},
    ),
    Panel("OOM kills", "short", {"": "increase(<memory.events.oom_kill>[$__rate_interval]) or " + _AT_START}),
    Panel("Major page faults", "ops", {"": "rate(<memory.major_faults>[$__rate_interval])"}),
    Panel("Read", "Bps", {"": _CPU.format("io.read_bytes")}),
    Panel("Write", "Bps", {"": _CPU.format("io.write_bytes")}),
    Panel("CPU pressure", "percentunit", {"": _STALL.format("cpu")}),
    Panel("Memory pressure", "percentunit", {"": _STALL.format("memory")}),
    Panel("IO pressure", "percentunit", {"": _STALL.format("io")}),
    Panel("Processes and threads", "short", {"": "<pids.current>", "limit": "<pids.limit>"}),
)


class Alert(NamedTuple):
    """An alert rule: its name, expression, duration, severity and summary."""

    name: str
    expression: str
    duration: str
    severity: str
    summary: str


_ALERTS: Final = (
    Alert(
        "CgroupMemoryNearLimit",
        "<memory.working_set> / <memory.effective_limit> > 0.9",
        "5m",
        "warning",
        "{label} uses {{{{ $value | humanizePercentage }}}} of its memory limit, or of an ancestor's if that is lower.",
    ),
    Alert(
        "CgroupOomKill",
        "increase(<memory.events.oom_kill>[10m]) > 0 or " + _AT_START,
        "0m",
        "critical",
        "The kernel killed processes of {label} for lack of memory: its own limit, an ancestor's, or the machine's.",
    ),
    Alert(
        "CgroupThrottled",
        "rate(<cpu.throttled_periods>[5m]) / rate(<cpu.periods>[5m]) > 0.25",
        "15m",
        "warning",
        "{label} was throttled in {{{{ $value | humanizePercentage }}}} of the periods of its CPU limit.",
    ),
    Alert(
        "CgroupMemoryPressure",
        "rate(<pressure.memory.stalled>[5m]) > 0.1",
        "5m",
        "warning",
        "All tasks of {label} wait for memory {{{{ $value | humanizePercentage }}}} of the time.",
    ),
    Alert(
        "CgroupIoPressure",
        "rate(<pressure.io.stalled>[5m]) > 0.5",
        "15m",
        "warning",
        "All tasks of {label} wait for IO {{{{ $value | humanizePercentage }}}} of the time.",
    ),
    Alert(
        "CgroupCpuPressure",
        "rate(<pressure.cpu.waiting>[5m]) > 0.5",
        "15m",
        "warning",
        "Some task of {label} waits for a CPU {{{{ $value | humanizePercentage }}}} of the time.",
    ),
    Alert(
        "CgroupPidsNearLimit",
        "<pids.current> / <pids.limit> > 0.9",
        "5m",
        "warning",
        "{label} has {{{{ $value | humanizePercentage }}}} of its limit of processes and threads.",
    ),
    Alert(
        "CgroupExporterAbsent",
        "absent(cgroup_exporter_build_info)",
        "5m",
        "warning",
        "Prometheus scrapes no cgroup exporter.",
    ),
)


def dashboard(names: str = "default") -> str:
    """Return a dashboard as the JSON that Grafana imports.

    Args:
        names: the spelling of the metrics: ``default`` or ``cadvisor``.
    """
    spelling = SPELLINGS[names]
    usage = _expression(spelling, "<start_time>")
    machine = _variable("instance", "Machine", f"label_values({usage}, instance)")
    cgroup = _variable("cgroup", "Cgroup", f'label_values({usage}{{instance=~"$instance"}}, {spelling.label})')
    lines = {"name": "lines", "label": "Lines per panel", "type": "custom", "query": "20,5,10,50,100,500"}
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    made = {
        "title": "Control groups",
        "uid": f"cgroups-{names}",
        "schemaVersion": 38,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [source, machine, cgroup, lines]},
        "panels": [_panel(spelling, at, panel) for at, panel in enumerate(_PANELS)],
    }
    return json.dumps(made, indent=2) + "\n"


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    """Return a variable of the dashboard, whose values a query lists."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "query": query,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }


def _panel(spelling: Spelling, at: int, panel: Panel) -> dict[str, Any]:
    chosen = f'instance=~"$instance",{spelling.label}=~"$cgroup"'
    targets = [
        {
            "refId": chr(ord("A") + number),
            # A machine may have thousands of cgroups: a panel shows the greatest.
            "expr": f"topk($lines, {_expression(spelling, expression, chosen)})",
            "legendFormat": f"{{{{instance}}}} {{{{{spelling.label}}}}} {legend}".strip(),
        }
        for number, (legend, expression) in enumerate(panel.lines.items())
    ]
    return {
        "id": at + 1,
        "title": panel.title,
        "type": "timeseries",
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "gridPos": {"h": 8, "w": 12, "x": 12 * (at % 2), "y": 8 * (at // 2)},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def rules(names: str = "default") -> str:
    """Return alert rules as the YAML that Prometheus loads.

    Args:
        names: the spelling of the metrics: ``default`` or ``cadvisor``.
    """
    spelling = SPELLINGS[names]
    lines = ["groups:", "  - name: cgroups", "    rules:"]
    for alert in _ALERTS:
        summary = alert.summary.format(label=f"{{{{ $labels.{spelling.label} }}}} on {{{{ $labels.instance }}}}")
        lines += [
            f"      - alert: {alert.name}",
            f"        expr: {json.dumps(_expression(spelling, alert.expression))}",
            f"        for: {alert.duration}",
            "        labels:",
            f"          severity: {alert.severity}",
            "        annotations:",
            f"          summary: {json.dumps(summary)}",
        ]
    return "\n".join(lines) + "\n"


def _expression(spelling: Spelling, text: str, *chosen: str) -> str:
    names = {
        number: (f"{spelling.prefix}{one.name}", labels)
        for one in spelling.metrics
        for number, labels in one.numbers.items()
    }

    def selector(found: re.Match[str]) -> str:
        if found[1] not in names:
            return _NUMBER.sub(selector, _INSTEAD[found[1]])
        name, labels = names[found[1]]
        inner = ",".join([*(f'{label}="{value}"' for label, value in labels.items()), *chosen])
        return f"{name}{{{inner}}}" if inner else name

    return _NUMBER.sub(selector, text.replace("(instance, cgroup)", f"(instance, {spelling.label})"))
