"""Which package indexes to ask: what pip and uv are configured to use, and in their order.

The first of these that names an index, or says that there is none, is followed:

1. `--index-url` of the lock itself, if it is a requirements file;
2. uv: `UV_*` variables, `uv.toml` or `[tool.uv]` of the project, of the user, of the system;
3. pip: `PIP_*` variables, then `pip.conf` of the site, of the user, of the system;
4. the index that pip was built with.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from imagist.errors import NotFound, RequestError
from imagist.net.environment import Environment
from imagist.net.url import Userinfo, is_remote, userinfo_of, without_userinfo, without_users
from imagist.packages.wheel.lock.model import Lock
from imagist.text.tomlnodes import read_toml

_SECTIONS: Final = ("global", "install", "download")
"""Of pip.conf, later ones win."""
_YES: Final = frozenset({"1", "true", "yes", "on", "y"})
_NAME: Final = r"([A-Za-z0-9._-]+)=(?=[a-z]+://)"
_TOOL_UV: Final = r"(?m)^\s*\[\[?\s*tool\s*\.\s*uv\b"
_WORKSPACE: Final = r"(?m)^\s*\[\s*tool\s*\.\s*uv\s*\.\s*workspace\b"


class Settings(msgspec.Struct, frozen=True):
    """What a tool is configured to use; of one tool, or of one of its files."""

    index: str = ""
    """The main index; empty where nothing is said."""
    before: tuple[str, ...] = ()
    """Indexes that are asked before the main one."""
    after: tuple[str, ...] = ()
    explicit: tuple[str, ...] = ()
    """Indexes that are asked only for packages that the lock says are from them."""
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    ca_file: str = ""
    proxy: str = ""

    @property
    def names_index(self) -> bool:
        """Whether it says where packages are from."""
        return bool(self.index or self.before or self.after or self.no_index)

    @property
    def every_place(self) -> tuple[str, ...]:
        """All indexes and places with links, whoever is asked for what."""
        indexes = (*self.before, self.index, *self.after, *self.explicit)
        return _once([*indexes, *self.find_links])

    def over(self, other: Settings) -> Settings:
        """This, where it says something, and else the other; lists are added."""
        return Settings(
            self.index or other.index,
            _once([*self.before, *other.before]),
            _once([*self.after, *other.after]),
            _once([*self.explicit, *other.explicit]),
            _once([*self.find_links, *other.find_links]),
            self.no_index or other.no_index,
            self.ca_file or other.ca_file,
            self.proxy or other.proxy,
        )


class Indexes(msgspec.Struct, frozen=True):
    """Where packages are looked for, in order. URLs may have credentials in them."""

    urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Indexes(***)"


class Configuration(msgspec.Struct, frozen=True, dict=True):
    """What the machine, the user and the project say."""

    uv: Settings = Settings()
    pip_variables: Settings = Settings()
    pip_files: tuple[tuple[Path, str], ...] = ()
    """Files of pip and their texts, the strongest first."""

    def __repr__(self) -> str:
        return "Configuration(***)"

    @functools.cached_property
    def pip(self) -> Settings:
        """What pip is configured to use.

        Raises:
            RequestError: a file is malformed.
        """
        pip = self.pip_variables
        for file, text in self.pip_files:
            pip = pip.over(_read_pip(file, text))
        return pip

    def places(self) -> tuple[str, ...]:
        """All that says where packages are from, without who asks: other places, other texts."""
        urls = (*self.uv.every_place, *self.pip_variables.every_place)
        texts = [*urls, *(text for _, text in self.pip_files)]
        return tuple(map(without_users, texts))

    def places_with_users(self) -> tuple[str, ...]:
        """All that uv and pip would ask, with who asks: either may have made a lock.

        Raises:
            RequestError: a file is malformed.
        """
        return _once([*self.uv.every_place, *self.pip.every_place])

    def indexes(self, lock: Lock) -> Indexes:
        """The indexes to ask for the packages of a lock.

        Raises:
            NotFound: nobody names one, and pip, which knows, is not there.
        """
        settings = self.uv if self.uv.names_index else self.pip
        links = _once([*lock.find_links, *self.uv.find_links, *self.pip.find_links])
        if lock.indexes or settings.no_index:
            return Indexes(_once([*lock.indexes, *lock.extra_indexes]), links)
        main = settings.index or default_index()
        urls = [*settings.before, main, *settings.after, *lock.extra_indexes]
        return Indexes(_once(urls), links)

    def network(self, environment: Environment) -> Environment:
        """The environment with the proxy and authorities that pip is configured to use."""
        changes: dict[str, str] = {}
        if self.pip.ca_file:
            changes["ca_file"] = self.pip.ca_file
        if self.pip.proxy:
            changes |= {"http_proxy": self.pip.proxy, "https_proxy": self.pip.proxy}
        return msgspec.structs.replace(environment, **changes)


def read_configuration(
    project: Path | None = None, variables: Mapping[str, str] | None = None
) -> Configuration:
    """Read what pip and uv would read.

    Args:
        project: its folder, for `uv.toml` and `[tool.uv]`.
        variables: the environment; by default that of the process.

    Raises:
        RequestError: a file is malformed.
    """
    known = os.environ if variables is None else variables
    uv = _uv_variables(known)
    for file in _uv_files(project, known):
        uv = uv.over(_read_uv(file, known))
    # Whoever remembers what was chosen needs no more of pip's files than their texts.
    texts = ((file, _read_text(file)) for file in reversed(_pip_files(known)))
    files = tuple((file, text) for file, text in texts if text is not None)
    return Configuration(uv, _pip_variables(known), files)


def default_index() -> str:
    """The index that pip was built with.

    Raises:
        NotFound: pip is not installed beside imagist, nor is the copy that Python brings.
    """
    try:
        from pip._internal.models.index import PyPI  # noqa: PLC0415 - optional
    except ImportError:
        _add_bundled_pip()
        try:
            from pip._internal.models.index import PyPI  # noqa: PLC0415 - optional
        except ImportError:
            raise NotFound(
                "no package index is configured, and pip, which knows the usual one, is absent",
                help="set UV_DEFAULT_INDEX or PIP_INDEX_URL to the index to use",
            ) from None
    return str(PyPI.simple_url)


def _add_bundled_pip() -> None:
    """Let the wheel of pip that comes with Python (ensurepip) be imported from."""
    try:
        import ensurepip  # noqa: PLC0415 - absent where a distribution removed it
    except ImportError:
        return
    folder = Path(ensurepip.__file__).parent / "_bundled"
    sys.path += [str(wheel) for wheel in sorted(folder.glob("pip-*.whl"))]


# pip


def _pip_variables(variables: Mapping[str, str]) -> Settings:
    values = {
        key[4:].lower().replace("_", "-"): value
        for key, value in variables.items()
        if key.startswith("PIP_") and value
    }
    return _pip_settings(values)


def _pip_files(variables: Mapping[str, str]) -> list[Path]:
    """The files of pip, the weakest first (pip's user guide, "Configuration")."""
    named = variables.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    home = variables.get("HOME", "")
    xdg = variables.get("XDG_CONFIG_DIRS", "") or "/etc/xdg"
    files = [Path(folder, "pip", "pip.conf") for folder in reversed(xdg.split(":")) if folder]
    files.append(Path("/etc/pip.conf"))
    if home:
        own = variables.get("XDG_CONFIG_HOME", "") or f"{home}/.config"
        files += [Path(home, ".pip", "pip.conf"), Path(own, "pip", "pip.conf")]
        files.append(Path(home, "Library", "Application Support", "pip", "pip.conf"))
    environment = variables.get("VIRTUAL_ENV", "") or sys.prefix
    files.append(Path(environment, "pip.conf"))
    return [*files, Path(named)] if named else files


def _read_pip(file: Path, text: str) -> Settings:
    import configparser  # noqa: PLC0415 - few have such files

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text, str(file))
    except configparser.Error as error:
        # Its message may quote the line, which may hold a password.
        line = getattr(error, "lineno", None)
        place = f"{file}:{line}" if line else str(file)
        raise RequestError("this is no configuration of pip", where=place) from None
    values: dict[str, str] = {}
    for section in _SECTIONS:
        if parser.has_section(section):
            values |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    return _pip_settings(values)


