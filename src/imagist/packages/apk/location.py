"""Where packages come from: the lines of a repository list, and what can be derived from one."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

import msgspec

from imagist.errors import RequestError
from imagist.net.url import is_remote, redact

INDEX: Final = "APKINDEX.tar.gz"
_LINE: Final = re.compile(r"(?:@(\S+)\s+)?(\S(?:.*\S)?)")
_ALPINE: Final = re.compile(r"/alpine/(?P<branch>[^/]+)/[^/]+$")


class Location(msgspec.Struct, frozen=True):
    """One repository: a folder, or an http(s) address, that holds one folder per architecture."""

    url: str
    """Without `/` at its end; a path is as it was written."""
    tag: str = ""
    """Packages of a tagged repository are chosen only where `name@tag` asks for them."""

    @property
    def is_remote(self) -> bool:
        """Whether HTTP is needed to read it."""
        return is_remote(self.url)

    @property
    def alpine_branch(self) -> str:
        """The Alpine release (`v3.22`, `edge`) that this repository belongs to, or empty."""
        found = _ALPINE.search(self.url) if self.is_remote else None
        return found["branch"] if found else ""

    def index_url(self, arch: str) -> str:
        """Where the index of an architecture is."""
        return f"{self.url}/{arch}/{INDEX}"

    def __str__(self) -> str:
        return f"@{self.tag} {self.url}" if self.tag else self.url


def parse_location(line: str) -> Location:
    """Read a line of `repositories`: `url`, a path, or `@tag url`.

    Raises:
        RequestError: there is no location in it, or of a kind that cannot be read.
    """
    found = _LINE.fullmatch(line.strip())
    if found is None or found[2].startswith("@"):
        raise RequestError(
            f"`{redact(line)}` is not a repository",
            help="write `https://...`, a path, or `@tag https://...`",
        )
    url = found[2].rstrip("/") or "/"
    scheme, separator, rest = url.partition("://")
    if scheme.lower() == "file" and separator:
        url = unquote("/" + rest.removeprefix("localhost").strip("/"))
    elif separator and not is_remote(url):
        raise RequestError(
            f"repositories over {scheme} cannot be read: `{redact(url)}`",
            help="use https, http, or a path",
        )
    return Location(url, found[1] or "")
