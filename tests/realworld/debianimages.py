"""The examples of Debian packages, built of the archive that this machine's own apt uses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from imagist.packages.deb.machine import Machine
from realworld.tools import imagist
from support import ROOT

EXAMPLES = ROOT / "examples"
VARIANTS = sorted(path.stem for path in (EXAMPLES / "distroless").glob("*.yaml"))


class DebianImages:
    """Images by the name of their declaration, each built once, with one store for all."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.folder = folder
        self._store = store
        self._built: dict[tuple[str, str], Path] = {}

    def run(self, *words: object) -> str:
        """Run imagist with the store."""
        return imagist(*words, cache=self._store)

    def build(self, declaration: Path | str, platform: str = "linux/amd64") -> Path:
        """The archive of one platform's image, `imagist.test/STEM` by name; all where empty."""
        path = EXAMPLES / declaration
        chosen = ("--platform", platform) if platform else ()
        output = self._built.get((str(path), platform))
        if output is None:
            output = self.folder / f"{path.stem}-{platform.rpartition('/')[2]}.tar"
            self.run("build", path, "-o", output, "-t", name_of(path), *chosen)
            self._built[str(path), platform] = output
        return output

    def packages(self, declaration: Path | str) -> dict[str, str]:
        """Version by name of what is chosen for amd64."""
        shown = self.run(
            "show", "packages", EXAMPLES / declaration, "--platform", "linux/amd64", "--json"
        )
        return {each["name"]: each["version"] for each in json.loads(shown)}


def name_of(declaration: Path | str) -> str:
    """What the image of a declaration is called."""
    return f"imagist.test/{Path(declaration).stem}:1"


def open_debian(tmp_path_factory: pytest.TempPathFactory) -> DebianImages:
    """Images of Debian's archive; the test is skipped unless this machine's apt has one that can be reached."""
    pytest.importorskip("pysequoia")
    machine = Machine()
    if not machine.is_debian or not machine.sources():
        pytest.skip("this machine's apt has no Debian archive")
    base = tmp_path_factory.getbasetemp()
    # Processes that share the tests share what was fetched.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    images = DebianImages(tmp_path_factory.mktemp("debian"), shared / "debian-store")
    try:
        images.packages("distroless/static.yaml")
    except AssertionError as failure:
        if "cannot be reached" in str(failure):
            pytest.skip(f"the archive cannot be reached: {str(failure)[-80:]}")
        raise
    return images
