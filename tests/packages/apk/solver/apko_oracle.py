"""Real apko as an oracle for what a world resolves to: it reads a signed local repository."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from support import find_tool

KEY_NAME = "oracle.rsa.pub"


def _tar(files: dict[str, bytes], *, end: bool) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        offset = tar.offset
    return data.getvalue() if end else data.getvalue()[:offset]


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def write_signed_index(folder: Path, arch: str, text: bytes) -> Path:
    """Write `folder/arch/APKINDEX.tar.gz` and the key beside it; the key's path."""
    index = gzip.compress(_tar({"DESCRIPTION": b"test", "APKINDEX": text}, end=True), 1, mtime=0)
    signature = _key().sign(index, padding.PKCS1v15(), hashes.SHA256())
    member = gzip.compress(_tar({f".SIGN.RSA256.{KEY_NAME}": signature}, end=False), mtime=0)
    (folder / arch).mkdir(parents=True, exist_ok=True)
    (folder / arch / "APKINDEX.tar.gz").write_bytes(member + index)
    key = folder / KEY_NAME
    public = _key().public_key()
    key.write_bytes(
        public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return key


def ask_apko(
    folder: Path,
    repositories: Sequence[str],
    key: Path,
    world: Sequence[str],
    archs: Sequence[str] = ("arm64",),
) -> list[str] | str:
    """`name version` lines in apko's order, or its error as one text."""
    lines = ["contents:", "  repositories:"]
    lines += [f"    - '{repository}'" for repository in repositories]
    lines += ["  keyring:", f"    - {key}", "  packages:", *(f"    - '{each}'" for each in world)]
    lines += [f"archs: [{', '.join(archs)}]", ""]
    text = "\n".join(lines)
    config = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.yaml"
    config.write_text(text)
    tool = find_tool("apko")
    assert tool
    command = [
        tool,
        "show-packages",
        str(config),
        "--arch",
        archs[0],
        "--cache-dir",
        str(folder / "cache"),
    ]
    done = subprocess.run(
        [*command, "--log-level", "error"], capture_output=True, text=True, cwd=folder
    )
    if done.returncode:
        return done.stderr
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
