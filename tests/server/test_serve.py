"""The process: its address, its end, and what it refuses to start with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.serving import serving
from server.asking import Asker
from support import ROOT


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


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", ""])
def test_hosts(tmp_path: Path, host: str) -> None:
    told = "127.0.0.1" if host in {"", "localhost"} else host
    with serving(tmp_path, listen=f"{host}:0") as registry, Asker(registry.address) as ask:
        assert registry.address.rpartition(":")[0] == told
        assert ask("GET", "/v2/").status == 200


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


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep me")
    done = start(tmp_path, "--listen", ":0")
    assert done.returncode == 2
    assert "neither a store nor an OCI layout" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("address", ["host", "host:", "host:99999", "host:-1", ""])
def test_an_address_that_is_none(address: str) -> None:
    done = start("--listen", address)
    assert done.returncode == 2, done.stderr


def test_users_are_needed_for_what_only_users_may(tmp_path: Path) -> None:
    done = start(tmp_path, "--anonymous-pull")
    assert (done.returncode, "--htpasswd" in done.stderr) == (2, True)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """Without the optional packages the error says what to install."""
    code = (
        "import sys\n"
        "sys.modules['granian'] = sys.modules['bcrypt'] = None\n"
        "from imagist.cli.main import main\n"
        f"sys.exit(main(['serve', {str(tmp_path)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 3
    assert "pip install 'imagist[serve]'" in done.stderr


def test_serving_the_usual_store_lets_others_prune_it(tmp_path: Path) -> None:
    cache = {**os.environ, "IMAGIST_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-m", "imagist"]
    pipe = subprocess.PIPE
    server = subprocess.Popen([*words, "serve", "--listen", ":0", "-q"], env=cache, stdout=pipe)
    assert server.stdout
    with server, Asker(server.stdout.readline().decode().strip()) as ask:
        digest = ask.put_image("team/app", "1", b"layer")
        done = subprocess.run([*words, "cache", "prune"], env=cache, stdout=pipe, timeout=30)
        assert done.returncode == 0
        assert ask("GET", f"/v2/team/app/manifests/{digest}").status == 200
        server.terminate()


@pytest.mark.parametrize(
    ("flags", "told"),
    [([], "may push and delete"), (["--read-only"], ""), (["--htpasswd"], "unencrypted")],
)
def test_others_who_reach_it_are_warned_of(tmp_path: Path, flags: list[str], told: str) -> None:
    users = tmp_path / "users"
    users.write_text("")
    words = [
        sys.executable,
        "-m",
        "imagist",
        "serve",
        str(tmp_path / "s"),
        "--listen",
        "0.0.0.0:0",
    ]
    words += [*flags, *([str(users)] if flags == ["--htpasswd"] else [])]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("0.0.0.0:")
        process.terminate()
        _, said = process.communicate(timeout=15)
    assert (told in said) if told else not said


def test_read_only_needs_no_folder_to_write_to(tmp_path: Path) -> None:
    with serving(tmp_path / "store") as registry, Asker(registry.address) as ask:
        ask.put_image("team/app", "1", b"layer")
    before = sorted(map(str, tmp_path.rglob("*")))
    with serving(tmp_path / "store", "--read-only") as registry, Asker(registry.address) as ask:
        assert ask("GET", "/v2/team/app/manifests/1").status == 200
        assert ask("POST", "/v2/team/app/blobs/uploads/").code == "UNSUPPORTED"
    assert sorted(map(str, tmp_path.rglob("*"))) == before
