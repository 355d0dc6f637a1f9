"""`imagist export`: the root file system of an image as a tar."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from imagist.cli.answer import print_json
from imagist.cli.environment import host_platform
from imagist.cli.images import count_jobs, open_image, read_platform_names
from imagist.errors import InputError, RequestError
from imagist.inspection.choose import choose_image
from imagist.inspection.export import export_tar
from imagist.oci import derive
from imagist.oci.image import Image
from imagist.oci.platform import Platform


def run(values: argparse.Namespace) -> None:
    """Write the tar to stdout, or where -o says."""
    to_stdout = values.output in {"", "-"}
    if to_stdout and sys.stdout.isatty():
        raise RequestError(
            "a tar is not written to a terminal",
            help="name a file, `-o rootfs.tar`, or send it on: `| tar -x -C rootfs`",
        )
    if not to_stdout and Path(values.output).is_dir():
        raise RequestError(
            f"{values.output} is a folder", help=f"name a file: `-o {values.output}/rootfs.tar`"
        )
    if to_stdout and values.json:
        raise RequestError("stdout takes the tar or JSON, not both", help="name a file: `-o FILE`")
    thing = open_image(values.image, values)
    image = choose_image(thing, read_platform_names(values), _host())
    jobs = count_jobs(values)
    if to_stdout:
        export_tar(image, sys.stdout.buffer.write, jobs=jobs)
    else:
        _write_file(image, Path(values.output), jobs)
    if values.json:
        print_json({"digest": derive.digest(image), "output": values.output})


def _host() -> Platform | None:
    try:
        return host_platform()
    except RequestError:  # an image for another one can be looked at here as well
        return None


def _write_file(image: Image, place: Path, jobs: int) -> None:
    """Write a file that appears at once; into a device or a pipe directly."""
    from imagist.store.output import temporary_file

    if place.exists() and not place.is_file():
        try:
            with place.open("wb") as stream:
                export_tar(image, stream.write, jobs=jobs)
        except OSError as error:
            raise InputError(f"{place} cannot be written: {error.strerror}") from error
        return
    place = place.resolve()
    with temporary_file(place) as path:
        with path.open("r+b") as stream:
            export_tar(image, stream.write, jobs=jobs)
        path.replace(place)
