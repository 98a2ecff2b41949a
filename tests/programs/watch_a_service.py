import sys
import time

from cgroups import Hierarchy, Memory, Sampler

service = Hierarchy.resolve(sys.argv[1], "memory")
with Sampler([service], [Memory.usage_in_bytes, Memory.stat["pgfault"]]) as sampler:
    for _ in range(3):
        frame = sampler.sample()
        print(
            service,
            *(f"{column.key or column.parameter}: {value}" for column, value in zip(sampler.columns, frame.row(0))),
        )
        time.sleep(0.2)
