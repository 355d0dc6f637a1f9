"""The Python of any image, told from its layers without running it; remembered by its digest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from imagist.oci import derive
from imagist.oci.image import Image
from imagist.oci.platform import Platform
from imagist.packages.wheel.target import PREFIX, Target, Wishes
from imagist.store.memo import Memo, memo_key

if TYPE_CHECKING:
    from imagist.packages.wheel.detect import Base

STEP: Final = "python-target"
FORMAT: Final = "python-target/5"
_LIBRARY: Final = r"\.so(\.|$)"
_FINDERS: Final = ("sbin/ldconfig", "usr/sbin/ldconfig", "usr/bin/gcc", "usr/bin/ld")
"""Programs that `ctypes.util.find_library` asks; any one will do."""


class PythonBase(msgspec.Struct, frozen=True):
    """What an image has for Python packages."""

    target: Target
    libraries: frozenset[str]
    """File names of its shared libraries."""
    obstacles: Mapping[str, str] = {}
    """What of it is in the way of an environment (`find_obstacles`)."""
    finds_libraries: bool = True
    """Whether `ctypes.util.find_library` finds those that are there."""


class _Remembered(msgspec.Struct, frozen=True, array_like=True):
    target: Target
    libraries: tuple[str, ...]
    obstacles: dict[str, str]
    finds_libraries: bool


def look_for_python(
    image: Image,
    name: str,
    platform: Platform,
    *,
    wishes: Wishes = Wishes(),  # noqa: B008 - a value
    prefix: str = PREFIX,
    memo: Memo | None = None,
    jobs: int = 1,
) -> PythonBase:
    """What an image has as a base; its layers are read, the first time.

    Args:
        image: for one platform.
        name: what messages call it.
        platform: its platform.
        wishes: what the declaration says of its Python.
        prefix: of the virtual environment to be.
        memo: remembers the answer by the image's digest.
        jobs: layers that are read at a time.

    Raises:
        RequestError: it has no Python, or not the one that is wished.
        InputError: it is damaged.
    """
    question = memo_key(FORMAT, derive.digest(image), str(platform), _key(wishes), prefix)
    known = memo.get(STEP, question) if memo else None
    if known is not None:
        recalled = msgspec.msgpack.decode(known, type=_Remembered)
        libraries = frozenset(recalled.libraries)
        return PythonBase(recalled.target, libraries, recalled.obstacles, recalled.finds_libraries)
    from imagist.packages.wheel.detect import detect_target  # noqa: PLC0415 - often remembered
    from imagist.packages.wheel.venv import find_obstacles, venv_of  # noqa: PLC0415 - as above

    base = view_base(image, name, platform, jobs=jobs)
    target = detect_target(base, wishes, prefix)
    names = (node.entry.path.rpartition("/")[2] for node in base.tree.nodes())
    found = tuple(sorted({name for name in names if re.search(_LIBRARY, name)}))
    obstacles = find_obstacles(venv_of(target), base.tree)
    # musl's Pythons look into folders themselves.
    finds = target.libc != "glibc" or any(base.tree.find(path) for path in _FINDERS)
    if memo is not None:
        answer = _Remembered(target, found, obstacles, finds)
        memo.put(STEP, question, msgspec.msgpack.encode(answer))
    return PythonBase(target, frozenset(found), obstacles, finds)


def _key(wishes: Wishes) -> tuple[str, ...]:
    return wishes.python, wishes.libc, wishes.interpreter


def view_base(image: Image, name: str, platform: Platform, *, jobs: int = 1) -> Base:
    """What can be seen of an image; its layers are read, the first time and again for contents.

    Raises:
        InputError: it is damaged.
    """
    from imagist.inspection.contents import read_nodes  # noqa: PLC0415 - often remembered
    from imagist.inspection.layers import list_layers  # noqa: PLC0415
    from imagist.packages.wheel.detect import Base  # noqa: PLC0415
    from imagist.rootfs.flatten import flatten  # noqa: PLC0415
    from imagist.rootfs.tree import Node  # noqa: PLC0415

    listings = list_layers(image.layers, jobs=jobs)
    tree = flatten(
        (Node(entry, blob=layer.digest) for entry in listings[layer.digest].entries)
        for layer in image.layers
    )
    layers = {layer.digest: layer for layer in image.layers}

    def read(paths: Sequence[str]) -> Mapping[str, bytes]:
        found = {path: tree.find_file(path) for path in paths}
        return dict(read_nodes(layers, {path: node for path, node in found.items() if node}))

    return Base(name, platform, tree, _environment(image), read)


def _environment(image: Image) -> dict[str, str]:
    config = derive.config(image).config
    pairs = (line.partition("=") for line in (config.env if config else None) or ())
    return {key: value for key, _, value in pairs}
