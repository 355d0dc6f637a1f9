"""Files of credentials as Docker and Podman write them: `config.json` and `auth.json`."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Final

import msgspec

from imagist.errors import InputError, Span
from imagist.registry.credential import ANONYMOUS, Credential
from imagist.registry.keys import find_key, key_of, normalize

MAX_CONFIG: Final = 8 << 20
"""Bytes that such a file may have."""
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_BYTE: Final = re.compile(r"\(byte (\d+)\)")


class _Entry(msgspec.Struct, frozen=True):
    """What a file says about one registry."""

    auth: str | None = None
    """`user:password` in base64."""
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None
    registrytoken: str | None = None

    def __repr__(self) -> str:
        return "_Entry(***)"


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    """The members that concern credentials."""

    auths: dict[str, _Entry | None] | None = None
    cred_helpers: dict[str, str] | None = None
    creds_store: str | None = None


class Helper(msgspec.Struct, frozen=True):
    """A program that keeps credentials, and what a registry is called to it."""

    name: str
    server: str


class DockerConfig:
    """One file of credentials, read."""

    def __init__(self, name: str, raw: bytes) -> None:
        """Read a file; `name` is what people call it.

        Raises:
            InputError: it is no such file. What is in it is not told.
        """
        self.name = name
        try:
            self._document = msgspec.json.decode(raw or b"{}", type=_Document)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _explain(name, raw, error) from None

    def __repr__(self) -> str:
        return f"DockerConfig({self.name!r})"

    def helper(self, registry: str, repository: str = "") -> Helper | None:
        """The program that is asked about a repository: of `credHelpers`, else `credsStore`."""
        for key, name in find_key(self._document.cred_helpers or {}, registry, repository):
            if name:
                return Helper(name, key)
        store = self._document.creds_store
        return Helper(store, key_of(registry)) if store else None

    def keys(self, registry: str) -> list[str]:
        """The keys of `auths` that mean a registry, or a namespace of one."""
        name = normalize(registry)
        return [key for key in self._document.auths or {} if normalize(key) == name]

    def find(self, registry: str, repository: str = "") -> Credential:
        """What `auths` has for a repository; anonymous where it has nothing.

        Raises:
            InputError: the entry is damaged.
        """
        for key, entry in find_key(self._document.auths or {}, registry, repository):
            credential = self._decode(key, entry or _Entry())
            if not credential.is_anonymous:
                return credential
        return ANONYMOUS

    def _decode(self, key: str, entry: _Entry) -> Credential:
        user, password = entry.username or "", entry.password or ""
        if entry.auth:
            try:
                decoded = base64.b64decode(entry.auth.strip(), validate=True).decode()
                user, colon, password = decoded.partition(":")
            except (binascii.Error, ValueError):
                colon = ""
            if not colon:
                raise InputError(
                    f"the `auth` of `{key}` is not base64 of user:password",
                    where=self.name,
                    help=f"run `imagist login {key}` to write it anew",
                ) from None
        if entry.registrytoken and not _VISIBLE.fullmatch(entry.registrytoken):
            raise InputError(f"the `registrytoken` of `{key}` is no token", where=self.name)
        return Credential(
            user=user,
            password=password.rstrip("\0"),
            identity_token=entry.identitytoken or "",
            registry_token=entry.registrytoken or "",
            origin=self.name,
        )


def read_config(path: str) -> DockerConfig | None:
    """The file at a path; None where there is none.

    Raises:
        InputError: it cannot be read, or is something else.
    """
    raw = read_raw(path)
    return None if raw is None else DockerConfig(path, raw)


def read_raw(path: str) -> bytes | None:
    """The bytes of the file at a path; None where there is none.

    Raises:
        InputError: it cannot be read, or is far too large.
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_CONFIG + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if len(raw) > MAX_CONFIG:
        raise InputError(f"{path} has more than {MAX_CONFIG} bytes; is it a file of credentials?")
    return raw


def _explain(name: str, raw: bytes, error: Exception) -> InputError:
    """What is wrong with a file and where, without a word of what stands there."""
    if isinstance(error, msgspec.ValidationError):
        return InputError(f"it is no file of credentials: {error}", where=name)
    found = _BYTE.search(str(error))
    if found is None:
        return InputError("it is no file of credentials: it is not JSON", where=name)
    before = raw[: int(found[1])].decode(errors="replace").split("\n")
    span = Span(name, len(before), len(before[-1]) + 1)
    return InputError("it is no file of credentials: the JSON breaks here", where=span)
