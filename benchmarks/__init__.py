"""``python -m benchmarks``: what this package costs, against a floor."""

import sys
from pathlib import Path

CHECKOUT = str(Path(__file__).resolve().parent.parent)
# `-m` puts the checkout first on the path: what is measured is what is installed.
sys.path[:] = [path for path in sys.path if str(Path(path or ".").resolve()) != CHECKOUT]
