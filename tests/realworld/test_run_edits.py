"""Edited images run: what was appended from scratch, configured, rebased and flattened."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.engines import MODEST, PROCESSES
from realworld.test_run import make_modest
from realworld.tools import imagist, run
from support import find_tool, needs

Tool = Callable[..., str]


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """An archive of busybox and a file, appended to nothing, and what was made of that."""
    busybox = find_tool("busybox")
    assert busybox

    def edit(*words: object) -> None:
        imagist(*words, cwd=tmp_path, cache=tmp_path / "store")

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "greeting").write_text("it runs\n")
    (tmp_path / "data" / "link").symlink_to("greeting")
    edit("append", "-f", f"{busybox}:/bin/busybox", "--platform", "amd64", "-o", "base.tar")
    edit("append", "-f", f"{busybox}:/usr/bin/busybox", "--platform", "amd64", "-o", "other.tar")
    edit("append", "base.tar", "-f", "data:/srv", "-f", "data:/tmp/x", "-o", "app.tar")
    edit("rebase", "app.tar", "--old_base", "base.tar", "--new_base", "other.tar", "-o", "re.tar")
    edit(
        *("mutate", "re.tar", "--entrypoint", "/usr/bin/busybox,cat", "--cmd", "link"),
        *("-w", "/srv", "-u", "65532:65532", "-o", "set.tar"),
    )
    edit("flatten", "set.tar", "-o", "flat.tar", "-t", "imagist.test/edited:1")
    edit("flatten", "set.tar", "-o", "flat", "-t", "1")
    return tmp_path / "flat.tar"


@needs("busybox", "podman", "runc")
def test_podman_runs_an_edited_image(podman: Tool, edited: Path) -> None:
    assert "imagist.test/edited:1" in podman("load", "-i", edited)
    assert podman("run", *MODEST, *PROCESSES, "imagist.test/edited:1") == "it runs"
    words = ("--entrypoint", "/usr/bin/busybox", "imagist.test/edited:1", "ls", "-ln", "/srv")
    assert "65532" not in podman("run", *MODEST, *PROCESSES, *words)


@needs("busybox", "umoci", "runc")
def test_runc_runs_what_umoci_unpacks_of_an_edited_image(
    state: Path,
    edited: Path,
) -> None:
    bundle = state / "edited"
    run("umoci", "unpack", "--image", f"{edited.with_suffix('')}:1", bundle)
    config = json.loads((bundle / "config.json").read_text())
    assert config["process"]["user"] == {"uid": 65532, "gid": 65532}
    make_modest(bundle / "config.json")
    name = f"imagist-edited-{os.getpid()}"
    said = run("runc", "--root", state / "runc", "run", "--bundle", bundle, name)
    assert said == "it runs"
