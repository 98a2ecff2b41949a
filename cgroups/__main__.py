"""``python -m cgroups`` is the command ``cgroups``."""

from .cli import main

main()
