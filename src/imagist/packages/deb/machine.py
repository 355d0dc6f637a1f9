"""The machine's own archives: what its apt is told, for sources that name no mirror."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.errors import InputError, Problem, RequestError
from imagist.packages.deb.sources import Source, is_source, parse_sources
from imagist.packages.deb.universe import place_below

_SUFFIX: Final = re.compile(
    r"(?<=[a-z])(-security|/updates|-updates|-backports|-proposed(?:-updates)?)$"
)
_SECURITY: Final = frozenset({"-security", "/updates"})
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")


class Machine(msgspec.Struct, frozen=True):
    """What a machine's own apt is told."""

    root: Path = Path("/")

    @property
    def is_debian(self) -> bool:
        """Whether the machine has Debian packages."""
        fields = self._describe()
        words = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".split()
        return bool({"debian", "ubuntu"} & set(words))

    @property
    def codename(self) -> str:
        """The suite that the machine is installed from, such as `trixie`; empty if unknown."""
        return self._describe().get("VERSION_CODENAME", "")

    def _describe(self) -> dict[str, str]:
        try:
            text = (self.root / "etc/os-release").read_text("utf-8", "replace")
        except OSError:
            return {}
        return dict(line.replace('"', "").partition("=")[::2] for line in text.splitlines())

    def files(self) -> list[Path]:
        """The files apt reads, in its order."""
        apt = self.root / "etc/apt"
        parts = apt / "sources.list.d"
        try:
            found = sorted(parts.iterdir())
        except OSError:
            found = []
        named = [
            path
            for path in found
            if path.suffix in {".list", ".sources"} and _FILE_NAME.fullmatch(path.name)
        ]
        return [path for path in (apt / "sources.list", *named) if path.is_file()]

    def sources(self) -> list[Source]:
        """All sources of binary packages; those that imagist cannot read are left out.

        Raises:
            InputError: a file cannot be read.
        """
        found: list[Source] = []
        for path in self.files():
            try:
                text = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{path} cannot be read: {error}") from error
            entries = [text]
            if path.suffix == ".list":
                lines = (line.partition("#")[0].strip() for line in text.splitlines())
                entries = [line for line in lines if is_source(line)]
            for entry in entries:
                try:
                    found += parse_sources(entry, str(path), strict=False)
                except RequestError:
                    continue  # apt may know schemes and options that imagist does not
        return [replace(each, borrowed=True) for each in found if each.uri]


def complete(
    sources: Iterable[Source], machine: Machine, *, with_keys: bool = True
) -> list[Source]:
    """Give sources without an address that of the machine's own.

    A suite that the machine has is looked up; another one gets the address of the same kind of
    suite: `trixie-security` that of `bookworm-security`, and `trixie-updates` that of `bookworm`.
    Where several archives have it (`bookworm` of Debian and of somebody else), one that has the
    components goes first, and one of the release that the machine is. A lock calls a source by
    its suite alone only as long as that tells it from all others.

    Args:
        sources: as they are declared.
        machine: whose addresses are borrowed.
        with_keys: whether the keys that it believes for an address are borrowed, too; not where
            the declaration says whom to believe.

    Raises:
        RequestError: the machine has none for a source; all of them.
    """
    completed: list[Source] = []
    problems: list[Problem] = []
    own: list[Source] | None = None
    for source in sources:
        if source.uri:
            completed.append(source)
            continue
        if own is None:
            own = machine.sources()
            if not with_keys:
                own = [replace(each, signed_by=(), keys="") for each in own]
        found = (
            [_borrow(source, each) for each in _find_alike(source, own, machine.codename)]
            if source.suite
            else [replace(each, where=source.where) for each in own]
        )
        completed += found
        if not found:
            problems.append(_tell_missing(source, machine, own))
    if problems:
        raise RequestError(list(dict.fromkeys(problems)))
    return _tell_apart(dict.fromkeys(completed))


def is_security(suite: str) -> bool:
    """Whether a suite has nothing but security updates of another."""
    found = _SUFFIX.search(suite)
    return found is not None and found[1] in _SECURITY


def security_suite(identity: str) -> str:
    """The suite of security updates that a `Source.identity` names; empty where it is another."""
    suite = identity.rpartition(" ")[2]
    return suite if is_security(suite) else ""


def _find_alike(source: Source, own: Sequence[Source], codename: str) -> list[Source]:
    """The machine's source to take the address of; one at most."""
    wanted = {*source.components}
    own = sorted(own, key=lambda each: not wanted <= {*each.components})
    same = [each for each in own if each.suite == source.suite]
    if same:
        return same[:1]
    security = is_security(source.suite)
    alike = [each for each in own if not each.is_flat and is_security(each.suite) == security]

    def rank(each: Source) -> tuple[bool, bool]:
        stem = _SUFFIX.sub("", each.suite)
        # Suites without a suffix first: they are what the others belong to.
        return stem != codename, not security and stem != each.suite

    return sorted(alike, key=rank)[:1]


def _tell_apart(sources: Iterable[Source]) -> list[Source]:
    """Of borrowed sources with one suite in several archives, let all but one be told by address.

    Such an archive is no mirror that another machine would have another of.
    """
    first: dict[str, str] = {}
    return [
        replace(each, borrowed=False)
        if each.borrowed and first.setdefault(each.suite, each.uri) != each.uri
        else each
        for each in sources
    ]


def _borrow(source: Source, own: Source) -> Source:
    keys = (
        {} if source.signed_by or source.keys else {"signed_by": own.signed_by, "keys": own.keys}
    )
    return replace(source, uri=own.uri, borrowed=True, **keys)


def _tell_missing(source: Source, machine: Machine, own: Sequence[Source]) -> Problem:
    example = f"deb https://MIRROR/debian {source.suite or 'SUITE'} "
    help_ = f"name a mirror: `{example}{' '.join(source.components) or 'main'}`"
    if not machine.is_debian:
        return Problem(
            f"`{source}` names no mirror, and this machine is no Debian that has one", None, help_
        )
    if not own:
        return Problem(
            f"`{source}` names no mirror, and apt has none on this machine", None, help_
        )
    kind = "security updates" if is_security(source.suite) else "a release"
    return Problem(
        f"`{source}` names no mirror, and none of this machine's sources is of {kind}",
        None,
        help_,
    )


def locate(sources: Iterable[Source], identity: str, path: str) -> str:
    """Where a package lies that a lock names by its source and its place there.

    Args:
        sources: complete ones.
        identity: `Source.identity` of the source it came from.
        path: as in the index, `pool/main/h/hello/hello_1.0-1_amd64.deb`.

    Raises:
        RequestError: no source is the one of the lock.
    """
    for source in sources:
        if source.identity == identity:
            return place_below(source.address, path)
    raise RequestError(
        f"the lock has packages of `{identity}`, which is not among the sources",
        help="declare that source again, or lock again",
    )
