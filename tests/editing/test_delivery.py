"""Where edits go: paths, registries, the store; and what is answered."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from build.commandline import run
from editing.bench import Bench, config, images
from fixtures.registries import KINDS, running
from imagist.digest import sha256
from imagist.oci import derive
from imagist.oci.image import Index
from imagist.oci.mutate import annotate_index, map_images, set_config
from imagist.oci.random import random_index
from imagist.oci.validate import validate
from imagist.registry.repository import Repository
from imagist.store.archive import read_archive, write_archive
from imagist.store.layout import read_layout
from imagist.store.store import Store
from support import find_tool, needs


def test_without_a_place_an_edit_stays_in_the_store(bench: Bench) -> None:
    name = bench.write(random_index(1))
    code, out, _ = bench.run("mutate", name, "-u", "7")
    assert (code, out[:7]) == (0, "sha256:")
    with Store.open(bench.folder / "store") as store:
        kept = store.image(out.strip())
        assert validate(kept) == []
    # From there it is edited on, and stays.
    code, again, _ = bench.run("mutate", out.strip(), "-u", "8")
    assert code == 0
    assert again != out


def test_names_are_given_in_archives_and_layouts(bench: Bench) -> None:
    name = bench.write(random_index(1))
    for place, names in (
        ("a.tar", ["r.example/a:1", "r.example/a:2"]),
        ("layout", ["one", "two"]),
    ):
        words = [word for each in names for word in ("-t", each)]
        code, out, err = bench.run("mutate", name, "-u", "7", "-o", place, *words)
        assert code == 0, err
        read = read_archive if place.endswith(".tar") else read_layout
        for each in names:
            assert derive.digest(read(Path(place), each)) == out.strip()


@pytest.mark.parametrize("place", ["image.tar", "image"])
def test_an_image_may_be_edited_where_it_is(bench: Bench, place: str) -> None:
    index = random_index(1)
    if place.endswith(".tar"):
        write_archive(index, Path(place))
    else:
        bench.write(index, place)
    bench.file("x", "new")
    for words in (["append", place, "-f", "x"], ["mutate", place, "-u", "7"], ["flatten", place]):
        code, out, err = bench.run(*words, "-o", place)
        assert code == 0, err
        thing = read_archive(Path(place)) if place.endswith(".tar") else read_layout(Path(place))
        assert derive.digest(thing) == out.strip()
        assert validate(thing) == []
    assert [len(each.layers) for each in images(thing)] == [1, 1]
    assert [config(each)["config"] for each in images(thing)] == [{"User": "7"}] * 2


def test_json_tells_all_digests(bench: Bench) -> None:
    code, out, _ = bench.run("mutate", bench.write(random_index(1)), "-u", "7", "--json")
    assert code == 0
    told = json.loads(out)
    assert set(told["platforms"]) == {"linux/amd64", "linux/arm64"}
    assert told["digest"].startswith("sha256:")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "-"], "not written to stdout"),
        (["-o", "x.tar.gz"], "compressed archive"),
        (["-t", "r.example/x@sha256:" + "0" * 64], "has a digest"),
        (["-t", "r.example/X"], "lower-case"),
    ],
)
@pytest.mark.parametrize("verb", ["append", "mutate", "rebase", "flatten"])
def test_a_place_that_is_none_is_refused_before_any_work(
    bench: Bench, verb: str, words: list[str], message: str
) -> None:
    code, out, err = bench.run(verb, "missing", *words)
    assert (code, out) == (2, "")
    assert message in err


@pytest.fixture(scope="module", params=[pytest.param(kind, marks=needs(kind)) for kind in KINDS])
def any_registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Each kind of registry in turn: `127.0.0.1:port`."""
    with running(request.param, tmp_path_factory.mktemp(request.param)) as address:
        yield address


