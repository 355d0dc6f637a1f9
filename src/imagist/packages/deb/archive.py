"""Packages: a .deb is verified while it streams into the store, in one pass, and described.

A .deb is an `ar` archive of `debian-binary`, `control.tar` and `data.tar` (deb(5)). The chain of
trust goes from the signed Release file to an index of packages, and from there to the SHA-256 of
the whole .deb. Its files are compressed in a form that layers do not know, so they are compressed
once more, and never again: the layer that comes of it is remembered by that SHA-256.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec
from msgspec.structs import replace

from imagist.errors import Untrusted
from imagist.packages.blobs import Blobs
from imagist.packages.deb.ar import ArReader, Member
from imagist.packages.deb.binary import BinaryPackage, parse_binary
from imagist.packages.deb.compression import FORMS, uncompress
from imagist.packages.deb.control import parse_stanzas
from imagist.packages.deb.layer import rewrite_as_layer
from imagist.packages.files import PackageFiles
from imagist.rootfs.tarread import Limits, TarReader

SCRIPTS: Final = ("preinst", "postinst", "prerm", "postrm", "config")
"""Maintainer scripts, in the order dpkg runs them; imagist records them, and runs none."""

_KEPT: Final = frozenset({"control", "md5sums", "conffiles", "triggers", "shlibs", *SCRIPTS})
_MOST_CONTROL: Final = 4 << 20
"""Bytes of a file of the control member: they are read before the .deb's hash is known."""
_MOST_MD5SUMS: Final = 64 << 20
_CONTROL_FORMS: Final = FORMS[:4]
_YEAR_9999: Final = 253_402_300_799
_HELP: Final = "it was damaged or replaced; fetch it again, or tell whoever publishes it"


class DebFiles(PackageFiles, frozen=True, gc=False):
    """A verified .deb; its blob is the tar of its files as a layer."""

    package: BinaryPackage
    sha256: str = ""
    """Of the .deb in hex: the identity of the package."""
    size: int = 0
    """Bytes of the .deb."""
    control: str = ""
    """The control file as it is; bytes that are not UTF-8 by `surrogateescape`."""
    md5sums: str = ""
    """Lines of MD5, two blanks and a path; made here where the package brings none."""
    conffiles: tuple[tuple[str, str], ...] = ()
    """Path, without leading slash, and MD5 of files that belong to whoever runs the system."""
    triggers: str = ""
    """See deb-triggers(5)."""
    shlibs: str = ""
    """See deb-shlibs(5); dpkg-shlibdeps reads it where packages are built."""
    scripts: tuple[tuple[str, str], ...] = ()
    """Name and text of each maintainer script, in the order of `SCRIPTS`."""

    @property
    def provenance(self) -> str:
        """What a history tells of the blob as a layer, after the package's name."""
        return f", of the .deb sha256:{self.sha256}"


class DebLimits(msgspec.Struct, frozen=True):
    """How much of a package is read before it is refused; sizes in bytes."""

    file: int = 8 << 30
    """The whole .deb."""
    control: int = 64 << 20
    """The control member, uncompressed."""
    tar: Limits = Limits(total=32 << 30)
    """The data member, uncompressed."""


def verify_deb(
    stream: BinaryIO,
    blobs: Blobs,
    *,
    sha256: str,
    name: str = "",
    version: str = "",
    arch: str = "",
    size: int | None = None,
    limits: DebLimits | None = None,
) -> DebFiles:
    """Verify a .deb while it is read once, and put its files into the store as a layer.

    Nothing of a package that is refused stays in the store, and memory is bounded whatever the
    package's size: by the dictionary of xz above all.

    Args:
        stream: the .deb, read to its end.
        blobs: the store.
        sha256: of the whole file in hex, as an index or a lock states it. Empty where none can be
            had, for a file that somebody trusts as it is: then the result tells it.
        name: the package asked for; empty where any will do.
        version: the version asked for; empty where any will do.
        arch: the Debian architecture asked for, `all` fits always; empty where any will do.
        size: bytes of the file as the index states them.
        limits: bounds on what is read.

    Raises:
        Untrusted: the package is not what was asked for, or damaged, or made to mislead.
        InputError: its control file cannot be read.
    """
    limits = limits or DebLimits()
    what = f"{name or 'package'}_{version}.deb" if version else f"{name or 'the package'}"
    ceiling = limits.file if size is None else min(size, limits.file)
    archive = ArReader(stream, what=what, limit=ceiling)
    members = iter(archive)
    _check_format(archive, members, what)
    # 1. The control member speaks of the package that was asked for.
    form = _find_tar(members, "control.tar", _CONTROL_FORMS, what)
    found = _read_control(archive, form, what, limits)
    stanzas = parse_stanzas(found["control"], f"the control file of {what}")
    if len(stanzas) != 1:
        raise Untrusted(f"{what} has {len(stanzas)} stanzas in its control file", help=_HELP)
    package = parse_binary(stanzas[0])
    _check_identity(package, what, name, version, arch)
    # 2. The data member becomes a layer.
    form = _find_tar(members, "data.tar", FORMS, what)
    pieces = uncompress(archive, form, what=f"the data member of {what}", limit=limits.tar.total)
    conffiles = _parse_conffiles(found.get("conffiles", ""))
    with blobs.writer() as writer:
        reader = TarReader(pieces, what=f"the data member of {what}", limits=limits.tar)
        wanted = frozenset(conffiles) if "md5sums" in found else None
        layer = rewrite_as_layer(reader, writer.write, what, md5=wanted)
        # 3. The whole file is the one that the index speaks of.
        _read_rest(members, what)
        if size is not None and archive.consumed != size:
            raise Untrusted(
                f"{what} has {archive.consumed} bytes, but the index has {size}", help=_HELP
            )
        if sha256 and archive.digest != sha256:
            raise Untrusted(
                f"{what} is not the package of the index: its SHA-256 is {archive.digest}, "
                f"where the index has {sha256}",
                help=_HELP,
            )
        blob = writer.commit(layer.compressed.digest)
    times = [entry.mtime for entry in layer.entries if 0 <= entry.mtime <= _YEAR_9999]
    return DebFiles(
        package=replace(package, build_time=max(times, default=0)),
        data=blob,
        data_size=layer.compressed.size,
        diff_id=layer.compressed.diff_id,
        tar_size=layer.compressed.tar_size,
        entries=layer.entries,
        libraries=layer.libraries,
        verbatim=layer.obstacle,
        sha256=archive.digest,
        size=archive.consumed,
        control=found["control"],
        md5sums=found["md5sums"] if "md5sums" in found else layer.md5sums(conffiles),
        conffiles=tuple((path, layer.md5[path]) for path in conffiles if path in layer.md5),
        triggers=found.get("triggers", ""),
        shlibs=found.get("shlibs", ""),
        scripts=tuple((script, found[script]) for script in SCRIPTS if script in found),
    )


