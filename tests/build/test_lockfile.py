"""Locks that are damaged, made up or tampered with: refused by file and entry, or harmless."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build.commandline import run
from build.conftest import Workshop
from build.locking import made, offer, own, read
from imagist.build.lockfile import format_lock, parse_lock
from imagist.errors import ImagistError, InputError
from imagist.oci.platform import parse_platform

AMD64 = parse_platform("amd64")
DIGEST = "sha256:" + "a" * 64
CHECKSUM = "Q1" + "A" * 27 + "="
DATA = "sha256-" + "A" * 43 + "="


def package(**more: Any) -> dict[str, Any]:
    """One package of a lock, as good as any."""
    return {
        "name": "app",
        "url": "repo/x86_64/app-1.0-r0.apk",
        "version": "1.0-r0",
        "architecture": "x86_64",
        "signature": {"range": "", "checksum": ""},
        "control": {"range": "bytes=0-99", "checksum": "sha1-" + CHECKSUM[2:]},
        "data": {"range": "bytes=100-299", "checksum": DATA},
        "checksum": CHECKSUM,
        "layer": layer(),
    } | more


def layer(**more: Any) -> dict[str, Any]:
    return {
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": "sha256:" + "0" * 64,
        "size": 200,
        "diff_id": DIGEST,
    } | more


def image(**more: Any) -> dict[str, Any]:
    return {
        "platform": "linux/amd64",
        "inputs": DIGEST,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": DIGEST,
        "size": 600,
    } | more


def key(name: str, content: str) -> dict[str, str]:
    return {"name": name, "url": name, "content": content}


def document(**more: Any) -> dict[str, Any]:
    contents = {"packages": [package()]}
    for name in ("packages", "keyring"):
        if name in more:
            contents[name] = more.pop(name)
    return {
        "version": "v1",
        "config": {"name": "image.yaml", "checksum": "sha256-x"},
        "contents": contents,
        "images": [image()],
    } | more


def test_the_good_one_is_good() -> None:
    found = parse_lock(json.dumps(document()).encode(), "l.json")
    (locked,) = found.packages_for(AMD64)
    assert (locked.size, locked.datahash) == (300, "0" * 64)
    assert found.image_for(AMD64) is not None
    assert parse_lock(format_lock(found), "l.json") == found


HOSTILE: list[tuple[dict[str, Any], str, str]] = [
    (document(packages=[package(name="a b")]), "contents.packages[0]", "name"),
    (document(packages=[package(name="../../etc")]), "contents.packages[0]", "name"),
    (document(packages=[package(version="1\n2")]), "contents.packages[0]", "version"),
    (document(packages=[package(tag="x\ny")]), "contents.packages[0]", "tag"),
    (document(packages=[package(url="file:///etc/passwd")]), "contents.packages[0]", "neither"),
    (document(packages=[package(url="gopher://x/y")]), "contents.packages[0]", "neither"),
    (document(packages=[package(url="a\x1b[2Jb")]), "contents.packages[0]", "neither"),
    (document(packages=[package(url="")]), "contents.packages[0]", "neither"),
    (document(packages=[package(architecture="vax")]), "contents.packages[0]", "vax"),
    (document(packages=[package(architecture="amd64")]), "contents.packages[0]", "amd64"),
    (document(packages=[package(checksum="Q1AAAA")]), "contents.packages[0]", "checksum"),
    (document(packages=[package(checksum="sha1-AAAA")]), "contents.packages[0]", "checksum"),
    (
        document(packages=[package(control={"range": "bytes=0-99", "checksum": "sha1-AAAA"})]),
        "contents.packages[0]",
        "control segment",
    ),
    (
        document(packages=[package(data={"checksum": "sha256-AAAA"})]),
        "contents.packages[0]",
        "no SHA-256",
    ),
    (
        document(packages=[package(data={"range": "bytes=100-299", "checksum": "md5-AA"})]),
        "contents.packages[0]",
        "no SHA-256",
    ),
    (
        document(packages=[package(control={"range": "bytes=1-99"})]),
        "contents.packages[0]",
        "follow one another",
    ),
    (
        document(packages=[package(control={"range": "bytes=99-0"})]),
        "contents.packages[0]",
        "follow one another",
    ),
    (
        document(packages=[package(control={"range": "bytes=-5-9"})]),
        "contents.packages[0]",
        "follow one another",
    ),
    (
        document(packages=[package(layer=layer(digest=DIGEST))]),
        "contents.packages[0]",
        "digest of its layer",
    ),
    (document(packages=[package(layer=layer(size=7))]), "contents.packages[0]", "size"),
    (document(packages=[package(layer=layer(diff_id="no"))]), "contents.packages[0]", "no SHA"),
    (document(packages=[package(layer=layer(mediaType="x"))]), "contents.packages[0]", "type"),
    (document(packages=[package(), package()]), "contents.packages[1]", "twice"),
    (document(keyring=[key("a/k", "1"), key("b/k", "2")]), "contents.keyring[1]", "another key"),
    (document(images=[image(platform="windows/amd64")]), "images[0]", "platform"),
    (document(images=[image(platform="amd64")]), "images[0]", "platform"),
    (document(images=[image(), image()]), "images[1]", "twice"),
    (document(images=[image(digest="sha256:../../x")]), "images[0]", "no SHA-256"),
    (document(images=[image(inputs="")]), "images[0]", "no SHA-256"),
    (document(images=[image(size=1 << 40)]), "images[0]", "no manifest has"),
    (document(images=[image(mediaType="text/html")]), "images[0]", "text/html"),
    (
        document(index={"mediaType": "x", "digest": DIGEST, "size": 5}),
        "index",
        "no image index",
    ),
    (document(config={"name": "a.lock.json", "checksum": ""}), "config.name", "a.lock.json"),
    (document(config={"name": "\x00", "checksum": ""}), "config.name", "no path"),
]


@pytest.mark.parametrize(("made_up", "entry", "words"), HOSTILE)
def test_an_entry_that_no_lock_can_hold(made_up: dict[str, Any], entry: str, words: str) -> None:
    with pytest.raises(InputError, match=r"my\.lock\.json") as refused:
        parse_lock(json.dumps(made_up).encode(), "my.lock.json")
    (problem,) = refused.value.problems
    assert str(problem.where).startswith(f"my.lock.json: {entry}")
    assert words in problem.message
    assert problem.help


def test_all_entries_are_named_at_once() -> None:
    made_up = document(packages=[package(version=""), package(name="")], images=[image(inputs="")])
    with pytest.raises(InputError) as refused:
        parse_lock(json.dumps(made_up).encode(), "my.lock.json")
    assert len(refused.value.problems) == 3


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"version":1}',
        b'{"version":"v1","contents":{"packages":{}}}',
        b'{"version":"v1","contents":null}',
        json.dumps(document(images=[image(size=-1)])).encode(),
        json.dumps(document(images=[image(size=1 << 80)])).encode(),
        json.dumps(document(images=[image(size=1.5)])).encode(),
        json.dumps(document(packages=[package(layer=layer(size="9"))])).encode(),
        json.dumps(document(packages=[package(name=None)])).encode(),
        json.dumps(document(packages=[package(url=["x"])])).encode(),
        json.dumps(document(index=[])).encode(),
    ],
)
def test_what_is_no_lock_is_refused_by_name(raw: bytes) -> None:
    with pytest.raises(InputError, match="is not a lock file") as refused:
        parse_lock(raw, "my.lock.json")
    assert refused.value.problems[0].where == "my.lock.json"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=3,
)


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """A good lock with one value that is another one."""
    made_up = document(keyring=[key("k", "")], index=None)
    at: Any = made_up
    while True:
        place = draw(st.sampled_from(list(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[place], dict | list) or not at[place] or draw(st.booleans()):
            at[place] = draw(_VALUES)
            return made_up
        at = at[place]


@settings(max_examples=300, deadline=None)
@given(spoilt())
def test_whatever_is_in_a_lock_it_is_read_or_refused(made_up: dict[str, Any]) -> None:
    raw = json.dumps(made_up).encode()
    try:
        found = parse_lock(raw, "l.json")
    except ImagistError:
        return
    for locked in found.contents.packages:
        assert len(locked.datahash) in {0, 64}
        assert locked.size is None or locked.size > 0
    assert parse_lock(format_lock(found), "l.json") == found


def test_packages_for_every_architecture_are_told_apart_by_their_folders() -> None:
    """apko writes the index's `noarch`, and then forgets such packages itself."""
    folders = {"x86_64": "repo/x86_64", "aarch64": "https://h/repo/aarch64"}
    packages = [package(name="own")]
    for folder in folders.values():
        packages.append(package(architecture="noarch", url=f"{folder}/app-1.apk"))
    raw = json.dumps(document(packages=packages, images=[])).encode()
    found = parse_lock(raw, "l.json").packages_for(AMD64)
    assert [(p.name, p.url) for p in found] == [
        ("own", "repo/x86_64/app-1.0-r0.apk"),
        ("app", "repo/x86_64/app-1.apk"),
    ]