def _pip_settings(values: Mapping[str, str]) -> Settings:
    return Settings(
        index=values.get("index-url", "").strip(),
        after=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        no_index=values.get("no-index", "").strip().lower() in _YES,
        ca_file=values.get("cert", "").strip(),
        proxy=values.get("proxy", "").strip(),
    )


# uv


def _uv_variables(variables: Mapping[str, str]) -> Settings:
    get = variables.get
    return Settings(
        index=_read_named(get("UV_DEFAULT_INDEX", "") or get("UV_INDEX_URL", ""), variables),
        before=tuple(
            _read_named(url, variables)
            for key in ("UV_INDEX", "UV_EXTRA_INDEX_URL")
            for url in get(key, "").split()
        ),
        find_links=tuple(get("UV_FIND_LINKS", "").replace(",", " ").split()),
        no_index=get("UV_NO_INDEX", "").lower() in _YES,
    )


def _read_named(index: str, variables: Mapping[str, str]) -> str:
    """The URL of `name=url`, with the user and password of that name."""
    match = re.match(_NAME, index.strip())
    if match is None:
        return index.strip()
    return _with_credentials(index.strip()[match.end() :], match[1], variables)


def _uv_files(project: Path | None, variables: Mapping[str, str]) -> list[Path]:
    """The files of uv, the strongest first (uv's "Configuration files")."""
    if variables.get("UV_NO_CONFIG", "").lower() in _YES:
        return []
    if named := variables.get("UV_CONFIG_FILE", ""):
        return [Path(named)]
    files = [] if project is None else [_find_uv_file(project)]
    home = variables.get("HOME", "")
    user = variables.get("XDG_CONFIG_HOME", "") or (f"{home}/.config" if home else "")
    if user:
        files.append(Path(user, "uv", "uv.toml"))
    system = (variables.get("XDG_CONFIG_DIRS", "") or "/etc/xdg").split(":")
    files += [Path(folder, "uv", "uv.toml") for folder in system if folder]
    return [*files, Path("/etc/uv/uv.toml")]


