"""Small worlds of Debian packages, written as a person would sketch them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imagist.oci.platform import Platform
from imagist.packages.deb.index import Package
from imagist.packages.deb.solver.resolution import Resolution
from imagist.packages.deb.solver.solve import solve
from imagist.packages.deb.universe import Universe

AMD, ARM = Platform("amd64"), Platform("arm64")
_SHORT = {"ma": "multi_arch", "arch": "architecture", "pre": "pre_depends"}


def pkg(name: str, version: str = "1", **fields: str | bool) -> Package:
    """A package; `arch`, `ma` and `pre` are short for architecture, Multi-Arch, Pre-Depends."""
    named = {_SHORT.get(key, key): value for key, value in fields.items()}
    arch = str(named.pop("architecture", "amd64"))
    named.setdefault("priority", "optional")
    return Package(name, version, arch, filename=f"{name}_{version}_{arch}.deb", **named)  # type: ignore[arg-type]


def choose(
    world: str | Sequence[str],
    *packages: Package | Universe,
    installed: Sequence[Package] = (),
    locked: Mapping[str, str] | None = None,
    **options: object,
) -> Resolution:
    """Solve a world for amd64; entries in a string are parted by `;`."""
    entries = [e for e in world.split(";") if e.strip()] if isinstance(world, str) else world
    first = packages[0] if packages else Universe.of([])
    offered = (
        first
        if isinstance(first, Universe)
        else Universe.of([each for each in packages if isinstance(each, Package)])
    )
    return solve(
        {AMD: entries},
        {AMD: offered},
        installed={AMD: installed},
        locked={AMD: locked or {}},
        **options,  # type: ignore[arg-type]
    )


def names(resolution: Resolution, platform: Platform = AMD) -> str:
    """What is to be installed, sorted: `a-1 b-2`."""
    return " ".join(sorted(map(str, resolution.packages(platform))))
