"""`imagist build DIR`: a folder becomes an image, as whoever types it meets that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from build.commandline import run
from fixtures.elf import build_program
from fixtures.registries import running
from imagist.lastmile.defaultbase import default_base
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.store.layout import read_layout
from lastmile.conftest import Imagist
from lastmile.layering import files, flatten
from lastmile.shop import base, settings
from support import needs


def test_a_folder_becomes_an_index(imagist: Imagist, folder: Path, tmp_path: Path) -> None:
    settings(folder, 'base = "../base"')
    built = imagist("build", folder, "-o", tmp_path / "out", "-t", "shop:1")
    assert built.code == 0, built.err
    made = read_layout(tmp_path / "out", "shop:1")
    assert isinstance(made, Index)
    assert built.out == f"{derive.digest(made)}\n"
    assert [platform.arch for platform, _ in derive.images(made)] == ["amd64", "arm64"]
    again = imagist("build", folder)
    assert (again.out, again.err) == (built.out, "")


def test_what_did_not_change_loads_little(imagist: Imagist, folder: Path, tmp_path: Path) -> None:
    """Start-up is most of what a small change costs: what only a first build needs stays out."""
    settings(folder, 'base = "../base"')
    words = ["build", str(folder), "--cache", str(tmp_path / "cache")]
    assert run(*words).code == 0
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "imagist", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "imagist.lastmile.pythonjob" in loaded
    needless = {"yaml", "subprocess", "zipfile", "tarfile", "urllib.request", "packaging.version"}
    needless |= {"concurrent.futures", "imagist.packages.wheel.fetch", "imagist.lastmile.hooks"}
    assert not needless & loaded


def test_the_command_line_goes_before_the_project(
    imagist: Imagist, folder: Path, tmp_path: Path
) -> None:
    settings(folder, 'base = "../nowhere"')
    (folder / "requirements.txt").rename(tmp_path / "other.txt")
    words = ["--base", tmp_path / "base", "--platform", "arm64", "--lock", tmp_path / "other.txt"]
    built = imagist(
        "build", folder, *words, "-o", tmp_path / "out", "--annotation", "team=shop", "--json"
    )
    assert built.code == 0, built.err
    assert list(json.loads(built.out)["platforms"]) == ["linux/arm64"]
    made = derive.manifest(cast("Image", read_layout(tmp_path / "out")))
    assert made.annotations["team"] == "shop"


def test_a_base_can_be_declared(imagist: Imagist, folder: Path, tmp_path: Path) -> None:
    """In a file, or in place: built like any image, on another base here."""
    declared = f"contents: {{baseimage: {{image: {tmp_path / 'base'}}}}}\narchs: [amd64, arm64]\n"
    (folder / "base.yaml").write_text(declared)
    settings(folder, 'base = "base.yaml"')
    first = imagist("build", folder)
    assert first.code == 0, first.err
    place = tmp_path / "base"
    settings(
        folder, f'[tool.imagist.base]\narchs = ["amd64"]\ncontents.baseimage.image = "{place}"'
    )
    second = imagist("build", folder, "--json")
    assert second.code == 0, second.err
    assert list(json.loads(second.out)["platforms"]) == ["linux/amd64"]


@needs("registry")
def test_a_project_goes_into_a_registry(imagist: Imagist, folder: Path, tmp_path: Path) -> None:
    """The base comes out of it, and is mounted; what is there already does not move."""
    with running("registry", tmp_path / "registry") as host:
        pushed = imagist("push", tmp_path / "base", f"{host}/base:1")
        assert pushed.code == 0, pushed.err
        settings(folder, f'base = "{host}/base:1"')
        plan = imagist("plan", folder, "-t", f"{host}/shop:1", "--json")
        assert plan.code == 0, plan.err
        [planned] = json.loads(plan.out)["references"]
        assert planned["blobs"]
        assert planned["changed"]
        built = imagist("build", folder, "-t", f"{host}/shop:1")
        assert built.code == 0, built.err
        assert built.out == f"{host}/shop:1@{json.loads(plan.out)['digest']}\n"
        place = tmp_path / "pulled"
        imagist("pull", f"{host}/shop:1", "-o", place, "--platform", "amd64")
        notes = derive.manifest(cast("Image", read_layout(place))).annotations
        assert notes["org.opencontainers.image.base.name"] == f"{host}/base:1"
        assert "is there already" in imagist("apply", folder, "-t", f"{host}/shop:1").err


def test_another_base_is_another_manifest(imagist: Imagist, folder: Path, tmp_path: Path) -> None:
    """What `rebase` gives is what a build on the new base gives, and no layer was made for it."""
    settings(folder, 'base = "../base"')
    assert imagist("build", folder, "-o", tmp_path / "old").code == 0
    (tmp_path / "fix").write_text("a fix\n")
    more = imagist("append", tmp_path / "base", "-f", f"{tmp_path}/fix:/", "-o", tmp_path / "new")
    assert more.code == 0, more.err
    words = ["rebase", tmp_path / "old", "--new-base", tmp_path / "new", "-o", tmp_path / "l"]
    told = imagist(*words)
    assert told.code == 3
    assert "name the base it stands on with --old_base" in told.err
    lifted = imagist(*words, "--old-base", tmp_path / "base")
    assert lifted.code == 0, lifted.err
    built = imagist("build", folder, "--base", tmp_path / "new", "-o", tmp_path / "b")
    assert built.code == 0, built.err
    made = [cast("Index", read_layout(tmp_path / name)) for name in ("l", "b")]
    for (_, one), (_, other) in zip(*map(derive.images, made), strict=True):
        assert one.raw_config == other.raw_config
        assert one.raw_manifest == other.raw_manifest


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ("mv requirements.txt r.txt", 3, "has no lock, so nothing says which packages are right"),
        ("sed -i s/scripts/strips/ pyproject.toml", 2, "nothing says what a container runs"),
        ("sed -i s/native/naive/ pyproject.toml", 2, "`naive` is required, but"),
        ("rm -r ../base && mkdir ../base", 3, "is not an OCI layout"),
        ("echo 'prefix = 1' >> pyproject.toml", 2, "pyproject.toml:8:10"),
        ("cp -r ../base/* .", 2, "is an image, and nothing to build"),
        ("echo base: x > imagist.yaml", 2, "both say what the image is"),
        ("rm pyproject.toml", 2, "write `entrypoint: python -m MODULE` into an imagist.yaml"),
        ("sed -i 's/ --hash.*//' requirements.txt", 2, "`imagist lock` makes a lock"),
    ],
)
def test_what_is_wrong(change: str, code: int, said: str, imagist: Imagist, folder: Path) -> None:
    settings(folder, 'base = "../base"')
    subprocess.run(change, shell=True, cwd=folder, check=True)
    built = imagist("build", folder)
    assert (built.code, built.out) == (code, ""), built.err
    assert said in built.err, built.err


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        ("--platform arm/v7", 3, "build for what it has: --platform linux/amd64,linux/arm64"),
        ("--platform sparc", 2, "`sparc` is not a platform that imagist builds for"),
        ("--base scratch", 2, "scratch has no Python for linux/amd64"),
        ("--format erofs", 2, "a project's image is made of tar layers"),
        ("-p curl", 2, "../base is an image"),
        ("--bass x", 2, "did you mean `--base`?"),
        ("--base nothing", 3, "there is no image nothing"),
        ("--lock nothing", 3, "name a lock that exists"),
    ],
)
def test_what_is_asked_wrong(
    flags: str, code: int, said: str, imagist: Imagist, folder: Path
) -> None:
    settings(folder, 'base = "../base"\nplatforms = ["amd64"]')
    built = imagist("build", folder, *flags.split())
    assert (built.code, built.out) == (code, ""), built.err
    assert said in built.err, built.err


def test_without_the_default_base_another_one_is_to_be_named(
    imagist: Imagist, folder: Path
) -> None:
    settings(folder, 'platforms = ["amd64"]')
    built = imagist("build", folder, "--offline")
    assert built.code in (2, 4), built.err  # without sources, or without what they list
    assert "error: so the default base, a Debian with Python, cannot be made here" in built.err
    assert "name another: --base host/repository:tag" in built.err


def test_of_the_default_base_nobody_asked_for_scripts() -> None:
    """Who names no base is not told what its packages would have run."""
    assert default_base().declaration.contents.scripts == "ignore"


def test_a_name_without_a_registry_is_told_where_it_cannot_be_pushed(
    imagist: Imagist, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(folder, 'base = "../base"')
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("NO_PROXY", "")
    for name, is_told in (("hello", True), ("host.example/hello", False)):
        pushed = imagist("build", folder, "-t", name)
        assert pushed.code == 4, pushed.err
        assert ("`hello` names no registry, and so means Docker Hub" in pushed.err) == is_told


def test_no_image_has_itself(imagist: Imagist, folder: Path) -> None:
    """What a build writes into the project is not in the next one's source."""
    settings(folder, 'base = "../base"\nmode = "source"')
    built = imagist("build", folder).out
    for _ in range(2):
        words: list[str | Path] = ["-o", folder / "out[1].tar", "--cache", folder / "cache"]
        assert run("build", folder, *words).out == built


