"""Work on a project: a folder that becomes an image, by its pyproject.toml or imagist.yaml."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from imagist.cli.delivery import Destination, ask_to_push
from imagist.cli.environment import read_epoch
from imagist.cli.images import count_jobs
from imagist.cli.messages import Messages
from imagist.cli.options import read_annotations, read_date
from imagist.cli.projectbase import (
    check_flags,
    find_declared,
    missing_base,
    open_project_base,
)
from imagist.cli.session import read_file, read_platforms
from imagist.cli.stores import open_store
from imagist.declaration.projectfile import SCRATCH, LoadedProject, load_project
from imagist.errors import RequestError
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.job import Job, Tools, wanted_platforms
from imagist.net.environment import Environment, read_environment
from imagist.net.transport import HttpTransport
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.platform import Platform
from imagist.packages.wheel.lock.reading import read_regular
from imagist.progress import Meter
from imagist.store.store import Store

if TYPE_CHECKING:
    from imagist.declaration.include import LoadedDeclaration
    from imagist.oci.reference import Reference
    from imagist.registry.client import Registries


class ProjectWork:
    """One command line on a folder; see `things.Making`."""

    def __init__(self, values: argparse.Namespace, to: Destination) -> None:
        """Open the store, and what must be opened to push.

        Raises:
            RequestError: the project is wrong, or has nothing to run; or a flag is not for it.
            NotFound: it has no lock.
        """
        self.values = values
        self.to = to
        self.registries: Registries | None = None
        self._folder = Path(values.thing)
        self._loaded = read_project(values)
        check_flags(self._loaded, values)
        _check(self._loaded, self._folder)  # before its base is built
        self._store = open_store(values)
        if to.references:
            from imagist.cli.registries import open_registries

            self.registries = open_registries(values)

    def recall(self) -> None:
        """Nothing: what a project reads is remembered step by step."""

    def stated(self) -> None:
        """Nothing: the locks of Python know no images."""

    def leave_memory(self, thing: Image | Index, references: Sequence[Reference]) -> None:
        """Leave nothing: layers depend on wheels alone, and are found by their digests."""

    def build(self) -> Image | Index:
        """The image or index; in the store, unless it is pushed.

        Raises:
            RequestError: the project, its lock and its base do not go together.
            InputError: something is missing, damaged or hostile.
            NetworkError: an index or a registry cannot be reached, or refuses.
        """
        values = self.values
        ask_to_push(self.to, self.registries)
        messages = Messages(values)
        wanted = choose_platforms(self._loaded, values)
        base = open_project_base(self._loaded, wanted, values)
        epoch = read_epoch(os.environ)
        with messages.meter("packages") as meter:
            job = Job(
                self._loaded,
                self._folder,
                base,
                _tools(values, self._store, messages, meter),
                FileTable(self._store, self._folder),
                read_date(values.build_date) if epoch is None else epoch,
            )
            index = _build(job, wanted)
        images = derive.images(index)
        single = len(values.platform) == 1 and len(images) == 1
        thing: Image | Index = images[0][1] if single else index
        if not self.to.references:
            self._store.add_image(thing, jobs=count_jobs(values))
        return thing


def _check(loaded: LoadedProject, folder: Path) -> None:
    """See that something is to be built, and that what is named is there."""
    if loaded.is_python:
        from imagist.lastmile.pythonjob import check_python

        check_python(loaded, folder)
    else:
        from imagist.lastmile.plainjob import check_plain

        check_plain(loaded, folder)


def _build(job: Job, platforms: Sequence[Platform]) -> Index:
    """The images of a project, with a Python environment or without."""
    if job.loaded.is_python:
        from imagist.lastmile.pythonjob import build_python

        return build_python(job, platforms)
    from imagist.lastmile.plainjob import build_plain

    return build_plain(job, platforms)


def read_project(values: argparse.Namespace) -> LoadedProject:
    """What the folder says of its image, with what the command line says otherwise.

    Raises:
        RequestError: anything is wrong; all of it at once.
    """
    folder = values.thing
    if (Path(folder) / "oci-layout").is_file():
        raise RequestError(
            f"{folder} is an image, and nothing to build",
            help="name a project's folder; an image can be its base: `--base`",
        )
    names = [path.name for path in Path(folder).iterdir()]
    loaded = load_project(lambda path: read_regular(Path(path)), folder, names=names)
    project = loaded.project
    lock = getattr(values, "lock", "")  # `imagist lock` has no such flag
    base, annotations = getattr(values, "base", ""), getattr(values, "annotation", [])
    flags = {"lock": lock, "base": base, "platform": values.platform}
    if lock:
        project = replace(project, lock=str(Path(lock).absolute()))
    if annotations:
        annotations = {**project.annotations, **dict(read_annotations(values))}
        project = replace(project, annotations=annotations)
    said = tuple(name for name, value in flags.items() if value)
    return replace(loaded, project=project, flags=said)


def load_base(values: argparse.Namespace) -> LoadedDeclaration:
    """The declaration that a project's base is built of, for commands that explain one.

    What the project adds to it, packages and platforms, is put among the flags.

    Raises:
        RequestError: the base is an image, or something is wrong.
        NotFound: there is no such file.
    """
    loaded = read_project(values)
    if problems := missing_base(loaded, ""):
        raise RequestError(problems)
    base = find_declared(loaded, "", values.thing)
    if base is None:
        name = loaded.project.base
        raise RequestError(
            f"the base of {values.thing} is an image, {name}, and this command reads declarations",
            where=loaded.where("base"),
            help=None if name == SCRATCH else f"`imagist inspect {name}` looks into it",
        )
    values.package_append = [*values.package_append, *loaded.project.packages]
    values.platform = list(map(str, choose_platforms(loaded, values)))
    if base.declared is not None:
        return base.declared
    from imagist.declaration.include import load_declaration

    return load_declaration(read_file, base.path, values.include_paths)


def choose_platforms(loaded: LoadedProject, values: argparse.Namespace) -> tuple[Platform, ...]:
    """The platforms that the command line or the project names; none where neither does."""
    named = () if "all" in values.platform else read_platforms(values.platform)
    return named or wanted_platforms(loaded)


def _tools(values: argparse.Namespace, store: Store, messages: Messages, meter: Meter) -> Tools:
    def connect(environment: Environment) -> HttpTransport:
        return HttpTransport(environment, notice=messages.warn)

    return Tools(
        store,
        read_environment(),
        connect,
        BuildEnvironments(store.root / "environments"),
        offline=values.offline,
        jobs=count_jobs(values),
        meter=meter,
        warn=messages.warn,
        tell=messages.stage if values.verbose else lambda _: None,
        output=getattr(values, "output", ""),  # `plan` and `apply` write none
    )
