"""Linux control groups, v1, v2 and hybrid hosts."""
from .host import Host
from .hierarchy import Hierarchy, Cgroup
