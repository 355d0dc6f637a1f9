"""The Python of a base image, told from its files: which, of what exact version, with what libc.

The image is never run. Package databases and headers say it at once; where there are none, the
interpreter and the libc themselves do, as they have their versions in them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from imagist.errors import RequestError
from imagist.oci.manifest import DEFAULT_PATH
from imagist.oci.platform import Platform
from imagist.packages.wheel.libc import DATABASES, Kind, Libc, find_libc, read_databases
from imagist.packages.wheel.target import (
    PREFIX,
    Target,
    Wishes,
    check_target,
    parse_libc,
    parse_python,
)
from imagist.rootfs.tree import Tree

Read = Callable[[Sequence[str]], Mapping[str, bytes]]
"""Contents of files of the image by path; each call may be a pass over its layers."""

_NAME: Final = re.compile(r"python(3\.\d+)(t?)")
_GENERIC: Final = ("python3", "python")
_HEADER: Final = re.compile(rb'^#define\s+PY_VERSION\s+"([^"+]+)\+?"', re.MULTILINE)
_PACKAGED: Final = re.compile(r"(?:\d+:)?(\d+\.\d+\.\d+)(?:[~_]?(a|b|rc|alpha|beta)(\d+))?")
_SHORT: Final = {"alpha": "a", "beta": "b"}
_USUAL: Final = {"glibc": "2.36", "musl": "1.2"}
_SYSTEM: Final = ("usr/bin", "bin")
"""Where the interpreter of a distribution's package is."""
_REMEDY: Final = (
    "use a base image that has Python, or add it to the packages of the base: `python-3.12` of "
    "Wolfi, `python3` of Alpine and Debian"
)


class Base(msgspec.Struct, frozen=True):
    """What can be seen of a base image for one platform."""

    name: str
    """As messages call it."""
    platform: Platform
    tree: Tree
    """What a runtime sees."""
    environment: Mapping[str, str]
    """The variables of its configuration."""
    read: Read


class _Interpreter(msgspec.Struct, frozen=True):
    path: str
    """Relative to the root, as everything in a tree."""
    minor: str
    threaded: bool

    @property
    def prefix(self) -> str:
        return posixpath.dirname(posixpath.dirname(self.path))

    @property
    def library(self) -> str:
        """The folder of the standard library."""
        suffix = "t" if self.threaded else ""
        return posixpath.join(self.prefix, f"lib/python{self.minor}{suffix}")


def detect_target(base: Base, wishes: Wishes = Wishes(), prefix: str = PREFIX) -> Target:  # noqa: B008
    """The target that an image is for whatever is built on the base.

    Args:
        base: what can be seen.
        wishes: what the declaration says.
        prefix: of the virtual environment.

    Raises:
        RequestError: it has no Python, several and none is the usual one, or another than wished.
        InputError: the image is damaged.
    """
    interpreter = _choose(base, wishes)
    texts = base.read([*_texts(base.tree, interpreter), *_databases(base.tree)])
    packages = read_databases(texts)
    python = _told_version(texts, packages, interpreter) or ""
    libc = find_libc(base.tree, packages)
    binaries = [] if python else _binaries(base.tree, interpreter)
    contents = base.read([*binaries, *libc.unread]) if binaries or libc.unread else {}
    libc = libc.settle(contents)
    python = python or _built_version(contents, interpreter) or _stated(base, interpreter)
    python = _agree(base, python, wishes)
    kind, version = _agree_libc(base, libc, wishes)
    return check_target(
        Target(
            platform=base.platform,
            python=python,
            abi=f"cp{interpreter.minor.replace('.', '')}{'t' if interpreter.threaded else ''}",
            libc=kind,
            libc_version=version,
            interpreter=f"/{interpreter.path}",
            prefix=prefix,
        )
    )


# which interpreter


def _choose(base: Base, wishes: Wishes) -> _Interpreter:
    wish = parse_python(wishes.python)
    found = _find_all(base, wishes.interpreter)
    if not found:
        only = wishes.interpreter
        raise RequestError(
            f"{base.name} has no Python{f' at {only}' if only else ''} for {base.platform}",
            where=wishes.where("interpreter") if only else None,
            help=_REMEDY,
        )
    if wish is None:
        usual = found[0].path if len(found) == 1 else _usual(base)
        for each in found:
            if _real(base.tree, each.path) == _real(base.tree, usual):
                return each
        raise RequestError(
            f"{base.name} has several Pythons: {_listed(found)}",
            help=f"say which with `python`, such as {found[0].minor}",
        )
    for each in found:
        if (each.minor, each.threaded) == wish:
            return each
    raise RequestError(
        f"{base.name} has {_listed(found)}, but not the Python {wishes.python} that is asked for",
        where=wishes.where("python"),
        help="ask for one that it has, or use another base image",
    )


