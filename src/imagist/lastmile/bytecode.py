"""Compiled Python files as layers of their own, so that the layers of sources stay shared.

An interpreter of the target's version on this machine compiles for all machines; none of the
target's code is run. The result depends on its very release, which is part of the key.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, NamedTuple

from imagist.errors import InputError, NotFound
from imagist.lastmile.wheels import Wheel, WheelLayer, layer_key, plan_groups
from imagist.oci.derive import BlobLayer
from imagist.packages.bytecode import Source, compile_with
from imagist.packages.wheel.archive import WheelArchive
from imagist.packages.wheel.install import install_wheel
from imagist.packages.wheel.venv import Venv
from imagist.rootfs import compress
from imagist.rootfs.entry import Entry, parents
from imagist.rootfs.tarwrite import write_tar
from imagist.store.layers import StoredLayer, recall, remember
from imagist.store.memo import memo_key
from imagist.store.parallel import each
from imagist.store.store import Store

STEP: Final = "bytecode-layer"
FORMAT: Final = 1


class Interpreter(NamedTuple):
    """A Python on this machine that can compile for a target."""

    path: str
    version: str
    """`sys.version`: compilers of two releases may give different bytes."""
    cache_tag: str
    """Such as `cpython-312`: part of the names of compiled files."""


def find_interpreter(venv: Venv) -> Interpreter:
    """An interpreter of the version that an environment is for: this one, or one on PATH.

    Raises:
        NotFound: there is none.
    """
    for path in (sys.executable, shutil.which(venv.python)):
        if not path:
            continue
        found = _ask(path)
        minor = ".".join(found.version.split(" ", 1)[0].split(".")[:2])
        threads = "t" if "free-threading" in found.version else ""
        if f"python{minor}{threads}" == venv.python:
            return found
    raise NotFound(
        f"compiling needs {venv.python} on this machine, and there is none",
        help=f"install {venv.python}, or leave compiled files out",
    )


def compile_sources(
    sources: Sequence[Source], interpreter: Interpreter, *, jobs: int = 1
) -> list[tuple[str, bytes]]:
    """Path and content of the compiled file of each source; what cannot be compiled has none.

    Raises:
        InputError: the interpreter failed.
    """
    shares = [sources[number::jobs] for number in range(jobs)]
    found = each(lambda share: _compile(share, interpreter), shares, jobs)
    compiled = [
        (_compiled_path(source.path, interpreter), data)
        for share, results in zip(shares, found, strict=True)
        for source, data in zip(share, results, strict=True)
        if data
    ]
    return sorted(compiled)


class BytecodeLayers:
    """Makes layers of compiled files for layers of wheels."""

    def __init__(
        self,
        store: Store,
        interpreter: Interpreter,
        *,
        bring: Callable[[Collection[str]], object] = lambda _: None,
        jobs: int = 1,
    ) -> None:
        """Nothing is compiled yet; `jobs` processes compile what `bring` brings."""
        self._bring = bring
        self._store = store
        self._interpreter = interpreter
        self._jobs = jobs

    def build(
        self,
        wheels: Sequence[Wheel],
        venv: Venv,
        *,
        project: Wheel | None = None,
        mtime: int = 0,
    ) -> list[BlobLayer | None]:
        """A layer for each that `WheelLayers.build` gives of the same wheels, in that order.

        None where a layer has nothing to be compiled.
        """
        groups = plan_groups(wheels, project)
        return [self._of(group, venv, mtime) for group in groups]

    def _of(self, group: Sequence[Wheel], venv: Venv, mtime: int) -> BlobLayer | None:
        source = layer_key(group, venv, mtime)
        key = memo_key(FORMAT, compress.FORMAT, source, self._interpreter.version)
        layer = recall(self._store, STEP, key, StoredLayer)
        if layer is None:
            layer = remember(self._store, STEP, key, self._make(group, venv, mtime))
        return layer.open(self._store) if layer.digest else None

    def _make(self, group: Sequence[Wheel], venv: Venv, mtime: int) -> StoredLayer:
        self._bring([wheel.digest for wheel in group])
        sources = {source.path: source for wheel in group for source in self._read(wheel, venv)}
        compiled = compile_sources(
            [sources[path] for path in sorted(sources)], self._interpreter, jobs=self._jobs
        )
        if not compiled:
            return StoredLayer()
        with self._store.writer() as blob:
            with compress.GzipWriter(blob.write, jobs=self._jobs) as gzip:
                write_tar(_entries(compiled, mtime), gzip.write)
            done = gzip.close()
            return StoredLayer(blob.commit(done.digest), done.size, done.diff_id)

    def _read(self, wheel: Wheel, venv: Venv) -> Iterator[Source]:
        """The sources of a wheel that pip would compile: those that can be imported."""
        with self._store.open_blob(wheel.digest) as stream:
            archive = WheelArchive(stream, wheel.filename)
            for file in install_wheel(archive, venv, wheel.origin).files:
                if file.path.startswith(venv.site_packages) and file.path.endswith(".py"):
                    data = archive.read(file.member) if file.member else file.data
                    yield Source(file.path, data)


def created_by(layer: WheelLayer) -> str:
    """The sentence for the history of a layer of compiled files."""
    return f"{layer.created_by}, compiled"


def _entries(compiled: Sequence[tuple[str, bytes]], mtime: int) -> Iterator[tuple[Entry, bytes]]:
    seen: set[str] = set()
    for path, data in compiled:
        for folder in parents(path):
            if folder not in seen:
                seen.add(folder)
                yield Entry(folder, "directory", 0o755, mtime=mtime), b""
        yield Entry(path, "file", 0o644, mtime=mtime, size=len(data)), data


def _compiled_path(path: str, interpreter: Interpreter) -> str:
    folder, _, name = path.rpartition("/")
    stem = name.removesuffix(".py")
    name = f"__pycache__/{stem}.{interpreter.cache_tag}.pyc"
    return f"{folder}/{name}" if folder else name


def _ask(path: str) -> Interpreter:
    asked = compile_with(path)
    return Interpreter(path, asked.version, asked.cache_tag)


def _compile(sources: Sequence[Source], interpreter: Interpreter) -> list[bytes]:
    done = compile_with(interpreter.path, sources)
    if interpreter != (interpreter.path, done.version, done.cache_tag):
        raise InputError(f"{interpreter.path} did not compile what it was given")
    return done.files
