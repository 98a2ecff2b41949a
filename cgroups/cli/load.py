"""The command ``load``: set the parameters of a subtree from a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Optional

import typer

from ..control.cpusets import fill_cpuset
from ..control.create import Creation, permissions_of
from ..control.hierarchies import controller_of
from ..control.update import Setting, put_back, update
from ..core.errors import CgroupError, CgroupNotFound, InvalidValue, SubsystemNotAvailable, shown
from ..core.interface import Version
from ..core.naming import directory_of, is_spec
from ..core.specs import parse_spec, split_path, to_enable
from ..hierarchy import Cgroup, Hierarchy, Host
from ..parameters import Freezer, Parameters, parameter_named
from .common import documents
from .common.arguments import cgroup_of, host_of
from .common.saved_values import FORMAT, FROZEN, NATIVE, NEVER, TOP, names
from .common.several import Failures, names_no_hierarchy
from .common.values import Data, from_plain

__all__ = ["load"]


def load(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="File that 'cgroups save' wrote, or - for JSON on stdin.")
    ],
    spec: Annotated[
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Argument(metavar="[SPEC]", help="Cgroup to load into; default: the saved SPEC."),
    ] = None,
    create: Annotated[bool, typer.Option("--create", help="Create missing cgroups, with their controllers.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Keep the parameters that are set even if others are refused.")
    ] = False,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Also freeze the cgroups that were saved as frozen.")
    ] = False,
) -> None:
    """Set the parameters that 'cgroups save' has saved.

    Parents come before their children, and each cgroup is one transaction.
    Each refused parameter is one line on stderr.  After a refusal all changes
    are rolled back, created cgroups are removed, and the exit code is 1.
    With --keep-going all other parameters stay set.

    Parameters that the file does not name do not change.  If SPEC names no
    hierarchy, each parameter is set on the hierarchy of its controller.  So a
    file of version 2 can be loaded on version 1.

    \b
    Examples: cgroups load jobs.json --create
              cgroups load jobs.toml memory:/others --keep-going
    """
    plan = _Plan(file, documents.read(file), frozen=frozen)
    spec = plan.spec if spec is None else spec
    if not isinstance(spec, str):
        message = f"{file} names no SPEC: give one"
        raise typer.BadParameter(message, ctx=context, param_hint="SPEC")
    place = _place_of(context, spec, create=create)
    loading = _Loading(file, place, plan)
    with Creation() as creation:
        try:
            loading.make(creation if create else None)
            loading.apply()
            if loading.failures.count and not keep_going:
                raise typer.Exit(1)
        except BaseException:
            loading.undo()
            raise
    if plan.left_out:
        typer.echo(f"cgroups: saved as frozen, and not frozen without --frozen: {plan.left_out} cgroups", err=True)
    loading.failures.end()


class _Plan:
    """The checked content of a file.

    Attributes:
        spec: the SPEC that was saved; None if the file does not name one.
        cgroups: by path, parents first, the parameters and their data.
        frozen: the paths of the cgroups to freeze.
        left_out: the number of cgroups that were saved as frozen and stay thawed.

    Raises:
        InvalidValue: the file has another form, or names a parameter that is never loaded.
    """

    def __init__(self, file: str, data: Any, *, frozen: bool) -> None:
        self._tried = f"cannot load {file}"
        if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("cgroups"), dict):
            message = f"{self._tried}: it must have the keys format, which is {FORMAT}, spec and cgroups"
            raise InvalidValue(message, path=file, hint="cgroups save SPEC -o FILE writes one")
        self.spec = data.get("spec")
        self.cgroups: dict[str, dict[Parameters.Parameter, Data]] = {}
        self.frozen: list[str] = []
        self.left_out = 0
        for path, values in data["cgroups"].items():
            if not isinstance(values, dict) or not _is_path(path):
                message = f"{self._tried}: each of its cgroups must be a path and a table, got {shown(path)}"
                raise InvalidValue(message, path=file)
            self.cgroups[path] = dict(self._checked(path, values))
        self.cgroups = dict(sorted(self.cgroups.items(), key=lambda item: names(item[0])))
        if not frozen:
            self.left_out, self.frozen = len(self.frozen), []
        self.frozen.sort(key=names)

    def _checked(self, path: str, values: Mapping[str, Data]) -> Iterator[tuple[Parameters.Parameter, Data]]:
        for name, data in values.items():
            try:
                parameter = parameter_named(name)
            except InvalidValue as error:
                message = f"{self._tried}: {error.message}"
                raise InvalidValue(message, parameter=name, hint=error.hint) from None
            if str(parameter) in FROZEN:
                if data in ("FROZEN", True):
                    self.frozen.append(path)
                continue
            is_settable = isinstance(parameter, Parameters.Writable) and isinstance(parameter, Parameters.Readable)
            if not is_settable or parameter.root_only or str(parameter) in NEVER:
                why = NEVER.get(str(parameter), "it exists only in the root" if is_settable else "it is read-only")
                message = f"{self._tried}: {name} is never loaded: {why}"
                raise InvalidValue(message, parameter=str(parameter))
            yield parameter, data


def _is_path(path: str) -> bool:
    """Return whether a text is a path below the top, such as ``save`` writes."""
    try:
        return path == TOP or (path != "" and "/".join(split_path(path)) == path)
    except InvalidValue:
        return False


class _Place:
    """The target of a load.

    Attributes:
        location: the location of the top.
        hierarchy: the hierarchy; None for that of each parameter's controller.
    """

    def __init__(self, host: Host, location: str, hierarchy: Hierarchy | None) -> None:
        self.location = location
        self.hierarchy = hierarchy
        self._host = host

    def cgroup(self, path: str, parameter: Parameters.Parameter) -> Cgroup:
        """Return the cgroup of a path that has a parameter.

        Raises:
            SubsystemNotAvailable: no mounted hierarchy has the parameter's controller.
        """
        hierarchy = self.hierarchy or self._host.hierarchy_of(controller_of(parameter))
        if hierarchy is None:
            message = f"cannot set {parameter} of {self.location}: no mounted hierarchy has {parameter.controller}"
            raise SubsystemNotAvailable(message, parameter=str(parameter))
        return self.on(hierarchy, path)

    def on(self, hierarchy: Hierarchy, path: str) -> Cgroup:
        """Return the cgroup of a path on a hierarchy."""
        below = "" if path == TOP else f"/{path}"
        return Cgroup(hierarchy, f"{self.location.rstrip('/')}{below}" or "/")


def _place_of(context: typer.Context, spec: str, *, create: bool) -> _Place:
    host = host_of(context)
    try:
        top = cgroup_of(context, spec)
    except CgroupNotFound:
        if not create:
            raise
        if is_spec(host, spec):
            names, location = parse_spec(spec)
            root = host.find_exn(f"{','.join(names)}:" if names else ":/")
            return _Place(host, location or root.location, root.hierarchy)
        if not spec.startswith("/"):
            raise
        directory = directory_of(host, spec)
        if directory is None:
            return _Place(host, "/" + "/".join(split_path(spec)), None)
        top = directory
        return _Place(host, top.location, top.hierarchy)
    return _Place(host, top.location, None if names_no_hierarchy(host, spec) else top.hierarchy)


class _Loading:
    """One load.

    Attributes:
        failures: the errors of refused parameters.
    """

    def __init__(self, file: str, place: _Place, plan: _Plan) -> None:
        self.failures = Failures(is_single=False)
        self._file, self._place, self._plan = file, place, plan
        self._missing: set[str] = set()
        self._done: list[list[Setting]] = []

    def make(self, creation: Creation | None) -> None:
        """Create all missing cgroups before a parameter is set; without ``making`` report them as errors."""
        used = dict.fromkeys(one.hierarchy for path in self._plan.cgroups for one in self._needed(path))
        for path in self._plan.cgroups:
            needed = self._needed(path)
            for hierarchy in used if creation is not None else ():
                needed.setdefault(self._place.on(hierarchy, path), [])
            try:
                for cgroup, controllers in needed.items():
                    if creation is not None:
                        _make(creation, cgroup, to_enable(cgroup.version, controllers))
                    elif not cgroup.exists:
                        message = f"cannot load {self._file}: no cgroup {cgroup}"
                        raise CgroupNotFound(message, path=cgroup.path, hint="--create creates it")
            except CgroupError as error:
                self.failures.add(error)
                self._missing.add(path)

    def _needed(self, path: str) -> dict[Cgroup, list[str]]:
        """Return the cgroups of a path that have a parameter to set, with the controllers of these parameters."""
        needed: dict[Cgroup, list[str]] = {}
        frozen = [Freezer.state] if path in self._plan.frozen else []
        if self._place.hierarchy is not None:
            needed[self._place.on(self._place.hierarchy, path)] = []
        for parameter in (*self._plan.cgroups[path], *frozen):
            try:
                cgroup = self._place.cgroup(path, parameter)
            except SubsystemNotAvailable:
                continue  # setting the parameter reports the error
            controller = controller_of(parameter)
            if not controller or cgroup.hierarchy.has(controller):
                needed.setdefault(cgroup, []).append(controller)
        return needed

    def apply(self) -> None:
        """Set all parameters, then freeze the cgroups that were saved as frozen."""
        for path in self._plan.cgroups:
            if path not in self._missing:
                self._apply(path, self._values(path))
        for path in self._plan.frozen:
            if path not in self._missing:
                self._apply(path, {Freezer.state: "FROZEN"})

    def _values(self, path: str) -> dict[Any, Any]:
        """Return the values to set in the cgroup of a path; report data that is invalid here."""
        data = self._plan.cgroups[path]
        given = {str(parameter) for parameter in data}
        values: dict[Any, Any] = {}
        for parameter, one in data.items():
            try:
                cgroup = self._place.cgroup(path, parameter)
                if not _is_covered(str(parameter), given, cgroup.version):
                    values[parameter] = from_plain(parameter, cgroup.version, one)
            except CgroupError as error:
                self.failures.add(error, f"{parameter} of {self._place.location} {path}")
        return values

    def _apply(self, path: str, values: dict[Any, Any]) -> None:
        """Set parameters of one cgroup as a transaction; report a refused parameter, and retry without it."""
        while values:
            try:
                self._done.append(update(lambda parameter: self._place.cgroup(path, parameter), values))
            except CgroupError as error:
                self.failures.add(error)
                refused = next((parameter for parameter in values if str(parameter) == error.parameter), None)
                if refused is None:
                    return
                del values[refused]
            else:
                return

    def undo(self) -> None:
        """Restore all previous values, those of the last change first."""
        while self._done:
            for left in put_back(self._done.pop()):
                typer.echo(f"cgroups: {left}", err=True)


def _is_covered(name: str, given: Iterable[str], version: int) -> bool:
    """Return whether another parameter of the file has the same value, and is exact on this version."""
    if version == Version.V1:
        return any(portable in given for portable in NATIVE.get(name, ()))
    return any(name in portables and native in given for native, portables in NATIVE.items())


def _make(creation: Creation, cgroup: Cgroup, controllers: list[str]) -> None:
    """Create a missing cgroup, or enable the controllers that it lacks."""
    if cgroup.exists and all(name in cgroup.subsystems for name in controllers):
        return
    *_, top = cgroup.upwards()
    path = split_path(cgroup.location.removeprefix(top.location.rstrip("/")))
    before = creation.created
    creation.create(top, path, controllers, permissions_of({}), exist_ok=True)
    for one in creation.created:
        if one not in before:
            fill_cpuset(one)
