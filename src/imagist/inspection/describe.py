"""What an image is, as values that print as JSON: documents, layers, packages, files."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from imagist.inspection.history import lines_of_layers, tell_origin
from imagist.inspection.view import View, owners_in_layer
from imagist.oci import derive
from imagist.oci.image import Image, Layer
from imagist.oci.manifest import Healthcheck, History, RunConfig
from imagist.packages.installed import Installed
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node


class FileReport(msgspec.Struct, frozen=True):
    """One path."""

    path: str
    kind: str
    mode: str
    """Octal, permissions and special bits."""
    uid: int
    gid: int
    size: int
    mtime: int
    """Seconds since 1970."""
    link: str = ""
    """What a symlink says, or the path a hardlink is another name of."""
    device: tuple[int, int] | None = None
    xattrs: Mapping[str, str] = {}
    """Values in base64."""
    package: str = ""
    """Name of the package that owns it."""
    layer: int = 0
    """Number of the layer it is from; 0 for folders that no layer lists."""


class LayerReport(msgspec.Struct, frozen=True):
    """One layer."""

    number: int
    digest: str
    diff_id: str
    size: int
    """Bytes as stored."""
    media_type: str
    origin: str
    """`verbatim`, `written`, or "" for other builders' layers."""
    created_by: str
    packages: tuple[str, ...] | None
    """`name-version` of the packages that own files in it; None where the layers were not read."""
    files: tuple[FileReport, ...] | None = None
    """Its own entries, with whiteouts, in the archive's order; where they were asked for."""


class PackageReport(msgspec.Struct, frozen=True):
    """One installed package."""

    name: str
    version: str
    arch: str
    origin: str
    license: str


class RunReport(msgspec.Struct, frozen=True):
    """What a runtime does with the image."""

    user: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    env: tuple[str, ...]
    workdir: str
    ports: tuple[str, ...]
    volumes: tuple[str, ...]
    labels: Mapping[str, str]
    stop_signal: str
    healthcheck: Healthcheck | None


class ImageReport(msgspec.Struct, frozen=True):
    """One image."""

    platform: str
    digest: str
    media_type: str
    created: str
    author: str
    size: int
    """Bytes of all layers as stored."""
    config: RunReport
    annotations: Mapping[str, str]
    layers: tuple[LayerReport, ...]
    packages: tuple[PackageReport, ...] | None
    files: tuple[FileReport, ...] | None = None


def describe(
    image: Image, platform: str, view: View | None, *, files: bool = False, layers: bool = False
) -> ImageReport:
    """Everything about an image.

    Args:
        image: a container image.
        platform: what it is for, as the index says.
        view: its layers read; without it nothing is said of packages and files.
        files: list the paths of the flattened tree.
        layers: list the entries of each layer.

    Raises:
        InputError: this is no container image, or a document is malformed.
    """
    config = derive.config(image)
    lines = lines_of_layers(image)
    return ImageReport(
        platform,
        str(derive.digest(image)),
        image.media_type,
        config.created or "",
        config.author or "",
        sum(layer.size for layer in image.layers),
        _describe_run(config.config or RunConfig()),
        derive.manifest(image).annotations,
        tuple(
            _describe_layer(number, layer, line, view, files=layers)
            for number, (layer, line) in enumerate(zip(image.layers, lines, strict=True), 1)
        ),
        tuple(map(_describe_package, view.packages)) if view else None,
        tuple(describe_files(view.tree, view)) if view and files else None,
    )


def describe_files(nodes: Iterable[Node], view: View) -> Iterable[FileReport]:
    """Nodes of a view's tree, with owner and layer."""
    numbers = view.numbers()
    for node in nodes:
        owner = view.owners.get(node.entry.path)
        yield describe_entry(node.entry, owner, numbers.get(node.blob, 0))


def describe_entry(entry: Entry, owner: Installed | None, layer: int) -> FileReport:
    """One entry."""
    return FileReport(
        path=as_text(entry.path),
        kind=entry.kind,
        mode=f"{entry.mode:04o}",
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size,
        mtime=entry.mtime,
        link=as_text(entry.link),
        device=entry.device if entry.kind in {"char", "block"} else None,
        xattrs={as_text(name): base64.b64encode(value).decode() for name, value in entry.xattrs},
        package=as_text(owner.name) if owner else "",
        layer=layer,
    )


def as_text(name: str) -> str:
    r"""A name as JSON can carry it: bytes that are not UTF-8 become `\xNN`."""
    if name.isascii():
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _describe_run(run: RunConfig) -> RunReport:
    return RunReport(
        run.user,
        run.entrypoint or (),
        run.cmd or (),
        run.env or (),
        run.working_dir,
        tuple(run.exposed_ports or ()),
        tuple(run.volumes or ()),
        run.labels or {},
        run.stop_signal,
        run.healthcheck,
    )


def _describe_layer(
    number: int, layer: Layer, line: History, view: View | None, *, files: bool
) -> LayerReport:
    report: dict[str, Any] = {}
    if view is not None and files:
        report["files"] = tuple(
            describe_entry(entry, view.owners.get(view.tree.resolve(entry.path)), number)
            for entry in view.listings[layer.digest].entries
        )
    packages = owners_in_layer(view, layer) if view else None
    return LayerReport(
        number,
        str(layer.digest),
        str(layer.diff_id),
        layer.size,
        layer.media_type,
        tell_origin(line, layer),
        line.created_by,
        None if packages is None else tuple(as_text(str(package)) for package in packages),
        **report,
    )


def _describe_package(package: Installed) -> PackageReport:
    return PackageReport(
        as_text(package.name),
        as_text(package.version),
        as_text(package.arch),
        as_text(package.origin),
        as_text(package.license),
    )
