"""`imagist graph`: the packages of an image, and who needs whom."""

from __future__ import annotations

import argparse
import sys

from imagist.build.job import plan_images
from imagist.cli.session import load_thing, open_context, read_options
from imagist.errors import RequestError
from imagist.packages.apk.solver.graph import format_dot, format_json, format_mermaid, graph


def run(values: argparse.Namespace) -> None:
    """Print the graph in the language that --format names."""
    options = read_options(values)
    if options.lock is not None:
        raise RequestError("a lock knows no reasons", help="leave --lock out to ask the solver")
    plan = plan_images(load_thing(values), options, open_context(values))
    assert plan.resolved.resolution is not None  # noqa: S101 - there is no lock
    drawn = graph(plan.resolved.resolution)
    language = "json" if values.json else values.format
    write = {"dot": format_dot, "mermaid": format_mermaid, "json": format_json}[language]
    sys.stdout.write(write(drawn))
