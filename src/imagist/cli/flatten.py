"""`imagist flatten`: all layers of an image as one, on every platform."""

from __future__ import annotations

import argparse

from imagist.cli.delivery import read_destination
from imagist.cli.edits import aim, finish, open_source
from imagist.cli.images import count_jobs
from imagist.cli.messages import Messages
from imagist.cli.stores import open_store
from imagist.editing.flatten import flattening
from imagist.editing.layers import LayerWriter
from imagist.editing.whole import edit_images


def run(values: argparse.Namespace) -> None:
    """Flatten, bring the image where the flags say, and print its digest."""
    to = read_destination(values)
    messages = Messages(values)
    source = open_source(values.image, values, keep=True)
    to = aim(to, source)
    with messages.meter("layers") as meter:
        writer = LayerWriter(open_store(values), jobs=values.jobs, meter=meter)
        change = flattening(writer, jobs=count_jobs(values))
        edited = edit_images(source.thing, change, messages.warn)
    finish(edited, to, values)
