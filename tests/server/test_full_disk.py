"""A disk that is full ends what cannot go on, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from build.smalldisk import Disk
from fixtures.serving import serving
from imagist.cli.main import main
from imagist.digest import sha256
from imagist.oci.random import random_image
from imagist.server.access import Access
from imagist.server.metrics import Metrics
from imagist.server.registry import Policy, Registry
from imagist.store.blobs import Blobs
from imagist.store.layout import write_layout
from imagist.store.repositories import Repositories
from server.asking import Asker, Direct

UPLOADS = "/v2/team/app/blobs/uploads/"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A file system of four mebibytes."""
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk")
    if not disk.mount(4 << 20):
        pytest.skip("needs to mount a tmpfs, which is not allowed here")
    yield disk
    disk.unmount()


@pytest.fixture
def ask(disk: Disk) -> Direct:
    blobs = Blobs(disk.folder / "store")
    blobs.make_folders()
    return Direct(Registry(Repositories(blobs), Policy(Access()), Metrics()))


@pytest.mark.parametrize("way", ["PUT", "PATCH", "POST"])
def test_a_blob_that_does_not_fit(disk: Disk, ask: Direct, way: str) -> None:
    kept = ask.put_image("team/app", "1", b"layer" * 1000)
    data = os.urandom(5 << 20)
    pieces = iter([data[n : n + (1 << 20)] for n in range(0, len(data), 1 << 20)])
    if way == "POST":
        answer = ask("POST", f"{UPLOADS}?digest={sha256(data)}", pieces)
    else:
        place = ask("POST", UPLOADS).headers["location"]
        answer = ask(way, f"{place}?digest={sha256(data)}", pieces)
    assert answer.status == 507
    assert "no space is left" in answer.json["errors"][0]["message"]
    assert not list(disk.folder.rglob("_uploads/*"))
    assert ask("HEAD", f"/v2/team/app/manifests/{kept}").status == 200
    ask.put_image("team/app", "2", data[: 1 << 20])


def test_it_is_told_to_the_client_and_in_the_log(
    disk: Disk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_layout(random_image(4, layers=1, size=5 << 20), tmp_path / "layout")
    with serving(disk.folder / "store") as registry:
        assert main(["push", str(tmp_path / "layout"), f"{registry.address}/team/app:1"]) == 4
        told = capsys.readouterr().err
        with Asker(registry.address) as ask:
            ask("GET", "/v2/")  # which is logged after the push
        [line] = [line for line in registry.requests() if line["status"] == 507]
    assert "507: UNKNOWN no space is left for" in told
    assert "whoever runs the registry" in told
    assert (line["method"], "No space left" in line["error"]) == ("PUT", True)


def test_a_manifest_that_does_not_fit(disk: Disk, ask: Direct) -> None:
    kept = ask.put_image("team/app", "1", b"layer")
    filler = disk.folder / "filler"
    disk.fill(filler)
    raw = b'{"mediaType": "application/x+json", "x": "' + b"x" * 100_000 + b'"}'
    answer = ask("PUT", "/v2/team/app/manifests/1", raw)
    assert answer.status == 507
    assert ask("HEAD", "/v2/team/app/manifests/1").headers["docker-content-digest"] == kept
    assert not list(disk.folder.glob("store/tmp/*"))
    filler.unlink()
    assert ask("PUT", "/v2/team/app/manifests/1", raw).status == 201
