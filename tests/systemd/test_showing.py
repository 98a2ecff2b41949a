"""Show numbers of your own subtree: with the exporter, a recording, and the full screen of ``watch``."""

from __future__ import annotations

from collections.abc import Callable

from conftest import at

Run = Callable[..., str]

JOB = """
group = obtain(controllers=("cpu", "memory", "pids"))
group.set(Memory.limit_in_bytes, 64 << 20)
child = sleep()
group.add_process(child.pid)
TOP = group.places[0].location
JOB = f"{TOP}/{NAME}"
COMMAND = [sys.executable, "-m", "cgroups"]

def command(*words):
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=80)
    assert done.returncode == 0, done.stderr
    return done.stdout
"""
"""A limited cgroup with one process, and a function that runs the command."""

END = """
child.kill()
child.wait()
group.remove(timeout=60)
assert is_gone()
"""


@at("session", whole=("root", "service"))
def test_export_once_has_the_limit_of_the_own_job(run_script: Run) -> None:
    look = """
text = command("export", TOP, "--once")
numbers = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
assert float(numbers['cgroup_memory_limit_bytes{cgroup="%s"}' % JOB]) == 64 << 20, text
assert float(numbers['cgroup_pids{cgroup="%s"}' % JOB]) == 1, text
"""
    run_script(JOB + look + END)


@at("session", whole=("root", "service"))
def test_record_has_the_vitals_of_the_own_job(run_script: Run) -> None:
    look = """
import csv, tempfile
with tempfile.TemporaryDirectory() as directory:
    command("record", JOB, "-o", f"{directory}/a.csv", "-i", "0.5", "-d", "2")
    with open(f"{directory}/a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
assert len(rows) >= 2, rows
assert {row["pids"] for row in rows} == {"1"}, rows
assert all(float(row["limit"]) == 64 << 20 for row in rows), rows
"""
    run_script(JOB + look + END)


@at("session", whole=("root", "service"))
def test_watch_full_screen_signals_the_own_job(run_script: Run) -> None:
    look = """
sys.path.append("/opt/checkout/tests/kernel")
import signal
from common import Terminal
screen = Terminal(*COMMAND, "watch", JOB, "-i", "1")
screen.resize(30, 110)
screen.read("1 cgroup")
screen.type("k")
screen.read("Signal: ")
screen.type("\\x15USR1\\r")
screen.read("[y/N]")
screen.type("y")
screen.read("signalled")
assert child.wait(20) == -signal.SIGUSR1
screen.type("q")
assert screen.wait() == 0, screen.text
"""
    run_script(JOB + look + END.replace("child.kill()\nchild.wait()\n", ""))
