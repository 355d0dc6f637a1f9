"""Platforms: `os/arch[/variant][:os.version]`, with the names that distributions use."""

from typing import Final

import msgspec

from imagist.errors import RequestError

_APK_TO_OCI: Final = {
    "x86": "386",
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm/v6",
    "armv7": "arm/v7",
    "loongarch64": "loong64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
_OCI_TO_DEB: Final = {
    "386": "i386",
    "amd64": "amd64",
    "arm64": "arm64",
    "arm/v6": "armel",
    "arm/v7": "armhf",
    "loong64": "loong64",
    "ppc64le": "ppc64el",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
_OCI_TO_APK: Final = {oci: apk for apk, oci in _APK_TO_OCI.items()}
ALL_ARCHITECTURES: Final = tuple(sorted(_OCI_TO_APK))
"""The nine architectures an APK declaration without `archs` is built for, as OCI names."""


class Platform(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """Where an image runs (image-index.md, `platform`)."""

    architecture: str
    os: str = msgspec.field(default_factory=lambda: "linux")  # a factory: always written
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")
    variant: str = ""

    def __str__(self) -> str:
        text = f"{self.os}/{self.arch}"
        return f"{text}:{self.os_version}" if self.os_version else text

    @property
    def arch(self) -> str:
        """Architecture with variant, as declarations write it: `arm64`, `arm/v7`."""
        return f"{self.architecture}/{self.variant}" if self.variant else self.architecture

    @property
    def apk(self) -> str:
        """The architecture as APK repositories name it."""
        try:
            return _OCI_TO_APK[self.arch]
        except KeyError:
            raise RequestError(
                f"APK repositories have no architecture for {self}",
                help="one of " + ", ".join(ALL_ARCHITECTURES),
            ) from None

    @property
    def deb(self) -> str:
        """The architecture as Debian's archives name it."""
        try:
            return _OCI_TO_DEB[self.arch]
        except KeyError:
            raise RequestError(
                f"Debian has no architecture for {self}",
                help="one of " + ", ".join(sorted(_OCI_TO_DEB)),
            ) from None


def parse_platform(text: str) -> Platform:
    """Read `linux/amd64`, `linux/arm/v7:1.2`, `amd64`, `arm/v7`, or an APK name like `x86_64`.

    Raises:
        RequestError: the text names no architecture that imagist knows.
    """
    name, _, os_version = text.strip().partition(":")
    os, slash, arch = name.partition("/")
    if not slash or os == "arm":
        os, arch = "linux", name
    arch = _APK_TO_OCI.get(arch, arch)
    arch = {"arm": "arm/v7", "arm64/v8": "arm64", "i386": "386", "loongarch": "loong64"}.get(
        arch, arch
    )
    if os != "linux" or arch not in _OCI_TO_APK:
        raise RequestError(
            f"`{text}` is not a platform that imagist builds for",
            help="one of " + ", ".join(f"linux/{a}" for a in ALL_ARCHITECTURES),
        )
    architecture, _, variant = arch.partition("/")
    return Platform(architecture, os, os_version, (), variant)


def read_platform(text: str) -> Platform:
    """Read `os/arch[/variant][:os.version]`, of whatever system and architecture.

    Raises:
        RequestError: the text has not that form.
    """
    name, _, os_version = text.partition(":")
    parts = name.split("/")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise RequestError(f"`{text}` is no platform", help="write os/arch[/variant][:os.version]")
    os, architecture, *variant = parts
    return Platform(architecture, os, os_version, (), *variant)
