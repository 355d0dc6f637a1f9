"""What every APK image has beside its packages: folders, devices, and the state apk reads."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Final

from imagist.build.derived.certificates import format_pem
from imagist.build.derived.place import find_file, make_folders, put_entry, put_file
from imagist.errors import ImagistError, InputError, Problem, RequestError
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Tree

KEYS: Final = "etc/apk/keys"
DATABASE: Final = "usr/lib/apk/db"
_FOLDERS: Final = {
    "dev": 0o755,
    "etc": 0o755,
    "etc/apk": 0o755,
    "etc/apk/keys": 0o755,
    "opt": 0o755,
    "proc": 0o555,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/lib": 0o755,
    "usr/lib/apk": 0o755,
    "usr/lib/apk/db": 0o755,
    "usr/lib/apk/exec": 0o755,
    "var": 0o755,
    "var/cache": 0o755,
    "var/cache/apk": 0o755,
    "var/cache/misc": 0o755,
}
_DEVICES: Final = {
    "dev/console": (0o620, (5, 1)),
    "dev/null": (0o666, (1, 3)),
    "dev/random": (0o666, (1, 8)),
    "dev/urandom": (0o666, (1, 9)),
    "dev/zero": (0o666, (1, 5)),
}
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_KEY_BLOCK: Final = re.compile(
    r"^-----BEGIN ([A-Z0-9 ]+)-----[ \t\r]*$(.*?)^-----END \1-----", re.MULTILINE | re.DOTALL
)


def put_skeleton(tree: Tree, *, epoch: int) -> list[str]:
    """Make the folders of every image and the lock of the package database.

    Call it before packages are merged: of a folder both have, this mode and owner stay, and the
    package's time.
    """
    for path, mode in _FOLDERS.items():
        put_entry(tree, Entry(path, "directory", mode, mtime=epoch))
    put_file(tree, f"{DATABASE}/lock", b"", mode=0o600, epoch=epoch)
    return []


def put_apk_state(
    tree: Tree,
    *,
    arch: str,
    world: Iterable[str],
    repositories: Iterable[str],
    keys: Mapping[str, bytes],
    epoch: int,
) -> list[str]:
    """Write etc/apk/{arch,world,repositories} and the keys the build trusts (name -> PEM).

    Lines are written in the order given. A key that a package brought with the same bytes stays
    the package's.

    Raises:
        InputError: a package brings another key of the same name.
    """
    put_file(tree, "etc/apk/arch", f"{arch}\n".encode(), epoch=epoch)
    put_file(tree, "etc/apk/world", _lines(world), epoch=epoch)
    put_file(tree, "etc/apk/repositories", _lines(repositories), epoch=epoch)
    make_folders(tree, KEYS, mtime=epoch)
    for name, pem in sorted(keys.items()):
        path = f"{KEYS}/{name}"
        brought = find_file(tree, path)
        if brought is None or not brought.owner:
            put_file(tree, path, pem, epoch=epoch)
        elif brought.entry.sha1 != hashlib.sha1(pem).digest():
            raise InputError(
                f"package {brought.owner} brings /{path}, which is not the key of that name that "
                "packages were verified with",
                help="the keyring holds an outdated or foreign key under this name; correct it",
            )
    return []


def put_runtime_keys(tree: Tree, keys: Iterable[tuple[str, str]], *, epoch: int) -> list[str]:
    """Write the keys (name, PEM text) that only the running image trusts, written anew.

    Raises:
        RequestError: a name or key that cannot be used, or a key of that name that is already
            there; all of them at once.
    """
    problems: list[Problem] = []
    for name, content in sorted(set(keys)):
        path = f"{KEYS}/{name}"
        try:
            if not _KEY_NAME.fullmatch(name):
                raise InputError(f"`{name}` cannot be the name of a key file")
            if tree.resolve(path) in tree:
                raise InputError(f"/{path} exists already, and a key must not be replaced")
            pem = _read_public_key(content, name)
        except ImagistError as error:
            problems += error.problems
            continue
        put_file(tree, path, pem, epoch=epoch)
    if problems:
        raise RequestError(problems)
    return []


def put_devices(tree: Tree, *, epoch: int = 0) -> list[str]:
    """Make the devices of /dev that a container needs before a runtime mounts its own.

    What a package brought stays. Their time is 0 unless stated: it means nothing for a device.
    """
    for path, (mode, device) in _DEVICES.items():
        if tree.resolve(path) not in tree:
            put_entry(tree, Entry(path, "char", mode, mtime=epoch, device=device))
    return []


def link_old_database(tree: Tree, *, epoch: int) -> list[str]:
    """Link lib/apk, where apk-tools 2 and scanners look, to usr/lib/apk.

    Nothing is done where /lib itself leads to /usr/lib; empty folders in lib/apk give way.
    """
    if tree.resolve("lib", follow_last=True) == "usr/lib":
        return []
    path = tree.resolve("lib/apk")
    node = tree.get(path)
    if node is not None and node.entry.kind == "symlink":
        return []
    if any(not below.entry.is_directory for below in tree.below(path)):
        return [
            f"/{path} of {node.owner if node else 'a package'} is not empty; it stays a folder"
        ]
    tree.remove(path)
    put_entry(tree, Entry(path, "symlink", 0o777, mtime=epoch, link="../usr/lib/apk"))
    return []


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _read_public_key(content: str, name: str) -> bytes:
    """The one RSA public key (PKIX) in a PEM text, written again without what is around it."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - slow to import
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    blocks = _KEY_BLOCK.findall(content)
    if len(blocks) != 1 or blocks[0][0] != "PUBLIC KEY":
        raise InputError(f"key `{name}` must be exactly one PEM block of type PUBLIC KEY")
    try:
        der = base64.b64decode("".join(blocks[0][1].split()), validate=True)
        key = load_der_public_key(der)
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"key `{name}` cannot be read: {error}") from None
    if not isinstance(key, RSAPublicKey):
        raise InputError(f"key `{name}` is not an RSA key, and apk knows no other")
    return format_pem("PUBLIC KEY", der)
