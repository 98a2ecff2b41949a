"""``python -m benchmarks``: ratios to the C floor of the same run, and JSON with all of it.

Needs write access to the memory hierarchy (it makes cgroups and removes them)
and, for the mount table's cases, root.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path

CHECKOUT = str(Path(__file__).resolve().parent.parent)
# `-m` puts the checkout first on the path: what is measured is what is installed.
sys.path[:] = [path for path in sys.path if str(Path(path or ".").resolve()) != CHECKOUT]

from . import cases
from .measure import Result
from .world import Floor, check_installed

FIND_BOUND_US = 6.0
IMPORT_BOUND_MS = 25.0


def show(title: str, results: list[Result]) -> None:
    print(f"\n{title}")
    for result in results:
        bound = f"bound {result.bound:.2f}  {result.verdict}" if result.bound else ""
        spread = f"{result.low:.2f} … {result.high:.2f}"
        print(f"  {result.name:28} {result.ratio:7.2f} x   ({spread:>15})  {result.ns:9.0f} ns   {bound}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="of each case; medians are of these (at least 30)")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="where the figures go")
    arguments = parser.parse_args()
    check_installed()

    floor = Floor()
    tables = []
    for title, results in cases.reading(floor, arguments.rounds):
        tables.append((title, results))
        show(title, results)
    singles: dict[str, tuple[float, float | None]] = {}
    if os.geteuid() == 0:
        title, results = cases.scanning(arguments.rounds, CHECKOUT)
        tables.append((title, results))
        show(title, results)
        singles = {
            f"{name} (us)": (value, FIND_BOUND_US if name.startswith("find") else None)
            for name, value in cases.finding(arguments.rounds).items()
        }
    else:
        print("\nnot root: the cases with mounts of their own are left out")
    singles["import cgroups (ms)"] = (cases.importing(max(arguments.rounds // 2, 15)), IMPORT_BOUND_MS)
    print()
    for name, (value, bound) in singles.items():
        verdict = "" if bound is None else f"bound {bound:5.1f}  {'within' if value <= bound else 'OVER'}"
        print(f"  {name:40} {value:8.2f}    {verdict}")

    report = {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "rounds": arguments.rounds,
        "tables": {title: [result._asdict() for result in results] for title, results in tables},
        "singles": {name: {"value": value, "bound": bound} for name, (value, bound) in singles.items()},
    }
    arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nwritten: {arguments.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
