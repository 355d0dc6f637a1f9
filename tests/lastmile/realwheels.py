"""Real wheels, from the index that pip is configured for; kept beside the tools of tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

SAMPLE = ("flask==3.1.0", "pandas==2.2.3", "cryptography==44.0.0", "uvicorn[standard]==0.34.0")
"""The 26 wheels that speed is measured with."""
ODD = ("notebook-shim==0.2.4", "ruff==0.9.1", "jupyterlab-widgets==3.0.13", "greenlet==3.1.1")
"""Wheels with `.data` folders, headers and scripts that are programs."""


def find_wheels(requirements: Sequence[str], *options: str) -> list[Path]:
    """The wheels that requirements come to, for this Python; skips where there is no index."""
    folder = _fetch(tuple(requirements), options)
    if folder is None:
        pytest.skip("needs a package index")
    return sorted(folder.glob("*.whl"))


@cache
def _fetch(requirements: tuple[str, ...], options: tuple[str, ...]) -> Path | None:
    tools = os.environ.get("IMAGIST_TEST_TOOLS")
    root = Path(tools) if tools else Path.home() / ".cache" / "imagist-test-tools"
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    name = "-".join([version, *(each.partition("=")[0] for each in requirements)])
    folder = root / "wheels" / "".join(c if c.isalnum() or c in ".-" else "_" for c in name)
    if not (folder / "whole").exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
        command += ["--dest", str(folder), *options, *requirements]
        if subprocess.run(command, capture_output=True).returncode:
            return None
        (folder / "whole").touch()
    return folder
