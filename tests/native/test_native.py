"""The C layer without Python: compiled with every warning and sanitizer, and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CSRC = HERE.parent.parent / "csrc"
SOURCES = sorted(path for path in CSRC.glob("*.c") if not path.name.startswith("_"))
CI = os.environ.get("CI") == "true"

WARNINGS = ("-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-g")
ADDRESS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1")
THREAD = ("-fsanitize=thread", "-O1", "-DROUNDS=1000")

TESTS = (
    *("shapes", "shape_space", "layout", "mountinfo", "own_mountinfo", "read_all", "mounts_check"),
    *("mounts_check_enosys", "mounts_check_eperm"),
    *("beneath", "beneath_enosys", "beneath_eperm", "budget", "destroy_order", "read", "not_kept"),
    *(
        "sampler",
        "sampler_texts",
        "sampler_rows",
        "sampler_errors",
        "budget_batch",
        "no_descriptor",
        "cut_reads",
        "programs",
    ),
    *("recorder", "recorder_fork", "recorder_end", "recorder_takers", "references"),
    *("spawn", "spawn_files", "spawn_closes", "spawn_fails", "spawn_signals", "spawn_threads", "spawn_identity"),
    *("spawn_memory", "spawn_no_identity", "spawn_timeout", "spawn_interrupted", "spawn_paused", "spawn_killed"),
    *("spawn_no_robust_list", "spawn_beside_forks"),
    *("threads", "fork"),
)
COMPILERS = ("gcc", "clang")
"""Each test is collected for both, whichever is there: what cannot run is skipped by name, and fails in CI."""

RACES = ("threads", "recorder", "recorder_takers", "references", "spawn_threads")

ABORTS = pytest.mark.skip(reason="the thread sanitizer of clang 14 aborts in a child made by clone(2)")


@cache
def _links(compiler: str, sanitizer: str) -> bool:
    """Return whether a compiler has the run-time library of a sanitizer, which is often a separate package."""
    command = [compiler, f"-fsanitize={sanitizer}", "-x", "c", "-", "-o", os.devnull]
    return (
        subprocess.run(command, input=b"int main(void) { return 0; }", check=False, capture_output=True).returncode == 0
    )


Build = Callable[..., Path]


def need(tool: str) -> str:
    """The tool's path; without it, a failure in CI and a skip elsewhere."""
    found = shutil.which(tool)
    if found is None:
        (pytest.fail if CI else pytest.skip)(f"{tool} is not installed")
    return found


def need_sanitizer(compiler: str, sanitizer: str) -> None:
    """The same for a compiler with the run-time library of a sanitizer."""
    need(compiler)
    if not _links(compiler, sanitizer):
        package = f"libclang-rt-{_major(compiler)}-dev" if compiler == "clang" else "the sanitizers of gcc"
        (pytest.fail if CI else pytest.skip)(f"{compiler} has no {sanitizer} sanitizer: install {package}")


def _major(compiler: str) -> str:
    return subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=True).stdout.split(".")[0]