def test_a_file_of_a_project_stands_for_its_folder(
    imagist: Imagist, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(folder, 'base = "../base"')
    built = imagist("build", folder)
    assert built.code == 0, built.err
    assert imagist("build", folder / "pyproject.toml").out == built.out
    monkeypatch.chdir(folder)
    assert imagist("build", "requirements.txt").out == built.out
    (folder / "pylock.other.toml").write_text("not TOML\n")
    told = imagist("build", folder / "pylock.other.toml")
    assert (told.code, "pylock.other.toml:1:5" in told.err) == (2, True), told.err
    assert "--lock names another one" in imagist("build", "requirements.txt", "--lock", "x").err
    (folder / "pyproject.toml").unlink()
    (folder / "imagist.yaml").write_text("base: ../base\nentrypoint: al\n")
    built = imagist("build", folder / "imagist.yaml")
    assert built.code == 0, built.err


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("nowhere", 3, "name an image's YAML file, or the folder of a project"),
        ("setup.toml", 2, "name the folder of the project"),
        ("imagist.yaml", 2, "unknown key `nonsense`"),
    ],
)
def test_what_is_nothing_to_build(
    name: str, code: int, said: str, imagist: Imagist, folder: Path
) -> None:
    (folder / "setup.toml").write_text("[tool]\n")
    (folder / "imagist.yaml").write_text("contents: {packages: []}\nnonsense: 1\n")
    told = imagist("build", folder / name)
    assert told.code == code, told.err
    assert said in told.err
    assert "not YAML" not in told.err


