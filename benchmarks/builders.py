"""imagist and apko as builders of the same image: commands, folders, and what they built."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from isal import igzip

from benchmarks.measuring import Contestant, Unavailable
from realworld.flat import read_image
from realworld.tools import measure
from support import find_tool

Output = Literal["archive", "layout"]
_DATABASES = {"usr/lib/apk/db/installed", "lib/apk/db/installed"}
_ORIGIN = "layering: {strategy: origin, budget: 10}\n"
"""apko's layers by origin, as nearly all published declarations ask for them."""


def find_apko() -> str:
    """apko's path."""
    found = find_tool("apko")
    if found is None:
        raise Unavailable("apko is absent: .ci/install builds it (set IMAGIST_TEST_TOOLS)")
    return found


def find_imagist() -> str:
    """The console script that a user has: of an environment without what developers add.

    `make bench` makes one; else it is that of this environment.
    """
    script = Path(os.environ.get("LEAN_IMAGIST") or Path(sys.executable).with_name("imagist"))
    if not script.exists():
        raise Unavailable(f"there is no {script}")
    return str(script.absolute())


@dataclass(frozen=True)
class Builder:
    """A tool with a way of building; everything of it lies in its folder."""

    tool: Literal["imagist", "apko"]
    folder: Path
    layering: str = ""
    """More YAML; nothing is the tool's own default."""
    output: Output = "archive"

    @property
    def image(self) -> Path:
        """Where the image goes."""
        return self.folder / ("image.tar" if self.output == "archive" else "image")

    @property
    def cache(self) -> Path:
        """imagist's store, apko's cache."""
        return self.folder / "cache"

    def declare(self, declaration: str) -> None:
        """Write the declaration that all later runs build."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "image.yaml").write_text(declaration + self.layering)

    def contestant(self, *, cold: bool = False, locked: bool = False) -> Contestant:
        """The building, with an empty cache or with the one that is there."""
        return Contestant(
            self._command(locked=locked),
            self.folder,
            before=self._before_cold if cold else self._clear_output,
            answer=lambda _: installed_packages(self.image),
        )

    def lock(self) -> None:
        """Write `image.lock.json` from the declaration."""
        if self.tool == "apko":
            more = ["--output", "image.lock.json", "--arch", "x86_64", "--log-level", "error"]
            command = [find_apko(), "lock", "image.yaml", *more, "--cache-dir", str(self.cache)]
        else:
            command = [find_imagist(), "lock", "image.yaml", "-o", "image.lock.json"]
            command += ["--cache", str(self.cache)]
        measure(command, self.folder)

    def _command(self, *, locked: bool) -> list[str]:
        cache = str(self.cache)
        if self.tool == "apko":
            command = [find_apko(), "build", "image.yaml", "duel:1", self.image.name]
            command += [
                "--sbom=false",
                "--vcs=false",
                "--log-level",
                "error",
                "--cache-dir",
                cache,
            ]
            return [*command, *(["--lockfile", "image.lock.json"] if locked else [])]
        command = [find_imagist(), "build", "image.yaml", "-t", "duel:1", "-o", self.image.name]
        command += ["--quiet", "--cache", cache]
        return [*command, *(["--lock", "image.lock.json"] if locked else [])]

    def _before_cold(self) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)
        self._clear_output()

    def _clear_output(self) -> None:
        if self.output == "archive":
            self.image.unlink(missing_ok=True)
            return
        shutil.rmtree(self.image, ignore_errors=True)
        self.image.mkdir()  # apko writes a layout only into a folder that is there


def imagist_builders(folder: Path) -> dict[str, Builder]:
    """The ways in which imagist builds, by the contestant's name."""
    return {
        "imagist": Builder("imagist", folder / "imagist"),
        "imagist single": Builder(
            "imagist", folder / "imagist-single", "layering: {strategy: single}\n"
        ),
        "imagist layout": Builder("imagist", folder / "imagist-layout", output="layout"),
    }


def apko_builders(folder: Path) -> dict[str, Builder]:
    """apko's ways; its own default is a single layer."""
    return {
        "apko": Builder("apko", folder / "apko"),
        "apko by origin": Builder("apko", folder / "apko-origin", _ORIGIN),
        "apko layout": Builder("apko", folder / "apko-layout", output="layout"),
    }


def installed_packages(image: Path) -> frozenset[str]:
    """Names and versions in an image's database of installed packages."""
    for layer in read_layers(image):
        text = _find_database(layer)
        if text:
            return frozenset(_parse_database(text))
    raise AssertionError(f"{image} has no database of installed packages")


def read_layers(image: Path) -> Iterator[IO[bytes]]:
    """The layers of a layout or an archive, top first."""
    return _read_layout(image) if image.is_dir() else _read_archive(image)


def _read_layout(layout: Path) -> Iterator[IO[bytes]]:
    """The layers, top first."""
    image = read_image(layout)
    for layer in reversed(image.layers):
        with image.blob(layer["digest"]).open("rb") as stream:
            yield stream


def _read_archive(archive: Path) -> Iterator[IO[bytes]]:
    """The layers of a `docker load` archive, top first."""
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        for name in reversed(json.load(manifest)[0]["Layers"]):
            stream = tar.extractfile(name)
            assert stream is not None
            yield stream


def _find_database(layer: IO[bytes]) -> str:
    with (
        igzip.open(layer) as plain,  # type: ignore[no-untyped-call]
        tarfile.open(fileobj=plain, mode="r|", bufsize=1 << 20) as tar,
    ):
        for entry in tar:
            if entry.name.removeprefix("./") in _DATABASES and entry.isreg():
                stream = tar.extractfile(entry)
                assert stream is not None
                return stream.read().decode()
    return ""


def _parse_database(text: str) -> Iterator[str]:
    for record in text.split("\n\n"):
        fields = dict(line.split(":", 1) for line in record.splitlines() if line[1:2] == ":")
        if "P" in fields:
            yield f"{fields['P']}={fields['V']}"
