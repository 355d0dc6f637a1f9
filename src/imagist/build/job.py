"""The job: from a declaration to an index of images, one for each platform."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from imagist.build.assemble import CREATED, BuiltLayer, assemble_image, assemble_index, format_time
from imagist.build.baseimage import LoadedBase, load_base
from imagist.build.compose import ApkState, compose
from imagist.build.contents import StoreContents
from imagist.build.context import Context, Options
from imagist.build.derived.files import DeclaredFile
from imagist.build.layers import HARD_LIMIT, LayerBuilder
from imagist.build.local_files import read_declared_files
from imagist.build.resolve import Resolved, add_options, choose_platforms, resolve, world_of
from imagist.build.run import image_labels, run_config
from imagist.build.vcs import split_vcs_url
from imagist.declaration.defaults import with_defaults
from imagist.declaration.include import LoadedDeclaration
from imagist.declaration.model import Declaration, Layering
from imagist.errors import ImagistError, Problem, RequestError
from imagist.net.url import without_userinfo
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.manifest import RunConfig
from imagist.oci.platform import Platform
from imagist.packages.apk.archive import PackageFiles
from imagist.packages.apk.fetch import PackageFetcher
from imagist.packages.apk.location import parse_location

SOURCE = "org.opencontainers.image.source"
REVISION = "org.opencontainers.image.revision"
_NAMED = re.compile(r"(?:paths|files)\[\d+\]|run-as")
"""How messages name the part of a declaration they are about."""


class Plan(msgspec.Struct, frozen=True):
    """A declaration made definite: everything that decides the image but the packages' bytes."""

    loaded: LoadedDeclaration
    """The declaration as it was written."""
    declaration: Declaration
    """The same with options added and defaults filled in."""
    platforms: tuple[Platform, ...]
    bases: dict[Platform, LoadedBase]
    resolved: Resolved


class Built(msgspec.Struct, frozen=True):
    """What a job gives."""

    images: dict[Platform, Image]
    index: Index
    plan: Plan


def plan_images(loaded: LoadedDeclaration, options: Options, context: Context) -> Plan:
    """Resolve a declaration for all its platforms.

    Raises:
        ImagistError: see `resolve.resolve`; or the base image cannot be read.
    """
    declaration = with_defaults(add_options(loaded.declaration, options))
    platforms = choose_platforms(declaration, options)
    bases: dict[Platform, LoadedBase] = {}
    if declaration.contents.baseimage is not None:
        base = declaration.contents.baseimage
        if declaration.format == "erofs":
            raise RequestError(
                "an EROFS image is one layer, and cannot be built on a base image",
                help="leave `format` out, or `baseimage`",
            )
        bases = {platform: load_base(base, platform, context.store) for platform in platforms}
    installed = {
        platform: [record.package for record in base.base.packages]
        for platform, base in bases.items()
    }
    if not any(world_of(declaration, platform) for platform in platforms):
        context.report.warn("the declaration asks for no packages")
    context.report.stage(f"resolving for {', '.join(map(str, platforms))}")
    resolved = resolve(loaded, declaration, platforms, options, context, installed)
    return Plan(loaded, declaration, platforms, bases, resolved)


def build_images(loaded: LoadedDeclaration, options: Options, context: Context) -> Built:
    """Build the images of a declaration into the store.

    Raises:
        ImagistError: anything about declaration, packages or servers is wrong; nothing but
            verified packages and finished layers is then left in the store.
    """
    plan = plan_images(loaded, options, context)
    files = read_declared_files(plan.declaration.files, loaded)
    packages = _fetch(plan, options, context)
    images: dict[Platform, Image] = {}
    created: dict[Platform, int] = {}
    for platform in plan.platforms:
        context.report.stage(f"building {platform}")
        created[platform] = _creation_time(packages[platform], options)
        images[platform] = _build_image(
            plan, platform, packages[platform], files, created[platform], options, context
        )
    annotations = _annotations(plan.declaration, max(created.values()), options)
    # What a manifest says of its platform goes into the index: EROFS layers need a feature.
    described = {derive.platform(image): image for image in images.values()}
    return Built(images, assemble_index(described, annotations=annotations), plan)


def _fetch(
    plan: Plan, options: Options, context: Context
) -> dict[Platform, tuple[PackageFiles, ...]]:
    """All packages of all platforms at once, so that no thread waits for a platform's last."""
    wanted = [package for each in plan.platforms for package in plan.resolved.packages[each]]
    context.report.stage(f"fetching and verifying {len(wanted)} packages")
    fetcher = PackageFetcher(
        context.store, context.reader, jobs=context.jobs, limits=options.limits.packages
    )
    found = iter(fetcher.fetch(wanted))
    return {
        platform: tuple(next(found) for _ in plan.resolved.packages[platform])
        for platform in plan.platforms
    }


