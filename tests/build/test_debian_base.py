"""Images of Debian packages upon others: what the base has is kept, what is missing is added."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from build.conftest import Workshop
from fixtures.debfile import Deb
from fixtures.debmaker import Archive, Signer, write_archive
from fixtures.maker import file, symlink
from packages.deb.apt_oracle import Apt
from support import needs

FILES = Deb(
    "base-files", "13", [file("usr/lib/os-release", "ID=debian\n"), symlink("lib", "usr/lib")]
)
OLD = Deb("libold", "1.0-1", [file("usr/lib/libold.so", "1")])
VIRTUAL = Deb("small-awk", "1", [file("usr/bin/awk", "a")], fields={"Provides": "awk"})
UPPER = (
    Deb("libold", "2.0-1", [file("usr/lib/libold.so", "2")]),
    Deb("libnew", "1.0-1", [file("usr/lib/libnew.so", "n")], fields={"Breaks": "libold (<< 1)"}),
    Deb("best-awk", "9", [file("usr/bin/awk", "b")], fields={"Provides": "awk"}),
    Deb("app", "1", [file("usr/bin/app", "p")], fields={"Depends": "awk, libold, libnew"}),
    Deb("strict", "1", [file("usr/bin/strict", "s")], fields={"Depends": "libold (>= 2)"}),
    Deb("rival", "1", [file("usr/bin/rival", "r")], fields={"Conflicts": "small-awk"}),
)


def offer(folder: Path, *debs: Deb) -> None:
    signer = Signer()
    signer.write(folder / "key.asc")
    write_archive(folder / "archive", Archive({"main": debs}), [signer])


def declare(workshop: Workshop, packages: str, more: str = "", name: str = "image.yaml") -> str:
    return workshop.write(
        "contents:\n  repositories: ['deb ./archive trixie main']\n  keyring: [key.asc]\n"
        f"  packages: [{packages}]\n{more}archs: [amd64]\n",
        name,
    )


@pytest.fixture(params=["dpkg", "status.d"])
def based(workshop: Workshop, request: pytest.FixtureRequest) -> Workshop:
    """A base image `base`, with the database that is asked for."""
    offer(workshop.folder, FILES, OLD, VIRTUAL)
    declare(workshop, "libold, small-awk", f"  database: {request.param}\n", "base.yaml")
    workshop.build("base.yaml", "-o", "base")
    offer(workshop.folder, FILES, OLD, VIRTUAL, *UPPER)
    return workshop


def upon(workshop: Workshop, packages: str) -> str:
    return declare(workshop, packages, "  baseimage: {image: ./base}\n")


def added(workshop: Workshop) -> dict[str, str]:
    rows = json.loads(workshop.run("show", "packages", "image.yaml", "--json").out)
    return {row["name"]: row["version"] for row in rows}


def test_what_is_missing_is_added_and_the_rest_kept(based: Workshop) -> None:
    upon(based, "app")
    assert added(based) == {"libnew": "1.0-1", "app": "1"}
    digest = based.build("image.yaml")
    inspected = json.loads(based.run("inspect", digest, "--layers", "--json").out)
    below = json.loads(based.run("inspect", "base", "--layers", "--json").out)
    layers, under = (
        [layer["digest"] for layer in each["images"][0]["layers"]] for each in (inspected, below)
    )
    assert layers[: len(under)] == under
    assert based.run("export", digest, "-o", "root.tar").code == 0
    with tarfile.open(based.folder / "root.tar") as tar:
        files = {entry.name.removeprefix("./"): entry for entry in tar}
        for path, content in {"usr/lib/libold.so": b"1", "usr/bin/awk": b"a"}.items():
            stream = tar.extractfile(files[path])
            assert stream is not None
            assert stream.read() == content
        names = {path.rpartition("/")[2] for path in files if "status.d/" in path}
        if "var/lib/dpkg/status" in files:
            stream = tar.extractfile(files["var/lib/dpkg/status"])
            assert stream is not None
            stanzas = stream.read().decode().split("\n\n")
            names |= {stanza.split()[1] for stanza in stanzas if stanza.strip()}
    assert {"base-files", "libold", "small-awk", "libnew", "app"} <= names


@needs("apt-get")
def test_apt_adds_the_same(based: Workshop, tmp_path: Path) -> None:
    root = tmp_path / "apt"
    root.mkdir()
    assert based.run("export", "base", "-o", "base.tar").code == 0
    with tarfile.open(based.folder / "base.tar") as tar:
        texts = [
            stream.read().decode().strip()
            for entry in tar
            if "var/lib/dpkg/status" in entry.name and not entry.name.endswith(".md5sums")
            if (stream := tar.extractfile(entry)) is not None
        ]
    installed = [  # status.d has control files, which do not say that they are installed
        text if "Status:" in text else f"{text}\nStatus: install ok installed" for text in texts
    ]
    line = f"deb [trusted=yes] file:{based.folder}/archive trixie main"
    apt = Apt(root, [line], status="\n\n".join(installed) + "\n")
    assert apt.update() == ""
    for packages in ("app", "libnew", "best-awk, libnew", "libold"):
        upon(based, packages)
        assert added(based) == apt.install(*packages.split(", ")), packages


def test_why_and_graph_know_what_the_base_holds(based: Workshop) -> None:
    upon(based, "app")
    assert "base image" in based.run("why", "image.yaml", "libold").out
    why = based.run("why", "image.yaml", "libnew").out
    assert "app needs `libnew`: libnew-1.0-1" in why
    graph = json.loads(based.run("graph", "image.yaml", "--format", "json").out)
    assert "libnew" in json.dumps(graph)
    assert "app" in based.run("graph", "image.yaml", "--format", "dot").out


@pytest.mark.parametrize(
    ("packages", "says"),
    [
        ("strict", "strict-1 needs `libold (>= 2)`"),
        ("rival", "rival-1 conflicts with small-awk-1"),
        ("'!small-awk'", "small-awk"),
    ],
)
def test_what_a_base_holds_is_not_replaced(based: Workshop, packages: str, says: str) -> None:
    upon(based, packages)
    answer = based.run("build", "image.yaml")
    assert answer.code == 2
    assert says in answer.err
    assert "base image" in answer.err


def test_a_base_may_be_an_archive(based: Workshop) -> None:
    """It is read again when it is another one; what is nowhere is told with its place."""
    upon(based, "app")
    digest = based.build("image.yaml")
    assert based.run("copy", "base", "base.tar").code == 0
    declare(based, "app", "  baseimage: {image: base.tar}\n")
    assert based.build("image.yaml") == digest
    (based.folder / "base.tar").unlink()
    missing = based.run("build", "image.yaml")
    assert missing.code == 3
    assert "there is no base image base.tar" in missing.err
    assert "image.yaml:5:22" in missing.err
