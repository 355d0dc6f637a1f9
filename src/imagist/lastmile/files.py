"""Files and folders of a project as a layer: modes, owners and attributes are declared.

What counts of a file is its content and whether its owner may run it; everything else is said by
the rule that adds it. A layer is remembered by its entries and the digests of contents, which are
known without reading files that did not change.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from imagist.editing.additions import Addition, Item, find_items
from imagist.errors import InputError, Problem, RequestError
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.ignore import Ignore, read_ignore
from imagist.oci.derive import BlobLayer
from imagist.progress import SILENT, Meter
from imagist.rootfs import compress
from imagist.rootfs.entry import order, parents
from imagist.store.layers import StoredLayer, recall, remember
from imagist.store.memo import memo_key
from imagist.store.store import Store

if TYPE_CHECKING:
    from imagist.editing.place import Placed
    from imagist.rootfs.tree import Tree

STEP: Final = "files-layer"
FORMAT: Final = 1
"""Raise it whenever the same files would become other bytes."""

_PACK: Final = msgspec.msgpack.Encoder(enc_hook=str)


class FileRule(msgspec.Struct, frozen=True):
    """What of this machine goes where, and how."""

    source: str
    """A file or a folder."""
    place: str
    """Absolute path in the image; one that ends with a slash is the folder a file goes into."""
    uid: int = 0
    gid: int = 0
    mode: int | None = None
    """Of files; None: 0755 where the owner may run one, else 0644."""
    folder_mode: int = 0o755
    mtime: int = 0
    """Seconds since 1970."""
    capabilities: str = ""
    """Of files, as setcap takes them: `cap_net_bind_service=ep`."""
    ignore: bool = True
    """Whether the source's ignore file, and the usual exceptions, hold."""
    patterns: tuple[str, ...] = ()
    """More lines of the ignore file of a folder."""


def write_files(
    store: Store,
    rules: Sequence[FileRule],
    *,
    table: FileTable,
    base: Tree | None = None,
    meter: Meter = SILENT,
) -> BlobLayer:
    """One layer of everything that some rules add.

    Args:
        store: where the layer goes.
        rules: later ones go over earlier ones.
        table: tells digests of files that did not change, without reading them.
        base: what the image has below, whose folders keep their modes and whose symlinks are
            followed; none: folders above are root's, 0755, so the layer is the same on any base.
        meter: counts bytes that are read.

    Raises:
        NotFound: a source is not there.
        InputError: something cannot be read or carried, or a symlink leads out of its folder.
        RequestError: a rule means nothing.
    """
    return write_placed(store, place_files(rules, base), table=table, meter=meter)


def write_placed(
    store: Store, placed: Sequence[Placed], *, table: FileTable, meter: Meter = SILENT
) -> BlobLayer:
    """The layer of some entries; see `write_files`.

    Raises:
        InputError: there are none, or something cannot be read.
    """
    if not placed:
        raise InputError("there are no files to add: everything is ignored")
    contents = [
        table.digest(each.item) if each.item and each.entry.kind == "file" else ""
        for each in placed
    ]
    entries = [each.entry for each in placed]
    try:
        key = memo_key(FORMAT, compress.FORMAT, _PACK.encode([entries, contents]))
    except UnicodeEncodeError:  # names that are not UTF-8, which msgpack cannot carry
        key = memo_key(FORMAT, compress.FORMAT, ascii([entries, contents]))
    layer = recall(store, STEP, key, StoredLayer)
    if layer is None:
        from imagist.editing.layers import LayerWriter  # noqa: PLC0415 - often remembered

        new = LayerWriter(store, meter=meter).write(placed)
        layer = remember(store, STEP, key, StoredLayer(new.digest, new.size, new.diff_id))
    return layer.open(store)


def place_files(rules: Iterable[FileRule], base: Tree | None = None) -> list[Placed]:
    """The entries of the layer, folders above them included, in the order of paths."""
    from imagist.rootfs.tree import Node, Tree  # noqa: PLC0415 - wheels are no such files

    rules, base = list(rules), base or Tree()
    if len(rules) == 1:
        return list(_place(rules[0], base))
    seen = base.copy()
    found: dict[str, Placed] = {}
    for rule in rules:
        for placed in _place(rule, seen):
            found[placed.entry.path] = placed
            seen.put(Node(placed.entry))
    return [found[path] for path in sorted(found, key=order)]


def _place(rule: FileRule, base: Tree) -> Iterator[Placed]:
    if not rule.place.startswith("/"):
        raise RequestError(f"`{rule.place}` is not an absolute path", where=rule.source)
    from imagist.editing.place import Ownership, place_items  # noqa: PLC0415 - as above

    attributes: tuple[tuple[str, bytes], ...] = ()
    if rule.capabilities:
        from imagist.rootfs.capabilities import (  # noqa: PLC0415 - few files have any
            ATTRIBUTE,
            parse_capabilities,
        )

        attributes = ((ATTRIBUTE, parse_capabilities(rule.capabilities)),)
    for placed in place_items(find_wanted(rule), base, Ownership(rule.uid, rule.gid, rule.mtime)):
        old = entry = placed.entry
        if entry.kind == "file" and (rule.mode is not None or attributes):
            mode = entry.mode if rule.mode is None else rule.mode
            entry = replace(entry, mode=mode, xattrs=attributes)
        elif entry.is_directory and entry.path not in base and _is_in(entry.path, rule.place):
            entry = replace(entry, mode=rule.folder_mode)
        yield placed if entry is old else replace(placed, entry=entry)


def find_wanted(rule: FileRule) -> list[Item]:
    """What of a source is added; symlinks that lead out of it are refused, all of them at once."""
    folder = Path(rule.source)
    is_folder = folder.is_dir()
    ignore = read_ignore(folder, rule.patterns) if rule.ignore and is_folder else Ignore(())
    found = find_items(Addition(rule.source, rule.place), ignore.keeps, ignore.enters)
    items = _without_empty(found, rule, ignore)
    problems = [
        Problem(
            f"`{item.source}` leads out of the folder that is added, to `{item.link}`",
            help="ignore it, or add what it leads to",
        )
        for item in items
        if item.kind == "symlink" and _leads_out(item, rule, folder)
    ]
    if problems:
        raise InputError(problems)
    return items


def _without_empty(items: list[Item], rule: FileRule, ignore: Ignore) -> list[Item]:
    """Leave out folders that were entered for what might be taken back, if nothing was."""
    root = rule.place.strip("/")
    start = len(root) + 1 if root else 0
    entered = {
        item.path
        for item in items
        if item.kind == "directory"
        and len(item.path) >= start
        and ignore.ignores(item.path[start:])
    }
    if not entered:
        return items
    used = {above for item in items if item.kind != "directory" for above in parents(item.path)}
    return [item for item in items if item.path not in entered or item.path in used]


def _leads_out(item: Item, rule: FileRule, folder: Path) -> bool:
    if item.link.startswith("/"):
        # A path of the image, unless it means the folder here.
        return Path(item.link).is_relative_to(folder.resolve())
    root = rule.place.strip("/")
    end = posixpath.normpath(posixpath.join(posixpath.dirname(item.path), item.link))
    return not _is_in(end, root)


def _is_in(path: str, folder: str) -> bool:
    folder = folder.strip("/")
    if not folder:
        return path.partition("/")[0] != ".."
    return path == folder or path.startswith(f"{folder}/")
