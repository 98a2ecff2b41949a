"""The configuration of the site: the guide, the reference of the API, and a page for each controller."""

import re

from sphinx.application import Sphinx

import cgroups

project = "cgroups"
author = "The cgroups developers"
release = version = cgroups.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"cgroups {release}"
html_copy_source = False
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
add_module_names = False
# An attribute that a docstring lists is often a member too, and is documented once.
napoleon_use_ivar = True
# Docstrings name attributes of their class without it, and several classes have one of that name.
suppress_warnings = ["ref.python"]

REPOSITORY = re.compile(r"\[([^\]]+)\]\(\.\./\.\./[^)]*\)")


def without_repository(_app: Sphinx, _page: str, content: list[str]) -> None:
    """Keep only the text of a link to a file of the repository, which is not on the site."""
    content[0] = REPOSITORY.sub(r"\1", content[0])


def skip_member(_app: Sphinx, _what: str, _name: str, one: object, skip: bool, _options: object) -> bool:
    """Leave out the fields of named tuples that have no docstring of their own."""
    return skip or (getattr(one, "__doc__", None) or "").startswith("Alias for field number")


def setup(app: Sphinx) -> None:
    """Connect the functions above to the events of the build."""
    app.connect("source-read", without_repository)
    app.connect("autodoc-skip-member", skip_member)
