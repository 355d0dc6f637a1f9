"""A repository of small packages made on the spot, what real apko builds of it, and the same as a tree."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from imagist.build.derived.certificates import Certificate
from imagist.rootfs.entry import Entry, Kind
from imagist.rootfs.tree import Node, Tree
from support import find_tool

EPOCH = 1_700_000_000


class MemoryContents:
    """`Contents` of a tree whose files all carry their data."""

    def read(self, nodes: Iterable[Node]) -> dict[str, bytes]:
        return {node.entry.path: node.entry.data for node in nodes}


class Package(NamedTuple):
    """A package to be made: its entries carry their data; folders above them are added."""

    name: str
    entries: tuple[Entry, ...]
    provides: tuple[str, ...] = ()
    version: str = "1.0.0-r0"
    depends: tuple[str, ...] = ()


def with_folders(entries: Iterable[Entry]) -> list[Entry]:
    """The entries in order, every folder above them listed first."""
    listed = {entry.path: entry for entry in entries}
    for path in list(listed):
        parts = path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            listed.setdefault(folder, Entry(folder, "directory", 0o755, mtime=1000))
    return [listed[path] for path in sorted(listed, key=lambda path: path.split("/"))]


def merge(packages: Iterable[Package]) -> Tree:
    """The packages as a tree, as `compose` merges them before anything is derived."""
    tree = Tree()
    for package in packages:
        for entry in with_folders(package.entries):
            tree.add(Node(entry, package.name))
    return tree


def make_repository(packages: Iterable[Package], folder: Path) -> None:
    """Write the packages and their unsigned index, for x86_64."""
    arch = folder / "x86_64"
    arch.mkdir(parents=True)
    records = []
    for package in packages:
        data = _gzip(_tar(with_folders(package.entries), end=True))
        lines = [
            f"pkgname = {package.name}",
            f"pkgver = {package.version}",
            "arch = x86_64",
            "size = 1",
            f"origin = {package.name}",
            "pkgdesc = test",
            "url = ",
            "license = MIT",
            *(f"provides = {name}" for name in package.provides),
            *(f"depend = {name}" for name in package.depends),
            f"datahash = {hashlib.sha256(data).hexdigest()}",
        ]
        info = "".join(line + "\n" for line in lines).encode()
        control = _gzip(_tar([Entry(".PKGINFO", size=len(info), data=info)], end=False))
        (arch / f"{package.name}-{package.version}.apk").write_bytes(control + data)
        checksum = "Q1" + base64.b64encode(hashlib.sha1(control).digest()).decode()
        fields = {
            "C": checksum, "P": package.name, "V": package.version, "A": "x86_64",
            "S": str(len(control) + len(data)), "I": "1", "T": "test", "U": "", "L": "MIT",
            "o": package.name, "D": " ".join(package.depends), "p": " ".join(package.provides),
        }  # fmt: skip
        records.append("".join(f"{key}:{value}\n" for key, value in fields.items()) + "\n")
    index = "".join(records).encode()
    description = b"test"
    entries = [
        Entry("DESCRIPTION", size=len(description), data=description),
        Entry("APKINDEX", size=len(index), data=index),
    ]
    (arch / "APKINDEX.tar.gz").write_bytes(_gzip(_tar(entries, end=True)))


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def _tar(entries: Iterable[Entry], *, end: bool) -> bytes:
    out = io.BytesIO()
    types = {
        "file": tarfile.REGTYPE, "directory": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE,
        "hardlink": tarfile.LNKTYPE,
    }  # fmt: skip
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)
            info.type, info.mode, info.linkname = types[entry.kind], entry.mode, entry.link
            info.uid, info.gid, info.mtime = entry.uid, entry.gid, entry.mtime
            info.size = len(entry.data)
            if entry.kind in {"file", "symlink"}:
                content = entry.data if entry.kind == "file" else entry.link.encode()
                info.pax_headers = {"APK-TOOLS.checksum.SHA1": hashlib.sha1(content).hexdigest()}
            tar.addfile(info, io.BytesIO(entry.data))
        size = tar.offset
    whole = out.getvalue()
    return whole[:size] + (bytes(1024) if end else b"")


def read_layer(stream: gzip.GzipFile) -> dict[str, Entry]:
    """Every entry of a layer by path, with its data."""
    found = {}
    kinds: dict[bytes, Kind] = {
        tarfile.REGTYPE: "file", tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink",
        tarfile.LNKTYPE: "hardlink", tarfile.CHRTYPE: "char",
    }  # fmt: skip
    with tarfile.open(fileobj=stream) as tar:
        for info in tar:
            path = info.name.strip("/")
            handle = tar.extractfile(info) if info.isreg() else None
            data = handle.read() if handle else b""
            found[path] = Entry(
                path, kinds[info.type], info.mode & 0o7777, info.uid, info.gid, int(info.mtime),
                len(data), info.linkname, data=data,
                device=(info.devmajor, info.devminor) if info.ischr() else (0, 0),
            )  # fmt: skip
    return found


class Built(NamedTuple):
    """What apko made: the flattened layer and the config's `config` member."""

    entries: dict[str, Entry]
    config: dict[str, object]


@pytest.fixture
def apko(tmp_path: Path) -> Callable[[str, Iterable[Package]], Built]:
    """Run real apko over packages made on the spot; the declaration lacks only `contents`."""

    def build(declaration: str, packages: Iterable[Package]) -> Built:
        packages = list(packages)
        make_repository(packages, tmp_path / "repo")
        names = "".join(f"    - {package.name}\n" for package in packages)
        text = f"contents:\n  repositories:\n    - {tmp_path}/repo\n  packages:\n{names}"
        (tmp_path / "image.yaml").write_text(text + "archs: [x86_64]\n" + declaration)
        out = tmp_path / "out"
        out.mkdir()
        command = [
            find_tool("apko") or "apko", "build", "--ignore-signatures", "--sbom=false", "--vcs=false",
            "--cache-dir", str(tmp_path / "cache"), "--log-level", "warn",
            str(tmp_path / "image.yaml"), "example.org/image:test", str(out),
        ]  # fmt: skip
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SOURCE_DATE_EPOCH": str(EPOCH)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return _read_layout(out)

    return build


def _read_layout(folder: Path) -> Built:
    def blob(digest: str) -> Path:
        return folder / "blobs" / digest.replace(":", "/")

    index = json.loads((folder / "index.json").read_bytes())
    manifest = json.loads(blob(index["manifests"][0]["digest"]).read_bytes())
    config = json.loads(blob(manifest["config"]["digest"]).read_bytes())
    entries: dict[str, Entry] = {}
    for layer in manifest["layers"]:
        with gzip.open(blob(layer["digest"])) as stream:
            entries.update(read_layer(stream))
    return Built(entries, config["config"])


def make_certificate(name: str, serial: int) -> Certificate:
    """A self-signed certificate, the same key for the same serial number."""
    key = ec.derive_private_key(serial + 12345, ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .serial_number(serial)
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2040, 1, 1, tzinfo=dt.UTC))
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        certificate.public_bytes(serialization.Encoding.DER),
        certificate.public_bytes(serialization.Encoding.PEM),
    )
