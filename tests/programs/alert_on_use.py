import sys

from cgroups import Group, Memory, Threshold

with Group.temporary("watched", ["memory"]) as group:
    high = Threshold(Memory.usage_in_bytes, above=30_000_000, interval=0.1)
    with group.events(high, timeout=60) as events:
        group.spawn([sys.executable, "-c", "x = bytearray(40 << 20); import time; time.sleep(1000)"])
        for event in events:
            print(event.cgroup, "uses", event.after, "bytes")
            break
