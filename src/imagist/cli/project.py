"""Work on a project: a folder that becomes an image, by its pyproject.toml or imagist.yaml."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from msgspec.structs import replace

from imagist.cli.delivery import Destination
from imagist.cli.environment import read_epoch
from imagist.cli.images import count_jobs
from imagist.cli.messages import Messages
from imagist.cli.options import read_annotations, read_date
from imagist.cli.projectbase import open_project_base
from imagist.cli.session import read_file, read_platforms
from imagist.cli.stores import open_store
from imagist.declaration.projectfile import LoadedProject, load_project
from imagist.errors import RequestError
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.lastmile.pythonjob import Tools, build_python, check_project
from imagist.net.environment import Environment, read_environment
from imagist.net.transport import HttpTransport
from imagist.oci import contents, derive
from imagist.oci.image import Image, Index
from imagist.oci.platform import Platform, parse_platform
from imagist.progress import Meter
from imagist.store.store import Store


def build_project(values: argparse.Namespace, to: Destination) -> Image | Index:
    """The image or index of the folder that the command line names; in the store, if all of it is.

    Raises:
        RequestError: the project, its lock and its base do not go together.
        InputError: something is missing, damaged or hostile.
        NetworkError: an index or a registry cannot be reached, or refuses.
    """
    loaded = read_project(values)
    check_project(loaded, Path(values.thing))  # before the base is built
    if to.references:
        from imagist.cli.registries import open_registries

        for reference in to.references:  # better told before the work than after it
            registries = open_registries(values)
            registries.repository(reference).resolve(reference.tag, push=True)
    store = open_store(values)
    messages = Messages(values)
    wanted = choose_platforms(loaded, values)
    base = open_project_base(loaded, wanted, values)
    epoch = read_epoch(os.environ)
    with messages.meter("packages") as meter:
        index = build_python(
            loaded,
            Path(values.thing),
            base,
            _tools(values, store, messages, meter),
            platforms=wanted,
            created=read_date(values.build_date) if epoch is None else epoch,
        )
    images = derive.images(index)
    single = len(values.platform) == 1 and len(images) == 1
    thing: Image | Index = images[0][1] if single else index
    if not to.references or all(store.has(blob.digest) for blob in contents.blobs(thing)):
        store.add_image(thing, jobs=count_jobs(values))
    return thing


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
    loaded = load_project(read_file, folder)
    project = loaded.project
    if values.lock:
        project = replace(project, lock=str(Path(values.lock).absolute()))
    if values.annotation:
        annotations = {**project.annotations, **dict(read_annotations(values))}
        project = replace(project, annotations=annotations)
    return replace(loaded, project=project)


def choose_platforms(loaded: LoadedProject, values: argparse.Namespace) -> tuple[Platform, ...]:
    """The platforms that the command line or the project names; none where neither does."""
    named = () if "all" in values.platform else read_platforms(values.platform)
    return named or tuple(map(parse_platform, loaded.project.platforms))


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
    )
