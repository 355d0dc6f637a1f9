"""What a runtime does with an image, changed: crane's `mutate`, for every platform."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from imagist.errors import RequestError
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.manifest import RunConfig
from imagist.oci.mutate import annotate_image, annotate_index, set_config
from imagist.oci.platform import Platform

if TYPE_CHECKING:
    from imagist.editing.whole import Warn

MEMBERS: Final = {
    "entrypoint": "Entrypoint",
    "cmd": "Cmd",
    "user": "User",
    "workdir": "WorkingDir",
    "exposed-ports": "ExposedPorts",
    "volumes": "Volumes",
    "healthcheck": "Healthcheck",
    "stop-signal": "StopSignal",
}
"""What can be cleared, and the member of the configuration that it is."""
_PORT: Final = "[0-9]{1,5}(-[0-9]{1,5})?(/(tcp|udp|sctp))?"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is changed; whatever is empty stays as the image has it."""

    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    env: Mapping[str, str] = {}
    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    user: str = ""
    workdir: str = ""
    exposed_ports: Collection[str] = ()
    """All there are then, not those that are added."""
    platform: Platform | None = None
    removed_labels: Collection[str] = ()
    removed_annotations: Collection[str] = ()
    removed_env: Collection[str] = ()
    cleared: Collection[str] = ()
    """Members that are removed, by their names in `MEMBERS`."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is changed."""
        return not any(msgspec.structs.astuple(self))


def configure_images(thing: Image | Index, settings: Settings, warn: Warn) -> Image | Index:
    """The image, or every image of an index, with other settings; annotations are the index's too.

    Raises:
        RequestError: several images would be for one platform; or a port is none.
        InputError: there is no container image.
    """
    if not isinstance(thing, Index):
        return configure(thing, settings)
    if settings.platform is not None and len(derive.images(thing)) > 1:
        raise RequestError(
            f"{derive.digest(thing)} has images for several platforms, and only one can be "
            f"for {settings.platform}",
            help="name that one with --platform",
        )
    from imagist.editing.whole import edit_images  # noqa: PLC0415 - projects have no whole yet

    edited = edit_images(thing, lambda _, image: configure(image, settings), warn)
    annotations = _annotation_changes(settings)
    return annotate_index(edited, annotations) if isinstance(edited, Index) else edited


def configure(image: Image, settings: Settings) -> Image:
    """The image with other settings. A new entrypoint takes the old command away, as in Docker.

    Raises:
        RequestError: a port is none.
        InputError: this is an artifact, whose annotations alone can be changed.
    """
    changed: Image = image
    if _changes_config(settings):
        run = derive.config(image).config or RunConfig()
        changed = set_config(image, _changes(run, settings))
    annotations = _annotation_changes(settings)
    return annotate_image(changed, annotations) if annotations else changed


def _annotation_changes(settings: Settings) -> dict[str, str]:
    """Annotations to set; those to remove are empty."""
    return {**dict.fromkeys(settings.removed_annotations, ""), **settings.annotations}


def _changes_config(settings: Settings) -> bool:
    return any(
        getattr(settings, name)
        for name in settings.__struct_fields__
        if name not in {"annotations", "removed_annotations"}
    )


def _changes(run: RunConfig, settings: Settings) -> dict[str, Any]:
    """The members of the configuration that change; None removes one."""
    config: dict[str, Any] = {MEMBERS[name]: None for name in settings.cleared}
    if settings.labels or settings.removed_labels:
        known = run.labels or {}
        kept = {key: known[key] for key in known if key not in settings.removed_labels}
        config["Labels"] = dict(sorted({**kept, **settings.labels}.items()))
    if settings.env or settings.removed_env:
        config["Env"] = _set_variables(run.env or (), settings) or None
    if settings.entrypoint:
        config |= {"Entrypoint": list(settings.entrypoint), "Cmd": None}
    if settings.cmd:
        config["Cmd"] = list(settings.cmd)
    if settings.user:
        config["User"] = settings.user
    if settings.workdir:
        config["WorkingDir"] = settings.workdir
    if settings.exposed_ports:
        config["ExposedPorts"] = {port: {} for port in sorted(_ports(settings.exposed_ports))}
    changes: dict[str, Any] = {"config": config} if config else {}
    if settings.platform is not None:
        named = settings.platform
        changes |= {"architecture": named.architecture, "os": named.os}
        changes |= {"variant": named.variant, "os.version": named.os_version}
    return changes


def _set_variables(env: Iterable[str], settings: Settings) -> list[str]:
    """The environment: what is set anew stays in its place, what is new comes last."""
    waiting = dict(settings.env)
    lines = []
    for line in env:
        name = line.partition("=")[0]
        if name in waiting:
            lines.append(f"{name}={waiting.pop(name)}")
        elif name not in settings.removed_env and name not in settings.env:
            lines.append(line)
    return lines + [f"{name}={value}" for name, value in waiting.items()]


def _ports(ports: Iterable[str]) -> Iterable[str]:
    for port in ports:
        if not re.fullmatch(_PORT, port):
            raise RequestError(f"`{port}` is no port", help="write 80, 80/tcp or 53/udp")
        yield port
