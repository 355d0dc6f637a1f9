"""`imagist digest`: the digest of an image, without fetching it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from imagist.cli.answer import print_json
from imagist.cli.images import (
    open_local,
    open_remote,
    read_platform_names,
    read_reference,
)
from imagist.errors import NotFound, RequestError
from imagist.oci.image import Image, Index
from imagist.oci.reference import Reference


def run(values: argparse.Namespace) -> None:
    """Print the digest, or the repository with it."""
    names = read_platform_names(values)
    local = open_local(values.image, values)
    if local is not None:
        if values.full_ref:
            raise RequestError(
                f"{values.image} is in no registry, so it has no full reference",
                help="leave --full-ref out",
            )
        digest = _derive(local, names)
        _tell(digest, digest, values)
        return
    reference = read_reference(values.image)
    if names:
        digest = _derive(open_remote(values.image, values), names)
    else:
        digest = _ask(reference, values)
    full = f"{reference.registry}/{reference.repository}@{digest}"
    _tell(digest, full, values)


def _derive(thing: Image | Index, names: Sequence[str]) -> str:
    from imagist.inspection.choose import restrict
    from imagist.oci import derive

    return str(derive.digest(restrict(thing, names)))


def _ask(reference: Reference, values: argparse.Namespace) -> str:
    """What the registry says, which is asked for no more than that."""
    from imagist.cli.registries import open_registries

    repository = open_registries(values).repository(reference)
    found = repository.resolve(reference.digest or reference.tag)
    if found is None:
        raise NotFound(
            f"there is no {reference}", help=f"`imagist ls {repository}` tells the tags"
        )
    return found.digest


def _tell(digest: str, full: str, values: argparse.Namespace) -> None:
    if values.json:
        named = {"reference": full} if full != digest else {}
        print_json({"digest": digest, **named})
    else:
        sys.stdout.write(f"{full if values.full_ref else digest}\n")
