"""Targets that tests choose for."""

from __future__ import annotations

from typing import Literal

from imagist.oci.platform import parse_platform
from imagist.packages.wheel.target import Target

ARCHITECTURES = ("amd64", "arm64", "arm/v7", "386", "ppc64le", "s390x", "riscv64")


def target(
    arch: str = "amd64",
    python: str = "3.12.7",
    *,
    threaded: bool = False,
    libc: Literal["glibc", "musl", ""] = "glibc",
    libc_version: tuple[int, int] | None = None,
) -> Target:
    """A target; by default Debian's, or Alpine's where the libc is musl."""
    minor = ".".join(python.split(".")[:2])
    default = {"glibc": (2, 36), "musl": (1, 2), "": (0, 0)}[libc]
    return Target(
        platform=parse_platform(f"linux/{arch}"),
        python=python,
        abi=f"cp{minor.replace('.', '')}" + "t" * threaded,
        libc=libc,
        libc_version=libc_version or default,
        interpreter=f"/usr/bin/python{minor}",
    )
