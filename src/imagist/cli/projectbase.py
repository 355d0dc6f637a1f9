"""The image that a project is built on: declared beside it or in it, or taken from anywhere."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from imagist.cli.images import open_image, read_reference
from imagist.declaration.model import Declaration
from imagist.declaration.projectfile import DECLARED, SCRATCH, LoadedProject
from imagist.errors import ImagistError, Problem, RequestError
from imagist.lastmile.job import OpenBase
from imagist.oci.platform import Platform
from imagist.oci.reference import Reference, is_remote_name

if TYPE_CHECKING:
    from imagist.declaration.include import LoadedDeclaration

_NO_DEFAULT: Final = Problem(
    "so the default base, a Debian with Python, cannot be made here",
    help="name another: --base host/repository:tag, or `base` in [tool.imagist]",
)
"""What is added to the problems of a base that nobody asked for by name."""


class DeclaredBase(msgspec.Struct, frozen=True):
    """A base that is built of a declaration."""

    name: str
    """As messages call it."""
    path: str
    """Of the file with the declaration."""
    declared: LoadedDeclaration | None = None
    """What is declared, where the file has more than that, or there is none."""


def check_flags(loaded: LoadedProject, values: argparse.Namespace) -> None:
    """Refuse flags that would change nothing of an image, or make it one that cannot be built.

    Raises:
        RequestError: there are such flags; or there is no base, nor what the default one is for.
    """
    problems = missing_base(loaded, values.base)
    if values.format == "erofs":
        advice = "leave out --format erofs"
        problems.append(Problem("a project's image is made of tar layers", None, advice))
    if not _is_declared(loaded, values):
        base = values.base or loaded.project.base
        advice = "name a base that is declared: an image's YAML file with `contents`"
        what = f"is for bases that are made of packages, and {base} is an image"
        if values.package_append:
            problems.append(Problem(f"--package-append {what}", None, advice))
        if loaded.project.packages:
            problems.append(Problem(f"`packages` {what}", loaded.where("packages"), advice))
    if problems:
        raise RequestError(problems)


def missing_base(loaded: LoadedProject, named: str) -> list[Problem]:
    """What is wrong where nothing says what files and programs go on: Python is not for them."""
    project = loaded.project
    is_wanted = loaded.is_python or not (project.files or project.binary)
    if named or project.base or is_wanted:
        return []
    scratch, own = loaded.setting("base", "scratch"), loaded.setting("base", "base.yaml")
    advice = (
        f"for static programs, and for files alone, write {scratch}; else name an image, or a "
        f"Debian to be made: {own}, and into that file\n"
        "    contents: {repositories: [deb], packages: [libc6, ca-certificates]}\n"
        "    archs: [amd64, arm64]"
    )
    where = loaded.place.span if loaded.place else None
    return [Problem("nothing says what the image is built on", where, advice)]


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
        base = find_declared(loaded, values.base, values.thing)
        if base is not None:
            return replace(_build(base, loaded, platforms, values), where=where)
        return replace(_open_image(loaded, platforms, values), where=where)
    except ImagistError as error:
        raise error.placed(where) from None


def find_declared(loaded: LoadedProject, named: str, folder: str) -> DeclaredBase | None:
    """The declaration that a project's base is built of; None where the base is an image.

    Args:
        loaded: the project.
        named: the base that the command line names.
        folder: of the project.
    """
    base = named or loaded.project.base
    if isinstance(base, Declaration):
        assert loaded.place is not None  # noqa: S101 - it was written somewhere
        from imagist.declaration.include import LoadedDeclaration

        place = loaded.place.find("base")
        inline = LoadedDeclaration(base, loaded.files, place)
        return DeclaredBase(f"`base` of {place.file}", place.file, inline)
    if not base:
        from imagist.lastmile.defaultbase import NAME, default_base

        return DeclaredBase(NAME, NAME, default_base())
    if base.endswith(DECLARED):
        return DeclaredBase(base, base if named else str(Path(folder) / base))
    return None


def _open_image(
    loaded: LoadedProject, platforms: Sequence[Platform], values: argparse.Namespace
) -> OpenBase:
    """A base that is there: what a word of the command line names, or the project does."""
    name = str(values.base or loaded.project.base)
    if name == SCRATCH:
        from imagist.lastmile.scratch import empty_base

        return OpenBase(name, empty_base(platforms))
    is_path = not values.base and loaded.base_kind == "layout"
    path = str(Path(values.thing) / name) if is_path else name
    return OpenBase(name, open_image(path, values), _reference(path))


def _reference(name: str) -> Reference | None:
    """What of a base's name means something elsewhere: a reference in a registry."""
    return read_reference(name) if is_remote_name(name) and not Path(name).exists() else None


def _build(
    base: DeclaredBase,
    loaded: LoadedProject,
    platforms: Sequence[Platform],
    values: argparse.Namespace,
) -> OpenBase:
    """The image of a declaration, from memory where nothing changed."""
    from imagist.cli.delivery import Destination
    from imagist.cli.work import Work

    own = argparse.Namespace(**vars(values))
    own.thing, own.tag, own.annotation = base.path, [], []
    own.base = own.lock = own.output = ""
    own.package_append = [*values.package_append, *loaded.project.packages]
    own.platform = list(map(str, platforms))
    work = Work(own, Destination(), base.declared)
    try:
        # Of a base that did not change everything was said before.
        return OpenBase(base.name, work.recall(warn=False) or work.build(), is_declared=True)
    except ImagistError as error:
        raise _explain(error, loaded, values) from None


def _explain(
    error: ImagistError, loaded: LoadedProject, values: argparse.Namespace
) -> ImagistError:
    """Say of what cannot be built where the project asks for it, if it is that."""
    keys = {f"`{name}`": f"packages[{i}]" for i, name in enumerate(loaded.project.packages)}
    problems = []
    for problem in error.problems:
        key = next((key for name, key in keys.items() if name in problem.message), "")
        problems.append(replace(problem, where=loaded.span_of(key)) if key else problem)
    is_named = values.base or loaded.project.base or problems != list(error.problems)
    return type(error)(problems if is_named else [*problems, _NO_DEFAULT])
