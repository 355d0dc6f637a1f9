"""Zstd as it comes: in pieces of any size, in frames of any number, damaged."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.zstd import compress
from imagist.zstd import Inflater, open_file


def inflate(data: bytes, step: int) -> bytes:
    inflater = Inflater()
    found = [
        piece
        for start in range(0, len(data), step)
        for piece in inflater.inflate(data[start : start + step])
    ]
    inflater.finish()
    return b"".join(found)


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.integers(1, 5000))
def test_frames_are_joined_however_they_are_cut(contents: list[bytes], step: int) -> None:
    assert inflate(compress(*contents), step) == b"".join(contents)


@given(st.binary(min_size=1, max_size=2000), st.integers(1, 11))
def test_a_cut_is_always_noticed(content: bytes, missing: int) -> None:
    [frame, _] = compress(content).split(b"\x50\x2a\x4d\x18")
    with pytest.raises(ValueError, match=r"."):
        inflate(frame[:-missing], 4096)


def test_damage_is_noticed() -> None:
    data = bytearray(compress(bytes(range(256)) * 100))
    data[8] ^= 0xFF
    with pytest.raises(ValueError, match=r"."):
        inflate(bytes(data), 4096)


def test_what_inflates_to_much_takes_no_memory() -> None:
    data = compress(bytes(300 << 20))
    tracemalloc.start()
    try:
        assert sum(map(len, Inflater().inflate(data))) == 300 << 20
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_file_is_read_and_sought_and_its_damage_is_an_error_of_the_system(
    tmp_path: Path,
) -> None:
    place = tmp_path / "a"
    place.write_bytes(compress(b"one", b"two"))
    with open_file(place) as file:
        assert file.read() == b"onetwo"
        file.seek(2)
        assert file.read(2) == b"et"
    place.write_bytes(compress(b"one" * 999)[:9] + b"\xff" * 20)
    with open_file(place) as file, pytest.raises(OSError, match=r"."):
        file.read()
