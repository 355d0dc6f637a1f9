"""Which public keys may have signed an index: those declared, and those a server announces.

A declared key is trusted for every repository. A discovered key is trusted only for the
repositories it was discovered for (apko trusts it for all).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from imagist.digest import sha256
from imagist.errors import ImagistError, InputError, Problem, Untrusted
from imagist.net.url import is_remote, origin_of, redact
from imagist.packages.apk.location import Location
from imagist.packages.apk.signature import Key, key_from_jwk, load_key
from imagist.packages.reading import MAX_KEY, Document, Reader
from imagist.store.memo import memo_key

ALPINE_RELEASES: Final = "https://alpinelinux.org/releases.json"
"""Where Alpine lists its releases, and the keys of each."""
FRESH: Final = 24 * 3600.0
"""Seconds for which announced keys are not asked for again."""
_CONNECTIONS: Final = 8
T = TypeVar("T")


class TrustedKeys(msgspec.Struct, frozen=True):
    """The keys of a build."""

    declared: tuple[Key, ...] = ()
    """Trusted for every repository."""
    discovered: dict[Location, tuple[Key, ...]] = {}
    """Trusted for one repository each."""

    def for_repository(self, location: Location) -> dict[str, Key]:
        """The keys that may have signed a repository's index, by name."""
        keys = (*self.discovered.get(location, ()), *self.declared)
        return {key.name: key for key in keys}

    def all(self) -> dict[str, Key]:
        """Every key by name, for the image's own /etc/apk/keys.

        Raises:
            InputError: two repositories announce different keys under one name, and no declared
                key says which is meant.
        """
        declared = {key.name: key for key in self.declared}
        found: dict[str, Key] = {}
        for location, keys in self.discovered.items():
            for key in keys:
                if found.setdefault(key.name, key) != key and key.name not in declared:
                    raise InputError(
                        f"{location} announces a key {key.name} that differs from another "
                        "repository's key of this name",
                        help="name the right one in `contents.keyring`",
                    )
        return found | declared


class _RepositoryKey(msgspec.Struct):
    url: str
    deprecated_since: str | None = None


class _ReleaseBranch(msgspec.Struct):
    rel_branch: str
    keys: dict[str, list[_RepositoryKey]] = {}


class _Releases(msgspec.Struct):
    release_branches: list[_ReleaseBranch]


class _Configuration(msgspec.Struct):
    jwks_uri: str = ""


class _KeySet(msgspec.Struct):
    keys: list[dict[str, object]] = []


def load_keyring(sources: Sequence[str], reader: Reader) -> tuple[Key, ...]:
    """The declared keys; each keeps the file name it has at its source.

    Raises:
        InputError: keys that cannot be had or are none; all of them at once.
    """

    def load(source: str) -> Key | Problem:
        try:
            data = reader.read(source, limit=MAX_KEY)
            return load_known_key(_file_name(source), data or b"", reader)
        except ImagistError as error:
            reason = error.problems[0]
            where = f"the key `{source}`"
            return Problem(f"{where} cannot be used: {reason.message}", reason.where, reason.help)

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        loaded = list(pool.map(load, dict.fromkeys(sources)))
    problems = [found for found in loaded if isinstance(found, Problem)]
    if problems:
        raise InputError(problems)
    return tuple(found for found in loaded if isinstance(found, Key))


def discover_keys(
    locations: Iterable[Location], architectures: Sequence[str], reader: Reader, *, today: str
) -> tuple[dict[Location, tuple[Key, ...]], list[str]]:
    """Ask servers which keys sign their repositories; what they do not say is no error.

    Args:
        locations: the repositories; those that are folders announce nothing.
        architectures: APK names.
        reader: reads what servers answer.
        today: ISO date; keys that are deprecated by then are left out.

    Returns:
        The keys for each repository, and warnings about servers that could not be asked.
    """
    remote = [location for location in dict.fromkeys(locations) if location.is_remote]
    warnings: list[str] = []

    def discover(location: Location) -> tuple[Key, ...]:
        found: list[Key] = []
        for ask in (_ask_alpine, _ask_server):
            try:
                found += ask(location, architectures, reader, today)
            except ImagistError as error:
                warnings.append(f"keys of {location} could not be discovered: {error}")
        return tuple(dict.fromkeys(found))

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        keys = dict(zip(remote, pool.map(discover, remote), strict=True))
    return {location: found for location, found in keys.items() if found}, warnings


