"""`imagist graph`: the packages of an image, and who needs whom."""

from __future__ import annotations

import argparse
import sys

from imagist.cli.reasons import solve_thing
from imagist.packages.solving.graph import format_dot, format_json, format_mermaid, graph


def run(values: argparse.Namespace) -> None:
    """Print the graph in the language that --format names."""
    _, resolution = solve_thing(values)
    drawn = graph(resolution)
    language = "json" if values.json else values.format
    write = {"dot": format_dot, "mermaid": format_mermaid, "json": format_json}[language]
    sys.stdout.write(write(drawn))
