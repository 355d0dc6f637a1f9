"""From files, programs built elsewhere and a base to an image for every platform."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagist.declaration.projectfile import LoadedProject
from imagist.errors import RequestError
from imagist.lastmile.job import Between, Job, choose_bases, compose_images
from imagist.lastmile.named import check_named
from imagist.oci.image import Index
from imagist.oci.platform import Platform


def build_plain(job: Job, platforms: Sequence[Platform]) -> Index:
    """Build the image of a folder without Python for some platforms; see `build_python`.

    Raises:
        RequestError: a platform has no program.
        NotFound: a file is not there, or the base has not a platform.
        InputError: a program is for another machine, or needs what the base has not.
    """
    where = job.loaded.where("platforms")
    bases = choose_bases(job.base, platforms, where=where)
    return compose_images(job, bases, lambda _, __: Between())


def check_plain(loaded: LoadedProject, folder: Path) -> None:
    """See that something of the folder gets into the image, and that it is there.

    Raises:
        RequestError: nothing does.
        NotFound: what is named is not there.
    """
    loaded.command()
    project = loaded.project
    if not (project.files or project.binary or loaded.mode == "source"):
        raise RequestError(
            f"nothing says what of {folder} belongs into an image",
            where=loaded.place.span if loaded.place else None,
            help="a Python project has a pyproject.toml or a lock; for anything else write "
            "`files` or `binary` into an imagist.yaml (`imagist schema project` describes them)",
        )
    check_named(loaded, folder)
