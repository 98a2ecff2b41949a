"""CGROUPS_BACKEND, what importing costs, and where the package runs; each in an interpreter of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import cgroups
from cgroups.core.backend import Backend
from cgroups.core.interface import Directory, File

pytestmark = pytest.mark.slow  # starts processes

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name={name!r})
sys.meta_path.insert(0, Block())
"""
WITHOUT_EXTENSION = BLOCK.format(name="cgroups._native")
WITHOUT_CFFI = BLOCK.format(name="_cffi_backend") + BLOCK.format(name="cffi")


def run(code: str, backend: str | None, *flags: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("CGROUPS_BACKEND", "PYTHONWARNINGS")}
    if backend is not None:
        environment["CGROUPS_BACKEND"] = backend
    arguments = [sys.executable, *flags, "-c", code]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=60, check=False)


SHOW = "import cgroups; print(cgroups.backend)"


@pytest.fixture
def built() -> None:
    """Skips where there is no extension to choose."""
    if run("import cgroups._native", "python").returncode:
        pytest.skip("the extension was not built")


@pytest.mark.parametrize("choice", [None, "", "auto", "native"])
@pytest.mark.usefixtures("built")
def test_backend_native_chosen_is_used(choice: str | None) -> None:
    result = run(SHOW, choice, "-W", "error")
    assert (result.stdout, result.stderr) == ("native\n", "")


def test_backend_python_chosen_is_used() -> None:
    result = run(WITHOUT_EXTENSION + SHOW, "python", "-W", "error")
    assert (result.stdout, result.stderr) == ("python\n", "")


def test_backend_python_without_cffi_is_imported() -> None:
    native = "name.partition('.')[0] in ('cffi', '_cffi_backend') or name.endswith('._native')"
    code = f"{SHOW}; import sys; print([name for name in sys.modules if {native}])"
    result = run(WITHOUT_CFFI + code, "python")
    assert result.stdout == "python\n[]\n"


@pytest.mark.parametrize("choice", ["nonsense", "Native", "c", " native"])
def test_backend_unknown_choice_raises(choice: str) -> None:
    result = run(SHOW, choice)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last == f"ValueError: CGROUPS_BACKEND must be one of auto, native, python, got {choice!r}"


@pytest.mark.parametrize("choice", [None, "auto"])
def test_backend_auto_without_extension_falls_back_and_warns_once(choice: str | None) -> None:
    result = run(WITHOUT_EXTENSION + SHOW + "; import cgroups.subsystem, cgroups.hierarchy", choice, "-W", "always")
    assert result.stdout == "python\n"
    assert result.stderr.count("RuntimeWarning") == 1
    assert "reading is several times slower" in result.stderr
    assert "CGROUPS_BACKEND=python" in result.stderr


def test_backend_auto_fallback_in_the_command_prints_one_line() -> None:
    """No line of this package's source, nor of the script that imports it."""
    result = run("import sys; sys.argv[0] = '/usr/bin/cgroups'; " + WITHOUT_EXTENSION + SHOW, None, "-W", "always")
    assert result.stdout == "python\n"
    assert result.stderr.startswith("cgroups: warning: cgroups ")
    assert result.stderr.count("\n") == 1


def test_backend_native_without_extension_raises() -> None:
    result = run(WITHOUT_EXTENSION + SHOW, "native", "-W", "error")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'cgroups._native'"


@pytest.mark.parametrize("choice", ["auto", "native"])
@pytest.mark.usefixtures("built")
def test_backend_auto_broken_installation_raises(choice: str) -> None:
    """Only an extension that was not built is a reason to fall back; a missing cffi is an error."""
    result = run(WITHOUT_CFFI + SHOW, choice)
    assert result.returncode == 1
    assert "_cffi_backend" in result.stderr.splitlines()[-1]


# What nobody who reads a number asked for; typing_extensions and the like would not even be installed.
HEAVY = [
    *("typer", "click", "rich", "numpy", "typing_extensions", "setuptools"),
    *("dataclasses", "inspect", "asyncio", "socket", "subprocess", "logging", "tempfile", "pathlib", "fractions"),
    *(
        "decimal",
        "argparse",
        "json",
        "pickle",
        "unittest",
        "concurrent.futures",
        "multiprocessing",
        "ctypes",
        "pwd",
        "grp",
    ),
]


