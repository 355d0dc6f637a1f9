"""Running imagist and the real tools it is compared with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support import ROOT, find_tool


def run(tool: str, *arguments: object, cwd: Path | None = None, timeout: float = 120) -> str:
    """Run a real tool, which must succeed, and give what it says."""
    found = find_tool(tool)
    assert found, f"{tool} is not on PATH, in ~/go/bin or in $IMAGIST_TEST_TOOLS"
    return _run([found, *map(str, arguments)], cwd, timeout, None)


def imagist(*arguments: object, cwd: Path | None = None, cache: Path) -> str:
    """Run the command line as a user does, with a store of its own."""
    command = [sys.executable, "-m", "imagist", *map(str, arguments), "--cache", str(cache)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    environment.pop("SOURCE_DATE_EPOCH", None)
    return _run(command, cwd, 120, environment)


def apko(*arguments: object, cwd: Path, cache: Path) -> str:
    """Run the real apko, quietly and with a cache of its own."""
    found = find_tool("apko")
    assert found, "apko is not on PATH, in ~/go/bin or in $IMAGIST_TEST_TOOLS"
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    environment.pop("SOURCE_DATE_EPOCH", None)
    command = [found, *map(str, arguments), "--log-level", "error"]
    return _run(command, cwd, 120, environment)


def loads(text: str) -> Any:
    """JSON."""
    return json.loads(text)


def _run(
    command: list[str], cwd: Path | None, timeout: float, environment: dict[str, str] | None
) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, timeout=timeout, env=environment
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()
