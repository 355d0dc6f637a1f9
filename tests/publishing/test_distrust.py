"""Neither a lock nor a registry makes one image pass for another."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from functools import partial

import deflate
import msgspec
import pytest

from imagist.build.formats.apk.apk import ApkFormat
from imagist.build.memory import FACTS, TAG, read_memory
from imagist.digest import sha256
from imagist.net.environment import Environment
from imagist.net.transport import HttpTransport
from imagist.oci import derive
from imagist.oci.derive import BlobLayer, MemoryImage
from imagist.oci.image import Image
from imagist.oci.manifest import encode
from imagist.oci.mutate import describe_layer
from imagist.oci.reference import parse_reference
from imagist.packages.apk.archive import ApkFiles
from imagist.packages.apk.packed import FORMAT
from imagist.registry.client import Registries
from imagist.registry.push import push_image
from imagist.registry.source import load_image
from publishing.conftest import NAMES, Yard
from support import needs

pytestmark = needs("registry")


def stated(yard: Yard) -> dict[str, dict[str, str]]:
    lock = json.loads((yard.folder / "image.lock.json").read_text())
    return {image["platform"]: image for image in lock["images"]}


def test_a_lock_cannot_name_an_older_image(yard: Yard) -> None:
    machine = yard.machine()
    machine.ok("lock", "image.yaml")
    machine.ok("build", "image.lock.json", "-t", yard.name)
    old = stated(yard)
    yard.offer(replace(yard.packages["large0"], version="2.0-r0"))
    machine.ok("lock", "image.yaml")
    path = yard.folder / "image.lock.json"
    text = path.read_text()
    for platform, image in stated(yard).items():
        text = text.replace(image["digest"], old[platform]["digest"])
    path.write_text(text)
    answer = yard.machine().run("build", "image.lock.json", "-t", yard.name)
    assert answer.code == 3
    assert "where the lock states" in answer.err


def connect() -> Registries:
    return Registries(HttpTransport(Environment(), anonymous=True))


def forge(yard: Yard, facts: bytes) -> None:
    """Replace the facts of the memory by others."""
    registries = connect()
    place = parse_reference(f"{yard.registry}/team/app:{TAG}")
    memory = load_image(registries, place)
    assert isinstance(memory, Image)
    layer = BlobLayer(sha256(facts), "", len(facts), FACTS, partial(io.BytesIO, facts))
    layers = (layer, *(each for each in memory.layers if each.media_type != FACTS))
    document = derive.manifest(memory)
    manifest = msgspec.structs.replace(document, layers=tuple(map(describe_layer, layers)))
    push_image(registries, MemoryImage(encode(manifest), memory.raw_config, layers), [place])


def packed(packages: list[tuple[str, str, str, bytes]], form: str = FORMAT) -> bytes:
    return bytes(deflate.gzip_compress(msgspec.msgpack.encode([form, packages]), 1))


def lie(yard: Yard, kind: str) -> bytes:
    """Facts that are wrong in some way, but for the packages that are known to be right."""
    memory = load_image(connect(), parse_reference(f"{yard.registry}/team/app:{TAG}"))
    assert isinstance(memory, Image)
    known = read_memory(memory, ApkFormat())
    rows = []
    for identity, files in known.items():
        first = files.entries[-1]
        entries = {
            "mode": (*files.entries[:-1], msgspec.structs.replace(first, mode=0o4777)),
            "path": (*files.entries[:-1], msgspec.structs.replace(first, path="../../etc/x")),
            "place": (*files.entries[:-1], msgspec.structs.replace(first, offset=7)),
            "less": files.entries[:-1],
        }.get(kind, files.entries)
        assert isinstance(files, ApkFiles)
        changed = msgspec.structs.replace(files, entries=entries)
        rows.append((*identity, ApkFormat().encode(changed)))
    return packed(rows)


@pytest.mark.parametrize(
    "kind", ["mode", "path", "place", "less", "garbage", "old", "odd", "empty", "bomb"]
)
def test_a_memory_that_lies_changes_nothing(yard: Yard, kind: str) -> None:
    first = yard.machine()
    first.ok("lock", "image.yaml")
    first.ok("build", "image.lock.json", "-t", yard.name)
    yard.offer(replace(yard.packages["small1"], version="2.0-r0"))
    first.ok("lock", "image.yaml")
    facts = {
        "garbage": b"garbage",
        "old": packed([], "package-files/1"),
        "odd": packed([("a", "b", "c", b"\x93\x01\x02")]),
        "empty": packed([]),
        "bomb": bytes(deflate.gzip_compress(b"\0" * (1 << 26), 1)) * 20,
    }.get(kind) or lie(yard, kind)
    forge(yard, facts)
    yard.log()
    cold = yard.machine()
    answer = cold.run("build", "image.lock.json", "-t", yard.name)
    assert answer.code == 0, answer.err
    lock = json.loads((yard.folder / "image.lock.json").read_text())
    assert answer.out == f"{yard.name}@{lock['index']['digest']}\n"
    assert len([name for name in yard.log() if name.endswith(".apk")]) == len(NAMES)
    cold.ok("cache", "verify")
    # And then the memory is a good one again.
    assert yard.machine().ok("build", "image.lock.json", "-t", yard.name) == answer.out
    assert yard.log() == []
