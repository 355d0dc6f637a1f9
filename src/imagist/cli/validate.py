"""`imagist validate`: every digest, size and layer of an image derived again."""

from __future__ import annotations

import argparse
import sys

from imagist.cli.answer import print_json
from imagist.cli.images import open_image
from imagist.cli.messages import Messages
from imagist.errors import CheckFailed
from imagist.oci import derive


def run(values: argparse.Namespace) -> None:
    """Validate, and print the digest of what holds."""
    from imagist.oci.validate import list_unchecked, validate

    thing = open_image(values.image, values)
    problems = validate(thing)
    if problems:
        raise CheckFailed(problems)
    digest = derive.digest(thing)
    unchecked = list_unchecked(thing)
    if unchecked:
        Messages(values).warn(
            f"{len(unchecked)} layers are compressed in a way that cannot be read yet: "
            "their digests hold, their diff_ids are not checked"
        )
    if values.json:
        print_json({"digest": digest, "valid": True, "unchecked": unchecked})
    else:
        sys.stdout.write(f"{digest}\n")
