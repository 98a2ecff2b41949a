"""/proc/cgroups, the kernel's list of controllers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgroups import AccessDenied, Host
from cgroups.core.kernel_controllers import KernelController, kernel_controllers

HEAD = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"


def host(root: Path, text: str | None) -> Host:
    (root / "proc").mkdir()
    if text is not None:
        (root / "proc/cgroups").write_text(text)
    return Host(str(root))


def test_kernel_controllers_lists_each_line(tmp_path: Path) -> None:
    found = kernel_controllers(host(tmp_path, f"{HEAD}cpuset\t3\t12\t1\nmemory\t0\t91\t0\n"))
    assert found == {
        "cpuset": KernelController(hierarchy=3, cgroups=12, enabled=True),
        "memory": KernelController(hierarchy=0, cgroups=91, enabled=False),
    }


def test_kernel_controllers_missing_file_is_none(tmp_path: Path) -> None:
    assert kernel_controllers(host(tmp_path, None)) is None


def test_kernel_controllers_short_line_is_skipped(tmp_path: Path) -> None:
    assert kernel_controllers(host(tmp_path, f"{HEAD}\nodd\t1\n")) == {}


def test_kernel_controllers_unreadable_file_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = host(tmp_path, HEAD)

    def refused(*_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(AccessDenied, match="cannot list the controllers of the kernel"):
        kernel_controllers(where)
