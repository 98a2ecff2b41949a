"""``python -m benchmarks``: compare the cost of this package with a floor in C."""

import sys
from pathlib import Path

CHECKOUT = str(Path(__file__).resolve().parent.parent)
# `-m` puts the checkout first on the path; remove it, so that the installed package is measured.
sys.path[:] = [path for path in sys.path if str(Path(path or ".").resolve()) != CHECKOUT]
