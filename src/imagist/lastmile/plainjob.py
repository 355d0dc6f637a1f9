"""From files, programs built elsewhere and a base to an image for every platform."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagist.declaration.projectfile import LoadedProject
from imagist.errors import RequestError
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.job import (
    OpenBase,
    Tools,
    choose_bases,
    write_binary_layer,
    write_own_layers,
)
from imagist.lastmile.projectimage import compose_image
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.mutate import make_index
from imagist.oci.platform import Platform, parse_platform


def build_plain(
    loaded: LoadedProject,
    folder: Path,
    base: OpenBase,
    tools: Tools,
    *,
    platforms: Sequence[Platform] = (),
    created: int | None = None,
) -> Index:
    """Build the image of a folder without Python for every platform; see `build_python`.

    Raises:
        RequestError: a platform has no program.
        NotFound: a file is not there, or the base has not a platform.
        InputError: a program is for another machine, or needs what the base has not.
    """
    table = FileTable(tools.store, folder)
    mtime = created or 0
    own = write_own_layers(loaded, folder, tools, table, mtime)
    images: list[tuple[Platform | None, Image | Index]] = []
    for platform, image in choose_bases(base, platforms or wanted_platforms(loaded)).items():
        layers = [*own]
        layers += write_binary_layer(loaded, folder, image, platform, tools, table, mtime)
        made = compose_image(image, base.reference, layers, loaded, created=created)
        images.append((derive.platform(made), made))
    table.keep()
    return make_index(images, annotations=loaded.project.annotations)


def check_plain(loaded: LoadedProject, folder: Path) -> None:
    """See that something of the folder gets into the image.

    Raises:
        RequestError: nothing does.
    """
    loaded.command()
    project = loaded.project
    if not (project.files or project.binary or loaded.mode == "source"):
        raise RequestError(
            f"nothing says what of {folder} belongs into an image",
            help="a Python project has a pyproject.toml or a lock; for anything else write "
            "`files` or `binary` into an imagist.yaml (`imagist schema project` describes them)",
        )


def wanted_platforms(loaded: LoadedProject) -> tuple[Platform, ...]:
    """The platforms that a project names: as such, or as those that it has programs for."""
    project = loaded.project
    return tuple(map(parse_platform, project.platforms or project.binary))
