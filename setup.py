"""What pyproject.toml cannot say: the cffi module, its optionality and the wheel's tag."""

import os
import sysconfig

from setuptools import setup
from setuptools.command.build_ext import build_ext


class OptionalBuildExt(build_ext):
    """Without a compiler the package installs with its Python backend alone."""

    def build_extension(self, ext):
        ext.optional = os.environ.get("CGROUPS_REQUIRE_NATIVE", "") in ("", "0")
        super().build_extension(ext)


# The limited API covers every CPython from 3.10 on, but no free-threaded one.
abi3 = not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    cffi_modules=["csrc/ffi_build.py:ffibuilder"],
    cmdclass={"build_ext": OptionalBuildExt},
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if abi3 else {},
)
