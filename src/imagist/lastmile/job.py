"""What the jobs of all projects share: their tools, their bases, and the project's own files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from imagist.build.assemble import BuiltLayer
from imagist.declaration.projectfile import LoadedProject
from imagist.errors import NotFound
from imagist.inspection.python import view_base
from imagist.lastmile.binary import check_binary, check_loader, choose_binary
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.lastmile.files import FileRule, write_files
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.projectimage import SOURCE_FOLDER
from imagist.net.environment import Environment
from imagist.net.transport import Transport
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.platform import Platform, parse_platform
from imagist.oci.reference import Reference
from imagist.progress import SILENT, Meter
from imagist.store.store import Store

_SPECIAL: Final = re.compile(r"[*?\[\\!#]")
"""What means something in a line of an ignore file."""


class Tools(NamedTuple):
    """What a job works with."""

    store: Store
    environment: Environment
    connect: Callable[[Environment], Transport]
    """Makes the transport for packages."""
    environments: BuildEnvironments
    """Of build backends."""
    offline: bool = False
    jobs: int = 8
    meter: Meter = SILENT
    warn: Callable[[str], object] = lambda _: None
    output: str = ""
    """Where the image is written, if that may be in the project."""


class OpenBase(NamedTuple):
    """A base image as it was found."""

    name: str
    """As messages call it."""
    thing: Image | Index
    reference: Reference | None = None
    """Where others find it, if it is in a registry."""


def choose_bases(
    base: OpenBase, platforms: Sequence[Platform], machines: Collection[str] | None = None
) -> dict[Platform, Image]:
    """The images of a base for some platforms; for all that it has where none are named.

    Args:
        base: where to choose.
        platforms: those that are wanted.
        machines: architectures that can be wanted; None for any.

    Raises:
        NotFound: the base has none for a platform.
    """
    thing = base.thing
    found = derive.images(thing) if isinstance(thing, Index) else [(derive.platform(thing), thing)]
    if machines is not None:
        found = [(p, image) for p, image in found if _arch(p) in machines]
    known = {(p.os, _arch(p)): image for p, image in found if p.os == "linux"}
    wanted = platforms or [parse_platform(f"{os}/{arch}") for os, arch in known]
    missing = [p for p in wanted if (p.os, _arch(p)) not in known]
    if missing or not wanted:
        have = ", ".join(f"{os}/{arch}" for os, arch in known) or "none that will do"
        lacking = ", ".join(map(str, missing)) or "linux"
        raise NotFound(
            f"the base {base.name} has nothing for {lacking}; it has {have}",
            help=f"build for what it has: --platform {have.replace(', ', ',')}"
            if known
            else "name another base",
        )
    return {platform: known[platform.os, _arch(platform)] for platform in wanted}


def _arch(platform: Platform) -> str:
    """The architecture with the variant that is meant where none is said."""
    return {"arm": "arm/v7", "arm64/v8": "arm64"}.get(platform.arch, platform.arch)


def write_own_layers(
    loaded: LoadedProject, folder: Path, tools: Tools, table: FileTable, mtime: int
) -> list[BuiltLayer]:
    """The files that the project adds, and its source where it is copied; the same everywhere."""
    project = loaded.project
    rules = [
        FileRule(
            str(folder / file.source),
            file.path,
            file.uid,
            file.gid,
            file.permissions,
            mtime=mtime,
            capabilities=file.capabilities,
            patterns=(
                *_patterns(file.include, file.exclude),
                *project.ignore,
                *own_writings(folder / file.source, tools),
            ),
        )
        for file in project.files
    ]
    layers = []
    if rules:
        layer = write_files(tools.store, rules, table=table, meter=tools.meter)
        layers.append(BuiltLayer(layer, "imagist: files of the project"))
    if loaded.mode == "source":
        patterns = (*project.ignore, *own_writings(folder, tools))
        source = FileRule(str(folder), SOURCE_FOLDER, mtime=mtime, patterns=patterns)
        layer = write_files(tools.store, [source], table=table, meter=tools.meter)
        layers.append(BuiltLayer(layer, "imagist: source of the project"))
    return layers


def write_binary_layer(
    loaded: LoadedProject,
    folder: Path,
    image: Image,
    platform: Platform,
    tools: Tools,
    table: FileTable,
    mtime: int,
) -> list[BuiltLayer]:
    """The program that was built elsewhere for a platform; nothing where none is declared.

    Raises:
        RequestError: none is for the platform.
        NotFound: it is not there.
        InputError: it is for another machine, or needs what the base has not.
    """
    binaries = loaded.project.binary
    if not binaries:
        return []
    path = str(folder / choose_binary(binaries, platform))
    linkage = check_binary(path, platform)
    if linkage.interpreter:
        tree = view_base(image, "the base", platform, jobs=tools.jobs).tree
        check_loader(path, linkage, lambda place: tree.find(place) is not None)
    rule = FileRule(path, loaded.binary_path, mode=0o755, mtime=mtime)
    layer = write_files(tools.store, [rule], table=table, meter=tools.meter)
    return [BuiltLayer(layer, f"imagist: {posixpath.basename(loaded.binary_path)}")]


def own_writings(folder: Path, tools: Tools) -> tuple[str, ...]:
    """Lines of an ignore file for what this build writes below a folder: no image has itself."""
    places = [tools.store.root, *([Path(tools.output)] if tools.output else [])]
    root = folder.resolve()
    below = [path for place in places if root in (path := place.resolve()).parents]
    return tuple(_SPECIAL.sub(r"\\\g<0>", str(path.relative_to(root))) for path in below)


def _patterns(include: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """Lines of an ignore file that leave out what is not included."""
    taken = ["**", *(f"!{pattern}" for pattern in include)] if include else []
    return [*taken, *exclude]
