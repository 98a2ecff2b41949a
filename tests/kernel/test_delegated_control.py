"""Starting, stopping and ending programs as an unprivileged user: below what was delegated, and beside it."""

from __future__ import annotations

from collections.abc import Callable

from common import MakeCgroup
from test_delegation import OWNER, USER


def test_the_whole_story_without_root(head: str, make_ready: MakeCgroup, run_script: Callable[..., str]) -> None:
    cgroup = make_ready(head)
    run_script(
        OWNER
        + """
import signal, subprocess
controllers = [head.split(",")[0]]
job = Group("job", controllers, parent=top).create()
assert os.stat(job.cgroups[0].path).st_uid == user
with job.spawn(["cat", "/proc/self/cgroup"], stdout=subprocess.PIPE, text=True) as process:
    assert f":{job.cgroups[0].location}\\n" in process.stdout.read()
sleeper = job.spawn(["sleep", "100"])
assert job.processes() == [sleeper.pid]
can_freeze = job.cgroups[0].version == 2 or head == "freezer"
if can_freeze:
    job.freeze()
    raises(CgroupBusy, job.spawn, ["true"])
    job.thaw()
else:
    raises(SubsystemNotAttached, job.freeze)
assert job.signal(signal.SIGUSR1) == 1 and sleeper.wait() == -signal.SIGUSR1
sleeper = job.spawn(["sleep", "100"])
other = Group("other", controllers, parent=top).create()
assert job.move_all(other) == 1 and other.processes() == [sleeper.pid]
assert other.kill() == 1 and sleeper.wait() == -signal.SIGKILL
job.wait_empty(10)
job.remove()
other.remove()
if "pids" in top.subsystems:
    with Group.temporary("cgroups-test-tmp", controllers, parent=top, limits={Pids.max: 20}) as group:
        group.update({Pids.max: 10})
        assert group.get(Pids.max) == 10
        group.spawn(["sleep", "100"])
    assert not group.exists
assert [one.name for one in top.children()] == ["inside"]
""",
        *(cgroup.hierarchy.spec_head if head else "", cgroup.location, str(USER)),
    )


def test_what_is_not_delegated_is_said(head: str, make_ready: MakeCgroup, run_script: Callable[..., str]) -> None:
    cgroup = make_ready(head)
    run_script(
        """
import subprocess
head, location, user = sys.argv[1], sys.argv[2], int(sys.argv[3])
theirs = Hierarchy.find_or_create(f"{head}:{location}/theirs")
root_s = Popen(["sleep", "100"], cgroup=theirs)
try:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            group = Group.of([theirs])
            for attempt, word in (
                (lambda: group.spawn(["true"]), "cannot start 'true' in"),
                (lambda: group.kill(1), "cannot"),
                (lambda: group.signal(15), "cannot send signal 15"),
                (lambda: group.remove(), "cannot remove"),
                (lambda: Group("below", [head.split(",")[0]], parent=theirs).create(), "cannot create"),
            ):
                error = raises(AccessDenied if word != "cannot remove" else CgroupError, attempt)
                assert word in str(error), error
                assert error.path is None or error.path.startswith(theirs.path), error.path
                if error.path is not None and word != "cannot remove":
                    assert "is owned by 0:0" in error.hint, error.hint
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert root_s.poll() is None
finally:
    root_s.kill()
    root_s.wait()
""",
        *(cgroup.hierarchy.spec_head if head else "", cgroup.location, str(USER)),
    )
