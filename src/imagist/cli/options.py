"""Options of commands that build: what decides an image beside its declaration."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from imagist.errors import RequestError

if TYPE_CHECKING:
    from imagist.build.context import Options
    from imagist.build.trace import Trace


def read_build_options(values: argparse.Namespace, vcs_url: str, notes: Trace) -> Options:
    """The options of every command, and those that only matter to an image that is built."""
    import msgspec

    from imagist.cli.session import read_options

    return msgspec.structs.replace(
        read_options(values, notes),
        annotations=read_annotations(values),
        build_date=read_date(values.build_date),
        vcs_url=vcs_url,
        format=values.format,
    )


def read_annotations(values: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    """What --annotation adds.

    Raises:
        RequestError: one has no key, or no value.
    """
    return tuple(_pair(text) for text in values.annotation)


def _pair(text: str) -> tuple[str, str]:
    """`K=V`, or apko's `K:V`, whichever sign comes first."""
    for character in text:
        if character in "=:":
            key, _, value = text.partition(character)
            if key and value:
                return key, value
            break
    raise RequestError(f"--annotation takes KEY=VALUE, not `{text}`")


def read_date(text: str) -> int | None:
    """The seconds since 1970 that --build-date names; None where it is absent.

    Raises:
        RequestError: it is no time.
    """
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
