"""Events: what the kernel tells of cgroups as it happens, and guards that act on it."""
