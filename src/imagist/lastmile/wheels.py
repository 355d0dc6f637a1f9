"""Wheels to layers: large ones alone, small ones together, each remembered by what it is made of.

A layer of wheels depends on the wheels, the version of Python and the prefix, and on nothing else:
not on the base, not on the platform of a pure wheel, not on the machine. So it is made once for
all images, and a machine that remembers it needs no wheel at all.
"""

import functools
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Final

import msgspec
from msgspec.structs import astuple

from imagist.oci.derive import BlobLayer
from imagist.packages.wheel import install
from imagist.packages.wheel.archive import WheelArchive
from imagist.packages.wheel.collisions import check_collisions
from imagist.packages.wheel.facts import WheelFacts, facts_of
from imagist.packages.wheel.install import InstalledFile, Origin, install_wheel
from imagist.packages.wheel.venv import Venv
from imagist.progress import SILENT, Meter
from imagist.rootfs import splice
from imagist.rootfs.entry import Entry, order, parent, parents
from imagist.rootfs.splice import Deflated, SpliceWriter
from imagist.store.layers import StoredLayer, recall, remember
from imagist.store.memo import memo_key
from imagist.store.parallel import each
from imagist.store.store import Store

STEP: Final = "wheel-layer"
FORMAT: Final = 3
"""Raise it whenever the same wheels would become other bytes, or other facts be kept of them."""
LARGE: Final = 1_000_000
"""Bytes of a wheel from which on it has a layer of its own."""
MOST: Final = 16
"""Layers of single wheels; those that are large, but not among the largest, go with the small."""


class Wheel(msgspec.Struct, frozen=True):
    """A wheel that was chosen."""

    filename: str
    digest: str
    """Of the whole file, `sha256:...`, as the lock states it: its blob in the store."""
    size: int
    """Bytes."""
    origin: Origin = Origin()


class WheelLayer(msgspec.Struct, frozen=True, dict=True):
    """A layer, and what is in it."""

    layer: BlobLayer
    names: tuple[str, ...]
    """Of its wheels, with their versions: `flask-3.1.0`."""
    facts: bytes
    """Of all its files, which are thousands, and seldom asked for."""

    @functools.cached_property
    def wheels(self) -> tuple[WheelFacts, ...]:
        """What is known of its wheels, file by file; decoded when somebody asks first."""
        return msgspec.msgpack.decode(self.facts, type=tuple[WheelFacts, ...])

    @property
    def created_by(self) -> str:
        """The sentence for its history."""
        return f"imagist: {', '.join(self.names)}"


class _Written(StoredLayer, frozen=True, array_like=True):
    """What the memo keeps of a layer of wheels."""

    names: tuple[str, ...] = ()
    facts: bytes = b""


def plan_groups(wheels: Iterable[Wheel], project: Wheel | None = None) -> list[tuple[Wheel, ...]]:
    """Which wheels share a layer: the largest stand alone, largest first, then all others.

    The project's own wheel comes last, whatever its size, since it changes most.

    The order is by size and name, never by who needs whom, so that one more package moves none.
    """
    by_size = sorted(wheels, key=lambda wheel: (-wheel.size, wheel.filename))
    alone = [wheel for wheel in by_size if wheel.size >= LARGE][:MOST]
    rest = sorted(by_size[len(alone) :], key=lambda wheel: wheel.filename.lower())
    groups: list[tuple[Wheel, ...]] = [(wheel,) for wheel in alone]
    if rest:
        groups.append(tuple(rest))
    return [*groups, (project,)] if project is not None else groups


