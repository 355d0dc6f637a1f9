"""`imagist copy`: images go from one place to another, with what belongs to them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from imagist.cli.answer import print_json
from imagist.cli.images import find_path, open_local, read_reference, restrict_platforms
from imagist.cli.messages import Messages
from imagist.cli.registries import open_registries
from imagist.cli.stores import open_store
from imagist.errors import NotFound, RequestError
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.reference import Reference
from imagist.oci.referrer import Companion
from imagist.progress import Meter
from imagist.registry.companions import Beside, RemoteCompanions, companions_at
from imagist.registry.copy import Copied, copy_images, find_companions, pushes_of
from imagist.registry.push import Push, push_images
from imagist.registry.source import gather, load_image

_STORE: Final = "store:"


class _Item(NamedTuple):
    """An image to copy, and what goes along."""

    thing: Image | Index
    companions: list[Companion]
    name: str
    """What it is called where it comes from: a whole reference, or a name in a layout."""

    @property
    def tag(self) -> str:
        return self.name.rpartition("/")[2].rpartition(":")[2]


def run(values: argparse.Namespace) -> None:
    """Copy, and print what is where now."""
    place = _read_place(values.target)
    path = find_path(values.source)
    local = None if values.all_tags else open_local(values.source, values)
    remote = local is None and path is None
    if remote and place is None:
        _tell(_copy_remote(values), values)
        return
    items = _load_remote(values) if remote else _load_local(values, local, path)
    if place is None:
        _tell(_push(list(items), values), values)
    else:
        _write(items, place, values, jobs=open_registries(values).jobs if remote else 1)


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


# Where images come from


def _load_local(
    values: argparse.Namespace, local: Image | Index | None, path: Path | None
) -> Iterator[_Item]:
    """The image that is meant on this machine, or all that a layout has names for."""
    beside = companions_at(path)
    if local is not None:
        yield _item(local, "", beside, values)
        return
    if path is None or not path.is_dir():
        raise RequestError(f"{values.source} is no layout folder", help="leave --all-tags out")
    from imagist.store.layout import read_named

    named = read_named(path)
    if not named:
        raise NotFound(f"no image in {path} has a name", help="copy it without --all-tags")
    for name, thing in named.items():
        yield _item(thing, name, beside, values)


def _load_remote(values: argparse.Namespace) -> Iterator[_Item]:
    """The image that is meant in a registry, or all tags of its repository."""
    registries, store = open_registries(values), open_store(values)
    for reference in _references(values):
        thing = restrict_platforms(load_image(registries, reference, store=store), values)
        gather(registries, thing)
        beside = RemoteCompanions(registries.repository(reference))
        name = str(reference).partition("@")[0] if reference.tag else ""
        yield _item(thing, name, beside, values)


def _references(values: argparse.Namespace) -> list[Reference]:
    """What the source names in a registry."""
    reference = read_reference(values.source)
    if not values.all_tags:
        return [reference]
    tags = list(open_registries(values).repository(reference).tags())
    if not tags:
        raise NotFound(f"{reference.registry}/{reference.repository} has no tags")
    return [replace(reference, tag=tag) for tag in tags]


def _item(thing: Image | Index, name: str, beside: Beside, values: argparse.Namespace) -> _Item:
    thing = restrict_platforms(thing, values)
    without = values.no_referrers or values.target == _STORE
    return _Item(thing, [] if without else find_companions(beside, thing), name)


# Where they go


def _copy_remote(values: argparse.Namespace) -> list[Copied]:
    """From repository to repository, everything at a time."""
    origins, target = _references(values), read_reference(values.target)
    pairs = [(origins[0], target)]
    if values.all_tags:
        pairs = [(origin, replace(target, tag=origin.tag)) for origin in origins]
    with Messages(values).meter(f"blobs to {target.registry}") as meter:
        return copy_images(
            open_registries(values),
            pairs,
            choose=lambda thing: restrict_platforms(thing, values),
            referrers=not values.no_referrers,
            clobber=not values.no_clobber,
            nondistributable=values.allow_nondistributable_artifacts,
            meter=meter,
        )


def _push(items: Sequence[_Item], values: argparse.Namespace) -> list[Copied]:
    """From this machine into a registry."""
    registries, target = open_registries(values), read_reference(values.target)
    repository = registries.repository(target)
    pushes: list[Push] = []
    told: list[Copied] = []
    for item in items:
        reference = replace(target, tag=item.tag) if values.all_tags else target
        if values.no_clobber and repository.resolve(reference.tag, push=True) is not None:
            told.append(Copied(reference, None, 0))
            continue
        pushes += [*pushes_of(item.companions, reference), Push(item.thing, [reference])]
        told.append(Copied(reference, derive.digest(item.thing), len(item.companions)))
    with Messages(values).meter(f"blobs to {target.registry}") as meter:
        push_images(
            registries,
            pushes,
            meter=meter,
            nondistributable=values.allow_nondistributable_artifacts,
        )
    return told


def _write(items: Iterator[_Item], place: str, values: argparse.Namespace, *, jobs: int) -> None:
    """Into the store, an archive or a layout."""
    if values.all_tags and place.endswith(".tar"):
        raise RequestError("an archive holds one image", help="name a layout folder: `dir/`")
    documents = []
    for item in items:
        with Messages(values).meter(item.name or place) as meter:
            _write_one(item, place, values, meter, jobs)
        digest = derive.digest(item.thing)
        documents.append(
            {"digest": digest, "target": values.target, "companions": len(item.companions)}
        )
        if not values.json:
            sys.stdout.write(f"{digest}\n")
    if values.json:
        print_json(documents if values.all_tags else documents[0])


def _write_one(
    item: _Item, place: str, values: argparse.Namespace, meter: Meter, jobs: int
) -> None:
    if place == _STORE:
        open_store(values).add_image(item.thing, meter=meter, jobs=jobs)
        return
    names = [item.name] if item.name else []
    if place.endswith(".tar"):
        from imagist.store.archive import write_archive

        write_archive(
            item.thing,
            Path(place),
            tags=names,
            companions=item.companions,
            meter=meter,
            jobs=jobs,
        )
        return
    from imagist.store.layout import write_layout

    write_layout(
        item.thing,
        Path(place),
        names=[item.tag] if item.tag else [],
        companions=item.companions,
        meter=meter,
        jobs=jobs,
    )


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
