"""Spliced layers: whatever is taken over as it is, the tar inside is the one that we write."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.digest import sha256
from imagist.errors import InputError
from imagist.rootfs import splice
from imagist.rootfs.entry import Entry
from imagist.rootfs.inflate import MAX_MEMBERS
from imagist.rootfs.splice import Deflated, Spliced, SpliceWriter
from imagist.rootfs.tarwrite import write_tar
from support import needs

KINDS = st.sampled_from(["plain", "pieces", "deflated", "deflated in pieces"])
CONTENTS = st.one_of(
    st.binary(max_size=2000),
    st.integers(0, 40_000).map(bytes),
    st.integers(0, 255).map(lambda seed: _noise(seed, 30_000)),
)


def _noise(seed: int, size: int) -> bytes:
    """Bytes that do not compress, but are the same every time."""
    blocks = (hashlib.sha256(b"%d %d" % (seed, at)).digest() for at in range(0, size, 32))
    return b"".join(blocks)[:size]


def deflate(data: bytes, *, step: int = 1 << 30) -> Deflated:
    """A content as a zip has it, in pieces of so many bytes."""
    state = zlib.compressobj(6, zlib.DEFLATED, -15)
    raw = state.compress(data) + state.flush()
    raws = [raw[at : at + step] for at in range(0, len(raw), step)]
    contents = [data[at : at + step] for at in range(0, len(data), step)]
    number = max(len(raws), len(contents))
    raws += [b""] * (number - len(raws))
    contents += [b""] * (number - len(contents))
    return Deflated(len(raw), zlib.crc32(data), zip(raws, contents, strict=True))


def splice_all(files: list[tuple[Entry, bytes, str]]) -> tuple[bytes, splice.Spliced]:
    out = bytearray()
    writer = SpliceWriter(out.extend)
    for entry, data, kind in files:
        if kind == "plain":
            writer.add(entry, data)
        elif kind == "pieces":
            writer.add(entry, [data[at : at + 999] for at in range(0, len(data), 999)])
        else:
            writer.add_deflated(entry, deflate(data, step=777 if "pieces" in kind else 1 << 30))
    done = writer.close()
    return bytes(out), done


def tar_of(files: list[tuple[Entry, bytes, str]]) -> bytes:
    out = bytearray()
    write_tar(((entry, data) for entry, data, _ in files), out.extend)
    return bytes(out)


def name_files(contents: list[tuple[bytes, str]]) -> list[tuple[Entry, bytes, str]]:
    files: list[tuple[Entry, bytes, str]] = [(Entry("d", "directory", 0o755), b"", "plain")]
    for number, (data, kind) in enumerate(contents):
        path = f"d/{'long' * 60}{number}" if number % 3 == 2 else f"d/{number}"
        files.append((Entry(path, size=len(data)), data, kind))
    return files


@given(st.lists(st.tuples(CONTENTS, KINDS), max_size=8))
@settings(max_examples=60)
def test_the_layer_inflates_to_the_tar(contents: list[tuple[bytes, str]]) -> None:
    files = name_files(contents)
    layer, done = splice_all(files)
    tar = tar_of(files)
    assert gzip.decompress(layer) == tar
    assert done == Spliced(sha256(tar), len(tar))
    assert splice_all(files)[0] == layer


def test_pieces_do_not_matter() -> None:
    """Contents of more than a member, whatever comes at once."""
    data = _noise(1, splice.MEMBER * 5 // 2)
    whole, _ = splice_all(name_files([(data, "plain"), (b"x" * 9000, "deflated")]))
    parts, _ = splice_all(name_files([(data, "pieces"), (b"x" * 9000, "deflated in pieces")]))
    assert whole == parts


def test_large_streams_are_taken_over_and_small_ones_are_not() -> None:
    large, small = _noise(1, 20_000), _noise(2, 3_000)
    layer, _ = splice_all(name_files([(large, "deflated"), (small, "deflated")]))
    state = zlib.compressobj(6, zlib.DEFLATED, -15)
    assert state.compress(large) + state.flush() in layer
    # headers before it, the content, and padding, header and the small one after it
    assert _count_members(layer) == 3


def test_there_are_not_more_members_than_readers_take(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 3 * splice.MOST < MAX_MEMBERS
    files = name_files([(_noise(n, 9_000), "deflated") for n in range(6)])
    whole, _ = splice_all(files)
    monkeypatch.setattr(splice, "MOST", 2)
    layer, _ = splice_all(files)
    assert (_count_members(whole), _count_members(layer)) == (13, 5)
    assert gzip.decompress(layer) == tar_of(files)


def test_members_carry_neither_time_nor_name() -> None:
    layer, _ = splice_all(name_files([(_noise(1, 9_000), "deflated")]))
    assert layer[3:8] == bytes(5)
    assert b"\x1f\x8b\x08" + bytes(6) + b"\xff" in layer


@pytest.mark.parametrize("kind", ["plain", "deflated"])
@pytest.mark.parametrize("size", [10, 9_000])
def test_a_size_that_is_not_true_is_refused(kind: str, size: int) -> None:
    with pytest.raises(InputError, match="announced"):
        splice_all([(Entry("a", size=size + 1), _noise(1, size), kind)])


@needs("gzip", "tar")
def test_other_programs_agree(tmp_path: Path) -> None:
    contents = [(_noise(n, n * 997), kind) for n, kind in enumerate(["plain", "deflated"] * 12)]
    files = name_files(contents)
    layer, _ = splice_all(files)
    place = tmp_path / "layer.tar.gz"
    place.write_bytes(layer)
    subprocess.run(["gzip", "-t", place], check=True)
    said = subprocess.run(["tar", "tzf", place], capture_output=True, check=True).stdout
    assert said.decode().split() == ["d/"] + [entry.path for entry, _, _ in files[1:]]
    with tarfile.open(fileobj=io.BytesIO(layer), mode="r:gz") as tar:
        found = {info.name: tar.extractfile(info) for info in tar if info.isreg()}
        read = {name: file.read() for name, file in found.items() if file}
    assert read == {entry.path: data for entry, data, _ in files[1:]}


def test_the_format_is_pinned() -> None:
    """Who changes these bytes must change `splice.FORMAT`, else stores hold two layers for one."""
    data = _noise(7, 9_000)
    size = len(data).to_bytes(2, "little")
    raw = b"\x01" + size + bytes(byte ^ 0xFF for byte in size) + data  # one stored block
    out = bytearray()
    writer = SpliceWriter(out.extend)
    writer.add_deflated(
        Entry("a", size=len(data)), Deflated(len(raw), zlib.crc32(data), [(raw, data)])
    )
    writer.add(Entry("b", size=5_000), bytes(5_000))
    writer.close()
    assert (splice.FORMAT, hashlib.sha256(out).hexdigest()[:16]) == (
        "splice-1:4096:libdeflate-6:1048576",
        "8bedceb014797fb6",
    )


def _count_members(data: bytes) -> int:
    number = 0
    while data:
        state = zlib.decompressobj(31)
        state.decompress(data)
        data = state.unused_data
        number += 1
    return number
