"""`imagist login` and `logout`, as a user and as scripts have them, beside crane's."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.registries import running
from fixtures.tokenserver import Said, serve_tokens
from fixtures.webserver import Answer, Asked, serve
from registry.credentials import SECRET, HelperProgram, auth, entry, write_config
from registry.guarded import demanding_passwords, demanding_tokens
from support import ROOT, find_tool, needs

pytestmark = needs("registry")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that knows alice."""
    with demanding_passwords(tmp_path_factory.mktemp("guarded")) as address:
        yield address


class User:
    """Somebody with a home of their own, and helpers in their PATH."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / ".docker" / "config.json"
        self.environment = {
            "HOME": str(home),
            "PATH": f"{home}/bin:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT / "src"),
            "XDG_RUNTIME_DIR": str(home / "run"),
        }

    def run(self, *words: str, given: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "imagist", *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            env=self.environment,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def log_in(self, host: str, *more: str, **options: Any) -> subprocess.CompletedProcess[str]:
        words = ("login", host, "-u", "alice", "--password-stdin", *more)
        return self.run(*words, given=f"{SECRET}\n", **options)

    @property
    def auths(self) -> dict[str, Any]:
        return dict(json.loads(self.config.read_text())["auths"])

    def crane(self, *words: str) -> str:
        tool = find_tool("crane")
        assert tool
        done = subprocess.run(
            [tool, *words], env=self.environment, capture_output=True, text=True, timeout=30
        )
        return done.stdout


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_a_user_logs_in_and_out(user: User, host: str) -> None:
    done = user.log_in(host)
    assert done.stdout == f"alice is logged in at {host}, by {user.config}\n"
    assert "not encrypted" in done.stderr
    assert user.auths == {host: entry("alice")}
    assert user.config.stat().st_mode & 0o777 == 0o600
    assert user.run("logout", host).stdout == f"logged out of {host}, by {user.config}\n"
    assert user.auths == {}
    assert user.run("logout", host).stdout == f"nobody was logged in at {host}\n"


def test_programs_read_json(user: User, host: str) -> None:
    said = json.loads(user.log_in(host, "--json").stdout)
    assert said == {"registry": host, "user": "alice", "kept": str(user.config)}
    said = json.loads(user.run("logout", host, "--json").stdout)
    assert said == {"registry": host, "removed": [str(user.config)]}


@needs("crane")
def test_crane_finds_what_imagist_keeps_and_the_other_way_round(user: User, host: str) -> None:
    user.log_in(host)
    assert json.loads(user.crane("auth", "get", host)) == {"Username": "alice", "Secret": SECRET}
    user.crane("auth", "logout", host)
    assert user.run("logout", host).stdout.startswith("nobody")
    user.crane("auth", "login", host, "-u", "alice", "-p", SECRET)
    theirs = user.config.read_bytes()
    assert user.run("logout", host).stdout.startswith("logged out")
    user.log_in(host)
    assert json.loads(user.config.read_bytes()) == json.loads(theirs)


@needs("skopeo")
def test_skopeo_and_imagist_use_what_the_other_was_told(user: User, host: str) -> None:
    def skopeo(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        tool = find_tool("skopeo")
        assert tool
        return subprocess.run(
            [tool, *words],
            input=given,
            capture_output=True,
            text=True,
            env=user.environment,
            timeout=30,
        )

    tags = ("list-tags", "--tls-verify=false", f"docker://{host}/team/none")
    assert "authentication required" in skopeo(*tags).stderr
    user.log_in(host)
    assert "authentication required" not in skopeo(*tags).stderr
    user.run("logout", host)
    assert "no credentials" in user.run("catalog", host, code=4).stderr
    words = ("login", "--tls-verify=false", "-u", "alice", "--password-stdin", host)
    (user.home / "run").mkdir()
    assert skopeo(*words, given=SECRET).returncode == 0
    assert user.run("catalog", host).stdout == ""


def test_wrong_credentials_are_not_kept(user: User, host: str) -> None:
    words = ("login", host, "-u", "alice", "--password-stdin")
    done = user.run(*words, given="hush", code=4)
    assert f"{host} refuses the user alice" in done.stderr
    assert "hush" not in done.stderr
    assert not user.config.exists()


def test_a_password_on_the_command_line_is_warned_of(user: User, host: str) -> None:
    done = user.run("login", host, "-u", "alice", "-p", SECRET)
    assert "--password-stdin" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-u", "alice"), "no terminal"),
        ((), "no terminal"),
        (("--password-stdin",), "goes with --user"),
        (("-u", "a", "-p", "b", "--password-stdin"), "without --password"),
        (("-u", "alice", "--password-stdin"), "the password is empty"),
        (("-u", "al:ice", "-p", "x"), "colon"),
        (("-u", "alice", "-p", "x", "--offline"), "--offline"),
    ],
)
def test_what_is_missing_is_said(user: User, host: str, words: tuple[str, ...], told: str) -> None:
    assert told in user.run("login", host, *words, code=2).stderr
    assert not user.config.exists()


@pytest.mark.parametrize("name", ["ghcr", "a b.test", "r.test/team", "https:///"])
def test_what_is_no_registry_is_refused(user: User, name: str) -> None:
    assert "registry" in user.run("login", name, "-u", "a", "-p", "b", code=2).stderr
    assert "registry" in user.run("logout", name, code=2).stderr


def test_what_is_no_registry_of_images_is_told(user: User) -> None:
    with serve_tokens() as web:
        place = web.url.split("/")[2].replace("localhost", "127.0.0.1")
        web.instead = Said(404, b"nothing")
        assert "no registry" in user.log_in(place, code=4).stderr
    assert not user.config.exists()


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        (Answer(200, b"<!doctype html><p>Welcome", {"Content-Type": "text/html"}), False),
        (Answer(200, b"It works!"), False),
        (Answer(200, b"true"), True),
        (Answer(200, b""), True),
        (Answer(200, b"ok", {"Docker-Distribution-Api-Version": "registry/2.0"}), True),
    ],
)
def test_a_web_server_gets_no_password_kept(user: User, answer: Answer, *, is_one: bool) -> None:
    with serve() as web:
        web.on("/v2/", answer)
        done = user.log_in(f"127.0.0.1:{web.port}", code=0 if is_one else 4)
        asked = [asked.headers.get("authorization") for asked in web.asked]
    assert ("does not answer as a registry does" in done.stderr) is not is_one
    assert user.config.exists() is is_one
    assert any(asked) is is_one


def test_a_registry_that_lets_anybody_in_may_refuse_a_wrong_password(user: User) -> None:
    def look(asked: Asked) -> Answer:
        known = asked.headers.get("authorization") in {None, f"Basic {auth('alice', SECRET)}"}
        return Answer() if known else Answer(401, headers={"WWW-Authenticate": "Basic realm=x"})

    with serve() as web:
        web.on("/v2/", look)
        place = f"127.0.0.1:{web.port}"
        user.log_in(place)
        words = ("login", place, "-u", "alice", "--password-stdin")
        assert "refuses the user alice" in user.run(*words, given="hush", code=4).stderr


def test_a_password_may_have_many_lines(user: User) -> None:
    key = '{\n  "private_key": "é"\n}'
    with serve() as web:
        web.on("/v2/", Answer())
        place = f"127.0.0.1:{web.port}"
        user.run("login", place, "-u", "_json_key", "--password-stdin", given=f"{key}\n")
    assert user.auths == {place: entry("_json_key", key)}


def test_a_registry_that_asks_for_nothing_is_told(user: User, tmp_path: Path) -> None:
    with running("registry", tmp_path / "open") as address:
        assert "were not tried" in user.log_in(address).stderr
    assert address in user.auths


def test_a_helper_keeps_the_password_where_one_is_named(user: User, host: str) -> None:
    helper = HelperProgram(user.home / "bin", "own")
    write_config(user.config, credsStore="own", auths={host: entry("old")}, currentContext="x")
    done = user.log_in(host)
    assert done.stdout == f"alice is logged in at {host}, by docker-credential-own\n"
    assert "not encrypted" not in done.stderr
    assert helper.known == {host: ["alice", SECRET]}
    assert user.auths == {host: {}}
    assert json.loads(user.config.read_text())["currentContext"] == "x"
    assert "docker-credential-own" in user.run("logout", host).stdout
    assert helper.known == {}
    assert user.auths == {}


def test_what_podman_knows_is_told_and_left(user: User, host: str) -> None:
    user.log_in(host)
    file = write_config(user.home / "run/containers/auth.json", auths={host: entry("bob")})
    done = user.run("logout", host)
    assert f"still credentials for {host}, in {file}" in done.stderr
    assert host in file.read_text()


def test_a_token_server_is_asked_where_the_registry_names_one(user: User, tmp_path: Path) -> None:
    with serve_tokens() as tokens, demanding_tokens(tmp_path / "guarded", tokens) as address:
        user.log_in(address)
        assert tokens.received[0].authorization == f"Basic {auth('alice', SECRET)}"
        tokens.users = {}
        assert "refuses the user alice" in user.log_in(address, code=4).stderr


# At a terminal


class Terminal:
    """A user at a terminal."""

    def __init__(self, user: User, *words: str) -> None:
        self.screen = ""
        master, self.slave = pty.openpty()
        self.master = master
        self.process = subprocess.Popen(
            [sys.executable, "-m", "imagist", *words],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=user.environment | {"TERM": "xterm"},
            preexec_fn=self._take,  # noqa: PLW1509 - no other thread runs here
        )

    def _take(self) -> None:
        import fcntl

        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell's & has it ignore
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + 20
        while text not in self.screen:
            assert time.monotonic() < end, self.screen
            if select.select([self.master], [], [], 0.2)[0]:
                self.screen += os.read(self.master, 4096).decode()

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def close(self) -> int:
        code = self.process.wait(20)
        while select.select([self.master], [], [], 0.1)[0]:
            self.screen += os.read(self.master, 4096).decode()
        os.close(self.master)
        os.close(self.slave)
        return code


def test_a_person_is_asked_and_the_password_does_not_show(user: User, host: str) -> None:
    terminal = Terminal(user, "login", host)
    terminal.wait_for(f"user at {host}: ")
    terminal.type("alice\n")
    terminal.wait_for(f"password of alice at {host}: ")
    assert not terminal.echoes
    terminal.type(f"{SECRET}\n")
    terminal.wait_for("logged in")
    assert terminal.close() == 0
    assert SECRET not in terminal.screen
    assert user.auths == {host: entry("alice")}


def test_who_leaves_at_the_password_has_a_terminal_that_echoes(user: User, host: str) -> None:
    terminal = Terminal(user, "login", host, "-u", "alice")
    terminal.wait_for("password of alice")
    code = None
    for _ in range(40):  # one that comes just before the terminal is read is noticed after a key
        terminal.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = terminal.process.wait(0.5)
            break
    assert code in {130, -signal.SIGINT}
    assert terminal.echoes
    terminal.close()
    assert not user.config.exists()


def test_no_secret_is_in_any_log(user: User, host: str) -> None:
    for words in ((), ("-v",), ("--json",), ("--progress", "plain", "-v")):
        done = user.log_in(host, *words)
        shown = done.stdout + done.stderr
        assert not re.search(re.escape(auth("alice", SECRET)), shown)
