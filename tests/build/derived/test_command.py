"""What a container runs and does not find."""

from __future__ import annotations

import pytest

from imagist.build.derived.command import check_command
from imagist.oci.manifest import RunConfig
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree

from .conftest import MemoryContents

SCRIPTS = {
    "usr/bin/ctl": b"#!/bin/sh -e\n",
    "usr/bin/app": b"#!/usr/bin/env -S python3 -I\n",
    "usr/bin/blank": b"#!\n",
}
ENTRIES = [
    *(Entry(path, "file", 0o755, size=len(data), data=data) for path, data in SCRIPTS.items()),
    Entry("usr/bin/env", "file", 0o755),
    Entry("usr/bin/data", "file", 0o644, size=1, data=b"x"),
    Entry("usr/bin/tool", "symlink", 0o777, link="env"),
    Entry("usr/bin/round", "symlink", 0o777, link="round"),
    Entry("bin", "symlink", 0o777, link="usr/bin"),
]


def told(*words: str, more: tuple[Entry, ...] = (), **run: object) -> str:
    tree = Tree()
    for entry in (*ENTRIES, *more):
        tree.add(Node(entry))
    config = RunConfig(entrypoint=words, **run)  # type: ignore[arg-type]
    return "; ".join(check_command(tree, MemoryContents(), config))


@pytest.mark.parametrize("name", ["/usr/bin/env", "/bin/tool", "env", "usr/bin/env", "blank"])
def test_what_is_there_is_no_matter(name: str) -> None:
    assert told(name) == ""


def test_nothing_is_asked_of_an_image_that_runs_nothing() -> None:
    assert told() == ""
    assert told("") == ""


def test_a_program_that_is_not_there() -> None:
    for name in ("/usr/bin/nothing", "nothing", "/usr/bin/round", "/" + "x" * 5000):
        assert told(name) == f"a container runs `{name}`, which is not in the image"
    assert "which is not in the image" in told("env", env=("PATH=/opt/bin",))
    assert told("bin/env", working_dir="/usr") == ""
    assert "which is not executable" in told("data")
    assert told("/data/run", volumes={"/data": {}}) == ""


def test_a_script_whose_interpreter_is_not_there() -> None:
    assert told("ctl") == "a container runs `ctl`, a script for `/bin/sh`, which is not there"
    assert told("app").endswith("a script for `python3`, which is not there")
    assert told("ctl", more=(Entry("usr/bin/sh", "file", 0o755),)) == ""
    assert told("app", more=(Entry("usr/bin/python3", "file", 0o755),)) == ""


def test_a_command_without_an_entrypoint_counts() -> None:
    config = RunConfig(cmd=("/nothing",))
    assert len(check_command(Tree(), MemoryContents(), config)) == 1
