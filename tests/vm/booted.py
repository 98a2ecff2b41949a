"""Guests in which systemd is init: a Debian of their own, with the package in it, that runs tests/systemd.

By hand, as guests.py, with mmdebstrap installed too; CGROUPS_TESTS_WHOLE=1 runs all tests in all places:

    python tests/vm/booted.py OUT [words for pytest]
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import guests
from modes import MODES

import cgroups

PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
"""The Debian releases, and the version of their Python."""

DEBIAN = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,python3,procps,kmod,udev"
NOT_READ = ("man", "locale", "doc")

DEFAULT = ("/opt/checkout/tests/systemd",)
USER, UID = "tester", 1000
PACKAGES = "/opt/packages"

# Seconds to make the root in, and for what is run inside.
BUILD, RUN = 300, 1500

KERNEL = MODES[0]  # with the controllers of v1 too

# Of another release, what a user sees first: systemd and Python differ, and little else.
FIRST = (
    "/opt/checkout/tests/systemd/test_placement.py",
    "-k",
    "over_its_memory or temporary or aio or without_systemd",
)


@dataclass(frozen=True)
class Boot:
    """One boot: what the kernel is told, and the places that tests run in, with the fewest that do."""

    name: str
    append: str
    places: Mapping[str, int]
    suite: str = "bookworm"
    words: tuple[str, ...] = ()


BOOTS = (
    Boot("unified", "", {"root": 12, "session": 35, "service": 6}),
    Boot("hybrid", "systemd.unified_cgroup_hierarchy=0", {"hybrid": 4}),
    Boot("trixie", "", {"session": 5}, "trixie", FIRST),
)


def sources(suite: str) -> str:
    """Debian's part of what this machine's apt is set to, as lines of sources.list for a release."""
    form = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    words = ["apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian"]
    found = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    lines = [line.split() for line in dict.fromkeys(found)]
    release = next((words[2] for words in lines if words[2] in PYTHONS), "")
    # The same mirror has the other releases.
    return "".join(f"{' '.join([*words[:2], suite, *words[3:]])}\n" for words in lines if words[2] == release)


def missing() -> str | None:
    """Return what this machine lacks for systemd, besides the needs of all guests."""
    if shutil.which("mmdebstrap") is None:
        return "mmdebstrap is not installed"
    return None if sources("bookworm") else "apt has no source of Debian"


def build(root: Path, suite: str) -> None:
    """A minimal Debian, a user that lingers, and the installed package with what its tests need."""
    unread = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in NOT_READ]
    words = ["mmdebstrap", "--quiet", "--variant=minbase", *unread, f"--include={DEBIAN}", suite, str(root), "-"]
    _run(words, sources(suite))
    _run(["chroot", str(root), "useradd", "--create-home", "--uid", str(UID), USER])
    for directory in ("var/lib/systemd/linger", "out", "opt/checkout"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "var/lib/systemd/linger" / USER).touch()
    packages = root / PACKAGES[1:]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    fit = ["--only-binary=:all:", "--python-version", PYTHONS[suite], "--target", str(packages)]
    _run([*pip, *fit, "cffi", "jeepney", "pytest", "typer", "textual", "prometheus-client", "opentelemetry-sdk"])
    shutil.copytree(Path(cgroups.__file__).parent, packages / "cgroups")
    # Once here, and not in each process of the emulated machine.
    _run(["chroot", str(root), "python3", "-m", "compileall", "-q", PACKAGES])
    shutil.copytree(guests.TESTS, root / "opt/checkout/tests", ignore=shutil.ignore_patterns("vm", "__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(guests.TESTS.parent / name, root / "opt/checkout")


def _run(words: Sequence[str], given: str = "") -> None:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        words, input=given, capture_output=True, text=True, timeout=BUILD, env=environment, check=False
    )
    assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr}"


def command(boot: Boot, root: Path, out: Path) -> list[str]:
    """The root is the guest's own, and so are all changes to it."""
    words = f"vng --verbose --run {KERNEL.kernel()} --disable-kvm --force-9p --memory 1G --cpus 1 --systemd"
    bound = ["timeout", "--kill-after=10", str(guests.BOOT + RUN + guests.POWER_OFF)]
    append = f"mitigations=off tsc=reliable {boot.append}".strip()
    options = ["--root", str(root), "--rw", "--rwdir", f"/out={out}", "--append", append]
    return [*bound, *words.split(), *options, "--exec", "sh /out/run.sh"]


def run(boot: Boot, root: Path, out: Path, words: Sequence[str] = ()) -> guests.Ended:
    """Boots it, and runs the tests in each place."""
    out.mkdir(parents=True)
    out.chmod(0o1777)
    whole = os.environ.get("CGROUPS_TESTS_WHOLE", "")
    given = {"PLACES": " ".join(boot.places), "WORDS": shlex.join(words or boot.words or DEFAULT), "WHOLE": whole}
    settings = {**given, "USER": USER, "PACKAGES": PACKAGES}
    lines = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
    script = (guests.HERE / "booted.sh").read_text()
    (out / "run.sh").write_text("\n".join([*lines, script]))
    return guests.watch(command(boot, root, out), out, run=RUN)


def run_all(place: Path) -> guests.Ended:
    """Each boot, one after the other, of one root; the first that hangs is the last."""
    start = time.monotonic()
    place.mkdir()
    try:
        for boot in BOOTS:
            root = place / f"root-{boot.suite}"
            if not root.exists():
                build(root, boot.suite)
            ended = run(boot, root, place / boot.name)
            if ended.hung is not None:
                break
    finally:
        for suite in PYTHONS:
            shutil.rmtree(place / f"root-{suite}", ignore_errors=True)
    hung = ended.hung and f"{boot.name}: {ended.hung}"
    return replace(ended, hung=hung, seconds=time.monotonic() - start)


def main() -> None:
    """Keeps the root that it makes, for the next time."""
    out, *words = sys.argv[1:]
    place = Path(out).resolve()
    place.mkdir(exist_ok=True)
    for boot in BOOTS:
        root = place / f"root-{boot.suite}"
        if not root.exists():
            build(root, boot.suite)
        shutil.rmtree(place / boot.name, ignore_errors=True)
        ended = run(boot, root, place / boot.name, words)
        print(
            f"{boot.name}: {ended.seconds:.0f} s", ended.hung or "", ended.last_lines() if ended.hung else "", sep="\n"
        )
        for log in sorted((place / boot.name).glob("*.log")):
            print(log.read_text(errors="replace"))


if __name__ == "__main__":
    main()
