"""`imagist build`: a declaration becomes an image, and its digest the answer.

A build whose command line was seen before, and for which everything it read is as it was, is
answered from memory (`build.trace`); so nothing that only a real build needs is imported above.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagist import __version__
from imagist.build import trace
from imagist.build.trace import Note, Trace
from imagist.cli.answer import print_json
from imagist.cli.environment import read_epoch
from imagist.cli.stores import open_store
from imagist.errors import NotFound, RequestError
from imagist.oci import contents, derive
from imagist.oci.image import Image, Index
from imagist.store.memo import memo_key
from imagist.store.store import Store

if TYPE_CHECKING:
    from imagist.build.context import Options

_SHOWING: Final = ("quiet", "verbose", "json", "progress", "color", "output", "tag")
_MEANS: Final = ("command", "version", "directory", "cache", "offline", "jobs")
_INDIFFERENT: Final = frozenset([*_SHOWING, *_MEANS])
"""Arguments that an image does not depend on."""


def run(values: argparse.Namespace) -> None:
    """Build, write where -o says, and print the digest."""
    if values.tag and not values.output:
        raise RequestError(
            "-t names the image in an archive or layout, so it needs -o",
            help="add `-o image.tar`; this version does not push",
        )
    if values.output:
        check_output(values.output)
    store = open_store(values)
    vcs_url = read_vcs_url(values)
    key = _key(values, vcs_url)
    thing = _recall(values, store, key) or _build(values, store, key, vcs_url)
    if values.output:
        _write(thing, values)
    if values.json:
        print_json(_describe(thing))
    else:
        sys.stdout.write(f"{derive.digest(thing)}\n")


def _write(thing: Image | Index, values: argparse.Namespace) -> None:
    """Write where -o says: an archive where it ends in `.tar`, else an OCI layout folder."""
    from imagist.cli.messages import Messages

    place = Path(values.output)
    with Messages(values).meter(place.name) as meter:
        if values.output.endswith(".tar"):
            from imagist.store.archive import write_archive

            write_archive(thing, place, tags=values.tag, meter=meter)
        else:
            from imagist.store.layout import write_layout

            write_layout(thing, place, names=values.tag, meter=meter)


def _key(values: argparse.Namespace, vcs_url: str) -> str:
    """The memo key of a command line, in this folder and on this machine."""
    arguments = {k: v for k, v in vars(values).items() if k not in _INDIFFERENT}
    machine = os.uname().machine  # what `--platform host` means
    epoch = read_epoch(os.environ)
    try:
        folder = str(Path.cwd())
    except FileNotFoundError:
        raise NotFound("the working folder is gone", help="change to another") from None
    return memo_key(__version__, trace.FORMAT, folder, arguments, vcs_url, epoch, machine)


def _recall(values: argparse.Namespace, store: Store, key: str) -> Image | Index | None:
    """What the same command line gave, if everything it read is as it was."""

    def find(notes: Sequence[Note]) -> list[str]:
        from imagist.build.watch import find_documents
        from imagist.cli.session import open_cached

        return find_documents(open_cached(values, store), notes)

    answer = trace.recall_answer(store, key, find)
    thing = store.find_image(answer.digest) if answer else None
    if answer is None or thing is None:
        return None
    if answer.warnings and not values.quiet:
        from imagist.cli.messages import Messages

        messages = Messages(values)
        for warning in answer.warnings:
            messages.warn(warning)
    store.keep_image(answer.digest)
    return thing


def _build(values: argparse.Namespace, store: Store, key: str, vcs_url: str) -> Image | Index:
    from imagist.build.job import build_images
    from imagist.cli.session import load_thing, open_context

    notes = Trace()
    options = read_build_options(values, vcs_url, notes)
    loaded = load_thing(values, notes)
    built = build_images(loaded, options, open_context(values, notes, store))
    # One platform that was asked for as such is an image; everything else is an index.
    single = len(options.platforms) == 1
    thing: Image | Index = next(iter(built.images.values())) if single else built.index
    digest = store.add_image(thing)
    blobs = [blob.digest for blob in contents.blobs(thing)]
    trace.remember_answer(store, key, digest, blobs, notes)
    return thing


def read_build_options(values: argparse.Namespace, vcs_url: str, notes: Trace) -> Options:
    """The options of every command, and those that only matter to an image that is built."""
    import msgspec

    from imagist.cli.session import read_options

    return msgspec.structs.replace(
        read_options(values, notes),
        annotations=tuple(_pair(text) for text in values.annotation),
        build_date=_read_date(values.build_date),
        vcs_url=vcs_url,
        format=values.format,
    )


def _pair(text: str) -> tuple[str, str]:
    """`K=V`, or apko's `K:V`, whichever sign comes first."""
    for character in text:
        if character in "=:":
            key, _, value = text.partition(character)
            if key and value:
                return key, value
            break
    raise RequestError(f"--annotation takes KEY=VALUE, not `{text}`")


def _read_date(text: str) -> int | None:
    if not text:
        return None
    import datetime

    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(
            f"--build-date takes a time such as 2026-01-31T12:00:00Z, not `{text}`"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp())


def read_vcs_url(values: argparse.Namespace) -> str:
    """Where --vcs asks for it, `url@revision` of the checkout that the declaration lies in."""
    if not values.vcs:
        return ""
    from imagist.build.vcs import find_vcs_url

    return find_vcs_url(Path(values.thing).absolute().parent)


def check_output(path: str) -> None:
    """Refuse, before any work, what is probably not meant as an archive or a layout folder.

    Raises:
        RequestError: with what to write instead.
    """
    place = Path(path)
    if path == "-":
        raise RequestError("an image is not written to stdout", help="name a file: `-o image.tar`")
    if path.endswith((".tar.gz", ".tgz", ".tar.zst")):
        raise RequestError(
            f"`{path}` would be a compressed archive, but layers are compressed already",
            help="name a file that ends in .tar",
        )
    if place.exists() and not (place.is_file() or place.is_dir()):
        raise RequestError(
            f"{path} is neither a file nor a folder", help="name a file that ends in .tar"
        )
    if place.is_file() and not path.endswith(".tar"):
        raise RequestError(f"{path} is a file", help="name a folder, or a file that ends in .tar")
    blocked = next((above for above in place.absolute().parents if above.is_file()), None)
    if blocked is not None:
        raise RequestError(f"{path} cannot be written: {blocked} is a file")


def _describe(thing: Image | Index) -> dict[str, object]:
    images = (
        derive.images(thing) if isinstance(thing, Index) else [(derive.platform(thing), thing)]
    )
    platforms = {
        str(platform): {
            "digest": derive.digest(image),
            "layers": [
                {"digest": layer.digest, "size": layer.size, "diff_id": layer.diff_id}
                for layer in image.layers
            ],
        }
        for platform, image in images
    }
    return {
        "digest": derive.digest(thing),
        "media_type": thing.media_type,
        "platforms": platforms,
    }
