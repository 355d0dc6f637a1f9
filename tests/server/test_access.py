"""Who is let in, over http and https, and what the logs tell of it."""

from __future__ import annotations

import base64
import datetime
import http.client
import ipaddress
import os
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fixtures.engines import running_docker
from fixtures.serving import Serving, serving
from imagist.digest import sha256
from imagist.errors import InputError, NotFound
from imagist.oci.random import random_image
from imagist.server.access import Access
from imagist.server.messages import Refusal, Request
from imagist.store.archive import write_archive
from realworld.tools import run
from server.asking import Asker
from server.test_serve import start
from support import find_tool, needs

PASSWORD = "correct horse: battery"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def line(user: str, password: str) -> str:
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


GOOD = basic("ada", PASSWORD)
BAD = [
    basic("ada", "wrong"),
    basic("bob", PASSWORD),
    basic("ada", ""),
    basic("ada", "\0"),
    basic("ada", PASSWORD + "\0"),
    basic("", PASSWORD),
    "Basic !!!",
    "Basic " + base64.b64encode(b"\xff\xff").decode(),
    "Bearer token",
    "nonsense",
]


@pytest.fixture
def users(tmp_path: Path) -> Path:
    file = tmp_path / "users"
    file.write_text("# who may\n\n" + line("ada", PASSWORD))
    return file


def check(
    access: Access, authorization: str = "", method: str = "GET", path: str = "/v2/x/tags/list"
) -> str:
    request = Request(method, path, {"authorization": authorization} if authorization else {})
    access.check(request)
    return request.user


def test_the_right_password(users: Path) -> None:
    access = Access(users)
    request = Request("GET", "/v2/", {"authorization": GOOD})
    assert not access.is_quick(request)
    assert check(access, GOOD) == "ada"
    assert access.is_quick(request)
    assert check(access, GOOD, "DELETE") == "ada"


@pytest.mark.parametrize("authorization", ["", basic("", ""), *BAD])
@pytest.mark.parametrize("anonymous", [False, True])
def test_wrong_or_missing(users: Path, authorization: str, anonymous: bool) -> None:
    access = Access(users, anonymous_pull=anonymous)
    may_read = anonymous and authorization in {"", basic("", "")}
    for method, path in (
        ("GET", "/v2/x/tags/list"),
        ("HEAD", "/v2/x/manifests/1"),
        ("PUT", "/v2/x/manifests/1"),
        ("GET", "/v2/"),
    ):
        if may_read and method != "PUT" and path != "/v2/":
            assert check(access, authorization, method, path) == ""
            continue
        with pytest.raises(Refusal) as refused:
            check(access, authorization, method, path)
        assert refused.value.status == 401
        assert dict(refused.value.headers)["www-authenticate"].startswith("Basic ")


def test_a_password_that_held_once_does_not_vouch_for_another(users: Path) -> None:
    access = Access(users)
    check(access, GOOD)
    for authorization in BAD:
        with pytest.raises(Refusal):
            check(access, authorization)


def test_a_user_who_is_taken_out_is_out_at_once(users: Path) -> None:
    access = Access(users)
    check(access, GOOD)
    users.write_text(line("eve", "x"))
    os.utime(users, (1, 1))
    with pytest.raises(Refusal):
        check(access, GOOD)
    assert check(access, basic("eve", "x")) == "eve"


def test_a_file_that_is_being_replaced_locks_nobody_out(users: Path) -> None:
    access = Access(users)
    users.unlink()
    assert check(access, GOOD) == "ada"


def test_a_file_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Access(tmp_path / "absent")
    file = tmp_path / "users"
    for text in ("ada:$apr1$md5\n", "ada\n", ":$2y$05$x\n", "ada:{SHA}x\n"):
        file.write_text(text)
        with pytest.raises(InputError, match="line 1"):
            Access(file)


