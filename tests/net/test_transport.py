from __future__ import annotations

import base64
import threading
from collections.abc import Callable

import pytest

from fixtures.webserver import OLD, Answer, Asked, Web, cacheable, part
from imagist.errors import NetworkError, NotFound, RequestError, Untrusted
from imagist.net.environment import Environment
from imagist.net.response import Interrupted
from imagist.net.transport import HttpTransport, open_url

BODY = bytes(range(256)) * 5000
TAG = {"ETag": '"one"'}


def read(transport: HttpTransport, url: str, **more: object) -> bytes:
    with open_url(transport, url, **more) as response:  # type: ignore[arg-type]
        return response.read()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_body_is_given_whole_and_in_the_sizes_asked_for(
    web: Web, transport: HttpTransport
) -> None:
    url = web.on("/a", Answer(body=BODY))
    assert read(transport, url) == BODY
    with open_url(transport, url) as response:
        assert [len(response.read(1000)), len(response.read(7))] == [1000, 7]
        assert response.read() == BODY[1007:]
        assert response.read(10) == b""


def test_files_are_asked_for_as_they_are_and_by_name_of_the_client(
    web: Web, transport: HttpTransport
) -> None:
    read(transport, web.on("/a", Answer(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})))
    headers = web.asked[0].headers
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("imagist/")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(
    status: int, web: Web, transport: HttpTransport, slept: list[float]
) -> None:
    url = web.on("/a", Answer(status), Answer(status), Answer(body=b"ok"))
    assert read(transport, url) == b"ok"
    assert slept == [0.5, 1.0]  # half of 1 s, half of 2 s: the chance is fixed


def test_a_failure_that_lasts_is_told_after_four_attempts(
    web: Web, transport: HttpTransport
) -> None:
    url = web.on("/a", Answer(503))
    with pytest.raises(NetworkError, match="answers 503"):
        read(transport, url)
    assert web.count("/a") == 4


@pytest.mark.parametrize("value", ["7", "Tue, 24 Nov 2026 00:00:07 GMT"])
def test_retry_after_is_honoured_as_seconds_and_as_a_date(
    value: str, web: Web, transport: HttpTransport, slept: list[float]
) -> None:
    url = web.on("/a", Answer(429, headers={"Retry-After": value}), Answer(body=b"ok"))
    assert read(transport, url) == b"ok"
    assert slept == [7.0]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(
    web: Web, transport: HttpTransport, slept: list[float]
) -> None:
    url = web.on("/a", Answer(503, headers={"Retry-After": "3600"}), Answer(body=b"ok"))
    with pytest.raises(NetworkError, match="come again after 3600"):
        read(transport, url)
    assert slept == []


def test_a_post_is_not_repeated(web: Web, transport: HttpTransport) -> None:
    with pytest.raises(NetworkError):
        transport.request("POST", web.on("/a", Answer(500)), body=b"x")
    assert web.count("/a") == 1


def test_a_broken_body_is_taken_up_where_it_broke(
    web: Web, transport: HttpTransport, slept: list[float]
) -> None:
    def rest(asked: Asked) -> Answer:
        assert asked.headers["if-range"] == '"one"'
        return part(BODY, asked, TAG)

    url = web.on("/a", Answer(body=BODY, headers=TAG, cut=300_000), rest)
    with open_url(transport, url) as response:
        pieces = iter(lambda: response.read(65536), b"")
        assert b"".join(pieces) == BODY
    start = int(web.asked[1].headers["range"][6:-1])
    assert 0 < start <= 300_000
    assert len(slept) == 1


def test_a_body_that_ends_too_early_counts_as_broken(web: Web, transport: HttpTransport) -> None:
    cut = Answer(body=BODY, headers=TAG, cut=300_000, polite=True)
    url = web.on("/a", cut, lambda asked: part(BODY, asked, TAG))
    assert read(transport, url) == BODY


def test_a_date_is_as_good_as_a_tag_for_going_on(web: Web, transport: HttpTransport) -> None:
    headers = {"Last-Modified": OLD}
    cut = Answer(body=BODY, headers=headers, cut=300_000, polite=True)
    url = web.on("/a", cut, lambda asked: part(BODY, asked, headers))
    assert read(transport, url) == BODY
    assert web.asked[1].headers["if-range"] == OLD


def test_a_server_without_ranges_sends_all_again_and_nothing_is_doubled(
    web: Web, transport: HttpTransport
) -> None:
    cut = Answer(body=BODY, headers=TAG, cut=300_000)
    url = web.on("/a", cut, cut, Answer(body=BODY, headers=TAG))
    with open_url(transport, url) as response:
        assert b"".join(iter(lambda: response.read(65536), b"")) == BODY


