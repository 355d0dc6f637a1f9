"""Packages: an .apk is verified while it streams into the store, in one pass, and described.

An .apk is two or three gzip members (apk-v2(5)): `[signature] control data`. The chain of trust
goes from the signed index to the SHA-1 of the control segment, from `datahash` in there to the
SHA-256 of the data segment, and from the records in there to the SHA-1 of every file.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Final, Self

import msgspec
from msgspec.structs import replace

from imagist.digest import Digest
from imagist.errors import Untrusted
from imagist.packages.apk.contents import read_contents
from imagist.packages.apk.index import Package
from imagist.packages.apk.pkginfo import PackageInfo, parse_pkginfo
from imagist.packages.blobs import Blobs, Writer
from imagist.packages.files import PackageFiles
from imagist.packages.listing import find_obstacle
from imagist.rootfs.entry import Entry
from imagist.rootfs.inflate import Inflater
from imagist.rootfs.tarread import Limits, TarReader

SCRIPTS: Final = (
    ".pre-install",
    ".post-install",
    ".pre-deinstall",
    ".post-deinstall",
    ".pre-upgrade",
    ".post-upgrade",
    ".trigger",
)
"""Files of a control segment that apk-tools would run; imagist records them, and runs none."""

Authenticator = Callable[[Sequence[tuple[str, bytes]], bytes], object]
"""Given the entries of a signature segment and the control segment's bytes, raises `Untrusted`
unless a trusted key has signed them (`signature.verify_signatures`, bound to its keys)."""

_SIGNATURE: Final = ".SIGN."
_INFO: Final = ".PKGINFO"
_HELP: Final = "it was damaged or replaced; fetch it again, or tell whoever publishes it"


class ApkFiles(PackageFiles, frozen=True, gc=False):
    """A verified APK; its blob is the data segment, and `datahash` is the digest of that."""

    package: Package
    """What `.PKGINFO` says, with the checksum and size of the file itself."""
    scripts: tuple[tuple[str, int, bytes], ...] = ()
    """Name (`.post-install` ...), mode and text of each script."""
    triggers: tuple[str, ...] = ()
    signature_size: int = 0
    """Bytes of the signature segment; after it come the control and the data segment."""
    signature_sha1: bytes = b""
    """SHA-1 of that segment; empty where there is none."""
    record: bytes = b""
    """Its record in the installed database of an image that has all of it, see
    `database.with_record`; empty: not made."""

    @property
    def provenance(self) -> str:
        """What a history tells of the data segment as a layer, after the package's name."""
        return ", as signed (digest = datahash)"

    def with_entries(self, entries: tuple[Entry, ...]) -> Self:
        """The same package, of which there are only some entries, and a record of these alone."""
        return replace(super().with_entries(entries), record=b"")


class PackageLimits(msgspec.Struct, frozen=True):
    """How much of a package is read before it is refused; sizes in bytes."""

    file: int = 8 << 30
    """The whole .apk."""
    segment: int = 8 << 20
    """The signature or control segment in the file."""
    segment_content: int = 64 << 20
    """The same, inflated."""
    tar: Limits = Limits(total=32 << 30)
    """The data segment, inflated."""


def verify_package(
    stream: BinaryIO,
    blobs: Blobs,
    *,
    name: str = "",
    version: str = "",
    arch: str = "",
    checksum: str = "",
    size: int | None = None,
    authenticate: Authenticator | None = None,
    limits: PackageLimits | None = None,
) -> ApkFiles:
    """Verify an .apk while it is read once, and put its data segment into the store.

    The control segment is not kept: what it says is in the result. Nothing of a package that is
    refused stays in the store, and memory is bounded whatever the package's size.

    Args:
        stream: the .apk, read to its end.
        blobs: the store.
        name: the package asked for; empty where any will do.
        version: the version asked for; empty where any will do.
        arch: the architecture asked for, `noarch` fits always; empty where any will do.
        checksum: `Q1...` as a signed index or a lock states it. Where none can be had (a package
            that is named by its file alone) it is empty, and the package's own signature decides.
        size: bytes of the file as the index states them.
        authenticate: checks the package's own signature where there is no `checksum`.
        limits: bounds on what is read.

    Raises:
        Untrusted: the package is not what was asked for, or damaged, or made to mislead.
    """
    limits = limits or PackageLimits()
    what = f"{name or 'package'}-{version}.apk" if version else f"{name or 'the package'}"
    ceiling = limits.file if size is None else min(size, limits.file)
    inflater = Inflater(stream, what=what, limit=ceiling)

    # 1. Split: the signature segment is there if the first entry of the file says so.
    signature, signatures, control, control_tar = _read_head(inflater, what, limits)
    # 2. The control segment is the one that the index was signed for.
    actual = "Q1" + base64.b64encode(hashlib.sha1(control).digest()).decode()
    if checksum and checksum != actual:
        raise Untrusted(
            f"{what} is not the package of the index: its control segment is {actual}, "
            f"where the index has {checksum}",
            help=_HELP,
        )
    if not checksum:
        _authenticate(authenticate, signatures, control, what)
    # 3. It speaks of the package that was asked for.
    info, scripts = _read_control(control_tar, what, actual, limits)
    _check_identity(info, what, name, version, arch)
    with blobs.writer() as writer:
        # 4. The data segment goes into the store, and is inflated and hashed on the way.
        data = _Data(inflater, writer, limits)
        # 5. Every file and symlink has the SHA-1 that is recorded for it.
        reader = TarReader(data, what=what, limits=limits.tar)
        contents = read_contents(reader, what)
        # 6. Sizes are those of the index, and the data segment is what `datahash` says.
        if size is not None and inflater.consumed != size:
            found = inflater.consumed
            raise Untrusted(f"{what} has {found} bytes, but the index has {size}", help=_HELP)
        blob = _commit(writer, info, what)
    return ApkFiles(
        package=replace(info.package, size=inflater.consumed),
        data=blob,
        data_size=data.size,
        diff_id=Digest("sha256:" + data.state.hexdigest()),
        tar_size=reader.size,
        entries=contents.entries,
        scripts=scripts,
        triggers=info.triggers,
        libraries=contents.libraries,
        verbatim=contents.verbatim or find_obstacle(contents.entries),
        signature_size=len(signature),
        signature_sha1=hashlib.sha1(signature).digest() if signature else b"",
    )


