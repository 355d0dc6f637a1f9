"""What is told of a command that will not do what it says: calls of nothing, literal variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagist.declaration.projectfile import LoadedProject, load_project
from imagist.lastmile.calls import binds
from imagist.lastmile.literal import tell_literals
from imagist.oci.manifest import RunConfig
from lastmile.conftest import Imagist
from lastmile.shop import BUILD, settings
from lastmile.test_project import BACKEND, with_script


@pytest.mark.parametrize(
    ("source", "is_bound"),
    [
        ("def main(): ...\n", True),
        ("async  def main(): ...\n", True),
        ("class main: ...\n", True),
        ("main = print\n", True),
        ("main: object = print\n", True),
        ("import main\n", True),
        ("import main.other\n", True),
        ("import other.main\n", False),
        ("from other import main\n", True),
        ("from other import x as main\n", True),
        ("from other import main as x\n", False),
        ("try:\n    from fast import run as main\nexcept ImportError:\n    main = None\n", True),
        ("if True:\n    def main(): ...\n", True),
        ("with open('x') as main: ...\n", True),
        ("for main in (): ...\n", True),
        ("a, (main, b) = c\n", True),
        ("print(main := 1)\n", True),
        ("match 1:\n    case main: ...\n", True),
        ("def start():\n    global main\n    main = 1\n", True),
        ("def start():\n    main = 1\n", False),
        ("class A:\n    def main(self): ...\n", False),
        ("x = lambda main: main\n", False),
        ("main == 1\n", False),
        ("main()\n", False),
        ("# def main\n'def main'\n", False),
        ("", False),
        ("from other import *\n", True),
        ("def __getattr__(name): ...\n", True),
        ("globals()['ma' + 'in'] = 1\n", True),
        ("import sys\nsys.modules[__name__] = object()\n", True),
        ("this is no Python\n", True),
        ("x = '\\d'\n", False),
    ],
)
def test_what_a_module_has_is_seen_in_its_text(source: str, is_bound: bool) -> None:
    assert binds(source.encode(), "main") == is_bound


@pytest.fixture
def shop(folder: Path) -> Path:
    place = folder / "pyproject.toml"
    place.write_text(place.read_text().replace("shop:main", "shop:nofunc"))
    return folder


@pytest.mark.parametrize("mode", ["source", "wheel"])
def test_a_script_that_calls_nothing_is_told(imagist: Imagist, shop: Path, mode: str) -> None:
    """Every time, from memory, too, until the module has it."""
    place = shop / "pyproject.toml"
    module = shop / "src" / "shop" / "__init__.py"
    if mode == "wheel":
        place.write_text(place.read_text().replace("shop:nofunc", "app.src.shop:nofunc"))
        backend = with_script(BACKEND, "shop = app.src.shop:nofunc")
        (shop / "backend.py").write_text(backend)
        place.write_text(BUILD + place.read_text())
    settings(shop, f'base = "../base"\nmode = "{mode}"')
    for _ in range(2):
        built = imagist("build", shop)
        assert built.code == 0, built.err
        line = 5 + 4 * (mode == "wheel")
        said = f"warning: {place}:{line}:20: the script `shop` calls `"
        assert said in built.err, built.err
        assert built.err.endswith("/src/shop/__init__.py has no `nofunc`\n")
    module.write_text("from os import getpid as nofunc\n")
    built = imagist("build", shop)
    assert (built.code, built.err) == (0, "")
    module.write_text("")
    (shop / "src" / "shop" / "nofunc.py").write_text("")
    assert imagist("build", shop).err == ""  # a module of the package, which has what it has


def project(entrypoint: str, more: str = "") -> LoadedProject:
    text = f"base: scratch\nfiles: [{{source: a, path: /a}}]\nentrypoint: {entrypoint}\n{more}"

    def read(path: str) -> bytes:
        if path == "imagist.yaml":
            return text.encode()
        raise FileNotFoundError(path)

    return load_project(read)


@pytest.mark.parametrize(
    ("entrypoint", "told"),
    [
        ("uvicorn app:app --port $PORT", "$PORT"),
        ("[uvicorn, '--port=${PORT}']", "${PORT}"),
        ("[sh, run.sh, $PORT]", "$PORT"),
        ("[sh, -c, 'exec uvicorn --port $PORT']", ""),
        ("[/bin/bash, -ec, $RUN]", ""),
        ("[tini, --, bash, -c, $RUN]", ""),
        ("[python, -c, 'print(\"$HOME is dear\")']", ""),
        ("[awk, '{print$1}', price-$]", ""),
        ("server", ""),
    ],
)
def test_a_variable_that_no_shell_replaces_is_told(entrypoint: str, told: str) -> None:
    found = tell_literals(project(entrypoint), RunConfig(), None)
    assert len(found) == bool(told), found
    if told:
        assert found[0].startswith(f"imagist.yaml:3:13: `{told}` stays as it is")


def test_the_shell_may_be_the_bases_own() -> None:
    loaded = project("", "command: [$RUN]\n")
    assert tell_literals(loaded, RunConfig(entrypoint=("/bin/sh", "-c")), None) == []
    [said] = tell_literals(loaded, RunConfig(), loaded.adding)
    assert said.startswith("imagist.yaml:4:10: `$RUN`")
    assert said.endswith("(Debian: `packages: [dash]`)")


def test_a_build_tells_it_and_goes_on(imagist: Imagist, folder: Path) -> None:
    settings(folder, 'base = "../base"\nentrypoint = "al --port $PORT"')
    built = imagist("build", folder)
    assert built.code == 0
    assert built.err.count("`$PORT` stays as it is") == 1
