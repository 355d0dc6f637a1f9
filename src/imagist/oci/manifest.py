"""The JSON documents of the image specification as frozen structs.

They are for reading: a document's digest is always over the raw bytes that were received or
written, never over a re-serialisation of a struct. `encode` makes the bytes of new documents,
without members that have their default; those with a factory are always written.
"""

import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec

from imagist.digest import Digest, sha256
from imagist.errors import InputError
from imagist.oci import mediatype
from imagist.oci.platform import Platform

T = TypeVar("T")
_DIGEST: Final = (
    "^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"
    "|(?!sha256:|sha512:)[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+)\\Z"
)
DigestText = Annotated[str, msgspec.Meta(pattern=_DIGEST)]
"""A digest in a document that is read (descriptor.md, "Digests"); it becomes part of paths."""
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where runtimes look for programs if an image does not say (`Env` of config.md)."""
_NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A typed, sized, hashed reference to content (descriptor.md)."""

    media_type: str
    digest: DigestText
    size: Annotated[int, msgspec.Meta(ge=0)]
    urls: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
    data: str = ""
    artifact_type: str = ""
    platform: Platform | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """An image manifest (manifest.md)."""

    schema_version: int
    media_type: str = msgspec.field(default_factory=lambda: mediatype.MANIFEST)
    artifact_type: str = ""
    config: Descriptor
    layers: tuple[Descriptor, ...] = msgspec.field(default_factory=lambda: ())
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class IndexManifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """An image index (image-index.md)."""

    schema_version: int
    media_type: str = msgspec.field(default_factory=lambda: mediatype.INDEX)
    artifact_type: str = ""
    manifests: tuple[Descriptor, ...] = msgspec.field(default_factory=lambda: ())
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class AnyManifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a manifest of whatever kind may name, for who keeps manifests without judging them."""

    schema_version: int = 2
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] | None = None
    manifests: tuple[Descriptor, ...] | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Its config and layers, as far as it has them."""
        return (*((self.config,) if self.config else ()), *(self.layers or ()))

    @property
    def kind(self) -> str:
        """What a list of referrers calls it (distribution-spec, "Listing Referrers")."""
        if self.artifact_type or self.config is None:
            return self.artifact_type
        return self.config.media_type


class Healthcheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """How Docker probes a container; durations in nanoseconds (reserved in config.md)."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """What a runtime does with an image (`config` of config.md)."""

    user: str = ""
    exposed_ports: dict[str, dict[str, Any]] | None = None
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    healthcheck: Healthcheck | None = None
    volumes: dict[str, dict[str, Any]] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""


class RootFS(msgspec.Struct, frozen=True, kw_only=True):
    """The uncompressed layers' digests, base first."""

    type: str = "layers"
    diff_ids: tuple[DigestText, ...] = ()


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a layer came to be."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image configuration (config.md)."""

    created: str | None = ""
    author: str | None = ""
    architecture: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] | None = msgspec.field(default=(), name="os.features")
    variant: str = ""
    config: RunConfig | None = None
    rootfs: RootFS = msgspec.field(default_factory=RootFS)
    history: tuple[History, ...] | None = ()

    @property
    def platform(self) -> Platform:
        """The platform the configuration says it is for."""
        return Platform(
            self.architecture,
            self.os,
            self.os_version,
            tuple(self.os_features or ()),
            self.variant,
        )


def format_time(epoch: int) -> str:
    """Seconds since 1970 as documents write times: RFC 3339 in UTC, to the second."""
    moment = datetime.datetime.fromtimestamp(epoch, tz=datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def encode(document: msgspec.Struct) -> bytes:
    """The bytes of a new document: fields in the order of the struct, maps sorted by key."""
    return msgspec.json.encode(document, enc_hook=_plain, order="deterministic")


def decode(kind: type[T], raw: bytes, what: str) -> T:
    """Read a document, naming `what` in the error.

    Raises:
        InputError: the bytes are not such a document.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        pass  # null for "none" is what Go programs write, and what config.md allows
    except _NOT_JSON as error:
        raise InputError(f"{what} is not JSON: {error}") from error
    document = _decode_any(raw, what)
    try:
        return msgspec.convert(_without_nulls(document), kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(f"{what} is not what the image specification allows: {error}") from error


def decode_object(raw: bytes, what: str) -> dict[str, Any]:
    """Read a document as plain values, with the members that imagist does not know.

    Raises:
        InputError: the bytes are not a JSON object.
    """
    document = _decode_any(raw, what)
    if not isinstance(document, dict):
        raise InputError(f"{what} is not a JSON object")
    return document


def _decode_any(raw: bytes, what: str) -> Any:
    try:
        return msgspec.json.decode(raw)
    except _NOT_JSON as error:
        raise InputError(f"{what} is not JSON: {error}") from error


def _plain(value: object) -> str:
    """A `Digest` as the string it is: msgspec takes no subclasses of `str`."""
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no part of a document")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def describe(raw: bytes, media_type: str, **fields: Any) -> Descriptor:
    """The descriptor of a document's bytes."""
    return Descriptor(media_type=media_type, digest=Digest(sha256(raw)), size=len(raw), **fields)
