"""Publishing what was built: the image, and beside it what the next build can go by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from msgspec.structs import replace

from imagist.build.context import Context
from imagist.build.memory import TAG, make_memory, read_memory
from imagist.cli.delivery import push
from imagist.cli.messages import Messages
from imagist.cli.work import Work
from imagist.errors import ImagistError, NotFound
from imagist.oci import contents, derive
from imagist.oci.image import Image, Index
from imagist.oci.reference import Reference
from imagist.packages.apk.archive import PackageFiles
from imagist.packages.apk.fetch import PackageFetcher
from imagist.registry.client import Registries
from imagist.registry.push import push_image


def publish(work: Work, thing: Image | Index) -> None:
    """Push an image to where the command line says; what is there already does not move.

    Beside an image that was built from a lock, the repository gets a memory (`build.memory`).

    Raises:
        NetworkError: a registry cannot be reached, or refuses.
    """
    registries = work.registries
    assert registries is not None  # noqa: S101 - there are references
    digest = derive.digest(thing)
    references = [each for each in work.to.references if not _names(registries, each, digest)]
    if not references:
        return
    push(thing, references, registries, work.values)
    if work.planned().options.lock is None:
        return
    try:
        _leave_memory(work, registries, thing, references)
    except ImagistError as error:  # the image is there: the next build only has more to do
        messages = Messages(work.values)
        messages.warn(f"the registry got no memory for the next build: {error}")


def _names(registries: Registries, reference: Reference, digest: str) -> bool:
    found = registries.repository(reference).resolve(reference.tag, push=True)
    return found is not None and found.digest == digest


def _leave_memory(
    work: Work, registries: Registries, thing: Image | Index, references: Sequence[Reference]
) -> None:
    context = work.planned().context
    packages = _known_packages(work)
    if packages is None:
        return
    layers = {blob.digest for blob in contents.blobs(thing) if blob.layer}

    def open_blob(digest: str) -> BinaryIO:
        return _open_anywhere(context, digest)

    memory = make_memory(packages, layers, open_blob)
    places = {replace(reference, tag=TAG) for reference in references}
    push_image(registries, memory, sorted(places, key=str))


def _known_packages(work: Work) -> list[PackageFiles] | None:
    """The packages of the image, as far as nothing must be fetched to know them; else None."""
    plan, options, context = work.planned()
    target = context.target
    fetcher = PackageFetcher(
        context.store,
        context.reader,
        limits=options.limits.packages,
        recollected=read_memory(target.find_memory() if target else None),
    )
    return fetcher.recall([w for each in plan.platforms for w in plan.resolved.packages[each]])


def _open_anywhere(context: Context, digest: str) -> BinaryIO:
    try:
        return context.store.open_blob(digest)
    except NotFound:
        if context.target is None:
            raise
        return context.target.open_blob(digest)
