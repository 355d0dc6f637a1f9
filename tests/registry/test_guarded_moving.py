"""Images move into and out of registries that demand tokens or passwords."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.tokenserver import TokenServer, serve_tokens
from fixtures.webserver import Answer, serve
from imagist.digest import sha256
from imagist.net.environment import Environment
from imagist.net.transport import HttpTransport
from imagist.oci import derive
from imagist.oci.random import random_image
from imagist.oci.reference import parse_reference
from imagist.registry.authorize import Authorizer, Unauthorized
from imagist.registry.client import Registries
from imagist.registry.environment import RegistryEnvironment
from imagist.registry.keychain import Keychain
from imagist.registry.push import push_image
from imagist.registry.source import load_image
from registry.credentials import SECRET, auth, entry, write_config
from registry.guarded import demanding_passwords, demanding_tokens
from support import ROOT, needs

pytestmark = needs("registry")


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with serve_tokens(public={"team/app"}) as server:
        yield server


def connect(tmp_path: Path, host: str, **held: str) -> Registries:
    path = write_config(tmp_path / "config.json", auths={host: held} if held else {})
    transport = HttpTransport(Environment(), anonymous=True, limit=None)
    keychain = Keychain(RegistryEnvironment(docker_config=str(path)))
    return Registries(transport, Authorizer(transport, keychain))


def test_a_push_asks_for_one_token_and_a_mount_for_one_more(
    tmp_path: Path, tokens: TokenServer
) -> None:
    with demanding_tokens(tmp_path / "guarded", tokens) as host:
        registries = connect(tmp_path, host, **entry("alice"))
        image = random_image(1, layers=3, size=10_000)
        push_image(registries, image, [parse_reference(f"{host}/team/app:1")])
        assert [asked.scopes for asked in tokens.received] == [["repository:team/app:pull,push"]]
        push_image(registries, image, [parse_reference(f"{host}/team/other:1")])
        assert tokens.received[-1].scopes == [
            "repository:team/other:pull,push",
            "repository:team/app:pull",
        ]
        assert len(tokens.received) == 3
        # Anybody may read the one, and nobody the other.
        nobody = connect(tmp_path, host)
        found = load_image(nobody, parse_reference(f"{host}/team/app:1"))
        assert derive.digest(found) == derive.digest(image)
        with pytest.raises(Unauthorized, match="team/other: the registry refuses access"):
            load_image(nobody, parse_reference(f"{host}/team/other:1"))


def test_tokens_that_hold_for_the_first_scope_alone_suffice(
    tmp_path: Path, tokens: TokenServer
) -> None:
    tokens.only_first = True
    with demanding_tokens(tmp_path / "guarded", tokens) as host:
        registries = connect(tmp_path, host, **entry("alice"))
        for name in ("app", "other", "third"):
            image = random_image(1, layers=3, size=10_000)
            push_image(registries, image, [parse_reference(f"{host}/team/{name}:1")])


def test_a_token_that_dies_early_is_replaced(tmp_path: Path, tokens: TokenServer) -> None:
    tokens.valid = -57  # the registry allows for a minute of difference between clocks
    with demanding_tokens(tmp_path / "guarded", tokens) as host:
        registries = connect(tmp_path, host, **entry("alice"))
        repository = registries.repository(parse_reference(f"{host}/team/app"))
        push_image(registries, random_image(1), [parse_reference(f"{host}/team/app:1")])
        asked = len(tokens.received)
        assert repository.resolve("1", push=True)
        assert len(tokens.received) == asked
        time.sleep(4)
        assert repository.resolve("1", push=True)
        assert len(tokens.received) == asked + 1


class Shell:
    """The command line, with Docker's file in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(
        self, *words: str, code: int = 0, auths: dict[str, dict[str, str]] | None = None
    ) -> str:
        write_config(self.home / ".docker/config.json", auths=auths or {})
        done = subprocess.run(
            [sys.executable, "-m", "imagist", *words],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.home,
            env={
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT / "src"),
            },
        )
        assert done.returncode == code, done.stdout + done.stderr
        for secret in (SECRET, auth("alice", SECRET), "long-ago", auth("alice", "long-ago")):
            assert secret not in done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["tokens", "passwords"])
