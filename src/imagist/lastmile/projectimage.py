"""The image of a project: a base, the layers on top of it, and how it is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from imagist.build.assemble import AUTHOR, BuiltLayer
from imagist.declaration.projectfile import LoadedProject
from imagist.editing.configure import Settings, configure
from imagist.oci import derive
from imagist.oci.image import Image
from imagist.oci.manifest import DEFAULT_PATH, History, RunConfig, format_time
from imagist.oci.mutate import annotate_image, append_layers, set_config

SOURCE_FOLDER: Final = "/app"
"""Where a project that is copied goes."""


def compose_image(
    base: Image,
    stated: Mapping[str, str],
    layers: Sequence[BuiltLayer],
    loaded: LoadedProject,
    *,
    created: int | None = None,
) -> Image:
    """Put layers on a base, and say what a runtime does with them.

    Args:
        base: for one platform.
        stated: the annotations that say what it is, which `rebase` reads.
        layers: in order.
        loaded: what the project says.
        created: seconds since 1970; the base's own time where None.
    """
    config = derive.config(base)
    moment = format_time(created) if created is not None else config.created or format_time(0)
    added = [
        (each.layer, History(created=moment, created_by=each.created_by, author=AUTHOR))
        for each in layers
    ]
    image = append_layers(base, added)
    image = set_config(image, {"created": moment, "author": AUTHOR})
    run = derive.config(base).config or RunConfig()
    changed = configure(image, _settings(loaded, run))
    project = loaded.project
    own: dict[str, object] = {}
    if project.volumes:
        own["Volumes"] = {volume: {} for volume in sorted(project.volumes)}
    if project.healthcheck:
        from imagist.build.run import format_healthcheck  # noqa: PLC0415 - few say it

        own["Healthcheck"] = msgspec.to_builtins(format_healthcheck(project.healthcheck))
    if project.stop_signal:
        own["StopSignal"] = project.stop_signal
    if own:
        changed = set_config(changed, {"config": own})
    not_ours = dict.fromkeys(derive.manifest(base).annotations, "")  # they speak of the base
    return annotate_image(changed, {**not_ours, **stated, **project.annotations})


def _settings(loaded: LoadedProject, run: RunConfig) -> Settings:
    project = loaded.project
    entrypoint, command = loaded.command()
    return Settings(
        labels=project.labels,
        env=_own_variables(loaded, run),
        entrypoint=entrypoint,
        cmd=command,
        user=project.user,
        workdir=_own_folder(loaded),
        exposed_ports=[port if "/" in port else f"{port}/tcp" for port in project.ports],
    )


def find_variables(loaded: LoadedProject, run: RunConfig) -> Mapping[str, str]:
    """The variables that a container gets: the base's, with what the project adds and changes."""
    return {"PATH": DEFAULT_PATH, **_variables(run), **_own_variables(loaded, run)}


def find_working_folder(loaded: LoadedProject, run: RunConfig) -> str:
    """The folder that a container starts in."""
    return _own_folder(loaded) or run.working_dir or "/"


def _own_folder(loaded: LoadedProject) -> str:
    return loaded.project.work_dir or (SOURCE_FOLDER if loaded.mode == "source" else "")


def _variables(run: RunConfig) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in run.env or ())


def _own_variables(loaded: LoadedProject, run: RunConfig) -> Mapping[str, str]:
    """The environment's programs come first; a container has no use for compiled files."""
    if not loaded.is_python:
        return loaded.project.env
    prefix = loaded.project.prefix
    path = _variables(run).get("PATH") or DEFAULT_PATH
    found = {
        "PATH": f"{prefix}/bin:{path}",
        "VIRTUAL_ENV": prefix,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if loaded.mode == "source":
        found["PYTHONPATH"] = f"{SOURCE_FOLDER}/src:{SOURCE_FOLDER}"
    return {**found, **loaded.project.env}
