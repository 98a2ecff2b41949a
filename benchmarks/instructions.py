"""Instruction counts of the parsers from valgrind's callgrind, which do not depend on the load of the machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .world import HERE

INSTALL = "apt-get install valgrind"
FUNCTIONS = {
    "one integer": "count_one_number",
    "memory.stat": "count_parse",
    "memory.stat, layout known": "count_parse_layout",
}
STAT = HERE.parent / "tests" / "fixtures" / "linux-6.1-v2" / "job" / "memory.stat"


def instructions() -> dict[str, Any]:
    """Count the instructions of one call of each parser; if valgrind is missing, return how to install it."""
    if shutil.which("valgrind") is None:
        return {"missing": "valgrind", "install": INSTALL}
    csrc = HERE.parent / "csrc"
    sources = [path for path in sorted(csrc.glob("*.c")) if not path.name.startswith("_")]
    with tempfile.TemporaryDirectory() as directory:
        driver = Path(directory, "parsers")
        compiler = os.environ.get("CC", "cc")
        flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-g", f"-I{csrc}", "-pthread"]
        subprocess.run([compiler, *flags, "-o", driver, HERE / "parsers.c", *sources], check=True)
        length, keys = subprocess.run([driver, STAT], check=True, capture_output=True, text=True).stdout.split()
        counts = {name: _count(driver, function) for name, function in FUNCTIONS.items()}
    return {"memory.stat": {"bytes": int(length), "keys": int(keys)}, "instructions": counts}


def _count(driver: Path, function: str) -> int:
    command = [
        *("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--toggle-collect={function}"),
        *(driver, STAT),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])
