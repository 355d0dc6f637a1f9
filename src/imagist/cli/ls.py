"""`imagist ls`: the tags of a repository, or what a layout calls its images."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from imagist.cli.answer import print_json
from imagist.cli.images import one_line
from imagist.cli.registries import open_registries, read_repository

_DIGEST_TAG: Final = "sha256-"
"""How tags begin that belong to a digest: referrers, and what cosign signs."""


def run(values: argparse.Namespace) -> None:
    """Print the tags as the registry gives them, page by page; of a layout its names."""
    folder = Path(values.repository.removeprefix("oci:"))
    if folder.is_dir() or values.repository.startswith("oci:"):
        from imagist.store.layout import list_names

        place, tags = f"oci:{folder}", iter(list_names(folder))
    else:
        repository = open_registries(values).repository(read_repository(values.repository))
        place, tags = str(repository), repository.tags()
    if values.omit_digest_tags:
        tags = (tag for tag in tags if not tag.startswith(_DIGEST_TAG))
    if values.full_ref:
        tags = (f"{place}:{tag}" for tag in tags)
    if values.json:
        print_json({"repository": place, "tags": list(tags)})
        return
    for tag in tags:
        sys.stdout.write(f"{one_line(tag)}\n")
