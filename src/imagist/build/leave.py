"""Leaving a memory in the repositories that an image was pushed to; see `memory`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from msgspec.structs import replace

from imagist.build.context import Context, Options
from imagist.build.memory import TAG, make_memory, read_memory
from imagist.build.plan import Plan
from imagist.errors import NotFound
from imagist.oci import contents
from imagist.oci.image import Image, Index
from imagist.oci.reference import Reference
from imagist.packages.files import PackageFiles
from imagist.registry.client import Registries
from imagist.registry.push import push_image


def leave_memory(
    plan: Plan,
    options: Options,
    context: Context,
    thing: Image | Index,
    references: Sequence[Reference],
    registries: Registries,
) -> None:
    """Put what is known of an image's packages beside it; nothing is fetched for that.

    Args:
        plan: what the image was built from.
        options: see `Options`.
        context: where packages are remembered: the store, and the target's own memory.
        thing: the image or index, which is in these repositories.
        references: its names there.
        registries: how to get there.

    Raises:
        NotFound: bytes that belong to the memory are nowhere.
        NetworkError: a registry cannot be reached, or refuses.
    """
    packages = _recall_packages(plan, options, context)
    if packages is None:
        return
    layers = {blob.digest for blob in contents.blobs(thing) if blob.layer}

    def open_blob(digest: str) -> BinaryIO:
        return _open_anywhere(context, digest)

    memory = make_memory(packages, plan.format, layers, open_blob)
    places = {replace(reference, tag=TAG) for reference in references}
    push_image(registries, memory, sorted(places, key=str))


def _recall_packages(plan: Plan, options: Options, context: Context) -> list[PackageFiles] | None:
    """The packages of the image; None where one is neither remembered here nor there."""
    memory = context.target.find_memory() if context.target else None
    known = read_memory(memory, plan.format)
    fetcher = plan.format.open_fetcher(context, options, recollected=known)
    return fetcher.recall([w for each in plan.platforms for w in plan.resolved.packages[each]])


def _open_anywhere(context: Context, digest: str) -> BinaryIO:
    try:
        return context.store.open_blob(digest)
    except NotFound:
        if context.target is None:
            raise
        return context.target.open_blob(digest)
