"""What lies beside an image in layouts and archives, and how it hangs together."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from imagist.cli.main import main
from imagist.digest import sha256
from imagist.oci import derive, mediatype
from imagist.oci.manifest import Descriptor, describe
from imagist.oci.random import random_index
from imagist.oci.referrer import fallback_tag
from imagist.registry.companions import IndexedCompanions, NoCompanions
from imagist.registry.tree import Node, grow
from imagist.store.layout import REF_NAME, LayoutSource, read_index, write_layout

KIND = "application/spdx+json"
INDEX = random_index(1)
SUBJECT = derive.digest(INDEX)


def each(look: Callable[[str], list[Node]], digests: Iterable[str]) -> list[list[Node]]:
    return [look(digest) for digest in digests]


def referrer(subject: str, kind: str = KIND) -> bytes:
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2}
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.MANIFEST,
        "artifactType": kind,
        "config": empty,
        "layers": [empty | {"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json"}],
        "subject": {"mediaType": mediatype.INDEX, "digest": subject, "size": 1},
    }
    return json.dumps(document).encode()


def add(folder: Path, raw: bytes, media_type: str = mediatype.MANIFEST, name: str = "") -> str:
    """Put a manifest into a layout, as tools do."""
    digest = sha256(raw)
    (folder / "blobs" / "sha256" / digest.partition(":")[2]).write_bytes(raw)
    index = json.loads((folder / "index.json").read_bytes())
    item: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": len(raw)}
    if name:
        item["annotations"] = {REF_NAME: name}
    index["manifests"].append(item)
    (folder / "index.json").write_text(json.dumps(index))
    return digest


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A layout with an index called `1`."""
    folder = tmp_path / "layout"
    write_layout(INDEX, folder, names=["1"])
    return folder


def tree(folder: Path, artifact_type: str = "") -> Node:
    companions = IndexedCompanions(LayoutSource(folder), read_index(folder))
    return grow(INDEX, companions, artifact_type=artifact_type, each=each)


def test_referrers_without_a_name_are_found_by_their_subject(layout: Path) -> None:
    sbom = add(layout, referrer(SUBJECT))
    signature = add(layout, referrer(sbom, "application/x-signature"))
    add(layout, referrer(sha256(b"another")))
    grown = tree(layout)
    assert [node.platform for node in grown.manifests] == ["linux/amd64", "linux/arm64"]
    [found] = grown.referrers
    assert (found.digest, found.artifact_type) == (sbom, KIND)
    assert [node.digest for node in found.referrers] == [signature]
    assert tree(layout, "application/x-signature").referrers[0].referrers[0].digest == signature
    assert tree(layout, "application/x-other").referrers == ()


def test_referrers_are_found_under_the_fallback_tag(layout: Path) -> None:
    raw = referrer(SUBJECT)
    item = {"mediaType": mediatype.MANIFEST, "digest": sha256(raw), "size": len(raw)}
    listed = {"schemaVersion": 2, "mediaType": mediatype.INDEX}
    document = listed | {"manifests": [item | {"artifactType": KIND}]}
    add(layout, json.dumps(document).encode(), mediatype.INDEX, fallback_tag(SUBJECT))
    assert [(node.digest, node.artifact_type) for node in tree(layout).referrers] == [
        (sha256(raw), KIND)
    ]
    add(layout, raw)  # in both ways it is still one
    assert len(tree(layout).referrers) == 1


def test_what_cosign_tags_is_found(layout: Path) -> None:
    tags = [f"{fallback_tag(SUBJECT)}.{suffix}" for suffix in ("sig", "att")]
    signature = add(layout, referrer(sha256(b"other"), ""), name=tags[0])
    add(layout, referrer(sha256(b"other")), name=tags[1])
    found = tree(layout).referrers
    assert [node.tag for node in found] == tags
    assert found[0].digest == signature
    assert found[0].artifact_type == "application/vnd.dev.cosign.simplesigning.v1+json"


def test_a_circle_of_referrers_ends() -> None:
    class Circle:
        """One that two refer to, who refer to each other."""

        def referrers(self, digest: str) -> list[Descriptor]:
            names = [b"a", b"b"] if digest == SUBJECT else [b"b" if digest == a else b"a"]
            return [describe(name, mediatype.MANIFEST) for name in names]

        def tagged(self, tag: str) -> None:
            del tag

    a = sha256(b"a")
    grown = grow(INDEX, Circle(), each=each)
    assert [node.digest for node in grown.referrers] == [a, sha256(b"b")]
    assert grown.referrers[0].referrers[0].referrers == ()


def test_nothing_hangs_on_an_image_of_the_store() -> None:
    assert grow(INDEX, NoCompanions(), each=each).referrers == ()


def test_the_command_reads_layouts_and_archives(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sbom = add(layout, referrer(SUBJECT))
    archive = tmp_path / "image.tar"
    with tarfile.open(archive, "w") as target:
        for file in sorted(layout.rglob("*")):
            if file.is_file():
                member = tarfile.TarInfo(str(file.relative_to(layout)))
                member.size = file.stat().st_size
                target.addfile(member, io.BytesIO(file.read_bytes()))
    for name in (f"oci:{layout}:1", f"oci-archive:{archive}:1"):
        assert main(["tree", name, "-v", "--cache", str(tmp_path / "store")]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"{name} {SUBJECT}"
        assert lines[-1] == f"└─ {KIND} {sbom}"
        assert len(lines) == 4
