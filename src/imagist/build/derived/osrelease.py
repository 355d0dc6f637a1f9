"""os-release(5): which system the packages make, for the SBOM and for scanners."""

from __future__ import annotations

import shlex
from typing import Final

import msgspec

from imagist.build.derived.place import read_file
from imagist.rootfs.content import Contents
from imagist.rootfs.tree import Tree

_PATHS: Final = ("etc/os-release", "usr/lib/os-release")


class OsRelease(msgspec.Struct, frozen=True):
    """The fields of an os-release file; where one is missing, the default of os-release(5)."""

    fields: dict[str, str]

    @property
    def id(self) -> str:
        """The system's name for programs, such as `wolfi`."""
        return self.fields.get("ID", "linux")

    @property
    def name(self) -> str:
        """The system's name for people."""
        return self.fields.get("NAME", "Linux")

    @property
    def version_id(self) -> str:
        """The version for programs; empty for rolling systems."""
        return self.fields.get("VERSION_ID", "")

    @property
    def pretty_name(self) -> str:
        """Name and version in one text."""
        return self.fields.get("PRETTY_NAME", "Linux")


def parse_os_release(text: bytes) -> OsRelease:
    """Read `KEY=value` lines with the quoting of a shell; lines that are none are passed over."""
    fields: dict[str, str] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        key, equals, value = line.strip().partition("=")
        if not equals or not key.isidentifier():
            continue
        try:
            words = shlex.split(value)
        except ValueError:  # an open quote
            continue
        fields[key] = words[0] if words else ""
    return OsRelease(fields)


def read_os_release(tree: Tree, contents: Contents) -> tuple[OsRelease, list[str]]:
    """The os-release of a tree, and a warning where no package brings one."""
    for path in _PATHS:
        text = read_file(tree, contents, path)
        if text is not None:
            return parse_os_release(text), []
    warning = "no package brings /etc/os-release, so scanners cannot tell which system this is"
    return OsRelease({}), [warning]
