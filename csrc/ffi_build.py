"""The cffi builder of ``cgroups._native``; cg_abi.h has all declarations."""

import os
import zlib
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
# setuptools requires paths relative to setup.py, with forward slashes.
SOURCES = sorted(f"csrc/{path.name}" for path in HERE.glob("cg_*.c"))
HEADERS = sorted(f"csrc/{path.name}" for path in HERE.glob("cg*.h"))

# At import, a checkout compares this with its sources, and warns if the extension is older.
CHECKSUM = zlib.crc32(b"".join((HERE.parent / name).read_bytes() for name in SOURCES + HEADERS))

ffibuilder = FFI()
ffibuilder.cdef((HERE / "cg_abi.h").read_text(encoding="utf-8") + "\n#define CG_SOURCES ...\n")
ffibuilder.set_source(
    "cgroups._native",
    '#include "cg.h"',
    sources=SOURCES,
    depends=[*HEADERS, "csrc/ffi_build.py"],
    include_dirs=["csrc"],
    define_macros=[("_GNU_SOURCE", "1"), ("CG_SOURCES", f"{CHECKSUM}LL")],
    extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden", *os.environ.get("CGROUPS_CFLAGS", "").split()],
)