@pytest.fixture
def locked(workshop: Workshop) -> Workshop:
    """A workshop with a lock of two packages, and a store that has never seen it."""
    offer(workshop, made("app", depends=["lib"]), made("lib"))
    own(workshop, "[app]", "[x86_64]")
    assert run("lock", "image.yaml", "--cache", workshop.folder / "other").code == 0
    return workshop


def tamper(workshop: Workshop, change: Callable[[dict[str, Any]], object]) -> None:
    path = workshop.folder / "image.lock.json"
    found = read(path)
    change(found)
    path.write_text(json.dumps(found))


def test_a_lock_cannot_pass_one_image_for_another(locked: Workshop) -> None:
    """Neither before the right one is known nor after; an image that is in the store is no proof."""
    older = locked.run("build", locked.write(
        (locked.folder / "image.yaml").read_text().replace("[app]", "[lib]"), "older.yaml"
    ), "--platform", "amd64")  # fmt: skip
    right = read(locked.folder / "image.lock.json")["index"]["digest"]

    def lie(found: dict[str, Any]) -> None:
        found["images"][0]["digest"] = older.out.strip()

    tamper(locked, lie)
    for _ in range(2):
        answer = locked.run("build", "image.lock.json")
        assert answer.code == 3, answer
        assert "where the lock states" in answer.err
        assert answer.out == ""
        assert locked.build("image.yaml") == right


