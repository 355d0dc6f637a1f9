"""`imagist build --watch`: a process that is left running while somebody edits."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from build.commandline import command, environment

DECLARED = "base: scratch\nplatforms: [amd64]\nfiles: [{source: page.html, path: /srv/}]\n"


def _heed_signals() -> None:
    """Take SIGINT as it comes: what a shell starts with `&` ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def write_site(site: Path, page: str) -> None:
    site.mkdir()
    (site / "page.html").write_text(page)
    (site / "imagist.yaml").write_text(DECLARED)


@contextmanager
def watching(site: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that builds whatever is saved, until it is ended; for a minute at most."""
    words = command("build", site, "--watch", "-o", site / "out", "--cache", tmp_path / "cache")
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
