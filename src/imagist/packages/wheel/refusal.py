"""What to tell where a package has no wheel for a target: what there is, why not, and ways out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from imagist.errors import Problem, Span
from imagist.packages.wheel.lock.model import Package
from imagist.packages.wheel.target import MACHINES, Target

if TYPE_CHECKING:
    from packaging.tags import Tag

_OCI: Final = {machine: arch for arch, machine in MACHINES.items()}
_PLATFORM: Final = re.compile(
    r"(?:(?P<old>manylinux(?:1|2010|2014))|(?P<libc>many|musl)linux_(?P<major>\d+)_(?P<minor>\d+)"
    r"|linux)_(?P<machine>[a-z0-9_]+)"
)
_OLD: Final = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_CPYTHON: Final = re.compile(r"cp(\d)(\d+)")
_LIBC: Final = {"many": "glibc", "musl": "musl"}


class Need(msgspec.Struct, frozen=True, order=True):
    """What one tag of a wheel needs of a system."""

    python: str
    """`3.12`, `3.13t`, `3.8+` of the stable ABI, or `3`."""
    machine: str
    """Empty: any."""
    libc: str
    """`glibc`, `musl`, or empty where the tag does not say."""
    version: tuple[int, int]
    """Of the libc, at least."""


class Misfit(msgspec.Struct, frozen=True):
    """A package that has no wheel for some targets."""

    package: Package
    targets: Sequence[Target]
    wheels: Sequence[frozenset[Tag]]
    """The tags of each wheel that there is."""
    has_source: bool
    """Whether there is a source distribution."""
    where: Span | str


def explain_misfits(misfits: Sequence[Misfit]) -> list[Problem]:
    """A problem for each package; the last one tells the ways out, which are the same for all."""
    problems = [_explain(misfit) for misfit in misfits]
    if problems:
        ways = "\n".join([problems[-1].help or "", *_remedies(misfits)])
        problems[-1] = replace(problems[-1], help=ways)
    return problems


def _explain(misfit: Misfit) -> Problem:
    targets = misfit.targets
    needs = sorted({need for tags in misfit.wheels for need in map(read_need, tags) if need})
    platforms = ", ".join(dict.fromkeys(str(target.platform) for target in targets))
    message = f"{misfit.package} has no wheel for {platforms}"
    reasons = {str(target.platform): _reason(needs, target) for target in targets}
    lines = [f"{platform}: {reason}" for platform, reason in reasons.items() if reason]
    return Problem(message, misfit.where, "\n".join([*lines, _listing(needs, targets[0])]))


def read_need(tag: Tag) -> Need | None:
    """What a tag needs; None where it is for another system than Linux."""
    python = _read_python(tag)
    if tag.platform == "any":
        return Need(python, "", "", (0, 0))
    match = _PLATFORM.fullmatch(tag.platform)
    if match is None or match["machine"] not in _OCI:
        return None
    if match["old"]:
        return Need(python, match["machine"], "glibc", _OLD[match["old"]])
    if match["libc"]:
        version = int(match["major"]), int(match["minor"])
        return Need(python, match["machine"], _LIBC[match["libc"]], version)
    return Need(python, match["machine"], "", (0, 0))


def _read_python(tag: Tag) -> str:
    match = _CPYTHON.fullmatch(tag.interpreter)
    if match is None:
        return tag.interpreter.removeprefix("py")
    version = f"{match[1]}.{match[2]}"
    if tag.abi in {"abi3", "none"}:
        return f"{version}+"
    return f"{version}t" if tag.abi.endswith("t") else version


def _reason(needs: Sequence[Need], target: Target) -> str:
    """Why nothing fits, from what is nearest to fitting; empty where nothing is near."""
    here = [need for need in needs if need.machine in {target.machine, ""}]
    if not here:
        return ""  # the listing says it
    fitting = [need for need in here if _fits_python(need.python, target)]
    if not fitting:
        pythons = ", ".join(dict.fromkeys(need.python for need in here))
        own = target.minor + ("t" if target.free_threaded else "")
        return f"wheels for Python {pythons}, but not for {own}"
    if not target.libc:
        return "compiled wheels need a libc, and the base image has none"
    same = [need for need in fitting if need.libc == target.libc]
    if not same:
        other = fitting[0].libc or "another libc"
        return f"wheels for {other} only, but the base image has {target.libc}"
    least = min(need.version for need in same)
    return (
        f"wheels need {target.libc} {_dotted(least)}, "
        f"but the base image has {_dotted(target.libc_version)}"
    )


def _fits_python(python: str, target: Target) -> bool:
    if python.endswith("+"):
        least = tuple(int(part) for part in python[:-1].split("."))
        return least <= target.version and not target.free_threaded
    if "." not in python:
        return python.startswith("3")
    return python == target.minor + ("t" if target.free_threaded else "")


def _listing(needs: Sequence[Need], target: Target) -> str:
    """The platforms that have wheels for the target's Python, and the libc that they need."""
    rows: dict[str, dict[str, tuple[int, int]]] = {}
    for need in needs:
        if not _fits_python(need.python, target):
            continue
        platform = f"linux/{_OCI[need.machine]}" if need.machine else "every platform"
        libcs = rows.setdefault(platform, {})
        libcs[need.libc] = min(libcs.get(need.libc, need.version), need.version)
    if not rows:
        return f"it has no wheels for Python {target.minor} on Linux"
    told = []
    for platform in sorted(rows):
        needed = [f"{libc} {_dotted(rows[platform][libc])}" for libc in sorted(rows[platform])]
        told.append(f"{platform} ({', '.join(needed)})" if any(rows[platform]) else platform)
    return f"for Python {target.minor} there are wheels for " + ", ".join(told)


def _remedies(misfits: Sequence[Misfit]) -> list[str]:
    lines = [
        "leave the platform out, or take a version or a base image that fits, or build the wheel",
        "elsewhere, as with cibuildwheel, and lock again with its folder under `find-links`",
    ]
    sources = [f'"{misfit.package.name}"' for misfit in misfits if misfit.has_source]
    if sources:
        lines.append(f"those that are pure Python may be built: sdists = [{', '.join(sources)}]")
    return lines


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
