"""Constructing images: packages fetched, trees composed, layers written, documents assembled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from imagist.build.assemble import BuiltLayer, annotations_of, assemble_image
from imagist.build.compose import compose
from imagist.build.contents import StoreContents
from imagist.build.context import Context, Options
from imagist.build.derived.command import check_command
from imagist.build.derived.files import DeclaredFile
from imagist.build.fingerprint import INPUTS, Fingerprint
from imagist.build.known import KnownImage
from imagist.build.layers import LayerBuilder
from imagist.build.plan import Plan
from imagist.build.run import image_labels, run_config
from imagist.build.supply import Supply
from imagist.declaration import model as declared
from imagist.declaration.include import LoadedDeclaration
from imagist.declaration.model import Contents, Declaration, Layering
from imagist.errors import ImagistError, Problem, RequestError
from imagist.oci.image import HARD_LIMIT
from imagist.oci.manifest import RunConfig, format_time
from imagist.oci.platform import Platform
from imagist.packages.fetch import Identity
from imagist.packages.files import PackageFiles
from imagist.packages.selection import Selection, cut_package

_NAMED: Final = re.compile(r"(?:paths|files)\[\d+\]|run-as")
"""How messages name the part of a declaration they are about."""


def construct_images(
    plan: Plan,
    missing: Mapping[Platform, Fingerprint],
    files: Sequence[DeclaredFile],
    options: Options,
    context: Context,
    *,
    recollect: bool = False,
) -> Iterator[KnownImage]:
    """The images of some platforms, one after another.

    Args:
        plan: what was resolved.
        missing: the platforms to construct for, with the fingerprints of their images.
        files: the declaration's `files`, read.
        options: see `Options`.
        context: where to read, and the store that gets the layers.
        recollect: take the word of the target's memory for packages that the store lacks. Layers
            that the target has are then not in the store, and the images are to be checked.

    Raises:
        ImagistError: packages cannot be had, do not fit each other or the declaration.
    """
    supply = Supply(plan, missing, options, context, recollect=recollect)
    packages = fetch_packages(plan, list(missing), options, context, supply.recollected)
    for platform, fingerprint in missing.items():
        context.report.stage(f"building {platform}")
        yield _construct_image(
            plan, platform, packages[platform], files, options, context, supply, fingerprint
        )


def fetch_packages(
    plan: Plan,
    platforms: Sequence[Platform],
    options: Options,
    context: Context,
    recollected: Mapping[Identity, PackageFiles] = MappingProxyType({}),
) -> dict[Platform, tuple[PackageFiles, ...]]:
    """The packages of some platforms, verified and in the store.

    All of all platforms are asked for at once, so that no thread waits for a platform's last.

    Args:
        plan: what was resolved.
        platforms: those whose packages are wanted.
        options: see `Options`.
        context: where to read, and the store.
        recollected: packages that are neither verified nor fetched where the store lacks them.

    Raises:
        ImagistError: packages that cannot be had or trusted; all of them at once.
    """
    wanted = [package for each in platforms for package in plan.resolved.packages[each]]
    once = {package.identity: package for package in wanted}.values()
    context.report.stage(f"fetching and verifying {len(once)} packages")
    with context.report.meter("packages", items=len(once)) as meter:
        fetcher = plan.format.open_fetcher(context, options, meter=meter, recollected=recollected)
        found = iter(fetcher.fetch(wanted))
    return {
        platform: tuple(next(found) for _ in plan.resolved.packages[platform])
        for platform in platforms
    }


def _construct_image(
    plan: Plan,
    platform: Platform,
    packages: Sequence[PackageFiles],
    files: Sequence[DeclaredFile],
    options: Options,
    context: Context,
    supply: Supply,
    fingerprint: Fingerprint,
) -> KnownImage:
    """The image of one platform; layers that are written here are in the store.

    Raises:
        InputError: packages conflict, or hold something that cannot be used.
        RequestError: the declaration asks for something that does not fit these packages, or
            for too many layers.
    """
    declaration = plan.declaration
    loaded_base = plan.bases.get(platform)
    base = loaded_base.base if loaded_base else None
    epoch = options.source_date_epoch
    created = _creation_time(packages, options)
    contents = StoreContents(context.store, supply.bring)
    try:
        selected = _select(
            plan.format.select(packages, plan.resolved, platform), declaration.contents
        )
        composed = compose(
            declaration,
            selected,
            contents,
            plan.format.open_packaging(plan.resolved, platform, base.packages if base else ()),
            epoch=epoch if epoch is not None else options.build_date or 0,
            files=files,
            base=base,
        )
    except ImagistError as error:
        raise type(error)(
            _with_place(problem, plan.loaded) for problem in error.problems
        ) from None
    below: list[BuiltLayer] = []
    base_run: RunConfig | None = None
    if loaded_base is not None:
        below = [BuiltLayer(layer, "") for layer in loaded_base.image.layers]
        base_run = loaded_base.config.config
    layering = declaration.layering or Layering()
    with context.report.meter(f"layers of {platform}") as meter:
        builder = LayerBuilder(context.store, bring=supply.bring, jobs=context.jobs, meter=meter)
        layers = builder.build(
            composed.tree,
            selected,
            composed.merged,
            strategy="erofs" if declaration.format == "erofs" else layering.strategy,
            budget=layering.budget or 0,
            base=base.nodes if base else (),
        )
    _check_count(len(below) + len(layers), platform)
    annotations = annotations_of(declaration, format_time(created), options)
    run = run_config(
        declaration,
        user=composed.user,
        labels=image_labels(declaration, annotations),
        base=base_run,
    )
    warnings = check_command(composed.tree, contents, run)
    image = assemble_image(
        [*below, *layers],
        run,
        _with_features(platform, declaration),
        created=created,
        annotations={
            **(loaded_base.noted if loaded_base else {}),
            **annotations,
            INPUTS: fingerprint.stated,
        },
        base=loaded_base.config if loaded_base else None,
    )
    return KnownImage(image, (*composed.warnings, *warnings))


def _select(packages: Sequence[PackageFiles], contents: Contents) -> list[PackageFiles]:
    """The packages without the files that the declaration does without.

    Raises:
        RequestError: a pattern is none.
        InputError: a strict selection means nothing.
    """
    unknown = sorted(contents.select.keys() - {files.package.name for files in packages})
    if unknown:
        raise RequestError(
            f"`contents.select` speaks of {', '.join(unknown)}, which is not in the image",
            help="name packages as `imagist show packages` does",
        )
    if not contents.slim and not contents.select:
        return list(packages)
    found = []
    for files in packages:
        own = contents.select.get(files.package.name, declared.Selection())
        wanted = Selection(contents.slim, own.only, own.exclude, own.include, own.strict)
        found.append(cut_package(files, wanted))
    return found


def _check_count(layers: int, platform: Platform) -> None:
    if layers > HARD_LIMIT:
        raise RequestError(
            f"the image for {platform} would have {layers} layers, but runtimes take {HARD_LIMIT}",
            help="set a smaller `layering.budget`",
        )


def _with_place(problem: Problem, loaded: LoadedDeclaration) -> Problem:
    """A problem with the place in the declaration that it speaks of, where it names one."""
    named = _NAMED.match(problem.message)
    if problem.where or named is None:
        return problem
    path = named[0].replace("run-as", "accounts.run-as")
    return replace(problem, where=loaded.span_of(path))


def _with_features(platform: Platform, declaration: Declaration) -> Platform:
    """The platform with what a runtime must be able to do for such layers (`os.features`)."""
    features = ("erofs",) if declaration.format == "erofs" else ()
    return replace(platform, os_features=features)


def _creation_time(packages: Sequence[PackageFiles], options: Options) -> int:
    """SOURCE_DATE_EPOCH, else the latest of the build date asked for and the packages' own."""
    if options.source_date_epoch is not None:
        return options.source_date_epoch
    times = [files.package.build_time for files in packages]
    return max([options.build_date or 0, *times])
