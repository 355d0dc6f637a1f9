"""The C library of an image: glibc or musl, of which version, or none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from imagist.packages.deb.installed import read_installed
from imagist.rootfs.tree import Tree

DATABASES: Final = (
    "usr/lib/apk/db/installed",
    "lib/apk/db/installed",
    "var/lib/dpkg/status",
)
"""Where package managers list what is installed; distroless images have `status.d` besides."""
_APK: Final = re.compile(rb"^P:(.+)\nV:(.+)$", re.MULTILINE)
_MUSL_LOADER: Final = re.compile(r"ld-musl-[a-z0-9_]+\.so\.1")
_GLIBC_LOADER: Final = re.compile(r"ld-linux(?:-[a-z0-9-]+)?\.so\.\d|ld64\.so\.[12]")
_FOLDERS: Final = re.compile(r"(?:usr/)?lib(?:32|64|x32)?(?:/[a-z0-9_]+-linux-[a-z0-9]+)?")
_PACKAGED: Final = re.compile(r"(?:\d+:)?(\d+)\.(\d+)")
_BANNER: Final = re.compile(rb"release version (\d+)\.(\d+)")
_SYMBOL: Final = re.compile(rb"\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)")
_MUSL: Final = re.compile(rb"\0(1)\.(\d+)\.\d+(?:[-_]git[^\0]*)?(?=\0)")
_GLIBC_PACKAGES: Final = ("libc6", "glibc")
Kind = Literal["glibc", "musl", ""]
UNKNOWN: Final = (0, 0)


class Libc(msgspec.Struct, frozen=True):
    """What is known of an image's C library."""

    kind: Kind = ""
    version: tuple[int, int] = UNKNOWN
    unread: tuple[str, ...] = ()
    """Files that tell the version; to be read, and given to `settle`."""

    def settle(self, contents: Mapping[str, bytes]) -> Libc:
        """The same with the version that its files tell."""
        if self.version != UNKNOWN or not self.unread:
            return self
        data = b"".join(contents.get(path, b"") for path in self.unread)
        read = _read_musl if self.kind == "musl" else _read_glibc
        return Libc(self.kind, read(data))


def read_databases(texts: Mapping[str, bytes]) -> dict[str, str]:
    """Names and versions of the packages that databases list as installed."""
    packages: dict[str, str] = {}
    for path, text in texts.items():
        if path.endswith("apk/db/installed"):
            packages.update((_text(name), _text(version)) for name, version in _APK.findall(text))
        elif "/dpkg/status" in path:
            found = ((each.get("package"), each.get("version")) for each in read_installed(text))
            packages.update((name, version) for name, version in found if name and version)
    return packages


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def find_libc(tree: Tree, packages: Mapping[str, str]) -> Libc:
    """The libc whose loader an image has; its version as far as the packages tell it.

    Where both have one, as on Alpine with glibc's beside, that of the packages counts.
    """
    loaders = [
        node.entry.path
        for node in tree.nodes()
        if node.entry.kind != "directory" and _is_loader(node.entry.path)
    ]
    musl = [path for path in loaders if _MUSL_LOADER.fullmatch(path.rpartition("/")[2])]
    glibc = [path for path in loaders if path not in musl]
    if musl and (not glibc or "musl" in packages):
        version = _packaged(packages.get("musl", ""))
        unread = sorted({tree.resolve(path, follow_last=True) for path in musl})
        return Libc("musl", version, () if version != UNKNOWN else tuple(unread))
    if not glibc:
        return Libc()
    versions = (_packaged(packages.get(name, "")) for name in _GLIBC_PACKAGES)
    version = max(versions, default=UNKNOWN)
    unread = sorted(
        {
            tree.resolve(node.entry.path, follow_last=True)
            for node in tree.nodes()
            if node.entry.path.endswith("/libc.so.6") and _is_system(node.entry.path)
        }
    )
    return Libc("glibc", version, () if version != UNKNOWN else tuple(unread))


def _is_loader(path: str) -> bool:
    name = path.rpartition("/")[2]
    if not name.startswith("ld"):
        return False
    return bool(_MUSL_LOADER.fullmatch(name) or _GLIBC_LOADER.fullmatch(name)) and _is_system(path)


def _is_system(path: str) -> bool:
    return _FOLDERS.fullmatch(path.rpartition("/")[0]) is not None


def _packaged(version: str) -> tuple[int, int]:
    match = _PACKAGED.match(version)
    return (int(match[1]), int(match[2])) if match else UNKNOWN


def _read_glibc(data: bytes) -> tuple[int, int]:
    """The release that it states, or else the newest of the versions of its symbols."""
    found = _BANNER.search(data)
    if found:
        return int(found[1]), int(found[2])
    return max(((int(a), int(b)) for a, b in _SYMBOL.findall(data)), default=UNKNOWN)


def _read_musl(data: bytes) -> tuple[int, int]:
    found = {(int(a), int(b)) for a, b in _MUSL.findall(data)}
    return found.pop() if len(found) == 1 else UNKNOWN
