"""From a folder with a lock to wheels in the store; again without parsing, asking or fetching."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.simpleindex import SimpleIndex
from fixtures.webserver import Answer, Web
from imagist.errors import NetworkError, NotFound, RequestError
from imagist.net.environment import Environment
from imagist.net.transport import HttpTransport, Transport
from imagist.packages.wheel.gather import Gathered, Request, gather_wheels
from imagist.packages.wheel.lock import find
from imagist.store.store import Store
from packages.wheel.targets import target

NAMES = ("alpha-1.0-py3-none-any.whl", "beta-1.0-cp312-cp312-manylinux2014_x86_64.whl")
Gather = Callable[..., Gathered]


@pytest.fixture
def project(tmp_path: Path, index: SimpleIndex) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    lines = [
        f"{n.partition('-')[0]}==1.0 --hash=sha256:{index.add(n[: n.index('-')], n)}\n"
        for n in NAMES
    ]
    (folder / "requirements.txt").write_text("".join(lines))
    return folder


@pytest.fixture
def gathered(project: Path, store: Store, index: SimpleIndex, transport: HttpTransport) -> Gather:
    variables = {"PIP_INDEX_URL": index.url, "HOME": str(project), "XDG_CONFIG_DIRS": "/absent"}

    def connect(_: Environment) -> Transport:
        return transport

    def run(*targets: Any, offline: bool = False, **wishes: Any) -> Gathered:
        known: dict[str, Any] = {"folder": project, "variables": variables}
        request = Request(**known | wishes)
        where = targets or (target(),)
        return gather_wheels(request, where, store, Environment(), connect, offline=offline)

    return run


def test_what_a_folder_needs_comes_into_the_store(
    gathered: Gather, store: Store, index: SimpleIndex, project: Path
) -> None:
    found = gathered()
    assert found.lock == project / "requirements.txt"
    assert [str(choice) for choice in found.choices[target()]] == list(NAMES)
    digests = [f"sha256:{index.sha256(name)}" for name in NAMES]
    found.bring(digests)
    assert {digest: store.size(digest) for digest in digests} == found.sizes


def test_the_second_time_nothing_is_parsed_asked_or_fetched(
    gathered: Gather, index: SimpleIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = gathered()
    asked = len(index.web.asked)
    monkeypatch.delattr(find, "read_lock")
    again = gathered(offline=True)
    assert (again.choices, again.sizes) == (first.choices, first.sizes)
    assert len(index.web.asked) == asked


@pytest.mark.parametrize(
    "change",
    [
        {"variables": {"PIP_INDEX_URL": "http://127.0.0.1:1/other", "HOME": "/absent"}},
        {"sdists": ("alpha",)},
        {"requirements": ("alpha",)},
    ],
)
def test_whatever_a_choice_depends_on_makes_it_anew(
    gathered: Gather, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    gathered()
    monkeypatch.delattr(find, "read_lock")
    with pytest.raises(ImportError):
        gathered(**change)
    with pytest.raises(ImportError):
        gathered(target(python="3.12.8"))


def test_a_changed_lock_is_read_again(gathered: Gather, project: Path) -> None:
    gathered()
    lock = project / "requirements.txt"
    lock.write_text(lock.read_text().splitlines(keepends=True)[0])
    assert [str(choice) for choice in gathered().choices[target()]] == [NAMES[0]]
    (project / "more.txt").write_text("")
    lock.write_text(lock.read_text() + "-r more.txt\n")
    gathered()
    (project / "more.txt").write_text("gamma\n")
    with pytest.raises(RequestError, match="`gamma` is not pinned"):
        gathered()


@pytest.mark.parametrize("status", [404, 403])
def test_files_that_moved_are_looked_for_again(
    gathered: Gather, index: SimpleIndex, store: Store, status: int
) -> None:
    """Object stores answer 403 to a URL whose signature has expired."""
    gathered().bring([f"sha256:{index.sha256(NAMES[0])}"])
    index.web.on(f"/files{index.prefix}/{NAMES[0]}", Answer(status))
    store.path(f"sha256:{index.sha256(NAMES[0])}").unlink()
    moved = SimpleIndex(index.web, "/moved")
    moved.add("alpha", NAMES[0])
    index.web.on(f"{index.prefix}/alpha/", Answer(302, headers={"Location": "/moved/alpha/"}))
    for _ in range(2):
        gathered().bring([f"sha256:{index.sha256(NAMES[0])}"])
        file = gathered().choices[target()][0].file
        assert file is not None
        assert file.location == moved.location(NAMES[0])
    assert index.asked().count("alpha") == 2


@pytest.mark.parametrize("form", ["index", "lock"])
def test_what_signs_a_url_is_not_kept(
    gathered: Gather, web: Web, store: Store, project: Path, form: str
) -> None:
    """Neither a signature nor a password comes to lie in the store; files are found without."""
    signed = SimpleIndex(web, "/signed", query="?signature=s3cret")
    name = "gamma-1.0-py3-none-any.whl"
    sha256 = signed.add("gamma", name)
    digest, lock = f"sha256:{sha256}", project / "requirements.txt"
    url = f"{signed.location(name)}{signed.query}".replace("://", "://me:pa55@")
    pin = "gamma==1.0" if form == "index" else f"gamma @ {url}"
    lock.write_text(f"{pin} --hash=sha256:{sha256}\n")
    wishes = {"variables": {"PIP_INDEX_URL": signed.url, "HOME": str(project)}}
    for _ in range(2):
        found = gathered(**wishes)
        found.bring([digest])
        assert store.read(digest) == signed.files[name]
        files = [path for path in store.root.rglob("*") if path.is_file()]
        assert any(path.name.startswith("memo.sqlite") for path in files)
        data = b"".join(path.read_bytes() for path in files)
        assert b"gamma" in data
        assert b"s3cret" not in data
        assert b"pa55" not in data
        asked = len(web.asked)
        gathered(**wishes).bring([digest])
        assert len(web.asked) == asked, "what is here is not looked for"
        store.path(digest).unlink()
    with pytest.raises(NetworkError, match="--offline forbids"):
        gathered(offline=True, **wishes).bring([digest])


def test_a_lock_that_fell_behind_is_noticed(gathered: Gather) -> None:
    with pytest.raises(RequestError, match=r"`alpha>=2` is required, but .* has 1\.0"):
        gathered(requirements=("alpha>=2", "beta"), where="pyproject.toml")


def test_a_platform_without_wheels_is_refused(gathered: Gather) -> None:
    with pytest.raises(RequestError, match=r"beta 1\.0 has no wheel for linux/arm64"):
        gathered(target(), target("arm64"))


def test_offline_what_is_not_here_is_told(gathered: Gather) -> None:
    with pytest.raises(NetworkError, match="--offline forbids"):
        gathered(offline=True)


def test_a_folder_without_a_lock_is_told_how_to_get_one(gathered: Gather, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="has no lock") as caught:
        gathered(folder=tmp_path)
    assert "imagist lock" in (caught.value.problems[0].help or "")
    with pytest.raises(NotFound, match="there is no"):
        gathered(lock="poetry.lock")
