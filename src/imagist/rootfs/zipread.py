"""The contents of a zip archive, with the compressed bytes they come from, read without unpacking.

A layer can take compressed bytes over as they are (`splice`), so both are given; and each content
is inflated once, so everything about it is checked on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from isal import isal_zlib

from imagist.errors import Untrusted
from imagist.rootfs.zipdirectory import (
    STORED,
    Source,
    ZipLimits,
    ZipMember,
    read_directory,
    refusal,
)

_AT_ONCE: Final = 64 << 20
"""Bytes of a content that is inflated at once."""
_STEP: Final = 1 << 20
_RAW: Final = -15  # window bits: a bare DEFLATE stream with the largest window
_ERRORS: Final = cast("tuple[type[Exception], ...]", (isal_zlib.error, ValueError, EOFError))

Piece = tuple[bytes | memoryview, bytes | memoryview]
"""Bytes as they are in the archive, and what they inflate to; they need not correspond."""


class ZipReader:
    """The files of an archive, checked against each other, and their contents."""

    def __init__(self, source: Source, *, what: str, limits: ZipLimits | None = None) -> None:
        """Read the directory and all local headers; `what` names the archive in errors.

        Raises:
            Untrusted: the archive is damaged, or made so that readers differ.
        """
        self._source = source
        self._what = what
        self.members = read_directory(source, what, limits or ZipLimits())
        """Files by name, in the order of the directory; folders are left out."""

    def pieces(self, member: ZipMember) -> Iterator[Piece]:
        """A member's bytes and content, checked as they pass; at once where they are few.

        Raises:
            Untrusted: the content has not the size or checksum the archive states, or bytes
                follow its end.
        """
        if member.method == STORED:
            return self._checked(member, self._stored(member))
        return self._checked(member, self._inflated(member))

    def _checked(self, member: ZipMember, pieces: Iterator[Piece]) -> Iterator[Piece]:
        crc = size = 0
        for piece in pieces:
            content = piece[1]
            size += len(content)
            if size > member.size:
                break
            crc = isal_zlib.crc32(content, crc)
            yield piece
        if size != member.size:
            raise self._refuse(
                f"is damaged: `{member.name}` has not the {member.size} bytes stated"
            )
        if crc != member.crc:
            raise self._refuse(f"is damaged: the checksum of `{member.name}` is wrong")

    def _stored(self, member: ZipMember) -> Iterator[Piece]:
        for at in range(0, member.size, _STEP):
            raw = self._source.read(member.start + at, min(_STEP, member.size - at))
            yield raw, raw

    def _inflated(self, member: ZipMember) -> Iterator[Piece]:
        state = isal_zlib.decompressobj(_RAW)
        at_once = max(member.compressed, member.size) <= _AT_ONCE
        step = member.compressed if at_once else _STEP
        most = member.size + 1 if at_once else 4 * _STEP
        at = 0
        while at < member.compressed and not state.eof:
            raw = self._source.read(member.start + at, min(step, member.compressed - at))
            at += len(raw)
            yield from self._inflate(member, state, raw, most)
            if not raw:
                break
        while not state.eof:  # output that did not fit before
            content = state.decompress(b"", most)
            if not content:
                raise self._damaged(member, "it is cut off")
            yield b"", content
        if at < member.compressed or state.unused_data:
            raise self._damaged(member, "bytes follow its end")

    def _inflate(
        self, member: ZipMember, state: isal_zlib.Decompress, raw: bytes | memoryview, most: int
    ) -> Iterator[Piece]:
        todo = raw
        while todo and not state.eof:
            try:
                content = state.decompress(todo, most)
            except _ERRORS as error:
                raise self._damaged(member, str(error)) from None
            if not content and len(state.unconsumed_tail) == len(todo):
                raise self._damaged(member, "its compressed data leads nowhere")
            yield raw, content
            raw = b""
            todo = state.unconsumed_tail

    def _damaged(self, member: ZipMember, why: str) -> Untrusted:
        return self._refuse(f"is damaged at `{member.name}`: {why}")

    def _refuse(self, why: str) -> Untrusted:
        return refusal(self._what, why)