def _find_all(base: Base, only: str) -> list[_Interpreter]:
    """The interpreters with their libraries, each once, in the order of PATH."""
    tree = base.tree
    names = [only.strip("/")] if only else _programs(base)
    found: dict[str, _Interpreter] = {}
    for path in names:
        real = _real(tree, path)
        for each in (path, real):
            match = _NAME.fullmatch(posixpath.basename(each)) or _NAME.fullmatch(
                posixpath.basename(real)
            )
            interpreter = _Interpreter(each, match[1], bool(match[2])) if match else None
            # Python looks for its library beside where it is: a link to it may be elsewhere.
            if interpreter and _has_library(tree, interpreter):
                found.setdefault(real, interpreter)
                break
    return list(found.values())


def _programs(base: Base) -> list[str]:
    """The paths of everything called `python3.N` in the folders of PATH."""
    folders = [folder.strip("/") for folder in _folders(base)]
    known = dict.fromkeys(folder for folder in folders if folder)
    paths: dict[str, list[str]] = {folder: [] for folder in known}
    resolved = {folder: base.tree.resolve(folder, follow_last=True) for folder in known}
    for node in base.tree.nodes():
        folder, _, name = node.entry.path.rpartition("/")
        if not _NAME.fullmatch(name) or node.entry.kind == "directory":
            continue
        for known_folder, real in resolved.items():
            if folder == real:
                paths[known_folder].append(f"{known_folder}/{name}")
    return [path for folder in known for path in sorted(paths[folder])]


def _folders(base: Base) -> list[str]:
    return (base.environment.get("PATH", "") or DEFAULT_PATH).split(":")


def _usual(base: Base) -> str:
    """What `python3` is on PATH."""
    for folder in _folders(base):
        for name in _GENERIC:
            path = f"{folder.strip('/')}/{name}"
            if base.tree.find(path) is not None:
                return path
    return ""


def _real(tree: Tree, path: str) -> str:
    """The path without symlinks; of a file with several names, the one that the tree calls it."""
    real = tree.resolve(path, follow_last=True)
    node = tree.get(real)
    return node.entry.link if node is not None and node.entry.kind == "hardlink" else real


def _has_library(tree: Tree, interpreter: _Interpreter) -> bool:
    node = tree.find(interpreter.path)
    if node is None or node.entry.is_directory:
        return False
    library = interpreter.library
    return any(tree.find(f"{library}/{name}") is not None for name in ("os.py", "os.pyc"))


def _listed(found: Sequence[_Interpreter]) -> str:
    return ", ".join(f"{each.minor}{'t' * each.threaded} (/{each.path})" for each in found)


# its version


def _texts(tree: Tree, interpreter: _Interpreter) -> list[str]:
    """Small files beside the interpreter that state its version."""
    suffix = "t" if interpreter.threaded else ""
    header = f"include/python{interpreter.minor}{suffix}/patchlevel.h"
    paths = [f"{interpreter.library}/build-details.json", f"{interpreter.prefix}/{header}"]
    return [path for path in paths if tree.find(path) is not None]


def _databases(tree: Tree) -> list[str]:
    paths = [path for path in DATABASES if tree.find(path) is not None]
    folder = tree.resolve("var/lib/dpkg/status.d", follow_last=True)
    if folder in tree:
        parts = (node.entry.path for node in tree.below(folder))
        paths += [path for path in parts if not path.endswith(".md5sums")]
    return paths


def _told_version(
    texts: Mapping[str, bytes], packages: Mapping[str, str], interpreter: _Interpreter
) -> str | None:
    """The version that files or the package of the interpreter state, the surest first."""
    for path, data in texts.items():
        told = ""
        if path.endswith("/build-details.json"):
            told = _read_details(data)
        elif path.endswith("/patchlevel.h"):
            match = _HEADER.search(data)
            told = match[1].decode("ascii", "replace") if match else ""
        if told and _is_minor(told, interpreter):
            return told
    if posixpath.dirname(interpreter.path) not in _SYSTEM:
        return None
    minor = interpreter.minor
    names = (f"python{minor}-minimal", f"python-{minor}-base", f"python-{minor}")
    for name in (*names, f"python{minor}", "python3"):
        told = _read_packaged(packages.get(name, ""))
        if told and _is_minor(told, interpreter):
            return told
    return None


