"""`imagist build`: a declaration becomes an image, and its digest the answer."""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

import msgspec

from imagist.build.context import Options
from imagist.build.job import Built, build_images
from imagist.cli.answer import print_json
from imagist.cli.session import load_thing, open_context, read_options
from imagist.errors import RequestError
from imagist.oci import derive
from imagist.oci.image import Image, Index


def run(values: argparse.Namespace) -> None:
    """Build, write where -o says, and print the digest."""
    if values.tag and not values.output:
        raise RequestError(
            "-t names the image in an archive or layout, so it needs -o",
            help="add `-o image.tar`; this version does not push",
        )
    if values.output:
        check_output(values.output)
    options = _read_options(values)
    loaded = load_thing(values)
    context = open_context(values)
    built = build_images(loaded, options, context)
    # One platform that was asked for as such is an image; everything else is an index.
    single = len(options.platforms) == 1
    thing: Image | Index = next(iter(built.images.values())) if single else built.index
    digest = context.store.add_image(thing)
    if values.output:
        context.report.stage(f"writing {values.output}")
        write_image(thing, values.output, values.tag)
    if values.json:
        print_json(_describe(built, thing))
    else:
        sys.stdout.write(f"{digest}\n")


def _read_options(values: argparse.Namespace) -> Options:
    """The options of every command, and those that only matter to an image that is built."""
    return msgspec.structs.replace(
        read_options(values),
        annotations=tuple(_pair(text) for text in values.annotation),
        build_date=_read_date(values.build_date),
        vcs_url=_vcs_url(values),
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
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(
            f"--build-date takes a time such as 2026-01-31T12:00:00Z, not `{text}`"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp())


def _vcs_url(values: argparse.Namespace) -> str:
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
    if place.is_file() and not path.endswith(".tar"):
        raise RequestError(f"{path} is a file", help="name a folder, or a file that ends in .tar")
    blocked = next((above for above in place.absolute().parents if above.is_file()), None)
    if blocked is not None:
        raise RequestError(f"{path} cannot be written: {blocked} is a file")


def write_image(thing: Image | Index, path: str, tags: list[str]) -> None:
    """Write an image to a path: an archive where it ends in `.tar`, else an OCI layout folder."""
    if path.endswith(".tar"):
        from imagist.store.archive import write_archive

        write_archive(thing, Path(path), tags=tags)
    else:
        from imagist.store.layout import write_layout

        write_layout(thing, Path(path), names=tags)


def _describe(built: Built, thing: Image | Index) -> dict[str, object]:
    platforms = {
        str(platform): {
            "digest": derive.digest(image),
            "layers": [
                {"digest": layer.digest, "size": layer.size, "diff_id": layer.diff_id}
                for layer in image.layers
            ],
        }
        for platform, image in built.images.items()
    }
    return {
        "digest": derive.digest(thing),
        "media_type": thing.media_type,
        "platforms": platforms,
    }
