"""Publishing what was built: the image, and beside it what the next build can go by."""

from __future__ import annotations

from imagist.cli.delivery import explain_names, push
from imagist.cli.things import Making
from imagist.oci.image import Image, Index


def publish(work: Making, thing: Image | Index) -> None:
    """Push an image to where the command line says; what is there already does not move.

    Beside an image that was built from a lock, the repository gets a memory (`build.memory`).

    Raises:
        NetworkError: a registry cannot be reached, or refuses.
    """
    assert work.registries is not None  # noqa: S101 - there are references
    with explain_names(work.to):
        moved = push(thing, work.to.references, work.registries, work.values)
    if moved:
        work.leave_memory(thing, moved)
