"""Moving images to and from a registry, distribution's, beside crane and skopeo."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import WORK
from benchmarks.builders import find_imagist
from benchmarks.measuring import Aim, Contestant, Heat, Row, Unavailable
from fixtures.registries import running
from imagist.oci.derive import MemoryImage
from imagist.oci.manifest import History
from imagist.oci.mutate import append_layers, set_config
from imagist.oci.random import random_image, random_layer
from imagist.store.layout import write_layout
from support import find_tool

_SIZE = 100_000_000
"""Bytes of an image that is moved alone."""
_MANY = 200
_SHARED = 5
_LAYER = 2_000_000
_OWN = 50_000
"""Bytes of a layer that all of many share, and of the one that each has for itself."""


def list_heats(*, quick: bool) -> Iterator[Heat]:
    """Pushes and pulls of one image, and pushes of many that share layers."""
    for layers in (1, 30):
        yield Push(layers)
        yield Pull(layers)
    many = 20 if quick else _MANY
    yield PushMany(many, again=False)
    yield PushMany(many, again=True)


class _Moving(Heat):
    """Who moves what; each has a registry of its own, so that all can be compared at the end."""

    def __init__(self, case: str, *, aim: float = 1.0) -> None:
        """`aim`: how often crane's time must hold ours."""
        self.rows = (
            Row(case, "imagist", "crane", Aim(ratio=aim)),
            Row(case, "imagist", "skopeo", Aim(ratio=1.0)),
        )
        self.folder = WORK / "moving"
        self._closing = contextlib.ExitStack()

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Make what is moved, and start the registries."""
        for tool in ("registry", "crane", *(name for name in names if name != "imagist")):
            _tool(tool)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.prepare()
        return {name: self._enter(name) for name in names}

    def tear_down(self) -> None:
        """Stop the registries."""
        self._closing.close()

    def prepare(self) -> None:
        """Make what is moved."""
        raise NotImplementedError

    def enter(self, name: str, folder: Path, host: str) -> Contestant:
        """The contestant of a name, with its folder and its registry."""
        raise NotImplementedError

    def _enter(self, name: str) -> Contestant:
        folder = self.folder / name
        host = self._closing.enter_context(running("registry", folder / "registry"))
        return self.enter(name, folder, host)


class Push(_Moving):
    """One image from a layout into an empty registry."""

    def __init__(self, layers: int) -> None:
        """`layers`: how many the image has."""
        super().__init__(f"push 100 MB, {_count(layers)}")
        self._layers = layers

    def prepare(self) -> None:
        """Make a layout."""
        write_image(self.folder / "image", self._layers)

    def enter(self, name: str, folder: Path, host: str) -> Contestant:
        """Push into a registry that forgets everything before."""
        reference, image = f"{host}/app:1", str(self.folder / "image")
        commands = {
            "imagist": lambda: [find_imagist(), "push", "-q", image, reference],
            "crane": lambda: [_tool("crane"), "push", image, reference],
            "skopeo": lambda: _skopeo("--dest", f"oci:{image}:app", f"docker://{reference}"),
        }
        return Contestant(
            commands[name](),
            folder,
            before=lambda: empty_registry(folder / "registry"),
            answer=lambda _: _layers(reference),
        )


class Pull(_Moving):
    """One image out of the registry into a layout."""

    def __init__(self, layers: int) -> None:
        """`layers`: how many the image has."""
        super().__init__(f"pull 100 MB, {_count(layers)}")
        self._layers = layers

    def prepare(self) -> None:
        """Make a layout."""
        write_image(self.folder / "image", self._layers)

    def enter(self, name: str, folder: Path, host: str) -> Contestant:
        """Pull what crane has pushed."""
        target, reference = folder / "pulled", f"{host}/app:1"
        _ask("crane", "push", str(self.folder / "image"), reference)
        cache = ["--cache", str(folder / "cache")]
        commands = {
            "imagist": lambda: [find_imagist(), "pull", reference, "-o", str(target), *cache],
            "crane": lambda: [_tool("crane"), "pull", "--format", "oci", reference, str(target)],
            "skopeo": lambda: _skopeo("--src", f"docker://{reference}", f"oci:{target}:app"),
        }
        return Contestant(
            commands[name](),
            folder,
            before=lambda: shutil.rmtree(target, ignore_errors=True),
            answer=lambda _: {path.name for path in _largest(target / "blobs/sha256")},
        )


class PushMany(_Moving):
    """Many images that share layers: imagist in one process, the others in one for each image."""

    def __init__(self, count: int, *, again: bool) -> None:
        """`again`: whether the registry has them already."""
        case = f"push {count} images that share layers"
        super().__init__(f"{case}, again" if again else case, aim=5.0 if again else 1.0)
        self._count = count
        self._again = again

    def prepare(self) -> None:
        """Make one layout with all images, and one for each."""
        base = random_image(1, layers=_SHARED, size=_LAYER)
        for number in range(self._count):
            image = _derived(base, number)
            write_layout(image, self.folder / "all", names=[f"n{number}"])
            write_layout(image, self.folder / "each" / f"n{number}")

    def enter(self, name: str, folder: Path, host: str) -> Contestant:
        """Push all into one repository, each under a tag."""
        repository, each, whole = f"{host}/app", self.folder / "each", self.folder / "all"
        commands: dict[str, Callable[[], list[str]]] = {
            "imagist": lambda: [find_imagist(), "push", "-q", str(whole), repository, "-a"],
            "crane": lambda: _for_each(
                each, [_tool("crane"), "push", f"{each}/@", f"{repository}:@"]
            ),
            "skopeo": lambda: _for_each(
                each, _skopeo("--dest", f"oci:{whole}:@", f"docker://{repository}:@")
            ),
        }
        contestant = Contestant(
            commands[name](),
            folder,
            before=lambda: None if self._again else empty_registry(folder / "registry"),
            answer=lambda _: [_layers(f"{repository}:n{n}") for n in range(0, self._count, 19)],
        )
        if self._again:
            contestant.run()
        return contestant


def empty_registry(folder: Path) -> None:
    """Let distribution's registry forget everything; it looks at its files for each request."""
    for part in ("blobs", "repositories"):
        shutil.rmtree(folder / "data/docker/registry/v2" / part, ignore_errors=True)


