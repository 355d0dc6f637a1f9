"""Fetching releases, and deciding whom to believe them from.

The chain of trust: a trusted key signed the release; the release has the SHA-256 of each index; an
index has the SHA-256 of each .deb.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.errors import InputError, NotFound, Untrusted
from imagist.net.url import redact
from imagist.packages.deb.openpgp import (
    MAX_KEYRING,
    Keyring,
    Verified,
    machine_keyrings,
    select_keys,
    verify_clearsigned,
    verify_detached,
)
from imagist.packages.deb.release import (
    MAX_RELEASE,
    Release,
    check_date,
    check_name,
    parse_release,
)
from imagist.packages.deb.sources import SNAPSHOT, Source
from imagist.packages.reading import Reader

_MAX_SIGNATURE: Final = 1 << 20
_CLEARSIGNED: Final = b"-----BEGIN PGP SIGNED MESSAGE-----"


class LoadedRelease(msgspec.Struct, frozen=True):
    """One suite of one archive, verified."""

    source: Source
    release: Release
    signers: tuple[str, ...]
    """Fingerprints of the trusted keys that signed it; empty where it was taken without."""
    warning: str = ""

    @property
    def end(self) -> float | None:
        """When it is over, in seconds since 1970; None where nobody asks, or the past is meant."""
        source = self.source
        asks = source.check_date and source.check_valid_until and source.pinned is None
        return self.release.valid_until if asks else None


class ReleaseLoader:
    """Fetches and verifies releases."""

    def __init__(
        self,
        reader: Reader,
        *,
        now: float,
        keyrings: Sequence[Keyring] = (),
        root: Path = Path("/"),
        ignore_signatures: bool = False,
    ) -> None:
        """Nothing is read yet.

        Args:
            reader: fetches.
            now: seconds since 1970, for releases that end.
            keyrings: declared keys, trusted for sources that do not name their own with
                `signed-by`; without any, the machine's own.
            root: the folder that has the machine's own keyrings.
            ignore_signatures: take releases unsigned.
        """
        self._reader = reader
        self._now = now
        self._declared = tuple(keyrings)
        self._root = root
        self._ignore_signatures = ignore_signatures

    def load(self, source: Source) -> LoadedRelease:
        """Fetch and verify one release.

        Raises:
            NotFound: the archive has no such suite.
            Untrusted: no trusted key signed it, or it is over.
            NetworkError: the server cannot be reached, or refuses.
        """
        source = self._pin(source)
        what = f"{redact(source.folder)}/InRelease"
        verified, what = self._verify(source, what)
        release = parse_release(verified.text, what)
        check_date(
            release,
            what,
            now=self._moment(source),
            check=source.check_date,
            check_end=source.check_valid_until,
        )
        check = source.check_suite and not self._is_lax(source)
        warning = check_name(release, source.suite, what, check=check)
        return LoadedRelease(source, release, verified.signers, warning)

    def _is_lax(self, source: Source) -> bool:
        """Whether a source is taken without a signature, so that anybody may say anything."""
        return self._ignore_signatures or source.trusted

    def _moment(self, source: Source) -> float:
        """When a release must hold, and its keys: of a snapshot at the moment that it is of."""
        return self._now if source.pinned is None else source.pinned

    def _pin(self, source: Source) -> Source:
        """A source with a moment, at the address where its archive has snapshots."""
        if not source.snapshot or SNAPSHOT in source.uri:
            return source
        today = replace(source, snapshot="")
        release = self.load(today).release
        if not release.snapshots or SNAPSHOT not in release.snapshots:
            raise InputError(
                f"{source} does not say where its snapshots are",
                help=f"write the address of an archive of snapshots, with {SNAPSHOT} in it",
            )
        # The field has the address of the archive, behind which `dists` and `pool` follow.
        return replace(source, uri=release.snapshots.rstrip("/"))

    def _verify(self, source: Source, what: str) -> tuple[Verified, str]:
        """The text of a release that somebody vouches for, and what it is called."""
        lax = self._is_lax(source)
        now = self._moment(source)
        message = self._read(f"{source.folder}/InRelease", MAX_RELEASE)
        if message is not None and not lax:
            return verify_clearsigned(message, self.keyrings(source), what, now=now), what
        if message is not None and message.lstrip().startswith(_CLEARSIGNED):
            return Verified(_unwrap(message), ()), what
        if message is not None:
            return Verified(message, ()), what
        what = f"{redact(source.folder)}/Release"
        text = self._read(f"{source.folder}/Release", MAX_RELEASE)
        if text is None:
            raise NotFound(
                f"there is no release at {redact(source.folder)}: neither InRelease nor Release",
                help="check the address and the suite of the source",
            )
        if lax:
            return Verified(text, ()), what
        signature = self._read(f"{source.folder}/Release.gpg", _MAX_SIGNATURE)
        if signature is None:
            raise Untrusted(
                f"{what} is not signed: there is no Release.gpg",
                help="ask whoever publishes it; a source with `trusted=yes` is taken without",
            )
        return verify_detached(text, signature, self.keyrings(source), what, now=now), what

    def _read(self, url: str, limit: int) -> bytes | None:
        return self._reader.read(url, limit=limit, optional=True)

    def keyrings(self, source: Source) -> list[Keyring]:
        """Who may have signed a source.

        Raises:
            InputError: nobody could have; or a keyring is not there.
        """
        if source.keys:
            return [Keyring("`signed-by`", source.keys.encode())]
        paths = [each for each in source.signed_by if "/" in each]
        fingerprints = [each for each in source.signed_by if "/" not in each]
        if paths:
            found = [self._read_keyring(path) for path in paths]
        else:
            found = list(self._declared) or machine_keyrings(self._root)
        if not found:
            raise InputError(
                f"there is no key to verify {source} with",
                help="name a keyring with `signed-by=/path` or in `contents.keyring`",
            )
        return select_keys(found, fingerprints)

    def _read_keyring(self, path: str) -> Keyring:
        """A keyring that a source names: read as all that decides, so that a change is noticed."""
        data = self._reader.read(path, limit=MAX_KEYRING, optional=True)
        if data is None:
            raise NotFound(
                f"there is no keyring {path}, which `signed-by` names",
                help="name the file that has the archive's keys",
            )
        return Keyring(path, data)


def _unwrap(message: bytes) -> bytes:
    """The text of a clearsigned message that nobody verifies (RFC 9580, section 7)."""
    _, _, rest = message.replace(b"\r\n", b"\n").partition(b"\n\n")
    text, _, _ = rest.partition(b"\n-----BEGIN PGP SIGNATURE-----")
    return b"\n".join(line.removeprefix(b"- ") for line in text.split(b"\n")) + b"\n"