def _read_details(data: bytes) -> str:
    """The version in a `build-details.json` (PEP 739)."""
    try:
        details = msgspec.json.decode(data)
        version = details["implementation"]["version"]
        level = {"alpha": "a", "beta": "b", "candidate": "rc"}.get(version["releaselevel"], "")
        pre = f"{level}{version['serial']}" if level else ""
        return f"{version['major']}.{version['minor']}.{version['micro']}{pre}"
    except (msgspec.DecodeError, KeyError, TypeError):
        return ""


def _read_packaged(version: str) -> str:
    """Python's version in a package's: `3.11.2-6+deb12u3`, `3.13.0_rc2-r0`."""
    match = _PACKAGED.match(version)
    if match is None:
        return ""
    return match[1] + (f"{_SHORT.get(match[2], match[2])}{match[3]}" if match[2] else "")


def _is_minor(version: str, interpreter: _Interpreter) -> bool:
    return version.startswith(f"{interpreter.minor}.")


def _binaries(tree: Tree, interpreter: _Interpreter) -> list[str]:
    """The interpreter and, where it is a shared library, that."""
    suffix = "t" if interpreter.threaded else ""
    name = f"libpython{interpreter.minor}{suffix}.so.1.0"
    beside = [interpreter.path, f"{interpreter.prefix}/lib/{name}"]
    found = [path for path in beside if tree.find(path) is not None]
    return found + [n.entry.path for n in tree.nodes() if n.entry.path.endswith(f"-gnu/{name}")]


def _built_version(contents: Mapping[str, bytes], interpreter: _Interpreter) -> str:
    """The version that the interpreter itself would print, a text in its data.

    Linkers let a text be the end of another, such as of the folder it was built in.
    """
    minor = re.escape(interpreter.minor.encode())
    pattern = re.compile(rb"(?<![0-9.])(" + minor + rb"\.\d+(?:(?:a|b|rc)\d+)?)\+?\0")
    found = {match.decode() for data in contents.values() for match in pattern.findall(data)}
    return found.pop() if len(found) == 1 else ""


def _stated(base: Base, interpreter: _Interpreter) -> str:
    """What the image's configuration says; it is what people write, so it comes last."""
    told = base.environment.get("PYTHON_VERSION", "")
    return told if _is_minor(told, interpreter) else ""


# what was wished


def _agree(base: Base, found: str, wishes: Wishes) -> str:
    wished = wishes.python.removesuffix("t")
    exact = wished.count(".") == 2
    if not found and exact:
        return wished
    if not found:
        raise RequestError(
            f"{base.name} does not tell the exact version of its Python",
            where=wishes.where("python"),
            help="say it with `python`, as in 3.12.7",
        )
    if exact and wished != found:
        raise RequestError(
            f"{base.name} has Python {found}, but {wished} is asked for",
            where=wishes.where("python"),
            help="ask for what it has, or use another base image",
        )
    return found


def _agree_libc(base: Base, libc: Libc, wishes: Wishes) -> tuple[Kind, tuple[int, int]]:
    wished = parse_libc(wishes.libc)
    if wished is None:
        if libc.kind and libc.version == (0, 0):
            raise RequestError(
                f"{base.name} does not tell the version of its {libc.kind}",
                help=f"say it with `libc`, as in {libc.kind} {_USUAL[libc.kind]}",
            )
        return libc.kind, libc.version
    where = wishes.where("libc")
    kind, version = wished
    if libc.kind and (kind != libc.kind or libc.version not in {(0, 0), version}):
        own = f"{libc.kind} {'.'.join(map(str, libc.version))}"
        raise RequestError(
            f"{base.name} has {own}, but {wishes.libc} is asked for",
            where=where,
            help="ask for what it has, or use another base image",
        )
    if not libc.kind:
        raise RequestError(
            f"{base.name} has no libc, but {wishes.libc} is asked for",
            where=where,
            help="leave `libc` out, or use another base image",
        )
    return kind, version
