"""The wheel and the sdist: what is in them, and what installs without a compiler, with another, on other Pythons."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "cgroups" / "guide"

SMOKE = """
import cgroups, sys
from cgroups.core import interface as _interface, backend as _backend
assert cgroups.backend == sys.argv[1], cgroups.backend
assert _backend.backend.parse(_interface.Shape.VALUE, b"42\\n") == [("", 42)]
"""


def _interpreters() -> list[str]:
    """The Pythons of this machine that the package is for, one of each version."""
    found: dict[str, str] = {}
    roots = [Path(directory) for directory in os.environ["PATH"].split(":")]
    roots += sorted(Path.home().glob(".pyenv/versions/3.*/bin"))
    for minor in range(10, 15):
        for root in roots:
            path = root / f"python3.{minor}"
            if path.exists() and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
                found.setdefault(f"3.{minor}", str(path))
    return list(found.values()) or [sys.executable]


def _environment(where: Path, interpreter: str = sys.executable) -> Path:
    subprocess.run([interpreter, "-m", "venv", where], check=True)
    return where / "bin" / "python"


def _pip(python: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments]
    environment = {**os.environ, **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def _run(python: Path, code: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CGROUPS_", "PYTHON"))}
    return subprocess.run(
        [python, "-c", code, *arguments], capture_output=True, text=True, env={**clean, **env}, cwd="/", check=False
    )


def test_the_wheel_is_abi3_and_has_the_package_alone(wheel: Path) -> None:
    assert "-cp310-abi3-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert "cgroups/_native.abi3.so" in names
    assert "cgroups/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"cgroups"}
    assert not [name for name in names if name.endswith((".c", ".h"))]
    assert {f"cgroups/guide/{page.name}" for page in GUIDE.glob("*.md")} == {
        name for name in names if "/guide/" in name
    }


def test_the_sdist_has_what_a_build_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    checkout = Path(__file__).resolve().parents[2]
    wanted = {f"csrc/{path.name}" for path in (checkout / "csrc").glob("*.[ch]")}
    wanted |= {"csrc/ffi_build.py", "setup.py", "pyproject.toml", "LICENSE", "README.md", "cgroups/py.typed"}
    wanted |= {f"cgroups/guide/{page.name}" for page in GUIDE.glob("*.md")}
    assert wanted <= names


def test_the_sdist_installs_and_runs_natively(sdist: Path, tmp_path: Path) -> None:
    python = _environment(tmp_path / "venv")
    done = _pip(python, str(sdist), env={"CGROUPS_REQUIRE_NATIVE": "1"})
    assert done.returncode == 0, done.stderr
    smoke = _run(python, SMOKE, "native")
    assert smoke.returncode == 0, smoke.stderr


def test_clang_builds_it_too(sdist: Path, tmp_path: Path) -> None:
    clang = shutil.which("clang")
    if clang is None:
        pytest.skip("clang is not installed")
    python = _environment(tmp_path / "venv")
    done = _pip(python, str(sdist), env={"CC": clang, "CGROUPS_REQUIRE_NATIVE": "1"})
    assert done.returncode == 0, done.stderr
    smoke = _run(python, SMOKE, "native")
    assert smoke.returncode == 0, smoke.stderr


# A compiler on a machine without Python's headers.
WITHOUT_HEADERS = """#!/bin/sh
for word do
    shift
    case $word in -I*python3*) ;; *) set -- "$@" "$word" ;; esac
done
exec cc "$@"
"""


@pytest.mark.parametrize(
    ("compiler", "missing"),
    [("#!/bin/false\n", "no C compiler works"), (WITHOUT_HEADERS, "Python's headers are missing")],
    ids=["no compiler", "no headers"],
)
def test_wheel_without_extension_is_for_any_platform_and_says_what_was_missing(
    compiler: str, missing: str, sdist: Path, tmp_path: Path
) -> None:
    """It is not cached, or published, as one that has the extension; the advice leads to another."""
    cc = tmp_path / "cc"
    cc.write_text(compiler)
    cc.chmod(0o755)
    python = _environment(tmp_path / "venv")
    builder = ["wheel", "-q", "--disable-pip-version-check", "--no-deps", "--no-cache-dir", "-w", str(tmp_path)]
    environment = {**os.environ, "CC": str(cc), "CGROUPS_REQUIRE_NATIVE": "0"}
    subprocess.run([python, "-m", "pip", *builder, str(sdist)], check=True, env=environment, capture_output=True)
    [built] = tmp_path.glob("*.whl")
    assert built.name.endswith("-py3-none-any.whl")
    done = _pip(python, str(built))
    assert done.returncode == 0, done.stderr
    smoke = _run(python, SMOKE, "python")
    assert smoke.returncode == 0, smoke.stderr
    assert f"was installed without its C extension, since {missing}" in smoke.stderr
    assert "--no-cache-dir" in smoke.stderr


def test_without_a_compiler_the_python_backend_is_installed_and_says_so_once(sdist: Path, tmp_path: Path) -> None:
    python = _environment(tmp_path / "venv")
    done = _pip(python, "--no-cache-dir", str(sdist), env={"CC": "/bin/false", "CGROUPS_REQUIRE_NATIVE": "0"})
    assert done.returncode == 0, done.stderr
    smoke = _run(python, SMOKE, "python")
    assert smoke.returncode == 0, smoke.stderr
    assert smoke.stderr.count("RuntimeWarning: cgroups was installed without its C extension") == 1
    silent = _run(python, SMOKE, "python", CGROUPS_BACKEND="python")
    assert (silent.returncode, silent.stderr) == (0, "")
    refused = _run(python, SMOKE, "native", CGROUPS_BACKEND="native")
    assert refused.returncode != 0
    assert "No module named 'cgroups._native'" in refused.stderr


def test_a_failed_compile_is_an_error_where_native_is_required(sdist: Path, tmp_path: Path) -> None:
    python = _environment(tmp_path / "venv")
    done = _pip(python, "--no-cache-dir", str(sdist), env={"CC": "/bin/false", "CGROUPS_REQUIRE_NATIVE": "1"})
    assert done.returncode != 0


@pytest.mark.parametrize("interpreter", _interpreters())
def test_one_wheel_is_for_every_python(interpreter: str, wheel: Path, tmp_path: Path) -> None:
    python = _environment(tmp_path / "venv", interpreter)
    done = _pip(python, str(wheel))
    assert done.returncode == 0, done.stderr
    smoke = _run(python, SMOKE, "native")
    assert smoke.returncode == 0, smoke.stderr


def test_the_project_speaks_of_no_registry() -> None:
    checkout = Path(__file__).resolve().parents[2]
    words = ("pypi." + "org", "python" + "hosted", "deb.debian" + ".org")
    files = [path for path in checkout.rglob("*") if path.suffix in (".py", ".md", ".toml", ".sh", ".c", ".h")]
    hits = [path for path in files if any(word in path.read_text(errors="replace") for word in words)]
    assert not hits
