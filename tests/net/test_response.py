from __future__ import annotations

from contextlib import nullcontext

import pytest

from fixtures.webserver import Answer, Asked, Web, part
from imagist.errors import NetworkError
from imagist.net.response import Interrupted
from imagist.net.transport import HttpTransport, open_url

BODY = bytes(range(256)) * 2000
TAG = {"ETag": '"one"'}
CUT = Answer(body=BODY, headers=TAG, cut=300_000, polite=True)
DATES = [
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 01 Jan 2020 00:00:00 +99999999999999",
    "Mon, 01 Jan 0001 00:00:00 -0000",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "nonsense",
]


def read(transport: HttpTransport, url: str) -> bytes:
    with open_url(transport, url) as response:
        return b"".join(iter(lambda: response.read(65536), b""))


def test_the_rest_of_another_version_is_never_joined_to_the_first_part(
    web: Web, transport: HttpTransport
) -> None:
    # What a cache does that knows Range, but not If-Range.
    url = web.on("/a", CUT, lambda asked: part(b"!" * len(BODY), asked, {"ETag": '"two"'}))
    with pytest.raises(Interrupted, match="changed on the server"):
        read(transport, url)


def test_a_rest_without_a_tag_is_taken_by_its_length(web: Web, transport: HttpTransport) -> None:
    url = web.on("/a", CUT, lambda asked: part(BODY, asked, {}))
    assert read(transport, url) == BODY
    url = web.on("/b", CUT, lambda asked: part(BODY + b"more", asked, {}))
    with pytest.raises(Interrupted):
        read(transport, url)


def test_a_server_may_send_the_rest_in_portions(web: Web, transport: HttpTransport) -> None:
    def portion(asked: Asked) -> Answer:
        start = int(asked.headers["range"].removeprefix("bytes=").rstrip("-"))
        end = min(start + 120_000, len(BODY))
        span = {"Content-Range": f"bytes {start}-{end - 1}/{len(BODY)}"}
        return Answer(206, BODY[start:end], {**TAG, **span})

    assert read(transport, web.on("/a", CUT, portion)) == BODY
    assert web.count("/a") > 2


def test_a_portion_that_never_ends_the_body_is_an_error_not_a_short_file(
    web: Web, transport: HttpTransport
) -> None:
    def nothing(asked: Asked) -> Answer:
        answer = part(BODY, asked, TAG)
        return Answer(206, b"", answer.headers)

    with pytest.raises(Interrupted, match="gave up"):
        read(transport, web.on("/a", CUT, nothing))


def test_lengths_and_ranges_beyond_reason_are_not_believed(
    web: Web, transport: HttpTransport
) -> None:
    many = "9" * 5000  # Python itself refuses to read a number of so many digits
    url = web.on("/a", Answer(body=b"x", headers={"Content-Length": many}, length=-1))
    assert read(transport, url) == b"x"
    url = web.on("/b", CUT, Answer(206, b"x", {**TAG, "Content-Range": f"bytes {many}-5/6"}))
    with pytest.raises(Interrupted):
        read(transport, url)


@pytest.mark.parametrize("date", DATES)
def test_dates_beyond_reason_are_no_validators(
    date: str, web: Web, transport: HttpTransport
) -> None:
    headers = {"Last-Modified": date, "Retry-After": date}
    assert read(transport, web.on("/a", Answer(body=b"x", headers=headers))) == b"x"
    url = web.on("/b", Answer(503, headers=headers), Answer(body=b"x"))
    far_off = pytest.raises(NetworkError, match="come again")
    with far_off if "9999 " in date and "99999" not in date else nullcontext():
        assert read(transport, url) == b"x"


def test_a_chunked_body_that_breaks_off_is_an_error(web: Web, transport: HttpTransport) -> None:
    headers = {"Transfer-Encoding": "chunked"}
    whole = b"5\r\nhello\r\n0\r\n\r\n"
    assert (
        read(transport, web.on("/a", Answer(body=whole, headers=headers, length=-1))) == b"hello"
    )
    for broken in (whole[:7], whole[:10], b"zz\r\nhello"):
        with pytest.raises(Interrupted):
            read(transport, web.on("/b", Answer(body=broken, headers=headers, length=-1)))