def test_a_password_that_is_revoked_while_it_is_checked_holds_no_more(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = Access(users)
    right = bcrypt.checkpw

    def revoke_meanwhile(password: bytes, hashed: bytes) -> bool:
        held = right(password, hashed)
        users.write_text(line("eve", "x"))
        os.utime(users, (1, 1))
        monkeypatch.setattr(bcrypt, "checkpw", right)
        assert check(access, basic("eve", "x")) == "eve"  # the file is read by then
        return held

    monkeypatch.setattr(bcrypt, "checkpw", revoke_meanwhile)
    check(access, GOOD)
    with pytest.raises(Refusal):
        check(access, GOOD)


@pytest.mark.parametrize(
    "hashed",
    [
        "$2y$00$" + "." * 53,
        "$2y$03$" + "." * 53,
        "$2y$18$" + "." * 53,
        "$2y$99$" + "." * 53,
        "$2y$05$" + "." * 52,
        "$2y$05$short",
        "$2y$05$" + "." * 21 + "z" + "." * 31,
    ],
)
def test_a_hash_that_nothing_can_be_checked_against(users: Path, hashed: str) -> None:
    access = Access(users, warn=(told := list[str]()).append)
    users.write_text(f"bob:{hashed}\n{line('eve', 'x')}")
    os.utime(users, (1, 1))
    for authorization in (GOOD, basic("bob", "x"), basic("bob", "")):
        with pytest.raises(Refusal):
            check(access, authorization)
    assert check(access, basic("eve", "x")) == "eve"
    assert told == [f"{users}: line 1 is not `user:bcrypt`; it is passed over"]
    with pytest.raises(InputError, match="line 1") as refused:
        Access(users)
    assert refused.value.problems[0].where == str(users)


@needs("htpasswd")
def test_a_file_that_htpasswd_made(tmp_path: Path) -> None:
    tool = find_tool("htpasswd")
    assert tool
    file = tmp_path / "users"
    subprocess.run([tool, "-Bbc", file, "ada", PASSWORD], check=True, capture_output=True)
    assert check(Access(file), GOOD) == "ada"


@pytest.mark.parametrize("flags", [[], ["--anonymous-pull"]])
def test_over_http(users: Path, flags: list[str]) -> None:
    with serving(None, "--htpasswd", users, *flags) as registry:
        with Asker(registry.address, GOOD) as ask:
            digest = ask.put_image("team/app", "1", b"layer")
        with Asker(registry.address) as ask:
            answer = ask("GET", "/v2/")
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
            assert ask("POST", "/v2/team/app/blobs/uploads/").status == 401
            assert ask("PUT", "/v2/team/app/manifests/1", b"{}" * 100_000).status == 401
            read = ask("GET", f"/v2/team/app/manifests/{digest}")
            assert read.status == (200 if flags else 401)
        with Asker(registry.address, basic("ada", "wrong")) as ask:
            assert ask("GET", "/v2/team/app/manifests/1").status == 401
        registry.stop()
        told = registry.log.read_text()
        assert registry.requests()[0]["user"] == "ada"
        assert PASSWORD not in told
        assert GOOD.split()[1] not in told


@needs("crane")
def test_crane_logs_in_pushes_and_pulls(users: Path, tmp_path: Path) -> None:
    crane = find_tool("crane")
    assert crane
    with serving(None, "--htpasswd", users, "--anonymous-pull") as registry:
        name = f"{registry.address}/app:1"
        ours = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "ours")}
        theirs = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "theirs")}

        def crane_as(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [crane, *words], env=environment, capture_output=True, text=True, timeout=60
            )

        assert (
            crane_as(
                ours, "auth", "login", registry.address, "-u", "ada", "-p", PASSWORD
            ).returncode
            == 0
        )
        file = tmp_path / "layer.tar"
        file.write_bytes(bytes(10240))
        pushed = crane_as(ours, "append", "-f", str(file), "-t", name)
        assert pushed.returncode == 0, pushed.stderr
        assert crane_as(theirs, "digest", name).stdout.strip() in pushed.stdout
        file.write_bytes(bytes(20480))
        refused = crane_as(theirs, "append", "-f", str(file), "-t", name)
        assert refused.returncode == 1
        assert "UNAUTHORIZED" in refused.stderr