def _find_uv_file(project: Path) -> Path:
    """The file of uv that counts for a project: that of its workspace, else the nearest one."""
    nearest: Path | None = None
    for folder in (project, *project.absolute().parents):
        own, shared = folder / "uv.toml", folder / "pyproject.toml"
        text = _read_text(shared) or ""
        file = own if own.is_file() else shared if re.search(_TOOL_UV, text) else None
        if file is not None and re.search(_WORKSPACE, text):
            return file
        nearest = nearest or file
    return nearest or project / "pyproject.toml"


def _read_uv(file: Path, variables: Mapping[str, str]) -> Settings:
    text = _read_text(file)
    if text is None:
        return Settings()
    values: Any = read_toml(text.encode(), str(file))
    if file.name == "pyproject.toml":
        values = _table(_table(values.get("tool")).get("uv"))
    pip = _table(values.get("pip"))
    main, before, explicit = "", [], []
    for each in values.get("index") or ():
        index = _table(each)
        url = str(index.get("url", ""))
        if not url:
            continue
        url = _with_credentials(url, str(index.get("name", "")), variables)
        if index.get("explicit") is True:
            explicit.append(url)
        elif index.get("default") is True:
            main = main or url
        else:
            before.append(url)
    return Settings(
        index=main or str(values.get("index-url") or pip.get("index-url") or ""),
        before=(*before, *_texts(values, pip, "extra-index-url")),
        explicit=tuple(explicit),
        find_links=tuple(_texts(values, pip, "find-links")),
        no_index=(values.get("no-index") or pip.get("no-index")) is True,
    )


def _with_credentials(url: str, name: str, variables: Mapping[str, str]) -> str:
    """The URL with the user and password of UV_INDEX_<NAME>_USERNAME and _PASSWORD."""
    from urllib.parse import quote  # noqa: PLC0415 - seldom needed

    key = re.sub("[^A-Z0-9]", "_", name.upper())
    user = variables.get(f"UV_INDEX_{key}_USERNAME", "")
    password = variables.get(f"UV_INDEX_{key}_PASSWORD", "")
    if not (user or password) or not is_remote(url):
        return url
    own = userinfo_of(url) or Userinfo("", "")  # often its user alone stands in a file
    user, password = user or own.user, password or own.password
    scheme, _, rest = without_userinfo(url).partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"


def _texts(values: Mapping[str, Any], pip: Mapping[str, Any], key: str) -> Iterable[str]:
    found = values.get(key) or pip.get(key) or ()
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else ()


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _read_text(file: Path) -> str | None:
    try:
        return file.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{file} cannot be read: {type(error).__name__}") from None


def _once(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for item in items if item))
