"""What tests of edits work with: a folder, files in it, and images written and read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from build.commandline import Answer
from imagist.inspection.view import view_image
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.store.layout import read_layout, write_layout


class Bench(NamedTuple):
    """A folder that is the current one, and the command line with a store in it."""

    folder: Path
    run: Callable[..., Answer]

    def edit(self, *words: str | Path) -> Image | Index:
        """Run an edit, which must succeed, into a layout, and read that."""
        output = self.folder / f"edited-{len(list(self.folder.iterdir()))}"
        code, out, err = self.run(*words, "-o", output)
        assert code == 0, err
        thing = read_layout(output)
        assert out == f"{derive.digest(thing)}\n"
        return thing

    def fails(self, *words: str | Path) -> str:
        """Run an edit, which must fail and leave nothing, and give what it says."""
        code, out, err = self.run(*words, "-o", "nothing")
        assert (code in {2, 3}, out) == (True, ""), err
        assert err.startswith(("error: ", "warning: "))
        assert not Path("nothing").exists()
        return err

    def write(self, thing: Image | Index, name: str = "image") -> str:
        """Write an image as a layout."""
        write_layout(thing, self.folder / name)
        return name

    def file(self, name: str, data: bytes | str = b"", *, mode: int = 0o644) -> Path:
        """Write a file, and the folders above it."""
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.encode() if isinstance(data, str) else data)
        place.chmod(mode)
        return place


def images(thing: Image | Index) -> list[Image]:
    """The images of an index, or the one image."""
    return [i for _, i in derive.images(thing)] if isinstance(thing, Index) else [thing]


def config(image: Image) -> Any:
    """The configuration as plain values."""
    return json.loads(image.raw_config)


def manifest(thing: Image | Index) -> Any:
    """The manifest as plain values."""
    return json.loads(thing.raw_manifest)


def listing(image: Image) -> dict[str, str]:
    """What a runtime sees: path to kind, mode, owner, time, and where a link leads."""
    return {
        node.entry.path: " ".join(
            [
                node.entry.kind,
                f"{node.entry.mode:o}",
                f"{node.entry.uid}:{node.entry.gid}",
                str(node.entry.mtime),
                node.entry.link or str(node.entry.size),
            ]
        )
        for node in view_image(image).tree
    }
