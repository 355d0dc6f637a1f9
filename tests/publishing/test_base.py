"""Base images that lie in a registry."""

from __future__ import annotations

import json
from dataclasses import replace

from publishing.conftest import Machine, Yard
from support import needs

pytestmark = needs("registry", "crane")


def put_base(yard: Yard, machine: Machine, version: str = "1.0-r0") -> str:
    """Push an image of some packages as `base:1`; return its digest."""
    yard.offer(replace(yard.packages["large0"], version=version))
    (yard.folder / "base.yaml").write_text(
        (yard.folder / "image.yaml").read_text().replace("large3, ", "").replace("app", "base")
    )
    answer = machine.ok("build", "base.yaml", "-t", f"{yard.registry}/base:1")
    return answer.strip().partition("@")[2]


def build_upon(yard: Yard, image: str, archs: str = "amd64, arm64") -> None:
    (yard.folder / "upper.yaml").write_text(
        f"contents:\n  repositories: ['{yard.web.url}/repo']\n  keyring: [demo-test-only.rsa.pub]\n"
        f"  baseimage: {{image: '{image}'}}\n  packages: [large3]\narchs: [{archs}]\n"
    )


def layers(machine: Machine, name: str) -> list[str]:
    document = json.loads(machine.ok("inspect", name, "--json", "--platform", "amd64"))
    return [layer["digest"] for layer in document["images"][0]["layers"]]


def test_an_image_is_built_upon_one_of_a_registry(yard: Yard) -> None:
    machine = yard.machine()
    base = f"{yard.registry}/base:1"
    put_base(yard, machine)
    build_upon(yard, base)
    cold = yard.machine()
    upper = f"{yard.registry}/team/upper:1"
    pushed = cold.ok("build", "upper.yaml", "-t", upper)
    below = layers(machine, base)
    assert layers(machine, upper)[: len(below)] == below
    assert len(layers(machine, upper)) == len(below) + 2
    found = json.loads(cold.ok("inspect", upper, "--json", "--platform", "amd64"))
    noted = found["images"][0]["annotations"]
    assert noted["org.opencontainers.image.base.name"] == base
    stated = cold.ok("digest", base).strip()  # of what the name names
    assert noted["org.opencontainers.image.base.digest"] == stated
    assert cold.ok("build", "upper.yaml", "-t", upper) == pushed
    assert cold.run("validate", upper).code == 0


def test_a_lock_holds_a_tag_to_what_it_named(yard: Yard) -> None:
    machine = yard.machine()
    old = put_base(yard, machine)
    build_upon(yard, f"{yard.registry}/base:1")
    machine.ok("lock", "upper.yaml")
    lock = json.loads((yard.folder / "upper.lock.json").read_text())
    assert lock["base"] == {"name": f"{yard.registry}/base:1", "digest": old}
    free = machine.ok("build", "upper.yaml")
    assert machine.ok("build", "upper.lock.json") == free
    assert machine.run("lock", "upper.yaml", "--check").code == 0

    new = put_base(yard, machine, "2.0-r0")
    assert new != old
    checked = machine.run("lock", "upper.yaml", "--check")
    assert checked.code == 1
    assert f"the base image {yard.registry}/base:1 is now {new}" in checked.err
    assert machine.ok("build", "upper.yaml") != free  # though the command line is the same
    assert machine.ok("build", "upper.lock.json") == free
    assert yard.machine().ok("build", "upper.lock.json") == free


def test_a_base_that_is_not_there(yard: Yard) -> None:
    machine = yard.machine()
    build_upon(yard, f"{yard.registry}/base:1")
    answer = machine.run("build", "upper.yaml")
    assert answer.code == 3, answer.err
    assert f"{yard.registry}/base:1" in answer.err or "/v2/base/manifests/1" in answer.err


def test_a_base_without_the_platform(yard: Yard) -> None:
    machine = yard.machine()
    put_base(yard, machine)
    build_upon(yard, f"{yard.registry}/base:1", "riscv64")
    answer = machine.run("build", "upper.yaml")
    assert answer.code == 3
    assert "has nothing for linux/riscv64; it has linux/amd64, linux/arm64" in answer.err


def test_offline_a_base_must_be_in_the_store(yard: Yard) -> None:
    machine = yard.machine()
    digest = put_base(yard, machine)
    build_upon(yard, f"{yard.registry}/base@{digest}")
    built = machine.ok("build", "upper.yaml")
    assert machine.ok("build", "upper.yaml", "--offline") == built
    assert yard.machine().run("build", "upper.yaml", "--offline").code == 2


def test_offline_a_tag_names_what_it_last_named(yard: Yard) -> None:
    machine = yard.machine()
    put_base(yard, machine)
    build_upon(yard, f"{yard.registry}/base:1", "amd64")
    machine = yard.machine()  # which has nothing of the base but what building upon it needs
    built = machine.ok("build", "upper.yaml")
    declaration = yard.folder / "upper.yaml"
    declaration.write_text(declaration.read_text() + "labels: {a: b}\n")
    offline = machine.ok("build", "upper.yaml", "--offline")  # not from memory: it has changed
    assert offline != built
    assert layers(machine, offline.strip()) == layers(machine, built.strip())
    assert machine.ok("build", "upper.yaml") == offline
    answer = yard.machine().run("build", "upper.yaml", "--offline")
    assert answer.code == 2
    assert "is not in the store, and --offline forbids to ask for it" in answer.err
