"""Changes Docker's file of credentials and leaves everything else in it as it is, byte by byte."""

from __future__ import annotations

import base64
import contextlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from imagist.registry.credential import Credential
from imagist.registry.dockerconfig import DockerConfig, read_raw
from imagist.store.output import alone, temporary_file

_INDENT: Final = re.compile(rb"\s*\{\r?\n([ \t]+)")
_MODE: Final = 0o600


def encode_entry(credential: Credential | None) -> bytes:
    """What `auths` holds for a registry; for None, that a helper keeps it."""
    if credential is None:
        return b"{}"
    if credential.identity_token:
        return msgspec.json.encode({"identitytoken": credential.identity_token})
    pair = f"{credential.user}:{credential.password}".encode()
    return msgspec.json.encode({"auth": base64.b64encode(pair).decode()})


def with_entry(raw: bytes, key: str, entry: bytes) -> bytes:
    """A file with an entry of `auths` set; the file must be one that `DockerConfig` reads."""
    return _edit(raw, lambda auths: auths | {key: msgspec.Raw(entry)})


def without_entries(raw: bytes, keys: Iterable[str]) -> bytes:
    """A file without some entries of `auths`."""
    gone = frozenset(keys)
    return _edit(raw, lambda auths: {key: v for key, v in auths.items() if key not in gone})


def change_file(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change a file that may not be there yet: only its owner reads it, and nobody half of it.

    A symbolic link stays one, and what it leads to is changed.

    Raises:
        InputError: the file is damaged, or the folder cannot be written.
    """
    place = Path(os.path.realpath(path))
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(place.parent):
        old = read_raw(str(place))
        DockerConfig(str(path), old or b"")  # raises where it is damaged
        new = change(old or b"{}")
        if new == old:
            return
        with temporary_file(place) as temporary:
            temporary.chmod(_MODE)
            temporary.write_bytes(new)
            if old is not None:
                _keep_owner(place, temporary)
            temporary.replace(place)


def _keep_owner(place: Path, temporary: Path) -> None:
    """Under sudo, a user's file stays the user's."""
    owner = place.stat()
    with contextlib.suppress(OSError):
        os.chown(temporary, owner.st_uid, owner.st_gid)


_Members = dict[str, msgspec.Raw]


def _edit(raw: bytes, change: Callable[[_Members], _Members]) -> bytes:
    found = _INDENT.match(raw)
    indent = found[1] if found else b"\t"
    members = msgspec.json.decode(raw, type=_Members)
    inner = members.get("auths", msgspec.Raw(b"{}"))
    old = msgspec.json.decode(inner, type=_Members | None) or {}
    new = change(old)
    if new == old:
        return raw
    members["auths"] = msgspec.Raw(_write(new, indent, 2))
    return _write(members, indent, 1) + (b"\n" if raw.endswith(b"\n") else b"")


def _write(members: Mapping[str, msgspec.Raw], indent: bytes, depth: int) -> bytes:
    """An object with a line for each member, whose values stay as they are."""
    if not members:
        return b"{}"
    line = b"\n" + indent * depth
    written = [msgspec.json.encode(key) + b": " + bytes(value) for key, value in members.items()]
    return b"{" + line + (b"," + line).join(written) + b"\n" + indent * (depth - 1) + b"}"
