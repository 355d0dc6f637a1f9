"""`imagist manifest`: the manifest of an image, byte by byte."""

from __future__ import annotations

import argparse

from imagist.cli.answer import print_bytes
from imagist.cli.images import open_image, read_platform_names
from imagist.inspection.choose import restrict


def run(values: argparse.Namespace) -> None:
    """Write the manifest or index as it is."""
    thing = open_image(values.image, values)
    print_bytes(restrict(thing, read_platform_names(values)).raw_manifest)
