"""A shop: a small project with two dependencies, the index that has them, and bases for it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from imagist.oci.derive import MemoryIndex
from imagist.oci.image import Image, Index
from imagist.oci.mutate import annotate_image, make_index, set_config
from imagist.oci.platform import parse_platform
from inspection.described import edited, file, image, layer, symlink
from lastmile.test_project import BACKEND

_CHECKSUM = f"C:Q1{'A' * 27}=\n"
APK = f"{_CHECKSUM}P:python3\nV:3.12.8-r1\n\n{_CHECKSUM}P:musl\nV:1.2.5-r8\n\n"
PROJECT = """\
[project]
name = "shop"
version = "1.0"
dependencies = ["alpha", "native"]
scripts = { shop = "shop:main" }
"""
BUILD = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
SDIST = {
    "beta-1.0/pyproject.toml": BUILD + '[project]\nname = "app"\nversion = "1.0"\n',
    "beta-1.0/backend.py": BACKEND,
    "beta-1.0/code.py": "x = 1\n",
}


def base(*archs: str) -> MemoryIndex:
    """An Alpine with Python, for some architectures."""
    images: list[tuple[Any, Image | Index]] = []
    for arch in archs:
        entries = [
            file("lib/apk/db/installed", APK),
            file("lib/ld-musl-any.so.1"),
            file("usr/bin/python3.12", b"\x7fELF", 0o755),
            file("usr/lib/python3.12/os.py"),
            symlink("usr/bin/python3", "python3.12"),
        ]
        platform = parse_platform(arch)
        made = image(layer(*entries), Env=["PATH=/usr/bin"], User="7")
        made = edited(made, architecture=platform.architecture, variant=platform.variant)
        made = set_config(made, {"created": "2026-01-02T03:04:05Z"})
        made = annotate_image(made, {"speaks-of": "the base"})
        images.append((platform, made))
    return make_index(images)


def source_of(members: dict[str, str]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return data.getvalue()


def settings(folder: Path, text: str) -> None:
    """Let a project say of its image what the text says, and nothing else."""
    place = folder / "pyproject.toml"
    place.write_text(
        place.read_text().partition("[tool.imagist]")[0] + f"[tool.imagist]\n{text}\n"
    )
