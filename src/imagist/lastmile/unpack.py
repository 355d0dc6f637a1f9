"""Source distributions unpacked: one folder, and nothing of it anywhere else.

The interpreter's own filter (PEP 721) asks the file system where a path leads, and chains of links
have deceived it. So before anything is written, paths and links are compared as texts: nothing
lies behind a link, and no link leads through another.
"""

from __future__ import annotations

import lzma
import posixpath
import tarfile
import zlib
from pathlib import Path
from typing import Final

from imagist.errors import InputError, Untrusted
from imagist.rootfs.entry import parents
from imagist.rootfs.zipdirectory import ZipLimits, open_source
from imagist.rootfs.zipread import ZipReader

MOST: Final = 4 << 30
"""Bytes of all contents."""
_MEMBERS: Final = 1 << 18


def unpack_source(archive: Path, name: str, place: Path) -> Path:
    """Unpack a source distribution; its one folder.

    Args:
        archive: the file.
        name: what it is called: `name-version.tar.gz`, or `.zip`.
        place: an empty folder.

    Raises:
        Untrusted: something in it would lie elsewhere, or it is far too much.
        InputError: it is damaged, or of a form that source distributions have not.
    """
    try:
        if name.endswith(".zip"):
            _unpack_zip(archive, name, place)
        else:
            _unpack_tar(archive, name, place)
    except tarfile.FilterError as error:
        raise Untrusted(f"`{name}` is not to be unpacked: {error}") from None
    except (
        *(tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError),
        *(KeyError, ValueError),  # a link to nothing; a name that no file can have
    ) as error:
        raise InputError(f"`{name}` cannot be unpacked: {error}") from error
    folders = [path for path in place.iterdir() if path.is_dir()]
    if len(folders) != 1:
        raise InputError(f"`{name}` is no source distribution: it has not one folder")
    return folders[0]


def _unpack_zip(archive: Path, name: str, place: Path) -> None:
    with archive.open("rb") as stream:
        limits = ZipLimits(members=_MEMBERS, total=MOST)
        source = ZipReader(open_source(stream), what=f"`{name}`", limits=limits)
        for member in source.members.values():
            end = place / member.name
            end.parent.mkdir(parents=True, exist_ok=True)
            with end.open("wb") as file:
                for _, content in source.pieces(member):
                    file.write(content)
            end.chmod(0o755 if member.mode & 0o111 else 0o644)


def _unpack_tar(archive: Path, name: str, place: Path) -> None:
    with tarfile.open(archive) as source:
        members: list[tarfile.TarInfo] = []
        size = 0
        for member in source:
            members.append(member)
            size += member.size
            if len(members) > _MEMBERS or size > MOST:
                raise Untrusted(f"`{name}` unpacks to more than any source distribution has")
        _check_paths(members, name)
        source.extractall(place, members, filter="data")


def _check_paths(members: list[tarfile.TarInfo], name: str) -> None:
    """See that all that is written lies where its path says, whatever the order."""
    links = {posixpath.normpath(member.name) for member in members if member.issym()}
    for member in members:
        path = posixpath.normpath(member.name)
        folder = posixpath.dirname(path)
        inside = not path.startswith(("/", "../")) and links.isdisjoint(parents(path))
        if member.issym():
            inside = inside and _stays_inside(member.linkname, folder, links)
        elif member.islnk():
            inside = inside and _stays_inside(member.linkname, "", links)
        if not inside:
            raise Untrusted(f"`{name}` is not to be unpacked: `{member.name}` leads elsewhere")


def _stays_inside(target: str, folder: str, links: set[str]) -> bool:
    """Whether a link leads to something below the top, without going through another link."""
    at = folder.split("/") if folder else []
    for part in target.split("/"):
        if "/".join(at) in links or (part == ".." and not at):
            return False
        if part == "..":
            at.pop()
        elif part not in {"", "."}:
            at.append(part)
    return not target.startswith("/")
