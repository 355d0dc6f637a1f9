"""Publishing what was built: the image, and beside it what the next build can go by."""

from __future__ import annotations

from imagist.cli.delivery import explain_names, push
from imagist.cli.things import Making
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.reference import Reference
from imagist.registry.client import Registries


def publish(work: Making, thing: Image | Index) -> None:
    """Push an image to where the command line says; what is there already does not move.

    Beside an image that was built from a lock, the repository gets a memory (`build.memory`).

    Raises:
        NetworkError: a registry cannot be reached, or refuses.
    """
    registries = work.registries
    assert registries is not None  # noqa: S101 - there are references
    digest = derive.digest(thing)
    with explain_names(work.to):
        references = [each for each in work.to.references if not _names(registries, each, digest)]
        if references:
            push(thing, references, registries, work.values)
    if not references:
        return
    work.leave_memory(thing, references)


def _names(registries: Registries, reference: Reference, digest: str) -> bool:
    found = registries.repository(reference).resolve(reference.tag, push=True)
    return found is not None and found.digest == digest
