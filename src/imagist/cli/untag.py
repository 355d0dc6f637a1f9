"""`imagist untag`: a tag goes, and the image stays."""

from __future__ import annotations

import argparse

from imagist.cli.answer import print_json
from imagist.cli.images import read_reference
from imagist.cli.registries import open_registries
from imagist.errors import RequestError
from imagist.oci.reference import Reference
from imagist.registry.refusal import Refused
from imagist.registry.repository import Repository

_CANNOT = frozenset({400, 405, 501})
"""Answers of registries that delete by digest alone."""


def run(values: argparse.Namespace) -> None:
    """Remove the tags, one after the other."""
    references = [_read(name) for name in values.references]
    registries = open_registries(values)
    for reference in references:
        _remove(registries.repository(reference), reference)
    if values.json:
        print_json({"untagged": [str(reference) for reference in references]})


def _read(name: str) -> Reference:
    reference = read_reference(name)
    last = name.rpartition("/")[2]
    if reference.digest or ":" not in last:
        raise RequestError(
            f"`{name}` names no tag",
            help="write host/repository:tag; `imagist delete` removes an image by its digest",
        )
    return reference


def _remove(repository: Repository, reference: Reference) -> None:
    """Remove one tag (distribution-spec, "Deleting tags")."""
    try:
        repository.delete_manifest(reference.tag)
    except Refused as error:
        if error.status not in _CANNOT or error.is_read_only:
            raise
        raise Refused(
            f"{reference.registry} cannot remove a tag without its image: {error}",
            help=f"`imagist delete {repository}@DIGEST` removes the image with all its tags",
        ) from None
