"""`imagist append`: files, folders and ready layers on top of an image, on every platform."""

from __future__ import annotations

import argparse

from imagist.cli.additions import append_change, read_additions
from imagist.cli.delivery import read_destination
from imagist.cli.edits import Source, finish, keep_names, open_whole
from imagist.cli.images import read_platform_names
from imagist.cli.messages import Messages
from imagist.cli.stores import open_store
from imagist.editing.layers import LayerWriter
from imagist.editing.whole import Change, edit_images, narrow
from imagist.errors import RequestError
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
    base, thing = _open_base(values.base or values.image or _SCRATCH, values)
    with messages.meter("layers") as meter:
        writer = LayerWriter(open_store(values), jobs=values.jobs, meter=meter)
        change = append_change(additions, writer, values, messages.warn, values.owner)
        if values.set_base_image_annotations and base.thing is not EMPTY_IMAGE:
            change = _noting(change, base)
        edited = edit_images(thing, change, messages.warn)
    finish(edited, keep_names(to, base), values)


def _open_base(name: str, values: argparse.Namespace) -> tuple[Source, Image | Index]:
    """What is appended to, as it was found, and what of it is wanted."""
    if name != _SCRATCH:
        found = open_whole(name, values, keep=True)
        return found, narrow(found.thing, read_platform_names(values))
    platforms = [_read_platform(each) for each in read_platform_names(values)]
    images = [(each, _empty_image(each)) for each in platforms]
    if not images:
        return Source(EMPTY_IMAGE, None), EMPTY_IMAGE
    new = images[0][1] if len(images) == 1 else make_index(images)
    return Source(new, None), new


def _read_platform(name: str) -> Platform:
    try:
        return parse_platform(name)
    except RequestError:  # none that packages are there for
        return read_platform(name)


def _empty_image(platform: Platform) -> Image:
    members = {"architecture": platform.architecture, "os": platform.os}
    members |= {"variant": platform.variant, "os.version": platform.os_version}
    return set_config(EMPTY_IMAGE, members)


def _noting(change: Change, base: Source) -> Change:
    """A change after which an image also says what it is built on."""
    from imagist.oci.rebase import note_base

    return lambda platform, image: annotate_image(
        change(platform, image), note_base(image, base.thing, base.reference)
    )
