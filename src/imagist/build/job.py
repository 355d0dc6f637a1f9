"""The job: from a declaration to an index of images, one for each platform."""

from __future__ import annotations

import msgspec

from imagist.build.assemble import assemble_index
from imagist.build.context import Context, Options
from imagist.build.fingerprint import image_inputs
from imagist.build.known import KnownImage, recall_image, remember_image
from imagist.build.local_files import read_declared_files
from imagist.build.plan import Plan, plan_images
from imagist.declaration.include import LoadedDeclaration
from imagist.digest import Digest
from imagist.oci.image import Image, Index
from imagist.oci.platform import Platform


class Built(msgspec.Struct, frozen=True):
    """What a job gives."""

    images: dict[Platform, Image]
    index: Index
    plan: Plan
    inputs: dict[Platform, Digest]
    """The fingerprint of each image, see `fingerprint`."""


def build_images(loaded: LoadedDeclaration, options: Options, context: Context) -> Built:
    """Build the images of a declaration into the store.

    Raises:
        ImagistError: anything about declaration, packages or servers is wrong; nothing but
            verified packages and finished layers is then left in the store.
    """
    return build_plan(plan_images(loaded, options, context), options, context)


def build_plan(plan: Plan, options: Options, context: Context) -> Built:
    """The images of a plan; those that are known already are not constructed again.

    Raises:
        ImagistError: see `build_images`.
    """
    files = read_declared_files(plan.declaration.files, plan.loaded, context.trace)
    inputs = {each: image_inputs(plan, each, files, options) for each in plan.platforms}
    found: dict[Platform, KnownImage] = {}
    for platform in plan.platforms:
        known = recall_image(inputs[platform], platform, options, context)
        if known is not None:
            found[platform] = known
    missing = [platform for platform in plan.platforms if platform not in found]
    if missing:
        # Where every image is known, none of this is loaded.
        from imagist.build.construct import construct_images  # noqa: PLC0415

        made = construct_images(plan, missing, files, options, context)
        for platform in missing:
            found[platform] = next(made)
            remember_image(inputs[platform], platform, found[platform], options, context)
    for platform in plan.platforms:
        for warning in found[platform].warnings:
            context.report.warn(f"{platform}: {warning}")
    images = {platform: found[platform].image for platform in plan.platforms}
    index = assemble_index(list(images.values()), plan.declaration, options)
    return Built(images, index, plan, inputs)