def _build_image(
    plan: Plan,
    platform: Platform,
    packages: Sequence[PackageFiles],
    files: Sequence[DeclaredFile],
    created: int,
    options: Options,
    context: Context,
) -> Image:
    declaration = plan.declaration
    loaded_base = plan.bases.get(platform)
    epoch = options.source_date_epoch
    try:
        composed = compose(
            declaration,
            packages,
            StoreContents(context.store),
            _apk_state(plan, platform),
            epoch=epoch if epoch is not None else options.build_date or 0,
            files=files,
            base=loaded_base.base if loaded_base else None,
        )
    except ImagistError as error:
        raise type(error)(
            _with_place(problem, plan.loaded) for problem in error.problems
        ) from None
    for warning in composed.warnings:
        context.report.warn(f"{platform}: {warning}")
    below: list[BuiltLayer] = []
    base_run: RunConfig | None = None
    if loaded_base is not None:
        below = [BuiltLayer(layer, "") for layer in loaded_base.image.layers]
        base_run = loaded_base.config.config
    layering = declaration.layering or Layering()
    builder = LayerBuilder(context.store, jobs=context.jobs)
    layers = builder.build(
        composed.tree,
        packages,
        composed.merged,
        strategy="erofs" if declaration.format == "erofs" else layering.strategy,
        budget=layering.budget or 0,
        base=loaded_base.base.nodes if loaded_base else (),
    )
    if len(below) + len(layers) > HARD_LIMIT:
        raise RequestError(
            f"the image for {platform} would have {len(below) + len(layers)} layers, but runtimes "
            f"take {HARD_LIMIT}",
            help="set a smaller `layering.budget`",
        )
    annotations = _annotations(declaration, created, options)
    return assemble_image(
        [*below, *layers],
        run_config(
            declaration,
            user=composed.user,
            labels=image_labels(declaration, annotations),
            base=base_run,
        ),
        _with_features(platform, declaration),
        created=created,
        annotations=annotations,
        base=loaded_base.config if loaded_base else None,
    )


def _with_place(problem: Problem, loaded: LoadedDeclaration) -> Problem:
    """A problem with the place in the declaration that it speaks of, where it names one."""
    named = _NAMED.match(problem.message)
    if problem.where or named is None:
        return problem
    path = named[0].replace("run-as", "accounts.run-as")
    return problem._replace(where=loaded.span_of(path))


def _with_features(platform: Platform, declaration: Declaration) -> Platform:
    """The platform with what a runtime must be able to do for such layers (`os.features`)."""
    features = ("erofs",) if declaration.format == "erofs" else ()
    return msgspec.structs.replace(platform, os_features=features)


def _apk_state(plan: Plan, platform: Platform) -> ApkState:
    contents = plan.declaration.contents
    lines = (*contents.repositories, *contents.runtime_repositories)
    keys = {name: key.pem for name, key in plan.resolved.keys.all().items()}
    return ApkState(
        platform.apk,
        tuple(dict.fromkeys(plan.resolved.world[platform])),
        tuple(dict.fromkeys(map(_public_line, lines))),
        keys,
        plan.resolved.tags,
    )


def _public_line(line: str) -> str:
    """A line for /etc/apk/repositories: whoever has the image must not have the password."""
    location = parse_location(line)
    return str(location._replace(url=without_userinfo(location.url)))


def _creation_time(packages: Sequence[PackageFiles], options: Options) -> int:
    """SOURCE_DATE_EPOCH, else the latest of the build date asked for and the packages' own."""
    if options.source_date_epoch is not None:
        return options.source_date_epoch
    times = [files.package.build_time for files in packages]
    return max([options.build_date or 0, *times])


def _annotations(declaration: Declaration, created: int, options: Options) -> dict[str, str]:
    """The annotations of index and manifests (image-spec annotations.md)."""
    annotations = dict(declaration.annotations)
    vcs_url = declaration.vcs_url or options.vcs_url
    if vcs_url:
        url, revision = split_vcs_url(vcs_url)
        annotations.setdefault(SOURCE, url)
        if revision:
            annotations.setdefault(REVISION, revision)
    annotations.setdefault(CREATED, format_time(created))
    return annotations
