"""Making locks, and telling how one differs from another or from what would be locked now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from imagist.build.formats.format import Pin
from imagist.build.job import Built
from imagist.build.lockfile import (
    VERSION,
    Lock,
    LockedBase,
    LockedBlob,
    LockedConfig,
    LockedContents,
    LockedImage,
    declaration_checksum,
)
from imagist.build.plan import Plan
from imagist.net.url import without_userinfo
from imagist.oci import derive
from imagist.oci.manifest import Descriptor
from imagist.oci.platform import Platform
from imagist.packages.deb.machine import security_suite
from imagist.packages.files import PackageFiles

Pins = Mapping[str, Mapping[str, Pin]]
"""By architecture (its APK name), then by package in the order of installation."""


class Move(msgspec.Struct, frozen=True):
    """A package that differs between two locks, in the same way on some platforms."""

    name: str
    before: str
    """Its version; empty where it was not there."""
    after: str
    """Its version; empty where it is gone; the same where it was built again."""
    architectures: tuple[str, ...]
    everywhere: bool
    """Whether these are all that both locks have."""
    security: str = ""
    """The suite of security updates that it comes from now, or nothing."""

    @property
    def origin(self) -> str:
        """What is to be told of where it comes from now, to be put behind its version."""
        return f", a security update of {self.security}" if self.security else ""

    def __str__(self) -> str:
        where = "" if self.everywhere else f" ({', '.join(self.architectures)})"
        where += self.origin
        if not self.before:
            return f"added {self.name} {self.after}{where}"
        if not self.after:
            return f"removed {self.name} {self.before}{where}"
        if self.before == self.after:
            return f"{self.name} {self.before} was built again{where}"
        return f"{self.name} {self.before} -> {self.after}{where}"


def make_lock(
    built: Built, packages: Mapping[Platform, Sequence[PackageFiles]], *, name: str
) -> Lock:
    """The lock of what was built.

    Args:
        built: the images, planned without a lock.
        packages: the packages of each platform, in the order of its plan.
        name: the path of the declaration from the lock's folder.

    Raises:
        InputError: a key that no lock can hold.
    """
    plan = built.plan
    checksum = declaration_checksum(file.data for file in plan.loaded.files)
    return Lock(
        version=VERSION,
        config=LockedConfig(name=name, checksum=checksum),
        contents=_lock_contents(plan, packages),
        base=LockedBase(name=plan.base.name, digest=plan.base.pin)
        if plan.base and plan.base.pin
        else None,
        images=tuple(_lock_image(built, platform) for platform in plan.platforms),
        index=Descriptor(
            media_type=built.index.media_type,
            digest=str(derive.digest(built.index)),
            size=len(built.index.raw_manifest),
        ),
    )


def _lock_contents(
    plan: Plan, packages: Mapping[Platform, Sequence[PackageFiles]]
) -> LockedContents:
    sources = plan.format.lock_sources(plan.question, plan.resolved, plan.platforms)
    locked = tuple(
        plan.format.lock_package(wanted, files, platform, plan.resolved)
        for platform in plan.platforms
        for wanted, files in zip(plan.resolved.packages[platform], packages[platform], strict=True)
    )
    return replace(sources, packages=locked)


def pins_of_lock(lock: Lock, platforms: Sequence[Platform]) -> Pins:
    """What a lock holds, for those of the platforms that it was made for."""
    return {
        platform.apk: {
            each.label: Pin(
                each.version,
                each.checksum,
                without_userinfo(each.url),
                each.tag or each.source,
                security_suite(each.source),
            )
            for each in lock.packages_for(platform)
        }
        for platform in platforms
        if platform.apk in lock.architectures
    }


def pins_of_plan(plan: Plan) -> Pins:
    """What a lock of a plan would hold."""
    return {
        platform.apk: {
            plan.resolved.label(each, platform): plan.resolved.pin(each)
            for each in plan.resolved.packages[platform]
        }
        for platform in plan.platforms
    }


def find_moves(before: Pins, after: Pins) -> list[Move]:
    """The packages that differ, by name; on the architectures that both have."""
    common = [architecture for architecture in before if architecture in after]
    moved: dict[tuple[str, str, str, str], list[str]] = {}
    for architecture in common:
        old_pins, new_pins = before[architecture], after[architecture]
        for name in {**old_pins, **new_pins}:
            was, becomes = old_pins.get(name), new_pins.get(name)
            if was is None or becomes is None or was[:2] != becomes[:2]:
                key = (
                    name,
                    was.version if was else "",
                    becomes.version if becomes else "",
                    becomes.security if becomes else "",
                )
                moved.setdefault(key, []).append(architecture)
    return [
        Move(name, old, new, tuple(where), len(where) == len(common), security)
        for (name, old, new, security), where in sorted(moved.items())
    ]


def preferred_versions(lock: Lock, updated: set[str]) -> dict[str, str]:
    """The versions to keep when some packages are updated.

    A package that a lock has in several versions (only apko writes such) is free.
    """
    found: dict[str, set[str]] = {}
    for package in lock.contents.packages:
        found.setdefault(package.label, set()).add(package.version)
    return {
        name: versions.pop()
        for name, versions in found.items()
        if len(versions) == 1 and name not in updated
    }


def _lock_image(built: Built, platform: Platform) -> LockedImage:
    image = built.images[platform]
    config = derive.manifest(image).config
    return LockedImage(
        platform=str(platform),
        inputs=str(built.fingerprints[platform].inputs),
        media_type=image.media_type,
        digest=str(derive.digest(image)),
        size=len(image.raw_manifest),
        config=LockedBlob(digest=config.digest, size=config.size),
        layers=tuple(
            LockedBlob(digest=str(layer.digest), size=layer.size) for layer in image.layers
        ),
    )
