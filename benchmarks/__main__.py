"""``python -m benchmarks``: print ratios to the C floor of the same run, and write all figures as JSON.

The benchmarks need write access to the memory hierarchy, where they create and
remove cgroups.  The cases of the mount table need root.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from . import CHECKOUT, cases, exporting, finding, instructions, memory, placing, recording, spawning
from .chart import chart
from .measure import Result
from .peers import PEERS, Peers
from .world import Floor, check_installed, machine

FIND_BOUND_US = 6.0
IMPORT_BOUND_MS = 25.0


def show(title: str, results: list[Result]) -> None:
    print(f"\n{title}")
    for result in results:
        bound = f"bound {result.bound:.2f}  {result.verdict}" if result.bound else ""
        spread = f"{result.low:.2f} … {result.high:.2f}"
        print(f"  {result.name:40} {result.ratio:7.2f} x   ({spread:>15})  {result.ns:9.0f} ns   {bound}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=60, help="rounds of each case, for the medians; at least 30; default: 60"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("benchmarks.json"), help="file for the figures; default: benchmarks.json"
    )
    parser.add_argument(
        "--quick", action="store_true", help="run 5 rounds, at most 100 cgroups, and 1 second of recording"
    )
    parser.add_argument(
        "--long", action="store_true", help="also sample a million frames, to check that memory does not grow"
    )
    parser.add_argument("--chart", type=Path, help="file for a chart of the ratios, .svg or .png; needs matplotlib")
    arguments = parser.parse_args()
    check_installed()
    rounds = 5 if arguments.quick else arguments.rounds
    most = 100 if arguments.quick else cases.SIZES[-1]

    peers = Peers(PEERS)
    report: dict[str, Any] = {"machine": machine(), "rounds": rounds, "peers": peers.versions, "missing": peers.missing}
    figures("measured with", {**report["machine"], **peers.versions}, {})
    for name, install in peers.missing.items():
        print(f"  {name:40} missing: {install}")
    floor = Floor()
    tables: dict[str, list[Result]] = {}
    for title, results in cases.reading(floor, peers, rounds):
        tables[title] = results
        show(title, results)
    report["works"] = list(tables)
    for title, results in cases.sizes(floor, rounds, most):
        tables[title] = results
        show(title, results)
    report["recorder"] = recording.recording(floor, 1 if arguments.quick else 60)
    figures("the recorder, 100 cgroups x 5 parameters at 1 kHz", report["recorder"], recording.BOUNDS)
    report["memory"] = memory.memory(most, frames=memory.FRAMES if arguments.long else 0)
    figures("memory", report["memory"], {"bytes_a_cell": memory.BOUND_BYTES})
    report["spawning"] = spawning.spawning(rounds)
    figures("a program started inside its cgroups", report["spawning"], {"v": spawning.BOUND})
    report["placing"] = placing.placing(rounds)
    bounds = {"own cgroup, to": placing.OWN_BOUND, "scope, to": placing.SCOPE_BOUND}
    figures("a command in cgroups of its own", report["placing"], bounds)
    report["exporting"] = exporting.exporting(most)
    figures("a scrape of the exporter", report["exporting"], {"scrape, to": exporting.BOUND})
    report["instructions"] = instructions.instructions()
    figures("instructions", report["instructions"].get("instructions", report["instructions"]), {})
    if not arguments.quick:
        report["once"] = once(tables, rounds)
        figures("once", report["once"], {"find": FIND_BOUND_US, "import": IMPORT_BOUND_MS})
    report["tables"] = {title: [result._asdict() for result in results] for title, results in tables.items()}
    arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nwritten: {arguments.json}")
    if arguments.chart is not None:
        chart(report, arguments.chart)
        print(f"written: {arguments.chart}")
    return 0


def once(tables: dict[str, list[Result]], rounds: int) -> dict[str, float]:
    """Measure finding, in a mount namespace, and importing."""
    singles: dict[str, float] = {}
    if os.geteuid() == 0:
        title, results = finding.scanning(rounds, CHECKOUT)
        tables[title] = results
        show(title, results)
        singles = {f"{name} (us)": value for name, value in finding.finding(rounds).items()}
    else:
        print("\nnot root: the cases that need a mount namespace are skipped")
    singles["import cgroups (ms)"] = finding.importing(max(rounds // 2, 15))
    return singles


def figures(title: str, found: dict[str, Any], bounds: dict[str, float]) -> None:
    print(f"\n{title}")
    for name, value in found.items():
        bound = next((one for begin, one in bounds.items() if name.startswith(begin)), None)
        verdict = "" if bound is None else f"bound {bound:g}  {'within' if value <= bound else 'OVER'}"
        print(f"  {name:48} {f'{value:.2f}' if isinstance(value, float) else value:>12}    {verdict}")


if __name__ == "__main__":
    sys.exit(main())
