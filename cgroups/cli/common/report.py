"""Show the report of a command: as text and as JSON."""

from __future__ import annotations

import os
import shlex
import signal

from ...control.placement import SYSTEMD
from ...core.seconds import NS_PER_S
from ...jobs.report import Report, Stall
from ...observe.frames import Frame
from .render import printable, size
from .values import Data, plain

__all__ = ["ENDINGS", "SHORT", "UNKNOWN", "data", "text"]


def data(report: Report) -> dict[str, Data]:
    """Return the whole report as JSON data."""
    found: dict[str, Data] = {}
    for name, value in report._asdict().items():
        match value:
            case Stall():
                found[name] = value._asdict()
            case tuple() if name == "samples":
                began = value[0].timestamp_ns if value else 0
                found[name] = [{"time_ns": one.timestamp_ns - began, **_sample(one)} for one in value]
            case tuple() if name == "fired":
                found[name] = [{"what": one.what, "file": one.file, "after": plain(one.after)} for one in value]
            case _ if name not in ("stdout", "stderr"):  # the command wrote to these streams itself
                found[name] = plain(value)
    return {**found, "exit_code": report.exit_code, "signal": report.signal}


def _sample(frame: Frame) -> dict[str, Data]:
    """Return the numbers of a frame by parameter, each from the cgroup that has it."""
    found: dict[str, Data] = {}
    for at in range(len(frame)):
        for column, value in zip(frame.columns, frame.row(at)):
            if value is not None or str(column.parameter) not in found:
                found[str(column.parameter)] = value
    return found


def text(report: Report) -> str:
    """Return the report as a few lines of text."""
    lines = {
        "command": " ".join(report.args),
        "ended": _ending(report),
        "time": _seconds(report.wall_ns),
        "cpu": _cpu(report),
        "memory": _memory(report),
        "swap": _peak(report.swap_peak) if report.swap_peak else None,
        "read": _moved(report.read_bytes, report.reads),
        "written": _moved(report.written_bytes, report.writes),
        **{f"{name} stall": _stall(getattr(report, f"{name}_stall")) for name in ("cpu", "memory", "io")},
        "oom kills": "" if report.oom_kills is None else str(report.oom_kills),
        "throttled": f"{_seconds(report.throttled_ns)} by a limit of CPU time" if report.throttled_ns else None,
        "forks": f"{report.forks_refused} refused by a limit of processes" if report.forks_refused else None,
        "faults": _faults(report),
        "switches": _switches(report),
        "place": report.place or None,
        "samples": str(len(report.samples)) if report.samples else None,
        "guards": ", ".join(f"{one.file} {one.what}: {one.after}" for one in report.fired) or None,
    }
    text = "".join(f"{name:12} {printable(line or UNKNOWN)}\n" for name, line in lines.items() if line is not None)
    text += "".join(
        f"{'io' if name == 'blkio' else name} was not measured: {printable(why)}\n"
        for name, why in report.missing.items()
    )
    text += "".join(f"note: {printable(note)}\n" for note in report.notes)
    if report.estimated:
        names = dict.fromkeys(SHORT.get(name, name) for name in report.estimated)
        text += f"estimates, from rusage and /proc: {', '.join(names)}\n"
    return text + "".join(
        f"{printable(spec)} was left by a killed runner; to remove it: {_removal(report, spec)}\n"
        for spec in report.abandoned
    )


def _peak(number: int) -> str:
    return f"{size(number)} at most"


def _faults(report: Report) -> str | None:
    if report.page_faults is None:
        return None
    return f"{report.page_faults} of pages, {report.major_faults or 0} with a read"


def _switches(report: Report) -> str | None:
    if report.voluntary_switches is None:
        return None
    return f"{report.voluntary_switches} waiting, {report.involuntary_switches} preempted"


def _removal(report: Report, spec: str) -> str:
    """Return a command to remove a cgroup, quoted for a shell: another user may have named its parents."""
    words = printable(spec)
    if report.place_kind == SYSTEMD:
        return f"systemctl {'--user ' if os.geteuid() else ''}stop {shlex.quote(words.rpartition('/')[2])}"
    return f"cgroups remove -rk {shlex.quote(words)}"


UNKNOWN = "-"

SHORT = {
    **dict.fromkeys(("cpu_ns", "user_ns", "system_ns"), "cpu"),
    **dict.fromkeys(("page_faults", "major_faults"), "faults"),
    **dict.fromkeys(("voluntary_switches", "involuntary_switches"), "switches"),
    "memory_peak": "memory",
    "swap_peak": "swap",
    "read_bytes": "read",
    "written_bytes": "written",
}
"""The line of the report that has a figure."""

ENDINGS = {
    "oom": "by the kernel: out of memory",
    "systemd-oomd": "by systemd-oomd: memory pressure",
    "timeout": "timed out",
    "guard": "by a guard",
}
"""The text of the report for each cause of a command's end."""


def _ending(report: Report) -> str:
    how = f"exit status {report.returncode}"
    if report.signal is not None:
        known = {one.value: one.name for one in signal.Signals}
        how = f"ended by {known.get(report.signal, f'signal {report.signal}')}"
    why = ENDINGS.get(report.ended_by or "")
    if why is not None:
        how += f", {why}"
    return f"{how}; processes killed: {report.killed}" if report.killed else how


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.3f} s" if nanoseconds >= NS_PER_S else f"{nanoseconds / 1e6:.3f} ms"


def _cpu(report: Report) -> str:
    if report.cpu_ns is None:
        return ""
    words = [f"{report.cpu_ns / max(1, report.wall_ns):.2f} CPUs"]
    for name, value in (("user", report.user_ns), ("system", report.system_ns)):
        words += [] if value is None else [f"{name} {_seconds(value)}"]
    return f"{_seconds(report.cpu_ns)} ({', '.join(words)})"


def _memory(report: Report) -> str:
    if report.memory_peak is None:
        return ""
    anon = "" if report.anon_peak is None else f", {size(report.anon_peak)} without page cache (sampled)"
    return f"{_peak(report.memory_peak)}{' (sampled)' if report.memory_sampled else ''}{anon}"


def _moved(number: int | None, requests: int | None) -> str:
    if number is None:
        return ""
    return size(number) if requests is None else f"{size(number)} in {requests} requests"


def _stall(stall: Stall | None) -> str:
    if stall is None or stall.some_ns is None:
        return ""
    full = "" if stall.full_ns is None else f", full {_seconds(stall.full_ns)}"
    return f"some {_seconds(stall.some_ns)}{full}"