def test_the_command_line_says_whose_credentials_are_missing_or_wrong(
    tmp_path: Path, tokens: TokenServer, kind: str
) -> None:
    guarded = (
        demanding_tokens(tmp_path / "guarded", tokens)
        if kind == "tokens"
        else demanding_passwords(tmp_path / "guarded")
    )
    shell, good = Shell(tmp_path), entry("alice")
    with guarded as host:
        name = f"{host}/team/secret:1"
        image = random_image(1)
        push_image(connect(tmp_path, host, **good), image, [parse_reference(name)])
        digest = derive.digest(image)
        assert digest in shell.run("pull", name, "-o", "image.tar", auths={host: good})
        assert digest in shell.run("push", "image.tar", f"{name}0", auths={host: good})
        assert digest in shell.run("copy", name, f"{host}/team/copy:1", auths={host: good})
        assert digest in shell.run("digest", f"{host}/team/copy:1", auths={host: good})
        for line in (
            f"digest {name}",
            f"pull {name}",
            f"push image.tar {name}",
            f"ls {host}/team/x",
        ):
            said = shell.run(*line.split(), code=4)
            assert "no credentials for it were found" in said
            assert f"imagist login {host}" in said
            said = shell.run(*line.split(), code=4, auths={host: entry("alice", "long-ago")})
            assert str(tmp_path / ".docker/config.json") in said
            assert "wrong or expired" in said


def test_a_registry_that_forbids_is_told_with_whose_credentials(tmp_path: Path) -> None:
    denied = b'{"errors": [{"code": "DENIED", "message": "not yours"}]}'
    with serve() as web:
        host = f"127.0.0.1:{web.port}"
        web.on("/v2/", Answer())
        web.on("/v2/team/app/manifests/1", Answer(403, denied))
        said = Shell(tmp_path).run("manifest", f"{host}/team/app:1", code=4)
        assert "DENIED not yours" in said
        assert "no credentials for it were found" in said


def test_blobs_elsewhere_see_no_credentials(tmp_path: Path) -> None:
    """A registry that sends to object storage for its blobs, which learns nothing of us."""
    with serve() as web, serve() as storage:
        host = f"127.0.0.1:{web.port}"
        blob, digest = b"blob", sha256(b"blob")
        away = storage.on("/signed?key=1", Answer(body=blob))
        path = f"/v2/team/app/blobs/{digest}"
        demand = Answer(401, headers={"WWW-Authenticate": "Basic realm=x"})
        web.on("/v2/", Answer())
        web.on(path, demand, Answer(307, headers={"Location": away}))
        registries = connect(tmp_path, host, **entry("alice"))
        repository = registries.repository(parse_reference(f"{host}/team/app"))
        with repository.open_blob(digest) as stream:
            assert stream.read() == blob
        assert web.asked[-1].headers["authorization"] == f"Basic {auth('alice', SECRET)}"
        assert [asked.path for asked in storage.asked] == ["/signed?key=1"]
        assert "authorization" not in storage.asked[0].headers
        assert auth("alice", SECRET) not in repr(storage.asked)


def test_an_object_store_that_refuses_is_not_answered_with_our_credentials(
    tmp_path: Path,
) -> None:
    with serve() as web, serve() as storage:
        host = f"127.0.0.1:{web.port}"
        digest = "sha256:" + 64 * "0"
        demand = Answer(401, headers={"WWW-Authenticate": f'Bearer realm="{storage.url}/token"'})
        away = storage.on("/blob", demand)
        web.on("/v2/", Answer())
        web.on(f"/v2/team/app/blobs/{digest}", Answer(307, headers={"Location": away}))
        registries = connect(tmp_path, host, **entry("alice"))
        repository = registries.repository(parse_reference(f"{host}/team/app"))
        with pytest.raises(Exception, match="401"), repository.open_blob(digest) as stream:
            stream.read()
        assert storage.count("/token") == 0
        assert auth("alice", SECRET) not in repr(storage.asked)
