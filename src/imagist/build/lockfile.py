"""Lock files: apko's v1 JSON, of which imagist's own locks are a superset.

What is ours: `tag` and `layer` of a package, `images` and `index`. apko passes over what it does
not know, so it builds from our locks.

A lock decides what is built, so whoever may change it may change the image: it belongs under the
same eyes as the declaration. What it cannot do is make a package, a layer or an image pass for
another: every digest in it is compared with what was verified.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Final
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import field

from imagist.build.lockproblems import (
    NO_ARCHITECTURE,
    find_problems,
    folder_of,
    is_architecture,
)
from imagist.errors import InputError, Problem, RequestError
from imagist.net.url import is_remote
from imagist.oci.manifest import Descriptor
from imagist.oci.platform import Platform, parse_platform
from imagist.packages.deb.relations import qualify

VERSION: Final = "v1"
SUFFIX: Final = ".lock.json"
"""How the name of a lock ends."""
_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")

Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
"""Bytes."""


class LockedRange(msgspec.Struct, frozen=True, kw_only=True):
    """One segment of a package: its bytes in the .apk, and their checksum."""

    range: str = ""
    """`bytes=first-last`; empty where there is no such segment."""
    checksum: str = ""
    """`sha1-` or `sha256-` and base64."""

    @property
    def span(self) -> tuple[int, int] | None:
        """The first byte and the one after the last; None where there is none, or no sense."""
        found = _RANGE.fullmatch(self.range)
        return (int(found[1]), int(found[2]) + 1) if found else None


class LockedLayer(msgspec.Struct, frozen=True, kw_only=True):
    """The data segment of a package as the layer that it can be, not a byte compressed again."""

    media_type: str = field(name="mediaType")
    digest: str
    size: Size
    diff_id: str


class LockedPackage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One package for one architecture, in installation order."""

    name: str
    url: str
    version: str
    architecture: str
    # A factory: always written.
    signature: LockedRange = field(default_factory=LockedRange)
    control: LockedRange = field(default_factory=LockedRange)
    data: LockedRange = field(default_factory=LockedRange)
    checksum: str = ""
    """`Q1...`, the identity of the package."""
    tag: str = ""
    """Ours: the tag of the repository that it was taken from."""
    layer: LockedLayer | None = None
    """Ours: absent where the data segment cannot be a layer as it is."""
    source: str = ""
    """Ours: of a .deb, the suite that it is from; `url` is then its place in that archive."""
    debian_architecture: str = field(default="", name="debianArchitecture")
    """Ours: of a .deb, what it calls its architecture, or `all`."""

    @property
    def label(self) -> str:
        """What tells it from all others of its architecture; see `Resolved.label`."""
        if not self.debian_architecture:
            return self.name
        native = parse_platform(self.architecture).deb
        return qualify(self.name, self.debian_architecture, native)

    @property
    def datahash(self) -> str:
        """SHA-256 of the data segment in hex; empty where the lock does not say."""
        encoded = self.data.checksum.removeprefix("sha256-")
        return base64.b64decode(encoded).hex()

    @property
    def size(self) -> int | None:
        """Bytes of the .apk; None where the lock does not say."""
        span = self.data.span
        return span[1] if span else None

    def is_for(self, platform: Platform) -> bool:
        """Whether it is a package of this platform.

        One for every architecture stands in a lock of apko once for each, and the folder in its
        URL tells for which. (apko itself then forgets such packages.)
        """
        architecture = self.architecture
        if architecture in NO_ARCHITECTURE:
            architecture = folder_of(self.url).rpartition("/")[2]
            return architecture == platform.apk or not is_architecture(architecture)
        return architecture == platform.apk


class LockedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key, embedded so that its rotation does not break old locks."""

    name: str
    """Its URL without the scheme, or its path."""
    url: str = ""
    content: str = ""

    @property
    def file_name(self) -> str:
        """Its name in /etc/apk/keys."""
        if is_remote(self.url):
            return unquote(urlsplit(self.url).path).rpartition("/")[2]
        return self.name.rpartition("/")[2]


class LockedRepository(msgspec.Struct, frozen=True, kw_only=True):
    """A repository index as it was asked for."""

    name: str
    """Its folder's URL without the scheme, or its path."""
    url: str
    architecture: str = ""


class LockedContents(msgspec.Struct, frozen=True, kw_only=True):
    """What the declaration's `contents` became."""

    keyring: tuple[LockedKey, ...] = ()
    """By name."""
    build_repositories: tuple[LockedRepository, ...] = ()
    runtime_repositories: tuple[LockedRepository, ...] = ()
    repositories: tuple[LockedRepository, ...] = ()
    packages: tuple[LockedPackage, ...] = ()


class LockedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The declaration the lock was made from; `checksum` covers it and all it includes."""

    name: str
    """Its path from the lock's folder; apko: as it was given."""
    checksum: str


class LockedBlob(msgspec.Struct, frozen=True, kw_only=True):
    """A blob of an image."""

    digest: str
    size: Size


class LockedBase(msgspec.Struct, frozen=True, kw_only=True):
    """Ours: the base image, where it is named by a tag."""

    name: str
    """As the declaration has it."""
    digest: str
    """What the tag named."""


class LockedImage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Ours: the image that the inputs of a platform become."""

    platform: str
    inputs: str
    """See `fingerprint.Fingerprint`."""
    media_type: str = field(name="mediaType")
    digest: str
    size: Size
    config: LockedBlob | None = None
    """What the manifest names: with these a plan is made before a byte of the image is."""
    layers: tuple[LockedBlob, ...] = ()


class Lock(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A lock file: which packages, from where, with which digests."""

    version: str
    config: LockedConfig | None = None
    contents: LockedContents = field(default_factory=LockedContents)
    base: LockedBase | None = None
    """Ours: the base image, where a tag names it."""
    images: tuple[LockedImage, ...] = ()
    """Ours: by platform."""
    index: Descriptor | None = None
    """Ours: the index over all images of the lock."""

    @property
    def architectures(self) -> frozenset[str]:
        """The architectures it was made for, by their APK names."""
        contents = self.contents
        named = {package.architecture for package in contents.packages}
        # An image of files alone has neither packages nor repositories.
        named |= {parse_platform(image.platform).apk for image in self.images}
        for repositories in (contents.repositories, contents.build_repositories):
            named |= {repository.architecture for repository in repositories}
        return frozenset(named - NO_ARCHITECTURE)

    def packages_for(self, platform: Platform) -> list[LockedPackage]:
        """The packages of one platform, in the order they are installed.

        Raises:
            RequestError: the lock was not made for it.
        """
        if platform.apk not in self.architectures:
            locked = ", ".join(sorted(self.architectures)) or "no architecture"
            raise RequestError(
                f"the lock has no packages for {platform} ({platform.apk})",
                help=f"it was made for {locked}: ask for that with --platform, or lock again",
            )
        found = [package for package in self.contents.packages if package.is_for(platform)]
        names = Counter(package.label for package in found)
        twice = sorted(name for name, count in names.items() if count > 1)
        if twice:
            raise RequestError(
                f"the lock has {', '.join(twice)} twice for {platform}",
                help="somebody has changed it: compare it with the one before, or lock again",
            )
        return found

    def image_for(self, platform: Platform) -> LockedImage | None:
        """What the lock states about the image of a platform; locks of apko state nothing."""
        return next((each for each in self.images if each.platform == str(platform)), None)


def parse_lock(raw: bytes, name: str) -> Lock:
    """Read a lock file; fields that are not known here are left alone.

    Raises:
        InputError: not JSON, not a lock, or with entries that no lock can hold; all of them.
        RequestError: a lock of another version, or one too old to build from.
    """
    try:
        lock = msgspec.json.decode(raw, type=Lock)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{name} is not a lock file: {error}",
            where=name,
            help="name a lock; `imagist lock` writes one",
        ) from error
    if lock.version != VERSION:
        raise RequestError(
            f"{name} is a lock of version {lock.version!r}; only {VERSION} is known", where=name
        )
    old = [
        Problem(
            f"{package.name} {package.version} has no checksum in the lock", name, "lock again"
        )
        for package in lock.contents.packages
        if not package.checksum
    ]
    if lock.config is None:
        old.append(Problem("the lock does not say what it was made from", name, "lock again"))
    if old:
        raise RequestError(old)
    problems = list(find_problems(lock, name))
    if problems:
        raise InputError(problems)
    return lock


def format_lock(lock: Lock) -> bytes:
    """The bytes of a lock: apko's order of fields, two spaces for each level, one line feed."""
    return msgspec.json.format(msgspec.json.encode(lock, enc_hook=str), indent=2) + b"\n"


def declaration_checksum(sources: Iterable[bytes]) -> str:
    """Apko's checksum of a declaration: SHA-256 over its files' bytes, in the order loaded."""
    state = hashlib.sha256()
    for raw in sources:
        state.update(raw)
    return "sha256-" + base64.b64encode(state.digest()).decode()
