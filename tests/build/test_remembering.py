"""Nothing is done twice, and nothing that is remembered is ever wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from build.conftest import Workshop
from fixtures.demo import demo_packages
from fixtures.maker import Apk, load_key, write_repository
from fixtures.webserver import serve
from imagist.build import construct, plan
from imagist.build.sources import SourceItem, read_source

Change = Callable[[Path], None]

FULL = """\
include: base.yaml
contents:
  repositories: [repo]
  keyring: [demo-test-only.rsa.pub]
files:
  - {path: /opt/tool, source: tool}
  - {path: /opt/folder, source: folder}
archs: [x86_64]
"""


class Counter:
    """Counts the calls of a function that goes on doing what it did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> None:
        self.calls = 0
        self._function = getattr(module, name)
        monkeypatch.setattr(module, name, self)

    def __call__(self, *arguments: object, **more: object) -> object:
        self.calls += 1
        return self._function(*arguments, **more)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Counts the builds that were not answered from memory."""
    return Counter(monkeypatch, plan, "plan_images")


@pytest.fixture
def constructions(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Counts the images that were constructed."""
    return Counter(monkeypatch, construct, "_construct_image")


@pytest.fixture
def full(workshop: Workshop) -> Workshop:
    """A workshop with a declaration that reads every kind of local input."""
    workshop.write(FULL)
    workshop.write("contents: {packages: [hello]}\n", "base.yaml")
    folder = workshop.folder / "folder"
    folder.mkdir()
    (folder / "a").write_text("a")
    (folder / "link").symlink_to("a")
    (workshop.folder / "tool").write_text("#!/bin/sh\n")
    return workshop


def test_a_second_build_reads_no_package_and_no_declaration(
    full: Workshop, builds: Counter
) -> None:
    first = full.build("image.yaml", "-o", "one")
    for package in (full.folder / "repo" / "x86_64").glob("*.apk"):
        package.unlink()
    assert full.build("image.yaml", "-o", "two", "-t", "x:1", "--jobs", "1", "-q") == first
    assert builds.calls == 1
    assert full.run("validate", "two")[1].strip() == first


def _append(name: str, text: str) -> Change:
    def change(folder: Path) -> None:
        place = folder / name
        data = place.read_text() + text
        place.unlink()
        place.write_text(data)

    return change


def _link_elsewhere(folder: Path) -> None:
    (folder / "folder" / "link").unlink()
    (folder / "folder" / "link").symlink_to("b")


def _new_version(folder: Path) -> None:
    packages = [each for each in demo_packages("x86_64") if "corpus" not in each.name]
    hello = next(each for each in packages if each.name == "hello")
    newer = Apk("hello", "9.0-r0", hello.items, depends=hello.depends)
    shutil.rmtree(folder / "repo")
    write_repository(folder / "repo", {"x86_64": [*packages, newer]})


