"""imagist and its rivals do the same jobs in turn: `make bench`, or `python -m benchmarks --help`.

`__main__` runs, `measuring` times and compares, `report` prints; `startup`, `builds`, `resolving`,
`debian`, `moving`, `publishing`, `lastmile`, `changing` and `memory` are the cases; `builders` and
`repositories` are what they are made of.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".work" / "benchmarks"
"""On the file system of the packages, so that folders can be copied as links."""

sys.path.insert(0, str(ROOT / "tests"))  # realistic packages, and the maker of others
