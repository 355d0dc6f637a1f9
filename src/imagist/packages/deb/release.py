"""Release files: what a suite is called, how long it holds, and the hashes of its indexes.

`dists/SUITE/InRelease` is signed within itself, `Release` by `Release.gpg` beside it; the fields
are those of Debian's wiki page RepositoryFormat. Only SHA-256 counts here.
"""

from __future__ import annotations

import datetime
import re
from typing import Final

import msgspec

from imagist.errors import InputError, Untrusted
from imagist.packages.deb.control import Stanza, parse_stanzas
from imagist.packages.deb.universe import Suite

MAX_RELEASE: Final = 32 << 20
"""Bytes of the largest Release file that is read."""
_DATE: Final = re.compile(
    r"(?:[A-Z][a-z]{2}, )? ?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d{1,2}):(\d\d):(\d\d) "
    r"(?:UTC|GMT|Z|([+-])(\d\d)(\d\d))"
)
"""RFC 5322, section 3.3, with the zones that archives write."""
_DAY: Final = 86_400.0
"""Seconds by which clocks and zones may differ."""
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FILE: Final = re.compile(r"([0-9a-fA-F]{64})\s+([0-9]{1,15})\s+(\S+)")


class ListedFile(msgspec.Struct, frozen=True):
    """What a release says of one of its files."""

    path: str
    """Below the folder of the release."""
    sha256: str
    """In hex."""
    size: int


class Release(msgspec.Struct, frozen=True):
    """One Release file."""

    origin: str = ""
    label: str = ""
    suite: str = ""
    codename: str = ""
    version: str = ""
    date: float | None = None
    """Seconds since 1970."""
    valid_until: float | None = None
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    acquire_by_hash: bool = False
    not_automatic: bool = False
    but_automatic_upgrades: bool = False
    splits_all: bool = False
    """Whether packages for all architectures stand in indexes of their own."""
    snapshots: str = ""
    """Address of the archive's snapshots, with a place holder for the moment."""
    files: dict[str, ListedFile] = {}

    def describe(self, component: str, host: str) -> Suite:
        """What choosing packages needs to know."""
        return Suite(
            self.suite,
            self.codename,
            self.origin,
            self.label,
            self.version,
            component,
            host,
            self.not_automatic,
            self.but_automatic_upgrades,
        )


def parse_release(text: bytes, what: str) -> Release:
    """Read a Release file; verify it before.

    Raises:
        InputError: it is none, or has no SHA-256.
    """
    try:
        stanzas = parse_stanzas(text.decode(), what)
    except UnicodeDecodeError:
        raise InputError(f"{what} is not UTF-8") from None
    if len(stanzas) != 1:
        raise InputError(f"{what} has {len(stanzas)} stanzas, where a release has one")
    stanza = stanzas[0]
    if "SHA256" not in stanza:
        raise InputError(
            f"{what} lists no SHA-256 of its files",
            help="MD5 and SHA-1 can be forged; ask whoever publishes it for SHA-256",
        )
    architectures = stanza.words("Architectures")
    return Release(
        stanza.get("Origin"),
        stanza.get("Label"),
        stanza.get("Suite"),
        stanza.get("Codename"),
        stanza.get("Version"),
        _read_date(stanza, "Date"),
        _read_date(stanza, "Valid-Until"),
        stanza.words("Components"),
        architectures,
        stanza.get("Acquire-By-Hash").lower() == "yes",
        stanza.get("NotAutomatic").lower() == "yes",
        stanza.get("ButAutomaticUpgrades").lower() == "yes",
        "all" in architectures
        and "Packages" not in stanza.words("No-Support-for-Architecture-all"),
        stanza.get("Snapshots"),
        _read_files(stanza),
    )


def _read_files(stanza: Stanza) -> dict[str, ListedFile]:
    files: dict[str, ListedFile] = {}
    for line in stanza.lines("SHA256"):
        found = _FILE.fullmatch(line)
        if found is None:
            raise InputError(
                f"the list of files has a line that is none: `{line[:60]}`",
                where=stanza.where("SHA256"),
            )
        path = found[3].removeprefix("./")
        parts = path.split("/")
        if path.startswith("/") or any(part in {"", "..", "."} for part in parts):
            raise InputError(
                f"the list of files leads out of its folder: `{path[:60]}`",
                where=stanza.where("SHA256"),
            )
        listed = ListedFile(path, found[1].lower(), int(found[2]))
        if files.setdefault(path, listed) != listed:
            raise InputError(
                f"{path} is listed twice, with different hashes", where=stanza.where("SHA256")
            )
    return files


def _read_date(stanza: Stanza, name: str) -> float | None:
    value = stanza.get(name)
    if not value:
        return None
    moment = _parse_date(value)
    if moment is None:
        raise InputError(
            f"`{value[:60]}` is no date", where=stanza.where(name), help="tell its publisher"
        )
    return moment


def _parse_date(text: str) -> float | None:
    """Seconds since 1970; `email.utils` would do, and brings 20 modules with it."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    day, month, year, hour, minute, second, sign, *zone = found.groups()
    try:
        moment = datetime.datetime(
            *(int(year), _MONTHS.index(month) + 1, int(day)),
            *(int(hour), int(minute), int(second)),
            tzinfo=datetime.UTC,
        )
    except ValueError:
        return None
    hours, minutes = map(int, zone) if sign else (0, 0)
    offset = (hours * 60 + minutes) * 60
    return moment.timestamp() + (offset if sign == "-" else -offset)


def check_date(
    release: Release, what: str, *, now: float, check: bool = True, check_end: bool = True
) -> None:
    """Refuse a release that is over, since an attacker may replay old ones for ever, or to come.

    Args:
        release: the release.
        what: names it in errors.
        now: seconds since 1970; of a snapshot the moment it is of.
        check: whether the clock is to be believed at all.
        check_end: whether it matters that it is over.

    Raises:
        Untrusted: it was valid until an earlier moment, or is of a later one.
    """
    if check and release.date is not None and release.date > now + _DAY:
        raise Untrusted(
            f"{what} is of {_format_date(release.date)}, which is to come",
            help="set this machine's clock; or tell its publisher, and write `check-date=no`",
        )
    if check and check_end and release.valid_until is not None and release.valid_until < now:
        until = _format_date(release.valid_until)
        raise Untrusted(
            f"{what} was valid until {until}, and is not any more",
            help="the mirror may be behind: use another; for an old archive name the moment with "
            "`snapshot=YYYYMMDDTHHMMSSZ`, or write `check-valid-until=no`",
        )


def _format_date(seconds: float) -> str:
    """As a release writes it."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year} {moment:%H:%M:%S} UTC"


def check_name(release: Release, suite: str, what: str, *, check: bool = True) -> str:
    """Refuse a release that says it is another suite than the one asked for.

    One key signs many suites, so whoever stands between may serve an old one in place of another.

    Args:
        release: the release.
        suite: what was asked for.
        what: names it in errors.
        check: whether it matters; else there is but a warning.

    Returns:
        A warning, or nothing.

    Raises:
        Untrusted: it calls itself otherwise.
    """
    asked = suite.strip("/").removesuffix("/updates")
    known = {asked, f"{asked}-security"} if suite.endswith("/updates") else {asked}
    own = {release.suite, release.codename} - {""}
    if not own or suite.endswith("/") or known & own:
        return ""
    told = f"{what} calls itself {' or '.join(sorted(own))}, where {suite} was asked for"
    if check:
        raise Untrusted(
            told,
            help=f"ask for {min(own)}; or, if its publisher does call it otherwise, write "
            "`check-suite=no`",
        )
    return told
