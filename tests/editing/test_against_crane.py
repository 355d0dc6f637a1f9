"""Edits compared with crane's own, through a registry: digests where they can be equal."""

from __future__ import annotations

import gzip
import itertools
import json
import subprocess
from typing import Any

import pytest

from editing.bench import Bench, config, images, listing, manifest
from editing.crane_differences import differing, needless
from fixtures.zstd import compress
from imagist.digest import sha256
from imagist.oci import derive, mediatype
from imagist.oci.derive import MemoryImage
from imagist.oci.image import Image, Index
from imagist.oci.mutate import set_config
from imagist.oci.random import random_image
from imagist.oci.validate import validate
from imagist.store.layout import read_layout
from inspection.described import file, folder, pack, symlink
from support import find_tool, needs

pytestmark = needs("crane")
NUMBERS = itertools.count()
TAR = pack([folder("d"), file("d/a", "text" * 999), file("b", "<&>"), symlink("c", "d/a")])
MORE = pack([file("d/.wh.a"), file("more", "x" * 2000), file("d/new")])


def crane(*words: object) -> str:
    """Run crane, which must succeed, and give what it says."""
    tool = find_tool("crane")
    assert tool
    done = subprocess.run([tool, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def repository(registry: str) -> str:
    """A repository that no other test uses."""
    return f"{registry}/test-{next(NUMBERS)}"


@pytest.fixture
def tars(bench: Bench) -> Bench:
    """Layers in files."""
    bench.file("one.tar.gz", gzip.compress(TAR, mtime=0))
    bench.file("two.tar.gz", gzip.compress(MORE, mtime=0))
    bench.file("two.tar.zst", compress(MORE))
    bench.file("two.tar", MORE)
    return bench


@pytest.fixture(params=["oci", "docker"])
def source(request: pytest.FixtureRequest, tars: Bench, repository: str) -> str:
    """An image in a registry that crane made."""
    oci = ["--oci-empty-base"] if request.param == "oci" else []
    name = f"{repository}:source"
    crane("append", "-f", "one.tar.gz", "-t", name, *oci)
    platform = ("--set-platform", "linux/arm/v7")
    labels = ("-l", "a=<b>", "-l", "z=&", "-e", "A=1", "-e", "B=2", "-a", "note=kept")
    crane("mutate", name, "-t", name, *platform, *labels)
    return name


def pull(bench: Bench, name: str) -> Image | Index:
    """What is in the registry, by crane's hand."""
    place = bench.folder / f"pulled-{next(NUMBERS)}"
    crane("pull", name, place, "--format", "oci")
    return read_layout(place)


def edit(bench: Bench, *words: str) -> str:
    """Run an edit that pushes, and give the reference that it says."""
    code, out, err = bench.run(*words)
    assert code == 0, err
    return out.strip()


def digest_of(answer: str) -> str:
    """The digest in what an edit says."""
    return answer.rpartition("@")[2]


MUTATIONS: list[list[str]] = [
    ["-l", "new=label"],
    ["-l", "a=other", "-l", "b=1,c=2"],
    ["-l", "url=http://x/?a=b&c=<d>"],
    ["-e", "C=3", "-e", "A=new", "-e", "D=a=b,c"],
    ["-e", "A="],
    ["-a", "x=y", "-a", "note=new"],
    ["--entrypoint", "/bin/sh,-c", "--cmd", "echo hello"],
    ["--entrypoint", "/bin/sh", "--entrypoint", '"a,b",c'],
    ["--cmd", "x,y"],
    ["-u", "65532:0", "-w", "/srv"],
    ["--exposed-ports", "80,53/udp", "--exposed-ports", "8080/tcp"],
    ["--set-platform", "linux/arm64"],
    ["--set-platform", "windows/amd64:10.0.1"],
    ["-l", "a=1", "-e", "X=1", "-u", "7", "-w", "/", "--cmd", "a", "--exposed-ports", "1"],
]


@pytest.mark.parametrize("words", MUTATIONS, ids=" ".join)
def test_mutate_gives_cranes_digest(tars: Bench, source: str, words: list[str]) -> None:
    theirs = crane("mutate", source, *words, "-t", f"{source}-crane")
    ours = edit(tars, "mutate", source, *words, "-t", f"{source}-ours")
    assert digest_of(ours) == digest_of(theirs)
    assert ours.startswith(f"{source}-ours@")
    assert validate(pull(tars, f"{source}-ours")) == []


def test_many_mutations_one_after_another_give_cranes_digest(tars: Bench, source: str) -> None:
    for words in MUTATIONS:
        crane("mutate", source, *words, "-t", f"{source}-crane")
        edit(tars, "mutate", source, *words, "-t", f"{source}-ours")
        theirs, ours = crane("digest", f"{source}-crane"), crane("digest", f"{source}-ours")
        assert ours == theirs, words
        crane("copy", f"{source}-crane", source)


def plain(value: Any) -> Any:
    """Values without members that say nothing, which Go leaves out or writes as it likes."""
    if isinstance(value, dict):
        kept = {key: plain(member) for key, member in value.items()}
        return {key: kept[key] for key in sorted(kept) if kept[key] not in (None, "", {}, [])}
    return [plain(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("words", MUTATIONS, ids=" ".join)
def test_documents_of_others_are_edited_to_mean_the_same(
    tars: Bench, repository: str, words: list[str]
) -> None:
    members = {
        "created": "2001-02-03T04:05:06.789Z",
        "config": {
            "Healthcheck": {"Test": ["CMD", "x"], "Interval": 30_000_000_000, "Retries": 3},
            "OnBuild": ["RUN y"], "StopSignal": "SIGINT", "Volumes": {"/data": {}},
            "Env": ["PATH=/bin", "A=1"], "Labels": {"z": "1", "a": "<2>"}, "ArgsEscaped": True,
        },
        "variant": "v2",
        "x.unknown": {"kept": [1, {"deep": None}]},
    }  # fmt: skip
    image = set_config(random_image(1), members)
    # In an order and a spelling that no Go program has.
    document = dict(reversed(json.loads(image.raw_config).items()))
    raw = json.dumps(document, indent=2, ensure_ascii=True).encode()
    named = json.loads(image.raw_manifest)
    named["config"] |= {"digest": str(sha256(raw)), "size": len(raw)}
    source = MemoryImage(json.dumps(named).encode(), raw, image.layers)
    crane("push", tars.write(source), f"{repository}:source")
    crane("mutate", f"{repository}:source", *words, "-t", f"{repository}:crane")
    edit(tars, "mutate", f"{repository}:source", *words, "-t", f"{repository}:ours")
    [theirs], [ours] = (images(pull(tars, f"{repository}:{who}")) for who in ("crane", "ours"))
    own, other = config(ours), config(theirs)
    assert own.pop("x.unknown") == {"kept": [1, {"deep": None}]}  # which crane drops
    # What never was is from the year 1 in Go.
    for line in other["history"]:
        assert line.pop("created") == "0001-01-01T00:00:00Z"
    assert plain(own) == plain(other)
    unnamed = [manifest(each) for each in (ours, theirs)]
    for each in unnamed:
        each.pop("config")
    assert plain(unnamed[0]) == plain(unnamed[1])


def test_without_a_name_an_edit_goes_where_crane_puts_it(tars: Bench, source: str) -> None:
    repository = source.rpartition(":")[0]
    crane("copy", source, f"{repository}:ours")
    theirs = crane("mutate", source, "-l", "x=y")
    ours = edit(tars, "mutate", f"{repository}:ours", "-l", "x=y")
    assert digest_of(ours) == digest_of(theirs)
    assert crane("digest", f"{repository}:ours") == crane("digest", source)
    # What is named by digest is pushed by digest, and the tag stays.
    by_digest = f"{repository}@{crane('digest', source)}"
    theirs = crane("mutate", by_digest, "-l", "x=z")
    assert edit(tars, "mutate", by_digest, "-l", "x=z") == theirs
    assert crane("digest", f"{repository}:ours") == crane("digest", source)
    theirs = crane("mutate", source, "-l", "x=1", "--repo", f"{repository}/crane")
    ours = edit(tars, "mutate", source, "-l", "x=1", "--repo", f"{repository}/ours")
    assert ours == theirs.replace("/crane@", "/ours@")
    assert crane("digest", ours) == crane("digest", theirs)


@pytest.mark.parametrize("layer", ["two.tar.gz", "two.tar.zst", "two.tar"])
def test_append_differs_from_cranes_as_the_table_says(
    tars: Bench, source: str, layer: str
) -> None:
    crane("append", "-b", source, "-f", layer, "-t", f"{source}-crane")
    edit(tars, "append", "-b", source, "-f", layer, "-t", f"{source}-ours")
    [theirs], [ours] = (images(pull(tars, f"{source}-{who}")) for who in ("crane", "ours"))
    kind = "append plain" if layer == "two.tar" else "append"
    assert differing(kind, ours, theirs) == {}
    assert needless(kind, ours, theirs) == []
    assert validate(ours) == []
    # But for its line of history the image is crane's, to the byte.
    line = config(ours)["history"][-1]
    assert line == {"created": "1970-01-01T00:00:00Z", "created_by": "imagist append"}
    if kind == "append":
        raw = ours.raw_config.replace(json.dumps(line, separators=(",", ":")).encode(), b"%b")
        empty = b'{"created":"0001-01-01T00:00:00Z"}'
        assert raw.replace(b"%b", empty) == theirs.raw_config


def test_append_of_several_with_annotations_of_the_base(tars: Bench, source: str) -> None:
    words = ("-b", source, "-f", "two.tar.gz,two.tar.zst", "--set-base-image-annotations")
    crane("append", *words, "--new_tag", f"{source}-crane")
    edit(tars, "append", *words, "--new_tag", f"{source}-ours")
    [theirs], [ours] = (images(pull(tars, f"{source}-{who}")) for who in ("crane", "ours"))
    assert differing("append", ours, theirs) == {}
    assert manifest(ours)["annotations"]["org.opencontainers.image.base.name"] == source


def test_mutate_appends_first(tars: Bench, source: str) -> None:
    words = (source, "--append", "two.tar.gz", "-u", "7")
    crane("mutate", *words, "-t", f"{source}-crane")
    edit(tars, "mutate", *words, "-t", f"{source}-ours")
    [theirs], [ours] = (images(pull(tars, f"{source}-{who}")) for who in ("crane", "ours"))
    assert differing("append", ours, theirs) == {}


@pytest.fixture
def based(tars: Bench, source: str) -> str:
    """`:based` on `:source`, with `:newer`, another base, for the same platform."""
    repository = source.rpartition(":")[0]
    crane(
        *("append", "-b", source, "-f", "two.tar.gz", "-t", f"{repository}:based"),
        "--set-base-image-annotations",
    )
    crane("append", "-f", "two.tar.zst", "-t", f"{repository}:newer", "--oci-empty-base")
    crane("append", "-b", f"{repository}:newer", "-f", "one.tar.gz", "-t", f"{repository}:newer")
    crane("mutate", f"{repository}:newer", "--set-platform", "linux/arm/v7", "-u", "9")
    [image] = images(pull(tars, f"{repository}:based"))
    own = set_config(image, {"created": "2001-02-03T04:05:06Z", "author": "me"})
    crane("push", tars.write(own, "based"), f"{repository}:based")
    return repository


def test_rebase_differs_from_cranes_as_the_table_says(tars: Bench, based: str) -> None:
    bases = ("--old_base", f"{based}:source", "--new_base", f"{based}:newer")
    crane("rebase", f"{based}:based", *bases, "-t", f"{based}:crane")
    edit(tars, "rebase", f"{based}:based", *bases, "-t", f"{based}:ours")
    [theirs], [ours] = (images(pull(tars, f"{based}:{who}")) for who in ("crane", "ours"))
    assert differing("rebase", ours, theirs) == {}
    noted = {key: value for key, value in manifest(ours)["annotations"].items() if key != "note"}
    assert noted == manifest(theirs)["annotations"]
    assert manifest(ours)["annotations"]["note"] == "kept"
    assert validate(ours) == []
    assert config(ours)["variant"] == "v7"
    if manifest(ours)["mediaType"] == mediatype.MANIFEST:
        assert needless("rebase", ours, theirs) == []


def test_rebase_finds_the_bases_that_an_image_states(tars: Bench, based: str) -> None:
    crane("copy", f"{based}:source", f"{based}:before")
    crane("copy", f"{based}:newer", f"{based}:source")
    crane("rebase", f"{based}:based", "-t", f"{based}:crane")
    edit(tars, "rebase", f"{based}:based", "-t", f"{based}:ours")
    [theirs], [ours] = (images(pull(tars, f"{based}:{who}")) for who in ("crane", "ours"))
    assert differing("rebase", ours, theirs) == {}


def test_flatten_differs_from_cranes_as_the_table_says(tars: Bench, based: str) -> None:
    crane("flatten", f"{based}:based", "-t", f"{based}:crane")
    edit(tars, "flatten", f"{based}:based", "-t", f"{based}:ours")
    [theirs], [ours] = (images(pull(tars, f"{based}:{who}")) for who in ("crane", "ours"))
    left = differing("flatten", ours, theirs)
    assert left.pop("diff_ids")
    assert left == {}
    assert needless("flatten", ours, theirs) == []
    assert listing(ours) == listing(theirs)
    assert validate(ours) == []


# Whole indexes: each platform of ours is what crane makes of it alone


@pytest.fixture
def index(tars: Bench, repository: str) -> str:
    """An index of two platforms, in a registry, of images that crane made."""
    name = f"{repository}:index"
    parts = []
    for number, platform in enumerate(("linux/amd64", "linux/arm64")):
        part = f"{repository}:part-{number}"
        crane("append", "-f", "one.tar.gz", "-t", part, "--oci-empty-base")
        crane("mutate", part, "--set-platform", platform, "-l", f"for={platform}")
        parts += ["-m", part]
    crane("index", "append", *parts, "-t", name)
    return name


def test_every_platform_is_what_crane_makes_of_it_alone(tars: Bench, index: str) -> None:
    words = ("-l", "x=y", "--entrypoint", "/bin/x", "-u", "7")
    edit(tars, "mutate", index, *words, "-t", f"{index}-ours")
    ours = pull(tars, f"{index}-ours")
    for platform, image in zip(("linux/amd64", "linux/arm64"), images(ours), strict=True):
        theirs = crane("mutate", index, "--platform", platform, *words, "-t", f"{index}-crane")
        assert digest_of(theirs) == derive.digest(image)
    assert derive.index_manifest(ours).media_type == mediatype.INDEX  # type: ignore[arg-type]


def test_an_index_is_flattened_as_crane_does(tars: Bench, index: str) -> None:
    crane("flatten", index, "-t", f"{index}-crane")
    edit(tars, "flatten", index, "-t", f"{index}-ours")
    theirs, ours = (pull(tars, f"{index}-{who}") for who in ("crane", "ours"))
    for own, other in zip(images(ours), images(theirs), strict=True):
        assert set(differing("flatten", own, other)) <= {"diff_ids"}
        assert listing(own) == listing(other)


def test_a_layout_gives_the_digest_that_a_registry_gives(tars: Bench, index: str) -> None:
    pushed = edit(tars, "mutate", index, "-l", "x=y", "-t", f"{index}-ours")
    crane("pull", index, "layout", "--format", "oci")
    written = tars.edit("mutate", "layout", "-l", "x=y")
    assert digest_of(pushed) == derive.digest(written)


def test_a_tag_keeps_its_other_platforms(tars: Bench, index: str) -> None:
    code, out, err = tars.run("mutate", index, "-l", "x=y", "--platform", "arm64")
    assert (code, out) == (2, "")
    assert "has more platforms, which it would lose" in err
    before = crane("digest", index)
    repository = index.rpartition(":")[0]
    ours = edit(tars, "mutate", f"{repository}@{before}", "-l", "x=y", "--platform", "arm64")
    theirs = crane("mutate", index, "-l", "x=y", "--platform", "linux/arm64", "--repo", repository)
    assert digest_of(ours) == digest_of(theirs)
    assert crane("digest", index) == before
