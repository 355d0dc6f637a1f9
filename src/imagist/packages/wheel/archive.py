"""A wheel as an archive: its files, each checked against RECORD while it is inflated.

See the binary distribution format (PEP 427 and what followed). A wheel is verified twice: whole,
by the SHA-256 that a lock states, before it comes here; and file by file, since the layer that is
made of it takes over bytes that nobody else looks at. What is inflated is looked at once: ELF
files give what they need to be loaded, modules which libraries they look for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from imagist.errors import Untrusted
from imagist.packages.wheel.lock.model import normalize
from imagist.packages.wheel.record import Row, parse_record
from imagist.packages.wheel.version import is_same_version
from imagist.rootfs.linkage import MAGIC, Linkage, LinkageScanner
from imagist.rootfs.splice import Deflated
from imagist.rootfs.zipdirectory import DEFLATED, ZipLimits, open_source
from imagist.rootfs.zipread import Piece, ZipReader

_FILE: Final = re.compile(
    r"(?P<name>[^-/]+)-(?P<version>[^-/]+)(?:-(?P<build>\d[^-/]*))?-[^-/]+-[^-/]+-[^-/]+\.whl"
)
_HASHES: Final = {
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
}
_LOOKUP: Final = re.compile(rb"""find_library\(\s*["']([\w.+-]+)["']""")
_CALL: Final = b"find_library("
"""What is looked for first, since most modules have none: a search for bytes takes no time."""
_SIGNATURES: Final = ("RECORD.jws", "RECORD.p7s")
_SMALL: Final = 64 << 20
"""Bytes of metadata that are read into memory."""
_HELP: Final = "fetch it again; if that does not help, tell whoever publishes it"


class WheelArchive:
    """An open wheel; the stream must stay open as long as it is read."""

    def __init__(
        self, stream: BinaryIO, filename: str, *, limits: ZipLimits | None = None
    ) -> None:
        """Check the archive, its metadata and its list of files; contents are checked when read.

        Args:
            stream: the wheel, a file.
            filename: as the index or lock has it, `name-version-python-abi-platform.whl`.
            limits: bounds on what is read.

        Raises:
            Untrusted: the wheel is damaged, or made to mislead.
        """
        self.filename = filename
        self._zip = ZipReader(open_source(stream), what=filename, limits=limits)
        self.members = self._zip.members
        """Files by their path in the wheel."""
        self.objects: dict[str, Linkage] = {}
        """Programs and libraries among the files that were read so far."""
        self.lookups: set[str] = set()
        """Libraries that modules among those ask `ctypes.util.find_library` for: `pq`."""
        self.warnings: list[str] = []
        """What is unusual, but harmless; whole sentences."""
        self.stem = self._find_stem()
        """Name and version as the wheel's own folders have them: `Flask-3.1.0`."""
        self.name, _, self.version = self.stem.partition("-")
        self.dist_info = f"{self.stem}.dist-info"
        self.data = f"{self.stem}.data"
        self._record: dict[str, Row] = {}
        self._read_record()
        self.is_pure = self._read_format()
        """Whether files outside `.data` go to `purelib` (Root-Is-Purelib)."""
        self.tags: tuple[str, ...]
        """Compatibility tags, such as `py3-none-any`."""
        self.requires = self._read_metadata()
        """What it says it requires (Requires-Dist, PEP 508)."""

    def has(self, name: str) -> bool:
        """Whether there is a file in the `.dist-info` folder."""
        return f"{self.dist_info}/{name}" in self.members

    def read_info(self, name: str) -> bytes:
        """A file in the `.dist-info` folder.

        Raises:
            Untrusted: it is not there, too large or damaged.
        """
        return self.read(f"{self.dist_info}/{name}")

    def read(self, name: str) -> bytes:
        """The content of a small file.

        Raises:
            Untrusted: it is not there, larger than 64 MiB, or damaged.
        """
        member = self.members.get(name)
        if member is None or member.size > _SMALL:
            raise self._refuse(f"has no `{name}`" if member is None else f"has a huge `{name}`")
        return b"".join(content for _, content in self.pieces(name))

    def deflated(self, name: str) -> Deflated | Iterator[bytes | memoryview]:
        """A file as a layer takes it over: compressed where it is, else its content."""
        member = self.members[name]
        if member.method == DEFLATED:
            return Deflated(member.compressed, member.crc, self.pieces(name))
        return (content for _, content in self.pieces(name))

    def sha256(self, name: str) -> bytes:
        """SHA-256 of a file: as RECORD states it, which is checked whenever the file is read."""
        row = self._record.get(name)
        if row is not None and row.algorithm == "sha256":
            return row.digest
        state = hashlib.sha256()
        for _, content in self.pieces(name):
            state.update(content)
        return state.digest()

    def pieces(self, name: str) -> Iterator[Piece]:
        """Bytes and content of a file, compared with RECORD as they pass.

        Raises:
            Untrusted: it is damaged, or has not the hash that RECORD states.
        """
        row = self._record.get(name)
        state = _HASHES[row.algorithm]() if row and row.digest else None
        scanner: LinkageScanner | None = None
        is_first, is_module = True, name.endswith(".py")
        for raw, content in self._zip.pieces(self.members[name]):
            if state is not None:
                state.update(content)
            if is_first and content:
                is_first = False
                scanner = LinkageScanner() if content[:4] == MAGIC else None
            if scanner is not None:
                scanner.feed(content)
            if is_module and _CALL in bytes(content):
                self.lookups |= {found.decode() for found in _LOOKUP.findall(content)}
            yield raw, content
        if state is not None and row is not None and state.digest() != row.digest:
            raise self._refuse(f"is not what its RECORD lists: `{name}` has another hash")
        if scanner is not None:
            linkage = scanner.finish()
            if linkage is not None:
                self.objects[name] = linkage

    def _find_stem(self) -> str:
        parts = _FILE.fullmatch(self.filename)
        if parts is None:
            raise self._refuse("is no name of a wheel (name-version-python-abi-platform.whl)")
        tops = {name.partition("/")[0] for name in self.members if "/" in name}
        found = sorted(top for top in tops if top.endswith(".dist-info"))
        if len(found) != 1:
            raise self._refuse(
                "has no .dist-info folder" if not found else f"has several: {', '.join(found)}"
            )
        stem = found[0].removesuffix(".dist-info")
        name, dash, version = stem.partition("-")
        if not dash or normalize(name) != normalize(parts["name"]):
            raise self._refuse(f"is of another distribution: it has {found[0]}")
        if not is_same_version(version, parts["version"]):
            raise self._refuse(f"is of another version: it has {found[0]}")
        return stem

    def _read_record(self) -> None:
        """RECORD names every file, with a hash."""
        self._record = parse_record(self.read_info("RECORD"), self.filename)
        prefix = f"{self.dist_info}/"
        unlisted = {prefix + name for name in ("RECORD", *_SIGNATURES)}
        missing = [
            name
            for name in self.members
            if name not in unlisted and not self._record.get(name, Row("", b"")).digest
        ]
        if missing:
            raise self._refuse(f"has files without a hash in its RECORD: `{missing[0]}`")
        for name in unlisted:
            self._record.pop(name, None)

    def _read_format(self) -> bool:
        """WHEEL says how it is to be installed."""
        fields = _parse_fields(self.read_info("WHEEL"))
        version = fields.get("wheel-version", [""])[0]
        if not re.fullmatch(r"\d{1,9}(\.\d{1,9})*", version):
            raise self._refuse(f"states no Wheel-Version but `{version}`")
        if int(version.partition(".")[0]) > 1:
            raise self._refuse(f"is of the format {version}, newer than 1.0, which imagist knows")
        if version != "1.0":
            self.warnings.append(f"{self.filename} is of the format {version}, read as 1.0")
        self.tags = tuple(fields.get("tag", ()))
        purity = fields.get("root-is-purelib", [""])[0].lower()
        if purity not in {"true", "false"}:
            raise self._refuse("does not say whether it is pure (Root-Is-Purelib)")
        return purity == "true"

    def _read_metadata(self) -> tuple[str, ...]:
        """METADATA names the same distribution, which programs that run will ask it for."""
        header = re.split(rb"\r?\n\r?\n", self.read_info("METADATA"), maxsplit=1)[0]
        fields = _parse_fields(header)
        for name in fields.get("name", [""]):
            if normalize(name) != normalize(self.name):
                raise self._refuse(f"is of another distribution: its METADATA has `{name}`")
        for version in fields.get("version", [""]):
            if not is_same_version(version, self.version):
                raise self._refuse(f"is of another version: its METADATA has `{version}`")
        return tuple(fields.get("requires-dist", ()))

    def _refuse(self, why: str) -> Untrusted:
        return Untrusted(f"{self.filename} {why}", help=_HELP)


def _parse_fields(data: bytes) -> dict[str, list[str]]:
    """The lines `Key: value` of WHEEL, or of the head of METADATA; keys in lower case.

    A line that is indented goes on with the one before: licences are quoted so, with all they say.
    """
    fields: dict[str, list[str]] = {}
    for line in re.split("\r?\n", data.decode("utf-8", "replace")):
        key, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            fields.setdefault(key.strip().lower(), []).append(value.strip())
    return fields
