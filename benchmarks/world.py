"""The environment of a run: new cgroups, mounts in a new namespace, and the C floor."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cffi import FFI

import cgroups
from cgroups import Cgroup, Hierarchy

HERE = Path(__file__).resolve().parent
BUFFER = 16384

_DECLARATIONS = """
long floor_pread(const int *fds, size_t count, char *buffer, size_t size);
long floor_open_read_close(const char *const *paths, size_t count, char *buffer, size_t size);
int64_t floor_ticks(const int *fds, size_t count, char *buffer, size_t size, int64_t interval, size_t ticks,
                    size_t *missed_ret);
long floor_read_all(const char *path, char *buffer, size_t size);
"""


def check_installed() -> None:
    """Exit unless the installed package is measured, with its C extension."""
    where = Path(cgroups.__file__).resolve().parent
    if where.parent == HERE.parent:
        sys.exit(f"benchmarks: {where} is the checkout; install the package first: pip install .")
    if cgroups.backend != "native":
        sys.exit(f"benchmarks: the backend must be native, got {cgroups.backend}")


def compiled(source: str, declarations: str, *flags: str) -> tuple[FFI, Any]:
    """Compile a C file for this run."""
    ffi = FFI()
    ffi.cdef(declarations)
    compiler = os.environ.get("CC", "cc")
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory, "compiled.so")
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", library, HERE / source, *flags]
        subprocess.run(command, check=True, capture_output=True)
        return ffi, ffi.dlopen(str(library))


class Floor:
    """The functions of floor.c."""

    def __init__(self) -> None:
        self._ffi, self._lib = compiled("floor.c", _DECLARATIONS)
        self._buffer = self._ffi.new("char[]", 8 << 20)
        self._kept: list[Any] = []

    def pread(self, fds: Sequence[int]) -> Any:
        """Return a pass over files that stay open."""
        array = self._ffi.new("int[]", fds)
        call, buffer, count = self._lib.floor_pread, self._buffer, len(fds)
        return lambda: call(array, count, buffer, BUFFER)

    def open_read_close(self, paths: Sequence[str]) -> Any:
        """Return a pass that opens and closes each file."""
        names = [self._ffi.new("char[]", path.encode()) for path in paths]
        array = self._ffi.new("char *[]", names)
        call, buffer, count = self._lib.floor_open_read_close, self._buffer, len(names)
        self._kept += [names, array]  # C has only the addresses of these objects
        cast = self._ffi.cast("const char **", array)
        return lambda: call(cast, count, buffer, BUFFER)

    def ticks(self, fds: Sequence[int], interval_ns: int, ticks: int) -> tuple[int, int]:
        """Make one pass per tick of a timer; return the CPU time in nanoseconds, and the missed ticks."""
        missed = self._ffi.new("size_t *")
        spent: int = self._lib.floor_ticks(fds, len(fds), self._buffer, BUFFER, interval_ns, ticks, missed)
        return spent, missed[0]

    def read_all(self, path: str) -> Any:
        """Return a pass that reads one file of any length, such as a mount table."""
        name, call, buffer = path.encode(), self._lib.floor_read_all, self._buffer
        return lambda: call(name, buffer, 8 << 20)


def machine() -> dict[str, str]:
    """Return the versions and the machine of the figures."""
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").open() if line.startswith("model name")]
    return {
        "cgroups": importlib.metadata.version("cgroups-cffi"),
        "Python": platform.python_version(),
        "kernel": platform.release(),
        "processor": models[0] if models else platform.machine(),
        "processors": str(os.cpu_count()),
        "load, 1 minute": f"{os.getloadavg()[0]:.2f}",
    }


@contextlib.contextmanager
def open_files(paths: Sequence[str]) -> Iterator[list[int]]:
    """Keep files open; yield their descriptors."""
    fds: list[int] = []
    try:
        fds.extend(os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in paths)
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


@contextlib.contextmanager
def fresh_cgroups(controller: str, count: int, name: str = "cgroups-bench") -> Iterator[list[Cgroup]]:
    """Create cgroups below a new one of this run; remove all at the end."""
    top = Hierarchy.find_or_create(f"{controller}:/{name}-{os.getpid()}")
    try:
        yield [top.make_sub(f"{i:05}") for i in range(count)]
    finally:
        top.remove(recursive=True)


def in_namespace(mounts: int, code: str) -> str:
    """Run Python code in a new mount namespace with more mounts; return its output."""
    script = (
        "set -e; mount --make-rprivate /; d=$(mktemp -d); mount -t tmpfs none $d; "
        f"for i in $(seq {mounts}); do mkdir $d/$i; mount --bind $d/$i $d/$i; done; "
        'exec "$0" -c "$1"'
    )
    command = ["unshare", "-m", "sh", "-c", script, sys.executable, code]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout
