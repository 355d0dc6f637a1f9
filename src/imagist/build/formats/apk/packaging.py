"""What an image of APKs has for apk: its state below /etc/apk, and its database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from imagist.build.derived import busybox, skeleton
from imagist.build.derived.place import put_file, read_file
from imagist.build.formats.packaging import Finish, Ground
from imagist.build.merge import Merged, owned_entries
from imagist.packages.apk.archive import ApkFiles
from imagist.packages.apk.database import (
    InstalledPackage,
    describe_installed,
    format_installed,
    format_scripts,
    format_triggers,
)
from imagist.rootfs.content import Contents
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarwrite import BLOCK
from imagist.rootfs.tree import Tree

DATABASE: Final = "usr/lib/apk/db"


class ApkState(msgspec.Struct, frozen=True):
    """What apk finds under /etc/apk of an image."""

    arch: str
    world: tuple[str, ...]
    """As the declaration wrote it."""
    repositories: tuple[str, ...]
    keys: dict[str, bytes]
    """PEM by file name."""
    tags: dict[str, str] = {}
    """Repository tag by the name of the package that is pinned to it."""


class ApkPackaging:
    """APKs (`packaging.Packaging`)."""

    all_homes = True

    def __init__(self, state: ApkState, base: Sequence[InstalledPackage] = ()) -> None:
        """`base` are the packages of the image that is built upon."""
        self._state = state
        self._base = base

    def put_skeleton(self, tree: Tree, *, epoch: int) -> None:
        """Make the folders of every image."""
        skeleton.put_skeleton(tree, epoch=epoch)

    def begin(self, ground: Ground[ApkFiles]) -> Finish:
        """Write what stands below /etc/apk; the database lists what is there until now."""
        state, tree, epoch = self._state, ground.tree, ground.epoch
        # Before the image changes a file: a database lists packages.
        records = [
            describe_installed(
                files,
                entries=_left_entries(tree, files, ground.merged),
                tag=state.tags.get(files.package.name, ""),
            )
            for files in ground.packages
        ]
        skeleton.put_apk_state(
            tree,
            arch=state.arch,
            world=state.world,
            repositories=state.repositories,
            keys=state.keys,
            epoch=epoch,
        )
        ground.warnings.extend(skeleton.link_old_database(tree, epoch=epoch))

        def finish() -> None:
            ground.warnings.extend(busybox.link_busybox(tree, ground.contents, epoch=epoch))
            self._put_database(tree, ground.contents, records, epoch)

        return finish

    def _put_database(
        self,
        tree: Tree,
        contents: Contents,
        records: Sequence[InstalledPackage],
        epoch: int,
    ) -> None:
        """Write apk's database; what a base image has in it stays in front."""
        old = [_read(tree, contents, name) for name in ("scripts.tar", "triggers")]
        scripts = format_scripts(records, mtime=epoch)
        installed = format_installed([*self._base, *records])
        put_file(tree, f"{DATABASE}/installed", installed, epoch=epoch)
        put_file(tree, f"{DATABASE}/scripts.tar", _open_ended(old[0]) + scripts, epoch=epoch)
        put_file(tree, f"{DATABASE}/triggers", old[1] + format_triggers(records), epoch=epoch)


def _left_entries(tree: Tree, files: ApkFiles, merged: Merged) -> Iterable[Entry] | None:
    """The entries of a package that are still its own; None where all are."""
    name = files.package.name
    if name not in merged.lost:
        return None
    return owned_entries(tree, files, merged.landed.get(name, {}))


def _read(tree: Tree, contents: Contents, name: str) -> bytes:
    return read_file(tree, contents, f"{DATABASE}/{name}") or b""


def _open_ended(tar: bytes) -> bytes:
    """A tar without its end, so that entries can follow; its last block is never all zero."""
    blocks = len(tar) // BLOCK
    while blocks and not any(tar[(blocks - 1) * BLOCK : blocks * BLOCK]):
        blocks -= 1
    return tar[: blocks * BLOCK]
