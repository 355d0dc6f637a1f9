"""`imagist tag`: more tags for an image that a registry has, which moves nothing else."""

from __future__ import annotations

import argparse
import sys

from msgspec.structs import replace

from imagist.cli.answer import print_json
from imagist.cli.images import read_reference
from imagist.cli.registries import open_registries
from imagist.errors import RequestError
from imagist.oci.reference import parse_reference


def run(values: argparse.Namespace) -> None:
    """Set the tags, and print what they name."""
    reference = read_reference(values.reference)
    targets = [replace(reference, tag=_read_tag(tag), digest="") for tag in values.tags]
    registries = open_registries(values)
    repository = registries.repository(reference)
    found = repository.get_manifest(reference.digest or reference.tag)
    registries.each(
        lambda target: repository.put_manifest(found.raw, found.media_type, tag=target.tag),
        dict.fromkeys(targets),
    )
    if values.json:
        print_json({"digest": found.digest, "references": [str(target) for target in targets]})
    else:
        for target in targets:
            sys.stdout.write(f"{target}@{found.digest}\n")


def _read_tag(text: str) -> str:
    """A tag alone: it comes into the repository of the image.

    Raises:
        RequestError: it is none.
    """
    try:
        if "/" not in text and ":" not in text and "@" not in text:
            return parse_reference(f"any:{text}").tag
    except RequestError:
        pass
    raise RequestError(
        f"`{text}` is not a tag",
        help="it has at most 128 letters, digits and `._-`; for another repository there is "
        "`imagist copy`",
    )
