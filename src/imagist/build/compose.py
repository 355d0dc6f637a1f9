"""Composing the tree of one platform: the packages merged, and what an image adds to them.

The order is apko's (it decides what wins where two steps touch the same path); each step is a
function of `derived`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from imagist.build.derived import (
    accounts,
    certificates,
    ldcache,
    paths,
    services,
    skeleton,
)
from imagist.build.derived.files import DeclaredFile, put_files
from imagist.build.derived.osrelease import read_os_release
from imagist.build.formats.packaging import F, Ground, Packaging
from imagist.build.merge import Merged, merge_packages, refuse_markers, settle_hardlinks
from imagist.declaration.model import Accounts, Certificates, Declaration, PathMutation, User
from imagist.packages.files import PackageFiles
from imagist.rootfs.content import Contents
from imagist.rootfs.tree import Node, Tree


class Base(msgspec.Struct, frozen=True):
    """The image that is built upon, as far as its files and packages matter."""

    nodes: tuple[Node, ...] = ()
    """What a runtime sees of it."""
    packages: tuple[Any, ...] = ()
    """What is installed in it, as its format knows it."""


class Composed(msgspec.Struct, frozen=True):
    """A tree that is ready to be divided into layers."""

    tree: Tree
    merged: Merged
    user: str
    """The numeric user of the image, or empty."""
    warnings: tuple[str, ...]


def compose(
    declaration: Declaration,
    packages: Sequence[F],
    contents: Contents,
    packaging: Packaging[F],
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
        packaging: the format of the packages.
        epoch: mtime of what the image adds, in seconds since 1970.
        files: the declaration's `files`, already read.
        base: the image built upon.

    Raises:
        InputError: packages conflict, or hold something that cannot be used.
        RequestError: the declaration asks for something that does not fit these packages.
    """
    tree = _ground(base, packaging, epoch)
    merged = merge_packages(tree, packages)
    warnings: list[str] = []
    declared = declaration.accounts
    ground = Ground(
        tree,
        contents,
        packages,
        merged,
        {user.username: user.uid for user in declared.users},
        _declared_groups(declared),
        epoch,
        warnings,
    )
    finish = packaging.begin(ground)
    users = accounts.add_accounts(
        tree,
        contents,
        users=[_user(user) for user in declared.users],
        groups=[
            accounts.Group(group.groupname, group.gid, group.members) for group in declared.groups
        ],
        epoch=epoch,
        all_homes=packaging.all_homes,
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
    warnings += skeleton.put_devices(tree)
    libraries = {library.path: library for files in packages for library in files.libraries}
    warnings += ldcache.put_ld_cache(tree, contents, libraries, epoch=epoch)
    finish()
    settle_hardlinks(tree, packages, merged, base.nodes if base else ())
    refuse_markers(tree)
    warnings += read_os_release(tree, contents)[1]
    user = ""
    if declared.run_as:
        user = accounts.resolve_run_as(users, declared.run_as)
    return Composed(tree, merged, user, tuple(warnings))


def _ground(base: Base | None, packaging: Packaging[F], epoch: int) -> Tree:
    """The folders of every image, below what a base image has."""
    tree = Tree()
    packaging.put_skeleton(tree, epoch=epoch)
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


def _install_certificates(
    declared: Certificates | None,
    tree: Tree,
    contents: Contents,
    packages: Sequence[PackageFiles],
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


def _declared_groups(declared: Accounts) -> dict[str, int]:
    """The numbers of declared groups; a user's own has the name of the user."""
    own = {user.username: _user(user).gid for user in declared.users}
    return own | {group.groupname: group.gid for group in declared.groups}


def _user(user: User) -> accounts.User:
    gid = user.uid if user.gid is None else user.gid
    return accounts.User(user.username, user.uid, gid, user.homedir, user.shell)


def _mutation(path: PathMutation) -> paths.PathMutation:
    return paths.PathMutation(
        path.path, path.type, path.uid, path.gid, path.permissions, path.source, path.recursive
    )
