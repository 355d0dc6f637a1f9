"""Making locks, and telling how one differs from another or from what would be locked now."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

from imagist.build.job import Built
from imagist.build.lockfile import (
    VERSION,
    Lock,
    LockedBase,
    LockedBlob,
    LockedConfig,
    LockedContents,
    LockedImage,
    LockedKey,
    LockedLayer,
    LockedPackage,
    LockedRange,
    LockedRepository,
    declaration_checksum,
)
from imagist.build.plan import Plan
from imagist.errors import InputError
from imagist.net.url import without_userinfo
from imagist.oci import derive, mediatype
from imagist.oci.manifest import Descriptor
from imagist.oci.platform import Platform
from imagist.packages.apk.archive import ApkFiles
from imagist.packages.apk.fetch import Wanted
from imagist.packages.apk.keys import ALPINE_RELEASES
from imagist.packages.apk.location import Location, parse_location
from imagist.packages.apk.signature import Key

_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)
_ALPINE_KEYS: Final = ALPINE_RELEASES.rpartition("/")[0] + "/keys"


class Pin(NamedTuple):
    """What a lock holds a package to."""

    version: str
    checksum: str
    url: str
    tag: str


Pins = Mapping[str, Mapping[str, Pin]]
"""By architecture (its APK name), then by package in the order of installation."""


class Move(NamedTuple):
    """A package that differs between two locks, in the same way on some platforms."""

    name: str
    before: str
    """Its version; empty where it was not there."""
    after: str
    """Its version; empty where it is gone; the same where it was built again."""
    architectures: tuple[str, ...]
    everywhere: bool
    """Whether these are all that both locks have."""

    def __str__(self) -> str:
        where = "" if self.everywhere else f" ({', '.join(self.architectures)})"
        if not self.before:
            return f"added {self.name} {self.after}{where}"
        if not self.after:
            return f"removed {self.name} {self.before}{where}"
        if self.before == self.after:
            return f"{self.name} {self.before} was built again{where}"
        return f"{self.name} {self.before} -> {self.after}{where}"


def make_lock(built: Built, packages: Mapping[Platform, Sequence[ApkFiles]], *, name: str) -> Lock:
    """The lock of what was built.

    Args:
        built: the images, planned without a lock.
        packages: the packages of each platform, in the order of its plan.
        name: the path of the declaration from the lock's folder.

    Raises:
        InputError: a key that no lock can hold.
    """
    plan = built.plan
    contents = plan.declaration.contents
    architectures = [platform.apk for platform in plan.platforms]
    checksum = declaration_checksum(file.data for file in plan.loaded.files)
    return Lock(
        version=VERSION,
        config=LockedConfig(name=name, checksum=checksum),
        contents=LockedContents(
            keyring=tuple(lock_keys(plan)),
            build_repositories=lock_repositories(contents.build_repositories, architectures),
            runtime_repositories=lock_repositories(contents.runtime_repositories, architectures),
            repositories=lock_repositories(contents.repositories, architectures),
            packages=tuple(
                _lock_package(wanted, files, platform, plan.resolved.tags)
                for platform in plan.platforms
                for wanted, files in zip(
                    plan.resolved.packages[platform], packages[platform], strict=True
                )
            ),
        ),
        base=LockedBase(name=plan.base.name, digest=plan.base.pin)
        if plan.base and plan.base.pin
        else None,
        images=tuple(_lock_image(built, platform) for platform in plan.platforms),
        index=Descriptor(
            media_type=built.index.media_type,
            digest=str(derive.digest(built.index)),
            size=len(built.index.raw_manifest),
        ),
    )


def lock_repositories(
    lines: Sequence[str], architectures: Sequence[str]
) -> tuple[LockedRepository, ...]:
    """Repositories as apko lists them, once for each architecture; without passwords."""
    urls = [without_userinfo(parse_location(line).url) for line in lines]
    return tuple(
        LockedRepository(
            name=f"{_without_scheme(url)}/{architecture}",
            url=Location(url).index_url(architecture),
            architecture=architecture,
        )
        for architecture in architectures
        for url in urls
    )


def lock_keys(plan: Plan) -> list[LockedKey]:
    """The keys of a plan as they go into the image, by name.

    Raises:
        InputError: a key that JSON cannot hold; see also `TrustedKeys.all`.
    """
    keys = plan.resolved.keys
    sources = map(without_userinfo, dict.fromkeys(plan.declaration.contents.keyring))
    found = dict(zip(sources, keys.declared, strict=True))
    for location, announced in keys.discovered.items():
        found |= {_key_url(location, key): key for key in announced}
    counts = keys.all()
    locked = [
        LockedKey(name=_without_scheme(url), url=url, content=_text_of(key))
        for url, key in found.items()
        if counts[key.name] == key
    ]
    return sorted(locked, key=lambda key: key.name)


def pins_of_lock(lock: Lock, platforms: Sequence[Platform]) -> Pins:
    """What a lock holds, for those of the platforms that it was made for."""
    return {
        platform.apk: {
            each.name: Pin(each.version, each.checksum, without_userinfo(each.url), each.tag)
            for each in lock.packages_for(platform)
        }
        for platform in platforms
        if platform.apk in lock.architectures
    }


def pins_of_plan(plan: Plan) -> Pins:
    """What a lock of a plan would hold."""
    tags = plan.resolved.tags
    return {
        platform.apk: {
            each.name: Pin(each.version, each.checksum, each.url, tags.get(each.name, ""))
            for each in plan.resolved.packages[platform]
        }
        for platform in plan.platforms
    }


def find_moves(before: Pins, after: Pins) -> list[Move]:
    """The packages that differ, by name; on the architectures that both have."""
    common = [architecture for architecture in before if architecture in after]
    moved: dict[tuple[str, str, str], list[str]] = {}
    for architecture in common:
        old, new = before[architecture], after[architecture]
        for name in {**old, **new}:
            was, becomes = old.get(name), new.get(name)
            if was is None or becomes is None or was[:2] != becomes[:2]:
                key = (name, was.version if was else "", becomes.version if becomes else "")
                moved.setdefault(key, []).append(architecture)
    return [
        Move(*key, tuple(where), everywhere=len(where) == len(common))
        for key, where in sorted(moved.items())
    ]


def preferred_versions(lock: Lock, updated: set[str]) -> dict[str, str]:
    """The versions to keep when some packages are updated.

    A package that a lock has in several versions (only apko writes such) is free.
    """
    found: dict[str, set[str]] = {}
    for package in lock.contents.packages:
        found.setdefault(package.name, set()).add(package.version)
    return {
        name: versions.pop()
        for name, versions in found.items()
        if len(versions) == 1 and name not in updated
    }


def _lock_package(
    wanted: Wanted, files: ApkFiles, platform: Platform, tags: Mapping[str, str]
) -> LockedPackage:
    ends = (files.signature_size, files.package.size - files.data_size)
    layer = LockedLayer(
        media_type=mediatype.LAYER_GZIP,
        digest=str(files.data),
        size=files.data_size,
        diff_id=str(files.diff_id),
    )
    sha1 = base64.b64encode(files.signature_sha1).decode()
    return LockedPackage(
        name=wanted.name,
        url=without_userinfo(wanted.url),
        version=wanted.version,
        # apko writes `noarch` where the index has it, and then finds no platform for the package.
        architecture=platform.apk,
        signature=_lock_range(0, ends[0], f"sha1-{sha1}") if sha1 else LockedRange(),
        control=_lock_range(*ends, f"sha1-{wanted.checksum[2:]}"),
        data=_lock_range(ends[1], ends[1] + files.data_size, _sha256_of(files)),
        checksum=wanted.checksum,
        tag=tags.get(wanted.name, ""),
        layer=None if files.verbatim else layer,
    )


def _lock_range(start: int, end: int, checksum: str) -> LockedRange:
    return LockedRange(range=f"bytes={start}-{end - 1}", checksum=checksum)


def _sha256_of(files: ApkFiles) -> str:
    return "sha256-" + base64.b64encode(bytes.fromhex(files.data.hex)).decode()


def _lock_image(built: Built, platform: Platform) -> LockedImage:
    image = built.images[platform]
    config = derive.manifest(image).config
    return LockedImage(
        platform=str(platform),
        inputs=str(built.fingerprints[platform].inputs),
        media_type=image.media_type,
        digest=str(derive.digest(image)),
        size=len(image.raw_manifest),
        config=LockedBlob(digest=config.digest, size=config.size),
        layers=tuple(
            LockedBlob(digest=str(layer.digest), size=layer.size) for layer in image.layers
        ),
    )


def _without_scheme(url: str) -> str:
    return _SCHEME.sub("", url, count=1)


def _key_url(location: Location, key: Key) -> str:
    """Where an announced key can be looked at, as apko writes it."""
    folder = _ALPINE_KEYS if location.alpine_branch else location.url
    return f"{folder}/{quote(key.name, safe='')}"


def _text_of(key: Key) -> str:
    try:
        return key.pem.decode()
    except UnicodeDecodeError:
        raise InputError(
            f"the key {key.name} is no UTF-8 text, so that a lock cannot hold it",
            help="save it without what stands before -----BEGIN PUBLIC KEY-----",
        ) from None
