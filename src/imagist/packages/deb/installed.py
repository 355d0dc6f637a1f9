"""What is installed, as dpkg and builders of images without dpkg write it down.

    /var/lib/dpkg/status               a stanza for each package, also for some that are gone
    /var/lib/dpkg/info/NAME.list       its paths; NAME:ARCH.list where several can be there
    /var/lib/dpkg/diversions           paths that a package took from the others that have them
    /var/lib/dpkg/status.d/NAME        one package, of an image without dpkg
    /var/lib/dpkg/status.d/NAME.md5sums    its files

Databases are read as forgivingly as dpkg reads its own, which holds whatever a vendor's package
once said; only what names and dates a package must be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from imagist.errors import InputError
from imagist.packages.installed import Installed

FOLDER: Final = "var/lib/dpkg"
STATUS: Final = f"{FOLDER}/status"
STATUS_FOLDER: Final = f"{FOLDER}/status.d"
INFO: Final = f"{FOLDER}/info"
DIVERSIONS: Final = f"{FOLDER}/diversions"
LIST: Final = ".list"
MD5SUMS: Final = ".md5sums"

_STANZA_END: Final = re.compile(rb"\n(?:[ \t]*\n)+")
_FIELD: Final = re.compile(
    rb"^(Package|Version|Architecture|Source|Status):([^\n]*)", re.MULTILINE | re.IGNORECASE
)
# Both are shown on terminals, and the name becomes a part of a file's name.
_NAME: Final = re.compile(r"[^\s/:\0-\x1f\x7f-\x9f]{1,255}")
_VERSION: Final = re.compile(r"[^\s/\0-\x1f\x7f-\x9f]{1,255}")


def split_status(text: bytes) -> Iterator[bytes]:
    """The stanzas of a `status`, each without a line feed at its end."""
    text = text.strip(b"\n")
    begin = 0
    for end in _STANZA_END.finditer(text):
        yield text[begin : end.start()]
        begin = end.end()
    if begin < len(text):
        yield text[begin:]


def is_installed(stanza: bytes) -> bool:
    """Whether a package is there: on hold, too, but not half of it, or its configuration alone.

    `status.d` has control files, which have no status.
    """
    status = _read_fields(stanza).get("status")
    return status is None or status.split()[2:] == ["installed"]


def read_installed(text: bytes) -> Iterator[dict[str, str]]:
    """What a `status`, or a file of `status.d`, says of each installed package.

    Of its fields only name, version, architecture, source and status, in lower case.
    """
    for stanza in split_status(text):
        if is_installed(stanza):
            yield _read_fields(stanza)


def read_stanzas(text: bytes, native: str) -> Iterator[Installed]:
    """The installed packages of a `status`, or of a file of `status.d`.

    Args:
        text: the file.
        native: the image's architecture, whose packages have no `:ARCH`.

    Raises:
        InputError: an installed package has no usable name or version.
    """
    # Kept off start-up: layers know the paths above, and few images need more.
    from imagist.packages.deb.relations import qualify  # noqa: PLC0415

    for fields in read_installed(text):
        name, version, arch = (
            fields.get(field, "") for field in ("package", "version", "architecture")
        )
        if not _NAME.fullmatch(name):
            raise InputError(f"a package in the database has no usable name: `{name[:60]}`")
        if not _VERSION.fullmatch(version):
            raise InputError(f"{name} in the database has no usable version: `{version[:60]}`")
        source = fields.get("source", "").partition(" ")[0]  # its version may stand behind it
        known = qualify(name, arch, native) if arch else name
        yield Installed(known, version, arch, source or name)


def list_names(package: Installed) -> tuple[str, str]:
    """The files of `info` that may list a package's paths, the likelier first."""
    own = package.name.partition(":")[0]
    return f"{own}:{package.arch}{LIST}", f"{own}{LIST}"


def read_list(text: bytes) -> list[str]:
    """The paths in a file `*.list`, without the slash before them; the root is `.`."""
    return [line.lstrip("/") for line in _lines(text)]


def read_diversions(text: bytes) -> dict[str, tuple[str, str]]:
    """Path -> where other packages' files of it lie, and the package that has it (dpkg-divert(1)).

    `:` in that one's place is an administrator.
    """
    lines = read_list(text)
    return {
        path: (place, package)
        for path, place, package in zip(lines[::3], lines[1::3], lines[2::3], strict=False)
    }


def read_md5sums(text: bytes) -> list[str]:
    """The paths in a file `*.md5sums`: of files alone, in a folder's place or a link's is none."""
    return [line[34:].removeprefix("./").lstrip("/") for line in _lines(text)]


def _lines(text: bytes) -> list[str]:
    return text.decode("utf-8", "surrogateescape").split("\n")


def _read_fields(stanza: bytes) -> dict[str, str]:
    """The fields that matter here, by name in lower case; the first of two alike."""
    return {
        name.lower().decode(): value.strip().decode("utf-8", "surrogateescape")
        for name, value in reversed(_FIELD.findall(stanza))
    }
