"""Publishing W156 to a registry from a lock, on a machine that has nothing else.

Every contestant has a lock and an empty cache, as a machine of a build farm has. `first`: the
registry has nothing. `again`: the registry has the image. `changed`: the registry has the image
before one package got a new version. Each has a registry of its own, distribution's, on this
machine; packages lie in a folder.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from benchmarks.builders import Builder, find_apko, find_imagist
from benchmarks.builds import Yard
from benchmarks.measuring import Aim, Contestant, Heat, Row, Unavailable
from fixtures.registries import running
from support import find_tool

Case = Literal["first", "again", "changed"]
_AIMS: Mapping[Case, Aim] = {
    "first": Aim(ratio=2),
    "again": Aim(ratio=20),
    "changed": Aim(ratio=5),
}
_TITLES: Mapping[Case, str] = {
    "first": "W156 published from a lock, nothing cached, registry empty",
    "again": "W156 published from a lock, nothing cached, registry has it",
    "changed": "W156 published from a lock, nothing cached, git changed",
}


class Publishing(Heat):
    """One case, imagist against apko."""

    def __init__(self, case: Case) -> None:
        """`case`: what the registry has."""
        self._case: Case = case
        self._stack = contextlib.ExitStack()
        self.rows = (Row(_TITLES[case], "imagist", "apko", _AIMS[case]),)

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Start the registry; lock, and publish once where the registry shall have it."""
        if find_tool("registry") is None:
            raise Unavailable("distribution's registry is absent: .ci/install builds it")
        self._yard = Yard("W156")
        self._builders = self._yard.declare(names)
        for builder in self._builders.values():
            builder.lock()
        contestants = {name: self._contestant(each) for name, each in self._builders.items()}
        if self._case != "first":
            for contestant in contestants.values():
                contestant.run()
        return contestants

    def before_round(self) -> None:
        """Release, and lock anew."""
        if self._case == "changed":
            self._yard.repository.release("git")
            for builder in self._builders.values():
                builder.lock()

    def tear_down(self) -> None:
        """Stop the registry."""
        self._stack.close()

    def _contestant(self, builder: Builder) -> Contestant:
        data = builder.folder / "registry"
        shutil.rmtree(data, ignore_errors=True)
        name = self._stack.enter_context(running("registry", data)) + "/duel:1"
        if builder.tool == "apko":
            words = ["publish", "image.yaml", name, "--lockfile", "image.lock.json"]
            words += ["--sbom=false", "--vcs=false", "--log-level", "error"]
            command = [find_apko(), *words, "--cache-dir", str(builder.cache)]
        else:
            words = ["build", "image.lock.json", "-t", name, "--quiet"]
            command = [find_imagist(), *words, "--cache", str(builder.cache)]
        return Contestant(
            command,
            builder.folder,
            before=lambda: self._forget(builder.cache, data / "data" / "docker"),
            answer=lambda _: has_layers(data / "data/docker/registry/v2"),
        )

    def _forget(self, cache: Path, registry: Path) -> None:
        shutil.rmtree(cache, ignore_errors=True)
        if self._case == "first":
            shutil.rmtree(registry, ignore_errors=True)


def list_heats() -> Iterator[Heat]:
    """The cases."""
    for case in _TITLES:
        yield Publishing(case)


def has_layers(registry: Path) -> bool:
    """Whether a registry's tag names an image with layers."""
    link = registry / "repositories/duel/_manifests/tags/1/current/link"
    document = _read_blob(registry, link.read_text())
    while "manifests" in document:
        document = _read_blob(registry, document["manifests"][0]["digest"])
    return bool(document["layers"])


def _read_blob(registry: Path, digest: str) -> dict[str, list[dict[str, str]]]:
    encoded = digest.removeprefix("sha256:")
    data = registry / "blobs/sha256" / encoded[:2] / encoded / "data"
    document: dict[str, list[dict[str, str]]] = json.loads(data.read_bytes())
    return document
