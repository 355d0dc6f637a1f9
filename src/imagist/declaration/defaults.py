"""What a declaration means where it is silent; pure functions from declaration to declaration."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from imagist.declaration.model import Accounts, Contents, Declaration, Layering, PathMutation, User
from imagist.oci.platform import ALL_ARCHITECTURES, parse_platform
from imagist.packages.deb.sources import is_source

ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
}
DEBIAN_ARCHITECTURES: Final = ("amd64", "arm/v7", "arm64", "ppc64le", "riscv64", "s390x")
"""Those Debian releases for, but for 386, which it has given up by and by."""
SHELL: Final = "/bin/sh"
SUPERVISOR: Final = "/bin/s6-svscan /sv"
SUPERVISOR_PACKAGE: Final = "s6"
BUDGET: Final = 60
"""Layers of an image: far below what runtimes take, so that others can be built on top."""
_MODES: Final = {"directory": 0o755, "empty-file": 0o644}


def with_derived(declaration: Declaration) -> Declaration:
    """What apko fills in before anything is resolved, and shows as configuration.

    Home folders, the supervisor of a service bundle, one spelling of architectures; and, other
    than apko, which takes 0, the modes of new directories and files.
    """
    accounts = declaration.accounts
    entrypoint = declaration.entrypoint
    contents = declaration.contents
    if entrypoint.type == "service-bundle":
        entrypoint = replace(entrypoint, command=SUPERVISOR)
        if SUPERVISOR_PACKAGE not in contents.packages:
            contents = replace(contents, packages=(*contents.packages, SUPERVISOR_PACKAGE))
    users = tuple(
        user if user.homedir else replace(user, homedir=f"/home/{user.username}")
        for user in accounts.users
    )
    archs = tuple(dict.fromkeys(parse_platform(name).arch for name in declaration.archs))
    return replace(
        declaration,
        contents=contents,
        entrypoint=entrypoint,
        accounts=replace(accounts, users=users),
        archs=archs,
        paths=tuple(map(_give_mode, declaration.paths)),
    )


def with_defaults(declaration: Declaration) -> Declaration:
    """A declaration in which every default is written out.

    What stays absent has a meaning of its own: `permissions` of a link or of a `permissions`
    mutation (leave the mode), `uid` and `gid` both absent of a mutation (leave the owners),
    `labels` (take the annotations), `mtime` (the image's time).
    """
    declaration = with_derived(declaration)
    contents = declaration.contents
    extra: dict[str, tuple[str, ...]] = {}
    for name, packages in contents.platform_packages.items():
        arch = parse_platform(name).arch
        extra[arch] = extra.get(arch, ()) + packages
    return replace(
        declaration,
        contents=replace(contents, platform_packages=extra),
        accounts=_complete_accounts(declaration.accounts),
        archs=declaration.archs or _all_architectures(contents),
        environment=ENVIRONMENT | declaration.environment,
        paths=tuple(map(_complete_path, declaration.paths)),
        layering=_complete_layering(declaration),
        format=declaration.format or "tar",
    )


def _all_architectures(contents: Contents) -> tuple[str, ...]:
    """Every architecture there are packages of."""
    lines = (*contents.build_repositories, *contents.repositories)
    return DEBIAN_ARCHITECTURES if any(map(is_source, lines)) else ALL_ARCHITECTURES


def _complete_accounts(accounts: Accounts) -> Accounts:
    return replace(accounts, users=tuple(map(_complete_user, accounts.users)))


def _complete_user(user: User) -> User:
    gid = user.uid if user.gid is None else user.gid
    return replace(user, gid=gid, shell=user.shell or SHELL)


def _give_mode(mutation: PathMutation) -> PathMutation:
    if mutation.permissions is not None or mutation.type not in _MODES:
        return mutation
    return replace(mutation, permissions=_MODES[mutation.type])


def _complete_path(mutation: PathMutation) -> PathMutation:
    """Complete half an owner with root."""
    if (mutation.uid is None) == (mutation.gid is None):
        return mutation
    return replace(mutation, uid=mutation.uid or 0, gid=mutation.gid or 0)


def _complete_layering(declaration: Declaration) -> Layering:
    layering = declaration.layering or Layering()
    if declaration.format == "erofs":
        return Layering(strategy="single", budget=0)
    strategy = layering.strategy or "package"
    budget = layering.budget
    if budget is None:
        # apko takes an absent budget of `origin` for one group below the top layer.
        budget = BUDGET if strategy == "package" else 0
    return replace(layering, strategy=strategy, budget=budget)
