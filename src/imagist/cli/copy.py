"""`imagist copy`: images go from one place to another, with what belongs to them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagist.cli.answer import print_json
from imagist.cli.images import find_path, open_local, read_platform_names, read_reference
from imagist.cli.messages import Messages
from imagist.cli.registries import open_registries
from imagist.cli.stores import open_store
from imagist.errors import NotFound, RequestError
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.referrer import Companion
from imagist.registry.companions import Beside, RemoteCompanions, companions_at
from imagist.registry.copy import Copied, copy_images, find_companions, pushes_of
from imagist.registry.push import Push, push_images
from imagist.registry.source import gather, load_image

if TYPE_CHECKING:
    from imagist.oci.reference import Reference

_STORE: Final = "store:"


def run(values: argparse.Namespace) -> None:
    """Copy, and print what is where now."""
    place = _read_place(values.target)
    if values.all_tags:
        _tell(_copy_repository(values, place), values)
        return
    local = open_local(values.source, values)
    if place is not None:
        _write(local, place, values)
    elif local is not None:
        _tell([_push(local, values)], values)
    else:
        pair = (read_reference(values.source), read_reference(values.target))
        _tell(_copy_remote([pair], values), values)


def _copy_repository(values: argparse.Namespace, place: str | None) -> list[Copied]:
    from msgspec.structs import replace

    if place is not None:
        raise RequestError("--all-tags copies from one repository to another")
    origin, target = read_reference(values.source), read_reference(values.target)
    tags = list(open_registries(values).repository(origin).tags())
    if not tags:
        raise NotFound(f"{origin.registry}/{origin.repository} has no tags")
    pairs = [(replace(origin, tag=tag), replace(target, tag=tag)) for tag in tags]
    return _copy_remote(pairs, values)


def _copy_remote(
    pairs: Sequence[tuple[Reference, Reference]], values: argparse.Namespace
) -> list[Copied]:
    with Messages(values).meter(f"blobs to {pairs[0][1].registry}") as meter:
        return copy_images(
            open_registries(values),
            pairs,
            choose=lambda thing: _restrict(thing, values),
            referrers=not values.no_referrers,
            clobber=not values.no_clobber,
            nondistributable=values.allow_nondistributable_artifacts,
            meter=meter,
        )


def _push(local: Image | Index, values: argparse.Namespace) -> Copied:
    """Copy what is on this machine into a registry."""
    registries, target = open_registries(values), read_reference(values.target)
    if values.no_clobber and registries.repository(target).resolve(target.tag) is not None:
        return Copied(target, None, 0)
    thing = _restrict(local, values)
    companions = _find_companions(companions_at(find_path(values.source)), thing, values)
    with Messages(values).meter(f"blobs to {target.registry}") as meter:
        [*_, digest] = push_images(
            registries,
            [*pushes_of(companions, target), Push(thing, [target])],
            meter=meter,
            nondistributable=values.allow_nondistributable_artifacts,
        )
    return Copied(target, digest, len(companions))


def _find_companions(
    beside: Beside, thing: Image | Index, values: argparse.Namespace
) -> list[Companion]:
    return [] if values.no_referrers else find_companions(beside, thing)


def _restrict(thing: Image | Index, values: argparse.Namespace) -> Image | Index:
    names = read_platform_names(values)
    if not names:
        return thing
    from imagist.inspection.choose import restrict

    return restrict(thing, names)


def _read_place(target: str) -> str | None:
    """The path that a target means; `store:` as it is; None for a reference in a registry."""
    for prefix in ("oci:", "oci-archive:", "docker-archive:"):
        if target.startswith(prefix):
            return target.removeprefix(prefix)
    if target == _STORE:
        return target
    if target.startswith("docker://"):
        return None
    if target.endswith((".tar", "/")) or target.startswith(("/", "./", "../")):
        return target
    return target if Path(target).exists() else None


def _write(local: Image | Index | None, place: str, values: argparse.Namespace) -> None:
    """Write into the store, an archive or a layout; out of a registry where nothing is local."""
    jobs, names = 1, []
    beside: Beside
    if local is None:
        registries, reference = open_registries(values), read_reference(values.source)
        thing = _restrict(load_image(registries, reference, store=open_store(values)), values)
        gather(registries, thing)
        beside = RemoteCompanions(registries.repository(reference))
        jobs = registries.jobs
        names = [str(reference).partition("@")[0]] if reference.tag else []
    else:
        thing = _restrict(local, values)
        beside = companions_at(find_path(values.source))
    companions = [] if place == _STORE else _find_companions(beside, thing, values)
    with Messages(values).meter(place) as meter:
        if place == _STORE:
            open_store(values).add_image(thing, meter=meter, jobs=jobs)
        elif place.endswith(".tar"):
            from imagist.store.archive import write_archive

            write_archive(
                thing, Path(place), tags=names, companions=companions, meter=meter, jobs=jobs
            )
        else:
            from imagist.store.layout import write_layout

            tags = [name.rpartition(":")[2] for name in names]
            write_layout(
                thing, Path(place), names=tags, companions=companions, meter=meter, jobs=jobs
            )
    if values.json:
        document = {"digest": derive.digest(thing), "target": values.target}
        print_json(document | {"companions": len(companions)})
    else:
        sys.stdout.write(f"{derive.digest(thing)}\n")


def _tell(copied: Sequence[Copied], values: argparse.Namespace) -> None:
    if values.json:
        print_json(
            [
                {"reference": str(x.reference), "digest": x.digest, "companions": x.companions}
                for x in copied
            ]
        )
        return
    messages = Messages(values)
    for item in copied:
        if item.digest is None:
            messages.warn(f"{item.reference} is there, and was left alone")
        else:
            sys.stdout.write(f"{str(item.reference).partition('@')[0]}@{item.digest}\n")
