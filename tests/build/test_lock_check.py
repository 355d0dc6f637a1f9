"""`imagist lock --check`: every way in which a lock can be stale, and none in which it is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from build.conftest import Workshop
from build.locking import lock, made, offer, own, read
from fixtures.maker import load_key


@pytest.fixture
def locked(workshop: Workshop) -> Workshop:
    """A workshop with a lock of two packages."""
    offer(workshop, made("app", depends=["lib"]), made("lib"))
    own(workshop, "[app]")
    lock(workshop)
    return workshop


def check(workshop: Workshop, *words: str) -> str:
    """What --check has to say; empty where the lock is good."""
    before = {path.name for path in (workshop.store / "blobs/sha256").glob("*")}
    answer = workshop.run("lock", "image.yaml", "--check", *words)
    assert answer.code == (1 if answer.err else 0), answer
    assert answer.out == ("" if answer.err else "image.lock.json\n")
    assert not answer.err or "help: " in answer.err
    after = {path.name for path in (workshop.store / "blobs/sha256").glob("*")}
    for name in after - before:  # what is known of indexes may come, packages may not
        data = (workshop.store / "blobs/sha256" / name).read_bytes()
        assert not data.startswith(b"\x1f\x8b")
    return answer.err


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.unlink()
    path.write_text(text.replace(old, new))


def test_a_fresh_lock_is_good(locked: Workshop) -> None:
    assert check(locked) == ""
    shutil.rmtree(locked.store)
    assert check(locked) == ""
    answer = locked.run("lock", "image.lock.json", "--check", "--json")
    # Not the digests that it states: without building, nothing vouches for them.
    assert json.loads(answer.out) == {"path": "image.lock.json", "changed": False}


def test_no_lock_is_not_a_good_one(workshop: Workshop) -> None:
    workshop.declare()
    assert "there is no lock image.lock.json" in check(workshop)


def test_a_changed_declaration(locked: Workshop) -> None:
    edit(locked.folder / "image.yaml", "archs:", "cmd: other\narchs:")
    assert "image.yaml has changed since" in check(locked)


def test_a_changed_included_declaration(workshop: Workshop) -> None:
    workshop.write("cmd: one\n", "common.yaml")
    workshop.declare(more="include: common.yaml\n")
    lock(workshop)
    assert check(workshop) == ""
    workshop.write("cmd: two\n", "common.yaml")
    assert "image.yaml or common.yaml has changed" in check(workshop)


@pytest.mark.parametrize("crlf_first", [True, False])
def test_line_ends_that_git_has_changed(workshop: Workshop, crlf_first: bool) -> None:
    path = workshop.folder / workshop.declare()
    unix = path.read_bytes()
    both = [unix.replace(b"\n", b"\r\n"), unix]
    if not crlf_first:
        both.reverse()
    path.write_bytes(both[0])
    lock(workshop)
    path.write_bytes(both[1])
    said = check(workshop)
    assert "the ends of lines in image.yaml" in said
    assert ".gitattributes" in said


def test_a_package_that_moved(locked: Workshop) -> None:
    offer(locked, made("app", depends=["lib"]), made("lib"), made("lib", "2.0-r0"))
    said = check(locked)
    assert "lib 1.0-r0 -> 2.0-r0" in said
    assert "no longer offered" not in said
    assert "app" not in said


def test_a_package_that_is_gone(locked: Workshop) -> None:
    offer(locked, made("app", depends=["lib"]), made("lib", "2.0-r0"))
    said = check(locked)
    assert "lib 1.0-r0 is no longer offered by any repository; now it would be 2.0-r0" in said


def test_a_package_that_is_gone_from_one_platform(workshop: Workshop) -> None:
    offer(workshop, made("app"), made("app", "0.9-r0"))
    own(workshop, "[app]")
    lock(workshop)
    offer(workshop, made("app", "0.9-r0"), arch="aarch64")
    assert "app 1.0-r0 is no longer offered by any repository (aarch64)" in check(workshop)


def test_a_package_that_was_built_again(locked: Workshop) -> None:
    offer(locked, made("app", depends=["lib"]), made("lib", content="new"))
    said = check(locked)
    assert "lib 1.0-r0 is no longer offered by any repository" in said
    assert "another build of this version" in said


def test_packages_that_come_and_go(locked: Workshop) -> None:
    offer(locked, made("app", depends=["other"]), made("lib"), made("other"))
    said = check(locked)
    assert "added other 1.0-r0" in said
    assert "removed lib 1.0-r0" in said
    assert said.count("error: ") == 3  # and app was built again


def test_what_cannot_be_installed_any_more(locked: Workshop) -> None:
    offer(locked, made("lib"))
    answer = locked.run("lock", "image.yaml", "--check")
    assert answer.code == 2
    assert "app" in answer.err


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--platform", "amd64"), "made for aarch64 too"),
        (("--platform", "amd64,arm64,s390x"), "not made for s390x"),
    ],
)
def test_other_platforms(locked: Workshop, flags: tuple[str, ...], expected: str) -> None:
    shutil.copytree(locked.folder / "own" / "x86_64", locked.folder / "own" / "s390x")
    assert expected in check(locked, *flags)


def test_another_key(locked: Workshop) -> None:
    other = load_key("other")
    (locked.folder / other.name).write_bytes(other.public_pem)
    assert f"the key {other.name} is trusted, and not in" in check(locked, "-k", other.name)
    place = locked.folder / "own" / load_key().name
    place.write_bytes(b"# a comment\n" + place.read_bytes())
    assert f"the key {load_key().name} is another one" in check(locked)


def test_a_key_that_is_trusted_no_more(locked: Workshop) -> None:
    other = load_key("other")
    (locked.folder / other.name).write_bytes(other.public_pem)
    assert locked.run("lock", "image.yaml", "-k", other.name).code == 0
    assert f"the key {other.name} of the lock is not trusted" in check(locked)


def test_another_repository(locked: Workshop) -> None:
    said = check(locked, "-r", "extra")
    assert "does not have extra/x86_64/APKINDEX.tar.gz among its repositories" in said
    assert locked.run("lock", "image.yaml", "-r", "extra").code == 0
    assert "which is not asked for" in check(locked)


def test_a_changed_local_file(workshop: Workshop) -> None:
    workshop.write("one", "motd")
    workshop.declare(more="files: [{path: /etc/motd, source: motd}]\n")
    lock(workshop)
    assert check(workshop) == ""
    workshop.write("two", "motd")
    assert "the image for linux/amd64 would be another one: local files" in check(workshop)


def test_other_options(locked: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "options" in check(locked, "--annotation", "a=b")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    assert "SOURCE_DATE_EPOCH" in check(locked)


def test_everything_at_once(locked: Workshop) -> None:
    offer(locked, made("app", depends=["lib"]), made("lib", "2.0-r0"))
    edit(locked.folder / "image.yaml", "archs:", "cmd: other\narchs:")
    said = check(locked, "--platform", "amd64", "-r", "extra")
    for words in ("has changed", "aarch64 too", "extra/", "no longer offered", "Found 4 errors"):
        assert words in said


def strip(document: dict[str, object]) -> None:
    """Leave of a lock what apko writes."""
    del document["images"], document["index"]
    for package in document["contents"]["packages"]:  # type: ignore[index]
        package.pop("layer", None)
        package.pop("tag", None)


def rename(document: dict[str, object]) -> None:
    """As apko names things that are not in the lock's folder."""
    strip(document)
    document["config"]["name"] = "somewhere/image.yaml"  # type: ignore[index]


@pytest.mark.parametrize("change", [strip, rename])
def test_what_apko_does_not_state_is_not_missed(
    workshop: Workshop, change: Callable[[dict[str, object]], None]
) -> None:
    workshop.write(
        "contents:\n  repositories: [repo, '@extra extra']\n"
        "  keyring: [demo-test-only.rsa.pub]\n  packages: [hello, special@extra]\n"
    )
    lock(workshop, "--platform", "amd64,arm64")
    path = workshop.folder / "image.lock.json"
    document = read(path)
    change(document)
    path.write_text(json.dumps(document))
    assert check(workshop, "--platform", "amd64,arm64") == ""


def test_packages_in_another_order_or_from_another_place(locked: Workshop) -> None:
    path = locked.folder / "image.lock.json"
    document = read(path)
    packages = document["contents"]["packages"]
    packages[0], packages[1] = packages[1], packages[0]
    path.write_text(json.dumps(document))
    assert "another order (x86_64)" in check(locked)
    lock(locked)
    edit(path, "own/x86_64/lib-1", "elsewhere/x86_64/lib-1")
    assert "lib would be taken from own/x86_64/lib-1.0-r0.apk" in check(locked)
