"""Where the files of a wheel go in a virtual environment, and what installing adds to them.

This is what an installer does (binary distribution format, "Installing a wheel"; recording
installed projects; entry points), but as a plan: files with contents, or with the member of the
wheel that their bytes are. Nothing is inflated for it but metadata and scripts.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from imagist.errors import Problem, Untrusted
from imagist.packages.wheel.archive import WheelArchive
from imagist.packages.wheel.entrypoints import find_scripts, write_wrapper
from imagist.packages.wheel.record import format_record
from imagist.packages.wheel.venv import Venv
from imagist.rootfs.whiteout import is_reserved

FORMAT: Final = 2
"""Raise it whenever the same wheel would be installed otherwise, or not at all."""
INSTALLER: Final = b"imagist\n"

_OURS: Final = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""Files of a `.dist-info` folder that an installer writes, whatever the wheel has."""
_PYTHON: Final = b"#!python"
_RESERVED: Final = re.compile(r"(?:python|pypy|graalpy)w?(?:\d+(?:\.\d+)*t?)?")
_ACTIVATES: Final = re.compile(r"[Aa]ctivate(?:\.\w+|_this\.py)?")
_FOLDERS: Final = frozenset({"bin", "include", "lib"})
"""What of the environment files may lie in, but none can be."""
_TAKEN: Final = frozenset({"lib64", "pyvenv.cfg"})
"""What of the environment is its own, with whatever would lie below it."""
_NAME_MAX: Final = 255
"""Bytes of a name that file systems take."""
_SCRIPT_MAX: Final = 1 << 20


class Origin(msgspec.Struct, frozen=True):
    """Why a distribution is installed, as far as its installed files tell of it."""

    requested: bool = False
    """Whether somebody asked for it by name (REQUESTED)."""
    direct_url: bytes = b""
    """Content of `direct_url.json` (PEP 610), of what comes from no index."""


