from __future__ import annotations

import pytest

from imagist.errors import RequestError
from imagist.packages.apk.location import Location, parse_location


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("https://h.test/os/", Location("https://h.test/os")),
        ("  http://h.test/os  ", Location("http://h.test/os")),
        ("@edge https://h.test/os", Location("https://h.test/os", "edge")),
        ("@local ./packages/", Location("./packages", "local")),
        ("packages", Location("packages")),
        ("/", Location("/")),
        ("file:///srv/a%20b/", Location("/srv/a b")),
        ("file://localhost/srv", Location("/srv")),
        ("/srv/a b", Location("/srv/a b")),
    ],
)
def test_a_line_is_a_url_or_a_path_with_or_without_a_tag(line: str, expected: Location) -> None:
    assert parse_location(line) == expected


@pytest.mark.parametrize("line", ["", "  ", "@edge", "@a @b x", "ftp://h.test/x", "s3://b/x"])
def test_what_cannot_be_read_is_refused(line: str) -> None:
    with pytest.raises(RequestError):
        parse_location(line)


def test_a_password_is_not_in_the_error() -> None:
    with pytest.raises(RequestError) as caught:
        parse_location("ftp://me:hush@h.test/x")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "branch"),
    [
        ("https://dl.test/alpine/v3.20/main", "v3.20"),
        ("https://dl.test/alpine/edge/community", "edge"),
        ("https://dl.test/alpine/edge", ""),
        ("/srv/alpine/edge/main", ""),
    ],
)
def test_the_branch_of_an_alpine_mirror_is_in_its_url(url: str, branch: str) -> None:
    assert Location(url).alpine_branch == branch
