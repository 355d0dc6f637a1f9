"""`imagist config`: the configuration of an image, byte by byte."""

from __future__ import annotations

import argparse
from typing import Final

from imagist.cli.answer import print_bytes
from imagist.cli.images import open_image, read_platform_names
from imagist.inspection.choose import choose_image
from imagist.oci.image import Index
from imagist.oci.platform import Platform

_USUAL: Final = Platform(os="linux", architecture="amd64")
"""The platform meant where several could be: crane's, whatever machine this is."""


def run(values: argparse.Namespace) -> None:
    """Write the configuration as it is."""
    thing = open_image(values.image, values)
    names = read_platform_names(values)
    if isinstance(thing, Index) or names:
        thing = choose_image(thing, names, _USUAL)
    print_bytes(thing.raw_config)
