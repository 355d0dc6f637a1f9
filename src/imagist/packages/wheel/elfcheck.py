"""Whether compiled files of wheels will load: their machine, and the libraries they need.

What fails here would fail at the first import in production. A library is found if the wheel has
it, if another wheel has it and the file says where to look (RUNPATH), or if the base has it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from imagist.errors import InputError, Problem
from imagist.packages.wheel.facts import ObjectFact, WheelFacts

_LOADERS: Final = ("ld-linux", "ld64.so", "ld.so", "libc.musl-", "ld-musl-")
"""How names of the dynamic loader itself begin; whatever runs Python has it."""
_HINTS: Final = {
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libgomp.so.1": "libgomp1",
    "libz.so.1": "zlib1g",
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgfortran.so.5": "libgfortran5",
    "libexpat.so.1": "libexpat1",
    "libffi.so.8": "libffi8",
    "libpq.so.5": "libpq5",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libxcb.so.1": "libxcb1",
    "libEGL.so.1": "libegl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libgobject-2.0.so.0": "libglib2.0-0",
    "libasound.so.2": "libasound2",
    "libodbc.so.2": "libodbc2",
}
"""The Debian package of libraries that are missing most often."""


def check_objects(
    wheels: Sequence[WheelFacts],
    architecture: str,
    provided: Collection[str] | None,
    adding: Callable[[str], str] | None = None,
) -> list[str]:
    """Check every ELF file of some wheels.

    Args:
        wheels: everything in the environment.
        architecture: what the image is for, as OCI names it: `amd64`, `arm` ...
        provided: sonames (and file names) of libraries that the base has; None where nobody
            knows, and only machines are checked.
        adding: says how a package is added to the base, where that can be said.

    Returns:
        Warnings: files that load only if something loads their libraries before them.

    Raises:
        InputError: a file is for another machine, or needs a library that nobody has; all are
            told, one problem for each wheel and library.
    """
    problems = [*_foreign(wheels, architecture)]
    if provided is None:
        if problems:
            raise InputError(problems)
        return []
    places = _find_places(wheels)
    warnings: list[str] = []
    for wheel in wheels:
        missing: dict[str, list[str]] = {}
        for item in wheel.objects:
            if not item.linkage.runs_on(architecture):
                continue
            for name in item.linkage.needed:
                if name in provided or name.startswith(_LOADERS) or _reaches(item, name, places):
                    continue
                missing.setdefault(name, []).append(item.path)
        for name, paths in missing.items():
            if name in places:
                owner = places[name][0][0]
                warnings.append(
                    f"/{paths[0]} of {wheel} needs {name}, which {owner} has, but does not say "
                    "where: it loads only after what loads that"
                )
            else:
                problems.append(_missing(wheel, name, paths, adding))
    if problems:
        raise InputError(problems)
    return warnings


def check_lookups(
    wheels: Iterable[WheelFacts],
    provided: Collection[str],
    adding: Callable[[str], str] | None = None,
) -> list[str]:
    """Warnings about libraries of a base that modules look for by name, and will not find.

    `ctypes.util.find_library` asks programs that a small base has not. Names that the base has no
    library of may be those of other systems; and who gets none for `c` opens the program itself,
    which has it.

    Args:
        wheels: everything in the environment.
        provided: file names of libraries that the base has, and those programs not.
        adding: says how a package is added to the base, where that can be said.
    """
    how = f": {adding('libc-bin')}" if adding else ""
    return [
        f"{wheel} looks for {found} by `ctypes.util.find_library`, which finds nothing without "
        f"ldconfig: add the package that has it to the base (Debian: libc-bin){how}"
        for wheel in wheels
        for name in wheel.lookups
        if name != "c"
        for found in sorted(each for each in provided if each.startswith(f"lib{name}.so"))[:1]
    ]


def _foreign(wheels: Iterable[WheelFacts], architecture: str) -> Iterable[Problem]:
    for wheel in wheels:
        foreign = [item for item in wheel.objects if not item.linkage.runs_on(architecture)]
        # Some carry files for many machines and choose at run time; then one that fits is enough.
        fits = len(foreign) < len(wheel.objects)
        if foreign and not fits:
            found = ", ".join(sorted({item.linkage.architecture for item in foreign}))
            yield Problem(
                f"{wheel} is compiled for {found}, not for {architecture}: /{foreign[0].path}",
                help="the wheel's name promises something else than it has; tell its publisher",
            )


def _find_places(wheels: Iterable[WheelFacts]) -> Mapping[str, list[tuple[WheelFacts, str]]]:
    """Libraries of the wheels: by soname and by file name, with owner and folder."""
    places: dict[str, list[tuple[WheelFacts, str]]] = {}
    for wheel in wheels:
        for item in wheel.objects:
            folder, name = posixpath.split(item.path)
            for each in {item.linkage.soname, name} - {""}:
                places.setdefault(each, []).append((wheel, folder))
    return places


def _reaches(
    item: ObjectFact, name: str, places: Mapping[str, list[tuple[WheelFacts, str]]]
) -> bool:
    """Whether a file finds a library of a wheel by the folders that it names itself.

    What lies beside it is found, too: whatever loaded the one by its RPATH finds the other there.
    """
    if name not in places:
        return False
    origin = posixpath.dirname(item.path)
    folders = {origin} | {
        posixpath.normpath(
            path.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", f"/{origin}")
        ).strip("/")
        for path in item.linkage.runpath
    }
    return any(folder in folders for _, folder in places[name])


def _missing(
    wheel: WheelFacts, name: str, paths: Sequence[str], adding: Callable[[str], str] | None
) -> Problem:
    package = _HINTS.get(name, "")
    hint = f" (Debian: {package})" if package else ""
    how = f": {adding(package or '...')}" if adding else ", or take a base that has it"
    more = f" and {len(paths) - 1} more files" if len(paths) > 1 else ""
    return Problem(
        f"{wheel} needs {name}, which neither a wheel nor the base has: /{paths[0]}{more}",
        help=f"add the package that has it to the base{hint}{how}",
    )
