"""`imagist lock DIR`: locks that are made, updated, checked, and told to be old."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.simpleindex import SimpleIndex
from fixtures.wheelmaker import Made
from lastmile.conftest import Imagist
from lastmile.shop import settings


def test_locking_a_folder(
    imagist: Imagist, folder: Path, index: SimpleIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock is made, is what is built from, and is told where it is not true any more."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    settings(folder, 'base = "../base"\npython = "3.12"')
    (folder / "requirements.txt").unlink()
    assert imagist("lock", folder, "--check").code == 3
    locked = imagist("lock", folder)
    assert (locked.code, locked.out) == (0, f"{folder / 'pylock.toml'}\n"), locked.err
    assert imagist("lock", folder, "--check").code == 0
    built = imagist("build", folder)
    assert built.code == 0, built.err
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace('"alpha", ', ""))
    told = imagist("lock", folder, "--check")
    assert (told.code, told.out) == (1, "")
    assert "removed alpha 1.0" in told.err


def test_locking_with_an_extra(
    imagist: Imagist, folder: Path, index: SimpleIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is locked is built; a lock made with other extras is not."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    index.add("omega", "omega-1.0-py3-none-any.whl", Made("omega").build())
    (folder / "requirements.txt").unlink()
    place = folder / "pyproject.toml"
    optional = '[project.optional-dependencies]\nmore = ["omega"]\n'
    place.write_text(optional + place.read_text())
    said = 'base = "../base"\npython = "3.12"\n'
    settings(folder, f'{said}extras = ["more"]')
    assert imagist("lock", folder).code == 0
    built = imagist("build", folder)
    assert built.code == 0, built.err
    settings(folder, said)
    told = imagist("build", folder)
    assert told.code == 2
    assert "made with the extra `more`, which is not asked for" in told.err
    again = imagist("lock", folder)
    assert (again.code, "removed omega 1.0" in again.err) == (0, True), again.err
    assert imagist("build", folder).code == 0


def test_locking_beside_a_list_without_hashes(
    imagist: Imagist, folder: Path, index: SimpleIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a build advises is what locking then does: the versions of the list are built."""
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    settings(folder, 'base = "../base"\npython = "3.12"')
    index.add("alpha", "alpha-1.9-py3-none-any.whl", Made("alpha", version="1.9").build())
    (folder / "requirements.txt").write_text("alpha==1.0\nunheard==1\n")
    told = imagist("build", folder)
    assert told.code == 2
    assert "2 of 2 requirements have no SHA-256 hash" in told.err
    assert "`imagist lock` makes a lock with hashes, in the versions" in told.err
    locked = imagist("lock", folder)
    assert locked.code == 0, locked.err
    assert (
        "requirements.txt pins `unheard`, which nothing in pyproject.toml requires" in locked.err
    )
    assert "1 of them in the versions that requirements.txt pins" in locked.err
    assert 'name = "alpha"\nversion = "1.0"' in (folder / "pylock.toml").read_text()
    assert imagist("build", folder).code == 0
    newest = imagist("lock", folder, "--update", "*")
    assert "requirements.txt pins; keep" in newest.err
    assert newest.err.endswith("nothing moved\n")
    (folder / "requirements.txt").write_text("alpha==1.9\n")
    assert imagist("lock", folder, "--check").code == 1
    behind = imagist("build", folder)
    assert behind.code == 2
    assert "`alpha==1.9` is required, but " in behind.err
    assert "requirements.txt:1:1" in behind.err


def test_a_pyproject_for_tools_alone_requires_nothing(
    imagist: Imagist, tmp_path: Path, index: SimpleIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 80\n")
    assert "has nothing to lock" in imagist("lock", tmp_path).err
    (tmp_path / "requirements.txt").write_text("alpha\n")
    assert imagist("lock", tmp_path).code == 0
    assert 'source = "requirements.txt"' in (tmp_path / "pylock.toml").read_text()


def test_updating_a_lock(
    imagist: Imagist, folder: Path, index: SimpleIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    settings(folder, 'base = "../base"\npython = "3.12"')
    (folder / "requirements.txt").unlink()
    assert imagist("lock", folder, "--update", "alpha").code == 3
    assert imagist("lock", folder).code == 0
    index.add("alpha", "alpha-1.1-py3-none-any.whl", Made("alpha", version="1.1").build())
    same = imagist("lock", folder / "pyproject.toml")
    assert "nothing moved" in same.err
    moved = json.loads(imagist("lock", folder, "--update", "alpha", "--json").out)["moved"]
    assert moved == [{"name": "alpha", "before": "1.0", "after": "1.1"}]
    wrong = imagist("lock", folder, "--update", "alhpa")
    assert (wrong.code, "did you mean `alpha`?" in wrong.err) == (2, True)


def test_a_lock_made_of_a_list_that_changed_since(
    imagist: Imagist, tmp_path: Path, index: SimpleIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of requirements alone: its lock is told to be old as that of a project is."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    place = tmp_path / "listed"
    place.mkdir()
    (place / "requirements.in").write_text("alpha>=1  # a library\n")
    (place / "imagist.yaml").write_text("base: ../base\nentrypoint: python -c pass\n")
    assert imagist("lock", place).code == 0
    assert imagist("build", place).code == 0
    (place / "requirements.in").write_text("alpha>=2\ngamma\n")
    told = imagist("build", place)
    assert told.code == 2
    for said in ("requirements.in:1:1", "requirements.in:2:1", "lock again", "has 1.0"):
        assert said in told.err


def test_a_list_that_names_the_project_itself(
    imagist: Imagist, folder: Path, index: SimpleIndex
) -> None:
    """`-e .` has no name, and would be there twice; what it needs and nobody locked is told."""
    settings(folder, 'base = "../base"\npython = "3.12"')
    with (folder / "requirements.txt").open("a") as lock:
        lock.write("-e .\n")
    built = imagist("build", folder)
    assert (built.code, built.err) == (0, ""), built.err
    needy = Made("alpha", version="1.2", requires=["absent"])
    digest = index.add("alpha", needy.filename, needy.build())
    lines = (folder / "requirements.txt").read_text().splitlines()
    lines[0] = f"alpha==1.2 --hash=sha256:{digest}"
    (folder / "requirements.txt").write_text("\n".join(lines))
    told = imagist("build", folder)
    assert told.code == 0
    assert "alpha 1.2 requires `absent`, which the lock does not bring" in told.err


@pytest.mark.parametrize(
    ("flags", "advice"),
    [
        ((), "`uv lock` makes it anew"),
        (("--check",), "`uv lock --check` checks it"),
        (("--update", "alpha"), "`uv lock --upgrade-package alpha` updates it"),
    ],
)
def test_the_lock_of_another_tool_stays(
    imagist: Imagist, folder: Path, flags: tuple[str, ...], advice: str
) -> None:
    (folder / "uv.lock").write_text("version = 1\n")
    told = imagist("lock", folder, *flags)
    assert told.code == 2
    assert advice in told.err
