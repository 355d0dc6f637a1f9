"""Who owns what, where layers came from, and which image of an index is meant."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from imagist.digest import sha256
from imagist.errors import InputError, NotFound, RequestError
from imagist.inspection.choose import choose_image, choose_images, is_alike, pair_images, survey
from imagist.inspection.describe import describe
from imagist.inspection.history import tell_history, tell_origin
from imagist.inspection.view import view_image
from imagist.oci import mediatype
from imagist.oci.derive import MemoryImage, MemoryIndex
from imagist.oci.manifest import History, Manifest, encode
from imagist.oci.manifest import describe as descriptor_of
from imagist.oci.mutate import make_index
from imagist.oci.platform import Platform
from imagist.oci.random import AMD64, ARM64, random_image, random_index
from inspection.described import (
    DATABASE,
    edited,
    file,
    folder,
    hardlink,
    image,
    installed,
    layer,
    symlink,
)

BASE = layer(folder("bin"), file("bin/a", "a"), file("bin/b", "b"))
TOP = layer(file("bin/b", "own"), installed(one=["bin/a"], two=["bin/b", "bin/absent"]))


def test_owners_come_from_the_database_in_the_image() -> None:
    view = view_image(image(BASE, TOP))
    assert {path: package.name for path, package in view.owners.items()} == {
        "bin/a": "one",
        "bin/b": "two",
    }
    report = describe(view.image, "linux/amd64", view, files=True, layers=True)
    assert [each.packages for each in report.layers] == [("one-1", "two-1"), ("two-1",)]
    assert {file.path: (file.layer, file.package) for file in report.files or ()} == {
        "bin": (1, ""),
        "bin/a": (1, "one"),
        "bin/b": (2, "two"),
        "usr": (0, ""),
        "usr/lib": (0, ""),
        "usr/lib/apk": (0, ""),
        "usr/lib/apk/db": (0, ""),
        DATABASE: (2, ""),
    }
    assert [file.path for file in report.layers[1].files or ()] == ["bin/b", DATABASE]


@pytest.mark.parametrize(
    "entries",
    [
        [folder("lib/apk/db"), msgspec.structs.replace(installed(one=["x"]), path="lib/apk/db/installed")],
        [symlink("lib", "usr/lib"), installed(one=["x"])],
        [msgspec.structs.replace(installed(one=["x"]), path="real"), hardlink(DATABASE, "real")],
        [msgspec.structs.replace(installed(one=["x"]), path="real"), symlink(DATABASE, "/real")],
    ],
)  # fmt: skip
def test_the_database_is_found_wherever_it_is_reached(entries: Any) -> None:
    view = view_image(image(layer(file("x"), *entries)))
    assert [package.name for package in view.packages] == ["one"]
    assert view.owners["x"].name == "one"


def test_paths_in_the_database_may_lead_through_links() -> None:
    view = view_image(
        image(layer(folder("usr/bin"), symlink("bin", "usr/bin"), file("usr/bin/x"), installed(one=["bin/x"])))
    )  # fmt: skip
    assert view.owners["usr/bin/x"].name == "one"


def test_a_malformed_database_is_an_error_of_ours() -> None:
    with pytest.raises(InputError):
        view_image(image(layer(file(DATABASE, "P:x\nV:1\nR:file\nM:a:b:c\n"))))


def test_names_that_are_no_text_can_be_reported() -> None:
    view = view_image(image(layer(file("caf\udce9"))))
    report = describe(view.image, "x", view, files=True)
    assert b"caf\\\\xe9" in msgspec.json.encode(report)


@pytest.mark.parametrize(
    ("line", "kind", "origin"),
    [
        (History(created_by="imagist: a-1, as signed (digest = datahash)", author="imagist"), mediatype.LAYER_GZIP, "verbatim"),
        (History(created_by="imagist: a-1, as signed (digest = datahash)", author="imagist"), mediatype.LAYER_TAR, ""),
        (History(created_by="imagist: a-1, b-2", author="imagist"), mediatype.LAYER_GZIP, "written"),
        (History(created_by="RUN make", author="imagist"), mediatype.LAYER_GZIP, ""),
        (History(created_by="imagist: a-1"), mediatype.LAYER_GZIP, ""),
        (History(), mediatype.LAYER_GZIP, ""),
    ],
)  # fmt: skip
def test_the_origin_of_a_layer_is_what_its_history_claims(
    line: History, kind: str, origin: str
) -> None:
    assert tell_origin(line, layer(media_type=kind)) == origin


def test_history_gives_each_layer_its_line_and_empty_ones_none() -> None:
    lines = [
        {"created_by": "ADD"},
        {"created_by": "ENV", "empty_layer": True},
        {"created_by": "RUN"},
    ]
    steps = tell_history(edited(image(BASE, TOP), history=lines))
    assert [(step.layer, step.created_by) for step in steps] == [
        (1, "ADD"),
        (0, "ENV"),
        (2, "RUN"),
    ]
    assert [step.size for step in steps] == [BASE.size, 0, TOP.size]


@pytest.mark.parametrize("lines", [[], None, [{"created_by": "ADD"}]])
def test_a_history_that_does_not_match_is_not_guessed_at(lines: Any) -> None:
    made = edited(image(BASE, TOP), history=lines)
    steps = tell_history(made)
    assert [step.layer for step in steps][-2:] == [1, 2]
    assert [step.created_by for step in steps][-2:] == ["", ""]
    assert [each.created_by for each in describe(made, "x", None).layers] == ["", ""]


def odd_index() -> MemoryIndex:
    artifact = MemoryImage(
        encode(Manifest(schema_version=2, config=descriptor_of(b"{}", mediatype.EMPTY))), b"{}"
    )
    index = make_index(
        [
            (AMD64, random_image(3)),
            (Platform("unknown", "unknown"), random_image(8)),
            (None, artifact),
            (None, random_index(1, platforms=[Platform("s390x"), ARM64])),
        ]
    )
    document = json.loads(index.raw_manifest)
    strange = {"mediaType": "application/x", "digest": str(sha256(b"x")), "size": 1}
    lost = {**document["manifests"][0], "digest": str(sha256(b"y"))}
    document["manifests"] += [strange, lost]
    return msgspec.structs.replace(index, raw_manifest=json.dumps(document).encode())


def test_what_is_no_image_is_noted_and_never_chosen() -> None:
    notes = [(str(item.platform), item.note) for item in survey(odd_index())]
    assert notes == [
        ("linux/amd64", ""),
        ("unknown/unknown", "attestation"),
        ("None", "artifact"),
        ("linux/s390x", ""),
        ("linux/arm64", ""),
        ("None", "unknown"),
        ("linux/amd64", "absent"),
    ]
    assert len(choose_images(odd_index(), [])) == 3


def test_one_image_is_chosen_by_name_by_being_alone_or_by_the_host() -> None:
    index = random_index(1)
    assert choose_image(index, ["arm64"], AMD64) == choose_image(index, [], ARM64)
    assert choose_image(random_image(7), [], ARM64) == random_image(7)
    alone = random_index(1, platforms=[ARM64])
    assert choose_image(alone, [], AMD64) == choose_image(alone, ["aarch64"], None)
    for host in (None, Platform("s390x")):
        with pytest.raises(RequestError, match="linux/amd64, linux/arm64"):
            choose_image(index, [], host)
    with pytest.raises(NotFound) as caught:
        choose_image(index, ["riscv64"], AMD64)
    assert "linux/amd64, linux/arm64" in str(caught.value.problems[0].help)
    with pytest.raises(NotFound):
        choose_image(make_index([]), [], AMD64)


@pytest.mark.parametrize(
    ("wanted", "found", "alike"),
    [
        (Platform("arm64"), Platform("arm64", variant="v8"), True),
        (Platform("arm64", variant="v8"), Platform("arm64"), True),
        (Platform("arm", variant="v7"), Platform("arm", variant="v6"), False),
        (Platform("arm"), Platform("arm", variant="v6"), True),
        (Platform("amd64"), Platform("amd64", "windows"), False),
        (Platform("amd64", "windows", "10"), Platform("amd64", "windows", "11"), False),
    ],
)
def test_platforms_that_are_alike(wanted: Platform, found: Platform, alike: bool) -> None:
    assert is_alike(wanted, found) is alike


def test_platforms_that_imagist_does_not_build_for_can_be_named() -> None:
    index = make_index([(Platform("amd64", "windows"), random_image(1)), (AMD64, random_image(2))])
    [found] = choose_images(index, ["windows/amd64"])
    assert found.image == random_image(1)


def test_images_are_paired_by_platform_and_single_ones_in_any_case() -> None:
    one, two = random_index(1), random_index(2, platforms=[ARM64, Platform("s390x")])
    paired = pair_images(one, two, [])
    assert [name for name, *_ in paired.both] == ["linux/arm64"]
    assert (list(map(str, paired.only_old)), list(map(str, paired.only_new))) == (
        ["linux/amd64"],
        ["linux/s390x"],
    )
    singles = pair_images(random_image(1), random_image(2, platform=ARM64), [])
    assert len(singles.both) == 1
    twice = make_index([(AMD64, random_image(1)), (AMD64, random_image(2))])
    assert len(pair_images(twice, twice, []).both) == 2
