"""What tests need to know of the machine: shared data and real components, and why one is absent."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_SHARED = ROOT.parent / "shared"
SHARED: Path | None = _SHARED if (_SHARED / "testdata").is_dir() else None
"""The folder of shared reference data beside a checkout of the team; elsewhere absent."""
TESTDATA = (SHARED or ROOT / "absent") / "testdata"


MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A folder in memory, where there is one: for tests that would wait for a disk and learn nothing."""


def find_tool(name: str) -> str | None:
    """The path of a real tool: on PATH, or in the folder that IMAGIST_TEST_TOOLS names."""
    extra = [os.environ.get("IMAGIST_TEST_TOOLS", ""), str(Path.home() / "go" / "bin")]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(filter(None, extra)))


def is_present(component: str) -> bool:
    """Whether a component that a test needs is here."""
    if component == "shared":
        return SHARED is not None
    return find_tool(component) is not None


def needs(*components: str) -> pytest.MarkDecorator:
    """Skip a test, with the reason, where one of the components is absent.

    Under IMAGIST_TEST_ALL=1 (CI) nothing is skipped, so an absent component fails its tests.
    """
    absent = [name for name in components if not is_present(name)]
    if os.environ.get("IMAGIST_TEST_ALL") == "1":
        absent = []
    return pytest.mark.skipif(bool(absent), reason=f"needs {', '.join(absent)}, not present here")
