"""Users and passwords of indexes serve the files that a lock names by URL, and nobody else."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.simpleindex import SimpleIndex
from fixtures.webserver import Answer, Web, serve
from imagist.errors import ImagistError
from imagist.net.environment import Environment
from imagist.net.transport import HttpTransport, Refused, Transport
from imagist.packages.wheel import indexes
from imagist.packages.wheel.credentials import learn_indexes, open_asking
from imagist.packages.wheel.gather import Gathered, Request, gather_wheels
from imagist.store.store import Store
from packages.wheel.targets import target

WHEEL = "alpha-1.0-py3-none-any.whl"
USER = "me:p@ss"
ENCODED = "me:p%40ss"
PYPROJECT = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["alpha"]\n'
LOCKS = {
    "pylock.toml": """\
lock-version = "1.0"
created-by = "a tool"
[[packages]]
name = "alpha"
version = "1.0"
wheels = [{{ url = "{url}", hashes = {{ sha256 = "{sha256}" }} }}]
""",
    "uv.lock": """\
version = 1
revision = 3
requires-python = ">=3.11"
[[package]]
name = "alpha"
version = "1.0"
source = {{ registry = "{index}" }}
wheels = [{{ url = "{url}", hash = "sha256:{sha256}" }}]
[[package]]
name = "shop"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "alpha" }}]
[package.metadata]
requires-dist = [{{ name = "alpha" }}]
""",
    "poetry.lock": """\
[[package]]
name = "alpha"
version = "1.0"
optional = false
python-versions = "*"
groups = ["main"]
files = [{{ file = "{name}", hash = "sha256:{sha256}" }}]
[package.source]
type = "legacy"
url = "{index}"
reference = "own"
[metadata]
lock-version = "2.1"
python-versions = ">=3.11"
content-hash = "x"
""",
    "pdm.lock": """\
