"""`imagist delete`: an image goes from its registry."""

from __future__ import annotations

import argparse

from imagist.cli.answer import print_json
from imagist.cli.images import read_reference
from imagist.cli.registries import open_registries


def run(values: argparse.Namespace) -> None:
    """Delete what the references name: by digest with all tags, by tag that tag."""
    references = [read_reference(name) for name in values.references]
    registries = open_registries(values)
    for reference in references:
        repository = registries.repository(reference)
        repository.delete_manifest(reference.digest or reference.tag)
    if values.json:
        print_json({"deleted": [str(reference) for reference in references]})