@pytest.mark.parametrize("choice", ["native", "python"])
def test_import_cgroups_loads_few_modules(choice: str, request: pytest.FixtureRequest) -> None:
    if choice == "native":
        request.getfixturevalue("built")
    # Python itself has no fstatfs(2): its backend asks the C library.
    heavy = set(HEAVY) - ({"ctypes"} if choice == "python" else set())
    loaded = f"sorted((set(sys.modules) - before) & {heavy!r})"
    code = f"import sys; before = set(sys.modules); import cgroups; print(*{loaded})"
    # Isolated and without site: what a .pth file of an environment imports is not the package's.
    path = [str(Path(cgroups.__file__).parents[1]), *filter(None, sys.path)]
    result = run(f"import sys; sys.path[:] = {path!r}\n{code}", choice, "-I", "-S")
    assert (result.stdout, result.stderr) == ("\n", "")


@pytest.mark.parametrize("platform", ["darwin", "win32", "freebsd14", "cygwin"])
def test_import_on_another_system_names_the_reason(platform: str) -> None:
    result = run(f"import sys; sys.platform = {platform!r}; {SHOW}", "python")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last == f"ImportError: cgroups: control groups need Linux, and this platform is {platform}"
    assert result.stderr.count("Traceback") == 1


def test_backends_have_the_whole_interface(implementation: ModuleType) -> None:
    names = {name for name in (*vars(Backend), *Backend.__annotations__) if not name.startswith("_")}
    assert names >= {"parse", "parse_mountinfo", "open_directory", "set_fd_budget", "NAME"}
    missing = [name for name in sorted(names) if not hasattr(implementation, name)]
    assert missing == []
    for protocol, kind in ((Directory, implementation.Directory), (File, implementation.File)):
        wanted = {name for name in vars(protocol) if not name.startswith("_") and callable(getattr(protocol, name))}
        assert [name for name in sorted(wanted) if not hasattr(kind, name)] == []


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("changed", [False, True])
def test_extension_older_than_its_sources_warns(changed: bool, tmp_path: Path) -> None:
    package, sources = Path(cgroups.__file__).parent, Path(__file__).parents[2] / "csrc"
    shutil.copytree(package, tmp_path / "cgroups", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(sources, tmp_path / "csrc")
    if changed:
        with open(tmp_path / "csrc" / "cg.h", "a") as header:
            header.write("/* changed */\n")
    result = run(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {SHOW}; print(cgroups.__file__)", "native")
    assert result.stdout == f"native\n{tmp_path}/cgroups/__init__.py\n"
    assert ("the extension is older than" in result.stderr) == changed, result.stderr


AGAIN = """
import sys
sys.path[:] = {path!r}
import cgroups
job = cgroups.Host({root!r}).find_exn(":/job/a")
sampler = cgroups.Sampler([job], [cgroups.Memory.current])
number = cgroups.Parameters.get(cgroups.Memory.current, job)
print(cgroups.backend, number, sampler.sample()[job, cgroups.Memory.current])
"""
REIMPORTED = """
import sys
exec({again!r})
old = cgroups
for name in [name for name in sys.modules if name.partition(".")[0] == "cgroups"]:
    del sys.modules[name]
exec({again!r})
assert cgroups is not old
"""
INTERPRETERS = """
try:
    import _interpreters
    made = [_interpreters.create("legacy") for _ in range(2)]
except ImportError:
    import _xxsubinterpreters as _interpreters
    made = [_interpreters.create(isolated=False) for _ in range(2)]
exec({again!r})
for one in made:
    failed = _interpreters.run_string(one, {again!r})
    assert not failed, failed
    _interpreters.destroy(one)
exec({again!r})
"""


@pytest.mark.parametrize("code", [REIMPORTED, INTERPRETERS], ids=["reimported", "interpreters"])
@pytest.mark.usefixtures("built")
def test_import_a_second_time_in_one_process_works(code: str, v2_root: Path) -> None:
    """As mod_wsgi does, which has an interpreter for each application."""
    again = AGAIN.format(path=[str(Path(cgroups.__file__).parents[1]), *filter(None, sys.path)], root=str(v2_root))
    result = run(code.format(again=again), "native")
    assert result.stderr == ""
    number = (v2_root / "sys/fs/cgroup/job/a/memory.current").read_text().strip()
    lines = result.stdout.splitlines()
    assert set(lines) == {f"native {number} {number}"}
    assert len(lines) in (2, 4)  # twice here; with two more interpreters, once in each
