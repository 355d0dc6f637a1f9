"""Where packages come from: apt's sources, in both of their syntaxes (sources.list(5)).

    deb [option=value ...] [uri] suite component ...      one line
    Types: deb / URIs: / Suites: / Components: / ...      a stanza of a .sources file

A source without an address takes that of the machine it is read on: a declaration then names no
mirror, and neither does its lock.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

import msgspec

from imagist.errors import Problem, RequestError, Span
from imagist.net.url import is_remote, redact
from imagist.packages.deb.control import Stanza, parse_stanzas
from imagist.text.suggest import did_you_mean

SNAPSHOT: Final = "@SNAPSHOTID@"
"""What stands for the date in the address of an archive of snapshots, as in Release files."""
_STAMP: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_IN_ADDRESS: Final = re.compile(r"/([0-9]{8}T[0-9]{6}Z)(?=/|$)")
_LINE: Final = re.compile(r"deb(?:\s+\[([^\]]*)\])?(?:\s+(.*))?")
_YES: Final = frozenset({"yes", "true", "with", "on", "enable"})
_NO: Final = frozenset({"no", "false", "without", "off", "disable"})
_OPTIONS: Final = {
    "arch": "Architectures",
    "signed-by": "Signed-By",
    "trusted": "Trusted",
    "check-date": "Check-Date",
    "check-suite": "Check-Suite",
    "check-valid-until": "Check-Valid-Until",
    "by-hash": "By-Hash",
    "snapshot": "Snapshot",
}
"""Options of a line, and the fields of a stanza that say the same."""
_FIELDS: Final = {
    "Allow-Downgrade-To-Insecure", "Allow-Insecure", "Allow-Weak", "Architectures", "By-Hash",
    "Check-Date", "Check-Suite", "Check-Valid-Until", "Components", "Date-Max-Future",
    "Description", "Enabled", "Exclude", "InRelease-Path", "Include", "Languages", "PDiffs",
    "Signed-By", "Snapshot", "Suites", "Targets", "Trusted", "Types", "URIs", "Valid-Until-Max",
    "Valid-Until-Min",
}  # fmt: skip
"""What a stanza may say (sources.list(5)); some of it means nothing here."""
_ARCHITECTURES: Final = {
    "all", "amd64", "any", "arm64", "armel", "armhf", "hppa", "i386", "ia64", "loong64", "m68k",
    "mips", "mips64el", "mipsel", "powerpc", "ppc64", "ppc64el", "riscv64", "s390x", "sh4",
    "sparc64", "x32",
}  # fmt: skip
_FINGERPRINT: Final = re.compile(r"(0x)?([0-9A-Fa-f]{2}){8,32}!?")
"""At least the 16 digits of a long key ID (RFC 9580, section 5.5.4)."""
_ARMOR: Final = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_DIALECT: Final = "write `deb [options] https://MIRROR/debian SUITE COMPONENT ...`"


class Source(msgspec.Struct, frozen=True):
    """One suite of one archive."""

    suite: str
    """Such as `trixie`; of a flat archive the path of its folder, with `/` at its end."""
    uri: str = ""
    """The archive, without `/` at its end: an http(s) address or a path; empty where the machine's
    own sources decide."""
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    """Debian architectures it is asked for; all that are wanted where empty."""
    signed_by: tuple[str, ...] = ()
    """Paths of keyrings, or fingerprints of keys in the machine's own; any of them where empty."""
    keys: str = ""
    """Keys themselves, armored."""
    trusted: bool = False
    """Taken without a signature."""
    check_date: bool = True
    """Whether this machine's clock decides anything."""
    check_suite: bool = True
    """Whether the release must call itself by the suite's name."""
    check_valid_until: bool = True
    by_hash: str = ""
    """`yes`, `no`, `force`, or empty: where the release says it can be done."""
    snapshot: str = ""
    """The moment the archive is looked at: `YYYYMMDDTHHMMSSZ`, or empty."""
    borrowed: bool = False
    """Whether the address is the machine's own, and so belongs into no lock."""
    where: Span | str = ""
    """Where it is declared, for errors."""

    @property
    def is_flat(self) -> bool:
        """Whether the archive is one folder without `dists`."""
        return self.suite.endswith("/")

    @property
    def is_remote(self) -> bool:
        """Whether HTTP is needed to read it."""
        return is_remote(self.uri)

    @property
    def address(self) -> str:
        """The archive at the moment that is asked for."""
        return self.uri.replace(SNAPSHOT, self.snapshot)

    @property
    def folder(self) -> str:
        """The folder that has the release, without `/` at its end."""
        if self.is_flat:
            return f"{self.address}/{self.suite.strip('/')}".rstrip("/").removesuffix("/.")
        return f"{self.address}/dists/{self.suite}"

    @property
    def identity(self) -> str:
        """What a lock calls it: the suite, with the address where the declaration names one."""
        return self.suite if self.borrowed else f"{redact(self.uri)} {self.suite}"

    @property
    def pinned(self) -> float | None:
        """The moment that is asked for, in seconds since 1970; None for today's archive."""
        found = self.snapshot or next(iter(_IN_ADDRESS.findall(self.uri)), "")
        if not found:
            return None
        return _read_moment(found).timestamp()

    def __str__(self) -> str:
        parts = ["deb", redact(self.uri), self.suite, *self.components]
        return " ".join(part for part in parts if part)


