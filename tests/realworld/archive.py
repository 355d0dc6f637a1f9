"""An index of the size of a whole distribution: Debian's, each package in several versions.

There are no packages behind it; it is for those who search and resolve.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

from realworld.workload import _WORK, _alone, _apt, _is_made, _run
from support import SHARED

_OLDER = 4
"""Versions of each package beside the newest, as far as its version lets older ones be made."""


def make_archive() -> Path:
    """Give the repository, making it first where it is absent; its key is in `keys/`."""
    assert SHARED is not None, "the converter lies beside the checkout, in ../shared/tools"
    converter = SHARED / "tools" / "deb2apk.py"
    stamp = hashlib.sha256(Path(__file__).read_bytes() + converter.read_bytes()).hexdigest()
    root = _WORK / "archive"
    with _alone():
        if not _is_made(root, stamp):
            new = root.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            (new / "Packages").write_text(_list_packages())
            _run(
                sys.executable, converter, new, "--packages", new / "Packages", "--history", _OLDER
            )
            (new / "stamp").write_text(stamp)
            shutil.rmtree(root, ignore_errors=True)
            new.rename(root)
    return root


def count_entries(archive: Path) -> int:
    """How many packages the index lists."""
    totals: dict[str, int] = json.loads((archive / "manifest.json").read_text())["totals"]
    return totals["index_entries"]


def _list_packages() -> str:
    """The stable release's Packages, as apt has fetched it: the longest of the suites'."""
    ask = ["indextargets", "--format", "$(FILENAME)", "Created-By: Packages", "Component: main"]
    listed = [Path(name) for name in _run(*_apt(), *ask).split() if Path(name).exists()]
    longest = max(listed, key=lambda path: path.stat().st_size)
    return _run("/usr/lib/apt/apt-helper", "cat-file", longest)
