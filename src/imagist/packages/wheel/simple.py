"""Pages of a package index: the Simple API in JSON or HTML (PEP 503, 629, 691, 700)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import msgspec

from imagist.errors import InputError
from imagist.net.url import is_remote
from imagist.packages.wheel.lock.model import read_hash
from imagist.text.htmltags import read_tags

ACCEPT: Final = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, "
    "text/html;q=0.1"
)
"""What to ask an index for: JSON, or else whatever it has."""
_MAJOR: Final = "1"
_JSON: Final = re.compile(r"application/(vnd\.pypi\.simple\.v\d+\+)?json\b")


class Link(msgspec.Struct, frozen=True):
    """A file that an index offers."""

    name: str
    url: str
    """Absolute."""
    sha256: str = ""
    """In hex; empty where the index does not say."""
    size: int | None = None


class _JsonFile(msgspec.Struct):
    filename: str
    url: str
    hashes: dict[str, str] = {}
    size: int | None = None


class _JsonMeta(msgspec.Struct):
    version: str = msgspec.field(name="api-version", default="1.0")


class _JsonPage(msgspec.Struct):
    files: list[_JsonFile] = []
    meta: _JsonMeta = msgspec.field(default_factory=_JsonMeta)


def read_page(data: bytes, content_type: str, url: str) -> list[Link]:
    """The files on the page of a project.

    Args:
        data: the page.
        content_type: what the server says that it is.
        url: where it was found in the end; relative addresses begin there.

    Raises:
        InputError: it is malformed, or of a later version of the protocol.
    """
    if _JSON.match(content_type.strip().lower()):
        return _read_json(data, url)
    return _read_html(data, url)


def _read_json(data: bytes, url: str) -> list[Link]:
    try:
        page = msgspec.json.decode(data, type=_JsonPage)
    except msgspec.MsgspecError as error:
        raise InputError(f"{url} is not what an index answers: {error}") from None
    _check_version(page.meta.version, url)
    return [
        Link(
            file.filename,
            place,
            read_hash(f"sha256:{file.hashes.get('sha256', '')}"),
            file.size,
        )
        for file in page.files
        if (place := _join(url, file.url))
    ]


def _read_html(data: bytes, url: str) -> list[Link]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{url} is not what an index answers: it is not UTF-8") from None
    links: list[Link] = []
    base = url
    for tag, values in read_tags(text):
        reference = values.get("href", "").strip()
        if tag == "meta" and values.get("name") == "pypi:repository-version":
            _check_version(values.get("content", ""), url)
        elif tag == "base" and reference:
            base = _join(url, reference) or base
        elif tag == "a" and reference:
            place, fragment = urldefrag(_join(base, reference))
            name = unquote(urlsplit(place).path).rpartition("/")[2]
            algorithm, _, value = fragment.partition("=")
            if name:
                links.append(Link(name, place, read_hash(f"{algorithm}:{value}")))
    return links


def _join(base: str, reference: str) -> str:
    """Where a page says something lies; empty where that is no place, or one of this machine.

    Servers have no say in what of this machine is read.
    """
    try:
        place = urljoin(base, reference)
    except ValueError:
        return ""
    return place if is_remote(place) or not is_remote(base) else ""


def _check_version(version: str, url: str) -> None:
    if version.partition(".")[0] != _MAJOR:
        raise InputError(
            f"{url} answers in version {version} of the protocol, and {_MAJOR}.x is understood",
            help="a later imagist may understand it",
        )
