"""A Python project on a base becomes an image for every platform; the same again at once."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.simpleindex import SimpleIndex
from imagist.declaration.projectfile import load_project
from imagist.errors import InputError, NotFound, RequestError
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.job import Job, OpenBase, Tools, choose_bases, wanted_platforms
from imagist.lastmile.pythonjob import build_python
from imagist.net.environment import Environment
from imagist.net.transport import HttpTransport
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.platform import parse_platform
from imagist.oci.reference import parse_reference
from imagist.store.store import Store
from lastmile.layering import files, flatten
from lastmile.shop import BUILD, PROJECT, SDIST, base, source_of
from lastmile.test_project import BACKEND, with_script

Build = Callable[..., Index]


@pytest.fixture
def build(folder: Path, store: Store, environments: BuildEnvironments) -> Build:
    def run(settings: str = "", *, on: Index | None = None, **more: Any) -> Index:
        if settings:
            text = (folder / "pyproject.toml").read_text().partition("[tool.imagist]")[0]
            (folder / "pyproject.toml").write_text(f"{text}[tool.imagist]\n{settings}\n")
        loaded = load_project(lambda path: Path(path).read_bytes(), str(folder))
        tools = Tools(
            store, Environment(), HttpTransport, environments, offline=more.pop("offline", False)
        )
        name = "host.example/alpine:3"
        where = OpenBase(name, on or base("amd64", "arm64"), parse_reference(name))
        table = FileTable(store, folder)
        job = Job(loaded, folder, where, tools, table, more.pop("created", None))
        return build_python(job, wanted_platforms(loaded), **more)

    return run


def images(index: Index) -> dict[str, Image]:
    return {platform.arch: made for platform, made in derive.images(index)}


def added(made: Image) -> dict[str, bytes]:
    return files(flatten(made.layers[1:]))


def config(made: Image) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made.raw_config)
    return found


def test_every_platform_gets_its_own_wheels_and_shares_the_rest(build: Build) -> None:
    made = images(build('ignore = ["*.md"]'))
    assert set(made) == {"amd64", "arm64"}
    site = "opt/venv/lib/python3.12/site-packages"
    for arch, machine in (("amd64", b"x86_64"), ("arm64", b"aarch64")):
        found = added(made[arch])
        assert found[f"{site}/native.py"] == machine
        assert found[f"{site}/alpha.py"] == b"a = 1\n"
        assert found["opt/venv/bin/al"].startswith(b"#!/opt/venv/bin/python")
        assert found["app/src/shop/__init__.py"] == b"def main(): ...\n"
        assert "app/notes.md" not in found
        assert f"{site}/alpha-1.0.dist-info/REQUESTED" in found
    amd64, arm64 = (each.layers for each in made.values())
    assert amd64[-1].digest == arm64[-1].digest


def test_how_it_is_run(build: Build) -> None:
    made = images(
        build(
            'user = "65532"\nports = [80]\nenv.MODE = "prod"\nvolumes = ["/data"]\n'
            'stop-signal = "SIGINT"\ncommand = ["-v"]\nlabels.team = "shop"\n'
        )
    )["arm64"]
    document = config(made)
    run = document["config"]
    program = "import sys; from shop import main; sys.exit(main())"
    assert run["Entrypoint"] == ["/opt/venv/bin/python", "-c", program]
    assert (run["Cmd"], run["User"], run["WorkingDir"]) == (["-v"], "65532", "/app")
    assert run["Env"][0] == "PATH=/opt/venv/bin:/usr/bin"
    assert {"PYTHONPATH=/app/src:/app", "MODE=prod"} <= set(run["Env"])
    assert run["ExposedPorts"] == {"80/tcp": {}}
    assert (run["Volumes"], run["StopSignal"]) == ({"/data": {}}, "SIGINT")
    assert run["Labels"] == {"team": "shop"}
    assert document["created"] == "2026-01-02T03:04:05Z"
    annotations = derive.manifest(made).annotations
    assert annotations["org.opencontainers.image.base.name"] == "host.example/alpine:3"
    assert "speaks-of" not in annotations
    assert len(document["history"]) == len(made.layers)
    assert config(images(build(created=0))["arm64"])["created"] == "1970-01-01T00:00:00Z"


def test_the_same_again_asks_nobody(build: Build, index: SimpleIndex, store: Store) -> None:
    """Nor does it need a wheel whose layer is remembered."""
    first = build()
    asked = len(index.web.asked)
    for name in index.files:
        if store.has(f"sha256:{index.sha256(name)}"):
            store.path(f"sha256:{index.sha256(name)}").unlink()
    again = build(offline=True)
    assert again.raw_manifest == first.raw_manifest
    assert len(index.web.asked) == asked


def test_a_project_with_a_build_system_is_installed(build: Build, folder: Path) -> None:
    text = PROJECT.replace("shop", "app", 1) + BUILD
    (folder / "pyproject.toml").write_text(
        text.replace('{ shop = "shop:main" }', '{ app = "app.backend:build_wheel" }')
    )
    (folder / "backend.py").write_text(with_script(BACKEND, "app = app.backend:build_wheel"))
    made = images(build())["amd64"]
    assert "opt/venv/lib/python3.12/site-packages/app/src/shop/__init__.py" in added(made)
    assert config(made)["config"]["Entrypoint"] == ["/opt/venv/bin/app"]
    assert config(made)["config"].get("WorkingDir", "") == ""


@pytest.mark.parametrize("name", ["", ".imagistignore", ".dockerignore"])
def test_what_is_ignored_is_not_in_the_wheel(name: str, build: Build, folder: Path) -> None:
    """The setting and the ignore file, of whose patterns each is of the project's folder."""
    text = PROJECT.replace("shop", "app", 1).replace("shop:main", "app.backend:build_wheel")
    (folder / "pyproject.toml").write_text(text + BUILD)
    (folder / "backend.py").write_text(with_script(BACKEND, "shop = app.backend:build_wheel"))
    (folder / "src" / "deep.md").write_text("kept\n")
    settings = 'mode = "wheel"\n'
    package = "opt/venv/lib/python3.12/site-packages/app"
    before = added(images(build(settings))["amd64"])
    assert {f"{package}/notes.md", f"{package}/src/deep.md"} <= set(before)
    if name:
        (folder / name).write_text("*.md\n")
    else:
        settings += 'ignore = ["*.md"]'
    after = added(images(build(settings))["amd64"])
    assert f"{package}/notes.md" not in after
    assert f"{package}/src/deep.md" in after


