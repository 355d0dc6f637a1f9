"""Whether a container of a project could start: its program, its modules, and who runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from build.commandline import Answer, run
from fixtures.simpleindex import SimpleIndex
from fixtures.wheelmaker import Made
from imagist.oci.image import Index
from imagist.oci.mutate import make_index
from imagist.oci.platform import parse_platform
from imagist.store.layout import write_layout
from inspection.described import edited, file, image, layer, symlink
from lastmile.shop import APK, BUILD
from lastmile.test_project import BACKEND, with_script

Build = Callable[..., Answer]
SITE = "/opt/venv/lib/python3.12/site-packages"


def base() -> Index:
    """A base with accounts, a standard library, and a folder that a runtime may fill."""
    made = image(
        layer(
            file("etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:7:7::/:/bin/sh\n"),
            symlink("etc/group", "nowhere"),
            file("lib/apk/db/installed", APK),
            file("lib/ld-musl-any.so.1"),
            file("usr/bin/python3.12", b"\x7fELF", 0o755),
            file("usr/lib/python3.12/os.py"),
            file("usr/lib/python3.12/http/__init__.py"),
            file("usr/lib/python3.12/http/server.py"),
            file("usr/local/real", b"\x7fELF", 0o755),
            symlink("usr/bin/linked", "../local/real"),
            symlink("usr/bin/broken", "nowhere"),
        ),
        Env=["PATH=/usr/bin"],
        Volumes={"/plugins": {}},
    )
    return make_index([(parse_platform("amd64"), edited(made, architecture="amd64"))])


@pytest.fixture
def build(folder: Path, tmp_path: Path) -> Build:
    """Build the shop on a base, with some lines of settings."""
    write_layout(base(), tmp_path / "base")
    place = folder / "pyproject.toml"
    text = place.read_text().replace(', "native"', "")
    lock = folder / "requirements.txt"
    lock.write_text(lock.read_text().splitlines(keepends=True)[0])

    def call(*lines: str, more: str = "") -> Answer:
        table = "\n".join(["[tool.imagist]", 'base = "../base"', *lines])
        place.write_text(f"{text}{more}{table}\n")
        return run("build", folder, "--cache", tmp_path / "cache")

    return call


@pytest.mark.parametrize(
    ("entrypoint", "said"),
    [
        ("gunicorn -v", "`gunicorn`, which is neither in the environment nor in the base"),
        ("/opt/venv/bin/shop", "`/opt/venv/bin/shop`, which is neither"),
        ("broken", "`broken`, which is neither"),
        ("al", ""),
        ("/usr/bin/python3.12 -m nomod", ""),
        ("linked", ""),
        ("./main.py", ""),
        ("python main.py", ""),
        ("python3 -u src", "nor a __main__.py in a folder of that name"),
        ("python3 tool", ""),
        ("/app/src", "`/app/src`, which is neither"),
        ("/usr/lib", "`/usr/lib`, which is neither"),
        ("python -X dev other.py", "`python other.py`, and there is no /app/other.py"),
        (
            "python -m nomod",
            f"is neither nomod.py nor nomod/__main__.py in /app, /app/src, {SITE}",
        ),
        ("python -um shop", "neither shop.py nor shop/__main__.py"),
        ("python -m http.server", ""),
        ("python -m http", "neither http.py nor http/__main__.py"),
        ("python -m alpha", ""),
        ("python -m main", ""),
        ("python -c pass -m nomod", ""),
    ],
)
def test_a_command(entrypoint: str, said: str, build: Build, folder: Path) -> None:
    (folder / "main.py").write_text("")
    (folder / "tool").mkdir(exist_ok=True)
    (folder / "tool" / "__main__.py").write_text("")
    for _ in range(2):  # from memory, too
        built = build(f'entrypoint = "{entrypoint}"')
        assert built.code == (2 if said else 0), built.err
        assert said in built.err
        if said:
            assert f"{folder}/pyproject.toml:8:14" in built.err
            assert "help: " in built.err


def test_what_something_else_may_bring_is_a_warning(
    build: Build, folder: Path, index: SimpleIndex
) -> None:
    built = build('entrypoint = "/plugins/run"')
    assert built.code == 0, built.err
    assert "warning: linux/amd64: a container would run `/plugins/run`" in built.err
    assert build('entrypoint = "python -m nomod"').code == 2
    wheel = Made("alpha", files={"alpha.pth": "import alpha\n"})
    index.add("alpha", wheel.filename, wheel.build())
    digest = index.sha256(wheel.filename)
    (folder / "requirements.txt").write_text(f"alpha==1.0 --hash=sha256:{digest}\n")
    built = build('entrypoint = "python -m nomod"')
    assert built.code == 0, built.err
    assert "warning: linux/amd64: a container would run `python -m nomod`" in built.err


def test_a_script_whose_module_is_not_there(build: Build, folder: Path) -> None:
    (folder / "src" / "shop").rename(folder / "src" / "store")
    built = build()
    assert built.code == 2
    assert "the script `shop` calls `shop:main`, and there is no module `shop`" in built.err
    assert f"{folder}/pyproject.toml:5:20" in built.err


def test_a_script_whose_module_is_not_in_the_wheel(build: Build, folder: Path) -> None:
    """The one that is run is refused; of others it is said."""
    (folder / "backend.py").write_text(with_script(BACKEND, "shop = shop:main"))
    built = build(more=BUILD)
    assert built.code == 2, built.err
    assert f"`shop:main`, and there is no module `shop` in {SITE}" in built.err
    built = build('entrypoint = "al"', more=BUILD)
    assert built.code == 0, built.err
    assert "warning: linux/amd64: the script `shop` calls `shop:main`" in built.err


def test_scripts_of_another_form_are_left_to_their_backend(build: Build, folder: Path) -> None:
    (folder / "backend.py").write_text(with_script(BACKEND, "shop = app.backend:build_wheel"))
    place = folder / "pyproject.toml"
    table = 'scripts = { shop = { reference = "x", type = "console" } }\n'
    more = place.read_text().replace("[project]", "[tool.poetry]").partition("scripts")[0] + table
    place.write_text(f'{more}{BUILD}[tool.imagist]\nbase = "../base"\n')
    built = run("build", folder, "--cache", folder.parent / "cache")
    assert built.code == 0, built.err


@pytest.mark.parametrize(
    ("user", "code", "said"),
    [
        ("app", 0, ""),
        ("7:7", 0, ""),
        ("1234", 0, ""),
        ("nonroot", 2, "has no user `nonroot` in /etc/passwd"),
        ("ap", 2, "did you mean `app`?"),
        ("app:wheel", 0, "/etc/group of the base leads nowhere, so `wheel` may be nobody"),
    ],
)
def test_who_runs_a_container(user: str, code: int, said: str, build: Build) -> None:
    for _ in range(2):
        built = build(f'user = "{user}"')
        assert built.code == code, built.err
        assert said in built.err
        assert ("pyproject.toml:8:8" in built.err) == bool(code)


def test_accounts_that_the_project_brings(build: Build, folder: Path) -> None:
    (folder / "passwd").write_text("nonroot:x:9:9::/:/bin/sh\n")
    files = 'files = [{ source = "passwd", path = "/etc/passwd" }]'
    assert build('user = "nonroot"', files).code == 0


def test_the_python_that_a_project_requires(build: Build, folder: Path) -> None:
    place = folder / "pyproject.toml"
    for _ in range(2):
        built = build(more='requires-python = ">=3.13"\n')
        assert built.code == 2
        assert "the project requires Python >=3.13, and ../base has 3.12.8" in built.err
        assert f"{place}:6:19" in built.err
        assert "let `requires-python` allow 3.12.8" in built.err
    assert build(more='requires-python = ">=3.12,<4"\n').code == 0
    built = build(more='requires-python = "3.x or so"\n')
    assert built.code == 2
    assert "`3.x or so` does not say which Pythons" in built.err


def test_the_python_that_poetrys_table_requires(build: Build, folder: Path) -> None:
    """It counts where the standard's table says nothing of it."""
    table = '[tool.poetry.dependencies]\npython = "{}"\n'
    built = build(more=table.format("^3.13"))
    assert built.code == 2
    assert "the project requires Python ^3.13, and ../base has 3.12.8" in built.err
    assert f"{folder / 'pyproject.toml'}:7:10" in built.err
    assert "let `python` allow 3.12.8" in built.err
    assert build(more=table.format("~3.11 || ~3.12")).code == 0
    built = build(more=table.format("3.x or so"))
    assert (built.code, "`3.x or so` does not say which Pythons" in built.err) == (2, True)
    standard = 'requires-python = ">=3.12"\n'
    assert build(more=standard + table.format("^3.13")).code == 0


def test_a_program_of_a_folder_without_python(tmp_path: Path) -> None:
    write_layout(base(), tmp_path / "base")
    site = tmp_path / "site"
    site.mkdir()
    (site / "run.sh").write_text("#!/bin/sh\n")
    words = "base: ../base\nfiles: [{source: run.sh, path: /srv/}]\nentrypoint: "
    for program, code in (("/srv/run.sh", 0), ("linked", 0), ("/srv/walk.sh", 2)):
        (site / "imagist.yaml").write_text(f"{words}{program}\n")
        built = run("build", site, "--cache", tmp_path / "cache")
        assert built.code == code, built.err
    assert "`/srv/walk.sh`, which is not in the image" in built.err
    assert f"{site}/imagist.yaml:3:13" in built.err
