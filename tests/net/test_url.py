from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.errors import RequestError
from imagist.net.url import Origin, Userinfo, origin_of, redact, userinfo_of, without_userinfo


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://host/path", "https://host/path"),
        ("https://host:8080/@scope/x", "https://host:8080/@scope/x"),
        ("https://me:hush@host/path", "https://***@host/path"),
        ("HTTPS://hush@host", "HTTPS://***@host"),
        ("https://me:hu@sh@host/", "https://***@host/"),
        ("https://host/a?token=hush", "https://host/a?***"),
        (
            "@edge https://me:hush@host/a and http://you:hush@b",
            "@edge https://***@host/a and http://***@b",
        ),
        ("/a/path?with=query", "/a/path?with=query"),
        # A password that should have been escaped:
        ("https://me:hu/sh@host/x", "https://***@host/x"),
        ("https://me:hu#sh@host/x", "https://***@host/x"),
        ("https://me:hu?sh@host/x", "https://***@host/x"),
    ],
)
def test_secrets_are_not_shown_and_the_rest_is(text: str, shown: str) -> None:
    assert redact(text) == shown


_PASSWORD = st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"]), min_size=1).map(
    lambda text: f"S3cr{text}eT9"
)


@given(_PASSWORD)
def test_no_password_is_ever_shown_whatever_it_consists_of(password: str) -> None:
    url = f"https://user:{password}@host/path"
    assert "S3cr" not in redact(url)
    told = ""
    try:
        origin_of(url)
    except RequestError as error:
        told = str(error)
    assert "S3cr" not in told
    assert "eT9" not in told


@pytest.mark.parametrize(
    ("url", "origin", "name"),
    [
        ("http://Host/", Origin("http", "host", 80), "host"),
        ("HTTPS://host:443", Origin("https", "host", 443), "host"),
        ("https://u:p@host.:8443/x", Origin("https", "host", 8443), "host:8443"),
        ("http://[::1]:80/", Origin("http", "::1", 80), "[::1]"),
    ],
)
def test_origins_are_compared_in_one_form(url: str, origin: Origin, name: str) -> None:
    assert origin_of(url) == origin
    assert origin.name == name


@pytest.mark.parametrize(
    "url",
    ["https://me:hu/sh@host/", "https://[hush", "https://u:hush@host:bad/", "ftp://u:hush@h/"],
)
def test_a_wrong_url_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(RequestError) as caught:
        origin_of(url)
    assert "sh@" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "userinfo", "bare"),
    [
        ("https://u:p@h/x?y#z", Userinfo("u", "p"), "https://h/x?y#z"),
        ("https://u%40x:p%3Aq@h", Userinfo("u@x", "p:q"), "https://h"),
        ("https://u@h/a@b", Userinfo("u", ""), "https://h/a@b"),
        ("https://h/a@b", None, "https://h/a@b"),
    ],
)
def test_users_are_read_from_urls_and_taken_out(
    url: str, userinfo: Userinfo | None, bare: str
) -> None:
    assert (userinfo_of(url), without_userinfo(url)) == (userinfo, bare)


@pytest.mark.parametrize("path", ["/srv/u@h", "packages", "file:///x@y"])
def test_paths_stay_as_they_are(path: str) -> None:
    assert without_userinfo(path) == path


def test_the_own_machine_is_recognised() -> None:
    near = ["http://localhost/", "http://a.localhost/", "http://127.1.2.3/", "http://[::1]/"]
    assert all(origin_of(url).is_loopback for url in near)
    assert not any(
        origin_of(url).is_loopback for url in ["http://localhost.org/", "http://10.0.0.1/"]
    )


def test_userinfo_does_not_show_itself() -> None:
    assert "hush" not in repr(Userinfo("hush", "hush"))
