from pathlib import Path

from cgroups import CgroupGone, Hierarchy

for cgroup in Hierarchy.own("").hierarchy.root().walk() if Hierarchy.find(":/") else Hierarchy.find_exn("pids").walk():
    try:
        names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in cgroup.processes()]
    except (CgroupGone, FileNotFoundError, ProcessLookupError):
        continue  # it has ended meanwhile
    if names:
        print(cgroup.location, *sorted(set(names)))
