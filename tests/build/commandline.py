"""The command line as tests use it, inside this process or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from imagist.cli.main import main
from support import ROOT

SILENT = {"IMAGIST_PROGRESS": "none"}
"""How far work is would be told of work that takes long, which depends on the machine."""


class Answer(NamedTuple):
    """What a command left: its exit code, its answer and what it said."""

    code: int
    out: str
    err: str


def run(*words: str | Path) -> Answer:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    silent = mock.patch.dict(os.environ, SILENT)
    with silent, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return Answer(code, out.getvalue(), err.getvalue())


def environment(**changes: str) -> dict[str, str]:
    """The environment of a process: this one's without what steers imagist, and changes."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("IMAGIST_") and name != "SOURCE_DATE_EPOCH"
    }
    return kept | {"PYTHONPATH": str(ROOT / "src")} | SILENT | changes


def command(*words: str | Path) -> list[str]:
    """The words that start imagist in a process of its own."""
    return [sys.executable, "-m", "imagist", *map(str, words)]


def spawn(
    *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, program: str = ""
) -> Answer:
    """Run a command in a process of its own, or a program that does."""
    start = [sys.executable, "-c", program, *map(str, words)] if program else command(*words)
    done = subprocess.run(start, cwd=cwd, env=env or environment(), capture_output=True, text=True)
    return Answer(done.returncode, done.stdout, done.stderr)
