"""`imagist history`: how the layers of an image came to be."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from imagist.cli.answer import print_json, print_text
from imagist.cli.images import (
    align,
    flow,
    one_line,
    open_image,
    read_platform_names,
    short_digest,
)
from imagist.cli.progress import format_size
from imagist.inspection.choose import choose_images
from imagist.inspection.history import Step, tell_history


def run(values: argparse.Namespace) -> None:
    """Tell the history of the image, or of each one that is asked for."""
    thing = open_image(values.image, values)
    found = choose_images(thing, read_platform_names(values))
    told = [(str(item.platform), tell_history(item.image)) for item in found if item.image]
    if values.json:
        print_json([{"platform": name, "history": steps} for name, steps in told])
        return
    for name, steps in told:
        if len(told) > 1:
            print_text(f"# {one_line(name)}\n")
        print_text(_show(steps, full=values.verbose))


def _show(steps: Sequence[Step], *, full: bool) -> str:
    head = ["layer", "size", "digest", "created", "created by"]
    rows = [
        [
            str(step.layer or "-"),
            format_size(step.size),
            short_digest(step.digest, full=full) if step.layer else "-",
            one_line(step.created) or "-",
            flow(f"{step.created_by}  # {step.comment}" if step.comment else step.created_by),
        ]
        for step in steps
    ]
    return align([head, *rows], right=(0, 1))
