"""The fingerprint of an image: everything that decides its bytes, and nothing else.

Where packages lie, which key signed an index and what a file is called on this machine are not
in it, so a lock may state it, and another machine gets the same.

There are two of them. What the user decided stands in the image itself (`INPUTS`), so that an
image shows what it was made from; the same with the formats of this imagist is what the memo and
locks go by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields, replace

from imagist.build import layers
from imagist.build.context import Options
from imagist.build.derived.files import DeclaredFile
from imagist.build.plan import Plan
from imagist.declaration.model import Contents, Declaration
from imagist.digest import Digest
from imagist.oci.platform import Platform
from imagist.rootfs import compress
from imagist.store.memo import memo_key

FORMAT: Final = 3
"""Raise it whenever the same inputs would become another image (tests/build/test_format.py)."""
FORMATS: Final = (FORMAT, layers.FORMAT, compress.FORMAT)
INPUTS: Final = "dev.imagist.inputs"
"""The annotation of a manifest that states what it was made from."""


class Fingerprint(msgspec.Struct, frozen=True):
    """What tells one image from all others."""

    stated: Digest
    """Of what the user decides; the image has it as its annotation `INPUTS`."""
    inputs: Digest
    """The same with the formats of this imagist; the memo and locks have it."""


def fingerprint_image(
    plan: Plan, platform: Platform, files: Sequence[DeclaredFile], options: Options
) -> Fingerprint:
    """The fingerprint of one platform's image.

    Args:
        plan: what was resolved.
        platform: one of the plan's.
        files: the declaration's `files`, read.
        options: what the command line adds.
    """
    packages = [
        (each.name, each.version, each.identity[0]) for each in plan.resolved.packages[platform]
    ]
    base = plan.bases.get(platform)
    stated = memo_key(
        str(platform),
        _deciding(plan.declaration),
        plan.resolved.state(platform),
        packages,
        files,
        None if base is None else (base.noted, base.base.packages),
        options.source_date_epoch,
        options.build_date,
        "" if plan.declaration.vcs_url else options.vcs_url,
    )
    inputs = memo_key((*FORMATS, plan.format.packed), stated)
    return Fingerprint(Digest(f"sha256:{stated}"), Digest(f"sha256:{inputs}"))


def _deciding(declaration: Declaration) -> object:
    """A declaration without what other parts of the fingerprint say, or no image depends on.

    Only what was declared counts: a key that a later imagist knows changes nothing by being known.
    """
    contents = declaration.contents
    return _declared(
        replace(
            declaration,
            archs=(),
            include="",
            files=(),
            contents=Contents(
                runtime_keyring=contents.runtime_keyring,
                slim=contents.slim,
                select=contents.select,
            ),
        )
    )


def _declared(value: object) -> object:
    """Plain values, without what has its default."""
    if isinstance(value, Struct):
        return {
            each.name: _declared(found)
            for each in fields(value)
            if (found := getattr(value, each.name)) != _default(each)
        }
    if isinstance(value, tuple):
        return [_declared(item) for item in value]
    if isinstance(value, dict):
        return {key: _declared(item) for key, item in value.items()}
    return value


def _default(field: FieldInfo) -> object:
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return field.default
