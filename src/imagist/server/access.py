"""Who may do what: users and their passwords from a file that `htpasswd -B` writes.

A password that held is remembered as a keyed hash for as long as the file stays as it is: bcrypt
takes a twentieth of a second by design, and clients send the password with every request.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import threading
from pathlib import Path
from typing import Final

from imagist.errors import InputError, NotFound
from imagist.server.messages import Refusal, Request

CHALLENGE: Final = ("www-authenticate", 'Basic realm="imagist", charset="UTF-8"')
_BCRYPT: Final = re.compile(r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}")
_LONGEST: Final = 72
"""Bytes of a password that bcrypt looks at."""
_MOST_REMEMBERED: Final = 4096
_READS: Final = frozenset({"GET", "HEAD"})


class Access:
    """Decides whether a request may go on; safe for threads."""

    def __init__(self, file: Path | None = None, *, anonymous_pull: bool = False) -> None:
        """Take the file of users; without one everybody may do everything.

        Raises:
            NotFound: there is no such file.
            InputError: it has other lines than `user:bcrypt`.
        """
        self._file = file
        self._anonymous_pull = anonymous_pull
        self._key = os.urandom(32)
        self._lock = threading.Lock()
        self._stamp = (0, 0)
        self._users: dict[str, bytes] = {}
        self._held: dict[bytes, str] = {}
        self._stranger = b""
        if file is not None:
            self._read(file)

    def is_quick(self, request: Request) -> bool:
        """Whether `check` takes no time worth a thread."""
        if self._file is None:
            return True
        header = request.header("authorization")
        return not header or self._digest(header) in self._held

    def check(self, request: Request) -> None:
        """Note who asks, and stop whoever may not.

        Raises:
            Refusal: credentials are missing or wrong.
        """
        if self._file is None:
            return
        self._refresh(self._file)
        header = request.header("authorization")
        user, password = _parse(header)
        if user or password:
            held = self._digest(header)
            if self._held.get(held) != user:
                self._verify(user, password)
                self._remember(held, user)
            request.user = user
        elif not (self._anonymous_pull and request.method in _READS and not _is_ping(request)):
            raise _unauthorized("credentials are needed here")

    def _verify(self, user: str, password: str) -> None:
        import bcrypt  # noqa: PLC0415 - an optional dependency

        # A user who does not exist takes as long, so that nobody learns who does.
        known = self._users.get(user)
        try:
            matches = bcrypt.checkpw(password.encode()[:_LONGEST], known or self._stranger)
        except ValueError:  # no password that bcrypt can have
            matches = False
        if known is None or not matches:
            raise _unauthorized("user name or password is wrong")

    def _remember(self, held: bytes, user: str) -> None:
        with self._lock:
            if len(self._held) >= _MOST_REMEMBERED:
                self._held.clear()
            self._held[held] = user

    def _digest(self, header: str) -> bytes:
        return hmac.digest(self._key, header.encode("utf-8", "surrogateescape"), "sha256")

    def _refresh(self, file: Path) -> None:
        """Read the file again if it changed; one that is gone or damaged changes nothing."""
        try:
            if _stamp(file) != self._stamp:
                self._read(file)
        except (OSError, InputError):
            return

    def _read(self, file: Path) -> None:
        import bcrypt  # noqa: PLC0415 - an optional dependency

        try:
            stamp = _stamp(file)
            lines = file.read_text("utf-8").splitlines()
        except FileNotFoundError:
            raise NotFound(f"there is no file {file}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file} cannot be read: {error}") from error
        users = {}
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.startswith("#"):
                user, colon, hashed = line.strip().partition(":")
                if not (user and colon and _BCRYPT.fullmatch(hashed)):
                    raise InputError(
                        f"line {number} is not `user:bcrypt`",
                        where=str(file),
                        help=f"make it with `htpasswd -B {file} USER`",
                    )
                users[user] = hashed.encode()
        with self._lock:
            self._users, self._held, self._stamp = users, {}, stamp
            self._stranger = bcrypt.hashpw(
                os.urandom(8).hex().encode(), bcrypt.gensalt(_cost(users))
            )


def _cost(users: dict[str, bytes]) -> int:
    """The work factor of the passwords: `$2y$05$...`."""
    return min(max((int(hashed[4:6]) for hashed in users.values()), default=5), 14)


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
