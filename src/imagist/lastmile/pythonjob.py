"""From a Python project and a base to an image for every platform; the job, a page long."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from imagist.declaration.projectfile import LoadedProject
from imagist.errors import InputError, NotFound, RequestError
from imagist.inspection.python import PythonBase, look_for_python
from imagist.lastmile.backend import Options
from imagist.lastmile.environment import Base, Environment, build_environment
from imagist.lastmile.job import (
    Between,
    Job,
    choose_bases,
    compose_images,
    own_writings,
)
from imagist.lastmile.named import check_named
from imagist.lastmile.project import build_project, check_fits
from imagist.lastmile.projectimage import SOURCE_FOLDER
from imagist.lastmile.requires import check_requires_python
from imagist.lastmile.sources import SourceBuilder
from imagist.lastmile.wheels import Wheel
from imagist.oci.image import Image, Index
from imagist.oci.platform import Platform
from imagist.packages.wheel.choose import Choice
from imagist.packages.wheel.gather import Gathered, Request, find_project_lock, gather_wheels
from imagist.packages.wheel.lock.model import normalize
from imagist.packages.wheel.target import MACHINES, Target, Wishes

_NAME: Final = re.compile(r"[\w.-]+")


def build_python(job: Job, platforms: Sequence[Platform]) -> Index:
    """Build the image of a Python project for some platforms; for all of its base if none.

    Raises:
        RequestError: the project, its lock and the base do not go together; all of it at once.
        InputError: something is missing, damaged or hostile.
        NetworkError: an index cannot be reached or refuses.
    """
    loaded, folder, tools = job.loaded, job.folder, job.tools
    check_python(loaded, folder)
    bases = choose_bases(job.base, platforms, MACHINES, where=loaded.where("platforms"))
    seen = {platform: _look(job, platform, image) for platform, image in bases.items()}
    targets = [each.target for each in seen.values()]
    check_requires_python(loaded, job.base, targets, tools.store.memo)
    gathered = _gather(job, targets)
    options = Options(mtime=job.mtime, offline=tools.offline, tell=tools.tell)
    project = None
    if loaded.mode == "wheel":
        unseen = replace(options, ignore=(*own_writings(folder, tools), *loaded.project.ignore))
        project = build_project(folder, tools.store, tools.environments, job.table, unseen)
    builder = SourceBuilder(tools.store, tools.environments, gathered, options)
    names = _requested(loaded)

    def environment(platform: Platform, _image: Image) -> Between:
        target = seen[platform].target
        if project is not None:
            check_fits(project, target)
        wheels = [
            builder.wheel(choice, target, requested=choice.package.name in names)
            for choice in gathered.choices[target]
            if not _is_project(choice, job, gathered)
        ]
        made = _environment(job, wheels, project, seen[platform], gathered)
        for warning in [*made.warnings, *_check_scripts(job, target, project, made)]:
            tools.warn(warning)
        return Between(made.layers, made.wheel_layers, target)

    return compose_images(job, bases, environment)


def _check_scripts(
    job: Job, target: Target, project: Wheel | None, made: Environment
) -> list[str]:
    """What is said of scripts of the project that call what is not in its modules."""
    loaded, store = job.loaded, job.tools.store
    scripts: Sequence[str] = [loaded.script()] if loaded.mode == "source" else []
    if project is not None:
        scripts = list(loaded.metadata.scripts)
    if not any(scripts):
        return []
    from imagist.lastmile.calls import (  # noqa: PLC0415 - not every project has scripts
        CopiedModules,
        WheelModules,
        check_calls,
    )

    if project is None:
        folders = [f"{SOURCE_FOLDER[1:]}/src", SOURCE_FOLDER[1:]]
        return check_calls(loaded, scripts, folders, CopiedModules(job.folder), store)
    [own] = made.wheel_layers[-1].wheels
    files = WheelModules(store, project, own)
    return check_calls(loaded, scripts, [target.site_packages[1:]], files, store)


def check_python(loaded: LoadedProject, folder: Path) -> None:
    """Find out what can be known before any work: something is run, and what is named is there.

    Raises:
        RequestError: nothing says what a container runs.
        InputError: there is no lock that is a file, or not a file that is to be added.
    """
    loaded.command()
    check_named(loaded, folder)
    if _needs_lock(loaded):
        try:
            find_project_lock(_request(loaded, folder))
        except InputError as error:
            raise error.placed(loaded.where("lock")) from None


def _look(job: Job, platform: Platform, image: Image) -> PythonBase:
    project = job.loaded.project
    wishes = Wishes(project.python, project.libc, project.interpreter, job.loaded.where)
    try:
        return look_for_python(
            image,
            job.base.name,
            platform,
            wishes=wishes,
            prefix=project.prefix,
            memo=job.tools.store.memo,
            jobs=job.tools.jobs,
        )
    except RequestError as error:
        raise error.placed(job.base.where) from None


def _gather(job: Job, targets: Sequence[Target]) -> Gathered:
    tools = job.tools
    request = _request(job.loaded, job.folder)
    if not _needs_lock(job.loaded) and not _has_lock(request):
        return Gathered(job.folder / "pyproject.toml", {target: [] for target in targets})
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


def _is_project(choice: Choice, job: Job, gathered: Gathered) -> bool:
    """Whether a choice is the project itself, which gets in by its mode; `-e .` has no name."""
    package, metadata = choice.package, job.loaded.metadata
    if choice.file is not None or not metadata.name:
        return False
    if package.origin is not None and package.origin.kind == "directory":
        place = gathered.lock.parent / package.origin.location / package.subdirectory
        return place.resolve() == job.folder.resolve()
    return package.name == normalize(metadata.name)


def _requested(loaded: LoadedProject) -> set[str]:
    """The packages that the project names, as far as it does."""
    # A requirement begins with its name (PEP 508); the library for the rest takes 20 ms to load.
    names = (_NAME.match(text) for text in loaded.requirements())
    return {normalize(name[0]) for name in names if name}


def _environment(
    job: Job, wheels: Sequence[Wheel], project: Wheel | None, seen: PythonBase, gathered: Gathered
) -> Environment:
    settings, tools = job.loaded.project, job.tools
    return build_environment(
        tools.store,
        wheels,
        seen.target,
        project=project,
        base=Base(
            seen.obstacles,
            seen.libraries,
            seen.finds_libraries,
            job.loaded.where("prefix"),
            job.adding,
        ),
        shared=settings.shared,
        bytecode=settings.bytecode,
        mtime=job.mtime,
        bring=gathered.bring,
        jobs=tools.jobs,
        meter=tools.meter,
    )
