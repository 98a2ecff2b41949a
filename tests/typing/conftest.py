"""Running mypy and pyright on programs that use the package, and which lines they find fault with."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import cgroups

PACKAGE = Path(cgroups.__file__).parent
# Of an installed package mypy finds the types itself, and refuses to be told where site-packages is.
SEARCH = "" if "site-packages" in PACKAGE.parts else f"mypy_path = {PACKAGE.parent}"

Faults = "dict[str, dict[int, str]]"


@pytest.fixture(scope="session")
def mypy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Iterable[Path]], Faults]:
    """``mypy(files)``: file name → line → message of each error of ``mypy --strict``."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    place = tmp_path_factory.mktemp("mypy")
    config = place / "mypy.ini"
    config.write_text(
        f"[mypy]\n{SEARCH}\nfollow_imports = silent\n[mypy-cgroups._native,cffi.*]\nignore_missing_imports = True\n"
    )

    def check(files: Iterable[Path]) -> Faults:
        options = ["--strict", "--no-error-summary", "--hide-error-context", "--no-pretty", "--show-error-codes"]
        command = [sys.executable, "-m", "mypy", *options, f"--config-file={config}", f"--cache-dir={place}/cache"]
        files = list(files)
        result = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=300, check=False)
        assert result.returncode in (0, 1), result.stdout + result.stderr
        faults: dict[str, dict[int, str]] = {path.name: {} for path in files}
        for path, line, message in re.findall(r"^(.+?):(\d+): error: (.*)$", result.stdout, re.MULTILINE):
            faults[Path(path).name][int(line)] = message
        assert any(faults.values()) == bool(result.returncode), result.stdout
        return faults

    return check


@pytest.fixture(scope="session")
def pyright(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Iterable[Path]], Faults]:
    """The same of pyright in its strict mode; skips where it cannot start, for want of node or of a network."""
    pytest.importorskip("pyright", reason="pyright is not installed")
    place = tmp_path_factory.mktemp("pyright")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pyright", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=place)

    try:
        started = run("--version")
    except subprocess.TimeoutExpired:
        pytest.skip("pyright does not start: it waits for node")
    if started.returncode:
        pytest.skip("pyright does not start: " + (started.stderr.strip().splitlines() or ["no message"])[-1])

    def check(files: Iterable[Path]) -> Faults:
        files = list(files)
        for path in files:  # pyright accepts only files below its project
            shutil.copy(path, place / path.name)
        settings: dict[str, Any] = {
            "include": [path.name for path in files],
            "extraPaths": [str(PACKAGE.parent)],
            "typeCheckingMode": "strict",
            "pythonVersion": "3.10",
        }
        (place / "pyrightconfig.json").write_text(json.dumps(settings))
        result = run("--outputjson", "--pythonpath", sys.executable, "--project", str(place / "pyrightconfig.json"))
        assert result.returncode in (0, 1), result.stdout + result.stderr
        report = json.loads(result.stdout)
        assert report["summary"]["filesAnalyzed"] == len(files)
        faults: dict[str, dict[int, str]] = {path.name: {} for path in files}
        for fault in report["generalDiagnostics"]:
            if fault["severity"] == "error":
                faults[Path(fault["file"]).name][fault["range"]["start"]["line"] + 1] = fault["message"]
        return faults

    return check


@pytest.fixture(scope="session")
def marked() -> Callable[[Path], set[int]]:
    """The lines that end in ``# E:`` and a reason."""
    return lambda path: {
        number for number, line in enumerate(path.read_text().splitlines(), 1) if re.search(r"# E: \S", line)
    }
