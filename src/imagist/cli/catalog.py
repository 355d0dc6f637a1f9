"""`imagist catalog`: the repositories of a registry."""

from __future__ import annotations

import argparse
import sys

from imagist.cli.answer import print_json
from imagist.cli.images import one_line
from imagist.cli.registries import open_registries
from imagist.registry.catalog import list_repositories
from imagist.registry.login import parse_registry


def run(values: argparse.Namespace) -> None:
    """Print the repositories as the registry gives them, page by page."""
    registry = parse_registry(values.registry)
    names = list_repositories(open_registries(values).session(registry))
    if values.full_ref:
        names = (f"{registry}/{name}" for name in names)
    if values.json:
        print_json({"registry": registry, "repositories": list(names)})
        return
    for name in names:
        sys.stdout.write(f"{one_line(name)}\n")
