"""The machine's own archives: what its apt is told, for sources that name no mirror."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from imagist.errors import InputError, Problem, RequestError
from imagist.packages.deb.sources import Source, is_source, parse_sources
from imagist.packages.deb.universe import place_below

_SUFFIX: Final = re.compile(
    r"(?<=[a-z])(-security|/updates|-updates|-backports|-proposed(?:-updates)?)$"
)
_SECURITY: Final = frozenset({"-security", "/updates"})
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")


class Machine(NamedTuple):
    """What a machine's own apt is told."""

    root: Path = Path("/")

    @property
    def is_debian(self) -> bool:
        """Whether the machine has Debian packages."""
        try:
            text = (self.root / "etc/os-release").read_text("utf-8", "replace")
        except OSError:
            return False
        fields = dict(line.partition("=")[::2] for line in text.splitlines())
        words = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', " ").split()
        return bool({"debian", "ubuntu"} & set(words))

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
                    found += parse_sources(entry, str(path))
                except RequestError:
                    continue  # apt may know schemes and options that imagist does not
        return [msgspec.structs.replace(each, borrowed=True) for each in found if each.uri]


def complete(sources: Iterable[Source], machine: Machine) -> list[Source]:
    """Give sources without an address that of the machine's own.

    A suite that the machine has is looked up; another one gets the address of the same kind of
    suite: `trixie-security` that of `bookworm-security`, and `trixie-updates` that of `bookworm`.

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
        found = (
            [_borrow(source, each) for each in _find_alike(source, own)] if source.suite else own
        )
        completed += found
        if not found:
            problems.append(_tell_missing(source, machine, own))
    if problems:
        raise RequestError(list(dict.fromkeys(problems)))
    return list(dict.fromkeys(completed))


def _find_alike(source: Source, own: Sequence[Source]) -> list[Source]:
    """The machine's source to take the address of; one at most."""
    same = [each for each in own if each.suite == source.suite]
    if same:
        return same[:1]
    kind = _SUFFIX.search(source.suite)
    security = kind is not None and kind[1] in _SECURITY
    alike = [
        each
        for each in own
        if not each.is_flat
        and ((found := _SUFFIX.search(each.suite)) is not None and found[1] in _SECURITY)
        == security
    ]
    # Suites without a suffix first: they are what the others belong to.
    alike.sort(key=lambda each: not security and _SUFFIX.search(each.suite) is not None)
    return alike[:1]


def _borrow(source: Source, own: Source) -> Source:
    keys = (
        {} if source.signed_by or source.keys else {"signed_by": own.signed_by, "keys": own.keys}
    )
    return msgspec.structs.replace(source, uri=own.uri, borrowed=True, **keys)


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
    return Problem(
        f"`{source}` names no mirror, and none of this machine's sources is of its kind",
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
