"""Tokens: what is asked of token servers and how often, who must not be asked, and who learns what."""

from __future__ import annotations

import base64
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from fixtures.tokenserver import SERVICE, Said, TokenServer, serve_tokens
from imagist.errors import ImagistError, NetworkError
from imagist.net.environment import Environment
from imagist.net.retry import Patience, Waiter
from imagist.net.transport import HttpTransport
from imagist.registry.authorize import Authorizer, Unauthorized
from imagist.registry.environment import RegistryEnvironment
from imagist.registry.keychain import Keychain
from imagist.registry.scope import Scope
from imagist.registry.scopeset import covers, merge, parse_scopes
from registry.credentials import SECRET, auth, entry, write_config

REGISTRY = "http://127.0.0.1:5555"
REFRESH = "refresh-me"
PULL = [Scope("repository:team/app", ("pull",))]
PUSH = [Scope("repository:team/app", ("pull", "push"))]


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with serve_tokens() as server:
        yield server


@pytest.fixture
def other() -> Iterator[TokenServer]:
    with serve_tokens() as server:
        yield server


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


Make = Callable[..., Authorizer]


@pytest.fixture
def make(tmp_path: Path, clock: list[float]) -> Iterator[Make]:
    made: list[HttpTransport] = []

    def make_authorizer(*, key: str = "127.0.0.1:5555", **held: Any) -> Authorizer:
        path = write_config(tmp_path / "config.json", auths={key: held} if held else {})
        transport = HttpTransport(
            Environment(),
            anonymous=True,
            patience=Patience(attempts=2, stall=5.0),
            waiter=Waiter(sleep=lambda _: None),
        )
        made.append(transport)
        keychain = Keychain(RegistryEnvironment(docker_config=str(path)))
        return Authorizer(transport, keychain, clock=lambda: clock[0])

    yield make_authorizer
    for transport in made:
        transport.close()


def bearer(tokens: TokenServer, scope: str = "repository:team/app:pull") -> list[str]:
    return [f'Bearer realm="{tokens.url}",service="{SERVICE}",scope="{scope}"']


# What is asked


def test_a_token_is_asked_for_with_user_service_and_scopes(
    make: Make, tokens: TokenServer
) -> None:
    authorizer = make(**entry("alice"))
    assert authorizer.header(REGISTRY, PULL) is None
    header = authorizer.answer(REGISTRY, bearer(tokens), PULL)
    assert header.startswith("Bearer ey")
    (asked,) = tokens.received
    assert asked.method == "GET"
    assert asked.query == {"service": [SERVICE], "scope": ["repository:team/app:pull"]}
    assert asked.authorization == f"Basic {auth('alice', SECRET)}"
    assert authorizer.header(REGISTRY, PULL) == header


def test_without_credentials_a_token_for_anybody_is_asked_for(
    make: Make, tokens: TokenServer
) -> None:
    assert make().answer(REGISTRY, bearer(tokens), PULL).startswith("Bearer ")
    assert tokens.received[0].authorization == ""


def test_several_scopes_are_asked_for_at_once_the_demanded_first(
    make: Make, tokens: TokenServer
) -> None:
    source = Scope("repository:base/os", ("pull",))
    make().answer(REGISTRY, bearer(tokens, "repository:base/os:pull"), [*PUSH, source])
    assert tokens.received[0].scopes == [
        "repository:base/os:pull",
        "repository:team/app:pull,push",
    ]


def test_a_realm_with_a_query_keeps_it(make: Make, tokens: TokenServer) -> None:
    challenge = [f'Bearer realm="{tokens.url}?tenant=7"']
    make().answer(REGISTRY, challenge, PULL)
    assert tokens.received[0].query == {"tenant": ["7"], "scope": ["repository:team/app:pull"]}


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_a_token_is_read_from_either_member(make: Make, tokens: TokenServer, key: str) -> None:
    tokens.key = key
    assert make().answer(REGISTRY, bearer(tokens), PULL)


def test_the_namespace_of_the_repository_decides_who_asks(make: Make, tokens: TokenServer) -> None:
    authorizer = make(key="127.0.0.1:5555/team", **entry("alice"))
    authorizer.answer(REGISTRY, bearer(tokens), PULL)
    authorizer.answer(REGISTRY, bearer(tokens), [Scope("repository:free/app", ("pull",))])
    assert [bool(asked.authorization) for asked in tokens.received] == [True, False]


# What is remembered


def test_a_wider_token_serves_a_narrower_request(make: Make, tokens: TokenServer) -> None:
    authorizer = make(**entry("alice"))
    header = authorizer.answer(REGISTRY, bearer(tokens), PUSH)
    assert authorizer.header(REGISTRY, PULL) == header
    assert authorizer.header(REGISTRY, []) == header
    assert authorizer.header("http://127.0.0.1:6666", PULL) is None
    assert len(tokens.received) == 1


