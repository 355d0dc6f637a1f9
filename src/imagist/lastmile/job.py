"""What all projects share: what a job is given, its bases, and what of the project is its own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from imagist.build.assemble import BuiltLayer
from imagist.declaration.projectfile import LoadedProject
from imagist.errors import InputError, NotFound, RequestError, Span
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.lastmile.files import FileRule, place_files, write_placed
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.program import Above, check_program, has_file
from imagist.lastmile.projectimage import SOURCE_FOLDER, compose_image
from imagist.net.environment import Environment
from imagist.net.transport import Transport
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.manifest import RunConfig
from imagist.oci.mutate import make_index
from imagist.oci.platform import Platform, parse_platform
from imagist.oci.rebase import note_base
from imagist.oci.reference import Reference
from imagist.packages.wheel.target import Target
from imagist.progress import SILENT, Meter
from imagist.rootfs.entry import Entry
from imagist.store.store import Store

if TYPE_CHECKING:
    from imagist.lastmile.wheels import WheelLayer

_SPECIAL: Final = r"[*?\[\\!#]"
"""What means something in a line of an ignore file."""


class Tools(msgspec.Struct, frozen=True):
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
    tell: Callable[[str], object] = lambda _: None
    """Takes what only few want to know."""
    output: str = ""
    """Where the image is written, if that may be in the project."""


class OpenBase(msgspec.Struct, frozen=True):
    """A base image as it was found."""

    name: str
    """As messages call it."""
    thing: Image | Index
    reference: Reference | None = None
    """Where others find it, if it is in a registry."""
    where: Span | str | None = None
    """Where it is said, if it is."""
    is_declared: bool = False
    """Whether it was built of a declaration, to which `packages` of the project adds."""

    def state(self, image: Image) -> Mapping[str, str]:
        """The annotations by which what stands on its image for a platform says so."""
        empty = not image.layers  # `scratch`, which is no image
        return {} if empty else note_base(image, self.thing, self.reference)


class Job(msgspec.Struct, frozen=True):
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

    @property
    def adding(self) -> Callable[[str], str] | None:
        """Says how a package is added to the base; None where the base is no declared one."""
        return self.loaded.adding if self.base.is_declared else None


class Between(msgspec.Struct, frozen=True):
    """What goes between a base and the project's files."""

    layers: Sequence[BuiltLayer] = ()
    wheel_layers: Sequence[WheelLayer] = ()
    """Those of the layers that are of wheels."""
    target: Target | None = None


class _Own(msgspec.Struct, frozen=True):
    """A layer of the project's own files."""

    layer: BuiltLayer
    entries: list[Entry]


def compose_images(
    job: Job,
    bases: Mapping[Platform, Image],
    environment: Callable[[Platform, Image], Between],
) -> Index:
    """The image for every platform: its base, its environment, and what is the project's own.

    Args:
        job: the project.
        bases: by the platforms that are wanted.
        environment: gives what goes between a base and the project's files.

    Raises:
        RequestError: a platform has no program, or a container could not start.
        NotFound: a file is not there.
        InputError: a program is for another machine, or needs what the base has not.
    """
    tools = job.tools
    own = _write_own_layers(job)
    images: list[tuple[Platform | None, Image | Index]] = []
    for platform, image in bases.items():
        _check_account(job, platform, image, own)
        between = environment(platform, image)
        all_own = [*own, *_write_binary(job, platform, image)]
        above = Above(
            [e for each in all_own for e in each.entries], between.wheel_layers, between.target
        )
        memo = tools.store.memo
        for said in check_program(job.loaded, image, platform, above, memo, jobs=tools.jobs):
            tools.warn(said)
        layers = [*between.layers, *(each.layer for each in all_own)]
        made = compose_image(image, job.base.state(image), layers, job.loaded, created=job.created)
        _tell_idle(job, made)
        _tell_literals(job, image)
        images.append((derive.platform(made), made))
    job.table.keep()
    return make_index(images, annotations=job.loaded.project.annotations)


def _tell_idle(job: Job, image: Image) -> None:
    """Say of an image that a runtime will not know what to do with it."""
    run = derive.config(image).config
    if run is None or not (run.entrypoint or run.cmd):
        said = job.loaded.setting("entrypoint", "PROGRAM")
        job.tools.warn(
            "the image says nothing of what a container runs: whoever starts one must. "
            f"Write {said} if there is something to run"
        )