@needs("skopeo", "dockerd", "docker")
def test_docker_and_skopeo_log_in(users: Path, tmp_path: Path) -> None:
    write_archive(random_image(9), tmp_path / "i.tar", tags=["app:1"])
    with (
        serving(None, "--htpasswd", users) as registry,
        tempfile.TemporaryDirectory(prefix="i", ignore_cleanup_errors=True) as state,
        running_docker(Path(state) / "docker") as docker,
    ):
        name = f"{registry.address}/team/app:1"
        config = ("--config", tmp_path / "docker")
        docker("load", "-q", "-i", tmp_path / "i.tar")
        docker("tag", "app:1", name)
        with pytest.raises(AssertionError, match="no basic auth credentials"):
            docker(*config, "push", "-q", name)
        with pytest.raises(AssertionError, match="401 Unauthorized"):
            docker(*config, "login", "-u", "ada", "-p", "wrong", registry.address)
        docker(*config, "login", "-u", "ada", "-p", PASSWORD, registry.address)
        docker(*config, "push", "-q", name)
        docker("rmi", name)
        docker(*config, "pull", "-q", name)
        plain = ("skopeo", "inspect", "--tls-verify=false", f"docker://{name}")
        assert run(*plain, "--creds", f"ada:{PASSWORD}")
        with pytest.raises(AssertionError, match=r"authentication required|unauthorized"):
            run(*plain, "--no-creds")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for 127.0.0.1, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(built.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    )
    return folder


@pytest.fixture(scope="module")
def secure(certificate: Path) -> Iterator[Serving]:
    files = ("--tls-cert", certificate / "cert.pem", "--tls-key", certificate / "key.pem")
    with serving(None, *files) as running:
        yield running


def test_over_https(secure: Serving, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    connection = http.client.HTTPSConnection(secure.address, context=context, timeout=20)
    connection.request("GET", "/v2/")
    assert connection.getresponse().read() == b"{}"
    connection.close()


@needs("crane")
def test_crane_over_https(secure: Serving, certificate: Path, tmp_path: Path) -> None:
    crane = find_tool("crane")
    assert crane
    file = tmp_path / "layer.tar"
    file.write_bytes(bytes(1 << 20))
    trusting = {**os.environ, "SSL_CERT_FILE": str(certificate / "cert.pem")}
    words = [crane, "append", "-f", str(file), "-t", f"{secure.address}/app:1"]
    done = subprocess.run(words, env=trusting, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    words = [crane, "validate", "--remote", f"{secure.address}/app:1"]
    done = subprocess.run(words, env=trusting, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@needs("curl")
def test_a_stream_over_http2(secure: Serving, certificate: Path, tmp_path: Path) -> None:
    """There is no chunked encoding in HTTP/2, nor a length in a stream."""
    data = os.urandom(3 << 20)
    digest = sha256(data)
    fixed = ["curl", "-sS", "--http2", "--cacert", str(certificate / "cert.pem"), "-m", "30"]

    def curl(*words: str, stdin: bytes = b"") -> bytes:
        return subprocess.run(
            [*fixed, *words], input=stdin, capture_output=True, check=True
        ).stdout

    base = f"https://{secure.address}"
    told = curl("-X", "POST", "-D", "-", f"{base}/v2/app/blobs/uploads/").decode().splitlines()
    assert told[0].startswith("HTTP/2 202")
    (place,) = [line.split()[1] for line in told if line.lower().startswith("location:")]
    code = ("-w", "%{http_code}", "-o", "/dev/null")
    assert curl("-X", "PATCH", "-T", "-", *code, base + place, stdin=data) == b"202"
    assert curl("-X", "PUT", *code, f"{base}{place}?digest={digest}") == b"201"
    assert curl(f"{base}/v2/app/blobs/{digest}") == data


def test_a_certificate_of_another_key(certificate: Path, tmp_path: Path) -> None:
    other = tmp_path / "key.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    other.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    words = ("--tls-cert", certificate / "cert.pem", "--tls-key", other)
    done = start(tmp_path / "s", "--listen", ":0", *words)
    assert (done.returncode, done.stdout) == (3, "")
    assert "cannot be used" in done.stderr
    done = start(tmp_path / "s", "--tls-cert", certificate / "cert.pem")
    assert done.returncode == 2
    assert "needed together" in done.stderr
