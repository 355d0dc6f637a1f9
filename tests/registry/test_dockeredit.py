"""What else is in Docker's file stays as it is."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.errors import InputError
from imagist.registry.credential import Credential
from imagist.registry.dockerconfig import DockerConfig
from imagist.registry.dockeredit import change_file, encode_entry, with_entry, without_entries

ALICE = Credential("alice", "wonder:land")
DOCKERS = b"""{
\t"auths": {
\t\t"https://index.docker.io/v1/": {
\t\t\t"auth": "aHVi"
\t\t}
\t},
\t"HttpHeaders": {"User-Agent":   "x"},
\t"detachKeys": "ctrl-\\u0065,e",
\t"psFormat": "\\/",
\t"big": 1.0e400
}"""


def test_an_entry_is_added_and_all_else_stays_byte_by_byte() -> None:
    new = with_entry(DOCKERS, "r.test", encode_entry(ALICE))
    added = b"\n\t\t}"
    line = b',\n\t\t"r.test": {"auth":"YWxpY2U6d29uZGVyOmxhbmQ="}'
    assert new == DOCKERS.replace(added, added + line, 1)
    assert without_entries(new, ["r.test"]) == DOCKERS
    assert without_entries(DOCKERS, ["r.test"]) == DOCKERS


def test_a_file_begins_as_docker_writes_it() -> None:
    assert (
        with_entry(b"{}", "r.test", encode_entry(None))
        == b'{\n\t"auths": {\n\t\t"r.test": {}\n\t}\n}'
    )
    assert json.loads(with_entry(b'{"auths": null}', "r.test", b"{}")) == {"auths": {"r.test": {}}}


def test_the_indent_of_a_file_is_kept() -> None:
    raw = b'{\n  "auths": {\n    "a.test": {}\n  }\n}\n'
    assert with_entry(raw, "b.test", b"{}") == raw.replace(b"{}", b'{},\n    "b.test": {}')


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)
NAMES = st.text(max_size=6).filter(lambda name: name not in {"auths", "credHelpers", "credsStore"})
ENTRIES = st.dictionaries(st.text(max_size=6), st.just({}) | st.just({"auth": "YTpi"}), max_size=3)


@given(
    st.dictionaries(NAMES, VALUES, max_size=3),
    ENTRIES,
    st.text(min_size=1, max_size=8),
    st.sampled_from([None, 2, "\t"]),
    st.booleans(),
)
def test_any_file_keeps_its_members(
    members: dict[str, Any], auths: dict[str, Any], key: str, indent: Any, escaped: bool
) -> None:
    document = members | ({"auths": auths} if auths else {})
    raw = json.dumps(document, indent=indent, ensure_ascii=escaped).encode(errors="replace")
    before = json.loads(raw)
    new = with_entry(raw, key, encode_entry(ALICE))
    after = json.loads(new)
    assert after.pop("auths") == before.pop("auths", {}) | {key: json.loads(encode_entry(ALICE))}
    assert after == before
    removed = json.loads(without_entries(new, [key]))
    assert key not in removed["auths"]


@given(
    st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"]), min_size=1),
    st.text(min_size=1),
)
def test_any_user_and_password_are_found_again(user: str, password: str) -> None:
    credential = Credential(user, password.rstrip("\0") or "x")
    new = with_entry(b"{}", "r.test", encode_entry(credential))
    found = DockerConfig("file", new).find("r.test")
    assert (found.user, found.password) == (credential.user, credential.password)


def test_an_identity_token_is_kept_as_one() -> None:
    new = with_entry(b"{}", "r.test", encode_entry(Credential(identity_token="refresh")))
    assert DockerConfig("file", new).find("r.test").identity_token == "refresh"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "docker" / "config.json"
    change_file(path, lambda raw: with_entry(raw, "r.test", b"{}"))
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    path.chmod(0o644)
    change_file(path, lambda raw: with_entry(raw, "s.test", b"{}"))
    assert mode(path) == 0o600
    assert [child.name for child in path.parent.iterdir()] == ["config.json"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "docker.json"
    real.parent.mkdir()
    real.write_bytes(DOCKERS)
    link = tmp_path / "config.json"
    link.symlink_to(real)
    change_file(link, lambda raw: with_entry(raw, "r.test", b"{}"))
    assert link.is_symlink()
    assert b"r.test" in real.read_bytes()


def test_a_damaged_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b'{"auths": ')
    with pytest.raises(InputError, match=r"config\.json"):
        change_file(path, lambda raw: with_entry(raw, "r.test", b"{}"))
    assert path.read_bytes() == b'{"auths": '


def test_many_who_log_in_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.json"

    def log_in(number: int) -> None:
        change_file(path, lambda raw: with_entry(raw, f"r{number}.test", b"{}"))

    threads = [threading.Thread(target=log_in, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(path.read_bytes())["auths"]) == 8
