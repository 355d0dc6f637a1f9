"""Binaries that were built elsewhere, one for each platform: that each is for its machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from imagist.digest import CHUNK
from imagist.editing.additions import Addition, find_items, read_item
from imagist.errors import InputError, Problem, RequestError
from imagist.oci.platform import Platform
from imagist.rootfs.linkage import Linkage, LinkageScanner


def choose_binary(binaries: Mapping[str, str], platform: Platform) -> str:
    """The key of the binary for a platform.

    Raises:
        RequestError: none is for it.
    """
    names = (f"{platform.os}/{platform.arch}", platform.arch)
    found = next((name for name in names if name in binaries), "")
    if not found:
        raise RequestError(
            f"there is no binary for {platform}", help=f"there are: {', '.join(sorted(binaries))}"
        )
    return found


def check_binary(path: str, platform: Platform) -> Linkage:
    """What a binary needs to run, which must be for a machine of the platform.

    Raises:
        NotFound: it is not there.
        InputError: it is no program, or for another machine.
    """
    if Path(path).is_dir():
        raise InputError(f"`{path}` is a folder, not a program for Linux")
    start = b""
    scanner = LinkageScanner()
    (item,) = find_items(Addition(path, "/program"))
    for piece in read_item(item, CHUNK):
        start = start or piece[:2]
        scanner.feed(piece)
    linkage = scanner.finish()
    if linkage is None:
        kind = "a script" if start == b"#!" else "no ELF file"
        raise InputError(
            f"`{path}` is {kind}, not a program for Linux",
            help="build it for the platform, or add it as a file",
        )
    if not linkage.runs_on(platform.architecture):
        raise InputError(
            f"`{path}` is not for {platform}: it is for {linkage.architecture}",
            help="build it for the platform, or name it for another",
        )
    return linkage


def check_loader(
    path: str,
    linkage: Linkage,
    has: Callable[[str], bool],
    adding: Callable[[str], str] | None = None,
) -> None:
    """Compare what a binary asks for with what the base has.

    Args:
        path: of the binary, for messages.
        linkage: what it needs.
        has: whether the base has a path, without leading slash; only the loader is looked for,
            since where libraries are is the loader's own knowledge.
        adding: says how a package is added to the base, where that can be said.

    Raises:
        InputError: the base has not the loader.
    """
    loader = linkage.interpreter.lstrip("/")
    if loader and not has(loader):
        raise InputError(
            Problem(
                f"`{path}` needs /{loader}, which the base has not",
                help="link it statically, or "
                + (
                    f"add that libc to the base (Debian: libc6): {adding('libc6')}"
                    if adding
                    else "take a base with that libc"
                ),
            )
        )
