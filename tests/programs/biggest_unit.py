from cgroups import Hierarchy, Memory, Parameters

units = []
for cgroup in Hierarchy.find_exn("memory").walk():
    used = Parameters.get(Memory.usage_in_bytes, cgroup, default=None)
    if used is not None and not cgroup.is_root and not cgroup.children():
        identity = cgroup.identity
        units.append((used, identity.unit if identity and identity.unit else str(cgroup)))
for used, name in sorted(units, reverse=True)[:5]:
    print(f"{used >> 20:6} MiB  {name}")
