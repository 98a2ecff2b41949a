"""Boots a guest with this machine's file system read-only, runs the kernel tier inside, and bounds every wait.

By hand, with the interpreter of an environment in which the wheel and pytest are
installed, and with ``vng`` (virtme-ng) on the path:

    python tests/vm/guests.py v1-6.1 OUT [words for pytest]
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modes import MODES, Mode

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent

# Seconds for each part of a guest's life: emulated, on a machine that is busy with another guest too.
BOOT, RUN, POWER_OFF = 240, 1500, 60
LAST_LINES = 40

KERNEL = str(TESTS / "kernel")

# Whether all tests but those of the command run in each mode: by hand, since that takes 40 minutes.
WHOLE = os.environ.get("CGROUPS_TESTS_WHOLE") == "1"


def runs_of(mode: Mode) -> Mapping[str, Sequence[str]]:
    """The words for pytest, by backend.

    With one runs all that may differ in a mode; with the other the seed's program, and what is v2's or what writes.
    """
    where = [f"{KERNEL}/test_{name}.py" for name in mode.only]
    other = [f"{KERNEL}/test_{name}.py" for name in ("seed", "v2" if mode.v2 else "writing")]
    if WHOLE:
        where = [KERNEL, f"--ignore-glob={KERNEL}/test_cli*.py"]
    return {"native": [*where, "-m", "not anywhere"], "python": other}


# What the kernel tier multiplies its heaviest work by in a guest, where all is 20 times slower.
SCALE = "0.03"

# A wait for what comes at any moment.
MOMENT = 0.25


@dataclass(frozen=True)
class Ended:
    """How a guest ended: None, or what it was doing when its time was up."""

    hung: str | None
    seconds: float
    console: str

    def last_lines(self) -> str:
        return "\n".join(self.console.splitlines()[-LAST_LINES:])


def missing() -> str | None:
    """Return what this machine lacks to boot guests."""
    if os.getuid() != 0:
        return "only root may lend a guest the whole file system"
    for program in ("vng", "qemu-system-x86_64", "mke2fs"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    for mode in MODES:
        if mode.kernel() is None:
            return f"no kernel {mode.series} is installed in /boot"
    return None


def command(mode: Mode, out: Path, script: Path) -> list[str]:
    """Only ``out`` and a disk made for the guest can be written to."""
    words = f"vng --verbose --run {mode.kernel()} --disable-kvm --force-9p --memory 1G --cpus {mode.cpus}"
    # What protects from other guests only costs here; and the emulated clocks are one clock, however they look.
    boot = "mitigations=off tsc=reliable"
    # Ended from within too, should whoever watches be killed.
    bound = ["timeout", "--kill-after=10", str(BOOT + RUN + POWER_OFF)]
    options = ["--append", boot, "--rwdir", str(out), "--disk", str(disk(out)), "--exec", f"sh {script}"]
    return [*bound, *words.split(), *options]


def beside(out: Path, what: str) -> Path:
    """A file of the guest's that the guest does not see."""
    return out.with_name(f"{out.name}.{what}")


def disk(out: Path) -> Path:
    """An empty file system of 256 MiB, sparse."""
    image = beside(out, "img")
    with open(image, "wb") as file:
        file.truncate(256 << 20)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", image], check=True)
    return image


def write_script(mode: Mode, out: Path, runs: Mapping[str, Sequence[str]]) -> Path:
    """Write the script of the guest: its settings, the mode's mounts, and guest.sh."""
    settings = {
        "MODE": mode.name,
        "OUT": str(out),
        "PYTHON": sys.executable,
        "TESTS": str(TESTS),
        "BACKENDS": " ".join(runs),
        "CGROUPS_TESTS_SCALE": SCALE,
        "CGROUPS_TESTS_SKIPS": str(mode.skips()),
        **{f"WORDS_{backend}": shlex.join(words) for backend, words in runs.items()},
    }
    script = out / "run.sh"
    lines = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
    script.write_text("\n".join([*lines, mode.mounts(), f". {shlex.quote(str(HERE / 'guest.sh'))}", ""]))
    return script


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a guest: the process group that it was started in, which nothing else is in."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


_running: set[subprocess.Popen[bytes]] = set()


def end_all() -> None:
    """For a run that is interrupted."""
    for process in list(_running):
        end(process)


def environment(out: Path) -> dict[str, str]:
    """Return the environment of this process, without variables for its own interpreter."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "TMPDIR": str(out.parent)}


def watch(words: Sequence[str], out: Path, boot: float = BOOT, run: float = RUN, power_off: float = POWER_OFF) -> Ended:
    """Starts a guest and waits for its end, each part of it bounded: it says in ``out`` how far it is."""
    start = time.monotonic()
    log = beside(out, "console")
    with open(log, "wb") as console:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment(out),
        )
    _running.add(process)
    hung = None
    try:
        for part, mark, bound in (
            ("booting", "booted", boot),
            ("running", "ended", run),
            ("powering off", None, power_off),
        ):
            deadline = time.monotonic() + bound
            while process.poll() is None and not (mark and (out / mark).exists()):
                if time.monotonic() > deadline:
                    hung = f"{part} took more than {bound:g} s"
                    break
                time.sleep(MOMENT)
            if hung is not None:
                break
    finally:
        end(process)
        _running.discard(process)
    return Ended(hung, time.monotonic() - start, log.read_text(errors="replace").replace("\r", ""))


def run_tier(mode: Mode, out: Path, runs: Mapping[str, Sequence[str]] | None = None) -> Ended:
    """Boots a mode's kernel and runs the kernel tier, or what the words for pytest say, with each backend."""
    out.mkdir(parents=True)
    return watch(command(mode, out, write_script(mode, out, runs or runs_of(mode))), out)


def main() -> None:
    name, out, *words = sys.argv[1:]
    [mode] = [mode for mode in MODES if mode.name == name]
    ended = run_tier(mode, Path(out).resolve(), {"native": words or runs_of(mode)["native"]})
    print(f"{mode.name}: {ended.seconds:.0f} s", ended.hung or "", ended.last_lines() if ended.hung else "", sep="\n")
    print((Path(out) / "native.log").read_text(errors="replace"))


if __name__ == "__main__":
    main()
