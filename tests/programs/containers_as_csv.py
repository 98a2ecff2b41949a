import csv
import sys

from cgroups import Cpuacct, Hierarchy, Memory, Parameters

writer = csv.writer(sys.stdout)
writer.writerow(["runtime", "container", "memory", "cpu_ns"])
for cgroup in Hierarchy.find_exn("memory").walk():
    identity = cgroup.identity
    if identity is not None and identity.container:
        numbers = [Parameters.get(one, cgroup, default="") for one in (Memory.usage_in_bytes, Cpuacct.usage)]
        writer.writerow([identity.runtime, identity.container, *numbers])