def test_places_of_what_is_not_there(imagist: Imagist, folder: Path) -> None:
    """The key that names it, or the flag."""
    place = folder / "pyproject.toml"
    for line, said in {
        'base = "./nowhere"': f"{place}:7:8",
        'base = "base.yaml"': f"{place}:7:8",
        'base = "../base"\nlock = "l.toml"': f"{place}:8:8",
        'base = "../base"\nfiles = [{ source = "conf", path = "/c" }]': f"{place}:8:21",
        'base = "../base"\npython = "3.11"': f"{place}:8:10",
        'base = "../base"\nlibc = "glibc 2.36"': f"{place}:8:8",
        'base = "../base"\ninterpreter = "/bin/python"': f"{place}:8:15",
        'base = "../base"\nplatforms = ["s390x"]': f"{place}:8:13",
        'base = "../base"\nignore = ["a", "[b"]': f"{place}:8:16",
        'base = "../base"\nfiles = [{ source = "src", path = "/", include = ["!"]}]': ":8:51",
        'base = "../base"\nprefix = "/usr"': f"{place}:8:10",
        'base = "scratch"': f"{place}:7:8",
    }.items():
        settings(folder, line)
        built = imagist("build", folder)
        assert (built.code in (2, 3), said in built.err) == (True, True), built.err
        assert "help: " in built.err
    settings(folder, 'base = "../base"')
    for flag in ("--base", "--lock"):
        assert f" --> {flag}\n" in imagist("build", folder, flag, "nowhere").err


def test_what_only_an_image_has(imagist: Imagist, folder: Path) -> None:
    (folder / "image.yaml").write_text("contents: {}\n")
    wrong = imagist("build", folder / "image.yaml", "--base", "x")
    assert wrong.code == 2
    assert "--base is for projects" in wrong.err
    settings(folder, 'base = "../base"')
    for words in (["why", folder, "alpha"], ["show", "packages", folder], ["graph", folder]):
        told = imagist(*words)
        assert told.code == 2
        assert (
            f"is an image, ../base, and this command reads declarations\n --> {folder}" in told.err
        )
        assert "help: `imagist inspect ../base` looks into it" in told.err