def write_image(folder: Path, layers: int) -> None:
    """A layout with an image of so many layers, 100 MB together."""
    write_layout(random_image(layers, layers=layers, size=_SIZE // layers), folder, names=["app"])


def _derived(base: MemoryImage, number: int) -> MemoryImage:
    """An image on a base, with a layer and a configuration of its own."""
    layer = random_layer(10_000 + number, _OWN)
    image = append_layers(base, [(layer, History(created_by=f"own {number}"))])
    return set_config(image, {"author": f"author {number}"})


def _for_each(folder: Path, command: Sequence[str]) -> list[str]:
    """A command for each of many images, two at a time, as the machine has processors."""
    return ["sh", "-c", f"ls {folder} | xargs -P 2 -I@ {' '.join(command)} >/dev/null 2>&1"]


def _skopeo(side: str, source: str, target: str) -> list[str]:
    return [_tool("skopeo"), "copy", "-q", f"{side}-tls-verify=false", source, target]


def _layers(reference: str) -> list[str]:
    """What a registry has of an image: skopeo writes manifests of its own, but no layers."""
    layers = json.loads(_ask("crane", "manifest", reference))["layers"]
    return [layer["digest"] for layer in layers]


def _largest(folder: Path) -> list[Path]:
    """The layers of a layout."""
    return [path for path in folder.iterdir() if path.stat().st_size > _OWN]


def _ask(tool: str, *words: str) -> str:
    done = subprocess.run([_tool(tool), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _tool(name: str) -> str:
    found = find_tool(name)
    if found is None:
        raise Unavailable(f"{name} is absent: .ci/install has it")
    return found


def _count(layers: int) -> str:
    return "1 layer" if layers == 1 else f"{layers} layers"
