"""A kernel that is newer than the package: new keys, columns and files change nothing of what is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cgroups import Cgroup, Converter, Host, Parameters, Subsystem
from cgroups.core.interface import Shape
from cgroups.parameters.bindings import File

CAPTURES = Path(__file__).parents[1] / "fixtures"
INNER = "/cgroups-capture/inner"


def _each_line(text: str, change: Callable[[str], str]) -> str:
    return "".join(change(line) + "\n" for line in text.splitlines() if line.strip())


# What a newer kernel may add to a file of each shape; the others have no room for anything.
ADDITIONS: dict[Shape, list[Callable[[str], str]]] = {
    Shape.KEYED: [
        lambda text: text + "brand_new 12345\n",
        lambda text: "brand_new 12345\n" + text,
        lambda text: _each_line(text, lambda line: line + " 7 more"),
    ],
    Shape.NESTED: [
        lambda text: _each_line(text, lambda line: f"{line.rstrip()} brand_new=5"),
        lambda text: _each_line(text, lambda line: f"{line.rstrip()} brand_new=words"),
    ],
    Shape.WORDS: [lambda text: text.rstrip("\n") + " brand_new\n"],
}


def _shapes() -> dict[str, Shape]:
    """The shape of each control file that one parameter stands for."""
    found = {}
    for parameter in Subsystem.parameters():
        for version in (1, 2):
            if parameter.files(version):
                binding = parameter.binding(version)
                binding = getattr(binding, "_file", binding)  # of those whose set replaces
                if isinstance(binding, File):
                    found[binding.name] = Shape(binding.codec.shape) if hasattr(binding.codec, "shape") else Shape.VALUE
    return found


def _is_captured(version: int, parameter: Any, name: str) -> bool:
    v1 = CAPTURES / "linux-6.18-v1" / f"{parameter.controller or 'unified'}{INNER}"
    return ((CAPTURES / "linux-6.1-v2/job/a" if version == 2 else v1) / name).exists()


SHAPES = _shapes()
CASES = [
    (version, parameter, name)
    for parameter in Subsystem.parameters()
    if isinstance(parameter, Parameters.Readable)
    for version in (1, 2)
    for name in parameter.files(version)
    if SHAPES.get(name) in ADDITIONS and _is_captured(version, parameter, name)
]


def _cgroup(version: int, parameter: Any, v1: Host, v2: Host) -> Cgroup:
    return v2.find_exn(":/job/a") if version == 2 else v1.find_exn(f"{parameter.controller}:{INNER}")


def _is_kept(before: Any, after: Any) -> bool:
    """Return whether all known content is unchanged; a mapping may have more keys."""
    if isinstance(before, Mapping):
        return isinstance(after, Mapping) and all(key in after and _is_kept(before[key], after[key]) for key in before)
    if isinstance(before, tuple) and not hasattr(before, "_fields"):
        return set(before) <= set(after)
    return bool(before == after)


def test_cases_cover_the_main_files() -> None:
    assert {name for _, _, name in CASES} >= {"memory.stat", "cpu.stat", "io.stat", "cgroup.events", "io.max"}


@pytest.mark.parametrize(("version", "parameter", "name"), CASES, ids=lambda value: str(value))
def test_get_unknown_content_keeps_the_known(version: int, parameter: Any, name: str, v1: Host, v2: Host) -> None:
    cgroup = _cgroup(version, parameter, v1, v2)
    path = Path(str(cgroup.path), name)
    before = Parameters.get(parameter, cgroup)
    text = path.read_text()
    for addition in ADDITIONS[SHAPES[name]]:
        path.write_text(addition(text))
        for reader in (cgroup, Cgroup(cgroup.hierarchy, cgroup.location)):
            after = Parameters.get(parameter, reader)
            assert _is_kept(before, after), (path.read_text(), before, after)
    path.write_text(text)
    assert Parameters.get(parameter, cgroup) == before


def test_get_unknown_key_is_kept_and_readable(job: Cgroup) -> None:
    path = Path(str(job.path), "memory.stat")
    path.write_text(path.read_text() + "brand_new 12345\n")
    stat = Parameters.get(Subsystem.Memory.stat, job)
    assert (stat["brand_new"], stat.brand_new) == (12345, 12345)
    assert Parameters.get(Subsystem.Memory.stat["brand_new"], job) == 12345


def test_unknown_file_can_be_declared_in_one_line(job: Cgroup, v2: Host) -> None:
    before = {str(one): one for one in Subsystem.parameters()}
    Path(str(job.path), "memory.brand_new").write_text("7\n")
    assert {str(one): one for one in Subsystem.parameters()} == before
    assert v2.find_exn(":/job").children() == [job]
    assert Parameters.get(Parameters.mk_get("memory", "brand_new", Converter.int), job) == 7


def test_find_new_controller_is_found(v2: Host, v2_root: Path) -> None:
    for name in ("", "/job", "/job/a"):
        path = v2_root / f"sys/fs/cgroup{name}/cgroup.controllers"
        path.write_text(path.read_text().rstrip("\n") + " brand_new\n")
    v2.refresh()
    assert v2.find_exn("brand_new:/job/a") == v2.find_exn(":/job/a")
    assert "brand_new" in v2.find_exn(":/job/a").subsystems
    found = Subsystem.find("brand_new", host=v2)
    assert (found.available, found.version) == (True, 2)
