"""`imagist validate`: every digest, size and layer of an image derived again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from imagist.cli.answer import print_json
from imagist.cli.stores import open_store
from imagist.errors import CheckFailed, NotFound
from imagist.oci import derive
from imagist.oci.image import Image, Index


def run(values: argparse.Namespace) -> None:
    """Validate, and print the digest of what holds."""
    from imagist.oci.validate import validate

    thing = open_image(values.image, values)
    problems = validate(thing)
    if problems:
        raise CheckFailed(problems)
    digest = derive.digest(thing)
    if values.json:
        print_json({"digest": digest, "valid": True})
    else:
        sys.stdout.write(f"{digest}\n")


def open_image(name: str, values: argparse.Namespace) -> Image | Index:
    """The image at a path (a layout folder or an archive), or in the store.

    Raises:
        NotFound: it is nowhere.
        InputError: what is there is no image.
    """
    kind, _, rest = name.partition(":")
    if kind in {"oci", "oci-archive", "docker-archive"}:
        return _open_path(Path(rest), name)
    if kind not in {"store", "sha256"} and Path(name).exists():
        return _open_path(Path(name), name)
    if kind not in {"store", "sha256"}:
        raise NotFound(
            f"there is no image {name}", help="name a layout folder, an archive, or sha256:..."
        )
    return open_store(values).image(rest if kind == "store" else name)


def _open_path(path: Path, name: str) -> Image | Index:
    from imagist.store.archive import read_archive
    from imagist.store.layout import read_layout

    if not path.exists():
        raise NotFound(f"there is no image {name}")
    return read_layout(path) if path.is_dir() else read_archive(path)
