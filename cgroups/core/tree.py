"""Place and Tree: a location in a hierarchy, and the hierarchy.

Access is raw: a failed system call raises Failure, which :mod:`.node` explains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, TypeVar

from .errors import AccessDenied, CgroupNotFound, from_failure
from .interface import ABSENT, Failure, Shape, Status, Version
from .specs import ALIASES, IMPLICIT
from .view import View, location_above

if TYPE_CHECKING:
    from typing_extensions import Self

    from .interface import Directory, File
    from .mounts import Mount

__all__ = ["Machine", "Place", "Tree"]

P_co = TypeVar("P_co", bound="Place", covariant=True)


class Place:
    """A location in a hierarchy, and the directory that shows it.

    A place is only a name.  The cgroup need not exist.
    """

    __slots__ = ("__weakref__", "_files", "_place", "_visible", "hierarchy", "location", "readers")

    if TYPE_CHECKING:

        @property
        def hierarchy(self) -> Tree[Any]: ...

    def __init__(self, hierarchy: Tree[Any], location: str, *, visible: bool = True) -> None:
        self.hierarchy = hierarchy  # type: ignore[misc]  # read-only for all others
        self.location: Final = location
        self._visible = visible
        self._place = hierarchy.mount_of(location) if visible else None
        self._files: dict[str, File] = {}
        # The read function of each parameter; filled by Subsystem.Parameters.
        self.readers: dict[Any, Callable[[Any], Any]] = {}

    # ---- identity

    @property
    def name(self) -> str:
        """The last component of the location; '' for the root and for a cgroup above it."""
        name = self.location.rpartition("/")[2]
        return "" if name == ".." else name

    @property
    def path(self) -> str | None:
        """The directory; None if no mount of this namespace shows it."""
        if self._place is None:
            return None
        mount, below = self._place
        below = below.removeprefix(mount.prefix).rstrip("/")
        return f"{mount.path}/{below}" if below else mount.path

    @property
    def version(self) -> Version:
        """The version of the hierarchy: 1 or 2, an int."""
        return self.hierarchy.version

    @property
    def is_root(self) -> bool:
        """Whether the cgroup is the root of the hierarchy, or of its visible part."""
        if self._place is None or self.location == "/":
            return self.location == "/" or self.location.endswith("/..")
        return self.hierarchy.mount_of(location_above(self.location)) is None

    @property
    def is_captured(self) -> bool:
        """Whether the cgroup is a plain directory of a captured tree, which is read-only."""
        return self._place is not None and self._place[0].state == "plain"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Place)
            and self.location == other.location
            and self._visible == other._visible
            and self.hierarchy == other.hierarchy
        )

    def __hash__(self) -> int:
        return hash((self.hierarchy, self.location))

    def __reduce__(self) -> tuple[Any, ...]:
        return _at, (self.hierarchy, self.location, self._visible)

    def __str__(self) -> str:
        # A path from a root that no mount shows is not a location: as a spec it would name another cgroup.
        unknown = "?" if not self._visible and self.hierarchy.mounts else ""
        return f"{unknown}{self.hierarchy.spec_head}:{self.location}"

    def __repr__(self) -> str:
        return f"<Cgroup {self}>"

    # ---- relatives

    @property
    def parent(self) -> Self | None:
        """The parent cgroup; None for the root."""
        if self.is_root:
            return None
        above: Self = self.hierarchy.at(location_above(self.location), visible=self._visible)
        return above

    def upwards(self) -> Iterator[Self]:
        """Yield this cgroup and its ancestors, up to the visible root."""
        place: Self | None = self
        while place is not None:
            yield place
            place = place.parent

    def child(self, name: str) -> Self:
        """Return the child with a name, whether it exists or not."""
        return self.below(f"{self.location.rstrip('/')}/{name}")

    def below(self, location: str) -> Self:
        """Return the cgroup at a location below this one (internal)."""
        if location.startswith("/../"):
            location = self.hierarchy.view.canonical(location)
        place: Self = self.hierarchy.at(location, visible=self._visible)
        return place

    # ---- directory and files, for this package

    def locate(self) -> tuple[Directory, str]:
        """Return the directory to open the cgroup beneath, and the path from there."""
        if self._place is None:
            raise invisible(self)
        mount, below = self._place
        return mount.directory, below

    def locate_file(self, name: str) -> tuple[Directory, str]:
        """Return the directory to open a control file beneath, and the path from there."""
        directory, below = self.locate()
        return directory, join(below, self.hierarchy.file_name(name))

    def locate_for_writing(self, tried: str) -> tuple[Directory, str]:
        """Return the result of :meth:`locate`; refuse a captured tree before any system call."""
        if self._place is None:
            raise invisible(self)
        mount, below = self._place
        if self.is_captured:
            message = f"cannot {tried}: {self.path} is not on a cgroup file system"
            raise AccessDenied(message, path=self.path, hint="a captured tree is read-only")
        return mount.directory, below

    def file(self, name: str) -> File:
        """Return a control file, kept in this object; the file's descriptor is closed when the object is freed."""
        file = self._files.get(name)
        if file is None:
            directory, path = self.locate_file(name)
            file = self._files.setdefault(name, directory.file(path))
        return file

    def read_raw(self, name: str, shape: int, *, listing: bool = False) -> list[tuple[str, Any]]:
        """Return the cells of a control file.

        Args:
            name: the control file.
            shape: the :class:`Shape` of the text.
            listing: whether the file is a task list, whose descriptor is not cached.

        Raises:
            Failure: a system call failed, or the text does not parse.
        """
        if listing:
            directory, path = self.locate_file(name)
            return directory.file(path, listing=True).read(shape)
        return self.file(name).read(shape)

    def find_inode(self) -> int:
        """Return the inode of the directory; a negative errno on failure."""
        directory, below = self.locate()
        return directory.inode(below)

    @property
    def is_absent(self) -> bool:
        """Whether the directory does not exist, or no mount shows it."""
        return self._place is None or -self.find_inode() in ABSENT


