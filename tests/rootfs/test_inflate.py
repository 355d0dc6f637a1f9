"""Inflating gzip members one by one, within bounds."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.errors import ImagistError, Untrusted
from imagist.rootfs import inflate as module
from imagist.rootfs.inflate import Inflater, inflate

PIECE = 1 << 20


class Slow(io.BytesIO):
    """Gives few bytes at a time, as sockets do."""

    step = 7

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(self.step, size) if size and size > 0 else self.step)


def read_all(data: bytes, *, limit: int = 1 << 30) -> bytes:
    return b"".join(inflate(io.BytesIO(data), what="x.gz", limit=limit))


def test_members_are_given_apart_with_their_raw_bytes() -> None:
    parts = [gzip.compress(b"one"), gzip.compress(b"two"), gzip.compress(b"three")]
    for stream in (io.BytesIO(b"".join(parts)), Slow(b"".join(parts))):
        inflater = Inflater(stream, what="x")
        assert inflater.read_member(raw_limit=99, limit=99) == (parts[0], b"one")
        assert inflater.read_member(raw_limit=99, limit=99) == (parts[1], b"two")
        raw: list[bytes | memoryview] = []
        rest = b"".join(inflater.read_rest(raw.append, limit=99))
        assert (b"".join(raw), rest) == (parts[2], b"three")
        assert inflater.consumed == sum(map(len, parts))
        assert inflater.read_member(raw_limit=99, limit=99) == (b"", b"")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(0, 9), st.integers(1, 50))
def test_joined_members_are_the_joined_contents(parts: list[bytes], level: int, step: int) -> None:
    data = b"".join(gzip.compress(part, level) for part in parts)
    stream = Slow(data)
    stream.step = step
    assert b"".join(inflate(stream, what="x", limit=1 << 20)) == b"".join(parts)


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_sizes_at_the_edges_of_a_piece_are_whole(size: int, level: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    pieces = list(inflate(io.BytesIO(gzip.compress(content, level) * 2), what="x", limit=1 << 30))
    assert b"".join(pieces) == content * 2
    assert max(map(len, pieces)) <= PIECE


@pytest.mark.parametrize("keep", [1, 9, 12, -1, -8])
def test_a_file_that_is_cut_off_is_refused(keep: int) -> None:
    with pytest.raises(Untrusted, match=r"x\.gz is cut off"):
        read_all(gzip.compress(b"content" * 100)[:keep])


@pytest.mark.parametrize("tail", [b"\0", b"junk", bytes(512)])
def test_bytes_that_are_no_gzip_after_a_member_are_refused(tail: bytes) -> None:
    with pytest.raises(Untrusted, match=r"x\.gz"):
        read_all(gzip.compress(b"content") + tail)


def test_a_wrong_checksum_is_refused() -> None:
    data = bytearray(gzip.compress(b"content"))
    data[-6] ^= 1
    with pytest.raises(Untrusted, match="damaged"):
        read_all(bytes(data))


def test_a_bomb_stops_at_the_limit_and_not_in_memory() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    seen: list[int] = []
    pieces = inflate(io.BytesIO(bomb), what="x", limit=4 << 20)
    with pytest.raises(Untrusted, match="inflates to more than 4194304 bytes"):
        seen.extend(map(len, pieces))
    assert max(seen) <= PIECE
    assert sum(seen) <= 4 << 20
    with pytest.raises(Untrusted, match="more than 1000 bytes content"):
        Inflater(io.BytesIO(bomb), what="x").read_member(raw_limit=1 << 20, limit=1000)
    with pytest.raises(Untrusted, match="gzip member of more than 1000 bytes"):
        Inflater(io.BytesIO(bomb), what="x").read_member(raw_limit=1000, limit=1 << 30)


def test_more_members_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 10)
    assert read_all(gzip.compress(b"a") * 10) == b"a" * 10
    with pytest.raises(Untrusted, match="more than 10 gzip members"):
        read_all(gzip.compress(b"a") * 11)


def test_a_file_larger_than_stated_is_refused() -> None:
    data = gzip.compress(b"content")
    with pytest.raises(Untrusted, match="larger than 5 bytes"):
        list(Inflater(io.BytesIO(data), what="x", limit=5).read_rest(limit=99))


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=200), st.data())
def test_damage_gives_the_content_or_our_error(content: bytes, data: st.DataObject) -> None:
    packed = bytearray(gzip.compress(content, mtime=0))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    try:
        found = read_all(bytes(packed))
    except ImagistError:
        return
    assert found == content
