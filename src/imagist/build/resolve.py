"""What every format of packages resolves from: options added, platforms chosen, the world."""

from __future__ import annotations

import posixpath

from msgspec.structs import replace

from imagist.build.context import Options
from imagist.build.lockfile import Lock, declaration_checksum
from imagist.declaration.include import LoadedDeclaration
from imagist.declaration.model import Declaration
from imagist.errors import RequestError, Span
from imagist.oci.platform import Platform, parse_platform


def add_options(declaration: Declaration, options: Options) -> Declaration:
    """The declaration with what the command line appends to it."""
    contents = declaration.contents
    contents = replace(
        contents,
        keyring=(*contents.keyring, *options.keyring),
        build_repositories=(*contents.build_repositories, *options.build_repositories),
        repositories=(*contents.repositories, *options.repositories),
        packages=(*contents.packages, *options.packages),
    )
    annotations = declaration.annotations | dict(options.annotations)
    return replace(
        declaration,
        contents=contents,
        annotations=annotations,
        format=options.format or declaration.format,
    )


def choose_platforms(declaration: Declaration, options: Options) -> tuple[Platform, ...]:
    """The platforms to build for: those asked for, else those declared; by name."""
    wanted = options.platforms or tuple(parse_platform(arch) for arch in declaration.archs)
    return tuple(sorted(set(wanted), key=lambda platform: platform.arch))


def world_of(declaration: Declaration, platform: Platform) -> tuple[str, ...]:
    """What is asked for on one platform, in the order written."""
    contents = declaration.contents
    return (*contents.packages, *contents.platform_packages.get(platform.arch, ()))


def places_of(loaded: LoadedDeclaration, key: str = "packages") -> dict[str, Span]:
    """Where each entry of a list in `contents` was written; options' were written nowhere."""
    spans = {
        entry.strip(): loaded.span_of(f"contents.{key}[{number}]")
        for number, entry in enumerate(getattr(loaded.declaration.contents, key))
    }
    return {entry: span for entry, span in spans.items() if span is not None}


def check_lock(loaded: LoadedDeclaration, lock: Lock, name: str) -> None:
    """See that a lock was made from this very declaration.

    Raises:
        RequestError: it was made from another one.
    """
    checksum = declaration_checksum(file.data for file in loaded.files)
    if lock.config is not None and lock.config.checksum != checksum:
        path = loaded.files[0].path
        other = posixpath.basename(lock.config.name) != posixpath.basename(path)
        made = lock.config.name if other else f"another state of {path}"
        raise RequestError(
            f"{name} was made from {made}",
            where=name,
            help="lock again, or build without the lock; `imagist lock --check` says what differs",
        )