def is_source(entry: str) -> bool:
    """Whether an entry of a list of repositories is a Debian one."""
    return entry.strip() == "deb" or entry.strip().startswith(("deb ", "deb\t", "Types:"))


def parse_sources(entry: str, what: str = "the source", *, strict: bool = True) -> list[Source]:
    """Read an entry of a declaration: a line, or stanzas of a .sources file.

    Args:
        entry: as written; `deb` alone stands for all sources of the machine.
        what: names it in errors.
        strict: whether fields and architectures that nobody knows are mistakes; of a machine's own
            files they are what its apt makes of them.

    Raises:
        RequestError: it is neither, or asks for what cannot be done.
    """
    text = entry.strip("\n")
    if "\n" in text or text.startswith("Types:"):
        stanzas = parse_stanzas(text, what, comments=True, error=RequestError)
        problems = [each for stanza in stanzas for each in _find_slips(stanza)] if strict else []
        if problems:
            raise RequestError(problems)
        return [source for stanza in stanzas for source in _read_stanza(stanza)]
    return _read_line(text.strip(), what)


def _read_line(line: str, what: str) -> list[Source]:
    found = _LINE.fullmatch(line)
    if found is None or (line.removeprefix("deb").strip() and not found[2]):
        raise RequestError(f"`{redact(line)}` is no source of packages", where=what, help=_DIALECT)
    stanza = Stanza(1, what)
    for option in (found[1] or "").split():
        name, equals, value = option.partition("=")
        field = _OPTIONS.get(name.lower())
        if not equals or field is None:
            known = ", ".join(_OPTIONS)
            raise RequestError(
                f"`{redact(option)}` is no option of a source that imagist knows",
                where=what,
                help=f"one of {known}, as `name=value`",
            )
        stanza.add(field, value.replace(",", " "), 1)
    words = (found[2] or "").split()
    if words and words[0].startswith("["):
        raise RequestError("no `]` ends the options of the source", where=what, help=_DIALECT)
    problems = _find_slips(stanza)
    if problems:
        raise RequestError(problems)
    if words and (":" in words[0] or words[0].startswith(("/", "."))):
        stanza.add("URIs", words.pop(0), 1)
    if words:
        stanza.add("Suites", words[0], 1)
        stanza.add("Components", " ".join(words[1:]), 1)
    return _read_stanza(stanza)


def _find_slips(stanza: Stanza) -> list[Problem]:
    """Fields and architectures that nobody knows: a slip of the pen would be passed over."""
    known = {field.lower() for field in _FIELDS}
    problems = [
        Problem(
            f"`{name}` is no field of a source",
            stanza.where(name),
            did_you_mean(name, _FIELDS) or "fields that begin with X- are anybody's",
        )
        for name in stanza
        if name.lower() not in known and name[:2].lower() != "x-"
    ]
    return problems + [
        Problem(
            f"`{word}` is no architecture of Debian",
            stanza.where("Architectures"),
            did_you_mean(word, _ARCHITECTURES) or "as in amd64 or arm64",
        )
        for word in stanza.words("Architectures")
        if word.removeprefix("-") not in _ARCHITECTURES
    ]