class InstalledFile(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A file in its place."""

    path: str
    """Relative to the root of the image."""
    mode: int
    size: int
    sha256: bytes
    """Of the content, 32 bytes."""
    member: str = ""
    """Whose bytes of the wheel these are; empty where the content is `data`."""
    data: bytes = b""


class InstalledWheel(msgspec.Struct, frozen=True):
    """A wheel as it is installed."""

    name: str
    version: str
    files: tuple[InstalledFile, ...]
    """In the order of paths."""
    warnings: tuple[str, ...]


def install_wheel(wheel: WheelArchive, venv: Venv, origin: Origin | None = None) -> InstalledWheel:
    """Plan the installation of a wheel.

    Raises:
        Untrusted: the wheel would replace the interpreter, install one file twice, or has parts
            that no scheme knows; everything that is wrong is told.
    """
    return _Installation(wheel, venv, origin or Origin()).run()


class _Installation:
    def __init__(self, wheel: WheelArchive, venv: Venv, origin: Origin) -> None:
        self._wheel = wheel
        self._venv = venv
        self._origin = origin
        self._files: dict[str, InstalledFile] = {}
        self._problems: list[str] = []
        self._warnings = list(wheel.warnings)
        root = venv.root
        self._schemes = {
            "purelib": venv.site_packages,
            "platlib": venv.site_packages,
            "headers": f"{root}/include/site/{venv.python}/{wheel.name}",
            "scripts": f"{root}/bin",
            "data": root,
        }

    def run(self) -> InstalledWheel:
        # 1. Scripts of entry points; they go before files of the same name.
        wrapped = self._add_entry_points()
        # 2. The files of the wheel.
        for name in self._wheel.members:
            self._add_member(name, wrapped)
        # 3. What installing adds; at last the list of all.
        info = f"{self._venv.site_packages}/{self._wheel.dist_info}"
        self._add_data(f"{info}/INSTALLER", INSTALLER)
        if self._origin.requested:
            self._add_data(f"{info}/REQUESTED", b"")
        if self._origin.direct_url:
            self._add_data(f"{info}/direct_url.json", self._origin.direct_url)
        record = f"{info}/RECORD"
        if record in self._files:
            self._problems.append(f"installs /{record} twice")
        if self._problems:
            raise Untrusted(Problem(f"{self._wheel.filename} {why}") for why in self._problems)
        self._add_data(record, self._format_record())
        files = tuple(self._files[path] for path in sorted(self._files))
        return InstalledWheel(self._wheel.name, self._wheel.version, files, tuple(self._warnings))

    def _add_entry_points(self) -> set[str]:
        if not self._wheel.has("entry_points.txt"):
            return set()
        names: set[str] = set()
        text = self._wheel.read_info("entry_points.txt").decode("utf-8", "replace")
        for name, reference in find_scripts(text):
            try:
                wrapper = write_wrapper(self._venv.shebang(), reference)
            except ValueError:
                self._problems.append(
                    f"has an entry point `{name}` that names no function: `{reference}`"
                )
                continue
            if self._may_be_script(name):
                self._add_data(f"{self._schemes['scripts']}/{name}", wrapper, 0o755)
                names.add(name)
        return names

    def _may_be_script(self, name: str) -> bool:
        if not _is_name(name):
            self._problems.append(f"has a script whose name cannot be: `{name}`")
        elif _RESERVED.fullmatch(name):
            self._problems.append(f"has a script `{name}`, which would replace the interpreter")
        else:
            if _ACTIVATES.fullmatch(name):
                self._warnings.append(
                    f"{self._wheel.filename} has a script `{name}`, as the environment itself may"
                )
            return True
        return False

    def _add_member(self, name: str, wrapped: set[str]) -> None:
        wheel = self._wheel
        if "__pycache__" in name.split("/"):
            self._warn_of_bytecode()
            return
        if name.startswith(f"{wheel.dist_info}/"):
            if name.removeprefix(f"{wheel.dist_info}/") in _OURS:
                return
            self._add(f"{self._venv.site_packages}/{name}", name)
            return
        top = name.partition("/")[0]
        if top.endswith(".data") and top != wheel.data:
            self._problems.append(f"has `{top}`, which only some installers take for its data")
            return
        if top != wheel.data or top == name:
            self._add(f"{self._schemes['purelib' if wheel.is_pure else 'platlib']}/{name}", name)
            return
        _, scheme, path = (*name.split("/", 2), "")[:3]
        if scheme not in self._schemes or not path:
            self._problems.append(f"has files that no scheme knows: `{name}`")
        elif scheme != "scripts":
            if scheme == "data" and path.startswith("lib64/"):
                path = f"lib/{path.removeprefix('lib64/')}"  # where the link leads
            self._add(f"{self._schemes[scheme]}/{path}", name)
        elif path not in wrapped and self._may_be_script(path):
            self._add_script(f"{self._schemes['scripts']}/{path}", name)

    def _warn_of_bytecode(self) -> None:
        text = f"{self._wheel.filename} has compiled files (`__pycache__`), which are left out"
        if text not in self._warnings:
            self._warnings.append(text)

    def _add_script(self, path: str, name: str) -> None:
        """A script, whose `#!python` becomes the interpreter of the environment."""
        if self._wheel.members[name].size <= _SCRIPT_MAX:
            data = self._wheel.read(name)
            if data.startswith(_PYTHON):
                # All of the line goes, whatever version or options it asks for, as with pip.
                rest = data.partition(b"\n")[2]
                self._add_data(path, self._venv.shebang() + b"\n" + rest, 0o755)
                return
        self._add(path, name, 0o755)

    def _add(self, path: str, name: str, mode: int = 0) -> None:
        """A member as it is. Of its mode only whether anybody may run it counts."""
        member = self._wheel.members[name]
        mode = mode or (0o755 if member.mode & 0o111 else 0o644)
        digest = self._wheel.sha256(name)
        self._place(InstalledFile(path, mode, member.size, digest, name))

    def _add_data(self, path: str, data: bytes, mode: int = 0o644) -> None:
        digest = hashlib.sha256(data).digest()
        self._place(InstalledFile(path, mode, len(data), digest, "", data))

    def _place(self, file: InstalledFile) -> None:
        if _replaces_environment(file.path.removeprefix(f"{self._venv.root}/")):
            self._problems.append(f"would replace /{file.path} of the environment")
        before = self._files.setdefault(file.path, file)
        if before is not file:
            self._problems.append(f"installs /{file.path} twice")

    def _format_record(self) -> bytes:
        root, site = f"{self._venv.root}/", f"{self._venv.site_packages}/"
        # From site-packages three folders up is the prefix.
        rows = [
            (
                file.path.removeprefix(site)
                if file.path.startswith(site)
                else f"../../../{file.path.removeprefix(root)}",
                file.sha256,
                file.size,
            )
            for file in self._files.values()
        ]
        return format_record(rows, f"{self._wheel.dist_info}/RECORD")


def _is_name(text: str) -> bool:
    """Whether a script can be called so: what an entry point is called becomes a path."""
    return (
        text not in {"", ".", ".."}
        and "/" not in text
        and text.isprintable()
        and len(text.encode()) <= _NAME_MAX
        and not is_reserved(text)
    )


def _replaces_environment(inside: str) -> bool:
    """Whether a path below the prefix is the environment's own, or leads through what is."""
    top, _, below = inside.partition("/")
    name = below.partition("/")[0]
    is_interpreter = top == "bin" and _RESERVED.fullmatch(name) is not None
    return inside in _FOLDERS or top in _TAKEN or is_interpreter
