"""Planning: a declaration made definite, for all its platforms."""

from __future__ import annotations

import msgspec

from imagist.build.baseimage import LoadedBase, OpenBase, load_base, open_base
from imagist.build.context import Context, Options
from imagist.build.formats.format import Format, Question, Resolved
from imagist.build.formats.table import find_format
from imagist.build.resolve import add_options, choose_platforms, world_of
from imagist.declaration.defaults import with_defaults
from imagist.declaration.include import LoadedDeclaration
from imagist.declaration.model import Declaration
from imagist.errors import ImagistError, RequestError
from imagist.oci.platform import Platform


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
    format: Format
    """Of the packages."""
    question: Question
    resolved: Resolved


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
        ImagistError: see `Format.resolve`; or the base image cannot be read.
    """
    declaration = with_defaults(add_options(loaded.declaration, options))
    platforms = choose_platforms(declaration, options)
    packages = find_format(declaration.contents)
    bases: dict[Platform, LoadedBase] = {}
    opened: OpenBase | None = None
    if declaration.contents.baseimage is not None:
        base = declaration.contents.baseimage
        if declaration.format == "erofs":
            raise RequestError(
                "an EROFS image is one layer, and cannot be built on a base image",
                help="leave `format` out, or `baseimage`",
            )
        try:
            opened = open_base(base, options, context)
        except ImagistError as error:
            raise error.placed(loaded.span_of("contents.baseimage.image")) from None
        bases = {each: load_base(opened, base, each, packages, context) for each in platforms}
    question = Question(
        loaded,
        declaration,
        platforms,
        {platform: world_of(declaration, platform) for platform in platforms},
        {
            platform: packages.describe_installed(base.base.packages)
            for platform, base in bases.items()
        },
        options,
        reasons,
    )
    slices = declaration.contents.slices
    if not any(question.world.values()) and not (slices and slices.use):
        context.report.warn("the declaration asks for no packages")
    context.report.stage(f"resolving for {', '.join(map(str, platforms))}")
    resolved = packages.resolve(question, context)
    return Plan(loaded, declaration, platforms, opened, bases, packages, question, resolved)
