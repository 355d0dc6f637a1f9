from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.digest import sha256
from imagist.errors import Untrusted
from imagist.oci.contents import Blob
from imagist.progress import SILENT
from imagist.registry.ahead import ReadAhead, read_ahead
from imagist.registry.outgoing import open_checked

DATA = bytes(range(256)) * 40_000  # ten megabytes, so that they are read ahead


def blob_of(data: bytes, promised: bytes) -> Blob:
    return Blob(sha256(promised), len(promised), lambda: io.BytesIO(data), layer=True)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 300_000), min_size=1, max_size=5), st.integers(0, 700_000))
def test_a_checked_stream_gives_what_is_asked_for(sizes: list[int], length: int) -> None:
    data = DATA[:length]
    got: list[bytes] = []
    with open_checked(blob_of(data, data), SILENT) as stream:
        while piece := stream.read(sizes[len(got) % len(sizes)]):
            assert len(piece) <= sizes[len(got) % len(sizes)]
            got.append(piece)
    assert b"".join(got) == data


@pytest.mark.parametrize("size", [100, 1 << 16, len(DATA)])
@pytest.mark.parametrize(
    "change", [lambda d: d[:-1] + b"x", lambda d: d[:-1], lambda d: d + b"x", lambda d: b""]
)
def test_the_last_bytes_of_a_wrong_blob_are_never_given(
    size: int, change: Callable[[bytes], bytes]
) -> None:
    promised = DATA[:size]
    got = bytearray()
    with (
        open_checked(blob_of(change(promised), promised), SILENT) as stream,
        pytest.raises(Untrusted),
    ):
        got.extend(piece for pieces in iter(lambda: stream.read(1000), b"") for piece in pieces)
    assert len(got) < size


def test_reading_ahead_gives_the_same_and_closes_what_it_took() -> None:
    source = io.BytesIO(DATA)
    ahead = ReadAhead(source)
    view = memoryview(bytearray(1000))
    assert ahead.readinto(view) == 1000
    assert bytes(view) + ahead.read() == DATA
    assert ahead.read(10) == b""
    ahead.close()
    assert source.closed


def test_small_streams_are_read_as_they_are() -> None:
    source: BinaryIO = io.BytesIO(b"x")
    assert read_ahead(source, 1) is source


def test_what_goes_wrong_ahead_is_raised_when_its_turn_comes() -> None:
    class Breaking(io.RawIOBase):
        left = 3

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            if not self.left:
                raise OSError("gone")
            self.left -= 1
            buffer[:5] = b"hello"
            return 5

    ahead = ReadAhead(Breaking())  # type: ignore[arg-type]
    assert [ahead.read(5) for _ in range(3)] == [b"hello"] * 3
    with pytest.raises(OSError, match="gone"):
        ahead.read(5)


def test_a_reader_that_was_given_up_ends() -> None:
    ahead = ReadAhead(io.BytesIO(DATA))
    ahead.read(1)
    ahead.close()
    assert ahead.closed
