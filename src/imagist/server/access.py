"""Who may do what: users and their passwords from a file that `htpasswd -B` writes.

A password that held is remembered as a keyed hash for as long as the file stays as it is: bcrypt
takes a twentieth of a second by design, and clients send the password with every request.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from imagist.errors import InputError, NotFound
from imagist.server.messages import Refusal, Request

CHALLENGE: Final = ("www-authenticate", 'Basic realm="imagist", charset="UTF-8"')
_BCRYPT: Final = re.compile(
    r"\$2[aby]\$(?:0[4-9]|1[0-7])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}"
)
"""What bcrypt can check, at no greater cost than `htpasswd` gives: 17 takes ten seconds."""
_NO_HASH: Final = b"." * 31
_LONGEST: Final = 72
"""Bytes of a password that bcrypt looks at."""
_MOST_REMEMBERED: Final = 4096
_READS: Final = frozenset({"GET", "HEAD"})


class _Users(msgspec.Struct, frozen=True):
    """What the file of users says at one time, and which passwords held against that."""

    stamp: tuple[int, int]
    hashes: dict[str, bytes]
    stranger: bytes
    """The hash of no password, which takes as long to check."""
    held: dict[bytes, str]


class Access:
    """Decides whether a request may go on; safe for threads."""

    def __init__(
        self,
        file: Path | None = None,
        *,
        anonymous_pull: bool = False,
        warn: Callable[[str], object] = str,
    ) -> None:
        """Take the file of users; without one everybody may do everything.

        Args:
            file: lines of `user:bcrypt`.
            anonymous_pull: whether reading is free.
            warn: is told of lines that become bad later; nobody gets in by them.

        Raises:
            NotFound: there is no such file.
            InputError: it has other lines than `user:bcrypt`.
        """
        self._file = file
        self._anonymous_pull = anonymous_pull
        self._warn = warn
        self._key = os.urandom(32)
        self._users = _Users((0, 0), {}, b"", {})
        if file is not None:
            self._users, faults = _read(file)
            for fault in faults:
                raise fault

    def is_quick(self, request: Request) -> bool:
        """Whether `check` takes no time worth a thread."""
        if self._file is None:
            return True
        users = self._refresh(self._file)
        header = request.header("authorization")
        return not header or self._digest(header) in users.held

    def check(self, request: Request) -> None:
        """Note who asks, and stop whoever may not.

        Raises:
            Refusal: credentials are missing or wrong.
        """
        if self._file is None:
            return
        users = self._refresh(self._file)
        header = request.header("authorization")
        user, password = _parse(header)
        if user or password:
            held = self._digest(header)
            if users.held.get(held) != user:
                _verify(users, user, password)
                # Where the file was changed meanwhile, these users are not asked any more.
                if len(users.held) >= _MOST_REMEMBERED:
                    users.held.clear()
                users.held[held] = user
            request.user = user
        elif not (self._anonymous_pull and request.method in _READS and not _is_ping(request)):
            raise _unauthorized("credentials are needed here")

    def _digest(self, header: str) -> bytes:
        return hmac.digest(self._key, header.encode("utf-8", "surrogateescape"), "sha256")

    def _refresh(self, file: Path) -> _Users:
        """Read the file again if it changed; one that is gone changes nothing."""
        with contextlib.suppress(OSError, InputError, NotFound):
            if _stamp(file) != self._users.stamp:
                self._users, faults = _read(file)
                for fault in faults:
                    self._warn(f"{fault.problems[0]}; it is passed over")
        return self._users


def _verify(users: _Users, user: str, password: str) -> None:
    import bcrypt  # noqa: PLC0415 - an optional dependency

    # A user who does not exist takes as long, so that nobody learns who does.
    known = users.hashes.get(user)
    try:
        matches = bcrypt.checkpw(password.encode()[:_LONGEST], known or users.stranger)
    except ValueError:  # no password that bcrypt can have
        matches = False
    if known is None or not matches:
        raise _unauthorized("user name or password is wrong")


def _read(file: Path) -> tuple[_Users, list[InputError]]:
    """The users of a file, and what is wrong with its other lines.

    Raises:
        NotFound: there is no such file.
        InputError: it cannot be read.
    """
    import bcrypt  # noqa: PLC0415 - an optional dependency

    try:
        stamp = _stamp(file)
        lines = file.read_text("utf-8", "surrogateescape").splitlines()
    except FileNotFoundError:
        raise NotFound(f"there is no file {file}") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    hashes, faults = {}, []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, hashed = line.strip().partition(":")
        if user and user.isprintable() and _BCRYPT.fullmatch(hashed):
            hashes[user] = hashed.encode()
        else:
            faults.append(
                InputError(
                    f"line {number} is not `user:bcrypt`",
                    where=str(file),
                    help=f"make it with `htpasswd -B {file} USER`",
                )
            )
    stranger = bcrypt.gensalt(_cost(hashes)) + _NO_HASH
    return _Users(stamp, hashes, stranger, {}), faults


def _cost(hashes: dict[str, bytes]) -> int:
    """The work factor of the passwords: `$2y$05$...`."""
    return max((int(hashed[4:6]) for hashed in hashes.values()), default=5)


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_ino


def _is_ping(request: Request) -> bool:
    """Clients look here how to authenticate, so it must say so even where reading is free."""
    return request.path in {"/v2", "/v2/"}


def _parse(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if not header:
        return "", ""
    if scheme.lower() != "basic":
        raise _unauthorized("only basic authentication is understood here")
    try:
        user, _, password = (
            base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        )
    except (binascii.Error, UnicodeDecodeError):
        raise _unauthorized("the credentials cannot be read") from None
    return user, password


def _unauthorized(message: str) -> Refusal:
    return Refusal(401, "UNAUTHORIZED", message, headers=[CHALLENGE])
