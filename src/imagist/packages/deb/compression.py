"""The compressed members of a .deb (deb(5)), uncompressed in bounded steps."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Iterator
from typing import BinaryIO, Final, Protocol, cast

from imagist.errors import Untrusted
from imagist.rootfs.inflate import Inflater
from imagist.rootfs.uncompress import inflate_zstd

_PIECE: Final = 1 << 20
_MEMORY: Final = 256 << 20
"""Bytes that a decoder of xz may take; the largest preset of xz needs 65 MiB."""
FORMS: Final = ("", "gz", "xz", "zst", "bz2", "lzma")
"""What may stand behind `data.tar`; the control member takes the first four."""


class Pieces(Protocol):
    """What can be uncompressed: a member of an archive, or a file."""

    def read(self) -> bytes | memoryview:
        """The next bytes, as many as it likes; none at its end."""
        ...


class _Decoder(Protocol):
    """What the decoders of the standard library have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes | memoryview, max_length: int = -1) -> bytes: ...


def uncompress(member: Pieces, form: str, *, what: str, limit: int) -> Iterator[bytes]:
    """The content of the member that `member` stands at, in pieces of about 1 MiB.

    Of xz, lzma and bzip2 there is one stream: what comes after it some readers would take for more
    of the content, and dpkg for nothing.

    Args:
        member: a file, or an archive at a member, of which nothing was read.
        form: what it is compressed with, one of `FORMS`.
        what: names it in errors.
        limit: bytes of content after which it is refused.

    Raises:
        Untrusted: it is damaged, cut off, goes on after its end, or holds more than the limit.
    """
    if form == "gz":
        return Inflater(cast("BinaryIO", member), what=what).read_rest(limit=limit)
    return _bounded(_uncompress(member, form, what), what, limit)


def _uncompress(member: Pieces, form: str, what: str) -> Iterator[bytes]:
    pieces = iter(member.read, b"")
    if not form:
        return map(bytes, pieces)
    if form == "zst":
        return inflate_zstd(pieces, what)
    decoders = {
        "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY),
        "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, _MEMORY),
        "bz2": bz2.BZ2Decompressor,
    }
    return _decode(cast("_Decoder", decoders[form]()), pieces, form, what)


def _decode(
    decoder: _Decoder, pieces: Iterator[bytes | memoryview], form: str, what: str
) -> Iterator[bytes]:
    for piece in pieces:
        if decoder.eof:
            raise _refuse(what, "goes on after its end")
        todo: bytes | memoryview = piece
        while todo or not (decoder.needs_input or decoder.eof):
            try:
                content = decoder.decompress(todo, _PIECE)
            except (lzma.LZMAError, OSError, EOFError) as error:
                raise _refuse(what, f"is damaged, or is not {form} ({error})") from None
            todo = b""
            if content:
                yield content
        if decoder.unused_data:
            raise _refuse(what, "goes on after its end")
    if not decoder.eof:
        raise _refuse(what, "is cut off")


def _bounded(pieces: Iterator[bytes], what: str, limit: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise _refuse(what, f"holds more than {limit} bytes")
        yield piece


def _refuse(what: str, why: str) -> Untrusted:
    return Untrusted(
        f"{what} {why}",
        help="fetch it again; if that does not help, tell whoever publishes it",
    )
