"""`imagist validate`: every digest, size and layer of an image derived again."""

from __future__ import annotations

import argparse
import sys

from imagist.cli.answer import print_json
from imagist.cli.images import open_image
from imagist.errors import CheckFailed
from imagist.oci import derive


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