class WheelLayers:
    """Makes layers of wheels in a store, several at a time."""

    def __init__(
        self,
        store: Store,
        *,
        shared: Collection[str] = (),
        bring: Callable[[Collection[str]], object] = lambda _: None,
        jobs: int | None = None,
        meter: Meter = SILENT,
    ) -> None:
        """Nothing is made yet.

        Args:
            store: where wheels are, and layers go.
            shared: patterns of files in site-packages that wheels may both have, each its own: in
                a layer that of the first is taken, as they are sorted here.
            bring: asked for the digests of wheels before they are opened, so that whoever has
                them may fetch them, and only those.
            jobs: layers that are made at a time; default: one for each processor.
            meter: counts the bytes of contents.
        """
        self._store = store
        self._shared = shared
        self._bring = bring
        self._jobs = jobs or len(os.sched_getaffinity(0))
        self._meter = meter

    def build(
        self,
        wheels: Iterable[Wheel],
        venv: Venv,
        *,
        project: Wheel | None = None,
        mtime: int = 0,
    ) -> list[WheelLayer]:
        """The layers of some wheels in an environment.

        Args:
            wheels: one of each distribution, in any order; the result does not depend on it.
            venv: where they go.
            project: the wheel that changes most, alone in the last layer.
            mtime: of all entries, seconds since 1970.

        Raises:
            Untrusted: a wheel is damaged, or not what its RECORD says.
            InputError: two distributions of one layer install different files in one place; those
                of different layers are not compared here (`environment`).
        """
        groups = plan_groups(wheels, project)
        keys = [layer_key(group, venv, mtime) for group in groups]
        known = [recall(self._store, STEP, key, _Written) for key in keys]
        absent = [number for number, written in enumerate(known) if written is None]
        self._bring([wheel.digest for number in absent for wheel in groups[number]])
        # Many small files take longest for their size: whoever makes them begins first.
        absent.sort(key=lambda number: -len(groups[number]))

        def make(number: int) -> _Written:
            return self._make(groups[number], keys[number], venv, mtime)

        for number, written in zip(absent, each(make, absent, self._jobs), strict=True):
            known[number] = written
        return [
            WheelLayer(written.open(self._store), written.names, written.facts)
            for written in known
            if written is not None
        ]

    def _make(self, group: Sequence[Wheel], key: str, venv: Venv, mtime: int) -> _Written:
        with ExitStack() as open_files, self._store.writer() as blob:
            planned = []
            for wheel in group:
                stream = open_files.enter_context(self._store.open_blob(wheel.digest))
                archive = WheelArchive(stream, wheel.filename)
                planned.append((archive, install_wheel(archive, venv, wheel.origin)))
            check_collisions((facts_of(installed, {}) for _, installed in planned), self._shared)
            self._meter.expect(sum(f.size for _, installed in planned for f in installed.files))
            writer = SpliceWriter(blob.write)
            seen: set[str] = set()
            for archive, installed in planned:
                self._write(writer, archive, installed.files, seen, mtime)
            done = writer.close()
            size = blob.size
            digest = blob.commit()
            wheels = tuple(
                facts_of(installed, archive.objects, archive.requires, archive.lookups)
                for archive, installed in planned
            )
            names = tuple(f"{wheel.name}-{wheel.version}" for wheel in wheels)
        facts = msgspec.msgpack.encode(wheels)
        written = _Written(digest, size, done.diff_id, names, facts)
        return remember(self._store, STEP, key, written)

    def _write(
        self,
        writer: SpliceWriter,
        archive: WheelArchive,
        files: Sequence[InstalledFile],
        seen: set[str],
        mtime: int,
    ) -> None:
        """Write what of a wheel is not there yet; folders come before what lies in them."""
        for file in sorted(files, key=lambda file: order(file.path)):
            if file.path in seen:
                continue  # the same file of another wheel, or one that may be anybody's
            for folder in _new_folders(file.path, seen):
                writer.add(Entry(folder, "directory", 0o755, mtime=mtime))
            seen.add(file.path)
            entry = Entry(file.path, "file", file.mode, mtime=mtime, size=file.size)
            content = archive.deflated(file.member) if file.member else file.data
            if isinstance(content, Deflated):
                writer.add_deflated(entry, content)
            else:
                writer.add(entry, content)
            self._meter.add(file.size)


def layer_key(group: Sequence[Wheel], venv: Venv, mtime: int) -> str:
    """What a layer of wheels depends on, and nothing else."""
    formats = (FORMAT, install.FORMAT, splice.FORMAT)
    inputs = [(wheel.digest, wheel.filename, *astuple(wheel.origin)) for wheel in group]
    return memo_key(*formats, inputs, astuple(venv), mtime)


def _new_folders(path: str, seen: set[str]) -> Iterator[str]:
    if parent(path) in seen:
        return
    for folder in parents(path):
        if folder not in seen:
            seen.add(folder)
            yield folder
