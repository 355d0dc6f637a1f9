from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from fixtures.maker import load_key
from fixtures.webserver import Answer, Web
from imagist.errors import InputError
from imagist.packages.apk import keys as room
from imagist.packages.apk.keys import TrustedKeys, discover_keys, load_keyring
from imagist.packages.apk.location import Location
from imagist.packages.apk.signature import Key
from imagist.packages.reading import Reader

TODAY = "2026-11-24"
PEM = load_key().public_pem
OTHER = load_key("other").public_pem


def jwk(pem: bytes, kid: str) -> dict[str, str]:
    public = load_pem_public_key(pem)
    assert isinstance(public, RSAPublicKey)
    numbers = public.public_numbers()

    def encode(number: int) -> str:
        raw = number.to_bytes((number.bit_length() + 7) // 8)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    return {"kty": "RSA", "kid": kid, "n": encode(numbers.n), "e": encode(numbers.e)}


def announce(web: Web, path: str, keys: list[dict[str, str]]) -> Location:
    """A repository whose server announces keys."""
    jwks = web.on(f"{path}/jwks", Answer(body=json.dumps({"keys": keys}).encode()))
    body = json.dumps({"issuer": web.url, "jwks_uri": jwks}).encode()
    web.on(f"{path}/apk-configuration", Answer(body=body))
    return Location(web.url + path)


@pytest.fixture
def alpine(web: Web, monkeypatch: pytest.MonkeyPatch) -> str:
    """Alpine's list of releases, as this server has it."""
    releases = {
        "architectures": ["x86_64"],
        "release_branches": [
            {
                "rel_branch": "v3.20",
                "keys": {
                    "x86_64": [
                        {"url": web.on("/keys/dev@list.test-1.rsa.pub", Answer(body=PEM))},
                        {"url": web.url + "/keys/gone", "deprecated_since": "2026-11-24"},
                        {
                            "url": web.on("/keys/later.rsa.pub", Answer(body=OTHER)),
                            "deprecated_since": "2026-11-25",
                        },
                    ],
                    "aarch64": [{"url": web.url + "/keys/dev%20list.test-1.rsa.pub"}],
                },
            },
            {"rel_branch": "edge", "keys": {"x86_64": [{"url": web.url + "/none"}]}},
        ],
    }
    url = web.on("/releases.json", Answer(body=json.dumps(releases).encode()))
    monkeypatch.setattr(room, "ALPINE_RELEASES", url)
    return web.url + "/alpine/v3.20/main"


def names(found: dict[Location, tuple[Key, ...]]) -> dict[str, list[str]]:
    return {location.url: [key.name for key in keys] for location, keys in found.items()}


def test_keys_are_read_from_files_and_servers_under_their_file_names(
    web: Web, tmp_path: Path, reader: Reader
) -> None:
    file = tmp_path / "local.rsa.pub"
    file.write_bytes(PEM)
    url = web.on("/k/dev%40list.test-1.rsa.pub?x=1", Answer(body=OTHER))
    found = load_keyring([str(file), url, str(file)], reader)
    assert found == (Key("local.rsa.pub", PEM), Key("dev@list.test-1.rsa.pub", OTHER))


def test_all_keys_that_cannot_be_used_are_told(web: Web, tmp_path: Path, reader: Reader) -> None:
    (tmp_path / "bad.rsa.pub").write_text("no key")
    sources = [str(tmp_path / "bad.rsa.pub"), str(tmp_path / "absent"), web.url + "/none"]
    with pytest.raises(InputError) as caught:
        load_keyring(sources, reader)
    assert len(caught.value.problems) == 3


def test_a_key_seen_before_is_not_parsed_again(
    tmp_path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "k.rsa.pub"
    file.write_bytes(PEM)
    first = load_keyring([str(file)], reader)
    monkeypatch.setattr(room, "load_key", lambda *_: pytest.fail("parsed again"))
    assert load_keyring([str(file)], reader) == first


def test_a_server_announces_keys_as_a_key_set(web: Web, reader: Reader) -> None:
    location = announce(
        web, "/os", [jwk(PEM, "one"), {"kty": "EC", "kid": "x"}, jwk(OTHER, "two")]
    )
    found, warnings = discover_keys([location], ["x86_64"], reader, today=TODAY)
    assert found == {location: (Key("one.rsa.pub", PEM), Key("two.rsa.pub", OTHER))}
    assert warnings == []
    asked = len(web.asked)
    assert discover_keys([location], ["x86_64"], reader, today=TODAY)[0] == found
    assert len(web.asked) == asked  # a day is not over


def test_alpine_says_which_keys_a_release_has_today(web: Web, alpine: str, reader: Reader) -> None:
    found, _ = discover_keys([Location(alpine)], ["x86_64", "aarch64"], reader, today=TODAY)
    assert names(found) == {alpine: ["dev@list.test-1.rsa.pub", "later.rsa.pub"]}
    assert web.count("/keys/gone") == 0
    assert discover_keys([Location(alpine)], ["x86_64"], reader, today="2026-11-25")[0] == {
        Location(alpine): (Key("dev@list.test-1.rsa.pub", PEM),)
    }


def test_servers_that_announce_nothing_or_nonsense_stop_nobody(
    web: Web, alpine: str, reader: Reader
) -> None:
    web.on("/odd/apk-configuration", Answer(body=b"<html>"))
    web.on("/down/apk-configuration", Answer(500))
    web.on("/file/apk-configuration", Answer(body=b'{"jwks_uri": "file:///etc/passwd"}'))
    web.on("/bad/apk-configuration", Answer(body=b'{"jwks_uri": "https://[x/"}'))
    plain, odd, down, file, bad = (
        Location(web.url + path) for path in ("/os", "/odd", "/down", "/file", "/bad")
    )
    local = Location("/srv/packages")
    edge = Location(alpine.replace("v3.20", "edge"))
    locations = [plain, odd, down, file, bad, local, edge]
    found, warnings = discover_keys(locations, ["x86_64"], reader, today=TODAY)
    assert found == {}
    told = sorted(next(each.url for each in locations if each.url in text) for text in warnings)
    assert told == sorted([odd.url, down.url, file.url, bad.url, edge.url])


def test_keys_announced_over_plain_http_are_not_trusted(
    web: Web, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = announce(web, "/os", [jwk(PEM, "one")])
    monkeypatch.setattr("imagist.net.url.Origin.is_loopback", property(lambda _: False))
    found, warnings = discover_keys([location], ["x86_64"], reader, today=TODAY)
    assert found == {}
    assert "plain HTTP" in warnings[0]


def test_discovered_keys_last_offline(
    web: Web, reader: Reader, make_reader: Callable[..., Reader]
) -> None:
    location = announce(web, "/os", [jwk(PEM, "one")])
    online = discover_keys([location], ["x86_64"], reader, today=TODAY)
    offline = make_reader(offline=True)
    assert discover_keys([location], ["x86_64"], offline, today=TODAY) == online


def test_an_image_gets_all_keys_but_no_two_of_one_name() -> None:
    one, two = Location("https://a.test/1"), Location("https://a.test/2")
    clash = TrustedKeys((), {one: (Key("k", PEM),), two: (Key("k", OTHER),)})
    with pytest.raises(InputError, match="announces a key k that differs"):
        clash.all()
    settled = TrustedKeys((Key("k", PEM),), clash.discovered)
    assert settled.all() == {"k": Key("k", PEM)}
    assert settled.for_repository(two) == {"k": Key("k", PEM)}


def test_deeply_nested_answers_are_refused(web: Web, reader: Reader) -> None:
    body = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    web.on("/deep/apk-configuration", Answer(body=body))
    location = Location(web.url + "/deep")
    keys, warnings = discover_keys([location], ["x86_64"], reader, today=TODAY)
    assert keys == {}
    assert "is not what it should be" in warnings[0]
