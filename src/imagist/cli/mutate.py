"""`imagist mutate`: labels, annotations and what a runtime does, changed on every platform."""

from __future__ import annotations

import argparse

from imagist.cli.delivery import Destination, read_destination
from imagist.cli.edits import (
    aim,
    finish,
    open_source,
    read_pairs,
    read_words,
)
from imagist.cli.messages import Messages
from imagist.cli.stores import open_store
from imagist.editing.configure import MEMBERS, Settings, configure_images
from imagist.editing.whole import edit_images
from imagist.errors import RequestError
from imagist.oci.image import Image, Index
from imagist.oci.platform import read_platform
from imagist.oci.reference import Reference, parse_reference


def run(values: argparse.Namespace) -> None:
    """Change the image, bring it where the flags say, and print its digest."""
    to = _read_destination(values)
    settings = _read_settings(values)
    if settings.is_empty and not values.append:
        raise RequestError("nothing is to be changed", help="see `imagist mutate --help`")
    messages = Messages(values)
    source = open_source(values.image, values)
    to = aim(to, source)
    thing = source.thing
    if values.append:
        thing = _append(thing, values, messages)
    thing = configure_images(thing, settings, messages.warn)
    finish(thing, to, values)


def _append(thing: Image | Index, values: argparse.Namespace, messages: Messages) -> Image | Index:
    from imagist.cli.additions import append_change, read_additions
    from imagist.editing.layers import LayerWriter

    additions = read_additions(values.append)
    with messages.meter("layers") as meter:
        writer = LayerWriter(open_store(values), jobs=values.jobs, meter=meter)
        change = append_change(additions, writer, values, messages.warn)
        return edit_images(thing, change, messages.warn)


def _read_destination(values: argparse.Namespace) -> Destination:
    to = read_destination(values)
    if not values.repo:
        return to
    if values.tag or values.output:
        raise RequestError("--repo pushes by digest: leave out -t and -o, or --repo")
    named = parse_reference(values.repo)
    return Destination(references=(Reference(named.registry, named.repository),))


def _read_settings(values: argparse.Namespace) -> Settings:
    for name in values.clear:
        if name not in MEMBERS:
            raise RequestError(f"`{name}` cannot be cleared", help="one of " + ", ".join(MEMBERS))
    variables: dict[str, str] = {}
    for text in values.env:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise RequestError(f"--env takes NAME=VALUE, not `{text}`")
        variables[name] = value
    return Settings(
        labels=read_pairs("label", values.label),
        annotations=read_pairs("annotation", values.annotation),
        env=variables,
        entrypoint=read_words(values.entrypoint),
        cmd=read_words(values.cmd),
        user=values.user,
        workdir=values.workdir,
        exposed_ports=values.exposed_ports,
        platform=read_platform(values.set_platform) if values.set_platform else None,
        removed_labels=values.remove_label,
        removed_annotations=values.remove_annotation,
        removed_env=values.remove_env,
        cleared=values.clear,
    )