def test_files_of_the_project_are_added_with_their_patterns(build: Build, folder: Path) -> None:
    (folder / "conf").mkdir()
    for name in ("a.ini", "b.ini", "c.txt"):
        (folder / "conf" / name).write_text(name)
    made = images(
        build(
            'files = [{ source = "conf", path = "/etc/shop", include = ["*.ini"], '
            'exclude = ["b.ini"], permissions = 0o600, uid = 3 }]\nmode = "none"\nentrypoint = "al"\n'
        )
    )["amd64"]
    with made.layers[-1].compressed() as stream, tarfile.open(fileobj=stream, mode="r|gz") as tar:
        found = {member.name: (member.mode, member.uid) for member in tar if member.isfile()}
    assert found == {"etc/shop/a.ini": (0o600, 3)}


def test_sources_are_built_where_they_are_allowed(
    build: Build, folder: Path, index: SimpleIndex, tmp_path: Path
) -> None:
    lock = folder / "requirements.txt"
    lock.write_text(
        f"{lock.read_text()}beta==1.0 --hash=sha256:{index.sha256('beta-1.0.tar.gz')}\n"
    )
    with pytest.raises(RequestError, match=r"beta 1\.0 has no wheel") as refused:
        build()
    assert 'sdists = ["beta"]' in (refused.value.problems[-1].help or "")
    # What it builds calls itself `app`, so it is not what the lock means.
    with pytest.raises(InputError, match="which is another package"):
        build('sdists = ["beta"]')
    honest = dict(SDIST, **{"beta-1.0/backend.py": BACKEND.replace("app-1.0", "beta-1.0")})
    sha256 = index.add("beta", "beta-1.0.tar.gz", source_of(honest))
    lock.write_text(
        f"{lock.read_text().rpartition('beta==')[0]}beta==1.0 --hash=sha256:{sha256}\n"
    )
    (tmp_path / "count").unlink()
    made = images(build('sdists = ["beta"]'))["arm64"]
    assert "opt/venv/lib/python3.12/site-packages/beta-1.0.dist-info/METADATA" in added(made)
    build('sdists = ["beta"]')
    assert (tmp_path / "count").read_text() == "x"


def test_a_base_must_have_the_platform(build: Build) -> None:
    with pytest.raises(NotFound, match=r"nothing for linux/s390x; it has linux/amd64"):
        build('platforms = ["s390x"]', on=base("amd64"))
    found = choose_bases(OpenBase("b", base("arm/v7", "amd64")), [parse_platform("arm/v7")])
    assert [str(platform) for platform in found] == ["linux/arm/v7"]


def test_a_project_that_needs_nothing_needs_no_lock(build: Build, folder: Path) -> None:
    (folder / "requirements.txt").unlink()
    (folder / "pyproject.toml").write_text(PROJECT.replace('["alpha", "native"]', "[]"))
    assert set(images(build())) == {"amd64", "arm64"}
    (folder / "pyproject.toml").write_text(PROJECT)
    with pytest.raises(NotFound, match="has no lock"):
        build()
