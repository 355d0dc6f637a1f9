"""Locks of APK images: the entries are those of apko, with ours added."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from imagist.build.formats.apk.resolve import ApkResolved
from imagist.build.formats.format import Question
from imagist.build.lockfile import (
    LockedContents,
    LockedKey,
    LockedLayer,
    LockedPackage,
    LockedRange,
    LockedRepository,
)
from imagist.errors import InputError
from imagist.net.url import without_userinfo
from imagist.oci import mediatype
from imagist.oci.platform import Platform
from imagist.packages.apk.archive import ApkFiles
from imagist.packages.apk.fetch import Wanted
from imagist.packages.apk.keys import ALPINE_RELEASES
from imagist.packages.apk.location import Location, parse_location
from imagist.packages.apk.signature import Key

_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)
_ALPINE_KEYS: Final = ALPINE_RELEASES.rpartition("/")[0] + "/keys"


def lock_sources(
    question: Question, resolved: ApkResolved, platforms: Sequence[Platform]
) -> LockedContents:
    """See `Format.lock_sources`."""
    contents = question.declaration.contents
    architectures = [platform.apk for platform in platforms]
    return LockedContents(
        keyring=tuple(_lock_keys(question, resolved)),
        build_repositories=_lock_repositories(contents.build_repositories, architectures),
        runtime_repositories=_lock_repositories(contents.runtime_repositories, architectures),
        repositories=_lock_repositories(contents.repositories, architectures),
    )


def _lock_repositories(
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


def _lock_keys(question: Question, resolved: ApkResolved) -> list[LockedKey]:
    """The keys as they go into the image, by name.

    Raises:
        InputError: a key that JSON cannot hold; see also `TrustedKeys.all`.
    """
    keys = resolved.keys
    sources = map(without_userinfo, dict.fromkeys(question.declaration.contents.keyring))
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


def lock_package(
    wanted: Wanted, files: ApkFiles, platform: Platform, tags: Mapping[str, str]
) -> LockedPackage:
    """See `Format.lock_package`."""
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
