"""Build what pyproject.toml cannot describe: the cffi module, which is optional, and the wheel's tag."""

import os
import sysconfig
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

REQUIRED = os.environ.get("CGROUPS_REQUIRE_NATIVE", "") not in ("", "0")

# The first of these that does not compile says what a failed build lacked; cgroups/core/backend.py repeats it.
PROBES = (
    ("int main(void) { return 0; }", "no C compiler works"),
    ("#include <stdio.h>", "the C library's headers are missing (Debian: libc6-dev)"),
    ("#include <Python.h>", "Python's headers are missing (Debian: python3-dev)"),
)
OTHERWISE = "its C sources did not compile"
REASON_FILE = "without_extension.txt"


class OptionalBuildExt(build_ext):
    """Without a compiler the package installs with its Python backend only, and records why."""

    def build_extension(self, ext):
        try:
            super().build_extension(ext)
        except (BaseError, CCompilerError, OSError) as error:
            if REQUIRED:
                raise
            reason = self.missing()
            self.warn(f"building without the C extension, since {reason}: {error}")
            self.extensions.remove(ext)
            if not self.inplace:
                self.record(reason)

    def record(self, reason):
        target = Path(self.build_lib, "cgroups", REASON_FILE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(reason, encoding="utf-8")

    def missing(self):
        """Return what the build lacked."""
        return next((reason for text, reason in PROBES if not self.compiles(text)), OTHERWISE)

    def compiles(self, text):
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory, "probe.c")
            source.write_text(text + "\n", encoding="utf-8")
            try:
                self.compiler.compile([str(source)], output_dir=directory, include_dirs=self.include_dirs)
            except (BaseError, CCompilerError, OSError):
                return False
            return True


class TaggedWheel(bdist_wheel):
    """A wheel without the extension is for every platform, and is not taken for one that has it."""

    def run(self):
        self.reinitialize_command("build_ext").inplace = False
        self.run_command("build")
        self.root_is_pure = not self.get_finalized_command("build_ext").extensions
        super().run()


# The limited API covers every CPython from 3.10 on, but no free-threaded one.
abi3 = not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    cffi_modules=["csrc/ffi_build.py:ffibuilder"],
    cmdclass={"build_ext": OptionalBuildExt, "bdist_wheel": TaggedWheel},
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if abi3 else {},
)
