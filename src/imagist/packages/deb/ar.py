"""The outer archive of a .deb (deb(5)): `ar` members, read once from front to end.

    name[16] mtime[12] uid[6] gid[6] mode[8] size[10] end[2], and the content to an even size

Names longer than sixteen bytes are spelled differently by GNU and BSD; a .deb needs none, and what
two readers could read in two ways is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

from imagist.digest import CHUNK
from imagist.errors import Untrusted

_MAGIC: Final = b"!<arch>\n"
_SIZE: Final = re.compile(rb"[0-9]{1,10} *")
_NAME: Final = re.compile(rb"([A-Za-z0-9_][A-Za-z0-9_.+-]*)/? *")
_LENGTH: Final = 60
_MOST_MEMBERS: Final = 64


class Member(msgspec.Struct, frozen=True):
    """What a header says."""

    name: str
    """Without the slash that GNU ends names with."""
    size: int


class ArReader:
    """Members in their order; the content of each is read, or passed over by asking for the next.

    `consumed` counts the bytes of the file read so far, `digest` is the SHA-256 of them in hex.
    """

    def __init__(self, stream: BinaryIO, *, what: str, limit: int) -> None:
        """Read from `stream`, at most `limit` bytes; `what` names the file in errors."""
        self.consumed = 0
        self._stream = stream
        self._what = what
        self._limit = limit
        self._state = hashlib.sha256()
        self._ready = memoryview(b"")
        self._left = 0
        self._padded = False

    @property
    def digest(self) -> str:
        """SHA-256 in hex of all that was read; of the whole file after the last member."""
        return self._state.hexdigest()

    def __iter__(self) -> Iterator[Member]:
        """Yield the members, and read the file to its end.

        Raises:
            Untrusted: this is no `ar` archive, is cut off, or can be read in two ways.
        """
        if self._take(len(_MAGIC)) != _MAGIC:
            raise self._refuse("is no Debian package: it does not begin as an `ar` archive")
        for _ in range(_MOST_MEMBERS):
            self._finish_member()
            header = self._take(_LENGTH)
            if not header:
                return
            member = self._parse(header)
            self._left = member.size
            self._padded = bool(member.size % 2)
            yield member
        raise self._refuse(f"has more than {_MOST_MEMBERS} members")

    def read(self, size: int = CHUNK, /) -> memoryview:
        """Some bytes of the current member, none at its end.

        Raises:
            Untrusted: the file ends before the member does.
        """
        if not self._left:
            return memoryview(b"")
        if not self._fill():
            raise self._refuse("is cut off")
        piece = self._ready[: min(size, self._left)]
        self._ready = self._ready[len(piece) :]
        self._left -= len(piece)
        return piece

    def read_all(self, limit: int) -> bytes:
        """The whole content of the current member.

        Raises:
            Untrusted: it has more than `limit` bytes.
        """
        if self._left > limit:
            raise self._refuse(f"has a member of more than {limit} bytes where none is expected")
        return b"".join(iter(self.read, b""))

    def _finish_member(self) -> None:
        while self.read():
            pass
        # Some writers leave the padding out at the very end.
        if self._padded and self._take(1) not in {b"\n", b""}:
            raise self._refuse("has a member that is not filled up with a line feed")
        self._padded = False

    def _parse(self, header: bytes) -> Member:
        name, size = _NAME.fullmatch(header[:16]), _SIZE.fullmatch(header[48:58])
        if header[58:] != b"`\n" or size is None:
            raise self._refuse("has a member whose header is none")
        if name is None:  # such as the tables of GNU, and the long names of BSD
            shown = header[:16].decode("ascii", "backslashreplace").rstrip()
            raise self._refuse(f"has a member `{shown}`, which readers name differently")
        return Member(name[1].decode(), int(header[48:58]))

    def _take(self, count: int) -> bytes:
        """The next bytes across pieces; none at the end of the file."""
        taken = b""
        while len(taken) < count and self._fill():
            more = self._ready[: count - len(taken)]
            self._ready = self._ready[len(more) :]
            taken += more
        if taken and len(taken) < count:
            raise self._refuse("is cut off")
        return taken

    def _fill(self) -> bool:
        """Have bytes ready; false at the end of the file."""
        if self._ready:
            return True
        chunk = self._stream.read(CHUNK)
        self.consumed += len(chunk)
        if self.consumed > self._limit:
            raise self._refuse(f"is larger than {self._limit} bytes")
        self._state.update(chunk)
        self._ready = memoryview(chunk)
        return bool(chunk)

    def _refuse(self, why: str) -> Untrusted:
        return Untrusted(
            f"{self._what} {why}",
            help="fetch it again; if that does not help, tell whoever publishes it",
        )
