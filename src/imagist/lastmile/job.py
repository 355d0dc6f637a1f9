"""What all projects share: what a job is given, its bases, and what of the project is its own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from imagist.build.assemble import BuiltLayer
from imagist.declaration.projectfile import LoadedProject
from imagist.errors import NotFound
from imagist.lastmile.binary import check_binary, check_loader, choose_binary
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.lastmile.files import FileRule, write_files
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.program import is_in_base
from imagist.lastmile.projectimage import SOURCE_FOLDER, compose_image
from imagist.net.environment import Environment
from imagist.net.transport import Transport
from imagist.oci import derive
from imagist.oci.derive import BlobLayer
from imagist.oci.image import Image, Index
from imagist.oci.mutate import make_index
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


class Job(NamedTuple):
    """One project that becomes an image."""

    loaded: LoadedProject
    """What it says."""
    folder: Path
    base: OpenBase
    tools: Tools
    table: FileTable
    """Of the files in the folder."""
    created: int | None = None
    """SOURCE_DATE_EPOCH; where None, files are of 1970, and images as old as the base."""

    @property
    def mtime(self) -> int:
        """The time of files, in seconds since 1970."""
        return self.created or 0


def compose_images(
    job: Job,
    bases: Mapping[Platform, Image],
    environment: Callable[[Platform, Image], Sequence[BuiltLayer]],
) -> Index:
    """The image for every platform: its base, its environment, and what is the project's own.

    Args:
        job: the project.
        bases: by the platforms that are wanted.
        environment: gives the layers between a base and the project's files.

    Raises:
        RequestError: a platform has no program.
        NotFound: a file is not there.
        InputError: a program is for another machine, or needs what the base has not.
    """
    own = _write_own_layers(job)
    images: list[tuple[Platform | None, Image | Index]] = []
    for platform, image in bases.items():
        layers = [*environment(platform, image), *own, *_write_binary(job, platform, image)]
        made = compose_image(image, job.base.reference, layers, job.loaded, created=job.created)
        images.append((derive.platform(made), made))
    job.table.keep()
    return make_index(images, annotations=job.loaded.project.annotations)


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


def wanted_platforms(loaded: LoadedProject) -> tuple[Platform, ...]:
    """The platforms that a project names: as such, or as those that it has programs for."""
    project = loaded.project
    return tuple(map(parse_platform, project.platforms or project.binary))


def _write_own_layers(job: Job) -> list[BuiltLayer]:
    """The files that the project adds, and its source where it is copied; the same everywhere."""
    loaded, folder, tools = job.loaded, job.folder, job.tools
    project = loaded.project
    rules = [
        FileRule(
            str(folder / file.source),
            file.path,
            file.uid,
            file.gid,
            file.permissions,
            mtime=job.mtime,
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
        layers.append(BuiltLayer(_write(job, rules), "imagist: files of the project"))
    if loaded.mode == "source":
        patterns = (*project.ignore, *own_writings(folder, tools))
        source = FileRule(str(folder), SOURCE_FOLDER, mtime=job.mtime, patterns=patterns)
        layers.append(BuiltLayer(_write(job, [source]), "imagist: source of the project"))
    return layers


def _write_binary(job: Job, platform: Platform, image: Image) -> list[BuiltLayer]:
    """The program that was built elsewhere for a platform; nothing where none is declared."""
    loaded, tools = job.loaded, job.tools
    binaries = loaded.project.binary
    if not binaries:
        return []
    path = str(job.folder / choose_binary(binaries, platform))
    linkage = check_binary(path, platform)
    if linkage.interpreter:
        memo = tools.store.memo

        def is_there(place: str) -> bool:
            return is_in_base(f"/{place}", image, platform, memo, jobs=tools.jobs)

        check_loader(path, linkage, is_there)
    rule = FileRule(path, loaded.binary_path, mode=0o755, mtime=job.mtime)
    name = posixpath.basename(loaded.binary_path)
    return [BuiltLayer(_write(job, [rule]), f"imagist: {name}")]


def _write(job: Job, rules: Sequence[FileRule]) -> BlobLayer:
    return write_files(job.tools.store, rules, table=job.table, meter=job.tools.meter)


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
