"""Labels, annotations and what a runtime does, on every platform."""

from __future__ import annotations

import json
from typing import Any

import pytest

from editing.bench import Bench, config, images, manifest
from imagist.digest import sha256
from imagist.editing.configure import Settings, configure
from imagist.errors import InputError, RequestError
from imagist.oci import derive, mediatype
from imagist.oci.derive import MemoryImage
from imagist.oci.empty import EMPTY_IMAGE
from imagist.oci.manifest import Manifest, describe, encode
from imagist.oci.mutate import annotate_image, make_index, set_config
from imagist.oci.platform import Platform
from imagist.oci.random import AMD64, random_image, random_index
from imagist.oci.validate import validate

FULL = {
    "User": "7",
    "Env": ["PATH=/bin", "A=1", "B=2", "A=3"],
    "Entrypoint": ["/bin/x"],
    "Cmd": ["y"],
    "WorkingDir": "/w",
    "Labels": {"b": "2", "a": "1"},
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/data": {}},
    "StopSignal": "SIGINT",
    "OnBuild": ["RUN x"],
}


def changed(**settings: Any) -> dict[str, Any]:
    """The members that settings change, after the change; None: removed."""
    image = set_config(EMPTY_IMAGE, {"config": FULL})
    after = config(configure(image, Settings(**settings)))["config"]
    names = [*FULL, *(name for name in after if name not in FULL)]
    return {name: after.get(name) for name in names if after.get(name) != FULL.get(name)}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"user": "app:app"}, {"User": "app:app"}),
        ({"workdir": "/x"}, {"WorkingDir": "/x"}),
        ({"entrypoint": ["/z"]}, {"Entrypoint": ["/z"], "Cmd": None}),
        ({"entrypoint": ["/z"], "cmd": ["q"]}, {"Entrypoint": ["/z"], "Cmd": ["q"]}),
        ({"cmd": ["q", "r"]}, {"Cmd": ["q", "r"]}),
        ({"labels": {"c": "", "a": "9"}}, {"Labels": {"a": "9", "b": "2", "c": ""}}),
        ({"removed_labels": ["a", "zz"]}, {"Labels": {"b": "2"}}),
        ({"removed_labels": ["a", "b"]}, {"Labels": None}),
        ({"removed_labels": ["a"], "labels": {"a": "new"}}, {"Labels": {"a": "new", "b": "2"}}),
        ({"env": {"A": "9", "C": "x=y"}}, {"Env": ["PATH=/bin", "A=9", "B=2", "C=x=y"]}),
        ({"removed_env": ["A", "Q"]}, {"Env": ["PATH=/bin", "B=2"]}),
        ({"removed_env": ["PATH", "A", "B"]}, {"Env": None}),
        ({"exposed_ports": ["90", "53/udp"]}, {"ExposedPorts": {"53/udp": {}, "90": {}}}),
        ({"cleared": ["cmd", "user"]}, {"Cmd": None, "User": None}),
        ({"cleared": ["entrypoint"], "cmd": ["only"]}, {"Entrypoint": None, "Cmd": ["only"]}),
        (
            {"cleared": ["exposed-ports", "volumes", "workdir", "stop-signal", "healthcheck"]},
            {"ExposedPorts": None, "Volumes": None, "WorkingDir": None, "StopSignal": None},
        ),
    ],
)
def test_settings_change_what_they_say_and_nothing_else(
    settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert changed(**settings) == expected


def test_nothing_to_change_is_the_same_image() -> None:
    image = random_image(1)
    assert configure(image, Settings()) is image


def test_what_an_image_says_already_changes_no_byte_of_it() -> None:
    image = set_config(random_image(1), {"config": FULL, "x": 1})
    image = annotate_image(image, {"a": "b", "c": "d"})
    config_ = json.dumps(json.loads(image.raw_config), indent=5).encode()
    document = json.loads(image.raw_manifest)
    document["config"] |= {"digest": str(sha256(config_)), "size": len(config_)}
    document["annotations"] = {"c": "d", "a": "b"}
    foreign = MemoryImage(json.dumps(document, indent=3).encode(), config_, image.layers)
    same = Settings(
        labels={"a": "1"}, env={"B": "2"}, user="7", annotations={"a": "b"}, removed_labels=["zz"]
    )
    edited = configure(foreign, same)
    assert (edited.raw_manifest, edited.raw_config) == (foreign.raw_manifest, config_)
    assert configure(foreign, Settings(user="8")).raw_config != config_


def test_annotations_leave_the_configuration_alone_even_of_artifacts() -> None:
    raw = b'{"any": "thing"}'
    document = Manifest(schema_version=2, config=describe(raw, mediatype.EMPTY))
    artifact = MemoryImage(encode(document), raw)
    new = configure(artifact, Settings(annotations={"b": "1", "a": "2"}))
    assert new.raw_config == raw
    assert manifest(new)["annotations"] == {"a": "2", "b": "1"}
    less = configure(new, Settings(removed_annotations=["a", "b"]))
    assert less.raw_manifest == artifact.raw_manifest
    with pytest.raises(InputError, match="artifact"):
        configure(artifact, Settings(user="7"))


@pytest.mark.parametrize("port", ["", "http", "80/", "80/icmp", "-1", "80-", "123456", "80 "])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(RequestError, match="is no port"):
        configure(random_image(1), Settings(exposed_ports=[port]))


# The command


def test_every_platform_and_the_index_itself(bench: Bench) -> None:
    base = random_index(1)
    edited = bench.edit(
        *("mutate", bench.write(base), "-l", "a=1", "-a", "note=x", "-e", "X=1", "-u", "9"),
        *("--entrypoint", "/bin/sh,-c", "--exposed-ports", "80"),
    )
    assert validate(edited) == []
    assert manifest(edited)["annotations"] == {"note": "x"}
    for old, new in zip(images(base), images(edited), strict=True):
        assert manifest(new)["annotations"] == {"note": "x"}
        assert config(new)["config"] == {
            "Entrypoint": ["/bin/sh", "-c"], "Env": ["X=1"], "Labels": {"a": "1"},
            "User": "9", "ExposedPorts": {"80": {}},
        }  # fmt: skip
        assert config(new)["history"] == config(old)["history"]
        assert [x.digest for x in new.layers] == [x.digest for x in old.layers]
    undone = bench.edit(
        *("mutate", bench.write(edited, "again"), "--remove-label", "a", "--remove-env", "X"),
        *("--remove-annotation", "note", "--clear", "entrypoint,user", "--clear", "exposed-ports"),
    )
    assert [config(each) for each in images(undone)] == [config(each) for each in images(base)]
    assert "annotations" not in manifest(undone)


def test_another_platform_changes_the_descriptor_too(bench: Bench) -> None:
    name = bench.write(make_index([(AMD64, random_image(1))]))
    edited = bench.edit("mutate", name, "--set-platform", "linux/arm/v6:7")
    [item] = manifest(edited)["manifests"]
    assert item["platform"] == {
        "architecture": "arm", "os": "linux", "os.version": "7", "variant": "v6",
    }  # fmt: skip
    assert [p for p, _ in derive.images(edited)] == [Platform("arm", "linux", "7", (), "v6")]  # type: ignore[arg-type]
    assert validate(edited) == []
    two = bench.write(random_index(1), "two")
    assert "--platform" in bench.fails("mutate", two, "--set-platform", "linux/arm64")
    one = bench.edit("mutate", two, "--set-platform", "linux/s390x", "--platform", "amd64")
    assert config(images(one)[0])["architecture"] == "s390x"


def test_several_labels_by_comma_as_crane_takes_them(bench: Bench) -> None:
    name = bench.write(random_image(1))
    words = ["-l", "a=1,b=2", "-l", "c=x,y", "-l", "url=http://x/?q=1,2", "-l", '"d=4,5",e=6']
    [found] = images(bench.edit("mutate", name, *words))
    assert config(found)["config"]["Labels"] == {
        "a": "1", "b": "2", "c": "x,y", "url": "http://x/?q=1,2", "d": "4,5", "e": "6",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing is to be changed"),
        (["-l", "novalue"], "--label takes KEY=VALUE, not `novalue`"),
        (["-l", "=x"], "--label"),
        (["-a", "novalue"], "--annotation"),
        (["-e", "novalue"], "--env takes NAME=VALUE"),
        (["-e", "=x"], "--env"),
        (["--set-platform", "linux"], "os/arch"),
        (["--set-platform", "linux//v7"], "os/arch"),
        (["--clear", "labels"], "`labels` cannot be cleared"),
        (["--exposed-ports", "http"], "is no port"),
        (["-u", "7", "--repo", "r.example/x", "-t", "y.example/z"], "leave out -t and -o"),
        (["--entrypoint", '"unclosed'], "by comma"),
        (["--append", "missing.tar"], "missing.tar"),
        (["-l", "a=\udc80"], "`\\udc80` is not UTF-8"),
        (["-a", "\udc80=a"], "is not UTF-8"),
        (["-u", "\udc80"], "is not UTF-8"),
        (["--set-platform", "linux/\udc80"], "is not UTF-8"),
    ],
)
def test_what_makes_no_sense_is_refused(bench: Bench, words: list[str], message: str) -> None:
    assert message in bench.fails("mutate", bench.write(random_image(1)), *words)
