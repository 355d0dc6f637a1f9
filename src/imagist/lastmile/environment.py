"""A whole virtual environment as layers: skeleton first, wheels by size, the project last.

Whoever composes an image asks for this. Everything is checked before anything is handed on: files
in one place, machines of compiled files, libraries they need, and the place in the base.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from imagist.build.assemble import BuiltLayer
from imagist.errors import InputError, Problem, Span
from imagist.lastmile.wheels import Wheel, WheelLayer, WheelLayers
from imagist.oci.derive import BlobLayer
from imagist.packages.wheel.target import Target, marker_environment
from imagist.packages.wheel.venv import Venv, venv_of, write_skeleton
from imagist.progress import SILENT, Meter
from imagist.rootfs import compress
from imagist.store.layers import StoredLayer, recall, remember
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "environment-check"
SKELETON: Final = "environment-skeleton"
FORMAT: Final = 4
"""Raise it whenever something else is checked."""


class Environment(msgspec.Struct, frozen=True):
    """The layers of a virtual environment, and what is in them."""

    layers: list[BuiltLayer]
    wheel_layers: list[WheelLayer]
    """Those of them that are of wheels."""
    warnings: list[str]
    """Whole sentences, for a person."""


class Base(msgspec.Struct, frozen=True):
    """What is known of the image below."""

    obstacles: Mapping[str, str] = {}
    """What of it is in the way of the environment (`find_obstacles`)."""
    libraries: Collection[str] | None = None
    """Sonames and file names of its libraries; None where nobody knows."""
    finds_libraries: bool = True
    """Whether `ctypes.util.find_library` finds those."""
    where: Span | str | None = None
    """Where it is said that the environment goes there."""
    adding: Callable[[str], str] | None = None
    """Says how a package is added to it, where that can be said."""


def build_environment(
    store: Store,
    wheels: Iterable[Wheel],
    target: Target,
    *,
    project: Wheel | None = None,
    base: Base | None = None,
    shared: Collection[str] = (),
    bytecode: bool = False,
    mtime: int = 0,
    bring: Callable[[Collection[str]], object] = lambda _: None,
    jobs: int | None = None,
    meter: Meter = SILENT,
) -> Environment:
    """Build the layers of an environment, or remember them.

    Args:
        store: where wheels are, and layers go.
        wheels: one of each distribution, those of the project apart.
        target: the Python they are for.
        project: the project's own wheel.
        base: the image below, as far as it is known.
        shared: patterns of files in site-packages that wheels may both have, each its own.
        bytecode: whether compiled files follow, in layers of their own.
        mtime: of all entries, seconds since 1970.
        bring: asked for the digests of wheels that are needed, before they are opened.
        jobs: layers that are made at a time.
        meter: counts the bytes of contents.

    Raises:
        Untrusted: a wheel is damaged or hostile.
        InputError: wheels do not go together, or not with the base.
        NotFound: compiled files are wanted, and no interpreter is here to make them.
        RequestError: the target's prefix is no place for an environment.
    """
    base = base or Base()
    venv = venv_of(target)
    check_place(venv, base)
    wheels = list(wheels)
    maker = WheelLayers(store, shared=shared, bring=bring, jobs=jobs, meter=meter)
    made = maker.build(wheels, venv, project=project, mtime=mtime)
    others, own = (made[:-1], made[-1]) if project is not None else (made, None)
    warnings = _check(store, others, own, target, base, shared)
    layers = [BuiltLayer(skeleton_layer(store, target, mtime=mtime), "imagist: environment")]
    layers += [BuiltLayer(layer.layer, layer.created_by) for layer in made]
    if bytecode:
        from imagist.lastmile.bytecode import (  # noqa: PLC0415 - few want them
            BytecodeLayers,
            created_by,
            find_interpreter,
        )

        cpus = jobs or len(os.sched_getaffinity(0))
        compiler = BytecodeLayers(store, find_interpreter(venv), bring=bring, jobs=cpus)
        compiled = compiler.build(wheels, venv, project=project, mtime=mtime)
        layers += [
            BuiltLayer(layer, created_by(source))
            for layer, source in zip(compiled, made, strict=True)
            if layer is not None
        ]
    return Environment(layers, made, warnings)


def _check(
    store: Store,
    others: Sequence[WheelLayer],
    own: WheelLayer | None,
    target: Target,
    base: Base,
    shared: Collection[str],
) -> list[str]:
    """Whether wheels go together, and with the base; what is right is remembered as such.

    Of the project, contents make no difference where it shares no file with another wheel.
    """
    libraries = base.libraries
    known = None if libraries is None else sorted(libraries)
    architecture, environment = target.platform.architecture, marker_environment(target)
    digests = [layer.layer.digest for layer in others]
    rest = (digests, architecture, environment, known, base.finds_libraries, list(shared))
    mine = own.wheels if own is not None else ()
    paths = [file.path for wheel in mine for file in wheel.files]
    said = [(wheel.objects, wheel.warnings, wheel.requires, wheel.lookups) for wheel in mine]
    outline = memo_key(FORMAT, *rest, paths, said)
    exact = memo_key(FORMAT, *rest, own.layer.digest if own else "")
    for key in (outline, exact):
        value = store.memo.get(STEP, key)
        if value is not None:
            with contextlib.suppress(msgspec.DecodeError):
                return msgspec.msgpack.decode(value, type=list[str])
    from imagist.packages.wheel.collisions import check_collisions  # noqa: PLC0415 - often known
    from imagist.packages.wheel.elfcheck import check_lookups, check_objects  # noqa: PLC0415
    from imagist.packages.wheel.requires import check_requires  # noqa: PLC0415

    theirs = [wheel for layer in others for wheel in layer.wheels]
    facts = [*theirs, *mine]
    warnings = [
        *(warning for wheel in facts for warning in wheel.warnings),
        *check_collisions(facts, shared),
        *check_objects(facts, architecture, libraries, base.adding),
        *([] if base.finds_libraries else check_lookups(facts, libraries or (), base.adding)),
        *check_requires(facts, environment),
    ]
    is_apart = not {file.path for wheel in theirs for file in wheel.files}.intersection(paths)
    store.memo.put(STEP, outline if is_apart else exact, msgspec.msgpack.encode(warnings))
    return warnings


def skeleton_layer(store: Store, target: Target, *, mtime: int = 0) -> BlobLayer:
    """The layer of what is no package's: settings, and links to the base's interpreter.

    It is the only one that depends on the base.
    """
    entries = write_skeleton(target, mtime=mtime)
    key = memo_key(FORMAT, compress.FORMAT, entries)
    known = recall(store, SKELETON, key, StoredLayer)
    if known is not None:
        return known.open(store)
    from imagist.rootfs.tarwrite import write_tar  # noqa: PLC0415 - often remembered

    with store.writer() as blob:
        with compress.GzipWriter(blob.write, jobs=1) as gzip:
            write_tar(((entry, entry.data) for entry in entries), gzip.write)
        done = gzip.close()
        digest = blob.commit(done.digest)
    layer = StoredLayer(digest, done.size, done.diff_id)
    return remember(store, SKELETON, key, layer).open(store)


def check_place(venv: Venv, base: Base) -> None:
    """See that an environment would lie in folders of the base, not behind its symlinks.

    Args:
        venv: the environment.
        base: what is known of the base.

    Raises:
        InputError: it would replace something, or lie elsewhere than it says.
    """
    said = {
        f"{venv.root}/pyvenv.cfg": f"the base has an environment in {venv.prefix} already",
        f"{venv.root}/bin/python3": f"/{venv.root}/bin is where the base has its own Python",
    }
    said[f"{venv.root}/bin/{venv.python}"] = said[f"{venv.root}/bin/python3"]
    told = dict.fromkeys(
        said.get(path, f"/{path} is a {kind} in the base, where the environment needs a folder")
        for path, kind in base.obstacles.items()
    )
    if told:
        advice = "choose another prefix for the environment"
        raise InputError([Problem(message, base.where, advice) for message in told])
