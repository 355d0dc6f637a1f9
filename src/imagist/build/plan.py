"""Planning: a declaration made definite, for all its platforms."""

from __future__ import annotations

import msgspec

from imagist.build.apkpackaging import ApkState
from imagist.build.baseimage import LoadedBase, OpenBase, load_base, open_base
from imagist.build.context import Context, Options
from imagist.build.resolve import Resolved, add_options, choose_platforms, resolve, world_of
from imagist.declaration.defaults import with_defaults
from imagist.declaration.include import LoadedDeclaration
from imagist.declaration.model import Declaration
from imagist.errors import RequestError
from imagist.net.url import without_userinfo
from imagist.oci.platform import Platform
from imagist.packages.apk.location import parse_location


class Plan(msgspec.Struct, frozen=True):
    """A declaration made definite: everything that decides the image but the packages' bytes."""

    loaded: LoadedDeclaration
    """The declaration as it was written."""
    declaration: Declaration
    """The same with options added and defaults filled in."""
    platforms: tuple[Platform, ...]
    base: OpenBase | None
    """The image that is built upon, of all platforms."""
    bases: dict[Platform, LoadedBase]
    resolved: Resolved

    def apk_state(self, platform: Platform) -> ApkState:
        """What apk finds under /etc/apk of one platform's image.

        Raises:
            InputError: see `TrustedKeys.all`.
        """
        contents = self.declaration.contents
        lines = (*contents.repositories, *contents.runtime_repositories)
        names = {package.name for package in self.resolved.packages[platform]}
        return ApkState(
            platform.apk,
            tuple(dict.fromkeys(self.resolved.world[platform])),
            tuple(dict.fromkeys(map(_public_line, lines))),
            {name: key.pem for name, key in self.resolved.keys.all().items()},
            {name: tag for name, tag in self.resolved.tags.items() if name in names},
        )


def _public_line(line: str) -> str:
    """A line for /etc/apk/repositories: whoever has the image must not have the password."""
    location = parse_location(line)
    return str(location._replace(url=without_userinfo(location.url)))


def plan_images(
    loaded: LoadedDeclaration, options: Options, context: Context, *, reasons: bool = False
) -> Plan:
    """Resolve a declaration for all its platforms.

    Args:
        loaded: the declaration.
        options: see `Options`.
        context: where to read.
        reasons: whether `Resolved.resolution` and `universes` are wanted; a remembered solution
            has none.

    Raises:
        ImagistError: see `resolve.resolve`; or the base image cannot be read.
    """
    declaration = with_defaults(add_options(loaded.declaration, options))
    platforms = choose_platforms(declaration, options)
    bases: dict[Platform, LoadedBase] = {}
    opened: OpenBase | None = None
    if declaration.contents.baseimage is not None:
        base = declaration.contents.baseimage
        if declaration.format == "erofs":
            raise RequestError(
                "an EROFS image is one layer, and cannot be built on a base image",
                help="leave `format` out, or `baseimage`",
            )
        opened = open_base(base, options, context)
        bases = {each: load_base(opened, base, each, context) for each in platforms}
    installed = {
        platform: [record.package for record in base.base.packages]
        for platform, base in bases.items()
    }
    if not any(world_of(declaration, platform) for platform in platforms):
        context.report.warn("the declaration asks for no packages")
    context.report.stage(f"resolving for {', '.join(map(str, platforms))}")
    resolved = resolve(
        loaded, declaration, platforms, options, context, installed, reasons=reasons
    )
    return Plan(loaded, declaration, platforms, opened, bases, resolved)
