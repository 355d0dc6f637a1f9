"""`imagist blob`: one blob of a repository, checked."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import BinaryIO

from imagist.cli.answer import print_bytes
from imagist.cli.images import read_reference
from imagist.cli.registries import open_registries
from imagist.digest import CHUNK
from imagist.errors import RequestError


def run(values: argparse.Namespace) -> None:
    """Write the blob to stdout; the last piece of it only when its digest held."""
    reference = read_reference(values.blob)
    if not reference.digest:
        raise RequestError(
            f"`{values.blob}` names no blob", help="write repository@sha256:..., with its digest"
        )
    repository = open_registries(values).repository(reference)
    with repository.open_blob(reference.digest) as stream:
        _copy(stream, print_bytes)


def _copy(stream: BinaryIO, write: Callable[[bytes], object]) -> None:
    """Copy a stream that raises instead of ending, where its digest does not hold."""
    held = b""
    while piece := stream.read(CHUNK):
        write(held)
        held = piece
    write(held)
