"""`imagist append`: files, folders and ready layers on top of an image, on every platform."""

from __future__ import annotations

import argparse

from imagist.cli.additions import append_change, read_additions
from imagist.cli.delivery import read_destination
from imagist.cli.edits import Source, finish, keep_names, open_source
from imagist.cli.images import read_platform_names
from imagist.cli.messages import Messages
from imagist.cli.stores import open_store
from imagist.editing.layers import LayerWriter
from imagist.editing.whole import edit_images
from imagist.errors import RequestError
from imagist.oci import derive
from imagist.oci.empty import EMPTY_IMAGE
from imagist.oci.image import Image, Index
from imagist.oci.mutate import annotate_image, make_index, set_config
from imagist.oci.platform import Platform, parse_platform, read_platform

_SCRATCH = "scratch"


def run(values: argparse.Namespace) -> None:
    """Append, bring the image where the flags say, and print its digest."""
    to = read_destination(values)
    if values.base and values.image:
        raise RequestError("IMAGE and --base name the same thing: leave one of them out")
    additions = read_additions(values.new_layer, values.to)
    if not additions:
        raise RequestError("there is nothing to append", help="name it: -f PATH")
    messages = Messages(values)
    source = _open_base(values.base or values.image or _SCRATCH, values)
    with messages.meter("layers") as meter:
        writer = LayerWriter(open_store(values), jobs=values.jobs, meter=meter)
        change = append_change(additions, writer, values, messages.warn, values.owner)
        edited = edit_images(source.thing, change, messages.warn)
    if values.set_base_image_annotations and source.thing is not EMPTY_IMAGE:
        edited = _note_base(edited, source)
    finish(edited, keep_names(to, source), values)


def _open_base(name: str, values: argparse.Namespace) -> Source:
    if name != _SCRATCH:
        return open_source(name, values, keep=True)
    platforms = [_read_platform(each) for each in read_platform_names(values)]
    images = [(each, _empty_image(each)) for each in platforms]
    if not images:
        return Source(EMPTY_IMAGE, None)
    return Source(images[0][1] if len(images) == 1 else make_index(images), None)


def _read_platform(name: str) -> Platform:
    try:
        return parse_platform(name)
    except RequestError:  # none that packages are there for
        return read_platform(name)


def _empty_image(platform: Platform) -> Image:
    members = {"architecture": platform.architecture, "os": platform.os}
    members |= {"variant": platform.variant, "os.version": platform.os_version}
    return set_config(EMPTY_IMAGE, members)


def _note_base(thing: Image | Index, source: Source) -> Image | Index:
    from imagist.oci.rebase import note_base

    noted = note_base(derive.digest(source.thing), source.reference)
    return edit_images(thing, lambda _, image: annotate_image(image, noted), lambda _: None)
