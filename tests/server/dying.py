"""A registry that dies at its n-th step, for every n; run as a process of its own, which may fork.

`python dying.py FOLDER WORK`: for each n, a child does the work on a store of its own and ends
without a word before its n-th change to the disk. Then whatever is served must be whole, and the
work can be done again.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imagist.digest import sha256
from imagist.server.access import Access
from imagist.server.metrics import Metrics
from imagist.server.registry import Policy, Registry
from imagist.store.blobs import Blobs
from imagist.store.prune import prune
from imagist.store.repositories import Repositories
from imagist.store.store import Store
from imagist.store.upkeep import remove_damaged
from server.asking import Direct, describe, image_of

CONFIG = b"{}"
STEPS = ("open", "write", "replace", "unlink", "makedirs", "fchmod", "close", "utime")
_DIED = 9


def open_registry(folder: Path) -> Direct:
    blobs = Blobs(folder)
    blobs.make_folders()
    (folder / "images").mkdir(exist_ok=True)
    return Direct(Registry(Repositories(blobs), Policy(Access()), Metrics()))


def push(ask: Direct) -> None:
    """An image, its referrer, a tag that moves, and a blob in chunks."""
    ask.put_image("team/app", "1", b"first")
    first = ask("GET", "/v2/team/app/manifests/1")
    ask.put_blob("team/app", CONFIG)
    subject = describe(first.body, first.headers["content-type"])
    ask.put_manifest("team/app", "about", image_of(CONFIG, subject=subject))
    place = ask("POST", "/v2/team/app/blobs/uploads/").headers["location"]
    ask("PATCH", place, b"sec")
    assert ask("PUT", f"{place}?digest={sha256(b'second')}", b"ond").status == 201
    ask.put_image("team/app", "1", b"second")


def delete(ask: Direct) -> None:
    """Everything that was pushed."""
    for tag in ("about", "1"):
        digest = ask("HEAD", f"/v2/team/app/manifests/{tag}").headers.get("docker-content-digest")
        if digest:
            ask("DELETE", f"/v2/team/app/manifests/{digest}")
    ask("DELETE", f"/v2/team/app/blobs/{sha256(b'second')}")


def collect(folder: Path) -> None:
    with Store.open(folder) as store:
        for path in folder.glob("repositories/team/app/_blobs/*/*"):
            os.utime(path, (1, 1))
        prune(store)


def check(ask: Direct, *, may_lack_blobs: bool = False) -> None:
    """What is listed is there, whole."""
    listed = ask("GET", "/v2/team/app/tags/list")
    for tag in listed.json["tags"] if listed.status == 200 else []:
        manifest = ask("GET", f"/v2/team/app/manifests/{tag}")
        assert manifest.status == 200, (tag, manifest)
        assert sha256(manifest.body) == manifest.headers["docker-content-digest"]
        for blob in (manifest.json["config"], *manifest.json["layers"]):
            answer = ask("GET", f"/v2/team/app/blobs/{blob['digest']}")
            assert may_lack_blobs or answer.status == 200, answer
            assert answer.status != 200 or sha256(answer.body) == blob["digest"]
        referrers = ask("GET", f"/v2/team/app/referrers/{sha256(manifest.body)}").json
        for item in referrers["manifests"]:
            assert ask("GET", f"/v2/team/app/manifests/{item['digest']}").status == 200


def die_before(step: int) -> None:
    """End the process before its n-th change to the disk, as a kill does."""
    left = [step]

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os._exit(_DIED)
            return function(*arguments, **named)

        return counted

    for name in STEPS:
        setattr(os, name, wrap(getattr(os, name)))


def run(folder: Path, work: str) -> int:
    """All of it; the number of steps."""
    prepared = folder / "prepared"
    ask = open_registry(prepared)
    if work != "push":
        push(ask)
    if work == "prune":
        ask("DELETE", "/v2/team/app/manifests/about")
    step = 0
    while True:
        root = folder / "store"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(prepared, root)
        child = os.fork()
        if not child:
            own = open_registry(root)
            die_before(step)
            collect(root) if work == "prune" else {"push": push, "delete": delete}[work](own)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in {0, _DIED}, f"step {step}: {code}"
        ask = open_registry(root)
        check(ask, may_lack_blobs=work == "delete")
        with Store.open(root) as store:
            prune(store)
        check(ask, may_lack_blobs=work == "delete")
        push(ask)
        check(ask)
        with Store.open(root) as store:
            assert remove_damaged(store).blobs == []
        if code == 0:
            return step
        step += 1


if __name__ == "__main__":
    sys.stdout.write(f"{run(Path(sys.argv[1]), sys.argv[2])}\n")
