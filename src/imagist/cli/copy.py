"""`imagist copy`: images go from one place to another, with what belongs to them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.cli.answer import print_json
from imagist.cli.images import find_path, open_local, read_reference, restrict_platforms
from imagist.cli.messages import Messages
from imagist.cli.places import FOREIGN, PREFIXES, Place, parse_place, write_place
from imagist.cli.registries import open_registries, read_repository
from imagist.cli.stores import open_store
from imagist.errors import CheckFailed, NetworkError, NotFound, RequestError
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.reference import REMOTE, Reference, is_tag, names_registry
from imagist.oci.referrer import Companion
from imagist.progress import Meter
from imagist.registry.companions import Beside, RemoteCompanions, companions_at
from imagist.registry.copy import Copied, copy_images, find_companions, pushes_of
from imagist.registry.push import Push, push_images
from imagist.registry.source import gather, load_image

_STORE: Final = "store:"


class _Item(msgspec.Struct, frozen=True):
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


def _read_place(target: str) -> Place | str | None:
    """The place that a target means; `store:` as it is; None for a reference in a registry.

    Raises:
        RequestError: nobody can tell which of the two is meant.
    """
    if target == _STORE:
        return target
    if target.startswith(REMOTE):
        return None
    kind = target.partition(":")[0]
    is_path = target.endswith((".tar", "/")) or target.startswith(("/", "./", "../"))
    if is_path or kind in (*PREFIXES, *FOREIGN) or Path(target).exists():
        return parse_place(target)
    last = target.rpartition("/")[2]
    if not (names_registry(target) or ":" in last or "@" in last):
        whole = target if "/" in target else f"library/{target}"
        raise RequestError(
            f"`{target}` can be a folder, or docker.io/{whole}",
            help=f"write `./{target}` or `docker.io/{whole}`",
        )
    return None


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
    if not values.all_tags:
        return [read_reference(values.source)]
    reference = read_repository(values.source)
    tags = list(open_registries(values).repository(reference).tags())
    if not tags:
        raise NotFound(f"{reference.registry}/{reference.repository} has no tags")
    for tag in tags:
        if not is_tag(tag):  # it would lead elsewhere in the path of a request
            raise NetworkError(f"{reference}: the registry lists {tag[:64]!r}, which is no tag")
    return [replace(reference, tag=tag) for tag in tags]


def _item(thing: Image | Index, name: str, beside: Beside, values: argparse.Namespace) -> _Item:
    thing = restrict_platforms(thing, values)
    without = values.no_referrers or values.target == _STORE
    return _Item(thing, [] if without else find_companions(beside, thing), name)


# Where they go


def _read_target(values: argparse.Namespace) -> Reference:
    """What the target names in a registry: with --all-tags a repository, which has no tag."""
    return (read_repository if values.all_tags else read_reference)(values.target)


def _copy_remote(values: argparse.Namespace) -> list[Copied]:
    """From repository to repository, everything at a time."""
    origins, target = _references(values), _read_target(values)
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
    registries, target = open_registries(values), _read_target(values)
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


def _write(
    items: Iterator[_Item], place: Place | str, values: argparse.Namespace, *, jobs: int
) -> None:
    """Into the store, an archive or a layout."""
    if values.all_tags and isinstance(place, Place):
        if place.is_archive:
            raise RequestError("an archive holds one image", help="name a layout folder: `dir/`")
        if place.name:
            raise RequestError(
                "all images cannot have one name", help=f"leave `:{place.name}` out"
            )
    documents = []
    for item in items:
        with Messages(values).meter(item.name or values.target) as meter:
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
    item: _Item, place: Place | str, values: argparse.Namespace, meter: Meter, jobs: int
) -> None:
    if not isinstance(place, Place):
        open_store(values).add_image(item.thing, meter=meter, jobs=jobs)
        return
    name = item.name if place.is_archive else item.tag
    _warn_of_another(place.name or name, item, place, values)
    write_place(
        item.thing,
        place,
        names=[name] if name else [],
        companions=item.companions,
        meter=meter,
        jobs=jobs,
    )


def _warn_of_another(name: str, item: _Item, place: Place, values: argparse.Namespace) -> None:
    """Layouts know tags alone: say so where one named an image of perhaps another repository."""
    folder = Path(place.path)
    if place.is_archive or not name or not (folder / "index.json").is_file():
        return
    from imagist.store.layout import find_named

    old = find_named(folder, name)
    if old not in {"", derive.digest(item.thing)}:
        Messages(values).warn(
            f"`{name}` in {place.path} was {old}, which has no name there now; "
            f"`oci:{place.path}:NAME` gives the new one another"
        )


def _tell(copied: Sequence[Copied], values: argparse.Namespace) -> None:
    """Say what is where now.

    Raises:
        CheckFailed: the one tag that was asked for is there, and nothing was done.
    """
    if not values.all_tags and copied[0].digest is None:
        raise CheckFailed(
            f"{copied[0].reference} is there, and was left alone",
            help="leave --no-clobber out to move it",
        )
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