def test_a_file_that_changed_meanwhile_is_never_mixed(web: Web, transport: HttpTransport) -> None:
    cut = Answer(body=BODY, headers=TAG, cut=300_000)
    url = web.on("/a", cut, Answer(body=b"!" * len(BODY), headers={"ETag": '"two"'}))
    with pytest.raises(Interrupted, match="changed on the server"):
        read(transport, url)


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}, {"Last-Modified": "nonsense"}])
def test_without_a_strong_validator_a_broken_body_is_an_error(
    headers: dict[str, str], web: Web, transport: HttpTransport
) -> None:
    url = web.on("/a", Answer(body=BODY, headers=headers, cut=300_000))
    with pytest.raises(Interrupted, match="broke off after"):
        read(transport, url)
    assert web.count("/a") == 1


@pytest.mark.parametrize("span", ["bytes 0-9/10", "bytes 5-", "nonsense", ""])
def test_a_wrong_range_is_not_accepted(span: str, web: Web, transport: HttpTransport) -> None:
    wrong = Answer(206, BODY, {**TAG, "Content-Range": span})
    url = web.on("/a", Answer(body=BODY, headers=TAG, cut=300_000), wrong)
    with pytest.raises(Interrupted):
        read(transport, url)


def test_resuming_ends_some_time(web: Web, transport: HttpTransport) -> None:
    def drip(asked: Asked) -> Answer:
        answer = part(BODY, asked, TAG) if "range" in asked.headers else Answer(200, BODY, TAG)
        return Answer(answer.status, answer.body, answer.headers, cut=10)

    url = web.on("/a", drip)
    with pytest.raises(Interrupted, match="gave up"):
        read(transport, url)
    assert web.count("/a") == 6


def test_a_content_length_that_promises_too_much_is_an_error(
    web: Web, transport: HttpTransport
) -> None:
    url = web.on("/a", Answer(body=b"short", length=50))
    with pytest.raises(Interrupted):
        read(transport, url)


def test_a_content_length_that_promises_too_little_does_not_harm_the_next_request(
    web: Web, transport: HttpTransport
) -> None:
    url = web.on("/a", Answer(body=b"HTTP/1.1 200 OK\r\n\r\nevil", length=3), Answer(body=b"good"))
    assert read(transport, url) == b"HTT"
    assert read(transport, url) == b"good"


def test_a_body_over_the_limit_is_refused_before_it_is_read(
    web: Web, transport: HttpTransport
) -> None:
    with pytest.raises(Untrusted, match="more than 1000 bytes"):
        read(transport, web.on("/a", Answer(body=BODY)), limit=1000)


def test_a_body_over_the_limit_without_a_length_is_refused_on_the_way(
    web: Web, make: Callable[..., HttpTransport]
) -> None:
    url = web.on("/a", Answer(body=BODY, length=-1))
    assert read(make(), url) == BODY
    with pytest.raises(Untrusted, match="more than 1000 bytes"):
        read(make(limit=1000), url)


def test_a_server_that_says_nothing_is_given_up(
    web: Web, make: Callable[..., HttpTransport]
) -> None:
    url = web.on("/a", Answer(pause=0.4), Answer(body=b"ok"))
    assert read(make(stall=0.15), url) == b"ok"
    url = web.on("/b", Answer(pause=0.25))
    with pytest.raises(NetworkError, match="does not answer in time"):
        make(stall=0.05).request("POST", url)


def test_nobody_listening_is_a_network_error_that_names_the_host(
    web: Web, transport: HttpTransport, slept: list[float]
) -> None:
    import socket

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(
            NetworkError, match=rf"127\.0\.0\.1:{port} cannot be reached: .*refused"
        ):
            transport.request("GET", f"http://127.0.0.1:{port}/a?token=secret")
    assert len(slept) == 3


def test_absence_and_refusal_are_told_apart(web: Web, transport: HttpTransport) -> None:
    with pytest.raises(NotFound, match="answers 404"):
        read(transport, web.url + "/none")
    with pytest.raises(NetworkError, match="answers 403") as caught:
        read(transport, web.on("/secret", Answer(403)))
    assert "netrc" in str(caught.value.problems[0].help)


@pytest.mark.parametrize(
    "url", ["http:///path", "ftp://host/x", "http://host:port/", "http://a b/", "x"]
)
def test_what_is_no_url_is_a_wrong_request(url: str, transport: HttpTransport) -> None:
    with pytest.raises(RequestError):
        transport.request("GET", url)


# Redirections and credentials


