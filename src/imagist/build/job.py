"""The job: from a declaration to an index of images, one for each platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from imagist.build.assemble import assemble_index
from imagist.build.context import Context, Options
from imagist.build.derived.files import DeclaredFile
from imagist.build.fingerprint import Fingerprint, fingerprint_image
from imagist.build.known import KnownImage, check_lock, recall_image, remember_image, stated_image
from imagist.build.local_files import read_declared_files
from imagist.build.plan import Plan
from imagist.errors import NetworkError
from imagist.oci.image import Image, Index
from imagist.oci.platform import Platform


class Built(msgspec.Struct, frozen=True):
    """What a job gives."""

    images: dict[Platform, Image]
    index: Index
    plan: Plan
    fingerprints: dict[Platform, Fingerprint]


def build_plan(plan: Plan, options: Options, context: Context) -> Built:
    """The images of a plan; those that are known already are not constructed again.

    Raises:
        ImagistError: anything about declaration, packages or servers is wrong; nothing but
            verified packages and finished layers is then left in the store.
    """
    files = read_declared_files(plan.declaration.files, plan.loaded, context.trace)
    fingerprints = {each: fingerprint_image(plan, each, files, options) for each in plan.platforms}
    found: dict[Platform, KnownImage] = {}
    for platform in plan.platforms:
        known = recall_image(fingerprints[platform], platform, options, context)
        if known is not None:
            found[platform] = known
    missing = {each: fingerprints[each] for each in plan.platforms if each not in found}
    if missing:
        found |= _construct(plan, missing, files, options, context)
    for platform in plan.platforms:
        for warning in found[platform].warnings:
            context.report.warn(f"{platform}: {warning}")
    images = {platform: found[platform].image for platform in plan.platforms}
    index = assemble_index(list(images.values()), plan.declaration, options)
    return Built(images, index, plan, fingerprints)


def _construct(
    plan: Plan,
    missing: Mapping[Platform, Fingerprint],
    files: Sequence[DeclaredFile],
    options: Options,
    context: Context,
) -> dict[Platform, KnownImage]:
    """Images that nobody knows: out of what the target remembers, else out of packages."""
    # Where every image is known, none of this is loaded.
    from imagist.build.construct import construct_images  # noqa: PLC0415

    if context.target is not None and _are_stated(missing, options):
        try:
            made = construct_images(plan, missing, files, options, context, recollect=True)
            found = dict(zip(missing, made, strict=True))
            for platform, known in found.items():
                check_lock(known.image, missing[platform], platform, options)
        except NetworkError:
            raise
        except Exception:  # whatever an untrusted memory may lead to
            context.report.warn(
                "what the registry remembers of the packages does not give the images that the "
                "lock states; taking the packages themselves"
            )
        else:
            return found
    made = construct_images(plan, missing, files, options, context)
    found = {}
    for platform, fingerprint in missing.items():
        found[platform] = next(made)
        remember_image(fingerprint, platform, found[platform], options, context)
    return found


def _are_stated(missing: Mapping[Platform, Fingerprint], options: Options) -> bool:
    """Whether a lock states each of these images, so that what comes out can be checked."""
    return all(
        stated_image(fingerprint, platform, options) for platform, fingerprint in missing.items()
    )
