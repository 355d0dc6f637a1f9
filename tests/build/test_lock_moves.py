"""Locking again, and `--update`: what moves, what stays, and what is said of it."""

from __future__ import annotations

import json
from typing import Any

from build.conftest import Workshop
from build.locking import lock, made, offer, own, read

OLD = (made("app", depends=["lib"]), made("lib"), made("free"), made("gone"))
NEW = (
    made("app", depends=["lib"]),
    made("app", "2.0-r0", depends=["lib>=2", "extra"]),
    made("lib"),
    made("lib", "2.0-r0"),
    made("free"),
    made("free", "3.0-r0"),
    made("extra"),
    made("gone"),
)


def versions(document: dict[str, Any]) -> dict[str, str]:
    return {
        each["name"]: each["version"]
        for each in document["contents"]["packages"]
        if each["architecture"] == "x86_64"
    }


def test_locking_again_takes_the_newest_and_says_what_moved(workshop: Workshop) -> None:
    offer(workshop, *OLD)
    own(workshop, "[app, free, gone]")
    lock(workshop)
    offer(workshop, *NEW)
    own(workshop, "[app, free]")
    answer = workshop.run("lock", "image.yaml")
    lines = [line for line in answer.err.splitlines() if line.split()[0] in {"added", "removed"}
             or "->" in line]  # fmt: skip
    assert lines == [
        "app 1.0-r0 -> 2.0-r0",
        "added extra 1.0-r0",
        "free 1.0-r0 -> 3.0-r0",
        "removed gone 1.0-r0",
        "lib 1.0-r0 -> 2.0-r0",
    ]


def test_an_update_moves_a_package_and_what_it_must_move(workshop: Workshop) -> None:
    offer(workshop, *OLD)
    own(workshop, "[app, free]")
    lock(workshop)
    offer(workshop, *NEW)
    answer = workshop.run("lock", "image.yaml", "--update", "app", "--json")
    document = json.loads(answer.out)
    assert [(m["name"], m["before"], m["after"]) for m in document["moved"]] == [
        ("app", "1.0-r0", "2.0-r0"),
        ("extra", None, "1.0-r0"),
        ("lib", "1.0-r0", "2.0-r0"),
    ]
    locked = read(workshop.folder / "image.lock.json")
    assert versions(locked)["free"] == "1.0-r0"
    assert document["digest"] == locked["index"]["digest"]
    assert workshop.build("image.lock.json") == document["digest"]


def test_an_update_of_nothing_new_moves_nothing(workshop: Workshop) -> None:
    offer(workshop, *OLD)
    own(workshop, "[app, free]")
    lock(workshop)
    before = (workshop.folder / "image.lock.json").read_bytes()
    offer(workshop, *NEW)
    # `lib` alone could move, and need not: its newest is taken all the same.
    moved = json.loads(workshop.run("lock", "image.yaml", "--update", "lib", "--json").out)
    assert [m["name"] for m in moved["moved"]] == ["lib"]
    offer(workshop, *OLD)
    lock(workshop)
    assert (workshop.folder / "image.lock.json").read_bytes() == before
    answer = workshop.run("lock", "image.yaml", "--update", "lib,free", "--json")
    assert json.loads(answer.out)["moved"] == []
    assert json.loads(answer.out)["changed"] is False


def test_an_update_keeps_the_lock_although_the_declaration_has_changed(workshop: Workshop) -> None:
    offer(workshop, *OLD)
    own(workshop, "[app, free]")
    lock(workshop)
    offer(workshop, *NEW)
    own(workshop, "[app, free, extra]")
    document = lock(workshop, "--update", "extra")
    expected = {"app": "1.0-r0", "lib": "1.0-r0", "free": "1.0-r0", "extra": "1.0-r0"}
    assert versions(document) == expected
    assert workshop.run("lock", "image.yaml", "--check").code == 1  # the indexes have moved


def test_an_update_may_name_what_a_package_provides(workshop: Workshop) -> None:
    offer(workshop, made("tool", provides=["cmd:do=1"]), made("free"))
    own(workshop, "[tool, free]")
    lock(workshop)
    tools = [made("tool", f"{n}.0-r0", provides=[f"cmd:do={n}"]) for n in (1, 2)]
    offer(workshop, *tools, made("free"), made("free", "3.0-r0"))
    assert versions(lock(workshop, "--update", "cmd:do")) == {"tool": "2.0-r0", "free": "1.0-r0"}


def test_an_update_of_what_is_not_there(workshop: Workshop) -> None:
    offer(workshop, *OLD)
    own(workshop, "[app, free]")
    answer = workshop.run("lock", "image.yaml", "--update", "app")
    assert answer.code == 2
    assert "no lock image.lock.json to update" in answer.err
    before = lock(workshop)
    answer = workshop.run("lock", "image.yaml", "--update", "frea,nothing")
    assert answer.code == 2
    assert "did you mean `free`?" in answer.err
    assert "`nothing`" in answer.err
    assert workshop.run("lock", "image.yaml", "--update", "app", "--check").code == 2
    assert read(workshop.folder / "image.lock.json") == before


def test_a_move_on_one_platform_says_which(workshop: Workshop) -> None:
    offer(workshop, made("one"), made("both"))
    own(workshop, "[both]")
    text = (workshop.folder / "image.yaml").read_text()
    lock(workshop)
    workshop.write(text.replace("archs:", "  platform_packages: {arm64: [one]}\narchs:"))
    assert "added one 1.0-r0 (aarch64)\n" in workshop.run("lock", "image.yaml").err


def test_locks_differ_only_where_a_package_does(workshop: Workshop) -> None:
    """An entry can be updated alone, and a reviewer sees nothing else."""
    offer(workshop, *OLD)
    own(workshop, "[app, free]", "[x86_64]")
    lock(workshop)
    before = (workshop.folder / "image.lock.json").read_text().splitlines()
    offer(workshop, *NEW)
    lock(workshop, "--update", "free")
    after = (workshop.folder / "image.lock.json").read_text().splitlines()
    assert len(before) == len(after)
    changed = [
        line.split(":")[0].strip() for line, new in zip(before, after, strict=True) if line != new
    ]
    assert changed[-1] == '"digest"'  # of the index
    assert set(changed[:-1]) <= {
        '"inputs"', '"url"', '"version"', '"range"', '"checksum"', '"digest"', '"size"', '"diff_id"',
    }  # fmt: skip