def test_inputs_that_are_others_state_nothing(locked: Workshop) -> None:
    right = read(locked.folder / "image.lock.json")["index"]["digest"]
    tamper(locked, lambda found: found["images"][0].update(inputs=DIGEST, digest=DIGEST))
    answer = locked.run("build", "image.lock.json")
    assert (answer.code, answer.out.strip()) == (0, right)
    assert "states another image" in answer.err


def test_a_package_that_is_not_the_locked_one(locked: Workshop) -> None:
    def exchange(found: dict[str, Any]) -> None:
        one, other = found["contents"]["packages"]
        one["url"] = other["url"]

    tamper(locked, exchange)
    answer = locked.run("build", "image.lock.json")
    assert answer.code == 3
    assert "lib-1.0-r0 from own/x86_64/app-1.0-r0.apk" in answer.err


def test_a_tag_that_is_not_declared(locked: Workshop) -> None:
    tamper(locked, lambda found: found["contents"]["packages"][0].update(tag="edge"))
    answer = locked.run("build", "image.lock.json")
    assert answer.code == 2
    assert "@edge" in answer.err


def test_a_key_that_is_none(locked: Workshop) -> None:
    tamper(locked, lambda found: found["contents"]["keyring"][0].update(content="-----"))
    answer = locked.run("build", "image.lock.json")
    assert answer.code == 3
    assert "image.lock.json: contents.keyring[0]" in answer.err


def test_a_lock_and_another_lock(locked: Workshop) -> None:
    answer = locked.run("build", "image.lock.json", "--lock", "image.lock.json")
    assert answer.code == 2
    assert "--lock names another" in answer.err
    assert locked.run("build", "absent.lock.json").code == 3
    Path("image.yaml").unlink()
    answer = locked.run("build", "image.lock.json")
    assert answer.code == 3
    assert "there is no declaration" in answer.err
