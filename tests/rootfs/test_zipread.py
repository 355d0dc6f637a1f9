"""Zips: what Python reads is read alike, and what readers could take differently is refused."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.wheelmaker import Member, build_zip
from imagist.errors import Untrusted
from imagist.rootfs import zipdirectory, zipread
from imagist.rootfs.zipdirectory import ZipLimits, open_source
from imagist.rootfs.zipread import ZipReader

SYMLINK = 0o120777


def read_all(data: bytes, *, limits: ZipLimits | None = None) -> dict[str, bytes]:
    """Every file of an archive."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        reader = ZipReader(open_source(file), what="the archive", limits=limits)
        return {
            name: b"".join(bytes(content) for _, content in reader.pieces(member))
            for name, member in reader.members.items()
        }


NAMES = st.lists(st.text("abcé漢.-_ ", min_size=1, max_size=9), min_size=1, max_size=3).map(
    lambda parts: "/".join(f"x{part}" for part in parts)
)


@given(
    st.dictionaries(NAMES, st.tuples(st.binary(max_size=5000), st.booleans()), max_size=6),
    st.booleans(),
)
def test_what_python_writes_is_read(files: dict[str, tuple[bytes, bool]], is_stream: bool) -> None:
    files = {
        name: file
        for name, file in files.items()
        if not any(other.startswith(f"{name}/") for other in files)
    }
    out = io.BytesIO()
    if is_stream:  # then sizes follow the contents
        out.seekable = lambda: False  # type: ignore[method-assign]
    with zipfile.ZipFile(out, "w") as archive:
        for name, (data, is_stored) in files.items():
            method = zipfile.ZIP_STORED if is_stored else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, method)
    assert read_all(out.getvalue()) == {name: data for name, (data, _) in files.items()}


def test_members_larger_than_memory_are_read_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipdirectory, "_IN_MEMORY", 100)
    monkeypatch.setattr(zipread, "_AT_ONCE", 100)
    monkeypatch.setattr(zipread, "_STEP", 1000)
    files = {"zeros": bytes(100_000), "noise": os.urandom(50_000), "stored": os.urandom(9000)}
    members = [Member(name, data, method=8 * (name != "stored")) for name, data in files.items()]
    assert read_all(build_zip(members)) == files


def test_zip64_is_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("a", "w", force_zip64=True) as file:
        file.write(b"content" * 99)
    assert read_all(out.getvalue()) == {"a": b"content" * 99}


def test_folders_and_modes() -> None:
    data = build_zip([Member("d/", b"", mode=0o040755, method=0), Member("d/run", mode=0o100755)])
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        members = ZipReader(open_source(file), what="it").members
    assert {name: member.mode for name, member in members.items()} == {"d/run": 0o755}


GOOD = Member("good")
HOSTILE = {
    "leads outside": [
        [Member("../up")],
        [Member("a/../../b")],
        [Member("/etc/passwd")],
        [Member("a\\b")],
    ],
    "empty parts": [[Member("a//b")], [Member("./a")], [Member("a/./b")]],
    "too long": [[Member("x" * 256)], [Member("/".join(["y" * 99] * 50))]],
    "whiteout": [[Member(".wh.a")], [Member("d/.wh..wh..opq")]],
    "not marked as UTF-8": [[Member("é", flags=0)]],
    "is no UTF-8": [[Member("\udcff")]],
    "symlink": [[Member("a", b"/etc/passwd", mode=SYMLINK)]],
    "neither a file nor a folder": [[Member("a", mode=0o010644)]],
    "encrypted": [[Member(flags=0x801)]],
    "method": [[Member(method=12, raw=b"x")], [Member(method=0, raw=b"x", data=b"xy")]],
    "twice": [[Member("a"), Member("a")]],
    "both as a file and as a folder": [[Member("a"), Member("a/b")]],
    "a folder with content": [[Member("a/", b"x")]],
    "differ": [
        [Member(local={"name": "b"})],
        [Member(local={"size": 3})],
        [Member(local={"crc": 3})],
        [Member(local={"method": 0})],
        [Member(local={"flags": 0})],
        [Member(central={"crc": 3})],
        [Member("ab", local={"name": "b"})],
    ],
    "no member": [[Member(central={"place": 1})]],
    "gap": [
        [GOOD, Member(central={"place": 3})],
        [Member(after=b"hidden"), GOOD],
        [GOOD, Member(after=b"x")],
    ],
    "no description": [[Member(flags=0x808)], [Member(flags=0x808, after=bytes(16))]],
    "checksum": [[Member(local={"crc": 5}, central={"crc": 5})]],
    "bytes stated": [
        [Member(local={"size": 3}, central={"size": 3})],
        [Member(local={"size": 99}, central={"size": 99})],
    ],
    "is cut off": [[Member(raw=zlib.compress(bytes(500), wbits=-15)[:-1], data=bytes(500))]],
    "bytes follow its end": [[Member(raw=zlib.compress(b"content", wbits=-15) + b"more")]],
    "damaged at": [[Member(raw=b"\xff\xff\xff\xff")]],
}


@pytest.mark.parametrize(
    ("why", "members"), [(why, members) for why, cases in HOSTILE.items() for members in cases]
)
def test_hostile_members_are_refused(why: str, members: list[Member]) -> None:
    with pytest.raises(Untrusted, match=why):
        read_all(build_zip(members))


def _second_name() -> bytes:
    """A member with an extra field that gives it another name."""
    extra = struct.pack("<HHBI", 0x7075, 6, 1, 0) + b"b"
    data = build_zip([Member()])
    at = data.index(b"PK\1\2")
    changed = bytearray(data)
    changed[at + 30 : at + 32] = struct.pack("<H", len(extra))
    name_end = at + 46 + 1
    changed[name_end:name_end] = extra
    end = changed.rindex(b"PK\5\6")
    (size,) = struct.unpack_from("<I", changed, end + 12)
    struct.pack_into("<I", changed, end + 12, size + len(extra))
    return bytes(changed)


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("no zip archive", b""),
        ("no zip archive", b"PK\3\4" + bytes(100)),
        ("cut off", build_zip([GOOD])[:-5]),
        ("bytes after its end", build_zip([GOOD], after=b"x")),
        ("are no member", build_zip([GOOD], before=b"#!/bin/sh\n")),
        ("looks like a directory", build_zip([GOOD], comment=build_zip([Member("b")])[-22:])),
        ("more in its directory", build_zip([GOOD, Member("b")], count=1)),
        ("cut off", build_zip([GOOD], count=2)),
        ("a second name", _second_name()),
    ],
)
def test_hostile_archives_are_refused(why: str, data: bytes) -> None:
    with pytest.raises(Untrusted, match=why):
        read_all(data)


def test_limits() -> None:
    many = build_zip([Member(f"{number}") for number in range(9)])
    with pytest.raises(Untrusted, match="too many"):
        read_all(many, limits=ZipLimits(members=8))
    with pytest.raises(Untrusted, match="more than 20"):
        read_all(many, limits=ZipLimits(total=20))


@given(st.integers(0), st.integers(1, 255))
def test_no_changed_byte_gives_other_contents(place: int, change: int) -> None:
    """Flip bits anywhere: the archive is refused, or says the same; nothing else is raised."""
    files = {"a/b": bytes(3000), "c": b"plain", "d": bytes(range(256)) * 20}
    members = [Member(name, data, method=8 * (name != "c")) for name, data in files.items()]
    data = bytearray(build_zip(members))
    data[place % len(data)] ^= change
    try:
        found = read_all(bytes(data))
    except Untrusted:
        return
    assert set(found.values()) == set(files.values())