def test_files_become_an_image(imagist: Imagist, tmp_path: Path) -> None:
    """Without Python anywhere: a static site, and on a base whose program it leaves alone."""
    site = tmp_path / "site"
    (site / "public").mkdir(parents=True)
    (site / "public" / "index.html").write_text("<h1>No word too many</h1>\n")
    declared = "files: [{source: public, path: /srv/www}]\nplatforms: [amd64]\n"
    (site / "imagist.yaml").write_text(f"base: scratch\n{declared}")
    built = imagist("build", site, "-o", tmp_path / "out")
    assert built.code == 0, built.err
    made = cast("Index", read_layout(tmp_path / "out"))
    [(platform, image)] = derive.images(made)
    assert str(platform) == "linux/amd64"
    assert files(flatten(image.layers)) == {"srv/www/index.html": b"<h1>No word too many</h1>\n"}
    assert not derive.manifest(image).annotations
    (site / "imagist.yaml").write_text(f"base: ../base\n{declared}labels: {{team: web}}\n")
    built = imagist("build", site, "-o", tmp_path / "based")
    assert built.code == 0, built.err
    [(_, image)] = derive.images(cast("Index", read_layout(tmp_path / "based")))
    [(_, below)] = derive.images(base("amd64"))
    before, after = derive.config(below).config, derive.config(image).config
    assert before is not None
    assert after is not None
    assert (after.env, after.user) == (before.env, before.user)
    assert after.labels == {"team": "web"}


def test_programs_become_an_image(imagist: Imagist, tmp_path: Path) -> None:
    folder = tmp_path / "tool"
    folder.mkdir()
    for arch, machine in (("amd64", "x86_64"), ("arm64", "aarch64")):
        (folder / arch).write_bytes(build_program(machine, arch))
    declared = "base: scratch\nbinary: {linux/amd64: amd64, linux/arm64: arm64}\n"
    (folder / "imagist.yaml").write_text(declared)
    built = imagist("build", folder, "-o", tmp_path / "out")
    assert built.code == 0, built.err
    for platform, image in derive.images(cast("Index", read_layout(tmp_path / "out"))):
        program = build_program({"amd64": "x86_64"}.get(platform.arch, "aarch64"), platform.arch)
        assert files(flatten(image.layers)) == {"usr/local/bin/tool": program}
        config = derive.config(image).config
        assert config is not None
        assert config.entrypoint == ("/usr/local/bin/tool",)
    (folder / "imagist.yaml").write_text(declared.replace("arm64: arm64", "arm64: amd64"))
    wrong = imagist("build", folder)
    assert wrong.code == 3
    assert "is not for linux/arm64: it is for amd64\n" in wrong.err
    assert " --> " + f"{folder}/imagist.yaml:2:43\n" in wrong.err


@pytest.mark.parametrize(
    "declared", ["files: [{source: a, path: /srv/}]\n", "binary: {linux/amd64: a}\n"]
)
def test_what_is_not_python_says_what_it_is_built_on(
    imagist: Imagist, tmp_path: Path, declared: str
) -> None:
    folder = tmp_path / "tool"
    folder.mkdir()
    (folder / "a").write_bytes(build_program("x86_64", "a"))
    (folder / "imagist.yaml").write_text(declared)
    for words in (["build", folder], ["show", "packages", folder]):
        told = imagist(*words)
        assert told.code == 2
        assert "nothing says what the image is built on" in told.err
        assert "write `base: scratch`" in told.err
        assert "`base: base.yaml`, and into that file\n    contents: {repo" in told.err
    assert imagist("build", folder, "--base", "scratch", "--platform", "amd64").code == 0


def test_an_image_with_nothing_to_run_is_told(imagist: Imagist, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "a").write_text("a")
    declared = "base: scratch\nplatforms: [amd64]\nfiles: [{source: a, path: /srv/}]\n"
    said = "warning: the image says nothing of what a container runs"
    for more, is_told in (
        ("", True),
        ("command: /srv/a\n", False),
        ("entrypoint: /srv/a\n", False),
    ):
        (site / "imagist.yaml").write_text(declared + more)
        built = imagist("build", site)
        assert (built.code, said in built.err) == (0, is_told), built.err


def test_a_project_says_how_its_containers_are_probed(
    imagist: Imagist, folder: Path, tmp_path: Path
) -> None:
    settings(
        folder,
        'base = "../base"\nplatforms = ["amd64"]\n'
        'healthcheck = { test = "shop --check", interval = "30s", start-period = "1m", retries = 2 }',
    )
    built = imagist("build", folder, "-o", tmp_path / "out")
    assert built.code == 0, built.err
    [(_, image)] = derive.images(cast("Index", read_layout(tmp_path / "out")))
    assert json.loads(image.raw_config)["config"]["Healthcheck"] == {
        "Test": ["CMD-SHELL", "shop --check"],
        "Interval": 30_000_000_000,
        "StartPeriod": 60_000_000_000,
        "Retries": 2,
    }


def test_a_folder_of_which_nothing_is_wanted(imagist: Imagist, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    told = imagist("build", tmp_path / "empty")
    assert told.code == 2
    assert "nothing says what of" in told.err
