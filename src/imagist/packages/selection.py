"""Leaving files of packages out: presets for what images seldom need, and patterns of one's own.

What is left out of a package is as if it had never been in it: no layer has it, and no database
lists it. Licences stay, whatever the rules say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from imagist.errors import InputError, Problem, RequestError
from imagist.packages.files import PackageFiles
from imagist.packages.globs import Glob
from imagist.rootfs.entry import Entry, parent
from imagist.text.suggest import did_you_mean

F = TypeVar("F", bound=PackageFiles)


class Rule(msgspec.Struct, frozen=True):
    """Whether what a pattern means stays; of several rules the last one that matches counts."""

    pattern: str
    keep: bool


_DOCUMENTATION: Final = (
    "doc", "info", "lintian", "linda", "bug", "doc-base", "gtk-doc", "groff",
)  # fmt: skip
PRESETS: Final[dict[str, tuple[Rule, ...]]] = {
    "docs": (
        *(Rule(f"/usr/share/{folder}/**", keep=False) for folder in _DOCUMENTATION),
        # What is left of a folder is a link to the folder of another package, with its licence.
        Rule("/usr/share/doc/*", keep=True),
    ),
    "man": (Rule("/usr/share/man/**", keep=False), Rule("/usr/local/man/**", keep=False)),
    "locale": (
        Rule("/usr/share/locale/**", keep=False),
        Rule("/usr/share/locale/locale.alias", keep=True),
    ),
    "gconv": (
        Rule("/usr/lib/gconv/**", keep=False),
        Rule("/usr/lib/*/gconv/**", keep=False),
        Rule("/usr/lib/**/gconv-modules**", keep=True),
        Rule("/usr/lib/**/gconv/UTF-*.so", keep=True),
    ),
    "static-libs": (Rule("/usr/lib/**.a", keep=False), Rule("/usr/lib/**.la", keep=False)),
    "headers": (Rule("/usr/include/**", keep=False),),
}
"""What `slim` may name."""

_ALWAYS: Final = (
    Rule("/usr/share/doc/*/copyright", keep=True),
    Rule("/usr/share/common-licenses/**", keep=True),
    Rule("/usr/share/licenses/**", keep=True),
)


class Selection(msgspec.Struct, frozen=True):
    """What is to stay of a package."""

    slim: tuple[str, ...] = ()
    """Names of `PRESETS`."""
    only: tuple[str, ...] = ()
    """Patterns; if there are any, nothing else stays."""
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    """Patterns that bring back what presets and `exclude` leave out."""
    strict: bool = False
    """Whether a pattern of one's own that means nothing in the package is an error."""

    def rules(self) -> list[Rule]:
        """All rules, in the order that they count.

        Raises:
            RequestError: a preset that does not exist.
        """
        unknown = [name for name in self.slim if name not in PRESETS]
        if unknown:
            raise RequestError(
                Problem(
                    f"`{name}` is nothing that can be slimmed away",
                    help=did_you_mean(name, PRESETS) or f"there are {', '.join(PRESETS)}",
                )
                for name in unknown
            )
        rules = [Rule("/**", keep=False)] if self.only else []
        rules += [Rule(pattern, keep=True) for pattern in self.only]
        rules += [rule for name in self.slim for rule in PRESETS[name]]
        rules += [Rule(pattern, keep=False) for pattern in self.exclude]
        rules += [Rule(pattern, keep=True) for pattern in self.include]
        return [*rules, *_ALWAYS] if rules else []


def cut_package(files: F, selection: Selection) -> F:
    """A package without what is not to stay of it; the same one where nothing goes.

    Raises:
        RequestError: a preset that does not exist, or a pattern that is none.
        InputError: a strict selection has patterns that mean nothing in the package.
    """
    rules = selection.rules()
    if not rules:
        return files
    own = {*selection.only, *selection.exclude, *selection.include}
    kept, unused = select_entries(files.entries, rules)
    if selection.strict and (missed := [text for text in unused if text in own]):
        name = files.package.name
        raise InputError(Problem(f"nothing in {name} is meant by `{text}`") for text in missed)
    if len(kept) == len(files.entries):
        return files
    return files.with_entries(kept)


def select_entries(
    entries: Sequence[Entry], rules: Iterable[Rule]
) -> tuple[tuple[Entry, ...], list[str]]:
    """The entries that stay, and the patterns that meant nothing.

    A folder goes when all that was in it went, and a hardlink whose file goes becomes that file.
    """
    compiled = [(Glob(rule.pattern), rule.keep) for rule in rules]
    used: set[str] = set()
    kept: dict[str, Entry] = {}
    lost: dict[str, Entry] = {}
    for entry in entries:
        keep = True
        for glob, verdict in compiled:
            if glob.matches(entry):
                used.add(glob.text)
                keep = verdict
        (kept if keep else lost)[entry.path] = entry
    needed = {folder for path, entry in kept.items() for folder in _folders_of(path, entry)}
    had = {parent(entry.path) for entry in entries}
    result: list[Entry] = []
    places: dict[str, str] = {}
    for entry in entries:
        path = entry.path
        if entry.is_directory:
            if path in needed or (path in kept and path not in had):
                result.append(entry)
        elif path in kept:
            result.append(_keep_content(entry, lost, places))
    return tuple(result), [glob.text for glob, _ in compiled if glob.text not in used]


def _folders_of(path: str, entry: Entry) -> Iterable[str]:
    """The folders above a file that stays; a folder alone needs none."""
    if entry.is_directory:
        return
    while path := parent(path):
        yield path


def _keep_content(entry: Entry, lost: dict[str, Entry], places: dict[str, str]) -> Entry:
    """The entry, where it is a hardlink with something to link to: the first that stays."""
    if entry.kind != "hardlink" or entry.link not in lost:
        return entry
    target = lost[entry.link]
    if entry.link in places:
        return replace(entry, link=places[entry.link])
    places[entry.link] = entry.path
    return replace(target, path=entry.path)
