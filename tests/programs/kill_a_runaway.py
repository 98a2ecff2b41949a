import signal

from cgroups import Cpuacct, Group, Guard

with Group.temporary("runaway", ["cpuacct"]) as group:
    with Guard(group, Cpuacct.usage, rate_above=300_000_000, action=signal.SIGKILL, interval=0.2) as guard:
        with group.spawn(["sh", "-c", "while :; do :; done"]) as process:
            process.wait()
    print("killed after", guard.fired.after, "ns of CPU a second")
    assert process.returncode == -signal.SIGKILL
