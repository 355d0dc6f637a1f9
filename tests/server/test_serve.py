"""The process: its address, its end, and what it refuses to start with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from fixtures.certificates import write_certificate
from fixtures.serving import serving
from imagist.server import run
from imagist.server.access import Access
from imagist.server.accesslog import AccessLog
from imagist.server.app import Application
from imagist.server.metrics import Metrics
from imagist.server.registry import Policy, Registry
from imagist.store.repositories import Repositories
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


def test_silent_connections_are_closed(
    repositories: Repositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_SILENCE", 300)
    registry = Registry(repositories, Policy(Access()), Metrics())
    application = Application(registry, Metrics(), AccessLog(None))

    async def wait_for_end(port: int, said: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        told = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return told

    async def main() -> list[bytes]:
        with run._reserve(run.Address("127.0.0.1", 0)) as reserved:
            address = run.Address(*reserved.getsockname())
            server = run._make_server(application, address, None)
            serving = asyncio.create_task(server.serve())
            await run._tell(address, lambda _: None)
            said = (b"", b"PRI * HT", b"GET / HT", b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            told = await asyncio.gather(*(wait_for_end(address.port, each) for each in said))
            server.stop()  # type: ignore[no-untyped-call]
            await serving
            return told

    *silent, answered = asyncio.run(main())
    assert silent == [b"", b"", b""]
    assert answered.startswith(b"HTTP/1.1 200")


def test_a_thousand_silent_clients_keep_nobody_out() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= limits[1] < 4096:
        pytest.skip("a process may open too few files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, limits[1]))
    try:
        with serving() as registry, contextlib.ExitStack() as open_:
            for _ in range(1100):
                connection = socket.create_connection(("127.0.0.1", registry.port), timeout=10)
                open_.enter_context(connection)
            ask = open_.enter_context(Asker(registry.address))
            start = time.monotonic()
            assert ask("GET", "/v2/").status == 200
            assert time.monotonic() - start < 10
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    "address", ["host", "host:", "host:99999", "host:-1", "", "host:" + "9" * 5000]
)
def test_an_address_that_is_none(address: str) -> None:
    done = start("--listen", address)
    assert done.returncode == 2, done.stderr


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    pem = write_certificate(tmp_path, "localhost")
    done = start(tmp_path / "s", "--tls-cert", pem, "--tls-key", tmp_path / "none.pem")
    assert (done.returncode, f"there is no file {tmp_path}/none.pem" in done.stderr) == (3, True)
    (tmp_path / "notes").write_text("no key")
    done = start(tmp_path / "s", "--tls-cert", pem, "--tls-key", tmp_path / "notes")
    assert (done.returncode, "both are files in PEM" in done.stderr) == (3, True)


def test_nobody_is_asked_for_the_passphrase_of_a_key(tmp_path: Path) -> None:
    pem = write_certificate(tmp_path, "localhost")
    key = serialization.load_pem_private_key(pem.read_bytes(), None)
    secret = tmp_path / "secret.pem"
    form = serialization.PrivateFormat.PKCS8
    lock = serialization.BestAvailableEncryption(b"sesame")
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, lock))
    words = [sys.executable, "-m", "imagist", "serve", str(tmp_path / "s"), "--listen", ":0"]
    words += ["--tls-cert", str(pem), "--tls-key", str(secret)]
    terminal, ours = pty.openpty()  # OpenSSL would ask here
    pipe = subprocess.PIPE
    done = subprocess.run(
        words, stdin=ours, stdout=pipe, stderr=pipe, text=True, timeout=30, start_new_session=True
    )
    os.close(ours)
    os.close(terminal)
    assert (done.returncode, done.stdout) == (3, "")
    assert "has a passphrase" in done.stderr


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
