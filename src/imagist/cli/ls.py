"""`imagist ls`: the tags of a repository."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Final

from imagist.cli.answer import print_json
from imagist.cli.images import one_line
from imagist.cli.registries import open_registries, read_repository
from imagist.registry.repository import Repository

_DIGEST_TAG: Final = "sha256-"
"""How tags begin that belong to a digest: referrers, and what cosign signs."""


def run(values: argparse.Namespace) -> None:
    """Print the tags as the registry gives them, page by page."""
    repository = open_registries(values).repository(read_repository(values.repository))
    tags = _list(repository, values)
    if values.json:
        print_json({"repository": str(repository), "tags": list(tags)})
        return
    for tag in tags:
        sys.stdout.write(f"{one_line(tag)}\n")


def _list(repository: Repository, values: argparse.Namespace) -> Iterator[str]:
    for tag in repository.tags():
        if not (values.omit_digest_tags and tag.startswith(_DIGEST_TAG)):
            yield f"{repository}:{tag}" if values.full_ref else tag
