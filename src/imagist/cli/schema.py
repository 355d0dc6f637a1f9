"""`imagist schema`: the JSON Schema of a declaration."""

from __future__ import annotations

import argparse
import sys

from imagist.declaration.schema import format_schema, project_schema


def run(values: argparse.Namespace) -> None:
    """Print the schema."""
    schema = project_schema() if values.kind == "project" else None
    sys.stdout.write(format_schema(schema).decode())
