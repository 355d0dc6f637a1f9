"""A page that says what it is served by."""

from __future__ import annotations

import os
import platform
from importlib.metadata import distributions

from flask import Flask
from waitress import serve

GREETING = "No word too many."
app = Flask(__name__)


@app.get("/")
def page() -> str:
    """The only page."""
    machine = f"Python {platform.python_version()} on {platform.machine()}"
    packages = sorted((f"{each.name} {each.version}" for each in distributions()), key=str.lower)
    items = "".join(f"<li>{each}</li>\n" for each in packages)
    return f"<h1>{GREETING}</h1>\n<p>{machine}</p>\n<ul>\n{items}</ul>\n"


def main() -> None:
    """Serve until the container is stopped."""
    address = os.environ.get("HOST", "0.0.0.0")
    serve(app, host=address, port=int(os.environ.get("PORT", "8080")))