def _read_stanza(stanza: Stanza) -> list[Source]:
    """The sources of a stanza: one for each address and suite."""
    types = stanza.words("Types")
    if ("Types" in stanza and "deb" not in types) or not _flag(stanza, "Enabled", default=True):
        return []
    signed_by = stanza.get("Signed-By")
    armored = _ARMOR in signed_by
    signers = () if armored else tuple(signed_by.replace(",", " ").split())
    if "Signed-By" in stanza and not armored:
        _check_signers(signers, stanza)
    snapshot = stanza.get("Snapshot")
    if snapshot and not _is_moment(snapshot):
        raise RequestError(
            f"`{snapshot}` is no moment of a snapshot",
            where=stanza.where("Snapshot"),
            help="write it in UTC, such as 20261121T000000Z",
        )
    by_hash = stanza.get("By-Hash").lower()
    if by_hash and by_hash != "force":
        by_hash = "yes" if _flag(stanza, "By-Hash", default=True) else "no"
    common = Source(
        "",
        components=stanza.words("Components"),
        architectures=stanza.words("Architectures"),
        signed_by=signers,
        keys=_dearmor_lines(signed_by) if armored else "",
        trusted=_flag(stanza, "Trusted", default=False),
        check_date=_flag(stanza, "Check-Date", default=True),
        check_suite=_flag(stanza, "Check-Suite", default=True),
        check_valid_until=_flag(stanza, "Check-Valid-Until", default=True),
        by_hash=by_hash,
        snapshot=snapshot,
    )
    suites = stanza.words("Suites")
    addresses = [_read_address(uri, stanza) for uri in stanza.words("URIs")] or [""]
    problems = [
        Problem(wrong, stanza.where("Suites"), _DIALECT)
        for suite in suites
        if (wrong := _find_mistake(suite, common, addresses))
    ]
    if not suites and (addresses != [""] or common.components):
        problems.append(Problem("a source needs a suite", stanza.where(), _DIALECT))
    if problems:
        raise RequestError(problems)
    return [
        msgspec.structs.replace(common, uri=uri, suite=suite)
        for uri in addresses
        for suite in suites or ("",)
    ]


def _check_signers(signers: Sequence[str], stanza: Stanza) -> None:
    """Refuse what would be passed over, so that any key of the machine might sign."""
    wrong = [each for each in signers if "/" not in each and not _FINGERPRINT.fullmatch(each)]
    if signers and not wrong:
        return
    raise RequestError(
        f"`{wrong[0]}` is no fingerprint of a key" if wrong else "`Signed-By` names nobody",
        where=stanza.where("Signed-By"),
        help="name a keyring by a path with a slash, such as `./key.asc`, or a key by its "
        "fingerprint",
    )


def _find_mistake(suite: str, common: Source, addresses: Sequence[str]) -> str:
    if suite.endswith("/") and common.components:
        return f"`{suite}` is the folder of a flat archive, which has no components"
    if suite.endswith("/") and addresses == [""]:
        return f"`{suite}` is the folder of a flat archive, whose address is missing"
    if not suite.endswith("/") and not common.components:
        return f"the suite {suite} needs a component, such as `main`"
    return ""


def _is_moment(text: str) -> bool:
    try:
        return bool(_STAMP.fullmatch(text)) and _read_moment(text) is not None
    except ValueError:
        return False


def _read_moment(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(f"{text}+0000", "%Y%m%dT%H%M%SZ%z")


def _read_address(uri: str, stanza: Stanza) -> str:
    scheme, separator, rest = uri.partition(":")
    if scheme.lower() in {"file", "copy"} and separator:
        return unquote("/" + rest.removeprefix("//").removeprefix("localhost").strip("/"))
    if is_remote(uri) or not separator:
        return uri.rstrip("/") or "/"
    raise RequestError(
        f"sources over {scheme} cannot be read: `{redact(uri)}`",
        where=stanza.where("URIs"),
        help="use https, http, file, or a path",
    )


def _flag(stanza: Stanza, name: str, *, default: bool) -> bool:
    value = stanza.get(name).lower()
    if not value:
        return default
    if value not in _YES | _NO:
        raise RequestError(
            f"`{value}` is neither yes nor no", where=stanza.where(name), help="write yes or no"
        )
    return value in _YES


def _dearmor_lines(value: str) -> str:
    """Armored text out of a field, in which a dot stands for an empty line."""
    lines = (line.strip() for line in value.strip("\n").split("\n"))
    return "\n".join("" if line == "." else line for line in lines).strip("\n") + "\n"
