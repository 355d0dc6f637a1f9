"""The tar in a layer, however that is compressed: plain, gzip or zstd, told by its first bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, Literal

from imagist.digest import CHUNK
from imagist.errors import Untrusted
from imagist.rootfs.inflate import Inflater

Form = Literal["tar", "gzip", "zstd"]
Tee = Callable[[bytes | memoryview], object]
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


def tell_form(beginning: bytes) -> Form:
    """What a layer that begins with these bytes, at least four of them, is compressed with."""
    if beginning.startswith(_GZIP):
        return "gzip"
    return "zstd" if beginning.startswith(_ZSTD) else "tar"


def uncompress(
    stream: BinaryIO, form: Form, *, what: str, limit: int, tee: Tee | None = None
) -> Iterator[bytes]:
    """The content of a layer from its first byte on, in pieces of at most 1 MiB.

    Args:
        stream: the layer.
        form: what it is compressed with.
        what: its name in errors.
        limit: bytes of content after which it is refused.
        tee: is given the bytes of the layer as they are read.

    Raises:
        Untrusted: it is damaged or cut off, or its content has more than `limit` bytes.
    """
    if form == "gzip":
        return Inflater(stream, what=what).read_rest(tee, limit=limit)
    pieces = _read(stream, tee) if form == "tar" else inflate_zstd(_read(stream, tee), what)
    return _bounded(pieces, what, limit)


def _read(stream: BinaryIO, tee: Tee | None) -> Iterator[bytes]:
    while piece := stream.read(CHUNK):
        if tee is not None:
            tee(piece)
        yield piece


def inflate_zstd(pieces: Iterable[bytes | memoryview], what: str) -> Iterator[bytes]:
    """The content of zstd frames.

    Raises:
        Untrusted: they are damaged or cut off.
    """
    from imagist.zstd import Inflater as ZstdInflater  # noqa: PLC0415 - seldom met

    inflater = ZstdInflater()
    try:
        for piece in pieces:
            yield from inflater.inflate(piece)
        inflater.finish()
    except ValueError as error:
        raise Untrusted(
            f"{what} is damaged, or is not zstd ({error})",
            help="fetch it again; if that does not help, tell whoever publishes it",
        ) from None


def _bounded(pieces: Iterator[bytes], what: str, limit: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise Untrusted(f"{what} holds more than {limit} bytes")
        yield piece