def test_redirections_are_followed_and_the_last_place_is_told(
    web: Web, transport: HttpTransport
) -> None:
    url = web.on("/a", Answer(302, b"go", {"Location": "/b"}))
    web.on("/b", Answer(307, b"", {"Location": web.url + "/c"}))
    web.on("/c", Answer(body=b"here"))
    with open_url(transport, url) as response:
        assert (response.read(), response.url) == (b"here", web.url + "/c")


def test_a_circle_of_redirections_ends(web: Web, transport: HttpTransport) -> None:
    with pytest.raises(NetworkError, match="more than 10 times"):
        read(transport, web.on("/a", Answer(302, b"", {"Location": "/a"})))


def test_a_redirection_out_of_http_is_refused(web: Web, transport: HttpTransport) -> None:
    with pytest.raises(NetworkError, match="redirects to file:///etc/passwd"):
        read(transport, web.on("/a", Answer(302, b"", {"Location": "file:///etc/passwd"})))


def test_credentials_in_the_url_are_used_but_not_carried_to_another_host(
    web: Web, other: Web, transport: HttpTransport
) -> None:
    web.on("/a", Answer(302, b"", {"Location": other.url + "/b"}))
    other.on("/b", Answer(302, b"", {"Location": web.url + "/c"}))
    web.on("/c", Answer(body=b"ok"))
    url = web.url.replace("://", "://us%20er:p%40ss@") + "/a"
    secret = {"Authorization": "Bearer own", "Cookie": "a=b"}
    assert transport.request("GET", url).read() == b"ok"
    assert web.asked[0].headers["authorization"] == basic("us er", "p@ss")
    assert "authorization" not in other.asked[0].headers
    assert web.asked[1].headers["authorization"] == basic("us er", "p@ss")
    transport.request("GET", web.url + "/a", headers=secret).close()
    assert web.asked[2].headers["authorization"] == "Bearer own"
    assert not {"authorization", "cookie"} & set(other.asked[1].headers)


def test_a_redirection_cannot_make_us_send_a_user_of_its_choice(
    web: Web, other: Web, transport: HttpTransport
) -> None:
    target = other.url.replace("://", "://evil:evil@") + "/b"
    other.on("/b", Answer(body=b"ok"))
    assert read(transport, web.on("/a", Answer(302, b"", {"Location": target}))) == b"ok"
    assert "authorization" not in other.asked[0].headers


def test_a_learnt_location_opens_what_lies_below_it(web: Web, transport: HttpTransport) -> None:
    location = transport.learn(web.url.replace("://", "://u:p@") + "/private")
    assert location == web.url + "/private"
    for path in ("/private/x", "/privateer", "/public"):
        read(transport, web.on(path, Answer(body=b"ok")))
    sent = [asked.headers.get("authorization") for asked in web.asked]
    assert sent == [basic("u", "p"), None, None]


def test_http_auth_reaches_its_host_with_a_password_that_has_colons(
    web: Web, make: Callable[..., HttpTransport]
) -> None:
    def guarded(asked: Asked) -> Answer:
        good = asked.headers.get("authorization") == basic("user", "pa:ss:word")
        return Answer(body=b"in") if good else Answer(401)

    url = web.on("/a", guarded)
    environment = Environment(http_auth=f"basic:127.0.0.1:{web.port}:user:pa:ss:word")
    assert read(make(environment), url) == b"in"
    with pytest.raises(NetworkError, match="answers 401"):
        read(make(), url)


def test_nothing_secret_is_in_an_error(web: Web, transport: HttpTransport) -> None:
    url = web.on("/a", Answer(500)).replace("://", "://me:hush@") + "?token=hush"
    web.on("/a?token=hush", Answer(500))
    with pytest.raises(NetworkError) as caught:
        transport.request("GET", url)
    assert "hush" not in str(caught.value)
    assert "/a?***" in str(caught.value)


def test_many_threads_may_use_one_transport(web: Web, transport: HttpTransport) -> None:
    url = web.on("/a", Answer(body=BODY))
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(read(transport, url))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [BODY] * 8


def test_a_connection_is_used_again(web: Web, transport: HttpTransport) -> None:
    url = web.on("/a", cacheable(b"x" * 2000))
    ports = set()

    def note(asked: Asked) -> Answer:
        ports.add(threading.get_ident())  # the server has one thread for each connection
        return Answer(404 if "b" in asked.path else 200, b"x" * 2000)

    url = web.on("/a", note)
    web.on("/b", note)
    for _ in range(3):
        read(transport, url)
        with pytest.raises(NotFound):
            read(transport, web.url + "/b")
    assert len(ports) == 1
