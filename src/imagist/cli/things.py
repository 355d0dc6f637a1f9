"""What a THING of the command line is, and the work on it: a declaration or a project."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from imagist.cli.delivery import Destination
from imagist.errors import RequestError
from imagist.oci.image import Image, Index

if TYPE_CHECKING:
    from imagist.cli.work import Stated
    from imagist.oci.reference import Reference
    from imagist.registry.client import Registries

_LOCK: Final = r"(uv|poetry|pdm)\.lock|pylock(\.[^.]+)?\.toml|.*requirements.*\.txt"
"""Names of files that a project's packages are taken from."""
_OWN: Final = r"pyproject\.toml|imagist\.ya?ml"
"""Names of files in which a project says what its image is; that of an image may be called so."""
_OF_IMAGE: Final = re.compile(rb"^contents:", re.MULTILINE)


class Making(Protocol):
    """The making of one image or index, as a command line asks for it."""

    values: argparse.Namespace
    to: Destination
    registries: Registries | None
    """Where there is something to push, or to plan to."""

    def recall(self) -> Image | Index | None:
        """What the same command line gave, if everything it read is as it was."""

    def stated(self) -> Stated | None:
        """What a lock states of the image; None where it says nothing of exactly this one."""

    def build(self) -> Image | Index:
        """The image or index, built where nobody knows it."""
        ...

    def leave_memory(self, thing: Image | Index, references: Sequence[Reference]) -> None:
        """Leave beside a pushed image what the next build can go by, where that is of use."""


def is_project(thing: str) -> bool:
    """Whether a folder is meant, which says of itself what its image is."""
    return Path(thing).is_dir()


def settle_thing(values: argparse.Namespace) -> None:
    """Where a file of a project is named, take its folder, and the file if it is a lock.

    Raises:
        RequestError: it is a file of no kind that is built from; or --lock names another lock.
    """
    path = Path(values.thing)
    if not path.is_file():
        return
    is_lock = re.fullmatch(_LOCK, path.name) is not None
    if is_lock and getattr(values, "lock", None):  # `imagist lock` has no such flag
        raise RequestError(
            f"{path} is a lock, and --lock names another one",
            help="name the folder of the project and --lock, or the lock alone",
        )
    if is_lock:
        values.lock = str(path)
    if is_lock or (re.fullmatch(_OWN, path.name) and not _OF_IMAGE.search(path.read_bytes())):
        values.thing = str(path.parent)
    elif path.suffix in {".toml", ".lock"}:
        raise RequestError(
            f"{path} is neither an image's YAML file nor a file of a project that is known",
            help="name the folder of the project; a lock of another name goes with --lock",
        )


def open_work(values: argparse.Namespace, to: Destination) -> Making:
    """The work on whatever the command line names.

    Raises:
        RequestError: it is nothing to build, or flags are given that it has no use for.
    """
    settle_thing(values)
    if is_project(values.thing):
        from imagist.cli.project import ProjectWork

        return ProjectWork(values, to)
    from imagist.cli.work import Work

    return Work(values, to)
