"""Running imagist and the real tools it is compared with."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from support import ROOT, find_tool


def run(tool: str, *arguments: object, cwd: Path | None = None, timeout: float = 120) -> str:
    """Run a real tool, which must succeed, and give what it says."""
    found = find_tool(tool)
    assert found, f"{tool} is not on PATH, in ~/go/bin or in $IMAGIST_TEST_TOOLS"
    return _run([found, *map(str, arguments)], cwd, timeout, None)


def imagist(*arguments: object, cwd: Path | None = None, cache: Path) -> str:
    """Run the command line as a user does, with a store of its own."""
    command = [sys.executable, "-m", "imagist", *map(str, arguments), "--cache", str(cache)]
    return _run(command, cwd, 120, _environment())


def apko(*arguments: object, cwd: Path, cache: Path) -> str:
    """Run the real apko, quietly and with a cache of its own."""
    found = find_tool("apko")
    assert found, "apko is not on PATH, in ~/go/bin or in $IMAGIST_TEST_TOOLS"
    environment = {**_environment(), "XDG_CACHE_HOME": str(cache)}
    command = [found, *map(str, arguments), "--log-level", "error"]
    return _run(command, cwd, 120, environment)


class Spent(NamedTuple):
    """What a process took."""

    seconds: float
    cpu: float
    """Seconds of all processors together."""
    peak: int
    """The most memory that was resident, in bytes."""
    said: str
    """Standard output and error."""


def measure(command: Sequence[str], cwd: Path, **variables: str) -> Spent:
    """Run a command, which must succeed, and measure it and it alone."""
    launch = [sys.executable, "-I", "-S", str(ROOT / "tests" / "realworld" / "launch.py")]
    environment = _environment() | variables
    with tempfile.TemporaryFile() as log:
        done = subprocess.run(
            [*launch, *command], cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=log
        )
        log.seek(0)
        said = log.read().decode(errors="replace")
    code, *spent = done.stdout.split()
    assert code == b"0", f"{command}\n{said}"
    seconds, cpu, peak = map(float, spent)
    return Spent(seconds, cpu, int(peak), said)


def _environment() -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    environment.pop("SOURCE_DATE_EPOCH", None)
    return environment


def _run(
    command: list[str], cwd: Path | None, timeout: float, environment: dict[str, str] | None
) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, timeout=timeout, env=environment
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()