def test_once_the_token_server_is_known_it_is_asked_ahead(make: Make, tokens: TokenServer) -> None:
    authorizer = make(**entry("alice"))
    first = authorizer.answer(REGISTRY, bearer(tokens), PULL)
    other = [Scope("repository:team/other", ("pull",))]
    header = authorizer.header(REGISTRY, other)
    assert header not in {None, first}
    assert authorizer.header(REGISTRY, other) == header
    assert authorizer.header(REGISTRY, PULL) == first
    assert [asked.scopes for asked in tokens.received] == [
        ["repository:team/app:pull"],
        ["repository:team/other:pull"],
    ]
    tokens.users = {}
    assert authorizer.header(REGISTRY, [Scope("repository:team/third", ("pull",))]) is None


@pytest.mark.parametrize(("said", "lasts"), [(300, 240.0), (None, 48.0), (0, 48.0), (5, 4.0)])
def test_a_token_is_used_for_most_of_its_life(
    make: Make, tokens: TokenServer, clock: list[float], said: int | None, lasts: float
) -> None:
    tokens.lifetime = said
    authorizer = make()
    first = authorizer.answer(REGISTRY, bearer(tokens), PULL)
    clock[0] += lasts - 0.1
    assert authorizer.header(REGISTRY, PULL) == first
    clock[0] += 0.2
    assert authorizer.header(REGISTRY, PULL) != first


def test_a_token_that_was_refused_is_not_given_again(make: Make, tokens: TokenServer) -> None:
    authorizer = make(**entry("alice"))
    first = authorizer.answer(REGISTRY, bearer(tokens), PULL)
    assert authorizer.answer(REGISTRY, bearer(tokens), PULL) == first
    second = authorizer.answer(REGISTRY, bearer(tokens), PULL, refused=first)
    assert second != first
    assert authorizer.header(REGISTRY, PULL) == second
    # Whoever comes late with the old one is served from what the first has brought.
    assert authorizer.answer(REGISTRY, bearer(tokens), PULL, refused=first) == second
    assert len(tokens.received) == 2


def test_a_demand_for_more_is_met(make: Make, tokens: TokenServer) -> None:
    authorizer = make(**entry("alice"))
    first = authorizer.answer(REGISTRY, bearer(tokens), PULL)
    more = ['Bearer error="insufficient_scope",' + bearer(tokens)[0][7:-5] + 'delete"']
    assert authorizer.answer(REGISTRY, more, PUSH, refused=first) != first
    assert tokens.received[1].scopes == ["repository:team/app:delete,pull,push"]


def test_many_threads_ask_once(make: Make, tokens: TokenServer) -> None:
    tokens.pause = 0.1
    authorizer = make(**entry("alice"))
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(authorizer.answer(REGISTRY, bearer(tokens), PULL))
        )
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert len(tokens.received) == 1


# Identity and registry tokens


def test_an_identity_token_is_exchanged_by_post(make: Make, tokens: TokenServer) -> None:
    authorizer = make(identitytoken=REFRESH)
    authorizer.answer(REGISTRY, bearer(tokens), PUSH)
    (asked,) = tokens.received
    assert asked.method == "POST"
    assert asked.authorization == ""
    assert asked.scopes == ["repository:team/app:pull,push"]
    for part in ("grant_type=refresh_token", "refresh_token=refresh-me", "client_id=imagist"):
        assert part in asked.body


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_without_oauth_is_asked_by_get(
    make: Make, tokens: TokenServer, status: int
) -> None:
    tokens.oauth = status
    authorizer = make(auth=auth("00000000", ""), identitytoken=REFRESH)
    assert authorizer.answer(REGISTRY, bearer(tokens), PULL)
    assert [asked.method for asked in tokens.received] == ["POST", "GET"]
    assert tokens.received[1].authorization == f"Basic {auth('00000000', 'refresh-me')}"


def test_a_new_refresh_token_takes_the_place_of_the_old(make: Make, tokens: TokenServer) -> None:
    tokens.rotated = "refresh-me-too"
    authorizer = make(identitytoken=REFRESH)
    first = authorizer.answer(REGISTRY, bearer(tokens), PULL)
    authorizer.answer(REGISTRY, bearer(tokens), PULL, refused=first)
    assert "refresh_token=refresh-me-too" in tokens.received[1].body


def test_a_registry_token_is_used_as_it_is(make: Make, tokens: TokenServer) -> None:
    authorizer = make(registrytoken="ready")
    assert authorizer.header(REGISTRY, PULL) is None
    assert authorizer.answer(REGISTRY, bearer(tokens), PULL) == "Bearer ready"
    assert authorizer.header(REGISTRY, PUSH) == "Bearer ready"
    with pytest.raises(Unauthorized):
        authorizer.answer(REGISTRY, bearer(tokens), PULL, refused="Bearer ready")
    assert not tokens.received


