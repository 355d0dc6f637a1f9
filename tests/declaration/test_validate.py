"""What makes no sense in a declaration, each with its place."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from imagist.declaration.include import load_declaration
from imagist.declaration.model import Certificate, Certificates, Contents, Declaration, RuntimeKey
from imagist.declaration.validate import check_declaration
from imagist.errors import RequestError

VALID = """
contents:
  repositories: [https://a/b, ./c, "@tag https://d"]
  packages: [a, a=1.2-r0, a>1, a~1.2, a>=1@edge, "so:libc.so.6=1", cmd:x, /bin/sh, "!b", py3.12-x]
  platform_packages: {x86_64: [x], arm/v7: []}
entrypoint: {type: service-bundle, services: {web: run}}
cmd: a 'b c' # d
stop-signal: SIGRTMIN+3
work-dir: /w
accounts:
  users: [{username: a.b-c, uid: 1}, {username: a.b-c, uid: 1}]
  groups: [{groupname: g, gid: 0, members: [a.b-c]}]
  run-as: "0"
archs: [amd64, aarch64, armv7]
paths:
  - {path: /a, type: directory, permissions: 0o1777, recursive: true}
  - {path: b/c, type: symlink, source: ../x}
  - {path: /d, type: permissions, uid: 1}
  - {path: /e, type: permissions, permissions: 420}
files: [{path: /f, content: ""}, {path: /g, source: g}]
ports: [8080, 53/udp, 1/sctp, 65535/tcp]
healthcheck: {test: [CMD, x], interval: 1m30s}
volumes: [/v]
environment: {"": x}
"""


def problems_of(text: str) -> list[str]:
    try:
        load_declaration(lambda _: text.encode(), "f.yaml")
    except RequestError as error:
        return [f"{problem.where}: {problem.message}" for problem in error.problems]
    return []


def test_what_is_valid_passes() -> None:
    assert problems_of(VALID.replace('environment: {"": x}', "environment: {A: ''}")) == []


def test_what_is_wrong_is_reported_with_its_place() -> None:
    assert problems_of(VALID) == ["f.yaml:24:14: `` cannot name a variable"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("contents: {repositories: ['']}", "a repository's location is empty"),
        ("contents: {repositories: ['t https://x']}", "`t https://x` is not a repository"),
        ("contents: {build_repositories: ['@ https://x']}", "`@ https://x` is not a repository"),
        ("contents: {runtime_repositories: ['@a b c']}", "`@a b c` is not a repository"),
        ("contents: {keyring: ['']}", "a key's location is empty"),
        ("contents: {packages: ['a b']}", "`a b` does not name a package"),
        ("contents: {packages: ['a=']}", "`a=` does not name a package"),
        ("contents: {packages: ['=1']}", "`=1` does not name a package"),
        ("contents: {packages: ['']}", "`` does not name a package"),
        ("contents: {platform_packages: {mips: [a]}}", "`mips` is not an architecture"),
        ("contents: {platform_packages: {amd64: ['a b']}}", "`a b` does not name a package"),
        ("entrypoint: {command: \"'\"}", "`entrypoint.command` cannot be split into words"),
        ("entrypoint: {services: {../x: y}}", "`../x` cannot name a service"),
        ("cmd: a\\", "`cmd` cannot be split into words: it ends in a backslash"),
        ("stop-signal: foo", "`foo` is not a signal"),
        ("stop-signal: SIGFOO", "`SIGFOO` is not a signal"),
        ("work-dir: w", "`work-dir` must begin with /"),
        ("volumes: [v]", "a volume must begin with /"),
        ("ports: [0]", "`0` is not a port"),
        ("ports: [65536]", "`65536` is not a port"),
        ("ports: [80/http]", "`80/http` is not a port"),
        ("environment: {A=B: c}", "`A=B` cannot name a variable"),
        ("annotations: {'': c}", "a key of `annotations` is empty"),
        ("labels: {'': c}", "a key of `labels` is empty"),
        ("healthcheck: {interval: 1s}", "a healthcheck without `test` does nothing"),
        ("healthcheck: {test: [curl]}", "a test cannot begin with `curl`"),
        ("healthcheck: {test: x, timeout: 30}", "`30` is not a duration"),
        ("accounts: {users: [{uid: 1}]}", "`accounts.users[0]` has no `username`"),
        ("accounts: {users: [{username: a}]}", "user `a` has uid 0, which is root"),
        ("accounts: {users: [{username: 'a:b', uid: 1}]}", "`a:b` cannot name a user"),
        ("accounts: {users: [{username: a, uid: 1, shell: 'a:b'}]}", "`shell` has a colon"),
        ("accounts: {users: [{username: a, uid: 1}, {username: a, uid: 2}]}", "twice, with diff"),
        ("accounts: {groups: [{gid: 1}]}", "`accounts.groups[0]` has no `groupname`"),
        ("accounts: {groups: [{groupname: a, members: ['b,c']}]}", "`b,c` cannot name a user"),
        ("accounts: {groups: [{groupname: a}, {groupname: a, gid: 1}]}", "twice, with diff"),
        ("accounts: {run-as: a b}", "`a b` is nobody that a container can run as"),
        ("accounts: {run-as: -5}", "`-5` is nobody that a container can run as"),
        ("archs: [mips]", "`mips` is not an architecture"),
        ("paths: [{type: directory}]", "`paths[0]` has no `path`"),
        ("paths: [{path: /, type: directory}]", "`path` is the root"),
        ("paths: [{path: /a/../b, type: directory}]", "a path must not go upwards"),
        ("paths: [{path: /a}]", "`paths[0]` does not say what to do"),
        ("paths: [{path: /a, type: symlink}]", "a symlink needs a `source`"),
        ("paths: [{path: /a, type: directory, source: /b}]", "`source` has no meaning"),
        ("paths: [{path: /a, type: empty-file, recursive: true}]", "`recursive` has no meaning"),
        ("paths: [{path: /a, type: permissions}]", "`paths[0]` changes nothing"),
        ("paths: [{path: /a, type: directory, permissions: 755}]", "755 is decimal (0o1363)"),
        ("files: [{path: /a}]", "needs either `content` or `source`"),
        ("files: [{path: /a, content: x, source: y}]", "needs either `content` or `source`"),
        ("files: [{path: /a, source: ''}]", "`source` is empty"),
        ("files: [{content: x}]", "`files[0]` has no `path`"),
        ("files: [{path: /a, content: x, permissions: 644}]", "644 is decimal"),
        ("certificates: {providers: ['a b']}", "`a b` cannot name a provider"),
        ("layering: {strategy: single, budget: 3}", "`single` has one layer"),
        ("layering: {strategy: origin}\nformat: erofs", "an EROFS image has one layer"),
        ("contents: {baseimage: {apkindex: x}}", "a base image needs `image`"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(text: str, message: str) -> None:
    [problem] = problems_of(text)
    assert problem.startswith("f.yaml:")
    assert message in problem


def test_everything_wrong_is_reported_at_once() -> None:
    assert len(problems_of('cmd: "\'"\narchs: [x, y]\nports: [z]\nwork-dir: w\n')) == 5


def test_a_declaration_made_by_code_is_checked_too() -> None:
    with pytest.raises(RequestError, match=r"ports\[0\]: `x` is not a port"):
        check_declaration(Declaration(ports=("x",)))


def make_certificate() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    day = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day)
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def make_key(*, elliptic: bool = False) -> str:
    private = (
        ec.generate_private_key(ec.SECP256R1())
        if elliptic
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()  # fmt: skip


def refuse(declaration: Declaration) -> str:
    with pytest.raises(RequestError) as caught:
        check_declaration(declaration)
    [problem] = caught.value.problems
    return problem.message


def certificates(content: str, name: str = "x") -> Declaration:
    entry = Certificate(name=name, content=content)
    return Declaration(certificates=Certificates(additional=(entry,)))


def keys(content: str, *names: str) -> Declaration:
    entries = tuple(RuntimeKey(name=name, content=content) for name in names)
    return Declaration(contents=Contents(runtime_keyring=entries))


def test_certificates() -> None:
    pem = make_certificate()
    check_declaration(certificates(pem))
    assert "`.x` cannot name a certificate" in refuse(certificates(pem, ".x"))
    assert "a certificate has no name" in refuse(certificates(pem, ""))
    assert "there are 2 PEM blocks" in refuse(certificates(pem * 2))
    assert "text outside the PEM block" in refuse(certificates("hello\n" + pem))
    assert "expected a `CERTIFICATE`, not a `PUBLIC KEY`" in refuse(certificates(make_key()))
    assert "`content` is missing" in refuse(certificates(" "))
    assert "there is no `-----BEGIN CERTIFICATE-----`" in refuse(certificates("x"))
    lines = pem.split("\n")
    damaged = "\n".join([lines[0], lines[1][::-1], *lines[2:]])
    assert "this is not a certificate" in refuse(certificates(damaged))


def test_runtime_keys() -> None:
    key = make_key()
    check_declaration(keys(key, "a.rsa.pub", "b.rsa.pub"))
    assert "two runtime keys named `a`" in refuse(keys(key, "a", "a"))
    assert "`../a` cannot name a runtime key" in refuse(keys(key, "../a"))
    assert "APK signatures need an RSA key" in refuse(keys(make_key(elliptic=True), "a"))
    assert "`content` is missing" in refuse(keys("", "a"))
