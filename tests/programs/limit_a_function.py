import os
from multiprocessing import get_context

from cgroups import Group


def call_limited(function, *args, **limits):
    with Group.temporary("call", [], **limits) as group:
        process = get_context("fork").Process(target=lambda: (group.add_process(os.getpid()), function(*args)))
        process.start()
        process.join()
        return process.exitcode


print(call_limited(bytearray, 1 << 20, memory="64M"), call_limited(bytearray, 1 << 30, memory="64M"))  # 0 -9
