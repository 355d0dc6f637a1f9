"""GzipWriter: the same bytes however they come in and however many threads there are."""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import random
import subprocess
import sys
import zlib
from pathlib import Path

import deflate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.rootfs import compress
from imagist.rootfs.compress import MEMBER, Compressed, GzipWriter
from support import needs

PINNED = "52365cd5d38e57a2b85e4c0fa00f8c733b2ffcd52a92a30bb8b1f7da244b8609"
DATA = b"".join(hashlib.sha256(b"%d" % i).hexdigest().encode() for i in range(50_000))


def run(data: bytes, cuts: list[int], jobs: int) -> tuple[bytes, Compressed]:
    out = bytearray()
    with GzipWriter(out.extend, jobs=jobs) as writer:
        start = 0
        for cut in [*sorted(cuts), len(data)]:
            writer.write(data[start:cut])
            start = max(start, cut)
    return bytes(out), writer.close()


@pytest.mark.parametrize("size", [0, 1, MEMBER - 1, MEMBER, MEMBER + 1, 3 * MEMBER, len(DATA)])
def test_any_gzip_reader_gives_the_input_back(size: int) -> None:
    out, _ = run(DATA[:size], [], 2)
    assert gzip.decompress(out) == DATA[:size]


def test_digests_and_sizes_are_those_of_both_sides() -> None:
    out, result = run(DATA, [5], 2)
    assert result.digest == "sha256:" + hashlib.sha256(out).hexdigest()
    assert result.diff_id == "sha256:" + hashlib.sha256(DATA).hexdigest()
    assert (result.size, result.tar_size) == (len(out), len(DATA))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, len(DATA)), max_size=8), st.integers(1, 5))
def test_bytes_depend_neither_on_pieces_nor_on_threads(cuts: list[int], jobs: int) -> None:
    assert run(DATA, cuts, jobs) == run(DATA, [], 1)


def test_every_mebibyte_is_one_member_without_time_or_name() -> None:
    out, _ = run(DATA, [], 2)
    sizes = []
    while out:
        assert out[:10].hex() == "1f8b08000000000004ff"
        member = zlib.decompressobj(wbits=31)
        sizes.append(len(member.decompress(out)))
        out = member.unused_data
    assert sizes == [MEMBER] * (len(DATA) // MEMBER) + [len(DATA) % MEMBER]


def test_bytes_are_pinned() -> None:
    """A change here changes every digest: bump `FORMAT` with it."""
    assert compress.FORMAT == "libdeflate-1.1:1048576"
    out, _ = run(DATA, [], 2)
    assert hashlib.sha256(out).hexdigest() == PINNED


def test_a_reused_buffer_may_change_after_it_was_written() -> None:
    out = bytearray()
    buffer = bytearray(b"first")
    with GzipWriter(out.extend, jobs=2) as writer:
        writer.write(buffer)
        buffer[:] = b"other"
    assert gzip.decompress(out) == b"first"


def test_memory_held_is_bounded_by_the_threads() -> None:
    out: list[bytes] = []
    writer = GzipWriter(out.append, jobs=2)
    for number in range(16):
        writer.write(random.Random(number).randbytes(MEMBER))
        assert number + 1 - len(out) <= 4
    writer.close()


def test_an_error_of_the_sink_reaches_the_caller_and_stops_the_rest() -> None:
    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    def fill() -> None:
        with GzipWriter(full, jobs=2) as writer:
            for _ in range(10):
                writer.write(DATA[:MEMBER])

    with pytest.raises(OSError, match="No space"):
        fill()


# One block of text, of noise and of a long run: what the matchfinders treat differently.
CODEC_PROGRAM = """
import hashlib, deflate
noise = hashlib.shake_256(b"noise").digest(300_000)
text = hashlib.shake_256(b"text").hexdigest(200_000).encode()
words = b" ".join(text[i : i + text[i] % 11] for i in range(0, 200_000, 4))
for block in (b"", noise, text, words, b"a" * 400_000):
    print(hashlib.sha256(deflate.gzip_compress(block, 1)).hexdigest())
"""


@needs("qemu-x86_64-static")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="emulates other models of x86_64 only")
@pytest.mark.parametrize("model", ["qemu64", "Haswell", "max"])
def test_the_codec_gives_the_same_bytes_on_every_cpu(model: str) -> None:
    """From SSE2 alone to whatever is newest; aarch64 gave the same when it was tried."""
    paths = [str(Path(deflate.__file__).parent.parent)]
    command = [os.path.realpath(sys.executable), "-S", "-c", CODEC_PROGRAM]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    real = subprocess.run(command, capture_output=True, check=True, env=environment)
    emulated = subprocess.run(
        ["qemu-x86_64-static", "-cpu", model, *command],
        capture_output=True,
        check=True,
        env=environment,
    )
    assert real.stdout.count(b"\n") == 5
    assert emulated.stdout == real.stdout
