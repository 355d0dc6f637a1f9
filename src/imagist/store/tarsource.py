"""The files in a tar archive on disk, opened where they lie: nothing is unpacked."""

from __future__ import annotations

import contextlib
import io
import tarfile
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec

from imagist.digest import Digest
from imagist.errors import InputError, NotFound
from imagist.oci.derive import MAX_DOCUMENT
from imagist.oci.reader import verified
from imagist.rootfs.uncompress import tell_form

_MAX_MEMBERS: Final = 100_000


class _Member(msgspec.Struct, frozen=True):
    """Where the content of a file lies in the archive, in bytes."""

    offset: int
    size: int


class TarSource:
    """The files of an image archive; a `BlobSource` for those below `blobs/`."""

    def __init__(self, file: Path) -> None:
        """Find the files of the archive."""
        self.file = file
        self.members = _scan(file)

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob, to be checked while it is read; the caller closes it.

        Raises:
            NotFound: the archive does not hold it.
        """
        checked = Digest(digest)
        path = f"blobs/{checked.algorithm}/{checked.hex}"
        if path not in self.members:
            raise NotFound(f"{self.file} does not hold the blob {digest}")
        size = self.members[path].size
        return verified(self.open(path), digest, size, f"a blob of {self.file}")

    def open(self, path: str) -> BinaryIO:
        """Open a file of the archive; the caller closes it.

        Raises:
            NotFound: the archive does not hold it.
        """
        if path not in self.members:
            raise NotFound(f"{self.file} names `{path}`, but does not hold it")
        return cast("BinaryIO", _Part(self.file, self.members[path]))

    def read(self, path: str) -> bytes:
        """A document of the archive.

        Raises:
            NotFound: the archive does not hold it.
            InputError: it is too large for a document.
        """
        with self.open(path) as stream:
            data = stream.read(MAX_DOCUMENT + 1)
        if len(data) > MAX_DOCUMENT:
            raise InputError(f"`{path}` in {self.file} is larger than any document may be")
        return data


class _Part(io.RawIOBase):
    """A part of a file, as a stream."""

    def __init__(self, file: Path, member: _Member) -> None:
        self._stream = file.open("rb", buffering=0)
        self._stream.seek(member.offset)
        self._left = member.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")[: self._left]
        size = self._stream.readinto(view) or 0
        self._left -= size
        return size

    def close(self) -> None:
        self._stream.close()
        super().close()


def _scan(file: Path) -> dict[str, _Member]:
    """The files of a tar by path; links, which old Docker wrote for equal layers, are followed."""
    found: dict[str, _Member] = {}
    links: dict[str, str] = {}
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise InputError(
            f"{file} is a pipe or a device, and an archive is read more than once",
            help="write it to a file, and name that",
        )
    try:
        with tarfile.open(file, "r:") as archive:
            for number, member in enumerate(archive):
                if number > _MAX_MEMBERS:
                    raise InputError(f"{file} has more files than any image archive")
                path = normal_path(member.name)
                if member.isreg():
                    found[path] = _Member(member.offset_data, member.size)
                elif member.issym():
                    links[path] = normal_path(f"{path.rpartition('/')[0]}/{member.linkname}")
                elif member.islnk():
                    links[path] = normal_path(member.linkname)
    except FileNotFoundError:
        raise NotFound(f"there is no file {file}") from None
    except (tarfile.TarError, OSError, ValueError) as error:
        raise _explain(file, error) from error
    found.update({path: found[to] for path, to in links.items() if to in found})
    return found


def _explain(file: Path, error: Exception) -> InputError:
    """What to tell a person of a file that is no tar; many are compressed."""
    form = "tar"
    with contextlib.suppress(OSError), file.open("rb") as stream:
        form = tell_form(stream.read(4))
    if form == "tar":
        return InputError(
            f"{file} cannot be read as a tar: {error}",
            help="name an OCI layout folder, or an archive",
        )
    return InputError(
        f"{file} is compressed, and the parts of an archive are read where they lie",
        help=f"`{form} -d < {file} > FILE` decompresses it",
    )


def normal_path(path: str) -> str:
    """A path inside the archive; the names are only looked up, never opened."""
    done: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del done[-1:]
        elif part not in {"", "."}:
            done.append(part)
    return "/".join(done)
