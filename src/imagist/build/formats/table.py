"""The table of formats, and which of them a declaration is written for."""

from __future__ import annotations

from imagist.build.formats.format import Format
from imagist.declaration.model import Contents
from imagist.errors import RequestError
from imagist.packages.deb.sources import is_source


def find_format(contents: Contents) -> Format:
    """The format of the packages that a declaration asks for; each is loaded when it is needed.

    Raises:
        RequestError: it has repositories of several formats.
    """
    lines = (*contents.build_repositories, *contents.repositories)
    debian = [line for line in lines if is_source(line)]
    if debian and len(debian) < len(lines):
        raise RequestError(
            "`contents` has repositories of APKs and of Debian packages, which cannot be together",
            help="build one image upon the other, with `contents.baseimage`",
        )
    if debian:
        from imagist.build.formats.deb.deb import DebFormat  # noqa: PLC0415

        return DebFormat()
    from imagist.build.formats.apk.apk import ApkFormat  # noqa: PLC0415

    return ApkFormat()
