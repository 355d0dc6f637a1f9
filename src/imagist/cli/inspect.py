"""`imagist inspect`: what an image is made of."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from imagist.cli.answer import print_json, print_text
from imagist.cli.images import (
    align,
    count_jobs,
    flow,
    one_line,
    open_image,
    read_platform_names,
    short_digest,
    short_media_type,
    show_file,
)
from imagist.cli.messages import Messages
from imagist.cli.progress import format_size
from imagist.inspection.choose import Found, choose_images, survey
from imagist.inspection.describe import FileReport, ImageReport, LayerReport, RunReport, describe
from imagist.inspection.layers import UnreadableLayer
from imagist.inspection.view import view_image
from imagist.oci import derive
from imagist.oci.image import Image, Index

_NAMED: Final = 6
"""Packages of a layer that are named; the rest is counted."""


def run(values: argparse.Namespace) -> None:
    """Describe the image, or each one that is asked for."""
    thing = open_image(values.image, values)
    names = read_platform_names(values)
    members = survey(thing)
    others = [] if names else [item for item in members if item.image is None]
    images = []
    if names or any(item.image for item in members):
        images = [_describe(item, values) for item in choose_images(thing, names)]
    if values.json:
        print_json(_document(thing, images, others))
    else:
        print_text("\n".join(_show(thing, images, others, values)))


def _describe(item: Found, values: argparse.Namespace) -> ImageReport:
    image = item.image
    assert image is not None  # noqa: S101 - `choose_images` gives no others
    try:
        view = view_image(image, jobs=count_jobs(values))
    except UnreadableLayer as error:
        if values.files or values.layers:
            raise
        # The documents can still be told, and are what most want.
        for problem in error.problems:
            Messages(values).warn(f"packages are not told: {problem.message}")
        view = None
    return describe(image, str(item.platform), view, files=values.files, layers=values.layers)


def _document(
    thing: Image | Index, images: Sequence[ImageReport], others: Sequence[Found]
) -> dict[str, Any]:
    return {
        "digest": derive.digest(thing),
        "media_type": thing.media_type,
        "annotations": _annotations(thing),
        "images": images,
        "others": [{"note": item.note, "descriptor": item.descriptor} for item in others],
    }


def _annotations(thing: Image | Index) -> dict[str, str]:
    if isinstance(thing, Index):
        return derive.index_manifest(thing).annotations
    return derive.manifest(thing).annotations


def _show(
    thing: Image | Index,
    images: Sequence[ImageReport],
    others: Sequence[Found],
    values: argparse.Namespace,
) -> Iterator[str]:
    """Blocks of lines."""
    if isinstance(thing, Index):
        rows = [["index", derive.digest(thing)], *_pairs("annotations", _annotations(thing))]
        yield align(rows)
    for image in images:
        yield align(_about(image))
        yield _show_layers(image, full=values.verbose)
        if image.files is not None:
            yield _show_files(image.files)
        for layer in image.layers:
            if layer.files is not None:
                yield f"layer {layer.number}\n{_show_files(layer.files)}"
    for item in others:
        yield f"{item.note}  {item.descriptor.digest}  {one_line(_kind(item))}\n"


def _kind(item: Found) -> str:
    return item.descriptor.artifact_type or item.descriptor.media_type


def _about(image: ImageReport) -> list[list[str]]:
    """Rows of a name and a value; what is not there has no row."""
    layers = len(image.layers)
    size = f"{format_size(image.size)} in {layers} layer{'' if layers == 1 else 's'}"
    rows = [
        ["platform", one_line(image.platform)],
        ["digest", image.digest],
        ["created", one_line(image.created)],
        ["size", size],
        *_about_run(image.config),
        *_pairs("annotations", image.annotations),
    ]
    return [row for row in rows if row[1]]


def _about_run(run: RunReport) -> Iterator[list[str]]:
    yield ["user", one_line(run.user)]
    yield ["entrypoint", one_line(shlex.join(run.entrypoint))]
    yield ["cmd", one_line(shlex.join(run.cmd))]
    yield from _list("env", run.env)
    yield ["workdir", one_line(run.workdir)]
    yield ["ports", one_line(" ".join(run.ports))]
    yield from _list("volumes", run.volumes)
    yield from _pairs("labels", run.labels)
    yield ["stop signal", one_line(run.stop_signal)]
    if run.healthcheck is not None and run.healthcheck.test:
        check = run.healthcheck
        times = {
            "every": check.interval,
            "timeout": check.timeout,
            "start": check.start_period,
        }
        told = [f"{name} {value / 1e9:g} s" for name, value in times.items() if value]
        told += [f"{check.retries} retries"] if check.retries else []
        yield ["healthcheck", one_line("  ".join([shlex.join(check.test), *told]))]


def _pairs(name: str, values: dict[str, str] | Any) -> list[list[str]]:
    return _list(name, [f"{key}={value}" for key, value in sorted(values.items())])


def _list(name: str, values: Iterable[str]) -> list[list[str]]:
    """A row for each value, of which the first has the name."""
    return [["" if place else name, one_line(value)] for place, value in enumerate(values)]


def _show_layers(image: ImageReport, *, full: bool) -> str:
    if not image.layers:
        return "no layers\n"
    head = ["layer", "size", "digest", "media type", "origin", "what"]
    rows = [
        [
            str(layer.number),
            format_size(layer.size),
            short_digest(layer.digest, full=full),
            short_media_type(layer.media_type, full=full),
            layer.origin or "-",
            _what(layer, full=full),
        ]
        for layer in image.layers
    ]
    return align([head, *rows], right=(0, 1))


def _what(layer: LayerReport, *, full: bool) -> str:
    """The packages that own files in a layer, else what it was created by."""
    packages = list(layer.packages or ())
    if not packages:
        return flow(layer.created_by)
    rest = 0 if full else max(0, len(packages) - _NAMED)
    shown = packages[: len(packages) - rest]
    return one_line(", ".join([*shown, f"and {rest} more"] if rest else shown))


def _show_files(files: Sequence[FileReport]) -> str:
    return align([show_file(file) for file in files], right=(2, 3)) if files else "no files\n"
