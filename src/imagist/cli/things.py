"""What a THING of the command line is, and the work on it: a declaration or a project."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from imagist.cli.delivery import Destination
from imagist.oci.image import Image, Index

if TYPE_CHECKING:
    from imagist.cli.work import Stated
    from imagist.oci.reference import Reference
    from imagist.registry.client import Registries


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


def open_work(values: argparse.Namespace, to: Destination) -> Making:
    """The work on whatever the command line names.

    Raises:
        RequestError: flags are given that it has no use for.
    """
    if is_project(values.thing):
        from imagist.cli.project import ProjectWork

        return ProjectWork(values, to)
    from imagist.cli.work import Work

    return Work(values, to)
