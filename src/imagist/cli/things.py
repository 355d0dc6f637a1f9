"""What a THING of the command line is: a declaration in a file, or a project in a folder."""

from __future__ import annotations

from pathlib import Path


def is_project(thing: str) -> bool:
    """Whether a folder is meant, which says of itself what its image is."""
    return Path(thing).is_dir()