def _ask_alpine(
    location: Location, architectures: Sequence[str], reader: Reader, today: str
) -> list[Key]:
    """The keys that Alpine's list of releases has for the branch of a repository."""
    if not location.alpine_branch:
        return []
    releases = _read_json(_Releases, ALPINE_RELEASES, reader)
    if releases is None:
        return []
    branches = [b for b in releases.release_branches if b.rel_branch == location.alpine_branch]
    urls = [
        # As published once: the @ of an address had become a space.
        key.url.replace("%20", "@")
        for branch in branches
        for arch in architectures
        for key in branch.keys.get(arch, ())
        if not (key.deprecated_since and _has_come(key.deprecated_since, today))
    ]
    texts = [(url, reader.read(url, limit=MAX_KEY, max_age=FRESH)) for url in dict.fromkeys(urls)]
    return [load_known_key(_file_name(url), text or b"", reader) for url, text in texts]


def _ask_server(
    location: Location, architectures: Sequence[str], reader: Reader, today: str
) -> list[Key]:
    """The keys of a repository's `apk-configuration` (JSON Web Key Set, RFC 7517).

    Raises:
        Untrusted: they come over a connection on which anyone could have put them.
        InputError: the answer is not what it should be.
    """
    del architectures, today
    configuration = _read_json(_Configuration, f"{location.url}/apk-configuration", reader)
    if configuration is None or not configuration.jwks_uri:
        return []
    uri = configuration.jwks_uri
    if not is_remote(uri):
        raise InputError(f"{location.url} names `{redact(uri)}` as its key set")
    for url in (location.url, uri):
        if origin_of(url).scheme != "https" and not origin_of(url).is_loopback:
            raise Untrusted(
                f"{redact(url)} announces keys over plain HTTP, where anyone on the way could",
                help="use https, or name the key in `contents.keyring`",
            )
    document = reader.find(uri, limit=MAX_KEY, max_age=FRESH)
    return _read_key_set(document, redact(uri), reader) if document else []


def _read_key_set(document: Document, what: str, reader: Reader) -> list[Key]:
    """The RSA keys of a JSON Web Key Set, remembered by its digest."""
    question = memo_key("apk-jwks/1", document.digest)
    known = reader.memo.get("apk-jwks", question)
    if known is not None:
        return msgspec.msgpack.decode(known, type=list[Key])
    key_set = _decode(_KeySet, document.read(), what)
    keys = [key_from_jwk(jwk) for jwk in key_set.keys if jwk.get("kty") == "RSA"]
    reader.memo.put("apk-jwks", question, msgspec.msgpack.encode(keys))
    return keys


def load_known_key(name: str, pem: bytes, reader: Reader) -> Key:
    """`signature.load_key`, remembered: to load what reads keys takes longer than a rebuild."""
    question = memo_key("apk-key/1", name, sha256(pem))
    if reader.memo.get("apk-key", question) is not None:
        return Key(name, pem)
    key = load_key(name, pem)
    reader.memo.put("apk-key", question, b"good")
    return key


def _has_come(date: str, today: str) -> bool:
    try:
        return datetime.date.fromisoformat(date[:10]) <= datetime.date.fromisoformat(today)
    except ValueError:
        return False


def _read_json(kind: type[T], url: str, reader: Reader) -> T | None:
    data = reader.read(url, limit=MAX_KEY, optional=True, max_age=FRESH)
    return None if data is None else _decode(kind, data, redact(url))


def _decode(kind: type[T], data: bytes, what: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{what} is not what it should be: {error}") from error


def _file_name(source: str) -> str:
    path = urlsplit(source).path if is_remote(source) else source
    return unquote(path).rstrip("/").rpartition("/")[2]
