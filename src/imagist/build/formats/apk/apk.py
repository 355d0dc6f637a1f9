"""The APK format, as building knows it; see `formats.format.Format`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagist.build.context import Context, Options
from imagist.build.derived.place import read_file
from imagist.build.formats.apk import lock
from imagist.build.formats.apk.packaging import ApkPackaging
from imagist.build.formats.apk.resolve import ApkResolved, find_keys, find_locations, resolve
from imagist.build.formats.format import EVERY_REPOSITORY, Question, TrustedKey
from imagist.build.lockfile import LockedContents, LockedPackage
from imagist.declaration.model import BaseImage, Declaration
from imagist.errors import InputError, NotFound
from imagist.net.url import redact
from imagist.oci.platform import Platform
from imagist.packages.apk.archive import ApkFiles
from imagist.packages.apk.database import InstalledPackage, parse_installed
from imagist.packages.apk.fetch import PackageFetcher, Wanted
from imagist.packages.apk.index import Candidate, Package
from imagist.packages.apk.packed import FORMAT, decode_package_files, encode_package_files
from imagist.packages.apk.universe import Universe
from imagist.packages.fetch import Identity
from imagist.packages.solving.why import Why
from imagist.progress import SILENT, Meter
from imagist.rootfs.content import Contents
from imagist.rootfs.tree import Tree

if TYPE_CHECKING:
    from imagist.packages.apk.solver.resolution import Resolution

_DATABASES: Final = ("usr/lib/apk/db/installed", "lib/apk/db/installed")


class ApkFormat:
    """See `Format`."""

    packed = FORMAT

    def resolve(self, question: Question, context: Context) -> ApkResolved:
        """See `Format.resolve`."""
        return resolve(question, context)

    def list_keys(
        self,
        declaration: Declaration,
        platforms: Sequence[Platform],
        options: Options,
        context: Context,
    ) -> list[TrustedKey]:
        """See `Format.list_keys`."""
        locations = find_locations(declaration, context)
        architectures = [platform.apk for platform in platforms]
        keys = find_keys(declaration, locations, architectures, options, context)
        declared = [
            TrustedKey(key.name, EVERY_REPOSITORY, key.pem.decode()) for key in keys.declared
        ]
        discovered = [
            TrustedKey(key.name, redact(location.url), key.pem.decode())
            for location, found in keys.discovered.items()
            for key in found
        ]
        return declared + discovered

    def open_fetcher(
        self,
        context: Context,
        options: Options,
        *,
        meter: Meter = SILENT,
        recollected: Mapping[Identity, ApkFiles] = {},
    ) -> PackageFetcher:
        """See `Format.open_fetcher`."""
        return PackageFetcher(
            context.store,
            context.reader,
            jobs=context.jobs,
            limits=options.limits.packages,
            meter=meter,
            recollected=recollected,
        )

    def find_data(self, wanted: Wanted) -> str:
        """See `Format.find_data`: the data hash."""
        return f"sha256:{wanted.datahash}" if wanted.datahash else ""

    def encode(self, files: ApkFiles) -> bytes:
        """See `Format.encode`."""
        return encode_package_files(files)

    def decode(self, raw: bytes) -> ApkFiles:
        """See `Format.decode`."""
        return decode_package_files(raw)

    def identity(self, files: ApkFiles) -> Identity:
        """See `Format.identity`."""
        package = files.package
        return package.checksum, package.name, package.version

    def read_installed(
        self,
        tree: Tree,
        contents: Contents,
        declared: BaseImage,
        platform: Platform,
        context: Context,
    ) -> tuple[InstalledPackage, ...]:
        """See `Format.read_installed`: `apkindex` tells, or else the image's own database."""
        database = _read_database(declared, platform, context)
        if database is None:
            found = (read_file(tree, contents, path) for path in _DATABASES)
            database = next((text for text in found if text is not None), b"")
        return tuple(parse_installed(database))

    def describe_installed(self, installed: Sequence[InstalledPackage]) -> list[Package]:
        """See `Format.describe_installed`."""
        return [record.package for record in installed]

    def select(
        self,
        packages: Sequence[ApkFiles],
        resolved: ApkResolved,  # noqa: ARG002 - others need it
        platform: Platform,  # noqa: ARG002
    ) -> Sequence[ApkFiles]:
        """See `Format.select`: all files."""
        return packages

    def open_packaging(
        self, resolved: ApkResolved, platform: Platform, base: Sequence[InstalledPackage]
    ) -> ApkPackaging:
        """See `Format.open_packaging`."""
        return ApkPackaging(resolved.state(platform), base)

    def why(
        self, resolution: Resolution, platform: Platform, name: str, universe: Universe
    ) -> Why[Any]:
        """See `Format.why`."""
        from imagist.packages.apk.solver.why import why  # noqa: PLC0415 - few ask

        return why(resolution, platform, name, universe=universe)

    def describe(self, wanted: Wanted, offer: Candidate | None) -> dict[str, object]:
        """See `Format.describe`."""
        package = offer.package if offer else None
        return {
            "arch": wanted.arch,
            "origin": package.origin if package else "",
            "license": package.license if package else "",
            "description": package.description if package else "",
            "size": wanted.size or 0,
            "installed_size": package.installed_size if package else 0,
            "checksum": wanted.checksum,
        }

    def lock_sources(
        self, question: Question, resolved: ApkResolved, platforms: Sequence[Platform]
    ) -> LockedContents:
        """See `Format.lock_sources`."""
        return lock.lock_sources(question, resolved, platforms)

    def lock_package(
        self, wanted: Wanted, files: ApkFiles, platform: Platform, resolved: ApkResolved
    ) -> LockedPackage:
        """See `Format.lock_package`."""
        return lock.lock_package(wanted, files, platform, resolved.tags)


def _read_database(declared: BaseImage, platform: Platform, context: Context) -> bytes | None:
    if not declared.apkindex:
        return None
    path = Path(declared.apkindex) / platform.apk / "APKINDEX"
    context.trace.note_file(str(path))
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(
            f"there is no {path}, which lists the packages of the base image",
            help="leave `apkindex` out to read the image's own database",
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
