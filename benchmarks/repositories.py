"""Signed repositories to build from: one that moves on, and one of very large packages."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import random
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from isal import isal_zlib

from benchmarks import WORK
from fixtures import maker
from realworld.workload import Workload

ARCH = "x86_64"
_GZIP = 31
_MEGABYTE = 1_000_000


class MovingRepository:
    """A copy of a workload's repository in which packages get new versions.

    The path stays the same, the index is signed anew. The key lies apart, so that the repository
    can be hidden from a build that is to need none.
    """

    def __init__(self, workload: Workload, folder: Path) -> None:
        """Copy, as hard links."""
        self._key = maker.load_key()
        self._root = folder / "repository"
        self._hidden = folder / "hidden"
        self._revision = 0
        self._names = list(workload.packages)
        shutil.rmtree(folder, ignore_errors=True)
        self.packages.mkdir(parents=True)
        for archive in workload.archives:
            os.link(archive, self.packages / archive.name)
        (folder / self._key.name).write_bytes(self._key.public_pem)
        index = (workload.root / ARCH / "APKINDEX.tar.gz").read_bytes()
        self._records = _read_index(index)
        self._write_index()

    @property
    def packages(self) -> Path:
        """The folder of the .apk files."""
        return self._root / ARCH

    @property
    def declaration(self) -> str:
        """A YAML that installs every package."""
        return _declare(self._root, self._root.parent / self._key.name, self._names)

    def read(self) -> list[str]:
        """Read every package once, which fills the page cache; returns their paths."""
        paths = sorted(self.packages.glob("*.apk"))
        for path in paths:
            hashlib.sha256(path.read_bytes())
        return list(map(str, paths))

    def release(self, name: str) -> None:
        """Give a package a version that there never was, with one file more in it."""
        self._revision += 1
        old = self._records[name]
        version = f"{old['V'].rpartition('-r')[0]}-r{9000 + self._revision}"
        path = self.packages / f"{name}-{old['V']}.apk"
        control, data = _repack(path.read_bytes(), name, version, self._revision)
        signature = maker.sign_segment(control, self._key, "RSA256")
        checksum = _checksum(control)
        size = len(signature) + len(control) + len(data)
        path.unlink()
        new = self.packages / f"{name}-{version}.apk"
        new.write_bytes(signature + control + data)
        self._records[name] = old | {"V": version, "C": checksum, "S": str(size)}
        self._write_index()

    def hide(self) -> None:
        """Take the repository away."""
        self._root.rename(self._hidden)

    def show(self) -> None:
        """Give it back, if it was taken away."""
        if self._hidden.exists():
            self._hidden.rename(self._root)

    def _write_index(self) -> None:
        records = self._records.values()
        text = "".join(
            "".join(f"{letter}:{value}\n" for letter, value in record.items()) + "\n"
            for record in records
        )
        _write_index(self.packages, text, self._key)


def make_heavy_repository(large: int, small: int, count: int) -> Path:
    """Give a repository of packages that nothing compresses: one of `large` megabytes, others.

    Returns:
        Its declaration. The packages stay for later runs.
    """
    root = WORK / f"heavy-{large}-{count}x{small}"
    declaration = root / "image.yaml"
    if declaration.exists():
        return declaration
    key = maker.load_key()
    shutil.rmtree(root, ignore_errors=True)
    (root / ARCH).mkdir(parents=True)
    sizes = {"heavy": large} | {f"heavy-{number}": small for number in range(count)}
    records = "".join(
        _write_heavy(root / ARCH, name, megabytes, key) for name, megabytes in sizes.items()
    )
    _write_index(root / ARCH, records, key)
    (root / key.name).write_bytes(key.public_pem)
    declaration.write_text(_declare(root, root / key.name, list(sizes)))
    return declaration


def _write_heavy(folder: Path, name: str, megabytes: int, key: maker.Key) -> str:
    """Write a package of files of at most 128 MB; returns its record."""
    compressor = isal_zlib.compressobj(1, wbits=_GZIP)
    source = random.Random(name)
    out = io.BytesIO()
    paths = ["usr", "usr/share", f"usr/share/{name}"]
    out.write(compressor.compress(maker.write_tar(map(maker.folder, paths))))
    for number in range(0, megabytes, 128):
        content = source.randbytes(min(128, megabytes - number) * _MEGABYTE)
        item = maker.file(f"usr/share/{name}/{number:04}", content)
        out.write(compressor.compress(maker.write_tar([item])))
    out.write(compressor.compress(bytes(1024)) + compressor.flush())
    apk = maker.Apk(name, data=out.getvalue())
    built = maker.build_apk(apk, ARCH, key=key)
    (folder / built.filename).write_bytes(built.blob)
    size = megabytes * _MEGABYTE
    return maker.format_record(dataclasses.replace(built, installed_size=size))


def _repack(blob: bytes, name: str, version: str, revision: int) -> tuple[bytes, bytes]:
    """The control and data segments of the next version of a package."""
    _, rest = _inflate_member(blob)
    control, rest = _inflate_member(rest)
    content, _ = _inflate_member(rest)
    end = bytes(1024)
    assert content.endswith(end)
    item = maker.file(f"usr/share/doc/{name}/revision-{revision}", "new\n")
    content = content[: -len(end)]
    data = maker.gzip(content + maker.write_tar([item]) + end)
    changed = {"pkgver": version, "datahash": hashlib.sha256(data).hexdigest()}
    info = "".join(
        f"{key} = {changed.get(key, value)}\n"
        for key, _, value in (line.partition(" = ") for line in _read_pkginfo(control))
    )
    members = [maker.Item(".PKGINFO", content=info.encode(), checksum="")]
    return maker.gzip(maker.write_tar(members)), data


def _read_pkginfo(control: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(control + bytes(1024))) as tar:
        stream = tar.extractfile(".PKGINFO")
        assert stream is not None
        return stream.read().decode().splitlines()


def _inflate_member(data: bytes) -> tuple[bytes, bytes]:
    """What the first gzip member inflates to, and the bytes after it."""
    inflater = zlib.decompressobj(_GZIP)
    return inflater.decompress(data), inflater.unused_data


def _read_index(index: bytes) -> dict[str, dict[str, str]]:
    """The records of a signed index: letters and values, by name."""
    _, segment = _inflate_member(index)
    with tarfile.open(fileobj=io.BytesIO(_inflate_member(segment)[0])) as tar:
        stream = tar.extractfile("APKINDEX")
        assert stream is not None
        text = stream.read().decode()
    records = [
        dict(line.split(":", 1) for line in record.splitlines())
        for record in text.strip().split("\n\n")
    ]
    return {record["P"]: record for record in records}


def _write_index(folder: Path, text: str, key: maker.Key) -> None:
    members: Mapping[str, bytes] = {"DESCRIPTION": b"benchmarks", "APKINDEX": text.encode()}
    items = [maker.Item(name, content=content, checksum="") for name, content in members.items()]
    segment = maker.gzip(maker.write_tar(items) + bytes(1024))
    (folder / "APKINDEX.tar.gz").write_bytes(maker.sign_index(segment, key))


def _checksum(control: bytes) -> str:
    built = maker.Built(maker.Apk(""), ARCH, b"", control, b"", 0)
    return built.checksum


def _declare(repository: Path, key: Path, packages: list[str]) -> str:
    names = "".join(f"    - {name}\n" for name in packages)
    return (
        f"contents:\n  keyring: [{key}]\n  repositories: [{repository}]\n"
        f"  packages:\n{names}archs: [x86_64]\n"
    )
