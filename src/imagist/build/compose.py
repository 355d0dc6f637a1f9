"""Composing the tree of one platform: the packages merged, and what an image adds to them.

The order is apko's (it decides what wins where two steps touch the same path); each step is a
function of `derived`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from imagist.build.derived import (
    accounts,
    busybox,
    certificates,
    ldcache,
    paths,
    services,
    skeleton,
)
from imagist.build.derived.files import DeclaredFile, put_files
from imagist.build.derived.osrelease import read_os_release
from imagist.build.derived.place import put_file, read_file
from imagist.build.merge import (
    Merged,
    merge_packages,
    owned_entries,
    refuse_markers,
    settle_hardlinks,
)
from imagist.declaration.model import Certificates, Declaration, PathMutation, User
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
from imagist.rootfs.tree import Node, Tree

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


class Base(msgspec.Struct, frozen=True):
    """The image that is built upon, as far as its files and packages matter."""

    nodes: tuple[Node, ...] = ()
    """What a runtime sees of it."""
    packages: tuple[InstalledPackage, ...] = ()
    """What is installed in it."""


class Composed(msgspec.Struct, frozen=True):
    """A tree that is ready to be divided into layers."""

    tree: Tree
    merged: Merged
    user: str
    """The numeric user of the image, or empty."""
    warnings: tuple[str, ...]


def compose(
    declaration: Declaration,
    packages: Sequence[ApkFiles],
    contents: Contents,
    state: ApkState,
    *,
    epoch: int,
    files: Sequence[DeclaredFile] = (),
    base: Base | None = None,
) -> Composed:
    """The tree of one platform.

    Args:
        declaration: with defaults filled in.
        packages: verified packages, in installation order.
        contents: reads files of packages that are in the tree.
        state: what goes under /etc/apk.
        epoch: mtime of what the image adds, in seconds since 1970.
        files: the declaration's `files`, already read.
        base: the image built upon.

    Raises:
        InputError: packages conflict, or hold something that cannot be used.
        RequestError: the declaration asks for something that does not fit these packages.
    """
    tree = _ground(base, epoch)
    merged = merge_packages(tree, packages)
    records = _records(tree, packages, merged, state.tags)
    skeleton.put_apk_state(
        tree,
        arch=state.arch,
        world=state.world,
        repositories=state.repositories,
        keys=state.keys,
        epoch=epoch,
    )
    warnings = skeleton.link_old_database(tree, epoch=epoch)
    users = accounts.add_accounts(
        tree,
        contents,
        users=[_user(user) for user in declaration.accounts.users],
        groups=[
            accounts.Group(group.groupname, group.gid, group.members)
            for group in declaration.accounts.groups
        ],
        epoch=epoch,
    )
    warnings += users.warnings
    warnings += put_files(tree, files, epoch=epoch)
    warnings += paths.mutate_paths(
        tree, contents, [_mutation(path) for path in declaration.paths], epoch=epoch
    )
    warnings += _install_certificates(declaration.certificates, tree, contents, packages, epoch)
    warnings += certificates.put_bundle_checksums(tree, contents, epoch=epoch)
    runtime_keys = [(key.name, key.content) for key in declaration.contents.runtime_keyring]
    warnings += skeleton.put_runtime_keys(tree, runtime_keys, epoch=epoch)
    warnings += services.put_services(tree, declaration.entrypoint.services, epoch=epoch)
    warnings += busybox.link_busybox(tree, contents, epoch=epoch)
    warnings += skeleton.put_devices(tree)
    libraries = {library.path: library for files in packages for library in files.libraries}
    warnings += ldcache.put_ld_cache(tree, contents, libraries, epoch=epoch)
    _put_database(tree, contents, records, base, epoch)
    settle_hardlinks(tree, packages, merged, base.nodes if base else ())
    refuse_markers(tree)
    warnings += read_os_release(tree, contents)[1]
    user = ""
    if declaration.accounts.run_as:
        user = accounts.resolve_run_as(users, declaration.accounts.run_as)
    return Composed(tree, merged, user, tuple(warnings))


def _ground(base: Base | None, epoch: int) -> Tree:
    """The folders of every image, below what a base image has."""
    tree = Tree()
    skeleton.put_skeleton(tree, epoch=epoch)
    if base is None:
        return tree
    ground = Tree()
    for node in base.nodes:
        ground.put(node)
    for node in tree:
        path = ground.resolve(node.entry.path, follow_last=True)
        if path not in ground:
            entry = msgspec.structs.replace(node.entry, path=path)
            ground.put(msgspec.structs.replace(node, entry=entry))
    return ground


def _records(
    tree: Tree, packages: Sequence[ApkFiles], merged: Merged, tags: Mapping[str, str]
) -> list[InstalledPackage]:
    """The database's records, before the image changes a file: a database lists packages."""
    return [
        describe_installed(
            files,
            entries=_left_entries(tree, files, merged),
            tag=tags.get(files.package.name, ""),
        )
        for files in packages
    ]


def _left_entries(tree: Tree, files: ApkFiles, merged: Merged) -> Iterable[Entry] | None:
    """The entries of a package that are still its own; None where all are."""
    name = files.package.name
    if name not in merged.lost:
        return None
    return owned_entries(tree, files, merged.landed.get(name, {}))


def _put_database(
    tree: Tree,
    contents: Contents,
    records: Sequence[InstalledPackage],
    base: Base | None,
    epoch: int,
) -> None:
    """Write apk's database; what a base image has in it stays in front."""
    old = [_read(tree, contents, name) for name in ("scripts.tar", "triggers")]
    scripts = format_scripts(records, mtime=epoch)
    put_file(
        tree,
        f"{DATABASE}/installed",
        format_installed([*(base.packages if base else ()), *records]),
        epoch=epoch,
    )
    put_file(tree, f"{DATABASE}/scripts.tar", _open_ended(old[0]) + scripts, epoch=epoch)
    put_file(tree, f"{DATABASE}/triggers", old[1] + format_triggers(records), epoch=epoch)


def _read(tree: Tree, contents: Contents, name: str) -> bytes:
    return read_file(tree, contents, f"{DATABASE}/{name}") or b""


def _open_ended(tar: bytes) -> bytes:
    """A tar without its end, so that entries can follow; its last block is never all zero."""
    blocks = len(tar) // BLOCK
    while blocks and not any(tar[(blocks - 1) * BLOCK : blocks * BLOCK]):
        blocks -= 1
    return tar[: blocks * BLOCK]


def _install_certificates(
    declared: Certificates | None,
    tree: Tree,
    contents: Contents,
    packages: Sequence[ApkFiles],
    epoch: int,
) -> list[str]:
    if declared is None:
        return []
    provides = {files.package.name: files.package.offered_names() for files in packages}
    return certificates.install_certificates(
        tree,
        contents,
        additional=[
            certificates.AdditionalCertificate(each.name, each.content)
            for each in declared.additional
        ],
        providers=declared.providers,
        provides=provides,
        epoch=epoch,
    )


def _user(user: User) -> accounts.User:
    gid = user.uid if user.gid is None else user.gid
    return accounts.User(user.username, user.uid, gid, user.homedir, user.shell)


def _mutation(path: PathMutation) -> paths.PathMutation:
    return paths.PathMutation(
        path.path, path.type, path.uid, path.gid, path.permissions, path.source, path.recursive
    )
