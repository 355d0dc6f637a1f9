"""Alternatives: of several packages that bring a command, the links to the one that wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from imagist.build.derived.place import make_folders, put_entry, put_file
from imagist.errors import RequestError
from imagist.packages.deb.scripts.system import Alternative
from imagist.rootfs.entry import Entry, parent
from imagist.rootfs.tree import Tree

FOLDER: Final = "etc/alternatives"
ADMIN: Final = "var/lib/dpkg/alternatives"


def link_alternatives(
    tree: Tree,
    offered: Sequence[Alternative],
    chosen: Mapping[str, str] | None = None,
    *,
    keep_records: bool = False,
    epoch: int,
) -> list[str]:
    """Link every alternative to the path of the highest priority, or to the chosen one.

    Args:
        tree: the image.
        offered: what packages offer; of two with one path and name the last counts.
        chosen: path by name, whatever the priorities.
        keep_records: write what update-alternatives itself keeps, for images that have it.
        epoch: mtime of the links, in seconds since 1970.

    Raises:
        RequestError: a path is chosen that no package offers.
    """
    warnings: list[str] = []
    by_name: dict[str, dict[str, Alternative]] = {}
    for alternative in offered:
        by_name.setdefault(alternative.name, {})[alternative.path] = alternative
    for name, choices in sorted(by_name.items()):
        wanted = (chosen or {}).get(name)
        if wanted is not None and wanted not in choices:
            known = ", ".join(sorted(choices))
            raise RequestError(
                f"the alternative {name} cannot be {wanted}: no package offers that",
                help=f"there are {known}",
            )
        # As update-alternatives has it, the first of equal priority stays.
        best = choices[wanted] if wanted else max(choices.values(), key=lambda a: a.priority)
        _link(tree, best, epoch, warnings)
        if keep_records:
            data = _format_record(best, list(choices.values()), manual=wanted is not None)
            put_file(tree, f"{ADMIN}/{name}", data, epoch=epoch)
    return warnings


def _link(tree: Tree, best: Alternative, epoch: int, warnings: list[str]) -> None:
    for link, name, path in ((best.link, best.name, best.path), *best.slaves):
        if not tree.find(path):
            continue  # a manual page that the image does without
        _put_link(tree, f"{FOLDER}/{name}", path, epoch)
        place = tree.resolve(link)
        old = tree.get(place)
        kind = "directory" if not place else old.entry.kind if old is not None else "symlink"
        if kind != "symlink":
            warnings.append(f"the alternative {name} gets no link: {link} is a {kind}")
            continue
        _put_link(tree, place, f"/{FOLDER}/{name}", epoch)


def _put_link(tree: Tree, path: str, target: str, epoch: int) -> None:
    make_folders(tree, parent(path), mtime=epoch)
    put_entry(tree, Entry(path, "symlink", 0o777, mtime=epoch, link=target))


def _format_record(best: Alternative, choices: list[Alternative], *, manual: bool) -> bytes:
    """The file that update-alternatives keeps of a name: links, then each choice."""
    slaves = {name: link for each in choices for link, name, _ in each.slaves}
    lines = ["manual" if manual else "auto", best.link]
    for name in sorted(slaves):
        lines += [name, slaves[name]]
    lines.append("")
    for each in sorted(choices, key=lambda choice: choice.path):
        paths = {name: path for _, name, path in each.slaves}
        lines += [each.path, str(each.priority), *(paths.get(name, "") for name in sorted(slaves))]
    return "".join(f"{line}\n" for line in [*lines, ""]).encode("utf-8", "surrogateescape")