# Basic


def test_basic_authentication_needs_no_server(make: Make) -> None:
    authorizer = make(**entry("alice"))
    expected = f"Basic {auth('alice', SECRET)}"
    assert authorizer.answer(REGISTRY, ["Basic realm=x"], PULL) == expected
    assert authorizer.header(REGISTRY, PULL) == expected
    with pytest.raises(Unauthorized, match="wrong or expired"):
        authorizer.answer(REGISTRY, ["Basic realm=x"], PULL, refused=expected)


# Refusals


def test_missing_credentials_are_told_with_the_next_step(make: Make) -> None:
    with pytest.raises(Unauthorized) as caught:
        make().answer(REGISTRY, ["Basic realm=x"], PUSH)
    problem = caught.value.problems[0]
    assert "127.0.0.1:5555/team/app" in problem.message
    assert "pull, push" in problem.message
    assert "no credentials for it were found" in problem.message
    assert "imagist login 127.0.0.1:5555" in str(problem.help)
    assert caught.value.exit_code == 4


def test_wrong_credentials_are_told_by_their_file(
    make: Make, tokens: TokenServer, tmp_path: Path
) -> None:
    authorizer = make(**entry("alice", "wrong-secret"))
    with pytest.raises(Unauthorized) as caught:
        authorizer.answer(REGISTRY, bearer(tokens), PULL)
    assert str(tmp_path / "config.json") in str(caught.value)
    assert "401 (UNAUTHORIZED)" in str(caught.value)
    assert_silent(caught.value, "wrong-secret")


@pytest.mark.parametrize("registry", ["r.test:443", "[::1]:5000", "localhost"])
def test_a_registry_is_looked_up_as_it_is_written(make: Make, registry: str) -> None:
    authorizer = make(key=registry, **entry("alice"))
    assert authorizer.answer(f"https://{registry}", ["Basic realm=x"], PULL).startswith("Basic ")


def test_a_way_that_is_not_known_is_named(make: Make) -> None:
    with pytest.raises(Unauthorized, match="negotiate, digest"):
        make().answer(REGISTRY, ["Negotiate", "Digest realm=x"], PULL)
    with pytest.raises(Unauthorized, match="nothing"):
        make().answer(REGISTRY, [], PULL)


def test_what_a_name_in_docker_hub_is_called(make: Make) -> None:
    told = make().explain("https://registry-1.docker.io", PULL)
    assert "docker.io/team/app" in str(told)
    assert "imagist login docker.io" in str(told.problems[0].help)


@pytest.mark.parametrize(
    "said",
    [
        Said(200, b"not json"),
        Said(200, b"[" * 50_000),
        Said(200, b"{}"),
        Said(200, b'{"token": "two\\r\\nlines"}'),
        Said(200, b'{"token": "\xc3\xa9"}'),
        Said(200, b'{"token": 5}'),
        Said(200, b'{"token": "' + b"x" * 70_000 + b'"}'),
        Said(500, b"oops"),
        Said(429),
        Said(404),
    ],
)
def test_a_token_server_that_gives_no_token_is_told(
    make: Make, tokens: TokenServer, said: Said
) -> None:
    tokens.instead = said
    with pytest.raises(NetworkError, match="/token") as caught:
        make(**entry("alice")).answer(REGISTRY, bearer(tokens), PULL)
    assert_silent(caught.value, SECRET)


# Guards


@pytest.mark.parametrize(
    ("registry", "realm", "why"),
    [
        ("https://r.test", "http://auth.r.test/token", "not encrypted"),
        ("https://r.test", "http://r.test/token", "not encrypted"),
        ("https://r.test", "https://127.0.0.1/token", "private network"),
        ("https://r.test", "https://[::1]/token", "private network"),
        ("https://r.test", "https://localhost/token", "private network"),
        ("https://r.test", "https://169.254.169.254/latest", "private network"),
        ("https://r.test", "https://10.1.2.3/token", "private network"),
        ("https://r.test", "https://[fd00::1]/token", "private network"),
        ("https://r.test", "https://[::ffff:10.0.0.1]/token", "private network"),
        ("http://r.test", "http://192.168.1.1/token", "private network"),
        ("https://r.test", "file:///etc/passwd", "no URL"),
        ("https://r.test", "//r.test/token", "no URL"),
        ("https://r.test", "https://r.test:x/token", "no URL"),
    ],
)
def test_a_realm_that_could_betray_us_is_not_asked(
    tmp_path: Path, registry: str, realm: str, why: str
) -> None:
    class Deaf:
        def request(self, *args: object, **more: object) -> Any:
            raise AssertionError("asked")

        def learn(self, location: str) -> str:
            return location

    path = write_config(tmp_path / "config.json", auths={"r.test": entry("alice")})
    authorizer = Authorizer(Deaf(), Keychain(RegistryEnvironment(docker_config=str(path))))
    with pytest.raises(NetworkError, match=why) as caught:
        authorizer.answer(registry, [f'Bearer realm="{realm}"'], PULL)
    assert_silent(caught.value, SECRET)


