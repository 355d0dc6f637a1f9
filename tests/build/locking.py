"""What tests of locks share: small repositories that change, and locks as plain JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from build.conftest import Workshop
from fixtures.maker import Apk, file, load_key, write_repository

ARCHITECTURES = ("x86_64", "aarch64")


def lock(workshop: Workshop, *words: str, code: int = 0) -> dict[str, Any]:
    """Lock `image.yaml`, and read the lock."""
    answer = workshop.run("lock", "image.yaml", *words)
    assert answer.code == code, answer
    assert answer.out == ("image.lock.json\n" if code == 0 else "")
    return read(workshop.folder / "image.lock.json")


def read(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_bytes())
    assert isinstance(document, dict)
    return document


def offer(workshop: Workshop, *packages: Apk, arch: str | None = None) -> None:
    """Replace `own` by these packages."""
    for each in (arch,) if arch else ARCHITECTURES:
        shutil.rmtree(workshop.folder / "own" / each, ignore_errors=True)
        write_repository(workshop.folder / "own", {each: packages})


def made(name: str, version: str = "1.0-r0", **more: Any) -> Apk:
    content = more.pop("content", name)
    return Apk(name, version, [file(f"usr/share/{name}", content)], **more)


def own(workshop: Workshop, packages: str, archs: str = "[x86_64, aarch64]") -> None:
    workshop.write(
        f"contents:\n  repositories: [own]\n  keyring: [own/{load_key().name}]\n"
        f"  packages: {packages}\narchs: {archs}\n"
    )