def _at(hierarchy: Tree[Any], location: str, visible: bool) -> Place:  # noqa: FBT001 - called by copy and pickle
    place: Place = hierarchy.at(location, visible=visible)
    return place


def join(below: str, name: str) -> str:
    """Return the path of a name in a directory ('' for the mount point)."""
    return f"{below.rstrip('/')}/{name}" if below else name


def invisible(place: Place) -> CgroupNotFound:
    """Return the error for a cgroup that no mount shows."""
    return CgroupNotFound(
        f"cannot use {place}: no mount of this namespace shows it",
        hint="its hierarchy is not mounted here, or another part of it is",
    )


class Machine(Protocol[P_co]):
    """The hierarchies and memberships of one machine, as a tree sees them: :class:`.trees.Trees`."""

    @property
    def root(self) -> str: ...
    def system_path(self, path: str) -> str: ...
    def hierarchy_of(self, controller: str) -> Tree[P_co] | None: ...
    def hierarchy_with(self, version: Version, names: Iterable[str], label: str | None) -> Tree[P_co]: ...
    def find(self, spec: str) -> P_co | None: ...
    def process_info(self, pid: int) -> Sequence[P_co]: ...
    def cgroups_of_threads(self) -> Iterable[P_co]: ...
    def own_path(self, key: tuple[Any, ...]) -> str | None: ...


