"""Distribution's own registry, which demands tokens or passwords, satisfied or not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from fixtures.tokenserver import TokenServer, serve_tokens
from imagist.net.environment import Environment
from imagist.net.transport import HttpTransport
from imagist.registry.authorize import Authorizer, Unauthorized
from imagist.registry.environment import RegistryEnvironment
from imagist.registry.keychain import Keychain
from imagist.registry.scope import Scope
from registry.credentials import SECRET, entry, write_config
from registry.guarded import demanding_passwords, demanding_tokens
from support import find_tool, needs

pytestmark = needs("registry", "crane")


class Guarded(NamedTuple):
    """A registry with an image in `team/app`, which alice may do everything with."""

    host: str
    tokens: TokenServer | None


@pytest.fixture
def with_tokens(tmp_path: Path) -> Iterator[Guarded]:
    with (
        serve_tokens(public={"team/app"}) as tokens,
        demanding_tokens(tmp_path / "guarded", tokens) as host,
    ):
        fill(host, tmp_path)
        tokens.received.clear()
        yield Guarded(host, tokens)


@pytest.fixture
def with_passwords(tmp_path: Path) -> Iterator[Guarded]:
    with demanding_passwords(tmp_path / "guarded") as host:
        fill(host, tmp_path)
        yield Guarded(host, None)


def fill(host: str, tmp_path: Path) -> None:
    """Have crane push an image of nothing, with the same credentials."""
    write_config(tmp_path / "crane/config.json", auths={host: entry("alice")})
    crane = find_tool("crane")
    assert crane
    (tmp_path / "hello").write_text("hello\n")
    layer = tmp_path / "layer.tar"
    subprocess.run(["tar", "-cf", layer, "-C", tmp_path, "hello"], check=True)
    words = [crane, "append", "-f", str(layer), "-t", f"{host}/team/app:1"]
    environment = {"DOCKER_CONFIG": str(tmp_path / "crane"), "HOME": "/nowhere"}
    subprocess.run(words, env=environment, check=True, capture_output=True, timeout=30)


class Client:
    """The least of a client: one request, and a second one after a challenge."""

    def __init__(self, host: str, tmp_path: Path, **held: str) -> None:
        auths = {host: held} if held else {}
        path = write_config(tmp_path / "config.json", auths=auths)
        keychain = Keychain(RegistryEnvironment(docker_config=str(path)))
        self.url = f"http://{host}"
        self.transport = HttpTransport(Environment(), anonymous=True)
        self.authorizer = Authorizer(self.transport, keychain)
        self.asked = 0

    def ask(self, method: str, path: str, repository: str, *actions: str) -> int:
        scopes = [Scope(f"repository:{repository}", actions)]
        header = self.authorizer.header(self.url, scopes)
        for _ in range(2):
            self.asked += 1
            headers = {"Authorization": header} if header else {}
            headers["Accept"] = "application/vnd.docker.distribution.manifest.v2+json"
            with self.transport.request(method, self.url + path, headers=headers) as response:
                if response.status != 401:
                    return response.status
                challenges = response.values("www-authenticate")
            header = self.authorizer.answer(self.url, challenges, scopes, refused=header)
        raise self.authorizer.explain(self.url, scopes)


MANIFEST = "/v2/team/app/manifests/1"
UPLOADS = "/v2/team/app/blobs/uploads/"


def test_a_user_pulls_and_pushes_with_tokens(with_tokens: Guarded, tmp_path: Path) -> None:
    host, tokens = with_tokens
    assert tokens
    client = Client(host, tmp_path, **entry("alice"))
    assert client.ask("GET", MANIFEST, "team/app", "pull") == 200
    assert client.ask("HEAD", MANIFEST, "team/app", "pull") == 200
    assert client.asked == 3
    assert client.ask("POST", UPLOADS, "team/app", "pull", "push") == 202
    assert client.ask("GET", MANIFEST, "team/app", "pull") == 200
    assert len(tokens.received) == 2


def test_anybody_pulls_what_is_public_and_pushes_nothing(
    with_tokens: Guarded, tmp_path: Path
) -> None:
    client = Client(with_tokens.host, tmp_path)
    assert client.ask("GET", MANIFEST, "team/app", "pull") == 200
    with pytest.raises(Unauthorized, match=r"pull, push.*no credentials for it were found"):
        client.ask("POST", UPLOADS, "team/app", "pull", "push")


def test_a_wrong_password_is_told_where_tokens_are_demanded(
    with_tokens: Guarded, tmp_path: Path
) -> None:
    client = Client(with_tokens.host, tmp_path, **entry("alice", "wrong"))
    with pytest.raises(Unauthorized, match=r"config\.json"):
        client.ask("GET", MANIFEST, "team/app", "pull")


def test_an_expired_token_is_replaced_and_one_that_expires_at_once_given_up(
    with_tokens: Guarded, tmp_path: Path
) -> None:
    host, tokens = with_tokens
    assert tokens
    client = Client(host, tmp_path, **entry("alice"))
    tokens.valid = -3600  # the registry allows for a minute of difference between clocks
    with pytest.raises(Unauthorized):
        client.ask("GET", MANIFEST, "team/app", "pull")
    tokens.valid = 300
    assert client.ask("GET", MANIFEST, "team/app", "pull") == 200


def test_an_identity_token_opens_the_registry(with_tokens: Guarded, tmp_path: Path) -> None:
    host, tokens = with_tokens
    assert tokens
    client = Client(host, tmp_path, identitytoken="refresh-me")
    assert client.ask("POST", UPLOADS, "team/app", "pull", "push") == 202
    assert [asked.method for asked in tokens.received] == ["POST"]
    expired = Client(host, tmp_path, identitytoken="long-ago")
    with pytest.raises(Unauthorized, match="wrong or expired"):
        expired.ask("GET", MANIFEST, "team/app", "pull")


def test_a_token_fetched_by_somebody_else_is_used(with_tokens: Guarded, tmp_path: Path) -> None:
    host, tokens = with_tokens
    assert tokens
    access = [{"type": "repository", "name": "team/app", "actions": ["pull"]}]
    client = Client(host, tmp_path, registrytoken=tokens.sign("ci", access))
    assert client.ask("GET", MANIFEST, "team/app", "pull") == 200
    assert not tokens.received
    with pytest.raises(Unauthorized):
        client.ask("POST", UPLOADS, "team/app", "pull", "push")


def test_a_user_with_a_password_is_let_in(with_passwords: Guarded, tmp_path: Path) -> None:
    client = Client(with_passwords.host, tmp_path, **entry("alice"))
    assert client.ask("GET", MANIFEST, "team/app", "pull") == 200
    assert client.ask("POST", UPLOADS, "team/app", "pull", "push") == 202
    assert client.asked == 3


@pytest.mark.parametrize("held", [{}, entry("alice", "wrong"), entry("bob", SECRET)])
def test_others_are_not(with_passwords: Guarded, tmp_path: Path, held: dict[str, str]) -> None:
    client = Client(with_passwords.host, tmp_path, **held)
    with pytest.raises(Unauthorized) as caught:
        client.ask("GET", MANIFEST, "team/app", "pull")
    told = str(caught.value) + json.dumps([p.help for p in caught.value.problems])
    assert f"imagist login {with_passwords.host}" in told
    assert ("config.json" in told) == bool(held)
    assert "wrong," not in told.replace("or are wrong or", "")
