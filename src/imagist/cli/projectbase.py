"""The image that a project is built on: declared beside it or in it, or taken from anywhere."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from imagist.cli.images import open_image, read_reference
from imagist.declaration.model import Declaration
from imagist.declaration.projectfile import DECLARED, SCRATCH, LoadedProject
from imagist.errors import ImagistError, Problem, RequestError
from imagist.lastmile.job import OpenBase
from imagist.oci.image import Image, Index
from imagist.oci.platform import Platform
from imagist.oci.reference import Reference, is_remote_name

if TYPE_CHECKING:
    from imagist.declaration.include import LoadedDeclaration

_NO_DEFAULT: Final = Problem(
    "so the default base, a Debian with Python, cannot be made here",
    help="name another: --base host/repository:tag, or `base` in [tool.imagist]",
)
"""What is added to the problems of a base that nobody asked for by name."""


def check_flags(loaded: LoadedProject, values: argparse.Namespace) -> None:
    """Refuse flags that would change nothing of an image, or make it one that cannot be built.

    Raises:
        RequestError: there are such flags.
    """
    problems = []
    if values.format == "erofs":
        advice = "leave out --format erofs"
        problems.append(Problem("a project's image is made of tar layers", None, advice))
    if values.package_append and not _is_declared(loaded, values):
        base = values.base or loaded.project.base
        advice = "name a base that is declared: an image's YAML file with `contents`"
        what = f"--package-append is for bases that are made of packages, and {base} is an image"
        problems.append(Problem(what, None, advice))
    if problems:
        raise RequestError(problems)


def _is_declared(loaded: LoadedProject, values: argparse.Namespace) -> bool:
    """Whether the base is built of a declaration, if only the default one."""
    if values.base:
        return str(values.base).endswith(DECLARED)
    return loaded.base_kind in {"", "inline", "file"}


def open_project_base(
    loaded: LoadedProject, platforms: Sequence[Platform], values: argparse.Namespace
) -> OpenBase:
    """Open what --base or the project names; without either, the default base.

    A declaration is built for the platforms that are wanted, or for its own where none are named.

    Raises:
        RequestError: the declaration is wrong.
        NotFound: there is no such image or file.
        InputError: it cannot be read, or built.
        NetworkError: a registry or a repository cannot be reached, or refuses.
    """
    where = loaded.where("base")
    try:
        return replace(_open_base(loaded, platforms, values), where=where)
    except ImagistError as error:
        raise error.placed(where) from None


def _open_base(
    loaded: LoadedProject, platforms: Sequence[Platform], values: argparse.Namespace
) -> OpenBase:
    base = values.base or loaded.project.base
    if base == SCRATCH:
        from imagist.lastmile.scratch import empty_base

        return OpenBase(base, empty_base(platforms))
    if values.base:
        return _open(values.base, values.base, platforms, values)
    if isinstance(base, Declaration):
        assert loaded.place is not None  # noqa: S101 - it was written somewhere
        from imagist.declaration.include import LoadedDeclaration

        place = loaded.place.find("base")
        inline = LoadedDeclaration(base, loaded.files, place)
        return OpenBase(f"`base` of {place.file}", _build(place.file, platforms, values, inline))
    if not base:
        from imagist.lastmile.defaultbase import default_base

        declared = default_base()
        name = declared.files[0].path
        try:
            return OpenBase(name, _build(name, platforms, values, declared))
        except ImagistError as error:
            raise type(error)([*error.problems, _NO_DEFAULT]) from None
    if loaded.base_kind == "registry":
        return OpenBase(base, open_image(base, values), _reference(base))
    return _open(str(Path(values.thing) / base), base, platforms, values)


def _open(
    path: str, name: str, platforms: Sequence[Platform], values: argparse.Namespace
) -> OpenBase:
    """What a word of the command line names, or a path of the project."""
    if path.endswith(DECLARED):
        return OpenBase(name, _build(path, platforms, values))
    return OpenBase(name, open_image(path, values), _reference(path))


def _reference(name: str) -> Reference | None:
    """What of a base's name means something elsewhere: a reference in a registry."""
    return read_reference(name) if is_remote_name(name) and not Path(name).exists() else None


def _build(
    name: str,
    platforms: Sequence[Platform],
    values: argparse.Namespace,
    declared: LoadedDeclaration | None = None,
) -> Image | Index:
    """The image of a declaration, from memory where nothing changed."""
    from imagist.cli.delivery import Destination
    from imagist.cli.work import Work

    own = argparse.Namespace(**vars(values))
    own.thing, own.tag, own.annotation = name, [], []
    own.base = own.lock = own.output = ""
    own.platform = list(map(str, platforms))
    work = Work(own, Destination(), declared)
    # Of a base that did not change everything was said before.
    return work.recall(warn=False) or work.build()
