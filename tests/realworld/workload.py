"""Realistic APK repositories, made from this machine's Debian packages: W38 and W156.

W38 is what Python needs (the set of distroless' python3 image); W156 is a development image with
compilers, git, nginx and Perl. Nothing is installed: apt has a state of its own under .work/, and
downloads from whatever sources the machine has. What was made stays until `make clean`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from support import ROOT, SHARED

Name = Literal["W38", "W156"]

_WORK = ROOT / ".work" / "workload"
_JOBS = 2

_SMALL = """
base-files ca-certificates gcc-12-base libbz2-1.0 libc-bin libc6 libcom-err2 libcrypt1 libdb5.3
libexpat1 libffi8 libgcc-s1 libgomp1 libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3
libkrb5support0 liblzma5 libncursesw6 libnsl2 libpython3.11-minimal libpython3.11-stdlib
libreadline8 libsqlite3-0 libssl3 libstdc++6 libtinfo6 libtirpc3 libuuid1 libzstd1 media-types
netbase python3-minimal python3.11-minimal python3.11-venv tzdata zlib1g
"""
"""Exactly these: 38."""

_LARGE = """
build-essential git curl ca-certificates python3-dev python3-pip python3-venv nginx base-files
base-passwd dash tzdata
"""
"""These and what they depend on: about 156."""

MERGED_USR = "merged-usr"
"""The package with the links /bin, /lib, /lib64 and /sbin, as base-files has them in Debian 13."""


@dataclass(frozen=True)
class Workload:
    """A signed repository of converted packages."""

    name: Name
    root: Path

    @property
    def key(self) -> Path:
        """The public key."""
        return self.root / "keys" / "imagist-test.rsa.pub"

    @cached_property
    def packages(self) -> dict[str, str]:
        """Version by name, of every package."""
        listed = json.loads((self.root / "manifest.json").read_text())["packages"]
        return {package["name"]: package["version"] for package in listed}

    @property
    def archives(self) -> list[Path]:
        """Every .apk."""
        return sorted((self.root / "x86_64").glob("*.apk"))

    def declaration(self, packages: list[str] | None = None, more: str = "") -> str:
        """A YAML that installs packages of it (default: all), and what `more` adds."""
        names = "".join(f"    - {name}\n" for name in packages or self.packages)
        return (
            "contents:\n"
            f"  keyring: [{self.key}]\n"
            f"  repositories: [{self.root}]\n"
            f"  packages:\n{names}"
            f"archs: [x86_64]\n{more}"
        )


def make_workload(name: Name) -> Workload:
    """Give the repository, making it first where it is absent; safe in several processes."""
    assert SHARED is not None, "the converter lies beside the checkout, in ../shared/tools"
    converter = SHARED / "tools" / "deb2apk.py"
    stamp = hashlib.sha256(Path(__file__).read_bytes() + converter.read_bytes()).hexdigest()
    root = _WORK / name
    with _alone():
        if not _is_made(root, stamp):
            shutil.rmtree(root, ignore_errors=True)
            new = root.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            debs = download_debs(name)
            _run(sys.executable, converter, new, debs, "--jobs", _JOBS)
            (new / "stamp").write_text(stamp)
            new.rename(root)
    return Workload(name, root)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    _WORK.mkdir(parents=True, exist_ok=True)
    with (_WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_made(root: Path, stamp: str) -> bool:
    file = root / "stamp"
    return file.exists() and file.read_text() == stamp


def download_debs(name: Name) -> Path:
    """The folder of a set's .debs, and of `MERGED_USR`; those that are there already are not fetched again."""
    apt = _apt()
    debs = _WORK / "debs" / name
    debs.mkdir(parents=True, exist_ok=True)
    packages = _SMALL.split() if name == "W38" else _closure(apt)
    wanted = _run(*apt, "download", "--print-uris", *packages).splitlines()
    names = {line.split()[1] for line in wanted if line.startswith("'")}
    for old in debs.iterdir():
        if old.name not in names:  # an older version: there may be only one of each
            old.unlink()
    _run(*apt, "download", *packages, cwd=debs)
    (debs / f"{MERGED_USR}_13_all.deb").write_bytes(_make_merged_usr())
    return debs


def _apt() -> list[str]:
    """apt-get with a state of its own, in which nothing is installed."""
    state = _WORK / "apt"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    settings = {
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::State::extended_states": state / "extended",
        "Dir::Cache": state,
        "Dir::Cache::archives": state / "archives",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
        "Acquire::Retries": 3,
    }
    apt = ["apt-get", "-qq"]
    for key, value in settings.items():
        apt += ["-o", f"{key}={value}"]
    _run(*apt, "update")
    return apt


def _closure(apt: list[str]) -> list[str]:
    """Names of the packages that installing _LARGE into nothing would install."""
    lines = _run(*apt, "install", "--print-uris", "-y", *_LARGE.split()).splitlines()
    return sorted({line.split()[1].partition("_")[0] for line in lines if line.startswith("'")})


def _make_merged_usr() -> bytes:
    """A .deb of the links that Debian 12 makes outside of packages."""
    control = b"Package: merged-usr\nVersion: 13\nArchitecture: all\nMaintainer: none\n"
    control += b"Description: links of the merged /usr\n"
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in ("bin", "lib", "lib64", "sbin"):
            link = tarfile.TarInfo(f"./{name}")
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, f"usr/{name}", 0o777
            link.mtime = 1_600_000_000
            tar.addfile(link)
        for name in ("usr", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin"):
            folder = tarfile.TarInfo(f"./{name}")
            folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o755, 1_600_000_000
            tar.addfile(folder)
    described = io.BytesIO()
    with tarfile.open(fileobj=described, mode="w") as tar:
        info = tarfile.TarInfo("./control")
        info.size = len(control)
        tar.addfile(info, io.BytesIO(control))
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": lzma.compress(described.getvalue()),
        "data.tar.xz": lzma.compress(content.getvalue()),
    }
    return b"!<arch>\n" + b"".join(_ar_member(*member) for member in members.items())


def _ar_member(name: str, data: bytes) -> bytes:
    head = f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n"
    return head.encode() + data + b"\n" * (len(data) % 2)


def _run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}{done.stderr}"
    return done.stdout
