"""Slices of packages: read from chisel's releases, and packages cut to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from imagist.build.context import Context
from imagist.declaration.include import LoadedDeclaration
from imagist.declaration.model import Slices
from imagist.errors import ImagistError, NotFound, Problem, RequestError
from imagist.oci.platform import Platform
from imagist.packages.deb.archive import DebFiles
from imagist.packages.deb.dependency import NAME
from imagist.packages.deb.slices import Slice, choose_slices, cut_to_slices, parse_slices

_LARGEST = 4 << 20


def read_slices(
    declared: Slices | None,
    platforms: Iterable[Platform],
    context: Context,
    loaded: LoadedDeclaration,
) -> dict[Platform, tuple[Slice, ...]]:
    """The slices that are asked for and those they need, for each platform.

    Raises:
        NotFound: there is no such release, or a package has no slices in it.
        RequestError: a definition is not understood, or names what is not there.
    """
    if declared is None or not declared.use:
        return {}
    where = loaded.span_of("contents.slices")
    problems = [
        Problem(
            f"`{name}` is no slice", where, f"write PACKAGE_SLICE, as in {name or 'libc6'}_libs"
        )
        for name in declared.use
        if not all(name.partition("_"))
    ]
    if problems:
        raise RequestError(problems)
    try:
        return {platform: _read(declared, platform, context) for platform in platforms}
    except ImagistError as error:
        raise error.placed(where) from None


def _read(declared: Slices, platform: Platform, context: Context) -> tuple[Slice, ...]:
    known: dict[str, Slice] = {}
    waiting = [name.partition("_")[0] for name in declared.use]
    seen: set[str] = set()
    arch = platform.deb
    while waiting:
        package = waiting.pop()
        if package in seen:
            continue
        seen.add(package)
        for each in parse_slices(*_open(declared.release, package, context), arch):
            known[str(each)] = each
            waiting += [name.partition("_")[0] for name in each.essential]
    return tuple(choose_slices(known, declared.use))


def _open(release: str, package: str, context: Context) -> tuple[bytes, str]:
    """The definition of a package's slices, and its path."""
    if not NAME.fullmatch(package):
        raise RequestError(
            f"`{package}` is no name of a package that could have slices",
            help="slices are named PACKAGE_SLICE, such as `python3.13_standard`",
        )
    path = str(Path(release, "slices", f"{package}.yaml"))
    data = context.reader.read(path, limit=_LARGEST, optional=True)
    if data is None and not Path(release).is_dir():
        raise NotFound(
            f"there is no folder {release}", help="name the folder that has chisel's `slices`"
        )
    if data is None:
        raise NotFound(
            f"{release} has no slices of {package}",
            help=f"they would be in {path}; leave it whole, under `packages`",
        )
    return data, path


def cut_packages(packages: Sequence[DebFiles], slices: Sequence[Slice]) -> list[DebFiles]:
    """Packages with nothing but their slices; those that have none stay whole."""
    by_package: dict[str, list[Slice]] = {}
    for each in slices:
        by_package.setdefault(each.package, []).append(each)
    return [
        cut_to_slices(files, by_package[files.package.name])
        if files.package.name in by_package
        else files
        for files in packages
    ]
