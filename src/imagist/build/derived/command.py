"""Whether what a container runs is in its image: told when it is built, not when it is started."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Collection
from typing import Final

from imagist.build.derived.place import is_too_long
from imagist.errors import InputError
from imagist.oci.manifest import DEFAULT_PATH, RunConfig
from imagist.rootfs.content import Contents
from imagist.rootfs.tree import Node, Tree

_SCRIPT: Final = 64 << 10
"""Bytes that a script may have to be looked into; programs are larger."""


def check_command(tree: Tree, contents: Contents, run: RunConfig) -> list[str]:
    """Warnings of a program, or of a script's interpreter, that a container would not find.

    Args:
        tree: the finished image.
        contents: reads its files.
        run: how it is run (image-spec config.md).
    """
    words = (*(run.entrypoint or ()), *(run.cmd or ()))
    if not words or not words[0]:
        return []
    variables = dict(each.partition("=")[::2] for each in run.env or ())
    folders = variables.get("PATH", DEFAULT_PATH).split(":")
    name, volumes = words[0], run.volumes or ()
    node = _find(tree, name, folders, run.working_dir or "/")
    if node is None:
        if _is_below(posixpath.join(run.working_dir or "/", name), volumes):
            return []
        return [f"a container runs `{name}`, which is not in the image"]
    if node.entry.kind != "file":
        return []
    if not node.entry.mode & 0o111:
        return [f"a container runs `{name}`, which is not executable"]
    if not 0 < node.entry.size <= _SCRIPT:
        return []
    data = contents.read([node]).get(node.entry.path, b"")
    for interpreter in _interpreters(data):
        if _find(tree, interpreter, folders, "/") is None and not _is_below(interpreter, volumes):
            return [f"a container runs `{name}`, a script for `{interpreter}`, which is not there"]
    return []


def _find(tree: Tree, name: str, folders: Collection[str], folder: str) -> Node | None:
    """What a runtime would start by a name."""
    if "/" in name:
        places = [posixpath.join(folder, name)]
    else:
        places = [posixpath.join(each, name) for each in folders]
    for place in places:
        with contextlib.suppress(InputError):  # symlinks without end
            node = None if is_too_long(place) else tree.find(place)
            if node is not None:
                return node
    return None


def _interpreters(data: bytes) -> list[str]:
    """What runs a script: of `#!/usr/bin/env python3` both."""
    if not data.startswith(b"#!"):
        return []
    words = data[2:].split(b"\n", 1)[0].decode("utf-8", "surrogateescape").split()
    if words and posixpath.basename(words[0]) == "env":
        named = (word for word in words[1:] if not word.startswith("-") and "=" not in word)
        return [words[0], *[word for word, _ in zip(named, range(1), strict=False)]]
    return words[:1]


def _is_below(path: str, folders: Collection[str]) -> bool:
    """Whether something may be in a volume, which is filled elsewhere."""
    return any(path.startswith(f"{folder.rstrip('/')}/") for folder in folders)
