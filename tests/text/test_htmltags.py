"""Tags of pages: as the parser of the standard library finds them, but in bounded time."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.text.htmltags import read_tags

PAGE = """\
<!DOCTYPE html><html><head><META name="pypi:repository-version" content="1.1">
<base href='https://h.example/&#x61;/'><title>a < b & <b>c</b></title></head>
<!-- <a href="no"> --><script>"<a href='no'>"</SCRIPT><abbr href="no">
<A
  data-x='1 > 0' HREF = "one?a=1&amp;b=2#sha256=0" href="later">one</a><a href=two.whl>two</a>
<a>three</a><a href>four</a><br/><a href="five"/>
"""


class Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"a", "base", "meta"}:
            self.found.append((tag, {name: value or "" for name, value in reversed(attrs)}))


def parsed(text: str) -> list[tuple[str, dict[str, str]]]:
    parser = Parser()
    parser.feed(text)
    parser.close()
    return parser.found


def test_what_is_a_tag_and_what_is_not() -> None:
    found = list(read_tags(PAGE))
    assert found == parsed(PAGE)
    assert [values.get("href") for tag, values in found if tag == "a"] == [
        "one?a=1&b=2#sha256=0",
        "two.whl",
        None,
        "",
        "five",
    ]


def test_what_is_quoted_in_a_tag_is_none() -> None:
    page = """<b x="<a href='no'>">y</b><img alt='<base href="no">'><a href="<a>">z</a>"""
    assert list(read_tags(page)) == parsed(page) == [("a", {"href": "<a>"})]


VALUES = st.text("ab</>=&;#'", max_size=6)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "base", "meta", "b"]), VALUES, VALUES), max_size=4)
)
def test_pages_in_order_are_read_as_the_standard_library_reads_them(
    tags: list[tuple[str, str, str]],
) -> None:
    text = "".join(f'<{tag} href="{one}" data-y="{two}">x</{tag}>\n' for tag, one, two in tags)
    assert list(read_tags(text)) == parsed(text)


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<a ",
        "<!--",
        '<a href="',
        "<a x='",
        "</a ",
        "<script>",
        "<a \"<a '",
        "<a ''\"\"",
        "a=",
        "<b<b",
    ],
)
def test_nothing_takes_longer_than_its_size(piece: str) -> None:
    """The parser of the standard library would need minutes for half of these."""
    began = time.monotonic()
    assert list(read_tags(f"<a {piece * 500_000}")) == []
    assert time.monotonic() - began < 20
