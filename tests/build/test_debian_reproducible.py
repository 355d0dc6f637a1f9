"""Images of Debian packages are the same, whatever is around: of made archives and of real ones."""

from __future__ import annotations

import hashlib
import json
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from build.commandline import run
from build.surroundings import WAYS, Way
from fixtures.debdemo import demo_debs
from fixtures.debmaker import Archive, Signer, write_archive
from fixtures.mirror import Mirror
from fixtures.webserver import serve
from imagist.packages.deb.machine import Machine, complete
from imagist.packages.deb.sources import Source, parse_sources
from support import is_present

# No clock from before the signature was made, and none from when its key has expired.
LATER = Way(["--jobs", "3"], before=["faketime", "-f", "+100d5h6m7s"])
SURROUNDINGS = {name: way for name, way in WAYS.items() if not way.before} | {"later": LATER}

DECLARATION = """\
contents:
  repositories: ['{source}']
  keyring: ['{key}']
  packages: {packages}
accounts:
  users: [{{username: app, uid: 500}}]
files: [{{path: /opt/hello, content: hello}}]
"""


_PYTHON = f"python3.{sys.version_info.minor}"
DERIVED = {
    "etc/alternatives/vi",
    "etc/ld.so.cache",
    "etc/ssl/certs/ca-certificates.crt",
    "etc/ssl/certs/java/cacerts",
    f"usr/lib/{_PYTHON}/__pycache__/first.{sys.implementation.cache_tag}.pyc",
}
"""What an image has that no package brought."""


def build_in_all(
    root: Path, declaration: str, ways: Mapping[str, Way]
) -> dict[str, tuple[str, str]]:
    """Digest and hash of the archive for each way, each with a folder and an empty store."""
    found = {}
    for number, (name, way) in enumerate(ways.items()):
        if way.before and not is_present(way.before[0]):
            continue
        folder = root / ("sub/" * number + f"f{number}")
        folder.mkdir(parents=True)
        (folder / "image.yaml").write_text(declaration)
        done = way.build(folder, "image.yaml", "-o", "image.tar", "-t", "demo:1")
        assert done.returncode == 0, (name, done.stderr)
        hashed = hashlib.sha256((folder / "image.tar").read_bytes()).hexdigest()
        found[name] = done.stdout, hashed
    return found


def test_images_do_not_depend_on_the_surroundings(tmp_path: Path) -> None:
    signer = Signer()
    key = signer.write(tmp_path / "key.asc")
    debs = demo_debs()
    debs += [replace(deb, arch="arm64") for deb in debs if deb.arch != "all"]
    archive = Archive({"main": debs})
    write_archive(tmp_path / "archive", archive, [signer])
    with serve() as web:
        url = web.serve_folder(tmp_path / "archive")
        text = DECLARATION.format(source=f"deb {url} trixie main", key=key, packages="[demo]")
        for more in ("slim: [docs]", "database: dpkg"):
            declaration = text.replace("accounts:", f"  {more}\naccounts:")
            found = build_in_all(
                tmp_path / more[:4], declaration + "archs: [amd64, arm64]\n",
                SURROUNDINGS,
            )  # fmt: skip
            assert len(found) > 3
            assert len(set(found.values())) == 1, found
            assert list_files(tmp_path / more[:4] / "f0" / "image.tar") >= DERIVED


def list_files(archive: Path) -> set[str]:
    told = run("inspect", archive, "--platform", "linux/amd64", "--files", "--json").out
    return {each["path"] for each in json.loads(told)["images"][0]["files"]}


@pytest.fixture
def source() -> Source:
    """Debian 13 where this machine's apt gets its own packages."""
    machine = Machine()
    if not machine.is_debian or not machine.sources():
        pytest.skip("this machine's apt has no Debian archive")
    (found,) = complete(parse_sources("deb trixie main"), machine)
    if not found.is_remote or not found.signed_by:
        pytest.skip("this machine's apt names no mirror and key of Debian's archive")
    try:
        urllib.request.urlopen(f"{found.uri}/dists/trixie/InRelease").close()
    except OSError as error:
        pytest.skip(f"the archive cannot be reached: {error}")
    return found


def test_images_of_a_recorded_archive_are_the_same(tmp_path: Path, source: Source) -> None:
    """The real archive is asked once; what is built of the recording does not depend on it."""
    mirror = Mirror(tmp_path / "mirror", source.uri)
    with serve(web=mirror) as web:
        text = DECLARATION.format(
            source=f"deb {web.url} trixie main",
            key=source.signed_by[0],
            packages="[tzdata, ca-certificates, libncursesw6, perl-base]",
        )
        declaration = text + "archs: [amd64]\n"
        recorded = build_in_all(
            tmp_path / "recorded", declaration, {"plain": SURROUNDINGS["plain"]}
        )
        mirror.upstream = ""
        others = {name: way for name, way in SURROUNDINGS.items() if way.flags}
        replayed = build_in_all(tmp_path / "replayed", declaration, others)
    assert set(recorded.values()) == set(replayed.values())
    assert len(replayed) > 1
