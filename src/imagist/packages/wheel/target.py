"""The Python that an image will have: what decides which packages and which files of them fit.

Nothing here asks the machine that builds. `packaging` does in three places, each of which is told
everything instead: markers get all eleven variables, ABI tags are named, platforms are listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from imagist.errors import RequestError, Span
from imagist.oci.platform import Platform

if TYPE_CHECKING:
    from packaging.tags import Tag

Libc = Literal["glibc", "musl", ""]

PREFIX: Final = "/opt/venv"
"""Where packages go by default: the same everywhere, since the layers of wheels depend on it."""
MACHINES: Final = {
    "386": "i686",
    "amd64": "x86_64",
    "arm/v6": "armv6l",
    "arm/v7": "armv7l",
    "arm64": "aarch64",
    "loong64": "loongarch64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
"""Architectures of OCI to what `uname -m` says there."""
_LEGACY: Final = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Minor version of glibc 2 to the older name of the same promise (PEP 600)."""
_FIRST_GLIBC: Final = {"x86_64": 5, "i686": 5}
_LATER_GLIBC: Final = 17
"""Where manylinux begins: with 2.5 on PCs, with 2.17 elsewhere (PEP 599)."""
_WITHOUT_MANYLINUX: Final = frozenset({"armv6l"})
_VERSION: Final = r"(\d+)\.(\d+)\.(\d+)(?:(?:a|b|rc)\d+)?"
_ABI: Final = r"cp(\d)(\d+)t?"
_PYTHON: Final = re.compile(r"(3\.\d+)(?:\.\d+(?:(?:a|b|rc)\d+)?)?(t?)")
_LIBC: Final = r"(glibc|musl)[ -](\d+)\.(\d+)"


class Wishes(msgspec.Struct, frozen=True):
    """What a declaration says of the Python of its base; what can be seen must agree."""

    python: str = ""
    """`3.12`, or exactly `3.12.7`; with a `t` the free-threaded one."""
    libc: str = ""
    """`glibc 2.36`, `musl 1.2`."""
    interpreter: str = ""
    """Absolute path, where it is in none of the folders of PATH."""
    where: Callable[[str], Span | str | None] = lambda _: None
    """The place where a wish was written, by its name."""


def parse_python(text: str) -> tuple[str, bool] | None:
    """The minor version that is wished, and whether free-threaded; None where nothing is.

    Raises:
        RequestError: it is no version.
    """
    match = _PYTHON.fullmatch(text)
    if text and match is None:
        raise RequestError(f"`{text}` is no version of Python", help="write 3.12, 3.12.7 or 3.13t")
    return (match[1], bool(match[2])) if match else None


def parse_libc(text: str) -> tuple[Libc, tuple[int, int]] | None:
    """The libc that is wished, and its version; None where nothing is.

    Raises:
        RequestError: it is no libc.
    """
    match = re.fullmatch(_LIBC, text)
    if text and match is None:
        raise RequestError(f"`{text}` is no libc", help="write it as in glibc 2.36 or musl 1.2")
    if match is None:
        return None
    return ("musl" if match[1] == "musl" else "glibc"), (int(match[2]), int(match[3]))


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A CPython on a platform, as a base image has it."""

    platform: Platform
    python: str
    """The full version, such as `3.12.7`: markers may ask for the patch release."""
    abi: str
    """`cp312`, or `cp313t` where it is free-threaded."""
    libc: Libc
    """Empty where the image has none, so that nothing compiled can run."""
    libc_version: tuple[int, int] = (0, 0)
    """Such as (2, 36) of glibc, (1, 2) of musl."""
    interpreter: str
    """Absolute path of the Python of the image, such as `/usr/bin/python3.12`."""
    prefix: str = PREFIX
    """Absolute path of the virtual environment that packages go into."""

    @property
    def version(self) -> tuple[int, int]:
        """The minor version: (3, 12)."""
        major, minor, _ = self.python.split(".", 2)
        return int(major), int(minor)

    @property
    def minor(self) -> str:
        """The minor version as paths have it: `3.12`."""
        return ".".join(map(str, self.version))

    @property
    def free_threaded(self) -> bool:
        """Whether it has no global lock, and takes only wheels made for that."""
        return self.abi.endswith("t")

    @property
    def machine(self) -> str:
        """The architecture as `uname -m` says."""
        return MACHINES[self.platform.arch]

    @property
    def site_packages(self) -> str:
        """Absolute path of the folder where packages are imported from."""
        suffix = "t" if self.free_threaded else ""
        return f"{self.prefix}/lib/python{self.minor}{suffix}/site-packages"

    def __str__(self) -> str:
        threading = ", free-threaded" if self.free_threaded else ""
        libc = f"{self.libc} {'.'.join(map(str, self.libc_version))}" if self.libc else "no libc"
        return f"{self.platform} (Python {self.python}{threading}, {libc})"


def check_target(target: Target) -> Target:
    """Give the target back if its parts fit together.

    Raises:
        RequestError: they do not.
    """
    version, abi = re.fullmatch(_VERSION, target.python), re.fullmatch(_ABI, target.abi)
    if version is None:
        raise RequestError(f"`{target.python}` is no version of Python", help="write as in 3.12.7")
    if abi is None or abi.groups() != version.groups()[:2]:
        raise RequestError(
            f"`{target.abi}` is not an ABI of Python {target.python}",
            help=f"cp{version[1]}{version[2]}, or with a `t` where it is free-threaded",
        )
    if target.platform.os != "linux" or target.platform.arch not in MACHINES:
        raise RequestError(
            f"there are no Python packages for {target.platform}",
            help="one of " + ", ".join(f"linux/{arch}" for arch in MACHINES),
        )
    return target


def marker_environment(target: Target) -> dict[str, str]:
    """The variables of environment markers, all eleven (PEP 508), of the target alone.

    The kernel is whatever the image will run on, so its release and version are empty, as uv has
    them.
    """
    return {
        "implementation_name": "cpython",
        "implementation_version": target.python,
        "os_name": "posix",
        "platform_machine": target.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": target.python,
        "python_version": target.minor,
        "sys_platform": "linux",
    }


def platform_tags(target: Target) -> Iterator[str]:
    """Platform tags that the target runs, the best first (PEP 600, PEP 656).

    `linux_*`, which promises nothing, comes first as with pip: indexes do not take such wheels, so
    whoever has one made it for exactly this. Without a libc there are none.
    """
    if not target.libc:
        return
    machine = target.machine
    yield f"linux_{machine}"
    major, minor = target.libc_version
    if target.libc == "musl":
        for each in range(minor, -1, -1):
            yield f"musllinux_{major}_{each}_{machine}"
        return
    if machine in _WITHOUT_MANYLINUX:
        return
    for each in range(minor, _FIRST_GLIBC.get(machine, _LATER_GLIBC) - 1, -1):
        yield f"manylinux_{major}_{each}_{machine}"
        if each in _LEGACY and (each == _LATER_GLIBC or machine in _FIRST_GLIBC):
            yield f"{_LEGACY[each]}_{machine}"


@cache
def compatible_tags(target: Target) -> tuple[Tag, ...]:
    """Every tag of a wheel that the target can use, the best first (PEP 425)."""
    from packaging import tags  # noqa: PLC0415 - takes its time, and few need it

    platforms = list(platform_tags(target))
    version, interpreter = target.version, target.abi.rstrip("t")
    if not platforms:
        # Empty lists mean "those of this machine" to some releases of packaging.
        return (tags.Tag(interpreter, "none", "any"), *tags.pure_python_tags(version))
    return (
        *tags.cpython_tags(version, [target.abi], platforms),
        *tags.compatible_tags(version, interpreter, platforms),
    )
