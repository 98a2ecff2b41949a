"""The pages of the documents, README and guide, and the blocks in them.  The guide is the one that is installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import cgroups

CHECKOUT = Path(__file__).parents[1]
README = CHECKOUT / "README.md"
GUIDE = Path(cgroups.__file__).parent / "guide"
PAGES = {page.stem: page for page in [README, *sorted(GUIDE.glob("*.md"))] if page.exists()}

AS_ROOT = "as root"
AS_USER = "as an ordinary user"
BLOCK = re.compile(r"^(?:<!-- ([a-z ]+) -->\n)?```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of code; its mark is the comment above it, which says where it runs."""

    page: str
    mark: str
    language: str
    text: str

    def __str__(self) -> str:
        """Return the name of its test: the page, and what the block imports."""
        first, *_ = [line for line in self.text.splitlines() if line.startswith("from cgroups")] or [self.text]
        return f"{self.page}: {first.splitlines()[0].removeprefix('from cgroups import ')}"


def blocks(*languages: str) -> list[Block]:
    """Return the blocks of these languages, in all pages; of all languages if none is named."""
    found = [
        Block(name, match[1] or "", match[2], match[3])
        for name, page in PAGES.items()
        for match in BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]
    return [block for block in found if not languages or block.language in languages]
