"""Paths longer than the PATH_MAX of one system call: a user may nest cgroups deeper than any path reaches."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from cgroups.core import reference
from cgroups.core.backend import backend
from cgroups.core.interface import Failure, Shape

NAME = "n" * 250
BACKENDS = [reference, backend] if backend.NAME == "native" else [reference]


@pytest.fixture(params=BACKENDS, ids=lambda one: one.NAME)
def either(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory, and the path below it, of over 8,000 bytes, of a directory with a control file."""
    names = [NAME] * 40
    fd = os.open(tmp_path, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    file = os.open("memory.max", os.O_WRONLY | os.O_CREAT, dir_fd=fd)
    os.write(file, b"123\n")
    os.symlink("memory.max", "link", dir_fd=fd)
    os.close(file)
    os.close(fd)
    yield tmp_path, "/".join(names)
    shutil.rmtree(tmp_path / NAME)


def test_open_path_past_path_max_reaches_the_directory(either: ModuleType, deep: tuple[Path, str]) -> None:
    top, path = deep
    directory = either.open_directory(str(top), 0)
    fd = directory.open(path, os.O_RDONLY | os.O_DIRECTORY)
    assert "memory.max" in os.listdir(fd)
    assert directory.inode(path) == os.fstat(fd).st_ino
    os.close(fd)


def test_file_path_past_path_max_is_read_and_written(either: ModuleType, deep: tuple[Path, str]) -> None:
    top, path = deep
    directory = either.open_directory(str(top), 0)
    assert directory.file(f"{path}/memory.max").read(Shape.VALUE) == [("", 123)]
    directory.write(f"{path}/memory.max", b"456\n")
    assert directory.file(f"{path}/memory.max").read(Shape.VALUE) == [("", 456)]


@pytest.mark.parametrize(
    ("below", "error"),
    [
        ("missing", errno.ENOENT),
        ("link", errno.ELOOP),
        ("memory.max/x", errno.ENOTDIR),
        ("x" * 256, errno.ENAMETOOLONG),
    ],
)
def test_path_past_path_max_fails_as_a_short_one(
    either: ModuleType, deep: tuple[Path, str], below: str, error: int
) -> None:
    top, path = deep
    directory = either.open_directory(str(top), 0)
    with pytest.raises(Failure) as raised:
        directory.open(f"{path}/{below}", os.O_RDONLY)
    assert raised.value.errno == error


def test_path_past_path_max_follows_no_link_on_the_way(either: ModuleType, deep: tuple[Path, str]) -> None:
    top, path = deep
    for number in range(1, 40, 6):
        *above, _ = path.split("/")[:number]
        fd = os.open(top, os.O_RDONLY)
        for name in above:
            below = os.open(name, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = below
        os.rename(NAME, "real", src_dir_fd=fd, dst_dir_fd=fd)
        os.symlink("real", NAME, dir_fd=fd)
        with pytest.raises(Failure) as raised:
            either.open_directory(str(top), 0).open(path, os.O_RDONLY)
        # A link where a directory is wanted is either, as open(2) says.
        assert raised.value.errno in (errno.ELOOP, errno.ENOTDIR)
        os.unlink(NAME, dir_fd=fd)
        os.rename("real", NAME, src_dir_fd=fd, dst_dir_fd=fd)
        os.close(fd)


def test_path_of_one_component_past_path_max_is_refused(either: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(Failure) as raised:
        either.open_directory(str(tmp_path), 0).open("x" * 5000 + "/y", os.O_RDONLY)
    assert raised.value.errno == errno.ENAMETOOLONG
    assert either.open_directory(str(tmp_path), 0).inode("x/" * 5000) == -errno.ENOENT