class _Data:
    """Pieces of the data segment's tar; on the way its bytes are written and its tar hashed."""

    def __init__(self, inflater: Inflater, writer: Writer, limits: PackageLimits) -> None:
        self.size = 0
        self.state = hashlib.sha256()
        self._writer = writer
        self._pieces = inflater.read_rest(self._write, limit=limits.tar.total)

    def __iter__(self) -> Iterator[bytes]:
        update = self.state.update
        for piece in self._pieces:
            update(piece)
            yield piece

    def _write(self, data: bytes | memoryview) -> None:
        self.size += len(data)
        self._writer.write(data)


def _read_head(
    inflater: Inflater, what: str, limits: PackageLimits
) -> tuple[bytes, list[tuple[str, bytes]], bytes, bytes]:
    """The signature segment and its entries, if there is one; the control segment, its tar."""
    raw, tar = _read_segment(inflater, limits)
    if not tar.startswith(_SIGNATURE.encode()):
        return b"", [], raw, tar
    signature = raw
    reader = TarReader([tar], what=what, limits=limits.tar)
    signatures = [(entry.path, reader.read(limits.segment)) for entry in reader]
    raw, tar = _read_segment(inflater, limits)
    if not raw:
        raise Untrusted(f"{what} ends after its signature", help=_HELP)
    return signature, signatures, raw, tar


def _read_segment(inflater: Inflater, limits: PackageLimits) -> tuple[bytes, bytes]:
    return inflater.read_member(raw_limit=limits.segment, limit=limits.segment_content)


def _authenticate(
    authenticate: Authenticator | None,
    signatures: Sequence[tuple[str, bytes]],
    control: bytes,
    what: str,
) -> None:
    if authenticate is None:
        raise Untrusted(
            f"nothing vouches for {what}: no index lists it",
            help="install it from a repository with a signed index, or name a key that signed it",
        )
    authenticate(signatures, control)


def _read_control(
    tar: bytes, what: str, checksum: str, limits: PackageLimits
) -> tuple[PackageInfo, tuple[tuple[str, int, bytes], ...]]:
    """`.PKGINFO` and the scripts of a control segment; whatever else it has is left."""
    info: PackageInfo | None = None
    scripts: dict[str, tuple[str, int, bytes]] = {}
    reader = TarReader([tar], what=f"the control segment of {what}", limits=limits.tar)
    for entry in reader:
        if entry.path not in {_INFO, *SCRIPTS}:
            continue
        if entry.kind != "file" or entry.path in scripts or (entry.path == _INFO and info):
            raise Untrusted(f"{what} has {entry.path} twice, or not as a file", help=_HELP)
        text = reader.read(limits.segment_content)
        if entry.path == _INFO:
            info = parse_pkginfo(text, what=what, checksum=checksum, size=0)
        else:
            scripts[entry.path] = (entry.path, entry.mode, text)
    if info is None:
        raise Untrusted(f"{what} has no .PKGINFO: it is no APK package", help=_HELP)
    return info, tuple(scripts.values())


def _check_identity(info: PackageInfo, what: str, name: str, version: str, arch: str) -> None:
    package = info.package
    asked = (("name", name, package.name), ("version", version, package.version))
    for field, wanted, found in asked:
        if wanted and wanted != found:
            raise Untrusted(
                f"{what} calls itself {package.name}-{package.version}: the {field} is not "
                f"{wanted}, which the index has",
                help="the repository serves one package in place of another; do not use it",
            )
    if arch and package.arch not in {arch, "noarch", "all", ""}:
        raise Untrusted(f"{what} is built for {package.arch}, not for {arch}", help=_HELP)
    if not info.datahash:
        raise Untrusted(
            f"{what} has no datahash in its .PKGINFO, so nothing vouches for its files",
            help="build it again with a current abuild or melange",
        )


def _commit(writer: Writer, info: PackageInfo, what: str) -> Digest:
    try:
        return writer.commit("sha256:" + info.datahash)
    except Untrusted:
        raise Untrusted(
            f"the data segment of {what} does not have the datahash that its control segment "
            f"states, {info.datahash}",
            help=_HELP,
        ) from None
