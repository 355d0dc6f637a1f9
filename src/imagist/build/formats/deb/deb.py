"""The Debian format, as building knows it; see `formats.format.Format`."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from imagist.build.context import Context, Options
from imagist.build.derived.place import read_file
from imagist.build.formats.deb.packaging import DebPackaging
from imagist.build.formats.deb.resolve import DebResolved, list_keys, resolve
from imagist.build.formats.deb.sliced import cut_packages
from imagist.build.formats.format import Question, TrustedKey
from imagist.build.lockfile import (
    LockedContents,
    LockedLayer,
    LockedPackage,
    LockedRange,
    LockedRepository,
)
from imagist.declaration.model import BaseImage, Declaration
from imagist.oci import mediatype
from imagist.oci.platform import Platform
from imagist.packages.deb.archive import DebFiles, DebLimits
from imagist.packages.deb.fetch import DebFetcher, WantedDeb
from imagist.packages.deb.index import ALL, Package, parse_installed
from imagist.packages.deb.installed import MD5SUMS, STATUS, STATUS_FOLDER, split_status
from imagist.packages.deb.packed import FORMAT, decode_deb_files, encode_deb_files
from imagist.packages.deb.universe import Candidate, Universe
from imagist.packages.fetch import Identity
from imagist.packages.solving.why import Why
from imagist.progress import SILENT, Meter
from imagist.rootfs.content import Contents
from imagist.rootfs.tree import Tree

if TYPE_CHECKING:
    from imagist.packages.deb.solver.resolution import Resolution


class DebFormat:
    """See `Format`."""

    packed = FORMAT

    def resolve(self, question: Question, context: Context) -> DebResolved:
        """See `Format.resolve`."""
        return resolve(question, context)

    def list_keys(
        self,
        declaration: Declaration,
        platforms: Sequence[Platform],  # noqa: ARG002 - others need it
        options: Options,  # noqa: ARG002
        context: Context,
    ) -> list[TrustedKey]:
        """See `Format.list_keys`."""
        return list_keys(declaration.contents, context)

    def open_fetcher(
        self,
        context: Context,
        options: Options,
        *,
        meter: Meter = SILENT,
        recollected: Mapping[Identity, DebFiles] = {},
    ) -> DebFetcher:
        """See `Format.open_fetcher`."""
        usual, asked = DebLimits(), options.limits.packages
        limits = replace(usual, file=asked.file, control=asked.segment_content, tar=asked.tar)
        return DebFetcher(
            context.store,
            context.reader,
            jobs=context.jobs,
            limits=limits,
            meter=meter,
            recollected=recollected,
        )

    def find_data(self, wanted: WantedDeb) -> str:
        """See `Format.find_data`: the layer."""
        return wanted.layer

    def encode(self, files: DebFiles) -> bytes:
        """See `Format.encode`."""
        return encode_deb_files(files)

    def decode(self, raw: bytes) -> DebFiles:
        """See `Format.decode`."""
        return decode_deb_files(raw)

    def identity(self, files: DebFiles) -> Identity:
        """See `Format.identity`."""
        return files.sha256, files.package.name, files.package.version

    def read_installed(
        self,
        tree: Tree,
        contents: Contents,
        declared: BaseImage,  # noqa: ARG002 - others need it
        platform: Platform,  # noqa: ARG002
        context: Context,  # noqa: ARG002
    ) -> tuple[Package, ...]:
        """See `Format.read_installed`: dpkg's `status`, and `status.d` beside it."""
        texts = [read_file(tree, contents, STATUS) or b""]
        for node in tree.below(STATUS_FOLDER):
            path = node.entry.path
            if node.entry.kind == "file" and not path.endswith(MD5SUMS):
                texts.append(read_file(tree, contents, path) or b"")
        stanzas = [stanza for text in texts for stanza in split_status(text)]
        found = [parse_installed(stanza) for stanza in stanzas]
        return tuple(package for package in found if package is not None)

    def describe_installed(self, installed: Sequence[Package]) -> Sequence[Package]:
        """See `Format.describe_installed`."""
        return installed

    def select(
        self, packages: Sequence[DebFiles], resolved: DebResolved, platform: Platform
    ) -> Sequence[DebFiles]:
        """See `Format.select`: slices. Packages of other architectures get names of their own."""
        cut = cut_packages(packages, resolved.slices.get(platform, ()))
        return [
            replace(files, package=files.package.named_in(platform.deb))
            if files.package.architecture not in {platform.deb, ALL}
            else files
            for files in cut
        ]

    def open_packaging(
        self,
        resolved: DebResolved,
        platform: Platform,
        base: Sequence[Any],  # noqa: ARG002
    ) -> DebPackaging:
        """See `Format.open_packaging`; what a base image has is read where it lies."""
        return DebPackaging(resolved.packaging(platform))

    def why(
        self, resolution: Resolution, platform: Platform, name: str, universe: Universe
    ) -> Why[Any]:
        """See `Format.why`."""
        from imagist.packages.deb.solver.why import why  # noqa: PLC0415 - few ask

        return why(resolution, platform, name, universe=universe)

    def describe(self, wanted: WantedDeb, offer: Candidate | None) -> dict[str, object]:
        """See `Format.describe`; licences stand in files, not in an index."""
        package = offer.package if offer else None
        return {
            "arch": wanted.arch,
            "origin": package.origin if package else "",
            "license": "",
            "description": "",
            "size": wanted.size or 0,
            "installed_size": package.installed_size if package else 0,
            "checksum": f"sha256:{wanted.sha256}",
        }

    def lock_sources(
        self,
        question: Question,  # noqa: ARG002 - others need it
        resolved: DebResolved,
        platforms: Sequence[Platform],
    ) -> LockedContents:
        """See `Format.lock_sources`.

        No mirror that is this machine's own; and no key, since the packages' hashes are locked.
        """
        return LockedContents(
            repositories=tuple(
                LockedRepository(
                    name=source.identity, url=source.identity, architecture=platform.apk
                )
                for platform in platforms
                for source in resolved.sources
            )
        )

    def lock_package(
        self,
        wanted: WantedDeb,
        files: DebFiles,
        platform: Platform,
        resolved: DebResolved,  # noqa: ARG002
    ) -> LockedPackage:
        """See `Format.lock_package`."""
        digest = base64.b64encode(bytes.fromhex(files.sha256)).decode()
        layer = LockedLayer(
            media_type=mediatype.LAYER_GZIP,
            digest=str(files.data),
            size=files.data_size,
            diff_id=str(files.diff_id),
        )
        return LockedPackage(
            name=wanted.name,
            url=wanted.path,
            version=wanted.version,
            architecture=platform.apk,
            data=LockedRange(range=f"bytes=0-{files.size - 1}", checksum=f"sha256-{digest}"),
            checksum=f"sha256:{files.sha256}",
            source=wanted.source,
            debian_architecture=files.package.architecture,
            layer=None if files.verbatim else layer,
        )
