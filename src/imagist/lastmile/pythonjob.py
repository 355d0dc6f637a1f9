"""From a Python project and a base to an image for every platform; the job, a page long."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from imagist.declaration.projectfile import LoadedProject
from imagist.errors import NotFound
from imagist.inspection.python import PythonBase, look_for_python
from imagist.lastmile.backend import Options
from imagist.lastmile.environment import Base, Environment, build_environment
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.job import (
    OpenBase,
    Tools,
    choose_bases,
    own_writings,
    write_binary_layer,
    write_own_layers,
)
from imagist.lastmile.program import misses_program
from imagist.lastmile.project import build_project, check_fits
from imagist.lastmile.projectimage import compose_image
from imagist.lastmile.sources import SourceBuilder
from imagist.lastmile.wheels import Wheel
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.mutate import make_index
from imagist.oci.platform import Platform, parse_platform
from imagist.packages.wheel.choose import Choice
from imagist.packages.wheel.gather import Gathered, Request, find_project_lock, gather_wheels
from imagist.packages.wheel.lock.model import normalize
from imagist.packages.wheel.target import MACHINES, Target, Wishes

_NAME: Final = re.compile(r"[\w.-]+")


def build_python(
    loaded: LoadedProject,
    folder: Path,
    base: OpenBase,
    tools: Tools,
    *,
    platforms: Sequence[Platform] = (),
    created: int | None = None,
) -> Index:
    """Build the image of a Python project for every platform.

    Args:
        loaded: what the project says.
        folder: of the project.
        base: what it is built on.
        tools: what is worked with.
        platforms: instead of those that the project names.
        created: SOURCE_DATE_EPOCH; where None, files are of 1970, and images as old as the base.

    Raises:
        RequestError: the project, its lock and the base do not go together; all of it at once.
        InputError: something is missing, damaged or hostile.
        NetworkError: an index cannot be reached or refuses.
    """
    check_python(loaded, folder)
    wanted = platforms or tuple(map(parse_platform, loaded.project.platforms))
    bases = choose_bases(base, wanted, MACHINES)
    seen = {
        platform: _look(loaded, image, base.name, platform, tools)
        for platform, image in bases.items()
    }
    targets = [each.target for each in seen.values()]
    gathered = _gather(loaded, folder, targets, tools)
    mtime = created or 0
    options = Options(mtime=mtime, offline=tools.offline)
    table = FileTable(tools.store, folder)
    project = None
    if loaded.mode == "wheel":
        unseen = options._replace(ignore=(*own_writings(folder, tools), *loaded.project.ignore))
        project = build_project(folder, tools.store, tools.environments, table, unseen)
    own = write_own_layers(loaded, folder, tools, table, mtime)
    builder = SourceBuilder(tools.store, tools.environments, gathered, options)
    names = _requested(loaded)
    images: list[tuple[Platform | None, Image | Index]] = []
    for platform, image in bases.items():
        target = seen[platform].target
        if project is not None:
            check_fits(project, target)
        wheels = [
            builder.wheel(choice, target, requested=choice.package.name in names)
            for choice in gathered.choices[target]
            if not _is_project(choice, loaded)
        ]
        made = _environment(loaded, wheels, project, seen[platform], gathered, tools, mtime)
        missed = misses_program(
            loaded, made.wheels, image, platform, tools.store.memo, jobs=tools.jobs
        )
        for warning in filter(None, [*made.warnings, missed]):
            tools.warn(warning)
        layers = [*made.layers, *own]
        layers += write_binary_layer(loaded, folder, image, platform, tools, table, mtime)
        built = compose_image(image, base.reference, layers, loaded, created=created)
        images.append((derive.platform(built), built))
    table.keep()
    return make_index(images, annotations=loaded.project.annotations)


def check_python(loaded: LoadedProject, folder: Path) -> None:
    """Find out what can be known before any work: something is run, and a lock is there.

    Raises:
        RequestError: nothing says what a container runs.
        NotFound: there is no lock.
    """
    loaded.command()
    if _needs_lock(loaded):
        find_project_lock(_request(loaded, folder))


def _look(
    loaded: LoadedProject, image: Image, name: str, platform: Platform, tools: Tools
) -> PythonBase:
    project = loaded.project
    wishes = Wishes(project.python, project.libc, project.interpreter)
    return look_for_python(
        image,
        name,
        platform,
        wishes=wishes,
        prefix=project.prefix,
        memo=tools.store.memo,
        jobs=tools.jobs,
    )


def _gather(
    loaded: LoadedProject, folder: Path, targets: Sequence[Target], tools: Tools
) -> Gathered:
    request = _request(loaded, folder)
    if not _needs_lock(loaded) and not _has_lock(request):
        return Gathered(folder / "pyproject.toml", {target: [] for target in targets})
    return gather_wheels(
        request,
        targets,
        tools.store,
        tools.environment,
        tools.connect,
        offline=tools.offline,
        jobs=tools.jobs,
        meter=tools.meter,
    )


def _request(loaded: LoadedProject, folder: Path) -> Request:
    project = loaded.project
    return Request(
        folder=folder,
        lock=project.lock,
        extras=project.extras,
        groups=project.groups,
        sdists=project.sdists,
        requirements=loaded.requirements(),
        where=loaded.files[0].path if loaded.files else "",
    )


def _needs_lock(loaded: LoadedProject) -> bool:
    """Whether packages are wanted: a project that needs nothing needs no lock."""
    named = bool(loaded.metadata.name)
    return bool(loaded.requirements() or loaded.project.lock or not named)


def _has_lock(request: Request) -> bool:
    try:
        find_project_lock(request)
    except NotFound:
        return False
    return True


def _is_project(choice: Choice, loaded: LoadedProject) -> bool:
    """Whether a choice is the project itself, which gets in by its mode."""
    return choice.file is None and choice.package.name == normalize(loaded.metadata.name)


def _requested(loaded: LoadedProject) -> set[str]:
    """The packages that the project names, as far as it does."""
    # A requirement begins with its name (PEP 508); the library for the rest takes 20 ms to load.
    names = (_NAME.match(text) for text in loaded.requirements())
    return {normalize(name[0]) for name in names if name}


def _environment(
    loaded: LoadedProject,
    wheels: Sequence[Wheel],
    project: Wheel | None,
    seen: PythonBase,
    gathered: Gathered,
    tools: Tools,
    mtime: int,
) -> Environment:
    return build_environment(
        tools.store,
        wheels,
        seen.target,
        project=project,
        base=Base(seen.tree, seen.libraries),
        shared=loaded.project.shared,
        bytecode=loaded.project.bytecode,
        mtime=mtime,
        bring=gathered.bring,
        jobs=tools.jobs,
        meter=tools.meter,
    )