@needs("crane")
def test_edits_of_indexes_go_through_every_registry(bench: Bench, any_registry: str) -> None:
    old, new = random_index(1), annotate_index(random_index(5, layers=3), {"a": "b"})
    bench.write(old, "old")
    bench.write(new, "new")
    bench.file("x", "new")
    place = f"{any_registry}/team/app"
    for name, tag in (("old", "old"), ("new", "new"), ("old", "app")):
        assert bench.run("push", name, f"{place}:{tag}").code == 0
    for words in (
        ["append", f"{place}:app", "-f", "x:/srv/x", "-t", f"{place}:app"],
        ["mutate", f"{place}:app", "-l", "team=web"],
        ["rebase", f"{place}:app", "--old_base", f"{place}:old", "--new_base", f"{place}:new"],
        ["flatten", f"{place}:app", "-t", f"{place}-flat:1"],
    ):
        code, out, err = bench.run(*words)
        assert code == 0, err
        name, _, digest = out.strip().partition("@")
        assert name == (f"{place}-flat:1" if words[0] == "flatten" else f"{place}:app")
        crane = find_tool("crane")
        assert crane
        for check in (["digest", name], ["validate", "--remote", name]):
            said = subprocess.run([crane, *check], capture_output=True, text=True)
            assert said.returncode == 0, said.stderr
            assert check[0] != "digest" or said.stdout.strip() == digest
    assert bench.run("pull", f"{place}:app", "-o", "pulled").code == 0
    for image, base in zip(images(read_layout(Path("pulled"))), images(new), strict=True):
        assert len(image.layers) == len(base.layers) + 1
        assert config(image)["config"]["Labels"] == {"team": "web"}
        noted = json.loads(image.raw_manifest)["annotations"]
        assert noted["org.opencontainers.image.base.name"] == f"{place}:new"
        assert noted["org.opencontainers.image.base.digest"] == derive.digest(new)


@needs("crane")
def test_a_base_of_a_registry_is_stated_alike_by_all_commands(bench: Bench, registry: str) -> None:
    old, new = f"{registry}/old/base:1", f"{registry}/new/base:1"
    for thing, name in ((random_index(1), old), (random_index(5), new)):
        assert bench.run("push", bench.write(thing, name.split("/")[1]), name).code == 0
    bench.file("project/imagist.yaml", "files: [{source: x, path: /srv}]\n")
    bench.file("project/x", "y")
    tag = f"{registry}/app:1"
    for base, *words in (
        (old, "build", "project", "--base", old),
        (new, "rebase", tag, "--new_base", new),  # from the repository that the old one is in
        (new, "build", "project", "--base", new),
        (new, "append", "-b", new, "-f", "project/x:/srv/", "--set-base-image-annotations"),
    ):
        code, _, err = run(*words, "-t", tag, "--cache", bench.folder / f"cold-{words[0]}")
        assert code == 0, err
        whole = bench.run("digest", base).out.strip()
        shutil.rmtree("pulled", ignore_errors=True)
        assert bench.run("pull", tag, "-o", "pulled").code == 0
        for image in images(read_layout(Path("pulled"))):
            noted = json.loads(image.raw_manifest)["annotations"]
            assert noted["org.opencontainers.image.base.name"] == base
            assert noted["org.opencontainers.image.base.digest"] == whole
    digest = bench.run("digest", new).out.strip()
    name = new.removesuffix(":1")
    assert bench.run("delete", f"{name}@{digest}").code == 0
    shutil.rmtree("store")  # of this machine
    said = bench.fails("rebase", tag, "--new_base", old)
    assert f"{tag} is built on the base {digest}, which the store has not, nor has {name}" in said


@needs("crane")
def test_settings_and_bases_change_without_a_layer_being_read_or_sent(
    bench: Bench, registry: str
) -> None:
    old, new = random_index(1), random_index(5)
    app = map_images(old, lambda _, image: set_config(image, {"author": "me"}))
    for thing, tag in ((old, "old"), (new, "new"), (app, "app")):
        bench.write(thing, tag)
        assert bench.run("push", tag, f"{registry}/light:{tag}").code == 0
    configs = {str(sha256(i.raw_config)) for thing in (old, new, app) for i in images(thing)}
    read: list[str] = []
    sent: list[str] = []
    open_blob, put_blob = Repository.open_blob, Repository.put_blob

    def reading(self: Repository, digest: str, *more: int) -> object:
        read.append(str(digest))
        return open_blob(self, digest, *more)

    def sending(self: Repository, blob: object, **more: object) -> object:
        sent.append(blob.digest)  # type: ignore[attr-defined]
        return put_blob(self, blob, **more)  # type: ignore[arg-type]

    place = f"{registry}/light"
    with (
        mock.patch.object(Repository, "open_blob", reading),
        mock.patch.object(Repository, "put_blob", sending),
    ):
        for words in (
            ["mutate", f"{place}:app", "-l", "a=b"],
            ["rebase", f"{place}:app", "--old_base", f"{place}:old", "--new_base", f"{place}:new"],
        ):
            code, out, err = bench.run(*words)
            assert code == 0, err
    assert bench.run("pull", out.strip(), "-o", "pulled").code == 0
    made = read_layout(Path("pulled"))
    assert isinstance(made, Index)
    layers = {
        layer.digest for thing in (old, new, made) for i in images(thing) for layer in i.layers
    }
    assert not layers & {*read, *sent}
    assert configs & set(read)