def _check_format(archive: ArReader, members: Iterator[Member], what: str) -> None:
    first = next(members, None)
    if first is None or first.name != "debian-binary":
        raise Untrusted(f"{what} is no Debian package: `debian-binary` is not first", help=_HELP)
    text = archive.read_all(64)
    if not text.startswith(b"2.") or not text.endswith(b"\n"):
        raise Untrusted(f"{what} is of a format other than 2.0", help=_HELP)


def _find_tar(members: Iterator[Member], stem: str, forms: tuple[str, ...], what: str) -> str:
    """Go on to a member that is a tar; what it is compressed with."""
    member = next((each for each in members if not each.name.startswith("_")), None)
    names = {f"{stem}.{form}" if form else stem: form for form in forms}
    if member is not None and member.name not in names and member.name.startswith(f"{stem}."):
        raise Untrusted(f"{what} has `{member.name}`, a form that dpkg does not know", help=_HELP)
    if member is None or member.name not in names:
        found = f"`{member.name}`" if member else "nothing"
        raise Untrusted(f"{what} has {found} where `{stem}` should be", help=_HELP)
    return names[member.name]


def _read_rest(members: Iterator[Member], what: str) -> None:
    """Read to the end of the file: dpkg passes over what comes after the data member."""
    for member in members:
        if member.name.startswith(("control.tar", "data.tar", "debian-binary")):
            raise Untrusted(
                f"{what} has `{member.name}` besides, which some readers would take",
                help="the package was made to mislead; do not use it",
            )


def _read_control(archive: ArReader, form: str, what: str, limits: DebLimits) -> dict[str, str]:
    """The texts of a control member; whatever else it has is left."""
    where = f"the control member of {what}"
    pieces = uncompress(archive, form, what=where, limit=limits.control)
    reader = TarReader(pieces, what=where, limits=replace(limits.tar, total=limits.control))
    found: dict[str, str] = {}
    for entry in reader:
        if entry.path not in _KEPT:
            continue
        if entry.kind != "file" or entry.path in found:
            raise Untrusted(f"{what} has {entry.path} twice, or not as a file", help=_HELP)
        most = _MOST_MD5SUMS if entry.path == "md5sums" else _MOST_CONTROL
        found[entry.path] = reader.read(most).decode("utf-8", "surrogateescape")
    if "control" not in found:
        raise Untrusted(f"{what} has no control file: it is no Debian package", help=_HELP)
    return found


def _check_identity(package: BinaryPackage, what: str, name: str, version: str, arch: str) -> None:
    asked = (("name", name, package.name), ("version", version, package.version))
    for field, wanted, found in asked:
        if wanted and wanted != found:
            raise Untrusted(
                f"{what} calls itself {package.name} {package.version}: the {field} is not "
                f"{wanted}, which the index has",
                help="the repository serves one package in place of another; do not use it",
            )
    if arch and package.architecture not in {arch, "all"}:
        raise Untrusted(f"{what} is built for {package.architecture}, not for {arch}", help=_HELP)


def _parse_conffiles(text: str) -> tuple[str, ...]:
    """Paths of a `conffiles` file; those to be removed on upgrades are not in the package."""
    lines = [line.strip() for line in text.split("\n")]
    return tuple(line.lstrip("/") for line in lines if line.startswith("/"))
