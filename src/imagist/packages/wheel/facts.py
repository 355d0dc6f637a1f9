"""What is known of an installed wheel without having it: enough to check it against others."""

from collections.abc import Iterable, Mapping

import msgspec

from imagist.packages.wheel.install import InstalledWheel
from imagist.rootfs.linkage import Linkage


class FileFact(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A file of an installed wheel."""

    path: str
    """Relative to the root of the image."""
    size: int
    sha256: bytes


class ObjectFact(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An ELF file of an installed wheel."""

    path: str
    linkage: Linkage


class WheelFacts(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An installed wheel without its contents."""

    name: str
    version: str
    files: tuple[FileFact, ...]
    objects: tuple[ObjectFact, ...] = ()
    warnings: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    """What it says it requires (PEP 508)."""
    lookups: tuple[str, ...] = ()
    """Libraries that its modules look for while they run, as `ctypes.util` names them: `pq`."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def facts_of(
    wheel: InstalledWheel,
    objects: Mapping[str, Linkage],
    requires: tuple[str, ...] = (),
    lookups: Iterable[str] = (),
) -> WheelFacts:
    """Keep of an installed wheel what others ask for; `objects` are by member."""
    return WheelFacts(
        wheel.name,
        wheel.version,
        tuple(FileFact(file.path, file.size, file.sha256) for file in wheel.files),
        tuple(
            ObjectFact(file.path, objects[file.member])
            for file in wheel.files
            if file.member in objects
        ),
        wheel.warnings,
        requires,
        tuple(sorted(lookups)),
    )
