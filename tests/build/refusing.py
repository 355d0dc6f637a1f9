"""How tests of refusals build hostile repositories, and check that nothing is left behind."""

from __future__ import annotations

from collections.abc import Mapping

from build.commandline import Answer
from build.conftest import Workshop
from fixtures import corrupt
from fixtures.maker import (
    Apk,
    Built,
    Item,
    build_apk,
    file,
    load_key,
)
from imagist.store.store import Store
from imagist.store.upkeep import Damage, remove_damaged

ARCH = "x86_64"
KEY = load_key()
REQUEST, INPUT, NETWORK = 2, 3, 4


def repository(
    workshop: Workshop,
    packages: list[Built],
    *,
    served: Mapping[str, bytes] | None = None,
    index: bytes | None = None,
) -> None:
    """Replace `repo` by one of these packages, where `served` says what files really hold."""
    folder = workshop.folder / "repo" / ARCH
    for old in folder.iterdir():
        old.unlink()
    for built in packages:
        (folder / built.filename).write_bytes((served or {}).get(built.apk.name, built.blob))
    blob = corrupt.index_of(packages, KEY) if index is None else index
    (folder / "APKINDEX.tar.gz").write_bytes(blob)


def make(name: str, *items: Item, **more: object) -> Built:
    content = (
        [file(f"usr/share/{name}", name * 500)] if not items and "data" not in more else items
    )
    return build_apk(Apk(name, items=content, **more), ARCH)  # type: ignore[arg-type]


def refused(
    workshop: Workshop,
    code: int,
    *words: str,
    name: str = "image.yaml",
    flags: tuple[str, ...] = (),
    output: str = "out.tar",
    spared: tuple[Built, ...] = (),
    helpless: bool = False,
) -> Answer:
    """Build, which must fail: with this code, a message with these words, and no traces."""
    before = {path.name for path in workshop.folder.iterdir()} | {"store"}
    answer = workshop.run("build", name, "-o", output, *flags)
    assert answer.code == code, answer
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.err
    for word in words:
        assert word in answer.err, answer.err
    assert helpless or "help: " in answer.err, answer.err
    assert {path.name for path in workshop.folder.iterdir()} <= before
    check_store(workshop, spared)
    return answer


def check_store(workshop: Workshop, refused_packages: tuple[Built, ...] = ()) -> None:
    """Whatever is in the store is whole; of refused packages nothing is."""
    if not workshop.store.exists():
        return
    store = Store.open(workshop.store)
    assert not list((workshop.store / "tmp").iterdir())
    assert remove_damaged(store) == Damage([], 0)
    for built in refused_packages:
        assert not store.has(f"sha256:{built.datahash}")
