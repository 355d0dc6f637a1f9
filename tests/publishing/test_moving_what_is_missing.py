"""Digests before bytes: what the registry has is neither built, nor fetched, nor sent."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from publishing.conftest import NAMES, Yard
from support import needs

pytestmark = needs("registry")


def test_with_a_lock_and_a_warm_registry_nothing_of_a_package_moves(yard: Yard) -> None:
    first = yard.machine()
    first.ok("lock", "image.yaml")
    pushed = first.ok("build", "image.lock.json", "-t", yard.name)
    yard.log()

    assert yard.machine().ok("build", "image.lock.json", "-t", yard.name) == pushed
    assert yard.machine().ok("apply", "image.lock.json", "-t", yard.name) == pushed
    other = yard.name.replace(":1", ":2")
    assert yard.machine().ok("build", "image.lock.json", "-t", other) == pushed.replace(
        ":1@", ":2@"
    )
    assert yard.log() == []


@pytest.mark.parametrize("changed", ["large2", "small3", "base-files"])
def test_with_one_package_changed_that_package_alone_is_fetched(yard: Yard, changed: str) -> None:
    first = yard.machine()
    first.ok("lock", "image.yaml")
    first.ok("build", "image.lock.json", "-t", yard.name)
    yard.offer(replace(yard.packages[changed], version="2.0-r0"))
    first.ok("lock", "image.yaml", "--update", changed)
    stated = json.loads((yard.folder / "image.lock.json").read_text())["index"]["digest"]
    yard.log()

    cold = yard.machine()
    plan = json.loads(cold.ok("plan", "image.lock.json", "-t", yard.name, "--json"))
    assert plan["digest"] == stated
    assert yard.log() == []  # what the lock states is not built
    assert cold.ok("build", "image.lock.json", "-t", yard.name) == f"{yard.name}@{stated}\n"
    fetched = yard.log()
    assert fetched == [f"{changed}-{yard.packages[changed].version}.apk"]

    # The plan has told exactly what was missing.
    [shipment] = plan["references"]
    kinds = {blob["what"] for blob in shipment["blobs"]}
    assert "configuration" in kinds
    assert len(shipment["blobs"]) < 2 * (len(NAMES) + 2)


def test_a_plan_tells_exactly_what_moves(yard: Yard) -> None:
    machine = yard.machine()
    machine.ok("lock", "image.yaml")
    machine.ok("build", "image.lock.json", "-t", yard.name)
    before = yard.blobs()
    yard.offer(replace(yard.packages["large1"], version="2.0-r0"))
    machine.ok("lock", "image.yaml")

    for asked in (yard.machine(), machine):  # from the lock, and from the store
        plan = json.loads(asked.ok("plan", "image.lock.json", "-t", yard.name, "--json"))
        [shipment] = plan["references"]
        missing = {blob["digest"] for blob in shipment["blobs"]}
        assert shipment["before"] != plan["digest"]
    assert machine.run("plan", "image.lock.json", "-t", yard.name, "--check").code == 1
    machine.ok("apply", "image.lock.json", "-t", yard.name)
    assert missing == {digest for digest in yard.blobs() - before if yard.is_of_image(digest)}

    answer = machine.run("plan", "image.lock.json", "-t", yard.name, "--check")
    assert (answer.code, answer.out) == (
        0, f"{yard.name}@{plan['digest']}\n  is there already\n",
    )  # fmt: skip


def test_without_a_lock_a_plan_builds_what_nobody_knows(yard: Yard) -> None:
    machine = yard.machine()
    answer = machine.ok("plan", "image.yaml", "-t", yard.name)
    digest = machine.ok("build", "image.yaml").strip()
    assert answer.startswith(f"{yard.name}@{digest}\n")
    assert answer.endswith("  the tag is new\n")
    assert f"{yard.name}@{digest}\n" == machine.ok("build", "image.yaml", "-t", yard.name)


def test_several_names_in_several_repositories(yard: Yard) -> None:
    machine = yard.machine()
    names = [yard.name, f"{yard.registry}/team/app:2", f"{yard.registry}/other:latest"]
    words = [word for name in names for word in ("-t", name)]
    lines = machine.ok("build", "image.yaml", *words).splitlines()
    assert [line.partition("@")[0] for line in lines] == names
    assert len({line.partition("@")[2] for line in lines}) == 1


@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_it_must_be_said_where_to(yard: Yard, verb: str) -> None:
    answer = yard.machine().run(verb, "image.yaml")
    assert answer.code == 2
    assert "add `-t registry/repository:tag`" in answer.err


def test_what_cannot_be_pushed_to_is_told_before_anything_is_built(yard: Yard) -> None:
    machine = yard.machine()
    for code, *words in (
        (2, "-t", yard.name, "--offline"),
        (2, "-t", f"{yard.name}@sha256:{'0' * 64}"),
        (2, "-t", "Team/App"),
        (4, "-t", "127.0.0.1:1/team/app"),
    ):
        answer = machine.run("build", "image.yaml", *map(str, words))
        assert answer.code == code, answer
    assert yard.log() == []
