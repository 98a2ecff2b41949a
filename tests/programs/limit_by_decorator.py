import functools
import sys

from cgroups import run


def limited(**limits):
    return lambda command: functools.wraps(command)(lambda *args: run(command(*args), check=True, **limits))


@limited(memory="256M", cpus="50%", pids=50, capture_output=True, text=True)
def version(module):
    return [sys.executable, "-c", f"import {module}; print({module}.__name__)"]


print(version("json").stdout)
