"""The virtual environment that packages go into, written without running Python (PEP 405).

Where everything lies depends on the prefix and on the version of Python alone, not on the base
image: so layers of packages are shared by all images. What does depend on the base, where its
interpreter is, stands in one small layer below them.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import msgspec

from imagist.errors import RequestError
from imagist.packages.wheel.target import PREFIX, Target
from imagist.rootfs.entry import Entry, parents

if TYPE_CHECKING:
    from imagist.rootfs.tree import Tree

MAX_SHEBANG: Final = 127
"""Bytes of a script's first line that every Linux reads (execve(2))."""


class Venv(msgspec.Struct, frozen=True):
    """Where a virtual environment is, and for which Python."""

    prefix: str = PREFIX
    """Absolute path."""
    python: str = "python3.12"
    """How its library folder is called; `python3.13t` where it is free-threaded."""

    @property
    def root(self) -> str:
        """The prefix as entries of layers have it."""
        return self.prefix.strip("/")

    @property
    def site_packages(self) -> str:
        """The folder of `purelib` and `platlib`, relative to the root of the image."""
        return f"{self.root}/lib/{self.python}/site-packages"

    @property
    def interpreter(self) -> str:
        """What scripts are run by, an absolute path."""
        return f"/{self.root}/bin/python"

    def shebang(self) -> bytes:
        """The first line of scripts, without its end."""
        return b"#!" + self.interpreter.encode()


def venv_of(target: Target) -> Venv:
    """The environment of a target.

    Raises:
        RequestError: no script could name an interpreter there.
    """
    place = PurePosixPath(target.prefix)
    if not place.is_absolute() or ".." in place.parts or len(place.parts) < 2:
        raise RequestError(f"`{target.prefix}` is no place for a virtual environment")
    suffix = "t" if target.free_threaded else ""
    venv = Venv(str(place), f"python{target.minor}{suffix}")
    line = venv.shebang()
    if len(line) > MAX_SHEBANG or any(byte in line for byte in b" \t\n\0"):
        raise RequestError(
            f"scripts in {target.prefix} could not name their interpreter",
            help=f"a prefix without blanks, of at most {MAX_SHEBANG - 13} bytes",
        )
    return venv


def write_skeleton(target: Target, *, mtime: int = 0) -> list[Entry]:
    """What of an environment is no package's: `pyvenv.cfg`, and links to the interpreter.

    The links are as `python -m venv` makes them, but relative to one that leads to the base's
    interpreter. Folders above the prefix come first.
    """
    venv = venv_of(target)
    root = venv.root
    config = (
        f"home = {PurePosixPath(target.interpreter).parent}\n"
        "include-system-site-packages = false\n"
        f"version = {target.python}\n"
        f"executable = {target.interpreter}\n"
    ).encode()
    folders = [*parents(f"{root}/bin"), f"{root}/bin", f"{root}/lib"]
    folders += [f"{root}/lib/{venv.python}", venv.site_packages]
    links = {
        "bin/python": target.interpreter,
        "bin/python3": "python",
        f"bin/{venv.python}": "python",
        "lib64": "lib",
    }
    if target.free_threaded:
        links[f"bin/python{target.minor}"] = "python"
    return [
        *(Entry(path, "directory", 0o755, mtime=mtime) for path in folders),
        Entry(f"{root}/pyvenv.cfg", mtime=mtime, size=len(config), data=config),
        *(
            Entry(f"{root}/{path}", "symlink", 0o777, mtime=mtime, link=link)
            for path, link in sorted(links.items())
        ),
    ]


def find_obstacles(venv: Venv, base: Tree) -> dict[str, str]:
    """What of a base is in the way of an environment: paths to kinds of entries.

    That is what is no folder where the environment has one, such as a symlink, behind which its
    files would lie elsewhere; the settings of an environment that is there already; and programs
    that its own would take the place of, such as the very interpreter, where the prefix is /usr.
    """
    folders = {*parents(venv.site_packages), venv.site_packages, f"{venv.root}/bin"}
    own = {f"{venv.root}/{name}" for name in ("pyvenv.cfg", "bin/python3", f"bin/{venv.python}")}
    nodes = ((path, base.get(path)) for path in sorted({*folders, *own}))
    return {
        path: node.entry.kind
        for path, node in nodes
        if node is not None and (path in own or not node.entry.is_directory)
    }
