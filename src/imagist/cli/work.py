"""Work on a declaration: what a command line asks for, from memory, from a lock, or built.

A build whose command line was seen before, and for which everything it read is as it was, is
answered from memory (`build.trace`); so nothing that only a real build needs is imported above.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from imagist import __version__
from imagist.build import trace
from imagist.build.trace import Note, Trace
from imagist.cli.delivery import Destination, ask_to_push
from imagist.cli.environment import read_epoch
from imagist.cli.options import read_vcs_url
from imagist.cli.stores import open_store
from imagist.errors import ImagistError, NotFound, RequestError
from imagist.oci import contents
from imagist.oci.image import Image, Index
from imagist.store.memo import memo_key
from imagist.store.store import Store

if TYPE_CHECKING:
    from imagist.build.context import Context, Options
    from imagist.build.plan import Plan
    from imagist.build.shipment import Cargo
    from imagist.declaration.include import LoadedDeclaration
    from imagist.oci.reference import Reference
    from imagist.registry.client import Registries

_SHOWING: Final = (
    "quiet",
    "verbose",
    "json",
    "progress",
    "color",
    "output",
    "tag",
    "check",
    "watch",
)
_MEANS: Final = ("command", "version", "directory", "cache", "offline", "jobs", "insecure")
_INDIFFERENT: Final = frozenset([*_SHOWING, *_MEANS])
"""Arguments that an image does not depend on."""


class Planned(msgspec.Struct, frozen=True):
    """A declaration made definite."""

    plan: Plan
    options: Options
    context: Context


class Stated(msgspec.Struct, frozen=True):
    """What a lock states of an image or index."""

    digest: str
    cargo: list[Cargo]


class Work:
    """One command line, and how far it has come."""

    def __init__(
        self,
        values: argparse.Namespace,
        to: Destination,
        declared: LoadedDeclaration | None = None,
    ) -> None:
        """Open the store, and what must be opened to push; nothing is read yet.

        Args:
            values: of the command line.
            to: where the image goes.
            declared: the declaration, where it is not in the file that the command line names.

        Raises:
            RequestError: --base is given, which is for projects.
        """
        if values.base:
            raise RequestError(
                "--base is for projects",
                help="an image's YAML names its base: `contents: {baseimage: {image: ...}}`",
            )
        self.values = values
        self.to = to
        self.registries: Registries | None = None
        """Where there is something to push, or to plan to."""
        self._store: Store = open_store(values)
        self._vcs_url = read_vcs_url(values)
        self._declared = declared
        self._key = _key(values, self._vcs_url, declared)
        self._notes = Trace()
        self._planned: Planned | None = None
        if to.references:
            from imagist.cli.registries import open_registries

            self.registries = open_registries(values)

    def recall(self, *, warn: bool = True) -> Image | Index | None:
        """What the same command line gave, if everything it read is as it was.

        `warn`: whether what was warned of then is told again.
        """
        store = self._store
        answer = trace.recall_answer(store, self._key, self._find_documents)
        thing = store.find_image(answer.digest) if answer else None
        if answer is None or thing is None:
            return None
        if warn and answer.warnings and not self.values.quiet:
            from imagist.cli.messages import Messages

            messages = Messages(self.values)
            for warning in answer.warnings:
                messages.warn(warning)
        store.keep_image(answer.digest)
        return thing

    def _find_documents(self, notes: Sequence[Note]) -> list[str]:
        from imagist.build.watch import find_documents
        from imagist.cli.session import open_cached

        documents = [note for note in notes if note.kind == "document"]
        found = iter(find_documents(open_cached(self.values, self._store), documents))
        return [self._find_tag(note) if note.kind == "tag" else next(found) for note in notes]

    def _find_tag(self, note: Note) -> str:
        """What a tag names now; offline what it named, as far as anyone can know."""
        if self.values.offline or "@" in note.name:
            return note.digest
        from imagist.cli.registries import open_registries
        from imagist.oci.reference import parse_reference

        reference = parse_reference(note.name)
        found = open_registries(self.values).repository(reference).resolve(reference.tag)
        return found.digest if found else ""

    def planned(self) -> Planned:
        """The declaration made definite, once.

        Raises:
            ImagistError: see `plan_images`.
        """
        if self._planned is None:
            from imagist.build.plan import plan_images
            from imagist.cli.options import read_build_options
            from imagist.cli.session import load_thing, open_context

            options = read_build_options(self.values, self._vcs_url, self._notes)
            loaded = self._declared or load_thing(self.values, self._notes)
            context = open_context(self.values, self._notes, self._store)
            if self.registries is not None:
                from imagist.build.target import RegistryTarget

                target = RegistryTarget(self.registries, self.to.references)
                context = replace(context, target=target)
            plan = plan_images(loaded, options, context)
            self._planned = Planned(plan, options, context)
        return self._planned

    def build(self) -> Image | Index:
        """The image or index, built where nobody knows it.

        Layers that only the registry has, to which they would go, are not in the store.

        Raises:
            ImagistError: see `build_plan`.
        """
        from imagist.build.job import build_plan

        ask_to_push(self.to, self.registries)
        planned = self.planned()
        options = planned.options
        built = build_plan(planned.plan, options, planned.context)
        # One platform that was asked for as such is an image; everything else is an index.
        single = len(options.platforms) == 1
        thing: Image | Index = next(iter(built.images.values())) if single else built.index
        blobs = list(contents.blobs(thing))
        if all(self._store.has(blob.digest) for blob in blobs if blob.layer):
            digest = self._store.add_image(thing)
            names = [blob.digest for blob in blobs]
            trace.remember_answer(self._store, self._key, digest, names, self._notes)
        return thing

    def stated(self) -> Stated | None:
        """What a lock states; None where it says nothing of exactly this image.

        Raises:
            ImagistError: see `plan_images`.
        """
        from imagist.build.fingerprint import fingerprint_image
        from imagist.build.known import stated_image
        from imagist.build.local_files import read_declared_files
        from imagist.build.shipment import stated_cargo

        planned = self.planned()
        plan, options = planned.plan, planned.options
        lock = options.lock
        if lock is None or lock.index is None:
            return None
        files = read_declared_files(plan.declaration.files, plan.loaded, planned.context.trace)
        for platform in plan.platforms:
            fingerprint = fingerprint_image(plan, platform, files, options)
            if not stated_image(fingerprint, platform, options):
                return None
        cargo = stated_cargo(lock, plan.platforms)
        if cargo is None:
            return None
        if len(options.platforms) == 1:
            return Stated(cargo[0].digest, cargo)
        # The lock states the index over all its images, not that over some of them.
        return Stated(lock.index.digest, cargo) if len(cargo) == len(lock.images) else None

    def leave_memory(self, thing: Image | Index, references: Sequence[Reference]) -> None:
        """Leave a memory (`build.memory`) beside an image that was built from a lock."""
        if not (self.values.lock or self.values.thing.endswith(".lock.json")):
            return
        from imagist.build.leave import leave_memory

        assert self.registries is not None  # noqa: S101 - it was pushed
        planned = self.planned()
        plan, options, context = planned.plan, planned.options, planned.context
        try:
            leave_memory(plan, options, context, thing, references, self.registries)
        except ImagistError as error:  # the image is there: the next build only has more to do
            context.report.warn(f"the registry got no memory for the next build: {error}")


def _key(values: argparse.Namespace, vcs_url: str, declared: LoadedDeclaration | None) -> str:
    """The memo key of a command line, in this folder and on this machine."""
    arguments = {k: v for k, v in vars(values).items() if k not in _INDIFFERENT}
    machine = os.uname().machine  # what `--platform host` means
    epoch = read_epoch(os.environ)
    try:
        folder = str(Path.cwd())
    except FileNotFoundError:
        raise NotFound("the working folder is gone", help="change to another") from None
    parts = [] if declared is None else [repr(declared.declaration)]
    return memo_key(__version__, trace.FORMAT, folder, arguments, vcs_url, epoch, machine, *parts)