def redirect(url: str, status: int = 307) -> Said:
    return Said(status, b"", (("Location", url),))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_to_another_server_takes_no_credentials_along(
    make: Make, tokens: TokenServer, other: TokenServer, status: int
) -> None:
    tokens.instead = redirect(f"{other.url}?scope=repository:team/app:pull", status)
    make(**entry("alice")).answer(REGISTRY, bearer(tokens), PULL)
    assert tokens.received[0].authorization
    assert other.received
    assert SECRET not in repr(other.received)
    assert auth("alice", SECRET) not in repr(other.received)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_identity_token_follows_no_redirection_to_another_server(
    make: Make, tokens: TokenServer, other: TokenServer, status: int
) -> None:
    tokens.instead = redirect(other.url, status)
    with pytest.raises(NetworkError, match="must not go") as caught:
        make(identitytoken=REFRESH).answer(REGISTRY, bearer(tokens), PULL)
    assert not other.received
    assert_silent(caught.value, REFRESH)


def test_a_token_server_must_not_redirect_out_of_encryption(tmp_path: Path) -> None:
    class Redirecting:
        """A transport whose servers send on to plain http."""

        def request(self, method: str, url: str, **more: Any) -> Any:
            assert url.startswith("https://")
            return Answer(307, {"location": url.replace("https", "http")})

        def learn(self, location: str) -> str:
            return location

    path = write_config(tmp_path / "config.json", auths={"r.test": entry("alice")})
    authorizer = Authorizer(Redirecting(), Keychain(RegistryEnvironment(docker_config=str(path))))
    with pytest.raises(NetworkError, match="unencrypted"):
        authorizer.answer("http://r.test", ['Bearer realm="https://auth.test/token"'], PULL)


class Answer:
    """The head of an answer."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_token_server_that_redirects_for_ever_is_left(make: Make, tokens: TokenServer) -> None:
    tokens.instead = redirect(tokens.url)
    with pytest.raises(NetworkError, match="again and again"):
        make().answer(REGISTRY, bearer(tokens), PULL)
    assert len(tokens.received) == 6


def test_netrc_gives_nothing_to_token_servers(tmp_path: Path, tokens: TokenServer) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login alice password hush\n")
    transport = HttpTransport(Environment(netrc=str(netrc)), anonymous=True)
    Authorizer(transport, Keychain(RegistryEnvironment())).answer(REGISTRY, bearer(tokens), PULL)
    transport.close()
    assert tokens.received[0].authorization == ""


def test_nothing_of_a_secret_shows_itself(
    make: Make, tokens: TokenServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    authorizer = make(auth=auth("alice", SECRET), identitytoken=REFRESH)
    tokens.rotated = "refresh-me-too"
    header = authorizer.answer(REGISTRY, bearer(tokens), PULL)
    shown = f"{authorizer!r} {vars(authorizer)['_known'][REGISTRY].tokens!r} {caplog.text}"
    for secret in (SECRET, auth("alice", SECRET), "refresh-me", header.removeprefix("Bearer ")):
        assert secret not in shown


def assert_silent(error: ImagistError, secret: str) -> None:
    """Neither the message nor the traceback tells the secret, in clear or in base64."""
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.problems)
    for form in (secret, base64.b64encode(secret.encode()).decode(), auth("alice", secret)):
        assert form not in shown


# Scopes


def test_scopes_are_read_merged_and_compared() -> None:
    read = parse_scopes(
        "repository:a/b:pull repository:h:5000/c:pull,push registry:catalog:* x :y z:"
    )
    assert read == [
        Scope("repository:a/b", ("pull",)),
        Scope("repository:h:5000/c", ("pull", "push")),
        Scope("registry:catalog", ("*",)),
    ]
    merged = merge(
        [Scope("r:a", ("push",)), Scope("r:b", ("pull",)), Scope("r:a", ("pull", "push"))]
    )
    assert merged == (Scope("r:a", ("push", "pull")), Scope("r:b", ("pull",)))
    assert covers(merged, [Scope("r:a", ("pull",))])
    assert covers([Scope("r:a", ("*",))], [Scope("r:a", ("pull", "delete"))])
    assert not covers(merged, [Scope("r:b", ("push",))])
    assert not covers([], [Scope("r:b", ("pull",))])
    assert covers([], [])
