"""`imagist build --watch`: a process that is left running while somebody edits."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pytest

from build.commandline import command, environment
from imagist.store.layout import write_layout
from lastmile.shop import base
from lastmile.test_project import BACKEND, PROJECT

DECLARED = (
    "base: scratch\nplatforms: [amd64]\nfiles: [{source: page.html, path: /srv/}]\n"
    "command: /srv/page.html\n"
)


def _heed_signals() -> None:
    """Take SIGINT as it comes: what a shell starts with `&` ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def write_site(site: Path, page: str) -> None:
    site.mkdir()
    (site / "page.html").write_text(page)
    (site / "imagist.yaml").write_text(DECLARED)


@contextmanager
def watching(site: Path, tmp_path: Path, *more: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A process that builds whatever is saved, until it is ended; for a minute at most."""
    words = command(
        "build", site, "--watch", "-o", site / "out", "--cache", tmp_path / "cache", *more
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words,
        stdout=pipe,
        stderr=pipe,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
        preexec_fn=_heed_signals,  # noqa: PLW1509 - no other thread runs here
    ) as process:
        limit = threading.Timer(60, process.kill)  # no line that never comes is waited for longer
        limit.daemon = True
        limit.start()
        try:
            yield process
        finally:
            process.kill()  # or a failure would wait for it without end


def test_what_is_saved_is_built(tmp_path: Path) -> None:
    """A slip is told and waited out; what gives the same image says nothing; Ctrl-C ends it."""
    site = tmp_path / "site"
    write_site(site, "one\n")
    with watching(site, tmp_path) as process:
        out, err = cast("IO[str]", process.stdout), cast("IO[str]", process.stderr)
        first = out.readline()
        assert first.startswith("sha256:")
        (site / "page.html").write_text("two\n")
        second = out.readline()
        assert second.startswith("sha256:")
        assert second != first
        (site / "imagist.yaml").write_text("files: 1\n")
        assert err.readline().startswith("error: ")
        (site / "page.html").write_text("one\n")
        (site / "imagist.yaml").write_text(DECLARED)
        assert out.readline() == first
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert out.read() == ""


def test_what_is_written_again_as_it_is_builds_once_more_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backends that write a version into the project would else be run for ever."""
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    project = tmp_path / "project"
    (project / "app").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    write = "    pathlib.Path('app/version.py').write_text('v = 1')\n    files = "
    (project / "backend.py").write_text(BACKEND.replace("    files = ", write, 1))
    dynamic = PROJECT.replace('version = "1.0"', 'dynamic = ["version"]')
    tool = '[tool.imagist]\nplatforms = ["amd64"]\nentrypoint = "python"\n'
    (project / "pyproject.toml").write_text(dynamic + tool)
    write_layout(base("amd64"), tmp_path / "base")
    with watching(
        project, tmp_path, "--base", tmp_path / "base", "-o", tmp_path / "out"
    ) as process:
        out = cast("IO[str]", process.stdout)
        first = out.readline()
        assert first.startswith("sha256:")
        time.sleep(3)
        count = len((tmp_path / "count").read_text())
        time.sleep(2)
        assert len((tmp_path / "count").read_text()) == count <= 3
        (project / "app" / "code.py").write_text("x = 2\n")
        assert out.readline() not in {"", first}


def test_a_folder_that_is_made_anew_is_watched_again(tmp_path: Path) -> None:
    """It is another one under the same name, of whose files the system tells nothing."""
    site = tmp_path / "site"
    write_site(site, "one\n")
    with watching(site, tmp_path) as process:
        out, err = cast("IO[str]", process.stdout), cast("IO[str]", process.stderr)
        found = [out.readline()]
        shutil.rmtree(site)
        while not err.readline().startswith("error: "):
            pass
        write_site(site, "two\n")
        found.append(out.readline())
        (site / "page.html").write_text("three\n")
        found.append(out.readline())
        assert len({line for line in found if line.startswith("sha256:")}) == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
