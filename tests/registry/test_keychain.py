"""Which credentials are found, and that it is those that crane finds."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagist.errors import InputError, NotFound
from imagist.registry.credential import ANONYMOUS, Credential
from imagist.registry.environment import RegistryEnvironment, read_registry_environment
from imagist.registry.keychain import Keychain
from registry.credentials import (
    SECRET,
    HelperProgram,
    auth,
    entry,
    write_config,
    write_program,
)
from support import find_tool, needs

HUB = "https://index.docker.io/v1/"


def docker(tmp_path: Path, **members: Any) -> Keychain:
    path = write_config(tmp_path / "config.json", **members)
    return Keychain(RegistryEnvironment(docker_config=str(path), path=str(tmp_path / "bin")))


def user_of(keychain: Keychain, registry: str, repository: str = "team/app") -> str:
    return keychain.find(registry, repository).user


# Entries


def test_entries_of_every_form_are_read(tmp_path: Path) -> None:
    auths = {
        "a.test": entry("alice"),
        "b.test": {"username": "bob", "password": "b"},
        "c.test": {"auth": auth("carol", ""), "identitytoken": "identity"},
        "d.test": {"registrytoken": "token"},
        "e.test": {"auth": auth("eve", "nul") + "", "email": "eve@e.test"},
        "f.test": {},
        "g.test": None,
    }
    found = docker(tmp_path, auths=auths, HttpHeaders={"User-Agent": "x"}).find
    assert found("a.test").password == SECRET
    assert (found("b.test").user, found("b.test").password) == ("bob", "b")
    assert (found("c.test").user, found("c.test").identity_token) == ("carol", "identity")
    assert found("d.test").registry_token == "token"
    assert found("e.test").user == "eve"
    assert found("f.test") == found("g.test") == found("h.test") == ANONYMOUS
    assert found("a.test").origin == str(tmp_path / "config.json")


def test_the_longest_namespace_goes_first(tmp_path: Path) -> None:
    auths = {
        "h.test": entry("all"),
        "h.test/team": entry("team"),
        "h.test/team/app": entry("app"),
        "h.test/team/ap": entry("ap"),
    }
    keychain = docker(tmp_path, auths=auths)
    assert user_of(keychain, "h.test", "team/app") == "app"
    assert user_of(keychain, "h.test", "team/app/sub") == "app"
    assert user_of(keychain, "h.test", "team/other") == "team"
    assert user_of(keychain, "h.test", "teams/app") == "all"
    assert user_of(keychain, "h.test", "") == "all"
    assert user_of(keychain, "h.test:443", "team/app") == ""


@pytest.mark.parametrize(
    "key", [HUB, "https://index.docker.io/v1", "index.docker.io", "docker.io", "https://docker.io"]
)
@pytest.mark.parametrize("registry", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_is_found_under_all_its_names(tmp_path: Path, key: str, registry: str) -> None:
    assert user_of(docker(tmp_path, auths={key: entry("hub")}), registry) == "hub"


@pytest.mark.parametrize("key", ["https://r.test", "http://r.test/v2/", "R.TEST", "r.test/"])
def test_keys_of_old_are_understood(tmp_path: Path, key: str) -> None:
    assert user_of(docker(tmp_path, auths={key: entry("old")}), "r.test") == "old"


def test_the_key_that_docker_writes_goes_first(tmp_path: Path) -> None:
    auths = {"https://r.test/v1/": entry("old"), "r.test": entry("new")}
    assert user_of(docker(tmp_path, auths=auths), "r.test") == "new"
    auths = {"docker.io": entry("podman"), HUB: entry("docker")}
    assert user_of(docker(tmp_path, auths=auths), "docker.io") == "docker"


# Files


def test_files_are_asked_in_order(tmp_path: Path) -> None:
    home, runtime = tmp_path / "home", tmp_path / "run"
    variables = {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "PATH": ""}
    write_config(home / ".config/containers/auth.json", auths={"r.test": entry("config")})

    def found(**more: str) -> str:
        return user_of(Keychain(read_registry_environment({**variables, **more})), "r.test")

    assert found() == "config"
    write_config(runtime / "containers/auth.json", auths={"r.test": entry("runtime")})
    assert found() == "runtime"
    named = write_config(tmp_path / "named.json", auths={"r.test": entry("named")})
    assert found(REGISTRY_AUTH_FILE=str(named)) == "named"
    write_config(home / ".docker/config.json", auths={"r.test": entry("home")})
    assert found(REGISTRY_AUTH_FILE=str(named)) == "home"
    write_config(tmp_path / "docker/config.json", auths={"r.test": entry("docker")})
    assert found(DOCKER_CONFIG=str(tmp_path / "docker")) == "docker"
    content = json.dumps({"auths": {"r.test": entry("content")}})
    assert found(DOCKER_AUTH_CONFIG=content) == "content"
    write_config(tmp_path / "xdg/containers/auth.json", auths={"x.test": entry("xdg")})
    moved = Keychain(read_registry_environment(variables | {"XDG_CONFIG_HOME": f"{tmp_path}/xdg"}))
    assert user_of(moved, "x.test") == "xdg"


def test_a_file_that_does_not_know_the_registry_leaves_it_to_the_next(tmp_path: Path) -> None:
    first = write_config(tmp_path / "config.json", auths={"other.test": entry("other")})
    second = write_config(tmp_path / "auth.json", auths={"r.test": entry("podman")})
    environment = RegistryEnvironment(docker_config=str(first), auth_files=(str(second),))
    assert user_of(Keychain(environment), "r.test") == "podman"
    assert Keychain(environment).find("none.test") == ANONYMOUS


def test_without_any_file_there_is_nobody() -> None:
    assert Keychain(read_registry_environment({"HOME": "/nowhere"})).find("r.test") == ANONYMOUS


def test_github_gives_a_token_for_its_own_registry_only(tmp_path: Path) -> None:
    variables = {"HOME": str(tmp_path), "GITHUB_TOKEN": SECRET, "GITHUB_ACTOR": "octo"}
    keychain = Keychain(read_registry_environment(variables))
    found = keychain.find("ghcr.io", "o/r")
    assert (found.user, found.password, found.origin) == (
        "octo",
        SECRET,
        "the variable GITHUB_TOKEN",
    )
    assert keychain.find("docker.io") == keychain.find("xghcr.io") == ANONYMOUS
    write_config(tmp_path / ".docker/config.json", auths={"ghcr.io": entry("own")})
    assert user_of(Keychain(read_registry_environment(variables)), "ghcr.io") == "own"


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b'{"auths": {\n  "r.test": {"auth": "aHVzaA==" "x": 1}}}', "config.json:2:"),
        (b'{"auths": ["hush"]}', "auths"),
        (b'{"auths": {"r.test": "hush"}}', "auths"),
        (b'{"credsStore": {"hush": 1}}', "credsStore"),
        (b"\xff\xfehush", "config.json"),
        (b"[" * 100_000, "config.json"),
    ],
)
def test_a_damaged_file_is_told_by_its_place_and_not_quoted(
    tmp_path: Path, raw: bytes, place: str
) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(raw)
    with pytest.raises(InputError) as caught:
        Keychain(RegistryEnvironment(docker_config=str(file))).find("r.test")
    assert place in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "aHVzaA" not in str(caught.value)


@pytest.mark.parametrize("value", ["hush!", "aHVzaA==", "aHVz/w==", "aHVz", "hush"])
def test_an_entry_that_is_no_user_and_password_is_told_by_its_registry(
    tmp_path: Path, value: str
) -> None:
    keychain = docker(tmp_path, auths={"r.test": {"auth": value}, "ok.test": entry("ok")})
    assert user_of(keychain, "ok.test") == "ok"
    with pytest.raises(InputError, match=r"r\.test") as caught:
        keychain.find("r.test")
    assert value not in str(caught.value)


@pytest.mark.parametrize("token", ["two\nlines", "€", "a b"])
def test_a_registry_token_that_is_none_is_told(tmp_path: Path, token: str) -> None:
    with pytest.raises(InputError, match=r"`registrytoken` of `r\.test`") as caught:
        docker(tmp_path, auths={"r.test": {"registrytoken": token}}).find("r.test")
    assert token not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Keychain(RegistryEnvironment(docker_config=str(tmp_path))).find("r.test")


# Helpers


def test_helpers_go_before_entries_and_the_store_between(tmp_path: Path) -> None:
    own = HelperProgram(tmp_path / "bin", "own", **{"r.test": ("own", SECRET)})
    store = HelperProgram(
        tmp_path / "bin", "store", **{"s.test": ("store", SECRET), HUB: ("hub", SECRET)}
    )
    keychain = docker(
        tmp_path,
        auths={key: entry("file") for key in ("r.test", "s.test", "t.test")},
        credHelpers={"r.test": "own", "unknown.test": "own"},
        credsStore="store",
    )
    assert user_of(keychain, "r.test") == "own"
    assert user_of(keychain, "s.test") == "store"
    assert user_of(keychain, "docker.io") == "hub"
    assert user_of(keychain, "t.test") == "file"
    assert keychain.find("unknown.test") == ANONYMOUS
    assert own.asked == ["get r.test", "get unknown.test"]
    assert store.asked == ["get s.test", f"get {HUB}", "get t.test"]
    assert "docker-credential-own" in keychain.find("r.test").origin


def test_an_identity_token_of_a_helper_is_one(tmp_path: Path) -> None:
    HelperProgram(tmp_path / "bin", "own", **{"r.test": ("<token>", SECRET)})
    found = docker(tmp_path, credsStore="own").find("r.test")
    assert found.identity_token == SECRET
    assert not found.user


def test_a_helper_is_asked_once_by_many_threads(tmp_path: Path) -> None:
    helper = HelperProgram(tmp_path / "bin", "own", **{"r.test": ("own", SECRET)})
    keychain = docker(tmp_path, credsStore="own")
    found: list[Credential] = []
    threads = [
        threading.Thread(target=lambda: found.append(keychain.find("r.test", "a")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [credential.user for credential in found] == ["own"] * 8
    assert helper.asked == ["get r.test"]


def test_a_helper_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="docker-credential-absent"):
        docker(tmp_path, credsStore="absent").find("r.test")


def test_a_helper_is_no_path(tmp_path: Path) -> None:
    write_program(tmp_path, "evil", "#!/bin/sh\ntouch ran\n")
    with pytest.raises(NotFound, match="not in PATH"):
        docker(tmp_path, credsStore="x/../../docker-credential-evil").find("r.test")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo the vault is sealed; exit 1", "the vault is sealed"),
        ("echo the vault is sealed >&2; exit 2", "the vault is sealed"),
        ('echo \'{"Username": "u", "Secret": "hush"}\'; exit 1', "fails"),
        ('echo \'{"Secret": "hush"\'', "something else"),
        ("echo hush", "something else"),
        ("printf 'hush\\377'", "something else"),
    ],
)
def test_a_helper_that_fails_is_named(tmp_path: Path, script: str, told: str) -> None:
    write_program(tmp_path / "bin", "own", f"#!/bin/sh\n{script}\n")
    with pytest.raises(InputError, match=told) as caught:
        docker(tmp_path, credsStore="own").find("r.test")
    assert "docker-credential-own" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("script", ["exec sleep 30", "sleep 30 & wait"])
def test_a_helper_that_hangs_is_given_up(tmp_path: Path, script: str) -> None:
    write_program(tmp_path / "bin", "own", f"#!/bin/sh\n{script}\n")
    path = write_config(tmp_path / "config.json", credsStore="own")
    environment = RegistryEnvironment(
        docker_config=str(path), path=f"{tmp_path}/bin:/usr/bin:/bin"
    )
    with pytest.raises(InputError, match=r"no answer about r\.test for 0\.3 seconds"):
        Keychain(environment, patience=0.3).find("r.test")


def test_a_helper_that_reads_nothing_is_heard(tmp_path: Path) -> None:
    script = 'exec <&-; echo \'{"Username": "u", "Secret": "s"}\''
    write_program(tmp_path / "bin", "own", f"#!/bin/sh\n{script}\n")
    assert user_of(docker(tmp_path, credsStore="own"), "r.test") == "u"


# Against crane

Arrange = Callable[[Path], None]
MATRIX: dict[str, tuple[dict[str, Any], str]] = {
    "plain": ({"auths": {"r.test": entry("a")}}, "r.test"),
    "username and password": ({"auths": {"r.test": {"username": "a", "password": "b"}}}, "r.test"),
    "port": ({"auths": {"r.test:5000": entry("a"), "r.test": entry("b")}}, "r.test:5000"),
    "other port": ({"auths": {"r.test:5000": entry("a")}}, "r.test"),
    "https key": ({"auths": {"https://r.test": entry("a")}}, "r.test"),
    "v2 key": ({"auths": {"https://r.test/v2/": entry("a")}}, "r.test"),
    "hub": ({"auths": {HUB: entry("a")}}, "index.docker.io"),
    "identity token": ({"auths": {"r.test": {"identitytoken": "t"}}}, "r.test"),
    "helper": ({"auths": {"r.test": entry("a")}, "credHelpers": {"r.test": "own"}}, "r.test"),
    "store": ({"credsStore": "own"}, "r.test"),
    "helper before store": ({"credHelpers": {"r.test": "own"}, "credsStore": "no"}, "r.test"),
    "token of a helper": ({"credHelpers": {"t.test": "own"}}, "t.test"),
    "hub of a store": ({"credsStore": "own"}, "index.docker.io"),
    "unknown to the store": ({"credsStore": "own"}, "u.test"),
    "nothing": ({"auths": {}}, "r.test"),
    "empty entry": ({"auths": {"r.test": {}}}, "r.test"),
}


@needs("crane")
@pytest.mark.parametrize("place", ["docker", "home", "podman", "runtime"])
@pytest.mark.parametrize("case", MATRIX)
def test_crane_finds_the_same(tmp_path: Path, case: str, place: str) -> None:
    members, registry = MATRIX[case]
    known = {"r.test": ("own", SECRET), "t.test": ("<token>", SECRET), HUB: ("hub", SECRET)}
    HelperProgram(tmp_path / "bin", "own", **known)
    variables = {"HOME": str(tmp_path / "home"), "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    if place == "docker":
        variables["DOCKER_CONFIG"] = str(tmp_path / "docker")
        write_config(tmp_path / "docker/config.json", **members)
    elif place == "home":
        write_config(tmp_path / "home/.docker/config.json", **members)
    elif place == "podman":
        file = write_config(tmp_path / "auth.json", **members)
        variables["REGISTRY_AUTH_FILE"] = str(file)
    else:
        variables["XDG_RUNTIME_DIR"] = str(tmp_path / "run")
        write_config(tmp_path / "run/containers/auth.json", **members)
    ours = Keychain(read_registry_environment(variables)).find(registry)
    theirs = ask_crane(variables, registry)
    user = "<token>" if ours.identity_token else ours.user
    assert (user, ours.identity_token or ours.password) == theirs


def ask_crane(variables: dict[str, str], registry: str) -> tuple[str, str]:
    tool = find_tool("crane")
    assert tool
    done = subprocess.run(
        [tool, "auth", "get", registry], env=variables, capture_output=True, text=True, timeout=20
    )
    if done.returncode and "credentials not found" in done.stdout:
        return "", ""
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return said["Username"], said["Secret"]


def test_secrets_do_not_show_themselves(tmp_path: Path) -> None:
    environment = read_registry_environment(
        {"GITHUB_TOKEN": SECRET, "DOCKER_AUTH_CONFIG": SECRET, "HOME": str(tmp_path)}
    )
    credential = Credential("alice", SECRET, SECRET, SECRET)
    shown = f"{environment!r}{environment}{credential!r}{credential}{Keychain(environment)!r}"
    assert SECRET not in shown
