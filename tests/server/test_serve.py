"""The process: its address, its end, and what it refuses to start with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.serving import serving
from server.asking import Asker


def start(*words: object) -> subprocess.CompletedProcess[str]:
    """Run `imagist serve` where it must end by itself."""
    command = [sys.executable, "-m", "imagist", "serve", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_a_blob_comes_back_as_it_went(tmp_path: Path) -> None:
    data = b"no word too many" * 100_000
    with serving(tmp_path / "store") as registry, Asker(registry.address) as ask:
        digest = ask.put_blob("team/app", data)
        answer = ask("GET", f"/v2/team/app/blobs/{digest}")
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["content-length"] == str(len(data))
        assert (tmp_path / "store" / "blobs" / "sha256" / digest.hex).read_bytes() == data


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    with serving() as registry, Asker(registry.address) as ask:
        assert ask("GET", "/v2/").status == 200
        registry.process.send_signal(number)
        assert registry.process.wait(15) == 0
        assert registry.requests()[0]["path"] == "/v2/"


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with serving() as registry:
        done = start(tmp_path, "--listen", registry.address)
        assert done.returncode == 4
        assert "cannot listen at" in done.stderr
        assert done.stdout == ""


def test_the_address_as_json(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "imagist",
        "serve",
        str(tmp_path),
        "--listen",
        ":0",
        "--json",
        "-q",
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(4)]
        process.terminate()
        assert process.communicate(timeout=15)[0] == ""
    told = json.loads("".join(lines))
    assert told["url"] == f"http://{told['address']}"
