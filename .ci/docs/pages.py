"""Write the sources of the site: the guide, an index, the API, and a page for each controller.

python .ci/docs/pages.py DIRECTORY
"""

import builtins
import inspect
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cgroups
from cgroups import Hugetlb, ParameterNotSupported, Parameters
from cgroups.cli.common.values import access
from cgroups.cli.guide import TOPICS
from cgroups.parameters.registry import TABLES

GUIDE = Path(cgroups.__file__).parent / "guide"
# Cgroup and Group have most of their methods from bases of this package; what Python's own bases have is left out.
OTHERS = [name for name, one in vars(builtins).items() if inspect.isclass(one)]
MEMBERS = f"""   :members:
   :show-inheritance:
   :inherited-members: {", ".join([*OTHERS, "Enum", "Generic", "Mapping", "Popen", "Sequence", "Warning"])}
"""
PARAMETERS = [table.__name__ for table in (*TABLES, Hugetlb)]
SIZE = "2MB"  # of huge pages; each has the same parameters

TREE = """
.. toctree::
   :caption: {caption}
   :maxdepth: 1

   {pages}
"""


def title(text: str, line: str = "=") -> str:
    """Return a heading."""
    return f"{text}\n{line * len(text)}\n\n"


def tree(caption: str, pages: Iterable[str]) -> str:
    """Return a list of links to pages."""
    return TREE.format(caption=caption, pages="\n   ".join(pages))


def plain(text: str) -> str:
    """Return text in which nothing is markup."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def api() -> str:
    """Return the reference of the public names; the tables of parameters have pages of their own."""
    parts = [title("API"), ".. automodule:: cgroups\n\n.. currentmodule:: cgroups\n"]
    for name in cgroups.__all__:
        one = getattr(cgroups, name)
        if name in PARAMETERS or inspect.ismodule(one):
            continue
        kind = "class" if inspect.isclass(one) else "function" if inspect.isroutine(one) else "data"
        parts.append(f"\n.. auto{kind}:: {name}\n{MEMBERS if kind == 'class' else ''}")
    return "".join(parts)


def module(name: str, public: str) -> str:
    """Return the reference of a module."""
    return f"{title(public)}.. automodule:: {name}\n{MEMBERS}   :exclude-members: {', '.join(PARAMETERS)}\n"


def cell(parameter: Parameters.Parameter, version: int) -> str:
    """Return the control files of a version; if it has none, the hint."""
    try:
        binding = parameter.binding(version)
    except ParameterNotSupported as error:
        return f"– {plain(error.hint)}"
    files = " ".join(f"``{file}``".replace(SIZE, "SIZE") for file in parameter.files(version))
    return "; ".join(part for part in (files, plain(binding.hint or "")) if part)


def controller(table: Any, owner: str) -> str:
    """Return the page of a controller: each of its parameters, with its access, unit and files."""
    # A table that is not public is of the parameters that every hierarchy has.
    intro = f".. autoclass:: cgroups.{table.__name__}\n"
    if table.__name__ not in cgroups.__all__:
        intro = inspect.cleandoc(table.__doc__) + "\n"
    lines = [title(table.CONTROLLER or "release"), intro]
    for name, parameter in vars(Hugetlb(SIZE) if table is Hugetlb else table).items():
        if isinstance(parameter, Parameters.Parameter):
            lines += [
                "\n",
                title(f"{owner}.{name}", "-"),
                f"{plain(parameter.doc)}\n\n",
                f":name: ``{parameter}``\n".replace(SIZE, "SIZE"),
                f":access: {', '.join(access(parameter)) or '–'}\n",
                f":unit: {plain(parameter.unit) or '–'}\n",
                *(f":version {version}: {cell(parameter, version)}\n" for version in (1, 2)),
            ]
    return "".join(lines)


def main(directory: Path) -> None:
    """Write all pages below a directory, which is emptied first."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(GUIDE, directory / "guide")
    pages = {"api": api()}
    for public in ("cgroups.aio", "cgroups.Converter", "cgroups.Subsystem"):
        pages[public] = module(getattr(cgroups, public.partition(".")[2]).__name__, public)
    for public in ("cgroups.prometheus", "cgroups.otel"):
        pages[public] = module(public, public)
    modules = [*pages]
    for table in (*TABLES, Hugetlb):
        owner = {"_Everywhere": "Parameters", "Hugetlb": "Hugetlb(size)"}.get(table.__name__, table.__name__)
        pages[f"controllers/{table.CONTROLLER or 'release'}"] = controller(table, owner)
    pages["index"] = "".join(
        [
            title("cgroups"),
            tree("Guide", [f"guide/{topic}" for topic in TOPICS]),
            tree("API", modules),
            tree("Controllers", [page for page in pages if page.startswith("controllers/")]),
        ]
    )
    (directory / "controllers").mkdir()
    for page, text in pages.items():
        (directory / f"{page}.rst").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