CHANGES: dict[str, Change] = {
    "the declaration": _append("image.yaml", "environment: {A: b}\n"),
    "what it includes": _append("base.yaml", "cmd: run\n"),
    "a local file": _append("tool", "exit 1\n"),
    "the run bit of a local file": lambda folder: (folder / "tool").chmod(0o755),
    "a file in a local folder": _append("folder/a", "more"),
    "a new file in a local folder": lambda folder: (folder / "folder" / "b").touch(),
    "a file that left a local folder": lambda folder: (folder / "folder" / "a").unlink(),
    "a link in a local folder": _link_elsewhere,
    "an index": _new_version,
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen(full: Workshop, builds: Counter, what: str) -> None:
    before = full.build("image.yaml")
    CHANGES[what](full.folder)
    after = full.build("image.yaml")
    assert builds.calls == 2
    assert after != before
    shutil.rmtree(full.store)
    assert full.build("image.yaml") == after


def test_a_key_that_changed_is_asked_again(full: Workshop, builds: Counter) -> None:
    full.build("image.yaml")
    (full.folder / "demo-test-only.rsa.pub").unlink()
    (full.folder / "demo-test-only.rsa.pub").write_bytes(load_key("other").public_pem)
    code, _, err = full.run("build", "image.yaml")
    assert code == 3
    assert "does not match its signature" in err
    assert builds.calls == 2


def test_an_include_that_appears_nearer_is_seen(full: Workshop) -> None:
    (full.folder / "inc").mkdir()
    shutil.move(full.folder / "base.yaml", full.folder / "inc" / "base.yaml")
    before = full.build("image.yaml", "--include-paths", "inc")
    full.write("contents: {packages: [hello]}\ncmd: other\n", "base.yaml")
    assert full.build("image.yaml", "--include-paths", "inc") != before


@pytest.mark.parametrize(
    "words",
    [("--annotation", "a=b"), ("--platform", "amd64"), ("--package-append", "greeter-modern")],
)
def test_another_command_line_is_another_build(full: Workshop, words: tuple[str, ...]) -> None:
    assert full.build("image.yaml", *words) != full.build("image.yaml")


def test_the_epoch_counts(full: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = full.build("image.yaml")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "77")
    assert full.build("image.yaml") != before


def test_a_layer_that_is_gone_is_made_again(full: Workshop, builds: Counter) -> None:
    digest = full.build("image.yaml")
    for blob in (full.store / "blobs" / "sha256").iterdir():
        if blob.stat().st_size < 2000:
            blob.unlink()
    assert full.build("image.yaml") == digest
    assert builds.calls == 2
    assert full.run("validate", digest)[0] == 0


def test_a_damaged_manifest_is_made_again(full: Workshop, builds: Counter) -> None:
    digest = full.build("image.yaml")
    blobs = full.store / "blobs" / "sha256"
    for blob in blobs.iterdir():
        data = blob.read_bytes()
        if data.startswith(b'{"schemaVersion"'):
            blob.unlink()
            blob.write_bytes(data.replace(b"sha256:", b"sha256;", 1))
    assert full.build("image.yaml", "-o", "layout") == digest
    assert builds.calls == 2
    assert full.run("validate", "layout")[0] == 0
    assert full.run("cache", "verify")[0] == 0


def test_what_is_noted_is_what_was_read(full: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes for the moment in which it is read is not taken for what it was."""
    tool = full.folder / "tool"
    before = tool.read_bytes()

    def meddle(source: Path) -> list[SourceItem]:
        tool.write_bytes(b"other")
        try:
            return read_source(source)
        finally:
            tool.write_bytes(before)

    monkeypatch.setattr("imagist.build.local_files.read_source", meddle)
    wrong = full.build("image.yaml")
    monkeypatch.undo()
    monkeypatch.chdir(full.folder)
    assert full.build("image.yaml") != wrong


def test_warnings_are_given_again(workshop: Workshop, builds: Counter) -> None:
    workshop.declare(packages="[]")
    first = workshop.run("build", "image.yaml")[2]
    assert "asks for no packages" in first
    assert workshop.run("build", "image.yaml")[2] == first
    assert builds.calls == 1


def test_an_image_is_known_in_another_folder_too(
    full: Workshop, constructions: Counter, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    digest = full.build("image.yaml")
    other = tmp_path_factory.mktemp("other") / "there"
    shutil.copytree(
        full.folder, other, symlinks=True, ignore=shutil.ignore_patterns("*.apk", "store")
    )
    monkeypatch.chdir(other)
    assert full.build("image.yaml") == digest
    assert constructions.calls == 1


def test_another_environment_needs_no_solver(
    full: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.build("image.yaml")
    _append("image.yaml", "environment: {A: b}\n")(full.folder)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("solved twice")

    monkeypatch.setattr("imagist.packages.apk.solver.solve.solve", refuse)
    full.build("image.yaml")


def test_a_server_is_asked_whether_anything_changed(workshop: Workshop, builds: Counter) -> None:
    with serve() as web:
        url = web.serve_folder(workshop.folder / "repo", "/repo")
        workshop.write(
            f"contents:\n  repositories: [{url}]\n  keyring: [demo-test-only.rsa.pub]\n"
            "  packages: [hello]\narchs: [x86_64]\n"
        )
        first = workshop.build("image.yaml")
        assert workshop.build("image.yaml") == first
        assert workshop.build("image.yaml", "--offline") == first
        assert builds.calls == 1
        _new_version(workshop.folder)
        web.serve_folder(workshop.folder / "repo", "/repo")
        assert workshop.build("image.yaml", "--offline") == first
        assert workshop.build("image.yaml") != first
        assert builds.calls == 2


def test_a_source_that_is_a_pipe_is_no_reason_to_wait(full: Workshop) -> None:
    digest = full.build("image.yaml")
    (full.folder / "tool").unlink()
    os.mkfifo(full.folder / "tool")
    assert full.run("build", "image.yaml")[0] == 3
    (full.folder / "tool").unlink()
    (full.folder / "tool").write_text("#!/bin/sh\n")
    assert full.build("image.yaml") == digest