class Tree(Generic[P_co]):
    """One mounted hierarchy of cgroups.

    Attributes:
        mount_point: the mount point, '' if no mount shows the hierarchy.
    version: 1 or 2, an int.
    label: ``systemd`` for ``name=systemd``, else None.
    mounts: all known mounts of this hierarchy, sorted so that the mount that shows most of a path is first.

    Two objects are equal if they are the same hierarchy of the same host.
    Immutable and thread-safe.
    """

    __slots__ = (
        "_names",
        "_root",
        "_whole",
        "host",
        "is_noprefix",
        "label",
        "mount_point",
        "mounts",
        "root_location",
        "version",
        "view",
    )

    place_class: ClassVar[type[Any]] = Place
    """The class of its cgroups."""

    host: Machine[P_co]

    def __init__(
        self, host: Machine[P_co], version: Version, names: tuple[str, ...], label: str | None, mounts: list[Mount]
    ) -> None:
        usable = [mount for mount in mounts if mount.state != "hidden"]
        self.host = host
        self.version = version
        self.label = label
        self._names = names
        key = self.key  # capturing self would create a reference cycle
        self.view = View(usable, lambda: host.own_path(key))
        self.mounts = self.view.mounts
        self.mount_point = self.mounts[0].path if self.mounts else ""
        self.root_location = self.mounts[0].root if self.mounts else "/"
        self._root: Place | None = None
        self.is_noprefix = bool(self.mounts) and self.mounts[0].noprefix
        # The common case: the whole hierarchy is mounted.
        self._whole = next((mount for mount in self.mounts[:1] if mount.root == "/"), None)

    def at(self, location: str, *, visible: bool = True) -> P_co:
        """Return the cgroup at a location, whether it exists or not.

        Args:
            location: a path from the hierarchy's root.
            visible: False if no mount shows the location, which a process reports.
        """
        place: P_co = self.place_class(self, location, visible=visible)
        return place

    def root(self) -> P_co:
        """Return the root cgroup of the hierarchy, or of its mounted part."""
        return self.at(self.root_location)

    def equal(self, other: Tree[Any]) -> bool:
        """Return whether both are the same hierarchy: ``self == other``."""
        return self == other

    @property
    def subsystems(self) -> tuple[str, ...]:
        """The controllers attached to the hierarchy.  On v2 these are the current controllers of the visible root."""
        if self.version == Version.V1 or not self.mounts:
            return self._names
        if self._root is None:
            # Keep the root, so that its cgroup.controllers stays open: each find on v2 reads it.
            self._root = self.root()
        try:
            return tuple(word for _, word in self._root.read_raw("cgroup.controllers", Shape.WORDS))
        except Failure as failure:
            if failure.errno in ABSENT or failure.status is Status.FOREIGN:
                return ()  # a partial capture
            path = f"{self._root.path}/cgroup.controllers"
            raise from_failure(failure, f"cannot read cgroup.controllers of {self._root} ({path})", path=path) from None

    def has(self, controller: str) -> bool:
        """Return whether this hierarchy has a controller, under either of its names."""
        return bool(self.those_of((controller,)))

    def those_of(self, controllers: Iterable[str]) -> list[str]:
        """Return the given controllers that this hierarchy has, with one read."""
        names = self.subsystems
        always = IMPLICIT if self.version == Version.V2 else ()
        return [one for one in controllers if one in names or ALIASES.get(one) in names or one in always]

    @property
    def key(self) -> tuple[Any, ...]:
        """The identity of the hierarchy within its host."""
        return self.version, frozenset(self._names), self.label

    def mount_of(self, location: str) -> tuple[Mount, str] | None:
        """Return the first mount that shows a location, and the path below it."""
        if self._whole is not None and not location.startswith("/.."):
            return self._whole, self._whole.prefix + location[1:]
        return self.view.find(location)

    def file_name(self, name: str) -> str:
        """Return a control file's name on this hierarchy: with ``noprefix``, ``cpuset.cpus`` is ``cpus``."""
        if not self.is_noprefix:
            return name
        controller, _, rest = name.partition(".")
        return rest if controller in self._names else name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and self.key == other.key and self.host == other.host

    def __hash__(self) -> int:
        return hash(self.key)

    def __reduce__(self) -> tuple[Any, ...]:
        return _tree, (self.host, *self.key)

    def __repr__(self) -> str:
        return f"<Hierarchy v{self.version} {self.spec_head or 'unified'} at {self.mount_point or 'no mount'}>"

    @property
    def spec_head(self) -> str:
        """The part of a spec before the colon."""
        return f"name={self.label}" if self.label is not None else ",".join(self._names)


def _tree(host: Machine[Any], version: Version, names: frozenset[str], label: str | None) -> Tree[Any]:
    return host.hierarchy_with(version, names, label)