def run(*command: object, timeout: float = 120, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "ASAN_OPTIONS": "detect_stack_use_after_return=1", **environment},
    )
    assert done.returncode == 0, f"{command[0]} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """``build(compiler, "main", flags)`` compiles csrc and the tests, once, with main.c or fuzz_main.c."""
    built: dict[tuple[object, ...], Path] = {}

    def make(compiler: str, kind: str, flags: tuple[str, ...]) -> Path:
        key = (compiler, kind, flags)
        need_sanitizer(compiler, flags[0].removeprefix("-fsanitize="))
        if key not in built:
            tests = (
                sorted(HERE.glob("test_*.c")) + [HERE / "main.c"] if kind == "main" else sorted(HERE.glob("fuzz*.c"))
            )
            binary = tmp_path_factory.mktemp("native") / kind
            wrap = [f"-Wl,--wrap={name}" for name in ("malloc", "calloc", "realloc", "pread")] if kind == "main" else []
            run(need(compiler), *WARNINGS, *flags, f"-I{CSRC}", *SOURCES, *tests, "-o", binary, "-pthread", *wrap)
            built[key] = binary
        return built[key]

    return make


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_test_is_run(compiler: str, build: Build) -> None:
    assert run(build(compiler, "main", ADDRESS)).split() == list(TESTS)


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_under_address_sanitizer(compiler: str, name: str, build: Build, tmp_path: Path) -> None:
    assert run(build(compiler, "main", ADDRESS), name, tmp_path) == ""


@pytest.mark.parametrize("name", ["threads", "fork"])
def test_few_descriptors_suffice(name: str, build: Build, tmp_path: Path) -> None:
    """The soft limit of most systems: what many threads have open stays below it."""
    binary = build("gcc", "main", ADDRESS)
    assert run("prlimit", "--nofile=1024:1024", binary, name, tmp_path) == ""


@pytest.mark.parametrize(
    ("compiler", "name"),
    [
        pytest.param(compiler, name, marks=ABORTS if (compiler, name) == ("clang", "spawn_threads") else ())
        for compiler in COMPILERS
        for name in RACES
    ],
)
def test_under_thread_sanitizer(compiler: str, name: str, build: Build, tmp_path: Path) -> None:
    options = {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:die_after_fork=0"}
    assert run(build(compiler, "main", THREAD), name, tmp_path, **options) == ""


@pytest.mark.parametrize("compiler", COMPILERS)
def test_fuzz(compiler: str, build: Build, fixtures: Path) -> None:
    seeds = sorted(path for path in fixtures.rglob("*") if path.is_file() and path.stat().st_size)
    seconds = 2
    runs = int(run(build(compiler, "fuzz", ADDRESS), seconds, *seeds))
    assert runs > 1000


@pytest.mark.parametrize("compiler", COMPILERS)
def test_compiles_without_a_warning(compiler: str, tmp_path: Path) -> None:
    for source in (*SOURCES, *sorted(HERE.glob("*.c"))):
        run(need(compiler), *WARNINGS, "-O2", f"-I{CSRC}", "-c", source, "-o", tmp_path / "one.o")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
@pytest.mark.parametrize("compiler", ["cc", *COMPILERS])
def test_source_compiles_alone(compiler: str, source: Path, tmp_path: Path) -> None:
    run(need(compiler), "-std=c11", "-D_GNU_SOURCE", "-c", source, "-o", tmp_path / "one.o")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_source_compiles_with_musl(source: Path, tmp_path: Path) -> None:
    """musl 1.2 has fewer declarations than glibc: musl-tools of Debian 12 is 1.2.3."""
    run(need("musl-gcc"), *WARNINGS, "-O2", "-c", source, "-o", tmp_path / "one.o")


# What may be called between clone and exec: none of these locks, allocates or is a cancellation point.  The loader
# has resolved them before, because Python loads extensions with RTLD_NOW.
IN_CHILD = {"syscall", "memcpy", "memset", "strlen"}
# errno's address, and what compilers and hardening add.
OF_THE_COMPILER = {"__errno_location", "___errno_location", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}


@pytest.mark.parametrize("flags", [("-O0",), ("-O2", "-fPIC"), ("-O2", "-fstack-protector-strong")], ids=" ".join)
@pytest.mark.parametrize("compiler", [*COMPILERS, "musl-gcc"])
def test_child_calls_nothing_that_may_lock(compiler: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    """A copy of the caller's memory has its other threads' locks, which nobody releases there."""
    run(need(compiler), *WARNINGS, *flags, "-c", CSRC / "cg_child.c", "-o", tmp_path / "child.o")
    called = {line.split()[-1] for line in run(need("nm"), "--undefined-only", tmp_path / "child.o").splitlines()}
    assert "syscall" in called
    assert called <= IN_CHILD | OF_THE_COMPILER


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_no_function_of_the_child_is_instrumented(compiler: str, sanitizer: str, tmp_path: Path) -> None:
    """A sanitizer's marks on the child's stack would stay in the caller's, because the child never returns."""
    run(need(compiler), *WARNINGS, f"-fsanitize={sanitizer}", "-O1", "-S", CSRC / "cg_child.c", "-o", tmp_path / "a.s")
    text = (tmp_path / "a.s").read_text()
    calls = set(re.findall(r"\b__(?:asan|tsan)_\w+", text))
    # What the file itself, not a function, has: it is registered when it is loaded.
    assert {
        name for name in calls if not re.search(r"_(init|version\w*|(un)?register_\w+|globals_registered)$", name)
    } == set()


def test_sources_are_there() -> None:
    names = {path.name for path in SOURCES}
    assert {"cg_parse.c", "cg_mountinfo.c", "cg_read.c", "cg_cache.c", "cg_sampler.c"} <= names


@pytest.mark.parametrize("path", sorted(CSRC.glob("*.[ch]")), ids=lambda path: path.name)
def test_no_source_includes_python(path: Path) -> None:
    if path.name.startswith("_native"):
        return  # what cffi made
    assert not re.search(r"#\s*include\s*[<\"]\s*(Python\.h|pyconfig\.h)", path.read_text())


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_no_header_of_python_is_reached(source: Path) -> None:
    found = run(need("cc"), "-std=c11", "-D_GNU_SOURCE", "-M", source)
    assert "cg_abi.h" in found
    assert "Python.h" not in found
