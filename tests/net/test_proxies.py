from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from fixtures.webserver import Answer, Asked, Web, serve
from imagist.errors import NetworkError, RequestError
from imagist.net.environment import Environment, read_environment
from imagist.net.proxy import choose_proxy
from imagist.net.transport import HttpTransport, open_url
from imagist.net.url import origin_of

PROXIES = Environment(http_proxy="http://plain:1", https_proxy="secure:2")


class _Refusing(BaseHTTPRequestHandler):
    """A proxy that lets nobody through."""

    web: Web

    def do_CONNECT(self) -> None:
        self.web.reply(
            Asked("CONNECT", self.path, {k.lower(): v for k, v in self.headers.items()})
        )
        self.send_response(407)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[Web]:
    with serve(_Refusing) as running:
        yield running


def test_each_scheme_has_its_proxy() -> None:
    assert choose_proxy(PROXIES, origin_of("http://h/")) == "http://plain:1"
    assert choose_proxy(PROXIES, origin_of("https://h/")) == "http://secure:2"
    assert choose_proxy(Environment(), origin_of("http://h/")) == ""


@pytest.mark.parametrize("url", ["http://localhost/", "http://127.0.0.1:8080/", "https://[::1]/"])
def test_the_own_machine_is_asked_directly(url: str) -> None:
    assert choose_proxy(PROXIES, origin_of(url)) == ""


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*", "http://h/", True),
        ("example.org", "http://example.org/", True),
        ("example.org", "http://a.EXAMPLE.org/", True),
        ("example.org", "http://badexample.org/", False),
        (".example.org", "http://a.example.org/", True),
        (".example.org", "http://example.org/", False),
        ("*.example.org", "http://a.example.org/", True),
        ("a, example.org ,b", "http://example.org/", True),
        ("example.org:8080", "http://example.org:8080/", True),
        ("example.org:8080", "http://example.org/", False),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.1.2.3", "http://10.1.2.3:99/", True),
        ("10.1.2.3:98", "http://10.1.2.3:99/", False),
        ("fd00::/8", "http://[fd00::1]/", True),
        ("[fd00::1]:80", "http://[fd00::1]/", True),
        (" , ., ,", "http://h/", False),
    ],
)
def test_no_proxy_names_hosts_domains_addresses_and_networks(
    no_proxy: str, url: str, direct: bool
) -> None:
    environment = Environment(http_proxy="p:1", no_proxy=no_proxy)
    assert (choose_proxy(environment, origin_of(url)) == "") is direct


def test_a_plain_request_goes_through_the_proxy_with_its_password(
    web: Web, make: Callable[..., HttpTransport]
) -> None:
    web.on("http://far.invalid/a", Answer(body=b"through"))
    proxy = web.url.replace("://", "://me:hu%40sh@")
    with open_url(make(Environment(http_proxy=proxy)), "http://far.invalid/a") as response:
        assert response.read() == b"through"
    assert web.asked[0].headers["host"] == "far.invalid"
    assert web.asked[0].headers["proxy-authorization"] == "Basic bWU6aHVAc2g="
    assert "authorization" not in web.asked[0].headers


def test_the_proxys_password_stays_with_the_proxy(
    web: Web, other: Web, make: Callable[..., HttpTransport]
) -> None:
    web.on("http://far.invalid/a", Answer(302, headers={"Location": other.url + "/b"}))
    other.on("/b", Answer(body=b"direct"))
    proxy = web.url.replace("://", "://me:hush@")
    with open_url(make(Environment(http_proxy=proxy)), "http://far.invalid/a") as response:
        assert response.read() == b"direct"
    assert not any("authorization" in name for name in other.asked[0].headers)


def test_a_proxy_that_refuses_is_told_at_once_without_its_password(
    refusing: Web, make: Callable[..., HttpTransport], slept: list[float]
) -> None:
    proxy = refusing.url.replace("://", "://me:hush@")
    with pytest.raises(NetworkError, match="the proxy refuses") as caught:
        make(Environment(https_proxy=proxy)).request("GET", "https://far.invalid/a")
    assert "hush" not in str(caught.value)
    assert [asked.path for asked in refusing.asked] == ["far.invalid:443"]
    assert slept == []


@pytest.mark.parametrize("proxy", ["[x", "http://[x/", "x:y:z", "socks5://h:1", "ftp://h"])
def test_what_is_no_proxy_is_a_wrong_request(
    proxy: str, make: Callable[..., HttpTransport]
) -> None:
    with pytest.raises(RequestError):
        make(Environment(http_proxy=proxy)).request("GET", "http://far.invalid/")


def test_the_environment_is_read_in_either_case_lower_first() -> None:
    found = read_environment(
        {"HTTP_PROXY": "A", "https_proxy": "b", "HTTPS_PROXY": "B", "NO_PROXY": "c"}
    )
    assert (found.http_proxy, found.https_proxy, found.no_proxy) == ("A", "b", "c")


def test_a_header_of_a_cgi_request_is_no_proxy() -> None:
    cgi = {"REQUEST_METHOD": "GET", "HTTP_PROXY": "evil"}
    assert read_environment(cgi).http_proxy == ""
    assert read_environment({**cgi, "http_proxy": "good"}).http_proxy == "good"


def test_files_are_named_by_variables_or_lie_at_home() -> None:
    found = read_environment({"HOME": "/home/a", "REQUESTS_CA_BUNDLE": "/r", "HTTP_AUTH": "x"})
    assert (found.netrc, found.ca_file, found.http_auth) == ("/home/a/.netrc", "/r", "x")
    found = read_environment(
        {"HOME": "/h", "NETRC": "/n", "SSL_CERT_FILE": "/s", "REQUESTS_CA_BUNDLE": "/r"}
    )
    assert (found.netrc, found.ca_file) == ("/n", "/s")
    system = ("/etc/containers/certs.d", "/etc/docker/certs.d")
    assert read_environment({}) == Environment(certificate_folders=system)
    folders = read_environment({"HOME": "/home/me"}).certificate_folders
    assert folders == ("/home/me/.config/containers/certs.d", "/home/me/.docker/certs.d", *system)
