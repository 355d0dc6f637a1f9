"""Packages that abuild and melange made."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zlib
from typing import BinaryIO, cast

import pytest

from fixtures.memory import Memory
from imagist.packages.apk.archive import verify_package
from support import TESTDATA, needs

REAL = {
    "hello-0.1.0-r0.apk": "hello",
    "hello-2.12-r0.apk": "hello",
    "hello-wolfi-2.12.1-r0.apk": "hello-wolfi",
    "alpine-3.16/alpine-baselayout-3.2.0-r23.apk": "alpine-baselayout",
    "replaces/replaces-0.0.1-r0.apk": "replaces",
    "minirepo/x86_64/replayout-1.0.0-r0.apk": "replayout",
    "privaterepo/aarch64/package-x-1.0.0-r0.apk": "package-x",
}


@needs("shared")
@pytest.mark.parametrize("path", REAL)
def test_packages_of_abuild_and_melange_are_read(path: str) -> None:
    blob = (TESTDATA / "apk" / path).read_bytes()
    first = zlib.decompressobj(31)
    head = first.decompress(blob)
    rest = first.unused_data
    control = blob[: len(blob) - len(rest)]
    if head.startswith(b".SIGN."):
        second = zlib.decompressobj(31)
        second.decompress(rest)
        control = rest[: len(rest) - len(second.unused_data)]
        rest = second.unused_data
    checksum = "Q1" + base64.b64encode(hashlib.sha1(control).digest()).decode()
    memory = Memory()
    found = verify_package(
        cast("BinaryIO", io.BytesIO(blob)),
        memory,
        name=REAL[path],
        checksum=checksum,
        size=len(blob),
    )
    tar = zlib.decompress(rest, 31)
    assert memory.blobs[found.data] == rest
    with tarfile.open(fileobj=io.BytesIO(tar)) as expected:
        assert [entry.path for entry in found.entries] == expected.getnames()
        assert [entry.uid for entry in found.entries] == [member.uid for member in expected]
        assert [entry.mode for entry in found.entries] == [member.mode for member in expected]
    assert found.entries or found.tar_size
