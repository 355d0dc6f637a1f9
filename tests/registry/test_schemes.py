"""Which scheme a registry is spoken to in, over real TLS and, for other machines, on paper."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fixtures.certificates import write_certificate
from fixtures.registries import free_port, started
from fixtures.serving import serving
from fixtures.webserver import Answer, serve
from imagist.cli.main import main
from imagist.errors import InputError, NetworkError
from imagist.net.connection import Unreachable
from imagist.net.environment import Environment
from imagist.net.transport import HttpTransport, Response
from imagist.oci.random import random_image
from imagist.oci.reference import parse_reference
from imagist.registry.client import Registries
from imagist.registry.push import push_image
from imagist.registry.scope import Anonymous
from imagist.registry.session import Session
from imagist.store.layout import write_layout
from support import find_tool, needs


class Paper:
    """A transport to nowhere: it notes what is asked, and answers what it is told."""

    def __init__(self, **answers: int) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def request(self, method: str, url: str, **more: Any) -> Response:
        self.asked.append(f"{method} {url}")
        status = self.answers.get(url.partition("://")[0])
        if status is None:
            raise Unreachable(f"{url} is nowhere")
        with serve() as web:
            return HttpTransport(Environment()).request("GET", web.on("/", Answer(status)))

    def learn(self, location: str) -> str:
        return location


@pytest.mark.parametrize(
    ("registry", "insecure", "answers", "url"),
    [
        ("docker.io", False, {}, "https://registry-1.docker.io"),
        ("ghcr.io", False, {}, "https://ghcr.io"),
        ("10.0.0.1:5000", False, {}, "https://10.0.0.1:5000"),
        ("localhost:5000", False, {"http": 200}, "http://localhost:5000"),
        ("127.9.9.9:5000", False, {"http": 401}, "http://127.9.9.9:5000"),
        ("[::1]:5000", False, {"http": 200}, "http://[::1]:5000"),
        ("a.localhost", False, {"http": 404}, "http://a.localhost"),
        ("localhost:5000", False, {"http": 400, "https": 200}, "https://localhost:5000"),
        ("localhost:5000", False, {"https": 200}, "https://localhost:5000"),
        ("far.example", True, {"https": 200, "http": 200}, "https://far.example"),
        ("far.example", True, {"http": 200}, "http://far.example"),
    ],
)
def test_plain_http_is_for_this_machine_or_where_it_is_asked_for(
    registry: str, insecure: bool, answers: Mapping[str, int], url: str
) -> None:
    transport = Paper(**answers)
    session = Session(registry, transport, Anonymous(), insecure=insecure)
    assert session.url == url
    before = list(transport.asked)
    assert session.url == url
    assert transport.asked == before  # once is enough


def test_what_speaks_neither_is_told() -> None:
    with pytest.raises(NetworkError, match="nowhere"):
        _ = Session("localhost:1", Paper(), Anonymous()).url
    with pytest.raises(NetworkError, match="no registry"):
        _ = Session("localhost:1", Paper(http=400, https=400), Anonymous()).url


@pytest.mark.parametrize(
    ("registry", "location", "target"),
    [
        ("far.example", "/v2/x?a=b", "https://far.example/v2/x?a=b"),
        ("far.example", "https://store.example/x", "https://store.example/x"),
        ("far.example", "http://far.example/v2/x", "https://far.example/v2/x"),
        ("far.example", "http://store.example/x", None),
        ("far.example", "https://10.1.2.3/x", None),
        ("far.example", "https://127.0.0.1/x", None),
        ("far.example", "https://[::1]:5000/x", None),
        ("far.example", "https://169.254.169.254/latest", None),
        ("far.example", "https://localhost/x", None),
        ("10.0.0.1", "https://10.1.2.3/x", "https://10.1.2.3/x"),
        ("far.example", "", None),
        ("far.example", "file:///etc/passwd", None),
    ],
)
def test_uploads_go_nowhere_they_have_no_business(
    registry: str, location: str, target: str | None
) -> None:
    session = Session(registry, Paper(), Anonymous())
    with serve() as web:
        url = web.on("/", Answer(202, headers={"Location": location} if location else {}))
        response = HttpTransport(Environment()).request("GET", url)
    if target is not None:
        assert session.locate(response, "/v2/app/blobs/uploads/") == target
        return
    with pytest.raises(NetworkError, match="upload"):
        session.locate(response, "/v2/app/blobs/uploads/")


@contextlib.contextmanager
def encrypted_registry(folder: Path, more: str = "") -> Iterator[tuple[str, Path]]:
    """A registry over TLS, and the file with its certificate."""
    certificate = write_certificate(folder, "localhost")
    port = free_port()
    config = folder / "config.yml"
    tls = f"certificate: {certificate}, key: {certificate}{more.format(certificate)}"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}', tls: {{{tls}}}}}\n"
    )
    tool = find_tool("registry")
    assert tool
    words = [tool, "serve", str(config)]
    with started(words, folder, f"http://127.0.0.1:{port}/v2/", dict(os.environ)):
        yield f"localhost:{port}", certificate


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    with encrypted_registry(tmp_path) as running:
        yield running


@needs("registry")
def test_a_registry_that_wants_to_know_us_gets_dockers_certificate(tmp_path: Path) -> None:
    with encrypted_registry(tmp_path, ", clientcas: [{}]") as (host, certificate):
        ours = tmp_path / "certs.d" / host
        ours.mkdir(parents=True)
        for name in ("ca.crt", "client.cert", "client.key"):
            (ours / name).write_bytes(certificate.read_bytes())
        environment = Environment(certificate_folders=(str(tmp_path / "certs.d"),))
        transport = HttpTransport(environment, anonymous=True)
        name_ = parse_reference(f"{host}/app:1")
        push_image(Registries(transport), random_image(4), [name_])
        transport.close()
        stranger = HttpTransport(Environment(ca_file=str(certificate)), anonymous=True)
        with pytest.raises(NetworkError):
            Registries(stranger).repository(name_).resolve("1")
        stranger.close()
        (ours / "client.key").unlink()
        unfit = HttpTransport(environment, anonymous=True)
        with pytest.raises(InputError, match="cannot be used as a certificate"):
            Registries(unfit).repository(name_).resolve("1")


@needs("registry")
def test_a_registry_over_tls_is_believed_by_its_certificate(
    encrypted: tuple[str, Path], tmp_path: Path
) -> None:
    host, certificate = encrypted
    image = random_image(4, layers=2, size=500_000)
    name = parse_reference(f"{host}/app:1")
    environment = Environment(ca_file=str(certificate))
    transport = HttpTransport(environment, anonymous=True)
    push_image(Registries(transport), image, [name])
    transport.close()
    stranger = HttpTransport(Environment(), anonymous=True)
    with pytest.raises(NetworkError, match="certificate is not trusted"):
        Registries(stranger).repository(name).resolve("1")
    stranger.close()


def test_what_https_lacks_is_told_where_plain_http_has_no_answer(tmp_path: Path) -> None:
    pem = write_certificate(tmp_path, "localhost")
    transport = HttpTransport(Environment(), anonymous=True)
    with serving(tmp_path / "store", "--tls-cert", pem, "--tls-key", pem) as registry:
        session = Session(f"localhost:{registry.port}", transport, Anonymous())
        with pytest.raises(NetworkError, match="certificate is not trusted: self-sig"):
            _ = session.url
    transport.close()


@pytest.mark.parametrize("insecure", [False, True])
def test_plain_http_elsewhere_wants_insecure(tmp_path: Path, *, insecure: bool) -> None:
    transport = HttpTransport(Environment(), anonymous=True)
    with serving(tmp_path / "store", listen="0.0.0.0:0") as registry:
        # This machine by a name that does not say so.
        host = f"0.0.0.0:{registry.port}"
        repository = Registries(transport, insecure=insecure).repository(
            parse_reference(f"{host}/app:1")
        )
        if insecure:
            assert repository.resolve("1") is None
        else:
            with pytest.raises(NetworkError, match="speaks no TLS") as caught:
                repository.resolve("1")
            assert "--insecure" in str(caught.value.problems[0].help)
    transport.close()


@needs("registry")
def test_insecure_believes_any_certificate(
    encrypted: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _ = encrypted
    monkeypatch.setenv("IMAGIST_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    write_layout(random_image(4), tmp_path / "layout")
    words = ["push", str(tmp_path / "layout"), f"{host}/app:1"]
    assert main(words) == 4
    assert main([*words, "--insecure"]) == 0
    assert main(["pull", f"{host}/app:1", "-o", str(tmp_path / "back"), "--insecure"]) == 0
