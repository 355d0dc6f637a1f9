"""`imagist diff`: what differs between two images."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from imagist.cli.answer import print_json, print_text
from imagist.cli.images import (
    align,
    count_jobs,
    one_line,
    open_image,
    read_platform_names,
    short_digest,
    show_path,
)
from imagist.cli.progress import format_size
from imagist.inspection.describe import FileReport
from imagist.inspection.difference import (
    ConfigChange,
    Difference,
    FileChange,
    ImageDifference,
    LayerChange,
    PackageChange,
    compare_things,
)

_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~", "shared": "=", "recompressed": "~"}
_OWN: Final = "(no package)"


def run(values: argparse.Namespace) -> int:
    """Print the differences; 0 where the two are the same, 1 where they differ."""
    old, new = open_image(values.image, values), open_image(values.other, values)
    names = read_platform_names(values)
    found = compare_things(old, new, names, jobs=count_jobs(values))
    if values.json:
        print_json(found)
    else:
        print_text("".join(_show(found, values)))
    return 0 if found.equal else 1


def _show(found: Difference, values: argparse.Namespace) -> Iterator[str]:
    if found.old == found.new:
        return
    yield from _show_members("index", found.annotations)
    for sign, platforms in (("-", found.only_old), ("+", found.only_new)):
        for platform in platforms:
            yield f"{sign} {one_line(platform)}: the other has none\n"
    for image in found.images:
        if len(found.images) > 1:
            yield f"# {one_line(image.platform)}\n"
        yield from _show_image(image, values)
    if not found.equal and all(image.is_equal for image in found.images):
        yield "the images for the same platforms are equal; the indexes are not\n"


def _show_image(image: ImageDifference, values: argparse.Namespace) -> Iterator[str]:
    if image.is_equal:
        yield "equal\n" if not values.quiet else ""
        return
    files = [change for change in image.files if values.times or change.what != ("mtime",)]
    parts = [
        _show_packages(image.packages),
        "".join(_show_members("config", image.config)),
        _show_files(files) if values.files else _count_files(files),
        _show_layers(image.layers) if values.layers else _count_layers(image.layers),
    ]
    yield "".join(parts)
    left_out = len(image.files) - len(files)
    if left_out:
        yield f"times: {left_out} paths differ in time only (--times tells them)\n"
    if not any((image.packages, image.config, image.files)) and not _differ(image.layers):
        yield "only the documents differ: in history, or in form\n"


def _show_packages(changes: Sequence[PackageChange]) -> str:
    rows = []
    for change in changes:
        sign = "~" if change.old and change.new else "+" if change.new else "-"
        versions = " -> ".join(filter(None, (change.old, change.new)))
        rows.append([f"  {sign}", one_line(change.name), one_line(versions)])
    return _section("packages", rows)


def _show_members(name: str, changes: Sequence[ConfigChange]) -> Iterator[str]:
    if changes:
        yield f"{name}\n"
    for change in changes:
        before, after = _value(change.old), _value(change.new)
        yield f"  {one_line(change.what)}: {before} -> {after}\n"


def _value(value: Any) -> str:
    if value is None:
        return "absent"
    return one_line(msgspec.json.encode(value, enc_hook=str).decode())


def _count_files(changes: Sequence[FileChange]) -> str:
    counts: dict[str, Counter[str]] = {}
    for change in changes:
        counts.setdefault(change.package, Counter())[change.fate] += 1
    rows = []
    for package in sorted(counts, key=lambda name: (not name, name)):
        fates = counts[package]
        told = [f"{fates[fate]} {fate}" for fate in ("added", "removed", "changed") if fates[fate]]
        rows.append([f"  {one_line(package) or _OWN}", ", ".join(told)])
    return _section("files", rows)


def _show_files(changes: Iterable[FileChange]) -> str:
    lines = []
    for change in changes:
        shown = change.new or change.old
        path = show_path(shown) if shown else ""
        told = "; ".join(_tell(what, change) for what in change.what)
        lines.append(f"  {_SIGNS[change.fate]} {path}" + (f"  ({told})" if told else "") + "\n")
    return "files\n" + "".join(lines) if lines else ""


def _tell(what: str, change: FileChange) -> str:
    """One thing that changed, with what it was and is where that is short."""
    if change.old is None or change.new is None:
        return what
    values = [_short(what, file) for file in (change.old, change.new)]
    return one_line(f"{what} {values[0]} -> {values[1]}") if all(values) else what


def _short(what: str, file: FileReport) -> str:
    if what == "content":
        return f"{file.size} B"
    plain = {
        "type": file.kind,
        "mode": file.mode,
        "owner": f"{file.uid}:{file.gid}",
        "link": file.link,
        "mtime": str(file.mtime),
    }
    return plain.get(what, "")


def _show_layers(changes: Sequence[LayerChange]) -> str:
    rows = []
    for change in changes:
        digests = [short_digest(digest) for digest in (change.old, change.new) if digest]
        size = format_size(change.new_size or change.old_size)
        shown = " -> ".join(dict.fromkeys(digests))
        rows.append([f"  {_SIGNS[change.fate]}", size, shown, change.fate])
    return _section("layers", rows)


def _count_layers(changes: Sequence[LayerChange]) -> str:
    told = []
    for fate in ("shared", "recompressed", "removed", "added"):
        these = [change for change in changes if change.fate == fate]
        if these:
            size = format_size(sum(change.new_size or change.old_size for change in these))
            told.append(f"{len(these)} {fate} ({size})")
    return f"layers: {', '.join(told)}\n" if told else ""


def _differ(changes: Sequence[LayerChange]) -> bool:
    return any(change.fate != "shared" for change in changes)


def _section(name: str, rows: Sequence[Sequence[str]]) -> str:
    return f"{name}\n{align(rows)}" if rows else ""