[metadata]
groups = ["default"]
strategy = ["inherit_metadata", "static_urls"]
lock_version = "4.5.0"
[[package]]
name = "alpha"
version = "1.0"
groups = ["default"]
files = [{{ url = "{url}", hash = "sha256:{sha256}" }}]
""",
}
Gather = Callable[..., Gathered]


@pytest.fixture
def private(web: Web) -> SimpleIndex:
    index = SimpleIndex(web, "/private", password=USER)
    index.add("alpha", WHEEL)
    return index


@pytest.fixture
def folder(tmp_path: Path, private: SimpleIndex) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    (made / "pyproject.toml").write_text(PYPROJECT)
    lock(made, "pylock.toml", private)
    return made


def lock(folder: Path, name: str, index: SimpleIndex, url: str = "") -> None:
    (folder / name).write_text(
        LOCKS[name].format(
            name=WHEEL,
            url=url or index.location(WHEEL),
            index=index.url,
            sha256=index.sha256(WHEEL),
        )
    )


def known(index: SimpleIndex) -> str:
    """The index as somebody configures it who may read it."""
    return index.url.replace("://", f"://{ENCODED}@")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def gathered(folder: Path, store: Store, tmp_path: Path) -> Iterator[Gather]:
    transports: list[HttpTransport] = []

    def connect(environment: Environment) -> Transport:
        transports.append(HttpTransport(environment))
        return transports[-1]

    def run(name: str = "pylock.toml", *, bring: bool = True, **variables: str) -> Gathered:
        home = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": "/absent"}
        request = Request(folder=folder, lock=name, variables=home | variables)
        found = gather_wheels(request, (target(),), store, Environment(), connect)
        found.bring(found.sizes if bring else ())
        return found

    yield run
    for transport in transports:
        transport.close()


def arrived(store: Store, index: SimpleIndex) -> bool:
    return store.read(f"sha256:{index.sha256(WHEEL)}") == index.files[WHEEL]


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize("variable", ["UV_INDEX", "PIP_EXTRA_INDEX_URL"])
def test_every_lock_that_names_files_by_url_gets_them(
    gathered: Gather, folder: Path, private: SimpleIndex, store: Store, name: str, variable: str
) -> None:
    lock(folder, name, private)
    gathered(name, **{variable: known(private)})
    assert arrived(store, private)


@pytest.mark.parametrize(
    "variable",
    ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "PIP_INDEX_URL"],
)
def test_variables(gathered: Gather, private: SimpleIndex, store: Store, variable: str) -> None:
    gathered(**{variable: known(private)})
    assert arrived(store, private)


@pytest.mark.parametrize("mark", ["", "default = true", "explicit = true"])
@pytest.mark.parametrize("place", ["project/uv.toml", "home/.config/uv/uv.toml", "pyproject"])
def test_indexes_of_uv_with_names(
    gathered: Gather, private: SimpleIndex, store: Store, tmp_path: Path, place: str, mark: str
) -> None:
    table = f'[[index]]\nname = "my-own"\nurl = "{private.url}"\n{mark}\n'
    if place == "pyproject":
        text = PYPROJECT + table.replace("[[index]]", "[[tool.uv.index]]")
        write(tmp_path / "project/pyproject.toml", text)
    else:
        write(tmp_path / place, table)
    gathered(UV_INDEX_MY_OWN_USERNAME="me", UV_INDEX_MY_OWN_PASSWORD="p@ss")
    assert arrived(store, private)


@pytest.mark.parametrize("user", ["", "me@", "me:old@"])
def test_a_name_in_a_variable_of_uv(
    gathered: Gather, private: SimpleIndex, store: Store, user: str
) -> None:
    known = {"UV_INDEX_OWN_PASSWORD": "p@ss"} | ({} if user else {"UV_INDEX_OWN_USERNAME": "me"})
    gathered(UV_INDEX=f"own={private.url.replace('://', f'://{user}')}", **known)
    assert arrived(store, private)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("key", ["index-url", "extra-index-url"])
def test_files_of_pip(
    gathered: Gather, private: SimpleIndex, store: Store, tmp_path: Path, key: str, named: bool
) -> None:
    place = tmp_path / ("pip.conf" if named else "home/.config/pip/pip.conf")
    write(place, f"[global]\n{key} = {known(private)}\n")
    gathered(**({"PIP_CONFIG_FILE": str(place)} if named else {}))
    assert arrived(store, private)


def test_an_index_that_the_lock_names_itself(
    gathered: Gather, folder: Path, private: SimpleIndex, store: Store
) -> None:
    """Also where its choice is remembered, so that the lock need not be read, and a file is gone."""
    line = f"alpha @ {private.location(WHEEL)} --hash=sha256:{private.sha256(WHEEL)}\n"
    (folder / "requirements.txt").write_text(f"--index-url {known(private)}\n{line}")
    for _ in range(2):
        gathered("requirements.txt")
        assert arrived(store, private)
        store.path(f"sha256:{private.sha256(WHEEL)}").unlink()


def test_a_choice_that_is_remembered_reads_no_file_of_pip(
    gathered: Gather, private: SimpleIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "home/.config/pip/pip.conf", f"[global]\nindex-url = {known(private)}\n")
    first = gathered()
    monkeypatch.delattr(indexes, "_read_pip")
    assert gathered(bring=False).choices == first.choices


# whom they are for


def test_another_origin_gets_none(
    gathered: Gather, folder: Path, private: SimpleIndex, store: Store
) -> None:
    """Neither where the lock names it, nor where the index sends there."""
    with serve() as elsewhere:
        other = SimpleIndex(elsewhere, "/other")
        other.add("alpha", WHEEL)
        lock(folder, "pylock.toml", other)
        gathered(UV_INDEX=known(private))
        store.path(f"sha256:{other.sha256(WHEEL)}").unlink()
        sent = private.web.on(
            f"/sent/{WHEEL}", Answer(302, headers={"Location": other.location(WHEEL)})
        )
        lock(folder, "pylock.toml", private, sent)
        gathered(UV_INDEX=known(private))
        assert arrived(store, private)
        assert len(elsewhere.asked) == 2
        assert not [asked for asked in elsewhere.asked if "authorization" in asked.headers]
        (first,) = [asked for asked in private.web.asked if asked.path.startswith("/sent/")]
        assert first.headers["authorization"].startswith("Basic ")


def test_the_index_that_a_file_is_below_comes_first(web: Web, transport: HttpTransport) -> None:
    """Beside all of them the first does; an index of both tools is the first one's."""
    one, two, again = (
        web.url.replace("://", f"://{user}@") + path
        for user, path in (("one", "/one/simple"), ("two", "/two"), ("late", "/two"))
    )
    plain = learn_indexes(transport, [one, two, again, "folder"])
    assert plain == (f"{web.url}/one/simple", f"{web.url}/two", f"{web.url}/two", "folder")
    for path in ("/one/simple/a", "/one/a", "/two/simple/a", "/twofold"):
        web.on(path, Answer())
        open_asking(transport, web.url + path, limit=9).close()
    users = [base64.b64decode(asked.headers["authorization"][6:]) for asked in web.asked]
    assert users == [b"one:", b"one:", b"two:", b"one:"]
    learn_indexes(transport, [one, web.url.replace("://", "://root@")])
    open_asking(transport, f"{web.url}/twofold", limit=9).close()
    assert base64.b64decode(web.asked[-1].headers["authorization"][6:]) == b"root:"


@pytest.mark.parametrize("variables", [{}, {"UV_INDEX": "wrong"}])
def test_whoever_is_refused_is_told_how_to_be_known(
    gathered: Gather, private: SimpleIndex, variables: dict[str, str]
) -> None:
    wrong = {key: private.url.replace("://", "://me:s3cret@") for key in variables}
    with pytest.raises(Refused, match="the server answers 401 for") as caught:
        gathered(**wrong)
    said = told(caught.value)
    for way in ("UV_INDEX", "UV_INDEX_<NAME>_USERNAME", "PIP_INDEX_URL", "pip.conf", "netrc"):
        assert way in said
    assert "s3cret" not in said


def told(error: ImagistError) -> str:
    return " ".join(f"{problem.message} {problem.help}" for problem in error.problems)
