"""The documents of images edited as plain JSON values, so that members unknown to imagist survive.

What does not change keeps its bytes. New bytes are those that Go's encoder writes of the same
values, as most tools of the field are written in Go: equal edits give equal digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from imagist.errors import InputError, RequestError
from imagist.oci import mediatype
from imagist.oci.derive import MemoryImage
from imagist.oci.image import Image, Layer
from imagist.oci.manifest import decode_object, describe, encode

Document = dict[str, Any]
_ORDER: Final = (
    *("architecture", "author", "container", "created", "docker_version", "history", "os"),
    *("rootfs", "config", "os.version", "variant", "os.features"),
    *("AttachStderr", "AttachStdin", "AttachStdout", "Cmd", "Healthcheck", "Domainname"),
    *("Entrypoint", "Env", "Hostname", "Image", "Labels", "OnBuild", "OpenStdin", "StdinOnce"),
    *("Tty", "User", "Volumes", "WorkingDir", "ExposedPorts", "ArgsEscaped", "NetworkDisabled"),
    *("MacAddress", "StopSignal", "Shell"),
)
"""Members of configurations in the order crane writes them, for finding a new one its place."""


def read_members(raw: bytes) -> Document:
    """A document as plain values.

    Raises:
        InputError: the bytes are not a JSON object.
    """
    return decode_object(raw, "a document of an image")


def write_members(document: Document, old: bytes = b"") -> bytes:
    """The bytes of an edited document; the old ones, if it says what those say.

    Raises:
        InputError: it is nested too deep.
        RequestError: text in it is not UTF-8.
    """
    if old and document == read_members(old):
        return old
    try:
        raw = msgspec.json.encode(document)
    except RecursionError as error:  # what could just be read, from a place deeper in the stack
        raise InputError(f"a document of an image is nested too deep: {error}") from error
    except UnicodeEncodeError as error:
        shown = error.object.encode("utf-8", "backslashreplace").decode()
        raise RequestError(f"`{shown}` is not UTF-8, as documents of images are") from None
    for character in b"&<>":  # Go escapes them, so that documents may stand in HTML
        raw = raw.replace(b"%c" % character, b"\\u%04x" % character)
    return raw


def merge_members(document: Document, changes: Mapping[str, Any]) -> Document:
    """A document with some members replaced; None, "" and {} remove one.

    A new member comes before the first that crane would write after it; at the end, where it is
    none that crane knows.
    """
    merged = dict(document)
    for key, value in changes.items():
        if value in (None, "", {}):
            merged.pop(key, None)
        elif key in merged or key not in _ORDER:
            merged[key] = value
        else:
            merged = dict(_inserted(merged, key, value))
    return merged


def _inserted(document: Document, key: str, value: Any) -> Iterator[tuple[str, Any]]:
    later = _ORDER[_ORDER.index(key) + 1 :]
    waits = True
    for name, old in document.items():
        if waits and name in later:
            yield key, value
            waits = False
        yield name, old
    if waits:
        yield key, value


def plain_members(value: msgspec.Struct) -> Any:
    """A struct as the plain values it is written as."""
    return msgspec.json.decode(encode(value))


def has_layer(line: Document) -> bool:
    """Whether a line of history tells of a layer."""
    return not line.get("empty_layer")


def complete_history(config: Document, layers: int) -> list[Document]:
    """The history of an image; layers of which it says nothing get empty lines.

    Else lines that are added would be taken for those of the first layers.
    """
    lines = list(config.get("history") or [])
    return lines + [{}] * (layers - sum(map(has_layer, lines)))


def with_diff_ids(config: Document, diff_ids: Iterable[str]) -> Document:
    """A configuration with these layers, base first."""
    rootfs = config.get("rootfs") or {"type": "layers"}
    return merge_members(config, {"rootfs": {**rootfs, "diff_ids": [*map(str, diff_ids)]}})


def with_config(
    image: Image, manifest: Document, config: Document, layers: Iterable[Layer]
) -> MemoryImage:
    """The image with an edited manifest and configuration, the first naming the second."""
    raw_config = write_members(config, image.raw_config)
    old = manifest.get("config") or {}
    kept = {key: value for key, value in old.items() if key != "data"}
    new = describe(raw_config, old.get("mediaType") or mediatype.CONFIG)
    manifest["config"] = kept | plain_members(new)
    raw_manifest = write_members(manifest, image.raw_manifest)
    return MemoryImage(raw_manifest, raw_config, tuple(layers), image.media_type)
