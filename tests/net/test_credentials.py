from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.errors import InputError, RequestError
from imagist.net.auth import Credentials, format_basic
from imagist.net.environment import Environment
from imagist.net.url import Userinfo

ALICE = Userinfo("alice", "secret")


def http_auth(text: str) -> Credentials:
    return Credentials(Environment(http_auth=text))


@pytest.mark.parametrize(
    ("text", "url", "found"),
    [
        ("basic:h:alice:secret", "https://h/x", ALICE),
        ("basic:h:alice:secret", "http://H/x", ALICE),
        ("basic:h:alice:secret", "https://h:8443/x", None),
        ("basic:h:alice:secret", "https://sub.h/x", None),
        ("basic:h:8443:alice:secret", "https://h:8443/x", ALICE),
        ("basic:h:8443:alice:secret", "https://h/x", None),
        ("basic:h:alice:se:cr:et", "https://h/x", Userinfo("alice", "se:cr:et")),
        ("basic:h:8443:alice:se:cr:et", "https://h:8443/x", Userinfo("alice", "se:cr:et")),
        ("basic:h:1234:secret", "https://h/x", Userinfo("1234", "secret")),
        ("basic:h:alice:", "https://h/x", Userinfo("alice", "")),
        ("basic:[::1]:8080:alice:secret", "http://[::1]:8080/", ALICE),
        ("", "https://h/x", None),
    ],
)
def test_http_auth_is_for_its_host_and_port(text: str, url: str, found: Userinfo | None) -> None:
    assert http_auth(text).find(url) == found


@given(st.from_regex(r"[^:\x00-\x1f]*[^:0-9\x00-\x1f]", fullmatch=True), st.text())
def test_any_user_and_password_come_through_http_auth(user: str, password: str) -> None:
    assert http_auth(f"basic:h:{user}:{password}").find("https://h/") == Userinfo(user, password)
    assert http_auth(f"basic:h:8443:{user}:{password}").find("https://h:8443/") == Userinfo(
        user, password
    )


@pytest.mark.parametrize(
    "text", ["alice:hush", "bearer:h:alice:hush", "basic:h:hush", "basic::a:hush"]
)
def test_http_auth_of_another_form_is_told_without_its_secret(text: str) -> None:
    with pytest.raises(RequestError, match="HTTP_AUTH") as caught:
        http_auth(text).find("https://h/")
    assert "hush" not in str(caught.value)
    assert "basic:<host>" in str(caught.value.problems[0].help)


def netrc(tmp_path: Path, text: str) -> Credentials:
    file = tmp_path / "netrc"
    file.write_text(text)
    return Credentials(Environment(netrc=str(file)))


def test_netrc_is_asked_by_host_and_then_by_default(tmp_path: Path) -> None:
    found = netrc(
        tmp_path, "machine h login alice password secret\ndefault login bob password b\n"
    )
    assert found.find("https://h:1234/") == ALICE
    assert found.find("https://other/") == Userinfo("bob", "b")


def test_a_redirection_to_a_host_does_not_reveal_what_is_for_any(tmp_path: Path) -> None:
    found = netrc(
        tmp_path, "machine h login alice password secret\ndefault login bob password b\n"
    )
    assert found.find("https://h/", redirected=True) == ALICE
    assert found.find("https://other/", redirected=True) is None
    assert found.find("https://evil:x@other/", redirected=True) is None


def test_a_damaged_netrc_is_told_without_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"netrc is not a netrc file: line \d") as caught:
        netrc(tmp_path, "machine h\nlogin alice passwort hush\n").find("https://h/")
    assert "hush" not in str(caught.value)


def test_http_auth_goes_before_netrc(tmp_path: Path) -> None:
    file = tmp_path / "netrc"
    file.write_text("machine h login bob password b\nmachine other login bob password b\n")
    found = Credentials(Environment(http_auth="basic:h:alice:secret", netrc=str(file)))
    assert found.find("https://h/") == ALICE
    assert found.find("https://other/") == Userinfo("bob", "b")


def test_an_absent_netrc_is_none() -> None:
    assert Credentials(Environment(netrc="/nowhere/netrc")).find("https://h/") is None


def test_the_url_goes_before_what_was_learnt_and_that_before_the_environment() -> None:
    credentials = http_auth("basic:h:env:e")
    assert credentials.find("https://h/repo/x") == Userinfo("env", "e")
    credentials.learn("https://outer:o@h/repo")
    credentials.learn("https://inner:i@h/repo/deep/")
    assert credentials.find("https://h/repo/x") == Userinfo("outer", "o")
    assert credentials.find("https://h/repo/deep/x") == Userinfo("inner", "i")
    assert credentials.find("https://h/repo2/x") == Userinfo("env", "e")
    assert credentials.find("https://own:w@h/repo/x") == Userinfo("own", "w")
    assert credentials.find("https://h:444/repo/x") is None


@pytest.mark.parametrize("path", ["/srv/repo", "packages", "file:///srv/repo"])
def test_folders_have_no_users(path: str) -> None:
    assert Credentials(Environment()).learn(path) == path


def test_secrets_do_not_show_themselves() -> None:
    environment = Environment(http_auth="basic:h:a:hush", http_proxy="http://a:hush@p")
    assert "hush" not in repr(environment) + repr(Credentials(environment))


def test_basic_credentials_are_utf_8() -> None:
    assert format_basic(Userinfo("é", "p:w")) == "Basic w6k6cDp3"
