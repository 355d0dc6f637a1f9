"""Locks are made with the indexes of pip where uv knows of none, and tell nobody's password."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fixtures.simpleindex import SimpleIndex
from fixtures.webserver import Web
from imagist.errors import RequestError
from imagist.packages.wheel.handover import variables_for_uv
from imagist.packages.wheel.indexes import read_configuration
from imagist.packages.wheel.relock import Relocked, make_lock
from packages.wheel.tinywheel import tiny_wheel

SECRET = "s3cr3t"


@pytest.fixture
def private(web: Web) -> SimpleIndex:
    index = SimpleIndex(web, "/private", password=f"me:{SECRET}")
    index.add("alpha", "alpha-1.0-py3-none-any.whl", tiny_wheel("alpha", "1.0"))
    return index


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    made = tmp_path / "project"
    made.mkdir()
    (made / "requirements.in").write_text("alpha\n")
    return made


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that uv is called with, as everybody on the machine could see."""
    seen: list[str] = []
    really = subprocess.run

    def run(words: Sequence[str], **options: Any) -> Any:
        seen.extend(words)
        return really(words, **options)

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def lock(folder: Path) -> Relocked:
    return make_lock(folder, "requirements.in", python="3.12")


def known(index: SimpleIndex) -> str:
    return index.url.replace("://", f"://me:{SECRET}@")


@pytest.mark.parametrize(
    "way",
    ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "index-url", "extra-index-url"],
)
def test_what_pip_knows_uv_is_told(
    folder: Path,
    private: SimpleIndex,
    web: Web,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    nothing = SimpleIndex(web, "/nothing")
    monkeypatch.setenv("PIP_INDEX_URL", nothing.url)
    if way.startswith("PIP_"):
        monkeypatch.setenv(way, known(private))
    else:
        place = folder.parent / "pip.conf"
        place.write_text(f"[install]\n{way} = {known(private)}\n")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(place))
        if way == "index-url":
            monkeypatch.delenv("PIP_INDEX_URL")
    made = lock(folder)
    assert b'name = "alpha"' in made.data
    assert [asked for asked in web.asked if "authorization" in asked.headers]
    shown = f"{made.data!r} {made.notice} {arguments}"
    assert "pip" in arguments
    assert SECRET not in shown
    assert "me:" not in shown


def test_what_uv_knows_counts(
    folder: Path, private: SimpleIndex, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", known(private))
    monkeypatch.setenv("PIP_INDEX_URL", f"{web.url}/pips")
    lock(folder)
    assert private.asked()
    assert not [asked for asked in web.asked if asked.path.startswith("/pips")]


@pytest.mark.parametrize("user", ["", f"other:{SECRET}@"])
def test_whoever_is_refused_is_told_where_indexes_are_named(
    folder: Path, private: SimpleIndex, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", private.url.replace("://", f"://{user}"))
    with pytest.raises(RequestError, match=r"alpha was not found(?s:.*)401") as caught:
        lock(folder)
    (problem,) = caught.value.problems
    assert "PIP_INDEX_URL, pip.conf" in (problem.help or "")
    assert SECRET not in str(problem)


def test_the_rest_of_pips_network_goes_along(tmp_path: Path) -> None:
    proxy = "http://proxy.example:3128"
    said = {
        "HOME": str(tmp_path),
        "PIP_CERT": "ca.pem",
        "PIP_PROXY": proxy,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "wheels https://one.example/",
        "UV_FIND_LINKS": "/here",
        "VIRTUAL_ENV": "/absent",
        "XDG_CONFIG_DIRS": "/absent",
    }
    told = variables_for_uv(read_configuration(None, said), said)
    here = Path.cwd()
    assert told == {
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": f"/here,{here / 'wheels'},https://one.example/",
        "SSL_CERT_FILE": str(here / "ca.pem"),
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), proxy),
    }