def _tell_literals(job: Job, image: Image) -> None:
    """Say of a command what nobody will replace in it."""
    entrypoint, command = job.loaded.command()
    if any("$" in word for word in (*entrypoint, *command)):
        from imagist.lastmile.literal import tell_literals  # noqa: PLC0415 - few write such

        run = derive.config(image).config or RunConfig()
        for said in tell_literals(job.loaded, run, job.adding):
            job.tools.warn(said)


def _check_account(job: Job, platform: Platform, image: Image, own: Sequence[_Own]) -> None:
    """See that the base knows who runs a container, unless the project brings accounts."""
    user, tools = job.loaded.project.user, job.tools
    if user and not any(e.path == "etc/passwd" for each in own for e in each.entries):
        from imagist.lastmile.account import check_account  # noqa: PLC0415 - often nobody special

        where, memo = job.loaded.where("user"), tools.store.memo
        said = check_account(user, image, platform, memo, where=where, jobs=tools.jobs)
        if said:
            tools.warn(said)


def choose_bases(
    base: OpenBase,
    platforms: Sequence[Platform],
    machines: Collection[str] | None = None,
    *,
    where: Span | str | None = None,
) -> dict[Platform, Image]:
    """The images of a base for some platforms; for all that it has where none are named.

    Args:
        base: where to choose.
        platforms: those that are wanted.
        machines: architectures that can be wanted; None for any.
        where: the place of those that are wanted.

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
            where=where or base.where,
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


def _write_own_layers(job: Job) -> list[_Own]:
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
        layers.append(_write(job, rules, "files of the project", "files"))
    if loaded.mode == "source":
        patterns = (*project.ignore, *own_writings(folder, tools))
        source = FileRule(str(folder), SOURCE_FOLDER, mtime=job.mtime, patterns=patterns)
        layers.append(_write(job, [source], "source of the project", "ignore"))
    return layers


def _write_binary(job: Job, platform: Platform, image: Image) -> list[_Own]:
    """The program that was built elsewhere for a platform; nothing where none is declared."""
    loaded, tools = job.loaded, job.tools
    binaries = loaded.project.binary
    if not binaries:
        return []
    from imagist.lastmile.binary import (  # noqa: PLC0415 - few bring one
        check_binary,
        check_loader,
        choose_binary,
    )

    try:
        key = choose_binary(binaries, platform)
    except RequestError as error:
        raise error.placed(loaded.where("platforms") or loaded.span_of("binary")) from None
    path = str(job.folder / binaries[key])
    try:
        linkage = check_binary(path, platform)
        if linkage.interpreter:
            memo = tools.store.memo
            check_loader(
                path,
                linkage,
                lambda file: has_file(file, image, platform, memo, jobs=tools.jobs),
                job.adding,
            )
    except InputError as error:
        raise error.placed(loaded.span_of(f"binary.{key}") or key) from None
    rule = FileRule(path, loaded.binary_path, mode=0o755, mtime=job.mtime)
    return [_write(job, [rule], posixpath.basename(loaded.binary_path), "binary")]


def _write(job: Job, rules: Sequence[FileRule], what: str, key: str) -> _Own:
    """The layer of some rules, which a key of the project asks for."""
    placed = place_files(rules)
    try:
        layer = write_placed(job.tools.store, placed, table=job.table, meter=job.tools.meter)
    except InputError as error:
        raise error.placed(job.loaded.where(key)) from None
    return _Own(BuiltLayer(layer, f"imagist: {what}"), [each.entry for each in placed])


def own_writings(folder: Path, tools: Tools) -> tuple[str, ...]:
    """Lines of an ignore file for what this build writes below a folder: no image has itself."""
    places = [tools.store.root, *([Path(tools.output)] if tools.output else [])]
    root = folder.resolve()
    below = [path for place in places if root in (path := place.resolve()).parents]
    return tuple(re.sub(_SPECIAL, r"\\\g<0>", str(path.relative_to(root))) for path in below)


def _patterns(include: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """Lines of an ignore file that leave out what is not included."""
    taken = ["**", *(f"!{pattern}" for pattern in include)] if include else []
    return [*taken, *exclude]
